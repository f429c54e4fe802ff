use super::*;
use crate::pieces::PIECE;

/// The values of a file of three pieces.
const TOLD: [Value; 3] = [[1; 32], [2; 32], [3; 32]];
const BAD: Value = [9; 32];
const SIZE: u64 = 2 * PIECE + 5;

/// A file of three pieces, all free, each of which may be bad twice.
fn begin(pieces: bool) -> (Verdict, Plan) {
    let facts = Facts {
        size: SIZE,
        ranges: true,
        pieces,
        ..Facts::default()
    };
    let mut plan = Plan::new(3);
    plan.add_free(0..3);
    (Verdict::new(&facts, 2), plan)
}

fn tell(verdict: &mut Verdict, plan: &mut Plan) -> Result<(), Error> {
    verdict.values = Values::Asked;
    for value in TOLD {
        verdict.told(plan, value)?;
    }
    verdict.told_all(plan, *pieces::root(&TOLD).as_bytes())
}

/// A piece comes from the source at `place`.
fn receive(
    (verdict, plan): (&mut Verdict, &mut Plan),
    piece: u32,
    value: Value,
    place: usize,
) -> Result<(), Error> {
    plan.add_done(piece);
    verdict.received(plan, piece, value, SourceId::at(place))
}

#[test]
fn values_are_waited_for_where_the_server_offers_them() {
    let (with, _) = begin(true);
    assert_eq!((with.values, with.is_told()), (Values::Unasked, false));
    let (without, _) = begin(false);
    assert_eq!((without.values, without.is_told()), (Values::Settled, true));
}

#[test]
fn a_file_lands_where_its_pieces_are_what_was_told_in_whatever_order() {
    let (mut verdict, mut plan) = begin(true);
    receive((&mut verdict, &mut plan), 1, TOLD[1], 0).unwrap();
    tell(&mut verdict, &mut plan).unwrap();
    assert!(verdict.is_told() && verdict.values == Values::Settled);
    for piece in [2, 0] {
        assert!(verdict.prove(&plan).is_err());
        let value = TOLD[piece as usize];
        receive((&mut verdict, &mut plan), piece, value, 0).unwrap();
    }
    assert!(plan.is_complete() && verdict.prove(&plan).is_ok());
    assert_eq!(verdict.take_blamed(), []);
}

#[test]
fn more_values_than_pieces_are_an_error() {
    let (mut verdict, mut plan) = begin(true);
    for value in TOLD {
        assert_eq!(verdict.told(&mut plan, value), Ok(Left::Open));
    }
    assert_eq!(verdict.told_values(), TOLD);
    let error = verdict.told(&mut plan, BAD).unwrap_err();
    assert!(matches!(error, Error::Protocol(_)));
    assert_eq!(verdict.told_values(), TOLD);
    // A file without values can be told none.
    let (mut verdict, mut plan) = begin(false);
    assert!(
        verdict
            .told_all(&mut plan, *pieces::root(&TOLD).as_bytes())
            .is_err()
    );
}

#[test]
fn values_that_are_not_all_or_do_not_merge_to_the_root_say_nothing() {
    let root = *pieces::root(&TOLD).as_bytes();
    for (told, root) in [
        (&TOLD[..2], *pieces::root(&TOLD[..2]).as_bytes()),
        (&TOLD[..], [0; 32]),
        (&[TOLD[0], BAD, TOLD[2]], root),
        (&[], root),
    ] {
        let (mut verdict, mut plan) = begin(true);
        verdict.values = Values::Asked;
        for value in told {
            verdict.told(&mut plan, *value).unwrap();
        }
        let error = verdict.told_all(&mut plan, root).unwrap_err();
        assert_eq!(error, Error::Integrity { piece: None });
        assert!(!verdict.is_told() && verdict.values == Values::Asked);
    }
}

#[test]
fn values_that_broke_off_begin_with_the_first_again() {
    let (mut verdict, mut plan) = begin(true);
    verdict.values = Values::Asked;
    verdict.told(&mut plan, BAD).unwrap();
    verdict.broke_off();
    assert_eq!(
        (verdict.values, verdict.told_values()),
        (Values::Unasked, &[][..])
    );
    tell(&mut verdict, &mut plan).unwrap();
    verdict.broke_off();
    assert_eq!(
        (verdict.values, verdict.told_values()),
        (Values::Settled, &TOLD[..])
    );
}

