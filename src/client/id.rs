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

/// Most sources of one client that the user names: all are counted in a word of bits.
pub const SOURCES_MAX: usize = 64;

/// Most sources at a time that redirects led to, of all files together.
pub const LED_MAX: usize = 64;

/// Names one of a client's sources: its place among those that the user named, or behind [`SOURCES_MAX`] among those
/// that redirects led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct SourceId(u8);

impl SourceId {
    /// The one at a place, below [`SOURCES_MAX`].
    pub fn at(place: usize) -> Self {
        Self(place as u8)
    }

    /// The one at a place, below [`LED_MAX`], among those that redirects led to.
    pub fn led(place: usize) -> Self {
        Self((SOURCES_MAX + place) as u8)
    }

    /// Its place among those that redirects led to; `None` for one that the user named.
    pub fn led_place(self) -> Option<usize> {
        self.place().checked_sub(SOURCES_MAX)
    }

    /// Whether a redirect led to it.
    pub fn is_led(self) -> bool {
        self.led_place().is_some()
    }

    /// Its place.
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// Some of a client's sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceSet(u128);

impl SourceSet {
    /// All that redirects may lead to.
    pub const LED: Self = Self(u128::MAX << SOURCES_MAX);

    /// One alone.
    pub fn of(source: SourceId) -> Self {
        Self(1 << source.0)
    }

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

    /// Those in both.
    pub fn both(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Those in either.
    pub fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// The one that the user named first; those that redirects led to come last.
    pub fn first(self) -> Option<SourceId> {
        (self.0 != 0).then(|| SourceId(self.0.trailing_zeros() as u8))
    }

    /// The first `count` of those that the user named.
    pub fn all(count: usize) -> Self {
        (0..count).map(SourceId::at).collect()
    }

    /// How many they are.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order in which the user named them.
    pub fn iter(self) -> impl Iterator<Item = SourceId> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let source = Self(left).first()?;
            left &= left - 1;
            Some(source)
        })
    }
}

impl FromIterator<SourceId> for SourceSet {
    fn from_iter<I: IntoIterator<Item = SourceId>>(sources: I) -> Self {
        let mut set = Self::default();
        sources.into_iter().for_each(|source| set.insert(source));
        set
    }
}
