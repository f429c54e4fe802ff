//! What the user does to items: stops them, goes on, gives them up, tries them again, moves and clears them.

use super::{
    Effect, FileId, Keep, RestId, Schedule, Transfer, Work,
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
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{
        client::{
            id::SlotId,
            schedule::{Limits, NewItem, Order, Report},
            task::FileTask,
        },
        http1::path::RemotePath,
    };

    const MIB: u64 = 1 << 20;

    /// Four connections and one server.
    fn schedule() -> Schedule {
        let limits = Limits {
            workers: 4,
            retries: 1,
            serial: false,
            patient: false,
            resume: true,
            spares: false,
            fail_empty: false,
        };
        Schedule::new(limits, vec!["s".into()], 1)
    }

    /// An item of files that keep every connection busy.
    fn add(schedule: &mut Schedule, name: &str) -> ItemId {
        let path = |n: u32| RemotePath::from_target(format!("/{name}{n}").as_bytes()).unwrap();
        let file = |n| {
            let mut task = FileTask::new(ItemId(0), path(n));
            task.size = Some(9 * MIB);
            task
        };
        let named = (0..20).map(file).collect();
        schedule.add(NewItem {
            named,
            ..NewItem::new(RemotePath::root())
        })
    }

    /// Every connection asks for work; how many each item has then.
    fn all_ask(schedule: &mut Schedule, items: &[ItemId]) -> Vec<usize> {
        let now = Instant::now();
        for slot in (0..4).map(SlotId) {
            schedule.unassign(slot);
            if let Order::Connect(_) = schedule.next(slot, now) {
                schedule.report(slot, Report::Connected(Duration::ZERO), now);
            }
        }
        let of = |item: &ItemId| schedule.connections_of(*item);
        items.iter().map(of).collect()
    }

    #[test]
    fn a_limited_item_leaves_connections_to_others() {
        let mut schedule = schedule();
        let items = ["a", "b"].map(|name| add(&mut schedule, name));
        assert_eq!(all_ask(&mut schedule, &items), [2, 2]);
        schedule.limit_item(items[0], Some(Rate(MIB)));
        assert_eq!(all_ask(&mut schedule, &items), [1, 3]);
        // Nor does it get more where it is alone, so that whatever comes next finds one.
        schedule.pause(items[1]);
        assert_eq!(all_ask(&mut schedule, &items), [1, 0]);
        schedule.limit_item(items[0], Some(Rate(3 * MIB)));
        assert_eq!(all_ask(&mut schedule, &items), [3, 0]);
        schedule.limit_item(items[0], None);
        assert_eq!(all_ask(&mut schedule, &items), [4, 0]);
        assert_eq!(schedule.views(Instant::now())[0].limit, None);
    }

    #[test]
    fn the_first_gets_every_connection_until_it_lets_others_pass() {
        let mut schedule = schedule();
        let items = ["a", "b", "c"].map(|name| add(&mut schedule, name));
        schedule.set_first(items[2], true);
        let order = |schedule: &Schedule| -> Vec<_> {
            let views = schedule.views(Instant::now()).into_iter();
            views.map(|view| (view.id, view.first)).collect()
        };
        let [a, b, c] = items;
        assert_eq!(order(&schedule), [(c, true), (a, false), (b, false)]);
        assert_eq!(all_ask(&mut schedule, &items), [0, 0, 4]);
        schedule.limit_item(c, Some(Rate(2 * MIB)));
        assert_eq!(all_ask(&mut schedule, &items), [1, 1, 2]);
        schedule.set_first(a, true);
        assert_eq!(order(&schedule), [(a, true), (c, false), (b, false)]);
        assert_eq!(all_ask(&mut schedule, &items), [4, 0, 0]);
        schedule.reorder(a, 1);
        assert_eq!(order(&schedule), [(c, false), (a, false), (b, false)]);
        schedule.limit_item(c, None);
        assert_eq!(all_ask(&mut schedule, &items), [2, 0, 2]);
        let kept = schedule.take_effects();
        assert!(kept.iter().any(|it| matches!(it, Effect::KeepQueue)));
    }
}
