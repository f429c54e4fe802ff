//! Pieces that the digests of a Metalink prove wrong once all of a file is here, and who is asked for them then.

use std::ops::Range;

use super::Transfer;
use crate::client::{Error, id::SourceSet, proof::Gap, schedule::sources::Outlook};

impl Transfer {
    /// Sources that are not asked for it by who sees this: those of [`Self::off`], and those that are doubted while others may
    /// be asked.
    pub fn off_for(&self, outlook: &Outlook) -> SourceSet {
        let off = self.off();
        let all = off.union(self.senders.doubted);
        if outlook.kept.without(all).is_empty() {
            off
        } else {
            all
        }
    }

    /// All of it was here, and each of these ranges of pieces holds something wrong: they are free to be fetched again, unless
    /// that happened too often. `kept` are the sources that are left.
    pub fn mend(&mut self, wrong: &[Range<u32>], kept: SourceSet) -> Result<(), Error> {
        self.senders.doubt(wrong, kept.without(self.off()));
        let mut pieces: Vec<u32> = wrong.iter().cloned().flatten().collect();
        pieces.dedup();
        self.verdict
            .stop_landing(&mut self.plan, &Gap::Pieces(pieces))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{
        super::tests::{begin, judged_task, open, with_etag},
        *,
    };
    use crate::client::schedule::testing::set;
    use crate::{
        client::{id::SourceId, schedule::Opened},
        pieces::PIECE,
    };

    /// A file of two pieces that is complete, each from another source.
    fn complete() -> Transfer {
        let size = 2 * PIECE;
        let opened = Opened {
            facts: with_etag(size),
            ..Opened::default()
        };
        let mut transfer = open(judged_task(size), opened);
        let (run, _) = begin(&mut transfer, 2);
        for piece in 0..2 {
            let sender = (run, SourceId::at(piece as usize));
            transfer
                .piece_received(sender, piece, None, Instant::now())
                .unwrap();
        }
        transfer.plan.release(run);
        transfer
    }

    #[test]
    fn who_sent_what_is_wrong_is_not_asked_while_others_may_be() {
        let mut transfer = complete();
        let outlook = |kept: &[usize]| Outlook {
            kept: set(kept),
            ..Outlook::default()
        };
        let off = transfer.off();
        assert_eq!(transfer.off_for(&outlook(&[0, 1])), off);
        transfer
            .mend(std::slice::from_ref(&(0..1)), set(&[0, 1]))
            .unwrap();
        assert_eq!(transfer.off_for(&outlook(&[0, 1])), off.union(set(&[0])));
        assert_eq!(transfer.off_for(&outlook(&[0])), off);
        transfer.excluded.insert(SourceId::at(1));
        assert_eq!(transfer.off_for(&outlook(&[0, 1])), transfer.off());
    }

    #[test]
    fn those_that_are_not_asked_anyway_are_nobodys_hope() {
        let mut transfer = complete();
        transfer.excluded.insert(SourceId::at(2));
        transfer.mend(&[0..1, 1..2], set(&[0, 1, 2])).unwrap();
        assert!(
            transfer.senders.doubted.is_empty(),
            "one sent as much as the other"
        );
    }

    #[test]
    fn what_is_wrong_is_fetched_again_but_not_for_ever() {
        let mut transfer = complete();
        assert!(transfer.is_complete());
        // Two digests reach into the same piece.
        assert_eq!(transfer.mend(&[1..2, 1..2], set(&[0, 1])), Ok(()));
        assert_eq!(transfer.plan.done(), [0..1]);
        let run = transfer.plan.take(9, 1, Instant::now()).unwrap();
        assert_eq!(run.pieces, 1..2);
        transfer.plan.finish_piece(run.id, 1, Instant::now());
        assert_eq!(
            transfer.mend(std::slice::from_ref(&(1..2)), set(&[0, 1])),
            Err(Error::Integrity { piece: Some(1) })
        );
    }
}
