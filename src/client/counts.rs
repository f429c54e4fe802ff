//! What monitoring asks for besides a screen's snapshot.

use super::{Event, Verified};
use crate::progress::Counter;

/// What is counted; see [`Client::counts`](super::Client::counts).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files that ended: `verified`, `present`, `unread` (here already, by size and date),
    /// `unverified` and `failed` (a directory that cannot be listed among them).
    pub results: Vec<(&'static str, u64)>,
    /// Attempts that failed and were followed by another.
    pub retries: u64,
    /// Pieces of large files that came whole, bad ones among them.
    pub pieces_received: u64,
    /// Pieces that differ from what the server tells of them.
    pub pieces_bad: u64,
}

/// Counts what is told.
#[derive(Debug, Default)]
pub(super) struct Told {
    verified: Counter,
    present: Counter,
    unread: Counter,
    unverified: Counter,
    failed: Counter,
    retries: Counter,
}

impl Told {
    /// Counts an event.
    pub(super) fn note(&self, event: &Event) {
        let counter = match event {
            Event::Finished { verified, .. } => match verified {
                Verified::Blake3 | Verified::Digest | Verified::Listed(_) => &self.verified,
                Verified::Present => &self.present,
                Verified::Unread => &self.unread,
                Verified::Unverified => &self.unverified,
            },
            Event::Failed { .. } => &self.failed,
            Event::Retrying { .. } => &self.retries,
            Event::Started { .. }
            | Event::Signed { .. }
            | Event::Would { .. }
            | Event::Ended { .. } => return,
        };
        counter.add(1);
    }

    /// The same with pieces: those received, and the bad ones.
    pub(super) fn counts(&self, (pieces_received, pieces_bad): (u64, u64)) -> Counts {
        Counts {
            results: vec![
                ("verified", self.verified.get()),
                ("present", self.present.get()),
                ("unread", self.unread.get()),
                ("unverified", self.unverified.get()),
                ("failed", self.failed.get()),
            ],
            retries: self.retries.get(),
            pieces_received,
            pieces_bad,
        }
    }
}
