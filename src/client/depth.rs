//! How many requests a server bears ahead of its answers.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests in flight on one connection at most. 64 hide a round trip of 20 ms at 3,000 files a second.
pub const DEPTH_MAX: usize = 64;

/// Requests in flight while it is not known whether the server answers what is sent ahead.
const TRIAL: usize = 2;

/// How deep requests for small files are pipelined: one at a time until the server has kept a connection open, then
/// two, and once it has answered both, as many as it bears. What it once broke under is never tried again.
///
/// The two matter: a server that throws away what it read ahead, and then answers what comes later, would give one
/// file's bytes for another's. Of two requests in one packet it never answers the second.
#[derive(Debug)]
pub struct Depth {
    now: AtomicUsize,
    max: AtomicUsize,
}

impl Default for Depth {
    fn default() -> Self {
        Self {
            now: AtomicUsize::new(1),
            max: AtomicUsize::new(DEPTH_MAX),
        }
    }
}

impl Depth {
    /// Requests that may be in flight on one connection.
    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Whether the answers to what is in flight must be waited for before more is sent.
    pub fn is_trial(&self) -> bool {
        self.now() == TRIAL
    }

    /// The server kept a connection open behind an answer.
    pub fn kept_open(&self) {
        if self.now() == 1 {
            let max = self.max.load(Ordering::Relaxed);
            self.now.store(max.min(TRIAL), Ordering::Relaxed);
        }
    }

    /// The server is known to answer what is sent ahead.
    pub fn proven(&self) {
        let max = self.max.load(Ordering::Relaxed);
        self.now.store(max, Ordering::Relaxed);
    }

    /// A connection broke with requests sent ahead, after so many answers.
    pub fn lower(&self, answered: usize) {
        let fewer = answered.min(self.now() / 2).max(1);
        self.max.fetch_min(fewer, Ordering::Relaxed);
        self.now.fetch_min(fewer, Ordering::Relaxed);
    }
}
