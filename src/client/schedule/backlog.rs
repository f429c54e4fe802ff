//! What waits: items and what the user does to them, what listings find, and work that comes back.

use std::time::Instant;

use super::{
    Browse, BrowseId, Effect, FileId, Flight, Keep, RestId, Schedule, SlotId, Sum, Transfer, Work,
    item::{Item, Life, NewItem},
    source::Reach,
    transfer::Phase,
};
use crate::{
    client::{
        Error, Event, ItemId,
        disk::journal::Ticket,
        read::pattern::Filter,
        task::{DirTask, FileTask, Task},
        want::Wanted,
    },
    http1::path::RemotePath,
};

impl Schedule {
    /// Adds an item at the end.
    pub fn add(&mut self, new: NewItem) -> ItemId {
        let id = ItemId(self.new_id());
        self.items.push(Item::new(id, new));
        self.revive();
        self.ring_all();
        id
    }

    /// The numbers that items have in the journal, and what all were asked for, those that have ended too.
    pub fn kept(&self) -> (Vec<Ticket>, Vec<Wanted>) {
        let tickets = self.items.iter().filter_map(|item| item.ticket);
        let wanted = self.items.iter().filter_map(|item| item.wanted.clone());
        (tickets.collect(), wanted.collect())
    }

    /// An item is in the journal again.
    pub fn wanted_again(&mut self, id: ItemId, ticket: Ticket) {
        match self.item_mut(id) {
            Some(item) if !item.has_ended() => item.ticket = Some(ticket),
            _ => self.outbox.push_back(Effect::Settle(ticket)),
        }
    }

    /// Asks for a listing ahead of everything else.
    pub fn browse(&mut self, dir: RemotePath, now: Instant) -> BrowseId {
        let id = BrowseId(self.new_id());
        let lead = self.sources.lead(now);
        if let Reach::Asks(error) = &self.sources.get(lead).reach {
            // It would wait for the user, who waits for it.
            self.outbox.push_back(Effect::Answer(id, error.clone()));
        } else if self.stopped {
            let error = Error::Broken("the client was stopped".into());
            self.outbox.push_back(Effect::Answer(id, error));
        } else {
            self.browses.push_back(Browse {
                id,
                dir,
                failures: 0,
                tried: super::SourceSet::default(),
            });
            self.revive();
        }
        self.ring_all();
        id
    }

    /// Those who wait for a listing that nobody is about to fetch are told why there is none.
    pub(super) fn answer_browsers(&mut self, error: &Error) {
        for browse in self.browses.drain(..) {
            self.outbox
                .push_back(Effect::Answer(browse.id, error.clone()));
        }
    }

    /// Something is asked for: a server that was given up is tried again.
    fn revive(&mut self) {
        for source in self.sources.each_mut() {
            if matches!(source.reach, Reach::Down(_)) {
                source.reach = Reach::Unknown;
            }
        }
    }

    /// Stops an item where it is.
    pub fn pause(&mut self, id: ItemId) {
        let Some(item) = self.item_mut(id) else {
            return;
        };
        if item.is_going() {
            item.life = Life::Paused;
            self.set_phase(id, Phase::Flowing, Phase::Halted);
            self.interrupt_item(id);
        }
    }

    /// Goes on with a paused item.
    pub fn resume(&mut self, id: ItemId) {
        let Some(item) = self.item_mut(id) else {
            return;
        };
        if item.life == Life::Paused {
            item.life = Life::Going;
            self.set_phase(id, Phase::Halted, Phase::Flowing);
            self.revive();
            self.ring_all();
        }
    }

    fn set_phase(&mut self, id: ItemId, from: Phase, to: Phase) {
        let mut transfers = self.transfers.values_mut();
        transfers
            .by_ref()
            .filter(|transfer| transfer.task.item == id && transfer.phase == from)
            .for_each(|transfer| transfer.phase = to);
    }

    fn interrupt_item(&mut self, id: ItemId) {
        let files: Vec<FileId> = self.files_of(id);
        self.interrupt(|work| match work {
            Work::Run(file, _) | Work::Values(file) => files.contains(file),
            Work::Open(task) => task.item == id,
            _ => false,
        });
    }

