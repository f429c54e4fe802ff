//! Each way on is carried out.

use super::*;

#[test]
fn nothing_begins_anew_that_is_no_transfer() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    schedule.restart(None, now);
    schedule.restart(Some(flight(Work::Values(FileId(9)), now)), now);
    schedule.restart(Some(browses(0, now)), now);
    assert_eq!(done(&mut schedule), Done::default());
}

#[test]
fn a_file_whose_ranges_are_refused_is_asked_for_whole_once() {
    let now = Instant::now();
    let error = status(400);
    let mut schedule = schedule(1);
    let (item, _, mut flight_of_open) = opens(&mut schedule, 5 * MIB, now);
    if let Some(Flight {
        work: Work::Open(task),
        ..
    }) = &mut flight_of_open
    {
        (task.local, task.kept) = (Local::Part, MIB);
    }
    schedule.ask_whole(flight_of_open, Some("x"), error.clone(), now);
    let mut task = waiting(&schedule, item);
    // What a part holds could not be proven.
    assert_eq!(
        (task.whole, task.local, task.kept),
        (true, Local::Nothing, 0)
    );
    // Where it was already, it has failed.
    schedule.item_mut(item).unwrap().large.clear();
    task.item = item;
    let again = flight(Work::Open(task), now);
    schedule.ask_whole(Some(again), Some("x"), error.clone(), now);
    assert_eq!(done(&mut schedule).failed, [(1, error.clone())]);
    let (mut schedule, item, file) = values(1, now);
    let flight = popped(&mut schedule, now);
    schedule.ask_whole(flight, None, error, now);
    assert!(schedule.transfer(file).is_none());
    assert!(waiting(&schedule, item).whole);
    schedule.ask_whole(Some(browses(0, now)), None, broken(), now);
    assert!(schedule.browses.is_empty());
}

#[test]
fn a_server_rests_for_what_others_do_unless_it_is_only_busy() {
    let now = Instant::now();
    let busy = Fault::Busy {
        error: status(503),
        retry_after: None,
    };
    for (fault, rests) in [(busy, false), (Fault::Broke(broken()), true)] {
        let mut schedule = schedule(2);
        schedule.carry_out(SLOT, Follow::Elsewhere, &fault, Some(browses(0, now)), now);
        assert_eq!(schedule.sources.get(at(0)).is_out(now), rests);
        assert_eq!(schedule.browses.len(), 1);
    }
}

#[test]
fn what_is_asked_for_slower_is_told_with_its_pause() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let (item, _, flight) = opens(&mut schedule, MIB, now);
    let load = &mut schedule.sources.get_mut(at(0)).load;
    load.refused(now, now, 1, Some(7 * SECOND));
    let busy = Fault::Busy {
        error: status(503),
        retry_after: None,
    };
    schedule.carry_out(SLOT, Follow::Slower, &busy, flight, now);
    assert_eq!(done(&mut schedule).retrying, [(2, 7 * SECOND, status(503))]);
    assert_eq!(waiting(&schedule, item).failures, 0);
}

#[test]
fn what_is_refused_behind_others_is_asked_for_alone() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let (item, _, flight) = opens(&mut schedule, MIB, now);
    let depth = |schedule: &Schedule| schedule.sources.get(at(0)).depth.now();
    schedule.sources.get_mut(at(0)).depth.proven();
    let before = depth(&schedule);
    let fault = Fault::Refused(status(404));
    schedule.carry_out(SLOT, Follow::Alone, &fault, flight, now);
    assert!(waiting(&schedule, item).alone);
    let (_, list) = lists(&mut schedule, now);
    schedule.carry_out(SLOT, Follow::Alone, &fault, list, now);
    assert!(depth(&schedule) < before);
}

#[test]
fn what_waits_for_a_pause_or_an_answer_or_is_nobodys_fault_waits_as_it_was() {
    let now = Instant::now();
    for (follow, fault) in [
        (Follow::Again, Fault::Interrupted),
        (Follow::Hold, Fault::Paused(None)),
        (Follow::Ask, Fault::Login(login())),
    ] {
        let mut schedule = schedule(1);
        let (item, _, flight) = opens(&mut schedule, MIB, now);
        schedule.carry_out(SLOT, follow, &fault, flight, now);
        assert_eq!(waiting(&schedule, item).failures, 0);
        let may = schedule.sources.get(at(0)).may_ask(now).is_ok();
        assert_eq!(may, follow == Follow::Again);
    }
}

