//! The values of the blocks of some pieces of a file, in the form of `?blocks`. They are computed for whoever asks, and not kept:
//! of one version to the next, others are asked for.

use std::{io, ops::Range, os::fd::AsFd as _};

use super::quantum::{BLOCK as READ, Quantum};
use crate::{
    pieces::{PIECE, blocks},
    server::tree::found::FoundFile,
    sys::send::read_ahead,
};

/// Bytes that are read at once hold whole blocks.
const _: () = assert!((READ as u64).is_multiple_of(blocks::BLOCK));

/// What is to be computed.
#[derive(Debug)]
pub struct Blocks {
    found: FoundFile,
    /// The next byte to be hashed, and the one behind the last.
    left: Range<u64>,
}

impl Blocks {
    /// The values of the blocks of these pieces.
    pub fn new(found: FoundFile, pieces: &Range<u32>) -> Self {
        let end = u64::from(pieces.end) * PIECE;
        Self {
            left: u64::from(pieces.start) * PIECE..end.min(found.stamp.size),
            found,
        }
    }

    /// Appends what a quantum of hashing gives; returns whether that was all. Blocks on the disk.
    pub fn step(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let (mut quantum, mut buffer) = (Quantum::begin(), vec![0; READ]);
        while !self.left.is_empty() {
            let wanted = (self.left.end - self.left.start).min(READ as u64) as usize;
            let bytes = &mut buffer[..wanted];
            if self.left.start.is_multiple_of(PIECE) {
                let piece = (self.left.end - self.left.start).min(PIECE);
                read_ahead(self.found.file.as_fd(), self.left.start, piece)?;
            }
            let mut read = 0;
            while read < wanted {
                let at = self.left.start + read as u64;
                match rustix::io::pread(&self.found.file, &mut bytes[read..], at)? {
                    0 => {
                        return Err(io::Error::other(
                            "the file was truncated while it was hashed",
                        ));
                    }
                    more => read += more,
                }
            }
            blocks::values(self.left.start, bytes).for_each(|value| out.extend_from_slice(&value));
            self.left.start += wanted as u64;
            if !quantum.spend(wanted as u64) {
                break;
            }
        }
        if !self.found.is_unchanged() {
            return Err(io::Error::other("the file changed while it was hashed"));
        }
        Ok(self.left.is_empty())
    }
}
