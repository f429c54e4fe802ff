//! How many connections are at what: derived from the slots each time, kept nowhere.

use super::{FileId, Flight, Phase, Schedule, SlotId, Work, item::Item};
use crate::client::ItemId;

impl Schedule {
    /// Whether anything of an item waits or is under way.
    pub(super) fn has_work(&self, item: &Item) -> bool {
        !(item.dirs.is_empty() && item.small.is_empty() && item.large.is_empty())
            || self.transfers.values().any(|it| it.task.item == item.id)
    }

    /// Whether an item has all the connections that its limit has use for, others than `but`.
    pub(super) fn has_enough(&self, item: &Item, but: Option<SlotId>) -> bool {
        let most = item.connections_max();
        if most == usize::MAX {
            return false;
        }
        let of = |file| self.transfers.get(&file).map(|it| it.task.item);
        let slots = self.slots.iter().enumerate();
        let others = slots.filter(|(at, _)| but.is_none_or(|but| but.0 != *at));
        others
            .filter(|(_, slot)| slot.item(of) == Some(item.id))
            .count()
            >= most
    }

    /// Whether those before it are all the connections that the limit of its item has use for.
    pub(super) fn is_surplus(&self, id: SlotId) -> bool {
        let of = |file| self.transfers.get(&file).map(|it| it.task.item);
        let item = self.slots[id.0].item(of).and_then(|item| self.item(item));
        let Some(item) = item.filter(|item| item.limit.is_some()) else {
            return false;
        };
        let before = self.slots[..id.0].iter();
        let its = before.filter(|slot| slot.item(of) == Some(item.id));
        its.count() >= item.connections_max()
    }

    /// Connections that work on an item now.
    pub(super) fn connections_of(&self, item: ItemId) -> usize {
        let of = |file| self.transfers.get(&file).map(|it| it.task.item);
        let slots = self.slots.iter();
        slots.filter(|slot| slot.item(of) == Some(item)).count()
    }

    /// Connections other than `id` whose last work in flight is an item's: those that go on with it as far as is known.
    pub(super) fn others_that_stay(&self, item: ItemId, id: SlotId) -> usize {
        let of = |file| self.transfers.get(&file).map(|it| it.task.item);
        let others = self.slots.iter().enumerate().filter(|(at, _)| *at != id.0);
        let last = others.filter_map(|(_, slot)| slot.flight.back());
        last.filter(|flight| flight.work.item(of) == Some(item))
            .count()
    }

    /// Large files of which pieces are looked for elsewhere, or fetched in blocks: nothing of them is free meanwhile.
    pub(super) fn searched(&self) -> usize {
        let transfers = self.transfers.values();
        let flowing = transfers.filter(|it| it.phase == Phase::Flowing);
        flowing.filter(|it| it.is_searched()).count()
    }

    /// Large files that are fetched or about to be, of one item or of all.
    pub(super) fn large_open(&self, item: Option<ItemId>) -> usize {
        let its = |of: ItemId| item.is_none_or(|item| item == of);
        let transfers = self.transfers.values();
        let open = self.slots.iter().filter(|slot| {
            let front = slot.flight.front().map(|flight| &flight.work);
            matches!(front, Some(Work::Open(task)) if its(task.item))
        });
        transfers.filter(|it| its(it.task.item)).count() + open.count()
    }

    /// Whether one of its directories is being listed or read from the disk.
    pub(super) fn is_listing(&self, item: ItemId) -> bool {
        let lists = |flight: &Flight| matches!(&flight.work, Work::List(task) if task.item == item);
        self.loads.values().any(|task| task.item == item)
            || self
                .slots
                .iter()
                .any(|slot| slot.flight.front().is_some_and(lists))
    }

    /// Connections that have runs of a transfer in flight.
    pub(super) fn reading(&self, file: FileId) -> usize {
        let its = |flight: &Flight| matches!(&flight.work, Work::Run(of, _) if *of == file);
        let slots = self.slots.iter();
        slots.filter(|slot| slot.flight.iter().any(its)).count()
    }
}
