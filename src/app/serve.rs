//! The state of `haul serve`'s dashboard: its clients as rows, and the served directory.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    browser::{Browser, Load},
    clients::{label, running},
    cursor::{Cursor, Motion},
    effect::Effect,
    listing::Arrangement,
    throughput::Gauge,
};
use serde::{Deserialize, Serialize};

use crate::{
    forms,
    http1::path::RemotePath,
    server::{ClientId, ClientView, Snapshot, TransferId, TransferView},
    tls::Fingerprint,
};

mod rows;

pub use super::clients::{ClientSort, Figures, Row, RowKind, Standing, What};

/// A directory that is shown is read again so often.
const AGAIN_AFTER: Duration = Duration::from_secs(4);
/// One of more entries is read again only when it is asked for.
const READ_AGAIN: usize = 10_000;

/// What does not change while the server runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Facts {
    /// URLs under which others reach it, the best one first.
    pub urls: Vec<String>,
    /// The served directory, for people.
    pub root: String,
    /// Whether no login is asked for.
    pub open: bool,
    /// The certificate's, where it serves TLS.
    pub fingerprint: Option<Fingerprint>,
    /// When it began; without it, the first sample counts.
    #[serde(with = "forms::some_age")]
    pub since: Option<Instant>,
    /// The user's home, for `~`.
    #[serde(with = "forms::some_path")]
    pub home: Option<PathBuf>,
}

/// The state of the dashboard.
#[derive(Debug)]
pub struct Serve {
    /// What does not change.
    pub facts: Facts,
    /// The server as it was sampled last.
    pub snapshot: Snapshot,
    /// The first sample's time.
    pub since: Option<Instant>,
    /// The last one's.
    now: Option<Instant>,
    /// Clients, and files of the unfolded ones, that the filter lets through.
    pub rows: Vec<Row>,
    /// The served directory.
    pub files: Browser,
    /// When it was read last by itself.
    looked: Option<Instant>,
    /// How often files of the directory were taken.
    pub downloads: HashMap<RemotePath, u64>,
    /// The text that shown clients hold.
    pub filter: String,
    /// The clients' order.
    pub sort: ClientSort,
    /// Whether the order is turned round.
    pub reversed: bool,
    cursor: Cursor,
    unfolded: HashSet<ClientId>,
    clients: HashMap<ClientId, Gauge>,
    transfers: HashMap<TransferId, Gauge>,
}

impl Serve {
    /// A dashboard before the first sample.
    pub fn new(facts: Facts) -> Self {
        Self {
            facts,
            snapshot: Snapshot::default(),
            since: None,
            now: None,
            rows: Vec::new(),
            files: Browser::default(),
            looked: None,
            downloads: HashMap::new(),
            filter: String::new(),
            sort: ClientSort::Rate,
            reversed: false,
            cursor: Cursor::default(),
            unfolded: HashSet::new(),
            clients: HashMap::new(),
            transfers: HashMap::new(),
        }
    }

    /// Takes a sample. With `refresh` the shown figures and the order are renewed.
    pub fn sample(&mut self, now: Instant, snapshot: Snapshot, refresh: bool) {
        self.since.get_or_insert(self.facts.since.unwrap_or(now));
        self.now = Some(now);
        for client in &snapshot.clients {
            let left: u64 = running(client).map(|t| t.total - t.done.min(t.total)).sum();
            let gauge = self.clients.entry(client.id).or_default();
            gauge.sample(
                now,
                client.sent,
                Some(client.sent.saturating_add(left)),
                refresh,
            );
            for transfer in running(client) {
                let gauge = self.transfers.entry(transfer.id).or_default();
                gauge.sample(now, transfer.done, Some(transfer.total), refresh);
            }
        }
        self.snapshot = snapshot;
        if refresh {
            self.forget();
        }
        self.build_rows();
    }

    /// Drops the gauges of what the server knows no more.
    fn forget(&mut self) {
        let snapshot = &self.snapshot;
        let clients: HashSet<_> = snapshot.clients.iter().map(|c| c.id).collect();
        let running: HashSet<_> = snapshot
            .clients
            .iter()
            .flat_map(running)
            .map(|t| t.id)
            .collect();
        self.clients.retain(|id, _| clients.contains(id));
        self.transfers.retain(|id, _| running.contains(id));
        self.unfolded.retain(|id| clients.contains(id));
    }

