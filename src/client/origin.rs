//! The server that a client talks to: where it is, and how requests to it are written (RFC 9112 §3).

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    sync::{PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use tokio::{net::TcpStream, task::JoinSet, time::Instant};
use url::{Host, Url};

use super::{
    Error,
    access::{self, Access},
};
use crate::{credentials::Secret, exit::reason, http1::path::RemotePath, tls::Connector};

/// Pause before the next address is tried beside the last one (RFC 8305 §5 recommends 250 ms).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// How this client names itself to every server.
const USER_AGENT: &str = concat!("haul/", env!("CARGO_PKG_VERSION"));

/// A server and the directory on it that a client looks at.
#[derive(Debug)]
pub struct Origin {
    url: Url,
    /// The directory of the URL: what paths are relative to.
    base: RemotePath,
    /// The file that the URL names, below `base`.
    named: Option<RemotePath>,
    /// The fields that are the same in every request, each with its line end.
    fields: String,
    /// What is presented and believed; it changes when the user answers a question.
    proof: RwLock<Proof>,
    /// How to go on after its certificate changed.
    remedy: String,
}

/// What is presented to a server, and believed of it.
#[derive(Debug)]
struct Proof {
    /// The value of `Authorization`: for this origin only.
    authorization: Option<Secret>,
    /// Makes TLS connections, where the URL is https.
    connector: Option<Connector>,
}

impl Proof {
    fn new(url: &Url, access: &Access) -> Result<Self, Error> {
        Ok(Self {
            authorization: access
                .credentials(url)
                .map(|credentials| credentials.authorization()),
            connector: access.connector(url)?,
        })
    }
}

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
}

