//! Requests as they are written (RFC 9112 §3).

use std::borrow::Cow;

use super::{
    access::is_authorization,
    challenge::Request,
    origin::{Asked, Origin},
};
use crate::{credentials::Secret, pieces::blocks};

/// What is asked of the server.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// The head of a file or directory.
    Head,
    /// A whole file.
    Whole,
    /// The bytes from `first` to `last`, inclusive, and only of the content that `validator` (an entity tag) names.
    Range {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
        /// Sent as `If-Match`: a 412 tells that the file changed.
        if_match: Option<&'a str>,
        /// Sent as `If-Range`: a 200 tells that the file changed.
        if_range: Option<&'a str>,
    },
    /// A listing.
    List,
    /// The chaining values of a file's pieces.
    Pieces {
        /// The entity tag of the content that they must be of.
        if_match: Option<&'a str>,
    },
    /// The values of the blocks of some pieces.
    Blocks {
        /// The first piece.
        first: u32,
        /// The one behind the last.
        end: u32,
        /// The entity tag of the content that they must be of.
        if_match: Option<&'a str>,
    },
}

impl Ask<'_> {
    /// What stands behind the path.
    fn query(&self) -> Cow<'static, str> {
        match self {
            Self::Pieces { .. } => "?pieces".into(),
            Self::Blocks { first, end, .. } => {
                format!("?blocks={}", blocks::query(&(*first..*end))).into()
            }
            Self::Head | Self::Whole | Self::Range { .. } | Self::List => "".into(),
        }
    }
}

