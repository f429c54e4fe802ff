//! What becomes of orders and effects.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    Answered, Channel, Effect, Flight, Keep, Opened, Report, Run, RunId, Schedule, Work,
    slot::Line,
    sources::BAD_PIECES_MAX,
    transfer::{Fit, Phase, Transfer},
};
use crate::{
    client::{
        Error, Event, Verified,
        disk::names::Local,
        facts::Validators,
        id::{FileId, SlotId, SourceId},
        task::{DirTask, FileTask},
    },
    pieces::Value,
};

/// A file that is complete under its final name.
#[derive(Debug)]
pub struct Complete {
    /// Where it is.
    pub local: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How it is known that it is the server's.
    pub verified: Verified,
    /// From its first request to its final name.
    pub took: Duration,
}

/// Why a file did not land.
#[derive(Debug)]
pub enum Unlanded {
    /// The whole does not match its digest: others may have it.
    Wrong,
    /// The disk.
    Disk(Error),
}

impl Schedule {
    /// What became of an order.
    pub fn report(&mut self, id: SlotId, report: Report, now: Instant) {
        match report {
            Report::Connected(rtt) => self.connected(id, rtt),
            Report::Answered(answered, channel) => self.answered(id, answered, channel, now),
            Report::Fault(fault, channel) => self.fault(id, &fault, channel, now),
        }
    }

    fn connected(&mut self, id: SlotId, rtt: Duration) {
        let slot = &mut self.slots[id.0];
        (slot.line, slot.answered) = (Line::Open, 0);
        let source = slot.source;
        self.sources.get_mut(source).connected(rtt);
        self.ring_all();
    }

    /// The worker of a connection is gone: nothing of what it had in hand is lost.
    pub fn gone(&mut self, id: SlotId) {
        self.unassign(id);
        self.slots[id.0].line = Line::Closed;
        self.sources.let_go(id);
        self.ring_all();
    }

    /// The first answer in flight begins: how long that took tells what to expect.
    pub fn head_came(&mut self, id: SlotId, now: Instant) {
        let slot = &self.slots[id.0];
        let (source, since) = (slot.source, slot.front_since);
        let sent = slot.flight.front().map(|flight| flight.at);
        if let Some(since) = sent.max(since) {
            let took = now.saturating_duration_since(since);
            self.sources.get_mut(source).head_took(took);
        }
    }

    /// Whether what the connection reads is not wanted any more.
    pub fn is_interrupted(&self, id: SlotId) -> bool {
        self.slots[id.0].interrupted || self.stopped
    }

    fn answered(&mut self, id: SlotId, answered: Answered, channel: Channel, now: Instant) {
        let slot = &mut self.slots[id.0];
        let Some(flight) = slot.pop(now) else { return };
        slot.answered += 1;
        let source = slot.source;
        if let Answered::Run { pieces, took } = answered {
            slot.timed(pieces, took);
        }
        if !channel.open {
            slot.line = Line::Closed;
            self.unassign(id);
        }
        let state = self.sources.get_mut(source);
        state.haul |= channel.haul;
        // The server keeps connections open and answers in order: more may be sent ahead.
        if channel.open && !self.limits.serial {
            if flight.ahead || state.haul {
                state.depth.proven();
            } else {
                state.depth.kept_open();
            }
        }
        if state.answered(flight.at) {
            tracing::info!(path = %self.name_of(source), "let in again by the server");
        }
        self.take_in(flight, answered, now);
    }

    fn take_in(&mut self, flight: Flight, answered: Answered, now: Instant) {
        match answered {
            Answered::Browsed | Answered::Opened => {
                // What was not taken in by another call waits again.
                if !matches!(flight.work, Work::Browse(_)) {
                    self.put_back(flight.work);
                }
            }
            Answered::Listed {
                task,
                dirs,
                waiting,
            } => self.listed(task, dirs, waiting),
            Answered::Unlisted(task) => self.put_back_task(task.into()),
            Answered::Again(task) => self.put_back_task(task.into()),
            Answered::IsDir(task) => self.is_dir(&task),
            Answered::Run { .. } | Answered::Values => {
                let file = match &flight.work {
                    Work::Run(file, _) | Work::Values(file) => Some(*file),
                    _ => None,
                };
                self.put_back(flight.work);
                if let Some(file) = file {
                    self.land_if_complete(file, now);
                }
            }
        }
        self.fail_leftovers();
        self.ring_all();
    }

    fn listed(&mut self, task: DirTask, dirs: Vec<DirTask>, waiting: super::Sum) {
        let id = task.item;
        if let Some(item) = self.item_mut(id) {
            item.count_found(waiting);
            if task.rest.is_some() {
                item.take_back_dir(task);
            }
            item.take_dirs(dirs);
        } else if let Some(rest) = task.rest {
            self.outbox.push_back(Effect::DropRest(rest));
        }
        self.end_item(id);
    }

