use super::*;
use crate::client::schedule::source::Held;
use crate::client::schedule::testing::{SECOND, at, broken};

fn led(place: usize) -> SourceId {
    SourceId::led(place)
}

fn set<const N: usize>(sources: [SourceId; N]) -> SourceSet {
    sources.into_iter().collect()
}

/// So many that are up, of which one may fail twice in a row.
fn up(count: usize) -> Sources {
    let mut sources = Sources::new(count, 2);
    for source in sources.each_mut() {
        source.reach = Reach::Up;
    }
    sources
}

fn dropped() -> Reach {
    Reach::Dropped("x".into())
}

#[test]
fn the_first_that_may_be_asked_leads() {
    let outlook = |usable, kept| Outlook {
        source: at(1),
        usable,
        kept,
    };
    let all = set([at(0), at(1), at(2)]);
    let none = SourceSet::default();
    let with_led = all.union(set([led(0)]));
    for (usable, kept, off, lead) in [
        (all, all, none, Some(at(0))),
        (all, all, set([at(0)]), Some(at(1))),
        // One that rests is waited for, unless others are there.
        (set([at(1)]), all, none, Some(at(1))),
        (set([at(1)]), all, set([at(1)]), None),
        (none, all, none, None),
        // What all refused the first one's answer decides.
        (all, all, all, Some(at(0))),
        (set([at(2)]), all, all, Some(at(2))),
        (none, all, all, None),
        // Where a redirect led comes first.
        (with_led, with_led, none, Some(led(0))),
        (with_led, with_led, SourceSet::LED, Some(at(0))),
        (set([led(0)]), with_led, with_led, None),
    ] {
        let outlook = outlook(usable, kept);
        assert_eq!(outlook.lead(off), lead, "{outlook:?} {off:?}");
        assert_eq!(outlook.leads(off), lead == Some(at(1)));
    }
    let sees = outlook(with_led, with_led);
    assert!(!sees.leads_dirs(none) && sees.leads_dirs(set([at(0)])));
}

#[test]
fn each_is_found_by_its_place() {
    let mut sources = Sources::new(2, 2);
    sources.meet(led(0));
    sources.meet(led(1));
    for (failures, id) in [(1, at(0)), (2, at(1)), (3, led(0)), (4, led(1))] {
        sources.get_mut(id).failures = failures;
    }
    let failures = |id| sources.get(id).failures;
    assert_eq!([at(0), at(1), led(0), led(1)].map(failures), [1, 2, 3, 4]);
    let named: Vec<_> = sources.each().map(|(id, it)| (id, it.failures)).collect();
    assert_eq!(named, [(at(0), 1), (at(1), 2)]);
    assert_eq!(sources.named_mut().count(), 2);
    assert_eq!(sources.each_mut().count(), 4);
    // Its place is another one's now.
    sources.meet(led(0));
    assert_eq!(sources.get(led(0)).failures, 0);
    assert_eq!(sources.get(led(1)).failures, 4);
}

#[test]
fn hope_is_for_those_that_fail_least() {
    let mut sources = up(3);
    sources.meet(led(0));
    let mut hopeful = |change: &dyn Fn(&mut Sources), left: SourceSet| {
        change(&mut sources);
        assert_eq!(sources.hopeful(), left.union(set([led(0)])));
    };
    hopeful(&|_| {}, set([at(0), at(1), at(2)]));
    hopeful(
        &|it| it.get_mut(at(0)).failures = 2,
        set([at(0), at(1), at(2)]),
    );
    hopeful(&|it| it.get_mut(at(0)).failures = 3, set([at(1), at(2)]));
    hopeful(
        &|it| it.get_mut(at(1)).reach = Reach::Down(broken()),
        set([at(2)]),
    );
    // All that are left fail.
    hopeful(&|it| it.get_mut(at(2)).failures = 3, set([at(0), at(2)]));
    hopeful(&|it| it.get_mut(at(2)).reach = dropped(), set([at(0)]));
    // All were given up.
    hopeful(
        &|it| it.get_mut(at(0)).reach = Reach::Down(broken()),
        set([at(1)]),
    );
    hopeful(&|it| it.get_mut(at(0)).failures = 0, set([at(0), at(1)]));
    assert_eq!(sources.kept(), set([at(0), at(1)]));
}

