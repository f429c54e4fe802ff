//! Transfers of one client: a row a file, however many connections carry it.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    ranges::Spans,
    snapshot::{TransferId, TransferState, TransferView},
};
use crate::{http1::path::RemotePath, progress::Counter, sync::lock};

/// How long a row stays after its last byte.
const KEEP_ROW: Duration = Duration::from_secs(60);
/// Rows without a running connection that are kept a client, the newest ones.
const MAX_ROWS: usize = 100;
/// Separate ranges that are told apart in one file; what comes beyond is sent, but not shown.
const MAX_SPANS: usize = 128;
/// Rows that are kept of a client without connections, the newest ones: so many that are complete, and so many that are not.
const MAX_LEFT: usize = 20;

/// Connections that carry one file, and requests that wait on them, break off within this time for one reason.
const TOGETHER: Duration = Duration::from_secs(5);

/// One file on its way to one client.
#[derive(Debug)]
pub struct Transfer {
    id: TransferId,
    pub(super) path: RemotePath,
    etag: String,
    pub(super) total: u64,
    pub(super) started: Instant,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    /// What ended flows have sent.
    sent: Spans,
    /// Flows that run now.
    flows: Vec<Arc<Running>>,
    /// When the last flow ended.
    idle_since: Instant,
    /// Why the last flow ended early, once none runs.
    aborted: Option<String>,
    /// Whether the client has gone since the last flow ended.
    left: bool,
    /// When it was last told that one did.
    told: Option<Instant>,
    complete: bool,
}

impl Progress {
    /// Whether it is worth a warning that a flow ended early: not where another of the file was just told.
    fn is_news(&mut self, now: Instant) -> bool {
        let old = |told: Instant| now.saturating_duration_since(told) >= TOGETHER;
        let news = self.told.is_none_or(old);
        if news {
            self.told = Some(now);
        }
        news
    }
}

/// One range on one connection: what was sent is `start..start + sent`.
#[derive(Debug)]
pub(super) struct Running {
    start: u64,
    pub(super) sent: Counter,
}

impl Running {
    pub(super) fn span(&self) -> Range<u64> {
        self.start..self.start + self.sent.get()
    }
}

impl Transfer {
    fn view(&self) -> TransferView {
        let progress = lock(&self.progress);
        let mut sent = progress.sent.clone();
        for flow in &progress.flows {
            sent.insert(flow.span());
        }
        let state = match &progress.aborted {
            Some(reason) if progress.flows.is_empty() => {
                TransferState::Aborted(progress.idle_since, reason.clone())
            }
            None if progress.left => TransferState::Left(progress.idle_since),
            _ => TransferState::Active,
        };
        TransferView {
            id: self.id,
            path: self.path.clone(),
            done: sent.len(),
            total: self.total,
            connections: progress.flows.len(),
            started: self.started,
            state,
        }
    }

    /// A range begins to flow.
    pub(super) fn start(&self, range: &Range<u64>) -> Arc<Running> {
        let running = Arc::new(Running {
            start: range.start,
            sent: Counter::default(),
        });
        let mut progress = lock(&self.progress);
        progress.flows.push(Arc::clone(&running));
        (progress.aborted, progress.left) = (None, false);
        drop(progress);
        running
    }

    /// Whether it is worth a warning that a flow ended early.
    pub(super) fn is_news(&self, now: Instant) -> bool {
        lock(&self.progress).is_news(now)
    }

    /// A range ended, and early if there is a reason; whether now every byte was sent, for the first time.
    pub(super) fn end(&self, running: &Arc<Running>, early: Option<String>, now: Instant) -> bool {
        let mut progress = lock(&self.progress);
        progress.flows.retain(|flow| !Arc::ptr_eq(flow, running));
        let span = running.span();
        if progress.sent.count() < MAX_SPANS || progress.sent.touches(&span) {
            progress.sent.insert(span);
        }
        progress.idle_since = now;
        if early.is_some() {
            progress.aborted = early;
        }
        let complete = !progress.complete && progress.sent.len() == self.total;
        progress.complete |= complete;
        complete
    }

    /// The client's last connection ended: no further range is awaited.
    fn left(&self) {
        let mut progress = lock(&self.progress);
        progress.left = progress.flows.is_empty();
    }

    /// Since when nothing flows; `None` while something does.
    fn idle_since(&self) -> Option<Instant> {
        let progress = lock(&self.progress);
        progress.flows.is_empty().then_some(progress.idle_since)
    }
}

/// A row that has ended.
#[derive(Debug)]
struct Ended {
    id: TransferId,
    path: RemotePath,
    total: u64,
    started: Instant,
    at: Instant,
}

/// The rows of one client.
#[derive(Debug, Default)]
pub struct Rows {
    /// Running, awaited, left or broken off: what another range request goes on with.
    open: HashMap<RemotePath, Arc<Transfer>>,
    /// Complete ones, the newest last.
    ended: VecDeque<Ended>,
}

