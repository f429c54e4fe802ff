//! The chaining values of a file, in the form of `?pieces`.

use std::{io, os::fd::AsFd as _};

use super::{BLOCK, Job};
use crate::{
    pieces::{self, PREAMBLE_LEN, PieceHasher, Preamble, Value},
    server::tree::catalog::FoundFile,
    sys::send::{is_cached, read_ahead},
};

const CHANGED: &str = "the file changed while it was hashed";

/// Values in their wire form.
const VALUE_LEN: usize = 32;

/// Hashes the file piece by piece. Blocks on the disk.
pub(super) fn compute(job: &Job, found: &FoundFile) -> io::Result<()> {
    let size = found.stamp.size;
    job.publish(&Preamble { size }.encode());
    let mut block = vec![0; BLOCK];
    let mut values: Vec<Value> = Vec::new();
    let mut only = None;
    let in_memory = seems_cached(found);
    for index in 0..pieces::count(size).max(1) {
        job.wanted()?;
        if !in_memory {
            job.askers.pace(u64::from(index) * pieces::PIECE);
        }
        let hasher = hash_piece(found, index, &mut block)?;
        if pieces::value_count(size) == 0 {
            only = Some(hasher.only());
        } else {
            values.push(hasher.value());
            job.publish(&hasher.value());
        }
    }
    let root = only.unwrap_or_else(|| pieces::root(&values));
    // The root vouches for all that was sent before it: of a file that changed, none is sent.
    if !found.is_unchanged() {
        return Err(io::Error::other(CHANGED));
    }
    job.publish(root.as_bytes());
    Ok(())
}

/// The digest of a whole file. Blocks on the disk.
pub(super) fn digest(found: &FoundFile) -> io::Result<blake3::Hash> {
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
    if !found.is_unchanged() {
        return Err(io::Error::other(CHANGED));
    }
    Ok(hasher.finalize())
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
