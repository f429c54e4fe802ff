mod chain;

use super::*;
use crate::client::schedule::testing::{MS, SLOT, at as named, flight, limits, path, schedule_of};
use crate::{
    client::{
        ItemId,
        facts::Facts,
        schedule::{Limits, NewItem, Opened, Transfer, slot::Line},
        task::DirTask,
    },
    http1::path::RemotePath,
    pieces::PIECE,
};

const FILE: FileId = FileId(999);

fn led(place: usize) -> SourceId {
    SourceId::led(place)
}

/// Two connections and two servers, and an item.
fn schedule() -> (Schedule, ItemId) {
    let limits = Limits {
        workers: 2,
        ..limits()
    };
    let mut schedule = schedule_of(limits, 2);
    let item = schedule.add(NewItem::new(RemotePath::root()));
    (schedule, item)
}

fn task(item: ItemId) -> FileTask {
    FileTask::new(item, path("/f"))
}

/// In flight on the first connection.
fn fly(schedule: &mut Schedule, work: Work) {
    schedule.slots[0].line = Line::Open;
    let flight = flight(work, Instant::now());
    schedule.slots[0].flight.push_back(flight);
}

/// A file of two pieces, of which nothing is here.
fn begin(schedule: &mut Schedule, task: FileTask) {
    let facts = Facts {
        size: 2 * PIECE,
        ranges: true,
        ..Facts::default()
    };
    let opened = Opened {
        facts,
        ..Opened::default()
    };
    let now = Instant::now();
    let mut transfer = Transfer::new(FILE, task, opened, 1, now);
    transfer.start(0, now);
    schedule.transfers.insert(FILE, transfer);
}

fn run(schedule: &mut Schedule) -> Work {
    let plan = &mut schedule.transfers.get_mut(&FILE).unwrap().plan;
    Work::Run(FILE, plan.take(1, 1, Instant::now()).unwrap())
}

fn hop(origin: &str) -> Hop {
    Hop {
        named: None,
        origin: origin.into(),
        target: "/there".into(),
        shown: format!("{origin}/there"),
    }
}

/// As many places as there are are taken by servers of connections or files that are gone.
fn fill(schedule: &mut Schedule) {
    for place in 0..LED_MAX {
        schedule.meet(led(place), &format!("http://{place}"));
    }
}

fn redirect(first: SourceId, at: SourceId) -> Led {
    Led {
        first,
        at,
        target: "/there".into(),
        hops: 1,
    }
}

#[test]
fn the_first_url_may_be_asked_again_until_what_it_led_to_was_refused() {
    let (schedule, item) = schedule();
    let mut task = task(item);
    task.led.push(redirect(named(0), led(0)));
    let first = |task: &FileTask, source| {
        let flight = flight(Work::Open(task.clone()), Instant::now());
        schedule.led_for(&flight, source).first
    };
    assert!(first(&task, led(0)));
    assert!(!first(&task, named(0)) && !first(&task, led(1)));
    task.refusals = 1;
    assert!(!first(&task, led(0)));
}

#[test]
fn a_led_file_flows_while_a_connection_has_some_of_it_in_flight_up_to_eight_refusals() {
    let (mut schedule, item) = schedule();
    let mut task = task(item);
    task.led.push(redirect(named(0), led(0)));
    begin(&mut schedule, task);
    let failed = flight(Work::Values(FILE), Instant::now());
    let flows = |schedule: &mut Schedule, refusals, source| {
        let transfer = schedule.transfers.get_mut(&FILE).unwrap();
        transfer.task.refusals = refusals;
        schedule.led_for(&failed, source).flows
    };
    assert!(!flows(&mut schedule, 0, led(0)));
    let run = run(&mut schedule);
    fly(&mut schedule, run);
    assert!(flows(&mut schedule, 0, led(0)) && flows(&mut schedule, 7, led(0)));
    assert!(!flows(&mut schedule, 8, led(0)) && !flows(&mut schedule, 9, led(0)));
    assert!(!flows(&mut schedule, 0, named(0)));
    // Two connections at it are as good as one.
    let second = schedule.slots[0].flight[0].clone();
    schedule.slots[1].flight.push_back(second);
    assert!(flows(&mut schedule, 0, led(0)));
}

#[test]
fn what_was_sent_before_a_redirect_turned_the_file_elsewhere_is_outdated() {
    let (mut schedule, item) = schedule();
    let turned = Instant::now() + 10 * MS;
    let mut task = task(item);
    task.redirecting.insert(named(0));
    begin(&mut schedule, task);
    let outdated = |schedule: &Schedule, at, source| {
        let flight = flight(Work::Values(FILE), at);
        schedule.led_for(&flight, source).outdated
    };
    assert!(!outdated(&schedule, turned - MS, named(0)));
    schedule.transfers.get_mut(&FILE).unwrap().task.turned = Some(turned);
    for source in [named(0), led(0)] {
        assert!(outdated(&schedule, turned - MS, source));
        assert!(outdated(&schedule, turned, source), "sent ahead of it");
        assert!(!outdated(&schedule, turned + MS, source));
    }
    assert!(!outdated(&schedule, turned - MS, named(1)));
    assert!(schedule.is_led(FILE, named(0)) && schedule.is_led(FILE, led(3)));
    assert!(!schedule.is_led(FILE, named(1)));
}

