//! Limits on rates: a token bucket, and the waiting that goes with it.
//!
//! [`Bucket`] is plain arithmetic. [`Pace`] lets any number of connections share one: they take turns in the order in
//! which they ask, so that none gets more than another, and only the first in line looks at the clock. [`share`] nests
//! two of them: one client's own limit within the limit of all.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::units::Rate;

/// Portions a second, for smooth progress. All who wait get one in this part of a second, while portions stay large
/// enough to be worth a system call.
const PORTIONS: u64 = 20;
/// The smallest portion, in bytes.
const LEAST: u64 = 1024;
/// The largest, in bytes.
const MOST: u64 = 1 << 20;
/// What an unused limit saves up at most, as a part of a second: enough to make up for timers that fire late.
const SAVED: u64 = 10;

/// A token bucket: bytes drip in at the rate and are taken out in portions.
#[derive(Debug)]
pub struct Bucket {
    rate: Rate,
    /// Bytes that may go now.
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// An empty bucket.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            tokens: 0.0,
            filled: now,
        }
    }

    /// Another rate from now on; what was saved up beyond its measure is lost.
    pub fn set(&mut self, rate: Rate, now: Instant) {
        self.fill(now);
        self.rate = rate;
        self.tokens = self.tokens.min(self.depth());
    }

    /// The bytes of one portion where `sharers` wait for theirs.
    pub fn portion(&self, sharers: usize) -> u64 {
        let even = self.rate.0 / PORTIONS / sharers.max(1) as u64;
        even.clamp(LEAST, MOST)
    }

    /// Takes a portion, or says how long it takes until it is there.
    pub fn take(&mut self, bytes: u64, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        let missing = bytes as f64 - self.tokens;
        if missing <= 0.0 {
            self.tokens -= bytes as f64;
            return Ok(());
        }
        Err(Duration::from_secs_f64(missing / self.rate.0 as f64))
    }

    /// Puts bytes back that were taken and not used.
    pub fn put_back(&mut self, bytes: u64) {
        self.tokens = (self.tokens + bytes as f64).min(self.depth());
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate.0 as f64).min(self.depth());
        self.filled = now;
    }

    /// Never less than a portion, or that portion would never be there.
    fn depth(&self) -> f64 {
        (self.rate.0 / SAVED).max(self.portion(1)) as f64
    }
}

/// A limit that connections share, or none. Without one, taking costs an atomic load.
#[derive(Debug, Default)]
pub struct Pace {
    on: AtomicBool,
    bucket: Mutex<Option<Bucket>>,
    /// Its queue is fair: first come, first served.
    turn: tokio::sync::Mutex<()>,
    sharers: AtomicUsize,
    changed: Notify,
}

impl Pace {
    /// A limit, or none.
    pub fn new(rate: Option<Rate>) -> Self {
        let pace = Self::default();
        pace.limit(rate);
        pace
    }

