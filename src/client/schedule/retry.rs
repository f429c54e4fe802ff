//! Pauses between tries.

use std::time::Duration;

/// The pause after so many failures in a row: 0.5 s, doubling to 30 s, with jitter.
pub fn backoff(failures: u32, rng: &mut fastrand::Rng) -> Duration {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST).mul_f64(0.75 + rng.f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_half_a_minute_and_differ() {
        let mut rng = fastrand::Rng::with_seed(1);
        for (failures, seconds) in [
            (0, 0.5),
            (1, 0.5),
            (2, 1.0),
            (3, 2.0),
            (6, 16.0),
            (7, 30.0),
            (u32::MAX, 30.0),
        ] {
            let parts = || backoff(failures, &mut rng).as_secs_f64() / seconds;
            let parts: Vec<f64> = std::iter::repeat_with(parts).take(100).collect();
            let (least, most) = (
                parts.iter().copied().fold(f64::MAX, f64::min),
                parts.iter().copied().fold(0.0, f64::max),
            );
            assert!((0.749..0.8).contains(&least), "{failures}: {least}");
            assert!((1.2..1.251).contains(&most), "{failures}: {most}");
        }
    }
}
