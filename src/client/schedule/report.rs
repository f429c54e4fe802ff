//! What becomes of orders and effects.

use std::time::{Duration, Instant};

use super::{
    Answered, Channel, Effect, Flight, Keep, Opened, Report, Run, Schedule, Work,
    item::Life,
    slot::Line,
    transfer::{Phase, Transfer},
};
use crate::client::{
    Event,
    id::{FileId, SlotId},
    task::{DirTask, FileTask},
};

impl Schedule {
    /// What became of an order.
    pub fn report(&mut self, id: SlotId, report: Report, now: Instant) {
        self.land_complete(now);
        match report {
            Report::Connected(rtt) => self.connected(id, rtt, now),
            Report::Answered(answered, channel) => self.answered(id, answered, channel, now),
            Report::Fault(fault, channel) => self.fault(id, &fault, channel, now),
        }
        self.begin_without_values(now);
        self.ring_for_limited();
    }

    fn connected(&mut self, id: SlotId, rtt: Duration, now: Instant) {
        let slot = &mut self.slots[id.0];
        (slot.line, slot.answered) = (Line::Open, 0);
        let source = slot.source;
        self.sources.get_mut(source).connected(rtt, now);
        self.ring_all();
    }

    /// The worker of a connection is gone: nothing of what it had in hand is lost.
    pub fn gone(&mut self, id: SlotId, now: Instant) {
        self.land_complete(now);
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
        self.answers(source);
    }

    /// Whether what the connection reads is not wanted any more.
    ///
    /// It follows from the facts of this moment, whoever was told what before: the user may have stopped the item when that
    /// could not be taken yet, before the body began or while other work was in front, and may have let it go on since.
    pub fn is_interrupted(&self, id: SlotId) -> bool {
        let slot = &self.slots[id.0];
        self.stopped
            || slot.may_interrupt()
                && (self.is_surplus(id)
                    || slot
                        .flight
                        .front()
                        .is_some_and(|flight| self.is_halted(&flight.work)))
    }

    /// Whether nobody wants the first answer any more, however much of it is here: its item was cancelled, or its file has
    /// ended.
    pub fn is_unwanted(&self, id: SlotId) -> bool {
        let is_wanted = |item| {
            let item = self.item(item);
            item.is_some_and(|item| !item.is_cancelled() && !item.has_ended())
        };
        let slot = &self.slots[id.0];
        slot.flight
            .front()
            .is_some_and(|flight| match &flight.work {
                Work::Open(task) => !is_wanted(task.item),
                Work::List(task) => !is_wanted(task.item),
                // A connection that is being made serves the next file as well.
                Work::Run(file, _) | Work::Values(file) => {
                    let transfer = self.transfers.get(file);
                    slot.line == Line::Open
                        && transfer.is_none_or(|transfer| transfer.phase == Phase::Landing)
                }
                Work::Browse(_) | Work::Spent => false,
            })
    }

    /// Whether nobody waits for the first answer to begin: it is unwanted, or of a file whose item is paused. What has begun
    /// of it is kept, or read to its end where that is short.
    pub fn is_unawaited(&self, id: SlotId) -> bool {
        let front = self.slots[id.0].flight.front();
        let is_paused = |task: &FileTask| {
            let item = self.item(task.item);
            item.is_some_and(|item| item.life == Life::Paused)
        };
        self.is_unwanted(id)
            || matches!(front.map(|flight| &flight.work), Some(Work::Open(task)) if is_paused(task))
    }

    /// Whether the user stopped what the work is for, or all of it is here.
    fn is_halted(&self, work: &Work) -> bool {
        match work {
            Work::Open(task) => !self.is_going(task.item),
            Work::Run(file, _) | Work::Values(file) => {
                let transfer = self.transfers.get(file);
                transfer.is_none_or(|transfer| transfer.phase != Phase::Flowing)
            }
            _ => false,
        }
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
        self.answers(source);
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
        self.take_in(flight, answered);
    }

    fn take_in(&mut self, flight: Flight, answered: Answered) {
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
            Answered::Run { .. } | Answered::Values => self.put_back(flight.work),
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

    /// So many bytes came of a body of unknown size; none when it begins.
    pub fn streamed(&mut self, id: SlotId, bytes: u64) {
        if let Some(front) = self.slots[id.0].flight.front_mut() {
            *front.streamed.get_or_insert(0) += bytes;
        }
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
        // What is only compared is not fetched; where it differs, the transfer that does follows.
        if !opened.compares {
            self.tell(Event::Started {
                item: task.item,
                path: task.path.clone(),
                total: Some(opened.facts.size),
            });
        }
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
        // Others may do it, should this connection not go on.
        self.ring_all();
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
}

#[cfg(test)]
mod tests;
