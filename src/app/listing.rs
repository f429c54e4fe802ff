//! A directory's entries as a list on the screen: sorted, filtered, marked, with a cursor.
//!
//! The entries never move. What moves is an index vector over them, so that a million entries are sorted and
//! filtered without copying a name; above [`INLINE`] entries that happens off the loop (see [`Job`]).

use std::{cmp::Ordering, sync::Arc};

use super::cursor::{Cursor, Motion};
use crate::entry::Entry;

/// Up to this many entries are arranged at once, in a few milliseconds; more are handed out as a [`Job`].
const INLINE: usize = 20_000;

/// What a listing is sorted by. Directories come first in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortKey {
    /// Natural order: `part2` before `part10`, upper and lower case alike.
    #[default]
    Name,
    /// Bytes; what has no size counts as smallest.
    Size,
    /// Time since the last change; ascending means youngest first.
    Age,
}

impl SortKey {
    /// The word in the pane's title and in `:sort`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Age => "age",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Name => Self::Size,
            Self::Size => Self::Age,
            Self::Age => Self::Name,
        }
    }
}

/// How entries are chosen and ordered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arrangement {
    /// The order's key.
    pub key: SortKey,
    /// Largest, oldest or last name first.
    pub descending: bool,
    /// Only names that hold this text; upper and lower case alike unless it has an upper-case letter.
    pub filter: String,
    /// Names that begin with a dot too.
    pub hidden: bool,
}

/// An arrangement to be worked out off the loop.
#[derive(Debug, Clone)]
pub struct Job {
    generation: u64,
    entries: Arc<Vec<Entry>>,
    arrangement: Arrangement,
}

/// What came of a [`Job`].
#[derive(Debug)]
pub struct Arranged {
    generation: u64,
    order: Vec<u32>,
}

impl Job {
    /// Filters and sorts. May take a second for a million entries.
    pub fn run(self) -> Arranged {
        Arranged {
            generation: self.generation,
            order: arrange(&self.entries, &self.arrangement),
        }
    }
}

/// A row of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row<'a> {
    /// The way up.
    Parent,
    /// An entry, and whether it is marked.
    Entry(&'a Entry, bool),
}

/// The entries of one directory.
#[derive(Debug, Default)]
pub struct Listing {
    entries: Arc<Vec<Entry>>,
    order: Vec<u32>,
    marks: Vec<bool>,
    marked: usize,
    arrangement: Arrangement,
    parent: bool,
    cursor: Cursor,
    /// Where a range began.
    anchor: Option<usize>,
    generation: u64,
    /// The name that the cursor goes to once the order is known.
    wanted: Option<Vec<u8>>,
}

impl Listing {
    /// Takes a directory's entries; `parent` adds a row that leads up, `at` names the entry to stand on.
    pub fn fill(&mut self, entries: Vec<Entry>, parent: bool, at: Option<&[u8]>) -> Option<Job> {
        self.marks = vec![false; entries.len()];
        self.marked = 0;
        self.anchor = None;
        self.entries = Arc::new(entries);
        self.order.clear();
        self.parent = parent;
        self.wanted = at.map(<[u8]>::to_vec);
        // Without a wish the cursor stands on the first entry, not on the way up.
        self.cursor.go(0, 0);
        self.arrange_again()
    }

    /// How the entries are chosen and ordered.
    pub fn arrangement(&self) -> &Arrangement {
        &self.arrangement
    }

    /// Changes how the entries are chosen and ordered.
    pub fn rearrange(&mut self, change: impl FnOnce(&mut Arrangement)) -> Option<Job> {
        let before = self.arrangement.clone();
        change(&mut self.arrangement);
        if before == self.arrangement {
            return None;
        }
        self.wanted = self.current().map(|entry| entry.name.clone());
        self.arrange_again()
    }

    /// Goes on to the next sort key.
    pub fn sort_next(&mut self) -> Option<Job> {
        self.rearrange(|a| a.key = a.key.next())
    }

    /// Turns the order round.
    pub fn reverse(&mut self) -> Option<Job> {
        self.rearrange(|a| a.descending = !a.descending)
    }

    fn arrange_again(&mut self) -> Option<Job> {
        self.generation += 1;
        self.anchor = None;
        let job = Job {
            generation: self.generation,
            entries: Arc::clone(&self.entries),
            arrangement: self.arrangement.clone(),
        };
        if self.entries.len() > INLINE {
            return Some(job);
        }
        self.take(job.run());
        None
    }

    /// Takes what came of a job, unless the listing has changed since.
    pub fn take(&mut self, arranged: Arranged) {
        if arranged.generation != self.generation {
            return;
        }
        self.order = arranged.order;
        let wanted = self.wanted.take();
        let place = wanted.and_then(|name| {
            self.order
                .iter()
                .position(|&i| self.entries[i as usize].name == name)
        });
        let first = usize::from(self.parent && !self.order.is_empty());
        let at = place.map_or(first, |place| place + usize::from(self.parent));
        self.cursor.go(at, self.len());
    }

