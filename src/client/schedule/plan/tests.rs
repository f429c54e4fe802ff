mod begun;

use super::*;

const NO_PATIENCE: Patience = Patience {
    piece: Duration::ZERO,
    head: Duration::ZERO,
};

fn plan(pieces: u32) -> Plan {
    let mut plan = Plan::new(pieces);
    plan.add_free(0..pieces);
    plan
}

#[test]
fn runs_come_in_file_order_and_shrink_towards_the_end() {
    let mut plan = plan(100);
    let mut sizes = Vec::new();
    let mut next = 0;
    while let Some(run) = plan.take(RUN_MAX, 4, Instant::now()) {
        assert_eq!(run.pieces.start, next);
        next = run.pieces.end;
        sizes.push(run.pieces.len());
    }
    assert_eq!(next, 100);
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    assert_eq!(sizes.last(), Some(&1));
}

#[test]
fn a_begun_run_is_halved_and_one_that_waits_for_its_answer_is_raced() {
    let mut plan = plan(20);
    let mut first = plan.take(16, 1, Instant::now()).unwrap();
    plan.begin(&mut first, Instant::now());
    let mut second = plan.take(16, 1, Instant::now()).unwrap();
    assert_eq!(
        (first.pieces.clone(), second.pieces.clone()),
        (0..10, 10..15)
    );
    plan.free.take_front(99);
    // Ten held, one of them in progress: the upper half of the other nine.
    let mut third = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
    assert_eq!((third.pieces.clone(), third.racing), (5..10, false));
    plan.begin(&mut third, Instant::now());
    assert!(plan.wants(first.id, 4) && !plan.wants(first.id, 5));
    // Now the longest is the one that has not begun: all of it, and it keeps all of it.
    let racer = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
    assert_eq!((racer.pieces, racer.racing), (10..15, true));
    plan.begin(&mut second, Instant::now());
    assert_eq!(second.pieces, 10..15);
    // Who was first with a piece has it, and the other goes on behind it.
    assert!(plan.finish_piece(racer.id, 10, Instant::now()));
    assert!(!plan.wants(second.id, 10) && plan.wants(second.id, 11));
}

#[test]
fn an_answer_that_is_waited_for_has_a_patience_of_its_own() {
    let mut plan = plan(2);
    let start = Instant::now();
    let slow = plan.take(1, 1, start).unwrap();
    plan.free.take_front(9);
    let patience = Patience {
        piece: Duration::from_millis(300),
        head: Duration::from_secs(3),
    };
    let later = |ms| start + Duration::from_millis(ms);
    assert_eq!(plan.steal(later(2999), patience), None);
    let racer = plan.steal(later(3000), patience).unwrap();
    assert_eq!((racer.pieces, racer.racing), (slow.pieces, true));
    assert_eq!(plan.steal(later(9000), patience), None, "nobody is third");
}

#[test]
fn a_connection_that_makes_progress_is_left_alone() {
    let mut plan = plan(4);
    let start = Instant::now();
    let mut run = plan.begin_with(0..4, start);
    plan.free.take_front(9);
    let time = Duration::from_millis(300);
    let patience = Patience {
        piece: time,
        head: time,
    };
    plan.finish_piece(run.id, 0, start + time);
    assert_eq!(plan.steal(start + time, patience), None);
    assert_eq!(plan.steal(start + 2 * time, patience).unwrap().pieces, 3..4);
    plan.begin(&mut run, start);
    assert_eq!(run.pieces, 1..3);
}

#[test]
fn the_last_piece_is_raced_once() {
    let mut plan = plan(1);
    let mut slow = plan.take(16, 1, Instant::now()).unwrap();
    plan.begin(&mut slow, Instant::now());
    let fast = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
    assert_eq!(fast.pieces, 0..1);
    assert_eq!(plan.steal(Instant::now(), NO_PATIENCE), None);
    plan.note_partial(slow.id, 7);
    assert_eq!(plan.partial(), 7);
    assert!(plan.finish_piece(fast.id, 0, Instant::now()));
    assert!(!plan.wants(slow.id, 0));
    plan.release(fast.id);
    plan.release(slow.id);
    assert!(plan.is_complete() && !plan.has_free() && plan.partial() == 0);
}

#[test]
fn nothing_is_wanted_beyond_the_last_piece() {
    let mut plan = plan(64);
    let run = plan.begin_with(0..64, Instant::now());
    assert!(plan.wants(run.id, 63) && !plan.wants(run.id, 64));
}

#[test]
fn a_bad_piece_is_let_go_of_by_all_who_read_it() {
    let mut plan = plan(1);
    let mut slow = plan.take(16, 1, Instant::now()).unwrap();
    plan.begin(&mut slow, Instant::now());
    let fast = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
    assert!(fast.racing);
    let piece = slow.pieces.start;
    assert!(plan.finish_piece(fast.id, piece, Instant::now()));
    plan.release(fast.id);
    plan.reject(piece);
    assert!(!plan.wants(slow.id, piece));
    plan.release(slow.id);
    let again = plan.take(1, 1, Instant::now()).unwrap();
    assert_eq!(again.pieces, piece..piece + 1);
}

