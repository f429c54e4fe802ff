//! What is here of pieces that are not whole.

use super::*;

#[test]
fn what_is_here_of_a_piece_ends_with_it() {
    let (now, source) = (Instant::now(), SourceId::at(0));
    let begun = || {
        let mut plan = Plan::new(2);
        let mut run = plan.begin_with(0..2, now);
        plan.fetch_from(&mut run, source);
        plan.note_partial(run.id, 300);
        plan.note_partial(run.id, 400);
        plan.release(run.id);
        assert_eq!(plan.partial(), 700);
        plan
    };
    let mut done = begun();
    done.add_done(0);
    assert_eq!(done.partial(), 0);
    let mut again = begun();
    again.fetch_again(0);
    assert_eq!(again.partial(), 0);
    let mut finished = begun();
    let run = finished.take(1, 1, now).unwrap();
    finished.finish_piece(run.id, 0, now);
    assert_eq!(finished.partial(), 0);
}

#[test]
fn what_cannot_be_gone_on_with_does_not_count() {
    let (now, source) = (Instant::now(), SourceId::at(0));
    // Without ranges there is no going on in the middle.
    let mut plan = plan(2);
    let run = plan.take(1, 1, now).unwrap();
    plan.note_partial(run.id, 700);
    plan.release(run.id);
    assert_eq!(plan.partial(), 0);
    // A racer writes nothing before it has the whole of a piece.
    let mut slow = plan.take(1, 1, now).unwrap();
    plan.fetch_from(&mut slow, source);
    plan.free.take_front(9);
    let mut racer = plan.steal(now, NO_PATIENCE).unwrap();
    plan.fetch_from(&mut racer, source);
    assert_eq!(racer.skip, 0);
    plan.release(slow.id);
    plan.note_partial(racer.id, 700);
    plan.release(racer.id);
    assert_eq!(plan.partial(), 0);
}
