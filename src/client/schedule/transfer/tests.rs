mod ending;

use super::*;
use crate::client::schedule::testing::SECOND;
use crate::{
    client::{ItemId, schedule::verdict::Values, task::Led},
    digest::Digest,
    http1::path::RemotePath,
    piece_digests::PieceDigests,
    pieces::PIECE,
};

/// A file of so many bytes on a server that gives ranges and values.
pub(super) fn with_values(size: u64) -> Facts {
    Facts {
        size,
        ranges: true,
        pieces: true,
        ..Facts::default()
    }
}

/// The same on a server that gives ranges and an entity tag.
pub(super) fn with_etag(size: u64) -> Facts {
    Facts {
        pieces: false,
        etag: Some("\"e\"".into()),
        ..with_values(size)
    }
}

pub(super) fn task() -> FileTask {
    FileTask::new(ItemId(1), RemotePath::from_target(b"/a").unwrap())
}

/// A task for a file whose pieces the digests of a Metalink judge.
pub(super) fn judged_task(size: u64) -> FileTask {
    let digests = vec![Digest::Md5([0; 16]); pieces::count(size) as usize];
    let told = PieceDigests::new(size, PIECE, digests).unwrap();
    FileTask {
        pieces: Some(told.into()),
        ..task()
    }
}

/// One more try after a failure.
pub(super) fn open(task: FileTask, opened: Opened) -> Transfer {
    Transfer::new(FileId(1), task, opened, 1, Instant::now())
}

pub(super) fn transfer(facts: Facts) -> Transfer {
    let opened = Opened {
        facts,
        ..Opened::default()
    };
    open(task(), opened)
}

/// A run of the first `pieces`, and its sender, which is the file's own source.
pub(super) fn begin(transfer: &mut Transfer, pieces: u32) -> (RunId, SourceId) {
    let run = transfer.start(pieces, Instant::now()).unwrap();
    (run.id, transfer.facts.source)
}

pub(super) fn values(count: u8) -> Vec<Value> {
    (0..count).map(|at| [at; 32]).collect()
}

/// All values are told, and the root after them.
pub(super) fn tell(transfer: &mut Transfer, values: &[Value]) {
    transfer.verdict.values = Values::Asked;
    for (piece, value) in (0..).zip(values) {
        transfer.value_told(*value, piece).unwrap();
    }
    let root = pieces::root(values);
    let Transfer { verdict, plan, .. } = transfer;
    verdict.told_all(plan, *root.as_bytes()).unwrap();
}

/// Takes whatever is free.
fn take_all(transfer: &mut Transfer) -> Vec<u32> {
    let runs = std::iter::from_fn(|| transfer.plan.take(16, 1, Instant::now()));
    runs.flat_map(|run| run.pieces).collect()
}

#[test]
fn what_the_journal_vouches_for_needs_not_be_fetched() {
    let size = 2 * PIECE + 5;
    let mut transfer = open(
        FileTask {
            refusals: 3,
            ..task()
        },
        Opened {
            facts: with_etag(size),
            known: vec![0..1, 2..9],
            from_old: true,
            ..Opened::default()
        },
    );
    assert_eq!(transfer.task.refusals, 0);
    assert_eq!(transfer.plan.done(), [0..1, 2..3]);
    assert_eq!(
        (transfer.counted(), transfer.kept()),
        (PIECE + 5, PIECE + 5)
    );
    assert!(transfer.start(0, Instant::now()).is_none());
    assert!(!transfer.is_complete());
    let run = transfer.plan.take(9, 1, Instant::now()).unwrap();
    assert_eq!(run.pieces, 1..2);
    transfer.verdict.note_written(PIECE, PIECE);
    let run = (run.id, transfer.facts.source);
    let due = transfer.piece_received(run, 1, None, Instant::now());
    assert_eq!(due, Ok(false));
    assert!(transfer.claim_landing().unwrap().is_some());
}

#[test]
fn what_is_left_is_judged_by_values_alone_and_never_longer_than_the_file() {
    for (facts, left, counts) in [
        (with_values(2 * PIECE), 9 * PIECE, 2),
        (with_values(2 * PIECE), PIECE, 1),
        (with_etag(2 * PIECE), PIECE, 0),
        (with_values(PIECE), PIECE, 0),
    ] {
        let opened = Opened {
            facts,
            left,
            ..Opened::default()
        };
        let transfer = open(task(), opened);
        assert_eq!(transfer.left_pieces(), counts);
        assert_eq!(transfer.has_left(), counts > 0);
        assert_eq!(transfer.kept(), 0);
    }
}

