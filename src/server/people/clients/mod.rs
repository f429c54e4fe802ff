//! Who takes what: connections grouped into clients, their transfers, and the server's totals.
//!
//! Senders add to atomic counters; whoever shows them calls [`Registry::snapshot`]. What is kept is bounded, so
//! that neither a thousand clients nor a million small files make it grow.

use std::{
    collections::HashMap,
    net::IpAddr,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use percent_encoding::percent_decode;

use crate::server::{
    connection::table::Open,
    people::downloads::Downloads,
    people::peers::{Peer, Peers, Who},
    people::rows::{Flow, Rows, Transfer},
    people::snapshot::{Ban, ClientId, ClientView, Snapshot, TransferId},
    people::standing::{Denied, Standing},
};
use crate::sync::lock;
use crate::{
    escape::display_name,
    http1::path::RemotePath,
    pace::{self, Pace},
    progress::Counter,
    units::Rate,
};

/// Clients that are remembered; beyond it those that left first are forgotten.
const MAX_CLIENTS: usize = 1000;
/// How long a client that left is remembered.
const KEEP_CLIENT: Duration = Duration::from_secs(600);
/// Refused requests of a client that the log warns of within a second.
const WARNINGS: u32 = 10;
/// Longest name, agent or session that is kept, in bytes: they are foreign and decide nothing.
const MAX_LABEL: usize = 64;

/// All clients.
#[derive(Debug, Default)]
pub struct Registry {
    clients: Mutex<HashMap<Key, Arc<Client>>>,
    peers: Arc<Peers>,
    open: Arc<Open>,
    totals: Arc<Totals>,
}

/// What is counted over all clients.
#[derive(Debug, Default)]
pub(in crate::server) struct Totals {
    pub(in crate::server) sent: Counter,
    pub(in crate::server) requests: Counter,
    pub(in crate::server) files: Counter,
    /// The limit of all clients together.
    pace: Pace,
    pub(in crate::server) downloads: Mutex<Downloads>,
    next_client: AtomicU64,
    next_transfer: AtomicU64,
}

impl Totals {
    pub(in crate::server) fn next_transfer(&self) -> TransferId {
        TransferId(self.next_transfer.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Login(Box<str>),
    /// Who overhears a session's name does not join it from elsewhere.
    Session(Who, Box<[u8]>),
    Agent(IpAddr, Box<[u8]>),
}

/// What tells one client from another, as one request gives it.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Where the connection comes from.
    pub address: IpAddr,
    /// Who is logged in on it.
    pub login: Option<&'a str>,
    /// `Haul-Session`
    pub session: Option<&'a [u8]>,
    /// `Haul-Name`, percent-encoded.
    pub name: Option<&'a [u8]>,
    /// `User-Agent`
    pub agent: Option<&'a [u8]>,
}

impl Identity<'_> {
    fn key(&self) -> Key {
        let label = |text: &[u8]| text[..text.len().min(MAX_LABEL)].into();
        match (self.login, self.session) {
            (Some(login), _) => Key::Login(login.into()),
            (None, Some(session)) => Key::Session(Who::of(None, self.address), label(session)),
            (None, None) => Key::Agent(self.address, label(self.agent.unwrap_or_default())),
        }
    }
}

/// One client: a person or machine.
#[derive(Debug)]
pub struct Client {
    id: ClientId,
    login: Option<String>,
    name: Option<String>,
    address: IpAddr,
    agent: Option<String>,
    who: String,
    since: Instant,
    connections: AtomicUsize,
    left: Mutex<Option<Instant>>,
    pub(in crate::server) sent: Counter,
    pub(in crate::server) files: Counter,
    pub(in crate::server) rows: Mutex<Rows>,
    refused: Mutex<Refused>,
    /// Whom its first connection belongs to; others may come from elsewhere.
    pub(in crate::server) peer: Arc<Peer>,
    /// What was decided about it here.
    pub standing: Standing,
    pub(in crate::server) totals: Arc<Totals>,
}

impl Registry {
    /// No clients yet. At most `most` of them at the same time, each limited to the `usual` rate, together to `limit`.
    pub fn new(most: Option<usize>, usual: Option<Rate>, limit: Option<Rate>) -> Self {
        Self {
            peers: Arc::new(Peers::new(most, usual)),
            totals: Arc::new(Totals {
                pace: Pace::new(limit),
                ..Totals::default()
            }),
            ..Self::default()
        }
    }

    /// The open connections.
    pub fn open(&self) -> &Arc<Open> {
        &self.open
    }

    /// The limit of all clients together.
    pub fn pace(&self) -> &Pace {
        &self.totals.pace
    }

    /// The client of a row, unless it was forgotten.
    pub fn client(&self, id: ClientId) -> Option<Arc<Client>> {
        let clients = lock(&self.clients);
        clients.values().find(|client| client.id == id).cloned()
    }

    /// Closes a client's connections and refuses it for so long.
    pub fn kick(&self, client: &Arc<Client>, reason: &str, time: Duration) {
        client.standing.kick(reason, Instant::now() + time);
        client.refuse(format!("kicked: {reason}"));
        self.open.cut_client(client);
    }

    /// Bans whoever a client's connections belong to, and closes all that they have.
    pub fn ban(&self, client: &Arc<Client>, reason: &str) {
        client.refuse(format!("banned: {reason}"));
        for peer in self.open.peers_of(client) {
            self.peers.ban(peer.who.clone(), reason);
            self.open.cut_all_of(&peer.who);
        }
    }

    /// Lifts the ban on whoever is shown as `who`; `false` where there is none.
    pub fn unban(&self, who: &str) -> bool {
        self.peers.unban(who)
    }

    /// A limit for whoever a client's connections belong to; `None` puts the usual one back.
    pub fn limit_client(&self, client: &Arc<Client>, rate: Option<Rate>) {
        for peer in self.open.peers_of(client) {
            self.peers.limit(&peer, rate);
        }
    }

    /// The client that a request comes from, new or known; it counts as connected while the guard lives.
    pub fn attach(&self, identity: &Identity<'_>) -> Attached {
        let key = identity.key();
        let peer = self.peers.peer(Who::of(identity.login, identity.address));
        let mut clients = lock(&self.clients);
        let client = if let Some(client) = clients.get(&key) {
            Arc::clone(client)
        } else {
            make_room(&mut clients, Instant::now());
            let client = Arc::new(Client::new(identity, &peer, &self.totals));
            clients.insert(key, Arc::clone(&client));
            client
        };
        client.connections.fetch_add(1, Ordering::Relaxed);
        *lock(&client.left) = None;
        drop(clients);
        Attached {
            counts: false,
            client,
            peer,
            peers: Arc::clone(&self.peers),
        }
    }

    /// Why an address is banned, for all who come from there.
    pub fn banned(&self, address: IpAddr) -> Option<String> {
        self.peers.banned(&Who::of(None, address))
    }

    /// Counts a request.
    pub fn count_request(&self) {
        self.totals.requests.add(1);
    }

    /// Everything at this moment. Forgets what has been kept long enough.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let clients: Vec<Arc<Client>> = {
            let mut clients = lock(&self.clients);
            clients.retain(|_, client| !client.is_stale(now));
            clients.values().map(Arc::clone).collect()
        };
        let mut views: Vec<ClientView> = clients.iter().map(|client| client.view(now)).collect();
        views.sort_by_key(|view| view.id);
        Snapshot {
            clients: views,
            sent: self.totals.sent.get(),
            connections: self.open.count(),
            requests: self.totals.requests.get(),
            files: self.totals.files.get(),
            limit: self.totals.pace.rate(),
            banned: self
                .peers
                .bans()
                .into_iter()
                .map(|(who, reason)| Ban { who, reason })
                .collect(),
            ..Snapshot::default()
        }
    }

    /// How often a file was taken whole; for a directory, how many files below it were.
    pub fn downloads(&self, path: &RemotePath) -> u64 {
        lock(&self.totals.downloads).of(path)
    }

    /// Begins to count anew what [`Self::downloads`] tells: the paths mean other files now.
    pub fn forget_downloads(&self) {
        *lock(&self.totals.downloads) = Downloads::default();
    }
}

