mod sending;

use super::*;
use crate::client::schedule::testing::{MS, SLOT, file, flight, limits, path, schedule_of};
use crate::{
    client::{
        Event,
        facts::Facts,
        id::{SourceId, SourceSet},
        schedule::{
            FileId, Limits, NewItem, Opened, RestId, Transfer, depth::Depth, item::Life,
            verdict::Values,
        },
        task::{DirTask, FileTask, Led},
    },
    http1::path::RemotePath,
    pieces::PIECE,
};

const FILE: FileId = FileId(9999);

/// So many connections, open, all of the first of two servers.
fn schedule(workers: usize) -> Schedule {
    let limits = Limits {
        workers,
        ..limits()
    };
    let mut schedule = schedule_of(limits, 2);
    for slot in &mut schedule.slots {
        (slot.source, slot.line) = (SourceId::at(0), Line::Open);
    }
    schedule
}

fn small() -> FileTask {
    file("f", 9)
}

fn large() -> FileTask {
    file("f", 9 * PIECE)
}

/// An item of these files and nothing else.
fn add(schedule: &mut Schedule, named: Vec<FileTask>) -> ItemId {
    let id = schedule.add(NewItem {
        named,
        ..NewItem::new(RemotePath::root())
    });
    schedule.item_mut(id).unwrap().dirs.clear();
    id
}

/// So many small files in flight on a connection.
fn fly(schedule: &mut Schedule, slot: usize, item: ItemId, files: usize) {
    let task = FileTask { item, ..small() };
    let flight = flight(Work::Open(task), Instant::now());
    let flights = std::iter::repeat_n(flight, files);
    schedule.slots[slot].flight = flights.collect();
}

/// A file of so many pieces, all of them free, or all but some that a connection reads.
fn begin(schedule: &mut Schedule, file: FileId, (pieces, begun): (u32, u32), now: Instant) {
    let facts = Facts {
        size: u64::from(pieces) * PIECE,
        ranges: true,
        ..Facts::default()
    };
    let opened = Opened {
        facts,
        ..Opened::default()
    };
    let item = schedule.items[0].id;
    let task = FileTask { item, ..large() };
    let mut transfer = Transfer::new(file, task, opened, 1, now);
    transfer.start(begun, now);
    schedule.transfers.insert(file, transfer);
}

fn depth(schedule: &mut Schedule) -> &mut Depth {
    &mut schedule.sources.get_mut(SourceId::at(0)).depth
}

/// The server says that it is asked too much.
fn refuse(schedule: &mut Schedule, now: Instant) {
    let load = &mut schedule.sources.get_mut(SourceId::at(0)).load;
    load.refused(now, now, 8, None);
}

#[test]
fn a_file_that_nobody_has_looked_for_or_that_goes_alone_is_sent_behind_nothing() {
    let now = Instant::now();
    let unknown = FileTask {
        local: Local::Unknown,
        ..small()
    };
    let alone = FileTask {
        alone: true,
        ..small()
    };
    for (task, may_follow) in [(small(), true), (unknown, false), (alone, false)] {
        let mut schedule = schedule(1);
        add(&mut schedule, vec![task]);
        let behind = schedule.pick(SLOT, Some(Kind::Small), now);
        assert_eq!(behind.is_some(), may_follow);
        assert_eq!(schedule.items[0].small.len(), usize::from(!may_follow));
        let first = schedule.pick(SLOT, None, now);
        assert_eq!(first.is_some(), !may_follow);
    }
}

#[test]
fn directories_are_listed_ahead_one_at_a_time_while_few_files_are_known() {
    let now = Instant::now();
    for (known, lists) in [(0, true), (1999, true), (2000, false), (2001, false)] {
        let mut schedule = schedule(2);
        let item = schedule.add(NewItem::new(RemotePath::root()));
        let task = FileTask { item, ..small() };
        schedule.items[0].small = vec![task; known].into();
        let work = schedule.pick(SLOT, None, now).unwrap();
        assert_eq!(matches!(work, Work::List(_)), lists, "{known}");
        // Another directory waits while one is listed and there is something else to do.
        schedule.items[0].dirs = vec![DirTask::new(item, path("/d/"))];
        let listing = Work::List(DirTask::new(item, path("/e/")));
        schedule.slots[1].flight.push_back(flight(listing, now));
        let work = schedule.pick(SLOT, None, now).unwrap();
        assert_eq!(matches!(work, Work::List(_)), known == 0, "{known}");
    }
}