    fn is_dir(&mut self, task: &FileTask) {
        let dir = task.path.clone().into_dir();
        if let Some(item) = self.item_mut(task.item) {
            if !item.tree {
                item.tree = true;
                item.path = dir.clone();
            }
            // It is no file, whoever listed it as one.
            item.found = item.found.saturating_sub(1);
            item.total = item.total.saturating_sub(task.size.unwrap_or(0));
            item.take_back_dir(DirTask::new(task.item, dir));
        }
        self.end_item(task.item);
    }

    /// The first file in flight has another size than the listing said, or none was known.
    pub fn resized(&mut self, id: SlotId, task: &FileTask, size: u64) {
        if let Some(item) = self.item_mut(task.item) {
            item.resized(task.size, size);
        }
        if let Some(Flight {
            work: Work::Open(front),
            ..
        }) = self.slots[id.0].flight.front_mut()
        {
            front.size = Some(size);
        }
    }

    /// What is in flight first is known better: a listing of which some was handed on, say.
    pub fn set_front(&mut self, id: SlotId, work: Work) {
        if let Some(front) = self.slots[id.0].flight.front_mut() {
            front.work = work;
        }
    }

    /// So many bytes came of a body of unknown size.
    pub fn streamed(&mut self, id: SlotId, bytes: u64) {
        if let Some(front) = self.slots[id.0].flight.front_mut() {
            front.streamed += bytes;
        }
    }

    /// The first file in flight is whole in memory, or here already: it lands, or is told, under this number.
    pub fn landing(&mut self, id: SlotId, task: FileTask) -> FileId {
        let file = FileId(self.new_id());
        self.landings.insert(file, task);
        self.set_front(id, Work::Spent);
        file
    }