/// Forgets clients that left, the longest gone first, until there is room for one more.
fn make_room(clients: &mut HashMap<Key, Arc<Client>>, now: Instant) {
    if clients.len() < MAX_CLIENTS {
        return;
    }
    clients.retain(|_, client| !client.is_stale(now));
    let mut gone: Vec<(Instant, Key)> = clients
        .iter()
        .filter_map(|(key, client)| Some(((*lock(&client.left))?, key.clone())))
        .collect();
    gone.sort_by_key(|(left, _)| *left);
    // A tenth at once, so that a stream of new clients does not sort the table each time.
    let surplus = clients.len() + MAX_CLIENTS / 10 - MAX_CLIENTS;
    for (_, key) in gone.into_iter().take(surplus) {
        clients.remove(&key);
    }
}

impl Client {
    fn new(identity: &Identity<'_>, peer: &Arc<Peer>, totals: &Arc<Totals>) -> Self {
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
        let agent = identity.agent.and_then(|agent| {
            let product = agent.split(|b| *b == b' ').next();
            label(product.unwrap_or_default())
        });
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

    fn is_stale(&self, now: Instant) -> bool {
        lock(&self.left).is_some_and(|left| now.saturating_duration_since(left) > KEEP_CLIENT)
    }

    fn view(&self, now: Instant) -> ClientView {
        ClientView {
            id: self.id,
            login: self.login.clone(),
            name: self.name.clone(),
            address: self.address,
            agent: self.agent.clone(),
            connections: self.connections.load(Ordering::Relaxed),
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

/// What a client was refused.
#[derive(Debug, Default)]
struct Refused {
    /// The last, and when.
    last: Option<(String, Instant)>,
    /// When the second began in which refusals are counted, and how many were told in it.
    told: Option<(Instant, u32)>,
    /// How many were not.
    untold: u64,
}

impl Refused {
    fn warns(&mut self, now: Instant) -> Option<u64> {
        let second = Duration::from_secs(1);
        let current = self
            .told
            .filter(|(began, _)| now.saturating_duration_since(*began) < second);
        let (began, told) = current.unwrap_or((now, 0));
        if told == WARNINGS {
            self.untold += 1;
            return None;
        }
        self.told = Some((began, told + 1));
        Some(std::mem::take(&mut self.untold))
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

/// A connection's place among its client's.
#[derive(Debug)]
pub struct Attached {
    client: Arc<Client>,
    /// Whom the connection belongs to.
    peer: Arc<Peer>,
    peers: Arc<Peers>,
    /// Whether it is among the clients that are let in.
    counts: bool,
}

impl Attached {
    /// The client.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Whom the connection belongs to.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Whether a request is to be answered. One that has not `proved` whose it is takes no place among the clients.
    pub fn admit(&mut self, proved: bool, now: Instant) -> Result<(), Denied> {
        if let Some(reason) = self.peers.banned(&self.peer.who) {
            return Err(Denied::Banned(reason));
        }
        if let Some((reason, left)) = self.client.standing.kicked(now) {
            return Err(Denied::Kicked { reason, left });
        }
        if !proved {
            return Ok(());
        }
        self.counts = self.counts || self.peers.enter(&self.peer);
        if !self.counts {
            return Err(Denied::Full);
        }
        if self.client.standing.is_paused() {
            return Err(Denied::Paused);
        }
        Ok(())
    }

    /// Whether everything may go out at once.
    pub fn is_free(&self) -> bool {
        !self.peer.pace.is_on()
            && !self.client.totals.pace.is_on()
            && !self.client.standing.is_paused()
    }

    /// Puts bytes back that were allowed and not sent.
    pub fn put_back(&self, bytes: u64) {
        self.peer.pace.put_back(bytes);
        self.client.totals.pace.put_back(bytes);
    }

    /// Waits until body bytes may go out to the client: how many, at most `most`.
    pub async fn allowance(&self, most: u64) -> u64 {
        loop {
            self.client.standing.resumed().await;
            let bytes = pace::share(&self.peer.pace, &self.client.totals.pace, most).await;
            if !self.client.standing.is_paused() {
                return bytes;
            }
            self.put_back(bytes);
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.counts {
            self.peers.leave(&self.peer);
        }
        if self.client.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            let now = Instant::now();
            lock(&self.client.rows).left(now);
            *lock(&self.client.left) = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
