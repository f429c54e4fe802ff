use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use super::*;
use crate::{
    client::{
        Access, ItemId, Settings,
        id::SlotId,
        net::origin::Origin,
        schedule::{Channel, Complete, Fault, NewItem, Order, Report, Work},
        task::FileTask,
    },
    config::OnConflict,
};

/// Entries that are handed on at once.
const BATCH: usize = 1000;
/// No more than this may be known at once: what the queue's own limits say, and a few batches above them.
const KNOWN_MAX: usize = 24_000;

fn engine(dir: &std::path::Path) -> (Arc<Engine>, ItemId) {
    let settings = Settings {
        url: "http://localhost/".parse().unwrap(),
        mirrors: Vec::new(),
        named_at: None,
        dir: dir.to_owned(),
        state_dir: None,
        workers: 1,
        retries: 3,
        timeout: Duration::from_secs(60),
        user: None,
        max_depth: 64,
        fail_empty: false,
        serial: false,
        on_conflict: OnConflict::Verify,
        backup: false,
        delete: false,
        dry_run: false,
        resume: true,
        checksums: None,
        patient: false,
        limit: None,
        access: Access::default(),
    };
    let origin = Origin::new(&settings.url, "session", None, &settings.access).unwrap();
    let target = Arc::new(Target::open(dir, OnConflict::Verify).unwrap());
    // Nobody listens.
    let (tell, _) = mpsc::unbounded_channel();
    let engine = Arc::new(Engine::new(settings, vec![origin], &target, tell));
    let item = engine.with(|schedule| schedule.add(NewItem::new(RemotePath::root())));
    engine.set_target(item, target, None);
    (engine, item)
}

const SLOT: SlotId = SlotId(0);

/// The next thing to do, once the only connection is open.
async fn next(engine: &Arc<Engine>) -> Option<Work> {
    loop {
        let order = engine.with(|schedule| {
            schedule.told(usize::MAX);
            schedule.next(SLOT, Instant::now())
        });
        match order {
            Order::Connect(_) => {
                let report = Report::Connected(Duration::ZERO);
                engine.with(|schedule| schedule.report(SLOT, report, Instant::now()));
            }
            Order::Exchange { read, .. } => return Some(read.work),
            Order::Wait(_) if !engine.tasks.is_empty() => tokio::task::yield_now().await,
            _ => return None,
        }
    }
}

fn done(engine: &Arc<Engine>, answered: Answered) {
    let channel = Channel {
        open: true,
        haul: false,
    };
    let report = Report::Answered(answered, channel);
    engine.with(|schedule| schedule.report(SLOT, report, Instant::now()));
}

async fn next_dir(engine: &Arc<Engine>) -> DirTask {
    match next(engine).await {
        Some(Work::List(task)) => task,
        other => panic!("{other:?}"),
    }
}

fn view(engine: &Engine) -> crate::client::ItemView {
    engine.look(|schedule| schedule.views(Instant::now()).remove(0))
}

fn known(engine: &Engine, item: ItemId) -> usize {
    engine.look(|schedule| schedule.known(item))
}

fn entries(names: impl Iterator<Item = String>, is_dir: bool) -> Vec<Entry> {
    let entry = |name: String| Entry {
        name: name.into_bytes(),
        is_dir,
        size: (!is_dir).then_some(7),
        modified: None,
        blake3: None,
    };
    names.map(entry).collect()
}

/// Lists the root as `entries`, in batches; what became of them.
async fn list(engine: &Arc<Engine>, item: ItemId, entries: Vec<Entry>, before: Found) -> Found {
    let (task, mut found) = (DirTask::new(item, RemotePath::root()), before);
    for batch in entries.chunks(BATCH) {
        let wanted = engine.found(&task, batch.to_vec(), &mut found, false).await;
        assert!(wanted.unwrap());
        assert!(known(engine, item) < KNOWN_MAX);
    }
    found
}

