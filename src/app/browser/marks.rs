//! What is marked, in the directory that is shown and in others.

use super::Browser;
use crate::{entry::Entry, http1::path::RemotePath};

impl Browser {
    /// Everything that is marked, here first: paths and sizes.
    pub fn marked(&self) -> Vec<(RemotePath, Option<u64>)> {
        let of = |dir: &RemotePath, entry: &Entry| {
            let path = dir.join(&entry.name).ok()?;
            let path = if entry.is_dir { path.into_dir() } else { path };
            Some((path, entry.size))
        };
        let here = self.listing.marked().into_iter();
        let mut all: Vec<_> = here.filter_map(|entry| of(&self.path, entry)).collect();
        for (dir, entries) in &self.elsewhere {
            all.extend(entries.iter().filter_map(|entry| of(dir, entry)));
        }
        all
    }

    /// Everything that is marked, here first: directories and entries.
    pub fn marks(&self) -> Vec<(&RemotePath, &Entry)> {
        let here = self.listing.marked().into_iter();
        let mut all: Vec<_> = here.map(|entry| (&self.path, entry)).collect();
        for (dir, entries) in &self.elsewhere {
            all.extend(entries.iter().map(|entry| (dir, entry)));
        }
        all
    }

    /// Takes the mark of an entry of `dir` away.
    pub fn unmark(&mut self, dir: &RemotePath, name: &[u8]) {
        if *dir == self.path {
            self.listing.unmark_named(name);
            return;
        }
        for (_, entries) in self.elsewhere.iter_mut().filter(|(at, _)| at == dir) {
            entries.retain(|entry| entry.name != name);
        }
        self.elsewhere.retain(|(_, entries)| !entries.is_empty());
    }

    /// How many entries are marked, here and elsewhere.
    pub fn marked_count(&self) -> usize {
        let elsewhere = self.elsewhere.iter().map(|(_, entries)| entries.len());
        self.listing.marked_count() + elsewhere.sum::<usize>()
    }

    /// Bytes of what is marked, and whether some of it has no known size.
    /// What lies in a directory that is marked as well counts once.
    pub fn marked_size(&self) -> (u64, bool) {
        let sizeless = |entry: &Entry, dir: &RemotePath| -> (u64, bool) {
            let path = dir.join(&entry.name).ok().filter(|_| entry.is_dir);
            let sum = path.and_then(|path| self.sums.of(&path.into_dir()));
            sum.map_or((0, true), |sum| (sum.bytes, sum.more))
        };
        let dirs: Vec<RemotePath> = if self.elsewhere.is_empty() {
            Vec::new()
        } else {
            let marked = self.marked().into_iter();
            marked
                .filter_map(|(path, _)| path.is_dir().then_some(path))
                .collect()
        };
        let is_within = |dir: &RemotePath| dirs.iter().any(|marked| dir.below(marked).is_some());
        let here = self.path.clone().into_dir();
        let (mut bytes, mut more) = if is_within(&here) {
            (0, false)
        } else {
            self.listing.marked_size()
        };
        if more && !self.sums.is_empty() {
            more = false;
            for entry in self.listing.marked() {
                if entry.size.is_none() {
                    let (least, lacks) = sizeless(entry, &self.path);
                    bytes = bytes.saturating_add(least);
                    more |= lacks;
                }
            }
        }
        for (dir, entries) in &self.elsewhere {
            if is_within(&dir.clone().into_dir()) {
                continue;
            }
            for entry in entries {
                let (least, lacks) = entry
                    .size
                    .map_or_else(|| sizeless(entry, dir), |size| (size, false));
                bytes = bytes.saturating_add(least);
                more |= lacks;
            }
        }
        (bytes, more)
    }

    /// Whether an entry of `dir` is marked.
    pub fn is_marked(&self, dir: &RemotePath, name: &[u8]) -> bool {
        if *dir == self.path {
            return self.listing.is_marked(name);
        }
        let mut at = self.elsewhere.iter().filter(|(at, _)| at == dir);
        at.any(|(_, entries)| entries.iter().any(|entry| entry.name == name))
    }

    /// Marks an entry of any directory, or takes its mark away.
    pub fn toggle_mark(&mut self, dir: &RemotePath, entry: &Entry) {
        if self.is_marked(dir, &entry.name) {
            self.unmark(dir, &entry.name);
        } else if *dir == self.path {
            self.listing.mark_named(std::iter::once(entry.name.clone()));
        } else if let Some((_, entries)) = self.elsewhere.iter_mut().find(|(at, _)| at == dir) {
            entries.push(entry.clone());
        } else {
            self.elsewhere.push((dir.clone(), vec![entry.clone()]));
        }
    }

    /// Takes all marks away; whether there were any.
    pub fn unmark_all(&mut self) -> bool {
        let elsewhere = !std::mem::take(&mut self.elsewhere).is_empty();
        self.listing.unmark_all() || elsewhere
    }
}
