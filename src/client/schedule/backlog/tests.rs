use super::{
    super::{
        slot::Line,
        user::tests::{add_kept, add_tree, fail, file, put, put_run, rung, ticket, transfer},
        verdict::Values,
    },
    *,
};
use crate::client::schedule::testing::{path, schedule};
use crate::client::{
    id::{RestId, SourceId},
    read::pattern::Filter,
    snapshot::ItemState,
    task::DirTask,
};

const ALL: [usize; 4] = [0, 1, 2, 3];
const NOWHERE: Error = Error::NoMirror;

fn reach(schedule: &mut Schedule) -> &mut Reach {
    &mut schedule.sources.get_mut(SourceId::at(0)).reach
}

/// Those who were told why nothing can be listed.
fn answered(schedule: &mut Schedule) -> Vec<BrowseId> {
    let effects = schedule.outbox.drain(..).filter_map(|effect| match effect {
        Effect::Answer(id, _) => Some(id),
        _ => None,
    });
    effects.collect()
}

#[test]
fn a_new_item_comes_first_only_where_none_does() {
    let mut schedule = schedule(1);
    let first = |schedule: &Schedule| schedule.items.iter().map(|it| it.first).collect::<Vec<_>>();
    for all in [vec![true], vec![true, false]] {
        let mut new = NewItem::new(path("/k"));
        add_kept(&mut schedule, 1);
        let item = schedule.items.pop().unwrap();
        let mut kept = item.wanted.unwrap();
        kept.first = true;
        new.kept_as = Some((ticket(1), kept));
        *reach(&mut schedule) = Reach::Down(NOWHERE);
        let ring = rung(&mut schedule, |schedule| _ = schedule.add(new));
        assert_eq!(ring, ALL);
        assert_eq!(first(&schedule), all);
        assert!(matches!(reach(&mut schedule), Reach::Unknown));
    }
    assert_ne!(schedule.items[0].id, schedule.items[1].id);
}

#[test]
fn the_journal_keeps_what_was_asked_for_in_the_queues_order() {
    let mut schedule = schedule(1);
    let [one, two] = [1, 2].map(|number| add_kept(&mut schedule, number));
    assert!(schedule.is_kept() && schedule.paused().is_empty());
    schedule.reorder(two, -1);
    let tickets = |schedule: &Schedule| {
        let queue = schedule.queue().into_iter();
        queue.map(|(ticket, _)| ticket).collect::<Vec<_>>()
    };
    assert_eq!(tickets(&schedule), [ticket(2), ticket(1)]);
    schedule.pause(two);
    assert_eq!(schedule.paused(), [ticket(2)]);
    // What was cancelled is still known, but no more in the journal.
    schedule.cancel(one);
    assert_eq!(tickets(&schedule), [ticket(2)]);
    let (kept, wanted) = schedule.kept();
    assert_eq!((kept, wanted.len()), (vec![ticket(2)], 2));
    assert!(schedule.is_kept());
    let other = add_tree(&mut schedule);
    assert!(!schedule.is_kept());
    fail(&mut schedule, other);
    assert!(schedule.is_kept());
}

#[test]
fn an_item_that_has_ended_meanwhile_is_not_kept_again() {
    let mut schedule = schedule(1);
    let [going, ended] = [0; 2].map(|_| add_tree(&mut schedule));
    fail(&mut schedule, ended);
    schedule.outbox.clear();
    schedule.wanted_again(going, ticket(5));
    assert!(matches!(
        schedule.outbox.pop_back(),
        Some(Effect::KeepQueue)
    ));
    assert_eq!(schedule.item(going).unwrap().ticket, Some(ticket(5)));
    for id in [ended, ItemId(99)] {
        schedule.wanted_again(id, ticket(6));
        let settled = schedule.outbox.pop_back();
        assert!(matches!(settled, Some(Effect::Settle(of)) if of == ticket(6)));
        assert!(schedule.item(id).is_none_or(|item| item.ticket.is_none()));
    }
}

