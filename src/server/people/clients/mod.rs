//! Who takes what: connections grouped into clients, their transfers, and the server's totals.
//!
//! Senders add to atomic counters; whoever shows them calls [`Registry::snapshot`]. What is kept is bounded, so
//! that neither a thousand clients nor a million small files make it grow.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::server::{
    connection::table::Open,
    people::peers::{Peers, Who},
    people::snapshot::{Ban, ClientId, ClientView, Snapshot},
    people::taken::Totals,
};
use crate::sync::lock;
use crate::{http1::path::RemotePath, pace::Pace, units::Rate};

mod attached;
mod client;
pub use attached::Attached;
pub use client::Client;

/// Clients that are remembered; beyond it those that left first are forgotten.
const MAX_CLIENTS: usize = 1000;
/// How long a client that left is remembered.
const KEEP_CLIENT: Duration = Duration::from_secs(600);
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

impl Registry {
    /// No clients yet. At most `most` of them at the same time, each limited to the `usual` rate, together to `limit`.
    pub fn new(most: Option<usize>, usual: Option<Rate>, limit: Option<Rate>) -> Self {
        Self {
            peers: Arc::new(Peers::new(most, usual)),
            totals: Arc::new(Totals::limited(limit)),
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
        client.standing().kick(reason, Instant::now() + time);
        client.refuse(format!("kicked: {reason}"));
        self.open.cut_client(client.id);
    }

    /// Bans whoever a client's connections belong to, and closes all that they have.
    pub fn ban(&self, client: &Arc<Client>, reason: &str) {
        client.refuse(format!("banned: {reason}"));
        for peer in self.open.peers_of(client.id, &client.peer) {
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
        for peer in self.open.peers_of(client.id, &client.peer) {
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
        {
            let mut left = lock(&client.left);
            client.connections.fetch_add(1, Ordering::Relaxed);
            *left = None;
        }
        drop(clients);
        Attached {
            counts: false,
            client,
            peer,
            peers: Arc::clone(&self.peers),
        }
    }

    /// Counts an answer.
    pub fn count_status(&self, status: u16) {
        self.totals.statuses.add(status);
    }

    /// Answers by their status, those that there were.
    pub fn statuses(&self) -> Vec<(u16, u64)> {
        self.totals.statuses.get()
    }

    /// Counts that a connection from an address is refused; whether that is worth a warning, see [`Client::warns`].
    pub fn refused(&self, address: IpAddr, status: u16) -> Option<u64> {
        self.count_status(status);
        self.peers.peer(Who::of(None, address)).warns()
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
        // Sums before their parts, see `taken`.
        let (sent, files) = (self.totals.sent.get(), self.totals.files.get());
        let clients: Vec<Arc<Client>> = {
            let mut clients = lock(&self.clients);
            clients.retain(|_, client| !client.is_stale(now));
            clients.values().map(Arc::clone).collect()
        };
        let mut views: Vec<ClientView> = clients.iter().map(|client| client.view(now)).collect();
        views.sort_by_key(|view| view.id);
        Snapshot {
            clients: views,
            sent,
            files,
            connections: self.open.count(),
            requests: self.totals.requests.get(),
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
        self.totals.downloads(path)
    }

    /// Begins to count anew what [`Self::downloads`] tells: the paths mean other files now.
    pub fn forget_downloads(&self) {
        self.totals.forget_downloads();
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

#[cfg(test)]
mod tests;
