//! What lies here before a file is fetched, and what is found of it elsewhere.

use std::{ops::Range, sync::Arc, time::Duration};

use super::{Happening, LEFT, World};
use crate::{
    client::{
        Error,
        id::FileId,
        schedule::{Opened, Phase, Transfer, Unlanded, sim::server::SimFile},
    },
    digest::Digest,
    http1::path::RemotePath,
    piece_digests::PieceDigests,
    pieces::{self, PIECE},
};

impl World {
    /// Whether something lies here of a file at its opening, and what.
    pub(super) fn lies_here(&mut self, file: &SimFile, opened: Opened) -> Opened {
        if self.seed < LEFT || self.rng.bool() {
            return opened;
        }
        let left = self.rng.choice([file.size, file.size / 2, PIECE]);
        Opened {
            left: left.unwrap_or(PIECE),
            from_old: self.rng.u32(..3) > 0,
            ..opened
        }
    }

    /// Digests of a file's pieces, where a Metalink tells them.
    pub(super) fn judges(&self, path: &RemotePath) -> Option<Arc<PieceDigests>> {
        let file = self.files.get(path)?;
        if self.seed < LEFT || file.size <= PIECE || !file.size.is_multiple_of(2) {
            return None;
        }
        let length = 3 * PIECE;
        let digest = Digest::Blake3(blake3::hash(b""));
        let digests = vec![digest; file.size.div_ceil(length) as usize];
        PieceDigests::new(file.size, length, digests).map(Arc::new)
    }

    /// Why a file does not land, where such digests tell it.
    pub(super) fn unlanded(&self, file: FileId) -> Option<Unlanded> {
        let (transfer, disk) = (self.schedule.transfer(file)?, self.disk.get(&file)?);
        let told = transfer.task.pieces.as_deref()?;
        let ranges = told.ranges().map(|range| pieces::reached(&range));
        let is_wrong = |range: &Range<u32>| range.clone().any(|at| disk.get(&at) == Some(&false));
        let wrong: Vec<_> = ranges.filter(is_wrong).collect();
        if wrong.is_empty() {
            None
        } else if transfer.facts.judged_by(Some(told)).is_some() {
            Some(Unlanded::Pieces(wrong))
        } else {
            Some(Unlanded::Wrong)
        }
    }

    /// The next piece that lies here is hashed: it is the server's, or another, or a hole. At the end of it the disk may fail.
    pub(super) fn hashed(&mut self, file: FileId, piece: u32) {
        let now = self.instant();
        let Some(transfer) = self.schedule.transfer(file) else {
            return;
        };
        if piece == transfer.left_pieces() {
            let failed = self.rng.u32(..20) == 0;
            let result = if failed {
                let failed = std::io::Error::other("the disk");
                Err(Error::disk("x", &failed))
            } else {
                Ok(())
            };
            return self.schedule.left_done(file, result, now);
        }
        let it = self.files[&self.paths[&file]].clone();
        let value = match self.rng.u32(..4) {
            0 => None,
            1 => Some(false),
            _ => Some(true),
        };
        if let Some(good) = value {
            self.disk.entry(file).or_default().insert(piece, good);
        }
        let value = value.map(|good| it.value(piece, good));
        if self.schedule.left_piece(file, piece, value, 0) {
            let takes = Duration::from_millis(self.rng.u64(..40));
            self.at(self.now + takes, Happening::Hashed(file, piece + 1));
        }
    }

    /// One of the pieces that are looked for is found, or another program changed it meanwhile, or it is left to be fetched; after so
    /// many times nobody looks any more. While its item is paused, who looks waits to be told of a change.
    pub(super) fn searched(&mut self, file: FileId, times: u32) {
        let now = self.instant();
        let transfer = self.schedule.transfer(file);
        if transfer.is_some_and(|transfer| transfer.phase == Phase::Halted) {
            self.waiting.push((file, times));
            return;
        }
        let sought = transfer.and_then(Transfer::sought);
        let piece = sought.and_then(|(open, _)| self.rng.choice(open.iter()).copied());
        let goes_on = match (piece, self.rng.u32(..8)) {
            (None, _) => false,
            _ if times == 0 => false,
            (Some(piece), 0) => {
                self.schedule.not_sought(file, &[piece]);
                true
            }
            (Some(piece), chance) => {
                let (it, good) = (self.files[&self.paths[&file]].clone(), chance > 1);
                self.disk.entry(file).or_default().insert(piece, good);
                let value = Some(it.value(piece, good));
                self.schedule.left_piece(file, piece, value, 16 << 10)
            }
        };
        if goes_on {
            let takes = Duration::from_millis(self.rng.u64(..3000));
            self.at(self.now + takes, Happening::Searched(file, times - 1));
        } else {
            self.schedule.search_over(file, now);
        }
    }

    /// Whoever waits for a change looks again.
    pub(super) fn changed(&mut self) {
        for (file, times) in std::mem::take(&mut self.waiting) {
            self.at(self.now, Happening::Searched(file, times));
        }
    }
}
