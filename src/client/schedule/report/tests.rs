mod begun;
mod listed;

use super::*;
use crate::client::{
    ItemId,
    id::{RestId, SourceId},
    schedule::{
        Limits, NewItem, Sum,
        depth::DEPTH_MAX,
        item::Life,
        source::Source,
        testing::{
            MIB, OPEN, SECOND, SLOT, add, begin, broken, done, file, flight, limits, open, path,
            ranges, reach, read, receive, schedule, schedule_of, waiting, with_values,
        },
    },
};

fn source(schedule: &mut Schedule) -> &mut Source {
    schedule.sources.get_mut(SourceId::default())
}

/// A small file whose request is in flight on the first connection.
fn opens(size: u64, now: Instant) -> (Schedule, ItemId, FileTask) {
    let mut schedule = schedule(1);
    let item = add(&mut schedule, vec![file("a", size)]);
    let task = open(&mut schedule, 0, now);
    (schedule, item, task)
}

/// A file of five pieces, of which the first connection reads two.
fn runs(now: Instant) -> (Schedule, ItemId, FileId, Run) {
    let (mut schedule, item, task) = opens(5 * MIB, now);
    let file = schedule.new_file();
    let run = schedule.begin(SLOT, file, task, ranges(5 * MIB), 2, now);
    schedule.take_effects();
    (schedule, item, file, run.unwrap().unwrap())
}

fn answer(schedule: &mut Schedule, answered: Answered, channel: Channel, now: Instant) {
    schedule.report(SLOT, Report::Answered(answered, channel), now);
}

#[test]
fn a_connection_that_is_made_is_open_and_rings_the_others() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    schedule.park(SlotId(3), now);
    schedule.slots[0].answered = 7;
    schedule.report(SLOT, Report::Connected(SECOND), now);
    let slot = &schedule.slots[0];
    assert_eq!((slot.line, slot.answered), (Line::Open, 0));
    assert_eq!(schedule.connections(), 1);
    assert!(source(&mut schedule).was_up);
    assert_eq!(done(&mut schedule).rung, [3]);
}

#[test]
fn of_a_worker_that_is_gone_nothing_is_lost() {
    let now = Instant::now();
    let (mut schedule, item, _) = opens(MIB, now);
    schedule.park(SlotId(3), now);
    source(&mut schedule).trying = Some((SLOT, now));
    schedule.gone(SLOT, now);
    assert_eq!(waiting(&schedule, item).failures, 0);
    assert_eq!(schedule.slots[0].line, Line::Closed);
    assert_eq!(source(&mut schedule).trying, None);
    assert_eq!(done(&mut schedule).rung, [3]);
    let (mut schedule, _, file, run) = runs(now);
    receive(&mut schedule, 0, file, &run, 0);
    let plan = &mut schedule.transfers.get_mut(&file).unwrap().plan;
    (1..5).for_each(|piece| plan.add_done(piece));
    let verdict = &mut schedule.transfers.get_mut(&file).unwrap().verdict;
    verdict.note_written(0, 5 * MIB);
    schedule.gone(SLOT, now);
    assert_eq!(done(&mut schedule).landed, [file]);
}

#[test]
fn an_answer_is_waited_for_from_when_it_was_asked_for_or_came_to_be_the_first() {
    let now = Instant::now();
    for (asked, first, took) in [(0, 4, 2), (4, 0, 2), (4, 4, 2), (0, 0, 6)] {
        let (mut schedule, _, _) = opens(MIB, now);
        schedule.slots[0].flight[0].at = now + asked * SECOND;
        schedule.slots[0].front_since = Some(now + first * SECOND);
        *source(&mut schedule) = Source::default();
        schedule.head_came(SLOT, now + 6 * SECOND);
        let patience = source(&mut schedule).head_patience();
        assert_eq!(patience, 4 * took * SECOND, "{asked} {first}");
    }
}

#[test]
fn a_head_that_comes_ends_the_attempt_and_rings_those_that_wait_for_it() {
    let now = Instant::now();
    let (mut schedule, _, _) = opens(MIB, now);
    for (tries, rung) in [(true, vec![3]), (false, vec![])] {
        schedule.park(SlotId(3), now);
        schedule.take_effects();
        source(&mut schedule).trying = tries.then_some((SlotId(2), now));
        schedule.head_came(SLOT, now);
        assert_eq!(source(&mut schedule).trying, None);
        assert_eq!(done(&mut schedule).rung, rung);
    }
}

#[test]
fn what_was_stopped_while_it_is_read_is_let_go_of_and_never_what_has_not_begun() {
    let now = Instant::now();
    let (mut schedule, item, _) = opens(MIB, now);
    assert!(!schedule.is_interrupted(SLOT));
    schedule.pause(item);
    assert!(!schedule.is_interrupted(SLOT));
    schedule.streamed(SLOT, 0);
    assert!(schedule.is_interrupted(SLOT));
    schedule.resume(item);
    assert!(!schedule.is_interrupted(SLOT));
    schedule.stop();
    assert!(schedule.is_interrupted(SLOT));
}

