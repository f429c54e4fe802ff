//! The file on disk that a transfer grows in, until it has its final name.

use std::{
    fs::File,
    io,
    ops::Range,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{journal::Claim, names::part_name, target::Target};
use crate::{
    client::{Error, facts::Facts, task::FileTask},
    pieces,
    sys::disk,
};

/// A part, or a whole file that is compared.
#[derive(Debug)]
pub struct Part {
    /// Keeps other transfers off it; released before the handle, since its inode may be used again after that.
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub claim: Option<Claim>,
    /// Its handle, for reading and writing.
    pub file: File,
    /// The directory that it lies in.
    pub dir: OwnedFd,
    /// Its name there.
    pub name: Vec<u8>,
    /// The file that has its final name now: what is equal in it is copied rather than fetched.
    pub old: Option<Old>,
    /// Bytes that an earlier run left in it, or that the old file may give; 0 for none.
    pub left: u64,
    /// Pieces in it that the journal vouches for, or a Metalink's digests, where the server cannot.
    pub known: Vec<Range<u32>>,
}

/// A file that a part takes equal pieces from.
#[derive(Debug)]
pub struct Old {
    /// Its handle, for reading.
    pub file: File,
    /// Whether nothing was written to the part before.
    pub fresh: bool,
}

impl Target {
    /// A file for what is to land as `name`: without a name, or where there is no such thing a part under the first name that is
    /// free.
    pub(super) fn new_file(
        &self,
        dir: &OwnedFd,
        name: &[u8],
    ) -> io::Result<(File, Option<Vec<u8>>)> {
        if let Some(file) = disk::nameless_file(dir.as_fd())? {
            return Ok((file, None));
        }
        let names = (0..=1000).map(|turn| part_name(name, turn));
        for part in names.filter(|name| !self.is_reserved(dir.as_fd(), name)) {
            match disk::new_file(dir.as_fd(), &part) {
                Ok(file) => return Ok((file, Some(part))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// A part that is open, and what landing it needs.
#[derive(Debug)]
pub struct OpenPart {
    /// The part.
    pub part: Part,
    /// Where it lands.
    pub target: Arc<Target>,
    /// What is fetched.
    pub task: FileTask,
    /// What the first answer told.
    pub facts: Facts,
    /// It is a whole file under its final name, and only compared.
    pub compares: bool,
    /// When its first request was sent.
    pub began: std::time::Instant,
    /// Held from the question whether a piece is still wanted until its bytes are in the part: a stale write cannot
    /// reach a piece that was judged meanwhile. File systems write one inode's bytes one after the other anyway.
    writes: Mutex<()>,
}

impl OpenPart {
    /// A part, and what it is for.
    pub fn new(part: Part, target: Arc<Target>, task: FileTask, facts: Facts) -> Self {
        Self {
            part,
            target,
            task,
            facts,
            compares: false,
            began: std::time::Instant::now(),
            writes: Mutex::new(()),
        }
    }

    /// The right to write; see the field.
    pub fn write_guard(&self) -> WriteGuard<'_> {
        let held = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        WriteGuard { part: self, held }
    }

    /// Bytes that are in it.
    pub fn read(&self, at: u64, bytes: usize) -> Result<Vec<u8>, Error> {
        let mut read = Vec::new();
        self.read_into(at, bytes, &mut read)?;
        Ok(read)
    }

    /// The same, into a buffer that is used again.
    pub fn read_into(&self, at: u64, bytes: usize, into: &mut Vec<u8>) -> Result<(), Error> {
        into.resize(bytes, 0);
        let there = self.part.file.read_exact_at(into, at);
        there.map_err(|error| Error::disk(self.path(), &error))
    }

    /// Whether something was ever written to a piece, as far as the file system tells.
    pub fn has_some(&self, piece: u32) -> bool {
        let at = u64::from(piece) * pieces::PIECE;
        let end = at + pieces::len(self.facts.size, piece);
        !disk::is_hole(&self.part.file, at, end)
    }

    /// Where it is, for messages.
    pub fn path(&self) -> PathBuf {
        self.target.local(&self.task.path.parent(), &self.part.name)
    }
}

/// Whoever holds it is the only one to write to the part.
#[derive(Debug)]
pub struct WriteGuard<'a> {
    part: &'a OpenPart,
    #[expect(dead_code, reason = "it is there to be held")]
    held: MutexGuard<'a, ()>,
}

impl WriteGuard<'_> {
    /// Writes bytes where they belong.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let written = self.part.part.file.write_all_at(bytes, at);
        written.map_err(|error| Error::disk(self.part.path(), &error))
    }
}

#[cfg(test)]
impl OpenPart {
    /// A part of `/x`, `size` bytes of which nothing was written, in a directory of its own.
    pub(super) fn empty(size: u64) -> (tempfile::TempDir, Self) {
        let temp = tempfile::tempdir().unwrap();
        let target = Target::open(temp.path(), crate::config::OnConflict::Verify).unwrap();
        let file = disk::new_file(target.handle(), b"x.part").unwrap();
        file.set_len(size).unwrap();
        let part = Part {
            claim: None,
            file,
            dir: target.handle().try_clone_to_owned().unwrap(),
            name: b"x.part".to_vec(),
            old: None,
            left: 0,
            known: Vec::new(),
        };
        let path = crate::http1::path::RemotePath::from_target(b"/x").unwrap();
        let task = FileTask::new(crate::client::ItemId::default(), path);
        let facts = Facts {
            size,
            ..Facts::default()
        };
        (temp, Self::new(part, Arc::new(target), task, facts))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    use super::*;

    /// A writer that has asked whether its piece is wanted, and is slow to write it, and one that judges the piece.
    #[test]
    fn no_write_reaches_a_piece_that_was_judged() {
        let (_temp, part) = OpenPart::empty(0);
        let asked = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let guard = part.write_guard();
                // It was still wanted here.
                asked.store(true, Ordering::SeqCst);
                // Time enough for the other one, if the guard did not hold it back.
                std::thread::sleep(Duration::from_millis(20));
                guard.write(0, b"stale").unwrap();
            });
            while !asked.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            part.write_guard().write(0, b"right").unwrap();
        });
        assert_eq!(part.read(0, 5).unwrap(), b"right");
    }
}
