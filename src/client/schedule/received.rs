//! What has come of transfers: bytes, pieces, values.

use std::time::Instant;

use super::{
    Effect, FileId, Fit, Keep, Run, RunId, Schedule, SlotId, SourceId, Transfer, item::Item,
    transfer::Phase,
};
use crate::{
    client::{
        Error,
        disk::names::Local,
        facts::Validators,
        task::{FileTask, Task},
    },
    pieces::Value,
};

impl Schedule {
    /// What an answer of `source` to a request for some of a file's pieces says about it.
    pub fn fit(&mut self, file: FileId, source: SourceId, told: Validators) -> Fit {
        match self.transfers.get_mut(&file) {
            Some(transfer) => transfer.fit(source, told),
            None => Fit::Yes,
        }
    }

    /// A connection begins to read a run's answer: what it should still read.
    pub fn begin_run(&mut self, file: FileId, run: &mut Run, now: Instant) {
        match self.transfers.get_mut(&file) {
            Some(transfer) => transfer.plan.begin(run, now),
            None => run.pieces.end = run.pieces.start,
        }
    }

    /// The answer to a run holds so many of its pieces only: others may fetch the rest, and less is asked for next time.
    pub fn gave_less(&mut self, id: SlotId, (file, run): (FileId, RunId), pieces: u32) {
        let source = self.slots[id.0].source;
        self.sources.get_mut(source).gives = Some(pieces.max(1));
        if let Some(transfer) = self.transfers.get_mut(&file) {
            transfer.plan.cut(run, pieces);
        }
        self.ring_all();
    }

    /// Whether `run` should still fetch `piece`.
    pub fn wants(&self, file: FileId, run: RunId, piece: u32) -> bool {
        let transfer = self.transfers.get(&file);
        transfer.is_some_and(|transfer| transfer.wants(run, piece))
    }

    /// Bytes of a run's next piece are in the part.
    pub fn wrote(&mut self, file: FileId, run: RunId, at: u64, bytes: u64) {
        if let Some(transfer) = self.transfers.get_mut(&file) {
            transfer.verdict.note_written(at, bytes);
            transfer.plan.note_partial(run, bytes);
        }
    }

    /// A run has received `piece` whole, and it is in the part; its value, where there are values.
    pub fn piece_received(
        &mut self,
        id: SlotId,
        (file, run): (FileId, RunId),
        piece: u32,
        value: Option<Value>,
        now: Instant,
    ) -> Result<(), Error> {
        self.pieces.0 += 1;
        let source = self.slots[id.0].source;
        if let Some(front) = self.slots[id.0].flight.front_mut() {
            front.progress = true;
        }
        let due = self.judge(file, |transfer| {
            transfer.piece_received((run, source), piece, value, now)
        });
        if let Some(Ok(true)) = due
            && let Some(transfer) = self.transfers.get(&file)
        {
            let done = transfer.plan.done();
            self.outbox.push_back(Effect::Sync(file, done));
        }
        due.transpose().map(|_| ())
    }

    /// The server's value of the next piece of a file has come.
    pub fn value_told(&mut self, file: FileId, value: Value, piece: u32) -> Result<(), Error> {
        let differs = self.judge(file, |transfer| transfer.value_told(value, piece));
        if differs.transpose()? == Some(true) {
            self.fetch_instead(file);
        }
        Ok(())
    }

    /// All values of a file have come, and the root behind them.
    pub fn values_told(&mut self, file: FileId, root: [u8; 32]) -> Result<(), Error> {
        let told = self.judge(file, |transfer| {
            transfer.verdict.told_all(&mut transfer.plan, root)
        });
        told.unwrap_or(Ok(()))?;
        self.search(file);
        Ok(())
    }

    /// Once all is known of what lay on disk, what differs is looked for elsewhere in the file that is replaced.
    fn search(&mut self, file: FileId) {
        let transfer = self.transfers.get_mut(&file);
        if transfer.is_some_and(Transfer::begin_search) {
            self.outbox.push_back(Effect::Search(file));
        }
    }

