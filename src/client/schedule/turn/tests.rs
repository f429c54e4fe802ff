use super::*;
use crate::client::{
    ItemId,
    schedule::{
        Limits,
        testing::{
            MIB, OPEN, add, at, begin, broken, done, fault, file, flight, later, led_file, limits,
            meet, ranges, read, schedule, schedule_of, status, waiting, when, with_values,
        },
    },
    task::{DirTask, Led},
};

/// A redirect of the first of so many servers leads elsewhere, for a transfer of which the first connection reads some.
fn led_transfer(servers: usize, now: Instant) -> (Schedule, SourceId, ItemId, FileId) {
    let mut schedule = schedule(servers);
    let led = meet(&mut schedule);
    let item = add(&mut schedule, vec![file("a", 5 * MIB)]);
    let (file, _) = begin(&mut schedule, 0, ranges(5 * MIB), 2, now);
    let task = &mut schedule.transfers.get_mut(&file).unwrap().task;
    task.led = led_file("a", 1, led).led;
    task.redirecting.insert(at(0));
    schedule.take_effects();
    (schedule, led, item, file)
}

#[test]
fn what_a_redirect_led_to_is_forgotten_whatever_the_work_is() {
    let now = Instant::now();
    let (mut schedule, led, _, file) = led_transfer(1, now);
    let run = schedule.slots[0].flight[0].work.clone();
    assert!(matches!(run, Work::Run(..)));
    let mut open = Work::Open(led_file("b", MIB, led));
    assert!(!schedule.turn_back(at(0), &mut open, now));
    assert!(schedule.turn_back(led, &mut open, now));
    let Work::Open(task) = &open else {
        panic!("{open:?}")
    };
    assert_eq!((task.led.len(), task.turned), (0, Some(now)));
    assert!(!schedule.turn_back(led, &mut open, now));
    for mut work in [run, Work::Values(file)] {
        let task = &mut schedule.transfers.get_mut(&file).unwrap().task;
        (task.led, task.turned) = (led_file("a", 1, led).led, None);
        assert!(!schedule.turn_back(at(0), &mut work, now));
        assert_eq!(schedule.transfer(file).unwrap().task.turned, None);
        assert!(schedule.turn_back(led, &mut work, now));
        let task = &schedule.transfer(file).unwrap().task;
        assert_eq!((task.led.len(), task.turned), (0, Some(now)));
    }
    for mut work in [
        Work::Values(FileId(99)),
        Work::Spent,
        Work::List(DirTask::new(
            ItemId(1),
            crate::http1::path::RemotePath::root(),
        )),
    ] {
        assert!(!schedule.turn_back(led, &mut work, now));
    }
}

#[test]
fn a_refusal_where_a_redirect_led_asks_the_first_url_again_and_counts() {
    let now = Instant::now();
    let (mut schedule, led, item, file) = led_transfer(1, now);
    let refused = Fault::Refused(status(403));
    let mut task = led_file("b", MIB, led);
    task.item = item;
    let opens = flight(Work::Open(task), now);
    schedule.ask_first(led, &refused, Some(opens), now);
    let task = waiting(&schedule, item);
    assert_eq!((task.refusals, task.led.len()), (1, 0));
    let runs = schedule.slots[0].pop(now);
    schedule.ask_first(led, &refused, runs, now);
    let transfer = schedule.transfer(file).unwrap();
    assert_eq!((transfer.task.refusals, transfer.task.led.len()), (1, 0));
    assert_eq!(transfer.plan.held(), 0);
    schedule.ask_first(led, &refused, None, now);
}

#[test]
fn what_is_refused_together_is_one_refusal_and_waits_a_moment() {
    let now = Instant::now();
    let (mut schedule, _, _, file) = led_transfer(1, now);
    let runs = schedule.slots[0].pop(now);
    schedule.ask_later(runs, now);
    let refusals = |schedule: &Schedule| schedule.transfer(file).unwrap().task.refusals;
    let transfer = schedule.transfer(file).unwrap();
    assert_eq!((transfer.plan.held(), transfer.plan.has_free()), (0, true));
    assert_eq!(transfer.wake_at(now), Some(now + LATER));
    assert_eq!(refusals(&schedule), 1);
    schedule.ask_later(Some(flight(Work::Values(file), now)), now);
    assert_eq!(refusals(&schedule), 1);
    schedule.ask_later(Some(flight(Work::Values(file), now)), now + LATER);
    assert_eq!(refusals(&schedule), 2);
    schedule.ask_later(None, now);
}

