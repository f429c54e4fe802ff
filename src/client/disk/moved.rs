//! Content of a new file that stands elsewhere in the old one.
//!
//! A piece's value depends on where the piece lies in its file (BLAKE3 counts chunks), so that a table of the server's
//! values says nothing of other places. So a few differing pieces are *probed*: some bytes of each are asked of the server
//! and searched in the old file. They may begin at any byte there: wherever that is, some of the windows that are looked at
//! in the old file, one in 128 bytes, lie within them. Each place that they are found at is a *shift*. Every piece that is still
//! open is then hashed as it would be with that shift, and held against its value: only that makes a piece the server's.

use std::{collections::BTreeSet, fs::File, io, os::unix::fs::FileExt as _};

use crate::pieces::{self, PIECE, PieceHasher, Value};

/// Bytes of a piece's beginning that are asked of the server.
pub const SAMPLE: u64 = 1024;
/// Pieces that are probed at once.
const PROBES: usize = 16;
/// Bytes of a window, and from one that is looked at in the old file to the next.
const WINDOW: usize = 64;
const STRIDE: usize = 128;
/// Different byte values in a window, at least: zeros stand everywhere.
const DISTINCT_MIN: usize = 8;
/// Times that the old file is searched, and those in a row that find nothing before it is given up.
const ROUNDS_MAX: u32 = 8;
const MISSES_MAX: u32 = 2;
/// Places where one needle is found that are tried, and shifts that gave a piece.
const PLACES_MAX: usize = 4;
/// Places that are looked at for one of them because a window of it stands there.
const TRIED_MAX: u32 = 1000;
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

/// The beginning of a piece, which is searched for.
struct Needle {
    piece: u32,
    bytes: Vec<u8>,
}

impl Needle {
    fn start(&self) -> u64 {
        u64::from(self.piece) * PIECE
    }
}

/// The windows of all needles, by their hashes: which needle, and where in it.
struct Windows {
    /// In order.
    hashes: Vec<(u64, usize, usize)>,
    /// Whether there may be a hash that begins with these bits.
    may: Vec<bool>,
}

impl Windows {
    const BITS: u32 = 18;

    fn of(needles: &[Needle]) -> Self {
        let mut hashes = Vec::new();
        for (of, needle) in needles.iter().enumerate() {
            let windows = needle.bytes.windows(WINDOW).enumerate();
            let telling = windows.filter(|(_, window)| tells(window));
            hashes.extend(telling.map(|(at, window)| (hash(window), of, at)));
        }
        hashes.sort_unstable();
        let mut may = vec![false; 1 << Self::BITS];
        for (hash, ..) in &hashes {
            may[Self::first_bits(*hash)] = true;
        }
        Self { hashes, may }
    }

    fn first_bits(hash: u64) -> usize {
        (hash >> (u64::BITS - Self::BITS)) as usize
    }

    /// The needles that hold a window of this hash, and where.
    fn with(&self, hash: u64) -> impl Iterator<Item = (usize, usize)> {
        let from = if self.may[Self::first_bits(hash)] {
            self.hashes.partition_point(|(other, ..)| *other < hash)
        } else {
            self.hashes.len()
        };
        let its = self.hashes[from..].iter();
        let its = its.take_while(move |(other, ..)| *other == hash);
        its.map(|(_, of, at)| (*of, *at))
    }
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
        let mut found: Vec<(u32, Vec<i64>)> = vec![(0, Vec::new()); sought.len()];
        self.scan(&sought, |of, shift| {
            let (tried, shifts) = &mut found[of];
            let more = *tried < TRIED_MAX && shifts.len() < PLACES_MAX;
            if more && !shifts.contains(&shift) {
                *tried += 1;
                if self.stands_at(&sought[of], shift) {
                    shifts.push(shift);
                }
            }
        })?;
        for (needle, (_, shifts)) in sought.iter().zip(found) {
            places.extend(shifts.into_iter().map(|shift| (needle.piece, shift)));
        }
        Ok(places)
    }

    fn stands_at(&self, needle: &Needle, shift: i64) -> bool {
        let mut there = vec![0; needle.bytes.len()];
        let at = needle.start().checked_add_signed(-shift);
        let read = at.is_some_and(|at| self.old.read_exact_at(&mut there, at).is_ok());
        read && there == needle.bytes
    }

    /// Searches the old file from its first byte to its last: where a window of a needle stands, and how far behind the needle
    /// is in the new one then.
    fn scan(&self, sought: &[Needle], mut hit: impl FnMut(usize, i64)) -> io::Result<()> {
        let windows = Windows::of(sought);
        if windows.hashes.is_empty() {
            return Ok(());
        }
        let mut buffer = vec![0; PIECE as usize];
        let mut at = 0;
        while at < self.old_size {
            let room = (self.old_size - at).min(PIECE) as usize;
            match self.old.read_exact_at(&mut buffer[..room], at) {
                Ok(()) => {}
                // It was cut meanwhile.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
            for (nth, window) in buffer[..room].chunks(STRIDE).enumerate() {
                let Some(window) = window.get(..WINDOW) else {
                    continue;
                };
                for (of, within) in windows.with(hash(window)) {
                    let stands = at + (nth * STRIDE) as u64;
                    let in_new = sought[of].start() + within as u64;
                    hit(of, in_new.cast_signed() - stands.cast_signed());
                }
            }
            at += room as u64;
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

/// A sample that can be searched for; `None` where all of it looks like anything else.
fn needle(piece: u32, sample: &[u8]) -> Option<Needle> {
    let any = sample.windows(WINDOW).any(tells);
    any.then(|| Needle {
        piece,
        bytes: sample.to_vec(),
    })
}

/// Whether bytes look like nothing else.
fn tells(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in bytes {
        seen[usize::from(*byte)] = true;
    }
    seen.iter().filter(|seen| **seen).count() >= DISTINCT_MIN
}

/// A hash of a window, whose first bits are as good as its others. Whoever makes contents that collide makes a search slow,
/// and no more: what is found is compared.
fn hash(window: &[u8]) -> u64 {
    let (words, _) = window.as_chunks::<8>();
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 32;
    }
    hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}

#[cfg(test)]
mod tests;
