use std::io;

use super::*;
use crate::client::schedule::testing::{
    OPEN, SECOND, SLOT, broken, flight, limits, path, schedule_of, status,
};
use crate::{
    client::{
        ItemId,
        facts::Facts,
        id::{BrowseId, FileId, SourceId, SourceSet},
        schedule::{
            Browse, Limits, NewItem, Opened, Transfer, depth::Depth, plan::Plan, source::Reach,
        },
        task::{DirTask, FileTask},
    },
    http1::path::RemotePath,
    pieces::PIECE,
};

fn busy(retry_after: Option<Duration>) -> Fault {
    Fault::of(status(503), retry_after)
}

/// A connection, open, of one server, and the files of an item that are in flight on it, all of them sent.
fn schedule(files: usize, now: Instant) -> Schedule {
    let limits = Limits {
        workers: 1,
        ..limits()
    };
    let mut schedule = schedule_of(limits, 1);
    let named = vec![FileTask::new(ItemId(0), path("/f")); files];
    schedule.add(NewItem {
        named,
        ..NewItem::new(RemotePath::root())
    });
    schedule.slots[0].line = Line::Open;
    for task in std::mem::take(&mut schedule.items[0].small) {
        let flight = flight(Work::Open(task), now);
        schedule.slots[0].flight.push_back(flight);
    }
    schedule
}

fn depth(schedule: &mut Schedule) -> &mut Depth {
    &mut schedule.sources.get_mut(SourceId::at(0)).depth
}

/// A file of two pieces, of which nothing is here; and a run of both in flight.
fn with_run(schedule: &mut Schedule, known: u32, now: Instant) -> FileId {
    let (file, item) = (schedule.new_file(), schedule.items[0].id);
    let facts = Facts {
        size: 2 * PIECE,
        ranges: true,
        ..Facts::default()
    };
    let opened = Opened {
        facts,
        known: std::iter::once(0..known).collect(),
        ..Opened::default()
    };
    let mut transfer = Transfer::new(file, FileTask::new(item, path("/f")), opened, 1, now);
    let run = transfer.plan.begin_with(0..2, now);
    schedule.transfers.insert(file, transfer);
    let flight = flight(Work::Run(file, run), now);
    schedule.slots[0].flight.push_back(flight);
    file
}

#[test]
fn a_failure_is_told_apart_by_what_it_hit_and_how_that_was_asked_for() {
    let now = Instant::now();
    let item = ItemId(0);
    let (dir, task) = (
        DirTask::new(item, path("/f")),
        FileTask::new(item, path("/f")),
    );
    let browse = Browse {
        id: BrowseId(0),
        dir: path("/f"),
        failures: 0,
        tried: SourceSet::default(),
    };
    let range = Ask::Range {
        first: 0,
        last: 9,
        if_match: None,
        if_range: None,
    };
    let run = Plan::new(1).begin_with(0..1, now);
    let cases = [
        (Work::Browse(browse), Ask::List, Hit::Browse),
        (Work::List(dir), Ask::List, Hit::List),
        (Work::Open(task.clone()), Ask::Head, Hit::Head),
        (Work::Open(task.clone()), range.clone(), Hit::Start),
        (Work::Open(task), Ask::Whole, Hit::Open),
        (Work::Spent, range.clone(), Hit::Open),
        (Work::Run(FileId(0), run), range, Hit::Run),
        (
            Work::Values(FileId(0)),
            Ask::Pieces { if_match: None },
            Hit::Values,
        ),
    ];
    for (work, ask, hit) in cases {
        let flight = Flight {
            ask,
            ..flight(work, now)
        };
        assert_eq!(Hit::of(&flight), hit, "{flight:?}");
    }
}

#[test]
fn an_error_stands_for_a_fault_of_the_server_the_connection_the_file_or_the_disk() {
    type Is = fn(&Fault) -> bool;
    let disk = Error::disk("f", &io::Error::from(io::ErrorKind::StorageFull));
    let target = Error::Target {
        path: "d".into(),
        reason: "it is a file".into(),
    };
    let name = Error::Name {
        name: "..".into(),
        reason: "it leads out".into(),
    };
    let login = Error::Login {
        at: "s0".into(),
        sent: true,
        said: None,
    };
    let back_soon = Error::Status {
        status: 403,
        retry_after: Some(SECOND),
        said: None,
    };
    let is_local: Is = |fault| matches!(fault, Fault::Local(_));
    let is_busy: Is = |fault| matches!(fault, Fault::Busy { .. });
    let is_refused: Is = |fault| matches!(fault, Fault::Refused(_));
    let is_broke: Is = |fault| matches!(fault, Fault::Broke(_));
    let is_other: Is = |fault| matches!(fault, Fault::Other(_));
    let cases: [(Error, Is); 21] = [
        (Error::Paused, |fault| {
            matches!(fault, Fault::Paused(Some(SECOND)))
        }),
        (Error::Kicked("spam".into()), |fault| {
            matches!(
                fault,
                Fault::Kicked {
                    time: Some(SECOND),
                    ..
                }
            )
        }),
        (Error::Banned("spam".into()), |fault| {
            matches!(fault, Fault::Banned(_))
        }),
        (login, |fault| matches!(fault, Fault::Login(_))),
        (Error::Changed, |fault| matches!(fault, Fault::Changed)),
        (Error::Integrity { piece: Some(3) }, |fault| {
            matches!(fault, Fault::BadPiece(_))
        }),
        (Error::Integrity { piece: None }, is_other),
        (status(408), is_busy),
        (status(500), is_busy),
        (back_soon, is_busy),
        (status(403), is_refused),
        (status(404), is_refused),
        (status(501), is_refused),
        (disk, is_local),
        (target, is_local),
        (name, is_local),
        (Error::Usage("no pattern".into()), is_local),
        (broken(), is_broke),
        (Error::Timeout(SECOND), is_broke),
        (Error::Encoded("br".into()), is_other),
        (Error::Listing("no list".into()), is_other),
    ];
    for (error, is) in cases {
        let fault = Fault::of(error.clone(), Some(SECOND));
        assert!(is(&fault), "{fault:?}");
        assert_eq!(fault.error(), error);
        assert_eq!(fault.retry_after(), is_busy(&fault).then_some(SECOND));
    }
}