#[test]
fn a_run_is_let_go_of_where_its_file_flows_no_more_or_its_item_has_enough_connections() {
    let now = Instant::now();
    let (mut schedule, item, file, _) = runs(now);
    assert!(!schedule.is_interrupted(SLOT));
    for phase in [Phase::Halted, Phase::Landing] {
        schedule.transfers.get_mut(&file).unwrap().phase = phase;
        assert!(schedule.is_interrupted(SLOT));
    }
    schedule.transfers.get_mut(&file).unwrap().phase = Phase::Flowing;
    read(&mut schedule, 1, now);
    schedule.limit_item(item, Some(crate::units::Rate(MIB)));
    let interrupted = [0, 1].map(|slot| schedule.is_interrupted(SlotId(slot)));
    assert_eq!(interrupted, [false, true]);
    schedule.transfers.clear();
    assert!(schedule.is_interrupted(SLOT));
    schedule.slots[0].flight[0].work = Work::Values(file);
    assert!(schedule.is_interrupted(SLOT));
    schedule.slots[0].flight[0].work = Work::Spent;
    assert!(!schedule.is_interrupted(SLOT));
}

#[test]
fn an_answer_for_what_was_cancelled_or_has_ended_is_wanted_by_nobody() {
    let now = Instant::now();
    let (mut schedule, item, task) = opens(MIB, now);
    let list = Work::List(DirTask::new(item, path("/d/")));
    for work in [Work::Open(task), list] {
        schedule.slots[0].flight[0].work = work;
        assert!(!schedule.is_unwanted(SLOT));
        let cancelled = Life::Cancelled;
        let ended = Life::Ended(crate::client::ItemState::Failed("x".into()));
        for (life, unwanted) in [
            (cancelled, true),
            (ended, true),
            (Life::Paused, false),
            (Life::Going, false),
        ] {
            schedule.item_mut(item).unwrap().life = life.clone();
            assert_eq!(schedule.is_unwanted(SLOT), unwanted, "{life:?}");
            // Small files of a paused item that were asked for ahead are not waited for.
            let opens = matches!(schedule.slots[0].flight[0].work, Work::Open(_));
            let paused = opens && life == Life::Paused;
            let unawaited = schedule.is_unawaited(SLOT);
            assert_eq!(unawaited, unwanted || paused, "{life:?}");
        }
    }
    schedule.items.clear();
    assert!(schedule.is_unwanted(SLOT));
    schedule.slots[0].flight[0].work = Work::Spent;
    assert!(!schedule.is_unwanted(SLOT));
    schedule.slots[0].flight.clear();
    assert!(!schedule.is_unwanted(SLOT));
}

#[test]
fn an_answer_for_a_file_that_is_whole_is_wanted_by_nobody_but_a_connection_that_is_made_is() {
    let now = Instant::now();
    let (mut schedule, _, file, _) = runs(now);
    for phase in [Phase::Flowing, Phase::Halted, Phase::Landing] {
        schedule.transfers.get_mut(&file).unwrap().phase = phase;
        let whole = phase == Phase::Landing;
        for (line, unwanted) in [(Line::Dialing, false), (Line::Open, whole)] {
            schedule.slots[0].line = line;
            assert_eq!(schedule.is_unwanted(SLOT), unwanted, "{phase:?} {line:?}");
        }
    }
    schedule.transfers.clear();
    assert!(schedule.is_unwanted(SLOT));
    schedule.slots[0].flight[0].work = Work::Values(file);
    assert!(schedule.is_unwanted(SLOT));
}

#[test]
fn more_is_sent_ahead_once_the_server_keeps_connections_open() {
    let now = Instant::now();
    let haul = Channel { haul: true, ..OPEN };
    for (serial, channel, ahead, depth) in [
        (false, OPEN, false, 2),
        (false, OPEN, true, DEPTH_MAX),
        (false, haul, false, DEPTH_MAX),
        (false, Channel::CLOSED, true, 1),
        (true, OPEN, true, 1),
        (true, haul, false, 1),
    ] {
        let limits = Limits { serial, ..limits() };
        let mut schedule = schedule_of(limits, 1);
        add(&mut schedule, vec![file("a", MIB)]);
        open(&mut schedule, 0, now);
        schedule.slots[0].flight[0].ahead = ahead;
        answer(&mut schedule, Answered::Opened, channel, now);
        let state = source(&mut schedule);
        assert_eq!(state.depth.now(), depth, "{serial} {channel:?} {ahead}");
        assert_eq!(state.haul, channel.haul);
        let answered = schedule.slots[0].answered;
        assert_eq!(answered, 1);
    }
}

#[test]
fn that_a_server_is_of_our_kind_is_remembered() {
    let now = Instant::now();
    let (mut schedule, _, _) = opens(MIB, now);
    source(&mut schedule).haul = true;
    answer(&mut schedule, Answered::Opened, OPEN, now);
    assert!(source(&mut schedule).haul);
}