#[test]
fn a_piece_that_differs_is_bad_only_once_the_values_are_proven() {
    let (mut verdict, mut plan) = begin(true);
    receive((&mut verdict, &mut plan), 0, BAD, 1).unwrap();
    receive((&mut verdict, &mut plan), 1, TOLD[1], 0).unwrap();
    verdict.values = Values::Asked;
    for value in TOLD {
        assert_eq!(verdict.told(&mut plan, value), Ok(Left::Open));
    }
    receive((&mut verdict, &mut plan), 2, BAD, 2).unwrap();
    assert_eq!((plan.done_count(), verdict.take_blamed()), (3, vec![]));
    verdict
        .told_all(&mut plan, *pieces::root(&TOLD).as_bytes())
        .unwrap();
    assert_eq!(plan.done(), [1..2]);
    let blamed = verdict.take_blamed();
    let senders: Vec<_> = blamed.iter().map(|one| one.sender).collect();
    assert_eq!(senders, [SourceId::at(1), SourceId::at(2)]);
}

#[test]
fn who_sends_bad_pieces_is_blamed_for_each_and_told_of_once() {
    let (mut verdict, mut plan) = begin(true);
    tell(&mut verdict, &mut plan).unwrap();
    let blame = |place, times, news| Blame {
        sender: SourceId::at(place),
        times,
        news,
    };
    receive((&mut verdict, &mut plan), 0, BAD, 0).unwrap();
    receive((&mut verdict, &mut plan), 1, BAD, 1).unwrap();
    receive((&mut verdict, &mut plan), 2, BAD, 1).unwrap();
    assert_eq!(verdict.take_blamed(), [blame(0, 1, 1), blame(1, 2, 2)]);
    assert_eq!(verdict.take_blamed(), []);
    receive((&mut verdict, &mut plan), 1, BAD, 1).unwrap();
    receive((&mut verdict, &mut plan), 0, TOLD[0], 0).unwrap();
    assert_eq!(verdict.take_blamed(), [blame(1, 3, 1)]);
    assert_eq!(plan.done(), [0..1]);
}

#[test]
fn a_piece_may_be_bad_as_often_as_there_are_tries() {
    let (mut verdict, mut plan) = begin(true);
    tell(&mut verdict, &mut plan).unwrap();
    for piece in [1, 2, 1, 2] {
        assert_eq!(receive((&mut verdict, &mut plan), piece, BAD, 0), Ok(()));
        assert!(!plan.is_done(piece));
    }
    let error = receive((&mut verdict, &mut plan), 1, BAD, 0).unwrap_err();
    assert_eq!(error, Error::Integrity { piece: Some(1) });
    assert_eq!(receive((&mut verdict, &mut plan), 0, BAD, 0), Ok(()));
}

#[test]
fn what_is_checked_ends_at_the_first_piece_that_is_not_here() {
    let (mut verdict, mut plan) = begin(true);
    receive((&mut verdict, &mut plan), 0, TOLD[0], 0).unwrap();
    verdict.values = Values::Asked;
    for value in TOLD {
        verdict.told(&mut plan, value).unwrap();
    }
    assert_eq!(verdict.checked_prefix(), 0, "no root came yet");
    verdict
        .told_all(&mut plan, *pieces::root(&TOLD).as_bytes())
        .unwrap();
    assert_eq!(verdict.checked_prefix(), PIECE);
    receive((&mut verdict, &mut plan), 2, TOLD[2], 0).unwrap();
    assert_eq!(verdict.checked_prefix(), PIECE);
    receive((&mut verdict, &mut plan), 1, BAD, 0).unwrap();
    assert_eq!(verdict.checked_prefix(), PIECE);
    receive((&mut verdict, &mut plan), 1, TOLD[1], 0).unwrap();
    assert_eq!(verdict.checked_prefix(), SIZE);
}

