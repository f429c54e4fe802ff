//! One piece: which of its blocks are here, and which are asked for. What is asked about at once.

use std::ops::Range;

use crate::{
    client::{Error, disk::part::OpenPart},
    pieces::{
        self, PIECE, Value,
        blocks::{self, BLOCK},
    },
};

/// A piece that is being completed.
pub(super) struct Patch {
    pub(super) piece: u32,
    /// Values of its blocks as the server tells them, which merge to the piece's.
    pub(super) told: Vec<Value>,
    /// The same as they lie in the part.
    pub(super) here: Vec<Value>,
    /// What of it is fetched: whole blocks.
    pub(super) missing: Vec<Range<u64>>,
}

impl Patch {
    /// Blocks that are not here.
    pub(super) fn differing(&self) -> usize {
        let both = self.here.iter().zip(&self.told);
        both.filter(|(here, told)| here != told).count()
    }
}

/// What of a piece is to be fetched. Blocking.
pub(super) fn compare(
    part: &OpenPart,
    piece: u32,
    values: &[Value],
    told: Vec<Value>,
    buffer: &mut Vec<u8>,
) -> Result<Patch, Error> {
    if told.is_empty() || blocks::piece_value(&told) != values[piece as usize] {
        return Err(Error::Integrity { piece: Some(piece) });
    }
    let start = u64::from(piece) * PIECE;
    let end = start + pieces::len(part.facts.size, piece);
    part.read_into(start, (end - start) as usize, buffer)?;
    let here: Vec<_> = blocks::values(start, buffer).collect();
    let mut missing: Vec<Range<u64>> = Vec::new();
    for at in (0..told.len()).filter(|at| here[*at] != told[*at]) {
        let at = start + at as u64 * BLOCK;
        match missing.last_mut() {
            Some(last) if last.end == at => last.end = (at + BLOCK).min(end),
            _ => missing.push(at..(at + BLOCK).min(end)),
        }
    }
    Ok(Patch {
        piece,
        told,
        here,
        missing,
    })
}

/// Pieces as what is asked about at once: ranges of them, at most [`blocks::PIECES_MAX`] pieces in all.
pub(super) fn batches(pieces: impl IntoIterator<Item = u32>) -> Vec<Vec<Range<u32>>> {
    let mut batches: Vec<Vec<Range<u32>>> = Vec::new();
    let mut room = 0;
    for piece in pieces {
        if room == 0 {
            batches.push(Vec::new());
            room = blocks::PIECES_MAX;
        }
        room -= 1;
        let Some(batch) = batches.last_mut() else {
            continue;
        };
        match batch.last_mut() {
            Some(last) if last.end == piece => last.end += 1,
            _ => batch.push(piece..piece + 1),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_asked_about_in_ranges_of_few() {
        assert!(batches([]).is_empty());
        assert_eq!(batches([3, 4, 6, 9]), [[3..5, 6..7, 9..10]]);
        let many = batches((0..130).chain([200]));
        let pieces = |batch: &Vec<Range<u32>>| batch.iter().cloned().flatten().count();
        assert_eq!(many.iter().map(pieces).collect::<Vec<_>>(), [64, 64, 3]);
        assert_eq!(many[2], [128..130, 200..201]);
    }
}
