//! Content of a new file that stands elsewhere in the old one.
//!
//! A piece's value depends on where the piece lies in its file (BLAKE3 counts chunks), so that a table of the server's
//! values says nothing of other places. So a few differing pieces are *probed*: some bytes of each are asked of the server
//! and searched in the old file, at every byte. Each place that they are found at is a *shift*. Every piece that is still
//! open is then hashed as it would be with that shift, and held against its value: only that makes a piece the server's.

use std::{collections::BTreeSet, fs::File, io, os::unix::fs::FileExt as _};

use crate::pieces::{self, PIECE, PieceHasher, Value};

/// Bytes of a piece's beginning that are asked of the server.
pub const SAMPLE: u64 = 1024;
/// Pieces that are probed at once.
const PROBES: usize = 16;
/// Bytes that are searched for: as many as a gear hash of 64 bits covers.
const NEEDLE: usize = 64;
/// Different byte values in them, at least: zeros stand everywhere.
const DISTINCT_MIN: usize = 8;
/// Times that the old file is searched, and those in a row that find nothing before it is given up.
const ROUNDS_MAX: u32 = 8;
const MISSES_MAX: u32 = 2;
/// Places where one needle is found that are tried, and shifts that gave a piece.
const PLACES_MAX: usize = 4;
const SHIFTS_MAX: usize = 64;

/// What is looked for, and where.
#[derive(Debug)]
pub struct Search<'a> {
    old: &'a File,
    old_size: u64,
    /// Bytes of the new file, and the values of its pieces.
    size: u64,
    values: &'a [Value],
    /// Pieces that are not found so far.
    open: BTreeSet<u32>,
    probed: BTreeSet<u32>,
    /// How far behind its place in the old file a piece stands in the new one, where that gave a piece.
    shifts: Vec<i64>,
    buffer: Vec<u8>,
}

/// Bytes of a piece that are searched for, and where they stand in the new file.
struct Needle {
    piece: u32,
    at: u64,
    bytes: [u8; NEEDLE],
}

/// Where the search gets the beginnings of pieces from, and where it brings what it found.
pub trait Finder {
    /// The first bytes of each of these pieces, at most [`SAMPLE`], as the server has them; `None` where they cannot be had.
    fn samples(&mut self, pieces: &[u32]) -> Option<Vec<Vec<u8>>>;
    /// A piece stands at this byte of the old file. False where no more is to be looked for.
    fn found(&mut self, piece: u32, from: u64) -> io::Result<bool>;
}

