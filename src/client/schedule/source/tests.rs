use super::*;
use crate::client::schedule::testing::{SECOND, broken, login};

fn banned() -> Error {
    Error::Banned("x".into())
}

fn source(reach: Reach) -> Source {
    Source {
        reach,
        ..Source::default()
    }
}

#[test]
fn one_that_rests_is_held_asks_or_was_given_up_may_not_be_asked() {
    let now = Instant::now();
    let later = now + SECOND;
    for (reach, may) in [
        (Reach::Unknown, Ok(())),
        (Reach::Up, Ok(())),
        (Reach::Out(later), Err(Some(later))),
        (Reach::Out(now), Ok(())),
        (Reach::Held(later, Held::Paused), Err(Some(later))),
        (Reach::Held(now, Held::Paused), Ok(())),
        (Reach::Asks(login()), Err(None)),
        (Reach::Down(broken()), Err(None)),
        (Reach::Dropped("x".into()), Err(None)),
    ] {
        let is_dropped = matches!(reach, Reach::Dropped(_));
        let of = |held: bool| may == Err(Some(later)) && held;
        let held = of(matches!(reach, Reach::Held(..)));
        let out = of(matches!(reach, Reach::Out(_)));
        let down = matches!(reach, Reach::Down(_)).then(broken);
        let source = source(reach);
        assert_eq!(source.may_ask(now), may, "{source:?}");
        assert_eq!(source.is_kept(), !is_dropped);
        assert_eq!(
            (source.is_held(now), source.is_out(now)),
            (held, out),
            "{source:?}"
        );
        assert_eq!(source.down_for(), down);
    }
}

#[test]
fn one_that_is_asked_too_much_may_not_be_asked_for_as_long_as_it_says() {
    let now = Instant::now();
    let mut source = source(Reach::Up);
    source.load.refused(now, now, 1, Some(SECOND));
    assert_eq!(source.may_ask(now), Err(Some(now + SECOND)));
    assert_eq!(source.may_ask(now + SECOND), Ok(()));
}

#[test]
fn an_attempt_keeps_others_waiting_for_a_while_only() {
    let now = Instant::now();
    let mut source = Source::default();
    assert_eq!(source.tries_until(), None);
    source.trying = Some((SlotId(1), now));
    assert_eq!(source.tries_until(), Some(now + TRY_PATIENCE));
}

#[test]
fn a_connection_ends_a_rest_but_no_pause_and_no_question() {
    let now = Instant::now();
    let later = now + SECOND;
    for (reach, closed, is_up) in [
        (Reach::Unknown, 0, true),
        (Reach::Unknown, 1, true),
        (Reach::Out(later), 0, true),
        // That it opens what it closes again tells nothing.
        (Reach::Out(later), 1, false),
        (Reach::Out(now), 1, true),
        (Reach::Held(later, Held::Paused), 0, false),
        (Reach::Asks(login()), 0, false),
        (Reach::Down(broken()), 0, false),
        (Reach::Dropped("x".into()), 0, false),
    ] {
        let mut source = source(reach);
        source.closed = closed;
        source.trouble = Some((2, SECOND, broken()));
        source.connected(SECOND, now);
        assert_eq!(source.link() == Link::Up, is_up, "{source:?}");
        assert_eq!(source.trouble.is_none(), is_up);
        assert!(source.was_up);
    }
}

#[test]
fn one_that_closes_what_it_opens_is_still_tried_once_it_is_connected() {
    let now = Instant::now();
    for closed in [0, 1] {
        let mut source = Source {
            closed,
            trying: Some((SlotId(3), now)),
            ..Source::default()
        };
        source.connected(SECOND, now + SECOND);
        let tries = (closed > 0).then_some((SlotId(3), now + SECOND));
        assert_eq!(source.trying, tries);
    }
}

#[test]
fn the_first_handshake_tells_what_answers_take_until_one_does() {
    let now = Instant::now();
    let mut source = Source::default();
    source.connected(SECOND, now);
    source.connected(2 * SECOND, now);
    assert_eq!(source.head_patience(), 4 * SECOND);
}