#[test]
fn half_of_the_connections_look_for_small_files_first_and_half_for_pieces() {
    let now = Instant::now();
    let (small_first, run_first) = ([Kind::Small, Kind::Run], [Kind::Run, Kind::Small]);
    for (slot, kinds) in [(SlotId(0), small_first), (SlotId(1), run_first)] {
        let mut schedule = schedule(2);
        add(&mut schedule, vec![small()]);
        begin(&mut schedule, FILE, (1, 0), now);
        let picked = kinds.map(|_| schedule.pick(slot, None, now).unwrap().kind());
        assert_eq!(picked, kinds);
    }
}

#[test]
fn runs_follow_runs_and_small_files_follow_small_files() {
    let now = Instant::now();
    let mut schedule = schedule(2);
    add(&mut schedule, vec![small(), large()]);
    begin(&mut schedule, FILE, (40, 0), now);
    let mut kind = |behind| {
        let work = schedule.pick(SLOT, behind, now);
        work.map(|work| work.kind())
    };
    assert_eq!(kind(Some(Kind::Run)), Some(Kind::Run));
    assert_eq!(kind(Some(Kind::Alone)), None);
    assert_eq!(kind(Some(Kind::Small)), Some(Kind::Small));
    assert_eq!(kind(Some(Kind::Small)), None);
}

#[test]
fn another_large_file_is_begun_while_few_are_open_or_nothing_else_is_to_be_done() {
    let now = Instant::now();
    for (workers, pieces, begins) in [(2, 40, false), (4, 40, true), (2, 0, true)] {
        let mut schedule = schedule(workers);
        add(&mut schedule, vec![large()]);
        begin(&mut schedule, FILE, (40, 40 - pieces), now);
        let work = schedule.pick(SLOT, None, now).unwrap();
        assert_eq!(matches!(work, Work::Open(_)), begins, "{workers} {pieces}");
    }
}

#[test]
fn an_item_of_which_no_large_file_is_open_begins_one_however_many_of_others_are() {
    let now = Instant::now();
    let mut schedule = schedule(2);
    add(&mut schedule, vec![]);
    begin(&mut schedule, FILE, (9, 9), now);
    add(&mut schedule, vec![small(), large()]);
    let work = schedule.pick(SLOT, None, now).unwrap();
    assert_eq!(work.kind(), Kind::Alone);
}

#[test]
fn no_large_file_is_begun_while_four_are_searched() {
    let now = Instant::now();
    for (searched, begins) in [(3, true), (4, false)] {
        let mut schedule = schedule(4);
        let item = add(&mut schedule, vec![]);
        add(&mut schedule, vec![large()]);
        for file in 0..searched {
            let facts = Facts {
                size: 2 * PIECE,
                pieces: true,
                ..Facts::default()
            };
            let opened = Opened {
                left: facts.size,
                from_old: true,
                facts,
                ..Opened::default()
            };
            let (file, task) = (FileId(file), FileTask { item, ..large() });
            let mut transfer = Transfer::new(file, task, opened, 1, now);
            transfer.left_piece(0, None, 0);
            transfer.left_done();
            transfer.verdict.values = Values::Settled;
            assert!(transfer.begin_search());
            schedule.transfers.insert(file, transfer);
        }
        assert_eq!(schedule.pick(SLOT, None, now).is_some(), begins);
    }
}

#[test]
fn the_file_with_the_fewest_connections_gets_the_next() {
    let now = Instant::now();
    let mut schedule = schedule(4);
    add(&mut schedule, vec![]);
    let files = [1, 2, 3].map(FileId);
    for (file, begun) in files.into_iter().zip([1, 0, 0]) {
        begin(&mut schedule, file, (9, begun), now);
    }
    // One that reads values is one as well.
    let second = schedule.transfers.get_mut(&files[1]).unwrap();
    second.verdict.values = Values::Asked;
    let mut next = || schedule.pick(SLOT, None, now).unwrap().file();
    assert_eq!(next(), Some(files[2]));
    assert_eq!(next(), Some(files[0]));
    assert_eq!(next(), Some(files[1]));
    assert_eq!(next(), Some(files[2]));
}