#[test]
fn a_server_out_of_reach_where_a_redirect_led_counts_for_its_files_unless_somebody_watches() {
    let now = Instant::now();
    for patient in [false, true] {
        let limits = Limits {
            patient,
            ..limits()
        };
        let mut schedule = schedule_of(limits, 1);
        let led = meet(&mut schedule);
        let item = add(&mut schedule, vec![led_file("a", MIB, led)]);
        schedule.rest(led, &Fault::Unreachable(broken()), now);
        assert!(schedule.sources.get(led).is_out(now));
        assert_eq!(later(&schedule, item), usize::from(!patient));
        let item = schedule.item(item).unwrap();
        assert_eq!(item.waiting().count(), usize::from(patient));
        assert!(item.waiting().all(|task| task.led.is_empty()));
    }
}

#[test]
fn while_the_own_network_is_down_a_redirect_still_leads_where_it_led() {
    let now = Instant::now();
    let own = |own| Error::Connect {
        server: "s".into(),
        reason: "x".into(),
        own,
    };
    for (was_up, error, stays) in [
        (true, own(true), true),
        (false, own(true), false),
        (true, own(false), false),
    ] {
        let mut schedule = schedule(1);
        let led = meet(&mut schedule);
        schedule.sources.get_mut(led).was_up = was_up;
        let item = add(&mut schedule, vec![led_file("a", MIB, led)]);
        schedule.rest(led, &Fault::Unreachable(error), now);
        assert!(schedule.sources.get(led).is_out(now));
        let waiting = schedule.item(item).unwrap().waiting().next();
        assert_eq!(waiting.is_some_and(|task| task.led.len() == 1), stays);
    }
}

#[test]
fn files_that_wait_leave_a_server_again_after_a_pause_or_for_good() {
    let now = Instant::now();
    for (leave, servers, waits, tried_later, failed) in [
        (Leave::Again, 1, 2, 0, 0),
        (Leave::Retry, 1, 1, 1, 0),
        (Leave::Fail, 2, 2, 0, 0),
        (Leave::Fail, 1, 1, 0, 1),
    ] {
        let mut schedule = schedule(servers);
        let led = meet(&mut schedule);
        let mut task = led_file("a", MIB, led);
        task.failures = u32::from(failed > 0);
        let item = add(&mut schedule, vec![task, file("b", MIB)]);
        schedule.park(crate::client::id::SlotId(3), now);
        schedule.leave(led, &broken(), leave, now);
        let told = done(&mut schedule);
        assert_eq!(told.failed, vec![(2, broken()); failed], "{leave:?}");
        assert_eq!(told.rung, [3]);
        assert_eq!(later(&schedule, item), tried_later, "{leave:?}");
        let item = schedule.item(item).unwrap();
        assert_eq!(item.waiting().count(), waits, "{leave:?}");
        let mut tried = item.waiting().filter(|it| it.path.name() == b"a");
        let tried = tried.next().map(|it| it.tried);
        let fails = leave == Leave::Fail && servers > 1;
        let first = SourceSet::of(at(0));
        let expected = if fails { first } else { SourceSet::default() };
        if waits == 2 {
            assert_eq!(tried, Some(expected));
        }
    }
}

#[test]
fn files_that_leave_a_server_for_good_are_not_asked_for_at_the_url_that_led_there() {
    let now = Instant::now();
    for (leave, targets, passed) in [
        (Leave::Again, ["/2", "/1"], 0),
        (Leave::Fail, ["/1", "/2"], 1),
    ] {
        let mut schedule = schedule(1);
        let led = meet(&mut schedule);
        let mut task = led_file("a", MIB, led);
        task.targets = ["/1", "/2"].map(|url| (at(0), url.to_owned())).into();
        let item = add(&mut schedule, vec![task]);
        schedule.leave(led, &broken(), leave, now);
        let task = waiting(&schedule, item);
        let left: Vec<_> = task.targets.iter().map(|(_, url)| url.as_str()).collect();
        assert_eq!((left, task.passed), (targets.to_vec(), passed), "{leave:?}");
        assert!(task.tried.is_empty());
    }
}

