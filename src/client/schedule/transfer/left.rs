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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{
        super::tests::{open, task, tell, transfer, values, with_etag, with_values},
        *,
    };
    use crate::{client::schedule::Opened, pieces::PIECE};

    const SIZE: u64 = 3 * PIECE + 5;

    /// A file of which all may lie here; `from_old` where it replaces another.
    fn left(from_old: bool, compares: bool) -> Transfer {
        let opened = Opened {
            facts: with_values(SIZE),
            left: SIZE,
            from_old,
            compares,
            ..Opened::default()
        };
        let mut transfer = open(task(), opened);
        assert!(transfer.start(0, Instant::now()).is_none());
        assert!(!transfer.plan.has_free());
        transfer
    }

    /// The pieces that are free.
    fn free(transfer: &Transfer) -> Vec<u32> {
        let all = 0..pieces::count(SIZE);
        all.filter(|piece| transfer.plan.is_given(*piece)).collect()
    }

    #[test]
    fn only_whole_pieces_may_be_left_but_for_the_last() {
        for (left, pieces) in [
            (0, 0),
            (PIECE - 1, 0),
            (PIECE, 1),
            (2 * PIECE + 7, 2),
            (SIZE - 1, 3),
            (SIZE, 4),
        ] {
            let opened = Opened {
                facts: with_values(SIZE),
                left,
                ..Opened::default()
            };
            let transfer = open(task(), opened);
            assert_eq!(
                (transfer.left_pieces(), transfer.has_left()),
                (pieces, left > 0)
            );
        }
    }

    #[test]
    fn what_differs_is_fetched_and_what_is_equal_is_not() {
        let values = values(4);
        let mut transfer = left(false, false);
        assert!(!transfer.left_piece(0, Some(values[0]), 0));
        assert!(!transfer.left_piece(1, None, 0));
        assert!(!transfer.left_piece(2, Some([9; 32]), 0));
        assert_eq!(free(&transfer), [1]);
        tell(&mut transfer, &values);
        assert_eq!(
            (transfer.plan.done(), free(&transfer)),
            (vec![0..1], vec![1, 2])
        );
        assert!(!transfer.left_piece(3, Some(values[3]), 0));
        assert_eq!(
            (transfer.plan.done(), free(&transfer)),
            (vec![0..1, 3..4], vec![1, 2])
        );
        assert!(!transfer.is_searched() && !transfer.begin_search());
    }

    #[test]
    fn a_compared_file_that_differs_is_told_at_once_and_nothing_of_it_is_fetched() {
        let values = values(4);
        let mut hole = left(false, true);
        assert!(hole.left_piece(0, None, 0));
        assert_eq!(free(&hole), [0; 0]);
        let mut transfer = left(false, true);
        transfer.verdict.values = Values::Asked;
        assert!(!transfer.left_piece(0, Some(values[0]), 0));
        assert_eq!(transfer.value_told(values[0], 0), Ok(false));
        assert_eq!(transfer.value_told(values[1], 1), Ok(false));
        assert!(transfer.left_piece(1, Some([9; 32]), 0));
        assert!(!transfer.left_piece(2, Some([9; 32]), 0));
        assert_eq!(transfer.value_told(values[2], 2), Ok(true));
        assert_eq!(
            (transfer.plan.done(), free(&transfer)),
            (vec![0..1], vec![])
        );
    }

    #[test]
    fn what_the_replaced_file_gives_is_counted_without_what_was_fetched() {
        let values = values(4);
        let mut from_old = left(true, false);
        let mut own = left(false, false);
        for transfer in [&mut from_old, &mut own] {
            tell(transfer, &values);
            transfer.left_piece(0, Some(values[0]), 100);
            transfer.left_piece(1, Some([9; 32]), 0);
            transfer.left_piece(3, Some(values[3]), 0);
        }
        assert_eq!(from_old.kept(), PIECE - 100 + 5);
        assert_eq!(own.kept(), 0);
    }

    #[test]
    fn what_differs_is_looked_for_once_all_is_known() {
        let values = values(4);
        for hashed_first in [true, false] {
            let mut transfer = left(true, false);
            transfer.left_piece(0, Some(values[0]), 0);
            transfer.left_piece(1, Some([9; 32]), 0);
            transfer.left_piece(2, None, 0);
            transfer.left_piece(3, None, 0);
            assert!(!transfer.is_judged() && !transfer.begin_search());
            if hashed_first {
                transfer.left_done();
            } else {
                tell(&mut transfer, &values);
            }
            assert!(!transfer.is_judged() && !transfer.begin_search());
            assert!(!transfer.is_searched() && transfer.sought().is_none());
            if hashed_first {
                tell(&mut transfer, &values);
            } else {
                transfer.left_done();
            }
            assert!(transfer.is_judged());
            assert!(transfer.begin_search() && transfer.is_searched());
            assert!(!transfer.begin_search(), "it is asked for once");
            assert_eq!(transfer.sought(), Some((vec![1, 2, 3], values.clone())));
            assert_eq!(free(&transfer), [0; 0]);
            // One is found, and of another nothing.
            transfer.left_piece(1, Some(values[1]), 0);
            transfer.not_sought(&[0, 2]);
            assert_eq!(transfer.sought(), Some((vec![3], values.clone())));
            assert_eq!(free(&transfer), [2]);
            // What differs again is among those that are looked for.
            transfer.left_piece(3, Some([9; 32]), 0);
            assert_eq!(free(&transfer), [2]);
            transfer.search_over();
            assert!(!transfer.is_searched() && transfer.sought().is_none());
            assert_eq!(free(&transfer), [2, 3]);
        }
    }

    #[test]
    fn a_search_that_never_began_frees_what_it_would_have_looked_for() {
        let mut transfer = left(true, false);
        transfer.left_piece(2, None, 0);
        assert_eq!(free(&transfer), [0; 0]);
        transfer.not_sought(&[2]);
        assert_eq!(free(&transfer), [0; 0]);
        transfer.search_over();
        assert_eq!(free(&transfer), [2]);
    }

    #[test]
    fn nothing_is_looked_for_where_nothing_differs() {
        let values = values(4);
        let mut transfer = left(true, false);
        for (piece, value) in (0..).zip(&values) {
            transfer.left_piece(piece, Some(*value), 0);
        }
        tell(&mut transfer, &values);
        transfer.left_done();
        assert!(!transfer.begin_search() && !transfer.is_searched());
        assert_eq!(transfer.elsewhere, Elsewhere::Over);
        assert!(transfer.claim_landing().unwrap().is_some());
    }

    #[test]
    fn without_anything_left_there_is_nothing_to_judge() {
        assert!(transfer(with_etag(SIZE)).is_judged());
        assert!(!left(false, false).is_judged());
        let opened = Opened {
            facts: with_values(SIZE),
            from_old: true,
            ..Opened::default()
        };
        assert_eq!(open(task(), opened).elsewhere, Elsewhere::Over);
    }
}
