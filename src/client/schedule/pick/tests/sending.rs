//! What goes to a server, how much of it ahead, and when.

use super::*;
use crate::client::Error;

#[test]
fn small_files_are_sent_ahead_in_strides_as_deep_as_the_server_bears() {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![]);
    depth(&mut schedule).proven();
    // In flight, added to the next packet, whether there is room.
    let deep = [
        (1, 0, true),
        (32, 0, true),
        (33, 0, false),
        (33, 1, true),
        (63, 31, true),
        (63, 32, false),
        (64, 1, false),
    ];
    let borne = [(5, 0, true), (6, 0, false), (9, 1, true), (10, 1, false)];
    let trial = [(1, 0, false), (1, 1, true), (2, 1, false)];
    let check = |schedule: &mut Schedule, cases: &[(usize, usize, bool)]| {
        for (in_flight, added, room) in cases {
            fly(schedule, 0, item, *in_flight);
            let has = schedule.has_room(SLOT, Some(Kind::Small), *added);
            assert_eq!(has, *room, "{in_flight} in flight, {added} added");
        }
    };
    check(&mut schedule, &deep);
    depth(&mut schedule).lower(10);
    check(&mut schedule, &borne);
    *depth(&mut schedule) = Depth::default();
    check(&mut schedule, &[(1, 1, false)]);
    depth(&mut schedule).kept_open();
    check(&mut schedule, &trial);
}

#[test]
fn a_second_run_is_sent_ahead_and_nothing_behind_what_stands_alone() {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![]);
    let room = |schedule: &mut Schedule, kind, in_flight| {
        fly(schedule, 0, item, in_flight);
        schedule.has_room(SLOT, kind, 0)
    };
    let run = Some(Kind::Run);
    assert!(!room(&mut schedule, run, 1));
    depth(&mut schedule).kept_open();
    assert!(room(&mut schedule, run, 1) && !room(&mut schedule, run, 2));
    assert!(!room(&mut schedule, Some(Kind::Alone), 1));
    schedule.limits.serial = true;
    assert!(!room(&mut schedule, run, 1) && room(&mut schedule, None, 0));
    schedule.limits.serial = false;
    refuse(&mut schedule, Instant::now());
    assert!(!room(&mut schedule, run, 1) && room(&mut schedule, None, 0));
}

#[test]
fn requests_for_small_files_leave_thirty_two_to_a_packet() {
    let mut schedule = schedule(1);
    add(&mut schedule, vec![small(); 100]);
    depth(&mut schedule).proven();
    let now = Instant::now();
    let Order::Exchange { send, patience, .. } = schedule.next(SLOT, now) else {
        panic!("nothing is asked for");
    };
    assert_eq!((send.len(), patience), (REQUESTS_MAX, None));
    let ahead = schedule.slots[0].flight.iter().map(|flight| flight.ahead);
    assert_eq!(ahead.filter(|ahead| *ahead).count(), REQUESTS_MAX - 1);
    assert!(schedule.slots[0].flight.iter().all(|flight| flight.sent));
    assert_eq!(schedule.items[0].small.len(), 100 - REQUESTS_MAX);
}

#[test]
fn a_file_that_no_server_left_has_fails_without_being_asked_for() {
    let mut schedule = schedule(1);
    let first = SourceSet::of(SourceId::at(0));
    let nowhere = FileTask {
        foreign: first,
        tried: SourceSet::all(2),
        failures: 2,
        ..small()
    };
    add(&mut schedule, vec![nowhere, small()]);
    assert_eq!(schedule.take_work(SLOT, Instant::now()), 1);
    let failed = schedule.take_effects().into_iter().find_map(|it| match it {
        Effect::Tell(Event::Failed {
            attempts, error, ..
        }) => Some((attempts, error)),
        _ => None,
    });
    assert_eq!(failed, Some((3, Error::NoMirror)));
    assert_eq!(schedule.slots[0].flight.len(), 1);
}