impl<'a> Search<'a> {
    /// Looks for `open` pieces of a file of `size` bytes, whose pieces have these `values`.
    pub fn new(old: &'a File, size: u64, values: &'a [Value], open: &[u32]) -> io::Result<Self> {
        let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        Ok(Self {
            old_size: old.metadata()?.len(),
            old,
            size,
            values,
            open: open
                .iter()
                .copied()
                .filter(|piece| *piece < count)
                .collect(),
            probed: BTreeSet::new(),
            shifts: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Finds what it can. Reads the old file once a round, and once more for each shift as far as pieces are open; keeps one
    /// piece of it in memory.
    pub fn run(mut self, finder: &mut impl Finder) -> io::Result<()> {
        let mut misses = 0;
        for _ in 0..ROUNDS_MAX {
            let probes = self.probes();
            if probes.is_empty() || misses == MISSES_MAX {
                break;
            }
            let Some(samples) = finder.samples(&probes) else {
                break;
            };
            let needles = probes.iter().zip(&samples);
            let needles: Vec<_> = needles
                .filter_map(|(piece, bytes)| needle(*piece, bytes))
                .collect();
            let mut any = false;
            for (piece, shift) in self.places(needles)? {
                if !self.open.contains(&piece) || self.shifts.contains(&shift) {
                    continue;
                }
                if !self.is_shifted(piece, shift)? {
                    continue;
                }
                any = true;
                if self.shifts.len() == SHIFTS_MAX || !self.take(shift, finder)? {
                    return Ok(());
                }
                self.shifts.push(shift);
            }
            misses = if any { 0 } else { misses + 1 };
        }
        Ok(())
    }

    /// The pieces to be asked for next: of the longest runs of open ones the last, the first, and the middles of what was
    /// not probed between.
    fn probes(&mut self) -> Vec<u32> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for piece in &self.open {
            match runs.last_mut() {
                // A piece that was probed in vain parts a run.
                Some((_, end)) if *end == *piece && !self.probed.contains(piece) => *end += 1,
                _ if self.probed.contains(piece) => {}
                _ => runs.push((*piece, piece + 1)),
            }
        }
        runs.sort_by_key(|(start, end)| (std::cmp::Reverse(end - start), *start));
        let mut probes = BTreeSet::new();
        for (start, end) in runs {
            for piece in [end - 1, start, start + (end - start) / 2] {
                if probes.len() < PROBES {
                    probes.insert(piece);
                }
            }
        }
        self.probed.extend(&probes);
        probes.into_iter().collect()
    }

    /// Where the needles stand in the old file: pieces, and how far behind they are in the new one.
    fn places(&self, needles: Vec<Needle>) -> io::Result<Vec<(u32, i64)>> {
        let mut places = Vec::new();
        let mut sought = Vec::new();
        for needle in needles {
            let mut known = std::iter::once(&0).chain(&self.shifts);
            // Bytes that stand at the piece's own place: something else in it was changed, where it is.
            match known.find(|shift| self.stands_at(&needle, **shift)) {
                Some(0) => {}
                Some(shift) => places.push((needle.piece, *shift)),
                None => sought.push(needle),
            }
        }
        let mut found = vec![0; sought.len()];
        self.scan(&sought, |of, at| {
            if found[of] < PLACES_MAX {
                found[of] += 1;
                let needle = &sought[of];
                places.push((needle.piece, needle.at.cast_signed() - at.cast_signed()));
            }
        })?;
        Ok(places)
    }

    fn stands_at(&self, needle: &Needle, shift: i64) -> bool {
        let mut there = [0; NEEDLE];
        let at = needle.at.checked_add_signed(-shift);
        let read = at.is_some_and(|at| self.old.read_exact_at(&mut there, at).is_ok());
        read && there == needle.bytes
    }

    /// Searches the old file from its first byte to its last.
    fn scan(&self, sought: &[Needle], mut hit: impl FnMut(usize, u64)) -> io::Result<()> {
        if sought.is_empty() {
            return Ok(());
        }
        let table = gear_table();
        let hash = |bytes: &[u8]| bytes.iter().fold(0, |hash, byte| roll(&table, hash, *byte));
        let hashes: Vec<u64> = sought.iter().map(|needle| hash(&needle.bytes)).collect();
        let mut may = vec![false; 1 << 16];
        for hash in &hashes {
            may[(hash >> 48) as usize] = true;
        }
        let mut buffer = vec![0; PIECE as usize];
        let (mut at, mut rolled) = (0, 0);
        while at < self.old_size {
            let read = self.old.read_at(&mut buffer, at)?;
            if read == 0 {
                break;
            }
            for (i, byte) in buffer[..read].iter().enumerate() {
                rolled = roll(&table, rolled, *byte);
                if !may[(rolled >> 48) as usize] {
                    continue;
                }
                let Some(start) = (at + i as u64 + 1).checked_sub(NEEDLE as u64) else {
                    continue;
                };
                for (of, _) in hashes
                    .iter()
                    .enumerate()
                    .filter(|(_, hash)| **hash == rolled)
                {
                    // Twice the same 64 bits are the same bytes, or are found not to be by the piece's value.
                    hit(of, start);
                }
            }
            at += read as u64;
        }
        Ok(())
    }

    /// Tries a shift that gave one piece on all that are open. False where no more is to be looked for.
    fn take(&mut self, shift: i64, finder: &mut impl Finder) -> io::Result<bool> {
        for piece in self.open.iter().copied().collect::<Vec<_>>() {
            if self.is_shifted(piece, shift)? {
                let from = (u64::from(piece) * PIECE).saturating_add_signed(-shift);
                self.open.remove(&piece);
                if !finder.found(piece, from)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether a piece stands in the old file with this shift.
    fn is_shifted(&mut self, piece: u32, shift: i64) -> io::Result<bool> {
        let bytes = pieces::len(self.size, piece);
        let from = (u64::from(piece) * PIECE).checked_add_signed(-shift);
        let Some(from) = from.filter(|from| from.saturating_add(bytes) <= self.old_size) else {
            return Ok(false);
        };
        self.buffer.resize(bytes as usize, 0);
        self.old.read_exact_at(&mut self.buffer, from)?;
        let mut hasher = PieceHasher::new(piece);
        hasher.update(&self.buffer);
        Ok(hasher.value() == self.values[piece as usize])
    }
}

/// The part of a sample that tells most; `None` where all of it looks like anything else.
fn needle(piece: u32, sample: &[u8]) -> Option<Needle> {
    let distinct = |bytes: &[u8]| {
        let mut seen = [false; 256];
        for byte in bytes {
            seen[usize::from(*byte)] = true;
        }
        seen.iter().filter(|seen| **seen).count()
    };
    let windows = sample.chunks_exact(NEEDLE).enumerate();
    let best = windows.max_by_key(|(at, bytes)| (distinct(bytes), std::cmp::Reverse(*at)));
    let (at, bytes) = best.filter(|(_, bytes)| distinct(bytes) >= DISTINCT_MIN)?;
    Some(Needle {
        piece,
        at: u64::from(piece) * PIECE + (at * NEEDLE) as u64,
        bytes: bytes.try_into().ok()?,
    })
}

/// A gear hash: what came 64 bytes ago has left it.
fn roll(table: &[u64; 256], hash: u64, byte: u8) -> u64 {
    (hash << 1).wrapping_add(table[usize::from(byte)])
}

/// A random number for each byte; any will do.
fn gear_table() -> [u64; 256] {
    let mut random = fastrand::Rng::with_seed(0x6765_6172);
    std::array::from_fn(|_| random.u64(..))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A server's file, and which pieces of it were found where.
    struct Server<'a> {
        new: &'a [u8],
        found: Vec<(u32, u64)>,
        asked: usize,
    }

    impl Finder for Server<'_> {
        fn samples(&mut self, pieces: &[u32]) -> Option<Vec<Vec<u8>>> {
            self.asked += pieces.len();
            let sample = |piece: &u32| {
                let rest = &self.new[*piece as usize * PIECE as usize..];
                rest[..rest.len().min(SAMPLE as usize)].to_vec()
            };
            Some(pieces.iter().map(sample).collect())
        }

        fn found(&mut self, piece: u32, from: u64) -> io::Result<bool> {
            self.found.push((piece, from));
            Ok(true)
        }
    }

    fn random(seed: u64, mib: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..))
            .take(mib << 20)
            .collect()
    }

    /// Looks for every piece of `new` in `old`: which were found, and how many were asked for.
    fn look(old: &[u8], new: &[u8]) -> (Vec<(u32, u64)>, usize) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(old).unwrap();
        let size = new.len() as u64;
        let value = |piece: u32| {
            let mut hasher = PieceHasher::new(piece);
            let at = piece as usize * PIECE as usize;
            hasher.update(&new[at..at + pieces::len(size, piece) as usize]);
            hasher.value()
        };
        let open: Vec<u32> = (0..pieces::count(size)).collect();
        let values: Vec<_> = open.iter().map(|piece| value(*piece)).collect();
        let mut server = Server {
            new,
            found: Vec::new(),
            asked: 0,
        };
        let search = Search::new(&file, size, &values, &open).unwrap();
        search.run(&mut server).unwrap();
        server.found.sort_unstable();
        (server.found, server.asked)
    }

