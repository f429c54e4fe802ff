//! Verified content: a file as aligned pieces of 1 MiB, each with the chaining value of the BLAKE3 subtree over it.
//!
//! The values merge to exactly the digest that `b3sum` prints (BLAKE3 paper, §2.1 and §2.4), so that a piece can be
//! checked alone, and the whole is checked by checking the pieces. Everything here is pure.

pub mod blocks;
mod set;

pub use set::{PieceSet, Ranges};

use blake3::{
    Hash, Hasher,
    hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

/// Bytes of a piece; the last piece of a file may be shorter. A power of two of BLAKE3 chunks, as subtrees must be.
pub const PIECE: u64 = 1 << 20;

/// Media type of the answer to `?pieces`.
pub const MEDIA_TYPE: &str = "application/vnd.haul.pieces";

/// First bytes of the answer to `?pieces`: format and version.
const MAGIC: &[u8; 8] = b"HAULPCS1";

/// Bytes of a [`Preamble`] on the wire.
pub const PREAMBLE_LEN: usize = 24;

/// A piece's chaining value.
pub type Value = ChainingValue;

/// Pieces of a file of `size` bytes: none for an empty file.
pub const fn count(size: u64) -> u32 {
    size.div_ceil(PIECE) as u32
}

/// Values that the answer to `?pieces` holds for a file of `size` bytes: a single piece has none of its own.
pub const fn value_count(size: u64) -> u32 {
    if size <= PIECE { 0 } else { count(size) }
}

/// Bytes of piece `index` of a file of `size` bytes.
pub const fn len(size: u64, index: u32) -> u64 {
    let left = size.saturating_sub(index as u64 * PIECE);
    if left < PIECE { left } else { PIECE }
}

/// The pieces that bytes of a file reach into.
pub const fn reached(bytes: &std::ops::Range<u64>) -> std::ops::Range<u32> {
    if bytes.start >= bytes.end {
        0..0
    } else {
        (bytes.start / PIECE) as u32..count(bytes.end)
    }
}

/// What stands before the values in the answer to `?pieces`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble {
    /// The file's size in bytes.
    pub size: u64,
}

/// Why the answer to `?pieces` cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It does not begin with the format's name and version.
    #[error("not a list of pieces, or of another version")]
    Magic,
    /// Pieces of another size than [`PIECE`].
    #[error("pieces of {0} bytes, where 1 MiB is expected")]
    PieceSize(u32),
    /// The reserved field is not zero.
    #[error("a reserved field is set")]
    Reserved,
}

impl Preamble {
    /// The wire form.
    pub fn encode(self) -> [u8; PREAMBLE_LEN] {
        let mut bytes = [0; PREAMBLE_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.size.to_le_bytes());
        bytes[16..20].copy_from_slice(&(PIECE as u32).to_le_bytes());
        bytes
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8; PREAMBLE_LEN]) -> Result<Self, FormatError> {
        let (magic, rest) = bytes.split_at(8);
        let (size, rest) = rest.split_at(8);
        let (piece, reserved) = rest.split_at(4);
        if magic != MAGIC {
            return Err(FormatError::Magic);
        }
        let piece = u32::from_le_bytes(piece.try_into().unwrap_or_default());
        if u64::from(piece) != PIECE {
            return Err(FormatError::PieceSize(piece));
        }
        if reserved != [0; 4] {
            return Err(FormatError::Reserved);
        }
        Ok(Self {
            size: u64::from_le_bytes(size.try_into().unwrap_or_default()),
        })
    }
}

/// Bytes of the whole answer to `?pieces` for a file of `size` bytes: preamble, values, root.
pub const fn wire_len(size: u64) -> u64 {
    PREAMBLE_LEN as u64 + 32 * (value_count(size) as u64 + 1)
}

/// Hashes one piece as its bytes arrive.
#[derive(Debug)]
pub struct PieceHasher(Hasher);