#[test]
fn a_first_url_that_redirects_is_asked_by_one_connection_at_a_time() {
    let now = Instant::now();
    let first = SourceId::at(0);
    for (asked, redirects, leads_back, picks) in [
        (false, true, false, true),
        (true, true, false, false),
        (true, false, false, true),
        (true, true, true, true),
    ] {
        let mut schedule = schedule(2);
        add(&mut schedule, vec![]);
        begin(&mut schedule, FILE, (9, 0), now);
        let task = &mut schedule.transfers.get_mut(&FILE).unwrap().task;
        if redirects {
            task.redirecting.insert(first);
        }
        if leads_back {
            task.led.push(Led {
                first,
                at: first,
                target: "/there".into(),
                hops: 1,
            });
        }
        if asked {
            let work = flight(Work::Values(FILE), now);
            schedule.slots[1].flight.push_back(work);
        }
        assert_eq!(schedule.pick(SLOT, None, now).is_some(), picks);
    }
}

#[test]
fn nothing_is_sent_ahead_to_a_file_that_gives_no_ranges_or_whose_values_come_first() {
    let now = Instant::now();
    for (ranges, values, follows) in [
        (true, Values::Settled, true),
        (false, Values::Settled, false),
        (true, Values::Unasked, false),
    ] {
        let mut schedule = schedule(2);
        add(&mut schedule, vec![]);
        begin(&mut schedule, FILE, (9, 0), now);
        let transfer = schedule.transfers.get_mut(&FILE).unwrap();
        (transfer.facts.ranges, transfer.verdict.values) = (ranges, values);
        let behind = schedule.pick(SLOT, Some(Kind::Run), now);
        assert_eq!(behind.is_some(), follows);
        let alone = schedule.pick(SLOT, None, now);
        let is_values = matches!(alone, Some(Work::Values(FILE)));
        assert_eq!(is_values, values == Values::Unasked);
    }
}

#[test]
fn a_run_is_as_long_as_the_connection_is_fast_and_the_server_gives() {
    let mut schedule = schedule(1);
    let run_max = |schedule: &mut Schedule, gives| {
        schedule.sources.get_mut(SourceId::at(0)).gives = gives;
        schedule.run_max(SLOT)
    };
    assert_eq!(run_max(&mut schedule, None), 4);
    assert_eq!(run_max(&mut schedule, Some(2)), 2);
    assert_eq!(run_max(&mut schedule, Some(9)), 4);
    schedule.slots[0].timed(10, 500 * MS);
    assert_eq!(run_max(&mut schedule, None), 10);
    assert_eq!(run_max(&mut schedule, Some(9)), 9);
}

#[test]
fn the_first_item_is_served_before_those_in_front_of_it() {
    let now = Instant::now();
    for first in 0..3 {
        let mut schedule = schedule(4);
        let items = [0, 1, 2].map(|_| add(&mut schedule, vec![large()]));
        schedule.items[first].first = true;
        let work = schedule.pick(SLOT, None, now).unwrap();
        assert_eq!(work.item(|_| None), Some(items[first]));
    }
}

#[test]
fn of_the_items_at_the_front_the_one_with_the_fewest_connections_is_served() {
    let now = Instant::now();
    let mut schedule = schedule(4);
    let [a, b, _] = [0, 1, 2].map(|_| add(&mut schedule, vec![large(); 3]));
    let next = |schedule: &mut Schedule| {
        let work = schedule.pick(SLOT, None, now).unwrap();
        work.item(|_| None)
    };
    assert_eq!(next(&mut schedule), Some(a));
    fly(&mut schedule, 1, a, 1);
    assert_eq!(next(&mut schedule), Some(b));
    // What the connection itself does counts for nothing.
    fly(&mut schedule, 2, b, 1);
    fly(&mut schedule, 0, a, 1);
    assert_eq!(next(&mut schedule), Some(a));
    fly(&mut schedule, 3, a, 1);
    assert_eq!(next(&mut schedule), Some(b));
}

#[test]
fn who_finds_nothing_else_helps_a_connection_that_is_slow() {
    let now = Instant::now();
    let mut schedule = schedule(2);
    add(&mut schedule, vec![]);
    begin(&mut schedule, FILE, (8, 8), now);
    let mut pick = |behind, ms| schedule.pick(SLOT, behind, now + ms * MS);
    assert!(pick(None, 299).is_none());
    assert!(pick(Some(Kind::Run), 300).is_none());
    assert!(matches!(pick(None, 300), Some(Work::Run(FILE, _))));
}
