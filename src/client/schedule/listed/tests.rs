use super::{
    super::{
        NewItem,
        item::Life,
        user::tests::{add_tree, fail, file, rung, ticket},
    },
    *,
};
use crate::client::schedule::testing::{complete, path, schedule};
use crate::client::{
    Verified,
    snapshot::ItemState,
    want::{Rule, Want, Wanted},
};

const ALL: [usize; 4] = [0, 1, 2, 3];

fn two(id: ItemId) -> Vec<FileTask> {
    vec![file(id, "/t/a", Some(5)), file(id, "/t/b", None)]
}

fn set_life(schedule: &mut Schedule, id: ItemId, life: Life) {
    schedule.item_mut(id).unwrap().life = life;
}

/// Files found and finished, and their bytes.
fn counts(schedule: &Schedule, id: ItemId) -> (u64, u64, u64) {
    let item = schedule.item(id).unwrap();
    (item.found, item.finished, item.total)
}

/// Directories of which the next entries are being read.
fn loads(schedule: &mut Schedule, id: ItemId) -> RestId {
    let rest = schedule.new_rest();
    let mut task = schedule.item_mut(id).unwrap().dirs.pop().unwrap();
    task.rest = Some(rest);
    schedule.loads.insert(rest, task);
    rest
}

fn drops(schedule: &Schedule, rest: RestId) -> bool {
    let drops = |it: &Effect| matches!(it, Effect::DropRest(of) if *of == rest);
    schedule.outbox.iter().any(drops)
}

#[test]
fn entries_go_to_disk_while_a_going_item_is_full() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    assert!(!schedule.is_full(id) && !schedule.is_full(ItemId(99)));
    let small = vec![file(id, "/t/a", None); 20_001];
    schedule.item_mut(id).unwrap().small = small.into();
    assert_eq!((schedule.is_full(id), schedule.known(id)), (true, 20_001));
    set_life(&mut schedule, id, Life::Ended(ItemState::Cancelled));
    assert!(!schedule.is_full(id));
}

#[test]
fn a_tree_is_gone_once_it_is_cancelled_or_ended() {
    let mut schedule = schedule(1);
    let filter = Filter::new(&["*.iso".into()], &[]).unwrap();
    let id = schedule.add(NewItem {
        filter: Some(filter),
        ..NewItem::new(path("/t/"))
    });
    let plain = add_tree(&mut schedule);
    assert!(matches!(schedule.tree(plain), Some(None)));
    assert!(schedule.tree(ItemId(99)).is_none());
    for (life, is_there) in [
        (Life::Going, true),
        (Life::Paused, true),
        (Life::Cancelled, false),
        (Life::Ended(ItemState::Failed("x".into())), false),
    ] {
        set_life(&mut schedule, id, life);
        assert_eq!(matches!(schedule.tree(id), Some(Some(_))), is_there);
        assert_eq!(schedule.tree(id).is_some(), is_there);
    }
}

#[test]
fn a_tree_wants_what_lies_below_it_and_its_filter_takes() {
    let mut schedule = schedule(1);
    let filter = Filter::new(&["t/*.iso".into()], &[]).unwrap();
    let filtered = schedule.add(NewItem {
        filter: Some(filter),
        ..NewItem::new(path("/t/"))
    });
    let tree = add_tree(&mut schedule);
    let single = schedule.add(NewItem::new(path("/t")));
    for (id, file, wants) in [
        (tree, "/t/a", true),
        (tree, "/t/d/a", true),
        (tree, "/u/a", false),
        (filtered, "/t/a", false),
        (filtered, "/t/a.iso", true),
        (filtered, "/u/a.iso", false),
        (single, "/t/a", false),
        (ItemId(99), "/t/a", false),
    ] {
        assert_eq!(schedule.tree_wants(id, &path(file)), wants, "{id:?} {file}");
    }
}

#[test]
fn a_tree_decides_about_what_it_fetches_and_what_its_patterns_leave_out() {
    let mut schedule = schedule(1);
    let filter = Filter::new(&[], &["t/*.iso".into()]).unwrap();
    let tree = schedule.add(NewItem {
        filter: Some(filter),
        extras: true,
        ..NewItem::new(path("/t/"))
    });
    let plain = add_tree(&mut schedule);
    for (id, file, decides) in [
        (tree, "/t/a", true),
        (tree, "/t/a.iso", true),
        (tree, "/u/a", false),
        (plain, "/t/a", true),
        (plain, "/u/a.iso", false),
    ] {
        assert_eq!(schedule.tree_decides(id, &path(file)), decides, "{file}");
    }
    assert!(schedule.notes_extras(tree) && !schedule.notes_extras(plain));
}

#[test]
fn of_two_trees_that_earlier_runs_left_the_later_one_has_what_both_take() {
    let mut schedule = schedule(1);
    let mut add = |earlier| {
        schedule.add(NewItem {
            earlier: Some(ticket(earlier)),
            ..NewItem::new(path("/t/"))
        })
    };
    let ids = [add(1), add(2)];
    let [first, second] = ids.map(|id| schedule.item(id).unwrap());
    assert!(second.comes_after(first) && !first.comes_after(second));
    let entry = Entry {
        name: "a".into(),
        is_dir: false,
        size: None,
        modified: None,
        blake3: None,
    };
    for (id, left) in ids.into_iter().zip([true, false]) {
        let entries = schedule.without_later(id, &path("/t/"), vec![entry.clone()]);
        assert_eq!(entries.is_empty(), left);
        assert_eq!(schedule.item(id).unwrap().left, left);
    }
}

