//! A tree as a tar file (POSIX.1-2001 pax), made while it is sent: nothing is written aside, and only the next members
//! are held in memory.
//!
//! A member's size is that of its open file. Whatever does not fit into a member's plain header goes into a pax header
//! before it: names that are long or not ASCII, sizes from 8 GiB on, dates that need more than 33 bits. Names are raw
//! bytes there too: `hdrcharset=BINARY` would say so, but GNU tar warns of it.

use std::{io, sync::Arc, time::Instant};

use crate::server::{
    people::taken::SmallFile,
    respond::{
        chunks::{CHUNK, Chunk, Chunks, Next},
        link::{Link, Stop},
    },
    tree::walk::Walk,
    tree::{
        catalog::{Catalog, blocking, is_gone},
        found::{Found, FoundFile, Since},
        stamp::Stamp,
    },
    work::Place,
};
use crate::{escape::display_name, exit::reason, http1::path::RemotePath};

/// The media type of a tar file.
pub const MEDIA_TYPE: &str = "application/x-tar";

/// Headers and contents are padded to this, in bytes.
const BLOCK: usize = 512;
/// Files up to this size are read into the buffer; larger ones leave by themselves, in bytes.
const INLINE: u64 = 32 * 1024;
/// How often a small file that changes while it is read is tried again.
const ATTEMPTS: usize = 3;
/// What the size field holds at most: eleven octal digits.
const MAX_SIZE: u64 = 0o777_7777_7777;

/// A tar file on its way out.
pub struct Tar {
    catalog: Arc<Catalog>,
    walk: Walk,
    /// What stands before each member's name is cut off: the directory's parent.
    base: RemotePath,
    /// Zeros that are due behind the file that was sent by itself.
    padding: usize,
    /// Files that could not be read.
    left_out: u64,
}

/// A tar file as a body: members from a buffer, large files straight from the disk.
pub struct Sent {
    /// Away only while a thread works on it.
    tar: Option<Tar>,
    place: Place,
    /// What follows the bytes that were handed out.
    due: Option<Step>,
}

impl Sent {
    /// Reads the tree in turns of `place`.
    pub fn new(tar: Tar, place: Place) -> Self {
        Self {
            tar: Some(tar),
            place,
            due: None,
        }
    }

    async fn more(&mut self, link: Link<'_>, small: &mut Vec<SmallFile>) -> Result<Chunk, Stop> {
        match self.due.take() {
            Some(Step::File(path, found)) => return Ok(Chunk::File(path, found)),
            Some(Step::End { complete: true }) => return Ok(Chunk::End),
            Some(Step::End { complete: false }) => {
                // So a client learns that what it has is not everything.
                let why = "some files of the tree could not be read";
                return Err(Stop::Incomplete(why));
            }
            Some(Step::More) | None => {}
        }
        let Some(mut tar) = self.tar.take() else {
            return Ok(Chunk::End);
        };
        let turn = link.turn(&self.place).await?;
        let mut files = std::mem::take(small);
        let filled = blocking(move || {
            let _turn = turn;
            let mut bytes = Vec::new();
            let step = tar.fill(&mut bytes, &mut files, CHUNK)?;
            Ok((tar, bytes, files, step))
        });
        let (tar, bytes, files, step) = link.asked(self.place.mount(), filled).await?;
        (self.tar, *small, self.due) = (Some(tar), files, Some(step));
        Ok(Chunk::Bytes(bytes))
    }
}

impl Chunks for Sent {
    fn next<'a>(&'a mut self, link: Link<'a>, small: &'a mut Vec<SmallFile>) -> Next<'a> {
        Box::pin(self.more(link, small))
    }
}

/// What follows the bytes of one [`Tar::fill`].
pub enum Step {
    /// More of them.
    More,
    /// This file's content.
    File(RemotePath, FoundFile),
    /// Nothing; `complete` says whether everything could be read.
    End {
        /// Nothing was left out.
        complete: bool,
    },
}

impl Tar {
    /// Begins the tar of what `walk` finds below `dir`; `own` is the directory's own stamp.
    ///
    /// Members lie in a directory of its name, so that unpacking does not strew them about; the root's have none.
    pub fn begin(
        catalog: Arc<Catalog>,
        walk: Walk,
        dir: &RemotePath,
        own: &Stamp,
        out: &mut Vec<u8>,
    ) -> Self {
        let base = dir.parent();
        if let Some(name) = dir.below(&base).filter(|name| !name.is_root()) {
            header(out, &name, 0, own);
        }
        Self {
            catalog,
            walk,
            base,
            padding: 0,
            left_out: 0,
        }
    }

    /// Appends members until `out` holds `target` bytes or a file comes that leaves by itself. Blocks on the disk.
    pub fn fill(
        &mut self,
        out: &mut Vec<u8>,
        small: &mut Vec<SmallFile>,
        target: usize,
    ) -> io::Result<Step> {
        pad(out, std::mem::take(&mut self.padding));
        while out.len() < target {
            let Some((path, listed)) = self.walk.next()? else {
                // Two empty blocks end a tar file.
                pad(out, 2 * BLOCK);
                let complete = self.left_out + self.walk.unreadable() == 0;
                return Ok(Step::End { complete });
            };
            let Some(name) = path.below(&self.base) else {
                continue;
            };
            if listed.entry.is_dir {
                header(out, &name, 0, &listed.stamp);
                continue;
            }
            match self.member(out, small, &name, &path) {
                Ok(Some(found)) => return Ok(Step::File(path, found)),
                Ok(None) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    self.left_out += 1;
                    tracing::warn!(
                        "left out of a tar: {}: {}",
                        display_name(path.as_bytes()),
                        reason(&error)
                    );
                }
            }
        }
        Ok(Step::More)
    }

    /// Appends a small file, or only the header of a larger one, which is returned.
    fn member(
        &mut self,
        out: &mut Vec<u8>,
        small: &mut Vec<SmallFile>,
        name: &RemotePath,
        path: &RemotePath,
    ) -> io::Result<Option<FoundFile>> {
        let started = Instant::now();
        let before = out.len();
        for _ in 0..ATTEMPTS {
            let Found::File(found) = self.catalog.find_blocking(path)? else {
                return Ok(None);
            };
            let size = found.stamp.size;
            header(out, name, size, &found.stamp);
            if size > INLINE {
                self.padding = padding(size);
                return Ok(Some(found));
            }
            let read = append(&found, out);
            if matches!(read, Ok(true)) {
                pad(out, padding(size));
                small.push(SmallFile {
                    path: path.clone(),
                    size,
                    started,
                });
                return Ok(None);
            }
            // Nothing of it has left yet.
            out.truncate(before);
            read?;
        }
        Err(io::Error::other("it keeps changing"))
    }
}

