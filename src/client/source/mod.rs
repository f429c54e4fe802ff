//! The servers that a client fetches from: one, or several that hold the same tree (mirrors), and how each fares.
//!
//! Every connection belongs to one source. The first source that is in good standing *leads*: it is asked for listings,
//! for files at first, and for the values of their pieces; the others give pieces of the files that it named. A
//! mirror that cannot be reached rests a while, and is dropped once it has failed too often or sent wrong bytes. The
//! last one is never dropped: what becomes of its failures is the engine's to say.

mod server;
mod standing;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use server::{Held, Source};
pub use standing::{BAD_PIECES_MAX, Sources};

/// Most sources of one client: they are counted in a word of bits.
pub const SOURCES_MAX: usize = 64;

/// Names one of a client's sources: its place among those that the user named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceId(u8);

impl SourceId {
    /// The one at a place, below [`SOURCES_MAX`].
    pub fn at(place: usize) -> Self {
        Self(place as u8)
    }

    /// Its place.
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// Some of a client's sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceSet(u64);

impl SourceSet {
    /// Adds one.
    pub fn insert(&mut self, source: SourceId) {
        self.0 |= 1 << source.0;
    }

    /// Whether it is among them.
    pub fn contains(self, source: SourceId) -> bool {
        self.0 & 1 << source.0 != 0
    }

    /// Those of it that are not in `others`.
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Those in either.
    pub fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// The one that the user named first.
    pub fn first(self) -> Option<SourceId> {
        (self.0 != 0).then(|| SourceId(self.0.trailing_zeros() as u8))
    }

    /// The first `count` of those that the user named.
    pub fn all(count: usize) -> Self {
        (0..count).map(SourceId::at).collect()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<SourceId> for SourceSet {
    fn from_iter<I: IntoIterator<Item = SourceId>>(sources: I) -> Self {
        let mut set = Self::default();
        sources.into_iter().for_each(|source| set.insert(source));
        set
    }
}

/// Which sources a connection that asks for work sees: its own, and the others that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Its own.
    pub source: SourceId,
    /// Those that were not dropped and do not rest.
    pub usable: SourceSet,
    /// Those that were not dropped.
    pub kept: SourceSet,
}

impl Outlook {
    /// Whose turn it is to be asked for what those in `tried` refused. `None` while only resting ones are left for it.
    pub fn lead(&self, tried: SourceSet) -> Option<SourceId> {
        if self.kept.without(tried).is_empty() {
            // All were tried: the first one's answer stands.
            return self.usable.first();
        }
        self.usable.without(tried).first()
    }

    /// Whether that is this connection's own.
    pub fn leads(&self, tried: SourceSet) -> bool {
        self.lead(tried) == Some(self.source)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
