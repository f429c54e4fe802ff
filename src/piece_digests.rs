//! Digests of a file's pieces, each of its own, as a Metalink tells them (RFC 5854 §4.2.11): what tells which of a file's
//! bytes are wrong, whichever server they came from.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use crate::digest::Digest;

/// The digests of all pieces of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceDigests {
    size: u64,
    length: u64,
    digests: Vec<Digest>,
}

impl PieceDigests {
    /// Of a file of `size` bytes in pieces of `length`, of which the last may be shorter. `None` where there are not as many
    /// digests as pieces.
    pub fn new(size: u64, length: u64, digests: Vec<Digest>) -> Option<Self> {
        (length > 0 && digests.len() as u64 == size.div_ceil(length)).then_some(Self {
            size,
            length,
            digests,
        })
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of each piece, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        (0..self.digests.len()).map(|index| self.range(index))
    }

    fn range(&self, index: usize) -> Range<u64> {
        let start = index as u64 * self.length;
        start..start.saturating_add(self.length).min(self.size)
    }

    /// Whether piece `index`, counted from 0, is right in a file. Reads it. Blocking.
    pub fn is_right(&self, index: usize, file: &File) -> io::Result<bool> {
        let Some(digest) = self.digests.get(index) else {
            return Ok(false);
        };
        let range = self.range(index);
        let mut at = range.start;
        digest.matches_stream(|buffer| {
            let room = (range.end - at).min(buffer.len() as u64) as usize;
            let read = file.read_at(&mut buffer[..room], at)?;
            at += read as u64;
            Ok(read)
        })
    }

    /// The bytes of the pieces that are wrong in a file of that size, in order. Reads all of it. Blocking.
    pub fn wrong(&self, file: &File) -> io::Result<Vec<Range<u64>>> {
        let mut wrong = Vec::new();
        for (index, range) in self.ranges().enumerate() {
            if !self.is_right(index, file)? {
                wrong.push(range);
            }
        }
        Ok(wrong)
    }

    /// Whether `content` is the file.
    pub fn match_content(&self, content: &[u8]) -> bool {
        let mut both = self.digests.iter().zip(self.ranges());
        content.len() as u64 == self.size
            && both.all(|(digest, range)| {
                digest.matches(&content[range.start as usize..range.end as usize])
            })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use sha2::{Digest as _, Sha256};

    use super::*;

    fn told(content: &[u8], length: u64) -> PieceDigests {
        let pieces = content.chunks(length as usize);
        let digests = pieces.map(|piece| Digest::Sha256(Sha256::digest(piece).into()));
        PieceDigests::new(content.len() as u64, length, digests.collect()).unwrap()
    }

    #[test]
    fn the_wrong_pieces_are_named_whatever_their_length() {
        let mut content: Vec<u8> = (0..1000_u32).map(|n| n as u8).collect();
        for length in [1, 7, 250, 999, 1000, 5000] {
            let told = told(&content, length);
            assert!(told.match_content(&content));
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&content).unwrap();
            assert_eq!(told.wrong(&file).unwrap(), []);
            content[749] ^= 1;
            file.write_all_at(&content, 0).unwrap();
            let start = 749 / length * length;
            let range = start..(start + length).min(1000);
            assert_eq!(told.wrong(&file).unwrap(), [range]);
            assert!(!told.match_content(&content));
            content[749] ^= 1;
            // A file that ends too early misses its last piece.
            file.set_len(999).unwrap();
            file.write_all_at(&content[..999], 0).unwrap();
            assert_eq!(told.wrong(&file).unwrap().last().unwrap().end, 1000);
            assert!(!told.match_content(&content[..999]));
        }
    }

    #[test]
    fn digests_that_do_not_cover_the_file_tell_nothing() {
        let one = || Digest::Sha256([0; 32]);
        assert!(PieceDigests::new(10, 5, vec![one(); 2]).is_some());
        for (size, length, count) in [(10, 5, 1), (10, 5, 3), (10, 0, 0), (11, 5, 2)] {
            assert!(PieceDigests::new(size, length, vec![one(); count]).is_none());
        }
    }
}
