//! The blocks of a piece: which part of it differs, where only a little does.
//!
//! A block is 16 KiB, aligned; the last of a file may be shorter. Its value is the chaining value of the BLAKE3 subtree over it,
//! so that the values of a piece's blocks merge to that of the piece: whoever knows that one need not believe them.

use std::ops::Range;

use blake3::{Hasher, hazmat::HasherExt as _};

use super::{PIECE, Value, len, merge};

/// Bytes of a block. A power of two of BLAKE3 chunks, as subtrees must be. Smaller ones would save more of what changed in single
/// pages, and cost more for all else: the values of blocks of 16 KiB are 0.2 % of the file.
pub const BLOCK: u64 = 16 * 1024;

/// Media type of the answer to `?blocks=FIRST-LAST`: the values of all blocks of those pieces, in order, 32 bytes each.
pub const MEDIA_TYPE: &str = "application/vnd.haul.blocks";

/// Most pieces of one such request.
pub const PIECES_MAX: u32 = 64;

/// Blocks of so many bytes of one piece.
pub const fn count(bytes: u64) -> usize {
    bytes.div_ceil(BLOCK) as usize
}

/// The values of blocks that stand one behind the other in a file, from its byte `at` on, which is the first of a block.
pub fn values(at: u64, bytes: &[u8]) -> impl Iterator<Item = Value> {
    let starts = (at..).step_by(BLOCK as usize);
    let each = starts.zip(bytes.chunks(BLOCK as usize));
    each.map(|(at, block)| {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(at);
        hasher.update(block);
        hasher.finalize_non_root()
    })
}

/// The value of the piece whose blocks have these values, of which there is at least one.
pub fn piece_value(values: &[Value]) -> Value {
    merge(values)
}

/// Bytes of the answer about some pieces of a file of `size` bytes.
pub fn wire_len(size: u64, pieces: Range<u32>) -> u64 {
    pieces
        .map(|piece| count(len(size, piece)) as u64 * 32)
        .sum()
}

/// What a request writes behind `?blocks=`: the first piece and the last.
pub fn query(pieces: &Range<u32>) -> String {
    format!("{}-{}", pieces.start, pieces.end.saturating_sub(1))
}

/// The pieces that a query names, of a file of `size` bytes; `None` for what is malformed, for more than [`PIECES_MAX`], for
/// pieces that it does not have, and for a file of one piece, which has no values.
pub fn parse_query(query: &[u8], size: u64) -> Option<Range<u32>> {
    let query = std::str::from_utf8(query).ok()?;
    let (first, last) = query.split_once('-')?;
    let number = |digits: &str| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let (first, last) = (number(first)?, number(last)?);
    let right =
        size > PIECE && first <= last && last < super::count(size) && last - first < PIECES_MAX;
    right.then(|| first..last + 1)
}

#[cfg(test)]
mod tests {
    use super::{super::PieceHasher, *};

    #[test]
    fn values_of_blocks_merge_to_the_value_of_their_piece() {
        let mut bytes = vec![0; PIECE as usize];
        Hasher::new().finalize_xof().fill(&mut bytes);
        for size in [
            1,
            BLOCK,
            BLOCK + 1,
            3 * BLOCK,
            5 * BLOCK + 1023,
            PIECE - 1,
            PIECE,
        ] {
            let bytes = &bytes[..size as usize];
            for piece in [0, 1, 77] {
                let mut hasher = PieceHasher::new(piece);
                hasher.update(bytes);
                let values: Vec<_> = values(u64::from(piece) * PIECE, bytes).collect();
                assert_eq!(values.len(), count(size));
                assert_eq!(
                    piece_value(&values),
                    hasher.value(),
                    "{size} bytes of piece {piece}"
                );
            }
        }
    }

    #[test]
    fn a_query_names_few_pieces_that_there_are() {
        let size = 200 * PIECE + 1;
        assert_eq!(parse_query(query(&(3..9)).as_bytes(), size), Some(3..9));
        assert_eq!(parse_query(b"0-0", size), Some(0..1));
        assert_eq!(parse_query(b"137-200", size), Some(137..201));
        for query in [
            "",
            "1",
            "-",
            "1-",
            "-1",
            "2-1",
            "0-64",
            "201-201",
            "+1-2",
            "1-2-3",
            "1 -2",
            "4294967296-4294967297",
        ] {
            assert_eq!(parse_query(query.as_bytes(), size), None, "{query}");
        }
        assert_eq!(parse_query(b"0-0", PIECE), None);
    }

    #[test]
    fn an_answer_has_32_bytes_for_each_block() {
        let size = 2 * PIECE + BLOCK + 1;
        assert_eq!(wire_len(size, 0..1), 64 * 32);
        assert_eq!(wire_len(size, 0..3), (64 + 64 + 2) * 32);
    }
}