#[test]
fn who_left_a_file_out_and_is_asked_again_has_the_last_word() {
    for (tried, last) in [(SourceSet::default(), false), (SourceSet::all(2), true)] {
        let mut schedule = schedule(1);
        add(&mut schedule, vec![FileTask { tried, ..small() }]);
        assert_eq!(schedule.take_work(SLOT, Instant::now()), 1);
        assert_eq!(schedule.slots[0].flight[0].last, last);
    }
}

#[test]
fn what_is_left_of_a_listing_is_read_from_the_disk_and_asked_of_nobody() {
    let mut schedule = schedule(1);
    let item = schedule.add(NewItem::new(RemotePath::root()));
    schedule.items[0].dirs = vec![DirTask {
        rest: Some(RestId(7)),
        ..DirTask::new(item, path("/d/"))
    }];
    assert_eq!(schedule.take_work(SLOT, Instant::now()), 0);
    assert!(schedule.loads.contains_key(&RestId(7)));
    let effects = schedule.take_effects();
    let loads = |it: &Effect| matches!(it, Effect::LoadRest(RestId(7)));
    assert!(effects.iter().any(loads));
}

#[test]
fn a_listing_that_somebody_waits_for_comes_first_and_lets_the_pipeline_run_dry() {
    let mut schedule = schedule(1);
    let now = Instant::now();
    add(&mut schedule, vec![small(); 9]);
    depth(&mut schedule).proven();
    let item = schedule.items[0].id;
    fly(&mut schedule, 0, item, 1);
    assert!(!schedule.browses_here(SLOT, now));
    schedule.browse(path("/d/"), now);
    assert!(schedule.browses_here(SLOT, now));
    assert_eq!(schedule.take_work(SLOT, now), 0);
    let behind = schedule.pick(SLOT, Some(Kind::Small), now);
    assert!(matches!(behind, Some(Work::Open(_))));
    schedule.slots[0].source = SourceId::at(1);
    assert!(!schedule.browses_here(SLOT, now));
    schedule.slots[0].source = SourceId::at(0);
    schedule.slots[0].flight.clear();
    assert_eq!(schedule.take_work(SLOT, now), 1);
    assert!(matches!(schedule.slots[0].flight[0].work, Work::Browse(_)));
}

#[test]
fn an_item_without_a_connection_gets_one_of_an_item_with_several() {
    let now = Instant::now();
    let with = |held: [usize; 3], change: fn(&mut Schedule)| {
        let mut schedule = schedule(4);
        let items = [0, 1, 2].map(|_| add(&mut schedule, vec![large(); 3]));
        let held = held.iter().zip(items);
        let holders = held.flat_map(|(count, item)| std::iter::repeat_n(item, *count));
        for (slot, item) in holders.enumerate() {
            fly(&mut schedule, slot, item, 1);
        }
        change(&mut schedule);
        schedule.keeps_another_waiting(SLOT, now)
    };
    assert!(with([4, 0, 0], |_| {}));
    assert!(with([2, 0, 0], |_| {}));
    assert!(!with([1, 0, 0], |_| {}));
    assert!(!with([3, 1, 0], |_| {}), "two advance side by side");
    assert!(!with([4, 0, 0], |it| it.items[0].first = true));
    assert!(!with([4, 0, 0], |it| it.slots[0].flight.clear()));
    // The next one is at the front where the second cannot go on.
    assert!(with([3, 1, 0], |it| it.items[1].life = Life::Paused));
    assert!(!with([4, 0, 0], |it| {
        let stopped = Life::Paused;
        it.items[1..]
            .iter_mut()
            .for_each(|item| item.life = stopped.clone());
    }));
    assert!(!with([4, 0, 0], |it| {
        it.items[1..].iter_mut().for_each(|item| item.large.clear());
    }));
    // The first server has what it waits for not.
    assert!(!with([4, 0, 0], |it| {
        let tried = SourceSet::of(SourceId::at(0));
        let waiting = it.items.iter_mut().flat_map(Item::waiting_mut);
        waiting.for_each(|task| task.tried = tried);
    }));
}

