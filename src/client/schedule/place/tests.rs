use super::*;
use crate::client::schedule::testing::{
    MIB, SECOND, SLOT, add, at, begin, done, file, led_file, meet, path, ranges, reach, read,
    schedule,
};

/// So many servers, all of which were reached, and connections of these.
fn placed<const N: usize>(servers: usize, of: [usize; N], now: Instant) -> Schedule {
    let mut schedule = schedule(servers);
    reach(&mut schedule, servers, now);
    schedule.slots.truncate(N);
    for (slot, place) in schedule.slots.iter_mut().zip(of) {
        slot.source = at(place);
    }
    schedule
}

fn source_of(schedule: &Schedule, slot: usize) -> SourceId {
    schedule.slots[slot].source
}

fn rest(schedule: &mut Schedule, place: usize, until: Instant) {
    schedule.sources.get_mut(at(place)).reach = Reach::Out(until);
}

#[test]
fn a_connection_leaves_a_server_that_rests_for_another() {
    let now = Instant::now();
    let mut schedule = placed(2, [0, 1], now);
    schedule.park(SlotId(1), now);
    schedule.take_effects();
    rest(&mut schedule, 0, now + SECOND);
    assert!(schedule.settle_source(SLOT, now).is_none());
    assert_eq!(source_of(&schedule, 0), at(1));
    assert_eq!(done(&mut schedule).rung, [1]);
}

#[test]
fn it_waits_where_there_is_no_other_or_another_connection_tries_that_one() {
    let now = Instant::now();
    let mut schedule = placed(1, [0, 0], now);
    rest(&mut schedule, 0, now + SECOND);
    let order = schedule.settle_source(SLOT, now);
    assert!(matches!(order, Some(Order::Wait(Some(at))) if at == now + SECOND));
    let mut schedule = placed(2, [0, 1], now);
    rest(&mut schedule, 0, now + SECOND);
    schedule.sources.get_mut(at(1)).trying = Some((SlotId(1), now));
    let order = schedule.settle_source(SLOT, now);
    assert!(matches!(order, Some(Order::Wait(_))));
    assert_eq!(source_of(&schedule, 0), at(1));
}

#[test]
fn an_open_connection_is_kept_while_others_cannot_be_made_and_closed_for_a_pause() {
    let now = Instant::now();
    let mut schedule = placed(1, [0], now);
    schedule.slots[0].line = Line::Open;
    rest(&mut schedule, 0, now + SECOND);
    assert!(schedule.settle_source(SLOT, now).is_none());
    schedule.sources.get_mut(at(0)).paused(now + SECOND, now);
    let order = schedule.settle_source(SLOT, now);
    assert!(matches!(order, Some(Order::Close)));
    assert_eq!(schedule.slots[0].line, Line::Closed);
}

#[test]
fn what_a_connection_has_in_hand_is_left_to_others_where_it_leaves_its_server() {
    let now = Instant::now();
    let mut schedule = placed(1, [0], now);
    let item = add(&mut schedule, vec![file("a", MIB)]);
    read(&mut schedule, 0, now);
    schedule.sources.get_mut(at(0)).paused(now + SECOND, now);
    assert!(matches!(schedule.next(SLOT, now), Order::Close));
    assert!(schedule.slots[0].flight.is_empty());
    assert_eq!(schedule.item(item).unwrap().small.len(), 1);
    assert!(matches!(schedule.next(SLOT, now), Order::Wait(_)));
}

#[test]
fn a_connection_goes_where_the_fewest_are_without_itself() {
    let now = Instant::now();
    for (of, chosen) in [([0, 0, 1], 0), ([0, 1, 1], 0), ([1, 0, 0], 1)] {
        let schedule = placed(2, of, now);
        assert_eq!(schedule.choose(SLOT, now), Some(at(chosen)), "{of:?}");
    }
    let schedule = placed(3, [0, 0, 1], now);
    assert_eq!(schedule.choose(SLOT, now), Some(at(2)));
}

