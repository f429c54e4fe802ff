use super::*;
use crate::{
    client::{
        ItemId,
        schedule::{
            Opened,
            testing::{
                MIB, SECOND, SLOT, add, begin, broken, done, file, ranges, receive, schedule,
                waiting, with_values,
            },
        },
        task::DirTask,
    },
    digest::Digest,
    http1::path::RemotePath,
    pieces::{PieceHasher, root},
};

/// A file of five pieces, of which the first connection reads two.
fn runs(opened: Opened) -> (Schedule, ItemId, FileId, Run) {
    let now = Instant::now();
    let mut schedule = schedule(2);
    let item = add(&mut schedule, vec![file("a", 5 * MIB)]);
    let (file, run) = begin(&mut schedule, 0, opened, 2, now);
    schedule.park(SlotId(3), now);
    schedule.take_effects();
    (schedule, item, file, run.unwrap())
}

/// A file of which something lies here.
fn left(opened: Opened) -> (Schedule, ItemId, FileId) {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![file("a", 3 * MIB)]);
    let opened = Opened {
        left: 3 * MIB,
        ..opened
    };
    let (file, _) = begin(&mut schedule, 0, opened, 0, now);
    schedule.park(SlotId(3), now);
    schedule.take_effects();
    (schedule, item, file)
}

fn value(byte: u8) -> Value {
    let mut hasher = PieceHasher::new(0);
    hasher.update(&[byte]);
    hasher.value()
}

/// The server tells the values of three pieces.
fn tell(schedule: &mut Schedule, file: FileId) {
    let told = [1, 2, 3].map(value);
    for (value, piece) in told.iter().zip(0..) {
        schedule.value_told(file, *value, piece).unwrap();
    }
    let root = *root(&told).as_bytes();
    schedule.values_told(file, root).unwrap();
}

#[test]
fn what_is_said_of_a_file_that_is_gone_is_of_no_interest() {
    let now = Instant::now();
    let (mut schedule, _, file, mut run) = runs(ranges(5 * MIB));
    assert!(schedule.wants(file, run.id, 0));
    let other = Validators {
        etag: Some("f".into()),
        modified: None,
    };
    let source = SourceId::default();
    assert_eq!(schedule.fit(file, source, other.clone()), Fit::Changed);
    assert_eq!(schedule.fit(file, source, Validators::default()), Fit::Yes);
    let gone = FileId(99);
    assert_eq!(schedule.fit(gone, source, other), Fit::Yes);
    assert!(!schedule.wants(gone, run.id, 0));
    assert_eq!(
        schedule.piece_received(SLOT, (gone, run.id), 0, None, now),
        Ok(())
    );
    assert!(!schedule.left_piece(gone, 0, None, 0));
    assert_eq!(schedule.value_told(gone, value(1), 0), Ok(()));
    assert_eq!(schedule.values_told(gone, [0; 32]), Ok(()));
    schedule.begin_run(gone, &mut run, now);
    assert!(run.pieces.is_empty());
}

#[test]
fn a_run_reads_what_others_have_left_of_it() {
    let now = Instant::now();
    let (mut schedule, _, file, mut run) = runs(ranges(5 * MIB));
    receive(&mut schedule, 0, file, &run, 0);
    schedule.begin_run(file, &mut run, now);
    assert_eq!(run.pieces, 1..2);
}

#[test]
fn of_an_answer_with_less_than_was_asked_for_others_fetch_the_rest() {
    for (gave, remembered) in [(1, 1), (0, 1)] {
        let (mut schedule, _, file, run) = runs(ranges(5 * MIB));
        schedule.gave_less(SLOT, (file, run.id), gave);
        let gives = |place| schedule.sources.get(SourceId::at(place)).gives;
        assert_eq!((gives(0), gives(1)), (Some(remembered), None));
        assert_eq!(schedule.run_max(SLOT), 1);
        let wants = [0, 1].map(|piece| schedule.wants(file, run.id, piece));
        assert_eq!(wants, [gave > 0, false]);
        assert_eq!(done(&mut schedule).rung, [3]);
    }
}

#[test]
fn a_piece_is_wanted_until_it_is_here_or_its_run_was_given_up() {
    let (mut schedule, item, file, run) = runs(ranges(5 * MIB));
    let wants = |schedule: &Schedule| [0, 1, 2].map(|piece| schedule.wants(file, run.id, piece));
    assert_eq!(wants(&schedule), [true, true, false]);
    receive(&mut schedule, 0, file, &run, 0);
    assert_eq!(wants(&schedule), [false, true, false]);
    // What has come as the user pauses it is kept: who reads is told to stop.
    schedule.pause(item);
    assert_eq!(wants(&schedule), [false, true, false]);
    assert_eq!(done(&mut schedule).interrupted, [0]);
    schedule.unassign(SLOT);
    assert_eq!(wants(&schedule), [false, false, false]);
}