#[test]
fn a_server_that_paces_requests_is_asked_when_its_time_has_come() {
    let mut schedule = schedule(1);
    add(&mut schedule, vec![small(); 2]);
    let now = Instant::now();
    assert_eq!(schedule.take_work(SLOT, now), 1);
    refuse(&mut schedule, now);
    let gap = 50 * MS;
    // What is unsent goes back meanwhile.
    let until = |order| match order {
        Order::Wait(until) => until,
        order => panic!("{order:?}"),
    };
    assert_eq!(until(schedule.exchange(SLOT, now)), Some(now + gap));
    assert_eq!(schedule.items[0].small.len(), 2);
    assert_eq!(schedule.take_work(SLOT, now), 1);
    let then = now + gap;
    let sent = |order| match order {
        Order::Exchange { send, .. } => send.len(),
        order => panic!("{order:?}"),
    };
    assert_eq!(sent(schedule.exchange(SLOT, then)), 1);
    let wait = |schedule: &Schedule| schedule.sources.get(SourceId::at(0)).load.wait(then);
    assert_eq!(wait(&schedule), Some(then + gap));
    // What was sent is read in the meantime, and delays nothing.
    assert_eq!(sent(schedule.exchange(SLOT, then + MS)), 0);
    assert_eq!(wait(&schedule), Some(then + gap));
}

#[test]
fn it_is_looked_what_is_here_of_a_file_before_it_is_asked_for() {
    let mut schedule = schedule(1);
    let local = Local::Unknown;
    add(&mut schedule, vec![FileTask { local, ..small() }]);
    let now = Instant::now();
    assert_eq!(schedule.take_work(SLOT, now), 1);
    let order = schedule.exchange(SLOT, now);
    assert!(matches!(order, Order::Look(_)));
    // Nobody looks twice.
    schedule.slots[0].flight[0].sent = true;
    let order = schedule.exchange(SLOT, now);
    assert!(matches!(order, Order::Exchange { .. }));
}

#[test]
fn the_first_answer_to_what_was_sent_ahead_on_trial_is_awaited_for_a_shorter_time() {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![]);
    let now = Instant::now();
    let patience = |schedule: &mut Schedule, ahead| {
        fly(schedule, 0, item, 1);
        schedule.slots[0].flight[0].ahead = ahead;
        match schedule.exchange(SLOT, now) {
            Order::Exchange { patience, .. } => patience,
            order => panic!("{order:?}"),
        }
    };
    depth(&mut schedule).kept_open();
    let second = Some(1000 * MS);
    assert_eq!(patience(&mut schedule, true), second);
    assert_eq!(patience(&mut schedule, false), None);
    depth(&mut schedule).proven();
    assert_eq!(patience(&mut schedule, true), None);
}

#[test]
fn who_waits_is_told_of_work_that_was_taken_where_redirects_lead_files_apart() {
    for (files, leads, rings) in [(1, true, true), (1, false, false), (0, true, false)] {
        let mut schedule = schedule(2);
        add(&mut schedule, vec![small(); files]);
        if leads {
            schedule.led.push("http://far".into());
            schedule.sources.meet(SourceId::led(0));
        }
        schedule.slots[1].parked = true;
        schedule.fill(SLOT, Instant::now());
        assert_eq!(schedule.slots[1].parked, !rings);
    }
}

#[test]
fn nothing_new_is_begun_while_too_many_events_wait_to_be_told() {
    let most = crate::client::schedule::UNTOLD_MAX;
    for (untold, begins) in [(most, true), (most + 1, false)] {
        let mut schedule = schedule(1);
        add(&mut schedule, vec![small()]);
        schedule.untold = untold;
        let order = schedule.next(SLOT, Instant::now());
        assert_eq!(matches!(order, Order::Exchange { .. }), begins);
        assert_eq!(schedule.items[0].small.len(), usize::from(!begins));
    }
}

#[test]
fn a_client_that_stops_lets_go_of_what_is_in_flight() {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![]);
    fly(&mut schedule, 0, item, 2);
    schedule.stop();
    let order = schedule.next(SLOT, Instant::now());
    assert!(matches!(order, Order::End));
    assert_eq!(schedule.items[0].small.len(), 2);
}
