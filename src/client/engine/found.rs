//! From a listing to the queue: what is wanted of it, what is here already, and what must wait on disk.

mod tasks;

use std::{collections::HashSet, sync::Arc};

pub(super) use tasks::parted;
use tasks::{Tasks, tasks};

use super::{
    Engine, Rest,
    blocking::blocking,
    says::{Says, key},
};
use crate::{
    client::{
        Error,
        disk::{
            names::{Names, may_be_ours},
            spill::Spill,
            target::Target,
        },
        id::RestId,
        read::pattern::Filter,
        schedule::{Answered, Complete, Sum},
        task::{Above, DirTask, FileTask},
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
    pub(super) dirs: Vec<DirTask>,
    rest: Option<Spill>,
    /// The files in `rest`.
    waiting: Sum,
    /// What is here; `None` before it was looked at.
    names: Option<Names>,
    /// What the listing says, whatever of it is wanted.
    says: Says,
    /// Its names, where what else is here is to be removed.
    told: super::extras::ToldNames,
}

impl Found {
    /// Nothing yet, but for the files that attempts before handed on.
    pub fn new(taken: HashSet<u128>) -> Self {
        Self {
            taken,
            ..Self::default()
        }
    }

    /// The names of a listing that was read to its end.
    pub fn told(&mut self) -> super::extras::ToldNames {
        std::mem::take(&mut self.told)
    }

    /// Files were handed on that another attempt must know.
    pub(super) fn take(&mut self, keys: impl IntoIterator<Item = u128>) {
        self.taken.extend(keys);
        self.any = true;
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
        let (Some(mut filter), Some(target)) = (filter, self.target(task.item)) else {
            return Ok(false);
        };
        for entry in &entries {
            found.says.add(entry);
        }
        self.lists.note(&task.dir, &entries);
        if self.look(|schedule| schedule.notes_extras(task.item)) {
            found.told.add(&entries);
        }
        let is_new =
            |entry: &Entry| found.taken.is_empty() || !found.taken.contains(&key(&entry.name));
        let wanted: Vec<_> = entries
            .into_iter()
            .filter(|entry| is_wanted(filter.as_mut(), &task.dir, entry) && is_new(entry))
            .collect();
        if let Some(filter) = &mut filter {
            filter.enter(&task.dir);
            self.with(|schedule| schedule.matched(task.item, filter));
        }
        let wanted = self.with(|schedule| schedule.without_later(task.item, &task.dir, wanted));
        if self.settings.dry_run {
            return self.would(task, &target, wanted, found).await;
        }
        reserve(task, &target, &wanted).await?;
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
        self.queue(task, target, wanted, found, last).await
    }

    /// Queues what is wanted of a directory. False where its item is not wanted any more.
    async fn queue(
        self: &Arc<Self>,
        task: &DirTask,
        target: Arc<Target>,
        wanted: Vec<Entry>,
        found: &mut Found,
        last: bool,
    ) -> Result<bool, Error> {
        let files = wanted.iter().filter(|entry| !entry.is_dir && !last);
        let taken: Vec<_> = files.map(|entry| key(&entry.name)).collect();
        let names = found.names.take();
        let (item, dir) = (task.item, task.dir.clone());
        let updated = self.updated(Arc::clone(&target));
        let tasks = tasks(item, dir, wanted, names, updated).await?;
        self.drop_left_of(&target, &tasks.here).await;
        let Tasks {
            names,
            mut dirs,
            files,
            here,
        } = tasks;
        found.names = names;
        found.dirs.append(&mut dirs);
        let any = !files.is_empty() || !here.is_empty();
        let is_wanted =
            self.with(|schedule| schedule.here(item, here, false) && schedule.found(item, files));
        if is_wanted {
            // Only what the queue has: a retry must find the rest.
            found.taken.extend(taken);
            found.any |= any;
        }
        Ok(is_wanted)
    }

    /// The target, where a listing decides what is here already; a list of digests that the user gave is held against files.
    fn updated(&self, target: Arc<Target>) -> Option<Arc<Target>> {
        (target.updates() && self.settings.checksums.is_none()).then_some(target)
    }

    /// Removes what earlier runs left of files that are here already.
    async fn drop_left_of(self: &Arc<Self>, target: &Arc<Target>, here: &[(FileTask, Complete)]) {
        if here.is_empty() || !self.journal.has_left() {
            return;
        }
        let named = |(file, _): &(FileTask, _)| (file.path.clone(), file.local_name().to_vec());
        let here: Vec<_> = here.iter().map(named).collect();
        let (engine, target) = (Arc::clone(self), Arc::clone(target));
        let dropped = blocking(move || {
            for (path, name) in &here {
                engine.drop_left(&target, path, name);
            }
            Ok(())
        });
        // Whatever becomes of a part, the files are here.
        let _ = dropped.await;
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
    pub fn listed(self: &Arc<Self>, mut task: DirTask, mut found: Found) -> Answered {
        if let Some(error) = self.below_is_left_out(&mut task, &mut found) {
            self.with(|schedule| schedule.refused(&task, error));
        }
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
    pub async fn load(self: &Arc<Self>, id: RestId) {
        let task = self.look(|schedule| schedule.loading(id));
        let Some((task, rest)) = task.zip(self.take_rest(id)) else {
            let error = Error::Broken("what waited on disk is gone".into());
            return self.with(|schedule| schedule.load_failed(id, error));
        };
        let updated = self
            .target(task.item)
            .and_then(|target| self.updated(target));
        match next_block(&task, rest, updated.clone()).await {
            Ok((rest, tasks)) => {
                if let Some(target) = &updated {
                    self.drop_left_of(target, &tasks.here).await;
                }
                let more = !rest.spill.is_empty();
                self.put_rest(id, rest);
                self.with(|schedule| {
                    schedule.here(task.item, tasks.here, true);
                    schedule.loaded(id, tasks.dirs, tasks.files, more);
                });
            }
            Err(error) => self.with(|schedule| schedule.load_failed(id, error)),
        }
    }
}

/// Keeps names that files of a directory are to get free of what is called after others.
async fn reserve(task: &DirTask, target: &Arc<Target>, wanted: &[Entry]) -> Result<(), Error> {
    let ours = wanted
        .iter()
        .filter(|entry| !entry.is_dir && may_be_ours(&entry.name));
    let files: Vec<_> = ours
        .filter_map(|entry| task.dir.join_all(&entry.name).ok())
        .collect();
    if files.is_empty() {
        return Ok(());
    }
    let target = Arc::clone(target);
    blocking(move || {
        target.reserve(&files);
        Ok(())
    })
    .await
}

/// The next entries of what waits on disk.
async fn next_block(
    task: &DirTask,
    mut rest: Rest,
    updated: Option<Arc<Target>>,
) -> Result<(Rest, Tasks), Error> {
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
    let mut tasks = tasks(task.item, task.dir.clone(), entries, names, updated).await?;
    if task.is_last {
        tasks.dirs.clear();
    }
    for dir in &mut tasks.dirs {
        dir.above.clone_from(&task.above);
    }
    rest.names = tasks.names.take();
    Ok((rest, tasks))
}

/// Whether an entry is to be fetched, or may hold what is.
fn is_wanted(filter: Option<&mut Filter>, dir: &RemotePath, entry: &Entry) -> bool {
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
        filter.takes(&path) && (!is_deep || filter.may_hold(&path.parent()))
    }
}

#[cfg(test)]
mod tests;
