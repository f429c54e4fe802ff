mod asked;

use std::time::Duration;

use super::*;
use crate::client::schedule::testing::{
    OPEN, SLOT, complete, file, flight, limits, login, path, schedule_of,
};
use crate::{
    client::{
        Verified,
        disk::names::Local,
        facts::Facts,
        id::SlotId,
        schedule::{
            Answered, Channel, Effect, Fault, Limits, NewItem, Opened, Order, Report, Run,
            Transfer, slot::Line, verdict::Values,
        },
        task::FileTask,
    },
    pieces::PIECE,
};

fn schedule(workers: usize, servers: usize) -> Schedule {
    let limits = Limits {
        workers,
        ..limits()
    };
    schedule_of(limits, servers)
}

/// A tree of files of these sizes, listed.
fn tree(schedule: &mut Schedule, sizes: &[u64]) -> ItemId {
    let file = |(n, size): (usize, &u64)| file(&format!("t/{n}"), *size);
    schedule.add(NewItem {
        named: sizes.iter().enumerate().map(file).collect(),
        ..NewItem::new(path("/t/"))
    })
}

fn view(schedule: &Schedule, id: ItemId) -> ItemView {
    let views = schedule.views(Instant::now()).into_iter();
    views.into_iter().find(|view| view.id == id).unwrap()
}

/// The connection is made, and asks for its first work.
fn connected(schedule: &mut Schedule, slot: SlotId, now: Instant) -> Work {
    if let Order::Connect(_) = schedule.next(slot, now) {
        schedule.report(slot, Report::Connected(Duration::ZERO), now);
    }
    match schedule.next(slot, now) {
        Order::Exchange { read, .. } => read.work,
        Order::Look(mut task) => {
            task.local = Local::Nothing;
            schedule.looked(slot, *task, now);
            connected(schedule, slot, now)
        }
        order => panic!("{order:?}"),
    }
}

/// The first answer about a large file came: its part is open, and `begun` pieces are on their way.
fn begun(schedule: &mut Schedule, slot: SlotId, begun: u32, now: Instant) -> (FileId, Run) {
    let Work::Open(task) = connected(schedule, slot, now) else {
        panic!("a file is asked for")
    };
    let facts = Facts {
        size: task.size.unwrap(),
        etag: Some("\"1\"".into()),
        ranges: true,
        ..Facts::default()
    };
    let opened = Opened {
        facts,
        ..Opened::default()
    };
    let file = schedule.new_file();
    let run = schedule.begin(slot, file, task, opened, begun, now);
    (file, run.flatten().unwrap())
}

#[test]
fn a_file_is_queued_active_landing_and_finished() {
    const SIZE: u64 = 3 * PIECE - 1;
    let now = Instant::now();
    let mut schedule = schedule(1, 1);
    let id = schedule.add(NewItem {
        size: Some(SIZE),
        ..NewItem::new(path("/big"))
    });
    let shown = |schedule: &Schedule| {
        let view = view(schedule, id);
        (view.state, view.connections, view.done, view.total.unwrap())
    };
    assert_eq!(shown(&schedule), (ItemState::Queued, 0, 0, SIZE));
    let (file, run) = begun(&mut schedule, SLOT, 3, now);
    assert_eq!(shown(&schedule), (ItemState::Active, 1, 0, SIZE));
    assert_eq!(
        schedule.item_of(&Work::Run(file, run.clone())),
        Some(id),
        "a run belongs to its file's item"
    );
    let piece = |schedule: &mut Schedule, piece: u32| {
        let at = u64::from(piece) * PIECE;
        schedule.wrote(file, run.id, at, PIECE.min(SIZE - at));
        let run = (file, run.id);
        schedule
            .piece_received(SLOT, run, piece, None, now)
            .unwrap();
    };
    piece(&mut schedule, 0);
    piece(&mut schedule, 1);
    assert_eq!(shown(&schedule), (ItemState::Active, 1, 2 * PIECE, SIZE));
    piece(&mut schedule, 2);
    assert_eq!(schedule.pieces(), (3, 0));
    let answered = Answered::Run {
        pieces: 3,
        took: Duration::ZERO,
    };
    schedule.report(SLOT, Report::Answered(answered, OPEN), now);
    // All is here, and nothing has its name: that is not all of it.
    assert_eq!(shown(&schedule), (ItemState::Landing, 0, SIZE - 1, SIZE));
    assert!(!schedule.has_ended() && !schedule.is_idle());
    schedule.landed(file, Ok(complete(SIZE, Verified::Unverified)), now);
    let finished = ItemState::Finished(Verified::Unverified);
    assert_eq!(shown(&schedule), (finished, 0, SIZE, SIZE));
    assert!(schedule.has_ended() && schedule.is_idle() && !schedule.is_told());
    let tally = Tally {
        finished: 1,
        failed: 0,
    };
    assert_eq!(schedule.tally(), tally);
    let (exit, error) = schedule.outcome();
    assert!(exit == Exit::Done && error.is_none());
}