#[test]
fn what_the_first_answer_brings_is_its_run_and_the_rest_is_free() {
    let now = Instant::now();
    for (ranges, skip) in [(true, 700), (false, 0)] {
        let mut transfer = transfer(Facts {
            ranges,
            ..with_values(4 * PIECE)
        });
        let run = transfer.start(2, now).unwrap();
        assert_eq!(run.pieces, 0..2);
        assert_eq!(take_all(&mut transfer), [2, 3]);
        transfer.plan.note_partial(run.id, 700);
        assert_eq!(transfer.counted(), 700);
        transfer.plan.release(run.id);
        let mut again = transfer.plan.take(16, 1, now).unwrap();
        transfer.plan.fetch_from(&mut again, transfer.facts.source);
        assert_eq!((again.pieces.start, again.skip), (0, skip));
    }
    let mut transfer = transfer(with_values(4 * PIECE));
    assert!(transfer.start(0, now).is_none());
    assert_eq!(take_all(&mut transfer), [0, 1, 2, 3]);
}

#[test]
fn behind_what_an_earlier_run_left_pieces_are_free_at_once() {
    let opened = Opened {
        facts: with_values(4 * PIECE),
        left: PIECE + 7,
        ..Opened::default()
    };
    let mut transfer = open(task(), opened);
    assert!(transfer.start(2, Instant::now()).is_none());
    assert_eq!(transfer.plan.held(), 0);
    assert_eq!(take_all(&mut transfer), [1, 2, 3]);
}

#[test]
fn the_last_piece_counts_as_long_as_it_is() {
    for (size, done, bytes) in [
        (2 * PIECE + 5, vec![], 0),
        (2 * PIECE + 5, vec![0], PIECE),
        (2 * PIECE + 5, vec![2], 5),
        (2 * PIECE + 5, vec![0, 1, 2], 2 * PIECE + 5),
        (2 * PIECE, vec![1], PIECE),
        (2 * PIECE, vec![0, 1], 2 * PIECE),
        (0, vec![], 0),
    ] {
        let mut transfer = transfer(with_values(size));
        for piece in done {
            transfer.plan.add_done(piece);
        }
        assert_eq!(transfer.counted(), bytes, "of {size}");
    }
}

#[test]
fn the_longest_pause_stands_and_is_news_once_it_is_over() {
    let now = Instant::now();
    let mut transfer = transfer(with_etag(2 * PIECE));
    assert!(transfer.wait(now, now + 2 * SECOND));
    assert!(!transfer.wait(now, now + SECOND));
    assert_eq!(transfer.wake_at(now), Some(now + 2 * SECOND));
    assert!(!transfer.wait(now + SECOND, now + 3 * SECOND));
    assert!(transfer.wait(now + 3 * SECOND, now + 4 * SECOND));
    transfer.hurry();
    assert_eq!(transfer.wake_at(now), None);
}

#[test]
fn a_failure_within_a_pause_is_of_the_same_outage() {
    let now = Instant::now();
    let mut transfer = transfer(with_etag(4 * PIECE));
    let run = begin(&mut transfer, 4);
    let pause = |failures| failures * SECOND;
    assert_eq!(transfer.failed(now, pause), Some((1, SECOND)));
    assert_eq!(transfer.failed(now, pause), None);
    let later = now + SECOND;
    assert_eq!(transfer.failed(later, pause), Some((2, 2 * SECOND)));
    assert_eq!(transfer.wake_at(later), Some(later + 2 * SECOND));
    // Progress ends the row.
    transfer.piece_received(run, 0, None, later).unwrap();
    let later = later + 2 * SECOND;
    assert_eq!(transfer.failed(later, pause), Some((1, SECOND)));
}

#[test]
fn a_transfer_that_lands_wants_no_pieces() {
    let mut transfer = transfer(with_etag(4 * PIECE));
    let (run, _) = begin(&mut transfer, 2);
    for (phase, wanted) in [
        (Phase::Flowing, true),
        (Phase::Halted, true),
        (Phase::Landing, false),
    ] {
        transfer.phase = phase;
        assert_eq!(transfer.wants(run, 1), wanted, "{phase:?}");
        assert!(!transfer.wants(run, 2));
    }
}

