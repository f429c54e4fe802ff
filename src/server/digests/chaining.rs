//! The chaining values of a file, in the form of `?pieces`.

use std::{io, os::fd::AsFd as _};

use super::{
    job::Job,
    quantum::{BLOCK, Quantum},
};
use crate::{
    pieces::{self, PREAMBLE_LEN, PieceHasher, Preamble, Value},
    server::tree::found::{FoundFile, Since},
    sys::send::{is_cached, read_ahead},
};

const CHANGED: &str = "the file changed while it was hashed";

/// Values in their wire form.
const VALUE_LEN: usize = 32;

/// How far a file is hashed.
#[derive(Default)]
pub(super) struct Hashing {
    values: Vec<Value>,
    /// Whether the file seemed to be in memory; not known before it was looked at.
    in_memory: Option<bool>,
}

impl Hashing {
    /// Hashes pieces for a quantum, and returns whether these were the last. Blocks on the disk.
    pub(super) fn step(&mut self, job: &Job, found: &FoundFile) -> io::Result<bool> {
        let size = found.stamp.size;
        if self.in_memory.is_none() {
            self.in_memory = Some(seems_cached(found));
            job.publish(&Preamble { size }.encode());
        }
        let mut block = vec![0; BLOCK];
        let mut quantum = Quantum::begin();
        let mut only = None;
        while self.values.len() < pieces::value_count(size) as usize {
            let index = self.values.len() as u32;
            let value = hash_piece(found, index, &mut block)?.value();
            self.values.push(value);
            job.publish(&value);
            let more = quantum.spend(pieces::PIECE);
            if !more && self.values.len() < pieces::value_count(size) as usize {
                return Ok(false);
            }
        }
        if pieces::value_count(size) == 0 {
            only = Some(hash_piece(found, 0, &mut block)?.only());
        }
        let root = only.unwrap_or_else(|| pieces::root(&self.values));
        // The root vouches for all that was sent before it: of a file that changed, none is sent.
        if !found.is_unchanged() {
            return Err(io::Error::other(CHANGED));
        }
        job.publish(root.as_bytes());
        Ok(true)
    }

    /// The byte that comes next, where a file is read for it that its senders read too.
    pub(super) fn paced_at(&self) -> Option<u64> {
        let cold = self.in_memory == Some(false);
        cold.then_some(self.values.len() as u64 * pieces::PIECE)
    }
}

/// The digest of a whole file as it was when it was opened, and whether it has grown since. Blocks on the disk.
pub(super) fn digest(found: &FoundFile) -> io::Result<(blake3::Hash, Since)> {
    let mut block = vec![0; BLOCK];
    let (mut hasher, mut at) = (blake3::Hasher::new(), 0);
    while at < found.stamp.size {
        let wanted = (found.stamp.size - at).min(BLOCK as u64) as usize;
        match rustix::io::pread(&found.file, &mut block[..wanted], at)? {
            0 => return Err(io::Error::other(CHANGED)),
            read => {
                hasher.update(&block[..read]);
                at += read as u64;
            }
        }
    }
    match found.since() {
        Since::Changed => Err(io::Error::other(CHANGED)),
        since => Ok((hasher.finalize(), since)),
    }
}

/// Whether a file seems to be in memory. To be asked before it is read: reading brings in what comes next.
fn seems_cached(found: &FoundFile) -> bool {
    const PROBES: u64 = 16;
    let step = (found.stamp.size / PROBES).max(1);
    (0..found.stamp.size)
        .step_by(usize::try_from(step).unwrap_or(usize::MAX))
        .all(|at| is_cached(found.file.as_fd(), at, 1))
}

fn hash_piece(found: &FoundFile, index: u32, block: &mut [u8]) -> io::Result<PieceHasher> {
    let size = found.stamp.size;
    let (mut at, mut left) = (
        u64::from(index) * pieces::PIECE,
        pieces::len(size, index) as usize,
    );
    if left > 0 {
        read_ahead(found.file.as_fd(), at, left as u64)?;
    }
    let mut hasher = PieceHasher::new(index);
    while left > 0 {
        let wanted = left.min(block.len());
        match rustix::io::pread(&found.file, &mut block[..wanted], at)? {
            0 => {
                return Err(io::Error::other(
                    "the file was truncated while it was hashed",
                ));
            }
            read => {
                hasher.update(&block[..read]);
                at += read as u64;
                left -= read;
            }
        }
    }
    Ok(hasher)
}

/// Whether `bytes` are a whole answer for a file of `size` bytes whose values merge to its root.
pub fn is_whole(bytes: &[u8], size: u64) -> bool {
    let Some((preamble, rest)) = bytes.split_first_chunk::<PREAMBLE_LEN>() else {
        return false;
    };
    let (values, rest) = rest.as_chunks::<VALUE_LEN>();
    let Some((root, values)) = values.split_last() else {
        return false;
    };
    Preamble::decode(preamble) == Ok(Preamble { size })
        && rest.is_empty()
        && values.len() == pieces::value_count(size) as usize
        && (values.is_empty() || pieces::root(values).as_bytes() == root)
}
