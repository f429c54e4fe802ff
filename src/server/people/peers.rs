//! Who counts as one where limits, bans and counts are concerned: a login, else an address. What a client says of
//! itself decides nothing here.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use super::warnings::Warnings;
use crate::{pace::Pace, sync::lock, units::Rate};

/// A login, an IPv4 address, or an IPv6 network of 64 bits: one subscriber has all addresses of such a one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// Logged in under this name.
    Login(Box<str>),
    /// Not logged in.
    Address(Ipv4Addr),
    /// Not logged in; the network's address.
    Network(Ipv6Addr),
}

impl Who {
    /// A connection from `address`, with a login or without.
    pub fn of(login: Option<&str>, address: IpAddr) -> Self {
        /// The part of an IPv6 address that names the network.
        const PREFIX: u128 = !0 << 64;
        match (login, address.to_canonical()) {
            (Some(login), _) => Self::Login(login.into()),
            (None, IpAddr::V4(address)) => Self::Address(address),
            (None, IpAddr::V6(address)) => {
                Self::Network(Ipv6Addr::from_bits(address.to_bits() & PREFIX))
            }
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login(login) => f.write_str(login),
            Self::Address(address) => address.fmt(f),
            Self::Network(address) => write!(f, "{address}/64"),
        }
    }
}

/// One of them, with what all its connections share.
#[derive(Debug)]
pub struct Peer {
    /// Who it is.
    pub who: Who,
    /// Its own limit.
    pub pace: Pace,
    /// Whether that limit was set for it alone.
    singled_out: AtomicBool,
    /// What the log told of its refused requests.
    warnings: Mutex<Warnings>,
    /// Its connections that count; changes only while the number of those present is locked.
    connections: Mutex<usize>,
}

