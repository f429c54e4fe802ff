//! The server that `haul connect` is pointed at: a URL, or a host with or without a port.

use std::{
    fmt,
    net::Ipv6Addr,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::credentials::Credentials;

/// The port of `haul serve`, and of a target that names none.
pub const PORT: u16 = 8888;
/// The host where none is named.
pub const HOST: &str = "127.0.0.1";

/// What `haul connect` is pointed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// A server, or a file or directory on it.
    Server(Target),
    /// A local Metalink (RFC 5854), which names files and their servers.
    Metalink(PathBuf),
}

impl Goal {
    /// The server, if it is one.
    pub fn server(&self) -> Option<&Target> {
        match self {
            Self::Server(target) => Some(target),
            Self::Metalink(_) => None,
        }
    }
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if names_metalink(text) && !text.contains("://") {
            return Ok(Self::Metalink(text.into()));
        }
        text.parse().map(Self::Server)
    }
}

/// Where a list of digests is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksums {
    /// On a server.
    Url(Target),
    /// On this machine.
    File(PathBuf),
}

impl FromStr for Checksums {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return text.parse().map(Self::Url);
        }
        match text {
            "" => Err("no list is named: a URL or a file".into()),
            file => Ok(Self::File(file.into())),
        }
    }
}

/// Whether a name is a Metalink's by its extension.
fn names_metalink(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("meta4"))
}

/// Whether a URL is a Metalink's: by its extension, or because a server of our kind is asked for one.
pub fn is_metalink(url: &Url) -> bool {
    url.query() == Some(METALINK_QUERY) || names_metalink(url.path())
}

/// The query that asks a server of our kind for a Metalink of a file or tree.
const METALINK_QUERY: &str = "meta4";

/// A target as the user gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The URL it means, always with a path.
    pub url: Url,
    /// Whether it fixes the port: by a number, or by being a URL, whose scheme implies one.
    pub has_port: bool,
    /// Whether it has no scheme: then it means https where the server's certificate is pinned.
    pub bare: bool,
    /// The login that the URL held; it is taken out of it.
    pub credentials: Option<Credentials>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut target = if text.contains("://") {
            url(text)?
        } else {
            host_and_port(text)?
        };
        target.take_credentials()?;
        target.url.set_fragment(None);
        Ok(target)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl Target {
    /// The target where none is named: [`HOST`] and [`PORT`].
    pub fn usual() -> Result<Self, String> {
        HOST.parse()
    }

    /// The same target on another host, a name or an address as [`host`] takes it.
    pub fn set_host(&mut self, host: &Host) -> Result<(), String> {
        self.url
            .set_host(Some(&host.to_string()))
            .map_err(|error| format!("`{host}` is no host: {error}"))
    }

    /// Takes a login out of the URL, so that nothing that shows the URL shows it.
    fn take_credentials(&mut self) -> Result<(), String> {
        let url = &mut self.url;
        if url.username().is_empty() && url.password().is_none() {
            return Ok(());
        }
        let decoded = |text: &str| {
            let bytes = percent_encoding::percent_decode_str(text);
            let text = bytes
                .decode_utf8()
                .map_err(|_| "the URL's login is no UTF-8");
            text.map(std::borrow::Cow::into_owned)
        };
        let user = decoded(url.username())?;
        let password = decoded(url.password().unwrap_or_default())?;
        let login = Credentials::login(&user, &password);
        let login = login.map_err(|why| format!("the URL's login: {why}"))?;
        // These fail for URLs without a host only; every target has one.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        self.credentials = Some(login);
        Ok(())
    }

    /// The same target on another port.
    pub fn set_port(&mut self, port: u16) {
        // It fails for URLs without a host only; every target has one.
        let _ = self.url.set_port(Some(port));
        self.has_port = true;
    }
}

/// A host name or an address; IPv6 ones with or without brackets.
pub fn host(text: &str) -> Result<Host, String> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(Host::Ipv6(address));
    }
    Host::parse(text).map_err(|_| {
        format!("`{text}` is no host: a name or an address, such as nas.local, 192.168.1.5 or ::1")
    })
}

fn url(text: &str) -> Result<Target, String> {
    let url = Url::parse(text).map_err(|error| {
        // What may hold a password or a signature is not repeated.
        let shown = if text.contains(['@', '?']) {
            "the address"
        } else {
            text
        };
        format!("`{shown}` is no URL: {error}")
    })?;
    match url.scheme() {
        "http" | "https" => Ok(Target {
            url,
            has_port: true,
            bare: false,
            credentials: None,
        }),
        other => Err(format!(
            "the scheme `{other}` is not known: haul speaks http:// and https://"
        )),
    }
}

