//! A complete part reaching its final name, and parts being synced on the way.

use std::os::{fd::AsFd as _, unix::fs::FileExt as _};

use super::part::OpenPart;
use crate::{
    client::{Error, Verified, proof::Proof},
    digest::Digest,
    piece_digests::PieceDigests,
    pieces::{self, PieceHasher, PieceSet, Value, blocks},
    sys::disk,
};

/// Bytes that are read from a part at once.
const STEP: usize = 256 * 1024;

/// What a published list tells of a file.
#[derive(Debug)]
pub struct Listed {
    /// What its content must hash to.
    pub digest: Digest,
    /// What it is told to be verified by.
    pub word: &'static str,
    /// The failure where it differs.
    pub differs: Error,
}

impl OpenPart {
    /// Syncs the complete part, names it by the conflict rule, and syncs its directory; the whole is held against every
    /// digest that is known of it before that. Blocking.
    ///
    /// `listed` tells what a published list has of it; it is asked once nothing else proved the file.
    pub fn land(
        &self,
        mut proof: Proof,
        listed: impl FnOnce(bool) -> Option<Listed>,
    ) -> Result<(Vec<u8>, Proof), Error> {
        let date = self.task.date(self.facts.modified);
        if self.compares {
            self.target.give_date(&self.part.file, date);
            return Ok((self.part.name.clone(), Proof::of_local(Verified::Present)));
        }
        let failed = |error: &std::io::Error| Error::disk(self.path(), error);
        let file = &self.part.file;
        if let Some(time) = date {
            disk::set_modified(file, time).map_err(|error| failed(&error))?;
        }
        // The pieces prove each of them; other digests are of the whole file.
        let told = self.facts.digest.as_ref();
        let told = told.filter(|_| !self.facts.has_values());
        for digest in told.into_iter().chain(self.task.checksum.as_deref()) {
            let held = proof.with_digest(file, digest);
            proof = held
                .map_err(|error| failed(&error))?
                .ok_or(Error::Integrity { piece: None })?;
        }
        if let Some(told) = self.task.pieces.as_deref()
            && self.task.checksum.is_none()
        {
            let held = proof.with_pieces(file, told);
            proof = held
                .map_err(|error| failed(&error))?
                .ok_or(Error::Integrity { piece: None })?;
        }
        if let Some(listed) = listed(proof.verified() != Verified::Unverified) {
            let held = proof.with_listed(file, &listed.digest, listed.word);
            proof = held
                .map_err(|error| failed(&error))?
                .ok_or(listed.differs)?;
        }
        let length = file.metadata().map_err(|error| failed(&error))?.len();
        if length != self.facts.size {
            let error = std::io::Error::other("another program changed its size");
            return Err(failed(&error));
        }
        file.sync_data().map_err(|error| failed(&error))?;
        let dir = self.part.dir.as_fd();
        let name = self.task.local_name();
        let landed = self
            .target
            .land_part(dir, file, &self.part.name, name, date);
        let landed = landed.map_err(|error| failed(&error))?;
        disk::sync_dir(dir).map_err(|error| failed(&error))?;
        let proof = proof.of_landed(&landed);
        Ok((landed.name, proof))
    }

    /// Whether something of a piece is in the part. What was never written is copied from the old file first, where there is
    /// one and it goes so far.
    fn holds(&self, at: u64, end: u64) -> Result<bool, Error> {
        let part = &self.part.file;
        let old = self.part.old.as_ref();
        if !old.is_some_and(|old| old.fresh) && !disk::is_hole(part, at, end) {
            return Ok(true);
        }
        let Some(old) = old else { return Ok(false) };
        let copied = disk::copy_range(&old.file, at, part, at, end - at);
        copied.map_err(|error| Error::disk(self.path(), &error))
    }