#[test]
fn transfers_leave_a_server_again_after_a_pause_or_for_good() {
    let now = Instant::now();
    for (leave, servers, retrying, failed, out) in [
        (Leave::Again, 1, 0, 0, false),
        (Leave::Retry, 1, 1, 0, false),
        (Leave::Fail, 2, 0, 0, true),
        (Leave::Fail, 1, 0, 1, true),
    ] {
        let (mut schedule, led, _, file) = led_transfer(servers, now);
        schedule.leave(led, &broken(), leave, now);
        let told = done(&mut schedule);
        assert_eq!(told.failed, vec![(1, broken()); failed], "{leave:?}");
        assert_eq!(told.retrying.len(), retrying, "{leave:?}");
        assert_eq!(schedule.transfer(file).is_none(), failed > 0);
        if let Some(transfer) = schedule.transfer(file) {
            let (led, turned) = (transfer.task.led.len(), transfer.task.turned);
            assert_eq!((led, turned), (0, Some(now)));
            assert_eq!(transfer.excluded.contains(at(0)), out);
        }
    }
}

#[test]
fn transfers_that_are_led_elsewhere_stay_as_they_are() {
    let now = Instant::now();
    let (mut schedule, _, _, file) = led_transfer(1, now);
    let other = meet(&mut schedule);
    schedule.leave(other, &broken(), Leave::Fail, now);
    let transfer = schedule.transfer(file).unwrap();
    assert_eq!((transfer.task.led.len(), transfer.task.turned), (1, None));
}

#[test]
fn others_may_have_a_file_unless_all_are_off() {
    let schedule = schedule(2);
    let others = |off: &[usize]| {
        let off: SourceSet = off.iter().map(|place| at(*place)).collect();
        schedule.others_have(off)
    };
    assert!(others(&[]) && others(&[0]) && others(&[1]));
    assert!(!others(&[0, 1]));
}

#[test]
fn a_file_whose_values_nobody_can_be_asked_for_is_begun_anew_without() {
    let now = Instant::now();
    for (query, asked, another, anew) in [
        (true, false, false, true),
        (false, false, false, false),
        (true, true, false, false),
        (true, false, true, false),
    ] {
        let mut schedule = schedule(if another { 2 } else { 1 });
        let led = meet(&mut schedule);
        let item = add(&mut schedule, vec![file("a", 5 * MIB)]);
        let (file, _) = begin(&mut schedule, 0, with_values(5 * MIB), 0, now);
        fault(&mut schedule, 0, Fault::Interrupted, OPEN, now);
        if asked {
            read(&mut schedule, 0, now);
        }
        let task = &mut schedule.transfers.get_mut(&file).unwrap().task;
        task.kept = 3;
        task.redirecting.insert(at(0));
        task.led.push(Led {
            first: at(0),
            at: led,
            target: if query { "/x?y" } else { "/x" }.into(),
            hops: 1,
        });
        schedule.take_effects();
        schedule.begin_without_values(now);
        assert_eq!(schedule.transfer(file).is_none(), anew, "{query} {asked}");
        let told = done(&mut schedule);
        let retrying: Vec<_> = told.retrying.into_iter().map(|it| it.2).collect();
        assert_eq!(retrying, when(anew, Error::Changed));
        if anew {
            let item = schedule.item(item).unwrap();
            let (task, _) = item.later.first_key_value().unwrap().1;
            let Task::File(task) = task else {
                panic!("{task:?}")
            };
            assert_eq!((task.local, task.kept), (Local::Unknown, 0));
        }
    }
}

#[test]
fn values_that_no_redirect_keeps_away_are_waited_for() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let mut task = file("a", 5 * MIB);
    task.targets.push((at(0), "/x?y".into()));
    add(&mut schedule, vec![task]);
    let (file, _) = begin(&mut schedule, 0, with_values(5 * MIB), 0, now);
    fault(&mut schedule, 0, Fault::Interrupted, OPEN, now);
    schedule.begin_without_values(now);
    assert!(schedule.transfer(file).is_some());
}