/// Reads a whole file to the end of `out`; returns whether it stayed as it was.
fn append(found: &FoundFile, out: &mut Vec<u8>) -> io::Result<bool> {
    let (start, size) = (out.len(), found.stamp.size as usize);
    out.resize(start + size, 0);
    let mut filled = 0;
    while filled < size {
        match rustix::io::pread(&found.file, &mut out[start + filled..], filled as u64)? {
            0 => return Ok(false),
            read => filled += read,
        }
    }
    Ok(found.since() != Since::Changed)
}

fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK as u64) - size) as usize
}

fn pad(out: &mut Vec<u8>, zeros: usize) {
    out.resize(out.len() + zeros, 0);
}

/// Writes a member's header, with a pax header before it where one is needed. A directory's name ends with a slash.
fn header(out: &mut Vec<u8>, name: &RemotePath, size: u64, stamp: &Stamp) {
    let bytes = name.as_bytes();
    let is_dir = name.is_dir();
    let modified = stamp.modified_seconds();
    let date = u64::try_from(modified)
        .ok()
        .filter(|date| *date <= MAX_SIZE);
    let mut records = Vec::new();
    if bytes.len() > 100 || !bytes.is_ascii() {
        record(&mut records, b"path", bytes);
    }
    if size > MAX_SIZE {
        record(&mut records, b"size", size.to_string().as_bytes());
    }
    if date.is_none() {
        record(&mut records, b"mtime", modified.to_string().as_bytes());
    }
    if !records.is_empty() {
        let len = records.len() as u64;
        block(out, b"PaxHeader", len, 0o644, date.unwrap_or(0), b'x');
        out.extend_from_slice(&records);
        pad(out, padding(len));
    }
    let size = if size > MAX_SIZE { 0 } else { size };
    let kind = if is_dir { b'5' } else { b'0' };
    let mode = stamp.mode & 0o777;
    block(out, bytes, size, mode, date.unwrap_or(0), kind);
}

/// A pax record: its own length in decimal digits, a key and a value.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest;
    // The length counts its own digits.
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(len.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        out.extend_from_slice(part);
    }
}

/// One ustar header. Owner and group stay 0 and nameless: whoever unpacks it owns the files.
fn block(out: &mut Vec<u8>, name: &[u8], size: u64, mode: u32, date: u64, kind: u8) {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name[..name.len().min(100)]);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{date:011o}").as_bytes());
    // The sum is taken with blanks in its own place.
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    out.extend_from_slice(&block);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        let temp = tempfile::tempfile().unwrap();
        Stamp::of(&rustix::fs::fstat(&temp).unwrap())
    }

    fn written(name: &[u8], size: u64) -> Vec<u8> {
        let mut path = RemotePath::root();
        for part in name.split(|b| *b == b'/') {
            path.push(part).unwrap();
        }
        let mut out = Vec::new();
        header(&mut out, &path, size, &stamp());
        assert!(out.len().is_multiple_of(BLOCK));
        out
    }

    #[test]
    fn plain_members_have_one_header() {
        let out = written(b"a/b.txt", 5);
        assert_eq!(out.len(), BLOCK);
        assert!(out.starts_with(b"a/b.txt\0"));
        assert_eq!(&out[124..136], b"00000000005\0");
        assert_eq!(
            (&out[257..265], out[156]),
            (b"ustar\x0000".as_slice(), b'0')
        );
        assert_eq!(written(&[b'a'; 100], MAX_SIZE).len(), BLOCK);
    }

    #[test]
    fn what_does_not_fit_goes_before_it() {
        let long = vec![b'a'; 101];
        let records = |name: &[u8], size: u64| {
            let out = written(name, size);
            assert_eq!(out[156], b'x');
            let len = u64::from_str_radix(std::str::from_utf8(&out[124..135]).unwrap(), 8);
            out[BLOCK..][..len.unwrap() as usize].to_vec()
        };
        assert_eq!(records(&long, 0), [b"111 path=", &long[..], b"\n"].concat());
        assert_eq!(records("ü".as_bytes(), 0), "11 path=ü\n".as_bytes());
        assert_eq!(records(b"\xff", 0), b"9 path=\xff\n");
        assert_eq!(records(b"x", MAX_SIZE + 1), b"19 size=8589934592\n");
    }

    #[test]
    fn a_record_counts_its_own_digits() {
        for value in 0..2000 {
            let mut out = Vec::new();
            record(&mut out, b"path", &vec![b'a'; value]);
            let digits = out.iter().position(|b| *b == b' ').unwrap();
            let len: usize = std::str::from_utf8(&out[..digits])
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(len, out.len());
        }
    }
}
