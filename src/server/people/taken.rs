//! What one client takes, file by file, and what that adds to the counts of all.
//!
//! What is counted is added to its row first, then to its client, then to all; who reads begins with all. So no sum ever
//! tells of more than its parts show.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

pub use super::rows::SmallFile;
use super::{
    downloads::Downloads,
    rows::{Rows, Running, Transfer},
    snapshot::{ClientId, TransferId, TransferView},
    standing::Standing,
    statuses::Statuses,
};
use crate::{
    escape::display_name, http1::path::RemotePath, pace::Pace, progress::Counter, sync::lock,
    units::Rate,
};

/// What is counted over all clients.
#[derive(Debug, Default)]
pub struct Totals {
    /// Body bytes that were sent.
    pub(super) sent: Counter,
    pub(super) requests: Counter,
    pub(super) statuses: Statuses,
    pub(super) files: Counter,
    /// The limit of all clients together.
    pub(super) pace: Pace,
    downloads: Mutex<Downloads>,
    next_client: AtomicU64,
    next_transfer: AtomicU64,
}

impl Totals {
    /// Nothing yet, and a limit for all together.
    pub fn limited(limit: Option<Rate>) -> Self {
        Self {
            pace: Pace::new(limit),
            ..Self::default()
        }
    }

    /// The row of another client.
    pub fn next_client(&self) -> ClientId {
        ClientId(self.next_client.fetch_add(1, Ordering::Relaxed))
    }

    fn next_transfer(&self) -> TransferId {
        TransferId(self.next_transfer.fetch_add(1, Ordering::Relaxed))
    }

    /// How often a file was taken whole; for a directory, how many files below it were.
    pub fn downloads(&self, path: &RemotePath) -> u64 {
        lock(&self.downloads).of(path)
    }

    /// Begins to count anew what [`Self::downloads`] tells.
    pub fn forget_downloads(&self) {
        *lock(&self.downloads) = Downloads::default();
    }
}

/// What one client takes.
#[derive(Debug)]
pub struct Taken {
    who: String,
    sent: Counter,
    files: Counter,
    pub(super) rows: Mutex<Rows>,
    /// What was decided about the client here.
    pub(super) standing: Standing,
    pub(super) totals: Arc<Totals>,
}

impl Taken {
    /// Nothing yet; `who` stands in logs.
    pub fn new(who: String, totals: &Arc<Totals>) -> Self {
        Self {
            who,
            sent: Counter::default(),
            files: Counter::default(),
            rows: Mutex::default(),
            standing: Standing::default(),
            totals: Arc::clone(totals),
        }
    }

    /// Name and address of the client, safe to print.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// Body bytes that were sent to it.
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Files that it has taken whole.
    pub fn files(&self) -> u64 {
        self.files.get()
    }

    /// Its rows.
    pub fn views(&self, now: Instant) -> Vec<TransferView> {
        lock(&self.rows).views(now)
    }

    /// The client's last connection ended.
    pub(super) fn left(&self, now: Instant) {
        lock(&self.rows).left(now);
    }

    /// Counts body bytes that were sent.
    fn count_sent(&self, bytes: u64) {
        self.sent.add(bytes);
        self.totals.sent.add(bytes);
    }

    /// Counts files that were taken whole.
    fn count_files(&self, count: u64) {
        self.files.add(count);
        self.totals.files.add(count);
    }

    /// A range of a file begins to flow; it joins the row of the same content where there is one.
    pub fn begin(
        self: &Arc<Self>,
        path: &RemotePath,
        etag: &str,
        total: u64,
        range: Range<u64>,
    ) -> Flow {
        let id = || self.totals.next_transfer();
        let transfer = lock(&self.rows).begin(path, etag, total, id);
        Flow::start(Arc::clone(self), transfer, &range)
    }

    /// Whether a file is on its way to it, in ranges that came or are still to be asked for.
    pub fn is_taking(&self, path: &RemotePath) -> bool {
        lock(&self.rows).is_open(path)
    }