#[tokio::test]
async fn a_huge_directory_comes_whole_and_once_though_little_of_it_is_known_at_once() {
    const COUNT: usize = 100_000;
    let temp = tempfile::tempdir().unwrap();
    let (engine, item) = engine(temp.path());
    let task = next_dir(&engine).await;
    let mut all = entries((0..COUNT).map(|n| format!("file {n}")), false);
    all.extend(entries((0..COUNT / 4).map(|n| format!("dir {n}")), true));
    let found = list(&engine, item, all, Found::default()).await;
    done(&engine, engine.listed(task, found));
    let shown = view(&engine);
    let (files, total) = (shown.files.unwrap(), shown.total);
    // What waits on disk is counted with the rest.
    assert_eq!((files.found, total), (COUNT as u64, Some(7 * COUNT as u64)));
    let (mut seen, mut dirs) = (BTreeSet::new(), BTreeSet::new());
    while let Some(work) = next(&engine).await {
        assert!(known(&engine, item) < KNOWN_MAX);
        match work {
            Work::List(task) => {
                assert!(dirs.insert(task.dir.clone()), "{:?} twice", task.dir);
                done(&engine, engine.listed(task, Found::default()));
            }
            Work::Open(task) => {
                assert!(seen.insert(task.path.clone()), "{:?} twice", task.path);
                let complete = Complete {
                    local: std::path::PathBuf::new(),
                    bytes: 7,
                    verified: crate::client::Verified::Blake3,
                    took: Duration::ZERO,
                };
                engine.with(|schedule| {
                    let file = schedule.landing(SLOT, task);
                    schedule.small_landed(file, Ok(complete));
                });
                done(&engine, Answered::Opened);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((seen.len(), dirs.len()), (COUNT, COUNT / 4));
    assert!(view(&engine).state.is_ended());
    // The file that held the rest had no name.
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
}

/// The cancel comes while the disk is asked what is here.
#[test]
fn what_a_cancel_keeps_from_the_queue_is_found_by_a_retry() {
    // The disk is looked at once the only thread for that is let go of: after the cancel.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).enable_all().build();
    runtime.unwrap().block_on(cancels_and_retries());
}

async fn cancels_and_retries() {
    let temp = tempfile::tempdir().unwrap();
    let (engine, item) = engine(temp.path());
    let task = next_dir(&engine).await;
    let mut found = Found::default();
    let all = entries((0..10).map(|n| format!("file {n}")), false);
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let holds = tokio::task::spawn_blocking(move || held.recv());
    let mut handing = Box::pin(engine.found(&task, all.clone(), &mut found, false));
    assert!(handing.as_mut().now_or_never().is_none());
    engine.with(|schedule| schedule.cancel(item));
    drop(let_go);
    assert!(holds.await.unwrap().is_err());
    assert!(!handing.await.unwrap());
    let task = DirTask {
        taken: found.into_taken(),
        ..task
    };
    assert!(task.taken.is_empty());
    done(&engine, Answered::Unlisted(task));
    engine.with(|schedule| schedule.retry(item));
    let again = next_dir(&engine).await;
    let mut found = Found::new(again.taken.clone());
    assert!(engine.found(&again, all, &mut found, true).await.unwrap());
    assert_eq!(known(&engine, item), 10);
}

#[tokio::test]
async fn a_listing_that_breaks_is_begun_anew_without_what_was_handed_on() {
    const COUNT: usize = 50_000;
    let temp = tempfile::tempdir().unwrap();
    let (engine, item) = engine(temp.path());
    let task = next_dir(&engine).await;
    let all = entries((0..COUNT).map(|n| format!("{n}")), false);
    // In another order, as servers give large directories.
    let backwards = all.iter().rev().cloned().collect();
    let mut broken = list(&engine, item, all, Found::default()).await;
    assert!(broken.rest.is_some());
    broken = Found::new(broken.into_taken());
    let handed_on = view(&engine).files.unwrap().found as usize;
    assert_eq!(broken.taken.len(), handed_on);
    let again = list(&engine, item, backwards, broken).await;
    done(&engine, engine.listed(task, again));
    let files = view(&engine).files.unwrap();
    assert_eq!(files.found as usize, COUNT);
}

#[tokio::test]
async fn files_that_wait_for_another_try_count_as_known() {
    const COUNT: usize = 60_000;
    let temp = tempfile::tempdir().unwrap();
    let (engine, item) = engine(temp.path());
    let task = next_dir(&engine).await;
    let all = entries((0..COUNT).map(|n| format!("{n}")), false);
    let found = list(&engine, item, all, Found::default()).await;
    done(&engine, engine.listed(task, found));
    let mut failed = 0;
    while let Some(work) = next(&engine).await {
        assert!(matches!(work, Work::Open(_)), "{work:?}");
        let channel = Channel {
            open: true,
            haul: false,
        };
        // It is tried again later.
        let report = Report::Fault(Fault::Changed, channel);
        engine.with(|schedule| schedule.report(SLOT, report, Instant::now()));
        failed += 1;
        assert!(known(&engine, item) < KNOWN_MAX);
        if failed > KNOWN_MAX {
            break;
        }
    }
    // The user is impatient.
    engine.with(crate::client::schedule::Schedule::hurry);
    assert!(matches!(next(&engine).await, Some(Work::Open(_))));
    // Nothing has to be waited for.
    engine.with(|schedule| schedule.cancel(item));
    assert_eq!(known(&engine, item), 0);
}

#[tokio::test]
async fn a_retry_of_more_failures_than_are_remembered_begins_anew() {
    const COUNT: usize = 12_000;
    let temp = tempfile::tempdir().unwrap();
    let (engine, item) = engine(temp.path());
    let task = next_dir(&engine).await;
    let all = entries((0..COUNT).map(|n| format!("{n}")), false);
    let found = list(&engine, item, all, Found::default()).await;
    done(&engine, engine.listed(task, found));
    while let Some(Work::Open(_)) = next(&engine).await {
        let channel = Channel {
            open: true,
            haul: false,
        };
        let report = Report::Fault(Fault::Other(Error::Empty), channel);
        engine.with(|schedule| schedule.report(SLOT, report, Instant::now()));
    }
    let files = view(&engine).files.unwrap();
    assert_eq!(files.failed as usize, COUNT);
    engine.with(|schedule| schedule.retry(item));
    let files = view(&engine).files.unwrap();
    assert_eq!((files.found, files.failed, files.done), (0, 0, 0));
    assert!(matches!(next(&engine).await, Some(Work::List(_))));
}

#[tokio::test]
async fn a_retry_of_as_many_files_of_a_metalink_asks_for_those_and_lists_nothing() {
    const COUNT: usize = 12_000;
    let temp = tempfile::tempdir().unwrap();
    let (engine, all) = engine(temp.path());
    engine.with(|schedule| schedule.cancel(all));
    let file = |n: usize| {
        let path = RemotePath::from_target(format!("/{n}").as_bytes()).unwrap();
        FileTask::new(ItemId::default(), path)
    };
    let item = engine.with(|schedule| {
        schedule.add(NewItem {
            named: (0..COUNT).map(file).collect(),
            ..NewItem::new(RemotePath::root())
        })
    });
    let target = Arc::new(Target::open(temp.path(), OnConflict::Verify).unwrap());
    engine.set_target(item, target, None);
    for _ in 0..2 {
        let mut asked = BTreeSet::new();
        while let Some(work) = next(&engine).await {
            let Work::Open(task) = work else {
                panic!("{work:?}");
            };
            asked.insert(task.path.clone());
            let channel = Channel {
                open: true,
                haul: false,
            };
            let report = Report::Fault(Fault::Other(Error::Empty), channel);
            engine.with(|schedule| schedule.report(SLOT, report, Instant::now()));
        }
        assert_eq!(asked.len(), COUNT);
        engine.with(|schedule| schedule.retry(item));
    }
}
