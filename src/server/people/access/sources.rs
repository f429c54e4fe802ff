//! Where logins come from, and the form of their files.

use std::path::Path;

use argon2::{Argon2, password_hash::PasswordHasher as _};

use crate::{
    credentials::{self, Credentials, Secret},
    exit::Exit,
    tls,
};

/// Why logins and tokens cannot be used. No error repeats a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file holds something else; the text names option, file and line.
    #[error("{0}")]
    Content(String),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] credentials::Error),
    /// There are no random bytes for the key under which they are remembered.
    #[error(transparent)]
    Key(#[from] tls::Error),
}

impl Error {
    /// The status that the process exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Content(_) => Exit::Usage,
            Self::Read(error) => error.exit(),
            Self::Key(error) => error.exit(),
        }
    }
}

/// Where logins come from.
#[derive(Debug, Default)]
pub struct Sources<'a> {
    /// `--auth`
    pub logins: &'a [Credentials],
    /// `--auth-file`: a line `USER:HASH` each.
    pub auth_file: Option<&'a Path>,
    /// `--token-file`: a token a line.
    pub token_file: Option<&'a Path>,
}

/// The lines of a file that say something, with their numbers: neither empty nor begun with `#`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate();
    let trimmed = numbered.map(|(index, line)| (index + 1, line.trim()));
    trimmed.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// The line of an `--auth-file` for a user: `USER:HASH`, with a salt of its own. Takes some 30 ms.
pub fn hashed_line(user: &str, password: &Secret) -> Result<String, String> {
    Credentials::login(user, password.expose())?;
    if user.starts_with('#') || user.starts_with(char::is_whitespace) {
        let why = "the user's name begins with `#` or a blank, which no file of logins keeps";
        return Err(why.to_owned());
    }
    let hash = Argon2::default()
        .hash_password(password.expose().as_bytes())
        .map_err(|error| format!("cannot hash the password: {error}"))?;
    Ok(format!("{user}:{hash}"))
}