/// Reads `HOST`, `HOST:PORT`, `[::1]:8888`, `::1`, each with or without a path behind it.
fn host_and_port(text: &str) -> Result<Target, String> {
    let (authority, path) = text.find('/').map_or((text, "/"), |at| text.split_at(at));
    let no_target = || format!("`{text}` is no target: use http://HOST:PORT/PATH or HOST:PORT");
    if authority.contains('@') {
        // Not repeated: it may hold a password.
        return Err("a login needs a whole URL: http://USER:PASS@HOST:PORT/".into());
    }
    let (name, number) = match authority.rsplit_once(':') {
        _ if authority.parse::<Ipv6Addr>().is_ok() => (authority, None),
        Some((name, number)) if !number.ends_with(']') => {
            (name, Some(super::values::port(number)?))
        }
        _ => (authority, None),
    };
    if name.is_empty() {
        return Err(no_target());
    }
    let host = host(name)?;
    let url = format!("http://{host}:{}{path}", number.unwrap_or(PORT));
    Ok(Target {
        url: Url::parse(&url).map_err(|_| no_target())?,
        has_port: number.is_some(),
        bare: true,
        credentials: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_url_or_a_host_and_port() {
        for (text, url, has_port) in [
            ("http://nas/", "http://nas/", true),
            ("http://nas", "http://nas/", true),
            (
                "http://nas:81/a%20b/c.txt",
                "http://nas:81/a%20b/c.txt",
                true,
            ),
            ("http://[::1]:8888/x/", "http://[::1]:8888/x/", true),
            ("https://nas", "https://nas/", true),
            ("https://nas:8888/x/", "https://nas:8888/x/", true),
            ("nas", "http://nas:8888/", false),
            ("nas:9", "http://nas:9/", true),
            ("nas:9/photos/", "http://nas:9/photos/", true),
            ("192.168.1.5:80", "http://192.168.1.5/", true),
            ("[::1]:8888", "http://[::1]:8888/", true),
            ("[::1]", "http://[::1]:8888/", false),
            ("::1", "http://[::1]:8888/", false),
            ("fe80::1", "http://[fe80::1]:8888/", false),
            ("日本.example", "http://xn--wgv71a.example:8888/", false),
        ] {
            let target: Target = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(
                (target.url.as_str(), target.has_port),
                (url, has_port),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_target_is_refused_in_words() {
        for (text, says) in [
            ("ftp://nas/", "scheme `ftp`"),
            ("http://", "no URL"),
            ("", "no target"),
            (":80", "no target"),
            ("nas:0", "no port"),
            ("nas:http", "no port"),
            ("nas:70000", "no port"),
            ("a b", "no host"),
            ("http://ada:secret@na s/", "no URL"),
            ("http://ada:secret%0A@nas/", "control character"),
            ("http://na s/?secret", "no URL"),
            ("ada@nas", "needs a whole URL"),
            ("ada:secret@nas", "needs a whole URL"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_login_is_taken_out_of_the_url() {
        let target: Target = "https://ada:s%3Acr%C3%A9t@nas/x/".parse().unwrap();
        assert_eq!(target.url.as_str(), "https://nas/x/");
        let expected = Credentials::login("ada", "s:crét").unwrap();
        assert_eq!(target.credentials, Some(expected));
        let shown = format!("{target} {target:?}");
        assert!(
            !shown.contains("s:cr") && !shown.contains("s%3A"),
            "{shown}"
        );
    }

    #[test]
    fn a_list_is_a_file_here_or_on_a_server() {
        assert_eq!(
            "a/SUMS".parse(),
            Ok(Checksums::File(PathBuf::from("a/SUMS")))
        );
        let list: Checksums = "http://ada:secret@nas/SUMS".parse().unwrap();
        let Checksums::Url(list) = list else {
            panic!("{list:?}");
        };
        assert_eq!(list.url.as_str(), "http://nas/SUMS");
        assert_eq!(list.credentials, Credentials::login("ada", "secret").ok());
        for wrong in ["ftp://u:secret@h/SUMS", "http://u:secret@h:99999/SUMS", ""] {
            let error = wrong.parse::<Checksums>().unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_metalink_is_a_file_here_or_on_a_server() {
        assert_eq!(
            "a/b.meta4".parse(),
            Ok(Goal::Metalink(PathBuf::from("a/b.meta4")))
        );
        for (text, is_one) in [
            ("http://nas/x.meta4", true),
            ("http://nas/x.META4", true),
            ("nas:9/x?meta4", true),
            ("http://nas/x.iso", false),
            ("nas", false),
        ] {
            let Ok(Goal::Server(target)) = text.parse() else {
                panic!("{text}");
            };
            assert_eq!(is_metalink(&target.url), is_one, "{text}");
        }
    }

    #[test]
    fn parts_can_be_replaced() {
        let mut target: Target = "http://nas/x/".parse().unwrap();
        target.set_host(&host("::1").unwrap()).unwrap();
        target.set_port(9000);
        assert_eq!(target.url.as_str(), "http://[::1]:9000/x/");
    }
}
