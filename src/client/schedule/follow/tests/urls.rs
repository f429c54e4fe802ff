//! A Metalink names several URLs at one server.

use super::*;

#[test]
fn each_try_at_urls_of_one_server_counts_or_passes_one() {
    let now = Instant::now();
    let busy = Fault::Busy {
        error: status(500),
        retry_after: None,
    };
    let (refused, wrong) = (Fault::Refused(status(404)), Fault::BadValues);
    for (follow, fault, retries, tries) in [
        (Follow::Fail, &refused, 3, 3),
        (Follow::Fail, &busy, 3, 3),
        (Follow::Retry, &busy, 0, 3),
        (Follow::Retry, &busy, 3, 6),
        // Nothing says that it is the URL's.
        (Follow::Retry, &wrong, 3, 4),
    ] {
        let mut schedule = schedule(1);
        schedule.limits.retries = retries;
        let (item, mut task, _) = opens(&mut schedule, MIB, now);
        task.targets = ["/1", "/2", "/3"].map(|url| (at(0), url.to_owned())).into();
        let mut asked = Vec::new();
        while done(&mut schedule).failed.is_empty() {
            asked.push(task.targets[usize::from(task.passed)].1.clone());
            assert!(asked.len() < 9, "{fault:?} {asked:?}");
            let again = flight(Work::Open(task.clone()), now);
            schedule.carry_out(SLOT, follow, fault, Some(again), now);
            let item = schedule.item_mut(item).unwrap();
            item.release(None);
            task = item.small.pop_front().unwrap_or(task);
        }
        assert_eq!(asked.len(), tries, "{fault:?} {asked:?}");
        let all = asked.iter().collect::<std::collections::HashSet<_>>();
        assert_eq!(all.len(), if tries == 4 { 1 } else { 3 }, "{fault:?}");
    }
}

#[test]
fn a_url_is_passed_once_it_was_tried_often_enough_or_cannot_help() {
    let now = Instant::now();
    for (error, failures, targets, passed) in [
        (broken(), 0, ["/2", "/1"], 0),
        (broken(), 1, ["/1", "/2"], 1),
        (status(404), 0, ["/1", "/2"], 1),
    ] {
        let mut schedule = schedule(1);
        let (item, mut task, _) = opens(&mut schedule, MIB, now);
        task.targets = ["/1", "/2"].map(|url| (at(0), url.to_owned())).into();
        task.failures = failures;
        schedule.url_failed(at(0), task, error, None, now);
        schedule.item_mut(item).unwrap().release(None);
        let task = waiting(&schedule, item);
        let left: Vec<_> = task.targets.iter().map(|(_, url)| url.as_str()).collect();
        assert_eq!((left, task.passed), (targets.to_vec(), passed));
    }
}

#[test]
fn a_whole_that_is_wrong_is_asked_for_at_the_next_url_as_it_is_known_now() {
    let now = Instant::now();
    let list = Error::Listed { list: "x".into() };
    for case in 0..3 {
        let mut schedule = schedule(1);
        let (item, mut task, _) = opens(&mut schedule, MIB, now);
        task.targets = ["/1", "/2"].map(|url| (at(0), url.to_owned())).into();
        let known = Box::new(FileTask {
            kept: 3,
            ..task.clone()
        });
        let (fault, kept) = match case {
            0 => (Fault::BadWhole(known), 3),
            1 => (Fault::Unlisted(known, list.clone()), 3),
            _ => (Fault::Other(broken()), 0),
        };
        let opens = flight(Work::Open(task), now);
        schedule.carry_out(SLOT, Follow::Retry, &fault, Some(opens), now);
        schedule.item_mut(item).unwrap().release(None);
        let task = waiting(&schedule, item);
        assert_eq!((task.kept, task.targets[0].1.as_str()), (kept, "/2"));
    }
}

#[test]
fn the_next_url_is_that_of_the_server_that_redirected() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let led = meet(&mut schedule);
    let (item, task, _) = opens(&mut schedule, MIB, now);
    let task = FileTask {
        item: task.item,
        refusals: 1,
        targets: ["/1", "/2"].map(|url| (at(0), url.to_owned())).into(),
        ..led_file("a", MIB, led)
    };
    schedule.slots[0].source = led;
    let refused = Fault::Refused(status(404));
    let opens = flight(Work::Open(task), now);
    schedule.carry_out(SLOT, Follow::Fail, &refused, Some(opens), now);
    let task = waiting(&schedule, item);
    assert!(task.led.is_empty());
    assert_eq!((task.refusals, task.turned), (0, Some(now)));
    assert_eq!((task.targets[0].1.as_str(), task.passed), ("/1", 1));
    assert!(!task.has_next_url(at(0)));
}