    #[test]
    fn moved_pieces_are_found_wherever_they_stand() {
        const MIB: u64 = PIECE;
        let old = random(1, 6);
        let at = |mib: usize| mib << 20;
        let cut = &old[at(2)..];
        assert_eq!(
            look(&old, cut).0,
            [(0, 2 * MIB), (1, 3 * MIB), (2, 4 * MIB), (3, 5 * MIB)]
        );
        // A byte at the front moves all: what is whole behind it is found.
        let one = [b"x", &old[..]].concat();
        let found: Vec<_> = (1..7)
            .map(|piece| (piece, u64::from(piece) * MIB - 1))
            .collect();
        assert_eq!(look(&old, &one).0, found);
        // Two insertions, a change and an exchange.
        let mut new = [
            &old[..at(1)],
            &random(2, 1),
            &old[at(1)..at(3)],
            &random(3, 1),
            &old[at(3)..],
        ]
        .concat();
        new[at(6) + 9] ^= 1;
        let found = look(&old, &new).0;
        assert_eq!(
            found.iter().map(|(piece, _)| *piece).collect::<Vec<_>>(),
            [2, 3, 5, 7]
        );
        let swapped = [&old[at(3)..], &old[..at(3)]].concat();
        assert_eq!(look(&old, &swapped).0.len(), 6);
    }

    #[test]
    fn what_is_nowhere_is_given_up_soon() {
        let old = random(1, 3);
        let (found, asked) = look(&old, &random(2, 20));
        assert!(found.is_empty() && asked <= 2 * PROBES, "{asked}");
        // Zeros stand everywhere, and nothing is searched for them; what was changed in place stands where it was.
        assert_eq!(look(&old, &vec![0; 4 << 20]).0, []);
        let mut touched = old.clone();
        (0..3).for_each(|mib| touched[(mib << 20) + 5000] ^= 1);
        assert_eq!(look(&old, &touched).0, []);
        assert_eq!(look(b"short", &old).0, []);
    }
}
