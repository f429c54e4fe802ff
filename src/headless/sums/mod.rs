//! `haul sum` and `haul check`: digests of local files, printed and held against.

use std::{
    fs::File,
    io,
    os::fd::AsFd as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

mod check;
mod shown;
mod sum;
mod walk;

pub use check::check;
pub use sum::sum;

/// Threads that hash: one a core.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// The standard input, which `-` names. It is read once: what two read at a time is of neither.
#[derive(Default)]
struct Stdin(AtomicBool);

impl Stdin {
    /// What a path names.
    fn open(&self, path: &Path) -> io::Result<File> {
        if path != Path::new("-") {
            return File::open(path);
        }
        if self.0.swap(true, Ordering::Relaxed) {
            return Err(io::Error::other("it was read already: name it once"));
        }
        Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
    }
}
