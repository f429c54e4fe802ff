//! What others see of the client: plain values that a screen samples.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::{
    escape::{display_error, display_name},
    forms,
    http1::path::RemotePath,
    sums,
    tls::Fingerprint,
    units,
    units::Rate,
};

/// Names an item of the queue for as long as the client runs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct ItemId(pub u64);

/// The client at one moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// The queue in its order, ended items included until they are cleared.
    pub items: Vec<ItemView>,
    /// Body bytes received since the start, also those that were thrown away.
    pub received: u64,
    /// What all connections together may take.
    pub limit: Option<Rate>,
    /// Open connections.
    pub connections: usize,
    /// Whether the server can be reached; where something waits for the answer to a question, the one that asks.
    pub link: Link,
    /// Which server asks for the login that `link` wants: host and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_at: Option<String>,
    /// Time of the last connection's handshake.
    pub rtt: Option<Duration>,
    /// The certificate that the server was believed for; `None` without TLS.
    pub certificate: Option<Fingerprint>,
    /// What the server calls itself, such as `haul/0.1.0`, raw.
    pub server: Option<String>,
    /// The servers that are asked: one, or several mirrors in the order in which they were named.
    pub sources: Vec<SourceView>,
}

/// One of the servers that hold the tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceView {
    /// The directory on it that paths are relative to.
    pub url: String,
    /// Body bytes received from it.
    pub received: u64,
    /// Why it is not asked any more.
    pub dropped: Option<String>,
}

/// Whether the server can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// No connection was tried yet, or the first is under way.
    #[default]
    Connecting,
    /// The last connection attempt worked.
    Up,
    /// The last attempt failed; the next is the `attempt`th, `after` from the failure.
    Retrying {
        /// Counted from 1.
        attempt: u32,
        /// Pause before it.
        after: Duration,
        /// Why the last one failed, for people.
        reason: String,
    },
    /// The server answers, but lets this client wait.
    Paused,
    /// The server refuses this client for a while.
    Kicked {
        /// Why, in the words of whoever did it, escaped; may be empty.
        reason: String,
        /// When it is asked again.
        #[serde(with = "forms::age")]
        until: Instant,
    },
    /// The server refuses this client until somebody there lifts that; the reason is for people.
    Banned(String),
    /// Nothing is asked of the server before the user has given a login, or judged its certificate.
    Asks(Question),
    /// All attempts failed.
    Down(String),
}

/// What a person has to answer before anything goes on. Its texts are for people, and escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// A login is wanted, or the one that was given is refused; why.
    Login(String),
    /// A certificate that nothing vouches for, or another than the one that is known.
    Certificate {
        /// Who showed it: `host:port`.
        host: String,
        /// Its SHA-256, as people compare it.
        seen: String,
        /// The one that was trusted before, where it was another.
        known: Option<String>,
    },
}

impl Question {
    /// What a person has to answer before `error` can pass.
    pub fn of(error: &Error) -> Option<Self> {
        let certificate = |host: &str, seen: &Fingerprint, known: Option<String>| {
            Some(Self::Certificate {
                host: display_name(host).into_owned(),
                seen: seen.to_string(),
                known,
            })
        };
        match error {
            Error::UntrustedCertificate {
                server,
                fingerprint,
                ..
            } => certificate(server, fingerprint, None),
            Error::CertificateChanged {
                server,
                known,
                found,
                ..
            } => certificate(server, found, Some(known.to_string())),
            Error::Login { .. } => Some(Self::Login(display_error(error))),
            _ => None,
        }
    }

    /// Which server wants the login that `error` asks for: host and port.
    pub fn login_at(error: &Error) -> Option<String> {
        match error {
            Error::Login { at, .. } => Some(at.clone()),
            _ => None,
        }
    }

    /// The same in few words.
    pub fn brief(&self) -> &'static str {
        match self {
            Self::Login(_) => "the server wants a login",
            Self::Certificate { .. } => "the server's certificate is not trusted",
        }
    }
}

impl Link {
    /// What everything waits for while the server lets nothing through, for people.
    pub fn waits_for(&self, now: Instant) -> Option<String> {
        match self {
            Self::Paused => Some(Error::Paused.to_string()),
            Self::Kicked { reason, until } => {
                let left = units::seconds_left(*until, now);
                let because = if reason.is_empty() { "" } else { ": " };
                Some(format!("kicked, back in {left} s{because}{reason}"))
            }
            Self::Asks(question) => Some(question.brief().into()),
            _ => None,
        }
    }

    /// Whether the server cannot be reached now, or lets this client in no more.
    pub fn is_lost(&self) -> bool {
        matches!(
            self,
            Self::Retrying { .. } | Self::Down(_) | Self::Banned(_)
        )
    }
}

