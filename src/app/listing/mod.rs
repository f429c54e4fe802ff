//! A directory's entries as a list on the screen: sorted, filtered, marked, with a cursor.
//!
//! The entries never move. What moves is an index vector over them, so that a million entries are sorted and
//! filtered without copying a name; above [`INLINE`] entries that happens off the loop (see [`Job`]).

mod marks;
mod order;

use std::{collections::HashSet, sync::Arc};

use self::marks::Marks;
pub use self::order::{Arranged, Arrangement, Job, SortKey, holds};
use super::{
    cursor::{Cursor, Motion},
    here::Here,
};
use crate::entry::Entry;

/// Up to this many entries are arranged at once, in a few milliseconds; more are handed out as a [`Job`].
const INLINE: usize = 20_000;

/// A row of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row<'a> {
    /// The way up.
    Parent,
    /// An entry, and whether it is marked.
    Entry(&'a Entry, bool),
}

/// A key, and whether it descends.
type Sort = (SortKey, bool);

/// The entries of one directory.
#[derive(Debug, Default)]
pub struct Listing {
    entries: Arc<Vec<Entry>>,
    /// All entries in order, and which order that is.
    sorted: Option<(Sort, Arc<Vec<u32>>)>,
    /// The order that a job works out now.
    sorting: Option<Sort>,
    order: Vec<u32>,
    marks: Marks,
    /// What the disk holds of each entry; empty where nobody has looked.
    here: Vec<Here>,
    arrangement: Arrangement,
    parent: bool,
    cursor: Cursor,
    /// Where a range began.
    anchor: Option<usize>,
    /// Counts changes of what is shown.
    generation: u64,
    /// Counts listings.
    filled: u64,
    /// The name that the cursor goes to once the order is known.
    wanted: Option<Vec<u8>>,
}

impl Listing {
    /// One without entries, for another server: an order of what was listed before is not taken for one of what it lists.
    pub(super) fn next(&self) -> Self {
        Self {
            filled: self.filled + 1,
            ..Self::default()
        }
    }

    /// Takes a directory's entries; `parent` adds a row that leads up, `at` names the entry to stand on.
    pub fn fill(&mut self, entries: Vec<Entry>, parent: bool, at: Option<&[u8]>) -> Option<Job> {
        self.marks = Marks::none(entries.len());
        self.here.clear();
        self.anchor = None;
        let before = std::mem::replace(&mut self.entries, Arc::new(entries));
        self.sorted = None;
        self.sorting = None;
        self.filled += 1;
        self.order.clear();
        self.parent = parent;
        self.wanted = at.map(<[u8]>::to_vec);
        // Without a wish the cursor stands on the first entry, not on the way up.
        self.cursor.go(0, 0);
        self.arrange_again(Some(before))
    }

    /// Leaves the window where it was `before` the same directory was listed again, and the cursor where `at` has gone.
    pub(super) fn stay(&mut self, before: Cursor, at: Option<&[u8]>) {
        let current = self.current().map(|entry| entry.name.as_slice());
        let row = if at.is_some() && current == at {
            self.cursor.at()
        } else {
            before.at()
        };
        self.cursor = before;
        self.cursor.go(row, self.len());
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
        if let Some(entry) = self.current() {
            self.wanted = Some(entry.name.clone());
        }
        self.arrange_again(None)
    }

    /// Goes on to the next sort key.
    pub fn sort_next(&mut self) -> Option<Job> {
        self.rearrange(|a| a.key = a.key.next())
    }

    /// Turns the order round.
    pub fn reverse(&mut self) -> Option<Job> {
        self.rearrange(|a| a.descending = !a.descending)
    }

    fn arrange_again(&mut self, before: Option<Arc<Vec<Entry>>>) -> Option<Job> {
        self.generation += 1;
        self.anchor = None;
        let before = before.filter(|before| before.len() > INLINE);
        if self.entries.len() > INLINE || before.is_some() {
            return self.job(before);
        }
        let job = self.job(None)?;
        self.take(job.run());
        None
    }

    /// What is to be worked out; nothing while the order that it needs is being worked out already.
    fn job(&mut self, garbage: Option<Arc<Vec<Entry>>>) -> Option<Job> {
        let sort = self.arrangement.sort();
        let sorted = self.sorted.as_ref().filter(|(known, _)| *known == sort);
        let sorted = sorted.map(|(_, sorted)| Arc::clone(sorted));
        if sorted.is_none() && self.sorting.replace(sort) == Some(sort) {
            return None;
        }
        Some(Job {
            generation: self.generation,
            filled: self.filled,
            entries: Arc::clone(&self.entries),
            arrangement: self.arrangement.clone(),
            sorted,
            wanted: self.wanted.clone(),
            garbage,
        })
    }

