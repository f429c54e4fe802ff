//! Small files that land together.

use super::*;
use crate::config::OnConflict;

/// Its address must not become another one's while a handle of its directory is kept.
#[test]
fn a_target_lives_as_long_as_the_handles_of_its_directories() {
    let temp = tempfile::tempdir().unwrap();
    let mut dirs = Dirs::default();
    let target = Arc::new(Target::open(temp.path(), OnConflict::Verify).unwrap());
    let alive = Arc::downgrade(&target);
    dirs.get(&target, &RemotePath::root()).unwrap();
    drop(target);
    assert!(alive.upgrade().is_some());
    drop(dirs);
    assert!(alive.upgrade().is_none());
}

/// A target, and the small file `name` for it, which has room.
fn small(lander: &Lander, target: &Arc<Target>, name: &str, content: &[u8]) -> SmallFile {
    assert!(lander.try_room_for(content.len()));
    let path = RemotePath::from_target(format!("/{name}").as_bytes()).unwrap();
    SmallFile {
        file: FileId(0),
        task: FileTask::new(crate::client::ItemId::default(), path),
        target: Arc::clone(target),
        content: content.to_vec(),
        modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)),
        proof: Proof::of_content(content, None, []).unwrap(),
        began: Instant::now(),
    }
}

fn target() -> (tempfile::TempDir, Arc<Target>) {
    let temp = tempfile::tempdir().unwrap();
    let target = Target::open(temp.path(), OnConflict::Verify).unwrap();
    (temp, Arc::new(target))
}

#[test]
fn what_waits_lands_whole_with_its_date_and_each_is_told_once() {
    let (lander, (temp, target)) = (Lander::default(), target());
    let names: Vec<_> = (0..300).map(|n| format!("d{}/f{n}", n % 70)).collect();
    let files = names
        .iter()
        .map(|name| small(&lander, &target, name, name.as_bytes()));
    assert!(lander.push(files.collect::<Vec<_>>()));
    let told = std::cell::RefCell::new(Vec::new());
    lander.work(&|outcomes| {
        assert!(!outcomes.is_empty() && outcomes.len() <= TOLD_AT_ONCE);
        let outcomes = outcomes.into_iter();
        told.borrow_mut().extend(outcomes.map(|(small, outcome)| {
            outcome.unwrap();
            small.content
        }));
    });
    let told = told.into_inner();
    assert!(told.iter().eq(names.iter().map(String::as_bytes)));
    for name in &names {
        let path = temp.path().join(name);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), *name);
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(
            modified,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
        );
    }
    // Their names were given after the sync of their contents: they are still to be synced.
    assert_eq!(lock(&lander.named).len(), 1);
    lander.sync_names().unwrap();
    assert!(lock(&lander.named).is_empty());
}

#[test]
fn two_threads_land_and_only_for_what_waits() {
    let (lander, (_temp, target)) = (Lander::default(), target());
    assert!(!lander.push([]));
    let push = |name| lander.push([small(&lander, &target, name, b"x")]);
    assert_eq!([push("a"), push("b"), push("c")], [true, true, false]);
    lander.work(&|_| {});
    assert_eq!(lander.waiting().threads, 1);
    assert!(lander.waiting().files.is_empty());
    assert_eq!([push("d"), push("e")], [true, false]);
}

#[tokio::test(start_paused = true)]
async fn only_what_landed_makes_room() {
    let (lander, (_temp, target)) = (Lander::default(), target());
    let most = WAITING_MAX as usize;
    // An empty file takes some as well, and what is larger than all takes all.
    lander.push([small(&lander, &target, "empty", b"")]);
    assert!(!lander.try_room_for(most));
    let soon = Duration::from_secs(1);
    let waited = tokio::time::timeout(soon, lander.room_for(2 * most)).await;
    assert!(waited.is_err());
    lander.work(&|_| {});
    let waited = tokio::time::timeout(soon, lander.room_for(2 * most)).await;
    assert!(waited.is_ok());
    assert!(!lander.try_room_for(0));
}

#[test]
fn one_that_cannot_be_written_or_named_fails_alone() {
    let (lander, (temp, target)) = (Lander::default(), target());
    std::fs::write(temp.path().join("file"), "").unwrap();
    let files = ["before", "file/below", "after"];
    lander.push(files.map(|name| small(&lander, &target, name, b"x")));
    let failed = std::cell::RefCell::new(Vec::new());
    lander.work(&|outcomes| {
        let outcomes = outcomes.into_iter();
        let outcomes = outcomes.map(|(small, outcome)| (small.task.shown(), outcome.is_err()));
        failed.borrow_mut().extend(outcomes);
    });
    let mut failed = failed.into_inner();
    failed.sort();
    let expected = [("after", false), ("before", false), ("file/below", true)];
    assert_eq!(
        failed,
        expected.map(|(name, failed)| (name.to_owned(), failed))
    );
    assert!(temp.path().join("after").exists());
}

#[test]
fn handles_of_few_directories_are_kept() {
    let (mut dirs, (_temp, target)) = (Dirs::default(), target());
    for n in 0..200 {
        let path = RemotePath::from_target(format!("/d{n}/").as_bytes()).unwrap();
        let first = dirs.get(&target, &path).unwrap();
        assert!(Arc::ptr_eq(&first, &dirs.get(&target, &path).unwrap()));
        assert!(dirs.0.len() <= 64);
    }
    assert!(dirs.0.len() > 1);
}

#[test]
fn outcomes_are_told_together_and_none_is_kept() {
    let (lander, (_temp, target)) = (Lander::default(), target());
    let sizes = std::cell::RefCell::new(Vec::new());
    let report = |outcomes: Vec<(SmallFile, Outcome)>| sizes.borrow_mut().push(outcomes.len());
    let mut told = Told::new(&report);
    told.flush();
    let add = |told: &mut Told<'_>| {
        let small = small(&lander, &target, "x", b"");
        told.add(small, Err(Error::Paused));
    };
    // One that waited too long takes those that came meanwhile with it.
    add(&mut told);
    told.since -= TOLD_AFTER;
    add(&mut told);
    assert_eq!(*sizes.borrow(), [2]);
    add(&mut told);
    drop(told);
    assert_eq!(*sizes.borrow(), [2, 1]);
}