#[test]
fn only_an_answer_to_what_was_asked_since_ends_a_pause_a_kick_or_a_ban() {
    let now = Instant::now();
    let until = now + 60 * SECOND;
    let pause = |source: &mut Source| {
        source.paused(until, now);
    };
    let kick = |source: &mut Source| {
        source.kicked("x", until, now);
    };
    let ban = |source: &mut Source| source.down(&banned(), now);
    let deny: [&dyn Fn(&mut Source); 3] = [&pause, &kick, &ban];
    for deny in deny {
        let mut source = source(Reach::Up);
        deny(&mut source);
        assert!(!source.answered(now.checked_sub(SECOND).unwrap_or(now)));
        assert!(!source.answered(now));
        assert_ne!(source.link(), Link::Up);
        assert!(source.answered(now + SECOND));
        assert_eq!(source.link(), Link::Up);
        assert!(!source.answered(now + SECOND));
    }
    let mut down = source(Reach::Up);
    down.down(&broken(), now);
    assert!(!down.answered(now + SECOND));
    assert_eq!(down.down_for(), Some(broken()));
}

#[test]
fn an_answer_forgets_failures_refusals_and_kicks() {
    let now = Instant::now();
    let mut source = source(Reach::Up);
    (source.failures, source.closed, source.was_up) = (2, 3, true);
    source.load.refused(now, now, 1, None);
    assert!(source.own_outage(now));
    assert_eq!(source.kicked("x", now + SECOND, now), Some(1));
    assert!(source.answered(now + SECOND));
    assert_eq!((source.failures, source.closed), (0, 0));
    assert_eq!(source.load.refusals(), 0);
    let next = now + OWN_OUTAGE_MAX;
    assert!(source.own_outage(next));
    assert_eq!(source.kicked("x", next + SECOND, next), Some(1));
    let again = next + SECOND;
    assert_eq!(source.kicked("x", again + SECOND, again), Some(2));
}

#[test]
fn patience_is_four_times_what_answers_took_of_which_slow_ones_count_more() {
    let ms = Duration::from_millis;
    let mut source = Source::default();
    assert_eq!(source.head_patience(), HEAD_PATIENCE_MIN);
    for (took, patience) in [
        (ms(400), ms(1600)),
        // Half of the way up, an eighth of the way down.
        (ms(800), ms(2400)),
        (ms(520), ms(2360)),
        (ms(590), ms(2360)),
        (100 * SECOND, HEAD_PATIENCE_MAX),
    ] {
        source.head_took(took);
        assert_eq!(source.head_patience(), patience, "{took:?}");
    }
}

#[test]
fn one_that_failed_rests_and_says_which_try_comes_next() {
    let now = Instant::now();
    let mut source = source(Reach::Up);
    source.failures = 2;
    source.rest(&broken(), SECOND, now);
    assert!(source.is_out(now) && !source.is_out(now + SECOND));
    let retrying = Link::Retrying {
        attempt: 3,
        after: SECOND,
        reason: broken().to_string(),
    };
    assert_eq!(source.link(), retrying);
    source.release();
    assert_eq!(source.link(), retrying);
    source.connected(SECOND, now);
    assert_eq!(source.link(), Link::Up);
    source.reach = Reach::Dropped("x".into());
    source.rest(&broken(), SECOND, now);
    assert!(!source.is_kept());
}

#[test]
fn an_outage_of_the_own_network_is_waited_out_for_a_while_where_there_was_one() {
    let now = Instant::now();
    let mut source = Source::default();
    assert!(!source.own_outage(now));
    source.was_up = true;
    let long = now + OWN_OUTAGE_MAX;
    assert!(source.own_outage(long.checked_sub(SECOND).unwrap_or(now)));
    assert!(!source.own_outage(long));
    source.connected(SECOND, long);
    assert!(source.own_outage(long));
}

#[test]
fn of_a_pause_and_another_the_longer_is_waited_for_and_only_the_first_is_told() {
    let now = Instant::now();
    let at = |seconds| now + seconds * SECOND;
    let mut source = source(Reach::Up);
    assert!(source.paused(at(3), now));
    assert!(!source.paused(at(2), now));
    assert_eq!(source.may_ask(now), Err(Some(at(3))));
    assert!(!source.paused(at(4), now));
    assert_eq!(source.may_ask(now), Err(Some(at(4))));
    assert_eq!(source.link(), Link::Paused);
}