#[test]
fn what_is_paused_says_so_and_goes_on_with_what_is_here() {
    let now = Instant::now();
    let mut schedule = schedule(1, 1);
    let id = tree(&mut schedule, &[3 * PIECE]);
    let (file, run) = begun(&mut schedule, SLOT, 3, now);
    schedule
        .piece_received(SLOT, (file, run.id), 0, None, now)
        .unwrap();
    schedule.pause(id);
    let shown = view(&schedule, id);
    assert_eq!((shown.state, shown.done), (ItemState::Paused, PIECE));
    schedule.cancel(id);
    let interrupted = Report::Fault(Fault::Interrupted, Channel::CLOSED);
    schedule.report(SLOT, interrupted, now);
    let shown = view(&schedule, id);
    assert_eq!(shown.state, ItemState::Cancelled);
    // What is in its part is there for a retry.
    assert_eq!((shown.done, shown.connections), (PIECE, 0));
}

#[test]
fn a_tree_names_what_is_on_its_way_large_files_first() {
    let now = Instant::now();
    let mut schedule = schedule(3, 1);
    let id = tree(&mut schedule, &[3 * PIECE, 10, 20]);
    let (file, run) = begun(&mut schedule, SLOT, 3, now);
    schedule
        .piece_received(SLOT, (file, run.id), 0, None, now)
        .unwrap();
    for slot in 1..3 {
        connected(&mut schedule, SlotId(slot), now);
    }
    schedule.streamed(SlotId(1), 7);
    schedule.streamed(SlotId(1), 1);
    let shown = view(&schedule, id);
    assert_eq!(shown.connections, 3);
    assert_eq!((shown.done, shown.total), (PIECE + 8, Some(3 * PIECE + 30)));
    let files = shown.files.unwrap();
    assert_eq!((files.done, files.failed, files.found), (0, 0, 3));
    assert!(files.listed);
    let names: Vec<_> = shown.under_way.iter().map(|it| it.path.name()).collect();
    assert_eq!(names, [b"0", b"1", b"2"]);
    let large = &shown.under_way[0];
    assert_eq!((large.done, large.total), (PIECE, Some(3 * PIECE)));
    let connections: Vec<_> = shown.under_way.iter().map(|it| it.connections).collect();
    assert_eq!(connections, [1, 1, 1]);
    let small = &shown.under_way[1];
    assert_eq!((small.done, small.total), (8, Some(10)));
    assert_eq!(shown.under_way[2].done, 0);
}

#[test]
fn of_many_files_on_their_way_some_are_named() {
    let now = Instant::now();
    let mut schedule = schedule(40, 1);
    let sizes = [vec![2 * PIECE; 3], vec![5; 60]].concat();
    let id = tree(&mut schedule, &sizes);
    begun(&mut schedule, SLOT, 2, now);
    for slot in 1..40 {
        connected(&mut schedule, SlotId(slot), now);
    }
    let shown = view(&schedule, id);
    assert_eq!(shown.connections, 40);
    assert_eq!(shown.under_way.len(), UNDER_WAY_MAX);
}

#[test]
fn what_was_sent_ahead_waits_for_what_is_in_front_of_it() {
    let now = Instant::now();
    let mut schedule = schedule(1, 1);
    let id = tree(&mut schedule, &[5; 9]);
    schedule.sources.get_mut(SourceId::default()).depth.proven();
    connected(&mut schedule, SLOT, now);
    let shown = view(&schedule, id);
    assert_eq!(shown.under_way.len(), 9);
    let connections: Vec<_> = shown.under_way.iter().map(|it| it.connections).collect();
    assert_eq!(connections.iter().sum::<usize>(), 1, "{connections:?}");
}

#[test]
fn a_tree_is_listed_once_nothing_of_it_is_to_be_listed() {
    let now = Instant::now();
    let mut schedule = schedule(1, 1);
    let id = schedule.add(NewItem::new(path("/")));
    let listed = |schedule: &Schedule| view(schedule, id).files.unwrap().listed;
    assert!(!listed(&schedule), "it waits");
    let Work::List(task) = connected(&mut schedule, SLOT, now) else {
        panic!("a directory is listed")
    };
    assert!(!listed(&schedule), "it is in flight");
    let file = FileTask {
        size: Some(9),
        ..FileTask::new(id, path("/a"))
    };
    assert!(schedule.found(id, vec![file]));
    let answered = Answered::Listed {
        task,
        dirs: Vec::new(),
        waiting: crate::client::schedule::Sum::default(),
    };
    schedule.report(SLOT, Report::Answered(answered, OPEN), now);
    assert!(listed(&schedule));
    assert_eq!(view(&schedule, id).total, Some(9));
}