#[test]
fn a_piece_that_is_fetched_again_is_begun_from_its_first_byte() {
    let mut plan = plan(1);
    let mut slow = plan.take(16, 1, Instant::now()).unwrap();
    plan.begin(&mut slow, Instant::now());
    let fast = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
    plan.finish_piece(fast.id, 0, Instant::now());
    plan.release(fast.id);
    // The slow one is in the middle of it, and the other's bytes lie over what it has written.
    plan.fetch_again(0);
    assert!(!plan.wants(slow.id, 0) && plan.has_free());
    plan.release(slow.id);
    assert_eq!(plan.take(1, 1, Instant::now()).unwrap().pieces, 0..1);
}

#[test]
fn what_a_broken_connection_left_is_free_again() {
    let mut plan = plan(8);
    let mut run = plan.take(8, 1, Instant::now()).unwrap();
    plan.begin(&mut run, Instant::now());
    plan.finish_piece(run.id, 0, Instant::now());
    let stolen = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
    plan.release(run.id);
    let again = plan.take(8, 1, Instant::now()).unwrap();
    assert_eq!(again.pieces.start, 1);
    plan.release(stolen.id);
    plan.reject(0);
    assert!(plan.has_free() && plan.done.count() == 0);
}

/// Whatever connections do, every piece ends up done, and none is lost or fetched by three.
#[test]
fn any_order_of_events_ends_complete() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..300 {
        let pieces = random.u32(1..60);
        let mut plan = plan(pieces);
        let mut held: Vec<(Run, u32)> = Vec::new();
        let mut steps = 0;
        while !plan.is_complete() {
            steps += 1;
            assert!(steps < 20_000, "no progress");
            if held.len() < 4
                && let Some(mut run) = plan
                    .take(random.u32(1..20), 4, Instant::now())
                    .or_else(|| plan.steal(Instant::now(), NO_PATIENCE))
            {
                plan.begin(&mut run, Instant::now());
                let at = run.pieces.start;
                held.push((run, at));
            }
            if held.is_empty() {
                continue;
            }
            let i = random.usize(..held.len());
            let (run, at) = &mut held[i];
            if random.u32(..10) == 0 || !plan.wants(run.id, *at) {
                plan.release(run.id);
                held.swap_remove(i);
            } else {
                plan.finish_piece(run.id, *at, Instant::now());
                if random.u32(..30) == 0 {
                    plan.reject(*at);
                }
                *at += 1;
            }
        }
    }
}

#[test]
fn what_is_here_of_a_piece_is_gone_on_with_by_the_same_source_only() {
    let (here, elsewhere) = (SourceId::at(0), SourceId::at(1));
    for (next, skip) in [(here, 700), (elsewhere, 0)] {
        let mut plan = plan(4);
        let mut run = plan.take(2, 1, Instant::now()).unwrap();
        plan.fetch_from(&mut run, here);
        assert_eq!(run.skip, 0);
        plan.begin(&mut run, Instant::now());
        plan.finish_piece(run.id, 0, Instant::now());
        plan.note_partial(run.id, 700);
        plan.release(run.id);
        assert_eq!(plan.partial(), 700);
        let mut again = plan.take(2, 1, Instant::now()).unwrap();
        assert_eq!(again.pieces.start, 1);
        plan.fetch_from(&mut again, next);
        assert_eq!((again.skip, plan.partial()), (skip, skip));
        // It breaks off before a byte came: nothing is lost.
        plan.release(again.id);
        assert_eq!(plan.partial(), skip);
    }
}

/// The pieces of runs that take whatever is free.
fn take_all(plan: &mut Plan) -> Vec<u32> {
    let runs = std::iter::from_fn(|| plan.take(RUN_MAX, 1, Instant::now()));
    runs.flat_map(|run| run.pieces).collect()
}

#[test]
fn a_run_is_half_of_an_even_share_and_never_too_long() {
    for (free, max, workers, pieces) in [
        (100, 16, 4, 13),
        (100, 4, 4, 4),
        (100, 0, 4, 1),
        (100, 16, 200, 1),
        (1000, 99, 1, RUN_MAX),
        (10, 16, 0, 5),
    ] {
        let run = plan(free).take(max, workers, Instant::now()).unwrap();
        assert_eq!(run.pieces, 0..pieces, "{free} {max} {workers}");
        assert!(!run.racing && run.skip == 0);
    }
    assert_eq!(plan(0).take(16, 4, Instant::now()), None);
}

#[test]
fn a_plan_is_complete_once_every_piece_is_done() {
    let mut plan = Plan::new(2);
    plan.add_done(1);
    plan.add_free(0..2);
    assert!(!plan.is_complete() && plan.is_done(1) && !plan.is_done(0));
    assert_eq!((plan.done_count(), plan.done()), (1, vec![1..2]));
    assert!(plan.has_free() && plan.held() == 0);
    let run = plan.take(1, 1, Instant::now()).unwrap();
    assert_eq!((run.pieces, plan.held()), (0..1, 1));
    assert!(!plan.has_free() && !plan.is_complete());
    assert!(plan.finish_piece(run.id, 0, Instant::now()));
    assert!(!plan.finish_piece(run.id, 0, Instant::now()), "it is done");
    assert!(plan.is_complete());
}

