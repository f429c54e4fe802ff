//! Pauses between tries.

use std::time::{Duration, Instant};

/// The time of the next try after so many failures in a row: 0.5 s, doubling to 30 s, with jitter, unless the server
/// asked for another pause (at most 5 min).
pub fn backoff(failures: u32, asked: Option<Duration>) -> Duration {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);
    const LONGEST_ASKED: Duration = Duration::from_secs(300);
    if let Some(asked) = asked {
        return asked.min(LONGEST_ASKED);
    }
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST).mul_f64(0.75 + fastrand::f64() / 2.0)
}

/// Wakes at `at`, or never.
pub async fn wake_at(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