#[test]
fn one_connection_tries_and_others_wait_until_it_has_tried_for_long() {
    let now = Instant::now();
    let mut schedule = placed(1, [0, 0], now);
    let waits =
        |schedule: &Schedule, slot, now| schedule.waits_for_another(SlotId(slot), at(0), now);
    assert!(!waits(&schedule, 0, now));
    schedule.sources.get_mut(at(0)).trying = Some((SlotId(1), now));
    assert!(waits(&schedule, 0, now) && !waits(&schedule, 1, now));
    // While it dials it is waited for however long that takes, for its answer only a while.
    let until = schedule.sources.get(at(0)).tries_until().unwrap();
    assert!(waits(&schedule, 0, until));
    schedule.slots[1].line = Line::Open;
    assert!(!waits(&schedule, 0, until));
    let before = until.checked_sub(Duration::from_millis(1)).unwrap();
    assert!(waits(&schedule, 0, before));
    assert!(matches!(
        schedule.settle_source(SLOT, now),
        Some(Order::Wait(_))
    ));
    assert!(schedule.settle_source(SlotId(1), now).is_none());
}

#[test]
fn a_server_gets_no_more_connections_than_it_bears() {
    let now = Instant::now();
    let mut schedule = placed(2, [0, 1, 0, 0], now);
    let crowded = |schedule: &Schedule| [0, 1, 2, 3].map(|slot| schedule.is_crowded(SlotId(slot)));
    assert_eq!(crowded(&schedule), [false; 4]);
    let load = &mut schedule.sources.get_mut(at(0)).load;
    load.refused(now, now, 4, None);
    assert_eq!(load.window(), 2);
    assert_eq!(crowded(&schedule), [false, false, false, true]);
    assert!(schedule.settle_source(SlotId(3), now).is_none());
    assert_eq!(source_of(&schedule, 3), at(1));
    let mut schedule = placed(1, [0, 0], now);
    schedule
        .sources
        .get_mut(at(0))
        .load
        .refused(now, now, 1, None);
    let second = SlotId(1);
    assert!(matches!(
        schedule.settle_source(second, now),
        Some(Order::Wait(_))
    ));
    schedule.slots[1].line = Line::Open;
    assert!(matches!(
        schedule.settle_source(second, now),
        Some(Order::Close)
    ));
}

#[test]
fn who_closes_or_parks_tries_no_more_and_rings_those_that_waited() {
    let now = Instant::now();
    let mut schedule = placed(1, [0, 0], now);
    schedule.park(SlotId(1), now);
    schedule.sources.get_mut(at(0)).trying = Some((SLOT, now));
    schedule.take_effects();
    schedule.close(SLOT);
    assert_eq!(done(&mut schedule).rung, [1]);
    schedule.park(SlotId(1), now);
    schedule.stop_trying(SLOT);
    schedule.answers(at(0));
    assert!(done(&mut schedule).rung.is_empty());
    schedule.sources.get_mut(at(0)).trying = Some((SLOT, now));
    schedule.answers(at(0));
    assert_eq!(schedule.sources.get(at(0)).trying, None);
    assert_eq!(done(&mut schedule).rung, [1]);
}

#[test]
fn a_connection_without_work_looks_again_while_others_fetch_pieces() {
    let now = Instant::now();
    let parked = |schedule: &mut Schedule| {
        let Order::Wait(until) = schedule.park(SlotId(3), now) else {
            panic!("it does not wait")
        };
        assert!(schedule.slots[3].parked);
        until
    };
    let mut schedule = placed(1, [0; 4], now);
    assert_eq!(parked(&mut schedule), None);
    let item = add(&mut schedule, vec![file("a", 5 * MIB)]);
    let (file, run) = begin(&mut schedule, 0, ranges(5 * MIB), 2, now);
    assert_eq!(parked(&mut schedule), Some(now + LOOK_AGAIN));
    rest(&mut schedule, 0, now + SECOND);
    assert_eq!(parked(&mut schedule), Some(now + LOOK_AGAIN));
    rest(&mut schedule, 0, now + LOOK_AGAIN / 2);
    assert_eq!(parked(&mut schedule), Some(now + LOOK_AGAIN / 2));
    reach(&mut schedule, 1, now + SECOND);
    schedule.pause(item);
    assert_eq!(parked(&mut schedule), None);
    schedule.resume(item);
    let transfer = schedule.transfers.get_mut(&file).unwrap();
    transfer.plan.release(run.unwrap().id);
    assert_eq!(parked(&mut schedule), None);
    // What is due is no reason to wait.
    let task = schedule.slots[0].flight[0].work.file();
    let task = task.and_then(|file| schedule.transfer(file));
    let task = task.unwrap().task.clone();
    let item = schedule.item_mut(item).unwrap();
    item.take_back_later(task.into(), now, "x".into());
    assert_eq!(parked(&mut schedule), None);
}

