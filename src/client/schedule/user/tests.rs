use std::time::{Duration, Instant};

mod lives;

use super::*;
use crate::client::schedule::testing::{MIB, path, schedule};
use crate::{
    client::{
        ItemState,
        disk::journal::Ticket,
        facts::Facts,
        id::{SlotId, SourceId},
        schedule::{Ask, Flight, NewItem, Opened, Order, Report, slot::Line},
        task::{DirTask, FileTask},
        want::{Rule, Want, Wanted},
    },
    http1::path::RemotePath,
};

const ALL: [usize; 4] = [0, 1, 2, 3];

pub(in super::super) fn file(item: ItemId, name: &str, size: Option<u64>) -> FileTask {
    FileTask {
        size,
        ..FileTask::new(item, path(name))
    }
}

/// Another tree, of which nothing is known.
pub(in super::super) fn add_tree(schedule: &mut Schedule) -> ItemId {
    schedule.add(NewItem::new(path("/t/")))
}

/// Another file, which the journal keeps.
pub(in super::super) fn add_kept(schedule: &mut Schedule, number: u64) -> ItemId {
    let want = Want::Path {
        path: path("/k"),
        size: None,
    };
    let wanted = Wanted::new(&want, None, Rule::default()).unwrap();
    schedule.add(NewItem {
        kept_as: Some((ticket(number), wanted)),
        ..NewItem::new(path("/k"))
    })
}

pub(in super::super) fn ticket(number: u64) -> Ticket {
    serde_json::from_str(&number.to_string()).unwrap()
}

/// A file of an item is under way, all free, on a server that gives ranges and an entity tag.
pub(in super::super) fn transfer(schedule: &mut Schedule, item: ItemId) -> FileId {
    let id = schedule.new_file();
    let opened = Opened {
        facts: Facts {
            size: 4 * MIB,
            ranges: true,
            etag: Some("\"e\"".into()),
            ..Facts::default()
        },
        ..Opened::default()
    };
    let task = file(item, &format!("/large{}", id.0), Some(4 * MIB));
    let mut transfer = Transfer::new(id, task, opened, 1, Instant::now());
    transfer.start(0, Instant::now());
    schedule.transfers.insert(id, transfer);
    id
}

/// Work is in flight on an open connection, behind what is already.
pub(in super::super) fn put(schedule: &mut Schedule, slot: usize, work: Work) {
    let slot = &mut schedule.slots[slot];
    slot.line = Line::Open;
    slot.flight.push_back(Flight {
        work,
        ask: Ask::Whole,
        at: Instant::now(),
        sent: true,
        ahead: false,
        streamed: None,
        progress: false,
        last: false,
    });
}

/// The same for a run of one piece.
pub(in super::super) fn put_run(schedule: &mut Schedule, slot: usize, file: FileId) {
    let plan = &mut schedule.transfers.get_mut(&file).unwrap().plan;
    let run = plan.take(1, 1, Instant::now()).unwrap();
    put(schedule, slot, Work::Run(file, run));
}

/// All connections wait; those that are told to look again by what is done then.
pub(in super::super) fn rung(
    schedule: &mut Schedule,
    act: impl FnOnce(&mut Schedule),
) -> Vec<usize> {
    schedule.outbox.clear();
    schedule
        .slots
        .iter_mut()
        .for_each(|slot| slot.parked = true);
    act(schedule);
    schedule
        .slots
        .iter_mut()
        .for_each(|slot| slot.parked = false);
    let effects = schedule.outbox.iter().filter_map(|effect| match effect {
        Effect::Ring(slot) => Some(slot.0),
        _ => None,
    });
    effects.collect()
}

/// Connections that are to let go of what they read.
fn interrupted(schedule: &mut Schedule) -> Vec<usize> {
    let effects = schedule.outbox.drain(..).filter_map(|effect| match effect {
        Effect::Interrupt(slot) => Some(slot.0),
        _ => None,
    });
    effects.collect()
}

