//! The search in a whole tree: names come as the server's directories are listed, the best matches first.
//!
//! Few names are matched at once, many off the loop (see [`Job`]): what is typed is never waited for.

use std::{cmp::Reverse, sync::Arc};

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};

use super::{
    cursor::Cursor,
    survey::{Chunk, Extent, News},
};
use crate::{entry::Entry, http1::path::RemotePath, units};

/// Matches that are kept: more than anybody looks through.
const KEPT: usize = 1000;
/// Up to this many names are matched at once, in a few milliseconds; more are handed out as a [`Job`].
const INLINE: u64 = 20_000;
/// Characters of what is typed.
const LENGTH_MAX: usize = 200;

/// A name that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hit {
    score: u32,
    chunk: u32,
    entry: u32,
}

/// The search and what it found so far.
#[derive(Debug)]
pub struct Search {
    /// The directory that it is below.
    pub root: RemotePath,
    /// The current match.
    pub cursor: Cursor,
    /// Its survey.
    pub(super) id: u64,
    query: String,
    pool: Vec<Arc<Chunk>>,
    names: u64,
    hits: Vec<Hit>,
    /// Chunks that `hits` tell of, and names of them that match.
    covered: usize,
    matching: u64,
    end: Option<Extent>,
    dirs: u64,
    /// Counts what was typed.
    generation: u64,
    /// Whether a job is under way.
    working: bool,
}

/// Names to be matched off the loop.
#[derive(Debug)]
pub struct Job {
    /// The search's.
    id: u64,
    generation: u64,
    query: String,
    pool: Vec<Arc<Chunk>>,
}

/// What came of a [`Job`].
#[derive(Debug)]
pub struct Matched {
    id: u64,
    generation: u64,
    hits: Vec<Hit>,
    matching: u64,
    covered: usize,
}

impl Job {
    /// Works it out; some hundred milliseconds for half a million names.
    pub fn run(self) -> Matched {
        let mut found = Found::default();
        for (at, chunk) in self.pool.iter().enumerate() {
            found.take(&self.query, at, chunk);
        }
        Matched {
            id: self.id,
            generation: self.generation,
            hits: found.hits,
            matching: found.matching,
            covered: self.pool.len(),
        }
    }
}

/// The best of what matches.
#[derive(Default)]
struct Found {
    hits: Vec<Hit>,
    matching: u64,
}

impl Found {
    fn take(&mut self, query: &str, at: usize, chunk: &Chunk) {
        let chunk_at = at as u32;
        let hit = |score, entry: usize| Hit {
            score,
            chunk: chunk_at,
            entry: entry as u32,
        };
        let before = self.hits.len();
        if query.is_empty() {
            self.matching += chunk.entries.len() as u64;
            let room = KEPT.saturating_sub(before);
            let entries = 0..chunk.entries.len().min(room);
            self.hits.extend(entries.map(|entry| hit(0, entry)));
            return;
        }
        let mut matcher = Matcher::new(Config::DEFAULT.match_paths());
        let pattern = Pattern::parse(query, CaseMatching::Smart, Normalization::Smart);
        let dir = chunk.dir.to_string_lossy();
        let (mut path, mut cells) = (String::new(), Vec::new());
        for (entry, of) in chunk.entries.iter().enumerate() {
            path.clear();
            path.push_str(&dir);
            path.push_str(&String::from_utf8_lossy(&of.name));
            let score = pattern.score(Utf32Str::new(&path, &mut cells), &mut matcher);
            if let Some(score) = score {
                self.matching += 1;
                self.hits.push(hit(score, entry));
            }
        }
        if self.hits.len() > before {
            // What was found first stays before what is as good.
            self.hits
                .sort_by_key(|hit| (Reverse(hit.score), hit.chunk, hit.entry));
            self.hits.truncate(KEPT);
        }
    }
}

impl Search {
    pub(super) fn new(id: u64, root: RemotePath) -> Self {
        Self {
            root,
            cursor: Cursor::default(),
            id,
            query: String::new(),
            pool: Vec::new(),
            names: 0,
            hits: Vec::new(),
            covered: 0,
            matching: 0,
            end: None,
            dirs: 0,
            generation: 0,
            working: false,
        }
    }

    /// Takes the last character away, or all of them.
    pub(super) fn erase(&mut self, all: bool) -> Option<Job> {
        if all {
            self.query.clear();
        } else {
            self.query.pop();
        }
        self.search()
    }

    /// What was typed.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// How many matches are shown.
    pub fn len(&self) -> usize {
        self.hits.len()
    }

    /// Whether nothing matches.
    pub fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// The `row`th match: its directory and its entry.
    pub fn hit(&self, row: usize) -> Option<(&RemotePath, &Entry)> {
        let hit = self.hits.get(row)?;
        let chunk = self.pool.get(hit.chunk as usize)?;
        Some((&chunk.dir, chunk.entries.get(hit.entry as usize)?))
    }

    /// Names that match, names that there are, and directories that were listed.
    pub fn counts(&self) -> (u64, u64, u64) {
        (self.matching, self.names, self.dirs)
    }

