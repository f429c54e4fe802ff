//! Who may come in: logins and tokens, checked at a price that neither guessing nor range requests can raise.
//!
//! A password is checked against its argon2id hash, at most two at once. What was verified is remembered under a keyed
//! hash, so that later requests cost a lookup. What was not draws on the address's allowance, whether it turns out
//! right or wrong: so that many guesses at once are as slow as one after the other.

mod presented;
mod sources;
mod throttle;

use std::{
    collections::HashMap,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use argon2::{
    Argon2,
    password_hash::{PasswordVerifier as _, phc::PasswordHash},
};
use tokio::time::Instant;

use self::{
    presented::Presented,
    sources::lines,
    throttle::{Throttle, Turn},
};
use super::peers::Who;
use crate::{
    credentials::{self, Credentials, Secret},
    server::work::{self, Work},
    sync::lock,
    tls,
};

pub use sources::{Error, Sources, hashed_line};

/// When who found too many passwords waiting to be checked may try again.
pub const CROWDED: Duration = Duration::from_secs(5);
/// Verified logins that are remembered, each for one address; more are checked again.
const REMEMBERED: usize = 4096;
/// Longest `Authorization` that is looked at, in bytes.
const LONGEST: usize = 8192;

/// Who may come in; clones share what they remember.
#[derive(Debug, Clone, Default)]
pub struct Access(Option<Arc<Guard>>);

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproved {
    /// It brings no login: that is how a browser begins.
    Missing {
        /// Whether a token would do as well.
        tokens: bool,
    },
    /// It brings one that is wrong.
    Wrong {
        /// Whether a token would do as well.
        tokens: bool,
    },
    /// Its address has tried too often.
    TooMany {
        /// When another try makes sense.
        retry_after: Duration,
    },
    /// Too many are waiting to be checked.
    Crowded,
}

/// The logins, and what is known of those who try.
struct Guard {
    /// Hashes of what `--auth` and `--token-file` give, and whose they are.
    plain: Vec<(blake3::Hash, Arc<str>)>,
    /// What `--auth-file` gives.
    hashed: HashMap<Box<str>, PasswordHash>,
    tokens: bool,
    /// Only this process knows it: neither times nor memory tell a login by its hash.
    key: [u8; 32],
    remembered: Mutex<HashMap<blake3::Hash, Arc<str>>>,
    throttle: Throttle,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard { … }")
    }
}

impl Access {
    /// Reads the sources; with none, everyone may come in.
    pub fn new(sources: &Sources<'_>) -> Result<Self, Error> {
        if sources.logins.is_empty() && sources.auth_file.is_none() && sources.token_file.is_none()
        {
            return Ok(Self::default());
        }
        let mut key = [0; 32];
        tls::fill_random(&mut key)?;
        let mut guard = Guard {
            plain: Vec::new(),
            hashed: HashMap::new(),
            tokens: sources.token_file.is_some(),
            key,
            remembered: Mutex::default(),
            throttle: Throttle::default(),
        };
        for login in sources.logins {
            if let Credentials::Login { user, .. } = login {
                guard.add_plain(login, user);
            }
        }
        if let Some(path) = sources.auth_file {
            guard.read_hashes(path)?;
        }
        if let Some(path) = sources.token_file {
            guard.read_tokens(path)?;
        }
        Ok(Self(Some(Arc::new(guard))))
    }

    /// Whether everyone may come in.
    pub fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Whose request this is; `None` where everyone may come in. A wrong login waits for its turn here.
    pub async fn check(
        &self,
        authorization: Option<&[u8]>,
        address: IpAddr,
        work: &Work,
    ) -> Result<Option<Arc<str>>, Unproved> {
        match &self.0 {
            None => Ok(None),
            Some(guard) => {
                let checked = Guard::check(guard, authorization, address, work);
                checked.await.map(Some)
            }
        }
    }
}

