use std::time::Duration;

use super::*;
use crate::client::schedule::testing::{
    SECOND, SLOT, at as named, broken, flight, limits, meet, path, schedule_of,
};
use crate::{
    client::{
        ItemId,
        facts::Facts,
        id::{BrowseId, FileId},
        schedule::{Browse, Limits, Opened, Transfer, depth::DEPTH_MAX},
        task::{DirTask, FileTask},
    },
    pieces::PIECE,
};

const FILE: FileId = FileId(99);

/// A connection of the first of so many servers, and of one that a redirect led to.
fn schedule(servers: usize) -> Schedule {
    let limits = Limits {
        workers: 1,
        ..limits()
    };
    let mut schedule = schedule_of(limits, servers);
    meet(&mut schedule);
    schedule
}

fn task() -> FileTask {
    FileTask::new(ItemId(0), path("/f"))
}

fn open() -> Flight {
    flight(Work::Open(task()), Instant::now())
}

/// A run of a file that is under way.
fn run(schedule: &mut Schedule, ranges: bool) -> Flight {
    let now = Instant::now();
    let facts = Facts {
        size: 2 * PIECE,
        ranges,
        ..Facts::default()
    };
    let opened = Opened {
        facts,
        ..Opened::default()
    };
    let mut transfer = Transfer::new(FILE, task(), opened, 1, now);
    let run = transfer.plan.begin_with(0..2, now);
    schedule.transfers.insert(FILE, transfer);
    flight(Work::Run(FILE, run), Instant::now())
}

fn broke() -> Fault {
    Fault::Broke(broken())
}

fn busy(status: u16, retry_after: Option<Duration>) -> Fault {
    let error = Error::Status {
        status,
        retry_after,
        said: None,
    };
    Fault::Busy { error, retry_after }
}

#[test]
fn a_connection_is_stale_that_answered_before_and_broke_for_no_fault_of_its_work() {
    let silent = Fault::Broke(Error::Timeout(SECOND));
    // Answers before, the fault, whether the work is a run, whether something was sent ahead.
    let cases = [
        (0, broke(), false, true, false),
        (1, broke(), false, false, true),
        (1, broke(), true, false, false),
        (1, broke(), true, true, true),
        (1, silent.clone(), false, false, false),
        (1, silent, false, true, true),
    ];
    for (answered, fault, is_run, pipelined, stale) in cases {
        let mut schedule = schedule(1);
        schedule.slots[0].answered = answered;
        let flight = if is_run {
            run(&mut schedule, true)
        } else {
            open()
        };
        let at = schedule.standing(SLOT, &fault, Some(&flight), pipelined);
        assert_eq!((at.stale, at.pipelined), (stale, pipelined));
        assert!(!at.refuses);
    }
}

#[test]
fn a_server_refuses_that_closed_unanswered_more_than_once_in_a_row() {
    let mut schedule = schedule(1);
    let mut refuses = |answered: u32, fault: &Fault, flight: Option<&Flight>| {
        schedule.slots[0].answered = answered;
        schedule.standing(SLOT, fault, flight, false).refuses
    };
    let flight = open();
    assert!(!refuses(0, &broke(), Some(&flight)));
    // None of these is a close without an answer.
    assert!(!refuses(0, &broke(), None));
    assert!(!refuses(1, &broke(), Some(&flight)));
    let silent = Fault::Broke(Error::Timeout(SECOND));
    assert!(!refuses(0, &silent, Some(&flight)));
    assert!(refuses(0, &broke(), Some(&flight)));
    assert_eq!(schedule.sources.get(named(0)).closed, 2);
}

#[test]
fn what_came_of_a_run_helps_where_the_rest_can_be_asked_for_behind_it() {
    for (is_run, ranges, progress, goes_on) in [
        (true, true, true, true),
        (true, true, false, false),
        (true, false, true, false),
        (false, true, true, false),
    ] {
        let mut schedule = schedule(1);
        let mut flight = run(&mut schedule, ranges);
        if !is_run {
            flight.work = Work::Open(task());
        }
        flight.progress = progress;
        let at = schedule.standing(SLOT, &broke(), Some(&flight), false);
        assert_eq!(at.progress, goes_on);
    }
}

#[test]
fn one_that_was_named_is_worn_with_all_that_were_and_one_that_was_led_to_by_itself() {
    let mut schedule = schedule(2);
    let mut worn = |source: SourceId, failing: &[SourceId]| {
        for source in [named(0), named(1), SourceId::led(0)] {
            schedule.sources.get_mut(source).failures = 0;
        }
        for source in failing {
            schedule.sources.get_mut(*source).failures = 2;
        }
        schedule.slots[0].source = source;
        let at = schedule.standing(SLOT, &broke(), None, false);
        assert_eq!(at.led, source.is_led());
        at.worn
    };
    let led = SourceId::led(0);
    assert!(!worn(named(0), &[named(0), led]));
    assert!(worn(named(0), &[named(0), named(1)]));
    assert!(!worn(led, &[named(0), named(1)]));
    assert!(worn(led, &[led]));
}