#[test]
fn bytes_count_as_they_come() {
    let (mut schedule, _, file, run) = runs(ranges(5 * MIB));
    let counted = |schedule: &Schedule| schedule.transfer(file).unwrap().counted();
    schedule.wrote(file, run.id, 0, 7);
    assert_eq!(counted(&schedule), 7);
    receive(&mut schedule, 0, file, &run, 0);
    assert_eq!(counted(&schedule), MIB);
    schedule.wrote(FileId(99), run.id, 0, 7);
    schedule.wrote(file, run.id, MIB, 7);
    assert_eq!(counted(&schedule), MIB + 7);
}

#[test]
fn pieces_are_counted_as_progress_and_synced_from_time_to_time() {
    let now = Instant::now();
    let (mut schedule, _, file, run) = runs(ranges(5 * MIB));
    assert!(!schedule.slots[0].flight[0].progress);
    let mut receive = |piece, at| {
        let id = (file, run.id);
        let got = schedule.piece_received(SLOT, id, piece, None, at);
        assert_eq!(got, Ok(()));
        (done(&mut schedule).synced, schedule.pieces().0)
    };
    assert_eq!(receive(0, now), (0, 1));
    assert_eq!(receive(1, now + 6 * SECOND), (1, 2));
    assert!(schedule.slots[0].flight[0].progress);
}

#[test]
fn who_waits_is_told_of_a_wrong_piece_that_is_free_again() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    add(&mut schedule, vec![file("a", 3 * MIB)]);
    let (file, run) = begin(&mut schedule, 0, with_values(3 * MIB), 3, now);
    let run = run.unwrap();
    tell(&mut schedule, file);
    schedule.park(SlotId(3), now);
    schedule.take_effects();
    let mut receive = |piece, byte| {
        let id = (file, run.id);
        let got = schedule.piece_received(SLOT, id, piece, Some(value(byte)), now);
        assert_eq!(got, Ok(()));
        done(&mut schedule).rung
    };
    assert!(receive(0, 1).is_empty());
    assert_eq!(receive(1, 9), [3]);
    assert_eq!(schedule.pieces(), (2, 1));
    let bad = schedule.sources.get(SourceId::default()).bad_pieces;
    assert_eq!(bad, 1);
}

#[test]
fn values_that_do_not_merge_to_their_root_are_no_values() {
    let (mut schedule, _, file) = left(with_values(3 * MIB));
    schedule.value_told(file, value(1), 0).unwrap();
    let wrong = Err(Error::Integrity { piece: None });
    assert_eq!(schedule.values_told(file, [0; 32]), wrong);
}

#[test]
fn a_file_that_is_compared_is_fetched_once_it_differs() {
    for told_first in [true, false] {
        let opened = Opened {
            compares: true,
            ..with_values(3 * MIB)
        };
        let (mut schedule, item, file) = left(opened);
        if told_first {
            tell(&mut schedule, file);
            assert!(schedule.left_piece(file, 0, Some(value(1)), 0));
            assert!(!schedule.left_piece(file, 1, Some(value(9)), 0));
        } else {
            assert!(schedule.left_piece(file, 0, Some(value(1)), 0));
            assert!(schedule.left_piece(file, 1, Some(value(9)), 0));
            schedule.value_told(file, value(1), 0).unwrap();
            assert!(schedule.transfer(file).is_some());
            schedule.value_told(file, value(2), 1).unwrap();
        }
        let told = done(&mut schedule);
        assert_eq!((told.let_go, told.rung), (vec![Keep::AsIs], vec![3]));
        assert!(schedule.transfer(file).is_none());
        assert_eq!(waiting(&schedule, item).local, Local::Part);
    }
}

#[test]
fn what_is_left_is_hashed_until_the_client_stops() {
    let (mut schedule, _, file) = left(with_values(3 * MIB));
    assert!(schedule.left_piece(file, 0, Some(value(1)), 0));
    schedule.stop();
    assert!(!schedule.left_piece(file, 1, Some(value(2)), 0));
}

#[test]
fn a_file_of_which_all_lies_here_lands_once_it_is_hashed() {
    let now = Instant::now();
    let (mut schedule, _, file) = left(with_values(3 * MIB));
    tell(&mut schedule, file);
    for (piece, byte) in (0..3).zip(1..) {
        assert!(schedule.left_piece(file, piece, Some(value(byte)), 0));
    }
    assert_eq!(done(&mut schedule).landed, []);
    schedule.left_done(file, Ok(()), now);
    let told = done(&mut schedule);
    assert_eq!((told.landed, told.rung), (vec![file], vec![3]));
}

