mod carried;
mod urls;

use super::*;
use crate::client::{
    ItemId,
    id::{BrowseId, FileId, SourceSet},
    schedule::{
        Browse, Opened, Run, Transfer,
        testing::{
            Done, MIB, OPEN, SECOND, SLOT, add, at, begin, broken, done, fault, file, flight,
            later, led_file, logged, login, meet, open, path, ranges, read, receive, schedule,
            status, waiting, when, with_values,
        },
        verdict::Values,
    },
    task::Task,
};

/// Somebody waits for a listing, which is in flight.
fn browses(failures: u32, now: Instant) -> Flight {
    let browse = Browse {
        id: BrowseId(7),
        dir: path("/d/"),
        failures,
        tried: SourceSet::default(),
    };
    flight(Work::Browse(browse), now)
}

/// A tree whose listing is in flight.
fn lists(schedule: &mut Schedule, now: Instant) -> (ItemId, Option<Flight>) {
    let item = add(schedule, vec![]);
    let dir = schedule.item_mut(item).unwrap().dirs.remove(0);
    (item, Some(flight(Work::List(dir), now)))
}

/// A file whose first request is in flight.
fn opens(schedule: &mut Schedule, size: u64, now: Instant) -> (ItemId, FileTask, Option<Flight>) {
    let item = add(schedule, vec![file("a", size)]);
    let task = open(schedule, 0, now);
    let flight = schedule.slots[0].pop(now);
    (item, task, flight)
}

/// A file of five pieces, of which the first connection reads two.
fn runs(servers: usize, now: Instant) -> (Schedule, ItemId, FileId, Run) {
    let mut schedule = schedule(servers);
    let item = add(&mut schedule, vec![file("a", 5 * MIB)]);
    let (file, run) = begin(&mut schedule, 0, ranges(5 * MIB), 2, now);
    schedule.take_effects();
    (schedule, item, file, run.unwrap())
}

/// A file whose values the first connection reads.
fn values(servers: usize, now: Instant) -> (Schedule, ItemId, FileId) {
    let mut schedule = schedule(servers);
    let item = add(&mut schedule, vec![file("a", 5 * MIB)]);
    let (file, _) = begin(&mut schedule, 0, with_values(5 * MIB), 0, now);
    fault(&mut schedule, 0, Fault::Interrupted, OPEN, now);
    let next = read(&mut schedule, 0, now);
    assert!(matches!(next.work, Work::Values(of) if of == file));
    schedule.take_effects();
    (schedule, item, file)
}

fn popped(schedule: &mut Schedule, now: Instant) -> Option<Flight> {
    schedule.slots[0].pop(now)
}

fn values_of(schedule: &Schedule, file: FileId) -> Values {
    schedule.transfer(file).unwrap().verdict.values
}

