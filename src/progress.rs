//! Progress: counters that workers add to, and the smoothing that turns samples of them into rates.
//!
//! Workers add to a [`Counter`] per chunk and never send an event for it; whoever shows progress reads the
//! counters about ten times a second and feeds a [`Meter`]. A meter knows no clock: the sample carries the time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Time constant of the shown rate: a change is two thirds visible after this long.
const RATE_TAU: Duration = Duration::from_secs(3);
/// Time constant of the rate that the time left is computed from: calmer than the shown rate.
const ETA_TAU: Duration = Duration::from_secs(15);
/// No estimate is given before a transfer has run this long.
const ETA_AFTER: Duration = Duration::from_secs(2);
/// A transfer that got no byte for this long is called stalled.
pub const STALLED_AFTER: Duration = Duration::from_secs(5);

/// A monotonic number of bytes (or files) that many tasks add to.
///
/// Additions are seen in their order: who reads a sum and then its parts finds in the parts at least what makes the sum,
/// where the parts are added to first.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Release);
    }

    /// Takes back `n` that was added before, such as a piece that turned out to be bad.
    pub fn take_back(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Release);
    }

    /// Sets the value, such as on a fresh start.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Release);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// An exponential moving average over time (not over samples: their spacing may vary).
#[derive(Debug, Clone, Copy)]
struct Ema {
    tau: f64,
    /// Weighted bytes and weighted seconds; their quotient is free of the start-up bias of a plain EMA.
    bytes: f64,
    seconds: f64,
}

impl Ema {
    const fn new(tau: Duration) -> Self {
        Self {
            tau: tau.as_millis() as f64 / 1000.0,
            bytes: 0.0,
            seconds: 0.0,
        }
    }

    fn add(&mut self, bytes: f64, seconds: f64) {
        let keep = (-seconds / self.tau).exp();
        // What one long sample weighs is what many short ones over the same time would.
        let weight = self.tau * (1.0 - keep);
        self.bytes = self.bytes * keep + bytes / seconds * weight;
        self.seconds = self.seconds * keep + weight;
    }

    fn rate(&self) -> f64 {
        if self.seconds > 0.0 {
            self.bytes / self.seconds
        } else {
            0.0
        }
    }
}

/// Turns samples of a growing total into a rate, an estimate of the time left, and the stalled state.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    shown: Ema,
    calm: Ema,
    began: Option<Instant>,
    last: Option<(Instant, u64)>,
    moved: Option<Instant>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            shown: Ema::new(RATE_TAU),
            calm: Ema::new(ETA_TAU),
            began: None,
            last: None,
            moved: None,
        }
    }
}

impl Meter {
    /// Takes the total at `now`. A total that went down (a bad piece was taken back) counts as no progress.
    pub fn sample(&mut self, now: Instant, total: u64) {
        let Some((at, before)) = self.last else {
            self.began = Some(now);
            self.moved = Some(now);
            self.last = Some((now, total));
            return;
        };
        let seconds = now.saturating_duration_since(at).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let bytes = total.saturating_sub(before);
        if bytes > 0 {
            self.end_rest(at);
            self.moved = Some(now);
        }
        self.shown.add(bytes as f64, seconds);
        self.calm.add(bytes as f64, seconds);
        self.last = Some((now, total));
    }

    /// Time in which nothing was to come says nothing of how fast it comes now: meters that were begun at different times, a
    /// client's and the whole server's, show the same rate.
    fn end_rest(&mut self, since: Instant) {
        if self.shown.bytes <= 0.0 || self.stalled().is_some() {
            self.shown = Ema::new(RATE_TAU);
            self.calm = Ema::new(ETA_TAU);
            self.began = Some(since);
        }
    }

    /// Bytes per second, smoothed.
    pub fn rate(&self) -> u64 {
        self.shown.rate().round() as u64
    }

    /// Bytes per second, smoothed for longer; `None` for the first two seconds and at no rate.
    pub fn calm_rate(&self) -> Option<f64> {
        let (now, _) = self.last?;
        if now.duration_since(self.began?) < ETA_AFTER {
            return None;
        }
        Some(self.calm.rate()).filter(|rate| *rate >= 1.0)
    }

    /// Time until `total` is reached at the calm rate; `None` where that is not known.
    pub fn eta(&self, total: u64) -> Option<Duration> {
        let (_, done) = self.last?;
        let missing = total.saturating_sub(done) as f64;
        Duration::try_from_secs_f64(missing / self.calm_rate()?).ok()
    }

    /// How long no byte has come.
    pub fn still(&self) -> Duration {
        let since = self.last.zip(self.moved);
        since.map_or(Duration::ZERO, |((now, _), moved)| {
            now.saturating_duration_since(moved)
        })
    }

    /// How long no byte has come, once that is longer than [`STALLED_AFTER`].
    pub fn stalled(&self) -> Option<Duration> {
        Some(self.still()).filter(|still| *still >= STALLED_AFTER)
    }
}

