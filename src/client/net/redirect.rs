//! Where a `Location` leads (RFC 9110 §10.2.2, §15.4).

use url::Url;

use super::origin::shown;
use crate::client::Error;

/// Whether a status says that what was asked for is to be got elsewhere.
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Where the `Location` of an answer from `here` leads: without a login, which is not ours, and without a fragment. Never
/// out of encryption, and nowhere where no HTTP is spoken.
pub fn follow(here: &Url, location: Option<&str>) -> Result<Url, Error> {
    let refused = |to: &str, why: &str| Error::Unfollowed {
        to: shown(to),
        why: why.into(),
    };
    let Some(location) = location else {
        return Err(refused("nowhere", "its answer names no address"));
    };
    let joined = here.join(location);
    let Ok(mut there) = joined else {
        return Err(refused(location, "that is no address"));
    };
    let to = there.to_string();
    if !matches!(there.scheme(), "http" | "https") || !there.has_host() {
        let why = "haul speaks http:// and https:// only: fetch it with another program";
        return Err(refused(&to, why));
    }
    if here.scheme() == "https" && there.scheme() == "http" {
        let why = "out of https into plain http, which is not followed: connect to that address itself if nobody on the way need be kept out";
        return Err(refused(&to, why));
    }
    // Both fail for URLs without a host only.
    let _ = there.set_username("");
    let _ = there.set_password(None);
    there.set_fragment(None);
    Ok(there)
}

/// The request target of a URL.
pub fn target_of(url: &Url) -> String {
    url[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_http_is_spoken_and_never_out_of_encryption() {
        let plain = Url::parse("http://h:1/a/d").unwrap();
        let secure = Url::parse("https://h:1/a/d").unwrap();
        for (here, location, there) in [
            (&plain, "e?f=g", "http://h:1/a/e?f=g"),
            (&plain, "/z#top", "http://h:1/z"),
            (&plain, "https://ada:secret@x/y", "https://x/y"),
            (&plain, "//other", "http://other/"),
            (&secure, "https://x/y", "https://x/y"),
        ] {
            assert_eq!(follow(here, Some(location)).unwrap().as_str(), there);
        }
        for (here, location, why) in [
            (&secure, "http://x/y?sig=1", "http://x/y?...: out of https"),
            (&secure, "http://h:1/a/d", "out of https"),
            (&plain, "ftp://x/y", "haul speaks"),
            (&plain, "file:///etc/passwd", "haul speaks"),
            (&plain, "data:text/plain,x", "haul speaks"),
            (&plain, "http://[", "no address"),
        ] {
            let error = follow(here, Some(location)).unwrap_err().to_string();
            assert!(error.contains(why), "{location}: {error}");
        }
        assert!(follow(&plain, None).is_err());
    }
}