fn is_asked_later(schedule: &Schedule, item: ItemId) -> FileTask {
    let item = schedule.item(item).unwrap();
    match item.later.values().next() {
        Some((Task::File(task), _)) => task.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_where_a_redirect_led_says_where_that_was() {
    let mut schedule = schedule(1);
    let led = meet(&mut schedule);
    for (error, is_told) in [(status(404), true), (login(), true), (broken(), false)] {
        let fault = Fault::Refused(error.clone());
        assert_eq!(schedule.told_by(at(0), &fault), error);
        let told = Error::Led {
            at: "http://led".into(),
            error: Box::new(error.clone()),
        };
        let expected = if is_told { told } else { error };
        assert_eq!(schedule.told_by(led, &fault), expected);
    }
}

#[test]
fn a_file_whose_head_is_refused_is_asked_for_whatever_is_here_of_it() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let (item, task, _) = opens(&mut schedule, 5 * MIB, now);
    let local = Local::Part;
    let work = Work::Open(FileTask { local, ..task });
    schedule.get_after_all(Some(flight(work, now)));
    assert_eq!(waiting(&schedule, item).local, Local::Nothing);
    let (tree, list) = lists(&mut schedule, now);
    schedule.get_after_all(list);
    assert_eq!(schedule.item(tree).unwrap().dirs.len(), 1);
    schedule.get_after_all(None);
}

#[test]
fn a_server_that_is_left_out_is_noted_with_each_kind_of_work() {
    let now = Instant::now();
    let mut schedule = schedule(2);
    let refused = Fault::Refused(status(404));
    let first = SourceSet::of(at(0));
    schedule.leave_out(at(0), &refused, Some(browses(0, now)));
    assert_eq!(schedule.browses[0].tried, first);
    let (tree, list) = lists(&mut schedule, now);
    schedule.leave_out(at(0), &refused, list);
    assert_eq!(schedule.item(tree).unwrap().dirs[0].tried, first);
    schedule.browses.clear();
    schedule.item_mut(tree).unwrap().dirs.clear();
    let (item, mut task, _) = opens(&mut schedule, MIB, now);
    // Others may give in pieces what only one answer could give here.
    task.whole = true;
    let opens = flight(Work::Open(task), now);
    schedule.leave_out(at(0), &refused, Some(opens));
    let task = waiting(&schedule, item);
    assert_eq!((task.tried, task.whole), (first, false));
    let spent = flight(Work::Spent, now);
    schedule.leave_out(at(0), &refused, Some(spent));
    schedule.leave_out(at(0), &refused, None);
}

#[test]
fn a_server_without_a_file_is_left_out_for_its_pieces_which_are_free_again() {
    let now = Instant::now();
    let (mut schedule, _, file, _) = runs(2, now);
    let flight = popped(&mut schedule, now);
    schedule.leave_out(at(0), &Fault::Foreign, flight);
    let transfer = schedule.transfer(file).unwrap();
    assert_eq!(transfer.excluded, SourceSet::of(at(0)));
    assert_eq!((transfer.plan.held(), transfer.plan.has_free()), (0, true));
    let (mut schedule, _, file) = values(2, now);
    let flight = popped(&mut schedule, now);
    schedule.leave_out(at(0), &Fault::BadValues, flight);
    let transfer = schedule.transfer(file).unwrap();
    assert_eq!(transfer.excluded, SourceSet::of(at(0)));
    assert_eq!(values_of(&schedule, file), Values::Unasked);
}

#[test]
fn a_whole_that_is_wrong_is_asked_for_as_it_is_known_now() {
    let now = Instant::now();
    for leaves_out in [true, false] {
        let list = Error::Listed { list: "x".into() };
        let known = |task: &FileTask| {
            let kept = 3;
            Box::new(FileTask {
                kept,
                ..task.clone()
            })
        };
        let bad = |task: &FileTask| Fault::BadWhole(known(task));
        let unlisted = |task: &FileTask| Fault::Unlisted(known(task), list.clone());
        for (case, kept) in [(0, 3), (1, 3), (2, 0)] {
            let mut schedule = schedule(2);
            let (item, task, flight) = opens(&mut schedule, MIB, now);
            let fault = [bad(&task), unlisted(&task), Fault::Other(broken())][case].clone();
            let task = if leaves_out {
                schedule.leave_out(at(0), &fault, flight);
                waiting(&schedule, item)
            } else {
                schedule.blame(at(0), flight, &fault, now);
                is_asked_later(&schedule, item)
            };
            assert_eq!(task.kept, kept, "{fault:?}");
        }
    }
}

#[test]
fn a_listing_that_somebody_waits_for_is_asked_for_again_only_where_the_connection_failed() {
    let now = Instant::now();
    for (failures, error, again) in [
        (0, broken(), true),
        (1, broken(), false),
        (0, status(404), false),
    ] {
        let mut schedule = schedule(1);
        let fault = Fault::Other(error.clone());
        schedule.blame(at(0), Some(browses(failures, now)), &fault, now);
        let told = when(!again, (BrowseId(7), error));
        assert_eq!(done(&mut schedule).answers, told);
        let failures: Vec<_> = schedule.browses.iter().map(|it| it.failures).collect();
        assert_eq!(failures, when(again, 1));
    }
}

#[test]
fn work_that_failed_is_done_again_after_a_pause() {
    let now = Instant::now();
    let after = Some(7 * SECOND);
    let busy = Fault::Busy {
        error: status(503),
        retry_after: after,
    };
    let retrying = [(2, 7 * SECOND, status(503))];
    let mut schedule = schedule(1);
    let (item, list) = lists(&mut schedule, now);
    schedule.blame(at(0), list, &busy, now);
    assert_eq!(done(&mut schedule).retrying, retrying);
    assert_eq!(later(&schedule, item), 1);
    let (mut schedule, _, file, _) = runs(1, now);
    let flight = popped(&mut schedule, now);
    schedule.blame(at(0), flight, &busy, now);
    assert_eq!(done(&mut schedule).retrying, retrying);
    assert_eq!(schedule.transfer(file).unwrap().plan.held(), 0);
    // No byte came since the values were asked for.
    let (mut schedule, _, file) = values(1, now);
    let flight = popped(&mut schedule, now);
    schedule.blame(at(0), flight, &busy, now);
    assert_eq!(done(&mut schedule).retrying, retrying);
    assert_eq!(values_of(&schedule, file), Values::Unasked);
}

#[test]
fn values_that_do_not_come_count_as_no_failure_while_pieces_flow() {
    let now = Instant::now();
    for (says, lasts) in [
        (None, VALUES_AGAIN),
        (Some(7 * SECOND), 7 * SECOND),
        (Some(301 * SECOND), ASKED_MAX),
    ] {
        let (mut schedule, _, file) = values(1, now);
        let Work::Run(_, run) = read(&mut schedule, 1, now).work else {
            panic!("it reads no pieces");
        };
        receive(&mut schedule, 1, file, &run, run.pieces.start);
        let flight = popped(&mut schedule, now);
        let busy = Fault::Busy {
            error: status(503),
            retry_after: says,
        };
        schedule.blame(at(0), flight, &busy, now);
        assert_eq!(done(&mut schedule).retrying, []);
        let transfer = schedule.transfer(file).unwrap();
        assert_eq!(transfer.wake_at(now), Some(now + lasts));
    }
}

#[test]
fn where_a_redirect_led_is_not_asked_again_once_it_failed() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let led = meet(&mut schedule);
    let item = add(&mut schedule, vec![file("a", MIB)]);
    let mut task = led_file("b", MIB, led);
    task.item = item;
    let opens = flight(Work::Open(task), now);
    schedule.blame(led, Some(opens), &Fault::Refused(status(500)), now);
    let error = Error::Led {
        at: "http://led".into(),
        error: Box::new(status(500)),
    };
    let told = done(&mut schedule).retrying;
    assert_eq!(told[0].2, error);
    let task = is_asked_later(&schedule, item);
    assert_eq!((task.led.len(), task.turned), (0, Some(now)));
}