    fn files_of(&self, id: ItemId) -> Vec<FileId> {
        let its = self.transfers.values().filter(|it| it.task.item == id);
        its.map(|transfer| transfer.id).collect()
    }

    /// Ends an item; what is here of it stays for a later try.
    pub fn cancel(&mut self, id: ItemId) {
        let Some(item) = self.item_mut(id) else {
            return;
        };
        if item.has_ended() {
            return;
        }
        item.life = Life::Cancelled;
        item.shelve();
        self.interrupt_item(id);
        for file in self.files_of(id) {
            self.shelve_transfer(file);
        }
        self.end_item(id);
        self.ring_all();
    }

    /// A transfer that is not about to land anyway ends, and its file is kept for a retry. Whether it did.
    fn shelve_transfer(&mut self, file: FileId) -> bool {
        let landing = |transfer: &Transfer| transfer.phase == Phase::Landing;
        if self.transfers.get(&file).is_none_or(landing) {
            return false;
        }
        let noted = self.transfers.get(&file).and_then(Transfer::worth_noting);
        let Some(transfer) = self.let_go(file, noted.map_or(Keep::AsIs, Keep::Pieces)) else {
            return false;
        };
        let task = transfer.into_task();
        if let Some(item) = self.item_mut(task.item) {
            item.keep_failed(task.into());
        }
        true
    }

    /// A transfer ends without its file.
    pub(super) fn let_go(&mut self, file: FileId, keep: Keep) -> Option<Transfer> {
        let transfer = self.transfers.remove(&file)?;
        self.outbox.push_back(Effect::LetGo(file, keep));
        self.interrupt(|work| matches!(work, Work::Run(of, _) | Work::Values(of) if *of == file));
        Some(transfer)
    }

    /// Tries a failed or cancelled item again.
    pub fn retry(&mut self, id: ItemId) {
        use crate::client::ItemState::{Cancelled, Failed};
        let Some(item) = self.item_mut(id) else {
            return;
        };
        if !matches!(item.life, Life::Ended(Failed(_) | Cancelled)) {
            return;
        }
        let forgotten: Vec<RestId> = if item.forgetful {
            let dirs = item.failed_dirs.iter();
            dirs.filter_map(|task| task.rest).collect()
        } else {
            Vec::new()
        };
        item.retry();
        let again = item.wanted.clone().filter(|_| item.ticket.is_none());
        self.outbox
            .extend(forgotten.into_iter().map(Effect::DropRest));
        self.outbox
            .extend(again.map(|wanted| Effect::Want(id, wanted)));
        self.revive();
        self.end_item(id);
        self.ring_all();
    }

    /// Moves an item up (negative) or down.
    pub fn reorder(&mut self, id: ItemId, by: isize) {
        let Some(from) = self.items.iter().position(|item| item.id == id) else {
            return;
        };
        let to = from.saturating_add_signed(by).min(self.items.len() - 1);
        let item = self.items.remove(from);
        self.items.insert(to, item);
    }

    /// Forgets items that have ended: those that are gone now.
    pub fn clear_ended(&mut self) -> Vec<ItemId> {
        let ended = |item: &Item| item.has_ended();
        let gone: Vec<ItemId> = self
            .items
            .iter()
            .filter(|item| ended(item))
            .map(|item| item.id)
            .collect();
        for item in self.items.iter().filter(|item| ended(item)) {
            let rests = item.failed_dirs.iter().filter_map(|task| task.rest);
            self.outbox.extend(rests.map(Effect::DropRest));
        }
        self.items.retain(|item| !ended(item));
        gone
    }

    /// Ends every pause before another try.
    pub fn hurry(&mut self) {
        self.sources
            .each_mut()
            .for_each(super::source::Source::release);
        self.items.iter_mut().for_each(|item| item.release(None));
        self.transfers.values_mut().for_each(Transfer::hurry);
        self.revive();
        self.ring_all();
    }

    /// What comes back after all was given up fails with the rest: nobody would ask for it any more.
    pub(super) fn fail_leftovers(&mut self) {
        if let Some(error) = self.sources.all_down() {
            self.fail_all(&error);
        }
    }

