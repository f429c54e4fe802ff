//! Listings: for someone who browses, and for a tree that is fetched.

use super::{Worker, answer::Reading};
use crate::{
    client::{
        Error,
        engine::Found,
        read::listing,
        schedule::{Answered, Browse, Fault, Work},
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
    pub(super) async fn browsed(&mut self, reading: &mut Reading, browse: Browse) -> super::Answer {
        let mut entries = Vec::new();
        if let Some(error) = reading.refused().await {
            return Err(Fault::of(error, reading.head.retry_after));
        }
        self.read_listing(reading, &browse.dir, &mut entries, None)
            .await
            .map_err(|error| Fault::of(error, None))?;
        self.engine.answer(browse.id, Ok(entries));
        Ok(Answered::Browsed)
    }

    pub(super) async fn listed(
        &mut self,
        reading: &mut Reading,
        mut task: DirTask,
    ) -> super::Answer {
        if let Some(error) = reading.refused().await {
            return Err(Fault::of(error, reading.head.retry_after));
        }
        let mut entries = Vec::new();
        let mut found = Found::new(std::mem::take(&mut task.taken));
        let into = Some((&task, &mut found));
        let mut read = self
            .read_listing(reading, &task.dir, &mut entries, into)
            .await;
        if let Ok(true) = read {
            read = self.hand_on(&task, entries, &mut found).await;
        }
        if found.any {
            task.failures = 0;
        }
        match read {
            Ok(true) => Ok(self.engine.listed(task, found)),
            // Cancelled meanwhile: a retry must find the rest.
            Ok(false) => {
                task.taken = found.into_taken();
                Ok(Answered::Unlisted(task))
            }
            Err(error) => {
                task.taken = found.into_taken();
                let work = Work::List(task);
                self.engine
                    .with(|schedule| schedule.set_front(self.slot, work));
                Err(Fault::of(error, None))
            }
        }
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
        reading: &mut Reading,
        dir: &RemotePath,
        entries: &mut Vec<Entry>,
        mut into: Option<(&DirTask, &mut Found)>,
    ) -> Result<bool, Error> {
        let target = self.server().origin.target(dir);
        let mut reader = listing::Reader::new(&reading.head.content_type, &target)?;
        while let Some(range) = reading.connection.chunk(&mut reading.body).await? {
            self.count_received(range.len());
            reader.feed(reading.connection.bytes(range), entries)?;
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