#[test]
fn a_run_that_has_all_its_pieces_has_nothing_to_be_taken() {
    let start = Instant::now();
    let mut plan = Plan::new(3);
    let run = plan.begin_with(0..2, start);
    (0..2).for_each(|piece| _ = plan.finish_piece(run.id, piece, start));
    assert_eq!(plan.steal(start, NO_PATIENCE), None);
    // Nor has one beyond its end.
    plan.finish_piece(run.id, 2, start);
    assert_eq!(plan.steal(start, NO_PATIENCE), None);
}

#[test]
fn the_longest_run_is_helped_first_and_of_equals_the_earliest() {
    let now = Instant::now();
    let mut plan = Plan::new(30);
    for pieces in [0..4, 10..14, 20..23] {
        plan.begin_with(pieces, now);
    }
    // Three pieces lie ahead of the one that is read: two of them go.
    assert_eq!(plan.steal(now, NO_PATIENCE).unwrap().pieces, 2..4);
    assert_eq!(plan.steal(now, NO_PATIENCE).unwrap().pieces, 12..14);
    assert_eq!(plan.steal(now, NO_PATIENCE).unwrap().pieces, 2..4);
    assert_eq!(plan.held(), 6);
}

#[test]
fn what_a_run_is_not_given_is_free_for_others() {
    let mut plan = plan(12);
    let now = Instant::now();
    let first = plan.take(4, 1, now).unwrap();
    let other = plan.take(4, 1, now).unwrap();
    assert_eq!((&first.pieces, &other.pieces), (&(0..4), &(4..8)));
    plan.finish_piece(first.id, 0, now);
    plan.add_done(3);
    plan.free.take_front(99);
    plan.cut(first.id, 9);
    assert!(!plan.has_free() && plan.wants(first.id, 2));
    plan.cut(first.id, 1);
    assert!(plan.wants(first.id, 1) && !plan.wants(first.id, 2));
    assert!(plan.wants(other.id, 7));
    assert_eq!(take_all(&mut plan), [2]);
    plan.release(other.id);
    plan.cut(other.id, 0);
    assert_eq!(take_all(&mut plan), [4, 5, 6, 7]);
}

#[test]
fn what_somebody_races_for_is_not_free_while_the_racer_has_it() {
    let now = Instant::now();
    let mut plan = Plan::new(4);
    let mut slow = plan.hold(0..4, false, now);
    let racer = plan.steal(now, NO_PATIENCE).unwrap();
    assert_eq!((&racer.pieces, racer.racing), (&(0..4), true));
    plan.cut(slow.id, 1);
    plan.release(slow.id);
    assert!(!plan.has_free());
    plan.begin(&mut slow, now);
    assert!(slow.pieces.is_empty(), "its run is over");
    plan.finish_piece(racer.id, 0, now);
    plan.release(racer.id);
    plan.release(racer.id);
    assert_eq!(take_all(&mut plan), [1, 2, 3]);
}

#[test]
fn a_run_that_has_read_nothing_has_begun_nothing() {
    let mut plan = plan(4);
    let now = Instant::now();
    for partial in [0, 9] {
        let mut run = plan.take(2, 1, now).unwrap();
        plan.fetch_from(&mut run, SourceId::at(0));
        plan.note_partial(run.id, partial);
        plan.release(run.id);
        assert_eq!(plan.begun.is_empty(), partial == 0);
    }
}

#[test]
fn a_bad_piece_cuts_only_those_that_have_come_to_it() {
    let now = Instant::now();
    let mut plan = Plan::new(8);
    let at_it = plan.begin_with(2..6, now);
    let before = plan.begin_with(0..3, now);
    plan.note_partial(at_it.id, 9);
    plan.add_done(4);
    plan.add_done(2);
    plan.reject(2);
    // What lies behind it is free again, unless it is done.
    assert!(!plan.wants(at_it.id, 2) && !plan.wants(at_it.id, 5));
    assert_eq!((plan.partial(), plan.free.count()), (0, 3));
    assert_eq!(take_all(&mut plan), [2, 3, 5]);
    assert!(plan.wants(before.id, 2));
    plan.reject(7);
    assert!(!plan.has_free(), "it was not done");
}

#[test]
fn a_piece_that_a_run_is_still_to_begin_is_not_free_beside_it() {
    let now = Instant::now();
    let mut plan = Plan::new(4);
    let run = plan.begin_with(0..3, now);
    (0..2).for_each(|piece| _ = plan.finish_piece(run.id, piece, now));
    plan.add_done(3);
    plan.fetch_again(1);
    plan.fetch_again(3);
    assert_eq!(take_all(&mut plan), [1, 3]);
    plan.add_done(2);
    plan.fetch_again(2);
    assert_eq!(take_all(&mut plan), [2]);
    assert!(!plan.wants(run.id, 2));
}