    /// How far a file that it is taking at this moment was sent.
    pub fn sent_until(&self, path: &RemotePath) -> Option<u64> {
        lock(&self.rows).sent_until(path)
    }

    /// Whether any file is.
    pub fn is_taking_any(&self) -> bool {
        lock(&self.rows).has_open()
    }

    /// Small files were sent whole, each in one piece, and are on their way.
    pub fn took_small(&self, files: &mut Vec<SmallFile>) {
        if files.is_empty() {
            return;
        }
        let now = Instant::now();
        let bytes = files.iter().map(|file| file.size).sum();
        let count = files.len() as u64;
        let mut downloads = lock(&self.totals.downloads);
        for file in &*files {
            downloads.add(&file.path);
        }
        drop(downloads);
        for file in &*files {
            log_done(&self.who, &file.path, file.size, now - file.started);
        }
        let mut rows = lock(&self.rows);
        for file in files.drain(..) {
            rows.add_small(file, now, self.totals.next_transfer());
        }
        drop(rows);
        self.count_sent(bytes);
        self.count_files(count);
    }

    /// Every byte of a transfer was sent.
    fn completed(&self, transfer: &Arc<Transfer>, now: Instant) {
        lock(&self.totals.downloads).add(&transfer.path);
        lock(&self.rows).complete(transfer, now);
        self.count_files(1);
        log_done(
            &self.who,
            &transfer.path,
            transfer.total,
            now - transfer.started,
        );
    }
}

fn log_done(who: &str, path: &RemotePath, size: u64, took: Duration) {
    tracing::info!(
        client = who,
        file.path = %display_name(path.as_bytes()),
        file.bytes = size,
        file.seconds = took.as_secs_f64(),
        "GET {}, {} in {}, done",
        display_name(path.as_bytes()),
        crate::units::size(size),
        crate::units::took(took)
    );
}

/// A range that is being sent. When it is dropped, what was sent counts, and the row's state follows from it.
#[derive(Debug)]
pub struct Flow {
    taken: Arc<Taken>,
    transfer: Arc<Transfer>,
    running: Arc<Running>,
    end: u64,
    reason: Option<String>,
}

impl Flow {
    fn start(taken: Arc<Taken>, transfer: Arc<Transfer>, range: &Range<u64>) -> Self {
        Self {
            running: transfer.start(range),
            taken,
            transfer,
            end: range.end,
            reason: None,
        }
    }

    /// Counts bytes that went out, in the range's order.
    pub fn add(&self, bytes: u64) {
        self.running.sent.add(bytes);
        self.taken.count_sent(bytes);
    }

    /// The request that it answers, for logs.
    fn subject(&self) -> String {
        format!("GET {}", display_name(self.transfer.path.as_bytes()))
    }

    /// Ends the flow early, for a reason, and logs it: as a warning once for what breaks off together.
    pub fn abort(mut self, reason: String) {
        let (who, subject) = (self.taken.who(), self.subject());
        if self.transfer.is_news(Instant::now()) {
            tracing::warn!(client = who, "{subject}: {reason}");
        } else {
            tracing::debug!(client = who, "{subject}: {reason}");
        }
        self.reason = Some(reason);
    }

    /// Ends the flow early where the client has other connections that go on: no news to anybody.
    pub fn leave(mut self, reason: String) {
        let (who, subject) = (self.taken.who(), self.subject());
        tracing::debug!(client = who, "{subject}: {reason}, other connections go on");
        self.reason = Some(reason);
    }

    /// Why it ends before its last byte.
    fn broken_by(&mut self, now: Instant) -> String {
        let kicked = || {
            let (kicked, _) = self.taken.standing.kicked(now)?;
            Some(format!("kicked: {kicked}"))
        };
        let reason = self.reason.take().or_else(kicked);
        reason.unwrap_or_else(|| "the client went away".into())
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let now = Instant::now();
        let is_early = self.running.span().end < self.end;
        let early = is_early.then(|| self.broken_by(now));
        if self.transfer.end(&self.running, early, now) {
            self.taken.completed(&self.transfer, now);
        }
    }
}