#[test]
fn where_all_fail_one_that_has_rested_waits_for_no_other() {
    let now = Instant::now();
    let mut sources = up(2);
    sources.meet(led(0));
    let both = set([at(0), at(1), led(0)]);
    let kept = |sources: &Sources| sources.outlook(at(0), now).kept;
    sources.get_mut(at(0)).reach = Reach::Out(now + SECOND);
    sources.get_mut(at(0)).failures = 3;
    // The other one does not fail: it alone is hoped for.
    assert_eq!(kept(&sources), set([at(1), led(0)]));
    sources.get_mut(at(0)).failures = 2;
    assert_eq!(kept(&sources), both);
    for source in sources.named_mut() {
        source.failures = 3;
    }
    assert_eq!(kept(&sources), set([at(1), led(0)]));
    // Nobody has rested.
    sources.get_mut(at(1)).reach = Reach::Out(now + SECOND);
    assert_eq!(kept(&sources), both);
}

#[test]
fn one_that_is_tried_for_long_keeps_nobody_waiting_where_another_answers() {
    let now = Instant::now();
    let mut sources = up(2);
    sources.get_mut(at(0)).trying = Some((SlotId(0), now));
    let until = sources.get(at(0)).tries_until().unwrap();
    let usable = |sources: &Sources, when| sources.outlook(at(1), when).usable;
    let just_before = until.checked_sub(Duration::from_millis(1)).unwrap();
    assert_eq!(usable(&sources, just_before), set([at(0), at(1)]));
    assert_eq!(usable(&sources, until), set([at(1)]));
    assert_eq!(sources.outlook(at(1), now).source, at(1));
    sources.get_mut(at(1)).reach = Reach::Out(until + SECOND);
    assert_eq!(usable(&sources, until), set([at(0)]));
}

#[test]
fn the_one_that_leads_is_named_even_where_none_may_be_asked() {
    let now = Instant::now();
    let mut sources = up(3);
    sources.meet(led(0));
    assert_eq!(sources.lead(now), at(0));
    sources.get_mut(at(0)).reach = Reach::Out(now + SECOND);
    assert_eq!(sources.lead(now), at(1));
    sources.get_mut(at(0)).reach = dropped();
    sources.get_mut(at(1)).reach = Reach::Out(now + SECOND);
    sources.get_mut(at(2)).reach = Reach::Out(now + SECOND);
    assert_eq!(sources.lead(now), at(1));
}

#[test]
fn others_are_those_that_were_not_dropped() {
    let mut sources = up(2);
    assert!(sources.has_others(at(0)) && sources.has_others(at(1)));
    sources.get_mut(at(0)).reach = dropped();
    assert!(sources.has_others(at(0)) && !sources.has_others(at(1)));
    assert!(!up(1).has_others(at(0)));
    assert!(up(1).has_others(led(0)));
}

#[test]
fn the_first_rest_pace_or_attempt_that_ends_is_woken_for() {
    let now = Instant::now();
    let mut sources = up(2);
    sources.meet(led(0));
    assert_eq!(sources.wake_at(now), None);
    sources.get_mut(at(0)).reach = Reach::Out(now + 9 * SECOND);
    assert_eq!(sources.wake_at(now), Some(now + 9 * SECOND));
    sources.get_mut(led(0)).reach = Reach::Out(now + 8 * SECOND);
    assert_eq!(sources.wake_at(now), Some(now + 8 * SECOND));
    assert_eq!(sources.wake_at(now + 8 * SECOND), Some(now + 9 * SECOND));
    sources.get_mut(at(1)).trying = Some((SlotId(0), now));
    let until = sources.get(at(1)).tries_until();
    assert_eq!(sources.wake_at(now), until);
    sources.get_mut(at(1)).load.refused(now, now, 1, None);
    let paced = sources.get(at(1)).load.wait(now);
    assert!(paced < until);
    assert_eq!(sources.wake_at(now), paced);
}

#[test]
fn a_connection_belongs_to_who_leads_and_has_none_or_else_to_who_has_fewest() {
    let now = Instant::now();
    let mut sources = up(3);
    for (held, chosen) in [
        ([0, 0, 0], 0),
        ([0, 1, 1], 0),
        ([1, 0, 0], 1),
        ([2, 2, 1], 2),
        ([1, 2, 1], 0),
    ] {
        assert_eq!(sources.choose(&held, now), Some(at(chosen)), "{held:?}");
    }
    sources.get_mut(at(0)).reach = Reach::Out(now + SECOND);
    assert_eq!(sources.choose(&[0, 2, 0], now), Some(at(2)));
    assert_eq!(sources.choose(&[0, 0, 0], now), Some(at(1)));
    // Where a redirect led is asked for what it led there for, and nothing else.
    sources.meet(led(0));
    for source in sources.named_mut() {
        source.reach = Reach::Out(now + SECOND);
    }
    assert_eq!(sources.choose(&[0, 0, 0], now), None);
}