    /// Rows in the list, the way up included.
    pub fn len(&self) -> usize {
        self.order.len() + usize::from(self.parent)
    }

    /// Whether there is no row at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries that are shown, and entries that there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.order.len(), self.entries.len())
    }

    /// All entries, in the server's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The row at `index`.
    pub fn row(&self, index: usize) -> Option<Row<'_>> {
        let Some(index) = index.checked_sub(usize::from(self.parent)) else {
            return Some(Row::Parent);
        };
        let entry = *self.order.get(index)? as usize;
        Some(Row::Entry(&self.entries[entry], self.marks[entry]))
    }

    /// The cursor.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The entry under the cursor; `None` on the way up and in an empty list.
    pub fn current(&self) -> Option<&Entry> {
        match self.row(self.cursor.at()) {
            Some(Row::Entry(entry, _)) => Some(entry),
            _ => None,
        }
    }

    /// The cursor's place among the shown entries, from 1; 0 on the way up.
    pub fn place(&self) -> usize {
        (self.cursor.at() + usize::from(!self.parent)).min(self.order.len())
    }

    /// Moves the cursor; a range that was begun follows it.
    pub fn apply(&mut self, motion: Motion) {
        let before = self.cursor.at();
        self.cursor.apply(motion, self.len());
        self.extend_range(before);
    }

    /// Moves the cursor to a row.
    pub fn go(&mut self, row: usize) {
        let before = self.cursor.at();
        self.cursor.go(row, self.len());
        self.extend_range(before);
    }

    /// Moves the window.
    pub fn scroll(&mut self, by: isize) {
        self.cursor.scroll(by, self.len());
    }

    /// Tells how many rows the window has.
    pub fn set_page(&mut self, page: usize) {
        self.cursor.set_page(page, self.len());
    }

    /// Marks the current entry, or takes its mark away, and steps down.
    pub fn mark_and_step(&mut self) {
        let at = self.cursor.at();
        if let Some(Row::Entry(_, marked)) = self.row(at) {
            self.set_mark(at, !marked);
        }
        self.cursor.apply(Motion::Down, self.len());
    }

    /// Begins a range at the cursor, or ends it.
    pub fn toggle_range(&mut self) {
        self.anchor = match self.anchor {
            Some(_) => None,
            None => Some(self.cursor.at()),
        };
        if self.anchor.is_some() {
            self.set_mark(self.cursor.at(), true);
        }
    }

    /// Whether a range is being drawn.
    pub fn in_range(&self) -> bool {
        self.anchor.is_some()
    }

    /// Ends a range; its marks stay.
    pub fn end_range(&mut self) -> bool {
        self.anchor.take().is_some()
    }

    fn extend_range(&mut self, before: usize) {
        let Some(anchor) = self.anchor else { return };
        let now = self.cursor.at();
        // What the range covered and covers no more loses its mark.
        for row in before.min(now)..=before.max(now) {
            let inside = (anchor.min(now)..=anchor.max(now)).contains(&row);
            self.set_mark(row, inside);
        }
    }

    /// Marks every shown entry; takes all marks away where every one is marked.
    pub fn mark_all(&mut self) {
        let all = self.order.iter().all(|&i| self.marks[i as usize]);
        for &i in &self.order {
            self.marks[i as usize] = !all;
        }
        self.marked = self.marks.iter().filter(|m| **m).count();
    }

    /// Takes all marks away; whether there were any.
    pub fn unmark_all(&mut self) -> bool {
        self.marks.fill(false);
        std::mem::take(&mut self.marked) > 0
    }

    fn set_mark(&mut self, row: usize, on: bool) {
        let Some(index) = row.checked_sub(usize::from(self.parent)) else {
            return;
        };
        let Some(&entry) = self.order.get(index) else {
            return;
        };
        let mark = &mut self.marks[entry as usize];
        if *mark != on {
            *mark = on;
            self.marked = if on { self.marked + 1 } else { self.marked - 1 };
        }
    }

    /// How many entries are marked.
    pub fn marked_count(&self) -> usize {
        self.marked
    }

    /// The marked entries, in the order of the list as far as they are shown, the others last.
    pub fn marked(&self) -> Vec<&Entry> {
        let mut left = self.marks.clone();
        let shown = self.order.iter().map(|&i| i as usize);
        let mut all: Vec<_> = shown.filter(|&i| std::mem::take(&mut left[i])).collect();
        all.extend((0..left.len()).filter(|&i| left[i]));
        all.into_iter().map(|i| &self.entries[i]).collect()
    }

    /// Bytes of the marked entries, and whether some of them have no known size.
    pub fn marked_size(&self) -> (u64, bool) {
        let mut sum = (0u64, false);
        if self.marked == 0 {
            return sum;
        }
        for (entry, _) in self.entries.iter().zip(&self.marks).filter(|(_, m)| **m) {
            match entry.size {
                Some(size) => sum.0 = sum.0.saturating_add(size),
                None => sum.1 = true,
            }
        }
        sum
    }
}