#[test]
fn work_that_failed_for_good_is_told_once() {
    let now = Instant::now();
    let error = status(404);
    let (server, refused) = (at(0), Fault::Refused(error.clone()));
    let mut schedule = schedule(1);
    schedule.fail(server, Some(browses(0, now)), &refused, now);
    let told = done(&mut schedule).answers;
    assert_eq!(told, [(BrowseId(7), error.clone())]);
    let (_, list) = lists(&mut schedule, now);
    schedule.fail(server, list, &refused, now);
    let (_, _, flight_of_open) = opens(&mut schedule, MIB, now);
    schedule.fail(server, flight_of_open, &refused, now);
    let told = done(&mut schedule);
    assert_eq!(told.failed, [(1, error.clone()), (1, error.clone())]);
    assert_eq!(told.ended, 2);
    for of_values in [false, true] {
        let (mut schedule, file) = if of_values {
            let (schedule, _, file) = values(1, now);
            (schedule, file)
        } else {
            let (schedule, _, file, _) = runs(1, now);
            (schedule, file)
        };
        let flight = popped(&mut schedule, now);
        schedule.fail(server, flight, &refused, now);
        let told = done(&mut schedule);
        assert_eq!(told.failed, [(1, error.clone())]);
        assert!(schedule.transfer(file).is_none());
    }
    schedule.fail(server, Some(flight(Work::Spent, now)), &refused, now);
    schedule.fail(server, None, &refused, now);
    assert_eq!(done(&mut schedule), Done::default());
}

