//! From a listing to the queue: what is wanted of it, what is here already, and what must wait on disk.

use std::{collections::HashSet, sync::Arc};

use super::{Engine, Rest};
use crate::{
    client::{
        Error, ItemId,
        disk::{names::Names, spill::Spill, target::Target},
        id::RestId,
        read::pattern::Filter,
        schedule::{Answered, Sum},
        task::{DirTask, FileTask},
    },
    entry::Entry,
    http1::path::RemotePath,
};

/// Files that are handed on before their listing is complete: another attempt must know them. 16 bytes each.
const TAKEN_MAX: usize = 200_000;
/// Directories of a listing that are remembered until it is complete.
const DIRS_MAX: usize = 10_000;

/// What became of a listing so far.
#[derive(Debug, Default)]
pub struct Found {
    /// Whether files were handed to the queue, which no other attempt will do again.
    pub any: bool,
    /// See [`DirTask::taken`].
    taken: HashSet<u128>,
    dirs: Vec<DirTask>,
    rest: Option<Spill>,
    /// The files in `rest`.
    waiting: Sum,
    /// What is here; `None` before it was looked at.
    names: Option<Names>,
}

impl Found {
    /// Nothing yet, but for the files that attempts before handed on.
    pub fn new(taken: HashSet<u128>) -> Self {
        Self {
            taken,
            ..Self::default()
        }
    }

    /// What another attempt must know.
    pub fn into_taken(self) -> HashSet<u128> {
        self.taken
    }
}

impl Engine {
    /// Hands on entries of a tree's directory that are wanted; `last` says that the listing is complete with them. False
    /// when none are wanted any more, because the item was cancelled.
    pub async fn found(
        self: &Arc<Self>,
        task: &DirTask,
        entries: Vec<Entry>,
        found: &mut Found,
        last: bool,
    ) -> Result<bool, Error> {
        let filter = self.look(|schedule| schedule.tree(task.item));
        let (Some(filter), Some(target)) = (filter, self.target(task.item)) else {
            return Ok(false);
        };
        let is_new =
            |entry: &Entry| found.taken.is_empty() || !found.taken.contains(&key(&entry.name));
        let wanted: Vec<_> = entries
            .into_iter()
            .filter(|entry| is_wanted(filter.as_ref(), &task.dir, entry) && is_new(entry))
            .collect();
        // A directory is made where files will land, or where it is wanted itself, empty or not.
        let any_files = wanted.iter().any(|entry| !entry.is_dir);
        let dir_wanted = || {
            filter
                .as_ref()
                .is_none_or(|filter| filter.wants_dir(&task.dir))
        };
        if found.names.is_none() && (any_files || (last && dir_wanted())) {
            let (target, dir) = (Arc::clone(&target), task.dir.clone());
            found.names = Some(blocking(move || target.names(&dir)).await?);
        }
        let full = self.look(|schedule| schedule.is_full(task.item))
            || found.taken.len() > TAKEN_MAX
            || found.dirs.len() > DIRS_MAX;
        // A short listing is never worth a file: what it names fits beside what is known.
        if full && !(last && found.rest.is_none()) {
            return self.put_aside(&target, wanted, found).await.map(|()| true);
        }
        if !last {
            let files = wanted.iter().filter(|entry| !entry.is_dir);
            found.taken.extend(files.map(|entry| key(&entry.name)));
        }
        let names = found.names.take();
        let (item, dir) = (task.item, task.dir.clone());
        let (names, mut dirs, files) = tasks(item, dir, wanted, names).await?;
        found.names = names;
        found.dirs.append(&mut dirs);
        found.any |= !files.is_empty();
        Ok(self.with(|schedule| schedule.found(item, files)))
    }

    /// Entries that are too many to be remembered wait on disk.
    async fn put_aside(
        &self,
        target: &Arc<Target>,
        entries: Vec<Entry>,
        found: &mut Found,
    ) -> Result<(), Error> {
        for file in entries.iter().filter(|entry| !entry.is_dir) {
            found.waiting.add(file.size);
        }
        let (rest, target) = (found.rest.take(), Arc::clone(target));
        let rest = blocking(move || {
            let put = || {
                let mut rest = match rest {
                    Some(rest) => rest,
                    None => Spill::new(target.handle())?,
                };
                rest.push(&entries)?;
                Ok(rest)
            };
            put().map_err(|error| Error::disk(target.path(), &error))
        });
        found.rest = Some(rest.await?);
        Ok(())
    }

    /// A listing is complete: what came of it.
    pub fn listed(self: &Arc<Self>, mut task: DirTask, found: Found) -> Answered {
        let names = found.names;
        task.rest = found.rest.map(|spill| {
            let id = self.with(crate::client::schedule::Schedule::new_rest);
            self.put_rest(id, Rest { spill, names });
            id
        });
        task.taken = HashSet::new();
        Answered::Listed {
            task,
            dirs: found.dirs,
            waiting: found.waiting,
        }
    }