#[test]
fn a_listing_is_asked_for_unless_nobody_would_fetch_it() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    *reach(&mut schedule) = Reach::Down(NOWHERE);
    let ring = rung(&mut schedule, |schedule| {
        _ = schedule.browse(path("/d/"), now);
    });
    assert_eq!((ring, schedule.browses.len()), (ALL.to_vec(), 1));
    assert!(matches!(reach(&mut schedule), Reach::Unknown));
    assert!(answered(&mut schedule).is_empty());
    *reach(&mut schedule) = Reach::Asks(NOWHERE);
    let asked = schedule.browse(path("/d/"), now);
    assert_eq!(answered(&mut schedule), [asked]);
    *reach(&mut schedule) = Reach::Unknown;
    let waits = schedule.browses[0].id;
    schedule.answer_browsers(&NOWHERE);
    assert_eq!(answered(&mut schedule), [waits]);
    schedule.stop();
    let stopped = schedule.browse(path("/d/"), now);
    assert_eq!(
        (answered(&mut schedule), schedule.browses.len()),
        (vec![stopped], 0)
    );
}

#[test]
fn who_reads_a_transfer_that_ends_lets_go_of_it() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let [gone, other] = [0; 2].map(|_| transfer(&mut schedule, id));
    put_run(&mut schedule, 0, other);
    put_run(&mut schedule, 1, gone);
    put(&mut schedule, 2, Work::Values(gone));
    put(&mut schedule, 3, Work::Values(other));
    schedule.outbox.clear();
    assert!(schedule.let_go(gone, Keep::AsIs).is_some());
    let effects: Vec<_> = schedule.outbox.drain(..).collect();
    assert!(
        matches!(
            effects[..],
            [
                Effect::LetGo(file, Keep::AsIs),
                Effect::Changed,
                Effect::Interrupt(SlotId(1)),
                Effect::Interrupt(SlotId(2))
            ] if file == gone
        ),
        "{effects:?}"
    );
    assert!(schedule.let_go(gone, Keep::AsIs).is_none() && schedule.outbox.is_empty());
}

#[test]
fn where_no_server_is_of_use_everything_that_waits_fails() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    transfer(&mut schedule, id);
    put(&mut schedule, 0, Work::Open(file(id, "/t/a", None)));
    put(&mut schedule, 1, Work::Open(file(id, "/t/b", None)));
    schedule.slots[0].line = Line::Closed;
    schedule.fail_leftovers();
    assert!(schedule.is_going(id), "the server is not down");
    let browse = schedule.browse(path("/d/"), now);
    *reach(&mut schedule) = Reach::Down(NOWHERE);
    schedule.fail_leftovers();
    assert_eq!(answered(&mut schedule), [browse]);
    // The directory, the transfer and what is not sent; what is being read may still come.
    let item = schedule.item(id).unwrap();
    assert_eq!((item.failed, item.has_ended()), (3, false));
    assert_eq!((item.failed_files.len(), item.failed_dirs.len()), (2, 1));
    assert_eq!(
        schedule
            .slots
            .iter()
            .map(|it| it.flight.len())
            .collect::<Vec<_>>(),
        [0, 1, 0, 0]
    );
    schedule.unassign(SlotId(1));
    let item = schedule.item(id).unwrap();
    assert_eq!((item.failed, item.has_ended()), (4, true));
}

#[test]
fn work_that_was_not_done_waits_where_it_came_from() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let large = transfer(&mut schedule, id);
    schedule.browse(path("/d/"), now);
    schedule.browse(path("/e/"), now);
    let browse = schedule.browses.pop_front().unwrap();
    put(&mut schedule, 0, Work::Browse(browse.clone()));
    put(&mut schedule, 0, Work::Open(file(id, "/t/a", None)));
    put(&mut schedule, 0, Work::Open(file(id, "/t/b", None)));
    put(
        &mut schedule,
        0,
        Work::List(DirTask::new(id, path("/t/d/"))),
    );
    put(&mut schedule, 0, Work::Spent);
    let ring = rung(&mut schedule, |schedule| schedule.unassign(SlotId(0)));
    assert_eq!(ring, ALL);
    let dirs: Vec<_> = schedule.browses.iter().map(|it| it.dir.clone()).collect();
    assert_eq!(dirs, [path("/d/"), path("/e/")]);
    let item = schedule.item(id).unwrap();
    // What was first in flight is first again.
    assert_eq!(
        item.small.iter().map(FileTask::shown).collect::<Vec<_>>(),
        ["t/a", "t/b"]
    );
    assert_eq!(item.dirs.len(), 2);
    put_run(&mut schedule, 0, large);
    schedule.transfers.get_mut(&large).unwrap().verdict.values = Values::Asked;
    put(&mut schedule, 0, Work::Values(large));
    schedule.unassign(SlotId(0));
    let transfer = schedule.transfer(large).unwrap();
    assert_eq!(
        (transfer.plan.held(), transfer.verdict.values),
        (0, Values::Unasked)
    );
    assert!(rung(&mut schedule, |schedule| schedule.unassign(SlotId(0))).is_empty());
    assert!(!schedule.take_back(SlotId(0)));
    // Nobody waits for a listing once the client was stopped.
    schedule.stop();
    schedule.put_back(Work::Browse(browse));
    assert!(schedule.browses.is_empty());
}

