//! Which bytes of a file were sent: a set of ranges that keeps itself merged.

use std::ops::Range;

/// A union of byte ranges, in order, none touching another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(Vec<Range<u64>>);

impl Spans {
    /// Adds a range; an empty one changes nothing.
    pub fn insert(&mut self, mut span: Range<u64>) {
        if span.is_empty() {
            return;
        }
        // Those that overlap or touch it are next to each other.
        let first = self.0.partition_point(|other| other.end < span.start);
        let last = self.0.partition_point(|other| other.start <= span.end);
        if let Some(touched) = self.0.get(first..last)
            && let (Some(low), Some(high)) = (touched.first(), touched.last())
        {
            span = span.start.min(low.start)..span.end.max(high.end);
        }
        self.0.splice(first..last, [span]);
    }

    /// Whether a range overlaps or touches one that is there: adding it makes none more.
    pub fn touches(&self, span: &Range<u64>) -> bool {
        let first = self.0.partition_point(|other| other.end < span.start);
        self.0
            .get(first)
            .is_some_and(|other| other.start <= span.end)
    }

    /// Bytes in all.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|span| span.end - span.start).sum()
    }

    /// How many separate ranges there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_union_is_what_was_inserted() {
        // Against a plain bitmap, with ranges from a fixed linear congruence.
        let mut seed = 1u64;
        let mut next = |limit: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % limit
        };
        for _ in 0..200 {
            let (mut spans, mut bits) = (Spans::default(), [false; 64]);
            for _ in 0..12 {
                let start = next(64);
                let end = start + next(65 - start);
                let (count, touches) = (spans.count(), spans.touches(&(start..end)));
                spans.insert(start..end);
                assert_eq!(touches || start == end, spans.count() <= count);
                bits[start as usize..end as usize].fill(true);
                assert_eq!(spans.len(), bits.iter().filter(|bit| **bit).count() as u64);
                assert!(spans.0.windows(2).all(|two| two[0].end < two[1].start));
            }
        }
    }

    #[test]
    fn neighbours_become_one() {
        let mut spans = Spans::default();
        for span in [0..2, 4..6, 2..4, 9..9] {
            spans.insert(span);
        }
        assert_eq!((spans.count(), spans.len()), (1, 6));
    }
}
