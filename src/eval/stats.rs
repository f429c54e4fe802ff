//! From raw values to figures; pure.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Significant decimal digits that percentiles are exact to.
const DIGITS: u8 = 3;

/// How values are spread. The unit is the values' own.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Distribution {
    /// Number of values; with none, every figure is 0.
    pub count: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the sample (n − 1); 0 for one value.
    pub deviation: f64,
    /// The 50th percentile.
    pub median: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

impl Distribution {
    /// The distribution of `values`, none of them negative. Percentiles come from an HDR histogram that counts in
    /// steps of `step`, and are exact to three digits; the other figures are exact.
    pub fn of(values: &[f64], step: f64) -> Self {
        let (Some(min), Some(max)) = (extreme(values, f64::min), extreme(values, f64::max)) else {
            return Self::default();
        };
        let Some([median, p90, p99]) = percentiles(values, step, [0.5, 0.9, 0.99]) else {
            return Self::default();
        };
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Self {
            count: values.len(),
            mean,
            deviation: deviation(values, mean),
            median: median.clamp(min, max),
            p90: p90.clamp(min, max),
            p99: p99.clamp(min, max),
            min,
            max,
        }
    }

    /// The spread: the standard deviation as a part of the mean; `None` for fewer than two values.
    pub fn spread(&self) -> Option<f64> {
        (self.count > 1 && self.mean > 0.0).then(|| self.deviation / self.mean)
    }
}

fn extreme(values: &[f64], choose: fn(f64, f64) -> f64) -> Option<f64> {
    values.iter().copied().reduce(choose)
}

/// The values at the given quantiles, from a histogram that counts in steps of `step`. It grows as values need; that
/// it cannot be made does not happen for [`DIGITS`].
fn percentiles<const N: usize>(values: &[f64], step: f64, at: [f64; N]) -> Option<[f64; N]> {
    let mut histogram = Histogram::<u64>::new(DIGITS).ok()?;
    for value in values {
        histogram.record((value / step).round() as u64).ok()?;
    }
    Some(at.map(|quantile| histogram.value_at_quantile(quantile) as f64 * step))
}

fn deviation(values: &[f64], mean: f64) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// The value at a quantile, from 0 to 1, of sorted values: the smallest that so large a part of all does not exceed; 0
/// of none.
pub fn quantile(sorted: &[f64], at: f64) -> f64 {
    let rank = (at * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.clamp(1, sorted.len().max(1)) - 1)
        .copied()
        .unwrap_or_default()
}

/// Jain's index of fairness: 1 where all shares are equal, 1/n where one has all (Jain, Chiu and Hawe, 1984). `None`
/// without shares.
pub fn fairness(shares: &[f64]) -> Option<f64> {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    (squares > 0.0).then(|| sum * sum / (shares.len() as f64 * squares))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= b.abs() / 1000.0
    }

    #[test]
    fn figures_are_those_of_the_values() {
        let values: Vec<f64> = (1..=1000).rev().map(|n| f64::from(n) / 1000.0).collect();
        let all = Distribution::of(&values, 1e-9);
        assert_eq!((all.count, all.min, all.max), (1000, 0.001, 1.0));
        for (figure, expected) in [
            (all.mean, 0.5005),
            (all.deviation, 0.288_819),
            (all.median, 0.5),
            (all.p90, 0.9),
            (all.p99, 0.99),
        ] {
            assert!(near(figure, expected), "{figure} for {expected}: {all:?}");
        }
        assert!(near(all.spread().unwrap(), 0.288_819 / 0.5005));
    }

    #[test]
    fn few_values_and_huge_ones_have_figures_too() {
        assert_eq!(Distribution::of(&[], 1.0), Distribution::default());
        let one = Distribution::of(&[7.5e9], 1.0);
        assert_eq!((one.median, one.p99, one.min), (7.5e9, 7.5e9, 7.5e9));
        assert_eq!((one.deviation, one.spread()), (0.0, None));
        let two = Distribution::of(&[1.0, 3.0], 1e-9);
        assert!(near(two.median, 1.0) && near(two.p90, 3.0), "{two:?}");
        assert!(near(two.deviation, std::f64::consts::SQRT_2), "{two:?}");
        assert_eq!(Distribution::of(&[0.0, 0.0], 1.0).spread(), None);
    }

    #[test]
    fn quantiles_are_values_that_occur() {
        let values = [1.0, 2.0, 3.0, 4.0];
        for (at, expected) in [(0.0, 1.0), (0.25, 1.0), (0.5, 2.0), (0.51, 3.0), (1.0, 4.0)] {
            assert!(near(quantile(&values, at), expected), "{at}");
        }
        assert!(quantile(&[], 0.5).abs() < 1e-12);
    }

    #[test]
    fn fairness_is_one_for_equal_shares_and_a_part_for_one_who_has_all() {
        assert_eq!(fairness(&[3.0, 3.0, 3.0]), Some(1.0));
        assert_eq!(fairness(&[5.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert!(near(fairness(&[1.0, 2.0]).unwrap(), 0.9));
        assert_eq!((fairness(&[]), fairness(&[0.0])), (None, None));
    }
}
