//! The queue in `haul connect`'s dashboard: its rows, its sums, and what is done to it.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::{
    command::Target,
    connect::{Connect, Row},
    cursor::{Cursor, Motion},
    effect::{Control, Effect},
    figures::{Figures, Whole},
    listing::holds,
};
use crate::{
    client::{FileView, ItemState, ItemView, Link, Snapshot},
    http1::path::RemotePath,
};

/// Connections go from file to file: for so long one that is under way may have none, and is not queued again.
const BETWEEN_RUNS: Duration = Duration::from_secs(1);

/// The queue in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes flow, or a failure is waited out.
    pub active: usize,
    /// Paused.
    pub paused: usize,
    /// Waiting for their turn.
    pub queued: usize,
    /// Failed for good.
    pub failed: usize,
    /// Complete.
    pub done: usize,
    /// Cancelled.
    pub cancelled: usize,
}

impl Connect {
    /// Takes a sample. With `refresh` the shown figures are renewed.
    pub fn sample(&mut self, now: Instant, mut snapshot: Snapshot, refresh: bool) {
        self.link_lost = match snapshot.link {
            Link::Up | Link::Connecting | Link::Paused => None,
            // Every attempt starts its own wait.
            _ if snapshot.link != self.snapshot.link => Some(now),
            _ => self.link_lost.or(Some(now)),
        };
        for item in &mut snapshot.items {
            if item.state.is_ended() || item.state == ItemState::Paused {
                // A rate from before a pause says nothing about after it.
                self.gauges.remove(&item.id);
                continue;
            }
            if item.state == ItemState::Active {
                self.gauges.entry(item.id).or_default();
            }
            let Some(gauge) = self.gauges.get_mut(&item.id) else {
                continue;
            };
            gauge.sample(now, item.done, item.final_total(), refresh);
            if item.state == ItemState::Queued && gauge.still() < BETWEEN_RUNS {
                item.state = ItemState::Active;
            }
        }
        if self.gauges.len() > snapshot.items.len() {
            let known: HashSet<_> = snapshot.items.iter().map(|item| item.id).collect();
            self.gauges.retain(|id, _| known.contains(id));
            self.unfolded.retain(|id| known.contains(id));
        }
        self.book
            .sample(&snapshot.items, &self.undo.hidden, &self.gauges, refresh);
        self.snapshot = snapshot;
        self.choose_rows();
    }

    pub(super) fn choose_rows(&mut self) {
        let exact = self.filter.chars().any(char::is_uppercase);
        self.rows.clear();
        for (i, item) in self.snapshot.items.iter().enumerate() {
            if !holds(item.path.as_bytes(), &self.filter, exact) {
                continue;
            }
            self.rows.push(Row::Item(i));
            if self.unfolded.contains(&item.id) {
                let files = 0..item.under_way.len();
                self.rows.extend(files.map(|file| Row::File(i, file)));
            }
        }
        let at = self.place_of_current();
        self.cursor
            .go(at.unwrap_or(self.cursor.at()), self.rows.len());
        self.remember_current();
    }

    /// The row that the cursor belongs on.
    fn place_of_current(&self) -> Option<usize> {
        let stands = |want: &dyn Fn(&ItemView) -> bool| {
            let is_it = |row: &Row| matches!(row, Row::Item(i) if want(&self.snapshot.items[*i]));
            self.rows.iter().position(is_it)
        };
        let same = stands(&|item| Some(item.id) == self.current);
        // Until somebody moves it, the cursor goes with what is being fetched.
        if !self.chosen {
            return stands(&|item| !item.state.is_ended()).or(same);
        }
        let on_file = self.current_file.as_ref().and_then(|path| {
            let is_it = |row| {
                let of = self
                    .row(row)
                    .is_some_and(|item| Some(item.id) == self.current);
                of && self.file(row).is_some_and(|file| file.path == *path)
            };
            (0..self.rows.len()).find(|row| is_it(*row))
        });
        on_file.or(same)
    }

    fn remember_current(&mut self) {
        self.current = self.item().map(|item| item.id);
        let file = self.file(self.cursor.at());
        self.current_file = file.map(|file| file.path.clone());
    }

    /// The item of a row; of a file's, the tree.
    pub fn row(&self, row: usize) -> Option<&ItemView> {
        self.snapshot.items.get(self.rows.get(row)?.item())
    }

    /// The file of a row that is one's.
    pub fn file(&self, row: usize) -> Option<&FileView> {
        match *self.rows.get(row)? {
            Row::Item(_) => None,
            Row::File(item, file) => self.snapshot.items.get(item)?.under_way.get(file),
        }
    }

    /// Gives the current tree's files rows of their own, or takes them away.
    pub fn unfold(&mut self, only_fold: bool) {
        let Some(item) = self.item().filter(|item| item.files.is_some()) else {
            return;
        };
        let id = item.id;
        if !self.unfolded.remove(&id) && !only_fold {
            self.unfolded.insert(id);
        }
        self.chosen = true;
        self.choose_rows();
    }

    /// Whether a tree's files have rows.
    pub fn is_unfolded(&self, item: &ItemView) -> bool {
        self.unfolded.contains(&item.id)
    }

    /// The item under the cursor.
    pub fn item(&self) -> Option<&ItemView> {
        self.row(self.cursor.at())
    }

    /// What an item is called: its path, or the patterns that it was asked for by; raw.
    pub fn name<'a>(&'a self, item: &'a ItemView) -> &'a [u8] {
        match &item.label {
            Some(patterns) => patterns.as_bytes(),
            None if item.path.is_root() => b"/",
            None => item.path.as_bytes(),
        }
    }