/// The login's name; or the name of a user who exists and has another password.
type Verified = Result<Arc<str>, Option<String>>;

/// Too many passwords wait to be checked.
struct Crowded;

/// A login that is to be checked: who asks, and what it is remembered under.
struct Asked {
    who: Who,
    network: IpAddr,
    mark: blake3::Hash,
}

impl Guard {
    /// The keyed hash of a login, or of a token where there is no user. The length keeps any two pairs apart.
    fn hash_of(&self, user: Option<&str>, secret: &Secret) -> blake3::Hash {
        let length = user.map_or(u64::MAX, |user| user.len() as u64);
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&length.to_le_bytes());
        hasher.update(user.unwrap_or_default().as_bytes());
        hasher.update(secret.expose().as_bytes()).finalize()
    }

    fn add_plain(&mut self, credentials: &Credentials, whose: &str) {
        let hash = match credentials {
            Credentials::Login { user, password } => self.hash_of(Some(user), password),
            Credentials::Token(token) => self.hash_of(None, token),
        };
        self.plain.push((hash, whose.into()));
    }

    fn read_hashes(&mut self, path: &Path) -> Result<(), Error> {
        const OPTION: &str = "--auth-file";
        credentials::warn_if_readable("hashes of passwords", path);
        let text = credentials::read_file(OPTION, path)?;
        for (number, line) in lines(&text) {
            let wrong = |why: &str| {
                let place = format!("{OPTION}: {}:{number}", path.display());
                Err(Error::Content(format!(
                    "{place}: {why}: write USER:HASH as `haul passwd USER` prints it"
                )))
            };
            let Some((user, hash)) = line.split_once(':') else {
                return wrong("no `:`");
            };
            let Ok(hash) = PasswordHash::new(hash) else {
                return wrong("what follows the `:` is no argon2id hash");
            };
            if user.is_empty() || hash.algorithm.as_str() != "argon2id" || hash.hash.is_none() {
                return wrong("no argon2id hash with a user's name before it");
            }
            if self.hashed.insert(user.into(), hash).is_some() {
                return wrong("this user has a line already");
            }
        }
        if self.hashed.is_empty() {
            return Err(Error::Content(format!(
                "{OPTION}: {} holds no login: add one with `haul passwd USER >> FILE`",
                path.display()
            )));
        }
        Ok(())
    }

    fn read_tokens(&mut self, path: &Path) -> Result<(), Error> {
        const OPTION: &str = "--token-file";
        credentials::warn_if_readable("tokens", path);
        let text = credentials::read_file(OPTION, path)?;
        let before = self.plain.len();
        for (number, line) in lines(&text) {
            let token = Credentials::parse_token(line).map_err(|why| {
                Error::Content(format!("{OPTION}: {}:{number}: {why}", path.display()))
            })?;
            self.add_plain(&token, &format!("token {number}"));
        }
        if self.plain.len() == before {
            return Err(Error::Content(format!(
                "{OPTION}: {} holds no token: write one a line",
                path.display()
            )));
        }
        Ok(())
    }

    async fn check(
        guard: &Arc<Self>,
        authorization: Option<&[u8]>,
        address: IpAddr,
        work: &Work,
    ) -> Result<Arc<str>, Unproved> {
        let tokens = guard.tokens;
        let Some(field) = authorization else {
            return Err(Unproved::Missing { tokens });
        };
        let network = throttle::network(address);
        let mark = guard.mark(network, field);
        if let Some(login) = lock(&guard.remembered).get(&mark) {
            return Ok(Arc::clone(login));
        }
        let turn = guard.throttle.take(network, mark, Instant::now());
        let counts = match turn.map_err(|retry_after| Unproved::TooMany { retry_after })? {
            Turn::Wrong => return Err(Unproved::Wrong { tokens }),
            Turn::Try { wait, counts } => {
                tokio::time::sleep(wait).await;
                counts
            }
        };
        let presented = Presented::parse(field).filter(|_| field.len() <= LONGEST);
        let asked = Asked {
            who: Who::of(None, address),
            network,
            mark,
        };
        let verified = Self::verify(guard, presented, &asked, work).await;
        match verified.map_err(|Crowded| Unproved::Crowded)? {
            Ok(login) => {
                if counts {
                    guard.throttle.give_back(network, Instant::now());
                }
                guard.remember(mark, &login);
                Ok(login)
            }
            Err(user) => {
                guard.throttle.was_wrong(network, mark);
                if let Some(user) = user {
                    tracing::warn!(client = %address, "wrong password for {user}");
                } else {
                    // What was sent as a name may be a password in the wrong place.
                    tracing::warn!(client = %address, "wrong login: no such user or token");
                }
                Err(Unproved::Wrong { tokens })
            }
        }
    }

    /// For a user that there is not, the hash of one that there is, always the same: hashes differ in what they cost, and
    /// so do names that are nobody's, in the same way.
    fn decoy(&self, name: &str) -> Option<&PasswordHash> {
        let mut users: Vec<_> = self.hashed.iter().collect();
        users.sort_unstable_by_key(|(user, _)| *user);
        let mark = blake3::keyed_hash(&self.key, name.as_bytes());
        let number = u64::from_le_bytes(*mark.as_bytes().first_chunk()?);
        let at = number % u64::try_from(users.len()).ok().filter(|len| *len > 0)?;
        users.get(at as usize).map(|(_, hash)| *hash)
    }

    /// What a verified login is remembered under: one that was stolen elsewhere is as slow to try as a guess.
    fn mark(&self, network: IpAddr, field: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(network.to_string().as_bytes()).update(&[0]);
        hasher.update(field).finalize()
    }

    fn remember(&self, mark: blake3::Hash, login: &Arc<str>) {
        let mut remembered = lock(&self.remembered);
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(mark, Arc::clone(login));
    }

    /// Checks a login that is not known to be right.
    async fn verify(
        guard: &Arc<Self>,
        presented: Option<Presented>,
        asked: &Asked,
        work: &Work,
    ) -> Result<Verified, Crowded> {
        let &Asked { network, mark, .. } = asked;
        let (user, secret) = match &presented {
            None => return Ok(Err(None)),
            Some(Presented::Token(token)) => (None, token),
            Some(Presented::Login { user, password }) => (Some(&**user), password),
        };
        let hash = guard.hash_of(user, secret);
        // All of them, each in constant time: which one it is takes as long as that it is none.
        let plain = guard.plain.iter().fold(
            None,
            |found, (known, login)| {
                if *known == hash { Some(login) } else { found }
            },
        );
        if let Some(login) = plain {
            return Ok(Ok(Arc::clone(login)));
        }
        let Some(Presented::Login { user, password }) = presented else {
            return Ok(Err(None));
        };
        let known = guard.hashed.contains_key(&user)
            || guard.plain.iter().any(|(_, login)| **login == *user);
        let place = work.enter(work::Kind::Login, None, &asked.who);
        let place = place.map_err(|_| Crowded)?;
        let turn = place.turn().await.map_err(|_| Crowded)?;
        // Its other connections may have asked the same meanwhile.
        if let Some(login) = lock(&guard.remembered).get(&mark) {
            return Ok(Ok(Arc::clone(login)));
        }
        if guard.throttle.is_wrong(network, mark) {
            return Ok(Err(known.then(|| user.into())));
        }
        let shared = Arc::clone(guard);
        let name = user.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let real = shared.hashed.get(&name);
            let against = real.or_else(|| shared.decoy(&name))?;
            let verified = Argon2::default().verify_password(password.expose().as_bytes(), against);
            (verified.is_ok() && real.is_some()).then_some(())
        });
        Ok(match checked.await {
            Ok(Some(())) => Ok(user.into()),
            _ => Err(known.then(|| user.into())),
        })
    }
}

#[cfg(test)]
mod tests;
