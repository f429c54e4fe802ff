//! A chart as plain values, before it is drawn: axes, lines with bands, bars.

/// What is drawn on one sheet.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The name of its files, without an ending.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// Which measurement, and where it ran.
    pub about: String,
    /// How it is to be read.
    pub reading: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What the series differ in.
    pub legend: String,
    /// Lines, from the first in the legend.
    pub series: Vec<Series>,
    /// Bars, for a timeline.
    pub bars: Vec<Bar>,
    /// A value of the vertical axis that others are to be seen against.
    pub reference: Option<f64>,
    /// Whether it is among those that a terminal shows.
    pub main: bool,
}

/// An axis. All its values, those of the series too, are positions on it: the logarithm of what they stand for where
/// the axis is logarithmic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    /// What it measures, with the unit.
    pub label: String,
    /// Its ends.
    pub range: (f64, f64),
    /// Marks, with what stands beside them.
    pub ticks: Vec<(f64, String)>,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// What lies around it: x, lower, upper.
    pub band: Vec<(f64, f64, f64)>,
    /// Whether each point is marked.
    pub marked: bool,
}

/// A bar of a timeline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Its left and right ends.
    pub from: f64,
    /// See `from`.
    pub to: f64,
    /// Its lower and upper ends.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// Its colour, by number.
    pub colour: usize,
}

impl Axis {
    /// A logarithmic axis for positive values, marked at 1, 2 and 5 times each power of ten, or sparser where there
    /// would be too many marks.
    pub fn logarithmic(
        label: &str,
        values: impl Iterator<Item = f64>,
        name: fn(f64) -> String,
    ) -> Self {
        let (low, high) = ends(values.filter(|value| *value > 0.0)).unwrap_or((1.0, 10.0));
        let (from, to) = (low.log10(), high.log10());
        let margin = ((to - from) * 0.06).max(0.1);
        let range = (from - margin, to + margin);
        let steps: &[f64] = match range.1 - range.0 {
            span if span < 1.6 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
            span if span < 3.6 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let mut ticks = Vec::new();
        for power in range.0.floor() as i32..=range.1.ceil() as i32 {
            for step in steps {
                let value = step * 10f64.powi(power);
                if (range.0..=range.1).contains(&value.log10()) {
                    ticks.push((value.log10(), name(value)));
                }
            }
        }
        Self {
            label: label.into(),
            range,
            ticks,
        }
    }

    /// A logarithmic axis that is marked at its values alone; every so many where they would stand too close.
    pub fn of_values(label: &str, mut values: Vec<f64>, name: impl Fn(f64) -> String) -> Self {
        values.retain(|value| *value > 0.0);
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (low, high) = ends(values.iter().copied()).unwrap_or((1.0, 1.0));
        let (from, to) = (low.log10(), high.log10());
        let margin = ((to - from) * 0.05).max(0.05);
        let closest = (to - from) / 14.0;
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for value in values {
            let at = value.log10();
            if ticks.last().is_none_or(|(last, _)| at - last >= closest) {
                ticks.push((at, name(value)));
            }
        }
        Self {
            label: label.into(),
            range: (from - margin, to + margin),
            ticks,
        }
    }

    /// A logarithmic axis for bytes, marked at powers of two.
    pub fn binary(
        label: &str,
        values: impl Iterator<Item = f64>,
        name: impl Fn(u64) -> String,
    ) -> Self {
        let (low, high) = ends(values.filter(|value| *value >= 1.0)).unwrap_or((1.0, 2.0));
        let margin = ((high / low).log2() * 0.06).max(0.3);
        let (from, to) = (low.log2() - margin, high.log2() + margin);
        // Every power, or every second, fourth and so on: at most a dozen.
        let every = ((to - from) / 12.0).ceil().max(1.0) as usize;
        let (first, last) = (from.max(0.0).ceil() as u32, (to.floor() as u32).min(62));
        let scale = 2f64.log10();
        Self {
            label: label.into(),
            range: (from * scale, to * scale),
            ticks: (first..=last)
                .filter(|power| (*power as usize).is_multiple_of(every))
                .map(|power| (f64::from(power) * scale, name(1 << power)))
                .collect(),
        }
    }

    /// A linear axis from 0, with about six marks.
    pub fn linear(
        label: &str,
        values: impl Iterator<Item = f64>,
        name: impl Fn(f64) -> String,
    ) -> Self {
        let high = ends(values)
            .map_or(1.0, |(_, high)| high)
            .max(f64::MIN_POSITIVE);
        let step = step(high / 6.0);
        let marks = (high / step).ceil() as usize;
        Self {
            label: label.into(),
            range: (0.0, high),
            ticks: (0..=marks)
                .map(|mark| mark as f64 * step)
                .filter(|value| *value <= high * 1.0001)
                .map(|value| (value, name(value)))
                .collect(),
        }
    }
}

/// 1, 2 or 5 times a power of ten, and at least `least`.
fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= least * 0.9999)
        .unwrap_or(least)
}

fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, name)| name.as_str()).collect()
    }

    #[test]
    fn marks_are_round_numbers_and_few() {
        let plain = |value: f64| format!("{value}");
        let axis = Axis::linear("x", [0.3, 7.0].into_iter(), plain);
        assert_eq!(names(&axis), ["0", "2", "4", "6"]);
        let axis = Axis::logarithmic("x", [1.0, 900.0].into_iter(), plain);
        assert_eq!(
            names(&axis),
            ["1", "2", "5", "10", "20", "50", "100", "200", "500", "1000"]
        );
        let axis = Axis::logarithmic("x", [1e-6, 1e3].into_iter(), plain);
        assert_eq!(axis.ticks.len(), 10);
        let axis = Axis::binary("x", [1000.0, 5000.0].into_iter(), |bytes| bytes.to_string());
        assert_eq!(names(&axis), ["1024", "2048", "4096"]);
        let axis = Axis::of_values("x", vec![4.0, 1.0, 2.0, 2.0], plain);
        assert_eq!(names(&axis), ["1", "2", "4"]);
        let many: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert!(Axis::of_values("x", many, plain).ticks.len() <= 15);
    }

    #[test]
    fn one_value_or_none_makes_an_axis_too() {
        let plain = |value: f64| format!("{value}");
        for axis in [
            Axis::linear("x", std::iter::empty(), plain),
            Axis::logarithmic("x", std::iter::empty(), plain),
            Axis::logarithmic("x", [0.0, 5.0].into_iter(), plain),
            Axis::of_values("x", vec![3.0], plain),
            Axis::of_values("x", Vec::new(), plain),
            Axis::binary("x", std::iter::empty(), |bytes| bytes.to_string()),
            Axis::binary("x", [5.0].into_iter(), |bytes| bytes.to_string()),
        ] {
            assert!(axis.range.0 < axis.range.1, "{axis:?}");
        }
    }
}