#[test]
fn what_is_told_of_a_fault_names_its_cause() {
    let task = || Box::new(FileTask::new(ItemId(0), path("/f")));
    let listed = Error::Listed {
        list: "SUMS".into(),
    };
    let whole = Error::Integrity { piece: None };
    let cases = [
        (Fault::Foreign, Error::Changed),
        (Fault::Interrupted, Error::Paused),
        (Fault::BadValues, whole.clone()),
        (Fault::BadWhole(task()), whole),
        (Fault::Unlisted(task(), listed.clone()), listed),
        (Fault::NoMirror, Error::NoMirror),
        (Fault::Unreachable(broken()), broken()),
    ];
    for (fault, error) in cases {
        assert_eq!(fault.error(), error);
    }
}

#[test]
fn a_connection_that_cannot_be_made_blames_the_server_and_not_what_waits_for_it() {
    let now = Instant::now();
    let mut schedule = schedule(1, now);
    let slot = &mut schedule.slots[0];
    (slot.line, slot.flight[0].sent) = (Line::Dialing, false);
    schedule.fault(SLOT, &Fault::Unreachable(broken()), Channel::CLOSED, now);
    assert_eq!(schedule.slots[0].line, Line::Closed);
    assert!(schedule.slots[0].flight.is_empty());
    assert_eq!(schedule.items[0].small[0].failures, 0);
    let source = schedule.sources.get(SourceId::at(0));
    assert!(matches!(source.reach, Reach::Out(_)) && source.failures == 1);
}

#[test]
fn the_pause_that_an_error_names_counts_wherever_it_came_up() {
    let error = Error::Status {
        status: 503,
        retry_after: Some(7 * SECOND),
        said: None,
    };
    let fault = |head| Fault::of(error.clone(), head).retry_after();
    assert_eq!(fault(None), Some(7 * SECOND));
    // The head is that of an answer before it.
    assert_eq!(fault(Some(SECOND)), Some(7 * SECOND));
}

#[test]
fn a_refusal_on_a_connection_that_stays_open_is_an_answer() {
    let now = Instant::now();
    for (channel, left) in [(OPEN, 1), (Channel::CLOSED, 0)] {
        let mut schedule = schedule(2, now);
        // Another connection tries whether the server works.
        schedule.sources.get_mut(SourceId::at(0)).trying = Some((SlotId(7), now));
        schedule.fault(SLOT, &Fault::Refused(status(404)), channel, now);
        let slot = &schedule.slots[0];
        assert_eq!(slot.line == Line::Open, channel.open);
        assert_eq!(slot.flight.len(), left);
        assert_eq!(schedule.items[0].small.len(), 1 - left);
        assert_eq!(schedule.items[0].failed, 1);
        let source = schedule.sources.get(SourceId::at(0));
        assert_eq!(source.trying.is_none(), channel.open);
    }
}

#[test]
fn a_server_that_breaks_under_what_was_sent_ahead_is_sent_less_ahead() {
    let now = Instant::now();
    let cases = [
        (false, false, false),
        (true, false, true),
        (false, true, true),
    ];
    for (first_ahead, second_sent, lowers) in cases {
        let mut schedule = schedule(2, now);
        depth(&mut schedule).proven();
        let before = depth(&mut schedule).now();
        let flights = &mut schedule.slots[0].flight;
        (flights[0].ahead, flights[1].sent) = (first_ahead, second_sent);
        schedule.fault(SLOT, &Fault::Broke(broken()), Channel::CLOSED, now);
        let after = depth(&mut schedule).now();
        assert_eq!(after == 1, lowers);
        assert_eq!(after == before, !lowers);
    }
}

#[test]
fn a_refusal_for_load_counts_where_the_request_was_sent_alone_or_a_time_is_named() {
    let now = Instant::now();
    let cases = [
        (false, None, true),
        (true, None, false),
        (true, Some(SECOND), true),
    ];
    for (ahead, retry_after, counts) in cases {
        let mut schedule = schedule(1, now);
        schedule.slots[0].flight[0].ahead = ahead;
        schedule.fault(SLOT, &busy(retry_after), OPEN, now);
        let load = &schedule.sources.get(SourceId::at(0)).load;
        assert_eq!(load.is_paced(), counts, "{ahead} {retry_after:?}");
        assert_eq!(schedule.items[0].small[0].alone, !counts);
    }
}

#[test]
fn a_file_of_which_all_is_here_lands_whatever_becomes_of_a_connection_at_it() {
    let now = Instant::now();
    for (known, stays) in [(2, true), (0, false)] {
        let mut schedule = schedule(0, now);
        let file = with_run(&mut schedule, known, now);
        schedule.land_if_complete(file, now);
        schedule.fault(SLOT, &Fault::Refused(status(404)), OPEN, now);
        assert_eq!(schedule.transfers.contains_key(&file), stays);
        let held = schedule.transfers.get(&file).map(|it| it.plan.held());
        assert_eq!(held, stays.then_some(0));
    }
}
