//! Readers that are too slow: they would hold a connection, a file and a buffer for as long as they like.

use std::time::Duration;

use crate::server::settings::MinRate;
use crate::units::Rate;

/// What a socket takes at once, in bytes, however slowly its other end reads.
const GULP: f64 = 256.0 * 1024.0;

/// Credit of a reader: it grows with what the reader takes, and shrinks while it lets us wait. Only waiting for the reader
/// counts, so that whoever is limited or paused here loses nothing.
#[derive(Debug)]
pub struct Floor {
    min: Option<MinRate>,
    /// Bytes that the reader may still owe.
    credit: f64,
}

impl Floor {
    /// A reader with full credit.
    pub fn new(min: Option<MinRate>) -> Self {
        Self {
            min,
            credit: min.map_or(0.0, most),
        }
    }

    /// The reader took some bytes.
    pub fn sent(&mut self, bytes: u64) {
        if let Some(min) = self.min {
            self.credit = (self.credit + bytes as f64).min(most(min));
        }
    }

    /// Time after which the credit is used up if nothing is taken.
    pub fn left(&self) -> Duration {
        let Some(min) = self.min else {
            return Duration::MAX;
        };
        let seconds = self.credit.max(0.0) / min.rate.0 as f64;
        // A millisecond more, so that a timer of this length finds it used up.
        Duration::try_from_secs_f64(seconds + 0.001).unwrap_or(Duration::MAX)
    }

    /// The reader was waited for; the rate that it fell short of once its credit is used up.
    pub fn waited(&mut self, time: Duration) -> Result<(), Rate> {
        let Some(min) = self.min else {
            return Ok(());
        };
        self.credit -= time.as_secs_f64() * min.rate.0 as f64;
        if self.credit < 0.0 {
            return Err(min.rate);
        }
        Ok(())
    }
}

/// The credit of a reader that was never too slow.
fn most(min: MinRate) -> f64 {
    (min.rate.0 as f64 * min.over.as_secs_f64()).max(GULP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: MinRate = MinRate {
        rate: Rate(100_000),
        over: Duration::from_secs(60),
    };

    #[test]
    fn who_takes_nothing_is_too_slow_after_the_time() {
        let mut floor = Floor::new(Some(MIN));
        assert_eq!(floor.waited(Duration::from_secs(59)), Ok(()));
        assert!(floor.left() <= Duration::from_millis(1002));
        assert_eq!(floor.waited(floor.left()), Err(MIN.rate));
        let mut any = Floor::new(None);
        assert_eq!(any.waited(Duration::from_secs(86400)), Ok(()));
        assert_eq!(any.left(), Duration::MAX);
    }

    #[test]
    fn who_keeps_the_rate_in_gulps_is_never_too_slow() {
        let mut floor = Floor::new(Some(MIN));
        for _ in 0..1000 {
            assert_eq!(floor.waited(Duration::from_millis(2500)), Ok(()));
            floor.sent(250_000);
        }
        // What was taken long ago does not count for ever.
        floor.sent(u64::MAX);
        let half = |floor: &mut Floor| {
            floor.sent(50_000);
            floor.waited(Duration::from_secs(1)).is_ok()
        };
        let seconds = (0..1000).take_while(|_| half(&mut floor)).count();
        assert!((110..130).contains(&seconds), "{seconds}");
    }
}
