//! Parts on disk: ours to go on with, or new ones.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use rustix::fs::OFlags;

use super::Engine;
use crate::{
    client::{
        Error,
        disk::journal::{Content, FileId},
        disk::names::Local,
        disk::names::part_name,
        disk::part::Part,
        disk::target::Target,
        job::{Facts, Job},
        task::FileTask,
    },
    pieces::PIECE,
    sys::disk,
};

/// The largest file: pieces are counted in 32 bits.
const SIZE_MAX: u64 = u32::MAX as u64 * PIECE;

/// Names that are tried for a part before giving up on finding a free one.
const PART_TURNS: u32 = 1000;

/// How long connections may take to let go of a part that was given up.
const LET_GO: Duration = Duration::from_secs(2);

/// What of a part that an earlier run left is worth keeping.
#[derive(Debug)]
pub enum Keep {
    /// Nothing: it is started afresh.
    Nothing,
    /// Everything, to be held against the values of its pieces.
    All,
    /// What the journal vouches for, of this content.
    Known(Content),
}

impl Engine {
    /// Opens a file's part and makes its job. Off the runtime's threads, since disks may be slow.
    pub async fn make_job(
        self: &Arc<Self>,
        task: &FileTask,
        facts: Facts,
    ) -> Result<Arc<Job>, Error> {
        let target = self.queue().target(task.item).ok_or(Error::Changed)?;
        let done = self.queue().counter(task.item);
        let (engine, task) = (Arc::clone(self), task.clone());
        let made = tokio::task::spawn_blocking(move || {
            let keep = if !engine.settings.resume {
                Keep::Nothing
            } else if facts.has_values() {
                Keep::All
            } else {
                facts.content().map_or(Keep::Nothing, Keep::Known)
            };
            let part = engine.open_part(&target, &task, facts.size, &keep)?;
            let tries = engine.settings.retries + engine.sources.bad_pieces_borne();
            Ok(Arc::new(Job::new(task, target, facts, part, done, tries)))
        });
        made.await
            .unwrap_or_else(|error| Err(Error::Broken(format!("a thread failed: {error}"))))
    }

    /// The part of `task`: one of ours to go on with, or a new one of `size` bytes. Blocking.
    pub fn open_part(
        &self,
        target: &Target,
        task: &FileTask,
        size: u64,
        keep: &Keep,
    ) -> Result<Part, Error> {
        let parent = task.path.parent();
        let dir = target.dir(&parent)?;
        let failed =
            |name: &[u8], error: &io::Error| Error::disk(target.local(&parent, name), error);
        if size > SIZE_MAX {
            let error = io::ErrorKind::FileTooLarge.into();
            return Err(failed(task.local_name(), &error));
        }
        for turn in 0..PART_TURNS {
            let name = part_name(task.local_name(), turn);
            match disk::new_file(dir.as_fd(), &name) {
                Ok(file) => {
                    let id = FileId::of(&file).map_err(|error| failed(&name, &error))?;
                    let claim = self.journal.claim(id);
                    self.journal.began(id);
                    if let Err(error) = disk::allocate(&file, size) {
                        self.drop_part(&file, &dir, &name);
                        return Err(failed(&name, &error));
                    }
                    return Ok(Part {
                        claim,
                        file,
                        dir,
                        name,
                        left: 0,
                        known: Vec::new(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&name, &error)),
            }
            let Ok(file) = disk::open_own(dir.as_fd(), &name, OFlags::RDWR) else {
                continue;
            };
            let id = FileId::of(&file).map_err(|error| failed(&name, &error))?;
            if !self.journal.owns(id) {
                continue;
            }
            // One that was given up just now is let go of soon; one that nobody knew of is another download's.
            let patience = match task.local {
                Local::Nothing if task.kept == 0 => Duration::ZERO,
                _ => LET_GO,
            };
            let claim = self.journal.claim_within(id, patience);
            if claim.is_none() {
                continue;
            }
            let there = file
                .metadata()
                .map_err(|error| failed(&name, &error))?
                .len();
            let (left, known) = match keep {
                Keep::All => (there, Vec::new()),
                Keep::Known(content) if there == size => {
                    (there, self.journal.pieces_of(id, content))
                }
                Keep::Known(_) | Keep::Nothing => (0, Vec::new()),
            };
            let sized = file
                .set_len(left.min(size))
                .and_then(|()| disk::allocate(&file, size));
            sized.map_err(|error| failed(&name, &error))?;
            return Ok(Part {
                claim,
                file,
                dir,
                name,
                left: left.min(size),
                known,
            });
        }
        Err(failed(
            task.local_name(),
            &io::ErrorKind::AlreadyExists.into(),
        ))
    }

    /// Syncs a job's part and notes what it holds. Blocking.
    pub fn sync_part(&self, job: &Job) {
        match (job.sync(), FileId::of(&job.part().file)) {
            (Ok(Some((content, pieces))), Ok(id)) => self.journal.synced(id, content, pieces),
            (Ok(None), _) | (_, Err(_)) => {}
            (Err(error), _) => {
                tracing::warn!(path = %job.task.shown(), "a later run will start it afresh: {error}");
            }
        }
    }

    /// Notes what the parts of jobs that were given up hold, so that a retry or a later run goes on from there.
    pub fn note_parts(self: &Arc<Self>, jobs: Vec<Arc<Job>>) {
        let engine = Arc::clone(self);
        self.tasks.spawn_blocking_on(
            move || jobs.iter().for_each(|job| engine.sync_part(job)),
            &self.runtime,
        );
    }

    /// Removes a part that holds nothing worth keeping.
    pub fn drop_part(&self, file: &File, dir: &OwnedFd, name: &[u8]) {
        if disk::remove(dir.as_fd(), name).is_ok()
            && let Ok(id) = FileId::of(file)
        {
            self.journal.ended(id);
        }
    }

    /// The same for a job's part.
    pub fn drop_part_of(&self, job: &Job) {
        let part = job.part();
        self.drop_part(&part.file, &part.dir, &part.name);
    }

    /// Forgets a part that has become a file.
    pub fn part_ended(&self, file: &File) {
        if let Ok(id) = FileId::of(file) {
            self.journal.ended(id);
        }
    }

    /// Makes a job that compares a local file with the server's, piece by piece.
    pub fn compare(&self, task: FileTask, facts: Facts, there: Part) -> Option<Arc<Job>> {
        let (target, done) = {
            let queue = self.queue();
            (queue.target(task.item)?, queue.counter(task.item))
        };
        Some(Arc::new(Job::comparing(task, target, facts, there, done)))
    }
}
