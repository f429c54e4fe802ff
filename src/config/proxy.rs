//! Proxies: which one a server is reached through, if any. Plain HTTP is asked of the proxy, TLS goes through a tunnel
//! (CONNECT, RFC 9110 §9.3.6), so that the proxy sees none of it.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::credentials::{Credentials, Secret};

/// A proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where it is; without its login.
    pub url: Url,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<Secret>,
}

impl Proxy {
    /// Reads `http://[USER:PASS@]HOST[:PORT]`; without a scheme it is http. No error repeats a login.
    pub fn parse(text: &str) -> Result<Self, String> {
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let mut url = Url::parse(&whole).map_err(|error| format!("it is no URL: {error}"))?;
        if url.scheme() != "http" {
            return Err(format!(
                "haul speaks to http:// proxies only, not to {}://",
                url.scheme()
            ));
        }
        if url.host().is_none() {
            return Err("it names no host".into());
        }
        let authorization = if url.username().is_empty() && url.password().is_none() {
            None
        } else {
            let decoded = |text: &str| {
                percent_encoding::percent_decode_str(text)
                    .decode_utf8_lossy()
                    .into_owned()
            };
            let login = Credentials::login(
                &decoded(url.username()),
                &decoded(url.password().unwrap_or_default()),
            )?;
            Some(login.authorization())
        };
        // These fail for URLs without a host only.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self { url, authorization })
    }
}

/// Which proxy is for what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Known>,
    https: Option<Known>,
    /// Hosts that are reached without one.
    direct: Vec<Direct>,
}

/// A proxy, or why what is named is none: that is told when it is needed.
type Known = Result<Proxy, String>;

/// Hosts of `no_proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Direct {
    /// `*`
    All,
    /// This machine: no proxy reaches it, whatever the variables say.
    Loopback,
    /// A name and all below it; a port, where one is named.
    Name(String, Option<u16>),
    /// Addresses that begin with so many bits; a port, where one is named.
    Net(IpAddr, u8, Option<u16>),
}

impl Proxies {
    /// One proxy for all servers.
    pub fn one(proxy: Proxy) -> Self {
        Self {
            http: Some(Ok(proxy.clone())),
            https: Some(Ok(proxy)),
            direct: Vec::new(),
        }
    }

    /// What the environment says, in the names that curl and wget read: `http_proxy` (in small letters only: a CGI program
    /// would have `HTTP_PROXY` from a request), `https_proxy`, `all_proxy`, `no_proxy`.
    pub fn from_environment(get: impl Fn(&str) -> Option<String>) -> Self {
        let read = |names: &[&str]| {
            let found = names.iter().find_map(|name| Some((name, get(name)?)));
            let (name, text) = found.filter(|(_, text)| !text.is_empty())?;
            Some(Proxy::parse(&text).map_err(|why| {
                format!("the variable {name} names no proxy: {why}: change it, or give --proxy off")
            }))
        };
        let all = ["all_proxy", "ALL_PROXY"];
        let none = get("no_proxy")
            .or_else(|| get("NO_PROXY"))
            .unwrap_or_default();
        let direct = none
            .split([',', ' '])
            .map(str::trim)
            .filter(|host| !host.is_empty());
        Self {
            http: read(&["http_proxy", all[0], all[1]]),
            https: read(&["https_proxy", "HTTPS_PROXY", all[0], all[1]]),
            direct: direct
                .map(Direct::parse)
                .chain([Direct::Loopback])
                .collect(),
        }
    }

    /// The proxy that a server is reached through; the error says why what is named is none.
    pub fn of(&self, url: &Url) -> Result<Option<&Proxy>, &str> {
        let Some(host) = url.host() else {
            return Ok(None);
        };
        let port = url.port_or_known_default();
        if self.direct.iter().any(|direct| direct.holds(&host, port)) {
            return Ok(None);
        }
        let known = if url.scheme() == "https" {
            &self.https
        } else {
            &self.http
        };
        match known {
            Some(Ok(proxy)) => Ok(Some(proxy)),
            Some(Err(why)) => Err(why),
            None => Ok(None),
        }
    }
}