impl Peer {
    /// Whether it is worth a warning that a request was refused, and how many were not since the last one: some a second
    /// are.
    pub fn warns(&self) -> Option<u64> {
        lock(&self.warnings).warns(Instant::now())
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Peers {
    known: Mutex<HashMap<Who, Arc<Peer>>>,
    present: Mutex<usize>,
    most: Option<usize>,
    usual: Option<Rate>,
    bans: Mutex<BTreeMap<Who, String>>,
    /// Whether there is any ban: mostly there is none, and each request asks.
    banning: AtomicBool,
}

impl Peers {
    /// At most `most` at the same time, each limited to the `usual` rate.
    pub fn new(most: Option<usize>, usual: Option<Rate>) -> Self {
        Self {
            most,
            usual,
            ..Self::default()
        }
    }

    /// The peer, new or known.
    pub fn peer(&self, who: Who) -> Arc<Peer> {
        let mut peers = lock(&self.known);
        if let Some(peer) = peers.get(&who) {
            return Arc::clone(peer);
        }
        // Who is in no table of clients any more is forgotten, unless somebody gave it a limit of its own.
        if peers.len() == peers.capacity() {
            peers.retain(|_, peer| {
                Arc::strong_count(peer) > 1 || peer.singled_out.load(Ordering::Relaxed)
            });
        }
        let peer = Arc::new(Peer {
            who: who.clone(),
            pace: Pace::new(self.usual),
            singled_out: AtomicBool::new(false),
            warnings: Mutex::default(),
            connections: Mutex::new(0),
        });
        peers.insert(who, Arc::clone(&peer));
        peer
    }

    /// A limit for one; `None` puts the usual one back.
    pub fn limit(&self, peer: &Peer, rate: Option<Rate>) {
        peer.singled_out.store(rate.is_some(), Ordering::Relaxed);
        peer.pace.limit(rate.or(self.usual));
    }

    /// Counts a connection of a peer; `false` where there are too many peers already.
    pub fn enter(&self, peer: &Peer) -> bool {
        let mut present = lock(&self.present);
        let mut connections = lock(&peer.connections);
        if *connections == 0 {
            if self.most.is_some_and(|most| *present >= most) {
                return false;
            }
            *present += 1;
        }
        *connections += 1;
        true
    }

    /// A connection that counted has ended.
    pub fn leave(&self, peer: &Peer) {
        let mut present = lock(&self.present);
        let mut connections = lock(&peer.connections);
        *connections -= 1;
        if *connections == 0 {
            *present -= 1;
        }
    }

    /// Bans one for as long as the server runs.
    pub fn ban(&self, who: Who, reason: &str) {
        lock(&self.bans).insert(who, reason.to_owned());
        self.banning.store(true, Ordering::Release);
    }

    /// Lifts the ban on whoever is shown as `who`; `false` where there is none.
    pub fn unban(&self, who: &str) -> bool {
        let mut bans = lock(&self.bans);
        let before = bans.len();
        bans.retain(|banned, _| banned.to_string() != who);
        self.banning.store(!bans.is_empty(), Ordering::Release);
        bans.len() < before
    }

    /// Why one is banned.
    pub fn banned(&self, who: &Who) -> Option<String> {
        if !self.banning.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.bans).get(who).cloned()
    }

    /// Everyone who is banned, and why.
    pub fn bans(&self) -> Vec<(String, String)> {
        let bans = lock(&self.bans);
        bans.iter()
            .map(|(who, reason)| (who.to_string(), reason.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Who {
        Who::of(None, address.parse().unwrap())
    }

    #[test]
    fn one_is_a_login_else_an_address_else_a_network() {
        assert_eq!(at("192.0.2.7").to_string(), "192.0.2.7");
        assert_eq!(at("::ffff:192.0.2.7"), at("192.0.2.7"));
        assert_ne!(at("192.0.2.7"), at("192.0.2.8"));
        assert_eq!(at("2001:db8:1:2:3::4"), at("2001:db8:1:2:ffff::1"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("2001:db8:1:2:3::4").to_string(), "2001:db8:1:2::/64");
        let ada = |address: &str| Who::of(Some("ada"), address.parse().unwrap());
        assert_eq!(ada("192.0.2.7"), ada("::1"));
        assert_eq!(ada("::1").to_string(), "ada");
    }

    #[test]
    fn peers_are_counted_not_their_connections() {
        let peers = Peers::new(Some(2), None);
        let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| peers.peer(at(address)));
        assert!(peers.enter(&a) && peers.enter(&a) && peers.enter(&b));
        assert!(!peers.enter(&c) && peers.enter(&b));
        peers.leave(&a);
        assert!(!peers.enter(&c));
        peers.leave(&a);
        assert!(peers.enter(&c) && !peers.enter(&a));
    }

    #[test]
    fn a_limit_of_ones_own_outlives_its_connections() {
        let usual = Some(Rate(1000));
        let peers = Peers::new(None, usual);
        let one = peers.peer(at("10.0.0.1"));
        assert_eq!(one.pace.rate(), usual);
        peers.limit(&one, Some(Rate(5)));
        drop(one);
        for n in 0..3000u32 {
            peers.peer(Who::of(None, Ipv4Addr::from_bits(n).into()));
        }
        assert!(lock(&peers.known).len() < 1000);
        let one = peers.peer(at("10.0.0.1"));
        assert_eq!(one.pace.rate(), Some(Rate(5)));
        peers.limit(&one, None);
        assert_eq!(one.pace.rate(), usual);
    }

    #[test]
    fn bans_are_lifted_by_the_name_they_are_shown_under() {
        let peers = Peers::default();
        peers.ban(at("2001:db8::1"), "too greedy");
        assert_eq!(
            peers.banned(&at("2001:db8::2")).as_deref(),
            Some("too greedy")
        );
        assert_eq!(peers.banned(&at("192.0.2.7")), None);
        let shown = peers.bans()[0].0.clone();
        assert!(!peers.unban("someone") && peers.unban(&shown) && !peers.unban(&shown));
        assert_eq!(peers.banned(&at("2001:db8::2")), None);
    }
}
