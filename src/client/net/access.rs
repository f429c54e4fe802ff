//! What is presented to servers, and which certificates are believed: each login and pin belongs to one origin
//! (scheme, host and port), and goes to no other.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use url::Url;

use crate::{
    client::Error,
    config::proxy::{Proxies, Proxy},
    credentials::{Credentials, Secret},
    tls::{Connector, Fingerprint, KnownHosts},
};

/// Logins and pins of the servers that a client talks to. Clones share the logins: one that the user gives later holds
/// for all of them.
#[derive(Debug, Clone, Default)]
pub struct Access {
    credentials: Arc<Mutex<Vec<(url::Origin, Credentials)>>>,
    /// Logins by host, as `.netrc` has them; without a host, for all others.
    hosts: Arc<[(Option<String>, Credentials)]>,
    /// Fields of the user's own, each for one origin.
    fields: Vec<(url::Origin, String, Secret)>,
    proxies: Proxies,
    pins: Vec<(url::Origin, Fingerprint)>,
    known_hosts: Option<KnownHosts>,
}

/// `host:port` as messages and `known_hosts` name a server.
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or(80))
}

/// Whether a field is the one that holds a login.
pub(super) fn is_authorization(name: &str) -> bool {
    name.eq_ignore_ascii_case("authorization")
}

impl Access {
    /// Believes what is pinned in `known_hosts` of a state directory; without one nothing is pinned.
    pub fn new(state_dir: Option<&Path>) -> Self {
        Self {
            known_hosts: state_dir.map(KnownHosts::new),
            ..Self::default()
        }
    }

    /// For servers that redirects lead to: which certificates are pinned, and the proxies, but nothing to present.
    pub(super) fn for_strangers(&self) -> Self {
        Self {
            proxies: self.proxies.clone(),
            known_hosts: self.known_hosts.clone(),
            ..Self::default()
        }
    }

    /// For servers that a document names, not the user: what he gave for an origin goes there all the same, but no login of a
    /// host.
    pub(super) fn for_named(&self) -> Self {
        Self {
            hosts: Arc::default(),
            ..self.clone()
        }
    }

    /// Presents `credentials` to the origin of `url`.
    pub fn present(&self, url: &Url, credentials: Credentials) {
        let origin = url.origin();
        let mut all = self.logins();
        all.retain(|(other, _)| *other != origin);
        all.push((origin, credentials));
    }

    /// What is presented by origin, with the URL of each.
    pub(in crate::client) fn given(&self) -> Vec<(Url, Credentials)> {
        let all = self.logins();
        let url = |origin: &url::Origin| Url::parse(&origin.ascii_serialization()).ok();
        all.iter()
            .filter_map(|(origin, given)| Some((url(origin)?, given.clone())))
            .collect()
    }

    /// Presents these logins to hosts that have none by their origin.
    pub fn present_to_hosts(&mut self, logins: Vec<(Option<String>, Credentials)>) {
        self.hosts = logins.into();
    }

    /// Sends a field with each request to the origin of `url`, and to no other. The name was checked.
    pub fn send(&mut self, url: &Url, name: &str, value: Secret) {
        self.fields.push((url.origin(), name.to_owned(), value));
    }

    /// Reaches servers through these.
    pub fn go_through(&mut self, proxies: Proxies) {
        self.proxies = proxies;
    }