#[test]
fn what_an_earlier_run_left_leaves_files_to_what_was_asked_for_later() {
    let mut schedule = schedule(1);
    let wanted = |to: Option<&str>| {
        let want = Want::Path {
            path: path("/t/"),
            size: None,
        };
        Wanted::new(&want, to.map(Path::new), Rule::default()).unwrap()
    };
    let mut add = |earlier: Option<u64>, to: Option<&str>, what: &str| {
        schedule.add(NewItem {
            earlier: earlier.map(ticket),
            kept_as: Some((ticket(earlier.unwrap_or(9)), wanted(to))),
            ..NewItem::new(path(what))
        })
    };
    let old = add(Some(3), None, "/t/");
    let older = add(Some(2), None, "/t/b");
    let newer = add(Some(4), None, "/t/c");
    let now = add(None, None, "/t/d");
    let elsewhere = add(None, Some("/elsewhere"), "/t/a");
    let left = |schedule: &mut Schedule, id| {
        let names = ["a", "b", "c", "d", "e/"];
        let entries = names.map(|name| Entry {
            name: name.trim_end_matches('/').into(),
            is_dir: name.ends_with('/'),
            size: None,
            modified: None,
            blake3: None,
        });
        let left = schedule.without_later(id, &path("/t/"), entries.into());
        let names = left
            .iter()
            .map(|it| String::from_utf8_lossy(&it.name).into_owned());
        names.collect::<String>()
    };
    // One that is about a file alone has it, whichever was first.
    assert_eq!(left(&mut schedule, old), "ae");
    let item = schedule.item_mut(old).unwrap();
    assert!(item.left && !item.is_empty());
    for of_now in [now, elsewhere] {
        assert_eq!(left(&mut schedule, of_now), "abcde");
    }
    assert!(schedule.takes(&path("/t/b"), None) && !schedule.takes(&path("/x"), None));
    assert!(schedule.takes(&path("/t/a"), Some(Path::new("/elsewhere"))));
    set_life(
        &mut schedule,
        now,
        Life::Ended(ItemState::Failed("x".into())),
    );
    set_life(&mut schedule, newer, Life::Cancelled);
    set_life(&mut schedule, older, Life::Cancelled);
    assert_eq!(left(&mut schedule, old), "abcde", "they were given up");
    set_life(
        &mut schedule,
        now,
        Life::Ended(ItemState::Finished(Verified::Blake3)),
    );
    assert_eq!(left(&mut schedule, old), "abce", "that one is here");
    let renamed = schedule.add(NewItem {
        rename: Some(b"c".to_vec()),
        ..NewItem::new(path("/t/a"))
    });
    assert_eq!(
        left(&mut schedule, old),
        "abce",
        "it lands under another name"
    );
    set_life(&mut schedule, renamed, Life::Cancelled);
    schedule.add(NewItem {
        filter: Some(Filter::new(&["t/*".into()], &["t/b".into()]).unwrap()),
        ..NewItem::new(RemotePath::root())
    });
    assert_eq!(left(&mut schedule, old), "be");
    let named = vec![file(ItemId(0), "/t/b", None)];
    schedule.add(NewItem {
        named,
        ..NewItem::new(RemotePath::root())
    });
    assert_eq!(left(&mut schedule, old), "e");
}

#[test]
fn what_a_listing_leaves_out_fails() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let task = DirTask::new(id, path("/t/"));
    schedule.outbox.clear();
    schedule.refused(&task, Error::Empty);
    assert!(matches!(
        schedule.outbox.back(),
        Some(Effect::Tell(Event::Failed {
            attempts: 1,
            error: Error::Empty,
            ..
        }))
    ));
    assert_eq!(schedule.item(id).unwrap().failed, 1);
}

#[test]
fn files_that_are_found_wait_unless_the_item_was_cancelled() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let ring = rung(&mut schedule, |schedule| {
        assert!(schedule.found(id, two(id)));
    });
    assert_eq!(ring, ALL);
    assert_eq!((counts(&schedule, id), schedule.known(id)), ((2, 0, 5), 2));
    set_life(&mut schedule, id, Life::Cancelled);
    assert!(!schedule.found(id, two(id)) && !schedule.found(ItemId(99), two(id)));
    assert_eq!((counts(&schedule, id), schedule.known(id)), ((2, 0, 5), 2));
}

