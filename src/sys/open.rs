//! Opening paths that cannot leave a directory.
use rustix::fs::{Mode, OFlags};
use std::os::fd::{BorrowedFd, OwnedFd};

/// What symbolic links below the directory may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Any link on the way is an error (`ELOOP`).
    Refuse,
    /// Relative links that stay beneath the directory are followed; all others are an error (`EXDEV`).
    Inside,
    /// Links are followed wherever they lead.
    Follow,
}

/// Opens `path` (relative, decoded, may be empty for the directory itself) beneath `dir`.
pub fn open_beneath(
    dir: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> std::io::Result<OwnedFd> {
    todo!()
}