    /// Sets or lifts the limit; who waits goes on under the new one at once.
    pub fn limit(&self, rate: Option<Rate>) {
        let now = Instant::now();
        let mut bucket = self.bucket();
        match (&mut *bucket, rate) {
            (Some(bucket), Some(rate)) => bucket.set(rate, now),
            (bucket, rate) => *bucket = rate.map(|rate| Bucket::new(rate, now)),
        }
        drop(bucket);
        self.on.store(rate.is_some(), Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// The limit.
    pub fn rate(&self) -> Option<Rate> {
        self.bucket().as_ref().map(|bucket| bucket.rate)
    }

    /// Whether there is a limit.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Waits for its turn and until some bytes may go: how many, at most `most`. Without a limit all may, at once.
    pub async fn take(&self, most: u64) -> u64 {
        if !self.is_on() {
            return most;
        }
        let _sharer = self.join();
        let _turn = self.turn.lock().await;
        self.wait(most, true).await
    }

    /// Puts bytes back that were taken and not used.
    pub fn put_back(&self, bytes: u64) {
        if self.is_on()
            && let Some(bucket) = &mut *self.bucket()
        {
            bucket.put_back(bytes);
        }
    }

    /// Waits until a portion is there; for whoever has the turn. It is `divided` among all who wait.
    async fn wait(&self, most: u64, divided: bool) -> u64 {
        loop {
            let changed = self.changed.notified();
            let wait = match &mut *self.bucket() {
                None => return most,
                Some(bucket) => {
                    let sharers = if divided {
                        self.sharers.load(Ordering::Relaxed)
                    } else {
                        1
                    };
                    let bytes = bucket.portion(sharers).min(most);
                    match bucket.take(bytes, Instant::now()) {
                        Ok(()) => return bytes,
                        Err(wait) => wait,
                    }
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed => {}
            }
        }
    }

    fn join(&self) -> Sharer<'_> {
        self.sharers.fetch_add(1, Ordering::Relaxed);
        Sharer(self)
    }

    fn bucket(&self) -> MutexGuard<'_, Option<Bucket>> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that were taken of a limit and not used yet.
#[derive(Debug)]
struct Grant<'p> {
    pace: &'p Pace,
    bytes: u64,
}

impl Grant<'_> {
    /// So many of them were used.
    fn used(mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Drop for Grant<'_> {
    fn drop(&mut self) {
        self.pace.put_back(self.bytes);
    }
}

/// Takes from a limit of one's `own` and from that of `all`: how many bytes may go, at most `most`.
///
/// Only one connection of each `own` stands in the line of all at a time: who opens more connections does not get more.
pub async fn share(own: &Pace, all: &Pace, most: u64) -> u64 {
    if !all.is_on() {
        return own.take(most).await;
    }
    let _turn = own.turn.lock().await;
    let granted = own.wait(most, false).await;
    let bytes = all.take(granted).await;
    own.put_back(granted - bytes);
    bytes
}

/// [`share`] for what may turn out to be less: what is not used goes back. `own` may be none.
pub async fn share_grant<'p>(own: Option<&'p Pace>, all: &'p Pace, most: u64) -> Shared<'p> {
    let own = own.filter(|own| own.is_on());
    let bytes = match own {
        Some(own) => share(own, all, most).await,
        None => all.take(most).await,
    };
    Shared {
        own: own.map(|pace| Grant { pace, bytes }),
        all: Grant { pace: all, bytes },
    }
}

/// Bytes that were taken from both limits and not used yet.
#[derive(Debug)]
pub struct Shared<'p> {
    own: Option<Grant<'p>>,
    all: Grant<'p>,
}

impl Shared<'_> {
    /// How many there are.
    pub fn bytes(&self) -> u64 {
        self.all.bytes
    }

    /// So many of them were used.
    pub fn used(self, bytes: u64) {
        if let Some(own) = self.own {
            own.used(bytes);
        }
        self.all.used(bytes);
    }
}

/// Counts one that waits.
struct Sharer<'p>(&'p Pace);