#[test]
fn a_redirect_to_a_server_that_was_dropped_is_not_followed() {
    for dropped in [false, true] {
        let (mut schedule, item) = schedule();
        fly(&mut schedule, Work::Open(task(item)));
        if dropped {
            assert!(schedule.sources.drop_source(named(1), "wrong bytes"));
        }
        let hop = Hop {
            named: Some(named(1)),
            ..hop("http://b")
        };
        let led = schedule.led(SLOT, &hop, true, Instant::now());
        if dropped {
            assert!(matches!(led, Err(Error::Unfollowed { .. })));
        } else {
            assert_eq!(led, Ok(Placed::At(named(1))));
        }
    }
}

#[test]
fn a_server_is_met_once_it_is_known_and_once_for_all_files() {
    let (mut schedule, item) = schedule();
    let now = Instant::now();
    let far = hop("http://far");
    fly(&mut schedule, Work::Open(task(item)));
    assert_eq!(schedule.led(SLOT, &far, false, now), Ok(Placed::Unmet));
    assert!(schedule.led.is_empty() && schedule.items[0].led.is_none());
    let new = Ok(Placed::New(led(0)));
    assert_eq!(schedule.led(SLOT, &far, true, now), new);
    assert_eq!(schedule.name_of(led(0)), "http://far");
    assert_eq!(schedule.items[0].led, Some(far.shown.clone()));
    let Work::Open(front) = &schedule.slots[0].flight[0].work else {
        panic!("it is no file any more");
    };
    assert_eq!(front.led_to(led(0)).unwrap().target, "/there");
    // A transfer is led there as well, and asked for there whoever left it out before.
    begin(&mut schedule, task(item));
    let transfer = schedule.transfers.get_mut(&FILE).unwrap();
    transfer.excluded = [led(0), named(1)].into_iter().collect();
    schedule.set_front(SLOT, Work::Values(FILE));
    let met = Ok(Placed::At(led(0)));
    assert_eq!(schedule.led(SLOT, &far, false, now), met);
    let transfer = schedule.transfer(FILE).unwrap();
    assert_eq!(transfer.excluded, SourceSet::of(named(1)));
    assert!(transfer.task.led_to(led(0)).is_some());
    assert_eq!(schedule.led.len(), 1);
}

#[test]
fn a_redirect_of_what_is_no_file_any_more_leads_nowhere() {
    let (mut schedule, _) = schedule();
    let now = Instant::now();
    let mut placed = |work: Option<Work>| {
        schedule.slots[0].flight.clear();
        if let Some(work) = work {
            fly(&mut schedule, work);
        }
        schedule.led(SLOT, &hop("http://far"), true, now)
    };
    assert_eq!(placed(None), Ok(Placed::Full));
    assert_eq!(placed(Some(Work::Spent)), Ok(Placed::Full));
    assert_eq!(placed(Some(Work::Values(FILE))), Ok(Placed::Full));
}

#[test]
fn a_server_that_nothing_needs_is_remembered_while_there_are_places() {
    let (mut schedule, _) = schedule();
    schedule.meet(led(0), "http://0");
    assert_eq!(schedule.place("http://1", true), Placed::New(led(1)));
    assert_eq!(schedule.place("http://0", true), Placed::At(led(0)));
}

#[test]
fn the_place_of_a_server_that_nothing_needs_is_the_next_ones() {
    let (mut schedule, item) = schedule();
    fill(&mut schedule);
    let far = "http://far";
    assert_eq!(schedule.place(far, false), Placed::Unmet);
    assert_eq!(schedule.place(far, true), Placed::New(led(0)));
    assert_eq!(schedule.place("http://5", true), Placed::At(led(5)));
    // A connection, a file in flight, one that waits, one under way and one that lands each need theirs.
    let met = |place| FileTask {
        met: SourceSet::of(led(place)),
        ..task(item)
    };
    schedule.slots[1].source = led(0);
    fly(&mut schedule, Work::Open(met(1)));
    schedule.items[0].push_back(met(2));
    begin(&mut schedule, met(3));
    schedule.landings.insert(FileId(1), met(4));
    assert_eq!(schedule.place(far, true), Placed::New(led(5)));
    schedule.meet(led(5), far);
    assert_eq!(schedule.name_of(led(5)), far);
    assert_eq!(schedule.led.len(), LED_MAX);
}

