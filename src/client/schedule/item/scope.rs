//! Which files an item takes, and whose is one that several take: the last one's that was asked for.

use std::path::Path;

use super::{Item, Life, NewItem};
use crate::{
    client::{read::pattern::Filter, snapshot::ItemState, task::FileTask, want::Wanted},
    http1::path::RemotePath,
};

/// What an item takes from the server.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    path: &'a RemotePath,
    filter: Option<&'a Filter>,
    rename: Option<&'a [u8]>,
    named: &'a [FileTask],
}

impl<'a> Scope<'a> {
    /// Whether it takes the file at a path, under its own name.
    pub fn takes(&self, file: &RemotePath) -> bool {
        if !self.named.is_empty() {
            return self.named.iter().any(|task| task.path == *file);
        }
        if !self.path.is_dir() {
            return self.file() == Some(file);
        }
        file.below(self.path).is_some() && self.filter.is_none_or(|filter| filter.wants(file))
    }

    /// The one file that it is about, where that keeps its name.
    pub fn file(&self) -> Option<&'a RemotePath> {
        let is_file = !self.path.is_dir() && self.named.is_empty();
        let keeps_name = self.rename.is_none_or(|name| name == self.path.name());
        (is_file && keeps_name).then_some(self.path)
    }
}

impl NewItem {
    /// What it takes.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            path: &self.path,
            filter: self.filter.as_ref(),
            rename: self.rename.as_deref(),
            named: &self.named,
        }
    }
}

impl Item {
    /// What it takes.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            path: &self.path,
            filter: self.filter.as_ref(),
            rename: self.rename.as_deref(),
            named: &self.named,
        }
    }

    /// Where its files land, if not in the target.
    pub fn to(&self) -> Option<&Path> {
        self.wanted.as_ref().and_then(Wanted::to)
    }

    /// Whether `other`, which an earlier run left, leaves to it what both take: it was asked for later, or is about that file alone,
    /// and was not given up.
    pub fn comes_after(&self, other: &Self) -> bool {
        let failed = matches!(self.life, Life::Ended(ItemState::Failed(_)));
        let is_later = other.earlier.is_some_and(|ticket| {
            self.earlier
                .is_none_or(|later| later > ticket || !self.tree)
        });
        is_later && !failed && !self.is_cancelled() && self.to() == other.to()
    }
}