#[test]
fn what_waits_for_another_try_says_why() {
    let now = Instant::now();
    let mut schedule = schedule(1, 1);
    let id = tree(&mut schedule, &[5]);
    connected(&mut schedule, SLOT, now);
    let error = Error::Broken("a reason".into());
    schedule.report(
        SLOT,
        Report::Fault(Fault::Broke(error), Channel::CLOSED),
        now,
    );
    let shown = view(&schedule, id);
    assert!(
        matches!(&shown.state, ItemState::Waiting(why) if why.contains("a reason")),
        "{:?}",
        shown.state
    );
    // A server that lets this client wait is why, whatever else there is.
    let reach = Reach::Held(
        now + Duration::from_secs(9),
        super::super::source::Held::Paused,
    );
    schedule.sources.get_mut(SourceId::default()).reach = reach;
    let paused = ItemState::Waiting(Error::Paused.to_string());
    assert_eq!(view(&schedule, id).state, paused);
    schedule.pause(id);
    assert_eq!(view(&schedule, id).state, ItemState::Paused);
}

#[test]
fn a_failure_counts_and_the_only_one_is_told() {
    let now = Instant::now();
    let mut schedule = schedule(1, 1);
    let id = tree(&mut schedule, &[5, 5]);
    let refused = |schedule: &mut Schedule| {
        connected(schedule, SLOT, now);
        let error = Error::Status {
            status: 404,
            retry_after: None,
            said: None,
        };
        let fault = Report::Fault(Fault::Refused(error), OPEN);
        schedule.report(SLOT, fault, now);
    };
    refused(&mut schedule);
    assert_eq!(view(&schedule, id).files.unwrap().failed, 1);
    let (exit, error) = schedule.outcome();
    assert_eq!(exit, Exit::Remote);
    assert!(error.unwrap().to_string().contains("404"));
    refused(&mut schedule);
    assert!(matches!(view(&schedule, id).state, ItemState::Failed(_)));
    let (exit, error) = schedule.outcome();
    assert!(exit == Exit::Remote && error.is_none());
    let tally = Tally {
        finished: 0,
        failed: 2,
    };
    assert_eq!(schedule.tally(), tally);
    // Cleared, it is not what is shown any more, and still what the run came to.
    let amount = schedule.amount();
    schedule.clear_ended();
    assert_eq!(schedule.tally(), Tally::default());
    assert_eq!((amount.exit, amount.failed), (Exit::Remote, 2));
    assert_eq!(schedule.amount(), amount);
}

#[test]
fn a_cancel_counts_also_once_it_is_cleared() {
    let mut schedule = schedule(1, 1);
    let id = tree(&mut schedule, &[5]);
    assert_eq!(schedule.amount().cancelled, 0);
    schedule.cancel(id);
    for _ in 0..2 {
        let amount = schedule.amount();
        assert_eq!((amount.exit, amount.cancelled), (Exit::Other, 1));
        schedule.clear_ended();
    }
}

#[test]
fn a_server_that_is_not_asked_any_more_says_why() {
    let mut schedule = schedule(1, 2);
    assert_eq!(schedule.dropped(), [None, None]);
    let [a, b] = [0, 1].map(SourceId::at);
    schedule.sources.get_mut(b).reach = Reach::Dropped("it is wrong".into());
    assert_eq!(schedule.dropped(), [None, Some("it is wrong".to_owned())]);
    // One that has failed more often than it is tried has the reason of its last failure; as often, it has none.
    let now = Instant::now();
    let error = Error::Broken("gone".into());
    schedule.source_failed(a, &error, now);
    assert_eq!(schedule.dropped()[0], None);
    schedule.sources.get_mut(a).failures = 1;
    assert_eq!(schedule.dropped()[0], None);
    schedule.sources.get_mut(a).failures = 2;
    let why = schedule.dropped()[0].clone().unwrap();
    assert!(why.contains("gone"), "{why}");
    // The only one there is stands for itself.
    let mut schedule = self::schedule(1, 1);
    schedule.source_failed(a, &error, now);
    schedule.sources.get_mut(a).failures = 9;
    assert_eq!(schedule.dropped(), [None]);
}

