//! The open connections: who holds them and since when they wait, so that one can be closed from outside.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::Notify;

use crate::server::{
    people::peers::{Peer, Who},
    people::snapshot::ClientId,
};
use crate::sync::lock;

/// All open connections.
#[derive(Debug)]
pub struct Open {
    connections: Mutex<HashMap<u64, Arc<Handle>>>,
    count: AtomicUsize,
    next: AtomicU64,
    since: Instant,
    /// When room was made last, in milliseconds since the start.
    swept: AtomicU64,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            connections: Mutex::default(),
            count: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            since: Instant::now(),
            swept: AtomicU64::new(0),
        }
    }
}

/// What the outside knows of a connection.
#[derive(Debug)]
pub struct Handle {
    id: u64,
    from: Who,
    /// Milliseconds from the table's start to the moment from which its client lets us wait for too long, or [`BUSY`].
    tardy_from: AtomicU64,
    belongs: Mutex<Option<(ClientId, Arc<Peer>)>>,
    cut: Notify,
}

/// While there is room, more of it is made once a millisecond for so many connections: to look at thousands of them for each
/// newcomer would keep the others waiting.
const SWEPT_IN_A_MILLISECOND: u64 = 256;
/// Nobody is waited for.
const BUSY: u64 = u64::MAX;
/// Milliseconds that the first request may take to come: no connection is closed before its client could say anything.
const FOR_REQUEST: u64 = 200;
/// Milliseconds in which something of an answer must be taken. A client that is only slow takes a socket's buffer,
/// about 40 KiB at first, in less.
const FOR_READING: u64 = 2000;

/// Milliseconds that a client waits for its turn before it may be closed to make room.
const FOR_TURN: u64 = 2000;

impl Handle {
    /// Completes when the connection is to end at once.
    pub async fn cut(&self) {
        self.cut.notified().await;
    }

    /// The client whose requests come this way, and whom the connection belongs to.
    pub fn belongs_to(&self, client: ClientId, peer: &Arc<Peer>) {
        *lock(&self.belongs) = Some((client, Arc::clone(peer)));
    }

    fn is_of(&self, client: ClientId) -> bool {
        let belongs = lock(&self.belongs);
        belongs.as_ref().is_some_and(|(its, _)| *its == client)
    }

    /// A request is there.
    pub fn busy(&self) {
        self.tardy_from.store(BUSY, Ordering::Relaxed);
    }
}