    /// Takes what came of a job. Where another filter was typed meanwhile, the next job is returned, which has only to
    /// filter.
    pub fn take(&mut self, arranged: Arranged) -> Option<Job> {
        if arranged.filled != self.filled {
            return None;
        }
        if self.sorting == Some(arranged.sort) {
            self.sorting = None;
        }
        if arranged.sort != self.arrangement.sort() {
            return None;
        }
        self.sorted = Some((arranged.sort, arranged.sorted));
        if arranged.generation != self.generation {
            return self.job(None);
        }
        self.order = arranged.order;
        self.wanted = None;
        let first = usize::from(self.parent && !self.order.is_empty());
        let at = arranged
            .place
            .map_or(first, |place| place + usize::from(self.parent));
        self.cursor.go(at, self.len());
        None
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

    /// Whether which entries are shown, and in which order, is still being worked out.
    pub fn is_arranging(&self) -> bool {
        self.sorting.is_some()
    }

    /// All entries, in the server's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The same, to be looked at elsewhere.
    pub fn shared(&self) -> Arc<Vec<Entry>> {
        Arc::clone(&self.entries)
    }

    /// Takes what the disk holds of each of `entries`, if those are still the ones that are listed.
    pub fn set_here(&mut self, entries: &Arc<Vec<Entry>>, here: Vec<Here>) {
        if Arc::ptr_eq(&self.entries, entries) && here.len() == entries.len() {
            self.here = here;
        }
    }

    /// Nobody has looked at the disk any more.
    pub fn forget_here(&mut self) {
        self.here.clear();
    }

    /// What the disk holds of the `row`th shown entry; `None` where nobody has looked.
    pub fn here(&self, row: usize) -> Option<Here> {
        let row = row.checked_sub(usize::from(self.parent))?;
        self.here.get(*self.order.get(row)? as usize).copied()
    }

    /// The same of the entry of that name.
    pub fn here_of(&self, name: &[u8]) -> Option<Here> {
        let at = self.entries.iter().position(|entry| entry.name == name)?;
        self.here.get(at).copied()
    }

    /// The entries that are shown, in order.
    pub fn shown(&self) -> impl Iterator<Item = &Entry> {
        self.order.iter().map(|&i| &self.entries[i as usize])
    }

    /// The row at `index`.
    pub fn row(&self, index: usize) -> Option<Row<'_>> {
        let Some(index) = index.checked_sub(usize::from(self.parent)) else {
            return Some(Row::Parent);
        };
        let entry = *self.order.get(index)? as usize;
        Some(Row::Entry(&self.entries[entry], self.marks.has(entry)))
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

    /// Moves the window; a range that was begun follows the cursor.
    pub fn scroll(&mut self, by: isize) {
        let before = self.cursor.at();
        self.cursor.scroll(by, self.len());
        self.extend_range(before);
    }

    /// Tells how many rows the window has.
    pub fn set_page(&mut self, page: usize) {
        self.cursor.set_page(page, self.len());
    }

    /// Marks the current entry, or takes its mark away, and steps down.
    pub fn mark_and_step(&mut self) {
        self.toggle_mark();
        self.cursor.apply(Motion::Down, self.len());
    }

    /// Marks the entry under the cursor, or takes its mark away.
    pub fn toggle_mark(&mut self) {
        let at = self.cursor.at();
        if let Some(Row::Entry(_, marked)) = self.row(at) {
            self.set_mark(at, !marked);
        }
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

    fn set_mark(&mut self, row: usize, on: bool) {
        let index = row.checked_sub(usize::from(self.parent));
        if let Some(&at) = index.and_then(|index| self.order.get(index)) {
            self.marks.set(at as usize, &self.entries[at as usize], on);
        }
    }

    /// Marks every shown entry; takes all marks away where every one is marked.
    pub fn mark_all(&mut self) {
        let shown = self.order.iter().map(|&at| at as usize);
        let all = shown.clone().all(|at| self.marks.has(at));
        for at in shown {
            self.marks.set(at, &self.entries[at], !all);
        }
    }

    /// Marks the entries of these names, as far as there are such.
    pub fn mark_named(&mut self, names: impl Iterator<Item = Vec<u8>>) {
        let names: HashSet<_> = names.collect();
        for (at, entry) in self.entries.iter().enumerate() {
            if names.contains(&entry.name) {
                self.marks.set(at, entry, true);
            }
        }
    }

    /// Whether the entry of that name is marked.
    pub fn is_marked(&self, name: &[u8]) -> bool {
        self.named(name).is_some_and(|at| self.marks.has(at))
    }

    /// Takes the mark of the entry of that name away.
    pub fn unmark_named(&mut self, name: &[u8]) {
        if let Some(at) = self.named(name) {
            self.marks.set(at, &self.entries[at], false);
        }
    }

    fn named(&self, name: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name == name)
    }

    /// Takes all marks away; whether there were any.
    pub fn unmark_all(&mut self) -> bool {
        let none = Marks::none(self.entries.len());
        std::mem::replace(&mut self.marks, none).count() > 0
    }

    /// How many entries are marked.
    pub fn marked_count(&self) -> usize {
        self.marks.count()
    }

    /// The marked entries, in the order of the list as far as they are shown, the others last.
    pub fn marked(&self) -> Vec<&Entry> {
        let places = self.marks.places(&self.order);
        places.into_iter().map(|at| &self.entries[at]).collect()
    }

    /// Bytes of the marked entries, and whether some of them have no known size.
    pub fn marked_size(&self) -> (u64, bool) {
        self.marks.size()
    }
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
        // A filter that is typed meanwhile waits for the order, and then only filters.
        assert!(listing.rearrange(|a| a.filter = "77".into()).is_none());
        let newer = listing.take(job.run()).expect("a job that filters");
        assert!(listing.is_empty());
        assert!(listing.take(newer.run()).is_none());
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
