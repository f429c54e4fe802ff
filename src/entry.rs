//! One entry of a directory, as both sides speak of it.

use std::time::SystemTime;

/// A file or directory in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The decoded name, without a slash; never empty, `.` or `..`. It need not be UTF-8, and may hold anything:
    /// pass it through `display_name` before a person sees it.
    pub name: Vec<u8>,
    /// Whether it can be listed rather than fetched.
    pub is_dir: bool,
    /// Bytes of a file; `None` for directories and where the server does not tell.
    pub size: Option<u64>,
    /// When its content changed last, where the server tells.
    pub modified: Option<SystemTime>,
    /// The BLAKE3 digest of a file's content, where the server knows it.
    pub blake3: Option<blake3::Hash>,
}