#[test]
fn what_failed_inside_is_asked_again_once_all_were_tried() {
    let now = Instant::now();
    for (last, is_asked) in [
        (Fault::Refused(status(404)), true),
        (Fault::Refused(status(500)), true),
        (Fault::Local(broken()), false),
    ] {
        let mut schedule = schedule(2);
        schedule.limits.retries = 1;
        let (item, _, flight_of_open) = opens(&mut schedule, MIB, now);
        let inside = Fault::Busy {
            error: status(502),
            retry_after: None,
        };
        schedule.leave_out(at(0), &inside, flight_of_open);
        let task = schedule.item_mut(item).unwrap().small.pop_front().unwrap();
        assert!(task.tried.contains(at(0)));
        // One that another server opened may be fetched from it as well.
        let opened = Opened::default();
        let transfer = Transfer::new(FileId(9), task.clone(), opened, 1, now);
        assert!(!transfer.excluded.contains(at(0)));

        let last_one = Some(flight(Work::Open(task), now));
        schedule.fail(at(1), last_one, &last, now);
        let told = done(&mut schedule);
        if !is_asked {
            assert_eq!(told.failed, [(1, last.error())]);
            continue;
        }
        assert_eq!(told.failed, []);
        let task = is_asked_later(&schedule, item);
        let tried = [at(0), at(1)].map(|server| task.tried.contains(server));
        assert_eq!((tried, task.failures), ([false, true], 1));
        // It is a try like any other.
        schedule.leave_out(at(0), &inside, Some(flight(Work::Open(task), now)));
        let task = schedule.item_mut(item).unwrap().small.pop_front().unwrap();
        schedule.fail(at(1), Some(flight(Work::Open(task), now)), &last, now);
        assert_eq!(done(&mut schedule).failed, [(2, status(502))]);
    }
}

#[test]
fn a_file_that_changes_is_begun_anew_and_at_last_fetched_in_one_answer() {
    let now = Instant::now();
    for (retries, changes, whole) in [
        (1, 0, false),
        (1, 1, true),
        (0, 0, true),
        (9, 1, false),
        (9, 2, true),
    ] {
        let (mut schedule, item, file, run) = runs(1, now);
        schedule.limits.retries = retries;
        let task = &mut schedule.transfers.get_mut(&file).unwrap().task;
        (task.changes, task.kept) = (changes, 3);
        receive(&mut schedule, 0, file, &run, 0);
        let flight = popped(&mut schedule, now);
        schedule.restart(flight, now);
        let told = done(&mut schedule);
        assert_eq!(told.let_go, [Keep::AsIs], "{retries} {changes}");
        assert!(schedule.transfer(file).is_none());
        let task = if whole {
            assert_eq!(told.retrying, []);
            waiting(&schedule, item)
        } else {
            assert_eq!(told.retrying[0].2, Error::Changed);
            is_asked_later(&schedule, item)
        };
        let local = if whole {
            Local::Nothing
        } else {
            Local::Unknown
        };
        assert_eq!((task.whole, task.local, task.kept), (whole, local, 0));
        assert_eq!(task.changes, changes + 1);
    }
}

#[test]
fn one_that_changes_while_it_is_fetched_in_one_answer_is_begun_anew_as_often_as_is_allowed() {
    let now = Instant::now();
    let (mut schedule, item, file, _) = runs(1, now);
    let task = &mut schedule.transfers.get_mut(&file).unwrap().task;
    (task.changes, task.whole) = (8, true);
    let flight = popped(&mut schedule, now);
    schedule.restart(flight, now);
    let task = is_asked_later(&schedule, item);
    assert_eq!((task.whole, task.local), (true, Local::Unknown));
}
