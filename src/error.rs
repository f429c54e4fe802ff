//! The program's own error: what failed, why, what to do about it, and the exit status it ends with.
//!
//! Each part of the engine has its own `thiserror` enum; all of them answer [`Exit`], and `main` prints
//! their one line. Nothing here ever prints a backtrace.

use std::process::ExitCode;

/// Target of log lines whose content stderr gets in words of its own: the stderr log leaves them out.
pub const REPORTED: &str = "haul::reported";

/// Exit statuses, as the README's table gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done.
    Done = 0,
    /// Another failure, or failures of several kinds.
    Other = 1,
    /// The command line or a configuration file is wrong.
    Usage = 2,
    /// Not found, or refused by the server (4xx but 401).
    Remote = 3,
    /// The network: no connection, reset, timed out.
    Network = 4,
    /// TLS or authentication (401).
    Access = 5,
    /// Bytes that do not match their digest.
    Integrity = 6,
    /// The local disk: full, unwritable, missing.
    Disk = 7,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM or SIGHUP.
    Terminated = 143,
}

impl Exit {
    /// The status of a whole run: the same as each failure's where they agree, else [`Exit::Other`].
    pub fn of_all(each: impl IntoIterator<Item = Self>) -> Self {
        let mut each = each.into_iter().filter(|exit| *exit != Self::Done);
        let Some(first) = each.next() else {
            return Self::Done;
        };
        if each.all(|exit| exit == first) {
            first
        } else {
            Self::Other
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure that ends the program: one line for stderr and the status to exit with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A wrong command line or configuration file; the text names the place and what is allowed.
    #[error("{0}")]
    Usage(String),
    /// The server could not start or run.
    #[error(transparent)]
    Server(#[from] crate::server::Error),
    /// The client could not start, browse or download.
    #[error(transparent)]
    Client(#[from] crate::client::Error),
    /// A certificate, key or pin cannot be used.
    #[error(transparent)]
    Tls(#[from] crate::tls::Error),
    /// A measurement could not be made or read.
    #[error(transparent)]
    Eval(#[from] crate::eval::Error),
    /// Several downloads failed; each was reported when it did.
    #[error("{failed} of {total} failed: run the same command again to go on with what is missing")]
    Incomplete {
        /// How many did not arrive.
        failed: u64,
        /// How many were asked for.
        total: u64,
        /// The status that their causes amount to.
        exit: Exit,
    },
    /// A local file or the terminal could not be used.
    #[error("{what}: {}: {remedy}", reason(.source))]
    Local {
        /// The thing that was being done, with its path.
        what: String,
        /// The system's reason.
        source: std::io::Error,
        /// What the user can do.
        remedy: &'static str,
        /// [`Exit::Disk`] or [`Exit::Other`].
        exit: Exit,
    },
    /// Ended by a signal, after a clean stop. Prints nothing.
    #[error("stopped by a signal")]
    Signal(Exit),
}

impl Error {
    /// The status that the process exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Server(error) => error.exit(),
            Self::Client(error) => error.exit(),
            Self::Tls(error) => error.exit(),
            Self::Eval(error) => error.exit(),
            Self::Incomplete { exit, .. } | Self::Local { exit, .. } | Self::Signal(exit) => *exit,
        }
    }
}

/// The system's reason in plain words, without Rust's `(os error 2)`.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_exits_with_the_status_its_failures_share() {
        assert_eq!(Exit::of_all([]), Exit::Done);
        assert_eq!(Exit::of_all([Exit::Done, Exit::Disk]), Exit::Disk);
        assert_eq!(Exit::of_all([Exit::Disk, Exit::Disk]), Exit::Disk);
        assert_eq!(Exit::of_all([Exit::Disk, Exit::Network]), Exit::Other);
    }

    #[test]
    fn reasons_are_plain_words() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(reason(&error), "no such file or directory");
    }
}
