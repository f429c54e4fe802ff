use super::*;
use crate::client::schedule::{
    Answered, Limits, Opened, Report, Run,
    testing::{
        Done, MIB, OPEN, add, at, begin, broken, complete, done, file, later, limits, open, ranges,
        read, receive, schedule, schedule_of, waiting, with_values,
    },
};

fn disk() -> Error {
    Error::disk("a", &std::io::Error::other("x"))
}

/// A file of two pieces that the first connection brings whole, so that it lands.
fn landing(mut schedule: Schedule, failures: u32, now: Instant) -> (Schedule, ItemId, FileId) {
    let mut task = file("a", 2 * MIB);
    task.failures = failures;
    let item = add(&mut schedule, vec![task]);
    let (file, run) = begin(&mut schedule, 0, ranges(2 * MIB), 2, now);
    bring(&mut schedule, file, &run.unwrap(), 0..2, now);
    assert_eq!(done(&mut schedule).landed, [file]);
    (schedule, item, file)
}

fn bring(schedule: &mut Schedule, file: FileId, run: &Run, pieces: Range<u32>, now: Instant) {
    let count = pieces.end - pieces.start;
    for piece in pieces {
        receive(schedule, 0, file, run, piece);
    }
    let answered = Answered::Run {
        pieces: count,
        took: Duration::ZERO,
    };
    schedule.report(SlotId(0), Report::Answered(answered, OPEN), now);
}

fn has_ended(schedule: &Schedule, item: ItemId) -> bool {
    schedule.item(item).unwrap().has_ended()
}

#[test]
fn a_small_file_lands_and_ends_its_item() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![file("a", 9)]);
    let task = open(&mut schedule, 0, now);
    let file = schedule.landing(SlotId(0), task);
    assert!(matches!(schedule.slots[0].flight[0].work, Work::Spent));
    let opened = Report::Answered(Answered::Opened, OPEN);
    schedule.report(SlotId(0), opened, now);
    assert!(!has_ended(&schedule, item));
    schedule.small_landed(file, Ok(complete(9, Verified::Digest)));
    assert!(has_ended(&schedule, item));
    let of = schedule.item(item).unwrap();
    assert_eq!((of.finished, of.settled), (1, 9));
    assert_eq!(of.verified, Some(Verified::Digest));
    // Nobody waits for it any more.
    schedule.small_landed(file, Ok(complete(9, Verified::Digest)));
    assert_eq!(schedule.tally().finished, 1);
}

#[test]
fn a_small_file_that_the_disk_refuses_has_failed() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let mut task = file("a", 9);
    task.failures = 2;
    let item = add(&mut schedule, vec![task]);
    let task = open(&mut schedule, 0, now);
    let file = schedule.landing(SlotId(0), task);
    schedule.small_landed(file, Err(disk()));
    assert_eq!(done(&mut schedule).failed, [(3, disk())]);
    assert!(has_ended(&schedule, item));
}

#[test]
fn of_several_files_the_best_check_does_not_hide_the_worst() {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![file("a", 9), file("b", 9)]);
    for verified in [Verified::Unverified, Verified::Blake3] {
        let mut task = file("a", 9);
        task.item = item;
        let complete = Complete {
            verified,
            ..complete(9, Verified::Digest)
        };
        schedule.complete(task, complete, 0);
    }
    let of = schedule.item(item).unwrap();
    assert_eq!(of.verified, Some(Verified::Unverified));
    assert_eq!((of.finished, of.settled), (2, 18));
}

