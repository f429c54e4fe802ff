use std::time::Duration;

use super::*;
use crate::client::schedule::testing::path;
use crate::{
    client::task::Led,
    client::want::{Rule, Want},
    pieces::PIECE,
};

pub(super) fn file(name: &str, size: Option<u64>) -> FileTask {
    FileTask {
        size,
        ..FileTask::new(ItemId(1), path(name))
    }
}

pub(super) fn dir(name: &str) -> DirTask {
    DirTask::new(ItemId(1), path(name))
}

pub(super) fn item(new: NewItem) -> Item {
    Item::new(ItemId(1), new)
}

/// A tree of which nothing is known.
pub(super) fn tree() -> Item {
    item(NewItem::new(path("/t/")))
}

pub(super) fn shown<'a>(files: impl IntoIterator<Item = &'a FileTask>) -> Vec<String> {
    files.into_iter().map(FileTask::shown).collect()
}

/// What the source at `place` sees, where all of `usable` may be asked and are left.
fn outlook(place: usize, usable: SourceSet) -> Outlook {
    Outlook {
        source: SourceId::at(place),
        usable,
        kept: usable,
    }
}

fn led_to(mut task: FileTask, source: SourceId) -> FileTask {
    task.led.push(Led {
        first: SourceId::at(0),
        at: source,
        target: "/x".into(),
        hops: 1,
    });
    task
}

#[test]
fn an_item_is_called_by_what_was_asked_for() {
    let filter = |get: &[&str]| {
        let get: Vec<String> = get.iter().map(|text| (*text).to_owned()).collect();
        Some(Filter::new(&get, &[]).unwrap())
    };
    let new = |text, filter, named: usize| NewItem {
        filter,
        named: vec![file("/n", None); named],
        ..NewItem::new(path(text))
    };
    for (new, label) in [
        (new("/", filter(&["*.iso", "a/"]), 0), Some("*.iso a/")),
        (new("/t/", None, 0), None),
        (new("/", None, 0), Some("everything")),
        (new("/", None, 2), Some("Metalink")),
        (new("/n", None, 1), None),
    ] {
        assert_eq!(item(new).label().as_deref(), label);
    }
}

#[test]
fn an_item_begins_with_a_file_a_directory_or_what_is_named() {
    let single = item(NewItem {
        rename: Some(b"b".to_vec()),
        checksum: Some(Box::new(Digest::Md5([0; 16]))),
        size: Some(5),
        paused: true,
        ..NewItem::new(path("/a"))
    });
    assert_eq!((single.tree, single.life), (false, Life::Paused));
    assert_eq!((single.found, single.total, single.sized), (1, 5, true));
    let task = &single.small[0];
    assert_eq!((task.item, task.size), (ItemId(1), Some(5)));
    assert!(task.rename.is_some() && task.checksum.is_some() && task.local == Local::Unknown);

    let tree = item(NewItem {
        size: Some(5),
        ..NewItem::new(path("/t/"))
    });
    assert_eq!((tree.tree, tree.life.clone()), (true, Life::Going));
    assert_eq!((tree.found, tree.total, tree.dirs.len()), (0, 0, 1));
    assert_eq!(
        (tree.dirs[0].item, &tree.dirs[0].dir),
        (ItemId(1), &path("/t/"))
    );

    let stray = FileTask::new(ItemId(0), path("/c"));
    let named = item(NewItem {
        named: vec![file("/a", Some(2 * PIECE)), stray, file("/b", Some(7))],
        ..NewItem::new(RemotePath::root())
    });
    assert_eq!(
        (named.found, named.total, named.sized),
        (3, 2 * PIECE + 7, true)
    );
    assert_eq!(shown(&named.large), ["a"]);
    assert_eq!(shown(&named.small), ["c", "b"]);
    assert!(named.waiting().all(|task| task.item == ItemId(1)));
    let unsized_ = item(NewItem {
        named: vec![file("/a", None)],
        ..NewItem::new(RemotePath::root())
    });
    assert!(!unsized_.sized && unsized_.dirs.is_empty());
}