#[test]
fn what_lay_here_is_judged_once_both_values_are_known() {
    let (mut verdict, mut plan) = begin(true);
    assert_eq!(verdict.left(&mut plan, 0, TOLD[0]), Left::Open);
    assert_eq!(verdict.left(&mut plan, 1, BAD), Left::Open);
    verdict.values = Values::Asked;
    for left in [Left::Equal, Left::Differs, Left::Open] {
        let told = TOLD[verdict.told_values().len()];
        assert_eq!(verdict.told(&mut plan, told), Ok(left));
    }
    assert_eq!(plan.done(), [0..1]);
    assert_eq!(verdict.left(&mut plan, 2, TOLD[2]), Left::Equal);
    assert_eq!(verdict.left(&mut plan, 1, BAD), Left::Differs);
    assert_eq!(plan.done(), [0..1, 2..3]);
    assert_eq!(verdict.take_blamed(), []);
    // What differed is not here: a root that comes now proves nothing of it.
    verdict
        .told_all(&mut plan, *pieces::root(&TOLD).as_bytes())
        .unwrap();
    assert_eq!(verdict.prove(&plan), Err(Gap::Pieces(vec![1])));
}

#[test]
fn without_values_every_byte_must_have_been_written() {
    let (mut verdict, mut plan) = begin(false);
    (0..3).for_each(|piece| plan.add_done(piece));
    verdict.note_written(0, 0);
    assert_eq!(verdict.prove(&plan), Err(Gap::Bytes(0..SIZE)));
    verdict.note_written(PIECE, PIECE + 5);
    assert_eq!(verdict.prove(&plan), Err(Gap::Bytes(0..PIECE)));
    verdict.note_written(0, PIECE);
    assert!(verdict.prove(&plan).is_ok());
}

#[test]
fn of_what_is_missing_nothing_counts_as_written() {
    let (mut verdict, mut plan) = begin(false);
    (0..3).for_each(|piece| plan.add_done(piece));
    verdict.note_written(0, SIZE);
    let gap = Gap::Pieces(vec![1, 2]);
    assert_eq!(verdict.stop_landing(&mut plan, &gap), Ok(()));
    assert_eq!(plan.done(), [0..1]);
    (1..3).for_each(|piece| plan.add_done(piece));
    assert_eq!(verdict.prove(&plan), Err(Gap::Bytes(PIECE..SIZE)));
    verdict.note_written(PIECE, PIECE);
    assert_eq!(verdict.prove(&plan), Err(Gap::Bytes(2 * PIECE..SIZE)));
    // A second stop is still borne.
    assert_eq!(
        verdict.stop_landing(&mut plan, &Gap::Pieces(vec![2])),
        Ok(())
    );
}

#[test]
fn what_is_missing_is_known_by_no_value_until_it_comes_again() {
    let (mut verdict, mut plan) = begin(true);
    for (piece, value) in (0..).zip(TOLD) {
        receive((&mut verdict, &mut plan), piece, value, 0).unwrap();
    }
    tell(&mut verdict, &mut plan).unwrap();
    let gap = Gap::Pieces(vec![1]);
    verdict.stop_landing(&mut plan, &gap).unwrap();
    assert_eq!(plan.done(), [0..1, 2..3]);
    assert_eq!(verdict.checked_prefix(), PIECE);
    assert_eq!(verdict.prove(&plan), Err(gap));
}

#[test]
fn a_landing_may_be_stopped_as_often_as_there_are_tries() {
    let (mut verdict, mut plan) = begin(false);
    let gap = Gap::Bytes(PIECE..PIECE + 1);
    for _ in 0..2 {
        assert_eq!(verdict.stop_landing(&mut plan, &gap), Ok(()));
    }
    let error = Error::Integrity { piece: Some(1) };
    assert_eq!(verdict.stop_landing(&mut plan, &gap), Err(error));
    // Where nobody knows what is wrong, there is nothing to fetch again.
    let (mut verdict, mut plan) = begin(true);
    let error = Error::Integrity { piece: Some(0) };
    assert_eq!(verdict.stop_landing(&mut plan, &Gap::Root), Err(error));
}
