//! Parts on disk: ours to go on with, or new ones.

use std::{
    fs::File,
    io,
    ops::Range,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use rustix::{fs::OFlags, io::Errno};

use super::{Engine, blocking::blocking, lock};
use crate::{
    client::{
        Error,
        disk::journal::{Claim, Content, FileId},
        disk::part::{Old, OpenPart, Part},
        disk::{
            names::{Local, part_name},
            target::Target,
        },
        facts::Facts,
        schedule::Schedule,
        task::FileTask,
    },
    http1::path::RemotePath,
    pieces::PIECE,
    sys::disk,
};

/// The largest file: pieces are counted in 32 bits.
const SIZE_MAX: u64 = u32::MAX as u64 * PIECE;

/// Names that are tried for a part before giving up on finding a free one.
const PART_TURNS: u32 = 1000;

/// Names in a row that are free, behind which a part that was left is still looked for: of several, each lands by itself.
const GAP_MAX: u32 = 3;

/// How long connections may take to let go of a part that was given up.
const LET_GO: Duration = Duration::from_secs(2);

/// What of a part that an earlier run left is worth keeping.
#[derive(Debug)]
pub enum Keep {
    /// Nothing: it is started afresh.
    Nothing,
    /// Everything, to be held against the values or digests of its pieces.
    All,
    /// What the journal vouches for, of this content.
    Known(Content),
}

/// The file that stands where a part is to land gives what is equal in it, where the server tells values to hold it against.
fn take_from_old(part: &mut Part, target: &Target, task: &FileTask, facts: &Facts) {
    let Some(file) = target.old(part.dir.as_fd(), task.local_name(), facts.size) else {
        return;
    };
    if !facts.has_values() && facts.judged_by(task.pieces.as_deref()).is_none() {
        if target.updates() {
            tracing::info!(path = %task.shown(), "the server tells no values of its pieces: all of it is fetched");
        }
        return;
    }
    let fresh = part.left == 0;
    if fresh {
        part.left = file
            .metadata()
            .map_or(0, |there| there.len().min(facts.size));
    }
    part.old = (part.left > 0).then_some(Old { file, fresh });
}

/// Whether a file that cannot be opened now may be later: it could be ours, and what it holds would be fetched again.
fn passes(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR | Errno::AGAIN)
    )
}

/// A part in hand: its claim, the file, how many bytes an earlier run left in it, and the pieces known to be right.
type Held = (Option<Claim>, File, u64, Vec<Range<u32>>);

/// What a part that is here already is to a job.
enum Owned {
    /// Its own from now on.
    Held(Held),
    /// Another download's: another name is free.
    Taken,
    /// None any more: whoever had it in hand has landed it, or given it up.
    Gone,
}

impl Engine {
    /// Opens the part of a file that is about to be fetched; see [`Self::open_part`]. Off the runtime's threads, since disks may
    /// be slow.
    pub async fn open_transfer(
        self: &Arc<Self>,
        task: &FileTask,
        facts: Facts,
    ) -> Result<Option<OpenPart>, Error> {
        let target = self.target(task.item).ok_or(Error::Changed)?;
        let (engine, task) = (Arc::clone(self), task.clone());
        blocking(move || {
            let told = task.pieces.clone();
            let told = facts.judged_by(told.as_deref());
            let keep = if !engine.settings.resume {
                Keep::Nothing
            } else if facts.has_values() || told.is_some() {
                Keep::All
            } else {
                facts.content().map_or(Keep::Nothing, Keep::Known)
            };
            let Some(mut part) = engine.open_part(&target, &task, facts.size, &keep)? else {
                return Ok(None);
            };
            take_from_old(&mut part, &target, &task, &facts);
            let mut part = OpenPart::new(part, target, task, facts.clone());
            if let Some(told) = told {
                part.judge_left(told)?;
            }
            Ok(Some(part))
        })
        .await
    }