    /// The part of the first file in flight is open: it is a transfer now, and `begun` pieces of it are on their way in
    /// this answer. `None` where it is not wanted any more.
    #[expect(
        clippy::option_option,
        reason = "a transfer may begin without a run of this connection"
    )]
    pub fn begin(
        &mut self,
        id: SlotId,
        file: FileId,
        task: FileTask,
        opened: Opened,
        begun: u32,
        now: Instant,
    ) -> Option<Option<Run>> {
        let item = self.item(task.item).filter(|item| !item.has_ended());
        let (life_goes, halted) = match item {
            Some(item) => (!item.is_cancelled(), !item.is_going()),
            None => (false, false),
        };
        if !life_goes {
            return None;
        }
        self.tell(Event::Started {
            item: task.item,
            path: task.path.clone(),
            total: Some(opened.facts.size),
        });
        let retries = self.limits.retries + self.sources.bad_pieces_borne();
        let mut transfer = Transfer::new(file, task, opened, retries, now);
        if halted {
            transfer.phase = Phase::Halted;
        }
        let run = transfer.start(begun, now);
        if transfer.has_left() {
            self.outbox.push_back(Effect::HashLeft(file));
        }
        self.transfers.insert(file, transfer);
        let work = match &run {
            Some(run) => Work::Run(file, run.clone()),
            None => Work::Spent,
        };
        self.set_front(id, work);
        self.ring_all();
        self.land_if_complete(file, now);
        Some(run)
    }

    /// The first file in flight came whole, in one answer of a size that nobody told, into its part.
    pub fn begin_complete(
        &mut self,
        id: SlotId,
        file: FileId,
        task: FileTask,
        opened: Opened,
        now: Instant,
    ) -> bool {
        if self
            .item(task.item)
            .is_none_or(super::item::Item::has_ended)
        {
            return false;
        }
        let mut transfer = Transfer::new(file, task, opened, 0, now);
        transfer.all_received();
        self.transfers.insert(file, transfer);
        self.set_front(id, Work::Spent);
        self.land_if_complete(file, now);
        true
    }

    /// It was looked what is here of the first file, before it is asked for.
    pub fn looked(&mut self, id: SlotId, task: FileTask, now: Instant) {
        self.slots[id.0].pop(now);
        self.put_back_task(task.into());
    }

    /// The transfer that the connection's first work belongs to.
    pub fn file_of(&self, id: SlotId) -> Option<FileId> {
        match self.slots[id.0].flight.front()?.work {
            Work::Run(file, _) | Work::Values(file) => Some(file),
            _ => None,
        }
    }

    /// A file was not wanted any more when its part was open: it is let go of. What is in flight for it goes back by
    /// itself.
    pub fn never_begun(&mut self, file: FileId) {
        self.outbox.push_back(Effect::LetGo(file, Keep::AsIs));
    }

    /// A number for a file whose part is about to be opened.
    pub fn new_file(&mut self) -> FileId {
        FileId(self.new_id())
    }

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
        told.unwrap_or(Ok(()))
    }

    /// More is known of a file's pieces: who sent bad ones is noted, and who waits is told of those that are free now.
    fn judge<T>(&mut self, file: FileId, learn: impl FnOnce(&mut Transfer) -> T) -> Option<T> {
        let transfer = self.transfers.get_mut(&file)?;
        let had_free = transfer.plan.has_free();
        let outcome = learn(transfer);
        if !had_free && transfer.plan.has_free() {
            self.ring_all();
        }
        self.blame_senders(file);
        Some(outcome)
    }

    /// A piece that an earlier run left was hashed, or is a hole: `None`. False where no more need be hashed.
    pub fn left_piece(&mut self, file: FileId, piece: u32, value: Option<Value>) -> bool {
        let differs = self.judge(file, |transfer| transfer.left_piece(piece, value));
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

    /// Notes who sent bad pieces of a file. Where its whole will be held against a digest, it is not settled before that
    /// who is wrong, the sender or the one who told the values: they part for this file only.
    fn blame_senders(&mut self, file: FileId) {
        let Some(transfer) = self.transfers.get_mut(&file) else {
            return;
        };
        for blame in transfer.verdict.take_blamed() {
            let sender = blame.sender;
            let Some(transfer) = self.transfers.get_mut(&file) else {
                return;
            };
            if transfer.task.checksum.is_none() {
                let source = self.sources.get_mut(sender);
                source.bad_pieces += blame.news;
                if source.bad_pieces >= BAD_PIECES_MAX {
                    self.distrust(sender, "its bytes do not match the digests");
                }
            } else if blame.times >= BAD_PIECES_MAX && !transfer.excluded.contains(sender) {
                transfer.excluded.insert(sender);
                let shown = transfer.task.shown();
                tracing::warn!(path = %shown, "{} has another file: left out for it", self.names[sender.place()]);
            }
        }
    }

    fn distrust(&mut self, source: SourceId, reason: &str) {
        let before = self.sources.get(source).is_kept();
        if self.sources.drop_source(source, reason) && before {
            tracing::warn!(path = %self.name_of(source), "mirror dropped: {reason}");
            self.ring_all();
        }
    }

    /// Whether the connection's server was dropped meanwhile.
    pub fn is_dropped(&self, id: SlotId) -> bool {
        !self.sources.get(self.slots[id.0].source).is_kept()
    }

    /// A file that is complete lands.
    pub(super) fn land_if_complete(&mut self, file: FileId, now: Instant) {
        let Some(transfer) = self.transfers.get_mut(&file) else {
            return;
        };
        match transfer.claim_landing() {
            Ok(Some(proof)) => {
                self.outbox.push_back(Effect::Land(file, proof));
                self.interrupt(
                    |work| matches!(work, Work::Run(of, _) | Work::Values(of) if *of == file),
                );
            }
            Ok(None) => {}
            Err(error) => self.transfer_failed(file, error, None, now),
        }
    }

    /// A large file reached its final name, or did not.
    pub fn landed(&mut self, file: FileId, outcome: Result<Complete, Unlanded>, now: Instant) {
        let Some(transfer) = self.transfers.remove(&file) else {
            return;
        };
        let keep = match &outcome {
            Err(Unlanded::Wrong) if !self.may_be_right_elsewhere(&transfer) => Keep::Nothing,
            _ => Keep::AsIs,
        };
        self.outbox.push_back(Effect::LetGo(file, keep.clone()));
        let teller = transfer.verdict.teller;
        match outcome {
            Ok(complete) => self.complete(transfer.task, complete),
            Err(Unlanded::Wrong) if keep == Keep::AsIs => {
                let mut task = transfer.task;
                task.tried.insert(teller);
                task.local = Local::Part;
                tracing::warn!(path = %task.shown(), "it does not match its digest: another mirror is asked");
                self.put_back_task(task.into());
            }
            Err(Unlanded::Wrong) => {
                let error = Error::Integrity { piece: None };
                self.task_failed(transfer.task.into(), error, None, now);
            }
            Err(Unlanded::Disk(error)) => {
                let attempts = transfer.task.failures + 1;
                self.task_ended_after(transfer.into_task().into(), attempts, error);
            }
        }
        self.ring_all();
    }

    /// Whether another mirror is asked for a file whose whole is wrong. Without values nobody knows who sent what is
    /// wrong: at first the others are left out, then the one who is left.
    fn may_be_right_elsewhere(&self, transfer: &Transfer) -> bool {
        let mut tried = transfer.task.tried;
        tried.insert(transfer.verdict.teller);
        let others = !self.sources.kept().without(tried).is_empty();
        others && (transfer.facts.has_values() || transfer.task.failures > 0)
    }

    /// A small file reached its final name, or did not; or one that was here already is told.
    pub fn small_landed(&mut self, file: FileId, outcome: Result<Complete, Error>) {
        let Some(task) = self.landings.remove(&file) else {
            return;
        };
        match outcome {
            Ok(complete) => self.complete(task, complete),
            Err(error) => {
                let attempts = task.failures + 1;
                self.task_ended_after(task.into(), attempts, error);
            }
        }
    }

    fn complete(&mut self, task: FileTask, complete: Complete) {
        let Complete {
            local,
            bytes,
            verified,
            took,
        } = complete;
        let id = task.item;
        self.tell(Event::Finished {
            item: id,
            path: task.path,
            local,
            bytes,
            verified,
            took,
        });
        if let Some(item) = self.item_mut(id) {
            item.finished += 1;
            item.settled += bytes;
            item.verified = item.verified.max(Some(verified));
        }
        self.end_item(id);
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