#[test]
fn whoever_reads_of_a_complete_file_lets_go_and_no_other() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let mut opens = |name: &str, slot| {
        add(&mut schedule, vec![file(name, 8 * MIB)]);
        begin(&mut schedule, slot, ranges(8 * MIB), 8, now)
    };
    let (first, run) = opens("a", 0);
    let (other, _) = opens("b", 1);
    // A race for what the first is slow at.
    let late = now + Duration::from_secs(60);
    let racers: Vec<_> = [2, 3]
        .map(|slot| read(&mut schedule, slot, late).work.file())
        .into();
    assert!(racers.contains(&Some(first)) && racers.contains(&Some(other)));
    schedule.take_effects();
    for piece in 0..8 {
        receive(&mut schedule, 0, first, run.as_ref().unwrap(), piece);
    }
    schedule.land_complete(late);
    let told = done(&mut schedule);
    assert_eq!(told.landed, [first]);
    let racer = racers.iter().position(|of| *of == Some(first)).unwrap();
    assert_eq!(told.interrupted, [0, 2 + racer]);
    // Once.
    schedule.land_complete(late);
    assert_eq!(done(&mut schedule).landed, []);
}

#[test]
fn a_large_file_lands_and_ends_its_item() {
    let now = Instant::now();
    let (mut schedule, item, file) = landing(schedule(1), 0, now);
    schedule.park(SlotId(2), now);
    schedule.landed(file, Ok(complete(2 * MIB, Verified::Digest)), now);
    let told = done(&mut schedule);
    assert_eq!((told.let_go, told.ended), (vec![Keep::AsIs], 1));
    assert_eq!(told.rung, [2]);
    assert_eq!(schedule.item(item).unwrap().settled, 2 * MIB);
}

#[test]
fn a_whole_that_is_wrong_is_thrown_away_and_fetched_again() {
    let now = Instant::now();
    let (mut schedule, item, file) = landing(schedule(2), 0, now);
    schedule.landed(file, Err(Unlanded::Wrong), now);
    let told = done(&mut schedule);
    assert_eq!(told.let_go, [Keep::Nothing]);
    let error = Error::Integrity { piece: None };
    let retrying: Vec<_> = told.retrying.into_iter().map(|it| (it.0, it.2)).collect();
    assert_eq!(retrying, [(2, error)]);
    assert_eq!(later(&schedule, item), 1);
}

#[test]
fn one_that_is_wrong_again_is_asked_of_another_mirror() {
    let now = Instant::now();
    let (mut schedule, item, file) = landing(schedule(2), 1, now);
    schedule.landed(file, Err(Unlanded::Wrong), now);
    let told = done(&mut schedule);
    assert_eq!((told.let_go, told.failed), (vec![Keep::AsIs], vec![]));
    let task = waiting(&schedule, item);
    assert_eq!(
        (task.tried, task.local),
        (SourceSet::of(at(0)), Local::Part)
    );
    assert_eq!(task.failures, 1);
}

#[test]
fn who_sent_what_is_wrong_decides_whether_another_mirror_may_have_it_right() {
    let now = Instant::now();
    let opened = [ranges(2 * MIB), with_values(2 * MIB)];
    for (servers, failures, tried, values, may) in [
        (2, 0, false, false, false),
        (2, 1, false, false, true),
        (2, 0, false, true, true),
        (2, 1, false, true, true),
        // There is no other, or it was asked already.
        (1, 1, false, true, false),
        (2, 1, true, true, false),
    ] {
        let schedule = schedule(servers);
        let mut task = file("a", 2 * MIB);
        task.failures = failures;
        if tried {
            task.tried.insert(at(0));
        }
        let opened: Opened = opened[usize::from(values)].clone();
        let transfer = Transfer::new(FileId(1), task, opened, 0, now);
        let is = schedule.may_be_right_elsewhere(&transfer);
        assert_eq!(is, may, "{servers} {failures} {tried} {values}");
    }
}

#[test]
fn a_mirror_that_a_metalink_does_not_name_is_no_other() {
    let now = Instant::now();
    let schedule = schedule(2);
    let mut task = file("a", 2 * MIB);
    (task.failures, task.tried) = (1, SourceSet::of(at(1)));
    let transfer = Transfer::new(FileId(1), task, ranges(2 * MIB), 0, now);
    assert!(!schedule.may_be_right_elsewhere(&transfer));
}

