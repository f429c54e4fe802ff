//! The file on disk that a download grows in.

use std::{fs::File, ops::Range, os::fd::OwnedFd};

use super::journal::Claim;

/// The file on disk until it is complete.
#[derive(Debug)]
pub struct Part {
    /// Keeps other jobs off it; released before the handle, since its inode may be used again after that.
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub claim: Option<Claim>,
    /// Its handle, for reading and writing.
    pub file: File,
    /// The directory that it lies in.
    pub dir: OwnedFd,
    /// Its name there.
    pub name: Vec<u8>,
    /// Bytes that an earlier run left in it; 0 for a new one.
    pub left: u64,
    /// Pieces in it that the journal vouches for, where the server cannot.
    pub known: Vec<Range<u32>>,
}
