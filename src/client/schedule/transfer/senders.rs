//! Who sent which pieces of a file that the digests of a Metalink judge in the end.

use std::ops::Range;

use crate::client::id::{SourceId, SourceSet};

/// Who sent which pieces of a file, and who is doubted for it.
#[derive(Debug, Default)]
pub struct Senders {
    /// One for each piece; `None` where it lay here before.
    of: Vec<Option<SourceId>>,
    /// How many wrong pieces each may have sent.
    wrong: Vec<(SourceId, u32)>,
    /// Those that are asked for nothing while others may be.
    pub doubted: SourceSet,
}

impl Senders {
    /// Of a file of so many pieces; 0 where nobody judges them.
    pub fn new(pieces: u32) -> Self {
        Self {
            of: vec![None; pieces as usize],
            ..Self::default()
        }
    }

    /// Whether pieces are judged in the end.
    pub fn are_noted(&self) -> bool {
        !self.of.is_empty()
    }

    /// A piece came whole.
    pub fn note(&mut self, piece: u32, sender: SourceId) {
        if let Some(of) = self.of.get_mut(piece as usize) {
            *of = Some(sender);
        }
    }

    /// Each range of pieces holds something wrong. Those of `kept` that may have sent least of it are asked next: only one,
    /// where several sent a range together, since nobody knows then whose part of it is wrong.
    pub fn doubt(&mut self, ranges: &[Range<u32>], kept: SourceSet) {
        let mut shared = false;
        for range in ranges {
            let of = self.of.get(range.start as usize..range.end as usize);
            let some: SourceSet = of.into_iter().flatten().flatten().copied().collect();
            shared |= some.len() > 1;
            for sender in some.iter() {
                match self.wrong.iter_mut().find(|(known, _)| *known == sender) {
                    Some((_, times)) => *times += 1,
                    None => self.wrong.push((sender, 1)),
                }
            }
        }
        let times = |source: SourceId| {
            let known = self.wrong.iter().find(|(known, _)| *known == source);
            known.map_or(0, |(_, times)| *times)
        };
        let least = kept.iter().map(times).min().unwrap_or(0);
        let mut asked: SourceSet = kept
            .iter()
            .filter(|source| times(*source) == least)
            .collect();
        if shared && let Some(first) = asked.first() {
            asked = SourceSet::of(first);
        }
        self.doubted = kept.without(asked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::schedule::testing::set;

    /// Who sent each piece; `None` where it lay here before.
    fn senders(of: &[Option<usize>]) -> Senders {
        let mut senders = Senders::new(of.len() as u32);
        for (piece, sender) in (0..).zip(of) {
            if let Some(place) = sender {
                senders.note(piece, SourceId::at(*place));
            }
        }
        senders
    }

    #[test]
    fn nothing_is_noted_of_a_file_that_nobody_judges() {
        let mut senders = senders(&[]);
        assert!(!senders.are_noted());
        senders.note(0, SourceId::at(0));
        senders.doubt(&[0..1], set(&[0, 1]));
        assert!(!senders.are_noted() && senders.doubted.is_empty());
        assert!(Senders::new(1).are_noted());
    }

    #[test]
    fn those_who_may_have_sent_least_of_what_is_wrong_are_asked_next() {
        let mut senders = senders(&[Some(0), Some(0), Some(1), Some(2)]);
        senders.doubt(&[0..1, 1..2, 2..3], set(&[0, 1, 2]));
        assert_eq!(senders.doubted, set(&[0, 1]));
        senders.doubt(std::slice::from_ref(&(3..4)), set(&[0, 1, 2]));
        assert_eq!(senders.doubted, set(&[0]));
        senders.doubt(&[2..3, 3..4], set(&[0, 1, 2]));
        assert_eq!(senders.doubted, set(&[]));
        // Only those that are left are told apart: the others are asked for nothing anyway.
        senders.doubt(std::slice::from_ref(&(0..1)), set(&[0, 1]));
        assert_eq!(senders.doubted, set(&[0]));
    }

    #[test]
    fn only_one_is_asked_where_several_sent_something_wrong_together() {
        for (wrong, doubted) in [
            (vec![0..2], set(&[0, 1, 3])),
            (vec![0..2, 2..3], set(&[0, 1, 3])),
            (vec![2..3, 0..2], set(&[0, 1, 3])),
            (vec![0..2, 1..3], set(&[0, 1, 3])),
            (vec![2..3], set(&[0])),
        ] {
            let mut senders = senders(&[Some(0), Some(1), Some(0)]);
            senders.doubt(&wrong, set(&[0, 1, 2, 3]));
            assert_eq!(senders.doubted, doubted, "{wrong:?}");
        }
    }

    #[test]
    fn nobody_is_doubted_for_what_lay_here_before() {
        let mut senders = senders(&[None, Some(0)]);
        senders.doubt(std::slice::from_ref(&(0..1)), set(&[0, 1]));
        assert_eq!(senders.doubted, set(&[]));
        senders.doubt(std::slice::from_ref(&(0..2)), set(&[0, 1]));
        assert_eq!(senders.doubted, set(&[0]));
    }
}