    /// Fails everything that waits, because no server is of any use.
    pub(super) fn fail_all(&mut self, error: &Error) {
        self.answer_browsers(error);
        for slot in 0..self.slots.len() {
            // What is in flight fails with the rest; it comes back as waiting work first.
            if self.slots[slot].line != super::slot::Line::Open {
                self.take_back(SlotId(slot));
            }
        }
        let going: Vec<ItemId> = self
            .items
            .iter()
            .filter(|item| !item.has_ended())
            .map(|item| item.id)
            .collect();
        for id in going {
            let mut lost = 0;
            for file in self.files_of(id) {
                lost += usize::from(self.shelve_transfer(file));
            }
            if let Some(item) = self.item_mut(id) {
                lost += item.shelve();
                (0..lost).for_each(|_| item.note_failure(error.clone()));
            }
            self.end_item(id);
        }
    }

    /// Puts work back that was not done, without blame.
    pub(super) fn put_back(&mut self, work: Work) {
        match work {
            Work::Browse(_) if self.stopped => {}
            Work::Browse(browse) => self.browses.push_front(browse),
            Work::List(task) => self.put_back_task(task.into()),
            Work::Open(task) => self.put_back_task(task.into()),
            Work::Run(file, run) => {
                if let Some(transfer) = self.transfers.get_mut(&file) {
                    transfer.plan.release(run.id);
                }
            }
            Work::Values(file) => {
                if let Some(transfer) = self.transfers.get_mut(&file) {
                    transfer.verdict.broke_off();
                }
            }
            Work::Spent => {}
        }
    }

    pub(super) fn put_back_flight(&mut self, flight: Option<Flight>) {
        if let Some(flight) = flight {
            self.put_back(flight.work);
        }
    }

    /// The same, for what is to be asked for with nothing in front of it.
    pub(super) fn put_back_alone(&mut self, flight: Option<Flight>) {
        let work = match flight.map(|flight| flight.work) {
            Some(Work::Open(task)) => Work::Open(FileTask {
                alone: true,
                ..task
            }),
            Some(work) => work,
            None => return,
        };
        self.put_back(work);
    }

    /// A file or directory waits again; in a cancelled item, for a retry.
    pub(super) fn put_back_task(&mut self, task: Task) {
        let id = task.item();
        if let Some(item) = self.item_mut(id) {
            item.take_back_task(task);
        }
        self.end_item(id);
    }

    /// Everything in flight on a connection goes back: others may do it, unless there is nobody left who could be asked.
    pub(super) fn unassign(&mut self, id: SlotId) {
        if self.take_back(id) {
            self.fail_leftovers();
            self.ring_all();
        }
    }

    /// Takes back what is in flight on a connection, the last first. False where that is nothing.
    pub(super) fn take_back(&mut self, id: SlotId) -> bool {
        self.slots[id.0].interrupted = false;
        let flights = std::mem::take(&mut self.slots[id.0].flight);
        let some = !flights.is_empty();
        for flight in flights.into_iter().rev() {
            self.put_back(flight.work);
        }
        some
    }

    /// Whether what listings find must wait on disk, because enough is known.
    pub fn is_full(&self, id: ItemId) -> bool {
        let item = self.item(id);
        item.is_some_and(|item| !item.has_ended() && item.is_full())
    }

    /// Files of an item that are known and not begun.
    #[cfg(test)]
    pub fn known(&self, id: ItemId) -> usize {
        self.item(id).map_or(0, Item::known)
    }

