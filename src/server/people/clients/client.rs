//! One client, and what it takes.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use percent_encoding::percent_decode;

use super::{Identity, KEEP_CLIENT, MAX_LABEL};
use crate::{
    escape::display_name,
    server::people::{
        peers::Peer,
        snapshot::{ClientId, ClientView},
        standing::Standing,
        taken::{Taken, Totals},
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
    pub(super) since: Instant,
    pub(super) connections: AtomicUsize,
    pub(super) left: Mutex<Option<Instant>>,
    /// What was refused last, and when.
    pub(super) refused: Mutex<Option<(String, Instant)>>,
    /// Whom its first connection belongs to; others may come from elsewhere.
    pub(in crate::server) peer: Arc<Peer>,
    taken: Arc<Taken>,
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
            id: totals.next_client(),
            login,
            name,
            address: identity.address,
            agent,
            since: Instant::now(),
            connections: AtomicUsize::new(0),
            left: Mutex::default(),
            refused: Mutex::default(),
            peer: Arc::clone(peer),
            taken: Arc::new(Taken::new(who, totals)),
        }
    }

    /// Its row.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Name and address for logs, safe to print.
    pub fn who(&self) -> &str {
        self.taken.who()
    }

    /// What it takes.
    pub fn taken(&self) -> &Arc<Taken> {
        &self.taken
    }

    /// What was decided about it here.
    pub fn standing(&self) -> &Standing {
        &self.taken.standing
    }

    /// Notes that a request was refused, such as `404 not found: /secrets` (raw).
    pub fn refuse(&self, text: String) {
        *lock(&self.refused) = Some((text, Instant::now()));
    }

    /// Whether it is worth a warning that a request was refused, and how many were not since the last one: some a second
    /// are.
    pub fn warns(&self) -> Option<u64> {
        self.peer.warns()
    }

    /// Whether it is one of ours, as it says itself.
    pub(super) fn is_haul(&self) -> bool {
        let agent = self.agent.as_deref().unwrap_or_default();
        agent.starts_with("haul/")
    }

    pub(super) fn is_stale(&self, now: Instant) -> bool {
        lock(&self.left).is_some_and(|left| now.saturating_duration_since(left) > KEEP_CLIENT)
    }

    pub(super) fn view(&self, now: Instant) -> ClientView {
        // Sums before their parts, see `taken`.
        let (sent, files) = (self.taken.sent(), self.taken.files());
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
            sent,
            files,
            transfers: self.taken.views(now),
            refused: lock(&self.refused).clone(),
            paused: self.standing().is_paused(),
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
