//! Sets of pieces: which are done (a bit each), and which are free (few ranges).

use std::ops::Range;

use fixedbitset::FixedBitSet;
use rangemap::RangeSet;

/// A set of piece indices, one bit each. It counts when asked: nothing beside the bits could disagree with them.
#[derive(Debug, Clone, Default)]
pub struct PieceSet(FixedBitSet);

impl PieceSet {
    /// An empty set for indices below `pieces`.
    pub fn new(pieces: u32) -> Self {
        Self(FixedBitSet::with_capacity(pieces as usize))
    }

    /// Adds `index`, which is below what the set was made for; false when it was in already.
    pub fn insert(&mut self, index: u32) -> bool {
        !self.0.put(index as usize)
    }

    /// Removes `index`; false when it was not in.
    pub fn remove(&mut self, index: u32) -> bool {
        let was = self.contains(index);
        self.0.remove(index as usize);
        was
    }

    /// Whether `index` is in.
    pub fn contains(&self, index: u32) -> bool {
        self.0.contains(index as usize)
    }

    /// How many are in.
    pub fn count(&self) -> u32 {
        self.0.count_ones(..) as u32
    }

    /// How many the set was made for.
    pub fn size(&self) -> u32 {
        self.0.len() as u32
    }

    /// Whether all are in that the set was made for.
    pub fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// What is in, as ranges in order.
    pub fn ranges(&self) -> Vec<Range<u32>> {
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for index in self.0.ones().map(|index| index as u32) {
            match ranges.last_mut() {
                Some(last) if last.end == index => last.end += 1,
                _ => ranges.push(index..index + 1),
            }
        }
        ranges
    }
}

/// A set of piece indices as ranges that neither touch nor overlap: cheap where few and long.
#[derive(Debug, Clone, Default)]
pub struct Ranges(RangeSet<u32>);

impl Ranges {
    /// Adds `range`, joining it with its neighbours.
    pub fn insert(&mut self, range: Range<u32>) {
        if !range.is_empty() {
            self.0.insert(range);
        }
    }

    /// Takes up to `max` indices from the front, as one range.
    pub fn take_front(&mut self, max: u32) -> Option<Range<u32>> {
        let first = self.0.first()?;
        let taken = first.start..first.end.min(first.start.saturating_add(max));
        if !taken.is_empty() {
            self.0.remove(taken.clone());
        }
        Some(taken)
    }

    /// Whether an index is in.
    #[cfg(test)]
    pub fn contains(&self, index: u32) -> bool {
        self.0.contains(&index)
    }

    /// How many indices are in.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether none is in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_counts_what_is_in() {
        let mut set = PieceSet::new(130);
        assert!(set.insert(0) && set.insert(64) && set.insert(129));
        assert!(!set.insert(64));
        assert_eq!(set.count(), 3);
        assert!(set.contains(129) && !set.contains(1));
        set.insert(1);
        assert_eq!(set.ranges(), [0..2, 64..65, 129..130]);
        set.remove(1);
        assert!(set.remove(64) && !set.remove(64));
        assert_eq!(set.count(), 2);
        assert!(!set.is_full() && !set.contains(130));
        (0..130).for_each(|index| _ = set.insert(index));
        assert!(set.is_full());
        assert_eq!(set.ranges(), vec![0..130]);
    }

    #[test]
    fn ranges_join_and_are_taken_in_order() {
        let mut ranges = Ranges::default();
        for range in [10..12, 0..2, 2..4, 13..14, 12..13, 3..5, 7..7] {
            ranges.insert(range);
        }
        assert_eq!(ranges.count(), 9);
        assert_eq!(ranges.take_front(3), Some(0..3));
        assert_eq!(ranges.take_front(3), Some(3..5));
        assert_eq!(ranges.take_front(9), Some(10..14));
        assert_eq!(ranges.take_front(1), None);
    }
}