    /// Holds what lies in the part, and what the old file gives, against the digests of a Metalink's pieces: what is right is
    /// known then, and the rest is fetched. Reads all of it. Blocking.
    pub fn judge_left(&mut self, told: &PieceDigests) -> Result<(), Error> {
        let left = std::mem::take(&mut self.part.left);
        let count = pieces::count(self.facts.size);
        let mut here = vec![None; count as usize];
        // Each piece that a wrong or missing one of the Metalink's reaches into.
        let mut wrong = PieceSet::new(count);
        for (index, range) in told.ranges().enumerate() {
            let mut whole = range.end <= left;
            let reached = pieces::reached(&range);
            for piece in reached.clone().filter(|_| range.end <= left) {
                let at = u64::from(piece) * pieces::PIECE;
                let end = at + pieces::len(self.facts.size, piece);
                let known = &mut here[piece as usize];
                whole &= match *known {
                    Some(known) => known,
                    None => *known.insert(self.holds(at, end)?),
                };
            }
            let right = whole && {
                let right = told.is_right(index, &self.part.file);
                right.map_err(|error| Error::disk(self.path(), &error))?
            };
            if !right {
                reached.for_each(|piece| _ = wrong.insert(piece));
            }
        }
        let right = (0..count).filter(|piece| !wrong.contains(*piece));
        self.part.known = right.map(|piece| piece..piece + 1).collect();
        Ok(())
    }

    /// The value of a piece as it lies in the part; `None` for a hole, which was reserved but never received. Blocking.
    pub fn hash_piece(&self, index: u32, buffer: &mut Vec<u8>) -> Result<Option<Value>, Error> {
        let at = u64::from(index) * pieces::PIECE;
        let end = at + pieces::len(self.facts.size, index);
        if !self.compares && !self.holds(at, end)? {
            return Ok(None);
        }
        self.value_of(index, buffer).map(Some)
    }

    /// Copies a piece from where it stands in the old file, from its byte `from` on; its value as it lies in the part then.
    /// `None` where the old file does not have it any more. Blocking.
    pub fn copy_moved(
        &self,
        index: u32,
        from: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Value>, Error> {
        let Some(old) = &self.part.old else {
            return Ok(None);
        };
        let at = u64::from(index) * pieces::PIECE;
        let bytes = pieces::len(self.facts.size, index);
        let copied = disk::copy_range(&old.file, from, &self.part.file, at, bytes);
        if !copied.map_err(|error| Error::disk(self.path(), &error))? {
            return Ok(None);
        }
        self.value_of(index, buffer).map(Some)
    }

    /// Writes blocks that came of a piece, from byte `at` on, if they have the values that were `told`; their values as they came go
    /// into `here`. Blocking.
    pub fn patch(
        &self,
        piece: u32,
        at: u64,
        bytes: &[u8],
        told: &[Value],
        here: &mut [Value],
    ) -> Result<(), Error> {
        let first = ((at - u64::from(piece) * pieces::PIECE) / blocks::BLOCK) as usize;
        let came: Vec<_> = blocks::values(at, bytes).collect();
        let wanted = told.get(first..first + came.len());
        if wanted != Some(came.as_slice()) {
            return Err(Error::Integrity { piece: Some(piece) });
        }
        self.write_guard().write(at, bytes)?;
        here[first..first + came.len()].copy_from_slice(&came);
        Ok(())
    }

    fn value_of(&self, index: u32, buffer: &mut Vec<u8>) -> Result<Value, Error> {
        buffer.resize(STEP, 0);
        let mut at = u64::from(index) * pieces::PIECE;
        let end = at + pieces::len(self.facts.size, index);
        let mut hasher = PieceHasher::new(index);
        while at < end {
            let step = (end - at).min(buffer.len() as u64) as usize;
            let read = self.part.file.read_exact_at(&mut buffer[..step], at);
            read.map_err(|error| Error::disk(self.path(), &error))?;
            hasher.update(&buffer[..step]);
            at += step as u64;
        }
        Ok(hasher.value())
    }
}

#[cfg(test)]
mod tests;
