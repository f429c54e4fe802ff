//! A pane that shows a directory: where it is, what it lists, and what it waits for.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{
    effect::Effect,
    event::Unlisted,
    listing::{Job, Listing},
    survey::Sums,
};
use crate::{entry::Entry, http1::path::RemotePath};

mod marks;

/// What a browser waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Load {
    /// Nothing: the listing is what was read last.
    #[default]
    Idle,
    /// A directory is being listed.
    Loading(RemotePath),
    /// It could not be.
    Failed(RemotePath, Unlisted),
}

/// A directory on the screen.
#[derive(Debug, Default)]
pub struct Browser {
    /// The directory that the listing shows.
    pub path: RemotePath,
    /// Its entries.
    pub listing: Listing,
    /// What is waited for.
    pub load: Load,
    /// When the listing was read; `None` before the first.
    pub read: Option<Timestamp>,
    /// The directory that was shown before this one.
    pub previous: Option<RemotePath>,
    /// What is below directories, as far as it was counted.
    pub sums: Sums,
    /// The number of the last request for a listing.
    pub request: u64,
    /// What is marked in other directories.
    elsewhere: Vec<(RemotePath, Vec<Entry>)>,
    /// Since when a directory is waited for, as far as a tick has seen it.
    pub(super) asked: Option<Instant>,
    /// The entry to stand on once a directory is listed.
    wanted: Option<Vec<u8>>,
    /// Whether the directory that could not be listed is asked for once more.
    tried: bool,
}

impl Browser {
    /// The same for another server. What comes late for the one that was left is told from what comes for that.
    pub(super) fn next(&self) -> Self {
        Self {
            request: self.request,
            listing: self.listing.next(),
            ..Self::default()
        }
    }

    /// Asks for a directory.
    pub fn open(&mut self, path: RemotePath) -> Effect {
        let path = path.into_dir();
        // On the way up the cursor goes to where one came from, on a refresh it stays.
        let below = self.path.below(&path).filter(|_| path != self.path);
        self.wanted = below.and_then(|rest| rest.names().next().map(<[u8]>::to_vec));
        self.load = Load::Loading(path.clone());
        (self.asked, self.tried) = (None, false);
        self.request += 1;
        Effect::List {
            request: self.request,
            path,
        }
    }

    /// Asks for a directory, to stand on the entry of that name in it, whatever was filtered before.
    pub fn open_at(&mut self, dir: RemotePath, name: &[u8]) -> Vec<Effect> {
        let job = self.listing.rearrange(|a| {
            a.filter.clear();
            a.hidden |= name.starts_with(b".");
        });
        let effect = self.open(dir);
        self.wanted = Some(name.to_vec());
        job.map(Effect::Arrange)
            .into_iter()
            .chain([effect])
            .collect()
    }

    /// Reads the current directory again, or the one that could not be read.
    pub fn refresh(&mut self) -> Effect {
        let path = match &self.load {
            Load::Failed(path, _) | Load::Loading(path) => path.clone(),
            Load::Idle => self.path.clone(),
        };
        self.open(path)
    }

    /// Asks once more for the directory that is shown, where it could not be read again. Why not stays to be seen until the answer
    /// is there, and no rows that may be gone.
    pub(super) fn try_again(&mut self) -> Option<Effect> {
        let Load::Failed(path, _) = &self.load else {
            return None;
        };
        if self.tried || self.read.is_none() || *path != self.path {
            return None;
        }
        let path = path.clone();
        (self.wanted, self.tried) = (None, true);
        self.request += 1;
        Some(Effect::List {
            request: self.request,
            path,
        })
    }

    /// Opens the directory under the cursor; `None` on a file.
    pub fn enter(&mut self) -> Option<Effect> {
        let entry = match self.listing.row(self.listing.cursor().at())? {
            super::listing::Row::Parent => return self.up(),
            super::listing::Row::Entry(entry, _) => entry,
        };
        if !entry.is_dir {
            return None;
        }
        let path = self.path.join(&entry.name).ok()?;
        Some(self.open(path))
    }

    /// Opens the directory above; `None` at the top.
    pub fn up(&mut self) -> Option<Effect> {
        // From a directory that could not be listed, back to the one that is shown.
        if let Load::Failed(..) = self.load
            && self.read.is_some()
        {
            (self.load, self.tried) = (Load::Idle, false);
            return None;
        }
        (!self.path.is_root()).then(|| self.open(self.path.parent()))
    }

    /// Whether the answer to a request is still waited for.
    pub fn awaits(&self, request: u64) -> bool {
        (self.tried || matches!(self.load, Load::Loading(_))) && request == self.request
    }

    /// Takes the answer to a request, if it is still the one that is waited for.
    pub fn listed(
        &mut self,
        request: u64,
        result: Result<Vec<Entry>, Unlisted>,
        wall: Option<Timestamp>,
    ) -> Option<Job> {
        if !self.awaits(request) {
            return None;
        }
        self.tried = false;
        let (Load::Loading(path) | Load::Failed(path, _)) = std::mem::take(&mut self.load) else {
            return None;
        };
        match result {
            Ok(entries) => {
                let again = self.path == path && self.read.is_some();
                if again && self.wanted.is_none() && self.listing.entries() == entries {
                    // Nothing moves, for nothing has changed.
                    self.read = wall;
                    return None;
                }
                // Marks outlive a look elsewhere, and another look at the same.
                let marked: Vec<_> = self.listing.marked().into_iter().cloned().collect();
                if !marked.is_empty() {
                    self.elsewhere.push((self.path.clone(), marked));
                }
                if self.path != path {
                    // A filter is meant for the directory that it was typed in.
                    let _ = self.listing.rearrange(|a| a.filter.clear());
                    if self.read.is_some() {
                        self.previous = Some(self.path.clone());
                    }
                }
                self.path = path;
                self.read = wall;
                let before = again.then(|| *self.listing.cursor());
                let current = || self.listing.current().map(|entry| entry.name.clone());
                let wanted = self
                    .wanted
                    .take()
                    .or_else(|| before.and_then(|_| current()));
                let job = self
                    .listing
                    .fill(entries, !self.path.is_root(), wanted.as_deref());
                if let (Some(before), None) = (before, &job) {
                    self.listing.stay(before, wanted.as_deref());
                }
                if let Some(at) = self.elsewhere.iter().position(|(dir, _)| *dir == self.path) {
                    let (_, marked) = self.elsewhere.swap_remove(at);
                    self.listing
                        .mark_named(marked.into_iter().map(|entry| entry.name));
                }
                job
            }
            Err(error) => {
                self.load = Load::Failed(path, error);
                None
            }
        }
    }