#[test]
fn an_item_names_the_files_that_land_before_anything_is_listed() {
    let rename = |to: &str, task| FileTask {
        rename: Some(to.into()),
        ..task
    };
    let named = vec![file("/d/a", None), rename("c", file("/d/b", None))];
    for (new, files) in [
        (NewItem::new(path("/d/a")), vec!["/d/a"]),
        (
            NewItem {
                rename: Some("b".into()),
                ..NewItem::new(path("/d/a"))
            },
            vec!["/d/b"],
        ),
        (NewItem::new(path("/d/")), vec![]),
        (
            NewItem {
                named,
                ..NewItem::new(path("/d/m.meta4"))
            },
            vec!["/d/a", "/d/c"],
        ),
    ] {
        assert_eq!(new.files(), files.into_iter().map(path).collect::<Vec<_>>());
    }
}

#[test]
fn an_item_is_about_one_file_where_it_names_no_other() {
    let a = path("/d/a");
    let new = || NewItem::new(a.clone());
    assert_eq!(new().scope().file(), Some(&a));
    for (name, file) in [("a", Some(&a)), ("b", None)] {
        let renamed = NewItem {
            rename: Some(name.into()),
            ..new()
        };
        assert_eq!(renamed.scope().file(), file);
    }
    assert_eq!(NewItem::new(path("/d/")).scope().file(), None);
    let named = NewItem {
        named: vec![file("/d/b", None)],
        ..new()
    };
    assert_eq!(named.scope().file(), None);
}

#[test]
fn what_the_journal_keeps_of_an_item_holds_from_the_start() {
    let want = Want::Path {
        path: path("/a"),
        size: None,
    };
    let mut wanted = Wanted::new(&want, None, Rule::default()).unwrap();
    wanted.set_limit(Some(Rate(5)));
    wanted.first = true;
    let ticket: Ticket = serde_json::from_str("4").unwrap();
    let mut kept = item(NewItem {
        kept_as: Some((ticket, wanted)),
        ..NewItem::new(path("/a"))
    });
    assert_eq!(
        (kept.ticket, kept.limit, kept.first),
        (Some(ticket), Some(Rate(5)), true)
    );
    kept.set_first(false);
    assert!(!kept.first && !kept.wanted.unwrap().first);
    let mut new = tree();
    assert_eq!((new.ticket, new.limit, new.first), (None, None, false));
    new.set_first(true);
    assert!(new.first);
}

#[test]
fn a_limited_item_has_use_for_a_connection_for_each_mebibyte() {
    for (limit, most) in [
        (None, usize::MAX),
        (Some(1), 1),
        (Some(PIECE), 1),
        (Some(2 * PIECE - 1), 1),
        (Some(2 * PIECE), 2),
        (Some(40 * PIECE), 40),
    ] {
        let mut item = tree();
        item.limit = limit.map(Rate);
        assert_eq!(item.connections_max(), most);
    }
}

#[test]
fn an_item_is_cancelled_before_and_after_it_ends() {
    for (life, going, cancelled, ended) in [
        (Life::Going, true, false, false),
        (Life::Paused, false, false, false),
        (Life::Cancelled, false, true, false),
        (Life::Ended(ItemState::Cancelled), false, true, true),
        (
            Life::Ended(ItemState::Failed("x".into())),
            false,
            false,
            true,
        ),
    ] {
        let mut item = tree();
        item.life = life;
        let is = (item.is_going(), item.is_cancelled(), item.has_ended());
        assert_eq!(is, (going, cancelled, ended), "{:?}", item.life);
    }
}

