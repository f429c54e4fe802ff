//! What a client was refused, and how much of it the log tells.

use std::time::{Duration, Instant};

/// Refused requests of a client that the log warns of within a second.
const WARNINGS: u32 = 10;

/// What a client was refused.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// The last, and when.
    pub(super) last: Option<(String, Instant)>,
    /// When the second began in which refusals are counted, and how many were told in it.
    told: Option<(Instant, u32)>,
    /// How many were not.
    untold: u64,
}

impl Refused {
    /// Whether one more is worth a warning, and how many were not since the last one that was.
    pub(super) fn warns(&mut self, now: Instant) -> Option<u64> {
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
