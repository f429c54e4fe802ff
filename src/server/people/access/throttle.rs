//! How often an address may try a login that is not known to be right.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Mutex,
    time::Duration,
};

use tokio::time::Instant;

use crate::sync::lock;

/// Tries that an address has at once.
const BURST: u32 = 8;
/// Another try comes back after this long.
const REFILL: Duration = Duration::from_secs(5);
/// A try waits this long at most for its turn; beyond it is told when to come back.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Addresses that are kept in mind. Where more try at once, those that tried least are forgiven.
const ADDRESSES: usize = 4096;

/// The addresses that tried lately.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<IpAddr, Tries>>);

/// What an address tried.
#[derive(Debug)]
struct Tries {
    /// When all its tries will have come back.
    full_at: Instant,
    /// The last login that it tried, and whether that is known to be wrong. To try it again is no guess: the connections
    /// of a client whose password was changed all do.
    last: Option<(blake3::Hash, bool)>,
}

/// What is to be done about a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is to be verified, after so long.
    Try {
        /// The pause before that.
        wait: Duration,
        /// Whether it took one of the tries.
        counts: bool,
    },
    /// It was found to be wrong before.
    Wrong,
}

/// What one person holds of addresses: an IPv4 address, or the /64 of an IPv6 one.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Throttle {
    /// Takes a try of the login that `mark` stands for: what to do about it, or after how long to come back.
    pub fn take(
        &self,
        network: IpAddr,
        mark: blake3::Hash,
        now: Instant,
    ) -> Result<Turn, Duration> {
        let mut addresses = lock(&self.0);
        make_room(&mut addresses, now);
        let tries = addresses.entry(network).or_insert(Tries {
            full_at: now,
            last: None,
        });
        match tries.last {
            Some((last, true)) if last == mark => return Ok(Turn::Wrong),
            Some((last, false)) if last == mark => {
                return Ok(Turn::Try {
                    wait: Duration::ZERO,
                    counts: false,
                });
            }
            _ => {}
        }
        let taken = tries.full_at.max(now) + REFILL;
        let wait = (taken - now).saturating_sub(REFILL * BURST);
        if wait > LONGEST_WAIT {
            return Err(wait);
        }
        tries.full_at = taken;
        tries.last = Some((mark, false));
        Ok(Turn::Try { wait, counts: true })
    }

    /// A login was found to be wrong.
    pub fn was_wrong(&self, network: IpAddr, mark: blake3::Hash) {
        if let Some(tries) = lock(&self.0).get_mut(&network)
            && let Some((last, wrong)) = &mut tries.last
        {
            *wrong |= *last == mark;
        }
    }

    /// Whether it is known that a login is wrong.
    pub fn is_wrong(&self, network: IpAddr, mark: blake3::Hash) -> bool {
        let addresses = lock(&self.0);
        let tries = addresses.get(&network);
        tries.is_some_and(|tries| tries.last == Some((mark, true)))
    }

    /// Gives back a try that was right.
    pub fn give_back(&self, network: IpAddr, now: Instant) {
        let mut addresses = lock(&self.0);
        if let Some(tries) = addresses.get_mut(&network) {
            match tries.full_at.checked_sub(REFILL).filter(|at| *at > now) {
                Some(earlier) => tries.full_at = earlier,
                None => {
                    addresses.remove(&network);
                }
            }
        }
    }
}

fn make_room(addresses: &mut HashMap<IpAddr, Tries>, now: Instant) {
    if addresses.len() < ADDRESSES {
        return;
    }
    addresses.retain(|_, tries| tries.full_at > now);
    if addresses.len() >= ADDRESSES {
        let mut times: Vec<Instant> = addresses.values().map(|tries| tries.full_at).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        addresses.retain(|_, tries| tries.full_at > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Another guess each time.
    fn guess(n: u32) -> blake3::Hash {
        blake3::hash(&n.to_be_bytes())
    }

    const fn after(wait: Duration) -> Turn {
        Turn::Try { wait, counts: true }
    }

    #[test]
    fn guesses_become_slow_and_then_are_turned_away() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let mut guesses = (0..).map(guess);
        let mut takes = || throttle.take(ip("192.0.2.1"), guesses.next().unwrap(), now);
        for _ in 0..BURST {
            assert_eq!(takes(), Ok(after(Duration::ZERO)));
        }
        assert_eq!(takes(), Ok(after(REFILL)));
        assert_eq!(takes(), Ok(after(REFILL * 2)));
        assert_eq!(takes(), Err(REFILL * 3));
        assert_eq!(takes(), Err(REFILL * 3), "being turned away costs nothing");
        let other = throttle.take(ip("192.0.2.2"), guess(0), now);
        assert_eq!(other, Ok(after(Duration::ZERO)));
        let later = now + REFILL * 2;
        let again = throttle.take(ip("192.0.2.1"), guess(99), later);
        assert_eq!(again, Ok(after(REFILL)));
    }

    #[test]
    fn the_same_login_again_is_no_guess() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let take = |n| throttle.take(ip("192.0.2.1"), guess(n), now);
        assert_eq!(take(1), Ok(after(Duration::ZERO)));
        let free = Ok(Turn::Try {
            wait: Duration::ZERO,
            counts: false,
        });
        for _ in 0..100 {
            assert_eq!(take(1), free);
        }
        throttle.was_wrong(ip("192.0.2.1"), guess(1));
        assert!(throttle.is_wrong(ip("192.0.2.1"), guess(1)));
        assert_eq!(take(1), Ok(Turn::Wrong));
        assert_eq!(take(2), Ok(after(Duration::ZERO)));
        assert!(
            !throttle.is_wrong(ip("192.0.2.1"), guess(1)),
            "one is kept in mind"
        );
        assert!(!throttle.is_wrong(ip("192.0.2.2"), guess(2)));
    }

    #[test]
    fn a_right_login_costs_no_try() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..100 {
            let turn = throttle.take(ip("::1"), guess(0), now);
            assert_eq!(turn, Ok(after(Duration::ZERO)));
            throttle.give_back(ip("::1"), now);
        }
        assert!(lock(&throttle.0).is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        assert_eq!(
            network(ip("2001:db8::1")),
            network(ip("2001:db8::ffff:1:2:3"))
        );
        assert_ne!(network(ip("2001:db8::1")), network(ip("2001:db8:0:1::1")));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..3 * ADDRESSES as u32 {
            let address = IpAddr::from((n + (1 << 24)).to_be_bytes());
            assert!(throttle.take(address, guess(n), now).is_ok());
        }
        assert!(lock(&throttle.0).len() <= ADDRESSES);
    }
}