    /// A tree's filter, for whoever lists it; `None` once the item is gone, cancelled or ended.
    #[expect(
        clippy::option_option,
        reason = "a tree that is gone is no tree without a filter"
    )]
    pub fn tree(&self, id: ItemId) -> Option<Option<Filter>> {
        let item = self.item(id)?;
        (!item.has_ended()).then(|| item.filter.clone())
    }

    /// Something of a listing is left out: it can have no name here, or leads nowhere new.
    pub fn refused(&mut self, task: &DirTask, error: Error) {
        self.tell(Event::Failed {
            item: task.item,
            path: task.dir.clone(),
            attempts: 1,
            error: error.clone(),
        });
        if let Some(item) = self.item_mut(task.item) {
            item.note_failure(error);
        }
    }

    /// Files of a listing have come. False when they are not wanted now, because the item was cancelled.
    pub fn found(&mut self, id: ItemId, files: Vec<FileTask>) -> bool {
        let Some(item) = self.item_mut(id).filter(|item| !item.is_cancelled()) else {
            return false;
        };
        item.count_found(Sum::of(&files));
        for file in files {
            item.push_back(file);
        }
        self.ring_all();
        true
    }

    /// The directory of which the next entries are being read from the disk.
    pub fn loading(&self, rest: RestId) -> Option<DirTask> {
        self.loads.get(&rest).cloned()
    }

    /// Some of what waited on disk was read; it was counted when its listing was complete. `more` says that it was not
    /// all.
    pub fn loaded(&mut self, rest: RestId, dirs: Vec<DirTask>, files: Vec<FileTask>, more: bool) {
        let Some(mut task) = self.loads.remove(&rest) else {
            return;
        };
        let id = task.item;
        if !more {
            task.rest = None;
            self.outbox.push_back(Effect::DropRest(rest));
        }
        if let Some(item) = self.item_mut(id) {
            if item.is_cancelled() {
                for file in files {
                    item.keep_failed(file.into());
                }
            } else {
                for file in files {
                    item.push_back(file);
                }
            }
            if more {
                item.take_back_dir(task);
            }
            item.take_dirs(dirs);
        }
        self.end_item(id);
        self.ring_all();
    }

    /// What waited on disk cannot be read any more: only beginning anew tells what else it held.
    pub fn load_failed(&mut self, rest: RestId, error: Error) {
        let Some(mut task) = self.loads.remove(&rest) else {
            return;
        };
        self.outbox.push_back(Effect::DropRest(rest));
        task.rest = None;
        let attempts = task.failures + 1;
        if let Some(item) = self.item_mut(task.item) {
            item.forgetful = true;
        }
        self.task_ended_after(task.into(), attempts, error);
        self.ring_all();
    }

    /// Ends an item for which nothing is left to be done.
    pub(super) fn end_item(&mut self, id: ItemId) {
        let Some(item) = self.item(id) else { return };
        if item.has_ended() || !item.waits_for_nothing() || self.is_under_way(id) {
            return;
        }
        let fails_empty = self.limits.fail_empty;
        let Some(item) = self.item_mut(id) else {
            return;
        };
        let nothing = item.tree && item.found == 0 && item.failed == 0 && !item.is_cancelled();
        let nothing = nothing.then(|| match item.filter {
            Some(_) => Some(Error::NoMatch),
            None => fails_empty.then_some(Error::Empty),
        });
        if let Some(None) = nothing {
            tracing::warn!(path = %crate::escape::display_name(item.path.as_bytes()), "there is no file in it: nothing was downloaded");
        }
        let nothing = nothing.flatten();
        if let Some(error) = &nothing {
            item.note_failure(error.clone());
        }
        let parts: u64 = item.failed_files.iter().map(|task| task.kept).sum();
        item.kept = item.settled.saturating_add(parts);
        let settled = if item.is_unsettled() {
            None
        } else {
            item.ticket.take()
        };
        let path = item.path.clone();
        item.life = Life::Ended(item.final_state());
        self.outbox.extend(settled.map(Effect::Settle));
        if let Some(error) = nothing {
            self.tell(Event::Failed {
                item: id,
                path,
                attempts: 1,
                error,
            });
        }
        self.tell(Event::Ended { item: id });
        self.outbox.push_back(Effect::Changed);
    }

    /// Whether some of an item is in flight, under way, or on its way to the disk or from it.
    fn is_under_way(&self, id: ItemId) -> bool {
        self.transfers.values().any(|it| it.task.item == id)
            || self.landings.values().any(|task| task.item == id)
            || self.loads.values().any(|task| task.item == id)
            || self.slots.iter().any(|slot| {
                let mut flights = slot.flight.iter();
                flights.any(|flight| flight.work.item(|_| None) == Some(id))
            })
    }
}
