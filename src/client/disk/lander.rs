//! Landing small files: many at once, off the runtime's threads.
//!
//! A small file is written to a nameless file, synced together with all others that wait (one sync of the file
//! system for the lot, as databases commit in groups), and only then given its name: a crash or power loss leaves
//! either nothing or the whole file. Where nameless files do not exist, `NAME.part` and a rename do the same.
//! The names themselves reach the disk with the next group, those of the last one by [`Lander::sync_names`].

use std::{
    collections::HashMap,
    fs::File,
    io::Write,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::Semaphore;

use crate::{
    client::{
        Error,
        disk::{caught::caught, landed::Landed, target::Target},
        id::FileId,
        proof::Proof,
        task::FileTask,
    },
    http1::path::RemotePath,
    sync::lock,
    sys::disk,
};

/// Bytes of small files that may wait to be landed: connections wait beyond that.
const WAITING_MAX: u32 = 8 << 20;
/// Files in one group: each holds a file handle until the group is synced. A large group is what makes a slow sync bearable.
const GROUP_MAX: usize = 2048;
/// The least that a group holds, however few files may be open.
const GROUP_MIN: usize = 64;
/// Threads that land at the same time.
const THREADS: usize = 2;
/// Outcomes are told together: each time somebody is woken, and a file takes less time than that.
const TOLD_AT_ONCE: usize = 64;
/// One that came first waits no longer than this for others.
const TOLD_AFTER: Duration = Duration::from_millis(10);

/// A complete small file that is not on disk yet.
#[derive(Debug)]
pub struct SmallFile {
    /// Its number in the schedule.
    pub file: FileId,
    /// What it is.
    pub task: FileTask,
    /// Where it lands.
    pub target: Arc<Target>,
    /// Its content.
    pub content: Vec<u8>,
    /// Date of the content.
    pub modified: Option<SystemTime>,
    /// That its content is the server's.
    pub proof: Proof,
    /// When its request was sent.
    pub began: Instant,
}

/// What became of a small file.
pub type Outcome = Result<Landed, Error>;

/// Takes what became of some files.
pub type Report<'a> = dyn Fn(Vec<(SmallFile, Outcome)>) + 'a;

/// The queue in front of the disk.
#[derive(Debug)]
pub struct Lander {
    waiting: Mutex<Waiting>,
    room: Arc<Semaphore>,
    group_max: usize,
    /// Targets in which names were given since [`Self::sync_names`], one a file system, by its number.
    named: Mutex<HashMap<u64, Arc<Target>>>,
}

#[derive(Debug, Default)]
struct Waiting {
    files: Vec<SmallFile>,
    threads: usize,
}

impl Default for Lander {
    fn default() -> Self {
        // Both threads may hold a group, and the rest of the program needs files, too.
        let may_open = usize::try_from(disk::raise_open_files()).unwrap_or(usize::MAX);
        Self {
            waiting: Mutex::default(),
            room: Arc::new(Semaphore::new(WAITING_MAX as usize)),
            group_max: (may_open / 4).clamp(GROUP_MIN, GROUP_MAX),
            named: Mutex::default(),
        }
    }
}

impl Lander {
    /// Makes room for `bytes` more if there is some now.
    pub fn try_room_for(&self, bytes: usize) -> bool {
        let permit = self.room.try_acquire_many(charge(bytes));
        permit.map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    /// Waits until there is room for `bytes` more. Whoever waits must have handed over all that it made room for:
    /// only what is landed gives room back.
    pub async fn room_for(&self, bytes: usize) {
        // Never closed, so that acquiring cannot fail.
        if let Ok(permit) = self.room.acquire_many(charge(bytes)).await {
            permit.forget();
        }
    }

    /// Adds files, for which [`Self::room_for`] made room. True when the caller is to call [`Self::work`] on a thread
    /// that may block.
    pub fn push(&self, files: impl IntoIterator<Item = SmallFile>) -> bool {
        let mut waiting = self.waiting();
        waiting.files.extend(files);
        let more = waiting.threads < THREADS && !waiting.files.is_empty();
        waiting.threads += usize::from(more);
        more
    }

    /// Lands groups until nothing waits. Blocking.
    pub fn work(&self, report: &Report<'_>) {
        let mut dirs = Dirs::default();
        loop {
            let group = {
                let mut waiting = self.waiting();
                let n = waiting.files.len().min(self.group_max);
                if n == 0 {
                    waiting.threads -= 1;
                    return;
                }
                waiting.files.drain(..n).collect::<Vec<_>>()
            };
            let bytes: u32 = group.iter().map(|file| charge(file.content.len())).sum();
            self.land_group(group, &mut dirs, report);
            self.room.add_permits(bytes as usize);
        }
    }

    /// Syncs the names of all that has landed, on each file system. Blocking.
    ///
    /// # Errors
    ///
    /// The first of those of syncs; the names are there then, but a power cut may cost them.
    pub fn sync_names(&self) -> Result<(), Error> {
        let named = std::mem::take(&mut *lock(&self.named));
        let mut synced = Ok(());
        for target in named.into_values() {
            synced = synced.and(sync(&target));
        }
        synced
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    fn land_group(&self, group: Vec<SmallFile>, dirs: &mut Dirs, report: &Report<'_>) {
        let mut told = Told::new(report);
        let mut written = Vec::with_capacity(group.len());
        for small in group {
            match caught(&small.task, || write(&small, dirs)) {
                Ok(done) => written.push((small, done)),
                Err(error) => told.add(small, Err(error)),
            }
        }
        // A sync may take long.
        told.flush();
        // Files of one group nearly always share a target; a sync covers its whole file system.
        let mut synced: Option<Result<(), Error>> = None;
        let mut synced_target = std::ptr::null();
        for (small, done) in written {
            if !std::ptr::eq(synced_target, Arc::as_ptr(&small.target)) {
                synced = Some(sync(&small.target));
                synced_target = Arc::as_ptr(&small.target);
                self.will_name_in(&small.target);
            }
            let outcome = match synced.clone() {
                Some(Err(error)) => Err(error),
                _ => caught(&small.task, || name(&small, &done)),
            };
            if let (Err(_), Some(part)) = (&outcome, &done.part) {
                // The failure that is reported is the first one.
                let _ = disk::remove(done.dir.as_fd(), part);
            }
            told.add(small, outcome);
        }
    }

    fn will_name_in(&self, target: &Arc<Target>) {
        if let Some(device) = target.device() {
            let mut named = lock(&self.named);
            let known = named.entry(device);
            known.or_insert_with(|| Arc::clone(target));
        }
    }
}

fn sync(target: &Target) -> Result<(), Error> {
    disk::sync_all_of(target.handle()).map_err(|error| Error::disk(target.path(), &error))
}

/// An empty file still costs something.
fn charge(bytes: usize) -> u32 {
    (bytes as u32).clamp(256, WAITING_MAX)
}

/// Handles of the directories that were used last.
#[derive(Default)]
struct Dirs(HashMap<(usize, RemotePath), (Arc<Target>, Arc<OwnedFd>)>);

impl Dirs {
    fn get(&mut self, target: &Arc<Target>, path: &RemotePath) -> Result<Arc<OwnedFd>, Error> {
        // Few at a time: a tree is fetched directory by directory.
        const MAX: usize = 64;
        // The target is kept with its handle: its address stands for no other one meanwhile.
        let key = (Arc::as_ptr(target) as usize, path.clone());
        if let Some((_, dir)) = self.0.get(&key) {
            return Ok(Arc::clone(dir));
        }
        if self.0.len() >= MAX {
            self.0.clear();
        }
        let dir = Arc::new(target.dir(path)?);
        self.0.insert(key, (Arc::clone(target), Arc::clone(&dir)));
        Ok(dir)
    }
}

/// A file that is written but has no final name yet.
struct Written {
    file: File,
    dir: Arc<OwnedFd>,
    /// The name of its part, where nameless files do not exist.
    part: Option<Vec<u8>>,
}

/// Outcomes that are told together.
struct Told<'a> {
    outcomes: Vec<(SmallFile, Outcome)>,
    since: Instant,
    report: &'a Report<'a>,
}

impl<'a> Told<'a> {
    fn new(report: &'a Report<'a>) -> Self {
        Self {
            outcomes: Vec::with_capacity(TOLD_AT_ONCE),
            since: Instant::now(),
            report,
        }
    }

    fn add(&mut self, small: SmallFile, outcome: Outcome) {
        if self.outcomes.is_empty() {
            self.since = Instant::now();
        }
        self.outcomes.push((small, outcome));
        if self.outcomes.len() >= TOLD_AT_ONCE || self.since.elapsed() >= TOLD_AFTER {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.outcomes.is_empty() {
            (self.report)(std::mem::take(&mut self.outcomes));
        }
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

fn write(small: &SmallFile, dirs: &mut Dirs) -> Result<Written, Error> {
    let parent = small.task.path.parent();
    let failed = |error: &std::io::Error| {
        Error::disk(small.target.local(&parent, small.task.local_name()), error)
    };
    let dir = dirs.get(&small.target, &parent)?;
    let new = small.target.new_file(&dir, small.task.local_name());
    let (mut file, part) = new.map_err(|error| failed(&error))?;
    let filled = file
        .write_all(&small.content)
        .and_then(|()| match small.modified {
            Some(time) => disk::set_modified(&file, time),
            None => Ok(()),
        });
    if let Err(error) = filled {
        if let Some(part) = part {
            // The failure that is reported is the first one.
            let _ = disk::remove(dir.as_fd(), &part);
        }
        return Err(failed(&error));
    }
    Ok(Written { file, dir, part })
}

fn name(small: &SmallFile, written: &Written) -> Outcome {
    let (dir, name) = (written.dir.as_fd(), small.task.local_name());
    let (file, part) = (&written.file, written.part.as_deref());
    let (content, date) = (&small.content, small.modified);
    let landed = small
        .target
        .land_content(dir, (file, part), name, content, date);
    landed.map_err(|error| Error::disk(small.target.local(&small.task.path.parent(), name), &error))
}

#[cfg(test)]
mod tests;
