//! One client, and what it takes.

use std::{
    net::IpAddr,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use percent_encoding::percent_decode;

use super::{Identity, KEEP_CLIENT, MAX_LABEL, Totals, refused::Refused};
use crate::{
    escape::display_name,
    http1::path::RemotePath,
    progress::Counter,
    server::people::{
        peers::Peer,
        rows::{Flow, Rows, Transfer},
        snapshot::{ClientId, ClientView},
        standing::Standing,
    },
    sync::lock,
};

/// One client: a person or machine.
#[derive(Debug)]
pub struct Client {
    pub(super) id: ClientId,
    login: Option<String>,
    name: Option<String>,
    address: IpAddr,
    agent: Option<String>,
    who: String,
    pub(super) since: Instant,
    pub(super) connections: AtomicUsize,
    pub(super) left: Mutex<Option<Instant>>,
    pub(in crate::server) sent: Counter,
    pub(in crate::server) files: Counter,
    pub(in crate::server) rows: Mutex<Rows>,
    pub(super) refused: Mutex<Refused>,
    /// Whom its first connection belongs to; others may come from elsewhere.
    pub(in crate::server) peer: Arc<Peer>,
    /// What was decided about it here.
    pub standing: Standing,
    pub(in crate::server) totals: Arc<Totals>,
}

impl Client {
    pub(super) fn new(identity: &Identity<'_>, peer: &Arc<Peer>, totals: &Arc<Totals>) -> Self {
        let label = |bytes: &[u8]| {
            let bytes = &bytes[..bytes.len().min(MAX_LABEL)];
            let text = String::from_utf8_lossy(bytes).into_owned();
            (!text.is_empty()).then_some(text)
        };
        let login = identity.login.map(str::to_owned);
        // What was proved stands before what a client calls itself.
        let name = login.clone().or_else(|| {
            let name = percent_decode(identity.name?);
            label(&name.collect::<Vec<u8>>())
        });
        let agent = identity.agent.and_then(|agent| label(product(agent)));
        let who = match &name {
            Some(name) => format!("{} {}", display_name(name), identity.address),
            None => identity.address.to_string(),
        };
        Self {
            id: ClientId(totals.next_client.fetch_add(1, Ordering::Relaxed)),
            login,
            name,
            address: identity.address,
            agent,
            who,
            since: Instant::now(),
            connections: AtomicUsize::new(0),
            left: Mutex::default(),
            sent: Counter::default(),
            files: Counter::default(),
            rows: Mutex::default(),
            refused: Mutex::default(),
            peer: Arc::clone(peer),
            standing: Standing::default(),
            totals: Arc::clone(totals),
        }
    }

    /// Its row.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Name and address for logs, safe to print.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// Notes that a request was refused, such as `404 not found: /secrets` (raw).
    pub fn refuse(&self, text: String) {
        lock(&self.refused).last = Some((text, Instant::now()));
    }

    /// Whether it is worth a warning that a request was refused, and how many were not since the last one: some a second
    /// are.
    pub fn warns(&self) -> Option<u64> {
        lock(&self.refused).warns(Instant::now())
    }

    /// Counts body bytes that were sent.
    pub(in crate::server) fn count_sent(&self, bytes: u64) {
        self.sent.add(bytes);
        self.totals.sent.add(bytes);
    }

    /// A range of a file begins to flow; it joins the row of the same content where there is one.
    pub fn begin(
        self: &Arc<Self>,
        path: &RemotePath,
        etag: &str,
        total: u64,
        range: Range<u64>,
    ) -> Flow {
        let transfer = lock(&self.rows).begin(path, etag, total, &self.totals);
        Flow::start(Arc::clone(self), transfer, range)
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
        self.count_sent(bytes);
        self.files.add(count);
        self.totals.files.add(count);
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
            rows.add_small(file, now, &self.totals);
        }
    }

    /// Every byte of a transfer was sent.
    pub(in crate::server) fn completed(&self, transfer: &Arc<Transfer>, now: Instant) {
        self.files.add(1);
        self.totals.files.add(1);
        lock(&self.totals.downloads).add(&transfer.path);
        lock(&self.rows).complete(transfer, now);
        log_done(
            &self.who,
            &transfer.path,
            transfer.total,
            now - transfer.started,
        );
    }

    pub(super) fn is_stale(&self, now: Instant) -> bool {
        lock(&self.left).is_some_and(|left| now.saturating_duration_since(left) > KEEP_CLIENT)
    }

    pub(super) fn view(&self, now: Instant) -> ClientView {
        ClientView {
            id: self.id,
            login: self.login.clone(),
            name: self.name.clone(),
            address: self.address,
            agent: self.agent.clone(),
            who: self.peer.who.to_string(),
            connections: self.connections.load(Ordering::Relaxed),
            left: *lock(&self.left),
            since: self.since,
            sent: self.sent.get(),
            transfers: lock(&self.rows).views(now),
            files: self.files.get(),
            refused: lock(&self.refused).last.clone(),
            paused: self.standing.is_paused(),
            limit: self.peer.pace.rate(),
        }
    }
}

/// The product that a User-Agent stands for: its first one, but for browsers, which all call themselves Mozilla first.
pub(super) fn product(agent: &[u8]) -> &[u8] {
    /// Those that call themselves others too come before those others.
    const BROWSERS: [&[u8]; 6] = [
        b"Firefox/",
        b"Edg/",
        b"OPR/",
        b"Chromium/",
        b"Chrome/",
        b"Safari/",
    ];
    let mut products = agent.split(|b| *b == b' ');
    let first = products.next().unwrap_or_default();
    if !first.starts_with(b"Mozilla/") {
        return first;
    }
    let known = |name: &&[u8]| products.clone().find(|product| product.starts_with(name));
    BROWSERS.iter().find_map(known).unwrap_or(first)
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
