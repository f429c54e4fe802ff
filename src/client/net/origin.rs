//! The server that a client talks to: where it is, and how requests to it are written (RFC 9112 §3).

use std::{
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use url::Url;

use crate::{
    client::{
        Error,
        net::{
            access::{self, Access, is_authorization},
            challenge::Challenge,
            cookies::Cookies,
        },
    },
    config::proxy::Proxy,
    credentials::{Credentials, Secret},
    http1::{fields, path::RemotePath, response_head::ResponseHead},
    tls::Connector,
};

/// Challenges in a row that call a proof stale: nonces wear out, but none before its first request.
const STALE_MAX: u32 = 5;

/// How this client names itself to every server.
const USER_AGENT: &str = concat!("haul/", env!("CARGO_PKG_VERSION"));

/// A server and the directory on it that a client looks at.
#[derive(Debug)]
pub struct Origin {
    pub(super) url: Url,
    /// The directory of the URL: what paths are relative to.
    base: RemotePath,
    /// The file that the URL names, below `base`.
    named: Option<RemotePath>,
    /// The fields that are the same in every request, each with its line end.
    pub(super) fields: String,
    /// The user's own fields.
    pub(super) own: Vec<(String, Secret)>,
    /// What is presented and believed; it changes when the user answers a question.
    proof: RwLock<Proof>,
    /// Whether a document named it, and not the user.
    is_named: bool,
    /// How to go on after its certificate changed.
    remedy: String,
    /// What it is reached through.
    pub(super) proxy: Option<Proxy>,
    /// What it asked to be proved, and what it wants to see again.
    pub(super) asked: Mutex<Asked>,
}

/// What a server has asked for in its answers.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// How a login is to be proved, where it is not to be sent.
    pub challenge: Option<Challenge>,
    /// How many challenges there were: a request that was sent before the last one may be sent again.
    pub round: u32,
    /// Challenges since its last answer that call the proof before them stale.
    pub stale: u32,
    /// Requests that were sent under this challenge.
    pub count: u32,
    pub cookies: Cookies,
}

/// What is presented to a server, and believed of it.
#[derive(Debug)]
pub(super) struct Proof {
    /// The value of `Authorization`: for this origin only.
    pub(super) authorization: Option<Secret>,
    /// The login behind it, for servers that want a proof of it.
    pub(super) login: Option<(String, Secret)>,
    /// Makes TLS connections, where the URL is https.
    connector: Option<Connector>,
}

