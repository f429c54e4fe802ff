use super::user::tests::transfer;
use super::*;
use crate::client::schedule::testing::{SLOT, broken, file, limits, path, schedule_of};
use crate::{
    client::{Error, id::FileId},
    http1::path::RemotePath,
};

fn schedule(workers: usize) -> Schedule {
    schedule_of(
        Limits {
            workers,
            ..limits()
        },
        1,
    )
}

/// A tree of so many small files.
fn tree(schedule: &mut Schedule, files: u32) -> ItemId {
    schedule.add(NewItem {
        named: (0..files).map(|n| file(&format!("t/{n}"), 5)).collect(),
        ..NewItem::new(path("/t/"))
    })
}

fn rings(effects: &[Effect]) -> usize {
    let rings = |effect: &&Effect| matches!(effect, Effect::Ring(_));
    effects.iter().filter(rings).count()
}

fn changed(effects: &[Effect]) -> bool {
    effects.iter().any(|it| matches!(it, Effect::Changed))
}

#[test]
fn while_too_much_is_untold_nothing_new_is_begun() {
    let now = Instant::now();
    let mut schedule = schedule(2);
    let item = tree(&mut schedule, 9);
    (0..=UNTOLD_MAX).for_each(|_| schedule.tell(Event::Ended { item }));
    for slot in 0..2 {
        let order = schedule.next(SlotId(slot), now);
        assert!(matches!(order, Order::Wait(_)), "{order:?}");
    }
    schedule.take_effects();
    schedule.told(0);
    assert!(schedule.take_effects().is_empty());
    schedule.told(1);
    let effects = schedule.take_effects();
    assert_eq!((rings(&effects), changed(&effects)), (2, false));
    assert!(matches!(schedule.next(SLOT, now), Order::Connect(_)));
    assert!(!schedule.is_told());
    // Nobody waited for that any more.
    schedule.slots[1].parked = true;
    schedule.told(UNTOLD_MAX);
    let effects = schedule.take_effects();
    assert_eq!((rings(&effects), changed(&effects)), (0, true));
    assert!(schedule.is_told());
}

#[test]
fn nothing_is_given_out_once_it_is_stopped() {
    let now = Instant::now();
    let mut schedule = schedule(2);
    let item = tree(&mut schedule, 9);
    assert!(matches!(schedule.next(SLOT, now), Order::Connect(_)));
    schedule.browse(RemotePath::root(), now);
    schedule.slots[1].parked = true;
    let [flowing, landing] = [0; 2].map(|_| transfer(&mut schedule, item));
    let lands = schedule.transfers.get_mut(&landing).unwrap();
    (0..4).for_each(|piece| lands.plan.add_done(piece));
    lands.phase = Phase::Landing;
    schedule.take_effects();
    schedule.stop();
    let phase = |file| schedule.transfer(file).unwrap().phase;
    assert_eq!(
        (phase(flowing), phase(landing)),
        (Phase::Halted, Phase::Landing)
    );
    assert_eq!(rings(&schedule.take_effects()), 1, "who waits is told");
    for slot in 0..2 {
        assert!(matches!(schedule.next(SlotId(slot), now), Order::End));
    }
    assert!(schedule.browses.is_empty());
    schedule.browse(RemotePath::root(), now);
    let answers = |effect: &Effect| matches!(effect, Effect::Answer(_, Error::Broken(_)));
    assert!(schedule.take_effects().iter().any(answers));
}

#[test]
fn what_failed_is_tried_again_after_a_pause() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    tree(&mut schedule, 1);
    assert!(matches!(schedule.next(SLOT, now), Order::Connect(_)));
    schedule.report(SLOT, Report::Connected(Duration::ZERO), now);
    assert!(matches!(schedule.next(SLOT, now), Order::Exchange { .. }));
    let fault = Fault::Broke(broken());
    schedule.report(SLOT, Report::Fault(fault, Channel::CLOSED), now);
    let Order::Wait(Some(until)) = schedule.next(SLOT, now) else {
        panic!("it waits for a time")
    };
    let pause = until - now;
    assert!(
        (Duration::from_millis(375)..=Duration::from_millis(625)).contains(&pause),
        "{pause:?}"
    );
    assert!(matches!(schedule.next(SLOT, until), Order::Connect(_)));
}

#[test]
fn what_is_paused_or_has_ended_or_is_nobody_does_not_go() {
    let mut schedule = schedule(1);
    let [a, b] = [1, 1].map(|files| tree(&mut schedule, files));
    assert!(schedule.is_going(a) && schedule.is_going(b));
    schedule.pause(a);
    schedule.cancel(b);
    assert!(!schedule.is_going(a) && !schedule.is_going(b));
    assert!(!schedule.is_going(ItemId(99)));
    schedule.resume(a);
    assert!(schedule.is_going(a));
}

#[test]
fn every_number_is_given_once() {
    let mut schedule = schedule(1);
    let item = tree(&mut schedule, 1);
    let RestId(rest) = schedule.new_rest();
    let FileId(file) = schedule.new_file();
    let BrowseId(browse) = schedule.browse(RemotePath::root(), Instant::now());
    let mut all = vec![item.0, rest, file, browse];
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4);
}

#[test]
fn a_connection_that_is_being_made_counts_as_one() {
    let now = Instant::now();
    let mut schedule = schedule(3);
    tree(&mut schedule, 9);
    let source = SourceId::default();
    assert_eq!(schedule.open_lines(source), 0);
    schedule.next(SLOT, now);
    assert_eq!(schedule.open_lines(source), 1);
    // Only once that one shows that the server is there, others are made.
    schedule.next(SlotId(1), now);
    assert_eq!(schedule.open_lines(source), 1);
    schedule.report(SLOT, Report::Connected(Duration::ZERO), now);
    schedule.next(SlotId(1), now);
    assert_eq!(schedule.open_lines(source), 2);
    assert_eq!(schedule.held(), [3]);
}
