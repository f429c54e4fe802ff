//! Which entries of a directory are marked.

use crate::entry::Entry;

/// A mark for each entry, and what the marked come to. The entries are the caller's: the same ones at each call.
#[derive(Debug, Default)]
pub(super) struct Marks {
    on: Vec<bool>,
    count: usize,
    /// Of those whose size is known.
    bytes: u64,
    /// Those whose size is not.
    sizeless: usize,
}

impl Marks {
    /// No mark, for so many entries.
    pub fn none(entries: usize) -> Self {
        Self {
            on: vec![false; entries],
            ..Self::default()
        }
    }

    /// Whether this entry is marked.
    pub fn has(&self, at: usize) -> bool {
        self.on[at]
    }

    /// Marks an entry, or takes its mark away.
    pub fn set(&mut self, at: usize, entry: &Entry, on: bool) {
        if self.on[at] == on {
            return;
        }
        self.on[at] = on;
        let step = |n: usize| if on { n + 1 } else { n - 1 };
        self.count = step(self.count);
        match entry.size {
            Some(size) if on => self.bytes = self.bytes.saturating_add(size),
            Some(size) => self.bytes = self.bytes.saturating_sub(size),
            None => self.sizeless = step(self.sizeless),
        }
    }

    /// How many are marked.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the marked entries, and whether some of them have no known size.
    pub fn size(&self) -> (u64, bool) {
        (self.bytes, self.sizeless > 0)
    }

    /// The places of the marked entries: those of `order` in its order, the others last.
    pub fn places(&self, order: &[u32]) -> Vec<usize> {
        let mut left = self.on.clone();
        let ordered = order.iter().map(|&at| at as usize);
        let mut all: Vec<_> = ordered
            .filter(|&at| std::mem::take(&mut left[at]))
            .collect();
        all.extend((0..left.len()).filter(|&at| left[at]));
        all
    }
}