#[test]
fn a_pause_replaces_a_kick_that_ends_before_it() {
    let now = Instant::now();
    let at = |seconds| now + seconds * SECOND;
    for (pause, told) in [(2, false), (3, false), (4, true)] {
        let mut source = source(Reach::Up);
        source.kicked("x", at(3), now);
        assert_eq!(source.paused(at(pause), now), told, "{pause}");
        assert_eq!(source.link() == Link::Paused, told, "{pause}");
        assert_eq!(source.may_ask(now), Err(Some(at(pause.max(3)))));
    }
}

#[test]
fn a_kick_is_counted_from_the_first_connection_that_is_told() {
    let now = Instant::now();
    let at = |seconds| now + seconds * SECOND;
    let mut source = source(Reach::Up);
    assert_eq!(source.kicked("x", at(3), now), Some(1));
    assert_eq!(source.kicked("y", at(4), at(2)), None);
    let kicked = |reason: &str, until| Link::Kicked {
        reason: reason.to_owned(),
        until,
    };
    assert_eq!(source.link(), kicked("x", at(3)));
    assert_eq!(source.kicked("y", at(5), at(3)), Some(2));
    assert_eq!(source.link(), kicked("y", at(5)));
}

#[test]
fn a_kick_is_as_long_as_the_pause_that_it_came_in() {
    let now = Instant::now();
    let at = |seconds| now + seconds * SECOND;
    for (kick, until) in [(2, 3), (5, 5)] {
        let mut source = source(Reach::Up);
        source.paused(at(3), now);
        assert_eq!(source.kicked("x", at(kick), now), Some(1));
        assert_eq!(source.may_ask(now), Err(Some(at(until))));
        assert!(matches!(source.link(), Link::Kicked { .. }));
    }
}

#[test]
fn one_that_is_given_up_begins_anew_when_it_is_tried_again() {
    let now = Instant::now();
    let mut source = source(Reach::Up);
    (source.failures, source.closed) = (2, 3);
    source.rest(&broken(), SECOND, now);
    source.down(&broken(), now);
    assert_eq!((source.failures, source.closed), (0, 0));
    assert_eq!(source.link(), Link::Down(broken().to_string()));
    source.reach = Reach::Unknown;
    assert_eq!(source.link(), Link::Connecting);
}

#[test]
fn impatience_ends_a_rest_a_hold_and_a_question_alone() {
    let now = Instant::now();
    let later = now + SECOND;
    for (reach, released) in [
        (Reach::Out(later), true),
        (Reach::Held(later, Held::Paused), true),
        (Reach::Held(later, Held::Kicked("x".into())), true),
        (Reach::Asks(login()), true),
        (Reach::Up, false),
        (Reach::Down(broken()), false),
        (Reach::Dropped("x".into()), false),
    ] {
        let mut source = source(reach);
        source.load.refused(now, now, 1, Some(SECOND));
        source.release();
        assert_eq!(matches!(source.reach, Reach::Unknown), released);
        assert_eq!(source.load.wait(now), None);
    }
}

#[test]
fn one_asks_until_it_is_answered() {
    assert_eq!(source(Reach::Asks(login())).asks(), Some(&login()));
    for reach in [Reach::Unknown, Reach::Up, Reach::Down(broken())] {
        assert_eq!(source(reach).asks(), None);
    }
}

#[test]
fn a_screen_is_told_how_it_stands() {
    let until = Instant::now();
    let link = |reach| source(reach).link();
    assert_eq!(link(Reach::Unknown), Link::Connecting);
    assert_eq!(link(Reach::Out(until)), Link::Connecting);
    assert_eq!(link(Reach::Up), Link::Up);
    assert_eq!(link(Reach::Held(until, Held::Paused)), Link::Paused);
    let reason = "x".to_owned();
    let kicked = Reach::Held(until, Held::Kicked(reason.clone()));
    assert_eq!(link(kicked), Link::Kicked { reason, until });
    assert!(matches!(
        link(Reach::Asks(login())),
        Link::Asks(Question::Login(_))
    ));
    let asks = Reach::Asks(broken());
    assert_eq!(link(asks), Link::Down(broken().to_string()));
    assert_eq!(
        link(Reach::Down(banned())),
        Link::Banned(banned().to_string())
    );
    let down = Reach::Down(broken());
    assert_eq!(link(down), Link::Down(broken().to_string()));
    assert_eq!(link(Reach::Dropped("x".into())), Link::Down("x".into()));
}
