//! How much is hashed in one turn.

use std::time::{Duration, Instant};

/// Bytes that are read and hashed at once, while they are in the processor's cache.
pub(super) const BLOCK: usize = 128 * 1024;

/// What one turn of hashing takes at most: bytes, and time where the disk or the processor is slow.
pub(super) const QUANTUM: (u64, Duration) = (4 << 20, Duration::from_millis(50));

/// A quantum of hashing, as long as it lasts.
pub(super) struct Quantum {
    left: u64,
    until: Instant,
}

impl Quantum {
    pub(super) fn begin() -> Self {
        Self {
            left: QUANTUM.0,
            until: Instant::now() + QUANTUM.1,
        }
    }

    /// Counts bytes that were hashed; returns whether it goes on.
    pub(super) fn spend(&mut self, bytes: u64) -> bool {
        self.left = self.left.saturating_sub(bytes);
        self.left > 0 && Instant::now() < self.until
    }
}
