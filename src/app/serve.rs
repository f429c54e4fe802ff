//! The state of `haul serve`'s dashboard: its clients as rows, and the served directory.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    browser::Browser,
    clients::{address, ended, label, removed, running},
    cursor::{Cursor, Motion},
    listing::holds,
    throughput::Gauge,
};
use serde::{Deserialize, Serialize};

use crate::{
    forms,
    http1::path::RemotePath,
    server::{ClientId, ClientView, Snapshot, TransferId, TransferState, TransferView},
    tls::Fingerprint,
};

pub use super::clients::{ClientSort, Figures, Row, RowKind, Standing, What};

/// Small files are sent one after the other: between two of them a client is not idle for so long.
const BETWEEN_FILES: Duration = Duration::from_secs(2);
/// What breaks off within this time after a kick or a ban breaks off for that.
const FOR_THAT: Duration = Duration::from_secs(2);

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

    /// Makes the rows anew; the cursor stays on its row.
    fn build_rows(&mut self) {
        let current = self
            .rows
            .get(self.cursor.at())
            .map(|row| (row.client, row.path().cloned()));
        let mut order: Vec<&ClientView> = self
            .snapshot
            .clients
            .iter()
            .filter(|client| self.fits(client))
            .collect();
        let rate = |client: &ClientView| self.clients.get(&client.id).map_or(0, |g| g.rate);
        // Those that fetch nothing come last, whatever the order.
        order.sort_by(|a, b| {
            let idle = |c: &ClientView| (!self.is_active(c), c.connections == 0);
            let by_key = match self.sort {
                ClientSort::Rate => rate(b).cmp(&rate(a)),
                ClientSort::Name => label(a).cmp(&label(b)),
                ClientSort::Sent => b.sent.cmp(&a.sent),
                ClientSort::Came => a.since.cmp(&b.since),
            };
            let by_key = if self.reversed {
                by_key.reverse()
            } else {
                by_key
            };
            idle(a).cmp(&idle(b)).then(by_key).then(a.id.cmp(&b.id))
        });
        self.rows = order
            .into_iter()
            .flat_map(|client| self.rows_of(client))
            .collect();
        let same = |row: &Row, file: bool| {
            current.as_ref().is_some_and(|(id, path)| {
                row.client == *id && (!file || row.path() == path.as_ref())
            })
        };
        let at = self.rows.iter().position(|row| same(row, true));
        let at = at.or_else(|| self.rows.iter().position(|row| same(row, false)));
        self.cursor
            .go(at.unwrap_or(self.cursor.at()), self.rows.len());
    }

    /// Whether a client fetches something: files that have rows, or small ones, which are sent before one can be drawn.
    fn is_active(&self, client: &ClientView) -> bool {
        let flows = |gauge: &Gauge| gauge.flows(BETWEEN_FILES);
        running(client).next().is_some()
            || client.connections > 0 && self.clients.get(&client.id).is_some_and(flows)
    }

    fn fits(&self, client: &ClientView) -> bool {
        let exact = self.filter.chars().any(char::is_uppercase);
        let fits = |text: &str| holds(text.as_bytes(), &self.filter, exact);
        fits(&label(client))
            || client.agent.as_deref().is_some_and(fits)
            || running(client).any(|t| holds(t.path.as_bytes(), &self.filter, exact))
    }

    fn rows_of(&self, client: &ClientView) -> Vec<Row> {
        let unfolded = self.unfolded.contains(&client.id);
        let (what, figures) = self.summary(client);
        let mut rows = vec![Row {
            client: client.id,
            kind: RowKind::Client {
                name: client.name.clone(),
                address: address(client),
                number: self.handle(client).starts_with('#').then_some(client.id.0),
                agent: client.agent.clone().unwrap_or_default(),
                what,
                unfolded,
            },
            figures,
        }];
        if unfolded {
            let last = client.transfers.len().saturating_sub(1);
            rows.extend(
                client
                    .transfers
                    .iter()
                    .enumerate()
                    .map(|(i, transfer)| Row {
                        client: client.id,
                        kind: RowKind::File {
                            path: transfer.path.clone(),
                            last: i == last,
                            reason: match &transfer.state {
                                TransferState::Aborted(_, reason) => Some(reason.clone()),
                                _ => None,
                            },
                        },
                        figures: self.figures_below(client, transfer),
                    }),
            );
        }
        rows
    }

    /// What a client's row says.
    fn summary(&self, client: &ClientView) -> (What, Figures) {
        let active: Vec<_> = running(client).collect();
        let gauge = self.clients.get(&client.id);
        let mut figures = Figures {
            standing: Standing::Idle,
            // What else will be asked for is not known here: only of a single file there is a whole.
            done: if active.len() == 1 {
                active[0].done
            } else {
                client.sent
            },
            total: active
                .first()
                .filter(|_| active.len() == 1)
                .map(|t| t.total),
            rate: gauge.map_or(0, |g| g.rate),
            left: None,
        };
        if let [one] = active.as_slice() {
            figures.left = self.transfers.get(&one.id).and_then(|g| g.left);
        }
        if !active.is_empty() {
            // Stalled only when every one of its transfers is.
            let stalls = active
                .iter()
                .map(|t| self.transfers.get(&t.id).and_then(|g| g.stalled));
            let stall: Option<Vec<_>> = stalls.collect();
            figures.standing = match stall
                .filter(|_| !client.paused)
                .and_then(|all| all.into_iter().min())
            {
                Some(time) => Standing::Stalled(time),
                None if client.paused => Standing::Paused,
                None => Standing::Active,
            };
            let what = match active.as_slice() {
                [one] => What::Path(one.path.clone()),
                _ => What::Files {
                    count: active.len(),
                    connections: client.connections,
                },
            };
            return (what, figures);
        }
        if self.is_active(client) {
            figures.standing = Standing::Active;
            return (What::Taken(client.files), figures);
        }
        if let Some((left, now)) = client
            .left
            .filter(|_| client.connections == 0)
            .zip(self.now)
            && client.refused.is_none()
        {
            figures.standing = Standing::Left(now.saturating_duration_since(left));
            return (What::Taken(client.files), figures);
        }
        let last = client
            .transfers
            .iter()
            .filter_map(|t| Some((ended(t)?, t)))
            .max_by_key(|(at, _)| *at);
        // What a kick broke off ended after it.
        let after = |reason: &str| match removed(reason) {
            Some(_) => FOR_THAT,
            None => Duration::ZERO,
        };
        if let Some((reason, at)) = &client.refused
            && last.is_none_or(|(ended, _)| ended <= *at + after(reason))
        {
            figures.standing = Standing::Refused;
            return (What::Refusal(reason.clone()), figures);
        }
        let Some((_, last)) = last else {
            return (What::Taken(client.files), figures);
        };
        figures = self.transfer_figures(last);
        if figures.standing == Standing::Aborted {
            let aborted = |t: &&TransferView| matches!(t.state, TransferState::Aborted(..));
            let aborted: Vec<_> = client.transfers.iter().filter(aborted).collect();
            if aborted.len() > 1 {
                figures.done = aborted.iter().map(|t| t.done).sum();
                figures.total = Some(aborted.iter().map(|t| t.total).sum());
                return (What::Aborted(aborted.len()), figures);
            }
        } else if client.files > 1 {
            (figures.done, figures.total) = (client.sent, Some(client.sent));
            return (What::Taken(client.files), figures);
        }
        (What::Path(last.path.clone()), figures)
    }

    /// A file's row below its client's: what is paused as a whole is paused in each part.
    fn figures_below(&self, client: &ClientView, transfer: &TransferView) -> Figures {
        let mut figures = self.transfer_figures(transfer);
        if client.paused && transfer.state == TransferState::Active {
            figures.standing = Standing::Paused;
        }
        if let (TransferState::Aborted(at, reason), Some((refusal, refused))) =
            (&transfer.state, &client.refused)
            && let Some(word) = removed(reason).or_else(|| {
                let then = *refused..*refused + FOR_THAT;
                removed(refusal).filter(|_| then.contains(at))
            })
        {
            figures.standing = Standing::Removed(word);
        }
        figures
    }

    fn transfer_figures(&self, transfer: &TransferView) -> Figures {
        let gauge = self.transfers.get(&transfer.id);
        let standing = match (&transfer.state, gauge.and_then(|g| g.stalled)) {
            (TransferState::Done(_), _) => Standing::Done,
            (TransferState::Aborted(..), _) => Standing::Aborted,
            (TransferState::Active, Some(time)) => Standing::Stalled(time),
            (TransferState::Active, None) => Standing::Active,
        };
        Figures {
            standing,
            done: transfer.done,
            total: Some(transfer.total),
            rate: gauge.map_or(0, |g| g.rate),
            left: gauge.and_then(|g| g.left),
        }
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