#[test]
fn connections_that_break_together_are_one_failure() {
    let now = Instant::now();
    let mut sources = up(1);
    let fail = |sources: &mut Sources, now| {
        sources.failed(at(0), &broken(), now, |failures| failures * SECOND)
    };
    assert_eq!(fail(&mut sources, now), Some(SECOND));
    assert!(sources.get(at(0)).is_out(now));
    assert_eq!(fail(&mut sources, now), None);
    assert_eq!(fail(&mut sources, now + SECOND), Some(2 * SECOND));
    assert_eq!(sources.get(at(0)).failures, 2);
    for reach in [
        Reach::Held(now + SECOND, Held::Paused),
        Reach::Asks(broken()),
        Reach::Down(broken()),
        dropped(),
    ] {
        sources.get_mut(at(0)).reach = reach;
        let before = sources.get(at(0)).link();
        assert_eq!(fail(&mut sources, now), None);
        assert_eq!(sources.get(at(0)).link(), before);
        assert_eq!(sources.get(at(0)).failures, 2);
    }
}

#[test]
fn one_is_worn_by_failures_or_refusals_in_a_row_or_was_given_up() {
    let now = Instant::now();
    let mut sources = up(2);
    assert!(!sources.is_worn(at(0)));
    sources.get_mut(at(0)).failures = 2;
    assert!(!sources.is_worn(at(0)));
    sources.get_mut(at(0)).failures = 3;
    assert!(sources.is_worn(at(0)) && !sources.are_worn());
    for refusals in 1..=3 {
        let when = now + refusals * SECOND;
        sources.get_mut(at(1)).load.refused(when, when, 1, None);
        assert_eq!(sources.is_worn(at(1)), refusals == 3);
    }
    assert!(sources.are_worn());
    sources.get_mut(at(1)).load.answered();
    assert!(!sources.are_worn());
    for refusals in 4..=6 {
        let when = now + refusals * SECOND;
        sources.get_mut(at(1)).load.refused(when, when, 1, None);
    }
    assert!(sources.are_worn());
    // A file failed for that, of whichever of the two.
    sources.forgive(at(0));
    assert!(!sources.are_worn());
    sources.get_mut(at(1)).reach = Reach::Down(broken());
    assert!(sources.is_worn(at(1)) && sources.are_worn());
    let mut sources = up(2);
    sources.get_mut(at(0)).reach = dropped();
    sources.get_mut(at(1)).failures = 3;
    assert!(sources.are_worn());
}

#[test]
fn all_are_down_once_each_that_is_left_was_given_up() {
    let mut sources = up(3);
    assert_eq!(sources.all_down(), None);
    sources.get_mut(at(0)).reach = Reach::Down(broken());
    assert_eq!(sources.all_down(), None);
    sources.get_mut(at(1)).reach = dropped();
    sources.get_mut(at(2)).reach = Reach::Down(Error::NoMirror);
    assert_eq!(sources.all_down(), Some(broken()));
    sources.get_mut(at(0)).reach = Reach::Up;
    assert_eq!(sources.all_down(), None);
}

#[test]
fn one_is_dropped_where_others_are_left_and_never_where_a_redirect_led() {
    let mut sources = up(2);
    sources.meet(led(0));
    assert!(!sources.drop_source(led(0), "x") && sources.get(led(0)).is_kept());
    assert!(sources.drop_source(at(0), "x"));
    assert!(!sources.get(at(0)).is_kept());
    assert!(sources.drop_source(at(0), "y"));
    assert!(matches!(&sources.get(at(0)).reach, Reach::Dropped(why) if why == "x"));
    assert!(!sources.drop_source(at(1), "x") && sources.get(at(1)).is_kept());
}

#[test]
fn each_other_one_may_send_two_bad_pieces() {
    for (count, borne) in [(1, 0), (2, 2), (3, 4)] {
        assert_eq!(up(count).bad_pieces_borne(), borne);
    }
    let mut sources = up(3);
    sources.get_mut(at(0)).reach = dropped();
    assert_eq!(sources.bad_pieces_borne(), 2);
}

#[test]
fn a_connection_lets_go_of_what_it_tries_itself() {
    let now = Instant::now();
    let mut sources = up(2);
    sources.meet(led(0));
    sources.get_mut(at(1)).trying = Some((SlotId(1), now));
    sources.get_mut(led(0)).trying = Some((SlotId(2), now));
    assert!(!sources.let_go(SlotId(0)));
    assert!(sources.let_go(SlotId(1)) && !sources.let_go(SlotId(1)));
    assert_eq!(sources.get(at(1)).trying, None);
    assert_eq!(sources.get(led(0)).trying, Some((SlotId(2), now)));
    assert!(sources.let_go(SlotId(2)));
}
