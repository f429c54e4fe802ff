//! What the platform offers beyond std: one function each, with a portable twin, all through rustix.

pub mod detach;
pub mod dir_id;
pub mod disk;
pub mod emulator;
pub mod mounts;
pub mod open;
pub mod orphans;
pub mod parent;
pub(crate) mod scratch;
pub mod send;
pub mod service;
pub(crate) mod signals;
pub mod terminal;

use std::{os::fd::BorrowedFd, path::PathBuf};

/// Where an open file lies at this moment, whatever links led to it; `None` where the system does not tell.
#[cfg(target_os = "linux")]
pub fn real_path(file: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::fd::AsRawFd as _;
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

/// The same on Apple's systems (`F_GETPATH`).
#[cfg(target_vendor = "apple")]
pub fn real_path(file: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let path = rustix::fs::getpath(file).ok()?;
    Some(std::ffi::OsString::from_vec(path.into_bytes()).into())
}

/// Other systems do not tell.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub fn real_path(_: BorrowedFd<'_>) -> Option<PathBuf> {
    None
}
