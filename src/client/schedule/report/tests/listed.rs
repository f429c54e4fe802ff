//! Listings, and what turns out to be a directory.

use super::*;

#[test]
fn what_a_listing_names_is_counted_and_what_waits_on_disk_is_read_later() {
    let now = Instant::now();
    for rest in [None, Some(RestId(5))] {
        let mut schedule = schedule(1);
        let item = add(&mut schedule, vec![]);
        let Work::List(mut task) = read(&mut schedule, 0, now).work else {
            panic!("it lists nothing")
        };
        task.rest = rest;
        let dirs = vec![DirTask::new(item, path("/d/"))];
        let waiting = Sum { files: 2, bytes: 9 };
        let listed = Answered::Listed {
            task: task.clone(),
            dirs,
            waiting,
        };
        answer(&mut schedule, listed, OPEN, now);
        let of = schedule.item(item).unwrap();
        assert_eq!((of.found, of.total), (2, 9));
        assert_eq!(of.dirs.len(), 1 + usize::from(rest.is_some()));
        assert_eq!(of.dirs.last().unwrap().dir, path("/d/"));
        // The item is gone meanwhile.
        schedule.items.clear();
        schedule.listed(task, vec![], waiting);
        let effects = schedule.take_effects();
        let drops = |it: &&Effect| matches!(it, Effect::DropRest(_));
        let dropped = effects.iter().filter(drops).count();
        assert_eq!(dropped, usize::from(rest.is_some()));
    }
}

#[test]
fn an_empty_listing_ends_its_item() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    add(&mut schedule, vec![]);
    let Work::List(task) = read(&mut schedule, 0, now).work else {
        panic!("it lists nothing")
    };
    let waiting = Sum::default();
    let dirs = vec![];
    let listed = Answered::Listed {
        task,
        dirs,
        waiting,
    };
    answer(&mut schedule, listed, OPEN, now);
    assert_eq!(done(&mut schedule).ended, 1);
}

#[test]
fn what_was_taken_for_a_file_is_listed_once_it_is_known_to_be_a_directory() {
    let now = Instant::now();
    let mut schedule = schedule(1);
    let item = schedule.add(NewItem {
        size: Some(9),
        ..NewItem::new(path("/a"))
    });
    schedule.item_mut(item).unwrap().small[0].local = crate::client::disk::names::Local::Nothing;
    let task = open(&mut schedule, 0, now);
    answer(&mut schedule, Answered::IsDir(task.clone()), OPEN, now);
    let of = schedule.item(item).unwrap();
    assert!(of.tree && of.path == path("/a/"));
    assert_eq!((of.found, of.total), (0, 0));
    assert_eq!(of.dirs[0].dir, path("/a/"));
    // In a tree its path stays.
    let mut other = task;
    other.path = path("/b");
    schedule.is_dir(&other);
    let of = schedule.item(item).unwrap();
    assert_eq!((of.path.clone(), of.dirs.len()), (path("/a/"), 2));
}
