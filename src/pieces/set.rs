//! Sets of pieces: which are done (a bit each), and which are free (few ranges).

use std::{collections::BTreeMap, ops::Range};

/// A set of piece indices, one bit each.
#[derive(Debug, Clone, Default)]
pub struct PieceSet {
    words: Vec<u64>,
    count: u32,
}

impl PieceSet {
    /// An empty set for indices below `pieces`.
    pub fn new(pieces: u32) -> Self {
        Self {
            words: vec![0; pieces.div_ceil(64) as usize],
            count: 0,
        }
    }

    /// Adds `index`; false when it was in already.
    pub fn insert(&mut self, index: u32) -> bool {
        let word = &mut self.words[index as usize / 64];
        let bit = 1 << (index % 64);
        let new = *word & bit == 0;
        *word |= bit;
        self.count += u32::from(new);
        new
    }

    /// Removes `index`; false when it was not in.
    pub fn remove(&mut self, index: u32) -> bool {
        let word = &mut self.words[index as usize / 64];
        let bit = 1 << (index % 64);
        let was = *word & bit != 0;
        *word &= !bit;
        self.count -= u32::from(was);
        was
    }

    /// Whether `index` is in.
    pub fn contains(&self, index: u32) -> bool {
        self.words[index as usize / 64] & (1 << (index % 64)) != 0
    }

    /// How many are in.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// What is in, as ranges in order.
    pub fn ranges(&self) -> Vec<Range<u32>> {
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for index in (0..self.words.len() as u32 * 64).filter(|index| self.contains(*index)) {
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
pub struct Ranges(BTreeMap<u32, u32>);

impl Ranges {
    /// Adds `range`, joining it with its neighbours.
    pub fn insert(&mut self, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        let Range { mut start, mut end } = range;
        // The one that begins before us and reaches us, then all that begin within us or where we end.
        if let Some((&before, &its_end)) = self.0.range(..start).next_back()
            && its_end >= start
        {
            start = before;
            end = end.max(its_end);
        }
        while let Some((&next, &its_end)) = self.0.range(start..=end).next() {
            self.0.remove(&next);
            end = end.max(its_end);
        }
        self.0.insert(start, end);
    }

    /// Takes up to `max` indices from the front, as one range.
    pub fn take_front(&mut self, max: u32) -> Option<Range<u32>> {
        let (start, end) = self.0.pop_first()?;
        let cut = end.min(start.saturating_add(max));
        if cut < end {
            self.0.insert(cut, end);
        }
        Some(start..cut)
    }

    /// How many indices are in.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|(start, end)| end - start).sum()
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

    #[test]
    fn ranges_hold_what_a_plain_set_holds() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let (mut ranges, mut plain) = (Ranges::default(), std::collections::BTreeSet::new());
            for _ in 0..20 {
                let start = random.u32(..100);
                let end = start + random.u32(..20);
                ranges.insert(start..end);
                plain.extend(start..end);
                assert_eq!(ranges.count() as usize, plain.len());
            }
            let mut taken = Vec::new();
            while let Some(range) = ranges.take_front(random.u32(1..9)) {
                taken.extend(range);
            }
            assert!(taken.into_iter().eq(plain));
        }
    }
}
