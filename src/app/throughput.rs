//! The rate over time: a meter for the figures, and a history of half-second samples for the graph.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::progress::Meter;

/// One column of the graph's dots.
pub const STEP: Duration = Duration::from_millis(500);
/// Samples that are kept: enough for the widest graph, ten minutes.
const KEPT: usize = 1200;

/// The whole engine's rate, now and before.
#[derive(Debug, Default)]
pub struct Throughput {
    meter: Meter,
    history: VecDeque<u64>,
    /// Time and total at the last full step.
    step: Option<(Instant, u64)>,
    total: u64,
    flowing: Duration,
    /// Bytes that came in that time.
    flowed: u64,
    peak: u64,
    shown: u64,
}

impl Throughput {
    /// Takes the engine's total of bytes at `now`.
    pub fn sample(&mut self, now: Instant, total: u64) {
        self.meter.sample(now, total);
        self.total = total;
        let (at, before) = *self.step.get_or_insert((now, total));
        let elapsed = now.saturating_duration_since(at).as_secs_f64();
        // Ticks are no clockwork: one that comes a little early counts.
        let steps = (elapsed / STEP.as_secs_f64() + 0.1) as u32;
        if steps == 0 {
            return;
        }
        let bytes = total.saturating_sub(before);
        let rate = (bytes as f64 / elapsed) as u64;
        // After a pause (a suspended process) the missing columns are filled, at most all of them.
        for _ in 0..steps.min(KEPT as u32) {
            self.history.push_back(rate);
        }
        while self.history.len() > KEPT {
            self.history.pop_front();
        }
        self.step = Some((now, total));
        if bytes > 0 {
            self.flowing += now.saturating_duration_since(at);
            self.flowed += bytes;
        }
        self.peak = self.peak.max(rate);
    }

    /// Starts afresh, for another server.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Renews the figures that are shown; called twice a second.
    pub fn refresh(&mut self) {
        let rate = self.meter.rate();
        // An average never reaches zero by itself.
        self.shown = if self.meter.stalled().is_some() {
            0
        } else {
            rate
        };
        self.peak = self.peak.max(self.shown);
    }

    /// Bytes per second now.
    pub fn now(&self) -> u64 {
        self.shown
    }

    /// The highest rate so far; never below the average, nor below what is shown as now.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// The average rate over the time in which bytes flowed.
    pub fn average(&self) -> u64 {
        let seconds = self.flowing.as_secs_f64();
        if seconds > 0.0 {
            // Of whole steps only, as the peak is: rounding makes it no larger.
            ((self.flowed as f64 / seconds) as u64).min(self.peak)
        } else {
            0
        }
    }

    /// Bytes since the start.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The last `count` samples, oldest first, padded with zeros on the left.
    pub fn last(&self, count: usize) -> Vec<u64> {
        let skip = self.history.len().saturating_sub(count);
        let have = self.history.len() - skip;
        let mut samples = vec![0; count - have];
        samples.extend(self.history.iter().skip(skip));
        samples
    }
}

/// A transfer's or client's figures: sampled at every tick, shown at half a second's pace.
#[derive(Debug, Clone, Default)]
pub struct Gauge {
    meter: Meter,
    /// Bytes per second.
    pub rate: u64,
    /// Time left.
    pub left: Option<Duration>,
    /// How long no byte has come, once that is a stall.
    pub stalled: Option<Duration>,
}

impl Gauge {
    /// Takes a total; `end` is the total at which it is done. `refresh` renews what is shown.
    pub fn sample(&mut self, now: Instant, total: u64, end: Option<u64>, refresh: bool) {
        self.meter.sample(now, total);
        if refresh {
            self.rate = self.meter.rate();
            self.left = end.and_then(|end| self.meter.eta(end));
            self.stalled = self.meter.stalled();
            if self.stalled.is_some() {
                // Nothing comes: there is no time after which all of it has.
                (self.rate, self.left) = (0, None);
            }
        }
    }

    /// Bytes per second for estimates; `None` while there are none.
    pub fn calm_rate(&self) -> Option<f64> {
        self.meter.calm_rate().filter(|_| self.stalled.is_none())
    }

    /// Whether bytes came within so long.
    pub fn flows(&self, within: Duration) -> bool {
        self.meter.rate() > 0 && self.still() < within
    }

    /// How long no byte has come.
    pub fn still(&self) -> Duration {
        self.meter.still()
    }
}