impl Origin {
    /// Appends a request for `target` to `out`.
    pub fn write_request(&self, out: &mut Vec<u8>, target: &str, ask: Ask<'_>) {
        let method = if matches!(ask, Ask::Head) {
            "HEAD "
        } else {
            "GET "
        };
        let query = &*ask.query();
        out.extend_from_slice(method.as_bytes());
        let proxy = self.proxy.as_ref().filter(|_| self.url.scheme() == "http");
        if proxy.is_some() {
            // A proxy is told the whole address (RFC 9112 §3.2.2).
            let origin = self.url.origin().ascii_serialization();
            out.extend_from_slice(origin.as_bytes());
        }
        for part in [target, query, " HTTP/1.1\r\n", &self.fields] {
            out.extend_from_slice(part.as_bytes());
        }
        let mut field = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        };
        if let Some(login) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
            field("Proxy-Authorization", login.expose());
        }
        let login = self.authorization(method.trim_end(), target, query);
        if let Some(authorization) = &login {
            field("Authorization", authorization.expose());
        }
        let mut cookies = self.asked().cookies.field();
        // A login that was given after them is there in place of their own.
        let own = self.own.iter();
        for (name, value) in own.filter(|(name, _)| login.is_none() || !is_authorization(name)) {
            match cookies.take_if(|_| name.eq_ignore_ascii_case("cookie")) {
                Some(cookies) => field(name, &format!("{}; {cookies}", value.expose())),
                None => field(name, value.expose()),
            }
        }
        if let Some(cookies) = cookies {
            field("Cookie", &cookies);
        }
        self.ask_fields(ask, &mut field);
        out.extend_from_slice(b"\r\n");
    }

    /// The fields that say what is asked for.
    fn ask_fields(&self, ask: Ask<'_>, mut field: impl FnMut(&str, &str)) {
        let says = |(name, _): &(String, Secret)| name.eq_ignore_ascii_case("accept");
        match ask {
            Ask::Range {
                first,
                last,
                if_match,
                if_range,
            } => {
                field("Range", &format!("bytes={first}-{last}"));
                if let Some(tag) = if_match {
                    field("If-Match", tag);
                } else if let Some(validator) = if_range {
                    field("If-Range", validator);
                }
            }
            Ask::List if !self.own.iter().any(says) => {
                field("Accept", "application/json, text/html;q=0.9, */*;q=0.5");
            }
            Ask::Head | Ask::Whole | Ask::List => {}
            Ask::Pieces { if_match } | Ask::Blocks { if_match, .. } => {
                if let Some(tag) = if_match {
                    field("If-Match", tag);
                }
            }
        }
    }

    /// What proves to the server whose request this is.
    fn authorization(&self, method: &str, target: &str, query: &str) -> Option<Secret> {
        let proof = self.proof();
        let mut asked = self.asked();
        let Asked {
            challenge: Some(challenge),
            count,
            ..
        } = &mut *asked
        else {
            return proof.authorization.clone();
        };
        let Some((user, password)) = &proof.login else {
            return proof.authorization.clone();
        };
        *count += 1;
        let request = Request {
            method,
            uri: &format!("{target}{query}"),
            count: *count,
            cnonce: &format!("{:032x}", fastrand::u128(..)),
        };
        Some(challenge.answer(user, password, &request))
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::{client::Access, credentials::Credentials};

    #[test]
    fn a_login_is_in_the_requests_and_nowhere_else() {
        let url = Url::parse("https://h:1/a/").unwrap();
        let access = Access::default();
        access.present(&url, Credentials::login("ada", "secret").unwrap());
        let origin = Origin::new(&url, "s", None, &access).unwrap();
        let mut out = Vec::new();
        origin.write_request(&mut out, "/f", Ask::Head);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("\r\nAuthorization: Basic YWRhOnNlY3JldA==\r\n"),
            "{text}"
        );
        let shown = format!("{origin:?} {} {}", origin.base_url(), origin.authority());
        assert!(
            !shown.contains("secret") && !shown.contains("YWRh"),
            "{shown}"
        );
        let other = Url::parse("http://h:1/a/").unwrap();
        let other = Origin::new(&other, "s", None, &access).unwrap();
        assert!(!other.has_credentials(), "plain HTTP is another origin");
    }

    /// The `Authorization` fields of a request.
    fn shown(origin: &Origin) -> Vec<String> {
        let mut out = Vec::new();
        origin.write_request(&mut out, "/f", Ask::Head);
        let text = String::from_utf8(out).unwrap();
        let fields = text.lines().map(str::to_ascii_lowercase);
        fields
            .filter(|line| line.starts_with("authorization:"))
            .collect()
    }

    #[test]
    fn a_login_is_shown_once() {
        let url = Url::parse("http://h:1/").unwrap();
        let mut access = Access::default();
        access.present_to_hosts(vec![(None, Credentials::login("ada", "x").unwrap())]);
        access.send(&url, "AUTHORIZATION", Secret::new("bearer own"));
        let origin = Origin::new(&url, "s", None, &access).unwrap();
        assert_eq!(shown(&origin), ["authorization: bearer own"]);
        assert!(origin.has_credentials());
        // One that is given afterwards, to the server that refused those.
        access.present(&url, Credentials::parse_token("typed").unwrap());
        origin.renew(&access).unwrap();
        assert_eq!(shown(&origin), ["authorization: bearer typed"]);
    }

    #[test]
    fn what_a_document_names_gets_what_was_given_for_it_alone() {
        let url = Url::parse("http://h:1/").unwrap();
        let mut access = Access::default();
        access.present_to_hosts(vec![(None, Credentials::login("ada", "x").unwrap())]);
        let origin = Origin::named_by_document(&url, &access).unwrap();
        assert_eq!(shown(&origin), [""; 0]);
        origin.renew(&access).unwrap();
        assert_eq!(shown(&origin), [""; 0]);
        access.present(&url, Credentials::parse_token("given").unwrap());
        origin.renew(&access).unwrap();
        assert_eq!(shown(&origin), ["authorization: bearer given"]);
    }

    #[test]
    fn requests_carry_what_the_protocol_says() {
        let url = Url::parse("http://h:1/").unwrap();
        let origin = Origin::new(&url, "s", Some("a:b c"), &Access::default()).unwrap();
        let mut out = Vec::new();
        let ask = Ask::Range {
            first: 0,
            last: 9,
            if_match: Some("\"t\""),
            if_range: None,
        };
        origin.write_request(&mut out, "/f", ask);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("GET /f HTTP/1.1\r\nHost: h:1\r\nUser-Agent: haul/"),
            "{text}"
        );
        assert!(text.contains("Haul-Name: a%3Ab%20c\r\n"), "{text}");
        assert!(
            text.ends_with("Range: bytes=0-9\r\nIf-Match: \"t\"\r\n\r\n"),
            "{text}"
        );
    }
}