#[test]
fn what_comes_back_is_next_and_what_is_new_is_last() {
    let mut item = tree();
    for size in [None, Some(9 * PIECE)] {
        item.push_back(file("/a", size));
        item.push_back(file("/b", size));
        item.take_back(file("/c", size));
    }
    assert_eq!(shown(&item.small), ["c", "a", "b"]);
    assert_eq!(shown(&item.large), ["c", "a", "b"]);
    item.take_dirs(vec![dir("/t/d/"), dir("/t/e/")]);
    item.take_back_task(dir("/t/f/").into());
    let dirs = item.dirs.iter().rev().map(|task| task.dir.to_target());
    assert!(dirs.eq(["/t/f/", "/t/d/", "/t/e/", "/t/"]));
    assert_eq!(item.known(), 6);
    assert_eq!(item.waiting_mut().count(), 6);
}

#[test]
fn what_comes_back_to_a_cancelled_item_is_kept_for_a_retry() {
    let mut item = tree();
    item.life = Life::Cancelled;
    item.take_back(file("/a", None));
    item.take_back_later(file("/b", None).into(), Instant::now(), "x".into());
    item.take_back_task(dir("/t/d/").into());
    assert_eq!((item.failed_files.len(), item.failed_dirs.len()), (2, 1));
    assert_eq!((item.known(), item.dirs.len()), (0, 1));
}

#[test]
fn what_waits_for_a_later_time_comes_back_then_in_its_turn() {
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let mut item = tree();
    item.dirs.clear();
    for (name, at) in [("/a", 2), ("/b", 1), ("/c", 1), ("/d", 1)] {
        let reason = "busy".to_owned();
        item.take_back_later(file(name, None).into(), now + at * second, reason);
    }
    assert_eq!((item.known(), item.waits_for_nothing()), (4, false));
    item.release(Some(now));
    assert_eq!(item.small.len(), 0);
    item.release(Some(now + second));
    assert_eq!(shown(&item.small), ["d", "c", "b"]);
    assert_eq!(item.known(), 4);
    item.release(None);
    assert_eq!((item.small.len(), item.later.len()), (4, 0));
    item.small.clear();
    assert!(item.waits_for_nothing());
}

#[test]
fn an_item_waits_for_nothing_only_where_every_queue_is_empty() {
    let mut item = tree();
    assert!(!item.waits_for_nothing());
    item.dirs.clear();
    assert!(item.waits_for_nothing());
    for size in [None, Some(2 * PIECE)] {
        item.push_back(file("/a", size));
        assert!(!item.waits_for_nothing());
        item.small.clear();
        item.large.clear();
    }
    item.take_back_later(file("/a", None).into(), Instant::now(), String::new());
    assert!(!item.waits_for_nothing());
}

#[test]
fn sizes_that_are_known_later_are_counted() {
    let mut item = tree();
    let sum = |files, bytes| Sum { files, bytes };
    item.count_found(sum(2, 50));
    item.count_found(sum(1, 7));
    assert_eq!((item.found, item.total, item.sized), (3, 57, false));
    item.resized(Some(7), 9);
    assert_eq!((item.total, item.sized), (59, true));
    item.resized(None, 1);
    assert_eq!(item.total, 60);
    // A listing may tell any size.
    item.count_found(sum(1, u64::MAX));
    assert_eq!(item.total, u64::MAX);
    item.resized(Some(u64::MAX), 3);
    assert_eq!(item.total, 3);
}

#[test]
fn memory_stays_bounded_by_files_and_by_directories() {
    let mut item = tree();
    item.small = vec![file("/a", None); FILES_MAX - 1].into();
    item.large.push_back(file("/b", Some(2 * PIECE)));
    let outlook = outlook(0, SourceSet::all(1));
    item.dirs.push(dir("/t/d/"));
    assert!(!item.is_full() && item.take_dir(&outlook).is_some());
    item.take_back_later(file("/c", None).into(), Instant::now(), String::new());
    assert!(item.is_full() && item.take_dir(&outlook).is_none());
    item.small.clear();
    item.dirs = vec![dir("/t/d/"); DIRS_MAX];
    assert!(!item.is_full());
    item.dirs.push(dir("/t/d/"));
    assert!(item.is_full());
}