#[test]
fn connections_count_once_they_are_open() {
    let now = Instant::now();
    let mut schedule = schedule(3, 1);
    tree(&mut schedule, &[5; 9]);
    assert_eq!(schedule.connections(), 0);
    assert!(matches!(schedule.next(SLOT, now), Order::Connect(_)));
    assert_eq!(schedule.connections(), 0);
    for slot in 0..2 {
        connected(&mut schedule, SlotId(slot), now);
    }
    assert_eq!(schedule.connections(), 2);
    let told = schedule.take_effects();
    assert!(told.iter().all(|it| !matches!(it, Effect::Changed)));
}

/// A transfer of a file of two pieces; what an earlier try left is to be judged, or was, and is searched for elsewhere.
fn put_transfer(schedule: &mut Schedule, item: ItemId, left: u64, searched: bool) -> FileId {
    let opened = Opened {
        facts: Facts {
            size: 2 * PIECE,
            ranges: true,
            pieces: true,
            ..Facts::default()
        },
        left,
        from_old: searched,
        ..Opened::default()
    };
    let id = schedule.new_file();
    let task = FileTask::new(item, path("/t/large"));
    let mut transfer = Transfer::new(id, task, opened, 1, Instant::now());
    transfer.start(0, Instant::now());
    if searched {
        transfer.left_piece(0, None, 0);
        transfer.left_done();
        transfer.verdict.values = Values::Settled;
        assert!(transfer.begin_search());
    }
    schedule.transfers.insert(id, transfer);
    id
}

#[test]
fn what_an_earlier_try_left_counts_while_it_is_judged_again() {
    const KEPT: u64 = 3 * PIECE;
    let now = Instant::now();
    let mut schedule = schedule(1, 1);
    let id = tree(&mut schedule, &[5 * PIECE]);
    let done = |schedule: &Schedule| view(schedule, id).done;
    schedule.item_mut(id).unwrap().kept = KEPT;
    assert_eq!(done(&schedule), 0, "there is nothing to judge");
    let item = schedule.item_mut(id).unwrap();
    item.large[0].kept = KEPT;
    assert_eq!(done(&schedule), KEPT, "it waits");
    let task = schedule.item_mut(id).unwrap().large.pop_front().unwrap();
    let other = FileTask {
        kept: 0,
        ..task.clone()
    };
    schedule.slots[0].line = Line::Open;
    for (task, shown) in [(task.clone(), KEPT), (other, 0)] {
        schedule.slots[0].flight = [flight(Work::Open(task), now)].into();
        assert_eq!(done(&schedule), shown, "it is asked for");
    }
    schedule.slots[0].flight.clear();
    let item = schedule.item_mut(id).unwrap();
    item.take_back_later(task.into(), now, String::new());
    assert_eq!(done(&schedule), KEPT, "it is tried later");
    schedule.item_mut(id).unwrap().later.clear();
    let judged = put_transfer(&mut schedule, id, 0, false);
    assert_eq!(done(&schedule), 0, "nothing was left");
    put_transfer(&mut schedule, id, PIECE, false);
    assert_eq!(done(&schedule), KEPT, "it is judged");
    schedule.transfers.remove(&judged);
    assert_eq!(done(&schedule), KEPT);
}

#[test]
fn what_is_searched_is_active_without_a_connection_and_small_files_land() {
    let mut schedule = schedule(1, 1);
    let id = tree(&mut schedule, &[2 * PIECE]);
    let state = |schedule: &Schedule| view(schedule, id).state;
    let searched = put_transfer(&mut schedule, id, PIECE, true);
    put_transfer(&mut schedule, id, 0, false);
    assert_eq!(state(&schedule), ItemState::Active);
    let transfer = schedule.transfers.get_mut(&searched).unwrap();
    transfer.phase = Phase::Halted;
    assert_eq!(state(&schedule), ItemState::Queued);
    schedule.transfers.clear();
    let landing = FileTask {
        size: Some(7),
        ..FileTask::new(id, path("/t/small"))
    };
    schedule.landings.insert(FileId(999), landing);
    assert_eq!(state(&schedule), ItemState::Landing);
    assert_eq!(view(&schedule, id).done, 7);
}

#[test]
fn a_server_that_rests_does_not_lead() {
    let now = Instant::now();
    let mut schedule = schedule(1, 2);
    let [a, b] = [0, 1].map(SourceId::at);
    assert_eq!(
        (schedule.lead(now), schedule.link(a)),
        (a, Link::Connecting)
    );
    schedule.source_failed(a, &Error::Broken("gone".into()), now);
    assert!(matches!(schedule.link(a), Link::Retrying { .. }));
    assert_eq!(schedule.lead(now), b);
}