    /// Takes the next entries of a directory from the disk.
    pub async fn load(self: &Arc<Self>, id: RestId) {
        let task = self.look(|schedule| schedule.loading(id));
        let Some((task, rest)) = task.zip(self.take_rest(id)) else {
            let error = Error::Broken("what waited on disk is gone".into());
            return self.with(|schedule| schedule.load_failed(id, error));
        };
        match next_block(&task, rest).await {
            Ok((rest, dirs, files)) => {
                let more = !rest.spill.is_empty();
                self.put_rest(id, rest);
                self.with(|schedule| schedule.loaded(id, dirs, files, more));
            }
            Err(error) => self.with(|schedule| schedule.load_failed(id, error)),
        }
    }
}

/// The next entries of what waits on disk.
async fn next_block(
    task: &DirTask,
    mut rest: Rest,
) -> Result<(Rest, Vec<DirTask>, Vec<FileTask>), Error> {
    let shown = crate::escape::display_name(task.dir.as_bytes()).into_owned();
    let read = blocking(move || {
        let block = rest.spill.read();
        let block = block.map_err(|error| Error::disk(shown, &error))?;
        if let Some(block) = &block {
            rest.spill.advance(block);
        }
        Ok((rest, block))
    });
    let (mut rest, block) = read.await?;
    let entries = block.map(|block| block.entries).unwrap_or_default();
    let names = rest.names.take();
    let (names, dirs, files) = tasks(task.item, task.dir.clone(), entries, names).await?;
    rest.names = names;
    Ok((rest, dirs, files))
}

/// Whether an entry is to be fetched, or may hold what is.
fn is_wanted(filter: Option<&Filter>, dir: &RemotePath, entry: &Entry) -> bool {
    let Ok(path) = dir.join(&entry.name) else {
        return false;
    };
    let Some(filter) = filter else {
        return true;
    };
    if entry.is_dir {
        filter.may_hold(&path.into_dir())
    } else {
        filter.wants(&path)
    }
}

/// The tasks that entries of `dir` stand for; each file after a look at what is here.
async fn tasks(
    item: ItemId,
    dir: RemotePath,
    entries: Vec<Entry>,
    names: Option<Names>,
) -> Result<(Option<Names>, Vec<DirTask>, Vec<FileTask>), Error> {
    let in_memory = names.as_ref().is_none_or(Names::are_known);
    let make = move || {
        let (mut dirs, mut files) = (Vec::new(), Vec::new());
        for entry in entries {
            let Ok(path) = dir.join(&entry.name) else {
                continue;
            };
            if entry.is_dir {
                dirs.push(DirTask::new(item, path.into_dir()));
            } else {
                let local = names.as_ref().map(|names| names.look(&entry.name));
                files.push(FileTask {
                    size: entry.size,
                    modified: entry.modified,
                    blake3: entry.blake3,
                    local: local.unwrap_or_default(),
                    ..FileTask::new(item, path)
                });
            }
        }
        Ok((names, dirs, files))
    };
    if in_memory {
        make()
    } else {
        blocking(make).await
    }
}

/// Runs what waits for the disk where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::Broken(format!("a thread failed: {error}"))))
}

/// Stands for a name in [`DirTask::taken`].
fn key(name: &[u8]) -> u128 {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(name).as_bytes()[..16]);
    u128::from_le_bytes(key)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Instant};

    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        client::{
            Access, Settings,
            id::SlotId,
            net::origin::Origin,
            schedule::{Channel, Complete, Fault, NewItem, Order, Report, Work},
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
            dir: dir.to_owned(),
            state_dir: None,
            workers: 1,
            retries: 3,
            timeout: std::time::Duration::from_secs(60),
            user: None,
            serial: false,
            on_conflict: OnConflict::Verify,
            resume: true,
            patient: false,
            limit: None,
            access: Access::default(),
        };
        let origin = Origin::new(&settings.url, "session", None, &settings.access).unwrap();
        let target = Arc::new(Target::open(dir, OnConflict::Verify).unwrap());
        // Nobody listens.
        let (tell, _) = mpsc::unbounded_channel();
        let engine = Arc::new(Engine::new(settings, vec![origin], &target, tell));
        let item = engine.with(|schedule| {
            schedule.add(NewItem {
                path: RemotePath::root(),
                filter: None,
                rename: None,
                checksum: None,
                size: None,
                named: Vec::new(),
                paused: false,
                kept_as: None,
            })
        });
        engine.set_target(item, target);
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
                    let report = Report::Connected(std::time::Duration::ZERO);
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
                        took: std::time::Duration::ZERO,
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
            let report = Report::Fault(Fault::Other(Error::Encoded), channel);
            engine.with(|schedule| schedule.report(SLOT, report, Instant::now()));
        }
        let files = view(&engine).files.unwrap();
        assert_eq!(files.failed as usize, COUNT);
        engine.with(|schedule| schedule.retry(item));
        let files = view(&engine).files.unwrap();
        assert_eq!((files.found, files.failed, files.done), (0, 0, 0));
        assert!(matches!(next(&engine).await, Some(Work::List(_))));
    }
}