    /// Reads the served directory again from time to time: files come and go.
    pub(super) fn look_again(&mut self, now: Instant) -> Option<Effect> {
        let looked = *self.looked.get_or_insert(now);
        if now.saturating_duration_since(looked) < AGAIN_AFTER
            || self.files.listing.entries().len() > READ_AGAIN
        {
            return None;
        }
        self.looked = Some(now);
        match self.files.load {
            Load::Idle => Some(self.files.refresh()),
            // It may be back, or allowed again.
            Load::Failed(..) => self.files.try_again(),
            Load::Loading(_) => None,
        }
    }

    /// Shows another directory that is served from now on; its name is for people.
    pub(super) fn turn_to(&mut self, root: String) -> Effect {
        self.facts.root = root;
        self.downloads.clear();
        let order = self.files.listing.arrangement().clone();
        self.files = self.files.next();
        // Nothing is listed yet: there is nothing to arrange.
        let _ = self.files.listing.rearrange(|a| {
            *a = Arrangement {
                filter: String::new(),
                ..order
            };
        });
        self.files.open(RemotePath::root())
    }

    /// The cursor in the clients pane.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Moves the cursor.
    pub fn apply(&mut self, motion: Motion) {
        self.cursor.apply(motion, self.rows.len());
    }

    /// Stands on a row.
    pub fn go(&mut self, row: usize) {
        self.cursor.go(row, self.rows.len());
    }

    /// Moves the window.
    pub fn scroll(&mut self, by: isize) {
        self.cursor.scroll(by, self.rows.len());
    }

    /// Tells how many rows the window has.
    pub fn set_page(&mut self, rows: usize) {
        self.cursor.set_page(rows, self.rows.len());
    }

    /// Whether nobody but this machine can reach it.
    pub fn is_local(&self) -> bool {
        let local = |url: &String| {
            let host = url::Url::parse(url)
                .ok()
                .and_then(|url| url.host().map(|h| h.to_owned()));
            match host {
                Some(url::Host::Ipv4(address)) => address.is_loopback(),
                Some(url::Host::Ipv6(address)) => address.is_loopback(),
                Some(url::Host::Domain(name)) => name == "localhost",
                None => false,
            }
        };
        !self.facts.urls.is_empty() && self.facts.urls.iter().all(local)
    }

    /// The directory that is served now, for people.
    pub fn root(&self) -> &str {
        &self.facts.root
    }

    /// The client under the cursor.
    pub fn current(&self) -> Option<&ClientView> {
        let id = self.rows.get(self.cursor.at())?.client;
        self.snapshot.clients.iter().find(|client| client.id == id)
    }

    /// Shows or hides the files of the client under the cursor; `only_fold` never shows them.
    pub fn unfold(&mut self, only_fold: bool) {
        let Some(row) = self.rows.get(self.cursor.at()) else {
            return;
        };
        let client = row.client;
        if !self.unfolded.remove(&client) && !only_fold {
            self.unfolded.insert(client);
        }
        self.build_rows();
    }

    /// Sorts the clients by the next key.
    pub fn sort_next(&mut self) {
        self.sort = self.sort.next();
        self.reversed = false;
        self.build_rows();
    }

    /// Sorts the clients.
    pub fn sort_by(&mut self, sort: ClientSort, reversed: bool) {
        (self.sort, self.reversed) = (sort, reversed);
        self.build_rows();
    }

    /// Shows only clients that hold `filter`.
    pub fn set_filter(&mut self, filter: &str) {
        filter.clone_into(&mut self.filter);
        self.build_rows();
    }

    /// Clients that fetch something, and those of them that stall.
    pub fn busy(&self) -> (usize, usize) {
        let clients = self.snapshot.clients.iter();
        let stalls = |t: &TransferView| {
            let gauge = self.transfers.get(&t.id);
            gauge.is_some_and(|gauge| gauge.stalled.is_some())
        };
        let busy = clients.filter(|c| self.is_active(c));
        busy.fold((0, 0), |(busy, stalled), client| {
            let stands =
                !client.paused && running(client).next().is_some() && running(client).all(stalls);
            (busy + 1, stalled + usize::from(stands))
        })
    }

    /// What runs, in words that are raw: who fetches what.
    pub fn running(&self) -> Vec<(String, RemotePath)> {
        let clients = self.snapshot.clients.iter();
        clients
            .flat_map(|c| running(c).map(move |t| (label(c), t.path.clone())))
            .collect()
    }
}