/// An item ends as failed: what waits of it is kept for a retry.
pub(in super::super) fn fail(schedule: &mut Schedule, id: ItemId) {
    let item = schedule.item_mut(id).unwrap();
    item.shelve();
    item.note_failure(crate::client::Error::Broken("x".into()));
    schedule.end_item(id);
    assert!(schedule.item(id).unwrap().has_ended());
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
    let mut schedule = schedule(1);
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
    let mut schedule = schedule(1);
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

#[test]
fn an_item_moves_no_further_than_to_the_ends() {
    let mut schedule = schedule(1);
    let [a, b, c] = [0; 3].map(|_| add_tree(&mut schedule));
    let order = |schedule: &Schedule| schedule.items.iter().map(|it| it.id).collect::<Vec<_>>();
    for (id, by, after) in [
        (a, 1, [b, a, c]),
        (a, 9, [b, c, a]),
        (a, -1, [b, a, c]),
        (c, isize::MIN, [c, b, a]),
        (c, 0, [c, b, a]),
    ] {
        assert_eq!(
            rung(&mut schedule, |schedule| schedule.reorder(id, by)),
            ALL
        );
        assert_eq!(order(&schedule), after);
        let changed = |it: &Effect| matches!(it, Effect::KeepQueue | Effect::Changed);
        assert_eq!(schedule.outbox.iter().filter(|it| changed(it)).count(), 2);
    }
    // The first stays it unless others pass.
    schedule.set_first(c, true);
    schedule.reorder(c, -1);
    assert!(schedule.items[0].first);
    schedule.set_first(c, false);
    assert!(!schedule.items[0].first);
    schedule.set_first(b, true);
    schedule.set_first(c, false);
    assert_eq!(schedule.items.iter().filter(|it| it.first).count(), 1);
}

#[test]
fn a_limit_is_kept_for_a_later_run() {
    let mut schedule = schedule(1);
    let id = add_kept(&mut schedule, 1);
    put(&mut schedule, 1, Work::Open(file(id, "/k", None)));
    schedule.limit_item(id, Some(Rate(5)));
    assert_eq!(schedule.queue()[0].1.limit(), Some(Rate(5)));
    assert_eq!(interrupted(&mut schedule), [1]);
}

#[test]
fn those_that_wait_look_again_where_an_item_has_a_limit() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    assert!(rung(&mut schedule, Schedule::ring_for_limited).is_empty());
    schedule.limit_item(id, Some(Rate(5)));
    assert_eq!(rung(&mut schedule, Schedule::ring_for_limited), ALL);
    schedule.pause(id);
    assert!(rung(&mut schedule, Schedule::ring_for_limited).is_empty());
}

#[test]
fn only_what_has_ended_is_cleared_with_what_waits_on_disk_of_it() {
    let mut schedule = schedule(1);
    let [ended, going] = [0; 2].map(|_| add_tree(&mut schedule));
    for (id, rest) in [(ended, 8), (going, 9)] {
        let item = schedule.item_mut(id).unwrap();
        item.dirs[0].rest = Some(RestId(rest));
    }
    fail(&mut schedule, ended);
    schedule.outbox.clear();
    assert_eq!(schedule.clear_ended(), [ended]);
    assert_eq!(
        schedule.items.iter().map(|it| it.id).collect::<Vec<_>>(),
        [going]
    );
    let dropped: Vec<_> = schedule.outbox.drain(..).collect();
    assert!(
        matches!(dropped[..], [Effect::DropRest(RestId(8))]),
        "{dropped:?}"
    );
}

#[test]
fn an_impatient_user_ends_every_pause() {
    let now = Instant::now();
    let later = now + Duration::from_secs(9);
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let large = transfer(&mut schedule, id);
    schedule.transfers.get_mut(&large).unwrap().wait(now, later);
    let task = file(id, "/a", None);
    let item = schedule.item_mut(id).unwrap();
    item.take_back_later(task.into(), later, "busy".into());
    let source = schedule.sources.get_mut(SourceId::at(0));
    source.reach = Reach::Out(later);
    assert_eq!(schedule.wake_at(now), Some(later));
    assert_eq!(rung(&mut schedule, Schedule::hurry), ALL);
    assert_eq!(schedule.wake_at(now), None);
    assert_eq!(schedule.item(id).unwrap().small.len(), 1);
    schedule.sources.get_mut(SourceId::at(0)).reach = Reach::Down(crate::client::Error::Empty);
    schedule.hurry();
    assert!(matches!(
        schedule.sources.get(SourceId::at(0)).reach,
        Reach::Unknown
    ));
}