#[test]
fn places_of_what_is_paused_are_taken_last_and_of_what_goes_never() {
    let (mut schedule, item) = schedule();
    fill(&mut schedule);
    let met = |range: std::ops::Range<usize>| range.map(led).collect::<SourceSet>();
    schedule.items[0].push_back(FileTask {
        met: met(0..40),
        ..task(item)
    });
    let other = schedule.add(NewItem::new(RemotePath::root()));
    schedule.items[1].push_back(FileTask {
        met: met(40..LED_MAX),
        ..task(other)
    });
    assert_eq!(schedule.place("http://far", true), Placed::Full);
    schedule.pause(other);
    assert_eq!(schedule.place("http://far", true), Placed::New(led(40)));
    assert!(schedule.items[1].small[0].met.is_empty());
    assert_eq!(schedule.items[0].small[0].met.len(), 40);
}

#[test]
fn a_file_for_which_there_is_no_place_is_asked_for_a_second_later() {
    let (mut schedule, item) = schedule();
    fill(&mut schedule);
    schedule.items[0].push_back(FileTask {
        met: SourceSet::LED,
        ..task(item)
    });
    let now = Instant::now();
    fly(&mut schedule, Work::Open(task(item)));
    let full = Ok(Placed::Full);
    let far = hop("http://far");
    assert_eq!(schedule.led(SLOT, &far, true, now), full);
    let front = &schedule.slots[0].flight[0];
    assert!(matches!(front.work, Work::Spent));
    let later = schedule.items[0].later.first_key_value();
    assert_eq!(later.map(|((at, _), _)| *at), Some(now + FULL));
    begin(&mut schedule, task(item));
    schedule.set_front(SLOT, Work::Values(FILE));
    assert_eq!(schedule.led(SLOT, &far, true, now), full);
    assert_eq!(schedule.file_of(SLOT), Some(FILE));
    let transfer = schedule.transfer(FILE).unwrap();
    assert_eq!(transfer.wake_at(now), Some(now + FULL));
}

#[test]
fn what_is_unsent_and_not_wanted_here_any_more_goes_back() {
    let (mut schedule, item) = schedule();
    let stopped = schedule.add(NewItem::new(RemotePath::root()));
    schedule.pause(stopped);
    begin(&mut schedule, task(item));
    let run = run(&mut schedule);
    for work in [
        Work::Open(task(stopped)),
        Work::Open(task(stopped)),
        Work::Open(task(item)),
        run,
        Work::List(DirTask::new(item, path("/d/"))),
        Work::List(DirTask::new(stopped, path("/d/"))),
    ] {
        fly(&mut schedule, work);
    }
    for unsent in 1..6 {
        schedule.slots[0].flight[unsent].sent = false;
    }
    schedule.slots[1].parked = true;
    schedule.recall(SLOT);
    let flight = &schedule.slots[0].flight;
    let left: Vec<bool> = flight.iter().map(|flight| flight.sent).collect();
    assert_eq!(left, [true, false, false, false]);
    let back = &schedule.items[1];
    // An item begins with the listing of its own directory.
    assert_eq!((back.small.len(), back.dirs.len()), (1, 2));
    assert!(!schedule.slots[1].parked);
    // A run goes where its server was not left out, while its file flows.
    let transfer = schedule.transfers.get_mut(&FILE).unwrap();
    transfer.excluded.insert(named(0));
    schedule.recall(SLOT);
    assert_eq!(schedule.slots[0].flight.len(), 3);
    assert_eq!(schedule.transfer(FILE).unwrap().plan.held(), 0);
    // All of it is unsent: the first goes as well.
    schedule.slots[0].flight[0].sent = false;
    schedule.recall(SLOT);
    assert_eq!(schedule.slots[0].flight.len(), 2);
    assert_eq!(schedule.items[1].small.len(), 2);
}

#[test]
fn a_run_of_a_file_that_was_stopped_or_has_ended_goes_back() {
    for ends in [false, true] {
        let (mut schedule, item) = schedule();
        begin(&mut schedule, task(item));
        let run = run(&mut schedule);
        fly(&mut schedule, run);
        schedule.slots[0].flight[0].sent = false;
        schedule.recall(SLOT);
        assert_eq!(schedule.slots[0].flight.len(), 1);
        if ends {
            schedule.transfers.clear();
        } else {
            schedule.pause(item);
        }
        schedule.recall(SLOT);
        assert!(schedule.slots[0].flight.is_empty());
    }
}

#[test]
fn one_connection_asks_the_first_url_of_a_file() {
    let (mut schedule, item) = schedule();
    begin(&mut schedule, task(item));
    assert!(!schedule.asks_first(FILE, named(0)));
    fly(&mut schedule, Work::Open(task(item)));
    assert!(!schedule.asks_first(FILE, named(0)));
    fly(&mut schedule, Work::Values(FILE));
    assert!(schedule.asks_first(FILE, named(0)));
    assert!(!schedule.asks_first(FILE, named(1)));
    assert!(!schedule.asks_first(FileId(1), named(0)));
}