#[test]
fn a_listing_that_somebody_waits_for_takes_a_connection_from_elsewhere() {
    let now = Instant::now();
    let mut schedule = placed(2, [1, 1], now);
    assert_eq!(schedule.needed_elsewhere(SLOT, now), None);
    schedule.browse(path("/d/"), now);
    assert_eq!(schedule.needed_elsewhere(SLOT, now), Some(at(0)));
    // Even from the only one of its server, and not where one is there or tries to be.
    schedule.slots.truncate(1);
    assert_eq!(schedule.needed_elsewhere(SLOT, now), Some(at(0)));
    let mut schedule = placed(2, [0, 1], now);
    schedule.browse(path("/d/"), now);
    assert_eq!(schedule.needed_elsewhere(SlotId(1), now), None);
    assert_eq!(schedule.needed_elsewhere(SLOT, now), None);
    schedule.slots[0].source = at(1);
    schedule.sources.get_mut(at(0)).trying = Some((SLOT, now));
    assert_eq!(schedule.needed_elsewhere(SlotId(1), now), None);
}

#[test]
fn a_file_that_only_one_server_has_takes_a_connection_from_where_there_are_more() {
    let now = Instant::now();
    let needed = |of: [usize; 4], idle: bool| {
        let mut schedule = placed(2, of, now);
        let mut tried = file("a", 5 * MIB);
        tried.tried.insert(at(1));
        let mut other = file("b", 5 * MIB);
        other.tried.insert(at(0));
        let named = if idle {
            vec![tried]
        } else {
            vec![tried, other]
        };
        // One file at a time is looked at.
        for task in named {
            add(&mut schedule, vec![task]);
        }
        schedule.needed_elsewhere(SLOT, now)
    };
    assert_eq!(needed([1, 1, 1, 1], true), Some(at(0)));
    assert_eq!(needed([1, 1, 1, 0], true), Some(at(0)));
    assert_eq!(needed([1, 1, 0, 0], true), None);
    assert_eq!(needed([1, 0, 0, 0], true), None);
    assert_eq!(needed([0, 1, 1, 1], true), None);
    assert_eq!(needed([1, 1, 1, 1], false), Some(at(0)));
}

#[test]
fn the_only_connection_of_a_server_goes_where_none_is_only_if_nothing_is_to_be_had_here() {
    let now = Instant::now();
    for (idle, needed) in [(true, Some(at(0))), (false, None)] {
        let mut schedule = placed(3, [1, 2, 2, 2], now);
        let mut task = file("a", 5 * MIB);
        task.tried.insert(at(1));
        add(&mut schedule, vec![task]);
        if !idle {
            let mut other = file("b", 5 * MIB);
            other.tried.insert(at(0));
            add(&mut schedule, vec![other]);
        }
        assert_eq!(schedule.needed_elsewhere(SLOT, now), needed, "{idle}");
    }
}

#[test]
fn where_a_redirect_led_takes_connections_that_have_nothing_to_do() {
    let now = Instant::now();
    let mut schedule = placed(1, [0, 0], now);
    let led = meet(&mut schedule);
    add(&mut schedule, vec![led_file("a", 5 * MIB, led)]);
    assert_eq!(schedule.needed_elsewhere(SLOT, now), Some(led));
    schedule.slots[1].source = led;
    assert_eq!(schedule.needed_elsewhere(SLOT, now), Some(led));
    let load = &mut schedule.sources.get_mut(led).load;
    load.refused(now, now, 2, None);
    assert_eq!(load.window(), 1);
    assert_eq!(schedule.needed_elsewhere(SLOT, now), None);
}