#[test]
fn files_that_are_here_are_counted_once() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let files = || {
        two(id)
            .into_iter()
            .map(|file| (file, complete(5, Verified::Present)))
            .collect()
    };
    assert!(schedule.here(id, files(), false));
    assert_eq!(counts(&schedule, id), (2, 2, 5));
    assert_eq!(schedule.item(id).unwrap().settled, 10);
    assert!(schedule.here(id, files(), true));
    assert_eq!(counts(&schedule, id), (2, 4, 5));
    // What was counted is to be tried again, and the rest is found anew then.
    set_life(&mut schedule, id, Life::Cancelled);
    assert!(!schedule.here(id, files(), false));
    assert_eq!(schedule.item(id).unwrap().failed_files.len(), 0);
    assert!(!schedule.here(id, files(), true));
    assert_eq!(schedule.item(id).unwrap().failed_files.len(), 2);
    assert_eq!(counts(&schedule, id), (2, 4, 5));
    set_life(&mut schedule, id, Life::Ended(ItemState::Cancelled));
    assert!(!schedule.here(id, files(), true));
    assert_eq!(schedule.item(id).unwrap().failed_files.len(), 2);
}

#[test]
fn a_run_that_changes_nothing_tells_what_it_would_do() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let files = || {
        two(id)
            .into_iter()
            .map(|file| (file, Action::Fetch))
            .collect()
    };
    for found in [2, 4] {
        schedule.outbox.clear();
        assert!(schedule.would(id, files()));
        assert_eq!(counts(&schedule, id), (found, found, 0));
        let told = schedule.outbox.iter().filter_map(|effect| match effect {
            Effect::Tell(Event::Would { item, bytes, .. }) => Some((*item, *bytes)),
            _ => None,
        });
        assert!(told.eq([(id, Some(5)), (id, None)]));
    }
    set_life(&mut schedule, id, Life::Cancelled);
    assert!(!schedule.would(id, files()));
    assert_eq!(counts(&schedule, id), (4, 4, 0));
}

#[test]
fn what_was_read_from_the_disk_waits_and_the_rest_after_it() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let rest = loads(&mut schedule, id);
    assert_eq!(schedule.loading(rest).unwrap().dir, path("/t/"));
    let dirs = || vec![DirTask::new(id, path("/t/d/"))];
    let ring = rung(&mut schedule, |schedule| {
        schedule.loaded(rest, dirs(), two(id), true);
    });
    assert_eq!(ring, ALL);
    let item = schedule.item(id).unwrap();
    let all = item
        .dirs
        .iter()
        .map(|task| (task.dir.to_target(), task.rest));
    assert!(all.eq([("/t/".into(), Some(rest)), ("/t/d/".into(), None)]));
    assert_eq!((item.small.len(), item.found), (2, 0));
    assert!(!drops(&schedule, rest) && schedule.loading(rest).is_none());
    // The last of it.
    schedule.item_mut(id).unwrap().dirs.pop();
    let rest = loads(&mut schedule, id);
    schedule.loaded(rest, dirs(), two(id), false);
    let item = schedule.item(id).unwrap();
    assert_eq!((item.dirs.len(), item.small.len()), (1, 4));
    assert!(drops(&schedule, rest));
    assert!(
        rung(&mut schedule, |schedule| schedule.loaded(
            rest,
            vec![],
            vec![],
            true
        ))
        .is_empty()
    );
}

#[test]
fn what_is_read_for_a_cancelled_item_is_kept_for_a_retry() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let rest = loads(&mut schedule, id);
    set_life(&mut schedule, id, Life::Cancelled);
    let dirs = vec![DirTask::new(id, path("/t/d/"))];
    schedule.loaded(rest, dirs, two(id), true);
    let item = schedule.item(id).unwrap();
    assert_eq!((item.failed_files.len(), item.failed_dirs.len()), (2, 2));
    assert_eq!(item.life, Life::Ended(ItemState::Cancelled));
}

#[test]
fn an_item_ends_with_the_last_of_what_waited_on_disk() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let rest = loads(&mut schedule, id);
    schedule.end_item(id);
    assert!(schedule.is_going(id));
    schedule.loaded(rest, vec![], vec![], false);
    assert!(schedule.item(id).unwrap().has_ended());
}

#[test]
fn an_item_of_which_entries_were_lost_begins_anew_when_it_is_tried_again() {
    let mut schedule = schedule(1);
    let id = add_tree(&mut schedule);
    let rest = loads(&mut schedule, id);
    schedule.loads.get_mut(&rest).unwrap().failures = 2;
    schedule.outbox.clear();
    let ring = rung(&mut schedule, |schedule| {
        schedule.load_failed(rest, Error::Empty);
    });
    assert_eq!(ring, ALL);
    assert!(drops(&schedule, rest));
    let attempts = schedule.outbox.iter().find_map(|effect| match effect {
        Effect::Tell(Event::Failed { attempts, .. }) => Some(*attempts),
        _ => None,
    });
    assert_eq!(attempts, Some(3));
    let item = schedule.item(id).unwrap();
    assert!(item.forgetful && item.has_ended());
    assert_eq!((item.failed, item.failed_dirs[0].rest), (1, None));
    schedule.outbox.clear();
    schedule.load_failed(rest, Error::Empty);
    assert!(schedule.outbox.is_empty());
    let other = add_tree(&mut schedule);
    fail(&mut schedule, other);
    assert!(!schedule.item(other).unwrap().forgetful);
}
