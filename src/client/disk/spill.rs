//! Entries of a directory that are too many to be remembered at once: they wait in a file without a name.
//!
//! A listing is read to its end at the server's speed, however slowly its files are fetched: a listing that is held
//! back holds a connection, and servers close connections that nobody reads from.

use std::{
    fs::File,
    io,
    os::{fd::BorrowedFd, unix::fs::FileExt},
    time::{Duration, SystemTime},
};

use crate::{entry::Entry, sys::disk};

/// Entries on disk, in blocks, in the order in which they came. The file goes when this is dropped, or the process.
#[derive(Debug)]
pub struct Spill {
    file: File,
    /// Where the next block is written, and where the next one is read.
    end: u64,
    next: u64,
}

/// A block that was read.
#[derive(Debug)]
pub struct Block {
    /// What was pushed together.
    pub entries: Vec<Entry>,
    after: u64,
}

impl Spill {
    /// Makes a file on the file system of `dir`. Blocking.
    pub fn new(dir: BorrowedFd<'_>) -> io::Result<Self> {
        let file = match disk::nameless_file(dir)? {
            Some(file) => file,
            None => disk::removed_file(dir)?,
        };
        Ok(Self {
            file,
            end: 0,
            next: 0,
        })
    }

    /// Adds a block at the end. Blocking.
    pub fn push(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut block = vec![0; 8];
        for entry in entries {
            write_entry(&mut block, entry);
        }
        let length = block.len() as u64 - 8;
        block[..8].copy_from_slice(&length.to_le_bytes());
        self.file.write_all_at(&block, self.end)?;
        self.end += block.len() as u64;
        Ok(())
    }

    /// Reads the first block that was not used up; `None` behind the last. Blocking.
    pub fn read(&self) -> io::Result<Option<Block>> {
        if self.next == self.end {
            return Ok(None);
        }
        let mut length = [0; 8];
        self.file.read_exact_at(&mut length, self.next)?;
        let length = u64::from_le_bytes(length);
        let after = self.next + 8 + length;
        if after > self.end {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut block = vec![0; length as usize];
        self.file.read_exact_at(&mut block, self.next + 8)?;
        let mut rest = block.as_slice();
        let mut entries = Vec::new();
        while !rest.is_empty() {
            entries.push(read_entry(&mut rest).ok_or(io::ErrorKind::InvalidData)?);
        }
        Ok(Some(Block { entries, after }))
    }

    /// The block that was read is used up.
    pub fn advance(&mut self, block: &Block) {
        self.next = block.after;
    }

    /// Whether every block was used up.
    pub fn is_empty(&self) -> bool {
        self.next == self.end
    }
}

/// Which of an entry's fields are there.
const DIR: u8 = 1;
const SIZE: u8 = 2;
const MODIFIED: u8 = 4;
const BLAKE3: u8 = 8;

fn write_entry(block: &mut Vec<u8>, entry: &Entry) {
    let since = entry
        .modified
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let mut flags = 0;
    for (flag, is_there) in [
        (DIR, entry.is_dir),
        (SIZE, entry.size.is_some()),
        (MODIFIED, since.is_some()),
        (BLAKE3, entry.blake3.is_some()),
    ] {
        flags |= if is_there { flag } else { 0 };
    }
    block.push(flags);
    block.extend((entry.name.len() as u32).to_le_bytes());
    block.extend(&entry.name);
    block.extend(entry.size.into_iter().flat_map(u64::to_le_bytes));
    if let Some(since) = since {
        block.extend(since.as_secs().to_le_bytes());
        block.extend(since.subsec_nanos().to_le_bytes());
    }
    if let Some(hash) = entry.blake3 {
        block.extend(hash.as_bytes());
    }
}

fn read_entry(rest: &mut &[u8]) -> Option<Entry> {
    let [flags] = take(rest)?;
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let (name, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    let mut entry = Entry {
        name: name.to_vec(),
        is_dir: flags & DIR != 0,
        size: None,
        modified: None,
        blake3: None,
    };
    if flags & SIZE != 0 {
        entry.size = Some(u64::from_le_bytes(take(rest)?));
    }
    if flags & MODIFIED != 0 {
        let seconds = u64::from_le_bytes(take(rest)?);
        let since = Duration::new(seconds, u32::from_le_bytes(take(rest)?));
        entry.modified = SystemTime::UNIX_EPOCH.checked_add(since);
    }
    if flags & BLAKE3 != 0 {
        entry.blake3 = Some(blake3::Hash::from_bytes(take(rest)?));
    }
    Some(entry)
}

/// The next `N` bytes; `None` where there are fewer.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn entry(name: &[u8]) -> Entry {
        Entry {
            name: name.to_vec(),
            is_dir: false,
            size: None,
            modified: None,
            blake3: None,
        }
    }

    #[test]
    fn entries_come_back_as_they_were_and_in_order() {
        let temp = tempfile::tempdir().unwrap();
        let dir = disk::open_dir(temp.path()).unwrap();
        let first = [
            entry(b"\xff\n"),
            Entry {
                is_dir: true,
                ..entry(b"dir")
            },
            Entry {
                size: Some(u64::MAX),
                modified: Some(SystemTime::UNIX_EPOCH + Duration::new(9, 87)),
                blake3: Some(blake3::hash(b"x")),
                ..entry(b"all")
            },
        ];
        let second = [Entry {
            size: Some(0),
            ..entry(b"empty")
        }];
        for mut spill in [
            Spill::new(dir.as_fd()).unwrap(),
            Spill {
                file: disk::removed_file(dir.as_fd()).unwrap(),
                end: 0,
                next: 0,
            },
        ] {
            assert!(spill.is_empty());
            spill.push(&first).unwrap();
            spill.push(&second).unwrap();
            let block = spill.read().unwrap().unwrap();
            assert_eq!(block.entries, first);
            // What was not used up is read again.
            assert_eq!(spill.read().unwrap().unwrap().entries, first);
            spill.advance(&block);
            let block = spill.read().unwrap().unwrap();
            assert_eq!(block.entries, second);
            spill.advance(&block);
            assert!(spill.is_empty());
            assert!(spill.read().unwrap().is_none());
        }
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }
}
