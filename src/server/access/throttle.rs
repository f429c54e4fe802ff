//! How often an address may try a login that is not known to be right.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Mutex,
    time::Duration,
};

use tokio::time::Instant;

use crate::server::clients::lock;

/// Tries that an address has at once.
const BURST: u32 = 8;
/// Another try comes back after this long.
const REFILL: Duration = Duration::from_secs(5);
/// A try waits this long at most for its turn; beyond it is told when to come back.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Addresses that are kept in mind. Where more try at once, those that tried least are forgiven.
const ADDRESSES: usize = 4096;

/// The addresses that tried lately: for each, when all its tries will have come back.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<IpAddr, Instant>>);

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
    /// Takes a try: how long it has to wait for its turn, or after how long to come back.
    pub fn take(&self, network: IpAddr, now: Instant) -> Result<Duration, Duration> {
        let mut addresses = lock(&self.0);
        make_room(&mut addresses, now);
        let full_at = addresses.entry(network).or_insert(now);
        let taken = (*full_at).max(now) + REFILL;
        let wait = (taken - now).saturating_sub(REFILL * BURST);
        if wait > LONGEST_WAIT {
            return Err(wait);
        }
        *full_at = taken;
        Ok(wait)
    }

    /// Gives back a try that was right.
    pub fn give_back(&self, network: IpAddr, now: Instant) {
        let mut addresses = lock(&self.0);
        if let Some(full_at) = addresses.get_mut(&network) {
            match full_at.checked_sub(REFILL).filter(|at| *at > now) {
                Some(earlier) => *full_at = earlier,
                None => {
                    addresses.remove(&network);
                }
            }
        }
    }
}

fn make_room(addresses: &mut HashMap<IpAddr, Instant>, now: Instant) {
    if addresses.len() < ADDRESSES {
        return;
    }
    addresses.retain(|_, full_at| *full_at > now);
    if addresses.len() >= ADDRESSES {
        let mut times: Vec<Instant> = addresses.values().copied().collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        addresses.retain(|_, full_at| *full_at > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn guesses_become_slow_and_then_are_turned_away() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let takes = || throttle.take(ip("192.0.2.1"), now);
        for _ in 0..BURST {
            assert_eq!(takes(), Ok(Duration::ZERO));
        }
        assert_eq!(takes(), Ok(REFILL));
        assert_eq!(takes(), Ok(REFILL * 2));
        assert_eq!(takes(), Err(REFILL * 3));
        assert_eq!(takes(), Err(REFILL * 3), "being turned away costs nothing");
        assert_eq!(throttle.take(ip("192.0.2.2"), now), Ok(Duration::ZERO));
        let later = now + REFILL * 2;
        assert_eq!(throttle.take(ip("192.0.2.1"), later), Ok(REFILL));
    }

    #[test]
    fn a_right_login_costs_no_try() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(throttle.take(ip("::1"), now), Ok(Duration::ZERO));
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
            assert!(throttle.take(address, now).is_ok());
        }
        assert!(lock(&throttle.0).len() <= ADDRESSES);
    }
}
