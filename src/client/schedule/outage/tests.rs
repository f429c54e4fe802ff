use super::*;
use crate::{
    client::{
        Link,
        schedule::{
            Channel, Limits,
            testing::{
                MIB, OPEN, SECOND, SLOT, add, at, begin, broken, done, fault, file, later,
                led_file, limits, logged, login, meet, path, reach, read, schedule, schedule_of,
                when, with_values,
            },
        },
    },
    digest::Digest,
    pieces,
};

/// With somebody who watches.
fn watched(servers: usize) -> Schedule {
    let patient = true;
    let limits = Limits {
        patient,
        ..limits()
    };
    schedule_of(limits, servers)
}

fn own() -> Error {
    Error::Connect {
        server: "s".into(),
        reason: "x".into(),
        own: true,
    }
}

fn rest(schedule: &mut Schedule, source: SourceId, error: Error, now: Instant) {
    schedule.rest(source, &Fault::Unreachable(error), now);
}

fn is_down(schedule: &Schedule, place: usize) -> bool {
    schedule.sources.get(at(place)).down_for().is_some()
}

#[test]
fn pauses_of_a_server_grow_to_half_a_minute_and_those_of_the_own_network_to_five_seconds() {
    for (error, most) in [(own(), 5), (broken(), 38)] {
        let mut schedule = schedule(1);
        let mut now = Instant::now();
        let mut last = Duration::ZERO;
        for _ in 0..9 {
            last = schedule.source_failed(at(0), &error, now).unwrap();
            assert!(last <= most * SECOND, "{last:?}");
            assert_eq!(schedule.source_failed(at(0), &error, now), None);
            now += last;
        }
        assert!(last >= most * SECOND * 3 / 5, "{last:?}");
    }
}

#[test]
fn all_fails_once_every_server_failed_too_often_where_nobody_watches() {
    let now = Instant::now();
    let mut schedule = schedule(2);
    add(&mut schedule, vec![file("a", MIB)]);
    for (times, place) in [(1, 0), (2, 0), (1, 1), (2, 1)] {
        let last = (times, place) == (2, 1);
        rest(
            &mut schedule,
            at(place),
            broken(),
            now + times * 60 * SECOND,
        );
        assert_eq!(schedule.has_ended(), last, "{times} {place}");
        assert_eq!(is_down(&schedule, 1), last);
    }
    assert_eq!(done(&mut schedule).ended, 1);
    assert_eq!(schedule.tally().failed, 1);
}

#[test]
fn nothing_fails_while_somebody_watches() {
    let now = Instant::now();
    let mut schedule = watched(1);
    add(&mut schedule, vec![file("a", MIB)]);
    for times in 0..9 {
        rest(&mut schedule, at(0), broken(), now + times * 60 * SECOND);
    }
    assert!(!schedule.has_ended() && !is_down(&schedule, 0));
}

#[test]
fn the_own_network_is_waited_for_a_while_where_it_was_there() {
    let now = Instant::now();
    for (was_up, error, waits) in [
        (true, own(), true),
        (false, own(), false),
        (true, broken(), false),
    ] {
        let mut schedule = schedule(1);
        reach(&mut schedule, usize::from(was_up), now);
        add(&mut schedule, vec![file("a", MIB)]);
        for times in 0..3 {
            rest(
                &mut schedule,
                at(0),
                error.clone(),
                now + times * 30 * SECOND,
            );
        }
        assert_eq!(!schedule.has_ended(), waits, "{was_up} {error}");
        rest(&mut schedule, at(0), error, now + 120 * SECOND);
        assert!(schedule.has_ended());
    }
}

#[test]
fn who_waits_for_a_listing_is_told_at_once_where_no_server_was_ever_reached() {
    let now = Instant::now();
    for reached in [0, 1] {
        let mut schedule = watched(2);
        reach(&mut schedule, reached, now);
        let id = schedule.browse(path("/d/"), now);
        rest(&mut schedule, at(1), broken(), now);
        let told = when(reached == 0, (id, broken()));
        assert_eq!(done(&mut schedule).answers, told);
    }
}

#[test]
fn nothing_is_told_of_one_that_fails_where_nobody_watches_and_others_are_left() {
    let now = Instant::now();
    let mut schedule = schedule(2);
    schedule.browse(path("/d/"), now);
    rest(&mut schedule, at(1), broken(), now);
    assert_eq!(done(&mut schedule).answers, []);
}

