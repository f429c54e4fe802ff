//! Logins and tokens: what a client presents, and a type that keeps them out of logs and errors.

pub mod netrc;

use std::{fmt, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    escape::display_path,
    exit::{Exit, Local},
};

/// Longest login or token in bytes: it has to fit into a request's head with everything else.
const MAX: usize = 4096;

/// Why a file of logins or tokens is of no use. No error repeats a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It holds something else; the text names option, file and line.
    #[error("{0}")]
    Content(String),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] Local),
}

impl Error {
    /// The status that the process exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Content(_) => Exit::Usage,
            Self::Read(local) => local.exit,
        }
    }
}

/// A text that must not be shown: its `Debug` is `…`, it has no `Display`, there is one way to read it, and its memory is
/// overwritten when it is not needed any more.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Keeps a text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(SecretString::new(text.into()))
    }

    /// The text itself; whoever asks answers for where it goes.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The form of a secret for the user's own programs, over a socket that nobody else can open.
pub mod exposed {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Secret;

    /// Writes it, readable.
    pub fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

/// What proves who a client is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// A name and its password (RFC 7617).
    Login {
        /// The name; no colon is in it.
        user: String,
        /// Its password.
        #[serde(with = "exposed")]
        password: Secret,
    },
    /// A bearer token (RFC 6750).
    Token(#[serde(with = "exposed")] Secret),
}

impl Credentials {
    /// A login; both parts are checked (RFC 7617 §2: either may be empty).
    pub fn login(user: &str, password: &str) -> Result<Self, String> {
        let bad = |text: &str| text.chars().any(char::is_control);
        if user.contains(':') || bad(user) {
            return Err("the user's name has a `:` or a control character in it".into());
        }
        if bad(password) {
            return Err("the password has a control character in it".into());
        }
        // One of them may be: tokens are given as either.
        if user.is_empty() && password.is_empty() {
            return Err("the user's name and the password are empty".into());
        }
        if user.len() + password.len() > MAX {
            return Err(format!("a login is at most {MAX} bytes long"));
        }
        Ok(Self::Login {
            user: user.to_owned(),
            password: Secret::new(password),
        })
    }

    /// A login that a server of ours will ask for: an empty name or password is nothing that would have to be guessed.
    pub fn for_guarding(self) -> Result<Self, String> {
        match &self {
            Self::Login { user, password } if user.is_empty() || password.expose().is_empty() => {
                Err("the user's name or the password is empty".into())
            }
            _ => Ok(self),
        }
    }

    /// Reads `USER:PASS`. No error repeats any of it.
    pub fn parse_login(text: &str) -> Result<Self, String> {
        let (user, password) = text
            .split_once(':')
            .ok_or("it is no login: write USER:PASS")?;
        Self::login(user, password)
    }

    /// Reads a token: letters, digits and `-._~+/=` (RFC 6750 §2.1). No error repeats any of it.
    pub fn parse_token(text: &str) -> Result<Self, String> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        if text.is_empty() || text.len() > MAX || !text.bytes().all(fits) {
            return Err(format!(
                "a token is 1 to {MAX} letters, digits and -._~+/= without blanks"
            ));
        }
        Ok(Self::Token(Secret::new(text)))
    }

    /// The value of `Authorization`.
    pub fn authorization(&self) -> Secret {
        Secret::new(match self {
            Self::Login { user, password } => {
                let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
                format!("Basic {}", *Zeroizing::new(STANDARD.encode(&*pair)))
            }
            Self::Token(token) => format!("Bearer {}", token.expose()),
        })
    }

    /// The credentials in the first line of a file: `USER:PASS` where `parse` is [`Self::parse_login`].
    pub fn from_file(
        option: &str,
        path: &Path,
        parse: impl Fn(&str) -> Result<Self, String>,
    ) -> Result<Self, Error> {
        let text = read_file(option, path)?;
        let first = text.lines().next().unwrap_or_default();
        parse(first.trim_end_matches('\r'))
            .map_err(|error| Error::Content(format!("{option}: {}:1: {error}", path.display())))
    }
}

