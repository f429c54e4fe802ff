//! Listings: for someone who browses, and for a tree that is fetched.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::{Answered, Broken, Worker, answer::Answer};
use crate::{
    client::{
        Error, listing,
        queue::{Browse, DirTask, FileTask, Local, Work},
        target::part_name,
    },
    entry::Entry,
    http1::path::RemotePath,
    units,
};

/// Entries of a listing that are handed on at once.
const ENTRIES_AT_ONCE: usize = 1000;
/// Entries that a browser gets at most: about 200 bytes each.
const BROWSE_MAX: usize = 5_000_000;

impl Worker {
    pub(super) async fn browsed(&mut self, answer: &mut Answer, browse: Browse) -> Answered {
        let mut entries = Vec::new();
        let read = match answer.refused().await {
            Some(error) => Err(error),
            None => {
                self.read_listing(answer, &browse.dir, &mut entries, None)
                    .await
            }
        };
        match read {
            Ok(()) => {
                let _ = browse.reply.send(Ok(entries));
                Ok(())
            }
            Err(error) if error.is_connection() => Err(Box::new(Broken {
                work: Work::Browse(browse),
                error,
            })),
            Err(error) => {
                self.blame(Work::Browse(browse), error, answer.head.retry_after)
                    .await;
                Ok(())
            }
        }
    }

    pub(super) async fn listed(&mut self, answer: &mut Answer, mut task: DirTask) -> Answered {
        let mut entries = Vec::new();
        let mut look = Look {
            taken: std::mem::take(&mut task.taken),
            ..Look::default()
        };
        let read = match answer.refused().await {
            Some(error) => Err(error),
            None => {
                self.read_listing(answer, &task.dir, &mut entries, Some((&task, &mut look)))
                    .await
            }
        };
        let read = match read {
            Ok(()) => {
                self.found(&task, std::mem::take(&mut entries), &mut look, true)
                    .await
            }
            failed => failed,
        };
        // What was found of it already is fetched; the next try must not find it again.
        task.taken = look.taken;
        if look.any {
            task.failures = 0;
        }
        match read {
            // Cancelled meanwhile: a retry must find the rest.
            Ok(()) if look.dropped => {
                self.engine.queue().put_back(Work::List(task));
                self.engine.settle().await;
                Ok(())
            }
            Ok(()) => {
                self.engine.queue().listed(task.item);
                self.engine.settle().await;
                Ok(())
            }
            Err(error) if error.is_connection() && !look.any => Err(Box::new(Broken {
                work: Work::List(task),
                error,
            })),
            Err(error) => {
                self.blame(Work::List(task), error, answer.head.retry_after)
                    .await;
                Ok(())
            }
        }
    }

    /// Reads a listing's body. With a task, entries are handed on as they come.
    async fn read_listing(
        &mut self,
        answer: &mut Answer,
        dir: &RemotePath,
        entries: &mut Vec<Entry>,
        mut task: Option<(&DirTask, &mut Look)>,
    ) -> Result<(), Error> {
        let mut reader = listing::Reader::new(&answer.head.content_type)?;
        while let Some(range) = answer.connection.chunk(&mut answer.body).await? {
            self.count_received(range.len());
            reader.feed(answer.connection.bytes(range), entries)?;
            if let Some((task, look)) = &mut task
                && entries.len() >= ENTRIES_AT_ONCE
            {
                self.found(task, std::mem::take(entries), look, false)
                    .await?;
                self.hold_back(task).await?;
            } else if entries.len() > BROWSE_MAX {
                return Err(Error::Listing(format!(
                    "it has more than {} entries",
                    units::count(BROWSE_MAX as u64)
                )));
            }
        }
        reader.finish(&self.source.origin, dir, entries)
    }

    /// Waits while many files are known and not begun. Of all connections one at least goes on: when all held back,
    /// nobody could make room.
    async fn hold_back(&self, task: &DirTask) -> Result<(), Error> {
        let held = Held::new(&self.engine.held_back);
        while held.before + 1 < self.engine.connections.load(Ordering::Relaxed)
            && self.engine.queue().is_full(task.item)
        {
            self.engine.pause(Duration::from_millis(20)).await;
            if self.engine.stop.is_cancelled() {
                return Err(Error::Broken("stopped".into()));
            }
        }
        Ok(())
    }

    /// Hands entries of a tree's directory to the queue, after a look at what is here already.
    async fn found(
        &mut self,
        task: &DirTask,
        entries: Vec<Entry>,
        look: &mut Look,
        last: bool,
    ) -> Result<(), Error> {
        let Some((filter, target)) = self.engine.queue().tree(task.item) else {
            return Ok(());
        };
        let wants = |path: &RemotePath| filter.as_ref().is_none_or(|filter| filter.wants(path));
        let may_hold =
            |path: &RemotePath| filter.as_ref().is_none_or(|filter| filter.may_hold(path));
        let (mut dirs, mut files) = (Vec::new(), Vec::new());
        let mut keys = Vec::new();
        for entry in entries {
            // After the last ones nothing can break.
            if !last || !look.taken.is_empty() {
                let key = key(&entry.name);
                if look.taken.contains(&key) {
                    continue;
                }
                keys.push(key);
            }
            let Ok(path) = task.dir.join(&entry.name) else {
                continue;
            };
            if entry.is_dir {
                let dir = path.into_dir();
                if may_hold(&dir) {
                    dirs.push(DirTask::new(task.item, dir));
                }
            } else if wants(&path) {
                let (size, modified, blake3) = (entry.size, entry.modified, entry.blake3);
                files.push(FileTask {
                    size,
                    modified,
                    blake3,
                    ..FileTask::new(task.item, path)
                });
            }
        }
        // A directory is made where files will land, or where it is wanted itself, empty or not.
        let wanted = filter
            .as_ref()
            .is_none_or(|filter| filter.wants_dir(&task.dir));
        if look.names.is_none() && (!files.is_empty() || (last && wanted)) {
            let dir = task.dir.clone();
            let names = tokio::task::spawn_blocking(move || target.names(&dir)).await;
            look.names = Some(names.unwrap_or_else(|_| Ok(HashMap::default()))?);
        }
        if let Some(names) = look.names.as_ref().filter(|names| !names.is_empty()) {
            for file in &mut files {
                file.local = match names.get(file.path.name()) {
                    Some(_) => Local::File,
                    None if names.contains_key(&part_name(file.path.name(), 0)) => Local::Part,
                    None => Local::Nothing,
                };
            }
        }
        look.any |= !files.is_empty() || !dirs.is_empty();
        if self.engine.queue().found(task.item, dirs, files) {
            look.taken.extend(keys);
        } else {
            look.dropped = true;
        }
        self.engine.wake.notify_waiters();
        Ok(())
    }
}

/// What is known of the directory that a tree's listing lands in.
#[derive(Debug, Default)]
struct Look {
    /// What it holds here; `None` before it was looked at.
    names: Option<HashMap<Vec<u8>, Option<u64>>>,
    /// Whether anything was handed to the queue.
    any: bool,
    /// Whether something was found after the item was cancelled.
    dropped: bool,
    /// See [`DirTask::taken`].
    taken: HashSet<u128>,
}

/// Stands for a name in [`DirTask::taken`].
fn key(name: &[u8]) -> u128 {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(name).as_bytes()[..16]);
    u128::from_le_bytes(key)
}

/// A connection that holds a listing back.
struct Held<'a> {
    count: &'a AtomicUsize,
    /// How many others did when it began to.
    before: usize,
}

impl<'a> Held<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        let before = count.fetch_add(1, Ordering::Relaxed);
        Self { count, before }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