#[test]
fn what_cannot_be_read_here_fails_the_file() {
    let now = Instant::now();
    let (mut schedule, _, file) = left(with_values(3 * MIB));
    let disk = Error::disk("a", &std::io::Error::other("x"));
    schedule.left_done(file, Err(disk.clone()), now);
    let told = done(&mut schedule);
    assert_eq!(told.failed, [(2, disk)]);
    let (mut schedule, _, file) = left(with_values(3 * MIB));
    schedule.left_done(file, Err(broken()), now);
    assert_eq!(done(&mut schedule).retrying.len(), 1);
}

#[test]
fn what_differs_is_looked_for_in_the_file_that_is_replaced_and_fetched_at_last() {
    let now = Instant::now();
    for told_first in [true, false] {
        let opened = Opened {
            from_old: true,
            ..with_values(3 * MIB)
        };
        let (mut schedule, _, file) = left(opened);
        let searches = |schedule: &mut Schedule| {
            let effects = schedule.take_effects();
            let searches = effects.iter().filter(|it| matches!(it, Effect::Search(_)));
            searches.count()
        };
        if told_first {
            tell(&mut schedule, file);
        }
        for (piece, byte) in [(0, 1), (1, 9), (2, 9)] {
            assert!(schedule.left_piece(file, piece, Some(value(byte)), 0));
        }
        assert_eq!(searches(&mut schedule), 0);
        schedule.left_done(file, Ok(()), now);
        if !told_first {
            assert_eq!(searches(&mut schedule), 0);
            tell(&mut schedule, file);
        }
        assert_eq!(searches(&mut schedule), 1);
        let free = |schedule: &Schedule| schedule.transfer(file).unwrap().plan.has_free();
        assert!(!free(&schedule));
        schedule.park(SlotId(3), now);
        schedule.not_sought(file, &[1]);
        assert!(free(&schedule));
        assert_eq!(done(&mut schedule).rung, [3]);
        let is_given = |schedule: &Schedule| {
            [1, 2].map(|piece| schedule.transfer(file).unwrap().plan.is_given(piece))
        };
        assert_eq!(is_given(&schedule), [true, false]);
        schedule.park(SlotId(3), now);
        schedule.search_over(file, now);
        assert_eq!(is_given(&schedule), [true, true]);
        assert_eq!(done(&mut schedule).rung, [3]);
    }
}

#[test]
fn bytes_at_the_front_are_checked_once_the_values_are_and_no_digest_is_to_come() {
    for checksum in [false, true] {
        let (mut schedule, item, file) = left(with_values(3 * MIB));
        let task = &mut schedule.transfers.get_mut(&file).unwrap().task;
        task.checksum = checksum.then(|| Box::new(Digest::Sha256([0; 32])));
        for (piece, byte) in [(0, 1), (1, 2), (2, 9)] {
            schedule.left_piece(file, piece, Some(value(byte)), 0);
        }
        assert_eq!(schedule.checked_prefix(item), Some((file, 0)));
        tell(&mut schedule, file);
        let checked = if checksum { 0 } else { 2 * MIB };
        assert_eq!(schedule.checked_prefix(item), Some((file, checked)));
        assert_eq!(schedule.checked_prefix(ItemId(99)), None);
    }
}

#[test]
fn the_journal_notes_what_is_under_way_where_nothing_else_vouches_for_it() {
    let (mut schedule, _, file, run) = runs(ranges(5 * MIB));
    receive(&mut schedule, 0, file, &run, 0);
    assert_eq!(schedule.worth_noting(), [(file, vec![0..1])]);
    schedule.transfers.get_mut(&file).unwrap().phase = Phase::Halted;
    assert_eq!(schedule.worth_noting(), [(file, vec![0..1])]);
    schedule.transfers.get_mut(&file).unwrap().phase = Phase::Landing;
    assert_eq!(schedule.worth_noting(), []);
    let (schedule, _, _, _) = runs(with_values(5 * MIB));
    assert_eq!(schedule.worth_noting(), []);
}

#[test]
fn what_began_failed_or_is_tried_later_may_have_a_part() {
    let mut schedule = schedule(1);
    let task = |name, kept, local| FileTask {
        local,
        kept,
        ..file(name, 9)
    };
    let waiting = vec![
        task("new", 0, Local::Unknown),
        task("kept", 1, Local::Nothing),
        task("part", 0, Local::Part),
    ];
    let item = add(&mut schedule, waiting);
    let it = schedule.item_mut(item).unwrap();
    it.failed_files.push(file("failed", 9));
    let dir = DirTask::new(item, RemotePath::root());
    for task in [Task::File(file("later", 9)), Task::Dir(dir)] {
        it.take_back_later(task, Instant::now(), String::new());
    }
    let begun: Vec<_> = schedule.begun().iter().map(FileTask::shown).collect();
    assert_eq!(begun, ["kept", "part", "failed", "later"]);
}
