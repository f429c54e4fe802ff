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
