//! What waits: items, those who wait for a listing, and work that comes back.

use std::time::Instant;

use super::{
    Browse, BrowseId, Effect, FileId, Flight, Keep, Schedule, SlotId, Transfer, Work,
    item::{Item, Life, NewItem},
    source::Reach,
};
use crate::{
    client::{
        Error, Event, ItemId,
        disk::{journal::Ticket, names::Local},
        task::{FileTask, Task},
        want::Wanted,
    },
    http1::path::RemotePath,
};

impl Schedule {
    /// Adds an item at the end.
    pub fn add(&mut self, new: NewItem) -> ItemId {
        let id = ItemId(self.new_id());
        let mut item = Item::new(id, new);
        item.first &= self.items.iter().all(|other| !other.first);
        self.items.push(item);
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

    /// Whether the journal keeps everything that has not ended.
    pub fn is_kept(&self) -> bool {
        let mut items = self.items.iter().filter(|item| !item.has_ended());
        items.all(|item| item.ticket.is_some())
    }

    /// The numbers of what the user stopped.
    pub fn paused(&self) -> Vec<Ticket> {
        let items = self.items.iter().filter(|item| item.life == Life::Paused);
        items.filter_map(|item| item.ticket).collect()
    }

    /// What the journal keeps, in the queue's order.
    pub fn queue(&self) -> Vec<(Ticket, Wanted)> {
        let items = self.items.iter();
        items
            .filter_map(|item| Some((item.ticket?, item.wanted.clone()?)))
            .collect()
    }

    /// An item is in the journal again.
    pub fn wanted_again(&mut self, id: ItemId, ticket: Ticket) {
        match self.item_mut(id) {
            Some(item) if !item.has_ended() => {
                item.ticket = Some(ticket);
                self.outbox.push_back(Effect::KeepQueue);
            }
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

    /// A transfer ends without its file.
    pub(super) fn let_go(&mut self, file: FileId, keep: Keep) -> Option<Transfer> {
        let transfer = self.transfers.remove(&file)?;
        self.outbox.push_back(Effect::LetGo(file, keep));
        // Who looks for its pieces looks no more.
        self.outbox.push_back(Effect::Changed);
        self.interrupt(|work| matches!(work, Work::Run(of, _) | Work::Values(of) if *of == file));
        Some(transfer)
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
                    if transfer.is_cut_short()
                        && let Some(task) = self.begin_anew(file)
                    {
                        self.put_back_task(task.into());
                    }
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

    /// Ends a transfer of which there is no going on in the middle: what is to be asked for again from its first byte.
    pub(super) fn begin_anew(&mut self, file: FileId) -> Option<FileTask> {
        let transfer = self.let_go(file, Keep::AsIs)?;
        Some(FileTask {
            local: Local::Part,
            ..transfer.task
        })
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
        let flights = std::mem::take(&mut self.slots[id.0].flight);
        let some = !flights.is_empty();
        for flight in flights.into_iter().rev() {
            self.put_back(flight.work);
        }
        some
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
        let mut missing = item.missing();
        if missing.is_empty() && item.is_empty() {
            if fails_empty {
                missing.push(Error::Empty);
            } else {
                let path = crate::escape::display_name(item.path.as_bytes());
                tracing::warn!(%path, "there is no file in it: nothing was downloaded");
            }
        }
        for error in &missing {
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
        for error in missing {
            self.tell(Event::Failed {
                item: id,
                path: path.clone(),
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

#[cfg(test)]
mod tests;