impl Proof {
    fn new(url: &Url, access: &Access) -> Result<Self, Error> {
        let credentials = access.credentials(url);
        let login = match &credentials {
            Some(Credentials::Login { user, password }) => Some((user.clone(), password.clone())),
            _ => None,
        };
        Ok(Self {
            authorization: credentials.map(|credentials| credentials.authorization()),
            login,
            connector: access.connector(url)?,
        })
    }
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
            .ok_or_else(|| Error::Usage(format!("{} names no host", shown(url.as_str()))))?;
        let whole = RemotePath::from_target(url.path().as_bytes()).map_err(|error| {
            Error::Usage(format!("{}: the path has {error}", shown(url.as_str())))
        })?;
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
        let own = access.fields(url);
        let is_own = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        fields.push_str("\r\n");
        if !is_own("user-agent") {
            let _ = write!(fields, "User-Agent: {USER_AGENT}\r\n");
        }
        let _ = write!(
            fields,
            "Accept-Encoding: identity\r\n{}: {session}\r\n",
            fields::SESSION
        );
        if let Some(user) = user.filter(|user| !user.is_empty()) {
            let _ = write!(
                fields,
                "{}: {}\r\n",
                fields::NAME,
                crate::http1::path::encode_name(user.as_bytes())
            );
        }
        Ok(Self {
            url: url.clone(),
            base,
            named,
            fields,
            proof: RwLock::new(Proof::new(url, access)?),
            is_named: false,
            remedy: access.remedy(url),
            proxy: access.proxy(url)?,
            own,
            asked: Mutex::default(),
        })
    }

    /// For a server that a redirect leads to: it gets no login, no field and no cookie of the user's, and learns neither the
    /// user's name nor the session's. Pins of its own hold, and the proxies.
    pub fn stranger(url: &Url, access: &Access) -> Result<Self, Error> {
        let mut root = url.clone();
        root.set_path("/");
        root.set_query(None);
        let session = format!("{:032x}", fastrand::u128(..));
        Self::new(&root, &session, None, &access.for_strangers())
    }

    /// For a server that a document names which was fetched from another origin: it gets what the user gave for its own
    /// origin, but no login of its host, and learns neither the user's name nor the session's.
    pub fn named_by_document(url: &Url, access: &Access) -> Result<Self, Error> {
        let session = format!("{:032x}", fastrand::u128(..));
        let origin = Self::new(url, &session, None, &access.for_named())?;
        Ok(Self {
            is_named: true,
            ..origin
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
        let proof = if self.is_named {
            Proof::new(&self.url, &access.for_named())?
        } else {
            Proof::new(&self.url, access)?
        };
        *self.proof.write().unwrap_or_else(PoisonError::into_inner) = proof;
        self.asked().challenge = None;
        Ok(())
    }

    pub(super) fn proof(&self) -> RwLockReadGuard<'_, Proof> {
        self.proof.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes TLS connections to it; `None` for plain HTTP.
    pub fn connector(&self) -> Option<Connector> {
        self.proof().connector.clone()
    }

    /// Whether requests to it carry a login.
    pub fn has_credentials(&self) -> bool {
        let own = || self.own.iter().any(|(name, _)| is_authorization(name));
        self.proof().authorization.is_some() || own()
    }

    pub(super) fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it has asked for a proof.
    pub fn round(&self) -> u32 {
        self.asked().round
    }

    /// Takes the head of an answer to a request that was sent in this `round`: whether it only asks for a proof, with which the
    /// request may be sent again. A login that was proved and refused is wrong, and so is one whose every proof is stale.
    pub fn is_challenged(&self, head: &ResponseHead, round: u32) -> bool {
        if self.proof().login.is_none() {
            return false;
        }
        if head.status != 401 {
            self.asked().stale = 0;
            return false;
        }
        let Some(challenge) = Challenge::strongest(&head.challenges) else {
            return false;
        };
        let mut asked = self.asked();
        if round < asked.round {
            return true;
        }
        let is_news = match &asked.challenge {
            None => true,
            Some(before) => challenge.stale && !challenge.is_same(before),
        };
        if !is_news {
            return false;
        }
        asked.stale = match asked.challenge {
            Some(_) => asked.stale + 1,
            None => 0,
        };
        let challenge = Some(challenge);
        (asked.challenge, asked.round, asked.count) = (challenge, round + 1, 0);
        if asked.stale > STALE_MAX {
            // Whatever is asked for after this has its own tries.
            asked.stale = 0;
            return false;
        }
        true
    }

    /// Takes the cookies that a redirect sets: it will ask for them.
    pub fn keep_cookies(&self, fields: &[String]) {
        let secure = self.url.scheme() == "https";
        let mut asked = self.asked();
        for field in fields {
            asked.cookies.set(field, secure);
        }
    }

    /// How to go on after its certificate changed.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// The URL of the directory that paths are relative to.
    pub fn base_url(&self) -> String {
        self.url_of(&RemotePath::root())
    }

    /// The URL of a path below the base, for people: without a query, which may hold a signature.
    pub fn url_of(&self, path: &RemotePath) -> String {
        let scheme = self.url.scheme();
        format!("{scheme}://{}{}", self.authority(), self.bare_target(path))
    }

    /// The request target of a path below the base. What the URL itself names is asked for with the URL's query.
    pub fn target(&self, path: &RemotePath) -> String {
        let mut target = self.bare_target(path);
        if let Some(query) = self.query(path) {
            target.push('?');
            target.push_str(query);
        }
        target
    }

    /// The URL's query, where a path is what the URL names.
    pub fn query(&self, path: &RemotePath) -> Option<&str> {
        let is_it = match &self.named {
            Some(named) => path == named,
            None => path.is_root(),
        };
        self.url.query().filter(|_| is_it)
    }

    fn bare_target(&self, path: &RemotePath) -> String {
        let mut target = self.base.clone().into_dir().to_target();
        target.push_str(&path.encoded());
        target
    }

    /// The address that a directory below the base is listed at.
    pub fn list_url(&self, dir: &RemotePath) -> Url {
        let mut url = self.url.clone();
        url.set_path(&self.bare_target(dir));
        url.set_query(self.query(dir));
        url
    }
}

/// A URL or target for people: without login, query and fragment, which may hold what nobody should read.
pub fn shown(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (plain, rest) = url.split_at(end);
    let (scheme, place) = plain.split_once("//").unwrap_or(("", plain));
    let host = place.find('/').unwrap_or(place.len());
    let place = place[..host]
        .rfind('@')
        .filter(|_| plain.contains("//"))
        .map_or(place, |at| &place[at + 1..]);
    let slashes = if plain.contains("//") { "//" } else { "" };
    let more = if rest.is_empty() { "" } else { "?..." };
    format!(
        "{}{more}",
        crate::escape::display_name(&format!("{scheme}{slashes}{place}"))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        let url = Url::parse(url).unwrap();
        Origin::new(&url, "s", Some("a:b c"), &Access::default()).unwrap()
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
    fn a_proof_that_is_always_stale_is_a_refused_one() {
        let url = Url::parse("http://h/").unwrap();
        let access = Access::default();
        access.present(&url, Credentials::login("ada", "x").unwrap());
        let origin = Origin::new(&url, "s", None, &access).unwrap();
        let mut nonces = 0..;
        let mut again = || {
            let nonce = nonces.next().unwrap_or_default();
            let head = ResponseHead {
                status: 401,
                challenges: vec![format!("Digest realm=x, nonce=n{nonce}, stale=true")],
                ..ResponseHead::default()
            };
            origin.is_challenged(&head, origin.round())
        };
        let tries = 1 + STALE_MAX as usize;
        assert_eq!((0..20).take_while(|_| again()).count(), tries);
        // An answer begins the count again.
        assert!(again());
        let answer = ResponseHead {
            status: 200,
            ..ResponseHead::default()
        };
        assert!(!origin.is_challenged(&answer, origin.round()));
        assert_eq!((0..20).take_while(|_| again()).count(), tries - 1);
    }

    #[test]
    fn messages_tell_no_secret_of_a_url() {
        for (url, text) in [
            (
                "https://TOKEN@h:1/a/b?X-Signature=abc#x",
                "https://h:1/a/b?...",
            ),
            ("//u:p@h/x", "//h/x"),
            ("/a@b/c?d=e", "/a@b/c?..."),
            ("http://h/a@b", "http://h/a@b"),
            ("x", "x"),
        ] {
            assert_eq!(shown(url), text);
        }
        let signed = origin("http://h:1/a/f.bin?sig=1");
        let file = signed.named().unwrap().clone();
        assert_eq!(signed.target(&file), "/a/f.bin?sig=1");
        assert_eq!(signed.target(&RemotePath::root()), "/a/");
        assert_eq!(signed.url_of(&file), "http://h:1/a/f.bin");
        assert_eq!(
            origin("http://h/b/?list-type=2").target(&RemotePath::root()),
            "/b/?list-type=2"
        );
    }
}
