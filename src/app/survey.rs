//! Walks of whole trees on the server: sizes of directories, and names for a search. The engine walks, see
//! [`Effect::Survey`](super::Effect::Survey); what it found comes in pieces, and is bounded.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{State, View, browser::Browser, event::Effect};
use crate::{entry::Entry, http1::path::RemotePath, units};

/// What is walked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Tells it from others; the answers bear it.
    pub id: u64,
    /// The directories to walk, one after the other.
    pub roots: Vec<RemotePath>,
    /// Whether names are wanted; else only sums.
    pub names: bool,
}

/// What a walk tells.
#[derive(Debug)]
pub enum News {
    /// What is below a root, as far as it has been walked.
    Counted {
        /// The root.
        root: RemotePath,
        /// What was found.
        sum: Sum,
        /// Whether its walk is over.
        ended: bool,
    },
    /// A part of a directory, of at most a few thousand entries.
    Found(Arc<Chunk>),
    /// The walk is over.
    Ended(Extent),
}

/// Entries of one directory.
#[derive(Debug)]
pub struct Chunk {
    /// The directory.
    pub dir: RemotePath,
    /// Its entries, or some of them.
    pub entries: Vec<Entry>,
}

/// What is below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Bytes of the files whose size is told.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// Whether there may be more: it is being walked, was cut, or some of it could not be listed or has no size.
    pub more: bool,
}

/// How far a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Directories that were listed.
    pub dirs: u64,
    /// Entries that they held.
    pub entries: u64,
    /// Directories that could not be listed.
    pub failed: u64,
    /// Whether a bound was met, and the rest left out.
    pub cut: bool,
}

impl Extent {
    /// What is missing, for people; nothing where all was seen.
    pub fn lacks(&self) -> Option<String> {
        let failed = |n: u64| format!("{} directories could not be listed", units::count(n));
        match (self.cut, self.failed) {
            (false, 0) => None,
            (false, n) => Some(failed(n)),
            (true, 0) => Some("too many: the rest was left out".to_owned()),
            (true, n) => Some(format!("too many: the rest was left out; {}", failed(n))),
        }
    }
}

/// Sums of directories, and the walk that counts more of them.
#[derive(Debug, Default)]
pub struct Sums {
    known: HashMap<RemotePath, Sum>,
    counting: Option<Counting>,
}

#[derive(Debug)]
struct Counting {
    id: u64,
    since: Option<Instant>,
    roots: usize,
    done: usize,
}

impl Sums {
    /// What is known to be below a directory.
    pub fn of(&self, dir: &RemotePath) -> Option<Sum> {
        self.known.get(dir).copied()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Of how many directories how many are counted, while that goes on, and since when.
    pub fn counting(&self) -> Option<(usize, usize, Option<Instant>)> {
        let counting = self.counting.as_ref()?;
        Some((counting.done, counting.roots, counting.since))
    }
}

impl Browser {
    /// Directories that are shown or marked and not counted in full.
    fn uncounted(&self) -> Vec<RemotePath> {
        let shown = self.listing.shown().filter(|entry| entry.is_dir);
        let shown = shown.filter_map(|entry| self.path_of(entry));
        let marks = self.marks().into_iter().filter(|(_, entry)| entry.is_dir);
        let marks = marks.filter_map(|(dir, entry)| Some(dir.join(&entry.name).ok()?.into_dir()));
        let mut seen = std::collections::HashSet::new();
        shown
            .chain(marks)
            .filter(|dir| self.sums.of(dir).is_none_or(|sum| sum.more))
            .filter(|dir| seen.insert(dir.clone()))
            .collect()
    }
}

impl State {
    /// Counts what is below the directories that are shown or marked; while that goes on, ends it.
    pub(super) fn count(&mut self) -> Vec<Effect> {
        let (now, id) = (self.now, self.next_survey());
        let browser = self.browser();
        if let Some(counting) = browser.sums.counting.take() {
            self.say("counting has ended: what was not counted is a lower bound");
            return vec![Effect::EndSurvey(counting.id)];
        }
        let roots = browser.uncounted();
        if roots.is_empty() {
            self.complain("no directory is left to count here");
            return Vec::new();
        }
        browser.sums.counting = Some(Counting {
            id,
            since: now,
            roots: roots.len(),
            done: 0,
        });
        vec![Effect::Survey(Survey {
            id,
            roots,
            names: false,
        })]
    }

    /// A number that no survey had.
    pub(super) fn next_survey(&mut self) -> u64 {
        self.surveys += 1;
        self.surveys
    }

    /// What is listed anew is counted anew.
    pub(super) fn forget_sums(&mut self) -> Option<Effect> {
        let sums = std::mem::take(&mut self.browser().sums);
        sums.counting.map(|counting| Effect::EndSurvey(counting.id))
    }

    pub(super) fn surveyed(&mut self, id: u64, news: News) -> Vec<Effect> {
        let View::Connect(view) = &mut self.view else {
            return Vec::new();
        };
        let sums = &mut view.remote.sums;
        let Some(counting) = sums.counting.as_mut().filter(|counting| counting.id == id) else {
            return self.search_found(id, news);
        };
        match news {
            News::Counted { root, sum, ended } => {
                sums.known.insert(root, sum);
                if ended {
                    counting.done += 1;
                }
            }
            News::Ended(extent) => {
                sums.counting = None;
                if let Some(lacks) = extent.lacks() {
                    self.complain(format!("counted: {lacks}"));
                }
            }
            News::Found(_) => {}
        }
        Vec::new()
    }
}