    /// How far the walk came; `None` while it goes on.
    pub fn end(&self) -> Option<Extent> {
        self.end
    }

    /// Takes what was typed.
    pub(super) fn search(&mut self) -> Option<Job> {
        self.generation += 1;
        if self.names > INLINE {
            return self.job();
        }
        (self.hits, self.matching, self.covered) = (Vec::new(), 0, 0);
        self.cursor.go(0, 0);
        self.catch_up();
        None
    }

    fn job(&mut self) -> Option<Job> {
        if std::mem::replace(&mut self.working, true) {
            return None;
        }
        Some(Job {
            id: self.id,
            generation: self.generation,
            query: self.query.clone(),
            pool: self.pool.clone(),
        })
    }

    /// Matches what came since.
    fn catch_up(&mut self) {
        let mut found = Found {
            hits: std::mem::take(&mut self.hits),
            matching: self.matching,
        };
        for at in self.covered..self.pool.len() {
            found.take(&self.query, at, &self.pool[at]);
        }
        (self.hits, self.matching) = (found.hits, found.matching);
        self.covered = self.pool.len();
        self.cursor.go(self.cursor.at(), self.hits.len());
    }

    pub(super) fn found(&mut self, news: News) {
        match news {
            News::Found(chunk) => {
                self.names += chunk.entries.len() as u64;
                // The chunks of one directory come one after another.
                if self.pool.last().is_none_or(|last| last.dir != chunk.dir) {
                    self.dirs += 1;
                }
                self.pool.push(chunk);
                if !self.working {
                    self.catch_up();
                }
            }
            News::Ended(extent) => {
                self.dirs = extent.dirs;
                self.end = Some(extent);
            }
            News::Counted { .. } => {}
        }
    }

    /// Takes what came of a job; the next one, where more was typed meanwhile.
    pub(super) fn matched(&mut self, matched: Matched) -> Option<Job> {
        if matched.id != self.id {
            // One that was closed meanwhile had asked.
            return None;
        }
        self.working = false;
        if matched.generation != self.generation {
            return self.job();
        }
        (self.hits, self.matching) = (matched.hits, matched.matching);
        self.covered = matched.covered;
        self.cursor.go(0, self.hits.len());
        self.catch_up();
        None
    }

    pub(super) fn typed(&mut self, text: &str) -> Option<Job> {
        let room = LENGTH_MAX.saturating_sub(self.query.chars().count());
        let text = text.chars().filter(|c| !c.is_control()).take(room);
        self.query.extend(text);
        self.search()
    }
}

/// How far a search has come, for people.
pub fn progress(search: &Search) -> String {
    let (matching, names, dirs) = search.counts();
    let found = format!(
        "{} of {} names in {} directories",
        units::count(matching),
        units::count(names),
        units::count(dirs)
    );
    match search.end() {
        None => format!("{found} so far"),
        Some(extent) => match extent.lacks() {
            Some(lacks) => format!("{found} · {lacks}"),
            None => found,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(dir: &str, names: impl IntoIterator<Item = String>) -> News {
        let entry = |name: String| Entry {
            name: name.into_bytes(),
            is_dir: false,
            size: None,
            modified: None,
            blake3: None,
        };
        News::Found(Arc::new(Chunk {
            dir: RemotePath::from_target(dir.as_bytes()).unwrap(),
            entries: names.into_iter().map(entry).collect(),
        }))
    }

    fn names(search: &Search) -> Vec<String> {
        let hits = (0..search.len()).filter_map(|row| search.hit(row));
        hits.map(|(dir, entry)| {
            let name = String::from_utf8_lossy(&entry.name);
            format!("{}{name}", dir.to_string_lossy())
        })
        .collect()
    }

    #[test]
    fn the_best_match_comes_first_wherever_it_was_found() {
        let mut search = Search::new(1, RemotePath::root());
        search.found(chunk("/a/", ["r-e-p-o-r-t".into(), "other".into()]));
        assert_eq!(search.len(), 2, "nothing typed is everything");
        assert!(search.typed("report").is_none());
        search.found(chunk("/b/", ["report.pdf".into(), "none".into()]));
        assert_eq!(names(&search), ["b/report.pdf", "a/r-e-p-o-r-t"]);
        assert_eq!(search.counts(), (2, 4, 2));
    }

    #[test]
    fn many_names_are_matched_off_the_loop_and_late_ones_join() {
        let mut search = Search::new(1, RemotePath::root());
        search.found(chunk("/", (0..=INLINE).map(|n| format!("f{n}"))));
        let Some(job) = search.typed("f777") else {
            panic!("too many to match here")
        };
        assert!(search.typed("7").is_none(), "one at a time");
        search.found(chunk("/late/", ["f7777".into()]));
        let Some(job) = search.matched(job.run()) else {
            panic!("what was typed meanwhile is searched for")
        };
        assert!(search.matched(job.run()).is_none());
        assert_eq!(names(&search), ["f7777", "late/f7777", "f17777"]);
        assert!(names(&search).len() <= KEPT);
    }
}
