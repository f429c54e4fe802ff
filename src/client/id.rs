//! Names of what the schedule holds.

/// One of a client's connections: its place among them, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub usize);

/// A file that is under way: a transfer of several pieces, or a small file that is being landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// Someone who waits for a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrowseId(pub u64);

/// Entries of a directory that wait on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RestId(pub u64);

/// Most sources of one client: they are counted in a word of bits.
pub const SOURCES_MAX: usize = 64;

/// Names one of a client's sources: its place among those that the user named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
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

    /// Each of them, in the order in which the user named them.
    pub fn iter(self) -> impl Iterator<Item = SourceId> {
        (0..SOURCES_MAX)
            .map(SourceId::at)
            .filter(move |id| self.contains(*id))
    }
}

impl FromIterator<SourceId> for SourceSet {
    fn from_iter<I: IntoIterator<Item = SourceId>>(sources: I) -> Self {
        let mut set = Self::default();
        sources.into_iter().for_each(|source| set.insert(source));
        set
    }
}
