//! Exit statuses, the system's reasons in plain words, and how a line of the log is marked that people got in others.
//!
//! Each part of the engine has its own `thiserror` enum; all of them answer an [`Exit`].

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

/// Something on this machine that cannot be used: a file, a directory, the terminal, stdout.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {}: {remedy}", reason(.source))]
pub struct Local {
    /// The thing that was being done, with its path.
    pub what: String,
    /// The system's reason.
    pub source: std::io::Error,
    /// What the user can do.
    pub remedy: &'static str,
    /// [`Exit::Disk`] or [`Exit::Other`].
    pub exit: Exit,
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