#[test]
fn a_large_file_that_the_disk_refuses_has_failed() {
    let now = Instant::now();
    let (mut schedule, item, file) = landing(schedule(2), 1, now);
    schedule.landed(file, Err(Unlanded::Disk(disk())), now);
    let told = done(&mut schedule);
    assert_eq!(
        (told.let_go, told.failed),
        (vec![Keep::AsIs], vec![(2, disk())])
    );
    assert!(has_ended(&schedule, item));
}

#[test]
fn wrong_pieces_alone_are_fetched_again_and_too_often_is_damage() {
    let now = Instant::now();
    let (mut schedule, item, file) = landing(schedule(1), 0, now);
    schedule.park(SlotId(2), now);
    schedule.landed(file, Err(Unlanded::Pieces(vec![1..2])), now);
    let told = done(&mut schedule);
    assert_eq!((told.let_go, told.rung), (vec![], vec![2]));
    assert_eq!(schedule.pieces(), (2, 1));
    let transfer = schedule.transfer(file).unwrap();
    assert_eq!(transfer.phase, Phase::Flowing);
    assert_eq!(transfer.plan.done(), [0..1]);
    let again = read(&mut schedule, 0, now).work;
    let Work::Run(_, run) = again else {
        panic!("{again:?}")
    };
    assert_eq!(run.pieces, 1..2);
    bring(&mut schedule, file, &run, 1..2, now);
    assert_eq!(done(&mut schedule).landed, [file]);
    schedule.landed(file, Err(Unlanded::Pieces(vec![1..2])), now);
    let told = done(&mut schedule);
    let error = Error::Integrity { piece: Some(1) };
    assert_eq!(told.failed, [(2, error)]);
    assert_eq!(schedule.pieces(), (3, 2));
    assert!(has_ended(&schedule, item) && schedule.transfer(file).is_none());
}

#[test]
fn wrong_pieces_of_a_paused_file_wait_until_it_goes_on() {
    let now = Instant::now();
    let (mut schedule, item, file) = landing(schedule(1), 0, now);
    schedule.pause(item);
    schedule.landed(file, Err(Unlanded::Pieces(vec![0..1])), now);
    assert_eq!(schedule.transfer(file).unwrap().phase, Phase::Halted);
    schedule.resume(item);
    assert_eq!(schedule.transfer(file).unwrap().phase, Phase::Flowing);
}

#[test]
fn wrong_pieces_end_a_file_that_was_cancelled_meanwhile() {
    let now = Instant::now();
    for often in [false, true] {
        let retries = u32::from(!often);
        let limits = Limits {
            retries,
            ..limits()
        };
        let (mut schedule, item, file) = landing(schedule_of(limits, 1), 0, now);
        schedule.cancel(item);
        assert!(!has_ended(&schedule, item));
        schedule.landed(file, Err(Unlanded::Pieces(vec![0..1])), now);
        assert!(has_ended(&schedule, item) && schedule.transfer(file).is_none());
        let told = done(&mut schedule);
        assert_eq!((told.failed, told.ended), (vec![], 1));
        assert_eq!(told.let_go, [Keep::Pieces(vec![1..2])]);
    }
}

#[test]
fn what_became_of_a_file_that_is_gone_changes_nothing() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    schedule.landed(FileId(9), Err(Unlanded::Pieces(vec![0..1])), now);
    schedule.landed(FileId(9), Err(Unlanded::Disk(broken())), now);
    schedule.land_if_complete(FileId(9), now);
    assert_eq!(done(&mut schedule), Done::default());
    assert_eq!(schedule.pieces(), (0, 0));
}

#[test]
fn a_signature_is_told() {
    let mut schedule = schedule(1);
    schedule.signed(ItemId(1), file("a", 1).path, "a.asc".into(), "a".into());
    let effects = schedule.take_effects();
    assert!(matches!(
        &effects[..],
        [Effect::Tell(Event::Signed {
            item: ItemId(1),
            ..
        })]
    ));
}

