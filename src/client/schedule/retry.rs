//! Pauses between tries.

use std::time::Duration;

/// The pause after so many failures in a row: 0.5 s, doubling to 30 s, with jitter.
pub fn backoff(failures: u32, rng: &mut fastrand::Rng) -> Duration {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST).mul_f64(0.75 + rng.f64() / 2.0)
}
