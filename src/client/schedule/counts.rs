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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{
        super::user::tests::{add_tree, file, put, put_run, transfer},
        *,
    };
    use crate::client::schedule::testing::{path, schedule};
    use crate::{
        client::{
            facts::Facts,
            id::RestId,
            schedule::{Opened, Transfer, verdict::Values},
            task::DirTask,
        },
        pieces::PIECE,
        units::Rate,
    };

    fn open(item: ItemId) -> Work {
        Work::Open(file(item, "/a", None))
    }

    fn list(item: ItemId) -> Work {
        Work::List(DirTask::new(item, path("/t/")))
    }

    #[test]
    fn an_item_has_work_where_something_waits_or_is_under_way() {
        let mut schedule = schedule(1);
        let [id, other] = [0; 2].map(|_| add_tree(&mut schedule));
        let has = |schedule: &Schedule| schedule.has_work(schedule.item(id).unwrap());
        assert!(has(&schedule));
        schedule.item_mut(id).unwrap().dirs.clear();
        transfer(&mut schedule, other);
        let later = (file(id, "/a", None).into(), "busy".to_owned());
        let item = schedule.item_mut(id).unwrap();
        item.later.insert((Instant::now(), 0), later);
        assert!(!has(&schedule), "it waits for a later time");
        for size in [None, Some(2 * PIECE)] {
            let item = schedule.item_mut(id).unwrap();
            item.push_back(file(id, "/a", size));
            assert!(has(&schedule));
            let item = schedule.item_mut(id).unwrap();
            item.small.clear();
            item.large.clear();
        }
        transfer(&mut schedule, id);
        assert!(has(&schedule));
    }

    #[test]
    fn a_limited_item_has_enough_connections_and_the_last_are_too_many() {
        let mut schedule = schedule(1);
        let [id, other] = [0; 2].map(|_| add_tree(&mut schedule));
        let large = transfer(&mut schedule, id);
        put(&mut schedule, 0, open(other));
        put(&mut schedule, 1, open(id));
        put_run(&mut schedule, 2, large);
        let enough = |schedule: &Schedule, but: Option<usize>| {
            schedule.has_enough(schedule.item(id).unwrap(), but.map(SlotId))
        };
        let surplus = |schedule: &Schedule| {
            let all = 0..schedule.slots.len();
            all.filter(|at| schedule.is_surplus(SlotId(*at)))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (enough(&schedule, None), surplus(&schedule)),
            (false, vec![])
        );
        for (most, all, without_one, too_many) in [
            (1, true, true, vec![2]),
            (2, true, false, vec![]),
            (3, false, false, vec![]),
        ] {
            schedule.item_mut(id).unwrap().limit = Some(Rate(most * PIECE));
            assert_eq!(enough(&schedule, None), all, "{most}");
            assert_eq!(enough(&schedule, Some(0)), all);
            assert_eq!(enough(&schedule, Some(2)), without_one);
            assert_eq!(surplus(&schedule), too_many);
        }
        put(&mut schedule, 3, Work::Values(large));
        schedule.item_mut(id).unwrap().limit = Some(Rate(1));
        assert_eq!(surplus(&schedule), [2, 3]);
    }

    #[test]
    fn a_connection_is_of_the_item_of_its_first_work_and_stays_with_that_of_its_last() {
        let mut schedule = schedule(1);
        let [id, other] = [0; 2].map(|_| add_tree(&mut schedule));
        put(&mut schedule, 0, open(id));
        put(&mut schedule, 1, open(id));
        put(&mut schedule, 1, open(other));
        put(&mut schedule, 2, list(other));
        let counts = |schedule: &Schedule, item| {
            let stay = [0, 1, 2, 3].map(|at| schedule.others_that_stay(item, SlotId(at)));
            (schedule.connections_of(item), stay)
        };
        assert_eq!(counts(&schedule, id), (2, [0, 1, 1, 1]));
        assert_eq!(counts(&schedule, other), (1, [2, 1, 1, 2]));
    }

    #[test]
    fn large_files_are_counted_from_their_first_request_on() {
        let mut schedule = schedule(1);
        let [id, other] = [0; 2].map(|_| add_tree(&mut schedule));
        let count = |schedule: &Schedule| {
            [None, Some(id), Some(other)].map(|item| schedule.large_open(item))
        };
        assert_eq!(count(&schedule), [0, 0, 0]);
        transfer(&mut schedule, id);
        transfer(&mut schedule, id);
        put(&mut schedule, 0, open(other));
        put(&mut schedule, 0, open(other));
        put(&mut schedule, 1, list(id));
        assert_eq!(count(&schedule), [3, 2, 1]);
    }

    #[test]
    fn an_item_is_listed_by_a_connection_or_from_the_disk() {
        let mut schedule = schedule(1);
        let [id, other] = [0; 2].map(|_| add_tree(&mut schedule));
        put(&mut schedule, 0, open(id));
        put(&mut schedule, 0, list(id));
        put(&mut schedule, 1, list(other));
        assert!(!schedule.is_listing(id) && schedule.is_listing(other));
        put(&mut schedule, 2, list(id));
        assert!(schedule.is_listing(id));
        schedule
            .slots
            .iter_mut()
            .for_each(|slot| slot.flight.clear());
        let dir = DirTask::new(id, path("/t/"));
        schedule.loads.insert(RestId(1), dir);
        assert!(schedule.is_listing(id) && !schedule.is_listing(other));
    }

    #[test]
    fn connections_read_a_file_by_its_runs() {
        let mut schedule = schedule(1);
        let id = add_tree(&mut schedule);
        let [one, other] = [0; 2].map(|_| transfer(&mut schedule, id));
        put_run(&mut schedule, 0, other);
        put_run(&mut schedule, 0, one);
        put_run(&mut schedule, 1, one);
        put_run(&mut schedule, 1, one);
        put(&mut schedule, 2, Work::Values(one));
        assert_eq!((schedule.reading(one), schedule.reading(other)), (2, 1));
    }

    #[test]
    fn files_that_are_searched_count_while_they_flow() {
        let mut schedule = schedule(1);
        let id = add_tree(&mut schedule);
        let now = Instant::now();
        let size = 2 * PIECE;
        for searched in [false, true, true] {
            let opened = Opened {
                facts: Facts {
                    size,
                    ranges: true,
                    pieces: true,
                    ..Facts::default()
                },
                left: size,
                from_old: true,
                ..Opened::default()
            };
            let file_id = schedule.new_file();
            let task = file(id, "/a", Some(size));
            let mut transfer = Transfer::new(file_id, task, opened, 1, now);
            transfer.start(0, now);
            transfer.left_piece(0, None, 0);
            transfer.left_done();
            transfer.verdict.values = Values::Settled;
            assert!(!searched || transfer.begin_search());
            schedule.transfers.insert(file_id, transfer);
        }
        assert_eq!(schedule.searched(), 2);
        let last = schedule.transfers.values_mut().last().unwrap();
        last.phase = Phase::Halted;
        assert_eq!(schedule.searched(), 1);
    }
}
