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
