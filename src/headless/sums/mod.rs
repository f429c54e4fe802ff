//! `haul sum` and `haul check`: digests of local files, printed and held against.

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