/// The indices of the chosen entries, in order.
fn arrange(entries: &[Entry], how: &Arrangement) -> Vec<u32> {
    let exact = how.filter.chars().any(char::is_uppercase);
    let chosen = |entry: &Entry| {
        (how.hidden || !entry.name.starts_with(b".")) && holds(&entry.name, &how.filter, exact)
    };
    let mut order: Vec<u32> = (0..u32::try_from(entries.len()).unwrap_or(u32::MAX))
        .filter(|&i| chosen(&entries[i as usize]))
        .collect();
    order.sort_unstable_by(|&a, &b| {
        let (a, b) = (&entries[a as usize], &entries[b as usize]);
        b.is_dir.cmp(&a.is_dir).then_with(|| {
            let by_key = match how.key {
                SortKey::Name => Ordering::Equal,
                SortKey::Size => a.size.cmp(&b.size),
                // Age grows as the time of change falls; what has none is oldest.
                SortKey::Age => b.modified.cmp(&a.modified),
            };
            let order = by_key.then_with(|| natural(&a.name, &b.name));
            if how.descending {
                order.reverse()
            } else {
                order
            }
        })
    });
    order
}

/// Whether `name` holds `text`; `exact` tells upper from lower case.
pub fn holds(name: &[u8], text: &str, exact: bool) -> bool {
    let text = text.as_bytes();
    if text.is_empty() {
        return true;
    }
    name.windows(text.len()).any(|part| {
        if exact {
            part == text
        } else {
            part.eq_ignore_ascii_case(text)
        }
    })
}

/// Natural order: runs of digits by their value, letters without regard to case, ties by bytes.
fn natural(a: &[u8], b: &[u8]) -> Ordering {
    let (mut x, mut y) = (a, b);
    while let ([p, ..], [q, ..]) = (x, y) {
        if p.is_ascii_digit() && q.is_ascii_digit() {
            let (left, right);
            ((left, x), (right, y)) = (number(x), number(y));
            let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
            if order.is_ne() {
                return order;
            }
        } else {
            let order = p.to_ascii_lowercase().cmp(&q.to_ascii_lowercase());
            if order.is_ne() {
                return order;
            }
            (x, y) = (&x[1..], &y[1..]);
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// The digits that a text begins with, without leading zeros, and what follows them.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    (&digits[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> Entry {
        Entry {
            name: name.into(),
            is_dir: false,
            size: Some(size),
            modified: None,
            blake3: None,
        }
    }

    #[test]
    fn numbers_in_names_count_by_their_value() {
        let mut names = ["b2", "B10", "a", "b02", "b1", "10", "9", "b"];
        names.sort_by(|a, b| natural(a.as_bytes(), b.as_bytes()));
        assert_eq!(names, ["9", "10", "a", "b", "b1", "b02", "b2", "B10"]);
    }

    #[test]
    fn a_large_listing_is_arranged_off_the_loop() {
        let mut listing = Listing::default();
        let entries = (0..=INLINE as u64)
            .map(|n| file(&format!("f{n}"), n))
            .collect();
        let job = listing
            .fill(entries, false, Some(b"f7"))
            .expect("too many to sort here");
        assert!(
            listing.is_empty(),
            "nothing is shown before it is known where it stands"
        );
        // A filter that is typed meanwhile makes the first job's result stale.
        let newer = listing
            .rearrange(|a| a.filter = "77".into())
            .expect("a job");
        listing.take(job.run());
        assert!(listing.is_empty());
        listing.take(newer.run());
        assert_eq!(listing.row(0), Some(Row::Entry(&file("f77", 77), false)));
    }

    #[test]
    fn the_cursor_stays_on_its_entry_when_the_order_changes() {
        let mut listing = Listing::default();
        listing.fill(vec![file("a", 3), file("b", 1), file("c", 2)], false, None);
        listing.go(2);
        listing.sort_next();
        assert_eq!(listing.current().unwrap().name, b"c");
        assert_eq!(listing.cursor().at(), 1);
    }

    #[test]
    fn marks_survive_filtering() {
        let mut listing = Listing::default();
        listing.fill(vec![file("a", 3), file("b", 1), file("c", 2)], false, None);
        listing.mark_and_step();
        listing.rearrange(|a| a.filter = "b".into());
        listing.mark_and_step();
        let names: Vec<_> = listing.marked().iter().map(|e| e.name.clone()).collect();
        assert_eq!(names, [b"b", b"a"], "what is shown comes first");
        assert_eq!(listing.marked_size(), (4, false));
    }
}