    /// These pieces of a file are not looked for any more: they are fetched.
    pub fn not_sought(&mut self, file: FileId, pieces: &[u32]) {
        self.judge(file, |transfer| transfer.not_sought(pieces));
    }

    /// Nothing more of a file is found elsewhere: what differs is fetched.
    pub fn search_over(&mut self, file: FileId, now: Instant) {
        self.judge(file, Transfer::search_over);
        self.land_if_complete(file, now);
        self.ring_all();
    }

    /// More is known of a file's pieces: who sent bad ones is noted, and who waits is told of those that are free now.
    fn judge<T>(&mut self, file: FileId, learn: impl FnOnce(&mut Transfer) -> T) -> Option<T> {
        let transfer = self.transfers.get_mut(&file)?;
        let had_free = transfer.has_free();
        let outcome = learn(transfer);
        if !had_free && transfer.has_free() {
            self.ring_all();
        }
        self.blame_senders(file);
        Some(outcome)
    }

    /// A piece that an earlier run left was hashed, or is a hole: `None`. `fetched` bytes of it came from the server. False where
    /// no more need be hashed.
    pub fn left_piece(
        &mut self,
        file: FileId,
        piece: u32,
        value: Option<Value>,
        fetched: u64,
    ) -> bool {
        let differs = self.judge(file, |transfer| transfer.left_piece(piece, value, fetched));
        match differs {
            None => false,
            Some(true) => {
                self.fetch_instead(file);
                false
            }
            Some(false) => !self.stopped,
        }
    }

    /// What an earlier run left was hashed to its end, or cannot be read.
    pub fn left_done(&mut self, file: FileId, result: Result<(), Error>, now: Instant) {
        if let Some(transfer) = self.transfers.get_mut(&file) {
            transfer.left_done();
        }
        self.search(file);
        match result {
            Ok(()) => self.land_if_complete(file, now),
            Err(error) => self.transfer_failed(file, error, None, now),
        }
        self.ring_all();
    }

    /// A local file that was compared differs from the server's: that is fetched.
    fn fetch_instead(&mut self, file: FileId) {
        if let Some(transfer) = self.let_go(file, Keep::AsIs) {
            let local = Local::Part;
            let task = FileTask {
                local,
                ..transfer.task
            };
            self.put_back_task(task.into());
            self.ring_all();
        }
    }

    /// Bytes from the front of an item's only transfer that are here and verified. None of a file that must have a digest
    /// that was given: until all of it is here, another server may be right.
    pub fn checked_prefix(&self, item: crate::client::ItemId) -> Option<(FileId, u64)> {
        let mut its = self.transfers.values();
        let transfer = its.find(|transfer| transfer.task.item == item)?;
        let checked = match transfer.task.checksum {
            Some(_) => 0,
            None => transfer.verdict.checked_prefix(),
        };
        Some((transfer.id, checked))
    }

    /// Files that are not here and may have a part; for the end of a run.
    pub fn begun(&self) -> Vec<FileTask> {
        let items = self.items.iter();
        let waiting = items.clone().flat_map(Item::waiting);
        let waiting = waiting.filter(|task| task.kept > 0 || task.local == Local::Part);
        let failed = items.clone().flat_map(|item| &item.failed_files);
        let later = items.flat_map(|item| item.later.values());
        let later = later.filter_map(|(task, _)| match task {
            Task::File(task) => Some(task),
            Task::Dir(_) => None,
        });
        waiting.chain(failed).chain(later).cloned().collect()
    }

    /// What of the parts under way only the journal can vouch for; for the end of a run.
    pub fn worth_noting(&self) -> Vec<(FileId, Vec<std::ops::Range<u32>>)> {
        let flowing = self
            .transfers
            .values()
            .filter(|transfer| transfer.phase != Phase::Landing);
        flowing
            .filter_map(|transfer| Some((transfer.id, transfer.worth_noting()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
