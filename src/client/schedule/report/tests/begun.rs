//! Transfers that begin, or came whole.

use super::*;

#[test]
fn a_transfer_begins_with_the_pieces_that_are_on_their_way() {
    let now = Instant::now();
    let (mut schedule, _, task) = opens(5 * MIB, now);
    schedule.park(SlotId(3), now);
    let of = schedule.new_file();
    assert_ne!(of, schedule.new_file());
    assert_eq!(schedule.file_of(SLOT), None);
    let run = schedule.begin(SLOT, of, task, ranges(5 * MIB), 2, now);
    assert_eq!(run.unwrap().unwrap().pieces, 0..2);
    assert_eq!(schedule.file_of(SLOT), Some(of));
    let effects = schedule.take_effects();
    let told = effects.iter().filter(
        |it| matches!(it, Effect::Tell(Event::Started { total, .. }) if *total == Some(5 * MIB)),
    );
    assert_eq!(told.count(), 1);
    let rings = |it: &Effect| matches!(it, Effect::Ring(SlotId(3)));
    assert!(effects.iter().any(rings));
    let hashes = |it: &Effect| matches!(it, Effect::HashLeft(_));
    assert!(!effects.iter().any(hashes));
    schedule.slots[0].flight[0].work = Work::Values(of);
    assert_eq!(schedule.file_of(SLOT), Some(of));
}

#[test]
fn what_is_compared_is_hashed_and_not_begun() {
    let now = Instant::now();
    let (mut schedule, _, task) = opens(5 * MIB, now);
    let file = schedule.new_file();
    let opened = Opened {
        compares: true,
        left: 5 * MIB,
        ..with_values(5 * MIB)
    };
    let run = schedule.begin(SLOT, file, task, opened, 0, now);
    assert_eq!(run, Some(None));
    assert!(matches!(schedule.slots[0].flight[0].work, Work::Spent));
    let effects = schedule.take_effects();
    let hashes = |it: &Effect| matches!(it, Effect::HashLeft(of) if *of == file);
    assert!(effects.iter().any(hashes));
    let starts = |it: &Effect| matches!(it, Effect::Tell(Event::Started { .. }));
    assert!(!effects.iter().any(starts));
}

#[test]
fn what_was_stopped_meanwhile_begins_halted_or_not_at_all() {
    let now = Instant::now();
    let begin = |change: &dyn Fn(&mut Schedule, ItemId)| {
        let (mut schedule, item, task) = opens(5 * MIB, now);
        change(&mut schedule, item);
        let file = schedule.new_file();
        let begun = schedule.begin(SLOT, file, task, ranges(5 * MIB), 0, now);
        let phase = schedule.transfer(file).map(|it| it.phase);
        assert_eq!(begun.is_some(), phase.is_some());
        phase
    };
    assert_eq!(begin(&|_, _| {}), Some(Phase::Flowing));
    assert_eq!(begin(&Schedule::pause), Some(Phase::Halted));
    assert_eq!(begin(&Schedule::cancel), None);
    assert_eq!(begin(&|schedule, _| schedule.items.clear()), None);
}

#[test]
fn a_mirror_more_may_send_a_piece_wrong_twice_more() {
    let now = Instant::now();
    for (servers, fatal) in [(1, 2), (2, 4)] {
        let mut schedule = schedule(servers);
        add(&mut schedule, vec![file("a", 5 * MIB)]);
        let (file, _) = begin(&mut schedule, 0, ranges(5 * MIB), 1, now);
        let transfer = schedule.transfers.get_mut(&file).unwrap();
        let kept = crate::client::id::SourceSet::all(servers);
        let tries = (1..9).find(|_| transfer.mend(&[1..2], kept).is_err());
        assert_eq!(tries, Some(fatal));
    }
}

#[test]
fn a_file_that_came_whole_in_one_answer_lands() {
    let now = Instant::now();
    let (mut schedule, item, task) = opens(9, now);
    let file = schedule.new_file();
    let opened = ranges(2 * MIB);
    assert!(schedule.begin_complete(SLOT, file, task.clone(), opened.clone(), now));
    assert!(matches!(schedule.slots[0].flight[0].work, Work::Spent));
    assert_eq!(done(&mut schedule).landed, [file]);
    schedule.transfers.clear();
    schedule.slots[0].flight.clear();
    schedule.end_item(item);
    assert!(!schedule.begin_complete(SLOT, file, task, opened, now));
    assert!(schedule.transfer(file).is_none());
}

#[test]
fn a_part_that_is_not_wanted_any_more_stays_as_it_is() {
    let mut schedule = schedule(1);
    schedule.never_begun(FileId(3));
    assert_eq!(done(&mut schedule).let_go, [Keep::AsIs]);
}