    /// The queue's item for a remote path, the newest one.
    pub fn item_for(&self, path: &RemotePath) -> Option<&ItemView> {
        let same = |item: &&ItemView| item.path.trimmed() == path.trimmed();
        self.snapshot.items.iter().rev().find(same)
    }

    /// The cursor in the transfers pane.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Moves the cursor.
    pub fn apply(&mut self, motion: Motion) {
        self.cursor.apply(motion, self.rows.len());
        self.choose();
    }

    /// Stands on a row.
    pub fn go(&mut self, row: usize) {
        self.cursor.go(row, self.rows.len());
        self.choose();
    }

    /// Moves the window.
    pub fn scroll(&mut self, by: isize) {
        self.cursor.scroll(by, self.rows.len());
        self.choose();
    }

    /// Keeps the cursor on its item from now on.
    fn choose(&mut self) {
        self.remember_current();
        self.chosen = true;
    }

    /// Tells how many rows the window has.
    pub fn set_page(&mut self, rows: usize) {
        self.cursor.set_page(rows, self.rows.len());
    }

    /// Shows only transfers that hold `filter`.
    pub fn set_filter(&mut self, filter: &str) {
        filter.clone_into(&mut self.filter);
        self.choose_rows();
    }

    /// The queue in numbers.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for item in &self.snapshot.items {
            let count = match item.state {
                ItemState::Active | ItemState::Waiting(_) | ItemState::Landing => {
                    &mut counts.active
                }
                ItemState::Paused => &mut counts.paused,
                ItemState::Queued => &mut counts.queued,
                ItemState::Failed(_) => &mut counts.failed,
                ItemState::Finished(_) => &mut counts.done,
                ItemState::Cancelled => &mut counts.cancelled,
            };
            *count += 1;
        }
        counts
    }

    /// The job that runs, or ran last.
    pub fn whole(&self) -> Whole {
        self.book.whole
    }

    /// What is shown of an item.
    pub fn figures(&self, item: &ItemView) -> Figures {
        let gauge = self
            .gauges
            .get(&item.id)
            .filter(|_| item.state == ItemState::Active);
        Figures {
            done: item.done,
            total: item.final_total(),
            percent: self.book.percent(item),
            rate: gauge.map_or(0, |gauge| gauge.rate),
            left: gauge.and_then(|gauge| gauge.left),
            stalled: gauge.and_then(|gauge| gauge.stalled),
        }
    }

    /// Bytes of what is not begun yet. What is begun has its place on the disk already.
    pub fn unplaced(&self) -> u64 {
        let waits = |item: &&ItemView| item.done == 0 && !item.state.is_ended();
        let items = self.snapshot.items.iter().filter(waits);
        items.filter_map(|item| item.total).sum()
    }

    /// The whole job in percent; `None` with an empty queue or before its size is known.
    pub fn percent(&self) -> Option<u8> {
        self.book.whole.percent
    }

    /// Time since the failure that is waited out, for `in 4 s`.
    pub fn waited(&self, now: Instant) -> Duration {
        self.link_lost
            .map_or(Duration::ZERO, |lost| now.saturating_duration_since(lost))
    }

    /// Whether quitting would stop something.
    pub fn running(&self) -> Vec<&[u8]> {
        let runs = |item: &&ItemView| !item.state.is_ended() && item.state != ItemState::Paused;
        let running = self.snapshot.items.iter().filter(runs);
        running.map(|item| self.name(item)).collect()
    }

    /// The transfer that is meant by `target`, where one is.
    pub(super) fn chosen(&self, target: Target) -> Option<&ItemView> {
        match target {
            Target::Current => self.item(),
            Target::One(id) => self.snapshot.items.iter().find(|item| item.id == id),
            Target::All => None,
        }
    }

    /// Does something to the current transfer or to all that it fits.
    pub fn control(&self, target: Target, control: Control) -> Result<Vec<Effect>, &'static str> {
        let fits = |item: &&ItemView| match control {
            Control::Pause => !item.state.is_ended() && item.state != ItemState::Paused,
            Control::Resume => item.state == ItemState::Paused,
            Control::Cancel | Control::First(_) | Control::Limit(_) => !item.state.is_ended(),
            Control::Retry => match target {
                Target::Current | Target::One(_) => {
                    matches!(item.state, ItemState::Failed(_) | ItemState::Cancelled)
                }
                Target::All => matches!(item.state, ItemState::Failed(_)),
            },
            Control::Reorder(_) => true,
        };
        let chosen: Vec<&ItemView> = match target {
            Target::Current | Target::One(_) => self.chosen(target).into_iter().collect(),
            Target::All => self.snapshot.items.iter().collect(),
        };
        if chosen.is_empty() {
            return Err("there are no transfers: `d` in Remote starts one");
        }
        let effects: Vec<_> = chosen
            .into_iter()
            .filter(fits)
            .map(|item| Effect::Control(item.id, control))
            .collect();
        if effects.is_empty() {
            return Err(match control {
                Control::Pause => "nothing to pause: no chosen transfer runs",
                Control::Resume => "nothing to resume: no chosen transfer is paused",
                Control::Cancel => "nothing to cancel: it has ended",
                Control::Retry => "nothing to retry: no chosen transfer failed",
                Control::Reorder(_) => "nothing to move",
                Control::First(_) => "nothing to put first: it has ended",
                Control::Limit(_) => "nothing to limit: it has ended",
            });
        }
        Ok(effects)
    }
}