impl Origin {
    /// For the server and directory that `url` names; `session` and `user` go into every request, and what `access`
    /// holds for this origin. Where that is https, the system's authorities are read.
    pub fn new(
        url: &Url,
        session: &str,
        user: Option<&str>,
        access: &Access,
    ) -> Result<Self, Error> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Usage(format!(
                "{}: haul speaks http:// and https://",
                url.scheme()
            )));
        }
        let host = url
            .host_str()
            .ok_or_else(|| Error::Usage(format!("{url} names no host")))?;
        let whole = RemotePath::from_target(url.path().as_bytes())
            .map_err(|error| Error::Usage(format!("{url}: the path has {error}")))?;
        let (base, named) = if whole.is_dir() {
            (whole, None)
        } else {
            let base = whole.parent();
            let named = whole.below(&base);
            (base, named)
        };
        let mut fields = format!("Host: {host}");
        if let Some(port) = url.port() {
            let _ = write!(fields, ":{port}");
        }
        let _ = write!(
            fields,
            "\r\nUser-Agent: {USER_AGENT}\r\nAccept-Encoding: identity\r\nHaul-Session: {session}\r\n"
        );
        if let Some(user) = user.filter(|user| !user.is_empty()) {
            let _ = write!(
                fields,
                "Haul-Name: {}\r\n",
                crate::http1::path::encode_name(user.as_bytes())
            );
        }
        Ok(Self {
            url: url.clone(),
            base,
            named,
            fields,
            proof: RwLock::new(Proof::new(url, access)?),
            remedy: access.remedy(url),
        })
    }

    /// The file that the URL names, if it ends in one.
    pub fn named(&self) -> Option<&RemotePath> {
        self.named.as_ref()
    }

    /// `host:port`, for messages.
    pub fn authority(&self) -> String {
        access::authority(&self.url)
    }

    /// The URL that it was made for.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Takes over what `access` holds for this origin now.
    pub fn renew(&self, access: &Access) -> Result<(), Error> {
        let proof = Proof::new(&self.url, access)?;
        *self.proof.write().unwrap_or_else(PoisonError::into_inner) = proof;
        Ok(())
    }

    fn proof(&self) -> RwLockReadGuard<'_, Proof> {
        self.proof.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes TLS connections to it; `None` for plain HTTP.
    pub fn connector(&self) -> Option<Connector> {
        self.proof().connector.clone()
    }

    /// Whether requests to it carry a login.
    pub fn has_credentials(&self) -> bool {
        self.proof().authorization.is_some()
    }

    /// How to go on after its certificate changed.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// The URL of the directory that paths are relative to.
    pub fn base_url(&self) -> String {
        self.url_of(&RemotePath::root())
    }

    /// The URL of a path below the base.
    pub fn url_of(&self, path: &RemotePath) -> String {
        let scheme = self.url.scheme();
        format!("{scheme}://{}{}", self.authority(), self.target(path))
    }

    fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// The request target of a path below the base.
    pub fn target(&self, path: &RemotePath) -> String {
        let mut target = self.base.clone().into_dir().to_target();
        target.push_str(&path.encoded());
        target
    }

    /// Resolves a `Location` against the target it came from: a path here, or the foreign URL.
    pub fn redirect(&self, from: &str, location: &str) -> Result<String, Error> {
        let elsewhere = || Error::Redirect(crate::escape::display_name(location).into_owned());
        let here = self.url.join(from).map_err(|_| elsewhere())?;
        let there = here.join(location).map_err(|_| elsewhere())?;
        if there.origin() != self.url.origin() {
            return Err(elsewhere());
        }
        Ok(match there.query() {
            Some(query) => format!("{}?{query}", there.path()),
            None => there.path().to_owned(),
        })
    }

    /// Appends a request for `target` to `out`.
    pub fn write_request(&self, out: &mut Vec<u8>, target: &str, ask: Ask<'_>) {
        let method = if matches!(ask, Ask::Head) {
            "HEAD "
        } else {
            "GET "
        };
        let query = if matches!(ask, Ask::Pieces { .. }) {
            "?pieces"
        } else {
            ""
        };
        for part in [method, target, query, " HTTP/1.1\r\n", &self.fields] {
            out.extend_from_slice(part.as_bytes());
        }
        let mut field = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        };
        if let Some(authorization) = &self.proof().authorization {
            field("Authorization", authorization.expose());
        }
        match ask {
            Ask::Head | Ask::Whole => {}
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
            Ask::List => field("Accept", "application/json, text/html;q=0.9, */*;q=0.5"),
            Ask::Pieces { if_match } => {
                if let Some(tag) = if_match {
                    field("If-Match", tag);
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Connects: all addresses of the host, each a little after the one before, the first that answers wins
    /// (Happy Eyeballs, RFC 8305). Gives up after `limit`. Proxy variables are not used.
    pub async fn connect(&self, limit: Duration) -> Result<TcpStream, Error> {
        let deadline = Instant::now() + limit;
        let addresses = match self.url.host() {
            Some(Host::Ipv4(ip)) => vec![SocketAddr::new(IpAddr::V4(ip), self.port())],
            Some(Host::Ipv6(ip)) => vec![SocketAddr::new(IpAddr::V6(ip), self.port())],
            Some(Host::Domain(name)) => self.resolve(name, deadline).await?,
            None => Vec::new(),
        };
        let mut addresses = addresses.into_iter();
        let mut tries = JoinSet::new();
        let mut last = String::from("it has no address");
        loop {
            if let Some(address) = addresses.next() {
                tries.spawn(TcpStream::connect(address));
            } else if tries.is_empty() {
                return Err(Error::Connect {
                    server: self.authority(),
                    reason: last,
                });
            }
            let patience = if addresses.len() > 0 {
                Instant::now() + NEXT_ADDRESS_AFTER
            } else {
                deadline
            };
            match tokio::time::timeout_at(patience.min(deadline), tries.join_next()).await {
                Ok(Some(Ok(Ok(stream)))) => {
                    // Requests are written whole: waiting for more would only delay them.
                    stream.set_nodelay(true).map_err(Error::net)?;
                    return Ok(stream);
                }
                Ok(Some(Ok(Err(error)))) => last = reason(&error),
                Err(_) if Instant::now() >= deadline => return Err(Error::Timeout(limit)),
                Ok(Some(Err(_)) | None) | Err(_) => {}
            }
        }
    }

    /// The host's addresses, IPv6 and IPv4 in turn (RFC 8305 §4).
    async fn resolve(&self, name: &str, deadline: Instant) -> Result<Vec<SocketAddr>, Error> {
        let failed = |reason: String| Error::Resolve {
            host: name.to_owned(),
            reason,
        };
        let found =
            match tokio::time::timeout_at(deadline, tokio::net::lookup_host((name, self.port())))
                .await
            {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => return Err(failed(reason(&error))),
                Err(_) => return Err(failed("the resolver does not answer".into())),
            };
        let (v6, v4): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv6);
        let longest = v6.len().max(v4.len());
        let in_turn = |i: usize| [v6.get(i).copied(), v4.get(i).copied()];
        Ok((0..longest).flat_map(in_turn).flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credentials;

    fn origin(url: &str) -> Origin {
        let url = Url::parse(url).unwrap();
        Origin::new(&url, "s", Some("a:b c"), &Access::default()).unwrap()
    }

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

    #[test]
    fn a_url_is_a_directory_and_perhaps_a_file_in_it() {
        let dir = origin("http://h:1/a%20b/");
        assert_eq!(dir.named(), None);
        assert_eq!(
            dir.target(&RemotePath::from_target(b"/x%23y").unwrap()),
            "/a%20b/x%23y"
        );
        assert_eq!(dir.target(&RemotePath::root()), "/a%20b/");
        let file = origin("http://h/a/b.txt");
        assert_eq!(file.named().unwrap().as_bytes(), b"b.txt");
        assert_eq!(file.authority(), "h:80");
        assert_eq!(origin("http://[::1]:8888").authority(), "[::1]:8888");
    }

    #[test]
    fn requests_carry_what_the_protocol_says() {
        let mut out = Vec::new();
        let ask = Ask::Range {
            first: 0,
            last: 9,
            if_match: Some("\"t\""),
            if_range: None,
        };
        origin("http://h:1/").write_request(&mut out, "/f", ask);
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

    #[test]
    fn redirects_stay_with_their_origin() {
        let origin = origin("http://h:1/a/");
        assert_eq!(origin.redirect("/a/d", "d/").unwrap(), "/a/d/");
        assert_eq!(origin.redirect("/a/d", "http://h:1/z/").unwrap(), "/z/");
        for elsewhere in ["http://h:2/", "https://h:1/", "//other/"] {
            assert!(
                matches!(origin.redirect("/a/d", elsewhere), Err(Error::Redirect(_))),
                "{elsewhere}"
            );
        }
    }
}
