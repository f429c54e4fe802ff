use super::*;
use crate::client::{
    ItemId,
    disk::names::Local,
    id::SourceId,
    schedule::{
        Opened,
        testing::{
            Done, MIB, SECOND, add, begin, broken, done, file, later, led_file, ranges, read,
            receive, schedule, status, waiting, when,
        },
    },
    task::DirTask,
};

/// The only connection has opened the only file, of five pieces.
fn transfer(opened: Opened, now: Instant) -> (Schedule, ItemId, FileId) {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![file("a", 5 * MIB)]);
    let (file, _) = begin(&mut schedule, 0, opened, 2, now);
    schedule.take_effects();
    (schedule, item, file)
}

fn fail_task(schedule: &mut Schedule, item: ItemId, failures: u32, error: Error) {
    let mut task = file("x", MIB);
    (task.item, task.failures) = (item, failures);
    schedule.task_failed(task.into(), error, None, Instant::now());
}

#[test]
fn what_failed_is_tried_again_after_a_pause_as_often_as_is_allowed() {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![file("a", MIB)]);
    fail_task(&mut schedule, item, 0, broken());
    let told = done(&mut schedule);
    let [(attempt, after, error)] = told.retrying.try_into().unwrap();
    assert_eq!((attempt, error), (2, broken()));
    assert!(after >= Duration::from_millis(375) && after <= Duration::from_millis(625));
    assert_eq!((told.failed, later(&schedule, item)), (vec![], 1));
    fail_task(&mut schedule, item, 1, broken());
    let told = done(&mut schedule);
    assert_eq!((told.retrying, told.failed), (vec![], vec![(2, broken())]));
    assert_eq!(later(&schedule, item), 1);
}

#[test]
fn what_no_other_try_can_help_fails_at_once() {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![file("a", MIB)]);
    fail_task(&mut schedule, item, 0, status(404));
    let told = done(&mut schedule);
    assert_eq!(
        (told.retrying, told.failed),
        (vec![], vec![(1, status(404))])
    );
    let item = schedule.item(item).unwrap();
    assert_eq!((item.failed, item.failed_files.len()), (1, 1));
    assert!(!item.has_ended());
}

#[test]
fn nothing_is_tried_again_once_the_client_stops() {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![file("a", MIB)]);
    schedule.stop();
    fail_task(&mut schedule, item, 0, broken());
    assert_eq!(done(&mut schedule).failed, [(1, broken())]);
}

#[test]
fn what_may_pass_does_not_count_while_its_item_is_paused() {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![]);
    schedule.pause(item);
    schedule.item_mut(item).unwrap().dirs.clear();
    fail_task(&mut schedule, item, 1, broken());
    let told = done(&mut schedule);
    assert_eq!((told.retrying, told.failed), (vec![], vec![]));
    assert_eq!(waiting(&schedule, item).failures, 1);
    fail_task(&mut schedule, item, 0, status(404));
    assert_eq!(done(&mut schedule).failed, [(1, status(404))]);
}

#[test]
fn the_pause_is_as_long_as_the_server_says_within_limits_and_ends_the_redirect() {
    let now = Instant::now();
    for (says, lasts) in [(7 * SECOND, 7 * SECOND), (301 * SECOND, ASKED_MAX)] {
        let mut schedule = schedule(1);
        let item = add(&mut schedule, vec![file("a", MIB)]);
        let mut task = led_file("b", MIB, SourceId::led(0));
        task.item = item;
        schedule.task_failed(task.into(), broken(), Some(says), now);
        assert_eq!(done(&mut schedule).retrying, [(2, lasts, broken())]);
        let later = &schedule.item(item).unwrap().later;
        let (((at, _), (task, reason)), 1) = (later.first_key_value().unwrap(), later.len()) else {
            panic!("{later:?}");
        };
        assert_eq!((*at, reason), (now + lasts, &broken().to_string()));
        assert!(matches!(task, Task::File(task) if task.led.is_empty()));
    }
}

#[test]
fn an_item_ends_with_its_last_failure_and_counts_the_attempts() {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![file("a", MIB)]);
    let mut task = schedule.item_mut(item).unwrap().small.remove(0).unwrap();
    task.failures = 2;
    schedule.task_ended(task.into(), broken());
    let told = done(&mut schedule);
    assert_eq!((told.failed, told.ended), (vec![(3, broken())], 1));
}

#[test]
fn a_transfer_goes_on_after_a_pause_as_often_as_is_allowed() {
    let now = Instant::now();
    let (mut schedule, _, file) = transfer(ranges(5 * MIB), now);
    schedule.transfer_failed(file, broken(), Some(7 * SECOND), now);
    assert_eq!(done(&mut schedule).retrying, [(2, 7 * SECOND, broken())]);
    // Connections that break while the pause lasts are of the same outage.
    schedule.transfer_failed(file, broken(), Some(7 * SECOND), now + SECOND);
    assert_eq!(done(&mut schedule), Done::default());
    assert!(schedule.transfer(file).is_some());
    schedule.transfer_failed(file, broken(), Some(7 * SECOND), now + 7 * SECOND);
    let told = done(&mut schedule);
    assert_eq!((told.retrying, told.failed), (vec![], vec![(2, broken())]));
    assert!(schedule.transfer(file).is_none());
}