    /// The part of `task`: one of ours to go on with, or a new one of `size` bytes. `None` where another job had it in hand and
    /// has landed it meanwhile: what is here is to be looked at again. Blocking.
    pub fn open_part(
        &self,
        target: &Target,
        task: &FileTask,
        size: u64,
        keep: &Keep,
    ) -> Result<Option<Part>, Error> {
        let parent = task.path.parent();
        let dir = target.dir(&parent)?;
        let failed =
            |name: &[u8], error: &io::Error| Error::disk(target.local(&parent, name), error);
        if size > SIZE_MAX {
            let error = io::ErrorKind::FileTooLarge.into();
            return Err(failed(task.local_name(), &error));
        }
        let names = (0..PART_TURNS).map(|turn| part_name(task.local_name(), turn));
        for name in names.filter(|name| !target.is_reserved(dir.as_fd(), name)) {
            let part = match self.new_part(&dir, &name, size) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.own_part(task, &dir, &name, size, keep)
                }
                part => part.map(Owned::Held),
            };
            match part.map_err(|error| failed(&name, &error))? {
                Owned::Held((claim, file, left, known)) => {
                    return Ok(Some(Part {
                        claim,
                        file,
                        dir,
                        name,
                        old: None,
                        left,
                        known,
                    }));
                }
                Owned::Gone => return Ok(None),
                Owned::Taken => {}
            }
        }
        Err(failed(
            task.local_name(),
            &io::ErrorKind::AlreadyExists.into(),
        ))
    }

    /// A new part of `size` bytes; `AlreadyExists` where the name is taken. It is noted for ours before it has its name, where the
    /// file system can: whenever this program is killed, no part stays that nobody knows.
    fn new_part(&self, dir: &OwnedFd, name: &[u8], size: u64) -> io::Result<Held> {
        if disk::exists(dir.as_fd(), name)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if let Some(file) = disk::nameless_file(dir.as_fd())? {
            let part = self.begin_part(file, size)?;
            let Err(error) = disk::name_file(&part.1, dir.as_fd(), name) else {
                return Ok(part);
            };
            self.part_ended(&part.1);
            if error.kind() == io::ErrorKind::AlreadyExists {
                return Err(error);
            }
            // No /proc, or a file system that gives no name later on: it is made with one.
        }
        let part = self.begin_part(disk::new_file(dir.as_fd(), name)?, size);
        part.inspect_err(|_| {
            // Nobody would know it for ours. The failure that is reported is the first one.
            let _ = disk::remove(dir.as_fd(), name);
        })
    }

    /// Claims a file that was made just now, notes it for ours, and reserves its bytes.
    fn begin_part(&self, file: File, size: u64) -> io::Result<Held> {
        let id = FileId::of(&file)?;
        let claim = self.journal.claim(id);
        self.journal.began(id);
        if let Err(error) = disk::allocate(&file, size) {
            self.journal.ended(id);
            return Err(error);
        }
        Ok((claim, file, 0, Vec::new()))
    }

    /// The part of that name, once nobody else has it in hand.
    fn own_part(
        &self,
        task: &FileTask,
        dir: &OwnedFd,
        name: &[u8],
        size: u64,
        keep: &Keep,
    ) -> io::Result<Owned> {
        let file = match disk::open_own(dir.as_fd(), name, OFlags::RDWR) {
            Ok(file) => file,
            Err(error) if passes(&error) => return Err(error),
            Err(_) => return Ok(Owned::Taken),
        };
        let id = FileId::of(&file)?;
        if !self.journal.owns(id) {
            return Ok(Owned::Taken);
        }
        // One that was given up just now is let go of soon; one that nobody knew of is another download's.
        let patience = match task.local {
            Local::Nothing if task.kept == 0 => Duration::ZERO,
            _ => LET_GO,
        };
        let claim = self.journal.claim_within(id, patience);
        if claim.is_none() {
            return Ok(Owned::Taken);
        }
        // Whoever let go of it may have landed it: what was opened is the file itself then.
        let is_named = match disk::open_own(dir.as_fd(), name, OFlags::RDONLY) {
            // It would be looked at again at once.
            Err(error) if passes(&error) => return Err(error),
            named => named.is_ok_and(|named| FileId::of(&named).is_ok_and(|named| named == id)),
        };
        if !is_named || !self.journal.owns(id) {
            return Ok(Owned::Gone);
        }
        self.journal.taken_up(id);
        let there = file.metadata()?.len();
        let (left, known) = match keep {
            Keep::All => (there.min(size), Vec::new()),
            Keep::Known(content) if there == size => (there, self.journal.pieces_of(id, content)),
            Keep::Known(_) | Keep::Nothing => (0, Vec::new()),
        };
        file.set_len(left)?;
        disk::allocate(&file, size)?;
        Ok(Owned::Held((claim, file, left, known)))
    }

    /// Syncs a part and notes the pieces that it holds for certain then. Blocking.
    pub fn sync_part(&self, part: &OpenPart, pieces: Vec<Range<u32>>) {
        let Some(content) = part.facts.content() else {
            return;
        };
        let file = &part.part.file;
        match (file.sync_data(), FileId::of(file)) {
            (Ok(()), Ok(id)) => self.journal.synced(id, content, pieces),
            (Ok(()), Err(_)) => {}
            (Err(error), _) => {
                let error = Error::disk(part.path(), &error);
                tracing::warn!(path = %part.task.shown(), "a later run will start it afresh: {error}");
            }
        }
    }

    /// Removes a part that holds nothing worth keeping. Blocking.
    pub fn drop_part(&self, part: &Part) {
        self.drop_named(&part.file, &part.dir, &part.name);
    }

    fn drop_named(&self, file: &File, dir: &OwnedFd, name: &[u8]) {
        if disk::remove(dir.as_fd(), name).is_ok()
            && let Ok(id) = FileId::of(file)
        {
            self.journal.ended(id);
        }
    }

    /// Removes what an earlier run left of a file that is here now, whole: nobody goes on with it. Where a file is skipped
    /// by its name alone, a later run may. Blocking.
    pub fn drop_left(&self, target: &Target, path: &RemotePath, name: &[u8]) {
        if !self.journal.has_left() || target.skips() {
            return;
        }
        self.drop_parts(target, path, name, |id| self.journal.claim_left(id));
    }

    /// Removes the parts of this run: no later one would know them for its own. Blocking.
    pub fn drop_own(&self) {
        let open: Vec<_> = lock(&self.parts).values().map(Arc::clone).collect();
        let open = open.iter().map(|part| part.task.clone());
        let tasks = open.chain(self.look(Schedule::begun));
        for task in tasks {
            if let Some(target) = self.target(task.item) {
                let own = |id| self.journal.owns(id).then_some(());
                self.drop_parts(&target, &task.path, task.local_name(), own);
            }
        }
    }

    /// Removes parts of a file, those that `take` gives.
    fn drop_parts<T>(
        &self,
        target: &Target,
        path: &RemotePath,
        name: &[u8],
        take: impl Fn(FileId) -> Option<T>,
    ) {
        let Some(dir) = target.look_in(&path.parent()) else {
            return;
        };
        let mut free = 0;
        for turn in 0..PART_TURNS {
            let part = part_name(name, turn);
            let Ok(file) = disk::open_own(dir.as_fd(), &part, OFlags::RDONLY) else {
                free += 1;
                if free > GAP_MAX {
                    return;
                }
                continue;
            };
            free = 0;
            let Ok(id) = FileId::of(&file) else { return };
            if let Some(_taken) = take(id) {
                self.drop_named(&file, &dir, &part);
            }
        }
    }

    /// Forgets what of a part was known to be right. Blocking.
    pub fn distrust(&self, file: &File) {
        if let Ok(id) = FileId::of(file) {
            self.journal.began(id);
        }
    }

    /// Forgets a part that has become a file. Blocking.
    pub fn part_ended(&self, file: &File) {
        if let Ok(id) = FileId::of(file) {
            self.journal.ended(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_not_left_because_too_many_files_are_open() {
        let error = |errno: Errno| io::Error::from(errno);
        assert!(passes(&error(Errno::MFILE)) && passes(&error(Errno::NFILE)));
        // A link, another user's file, a bad disk: a new name is the way on.
        for errno in [Errno::LOOP, Errno::ACCESS, Errno::PERM, Errno::IO] {
            assert!(!passes(&error(errno)), "{errno}");
        }
        assert!(!passes(&io::ErrorKind::Other.into()));
    }
}