#[test]
fn a_file_without_ranges_that_is_let_go_of_is_begun_anew() {
    for (ranges, all, stays) in [
        (true, false, true),
        (false, true, true),
        (false, false, false),
    ] {
        let mut schedule = schedule(1);
        let id = add_tree(&mut schedule);
        let large = transfer(&mut schedule, id);
        put_run(&mut schedule, 0, large);
        let transfer = schedule.transfers.get_mut(&large).unwrap();
        transfer.facts.ranges = ranges;
        if all {
            (0..4).for_each(|piece| transfer.plan.add_done(piece));
        }
        schedule.unassign(SlotId(0));
        assert_eq!(schedule.transfer(large).is_some(), stays);
        let waits = schedule.item(id).unwrap().large.front();
        assert_eq!(
            waits.map(|task| task.local),
            (!stays).then_some(Local::Part)
        );
    }
}

#[test]
fn only_a_file_is_asked_for_alone_next_time() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    put(&mut schedule, 0, Work::Open(file(id, "/t/a", None)));
    put(
        &mut schedule,
        0,
        Work::List(DirTask::new(id, path("/t/d/"))),
    );
    put(&mut schedule, 0, Work::Open(file(id, "/t/b", None)));
    for alone in [true, true, false] {
        let flight = schedule.slots[0].flight.pop_front();
        if alone {
            schedule.put_back_alone(flight);
        } else {
            schedule.put_back_flight(flight);
        }
    }
    schedule.put_back_alone(None);
    schedule.put_back_flight(None);
    let item = schedule.item(id).unwrap();
    let alone: Vec<_> = item
        .small
        .iter()
        .map(|task| (task.shown(), task.alone))
        .collect();
    assert_eq!(alone, [("t/b".to_owned(), false), ("t/a".to_owned(), true)]);
    assert_eq!(item.dirs.len(), 2);
}

#[test]
fn an_item_ends_once_nothing_of_it_is_under_way() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let other = add_tree(&mut schedule);
    let ends = |schedule: &mut Schedule| {
        schedule.end_item(id);
        schedule.item(id).unwrap().has_ended()
    };
    assert!(!ends(&mut schedule));
    schedule.item_mut(id).unwrap().dirs.clear();
    let large = transfer(&mut schedule, id);
    transfer(&mut schedule, other);
    assert!(!ends(&mut schedule));
    schedule.transfers.remove(&large);
    schedule.landings.insert(FileId(90), file(id, "/t/a", None));
    schedule
        .landings
        .insert(FileId(91), file(other, "/t/a", None));
    assert!(!ends(&mut schedule));
    schedule.landings.remove(&FileId(90));
    schedule
        .loads
        .insert(RestId(90), DirTask::new(id, path("/t/")));
    schedule
        .loads
        .insert(RestId(91), DirTask::new(other, path("/t/")));
    assert!(!ends(&mut schedule));
    schedule.loads.remove(&RestId(90));
    put(&mut schedule, 0, Work::Open(file(other, "/t/a", None)));
    put(&mut schedule, 0, Work::Open(file(id, "/t/a", None)));
    assert!(!ends(&mut schedule));
    schedule.slots[0].flight.pop_back();
    assert!(ends(&mut schedule) && schedule.is_going(other));
    schedule.outbox.clear();
    assert!(
        ends(&mut schedule) && schedule.outbox.is_empty(),
        "it is told once"
    );
}

/// A tree of which this was asked for, and that was listed: so many files were found, and the patterns saw `names`.
fn listed(
    fail_empty: bool,
    (get, exclude): (&[&str], &[&str]),
    found: u64,
    names: &[&str],
) -> (Schedule, ItemId) {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut schedule = schedule(1);
    schedule.limits.fail_empty = fail_empty;
    let filter = Filter::new(&owned(get), &owned(exclude)).unwrap();
    let id = schedule.add(NewItem {
        filter: (!get.is_empty() || !exclude.is_empty()).then(|| filter.clone()),
        ..NewItem::new(RemotePath::root())
    });
    let mut seen = filter;
    for name in names {
        seen.takes(&path(name));
    }
    schedule.matched(id, &seen);
    let item = schedule.item_mut(id).unwrap();
    item.dirs.clear();
    (item.found, item.finished) = (found, found);
    schedule.outbox.clear();
    (schedule, id)
}

