//! What the user does to items: stops them, goes on, gives them up, tries them again, moves and clears them.

use super::{
    Effect, FileId, Keep, Outcome, RestId, Schedule, Transfer, Work,
    item::{Item, Life},
    source::Reach,
    transfer::Phase,
};
use crate::{client::ItemId, units::Rate};

impl Schedule {
    /// Something is asked for: a server that was given up is tried again.
    pub(super) fn revive(&mut self) {
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
            self.outbox.push_back(Effect::Changed);
            self.interrupt_item(id);
            // What it needed nobody needs now: others may be of use where they were not.
            self.ring_all();
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
            self.outbox.push_back(Effect::Changed);
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

    pub(super) fn interrupt_item(&mut self, id: ItemId) {
        let files: Vec<FileId> = self.files_of(id);
        self.interrupt(|work| match work {
            Work::Run(file, _) | Work::Values(file) => files.contains(file),
            Work::Open(task) => task.item == id,
            Work::List(task) => task.item == id,
            Work::Browse(_) | Work::Spent => false,
        });
    }

    pub(super) fn files_of(&self, id: ItemId) -> Vec<FileId> {
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
    pub(super) fn shelve_transfer(&mut self, file: FileId) -> bool {
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
        let mut item = self.items.remove(from);
        // Whoever lets others pass wants it no more before them.
        item.set_first(item.first && to <= from);
        self.items.insert(to, item);
        self.queue_changed();
    }

    /// Moves an item to the front, where it comes before all others; or ends that.
    pub fn set_first(&mut self, id: ItemId, first: bool) {
        let Some(from) = self.items.iter().position(|item| item.id == id) else {
            return;
        };
        if first {
            let item = self.items.remove(from);
            self.items.insert(0, item);
        }
        for item in &mut self.items {
            item.set_first(if item.id == id {
                first
            } else {
                item.first && !first
            });
        }
        self.queue_changed();
    }

    /// Limits what an item's connections together take. Those that are too many for that now are there for others.
    pub fn limit_item(&mut self, id: ItemId, limit: Option<Rate>) {
        let Some(item) = self.item_mut(id) else {
            return;
        };
        item.limit = limit;
        if let Some(wanted) = &mut item.wanted {
            wanted.set_limit(limit);
        }
        self.interrupt_item(id);
        self.queue_changed();
    }

    /// Others may be next now, in this run and in a later one.
    fn queue_changed(&mut self) {
        self.outbox.push_back(Effect::KeepQueue);
        self.outbox.push_back(Effect::Changed);
        self.ring_all();
    }

    /// A connection ended its work: where items get so many connections and no more, one that waits may have some now.
    pub(super) fn ring_for_limited(&mut self) {
        let limited = |item: &Item| item.limit.is_some() && item.is_going();
        if self.items.iter().any(limited) {
            self.ring_all();
        }
    }

    /// Forgets items that have ended, but for what they came to: those that are gone now.
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
        let cleared = self.items.iter().filter(|item| ended(item));
        self.cleared = cleared.fold(self.cleared, Outcome::with);
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
}

#[cfg(test)]
pub(super) mod tests;
