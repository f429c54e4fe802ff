//! From a listing to the queue: what is wanted of it, what is here already, and what must wait on disk.

use std::{collections::HashSet, sync::Arc, time::SystemTime};

use super::Engine;
use crate::{
    client::{
        Error, Event, ItemId,
        disk::names::{Local, Names},
        disk::spill::Spill,
        disk::target::Target,
        queue::Sum,
        read::pattern::Filter,
        task::{Above, DirTask, FileTask, Rest},
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
    /// What the listing says, whatever of it is wanted.
    says: Says,
}

/// Stands for what a listing says.
#[derive(Debug, Default, Clone, Copy)]
struct Says {
    print: u128,
    files: usize,
    dirs: usize,
    /// Entries without a date.
    undated: usize,
}

impl Says {
    /// Takes in an entry. Their order does not matter.
    fn add(&mut self, entry: &Entry) {
        let date = entry
            .modified
            .and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok());
        let about = format!("{:?} {} {date:?}", entry.size, entry.is_dir);
        self.print = self
            .print
            .wrapping_add(key(&[&entry.name, about.as_bytes()].concat()));
        let count = if entry.is_dir {
            &mut self.dirs
        } else {
            &mut self.files
        };
        *count += 1;
        if entry.modified.is_none() {
            self.undated += 1;
        }
    }

    /// Whether directories above that said the same are proof that this is one of them. Copies of a directory inside
    /// itself say the same, too, but not with the same dates, and not twice.
    fn is_loop(&self, repeats: usize) -> bool {
        let enough = if self.undated == 0 { 1 } else { 2 };
        self.files > 0 && self.dirs > 0 && repeats >= enough
    }
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
        &self,
        task: &DirTask,
        entries: Vec<Entry>,
        found: &mut Found,
        last: bool,
    ) -> Result<bool, Error> {
        let Some((filter, target)) = self.queue().tree(task.item) else {
            return Ok(false);
        };
        for entry in &entries {
            found.says.add(entry);
        }
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
        let full = self.queue().is_full(task.item)
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
        let wanted = self.queue().found(item, files);
        self.wake.notify_waiters();
        Ok(wanted)
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

    /// A listing is complete.
    pub async fn listed(&self, mut task: DirTask, mut found: Found) {
        if let Some(error) = self.below_is_left_out(&mut task, &mut found) {
            let told = Event::Failed {
                item: task.item,
                path: task.dir.clone(),
                attempts: 1,
                error: error.clone(),
            };
            self.emit(told).await;
            self.queue().refused(task.item, error);
        }
        let names = found.names;
        task.rest = found.rest.map(|spill| Box::new(Rest { spill, names }));
        self.queue().listed(task, found.dirs, found.waiting);
        self.settle().await;
    }

    /// Why directories that were found are not gone into: they are forgotten.
    fn below_is_left_out(&self, task: &mut DirTask, found: &mut Found) -> Option<Error> {
        let says = found.says;
        if says.dirs == 0 {
            return None;
        }
        let repeats = Above::repeats(task.above.as_ref(), says.print);
        task.above = Some(Arc::new(Above {
            print: says.print,
            above: task.above.take(),
        }));
        let (dir, depth) = (task.dir.as_bytes(), task.dir.names().count());
        let dir = || crate::escape::display_name(dir).into_owned();
        let error = if says.is_loop(repeats) {
            Error::Loop(dir())
        } else if depth >= self.settings.max_depth {
            Error::Deep { dir: dir(), depth }
        } else {
            for dir in &mut found.dirs {
                dir.above.clone_from(&task.above);
            }
            return None;
        };
        found.dirs.clear();
        task.is_last = true;
        Some(error)
    }

    /// Takes the next entries of a directory from the disk.
    pub async fn load(self: Arc<Self>, mut task: DirTask) {
        match next_block(&mut task).await {
            Ok((dirs, files)) => {
                self.queue().loaded(task, dirs, files);
                self.settle().await;
            }
            Err(error) => {
                self.queue().lost(task.item);
                task.rest = None;
                self.failed(task, error, None).await;
            }
        }
    }
}

