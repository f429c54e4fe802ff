//! How a transfer ends: with its file, or without.

use super::*;

#[test]
fn a_file_lands_once_when_all_of_it_is_here_and_told() {
    let values = values(2);
    let mut transfer = transfer(with_values(2 * PIECE));
    let run = begin(&mut transfer, 2);
    for (piece, value) in (0..).zip(&values) {
        assert!(transfer.claim_landing().unwrap().is_none());
        let now = Instant::now();
        transfer
            .piece_received(run, piece, Some(*value), now)
            .unwrap();
    }
    assert!(!transfer.is_complete(), "its values are not told");
    tell(&mut transfer, &values);
    assert!(transfer.is_complete());
    assert!(transfer.claim_landing().unwrap().is_some());
    assert_eq!(transfer.phase, Phase::Landing);
    assert!(transfer.claim_landing().unwrap().is_none());
}

#[test]
fn what_came_in_one_answer_of_unknown_size_is_whole() {
    for size in [0, 5, 2 * PIECE + 5] {
        let mut transfer = transfer(with_etag(size));
        transfer.all_received();
        assert_eq!(transfer.counted(), size);
        assert!(transfer.claim_landing().unwrap().is_some());
    }
}

#[test]
fn a_landing_that_does_not_hold_frees_what_is_missing_and_fails_in_the_end() {
    let mut transfer = transfer(with_etag(2 * PIECE));
    let run = begin(&mut transfer, 2);
    transfer.verdict.note_written(0, PIECE);
    for piece in 0..2 {
        transfer
            .piece_received(run, piece, None, Instant::now())
            .unwrap();
    }
    transfer.plan.release(run.0);
    assert_eq!(transfer.claim_landing(), Ok(None));
    assert_eq!(
        (transfer.phase, transfer.plan.done()),
        (Phase::Flowing, vec![0..1])
    );
    let again = transfer.plan.take(9, 1, Instant::now()).unwrap();
    assert_eq!(again.pieces, 1..2);
    transfer.plan.finish_piece(again.id, 1, Instant::now());
    assert_eq!(
        transfer.claim_landing(),
        Err(Error::Integrity { piece: Some(1) })
    );
}

#[test]
fn a_file_that_ended_keeps_what_a_later_try_can_go_on_with() {
    let size = 4 * PIECE;
    let nameless = Facts {
        etag: None,
        ..with_etag(size)
    };
    // What is here is one piece; an earlier try kept three.
    for (facts, left, compares, kept) in [
        (with_values(size), 0, false, PIECE),
        (with_etag(size), 0, false, PIECE),
        (nameless, 0, false, 0),
        (with_values(size), 0, true, 0),
        (with_etag(size), 0, true, 0),
        // Nobody has looked at it yet.
        (with_values(size), 2 * PIECE, false, 3 * PIECE),
    ] {
        let opened = Opened {
            facts,
            left,
            compares,
            ..Opened::default()
        };
        let before = FileTask {
            kept: 3 * PIECE,
            ..task()
        };
        let mut transfer = open(before, opened);
        transfer.plan.add_done(1);
        assert_eq!(transfer.into_task().kept, kept, "{left} {compares}");
    }
}

#[test]
fn pieces_are_noted_where_only_the_journal_can_vouch_for_them() {
    let size = 4 * PIECE;
    let nameless = Facts {
        etag: None,
        ..with_etag(size)
    };
    for (facts, compares, noted) in [
        (with_etag(size), false, Some(vec![1..2])),
        (with_etag(size), true, None),
        (with_values(size), false, None),
        (nameless, false, None),
    ] {
        let opened = Opened {
            facts,
            compares,
            ..Opened::default()
        };
        let mut transfer = open(task(), opened);
        transfer.plan.add_done(1);
        assert_eq!(transfer.worth_noting(), noted);
    }
}