impl Open {
    /// Notes a connection for as long as the guard lives; its first request is waited for.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Opened {
        let handle = Arc::new(Handle {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            from: Who::of(None, address),
            tardy_from: AtomicU64::new(self.now() + FOR_REQUEST),
            belongs: Mutex::default(),
            cut: Notify::new(),
        });
        lock(&self.connections).insert(handle.id, Arc::clone(&handle));
        self.count.fetch_add(1, Ordering::Relaxed);
        Opened {
            table: Arc::clone(self),
            handle,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whoever a client's connections belong to, beside `first`.
    pub fn peers_of(&self, client: ClientId, first: &Arc<Peer>) -> Vec<Arc<Peer>> {
        let mut peers = vec![Arc::clone(first)];
        for handle in lock(&self.connections).values() {
            if let Some((its, peer)) = &*lock(&handle.belongs)
                && *its == client
                && !peers.iter().any(|known| known.who == peer.who)
            {
                peers.push(Arc::clone(peer));
            }
        }
        peers
    }

    /// Ends the connections of a client.
    pub fn cut_client(&self, client: ClientId) {
        self.cut_if(|handle| handle.is_of(client));
    }

    /// Ends the connections of a login or address, whatever clients they belong to.
    pub fn cut_all_of(&self, who: &Who) {
        self.cut_if(|handle| {
            let belongs = lock(&handle.belongs);
            handle.from == *who || belongs.as_ref().is_some_and(|(_, peer)| peer.who == *who)
        });
    }

    fn cut_if(&self, is_meant: impl Fn(&Handle) -> bool) {
        for handle in lock(&self.connections).values() {
            if is_meant(handle) {
                handle.cut.notify_one();
            }
        }
    }

    /// Whether it is worth looking again for connections that can be spared.
    pub fn may_sweep(&self) -> bool {
        let pause = self.count() as u64 / SWEPT_IN_A_MILLISECOND;
        self.now() >= self.swept.load(Ordering::Relaxed) + pause
    }

    /// Ends up to `most` connections that wait for their clients, be it for a request or for an answer to be read: each
    /// time the one that has waited longest, of those of the address that holds most. Who they were; none where nobody of
    /// that address waits for too long.
    pub fn relieve(&self, most: usize) -> Vec<Who> {
        let (connections, now) = (lock(&self.connections), self.now());
        self.swept.store(now, Ordering::Relaxed);
        let mut held: HashMap<&Who, Held> = HashMap::new();
        for handle in connections.values() {
            let held = held.entry(&handle.from).or_default();
            held.count += 1;
            let since = handle.tardy_from.load(Ordering::Relaxed);
            if since <= now {
                // Of two that wait since the same moment, the one that came first.
                held.tardy.push(Reverse((since, handle.id)));
            }
        }
        let mut closed = Vec::new();
        while closed.len() < most {
            // Whoever holds less is left alone, even while none of these can be spared.
            let busiest = held
                .iter_mut()
                .max_by_key(|(_, held)| (held.count, !held.tardy.is_empty()));
            let Some((who, held)) = busiest else { break };
            let Some(Reverse((_, id))) = held.tardy.pop() else {
                break;
            };
            held.count -= 1;
            if let Some(handle) = connections.get(&id) {
                // It is told once, and not chosen again while it ends.
                handle.busy();
                handle.cut.notify_one();
            }
            closed.push((*who).clone());
        }
        closed
    }

    /// How many connections an address holds.
    pub fn held_by(&self, from: &Who) -> usize {
        let connections = lock(&self.connections);
        let its = connections.values().filter(|handle| handle.from == *from);
        its.count()
    }

    fn now(&self) -> u64 {
        self.since.elapsed().as_millis() as u64
    }
}

/// What one address holds.
#[derive(Default)]
struct Held {
    count: usize,
    /// Since when its connections wait for too long, and which they are; the longest waiting on top.
    tardy: BinaryHeap<Reverse<(u64, u64)>>,
}

/// Keeps a connection in the table.
#[derive(Debug)]
pub struct Opened {
    table: Arc<Open>,
    handle: Arc<Handle>,
}

impl Opened {
    /// The table's entry.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The next request is waited for, from now on unless it already is.
    pub fn awaits_request(&self) {
        let place = &self.handle.tardy_from;
        let _ =
            place.compare_exchange(BUSY, self.table.now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Others have their turn first, and it may be long.
    pub fn awaits_turn(&self) {
        let place = &self.handle.tardy_from;
        place.store(self.table.now() + FOR_TURN, Ordering::Relaxed);
    }

    /// Some of an answer is to be read before it goes on.
    pub fn awaits_reading(&self) {
        let place = &self.handle.tardy_from;
        place.store(self.table.now() + FOR_READING, Ordering::Relaxed);
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        lock(&self.table.connections).remove(&self.handle.id);
        self.table.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_cut(opened: &Opened) -> bool {
        use futures_util::FutureExt as _;
        opened.handle().cut().now_or_never().is_some()
    }

    #[test]
    fn the_longest_waiting_connection_of_who_holds_most_goes_first() {
        let open = Arc::new(Open::default());
        let enter = |host: u8, tardy_from: u64| {
            let opened = open.enter([10, 0, 0, host].into());
            let place = &opened.handle.tardy_from;
            place.store(tardy_from, Ordering::Relaxed);
            opened
        };
        let lone = enter(1, 0);
        let [busy, late, early] = [enter(2, BUSY), enter(2, 2), enter(2, 1)];
        while open.now() < 2 {
            std::thread::yield_now();
        }
        assert_eq!(open.relieve(1)[0].to_string(), "10.0.0.2");
        assert!(is_cut(&early) && !is_cut(&late) && !is_cut(&busy) && !is_cut(&lone));
        drop(early);
        assert!(!open.relieve(1).is_empty() && is_cut(&late));
        // Whoever holds less is not made to pay for it.
        assert_eq!(open.relieve(1), []);
        assert!(!is_cut(&busy) && !is_cut(&lone));
        drop(late);
        drop(busy);
        assert!(!open.relieve(1).is_empty() && is_cut(&lone));
        drop(lone);
        assert_eq!(open.count(), 0);
    }

    #[test]
    fn a_sweep_closes_several_and_never_more_of_one_than_of_another() {
        let open = Arc::new(Open::default());
        let hosts = [1, 1, 1, 1, 1, 2, 2, 2, 3];
        let opened: Vec<Opened> = hosts
            .map(|host| {
                let opened = open.enter([10, 0, 0, host].into());
                opened.handle.tardy_from.store(0, Ordering::Relaxed);
                opened
            })
            .into();
        let count = |closed: &[Who], host: &str| {
            let of = closed.iter().filter(|who| who.to_string() == host);
            of.count()
        };
        let closed = open.relieve(4);
        assert_eq!(closed.len(), 4);
        assert_eq!(
            (count(&closed, "10.0.0.1"), count(&closed, "10.0.0.2")),
            (3, 1)
        );
        assert_eq!(opened.iter().filter(|opened| is_cut(opened)).count(), 4);
        assert_eq!(open.held_by(&Who::of(None, [10, 0, 0, 1].into())), 5);
    }

    #[test]
    fn a_connection_has_time_for_its_first_request_and_for_reading() {
        let open = Arc::new(Open::default());
        let opened = open.enter([10, 0, 0, 1].into());
        let tardy_from = || opened.handle.tardy_from.load(Ordering::Relaxed);
        let (first, now) = (tardy_from(), open.now());
        assert!((1..=now + FOR_REQUEST).contains(&first));
        opened.awaits_request();
        assert_eq!(tardy_from(), first);
        opened.awaits_reading();
        assert!(tardy_from() >= now + FOR_READING);
        opened.handle.busy();
        assert_eq!(open.relieve(1), []);
        opened.awaits_request();
        assert!(tardy_from() <= open.now());
        assert!(!open.relieve(1).is_empty());
    }
}