/// The percentage of one job: it never falls while its total is the same.
///
/// Bytes may be taken back, as those of a bad piece are; what was said stays until they are there again. Another total is
/// another job.
#[derive(Debug, Clone, Copy, Default)]
pub struct Percent {
    total: Option<u64>,
    said: Option<u8>,
}

impl Percent {
    /// Takes where the job is; `total` is `None` while it is not known, and then nothing is said.
    pub fn note(&mut self, done: u64, total: Option<u64>) {
        let now = percent(done, total);
        self.said = if self.total == total {
            now.max(self.said)
        } else {
            now
        };
        self.total = total;
    }

    /// What is said; never 100 before all is there.
    pub fn get(&self) -> Option<u8> {
        self.said
    }
}

/// `done` of `total` in percent, rounded down and never 100 before all is there; `None` when there is no total.
pub fn percent(done: u64, total: Option<u64>) -> Option<u8> {
    let total = total?;
    if total == 0 {
        return Some(100);
    }
    Some((u128::from(done.min(total)) * 100 / u128::from(total)) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        meter: &mut Meter,
        start: Instant,
        seconds: std::ops::Range<u32>,
        per_second: u64,
        from: u64,
    ) {
        for tenth in seconds.start * 10..=seconds.end * 10 {
            let since = u64::from(tenth - seconds.start * 10);
            meter.sample(
                start + Duration::from_millis(u64::from(tenth) * 100),
                from + since * per_second / 10,
            );
        }
    }

    #[test]
    fn a_steady_rate_is_shown_from_the_first_second() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        run(&mut meter, start, 0..1, 1000, 0);
        assert!(meter.rate().abs_diff(1000) < 10, "{}", meter.rate());
        assert_eq!(
            meter.eta(100_000),
            None,
            "no estimate in the first two seconds"
        );
    }

    #[test]
    fn the_estimate_follows_the_rate() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        run(&mut meter, start, 0..10, 1000, 0);
        let left = meter.eta(20_000).unwrap().as_secs_f64();
        assert!((left - 10.0).abs() < 0.2, "{left}");
    }

    #[test]
    fn a_stall_is_told_after_five_seconds_and_lowers_the_rate() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        run(&mut meter, start, 0..5, 1000, 0);
        run(&mut meter, start, 5..9, 0, 5000);
        assert_eq!(meter.stalled(), None);
        run(&mut meter, start, 9..11, 0, 5000);
        assert!(meter.stalled().is_some());
        assert!(meter.rate() < 300, "{}", meter.rate());
    }

    #[test]
    fn time_at_rest_lowers_no_rate() {
        let start = Instant::now();
        let [mut idle, mut new] = [Meter::default(); 2];
        run(&mut idle, start, 0..60, 0, 0);
        for meter in [&mut idle, &mut new] {
            run(meter, start, 60..61, 1000, 0);
        }
        assert_eq!((idle.rate(), idle.eta(9000)), (new.rate(), None));
        // Again after a stall; a shorter gap is a part of what is measured.
        run(&mut idle, start, 61..67, 0, 1000);
        run(&mut idle, start, 67..68, 1000, 1000);
        assert_eq!((idle.rate(), idle.eta(9000)), (new.rate(), None));
        run(&mut idle, start, 68..72, 0, 2000);
        run(&mut idle, start, 72..73, 1000, 2000);
        assert!(idle.rate() < 600, "{}", idle.rate());
    }

    #[test]
    fn a_long_pause_weighs_no_more_than_what_came_since() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        run(&mut meter, start, 0..5, 1000, 0);
        // A process that was suspended for an hour samples once for all of it.
        run(&mut meter, start, 3600..3605, 1000, 5000);
        assert!(meter.rate() > 800, "{}", meter.rate());
    }

    #[test]
    fn bytes_taken_back_are_no_negative_rate() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        run(&mut meter, start, 0..2, 1000, 0);
        meter.sample(start + Duration::from_secs(3), 500);
        assert!(meter.rate() < 1000);
    }

    #[test]
    fn a_percentage_never_falls_while_the_job_is_the_same() {
        let mut percent = Percent::default();
        let mut said = |done, total| {
            percent.note(done, total);
            percent.get()
        };
        assert_eq!(said(50, None), None);
        assert_eq!(said(50, Some(100)), Some(50));
        assert_eq!(said(40, Some(100)), Some(50), "a bad piece was taken back");
        assert_eq!(said(60, Some(100)), Some(60));
        assert_eq!(said(60, Some(200)), Some(30), "more was added");
        assert_eq!(said(60, None), None);
    }

    #[test]
    fn a_percentage_never_lies() {
        assert_eq!(percent(0, None), None);
        assert_eq!(percent(0, Some(0)), Some(100));
        assert_eq!(percent(999_999, Some(1_000_000)), Some(99));
        assert_eq!(percent(2, Some(1)), Some(100));
        assert_eq!(percent(u64::MAX - 1, Some(u64::MAX)), Some(99));
    }
}