#[test]
fn the_only_server_is_given_up_where_it_was_never_reached_and_nothing_is_asked_of_it() {
    let now = Instant::now();
    for (servers, has_work, gives_up) in [(1, false, true), (1, true, false), (2, false, false)] {
        let mut schedule = watched(servers);
        if has_work {
            add(&mut schedule, vec![file("a", MIB)]);
        }
        rest(&mut schedule, at(0), broken(), now);
        assert_eq!(is_down(&schedule, 0), gives_up, "{servers} {has_work}");
    }
}

#[test]
fn a_pause_lasts_as_long_as_the_server_says_within_limits() {
    let now = Instant::now();
    for (says, lasts) in [
        (None, PAUSED),
        (Some(7 * SECOND), 7 * SECOND),
        (Some(31 * SECOND), PAUSED_MAX),
    ] {
        let mut schedule = schedule(2);
        schedule.hold(SLOT, &Fault::Paused(says), now);
        let source = schedule.sources.get(at(0));
        assert_eq!(source.link(), Link::Paused);
        assert_eq!(source.may_ask(now), Err(Some(now + lasts)));
        assert_eq!(schedule.sources.get(at(1)).may_ask(now), Ok(()));
    }
}

fn kick(schedule: &mut Schedule, time: Option<Duration>, now: Instant) {
    let reason = "x".to_owned();
    schedule.hold(SLOT, &Fault::Kicked { reason, time }, now);
}

#[test]
fn a_kick_lasts_as_long_as_the_server_says_within_limits() {
    let now = Instant::now();
    for (says, lasts) in [
        (None, KICKED),
        (Some(7 * SECOND), 7 * SECOND),
        (Some(301 * SECOND), KICKED_MAX),
    ] {
        let mut schedule = schedule(1);
        kick(&mut schedule, says, now);
        let (reason, until) = ("x".to_owned(), now + lasts);
        let link = schedule.sources.get(at(0)).link();
        assert_eq!(link, Link::Kicked { reason, until });
    }
}

#[test]
fn one_that_kicks_too_often_is_dropped_or_the_last_given_up_unless_somebody_watches() {
    let now = Instant::now();
    let mut several = schedule(2);
    let mut single = schedule(1);
    let mut patient = watched(1);
    add(&mut single, vec![file("a", MIB)]);
    for schedule in [&mut several, &mut single, &mut patient] {
        kick(schedule, Some(SECOND), now);
        assert!(!schedule.is_dropped(SLOT) && !is_down(schedule, 0));
        // That it is kicked is known.
        kick(schedule, Some(SECOND), now);
        assert!(!schedule.is_dropped(SLOT) && !is_down(schedule, 0));
        kick(schedule, Some(SECOND), now + SECOND);
    }
    assert!(several.is_dropped(SLOT) && !several.is_dropped(SlotId(1)));
    assert!(is_down(&single, 0) && single.has_ended());
    assert!(!is_down(&patient, 0) && !patient.is_dropped(SLOT));
}

#[test]
fn all_waits_for_an_answer_of_the_user_but_those_who_wait_for_a_listing() {
    let now = Instant::now();
    let mut schedule = watched(1);
    add(&mut schedule, vec![file("a", MIB)]);
    let id = schedule.browse(path("/d/"), now);
    schedule.ask_user(at(0), &login());
    assert_eq!(schedule.sources.get(at(0)).may_ask(now), Err(None));
    assert_eq!(done(&mut schedule).answers, [(id, login())]);
    assert!(!schedule.has_ended());
}

#[test]
fn giving_up_ends_every_server_that_does_not_answer_and_all_that_waits() {
    let now = Instant::now();
    let mut schedule = schedule(4);
    add(&mut schedule, vec![file("a", MIB)]);
    schedule.sources.get_mut(at(1)).reach = Reach::Out(now + SECOND);
    schedule.sources.get_mut(at(2)).reach = Reach::Up;
    schedule.give_up(at(0), &broken(), now);
    let down = [0, 1, 2, 3].map(|place| is_down(&schedule, place));
    assert_eq!(down, [true, true, false, true]);
    assert!(schedule.has_ended());
}

#[test]
fn where_a_redirect_led_only_what_it_led_there_for_fails() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let led = meet(&mut schedule);
    let elsewhere = add(&mut schedule, vec![led_file("a", MIB, led)]);
    let here = add(&mut schedule, vec![file("b", MIB)]);
    schedule.give_up(led, &broken(), now);
    assert!(schedule.sources.get(led).is_out(now) && !is_down(&schedule, 0));
    let ended = |id| {
        schedule
            .item(id)
            .is_some_and(crate::client::schedule::item::Item::has_ended)
    };
    assert!(ended(elsewhere) && !ended(here));
    assert_eq!(done(&mut schedule).failed, [(1, broken())]);
}

