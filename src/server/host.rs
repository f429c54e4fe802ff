//! Under which names the server may be asked for (RFC 9110 §7.4).
//!
//! A web page of a stranger can make its own name lead here (DNS rebinding): its script then has the origin of the listing, and
//! reads all that whoever looks at the page can reach. Nobody can do that with an address, nor with a name that no public
//! DNS server answers for.

use std::{net::IpAddr, sync::Arc};

use crate::tls::Identity;

/// Domains that no public DNS server answers for: RFC 6762, RFC 8375, RFC 6761, and what ICANN and routers keep for networks
/// of one's own.
const LOCAL_DOMAINS: [&str; 5] = [".local", ".lan", ".home.arpa", ".internal", ".localhost"];

/// The names under which a server may be asked for; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Those of this machine and those that were given, in lower case.
    known: Arc<[Box<str>]>,
}

impl Names {
    /// The names that were given with `--name`, and this machine's own.
    pub fn new(given: &[String]) -> Self {
        let mut known: Vec<Box<str>> = given.iter().map(|name| normal(name).into()).collect();
        let host = rustix::system::uname();
        let host = normal(&host.nodename().to_string_lossy());
        let search = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        known.extend(own_names(&host, &search));
        Self {
            known: known.into(),
        }
    }

    /// Whether a request for `authority` (host and port, as it was checked with its head) is for this server. `certificate`
    /// is what the server shows. Who names no host is no browser.
    pub fn are_asked_for(&self, authority: Option<&[u8]>, certificate: Option<&Identity>) -> bool {
        let Some(host) = host(authority.unwrap_or_default()) else {
            return true;
        };
        let name = normal(host);
        name.parse::<IpAddr>().is_ok()
            || !name.contains('.')
            || LOCAL_DOMAINS.iter().any(|domain| name.ends_with(domain))
            || self.known.iter().any(|known| **known == *name)
            || certificate.is_some_and(|certificate| certificate.is_for(&name))
    }
}

/// The host of an authority; `None` where it names none or an IPv6 address.
pub(super) fn host(authority: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(authority).ok()?;
    let end = text.find(':').unwrap_or(text.len());
    let host = &text[..end];
    (!host.is_empty() && !host.starts_with('[')).then_some(host)
}

/// A name in lower case and without the root's dot.
fn normal(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase()
}

/// The machine's name as it is, and in the domains in which its own resolver looks for short names: any other domain could be
/// anybody's.
fn own_names(host: &str, resolv_conf: &str) -> Vec<Box<str>> {
    let short = host.split('.').next().unwrap_or_default();
    let mut names: Vec<Box<str>> = vec![host.into()];
    for line in resolv_conf.lines() {
        let mut words = line.split_ascii_whitespace();
        if matches!(words.next(), Some("search" | "domain")) {
            let domains = words.map(normal).filter(|domain| !domain.is_empty());
            names.extend(domains.map(|domain| format!("{short}.{domain}").into()));
        }
    }
    names.retain(|name| !name.is_empty() && !short.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_no_stranger_can_make_lead_here() {
        let names = Names::new(&["Files.Example.org.".into()]);
        for (host, known) in [
            ("", true),
            ("nas", true),
            ("nas.", true),
            ("localhost:80", true),
            ("127.0.0.1:80", true),
            ("[::1]:80", true),
            ("NAS.local", true),
            ("nas.lan:80", true),
            ("nas.home.arpa", true),
            ("a.b.internal.", true),
            ("app.localhost", true),
            ("files.example.org", true),
            ("FILES.example.ORG.:443", true),
            ("other.example.org", false),
            ("x.files.example.org", false),
            ("evil.example:80", false),
            ("local.evil.example", false),
            ("evillan.example", false),
            ("127.0.0.1.evil.example", false),
            ("192-168-1-10.evil.example", false),
            ("a.b~c!$&'()*+,;=%41", false),
        ] {
            let asked = names.are_asked_for(Some(host.as_bytes()), None);
            assert_eq!(asked, known, "{host}");
        }
        assert!(names.are_asked_for(None, None));
    }

    #[test]
    fn the_machines_name_counts_in_its_own_domains_only() {
        let names = own_names(
            "nas",
            "nameserver 1.1.1.1\nsearch fritz.box Corp.Example.\n",
        );
        assert_eq!(
            names.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
            ["nas", "nas.fritz.box", "nas.corp.example"]
        );
        let full = own_names("nas.example.org", "domain lan\n");
        assert_eq!(
            full.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
            ["nas.example.org", "nas.lan"]
        );
        assert!(own_names("", "search x\n").is_empty());
    }
}