#[test]
fn whoever_asked_because_nobody_else_could_be_asked_hands_nothing_on() {
    for last in [false, true] {
        let mut schedule = schedule(2);
        let mut flight = open();
        (flight.last, flight.ahead) = (last, true);
        let at = schedule.standing(SLOT, &broke(), Some(&flight), false);
        assert_eq!((at.others, at.ahead), (!last, true));
    }
}

#[test]
fn a_connection_that_cannot_be_made_leaves_the_others_that_were_named() {
    for servers in [1, 2] {
        let at = schedule(servers).standing(SLOT, &broke(), None, false);
        assert_eq!(at.others, servers == 2);
        assert!(!at.patient && !at.ahead && !at.progress);
    }
}

#[test]
fn work_goes_to_others_that_have_not_refused_it() {
    let mut schedule = schedule(2);
    let run = run(&mut schedule, true).work;
    let dir = |tried| DirTask {
        tried,
        ..DirTask::new(ItemId(0), path("/f"))
    };
    let works = |tried: SourceSet| {
        let browse = Browse {
            id: BrowseId(0),
            dir: path("/f"),
            failures: 0,
            tried,
        };
        [
            Work::Browse(browse),
            Work::List(dir(tried)),
            Work::Open(FileTask { tried, ..task() }),
            run.clone(),
            Work::Values(FILE),
        ]
    };
    let (first, second) = (named(0), named(1));
    for (tried, others) in [
        (SourceSet::default(), true),
        (SourceSet::of(first), true),
        (SourceSet::of(second), false),
    ] {
        schedule.transfers.get_mut(&FILE).unwrap().excluded = tried;
        for work in works(tried) {
            let may = schedule.others_may_do(&work, first, &broke());
            assert_eq!(may, others, "{work:?} {tried:?}");
            let left_out = schedule.is_left_out(&work, second);
            let is_file = !matches!(work, Work::Browse(_) | Work::List(_));
            assert_eq!(left_out, is_file && !others, "{work:?} {tried:?}");
        }
    }
    assert!(!schedule.others_may_do(&Work::Spent, first, &broke()));
    schedule.transfers.clear();
    assert!(schedule.others_may_do(&Work::Values(FILE), first, &broke()));
    assert!(!schedule.is_left_out(&Work::Values(FILE), first));
}

#[test]
fn who_was_asked_for_a_wrong_whole_before_is_no_other() {
    let schedule = schedule(2);
    let tried = |source| {
        Box::new(FileTask {
            tried: SourceSet::of(source),
            ..task()
        })
    };
    let list = Error::Listed {
        list: "SUMS".into(),
    };
    for (fault, others) in [
        (Fault::BadWhole(tried(named(0))), true),
        (Fault::BadWhole(tried(named(1))), false),
        (Fault::Unlisted(tried(named(1)), list), false),
    ] {
        let may = schedule.others_may_do(&open().work, named(0), &fault);
        assert_eq!(may, others, "{fault:?}");
    }
}

#[test]
fn what_breaks_under_pipelining_is_sent_as_much_ahead_as_it_answered() {
    let silent = Error::Timeout(SECOND);
    for (error, haul, depth) in [
        (broken(), false, 5),
        (silent.clone(), false, 1),
        (broken(), true, DEPTH_MAX),
        (silent, true, DEPTH_MAX),
    ] {
        let mut schedule = schedule(1);
        let source = schedule.sources.get_mut(named(0));
        source.haul = haul;
        source.depth.proven();
        schedule.broke_ahead(named(0), &error, 5);
        assert_eq!(schedule.sources.get(named(0)).depth.now(), depth);
    }
}

#[test]
fn a_server_that_is_asked_too_much_rests_at_the_third_refusal_or_as_it_says() {
    // No time at all is none.
    for none in [None, Some(Duration::ZERO)] {
        let now = Instant::now();
        let mut schedule = schedule(1);
        let mut rests = |fault: &Fault, ms: u64| {
            let now = now + Duration::from_millis(ms);
            let flight = flight(Work::Open(task()), now);
            schedule.refused_for_load(named(0), &flight, fault, now);
            let load = &schedule.sources.get(named(0)).load;
            (
                load.refusals(),
                load.rests_until(now).map(|until| until - now),
            )
        };
        assert_eq!(rests(&broke(), 0), (0, None));
        assert_eq!(rests(&busy(429, none), 1), (1, None));
        assert_eq!(rests(&busy(503, none), 2), (2, None));
        let (refusals, rest) = rests(&busy(503, none), 3);
        // Two seconds, a quarter more or less.
        assert_eq!(refusals, 3);
        assert!(
            (1500..=2500).contains(&rest.unwrap().as_millis()),
            "{rest:?}"
        );
        let hour = Some(3600 * SECOND);
        assert_eq!(rests(&busy(503, hour), 10_000), (4, Some(ASKED_MAX)));
    }
}

#[test]
fn a_server_that_failed_inside_rests_at_once_where_others_may_do_the_work() {
    let now = Instant::now();
    for (servers, rests) in [(1, false), (2, true)] {
        let mut schedule = schedule(servers);
        schedule.refused_for_load(named(0), &open(), &busy(500, None), now);
        let load = &schedule.sources.get(named(0)).load;
        assert_eq!(load.rests_until(now).is_some(), rests);
        assert_eq!(load.refusals(), u32::from(rests));
    }
}