impl Credentials {
    /// The login in the first line of a file; `None` where that is for one server only.
    pub fn first_login(option: &str, path: &Path) -> Result<Option<Self>, Error> {
        let text = read_file(option, path)?;
        if is_for_one(&text) {
            return Ok(None);
        }
        Self::from_file(option, path, Self::parse_login).map(Some)
    }

    /// The logins for single servers in a file: lines of a URL and `USER:PASS`. The first line may be [`Self::first_login`]'s;
    /// empty ones and those that begin with `#` are left out.
    pub fn by_server(option: &str, path: &Path) -> Result<Vec<(Url, Self)>, Error> {
        let text = read_file(option, path)?;
        let lines = (1..).zip(text.lines()).filter(|(number, line)| {
            let says_nothing = line.trim().is_empty() || line.starts_with('#');
            is_for_one(line) || (*number > 1 && !says_nothing)
        });
        let read = |(number, line): (usize, &str)| {
            let (url, login) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let url = if is_for_one(line) {
                Url::parse(url).map_err(|error| format!("it begins with no URL: {error}"))
            } else {
                Err("it is for no server: write http(s)://HOST[:PORT]/ USER:PASS".into())
            };
            let login = url.and_then(|url| Ok((url, Self::parse_login(login.trim())?)));
            login.map_err(|why| {
                Error::Content(format!("{option}: {}:{number}: {why}", path.display()))
            })
        };
        lines.map(read).collect()
    }
}

/// Whether a line is for one server, which it begins with.
fn is_for_one(line: &str) -> bool {
    line.starts_with("http://") || line.starts_with("https://")
}

/// Reads a file of secrets, or says which option named it. What was read is overwritten in memory once it is dropped.
pub fn read_file(option: &str, path: &Path) -> Result<Zeroizing<String>, Error> {
    let read = std::fs::read_to_string(path).map_err(|source| Local {
        what: format!("{option}: cannot read {}", path.display()),
        source,
        remedy: "name a text file that you can read",
        exit: Exit::Disk,
    });
    let read = read.map_err(Error::Read);
    read.map(|text| {
        let text = Zeroizing::new(text);
        match text.strip_prefix('\u{feff}') {
            Some(rest) => Zeroizing::new(rest.to_owned()),
            None => text,
        }
    })
}

/// A text without the mark of its byte order, which some editors put before UTF-8.
pub fn without_bom(text: &[u8]) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
}

/// Warns where others on this machine can read a file of secrets; `what` is what it holds.
pub fn warn_if_readable(what: &str, path: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(file) = std::fs::metadata(path) else {
        return;
    };
    let who = match (file.mode() & 0o004, file.mode() & 0o040) {
        (0, 0) => return,
        (0, _) => "its group",
        _ => "everybody on this machine",
    };
    let path = display_path(path);
    tracing::warn!("{path} holds {what}, and {who} can read it: chmod 600 {path}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_read_and_written_as_the_protocol_says() {
        let login = Credentials::parse_login("Aladdin:open sesame").unwrap();
        assert_eq!(
            login.authorization().expose(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        let Credentials::Login { password, .. } = Credentials::parse_login("a:b:c").unwrap() else {
            panic!("no login");
        };
        assert_eq!(password.expose(), "b:c", "only the first colon divides");
        let token = Credentials::parse_token("mF_9.B5f-4.1JqM=").unwrap();
        assert_eq!(token.authorization().expose(), "Bearer mF_9.B5f-4.1JqM=");
    }

    #[test]
    fn nothing_shows_a_secret() {
        let shown = format!(
            "{:?} {:?} {:?}",
            Credentials::parse_login("ada:hunter2"),
            Credentials::parse_token("hunter2"),
            Credentials::parse_login("ada:hunter2")
                .unwrap()
                .authorization()
        );
        assert!(!shown.contains("hunter2") && shown.contains('…'), "{shown}");
        for wrong in ["hunter2", ":", "a:hunter2\n", "a\r:hunter2"] {
            let error = Credentials::parse_login(wrong).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        for wrong in ["hunter2 x", "", "hunter2\n", "hünter2"] {
            let error = Credentials::parse_token(wrong).unwrap_err();
            assert!(!error.contains("nter2"), "{error}");
        }
    }
}
