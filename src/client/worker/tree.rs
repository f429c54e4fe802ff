//! Listings: for someone who browses, and for a tree that is fetched.

use super::{Answered, Broken, Worker, answer::Answer};
use crate::{
    client::{
        Error,
        engine::Found,
        queue::{Browse, Work},
        read::listing,
        task::DirTask,
    },
    entry::Entry,
    http1::path::RemotePath,
    units,
};

/// Entries of a listing that are handed on at once.
const ENTRIES_AT_ONCE: usize = 1000;
/// Entries that a browser gets at most: about 150 bytes each, and as much again while they are shown.
const BROWSE_MAX: usize = 1_000_000;

impl Worker {
    pub(super) async fn browsed(&mut self, answer: &mut Answer, browse: Browse) -> Answered {
        let mut entries = Vec::new();
        let read = match answer.refused().await {
            Some(error) => Err(error),
            None => self
                .read_listing(answer, &browse.dir, &mut entries, None)
                .await
                .map(|_| ()),
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
        let mut found = Found::new(std::mem::take(&mut task.taken));
        let mut read = if let Some(error) = answer.refused().await {
            Err(error)
        } else {
            let into = Some((&task, &mut found));
            self.read_listing(answer, &task.dir, &mut entries, into)
                .await
        };
        if let Ok(true) = read {
            read = self.hand_on(&task, entries, &mut found).await;
        }
        if found.any {
            task.failures = 0;
        }
        match read {
            Ok(true) => self.engine.listed(task, found).await,
            // Cancelled meanwhile: a retry must find the rest.
            Ok(false) => {
                task.taken = found.into_taken();
                self.engine.queue().put_back(Work::List(task));
                self.engine.settle().await;
            }
            Err(error) => {
                let in_vain = !found.any;
                task.taken = found.into_taken();
                let work = Work::List(task);
                if error.is_connection() && in_vain {
                    return Err(Box::new(Broken { work, error }));
                }
                self.blame(work, error, answer.head.retry_after).await;
            }
        }
        Ok(())
    }

    /// Hands on what came last.
    async fn hand_on(
        &self,
        task: &DirTask,
        entries: Vec<Entry>,
        found: &mut Found,
    ) -> Result<bool, Error> {
        // A page that is read as a whole may end in any number of them.
        let mut entries = entries.into_iter();
        loop {
            let some = entries.by_ref().take(2 * ENTRIES_AT_ONCE).collect();
            let last = entries.len() == 0;
            let wanted = self.engine.found(task, some, found, last).await?;
            if last || !wanted {
                return Ok(wanted);
            }
        }
    }

    /// Reads a listing's body. With a task, entries are handed on as they come; false once they are not wanted any more.
    async fn read_listing(
        &mut self,
        answer: &mut Answer,
        dir: &RemotePath,
        entries: &mut Vec<Entry>,
        mut into: Option<(&DirTask, &mut Found)>,
    ) -> Result<bool, Error> {
        let target = self.source.origin.target(dir);
        let mut reader = listing::Reader::new(&answer.head.content_type, &target)?;
        while let Some((received, bytes)) = answer.next().await? {
            self.count_received(received);
            reader.feed(&bytes, entries)?;
            if let Some((task, found)) = &mut into {
                if entries.len() >= ENTRIES_AT_ONCE {
                    let entries = std::mem::take(entries);
                    if !self.engine.found(task, entries, found, false).await? {
                        return Ok(false);
                    }
                }
            } else if entries.len() > BROWSE_MAX {
                return Err(Error::Listing(format!(
                    "it has more than {} entries: they can be downloaded, but not shown",
                    units::count(BROWSE_MAX as u64)
                )));
            }
        }
        reader.finish(entries)?;
        Ok(true)
    }
}