fn listed() -> Error {
    Error::Listed {
        list: "SHA256SUMS".into(),
    }
}

#[test]
fn what_a_list_refutes_is_fetched_again_and_stays_to_be_looked_at() {
    let now = Instant::now();
    let (mut schedule, item, file) = landing(schedule(1), 0, now);
    schedule.landed(file, Err(Unlanded::Listed(listed())), now);
    let told = done(&mut schedule);
    assert_eq!((told.let_go, told.failed), (vec![Keep::AsIs], vec![]));
    let retrying: Vec<_> = told.retrying.into_iter().map(|it| (it.0, it.2)).collect();
    assert_eq!(retrying, [(2, listed())]);
    assert_eq!(later(&schedule, item), 1);
    // The list has the last word.
    let (mut schedule, item, file) = landing(self::schedule(1), 1, now);
    schedule.landed(file, Err(Unlanded::Listed(listed())), now);
    let told = done(&mut schedule);
    assert_eq!(told.let_go, [Keep::AsIs]);
    assert_eq!(told.failed, [(2, listed())]);
    assert!(has_ended(&schedule, item));
}

#[test]
fn what_a_list_refutes_twice_is_asked_of_another_mirror() {
    let now = Instant::now();
    let (mut schedule, item, file) = landing(schedule(2), 1, now);
    schedule.landed(file, Err(Unlanded::Listed(listed())), now);
    let told = done(&mut schedule);
    assert_eq!((told.let_go, told.failed), (vec![Keep::AsIs], vec![]));
    let task = waiting(&schedule, item);
    assert_eq!(
        (task.tried, task.local),
        (SourceSet::of(at(0)), Local::Part)
    );
}

#[test]
fn a_name_beside_the_wanted_one_is_told() {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![file("d/a", 9), file("d/b", 9)]);
    for (name, rename, local, copy) in [
        ("d/a", None, "to/d/a", None),
        ("d/a", None, "to/d/a (1)", Some("d/a (1)")),
        // The name that was asked for is no news.
        ("d/a", Some("b"), "to/d/b", None),
        ("d/a", Some("b"), "to/d/b (1)", Some("d/b (1)")),
    ] {
        let mut task = file(name, 9);
        (task.item, task.rename) = (item, rename.map(|name| name.as_bytes().to_vec()));
        let complete = Complete {
            local: local.into(),
            ..complete(9, Verified::Digest)
        };
        schedule.complete(task, complete, 0);
        let told = schedule.take_effects().into_iter().find_map(|it| match it {
            Effect::Tell(Event::Finished { copy, .. }) => Some(copy),
            _ => None,
        });
        let told = told
            .unwrap()
            .map(|copy| copy.to_string_lossy().into_owned());
        assert_eq!(told.as_deref(), copy, "{local}");
    }
}

#[test]
fn a_file_that_is_here_counts_as_kept_where_a_list_tells_of_it() {
    let now = Instant::now();
    for (verified, kept, unread) in [
        (Verified::Listed("SHA256SUMS"), 9, 0),
        (Verified::Present, 0, 0),
        (Verified::Unread, 0, 1),
    ] {
        let mut schedule = schedule(1);
        let item = add(&mut schedule, vec![file("a", 9)]);
        let task = open(&mut schedule, 0, now);
        let file = schedule.landing(SlotId(0), task);
        for _ in 0..2 {
            schedule.found_here(file, complete(9, verified));
        }
        let of = schedule.item(item).unwrap();
        assert_eq!((of.finished, of.unread), (1, unread), "{verified:?}");
        let told = schedule.take_effects().into_iter().find_map(|it| match it {
            Effect::Tell(Event::Finished { kept, .. }) => Some(kept),
            _ => None,
        });
        assert_eq!(told, Some(kept), "{verified:?}");
    }
}
