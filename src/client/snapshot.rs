//! What others see of the client: plain values that a screen samples, and the events of a file's life.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use super::Error;
use crate::{
    escape::display_name, exit::REPORTED, http1::path::RemotePath, tls::Fingerprint, units,
    units::Rate,
};

/// Names an item of the queue for as long as the client runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ItemId(pub u64);

/// The client at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The queue in its order, ended items included until they are cleared.
    pub items: Vec<ItemView>,
    /// Body bytes received since the start, also those that were thrown away.
    pub received: u64,
    /// What all connections together may take.
    pub limit: Option<Rate>,
    /// Open connections.
    pub connections: usize,
    /// Whether the server can be reached.
    pub link: Link,
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
#[derive(Debug, Clone)]
pub struct SourceView {
    /// The directory on it that paths are relative to.
    pub url: String,
    /// Body bytes received from it.
    pub received: u64,
    /// Why it is not asked any more.
    pub dropped: Option<String>,
}

/// Whether the server can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
        until: Instant,
    },
    /// The server refuses this client until somebody there lifts that; the reason is for people.
    Banned(String),
    /// Nothing is asked of the server before the user has given a login, or judged its certificate.
    Asks(Error),
    /// All attempts failed.
    Down(String),
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
            Self::Asks(error) => error.question().map(Into::into),
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
#[derive(Debug, Clone)]
pub struct ItemView {
    /// Stable while the client runs.
    pub id: ItemId,
    /// The file or directory, below the base URL.
    pub path: RemotePath,
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilesView {
    /// Complete under their final names (or equal and already there).
    pub done: u64,
    /// Failed for good.
    pub failed: u64,
    /// Found by listing so far.
    pub found: u64,
    /// Whether listing has ended, so that `found` and the item's `total` are final.
    pub listed: bool,
}

/// How an item stands.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verified {
    /// BLAKE3, whole or by pieces.
    Blake3,
    /// A whole-file digest of another kind (`Repr-Digest`, `Digest`).
    Digest,
    /// An equal file was here already.
    Present,
    /// Nothing: the server offers no digest.
    Unverified,
}

impl Verified {
    /// The word for logs and JSON: `blake3`, `digest`, `present`, `unverified`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Digest => "digest",
            Self::Present => "present",
            Self::Unverified => "unverified",
        }
    }
}

/// Turning points of single files, for logs, headless lines and tests. Progress is sampled, never sent.
#[derive(Debug)]
pub enum Event {
    /// The first byte of a file is about to come.
    Started {
        /// The item it belongs to.
        item: ItemId,
        /// The file, below the base URL.
        path: RemotePath,
        /// Its size, if known.
        total: Option<u64>,
    },
    /// A file is complete under its final name.
    Finished {
        /// The item it belongs to.
        item: ItemId,
        /// The file, below the base URL.
        path: RemotePath,
        /// Where it is, below the target directory.
        local: PathBuf,
        /// Its size.
        bytes: u64,
        /// How its bytes were checked.
        verified: Verified,
        /// From its first request to its final name.
        took: Duration,
    },
    /// An attempt failed, and another will follow.
    Retrying {
        /// The item it belongs to.
        item: ItemId,
        /// The file or directory, below the base URL.
        path: RemotePath,
        /// The number of the next attempt, from 2.
        attempt: u32,
        /// Pause before it.
        after: Duration,
        /// Why.
        error: Error,
    },
    /// A file or directory failed for good.
    Failed {
        /// The item it belongs to.
        item: ItemId,
        /// The file or directory, below the base URL.
        path: RemotePath,
        /// Attempts made.
        attempts: u32,
        /// Why.
        error: Error,
    },
    /// An item ended: all that could be done for it was done.
    Ended {
        /// Which.
        item: ItemId,
    },
}

impl Event {
    /// Puts the turning point in the log; for whoever takes events, once each.
    pub fn log(&self) {
        let shown = |path: &RemotePath| {
            if path.is_root() {
                "/".to_owned()
            } else {
                display_name(path.as_bytes()).into_owned()
            }
        };
        match self {
            Self::Started { path, total, .. } => {
                let size = total.map_or_else(|| "size unknown".to_owned(), units::size);
                tracing::info!(path = %shown(path), "started, {size}");
            }
            Self::Finished {
                path,
                bytes,
                verified,
                took,
                ..
            } => {
                let checked = if *verified == Verified::Blake3 {
                    "blake3 verified"
                } else {
                    verified.word()
                };
                tracing::info!(
                    path = %shown(path),
                    file.bytes = bytes,
                    file.seconds = took.as_secs_f64(),
                    file.verified = verified.word(),
                    "{} in {}, {checked}",
                    units::size(*bytes),
                    units::took(*took)
                );
            }
            Self::Retrying {
                path,
                attempt,
                after,
                error,
                ..
            } => {
                tracing::warn!(path = %shown(path), "{error}: try {attempt} in {}", units::took(*after));
            }
            Self::Failed {
                path,
                attempts,
                error,
                ..
            } => {
                tracing::error!(target: REPORTED, path = %shown(path), attempts, "{error}");
            }
            Self::Ended { .. } => {}
        }
    }
}
