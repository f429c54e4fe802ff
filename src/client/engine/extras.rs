//! What the target holds and the server does not: noted as each listing ends, for whoever may remove it at the end.

use std::{
    collections::{BTreeSet, HashSet},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use super::{Engine, blocking::blocking, lock, says::key};
use crate::{
    client::{
        Error,
        disk::{
            extra::{self, Extra, Extras},
            names::is_backup_of,
            target::Target,
        },
        task::DirTask,
    },
    entry::Entry,
    sys::disk,
};

/// What was found so far.
#[derive(Debug)]
pub struct Noted {
    began: SystemTime,
    found: Mutex<Vec<Extra>>,
}

impl Noted {
    /// Nothing yet, in a run that begins now.
    pub fn new(target: &Target) -> Self {
        Self {
            began: now(target.handle()),
            found: Mutex::default(),
        }
    }

    /// All of it, each once; a directory before what is in it.
    pub fn all(&self) -> Vec<Extra> {
        let mut seen = BTreeSet::new();
        let mut all = lock(&self.found).clone();
        all.retain(|extra| seen.insert(extra.path.clone()));
        all
    }
}

/// Now, by the clock of the target's file system: it may be another machine's, and goes by ticks.
fn now(target: BorrowedFd<'_>) -> SystemTime {
    const TICK: Duration = Duration::from_millis(20);
    let nameless = disk::nameless_file(target).ok().flatten();
    let changed = nameless.and_then(|file| extra::changed(&rustix::fs::fstat(&file).ok()?));
    changed.unwrap_or_else(|| SystemTime::now() - TICK)
}

/// The names that a listing told, as far as the first slash in them. 16 bytes each, until the listing has ended.
#[derive(Debug, Default)]
pub struct ToldNames(HashSet<u128>);

impl ToldNames {
    /// Takes in what came.
    pub fn add(&mut self, entries: &[Entry]) {
        let first = |name: &[u8]| name.split(|byte| *byte == b'/').next().map(key);
        self.0
            .extend(entries.iter().filter_map(|entry| first(&entry.name)));
    }
}

impl Engine {
    /// The listing of `task` was read to its end, and these are all its names: notes what else is here. Only what this run was
    /// asked for is brought to what the server has, not what an earlier one left.
    pub async fn note_extras(
        self: &Arc<Self>,
        task: &DirTask,
        names: ToldNames,
    ) -> Result<(), Error> {
        let filter = self.look(|schedule| schedule.tree(task.item));
        let (Some(filter), Some(target)) = (filter, self.target(task.item)) else {
            return Ok(());
        };
        let (engine, dir) = (Arc::clone(self), task.dir.clone());
        let keeps_backups = self.settings.backup;
        let found = blocking(move || {
            let extras = Extras {
                target: &target,
                filter: filter.as_ref(),
                began: engine.extras.began,
            };
            let handle = target.look_in(&dir);
            extras.of(&dir, |name| {
                let is_told = |name: &[u8]| names.0.contains(&key(name));
                let is_copy = |dir: &OwnedFd| target.is_copy_of(dir.as_fd(), name, is_told);
                is_told(name)
                    || keeps_backups && is_backup_of(name, is_told)
                    || handle.as_ref().is_some_and(is_copy)
            })
        });
        let found = found.await?;
        lock(&self.extras.found).extend(found);
        Ok(())
    }
}
