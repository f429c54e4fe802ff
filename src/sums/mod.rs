//! Lists of digests as `sha256sum`, `b3sum`, `md5sum` and BSD's tools write and read them, and hashing files for them.
//!
//! `list`, `names` and `table` are pure and bounded by their input; `hashing` reads files, on all cores.

pub mod hashing;
mod list;
mod names;
mod table;

pub use list::{LIST_MAX, Line, Lines, NoLine, beside, line, lines, shown, write_line};
pub use names::{
    Covers, METALINK, METALINK_WEAK, Published, SIGNATURES, Word, algorithm_of, published, word,
};
pub use table::{Given, Table};

/// How a digest of a list is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// MD5, 32 digits: two contents with one digest are made in seconds, so it proves nothing against malice.
    Md5,
    /// SHA-256, 64 digits.
    Sha256,
    /// SHA-512, 128 digits.
    Sha512,
    /// BLAKE3, 64 digits.
    Blake3,
}

impl Algorithm {
    /// The name that [`Digest::from_hex`](crate::digest::Digest::from_hex) knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
            Self::Blake3 => "blake3",
        }
    }
}
