//! What can be computed, and what form it has.

use super::{chaining, sha256};
use crate::{
    pieces::{self, PIECE},
    server::work,
};

/// What can be computed of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Chaining values and the BLAKE3 digest, in the form of `?pieces`.
    Pieces,
    /// SHA-256 of pieces and file, see [`sha256`].
    Sha256,
}

impl Kind {
    /// Where it is kept below the cache directory.
    pub(super) const fn dir(self) -> &'static str {
        match self {
            Self::Pieces => "pieces",
            Self::Sha256 => "sha256",
        }
    }

    /// Bytes of all that is computed of a file of `size` bytes.
    pub(super) fn wire_len(self, size: u64) -> u64 {
        match self {
            Self::Pieces => pieces::wire_len(size),
            Self::Sha256 => sha256::wire_len(size),
        }
    }

    pub(super) fn is_whole(self, bytes: &[u8], size: u64) -> bool {
        match self {
            Self::Pieces => chaining::is_whole(bytes, size),
            Self::Sha256 => sha256::is_whole(bytes, size),
        }
    }

    /// The digest of the whole file among what was computed.
    pub(super) fn whole(self, bytes: &[u8]) -> Option<[u8; 32]> {
        match self {
            Self::Pieces => bytes.last_chunk().copied(),
            Self::Sha256 => sha256::whole(bytes),
        }
    }

    /// The lane in which a file of `size` bytes is hashed.
    pub(super) fn lane(self, size: u64) -> work::Kind {
        match self {
            _ if size <= PIECE => work::Kind::Small,
            Self::Pieces => work::Kind::Pieces,
            Self::Sha256 => work::Kind::Sha256,
        }
    }
}