fn told(schedule: &Schedule) -> Vec<Error> {
    let errors = schedule.outbox.iter().filter_map(|effect| match effect {
        Effect::Tell(Event::Failed { error, .. }) => Some(error.clone()),
        _ => None,
    });
    errors.collect()
}

fn no_match(pattern: &str) -> Error {
    Error::NoMatch(pattern.into())
}

#[test]
fn a_tree_without_a_file_fails_where_that_is_a_failure() {
    for (fail_empty, exclude, found, failed) in [
        (true, &[][..], 0, true),
        (false, &[][..], 0, false),
        (true, &["*"][..], 0, true),
        (false, &["*"][..], 0, false),
        (true, &["*"][..], 1, false),
    ] {
        let (mut schedule, id) = listed(fail_empty, (&[], exclude), found, &[]);
        schedule.end_item(id);
        let item = schedule.item(id).unwrap();
        assert_eq!((item.failed, item.has_ended()), (u64::from(failed), true));
        let errors = failed.then_some(Error::Empty);
        assert_eq!(told(&schedule), Vec::from_iter(errors));
    }
}

#[test]
fn each_pattern_that_matched_nothing_fails() {
    let none: &[&str] = &[];
    for (get, exclude, found, names, errors) in [
        (&["*.iso"][..], none, 0, none, &["*.iso"][..]),
        (
            &["*.iso", "a\n", "b"],
            none,
            1,
            &["/b"],
            &["*.iso", "a\\x0a"],
        ),
        (&["b", "c"], none, 2, &["/b", "/c"], none),
        (&["b"], &["b"], 0, &["/b"], none),
    ] {
        for fail_empty in [false, true] {
            let (mut schedule, id) = listed(fail_empty, (get, exclude), found, names);
            schedule.end_item(id);
            let mut expected: Vec<_> = errors.iter().map(|text| no_match(text)).collect();
            if expected.is_empty() && found == 0 && fail_empty {
                expected.push(Error::Empty);
            }
            assert_eq!(told(&schedule), expected, "{get:?}");
            let item = schedule.item(id).unwrap();
            assert_eq!(item.failed, expected.len() as u64);
            assert!(item.has_ended() && !item.is_unsettled());
        }
    }
}

#[test]
fn patterns_are_not_blamed_for_what_could_not_be_looked_at() {
    for hides in [0, 1, 2] {
        let (mut schedule, id) = listed(false, (&["a", "b"], &[]), 1, &["/a"]);
        let item = schedule.item_mut(id).unwrap();
        match hides {
            0 => item.keep_failed(DirTask::new(id, path("/d/")).into()),
            1 => item.forgetful = true,
            _ => item.life = Life::Cancelled,
        }
        schedule.end_item(id);
        assert!(told(&schedule).is_empty());
    }
    // A file that failed hides nothing.
    let (mut schedule, id) = listed(false, (&["a", "b"], &[]), 1, &["/a"]);
    let item = schedule.item_mut(id).unwrap();
    item.keep_failed(file(id, "/a", None).into());
    schedule.end_item(id);
    assert_eq!(told(&schedule), [no_match("b")]);
}

#[test]
fn a_retry_looks_for_what_nothing_matched() {
    for (names, dirs) in [(&["/a"][..], 1), (&["/a", "/b"][..], 0)] {
        let (mut schedule, id) = listed(false, (&["a", "b"], &[]), 1, names);
        schedule.end_item(id);
        let item = schedule.item_mut(id).unwrap();
        item.retry();
        assert_eq!(item.dirs.len(), dirs, "{names:?}");
    }
}

#[test]
fn what_may_pass_stays_in_the_journal_with_the_bytes_that_are_here() {
    for (error, settled) in [(Error::Empty, true), (NOWHERE, false)] {
        let mut schedule = schedule(1);
        let id = add_kept(&mut schedule, 4);
        let item = schedule.item_mut(id).unwrap();
        let mut task = item.small.pop_front().unwrap();
        task.kept = 7;
        item.settled = 5;
        schedule.task_ended_after(task.into(), 1, error);
        let item = schedule.item(id).unwrap();
        assert_eq!((item.kept, item.ticket.is_none()), (12, settled));
        assert!(matches!(item.life, Life::Ended(ItemState::Failed(_))));
        let settles = |it: &Effect| matches!(it, Effect::Settle(of) if *of == ticket(4));
        assert_eq!(schedule.outbox.iter().any(settles), settled);
    }
}
