//! Listings: for someone who browses, and for a tree that is fetched.

use std::{collections::HashMap, time::Duration};

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

    pub(super) async fn listed(&mut self, answer: &mut Answer, task: DirTask) -> Answered {
        let (mut entries, mut look) = (Vec::new(), Look::default());
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
        match read {
            Ok(()) => {
                self.engine.queue().listed(task.item);
                self.engine.settle().await;
                Ok(())
            }
            // What was found of it already is fetched; the next try must not find it again.
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
            self.engine.received.add(range.len() as u64);
            reader.feed(answer.connection.bytes(range), entries)?;
            if let Some((task, look)) = &mut task
                && entries.len() >= ENTRIES_AT_ONCE
            {
                self.found(task, std::mem::take(entries), look, false)
                    .await?;
                // With one connection alone nobody else could make room.
                while self.engine.settings.workers > 1 && self.engine.queue().is_full(task.item) {
                    self.engine.pause(Duration::from_millis(20)).await;
                    if self.engine.stop.is_cancelled() {
                        return Err(Error::Broken("stopped".into()));
                    }
                }
            } else if entries.len() > BROWSE_MAX {
                return Err(Error::Listing(format!(
                    "it has more than {} entries",
                    units::count(BROWSE_MAX as u64)
                )));
            }
        }
        reader.finish(&self.engine.origin, dir, entries)
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
        for entry in entries {
            let Ok(path) = task.dir.join(&entry.name) else {
                continue;
            };
            if entry.is_dir {
                let dir = path.into_dir();
                if may_hold(&dir) {
                    dirs.push(DirTask {
                        item: task.item,
                        dir,
                        failures: 0,
                    });
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
        self.engine.queue().found(task.item, dirs, files);
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
}
