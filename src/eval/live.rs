//! What is going on at this moment, for whoever shows it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{matrix::Cell, summary::Figures, times::Run};

/// Lines that are kept for a screen.
const KEPT: usize = 200;

/// Seconds that a byte may be expected to take at most: 20 MB/s. What small cells seem to tell is mostly noise.
const SLOWEST: f64 = 5e-8;

/// The measurement that is under way. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<View>>);

/// A measurement at one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Its name.
    pub label: String,
    /// Its cells, in the order in which they are run.
    pub cells: Vec<CellView>,
    /// Runs of each cell.
    pub repeat: usize,
    /// The cell that is run now.
    pub current: Option<usize>,
    /// The clients of the run that is under way.
    pub clients: Vec<ClientView>,
    /// When that run began.
    pub began: Option<Instant>,
    /// Lines on what was done, the oldest first.
    pub lines: Vec<Told>,
    /// Whether the user has asked it to end.
    pub stopping: bool,
}

/// A line on what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The line.
    pub text: String,
    /// Whether it tells of a failure.
    pub bad: bool,
}

/// How far a cell is.
#[derive(Debug, Clone)]
pub struct CellView {
    /// Which one.
    pub cell: Cell,
    /// Its runs so far.
    pub runs: usize,
    /// Clients that failed in them.
    pub failed: usize,
    /// The median of its transfers' times, in seconds; `None` before the first.
    pub median: Option<f64>,
    /// What its runs took, with everything around them.
    pub spent: Duration,
}

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientView {
    /// Bytes that it has received.
    pub done: u64,
    /// Files that are complete.
    pub files: usize,
    /// Bytes of those files.
    complete: u64,
    /// Whether it has ended, and whether that went well.
    pub ended: Option<bool>,
}

impl View {
    /// Runs that are done, and runs in all.
    pub fn runs(&self) -> (usize, usize) {
        let done = self.cells.iter().map(|cell| cell.runs).sum();
        (done, self.cells.len() * self.repeat)
    }

    /// What is left of the whole: runs of a cell take what its others took, runs of another what those between the
    /// smallest and the largest cell that was run let expect of its bytes. `None` before the first run has ended.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let known = || self.cells.iter().filter(|cell| cell.runs > 0);
        let smallest = known().min_by_key(|cell| cell.cell.bytes())?;
        let largest = known().max_by_key(|cell| cell.cell.bytes())?;
        let bytes = largest.cell.bytes() - smallest.cell.bytes();
        let per_byte = if bytes > 0 {
            ((largest.mean() - smallest.mean()) / bytes as f64).clamp(0.0, SLOWEST)
        } else {
            0.0
        };
        let of = |cell: &CellView| {
            if cell.runs > 0 {
                return cell.mean();
            }
            let more = cell.cell.bytes() as f64 - smallest.cell.bytes() as f64;
            let link = cell.cell.rate.map_or(0.0, |rate| {
                cell.cell.bytes() as f64 / cell.cell.clients as f64 / rate as f64
            });
            (smallest.mean() + more * per_byte).max(link)
        };
        let left: f64 = self
            .cells
            .iter()
            .map(|cell| self.repeat.saturating_sub(cell.runs) as f64 * of(cell))
            .sum();
        let begun = self.began.map_or(0.0, |began| {
            now.saturating_duration_since(began).as_secs_f64()
        });
        Some(Duration::from_secs_f64((left - begun).max(0.0)))
    }
}

impl CellView {
    /// Seconds of one of its runs, with everything around it; there was one.
    fn mean(&self) -> f64 {
        self.spent.as_secs_f64() / self.runs.max(1) as f64
    }
}

impl Board {
    /// A measurement begins.
    pub(crate) fn open(&self, label: &str, cells: &[Cell], repeat: usize) {
        let mut view = self.lock();
        label.clone_into(&mut view.label);
        view.repeat = repeat;
        view.cells = cells
            .iter()
            .map(|cell| CellView {
                cell: cell.clone(),
                runs: 0,
                failed: 0,
                median: None,
                spent: Duration::ZERO,
            })
            .collect();
    }

    /// A run of the cell begins.
    pub(crate) fn begin(&self, cell: usize, clients: usize) {
        let mut view = self.lock();
        view.current = Some(cell);
        view.clients = vec![ClientView::default(); clients];
        view.began = Some(Instant::now());
    }

    /// A run of the cell has ended; these are all its runs.
    pub(super) fn end(&self, cell: usize, runs: &[&Run]) {
        let mut view = self.lock();
        let took = view
            .began
            .take()
            .map_or(Duration::ZERO, |began| began.elapsed());
        if let Some(place) = view.cells.get_mut(cell) {
            let figures = Figures::of(&place.cell, runs);
            place.runs = runs.len();
            place.failed = figures.failed;
            place.median = (figures.transfer.count > 0).then_some(figures.transfer.median);
            place.spent += took;
        }
    }

    /// Tells of something, for the screen's log.
    pub fn tell(&self, text: &str, bad: bool) {
        let mut view = self.lock();
        if view.lines.len() == KEPT {
            view.lines.remove(0);
        }
        view.lines.push(Told {
            text: text.to_owned(),
            bad,
        });
    }

    /// It is to end before it is done.
    pub fn stopping(&self) {
        self.lock().stopping = true;
    }

    pub(crate) fn received(&self, client: usize, bytes: u64) {
        self.change(client, |view| view.done = view.done.max(bytes));
    }

    pub(super) fn finished(&self, client: usize, bytes: u64) {
        self.change(client, |view| {
            view.files += 1;
            view.complete += bytes;
            view.done = view.done.max(view.complete);
        });
    }

    pub(crate) fn ended(&self, client: usize, well: bool) {
        self.change(client, |view| view.ended = Some(well));
    }

    /// Everything, as it is now.
    pub fn view(&self) -> View {
        self.lock().clone()
    }

    fn change(&self, client: usize, change: impl FnOnce(&mut ClientView)) {
        if let Some(view) = self.lock().clients.get_mut(client) {
            change(view);
        }
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::examples::{cell, run};

    #[test]
    fn what_is_left_grows_with_the_bytes_of_what_was_not_run() {
        let board = Board::default();
        let cells = [cell(1, 1000), cell(1, 10_000_000), cell(2, 10_000_000)];
        board.open("x", &cells, 2);
        let now = Instant::now();
        let first = board.view();
        assert_eq!((first.runs(), first.left(now)), ((0, 6), None));
        board.begin(0, 1);
        board.received(0, 400);
        board.finished(0, 1000);
        assert_eq!(board.view().clients[0].done, 1000);
        board.end(0, &[&run(1, &cells[0], 1.0)]);
        let mut view = board.view();
        view.cells[0].spent = Duration::from_secs(2);
        assert_eq!(view.left(now), Some(Duration::from_secs(2 + 2 * 2 + 2 * 2)));
        // 100 MB take a second more than next to nothing: twice as many take two.
        view.cells[1].runs = 2;
        view.cells[1].spent = Duration::from_secs(6);
        let left = view.left(now).unwrap().as_secs_f64();
        assert!((left - (2.0 + 2.0 * 4.0)).abs() < 0.01, "{left}");
        view.cells[2].cell.rate = Some(1_000_000);
        let left = view.left(now).unwrap().as_secs_f64();
        assert!((left - (2.0 + 2.0 * 100.0)).abs() < 0.01, "{left}");
        assert_eq!(view.runs(), (3, 6));
        assert!(view.cells[0].median.is_some() && view.cells[1].median.is_none());
    }
}
