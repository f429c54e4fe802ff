//! What lay on disk before a transfer began: which of it is the server's.

use std::{collections::BTreeSet, ops::Range};

use super::Transfer;
use crate::{
    client::{
        Error,
        schedule::verdict::{Left, Values},
    },
    pieces::{self, Value},
};

/// Pieces that differ at their place, while they may stand elsewhere in the file that is replaced.
#[derive(Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// They are gathered until all are known.
    Waits(BTreeSet<u32>),
    /// They are looked for, here or in blocks, and nobody else fetches them.
    Sought(BTreeSet<u32>),
    /// Nothing is looked for, or no longer: what differs is fetched.
    Over,
}

impl Elsewhere {
    /// Whether there is a file to look in.
    pub fn new(looks: bool) -> Self {
        if looks {
            Self::Waits(BTreeSet::new())
        } else {
            Self::Over
        }
    }
}

impl Transfer {
    /// Whether what an earlier run left is to be hashed.
    pub fn has_left(&self) -> bool {
        self.left > 0
    }

    /// Whole pieces that an earlier run may have left.
    pub fn left_pieces(&self) -> u32 {
        if self.left == self.facts.size {
            pieces::count(self.facts.size)
        } else {
            (self.left / pieces::PIECE) as u32
        }
    }

    /// A piece that lay on disk was hashed, or was a hole: `None`. `fetched` bytes of it came from the server. True where a
    /// compared file differs.
    pub fn left_piece(&mut self, piece: u32, value: Option<Value>, fetched: u64) -> bool {
        let left = match value {
            Some(value) => self.verdict.left(&mut self.plan, piece, value),
            None => Left::Differs,
        };
        self.take_left(piece, left, fetched)
    }

    /// All that lay on disk was hashed.
    pub fn left_done(&mut self) {
        self.left_hashed = true;
    }

    /// The server's value of the next piece has come. True where a compared file differs.
    pub fn value_told(&mut self, value: Value, piece: u32) -> Result<bool, Error> {
        let left = self.verdict.told(&mut self.plan, value)?;
        Ok(self.take_left(piece, left, 0))
    }

    /// Bytes that were kept of the file that it replaces.
    pub fn kept(&self) -> u64 {
        self.kept.unwrap_or(0)
    }

    /// Frees pieces to be fetched, or to be looked for elsewhere before that.
    pub(super) fn free(&mut self, pieces: Range<u32>) {
        match &mut self.elsewhere {
            Elsewhere::Waits(differing) => differing.extend(pieces),
            // They are among those, and are free once nobody looks for them.
            Elsewhere::Sought(_) => {}
            Elsewhere::Over => self.plan.add_free(pieces),
        }
    }

    fn take_left(&mut self, piece: u32, left: Left, fetched: u64) -> bool {
        if let (Left::Equal, Some(kept)) = (left, &mut self.kept) {
            *kept += pieces::len(self.facts.size, piece).saturating_sub(fetched);
        }
        if left == Left::Differs && !self.compares {
            self.free(piece..piece + 1);
        }
        left == Left::Differs && self.compares
    }

    /// All is known of what differs: whether that is to be looked for elsewhere now. Asked for once.
    pub fn begin_search(&mut self) -> bool {
        let settled = self.left_hashed && self.verdict.values == Values::Settled;
        let Elsewhere::Waits(differing) = &mut self.elsewhere else {
            return false;
        };
        if !settled {
            return false;
        }
        let differing = std::mem::take(differing);
        let any = !differing.is_empty();
        self.elsewhere = if any {
            Elsewhere::Sought(differing)
        } else {
            Elsewhere::Over
        };
        any
    }

    /// Pieces that are looked for and were not found so far, and the values of all.
    pub fn sought(&self) -> Option<(Vec<u32>, Vec<Value>)> {
        let Elsewhere::Sought(pieces) = &self.elsewhere else {
            return None;
        };
        let open = pieces.iter().copied();
        let open = open.filter(|piece| !self.plan.is_done(*piece));
        Some((open.collect(), self.verdict.told_values().to_vec()))
    }

    /// These are not looked for any more: they are fetched.
    pub fn not_sought(&mut self, pieces: &[u32]) {
        if let Elsewhere::Sought(sought) = &mut self.elsewhere {
            for piece in pieces.iter().filter(|piece| sought.remove(piece)) {
                self.plan.add_free(*piece..piece + 1);
            }
        }
    }

    /// Nothing more is found: what differs is fetched.
    pub fn search_over(&mut self) {
        let before = std::mem::replace(&mut self.elsewhere, Elsewhere::Over);
        if let Elsewhere::Waits(pieces) | Elsewhere::Sought(pieces) = before {
            for piece in pieces {
                self.plan.add_free(piece..piece + 1);
            }
        }
    }

    /// Whether pieces are looked for now.
    pub fn is_searched(&self) -> bool {
        matches!(self.elsewhere, Elsewhere::Sought(_))
    }

    /// What is looked for is nobody's to fetch, and no more is kept than is here.
    #[cfg(test)]
    pub fn check_sought(&self) {
        if let Elsewhere::Waits(pieces) | Elsewhere::Sought(pieces) = &self.elsewhere {
            let given: Vec<_> = pieces
                .iter()
                .filter(|it| self.plan.is_given(**it))
                .collect();
            assert!(given.is_empty(), "{given:?} are looked for and given out");
        }
        assert!(
            self.kept() <= self.done_bytes(),
            "more is kept than is here"
        );
    }

    /// Whether it is known what of the bytes that lay on disk is right.
    pub fn is_judged(&self) -> bool {
        self.left == 0 || self.left_hashed && self.verdict.values == Values::Settled
    }
}
