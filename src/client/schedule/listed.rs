//! What listings find, and what of it waits on disk.

use std::path::Path;

use super::{Complete, Effect, RestId, Schedule, Sum, item::Item};
use crate::{
    client::{
        Error, Event, ItemId,
        event::Action,
        read::pattern::Filter,
        task::{DirTask, FileTask},
    },
    entry::Entry,
    http1::path::RemotePath,
};

impl Schedule {
    /// Whether what listings find must wait on disk, because enough is known.
    pub fn is_full(&self, id: ItemId) -> bool {
        let item = self.item(id);
        item.is_some_and(|item| !item.has_ended() && item.is_full())
    }

    /// Files of an item that are known and not begun.
    #[cfg(test)]
    pub fn known(&self, id: ItemId) -> usize {
        self.item(id).map_or(0, Item::known)
    }

    /// A tree's filter, for whoever lists it; `None` once the item is gone, cancelled or ended.
    #[expect(
        clippy::option_option,
        reason = "a tree that is gone is no tree without a filter"
    )]
    pub fn tree(&self, id: ItemId) -> Option<Option<Filter>> {
        let item = self.item(id)?;
        (!item.has_ended() && !item.is_cancelled()).then(|| item.filter.clone())
    }

    /// Whether what a tree's target holds and its listings do not is noted.
    pub fn notes_extras(&self, id: ItemId) -> bool {
        self.item(id).is_some_and(|item| item.extras)
    }

    /// Whether a file is fetched with an item's tree.
    pub fn tree_wants(&self, id: ItemId, path: &RemotePath) -> bool {
        self.item(id).is_some_and(|item| {
            let mut filter = item.filter.iter();
            item.tree && path.below(&item.path).is_some() && filter.all(|it| it.wants(path))
        })
    }

    /// Whether something takes the file at a path, to land in the target or in `to`, and was not cancelled.
    pub fn takes(&self, file: &RemotePath, to: Option<&Path>) -> bool {
        let mut items = self.items.iter().filter(|item| !item.is_cancelled());
        items.any(|item| item.to() == to && item.scope().takes(file))
    }

    /// What a listing names, without the files that items take which were asked for later: of an item that an earlier run left.
    pub fn without_later(
        &mut self,
        id: ItemId,
        dir: &RemotePath,
        mut entries: Vec<Entry>,
    ) -> Vec<Entry> {
        let Some(item) = self.item(id).filter(|item| item.earlier.is_some()) else {
            return entries;
        };
        let others = self.items.iter().filter(|other| other.comes_after(item));
        let later: Vec<_> = others.map(Item::scope).collect();
        let before = entries.len();
        let is_taken = |path: &RemotePath| later.iter().any(|scope| scope.takes(path));
        entries.retain(|entry| {
            entry.is_dir || !dir.join_all(&entry.name).is_ok_and(|path| is_taken(&path))
        });
        let left = entries.len() < before;
        if let Some(item) = self.item_mut(id) {
            item.left |= left;
        }
        entries
    }

    /// Whether an item's tree fetches a file, or its patterns leave it out.
    pub fn tree_decides(&self, id: ItemId, path: &RemotePath) -> bool {
        let item = self.item(id);
        let filter = item.and_then(|item| item.filter.as_ref());
        filter.is_some_and(|filter| filter.excludes(path)) || self.tree_wants(id, path)
    }

    /// Patterns of an item have matched what a listing names: those that its filter's copy has noted.
    pub fn matched(&mut self, id: ItemId, by: &Filter) {
        if let Some(filter) = self.item_mut(id).and_then(|item| item.filter.as_mut()) {
            filter.learn(by);
        }
    }

    /// Something of a listing is left out: it can have no name here, or leads nowhere new.
    pub fn refused(&mut self, task: &DirTask, error: Error) {
        self.tell(Event::Failed {
            item: task.item,
            path: task.dir.clone(),
            attempts: 1,
            error: error.clone(),
        });
        if let Some(item) = self.item_mut(task.item) {
            item.note_failure(error);
        }
    }

    /// Files of a listing have come. False when they are not wanted now, because the item was cancelled.
    pub fn found(&mut self, id: ItemId, files: Vec<FileTask>) -> bool {
        let Some(item) = self.item_mut(id).filter(|item| !item.is_cancelled()) else {
            return false;
        };
        item.count_found(Sum::of(&files));
        for file in files {
            item.push_back(file);
        }
        self.ring_all();
        true
    }

    /// Files of a listing are here already. Those that waited on disk were counted when their listing was complete. False when
    /// they are not wanted now, because the item was cancelled.
    pub fn here(&mut self, id: ItemId, files: Vec<(FileTask, Complete)>, counted: bool) -> bool {
        let Some(item) = self.item_mut(id).filter(|item| !item.has_ended()) else {
            return false;
        };
        if item.is_cancelled() {
            for (file, _) in files.into_iter().filter(|_| counted) {
                item.keep_failed(file.into());
            }
            return false;
        }
        if !counted {
            let mut sum = Sum::default();
            for (file, _) in &files {
                sum.add(file.size);
            }
            item.count_found(sum);
        }
        for (file, complete) in files {
            self.complete(file, complete, 0);
        }
        true
    }

    /// A run that changes nothing would do this with files of a listing. False when they are not wanted now, because the item
    /// was cancelled.
    pub fn would(&mut self, id: ItemId, files: Vec<(FileTask, Action)>) -> bool {
        let Some(item) = self.item_mut(id).filter(|item| !item.is_cancelled()) else {
            return false;
        };
        item.found += files.len() as u64;
        item.finished += files.len() as u64;
        for (file, action) in files {
            self.tell(Event::Would {
                item: id,
                path: file.path,
                action,
                bytes: file.size,
            });
        }
        true
    }

    /// The directory of which the next entries are being read from the disk.
    pub fn loading(&self, rest: RestId) -> Option<DirTask> {
        self.loads.get(&rest).cloned()
    }

    /// Some of what waited on disk was read; it was counted when its listing was complete. `more` says that it was not
    /// all.
    pub fn loaded(&mut self, rest: RestId, dirs: Vec<DirTask>, files: Vec<FileTask>, more: bool) {
        let Some(mut task) = self.loads.remove(&rest) else {
            return;
        };
        let id = task.item;
        if !more {
            task.rest = None;
            self.outbox.push_back(Effect::DropRest(rest));
        }
        if let Some(item) = self.item_mut(id) {
            if item.is_cancelled() {
                for file in files {
                    item.keep_failed(file.into());
                }
            } else {
                for file in files {
                    item.push_back(file);
                }
            }
            if more {
                item.take_back_dir(task);
            }
            item.take_dirs(dirs);
        }
        self.end_item(id);
        self.ring_all();
    }

    /// What waited on disk cannot be read any more: only beginning anew tells what else it held.
    pub fn load_failed(&mut self, rest: RestId, error: Error) {
        let Some(mut task) = self.loads.remove(&rest) else {
            return;
        };
        self.outbox.push_back(Effect::DropRest(rest));
        task.rest = None;
        let attempts = task.failures + 1;
        if let Some(item) = self.item_mut(task.item) {
            item.forgetful = true;
        }
        self.task_ended_after(task.into(), attempts, error);
        self.ring_all();
    }
}

#[cfg(test)]
mod tests;