#[test]
fn the_pause_of_a_transfer_has_a_limit_and_one_of_its_own_where_the_server_says_none() {
    let now = Instant::now();
    let (mut schedule, _, file) = transfer(ranges(5 * MIB), now);
    schedule.transfer_failed(file, broken(), Some(301 * SECOND), now);
    assert_eq!(done(&mut schedule).retrying, [(2, ASKED_MAX, broken())]);
    let (mut schedule, _, file) = transfer(ranges(5 * MIB), now);
    schedule.transfer_failed(file, broken(), None, now);
    let (_, after, _) = done(&mut schedule).retrying.remove(0);
    assert!(after > Duration::from_millis(370) && after < SECOND);
}

#[test]
fn a_transfer_that_no_other_try_can_help_has_failed_with_what_is_here_noted() {
    let now = Instant::now();
    // A piece has had its own tries.
    let bad = Error::Integrity { piece: Some(1) };
    for error in [status(404), bad] {
        let (mut schedule, item, file) = transfer(ranges(5 * MIB), now);
        let run = schedule.slots[0].flight[0].work.clone();
        let Work::Run(_, run) = run else {
            panic!("{run:?}")
        };
        receive(&mut schedule, 0, file, &run, 0);
        schedule.transfer_failed(file, error.clone(), None, now);
        let told = done(&mut schedule);
        assert_eq!((told.retrying, told.failed), (vec![], vec![(2, error)]));
        assert_eq!(told.let_go, [Keep::Pieces(vec![0..1])]);
        assert_eq!(told.interrupted, [0]);
        assert_eq!(schedule.item(item).unwrap().failed_files[0].kept, MIB);
    }
}

#[test]
fn attempts_are_counted_as_far_as_they_are_known() {
    let now = Instant::now();
    let (mut schedule, _, file) = transfer(ranges(5 * MIB), now);
    schedule.limits.retries = 3;
    schedule.transfer_failed(file, broken(), Some(SECOND), now);
    schedule.transfer_failed(file, status(404), None, now);
    assert_eq!(done(&mut schedule).failed, [(4, status(404))]);
    let (mut schedule, _, file) = transfer(ranges(5 * MIB), now);
    schedule.limits.retries = 0;
    schedule.transfer_failed(file, broken(), Some(SECOND), now);
    assert_eq!(done(&mut schedule).failed, [(1, broken())]);
    let (mut schedule, _, file) = transfer(ranges(5 * MIB), now);
    schedule.transfer_ended(file, broken());
    assert_eq!(done(&mut schedule).failed, [(1, broken())]);
}

#[test]
fn a_paused_transfer_fails_only_for_what_does_not_pass() {
    let now = Instant::now();
    let (mut schedule, item, file) = transfer(ranges(5 * MIB), now);
    schedule.pause(item);
    schedule.take_effects();
    schedule.transfer_failed(file, broken(), None, now);
    assert_eq!(done(&mut schedule), Done::default());
    assert!(schedule.transfer(file).is_some());
    schedule.transfer_failed(file, status(404), None, now);
    assert_eq!(done(&mut schedule).failed, [(2, status(404))]);
}

#[test]
fn what_cannot_be_gone_on_with_is_asked_for_again_from_its_first_byte() {
    let now = Instant::now();
    let mut opened = ranges(5 * MIB);
    opened.facts.ranges = false;
    let (mut schedule, item, file) = transfer(opened, now);
    schedule.transfer_failed(file, broken(), Some(SECOND), now);
    let told = done(&mut schedule);
    assert_eq!(told.retrying, [(2, SECOND, broken())]);
    assert_eq!(told.let_go, [Keep::AsIs]);
    assert!(schedule.transfer(file).is_none());
    let item = schedule.item(item).unwrap();
    let (task, _) = item.later.first_key_value().unwrap().1;
    assert!(matches!(task, Task::File(task) if task.local == Local::Part));
}

#[test]
fn a_file_or_listing_that_is_asked_for_later_is_told_of_where_that_takes_a_while() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![file("a", MIB)]);
    let opens = read(&mut schedule, 0, now);
    let half = SECOND / 2;
    let list = Flight {
        work: Work::List(DirTask::new(item, crate::http1::path::RemotePath::root())),
        ..opens.clone()
    };
    let values = Flight {
        work: Work::Values(FileId(1)),
        ..opens.clone()
    };
    let short = half.checked_sub(Duration::from_millis(1)).unwrap();
    for (flight, after, told) in [
        (Some(&opens), half, true),
        (Some(&opens), short, false),
        (Some(&list), half, true),
        (Some(&values), half, false),
        (None, half, false),
    ] {
        schedule.tell_retrying(flight, 3, after, &broken());
        let expected = when(told, (3, after, broken()));
        assert_eq!(done(&mut schedule).retrying, expected, "{flight:?}");
    }
}