impl Rows {
    /// The row that a range of `path` belongs to.
    pub(super) fn begin(
        &mut self,
        path: &RemotePath,
        etag: &str,
        total: u64,
        id: impl FnOnce() -> TransferId,
    ) -> Arc<Transfer> {
        if let Some(transfer) = self.open.get(path)
            && transfer.etag == etag
            && !lock(&transfer.progress).complete
        {
            return Arc::clone(transfer);
        }
        let now = Instant::now();
        self.sweep(now);
        let transfer = Arc::new(Transfer {
            id: id(),
            path: path.clone(),
            etag: etag.to_owned(),
            total,
            started: now,
            progress: Mutex::new(Progress {
                sent: Spans::default(),
                flows: Vec::new(),
                idle_since: now,
                aborted: None,
                left: false,
                told: None,
                complete: false,
            }),
        });
        self.open.insert(path.clone(), Arc::clone(&transfer));
        transfer
    }

    /// Whether a file was begun and is not complete.
    pub(super) fn is_open(&self, path: &RemotePath) -> bool {
        self.open.contains_key(path)
    }

    /// The furthest byte of `path` that was sent over any of the connections that carry it now; `None` while none does.
    pub(super) fn sent_until(&self, path: &RemotePath) -> Option<u64> {
        let progress = lock(&self.open.get(path)?.progress);
        let ends = progress.flows.iter().map(|flow| flow.span().end);
        ends.max()
    }

    /// Whether any was.
    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// A small file was sent whole.
    pub(super) fn add_small(&mut self, file: SmallFile, now: Instant, id: TransferId) {
        if !self.open.is_empty() {
            self.open.remove(&file.path);
        }
        self.push_ended(Ended {
            id,
            path: file.path,
            total: file.size,
            started: file.started,
            at: now,
        });
    }

    /// Every byte of a row was sent.
    pub(super) fn complete(&mut self, transfer: &Arc<Transfer>, now: Instant) {
        // A newer content of the same name may have taken its place.
        if self
            .open
            .get(&transfer.path)
            .is_some_and(|open| Arc::ptr_eq(open, transfer))
        {
            self.open.remove(&transfer.path);
        }
        self.push_ended(Ended {
            id: transfer.id,
            path: transfer.path.clone(),
            total: transfer.total,
            started: transfer.started,
            at: now,
        });
    }

    /// Rows that there is room for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.open.capacity() + self.ended.capacity()
    }

    /// Separate ranges of all rows.
    #[cfg(test)]
    pub(super) fn spans(&self) -> usize {
        let rows = self.open.values();
        rows.map(|row| lock(&row.progress).sent.count()).sum()
    }

    fn push_ended(&mut self, row: Ended) {
        if self.ended.len() >= MAX_ROWS {
            self.ended.pop_front();
        }
        self.ended.push_back(row);
    }

    /// Drops what has been kept long enough, and the oldest where there are too many.
    fn sweep(&mut self, now: Instant) {
        let old = |at: Instant| now.saturating_duration_since(at) > KEEP_ROW;
        while self.ended.front().is_some_and(|row| old(row.at)) {
            self.ended.pop_front();
        }
        self.open
            .retain(|_, transfer| !transfer.idle_since().is_some_and(old));
        if self.open.len() >= MAX_ROWS {
            self.keep(MAX_ROWS / 2);
        }
    }

    /// The client's last connection ended.
    pub(super) fn left(&mut self, now: Instant) {
        self.sweep(now);
        self.keep(MAX_LEFT);
        self.open.values().for_each(|transfer| transfer.left());
        let surplus = self.ended.len().saturating_sub(MAX_LEFT);
        self.ended.drain(..surplus);
        // A thousand clients that left are remembered: what they had room for is more than what is kept of them.
        self.ended.shrink_to_fit();
        self.open.shrink_to_fit();
    }

    /// Keeps so many of those that do not run, the newest.
    fn keep(&mut self, most: usize) {
        let mut idle: Vec<(Instant, RemotePath)> = self
            .open
            .iter()
            .filter_map(|(path, transfer)| Some((transfer.idle_since()?, path.clone())))
            .collect();
        idle.sort_by_key(|(since, _)| *since);
        let surplus = idle.len().saturating_sub(most);
        for (_, path) in idle.into_iter().take(surplus) {
            self.open.remove(&path);
        }
    }

    /// Running rows in the order of their start, then ended ones, the newest first.
    pub(super) fn views(&mut self, now: Instant) -> Vec<TransferView> {
        self.sweep(now);
        let mut views: Vec<TransferView> = self.open.values().map(|row| row.view()).collect();
        views.sort_by_key(|view| (view.state != TransferState::Active, view.id));
        views.extend(self.ended.iter().rev().map(|row| TransferView {
            id: row.id,
            path: row.path.clone(),
            done: row.total,
            total: row.total,
            connections: 0,
            started: row.started,
            state: TransferState::Done(row.at),
        }));
        views
    }
}

/// A small file that was answered from one buffer.
#[derive(Debug)]
pub struct SmallFile {
    /// The file below the root.
    pub path: RemotePath,
    /// Its size in bytes.
    pub size: u64,
    /// When it was asked for.
    pub started: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_off_together_is_told_once() {
        let start = Instant::now();
        let mut progress = Progress {
            sent: Spans::default(),
            flows: Vec::new(),
            idle_since: start,
            aborted: None,
            left: false,
            told: None,
            complete: false,
        };
        let told: Vec<bool> = [0, 1, 4, 5, 9, 10, 60]
            .map(|second| progress.is_news(start + Duration::from_secs(second)))
            .into();
        assert_eq!(told, [true, false, false, true, false, true, true]);
    }
}