#[test]
fn one_that_a_redirect_led_to_rests_by_itself() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let led = meet(&mut schedule);
    let item = add(&mut schedule, vec![led_file("a", MIB, led)]);
    rest(&mut schedule, led, broken(), now);
    assert!(schedule.sources.get(led).is_out(now));
    assert_eq!(schedule.sources.get(at(0)).may_ask(now), Ok(()));
    assert_eq!(later(&schedule, item), 1);
}

#[test]
fn a_dropped_mirror_rings_those_that_wait() {
    let now = Instant::now();
    let mut schedule = schedule(2);
    let park = |schedule: &mut Schedule| {
        schedule.park(SlotId(1), now);
        schedule.take_effects();
    };
    park(&mut schedule);
    schedule.distrust(at(1), "x");
    assert_eq!(done(&mut schedule).rung, [1]);
    // It is known, and the last one is kept.
    park(&mut schedule);
    schedule.distrust(at(1), "x");
    schedule.distrust(at(0), "x");
    assert!(done(&mut schedule).rung.is_empty());
    assert!(schedule.is_dropped(SlotId(1)) && !schedule.is_dropped(SLOT));
    assert!(schedule.drop_source(at(1), &broken()));
    assert!(!schedule.drop_source(at(0), &broken()));
}

/// A file of five pieces, of which the second server sends so many wrong; its values are known.
fn wrong_pieces(checksum: bool, wrong: u32) -> (Schedule, FileId) {
    let now = Instant::now();
    let mut schedule = schedule(2);
    let mut task = file("a", 5 * MIB);
    task.checksum = checksum.then(|| Box::new(Digest::Sha256([0; 32])));
    add(&mut schedule, vec![task]);
    let (file, _) = begin(&mut schedule, 0, with_values(5 * MIB), 0, now);
    fault(&mut schedule, 0, Fault::Interrupted, OPEN, now);
    read(&mut schedule, 0, now);
    let value = |byte: u8| {
        let mut hasher = pieces::PieceHasher::new(0);
        hasher.update(&[byte]);
        hasher.value()
    };
    let told: Vec<_> = (0..5).map(value).collect();
    for (value, piece) in told.iter().zip(0..) {
        schedule.value_told(file, *value, piece).unwrap();
    }
    let root = *pieces::root(&told).as_bytes();
    schedule.values_told(file, root).unwrap();
    for piece in 0..wrong {
        let flight = read(&mut schedule, 1, now);
        let crate::client::schedule::Work::Run(_, run) = flight.work else {
            panic!("{flight:?}");
        };
        let piece_of = run.pieces.start;
        let got = schedule.piece_received(SlotId(1), (file, run.id), piece_of, Some(value(9)), now);
        assert_eq!(got, Ok(()), "{piece}");
        fault(&mut schedule, 1, Fault::Interrupted, Channel::CLOSED, now);
    }
    (schedule, file)
}

#[test]
fn a_mirror_that_sends_two_wrong_pieces_is_dropped() {
    for (wrong, dropped) in [(0, false), (1, false), (2, true)] {
        let (schedule, file) = wrong_pieces(false, wrong);
        let is_kept = schedule.sources.get(at(1)).is_kept();
        assert_eq!(!is_kept, dropped, "{wrong}");
        assert_eq!(schedule.pieces().1, u64::from(wrong));
        let excluded = schedule.transfer(file).unwrap().excluded;
        assert!(excluded.is_empty());
    }
}

#[test]
fn one_that_sends_wrong_pieces_of_a_file_with_a_digest_is_left_out_for_it_alone() {
    for (wrong, out) in [(1, false), (2, true)] {
        let (schedule, file) = wrong_pieces(true, wrong);
        assert!(schedule.sources.get(at(1)).is_kept());
        assert_eq!(schedule.sources.get(at(1)).bad_pieces, 0);
        let excluded = schedule.transfer(file).unwrap().excluded;
        assert_eq!(excluded.contains(at(1)), out);
        assert_eq!(schedule.pieces().1, u64::from(wrong));
    }
}

#[test]
fn the_log_says_once_that_a_mirror_is_dropped_and_which_try_of_a_server_comes_when() {
    let mut schedule = schedule(2);
    let source = at(1);
    let lines = logged(|| {
        schedule.log_rest(source, &broken(), None);
        schedule.sources.get_mut(source).failures = 2;
        schedule.log_rest(source, &broken(), Some(SECOND));
        for _ in 0..2 {
            assert!(schedule.drop_source(source, &broken()));
        }
        assert!(!schedule.drop_source(at(0), &broken()), "the last stays");
    });
    let error = broken();
    let rests = format!("{error}: try 3 of this server in 1.0 s");
    assert_eq!(lines, [rests, format!("mirror dropped: {error}")]);
}