    /// Notes whether a directory is waited for at `now`; whether there is a wait to show.
    pub(super) fn wait(&mut self, now: Instant) -> bool {
        self.asked = match self.load {
            Load::Loading(_) => self.asked.or(Some(now)),
            _ => None,
        };
        self.waited(Some(now)).is_some()
    }

    /// How long a directory is waited for, once that is longer than a moment.
    pub fn waited(&self, now: Option<Instant>) -> Option<Duration> {
        /// Most directories are there before anybody has seen that they were asked for.
        const MOMENT: Duration = Duration::from_millis(400);
        let waited = now?.saturating_duration_since(self.asked?);
        Some(waited).filter(|waited| *waited >= MOMENT)
    }

    /// Opens the directory that was shown before; `None` where there was none.
    pub fn back(&mut self) -> Option<Effect> {
        let previous = self.previous.clone()?;
        Some(self.open(previous))
    }

    /// Whether no row is to be seen, for what was asked for last could not be listed.
    pub fn is_unlisted(&self) -> bool {
        matches!(self.load, Load::Failed(..))
    }

    /// The entry under the cursor, where it is to be seen.
    pub fn current(&self) -> Option<&Entry> {
        self.listing.current().filter(|_| !self.is_unlisted())
    }

    /// The path of the `row`th entry; `None` for the way up.
    pub fn path_at(&self, row: usize) -> Option<RemotePath> {
        match self.listing.row(row)? {
            super::listing::Row::Parent => None,
            super::listing::Row::Entry(entry, _) => self.path_of(entry),
        }
    }

    /// The path of an entry of the listing.
    pub fn path_of(&self, entry: &Entry) -> Option<RemotePath> {
        let path = self.path.join(&entry.name).ok()?;
        Some(if entry.is_dir { path.into_dir() } else { path })
    }

    /// The path that `text` names from here: `..`, `/top`, `sub/dir`, also with `.` segments.
    pub fn resolve(&self, text: &str) -> Option<RemotePath> {
        let mut path = if text.starts_with('/') {
            RemotePath::root()
        } else {
            self.path.clone()
        };
        for segment in text.split('/') {
            match segment {
                "" | "." => {}
                ".." => path = path.parent(),
                name => path.push(name.as_bytes()).ok()?,
            }
        }
        Some(path.into_dir())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(name: &str) -> Entry {
        Entry {
            name: name.into(),
            is_dir: true,
            size: None,
            modified: None,
            blake3: None,
        }
    }

    fn request(effect: &Effect) -> u64 {
        match effect {
            Effect::List { request, .. } => *request,
            _ => panic!("a directory is asked for"),
        }
    }

    #[test]
    fn going_up_stands_on_where_one_came_from() {
        let mut browser = Browser::default();
        let asked = browser.open(RemotePath::root());
        let all = || Ok(vec![dir("a"), dir("b"), dir("c")]);
        browser.listed(request(&asked), all(), None);
        browser.listing.go(1);
        let asked = browser.enter().unwrap();
        assert!(matches!(&asked, Effect::List { path, .. } if path.as_bytes() == b"b/"));
        browser.listed(request(&asked), Ok(vec![]), None);
        let asked = browser.up().unwrap();
        browser.listed(request(&asked), all(), None);
        assert_eq!(browser.listing.current().unwrap().name, b"b");
    }

    #[test]
    fn only_the_answer_to_the_last_request_is_taken() {
        let mut browser = Browser::default();
        let first = request(&browser.open(RemotePath::root()));
        let second = request(&browser.refresh());
        browser.listed(first, Err("of before the login".into()), None);
        assert!(matches!(browser.load, Load::Loading(_)));
        browser.listed(first, Ok(vec![dir("wrong")]), None);
        assert!(browser.listing.is_empty());
        browser = browser.next();
        let other = request(&browser.open(RemotePath::root()));
        browser.listed(second, Ok(vec![dir("of another server")]), None);
        assert!(browser.listing.is_empty());
        browser.listed(other, Ok(vec![dir("right")]), None);
        assert_eq!(
            (browser.listing.entries().len(), &browser.load),
            (1, &Load::Idle)
        );
        browser.listed(other, Err("twice".into()), None);
        assert_eq!(browser.load, Load::Idle);
    }

    #[test]
    fn paths_resolve_from_here() {
        let browser = Browser {
            path: RemotePath::from_target(b"/a/b/").unwrap(),
            ..Browser::default()
        };
        for (text, path) in [
            ("..", "a/"),
            ("/", ""),
            ("c/./d", "a/b/c/d/"),
            ("../../../x", "x/"),
        ] {
            assert_eq!(
                browser.resolve(text).unwrap().as_bytes(),
                path.as_bytes(),
                "{text}"
            );
        }
    }
}