#[test]
fn a_part_is_synced_after_so_many_bytes_or_so_much_time() {
    let start = Instant::now();
    let count = 300;
    let due = |facts| {
        let mut transfer = Transfer::new(
            FileId(1),
            task(),
            Opened {
                facts,
                ..Opened::default()
            },
            1,
            start,
        );
        let run = begin(&mut transfer, count);
        let quick = (0..258).map(|piece| (piece, start));
        let slow = [(258, 4999), (259, 5000), (260, 9999), (261, 10_000)];
        let slow = slow.map(|(piece, ms)| (piece, start + Duration::from_millis(ms)));
        let mut due = Vec::new();
        for (piece, now) in quick.chain(slow) {
            if transfer.piece_received(run, piece, None, now).unwrap() {
                due.push(piece);
            }
        }
        due
    };
    let size = u64::from(count) * PIECE;
    assert_eq!(due(with_etag(size)), [255, 259, 261]);
    // No later run can go on with it, or values vouch for it.
    let nameless = Facts {
        etag: None,
        ..with_etag(size)
    };
    assert_eq!(due(nameless), [0; 0]);
    assert_eq!(due(with_values(size)), [0; 0]);
}

#[test]
fn a_byte_from_where_a_redirect_led_ends_the_refusals_there() {
    let (named, led) = (SourceId::at(0), SourceId::led(0));
    for (sender, refusals) in [(named, 2), (led, 0)] {
        let mut transfer = transfer(with_etag(4 * PIECE));
        transfer.task.led = vec![Led {
            first: named,
            at: led,
            target: "/x".into(),
            hops: 1,
        }];
        transfer.task.refusals = 2;
        let (run, _) = begin(&mut transfer, 4);
        transfer
            .piece_received((run, sender), 0, None, Instant::now())
            .unwrap();
        assert_eq!(transfer.task.refusals, refusals);
    }
}

#[test]
fn a_piece_is_held_against_its_value_when_it_comes() {
    let values = values(2);
    let mut transfer = transfer(with_values(2 * PIECE));
    let run = begin(&mut transfer, 2);
    tell(&mut transfer, &values);
    let now = Instant::now();
    transfer
        .piece_received(run, 0, Some(values[0]), now)
        .unwrap();
    transfer.piece_received(run, 1, Some([9; 32]), now).unwrap();
    assert_eq!(transfer.plan.done(), [0..1]);
    assert_eq!(transfer.verdict.take_blamed()[0].sender, run.1);
    assert!(transfer.plan.has_free() && !transfer.is_complete());
}

#[test]
fn who_was_first_with_a_piece_is_its_sender() {
    use crate::client::schedule::plan::Patience;
    let now = Instant::now();
    let size = 2 * PIECE;
    let opened = Opened {
        facts: Facts {
            pieces: false,
            ..with_values(size)
        },
        ..Opened::default()
    };
    let mut transfer = open(judged_task(size), opened);
    let (slow, fast) = (SourceId::at(0), SourceId::at(1));
    let run = transfer.plan.begin_with(0..1, now).id;
    let patience = Patience {
        piece: Duration::ZERO,
        head: Duration::ZERO,
    };
    let racer = transfer.plan.steal(now, patience).unwrap().id;
    transfer
        .piece_received((racer, fast), 0, None, now)
        .unwrap();
    transfer.piece_received((run, slow), 0, None, now).unwrap();
    let kept = SourceSet::all(2);
    transfer.mend(std::slice::from_ref(&(0..1)), kept).unwrap();
    assert_eq!(transfer.senders.doubted, SourceSet::of(fast));
}

#[test]
fn a_run_begins_at_its_first_piece_and_ends_with_the_file() {
    let size = 4 * PIECE + 5;
    let transfer = transfer(with_etag(size));
    assert_eq!(transfer.bytes_of(&(0..1)), (0, PIECE));
    assert_eq!(transfer.bytes_of(&(1..3)), (PIECE, 3 * PIECE));
    assert_eq!(transfer.bytes_of(&(3..5)), (3 * PIECE, size));
}

#[test]
fn sources_that_refused_it_or_were_met_by_others_alone_are_not_asked() {
    let (refuses, met) = (SourceId::at(1), SourceId::led(0));
    let mut transfer = open(
        FileTask {
            tried: SourceSet::of(refuses),
            ..task()
        },
        Opened::default(),
    );
    let off = transfer.off();
    assert!(off.contains(refuses) && off.contains(met) && !off.contains(SourceId::at(0)));
    transfer.excluded.insert(SourceId::at(0));
    assert!(transfer.off().contains(SourceId::at(0)));
}
