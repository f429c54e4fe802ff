//! SHA-256 of a file and of its pieces, as Metalinks carry them (RFC 5854).

use std::{io, os::fd::AsFd as _};

use sha2::{Digest as _, Sha256};

use super::{
    job::Job,
    quantum::{BLOCK, Quantum},
};
use crate::{pieces::PIECE, server::tree::found::FoundFile, sys::send::read_ahead};

/// Bytes of a digest.
pub const DIGEST_LEN: usize = 32;
/// Pieces of one file; a larger file has larger pieces, so that its Metalink stays short.
const MAX_PIECES: u64 = 4096;

/// Bytes of each piece of a file but its last: 1 MiB, or the next power of two with which 4096 pieces are enough.
pub fn piece_len(size: u64) -> u64 {
    size.div_ceil(MAX_PIECES)
        .checked_next_power_of_two()
        .unwrap_or(1 << 63)
        .max(PIECE)
}

/// Pieces of a file that have a digest of their own: none where one is the whole file.
pub fn piece_count(size: u64) -> u64 {
    match size.div_ceil(piece_len(size)) {
        0 | 1 => 0,
        count => count,
    }
}

/// The form in which they are streamed and kept: the digest of each piece, that of the file, and the BLAKE3 digest of
/// all this, by which damage to what is kept is found.
pub fn wire_len(size: u64) -> u64 {
    (piece_count(size) + 2) * DIGEST_LEN as u64
}

/// Whether `bytes` are the whole of what is kept for a file of `size` bytes.
pub fn is_whole(bytes: &[u8], size: u64) -> bool {
    bytes.len() as u64 == wire_len(size)
        && bytes
            .split_last_chunk()
            .is_some_and(|(digests, check)| blake3::hash(digests) == *check)
}

/// The file's own digest among them.
pub fn whole(bytes: &[u8]) -> Option<[u8; DIGEST_LEN]> {
    let (digests, _check) = bytes.split_last_chunk::<DIGEST_LEN>()?;
    digests.last_chunk().copied()
}

/// How far a file is hashed: once for its pieces, and once as a whole.
pub(super) struct Hashing {
    at: u64,
    /// How far it was read ahead.
    ahead: u64,
    piece_len: u64,
    pieces: u64,
    file: Sha256,
    piece: Sha256,
}

impl Hashing {
    pub(super) fn new(size: u64) -> Self {
        Self {
            at: 0,
            ahead: 0,
            piece_len: piece_len(size),
            pieces: piece_count(size),
            file: Sha256::new(),
            piece: Sha256::new(),
        }
    }

    /// Hashes for a quantum, and returns whether that was all. Blocks on the disk.
    pub(super) fn step(&mut self, job: &Job, found: &FoundFile) -> io::Result<bool> {
        let size = found.stamp.size;
        let mut block = vec![0; BLOCK];
        let mut quantum = Quantum::begin();
        while self.at < size {
            let read = self.block(found, &mut block)?;
            if self.pieces > 0 && (self.at == size || self.at.is_multiple_of(self.piece_len)) {
                job.publish(&self.piece.finalize_reset());
            }
            if !quantum.spend(read) && self.at < size {
                return Ok(false);
            }
        }
        // The file's digest vouches for what went before it: of a file that changed, none is sent.
        if !found.is_unchanged() {
            return Err(io::Error::other("the file changed while it was hashed"));
        }
        job.finish(&self.file.finalize_reset());
        Ok(true)
    }

    /// Hashes the next block; returns its bytes.
    fn block(&mut self, found: &FoundFile, block: &mut [u8]) -> io::Result<u64> {
        let size = found.stamp.size;
        if self.at >= self.ahead {
            let count = PIECE.min(size - self.at);
            read_ahead(found.file.as_fd(), self.at, count)?;
            self.ahead = self.at + count;
        }
        let count = (self.ahead - self.at).min(BLOCK as u64) as usize;
        let read = rustix::io::pread(&found.file, &mut block[..count], self.at)?;
        if read == 0 {
            return Err(io::Error::other(
                "the file was truncated while it was hashed",
            ));
        }
        self.file.update(&block[..read]);
        if self.pieces > 0 {
            self.piece.update(&block[..read]);
        }
        self.at += read as u64;
        Ok(read as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_4096_pieces() {
        const GIB: u64 = 1 << 30;
        for (size, len, count) in [
            (0, PIECE, 0),
            (1, PIECE, 0),
            (PIECE, PIECE, 0),
            (PIECE + 1, PIECE, 2),
            (4 * GIB, PIECE, 4096),
            (4 * GIB + 1, 2 * PIECE, 2049),
            (8 * GIB, 2 * PIECE, 4096),
            (1 << 60, 1 << 48, 4096),
            (u64::MAX, 1 << 52, 4096),
        ] {
            assert_eq!((piece_len(size), piece_count(size)), (len, count), "{size}");
        }
    }
}