#[test]
fn a_server_that_closes_what_it_opens_rests_with_the_work() {
    let now = Instant::now();
    for (follow, rests, again) in [
        (Follow::Retry, false, 1),
        (Follow::RetryAndRest, true, 1),
        (Follow::Rest, true, 0),
    ] {
        let mut schedule = schedule(1);
        let (item, _, flight) = opens(&mut schedule, MIB, now);
        let flight = flight.filter(|_| again > 0);
        schedule.carry_out(SLOT, follow, &Fault::Broke(broken()), flight, now);
        assert_eq!(schedule.sources.get(at(0)).is_out(now), rests);
        assert_eq!(later(&schedule, item), again);
    }
}

#[test]
fn a_server_of_no_use_is_dropped_and_the_last_given_up_with_all_that_waits() {
    let now = Instant::now();
    for servers in [1, 2] {
        let (mut schedule, item, file) = values(servers, now);
        let flight = popped(&mut schedule, now);
        schedule.carry_out(SLOT, Follow::Drop, &Fault::BadValues, flight, now);
        let last = servers == 1;
        assert_eq!(schedule.is_dropped(SLOT), !last);
        assert_eq!(schedule.item(item).unwrap().has_ended(), last);
        if !last {
            assert_eq!(values_of(&schedule, file), Values::Unasked);
        }
    }
}

#[test]
fn each_other_way_is_carried_out_with_the_work() {
    let now = Instant::now();
    let refused = Fault::Refused(status(416));
    let task_after = |follow| {
        let mut schedule = schedule(2);
        let (item, _, flight) = opens(&mut schedule, 5 * MIB, now);
        schedule.carry_out(SLOT, follow, &refused, flight, now);
        waiting(&schedule, item)
    };
    assert!(task_after(Follow::Whole).whole);
    assert!(!task_after(Follow::LeaveOut).tried.is_empty());
    assert_eq!(task_after(Follow::First).refusals, 1);
    assert!(!task_after(Follow::Get).whole);
    assert_eq!(task_after(Follow::Later).refusals, 0);
    let (mut schedule, item, _, _) = runs(1, now);
    let flight = popped(&mut schedule, now);
    schedule.carry_out(SLOT, Follow::Restart, &Fault::Changed, flight, now);
    assert_eq!(is_asked_later(&schedule, item).changes, 1);
    let (mut schedule, _, _, _) = runs(1, now);
    let flight = popped(&mut schedule, now);
    schedule.carry_out(SLOT, Follow::Fail, &refused, flight, now);
    assert_eq!(done(&mut schedule).failed, [(1, status(416))]);
}

#[test]
fn refusals_that_a_file_failed_for_do_not_count_against_the_next() {
    let now = Instant::now();
    let busy = Fault::of(status(503), None);
    for (fault, browsing, refusals) in [
        (&busy, false, 0),
        (&busy, true, 1),
        (&Fault::Refused(status(404)), false, 1),
    ] {
        let mut schedule = schedule(1);
        let (_, _, flight) = opens(&mut schedule, MIB, now);
        let flight = if browsing {
            Some(browses(0, now))
        } else {
            flight
        };
        let load = &mut schedule.sources.get_mut(at(0)).load;
        load.refused(now, now, 1, None);
        schedule.carry_out(SLOT, Follow::Fail, fault, flight, now);
        let load = &schedule.sources.get(at(0)).load;
        assert_eq!(load.refusals(), refusals, "{fault:?} {browsing}");
    }
}

#[test]
fn the_log_says_why_a_file_is_fetched_in_one_answer_unless_it_is_empty() {
    let now = Instant::now();
    for (code, said) in [(416, 0), (400, 1)] {
        let mut schedule = schedule(1);
        let (_, _, flight) = opens(&mut schedule, 5 * MIB, now);
        let fault = Fault::Refused(status(code));
        let lines = logged(|| schedule.carry_out(SLOT, Follow::Whole, &fault, flight, now));
        let lines = lines.iter().filter(|line| line.contains("refuses ranges"));
        assert_eq!(lines.count(), said, "{code}");
    }
}