#[test]
fn behind_a_closed_connection_all_in_flight_waits_again() {
    let now = Instant::now();
    for (channel, left) in [(OPEN, 1), (Channel::CLOSED, 0)] {
        let (mut schedule, item, task) = opens(MIB, now);
        let behind = flight(Work::Open(FileTask { kept: 3, ..task }), now);
        schedule.slots[0].flight.push_back(behind);
        schedule.slots[0].flight[0].work = Work::Spent;
        answer(&mut schedule, Answered::Opened, channel, now);
        assert_eq!(schedule.slots[0].flight.len(), left);
        let waits = schedule.item(item).unwrap().waiting().count();
        assert_eq!(waits, 1 - left);
        let open = schedule.slots[0].line == Line::Open;
        assert_eq!(open, channel.open);
    }
}

#[test]
fn an_answer_ends_a_pause_and_the_attempt() {
    let now = Instant::now();
    let (mut schedule, _, _) = opens(MIB, now);
    source(&mut schedule).paused(now + SECOND, now);
    source(&mut schedule).trying = Some((SlotId(2), now));
    schedule.slots[0].flight[0].at = now + SECOND;
    schedule.park(SlotId(3), now);
    answer(&mut schedule, Answered::Opened, OPEN, now);
    assert_eq!(source(&mut schedule).may_ask(now), Ok(()));
    assert_eq!(source(&mut schedule).trying, None);
    assert_eq!(done(&mut schedule).rung, [3]);
    // Nothing is in flight that it could be for.
    answer(&mut schedule, Answered::Opened, OPEN, now);
    assert_eq!(schedule.slots[0].answered, 1);
}

#[test]
fn a_run_tells_how_fast_the_connection_is_and_what_is_left_of_it_is_free() {
    let now = Instant::now();
    let (mut schedule, _, file, run) = runs(now);
    receive(&mut schedule, 0, file, &run, 0);
    let took = 5 * SECOND;
    answer(&mut schedule, Answered::Run { pieces: 1, took }, OPEN, now);
    assert_eq!(schedule.run_max(SLOT), 1);
    let plan = &schedule.transfer(file).unwrap().plan;
    assert_eq!((plan.held(), plan.is_given(1)), (0, true));
}

#[test]
fn what_an_answer_leaves_undone_waits_again() {
    let now = Instant::now();
    let again = |answered: &dyn Fn(FileTask) -> Answered| {
        let (mut schedule, item, task) = opens(MIB, now);
        answer(&mut schedule, answered(task), OPEN, now);
        waiting(&schedule, item)
    };
    assert_eq!(again(&|_| Answered::Opened).kept, 0);
    let kept = 3;
    let changed = again(&|task| Answered::Again(FileTask { kept, ..task }));
    assert_eq!(changed.kept, 3);
    let (mut schedule, item, _) = opens(MIB, now);
    let dir = DirTask::new(item, path("/d/"));
    answer(&mut schedule, Answered::Unlisted(dir), OPEN, now);
    assert_eq!(schedule.item(item).unwrap().dirs.len(), 1);
    let mut schedule = self::schedule(1);
    reach(&mut schedule, 1, now);
    schedule.browse(path("/d/"), now);
    read(&mut schedule, 0, now);
    answer(&mut schedule, Answered::Browsed, OPEN, now);
    assert!(schedule.browses.is_empty());
}

#[test]
fn the_size_that_an_answer_tells_counts() {
    let now = Instant::now();
    let (mut schedule, item, task) = opens(9, now);
    schedule.resized(SLOT, &task, 12);
    let of = schedule.item(item).unwrap();
    assert_eq!((of.total, of.sized), (12, true));
    let front = &schedule.slots[0].flight[0].work;
    assert!(matches!(front, Work::Open(task) if task.size == Some(12)));
}

#[test]
fn bytes_of_a_body_of_unknown_size_add_up() {
    let now = Instant::now();
    let (mut schedule, _, _) = opens(9, now);
    let streamed = |schedule: &Schedule| schedule.slots[0].flight[0].streamed;
    assert_eq!(streamed(&schedule), None);
    for (bytes, sum) in [(0, 0), (3, 3), (4, 7)] {
        schedule.streamed(SLOT, bytes);
        assert_eq!(streamed(&schedule), Some(sum));
    }
}

#[test]
fn what_was_looked_at_waits_to_be_asked_for() {
    let now = Instant::now();
    let (mut schedule, item, task) = opens(9, now);
    schedule.park(SlotId(3), now);
    let kept = 3;
    schedule.looked(SLOT, FileTask { kept, ..task }, now);
    assert_eq!(waiting(&schedule, item).kept, 3);
    assert!(schedule.slots[0].flight.is_empty());
    assert_eq!(done(&mut schedule).rung, [3]);
}

#[test]
fn each_report_rings_for_limited_items_and_what_has_failed_with_all_servers_fails() {
    let now = Instant::now();
    let (mut schedule, item, _) = opens(MIB, now);
    schedule.item_mut(item).unwrap().limit = Some(crate::units::Rate(MIB));
    source(&mut schedule).down(&broken(), now);
    answer(&mut schedule, Answered::Opened, OPEN, now);
    let told = done(&mut schedule);
    assert_eq!(told.ended, 1);
    assert!(schedule.has_ended());
}