/// One thing that was asked for: a file, or a tree of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ItemView {
    /// Stable while the client runs.
    pub id: ItemId,
    /// The file or directory, below the base URL.
    pub path: RemotePath,
    /// What it is called where that is not its path: the patterns that it was asked for by, raw.
    pub label: Option<String>,
    /// For a tree: how many of its files are complete and how many were found; `None` for one file.
    pub files: Option<FilesView>,
    /// Bytes here that count as received (verified ones, where the server offers pieces); never above `total`.
    pub done: u64,
    /// Bytes in all, as far as they are known; for a tree the sum of what was found so far.
    pub total: Option<u64>,
    /// Connections that work on it now.
    pub connections: usize,
    /// How it stands.
    pub state: ItemState,
    /// What its connections together may take.
    pub limit: Option<Rate>,
    /// Whether it gets connections before all others.
    pub first: bool,
    /// Where the last redirect of it, or of one of its files, led: an address without what may be secret.
    pub led: Option<String>,
    /// Of a tree: the files that are on their way now, at most [`UNDER_WAY_MAX`], large ones first.
    pub under_way: Vec<FileView>,
}

impl ItemView {
    /// Bytes in all, once that is final: a tree's are only when all of it is listed.
    pub fn final_total(&self) -> Option<u64> {
        let listed = self.files.is_none_or(|files| files.listed);
        self.total.filter(|_| listed)
    }

    /// Whether it ended early and a retry goes on with what is here of it.
    pub fn is_kept(&self) -> bool {
        matches!(self.state, ItemState::Failed(_) | ItemState::Cancelled) && self.done > 0
    }
}

/// Files of a tree that are shown on their way at once.
pub const UNDER_WAY_MAX: usize = 32;

/// One of a tree's files, on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileView {
    /// Below the base URL.
    pub path: RemotePath,
    /// Bytes here, see [`ItemView::done`].
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
    /// Connections that work on it now.
    pub connections: usize,
}

/// A tree's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesView {
    /// Complete under their final names (or equal and already there).
    pub done: u64,
    /// Failed for good.
    pub failed: u64,
    /// Of those that are complete, the ones that were here already and were not read.
    #[serde(default)]
    pub unread: u64,
    /// Found by listing so far.
    pub found: u64,
    /// Whether listing has ended, so that `found` and the item's `total` are final.
    pub listed: bool,
}

/// How an item stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemState {
    /// Waits for its turn.
    Queued,
    /// Bytes flow, or are about to.
    Active,
    /// Stopped by the user; what is here is kept.
    Paused,
    /// A failure is waited out; the text says which.
    Waiting(String),
    /// Every byte is here: hash, sync and rename are under way.
    Landing,
    /// Complete under its final name.
    Finished(Verified),
    /// Failed for good: the reason, for people.
    Failed(String),
    /// Cancelled by the user.
    Cancelled,
}

impl ItemState {
    /// Whether nothing more will happen to it by itself.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Finished(_) | Self::Failed(_) | Self::Cancelled)
    }
}

/// What a finished file's bytes were held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verified {
    /// BLAKE3, whole or by pieces.
    Blake3,
    /// A whole-file digest of another kind (`Repr-Digest`, `Digest`).
    Digest,
    /// What a published list tells of it, by that list's name: `SHA256SUMS`, `.sha256`, `MD5SUMS, weak`.
    Listed(#[serde(deserialize_with = "list")] sums::Word),
    /// An equal file was here already.
    Present,
    /// A file was here already that counts as it, by its name, or by its size and date; its content was not looked at.
    Unread,
    /// Nothing: the server offers no digest.
    Unverified,
}

/// The name of a list, as another process tells it.
fn list<'de, D: serde::Deserializer<'de>>(from: D) -> Result<sums::Word, D::Error> {
    String::deserialize(from).map(|text| sums::word(&text))
}

impl Verified {
    /// What vouches for the files of a tree, one of which has this and another that: the weaker of the two. That some were here
    /// already says nothing of those that were fetched.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let was_here = |one| matches!(one, Self::Present | Self::Unread);
        match (was_here(self), was_here(other)) {
            (true, false) => other,
            (false, true) => self,
            _ => self.max(other),
        }
    }

    /// The word for logs and JSON: `blake3`, `digest`, `present`, `unread`, `unverified`, or the published list's name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Digest => "digest",
            Self::Listed(list) => list,
            Self::Present => "present",
            Self::Unread => "unread",
            Self::Unverified => "unverified",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verified::{self, Blake3, Present, Unread, Unverified};

    #[test]
    fn what_was_here_says_nothing_of_what_was_fetched() {
        for (files, all) in [
            (&[Present, Blake3][..], Blake3),
            (&[Blake3, Unread], Blake3),
            (&[Blake3, Present, Unverified], Unverified),
            (&[Present, Unread, Present], Unread),
            (&[Present], Present),
        ] {
            let with = files.iter().copied().reduce(Verified::with);
            assert_eq!(with, Some(all), "{files:?}");
        }
    }
}