impl Drop for Sharer<'_> {
    fn drop(&mut self) {
        self.0.sharers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_is_taken_is_what_dripped_in() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate(MIB), start);
        let (mut now, mut taken) = (start, 0);
        while now < start + Duration::from_secs(10) {
            let portion = bucket.portion(3);
            match bucket.take(portion, now) {
                Ok(()) => taken += portion,
                Err(wait) => now += wait + Duration::from_nanos(1),
            }
        }
        assert!((9 * MIB..=10 * MIB + MIB / 10).contains(&taken), "{taken}");
        // An hour without use saves up no hour's bytes.
        now += Duration::from_secs(3600);
        let mut burst = 0;
        while bucket.take(1024, now).is_ok() {
            burst += 1024;
        }
        assert!(burst <= MIB / 10, "{burst}");
    }

    #[test]
    fn a_byte_that_was_taken_is_missing() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate(MIB), start);
        let later = start + Duration::from_secs(10);
        let full = MIB / SAVED;
        assert_eq!(bucket.take(1, later), Ok(()));
        assert!(bucket.take(full, later).is_err());
        bucket.put_back(1);
        assert_eq!(bucket.take(full, later), Ok(()));
    }

    #[test]
    fn portions_are_small_and_there_in_time() {
        let now = Instant::now();
        for rate in [1, 100, 20_000, MIB, 1 << 30, u64::MAX / 4] {
            let mut bucket = Bucket::new(Rate(rate), now);
            for sharers in [0, 1, 7, 10_000] {
                let portion = bucket.portion(sharers);
                assert!((LEAST..=MOST).contains(&portion));
                assert!(portion <= LEAST.max(rate / PORTIONS));
                let wait = bucket.take(portion, now).unwrap_err();
                let later = now + wait + Duration::from_micros(1);
                assert_eq!(bucket.take(portion, later), Ok(()), "{rate} {sharers}");
                bucket = Bucket::new(Rate(rate), now);
            }
        }
    }

    #[test]
    fn a_change_counts_at_once_and_nothing_is_lost_by_putting_back() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Rate(1024), now);
        let slow = bucket.take(1024, now).unwrap_err();
        bucket.set(Rate(MIB), now);
        let fast = bucket.take(1024, now).unwrap_err();
        assert!(slow > fast * 1000, "{slow:?} {fast:?}");
        bucket.put_back(1024);
        assert_eq!(bucket.take(1024, now), Ok(()));
        bucket.put_back(u64::MAX);
        bucket.set(Rate(1), now);
        assert!(bucket.take(LEAST + 1, now).is_err());
    }

    /// Takes for as long as told on the paused clock of the runtime; the bytes that came.
    async fn taker(own: &Pace, all: &Pace, seconds: u64) -> u64 {
        let mut taken = 0;
        let work = async {
            loop {
                taken += share(own, all, MIB).await;
                // What a socket does between two portions.
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(seconds), work).await;
        taken
    }

    #[tokio::test]
    async fn what_was_granted_and_is_not_used_goes_back_to_both() {
        let (own, all) = (Pace::new(Some(Rate(MIB))), Pace::new(Some(Rate(MIB))));
        assert!(own.is_on() && !Pace::default().is_on());
        assert_eq!(own.rate(), Some(Rate(MIB)));
        // They change with a take alone, not with the time.
        let there = || [&own, &all].map(|pace| pace.bucket().as_ref().unwrap().tokens);
        for used in [None, Some(0), Some(10), Some(1000)] {
            let grant = share_grant(Some(&own), &all, 1000).await;
            let (before, bytes) = (there(), grant.bytes());
            match used {
                Some(used) => grant.used(used),
                None => drop(grant),
            }
            let back = bytes.saturating_sub(used.unwrap_or(0)) as f64;
            let wanted = before.map(|tokens| (tokens + back).to_bits());
            assert_eq!(there().map(f64::to_bits), wanted, "{used:?}");
        }
    }

    #[tokio::test]
    async fn what_the_limit_of_all_does_not_give_is_not_taken_of_ones_own() {
        let (own, all) = (Pace::new(Some(Rate(MIB))), Pace::new(Some(Rate(MIB / 8))));
        let portion = own.bucket().as_ref().unwrap().portion(1);
        let bytes = share(&own, &all, MIB).await;
        assert!(bytes < portion, "{bytes}");
        let left = own.bucket().as_ref().unwrap().tokens;
        assert!(left >= (portion - bytes) as f64, "{left}");
        // A limit that lets a byte a second go, with a portion saved up: what is given stays taken.
        let own = Pace::new(Some(Rate(1)));
        own.put_back(LEAST);
        assert_eq!(share(&own, &all, MIB).await, LEAST);
        let left = own.bucket().as_ref().unwrap().tokens;
        assert!(left < LEAST as f64 / 2.0, "{left}");
    }

    #[tokio::test]
    async fn who_waits_no_more_shares_no_more() {
        let pace = Pace::new(Some(Rate(MIB)));
        assert!(pace.take(MIB).await < MIB);
        assert_eq!(pace.sharers.load(Ordering::Relaxed), 0);
        let pace = Pace::new(Some(Rate(1)));
        assert_eq!(pace.take(MIB).now_or_never(), None);
        assert_eq!(pace.sharers.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn who_opens_more_connections_gets_no_more() {
        let all = Pace::new(Some(Rate(4 * MIB)));
        let (one, many) = (Pace::default(), Pace::default());
        let (a, b, c, d) = tokio::join!(
            taker(&one, &all, 1),
            taker(&many, &all, 1),
            taker(&many, &all, 1),
            taker(&many, &all, 1),
        );
        let many = b + c + d;
        assert!(a + many <= 4 * MIB + MIB, "{a} {many}");
        assert!(a * 3 > many * 2 && many * 3 > a * 2, "{a} {many}");
    }

    #[tokio::test]
    async fn a_limit_of_ones_own_holds_within_that_of_all() {
        let all = Pace::new(Some(Rate(4 * MIB)));
        let (own, free) = (Pace::new(Some(Rate(MIB / 4))), Pace::default());
        let (slow, fast) = tokio::join!(taker(&own, &all, 1), taker(&free, &all, 1));
        assert!(slow <= MIB / 2, "{slow}");
        assert!(fast > slow, "{fast} {slow}");
    }

    #[tokio::test]
    async fn lifting_a_limit_wakes_who_waits() {
        let pace = Pace::new(Some(Rate(1)));
        let (taken, ()) = tokio::join!(pace.take(MIB), async {
            tokio::task::yield_now().await;
            pace.limit(None);
        });
        assert_eq!(taken, MIB);
        assert_eq!((pace.rate(), pace.take(u64::MAX).await), (None, u64::MAX));
    }
}