    /// The user's own fields for the origin of `url`.
    pub(super) fn fields(&self, url: &Url) -> Vec<(String, Secret)> {
        let origin = url.origin();
        let own = self.fields.iter().filter(|(of, ..)| *of == origin);
        own.map(|(_, name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// What the server at `url` is reached through.
    pub(super) fn proxy(&self, url: &Url) -> Result<Option<Proxy>, Error> {
        let proxy = self.proxies.of(url);
        proxy
            .map(Option::<&_>::cloned)
            .map_err(|why| Error::Usage(why.into()))
    }

    fn logins(&self) -> MutexGuard<'_, Vec<(url::Origin, Credentials)>> {
        self.credentials
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Believes the certificate with this fingerprint from the origin of `url`, and no other.
    pub fn expect(&mut self, url: &Url, fingerprint: Fingerprint) {
        self.pins.push((url.origin(), fingerprint));
    }

    /// Pins the certificate of the server at `url` in `known_hosts`: the user has said that it is the right one.
    pub fn trust(&self, url: &Url, fingerprint: &Fingerprint) -> Result<(), crate::tls::Error> {
        match &self.known_hosts {
            Some(hosts) => hosts.pin(&authority(url), fingerprint),
            None => Err(crate::tls::Error::Keep {
                what: "the server's fingerprint",
                reason: "no home directory is known".into(),
                remedy: "set XDG_STATE_HOME, or give --fingerprint",
            }),
        }
    }

    /// The URL of a server that was given without a scheme: https where a certificate is pinned for it, or expected.
    pub fn with_scheme(&self, url: &Url, expected: bool) -> Result<Url, Error> {
        let mut url = url.clone();
        let port = url.port_or_known_default();
        if expected || self.pinned(&url)?.is_some() {
            // Both fail for URLs without a host only.
            let _ = url.set_scheme("https");
            let _ = url.set_port(port);
        }
        Ok(url)
    }

    /// What to present to the origin of `url`. The user's own `Authorization` comes before a login of the host.
    pub(super) fn credentials(&self, url: &Url) -> Option<Credentials> {
        let origin = url.origin();
        let all = self.logins();
        let found = all.iter().find(|(known, _)| *known == origin);
        if let Some((_, credentials)) = found {
            return Some(credentials.clone());
        }
        let fields = self.fields(url);
        if fields.iter().any(|(name, _)| is_authorization(name)) {
            return None;
        }
        let host = url.host_str()?;
        let mut hosts = self.hosts.iter();
        let found = hosts.find(|(known, _)| {
            known
                .as_ref()
                .is_none_or(|known| known.eq_ignore_ascii_case(host))
        });
        found.map(|(_, credentials)| credentials.clone())
    }

    /// Makes TLS connections to the origin of `url`; `None` where that is no https.
    pub(super) fn connector(&self, url: &Url) -> Result<Option<Connector>, Error> {
        if url.scheme() != "https" {
            return Ok(None);
        }
        let origin = url.origin();
        let expected = self.pins.iter().find(|(known, _)| *known == origin);
        let pin = match expected {
            Some((_, pin)) => Some(*pin),
            None => self.pinned(url)?,
        };
        let connector = Connector::new(url.host_str().unwrap_or_default(), pin);
        connector.map(Some).map_err(|error| Error::Tls {
            server: authority(url),
            reason: error.to_string(),
        })
    }

    /// How to go on after a certificate changed: where the pin is.
    pub(super) fn remedy(&self, url: &Url) -> String {
        let named = self.pins.iter().any(|(known, _)| *known == url.origin());
        match &self.known_hosts {
            Some(hosts) if !named => format!("remove its line from {}", hosts.path().display()),
            _ => "give the new one with --fingerprint".into(),
        }
    }

    fn pinned(&self, url: &Url) -> Result<Option<Fingerprint>, Error> {
        let Some(hosts) = &self.known_hosts else {
            return Ok(None);
        };
        hosts.find(&authority(url)).map_err(|error| Error::Tls {
            server: authority(url),
            reason: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_login_belongs_to_one_origin() {
        let access = Access::default();
        access.present(
            &url("http://nas:8888/a/"),
            Credentials::login("a", "b").unwrap(),
        );
        assert!(access.credentials(&url("http://nas:8888/other")).is_some());
        for elsewhere in [
            "https://nas:8888/",
            "http://nas/",
            "http://nas:8889/",
            "http://nas.local:8888/",
        ] {
            assert_eq!(access.credentials(&url(elsewhere)), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_bare_target_with_a_pin_means_https() {
        let dir = tempfile::tempdir().unwrap();
        let access = Access::new(Some(dir.path()));
        let fingerprint = Fingerprint::of(b"x");
        access.trust(&url("https://nas:80/"), &fingerprint).unwrap();
        access
            .trust(&url("https://[::1]:8888/"), &fingerprint)
            .unwrap();
        for (given, meant) in [
            ("http://nas:80/x", "https://nas:80/x"),
            ("http://[::1]:8888/", "https://[::1]:8888/"),
            ("http://nas:8888/", "http://nas:8888/"),
        ] {
            let found = access.with_scheme(&url(given), false).unwrap();
            assert_eq!(found.as_str(), meant);
        }
        let expected = access.with_scheme(&url("http://nas:8888/"), true).unwrap();
        assert_eq!(expected.as_str(), "https://nas:8888/");
    }
}