impl Direct {
    fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::All;
        }
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, bits.parse().ok()));
        let address = address.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = address.parse::<IpAddr>() {
            return Self::Net(address, bits.unwrap_or(128), None);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Self::Net(address.ip(), 128, Some(address.port()));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, port.parse().ok()),
            None => (text, None),
        };
        let name = name.trim_start_matches("*.").trim_start_matches('.');
        Self::Name(name.trim_end_matches('.').to_ascii_lowercase(), port)
    }

    fn holds(&self, host: &Host<&str>, port: Option<u16>) -> bool {
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
            Host::Domain(_) => None,
        };
        match (self, host) {
            (Self::All, _) => true,
            (Self::Loopback, Host::Domain(name)) => {
                *name == "localhost" || name.ends_with(".localhost")
            }
            (Self::Loopback, _) => address.is_some_and(|address| address.is_loopback()),
            (Self::Name(known, at), Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let below = name
                    .strip_suffix(known.as_str())
                    .is_some_and(|front| front.is_empty() || front.ends_with('.'));
                below && at.is_none_or(|at| Some(at) == port)
            }
            (Self::Name(..), _) => false,
            (Self::Net(net, bits, at), _) => {
                address.is_some_and(|address| begins(address, *net, *bits))
                    && at.is_none_or(|at| Some(at) == port)
            }
        }
    }
}

/// Whether both are of one family and have the same first bits.
fn begins(address: IpAddr, net: IpAddr, bits: u8) -> bool {
    let same = |a: &[u8], b: &[u8]| {
        let bits = usize::from(bits).min(a.len() * 8);
        let (whole, rest) = (bits / 8, bits % 8);
        a[..whole] == b[..whole] && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0)
    };
    match (address, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(&a.octets(), &b.octets()),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(&a.octets(), &b.octets()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_as_curl_reads_it() {
        let proxies = Proxies::from_environment(|name| {
            Some(match name {
                "http_proxy" => "http://ada:l%3Ace@proxy:3128/".into(),
                "HTTPS_PROXY" => "tunnel:8080".into(),
                "no_proxy" => ".lan, example.org:8443,10.0.0.0/8 192.168.1.7, ::1,192.0.2.1:8080,[2001:db8::1]:81"
                        .into(),
                "HTTP_PROXY" => "http://evil/".into(),
                _ => return None,
            })
        });
        let of = |url: &str| {
            let proxy = proxies.of(&url.parse().unwrap()).unwrap();
            proxy.map(|proxy| proxy.url.to_string())
        };
        for (url, through) in [
            ("http://nas.example/", Some("http://proxy:3128/")),
            ("https://nas.example/", Some("http://tunnel:8080/")),
            ("http://nas.lan/", None),
            ("http://lan/", None),
            ("http://xlan/", Some("http://proxy:3128/")),
            ("https://example.org:8443/", None),
            ("https://a.example.org:8443/", None),
            ("https://example.org/", Some("http://tunnel:8080/")),
            ("http://10.200.3.4/", None),
            ("http://11.0.0.1/", Some("http://proxy:3128/")),
            ("http://192.168.1.7:99/", None),
            ("http://192.168.1.8/", Some("http://proxy:3128/")),
            ("http://192.0.2.1:8080/", None),
            ("http://192.0.2.1/", Some("http://proxy:3128/")),
            ("http://[2001:db8::1]:81/", None),
            ("http://[2001:db8::1]/", Some("http://proxy:3128/")),
            ("http://localhost:8888/", None),
            ("http://127.0.0.5/", None),
            ("http://[::1]/", None),
        ] {
            assert_eq!(of(url).as_deref(), through, "{url}");
        }
        let proxy = proxies.http.as_ref().unwrap().as_ref().unwrap();
        let login = proxy.authorization.as_ref().unwrap();
        assert_eq!(login.expose(), "Basic YWRhOmw6Y2U=");
        let all = Proxies::from_environment(|name| {
            Some(if name == "no_proxy" {
                "*".into()
            } else {
                "p".into()
            })
        });
        assert_eq!(all.of(&"http://x/".parse().unwrap()), Ok(None));
        let wrong = Proxies::from_environment(|name| {
            (name == "all_proxy").then(|| "socks5://u:secret@p/".into())
        });
        // It is told where it is needed, and keeps nobody from what is reached directly.
        assert_eq!(wrong.of(&"http://localhost/".parse().unwrap()), Ok(None));
        let line = wrong.of(&"http://x/".parse().unwrap()).unwrap_err();
        assert!(
            line.contains("all_proxy") && line.contains("socks5") && !line.contains("secret"),
            "{line}"
        );
    }
}