#[test]
fn a_source_takes_the_first_file_that_it_leads() {
    let both = SourceSet::all(2);
    let mut refused = file("/a", None);
    refused.tried = SourceSet::of(SourceId::at(0));
    let mut item = tree();
    item.small = [refused.clone(), file("/b", None)].into();
    item.large = [FileTask {
        size: Some(2 * PIECE),
        ..refused.clone()
    }]
    .into();
    let mut take = |place, large| {
        let task = item.take_file(large, &outlook(place, both));
        task.map(|task| task.shown())
    };
    assert_eq!(take(0, true), None);
    assert_eq!(take(0, false).as_deref(), Some("b"));
    assert_eq!(take(0, false), None);
    assert_eq!(take(1, false).as_deref(), Some("a"));
    assert_eq!(take(1, true).as_deref(), Some("a"));
    // Not all of a long queue is looked through.
    item.small = vec![refused; LOOK_MAX].into();
    item.push_back(file("/b", None));
    assert!(item.take_file(false, &outlook(0, both)).is_none());
    item.small.pop_front();
    assert!(item.take_file(false, &outlook(0, both)).is_some());
}

#[test]
fn a_source_lists_the_last_directory_if_it_leads_it() {
    let both = SourceSet::all(2);
    let mut item = tree();
    let mut refused = dir("/t/d/");
    refused.tried = SourceSet::of(SourceId::at(0));
    item.dirs.push(refused);
    assert!(item.take_dir(&outlook(0, both)).is_none());
    assert_eq!(item.take_dir(&outlook(1, both)).unwrap().dir, path("/t/d/"));
    assert!(item.take_dir(&outlook(1, both)).is_none());
    assert_eq!(item.take_dir(&outlook(0, both)).unwrap().dir, path("/t/"));
}

#[test]
fn the_sources_of_what_waits_first_are_needed() {
    let both = SourceSet::all(2);
    let led = SourceId::led(0);
    let mut item = tree();
    let needed = |item: &Item, usable| item.needed(&outlook(0, usable));
    let set = |sources: &[SourceId]| sources.iter().copied().collect::<SourceSet>();
    let (first, second) = (SourceId::at(0), SourceId::at(1));
    assert_eq!(needed(&item, both), set(&[first]));
    item.dirs[0].tried.insert(first);
    assert_eq!(needed(&item, both), set(&[second]));
    item.dirs.clear();
    assert_eq!(needed(&item, both), set(&[]));
    item.push_back(file("/a", Some(2 * PIECE)));
    let mut refused = file("/b", None);
    refused.tried.insert(first);
    item.push_back(refused);
    assert_eq!(needed(&item, both), set(&[first, second]));
    // Files behind the first are led elsewhere only where redirects led at all.
    item.push_back(led_to(file("/c", None), led));
    assert_eq!(needed(&item, both), set(&[first, second]));
    let with_led = both.union(SourceSet::of(led));
    assert_eq!(needed(&item, with_led), set(&[first, second, led]));
    // No redirect leads from a directory.
    item.small.clear();
    item.large.clear();
    item.dirs.push(dir("/t/"));
    assert_eq!(needed(&item, with_led), set(&[first]));
}

#[test]
fn a_file_that_waits_for_where_a_redirect_led_is_taken_out() {
    let (led, other) = (SourceId::led(0), SourceId::led(1));
    let mut item = tree();
    item.push_back(file("/a", None));
    item.push_back(led_to(file("/b", None), led));
    item.push_back(led_to(file("/c", Some(2 * PIECE)), led));
    item.push_back(led_to(file("/d", Some(2 * PIECE)), other));
    let taken = std::iter::from_fn(|| item.take_led(led)).map(|task| task.shown());
    assert!(taken.eq(["b", "c"]));
    assert_eq!(shown(item.waiting()), ["a", "d"]);
}
