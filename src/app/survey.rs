//! Walks of whole trees on the server: sizes of directories, and names for a search. The engine walks, see
//! `Effect::Survey`; what it found comes in pieces, and is bounded.

use std::{collections::HashMap, sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};

use crate::{entry::Entry, http1::path::RemotePath, units};

/// What is walked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Tells it from others; the answers bear it.
    pub id: u64,
    /// The directories to walk, one after the other.
    pub roots: Vec<RemotePath>,
    /// Whether names are wanted; else only sums.
    pub names: bool,
}

/// What a walk tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum News {
    /// What is below a root, as far as it has been walked.
    Counted {
        /// The root.
        root: RemotePath,
        /// What was found.
        sum: Sum,
        /// Whether its walk is over.
        ended: bool,
    },
    /// A part of a directory, of at most a few thousand entries.
    Found(Arc<Chunk>),
    /// The walk is over.
    Ended(Extent),
}

/// Entries of one directory.
#[derive(Debug, Serialize, Deserialize)]
pub struct Chunk {
    /// The directory.
    pub dir: RemotePath,
    /// Its entries, or some of them.
    pub entries: Vec<Entry>,
}

/// What is below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sum {
    /// Bytes of the files whose size is told.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// Whether there may be more: it is being walked, was cut, or some of it could not be listed or has no size.
    pub more: bool,
}

/// How far a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Extent {
    /// Directories that were listed.
    pub dirs: u64,
    /// Entries that they held.
    pub entries: u64,
    /// Directories that could not be listed.
    pub failed: u64,
    /// Whether a bound was met, and the rest left out.
    pub cut: bool,
}

impl Extent {
    /// What is missing, for people; nothing where all was seen.
    pub fn lacks(&self) -> Option<String> {
        let failed = |n: u64| format!("{} directories could not be listed", units::count(n));
        match (self.cut, self.failed) {
            (false, 0) => None,
            (false, n) => Some(failed(n)),
            (true, 0) => Some("too many: the rest was left out".to_owned()),
            (true, n) => Some(format!("too many: the rest was left out; {}", failed(n))),
        }
    }
}

/// Sums of directories, and the walk that counts more of them.
#[derive(Debug, Default)]
pub struct Sums {
    pub(super) known: HashMap<RemotePath, Sum>,
    pub(super) counting: Option<Counting>,
}

/// A walk that counts.
#[derive(Debug)]
pub(super) struct Counting {
    pub(super) id: u64,
    pub(super) since: Option<Instant>,
    pub(super) roots: usize,
    pub(super) done: usize,
}

impl Sums {
    /// What is known to be below a directory.
    pub fn of(&self, dir: &RemotePath) -> Option<Sum> {
        self.known.get(dir).copied()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Of how many directories how many are counted, while that goes on, and since when.
    pub fn counting(&self) -> Option<(usize, usize, Option<Instant>)> {
        let counting = self.counting.as_ref()?;
        Some((counting.done, counting.roots, counting.since))
    }
}