#[test]
fn nothing_is_needed_for_what_is_stopped_or_has_enough_connections() {
    let now = Instant::now();
    let mut schedule = placed(2, [1, 1, 1], now);
    let mut task = file("a", 5 * MIB);
    task.tried.insert(at(1));
    let item = add(&mut schedule, vec![task]);
    let outlook = schedule.sources.outlook(at(1), now);
    let only = |place| SourceSet::of(at(place));
    assert_eq!(schedule.needed(&outlook, now), only(0));
    schedule.pause(item);
    assert!(schedule.needed(&outlook, now).is_empty());
    schedule.resume(item);
    schedule.browse(path("/d/"), now);
    assert_eq!(schedule.browsed(&outlook), Some(at(0)));
    schedule.pause(item);
    assert_eq!(schedule.needed(&outlook, now), only(0));
}

#[test]
fn a_transfer_needs_those_that_may_give_its_pieces_until_its_item_has_enough_connections() {
    let now = Instant::now();
    let mut schedule = placed(2, [0, 1, 1], now);
    let item = add(&mut schedule, vec![file("a", 9 * MIB)]);
    let (file, _) = begin(&mut schedule, 0, ranges(9 * MIB), 1, now);
    let needed = |schedule: &Schedule| {
        let outlook = schedule.sources.outlook(at(1), now);
        schedule.needed(&outlook, now)
    };
    assert_eq!(needed(&schedule), SourceSet::all(2));
    schedule.limit_item(item, Some(crate::units::Rate(1)));
    assert!(needed(&schedule).is_empty());
    schedule.limit_item(item, None);
    // A first URL that redirects is asked by one connection.
    let task = &mut schedule.transfers.get_mut(&file).unwrap().task;
    task.redirecting.insert(at(0));
    assert_eq!(needed(&schedule), SourceSet::of(at(1)));
    schedule.unassign(SLOT);
    assert_eq!(needed(&schedule), SourceSet::all(2));
}

#[test]
fn a_connection_that_goes_elsewhere_is_closed_first() {
    let now = Instant::now();
    for line in [Line::Open, Line::Closed] {
        let mut schedule = placed(2, [1, 1], now);
        schedule.slots[0].line = line;
        schedule.park(SlotId(1), now);
        schedule.take_effects();
        schedule.browse(path("/d/"), now);
        let order = schedule.idle_order(SLOT, now);
        let closes = matches!(order, Order::Close);
        let connects = matches!(order, Order::Connect(to) if to == at(0));
        let is_open = line == Line::Open;
        assert_eq!((closes, connects), (is_open, !is_open));
        assert_eq!(source_of(&schedule, 0), at(0));
        assert!(done(&mut schedule).rung.contains(&1));
        assert!(schedule.go_elsewhere(SLOT, now).is_none());
    }
}

#[test]
fn only_a_server_that_may_be_out_of_reach_is_tried_by_one_connection() {
    let now = Instant::now();
    for (known, tries) in [(true, None), (false, Some((SLOT, now)))] {
        let mut schedule = placed(1, [0, 0], now);
        if !known {
            schedule.sources.get_mut(at(0)).reach = Reach::Unknown;
        }
        schedule.slots[0].answered = 3;
        schedule.park(SlotId(1), now);
        schedule.take_effects();
        let order = schedule.dial(SLOT, now);
        assert!(matches!(order, Order::Connect(to) if to == at(0)));
        let slot = &schedule.slots[0];
        assert_eq!((slot.line, slot.answered), (Line::Dialing, 0));
        assert_eq!(schedule.sources.get(at(0)).trying, tries);
        assert_eq!(done(&mut schedule).rung.len(), usize::from(!known));
    }
}