/// The next entries of what waits on disk.
async fn next_block(task: &mut DirTask) -> Result<(Vec<DirTask>, Vec<FileTask>), Error> {
    let Some(mut rest) = task.rest.take() else {
        return Ok((Vec::new(), Vec::new()));
    };
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
    let (names, mut dirs, files) = tasks(task.item, task.dir.clone(), entries, names).await?;
    if task.is_last {
        dirs.clear();
    }
    for dir in &mut dirs {
        dir.above.clone_from(&task.above);
    }
    rest.names = names;
    task.rest = Some(rest);
    Ok((dirs, files))
}

/// Whether an entry is to be fetched, or may hold what is.
fn is_wanted(filter: Option<&Filter>, dir: &RemotePath, entry: &Entry) -> bool {
    let Ok(path) = dir.join_all(&entry.name) else {
        return false;
    };
    let Some(filter) = filter else {
        return true;
    };
    if entry.is_dir {
        filter.may_hold(&path.into_dir())
    } else {
        // What lies deeper is not come to by way of its directory.
        let is_deep = entry.name.contains(&b'/');
        filter.wants(&path) && (!is_deep || filter.may_hold(&path.parent()))
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
            let Ok(path) = dir.join_all(&entry.name) else {
                continue;
            };
            if entry.is_dir {
                dirs.push(DirTask::new(item, path.into_dir()));
            } else {
                let is_deep = entry.name.contains(&b'/');
                let local = names.as_ref().map(|names| {
                    if is_deep {
                        Local::Unknown
                    } else {
                        names.look(&entry.name)
                    }
                });
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
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::Broken("the client was stopped".into())))
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
            job::StepPolicy,
            net::origin::Origin,
            queue::{Asker, NewItem, Work},
            task::Task,
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
            max_depth: 64,
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
        let (events, _) = mpsc::channel(1);
        let engine = Engine::new(settings, vec![origin], &target, events);
        let item = engine.queue().add(NewItem {
            path: RemotePath::root(),
            filter: None,
            target,
            rename: None,
            checksum: None,
            size: None,
            named: Vec::new(),
            paused: false,
            kept_as: None,
        });
        (Arc::new(engine), item)
    }

    fn next(engine: &Engine) -> Option<Work> {
        let now = Instant::now();
        let pace = StepPolicy {
            run_max: 1,
            workers: 1,
            now,
            steal_after: None,
            outlook: engine.sources.outlook(engine.sources.primary().id, now),
        };
        engine.queue().next(Asker {
            index: 0,
            behind: None,
            pace,
        })
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
    async fn list(engine: &Engine, item: ItemId, entries: Vec<Entry>, before: Found) -> Found {
        let (task, mut found) = (DirTask::new(item, RemotePath::root()), before);
        for batch in entries.chunks(BATCH) {
            let wanted = engine.found(&task, batch.to_vec(), &mut found, false).await;
            assert!(wanted.unwrap());
            assert!(engine.queue().known(item) < KNOWN_MAX);
        }
        found
    }

    #[tokio::test]
    async fn a_huge_directory_comes_whole_and_once_though_little_of_it_is_known_at_once() {
        const COUNT: usize = 100_000;
        let temp = tempfile::tempdir().unwrap();
        let (engine, item) = engine(temp.path());
        let Some(Work::List(task)) = next(&engine) else {
            panic!("the root is listed first");
        };
        let mut all = entries((0..COUNT).map(|n| format!("file {n}")), false);
        all.extend(entries((0..COUNT / 4).map(|n| format!("dir {n}")), true));
        let found = list(&engine, item, all, Found::default()).await;
        engine.listed(task, found).await;
        let view = engine.queue().views(1).remove(0);
        let (files, total) = (view.files.unwrap(), view.total);
        // What waits on disk is counted with the rest.
        assert_eq!((files.found, total), (COUNT as u64, Some(7 * COUNT as u64)));
        let (mut seen, mut dirs) = (BTreeSet::new(), BTreeSet::new());
        while let Some(work) = next(&engine) {
            assert!(engine.queue().known(item) < KNOWN_MAX);
            match work {
                Work::List(task) if task.rest.is_some() => Arc::clone(&engine).load(task).await,
                Work::List(task) => {
                    assert!(dirs.insert(task.dir.clone()), "{:?} twice", task.dir);
                    engine.listed(task, Found::default()).await;
                }
                Work::Open(task) => {
                    engine.queue().opened(item);
                    assert!(seen.insert(task.path.clone()), "{:?} twice", task.path);
                    let verified = crate::client::Verified::Blake3;
                    engine.queue().finished(item, verified);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((seen.len(), dirs.len()), (COUNT, COUNT / 4));
        engine.settle().await;
        assert!(engine.queue().views(1)[0].state.is_ended());
        // The file that held the rest had no name.
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_listing_that_breaks_is_begun_anew_without_what_was_handed_on() {
        const COUNT: usize = 50_000;
        let temp = tempfile::tempdir().unwrap();
        let (engine, item) = engine(temp.path());
        let Some(Work::List(task)) = next(&engine) else {
            panic!("the root is listed first");
        };
        let all = entries((0..COUNT).map(|n| format!("{n}")), false);
        // In another order, as servers give large directories.
        let backwards = all.iter().rev().cloned().collect();
        let mut broken = list(&engine, item, all, Found::default()).await;
        assert!(broken.rest.is_some());
        broken = Found::new(broken.into_taken());
        let handed_on = engine.queue().views(1)[0].files.unwrap().found as usize;
        assert_eq!(broken.taken.len(), handed_on);
        let again = list(&engine, item, backwards, broken).await;
        engine.listed(task, again).await;
        let files = engine.queue().views(1)[0].files.unwrap();
        assert_eq!(files.found as usize, COUNT);
    }

    #[tokio::test]
    async fn files_that_wait_for_another_try_count_as_known() {
        const COUNT: usize = 60_000;
        let temp = tempfile::tempdir().unwrap();
        let (engine, item) = engine(temp.path());
        let Some(Work::List(task)) = next(&engine) else {
            panic!("the root is listed first");
        };
        let all = entries((0..COUNT).map(|n| format!("{n}")), false);
        let found = list(&engine, item, all, Found::default()).await;
        engine.listed(task, found).await;
        let mut failed = 0;
        while let Some(work) = next(&engine) {
            match work {
                Work::List(task) => Arc::clone(&engine).load(task).await,
                Work::Open(task) => {
                    engine.queue().opened(item);
                    let error = Error::Status {
                        status: 503,
                        retry_after: None,
                        said: None,
                    };
                    let at = Instant::now() + std::time::Duration::from_secs(300);
                    engine.queue().retry_later(Task::File(task), at, &error);
                    failed += 1;
                }
                other => panic!("{other:?}"),
            }
            assert!(engine.queue().known(item) < KNOWN_MAX);
        }
        assert!(failed < KNOWN_MAX, "{failed}");
        // The user is impatient.
        engine.queue().hurry();
        assert!(matches!(next(&engine), Some(Work::Open(_))));
        // Nothing has to be waited for.
        engine.queue().cancel(item);
        assert_eq!(engine.queue().known(item), 0);
    }

    #[tokio::test]
    async fn a_retry_of_more_failures_than_are_remembered_begins_anew() {
        const COUNT: usize = 12_000;
        let temp = tempfile::tempdir().unwrap();
        let (engine, item) = engine(temp.path());
        let Some(Work::List(task)) = next(&engine) else {
            panic!("the root is listed first");
        };
        let all = entries((0..COUNT).map(|n| format!("{n}")), false);
        let found = list(&engine, item, all, Found::default()).await;
        engine.listed(task, found).await;
        while let Some(Work::Open(task)) = next(&engine) {
            engine.queue().opened(item);
            engine.queue().failed(Task::File(task), Error::NoMatch);
        }
        engine.settle().await;
        let files = engine.queue().views(1)[0].files.unwrap();
        assert_eq!(files.failed as usize, COUNT);
        engine
            .queue()
            .retry(item, |_| unreachable!("it is kept nowhere"));
        let files = engine.queue().views(1)[0].files.unwrap();
        assert_eq!((files.found, files.failed, files.done), (0, 0, 0));
        assert!(matches!(next(&engine), Some(Work::List(_))));
    }
}