impl PieceHasher {
    /// For the piece at `index`.
    pub fn new(index: u32) -> Self {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(u64::from(index) * PIECE);
        Self(hasher)
    }

    /// Takes the next bytes; at most [`PIECE`] in all.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The piece's chaining value. Not for a file's only piece: see [`Self::only`].
    pub fn value(&self) -> Value {
        self.0.finalize_non_root()
    }

    /// The digest of a file that has no other piece.
    pub fn only(&self) -> Hash {
        self.0.finalize()
    }
}

/// The digest of a whole file from the values of all its pieces (two or more).
pub fn root(values: &[Value]) -> Hash {
    let (left, right) = values.split_at(left_count(values.len()));
    merge_subtrees_root(&merge(left), &merge(right), Mode::Hash)
}

/// The value of the subtree over `values`, of which there is at least one.
fn merge(values: &[Value]) -> Value {
    if let [value] = values {
        return *value;
    }
    let (left, right) = values.split_at(left_count(values.len()));
    merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
}

/// Pieces in the left subtree: the largest power of two below `n` (as `left_subtree_len` says for bytes).
const fn left_count(n: usize) -> usize {
    if n < 2 {
        n
    } else {
        1 << (usize::BITS - 1 - (n - 1).leading_zeros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without a short period, so that swapped pieces cannot look alike.
    fn bytes(n: usize) -> Vec<u8> {
        let mut out = vec![0; n];
        Hasher::new().finalize_xof().fill(&mut out);
        out
    }

    fn values(data: &[u8]) -> Vec<Value> {
        data.chunks(PIECE as usize)
            .enumerate()
            .map(|(index, piece)| {
                let mut hasher = PieceHasher::new(index as u32);
                // Odd steps: a piece arrives in any portions.
                piece.chunks(70_001).for_each(|part| hasher.update(part));
                hasher.value()
            })
            .collect()
    }

    #[test]
    fn values_merge_to_the_digest_of_the_file() {
        let mib = PIECE as usize;
        let data = bytes(11 * mib + 5);
        for size in [
            mib + 1,
            2 * mib,
            2 * mib + 1,
            3 * mib,
            5 * mib + 7,
            8 * mib,
            9 * mib,
            data.len(),
        ] {
            let data = &data[..size];
            assert_eq!(root(&values(data)), blake3::hash(data), "{size}");
        }
    }

    #[test]
    fn an_only_piece_is_the_file() {
        for size in [0, 1, 1023, 1024, 1025, PIECE as usize - 1, PIECE as usize] {
            let data = bytes(size);
            let mut hasher = PieceHasher::new(0);
            hasher.update(&data);
            assert_eq!(hasher.only(), blake3::hash(&data), "{size}");
        }
    }

    #[test]
    fn counts_and_lengths() {
        assert_eq!((count(0), value_count(0)), (0, 0));
        assert_eq!((count(PIECE), value_count(PIECE)), (1, 0));
        assert_eq!((count(PIECE + 1), value_count(PIECE + 1)), (2, 2));
        assert_eq!(len(PIECE + 1, 0), PIECE);
        assert_eq!(len(PIECE + 1, 1), 1);
        assert_eq!(len(PIECE + 1, 2), 0);
        assert_eq!(wire_len(PIECE), 24 + 32);
        assert_eq!(wire_len(PIECE + 1), 24 + 96);
    }

    #[test]
    fn a_preamble_survives_the_wire_and_others_are_refused() {
        let preamble = Preamble { size: 5 << 40 };
        let good = preamble.encode();
        assert_eq!(Preamble::decode(&good), Ok(preamble));
        let changed = |at: usize| {
            let mut bytes = good;
            bytes[at] ^= 1;
            Preamble::decode(&bytes)
        };
        assert_eq!(changed(0), Err(FormatError::Magic));
        assert_eq!(changed(7), Err(FormatError::Magic));
        assert!(matches!(changed(16), Err(FormatError::PieceSize(_))));
        assert_eq!(changed(20), Err(FormatError::Reserved));
    }
}
