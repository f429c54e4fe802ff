//! The charts of a measurement, and of two of them; pure.

use super::{
    Error,
    chart::{Axis, Chart, Series},
};
use crate::{
    eval::{
        matrix::Cell,
        report,
        stats::quantile,
        summary::{Figures, cells},
        times::{Evaluation, Run},
    },
    samples::size_name,
};

/// Steps that an ECDF is drawn with at most: more than a chart has pixels.
const STEPS: usize = 1000;

/// A cell with what its runs came to.
struct Point<'a> {
    cell: &'a Cell,
    figures: Figures,
    /// Seconds of each transfer, sorted.
    transfers: Vec<f64>,
}

impl Point<'_> {
    fn at(&self, at: f64) -> f64 {
        quantile(&self.transfers, at)
    }
}

/// Every chart of one measurement.
pub fn all(evaluation: &Evaluation) -> Vec<Chart> {
    let points = points(evaluation);
    let about = about(evaluation);
    let mut charts = vec![
        time_by_clients(&points, &about),
        time_by_size(&points, &about),
        throughput(&points, &about),
    ];
    charts.extend(distributions(&points, &about));
    charts
}

/// Two measurements, cell by cell: how the second relates to the first.
pub fn comparison(before: &Evaluation, after: &Evaluation) -> Result<Vec<Chart>, Error> {
    let (first, second) = (points(before), points(after));
    let pairs: Vec<(&Point<'_>, &Point<'_>)> = first
        .iter()
        .filter_map(|one| Some((one, second.iter().find(|other| other.cell == one.cell)?)))
        .collect();
    if pairs.is_empty() {
        return Err(Error::NothingInCommon(
            before.label.clone(),
            after.label.clone(),
        ));
    }
    let names = format!("{} against {}", after.label, before.label);
    let time = |(one, other): &(&Point<'_>, &Point<'_>)| other.at(0.5) / one.at(0.5);
    let rate = |(one, other): &(&Point<'_>, &Point<'_>)| {
        other.figures.throughput.median / one.figures.throughput.median
    };
    Ok(vec![
        ratios(
            "compare-time",
            "Time of a file, compared",
            (
                &names,
                "ratio of the medians: 1 is the same, below is faster",
            ),
            &pairs,
            time,
        ),
        ratios(
            "compare-throughput",
            "Throughput of all clients, compared",
            (
                &names,
                "ratio of the medians: 1 is the same, above is faster",
            ),
            &pairs,
            rate,
        ),
    ])
}

fn points(evaluation: &Evaluation) -> Vec<Point<'_>> {
    cells(&evaluation.runs)
        .into_iter()
        .map(|(cell, runs)| Point {
            cell,
            figures: Figures::of(cell, &runs),
            transfers: transfers(&runs),
        })
        .filter(|point| !point.transfers.is_empty())
        .collect()
}

fn transfers(runs: &[&Run]) -> Vec<f64> {
    let mut seconds: Vec<f64> = runs
        .iter()
        .flat_map(|run| &run.clients)
        .flat_map(|client| &client.transfers)
        .map(|transfer| transfer.seconds)
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds
}

/// Which measurement it was, and where it ran.
pub(super) fn about(evaluation: &Evaluation) -> String {
    let machine = &evaluation.machine;
    if machine.cores == 0 {
        return evaluation.label.clone();
    }
    format!(
        "{}: haul {}, {} cores of {}",
        evaluation.label, evaluation.haul, machine.cores, machine.cpu
    )
}

/// A size with its unit: `128 B`, `2 KiB`.
pub(super) fn bytes(size: f64) -> String {
    let name = size_name(size as u64);
    match name.strip_suffix(['k', 'm', 'g', 't']) {
        Some(number) => {
            let unit = name[number.len()..].to_ascii_uppercase();
            format!("{number} {unit}iB")
        }
        None => format!("{name} B"),
    }
}

fn ratio(value: f64) -> String {
    let digits = match value {
        v if v < 0.1 => 2,
        v if v < 9.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}×")
}

/// A short time: without the zeros that a mark does not need.
pub(super) fn time(seconds: f64) -> String {
    let text = report::time(seconds);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            let number = number.trim_end_matches('0').trim_end_matches('.');
            format!("{number} {unit}")
        }
        _ => text,
    }
}

fn seconds_axis(label: &str, values: impl Iterator<Item = f64>) -> Axis {
    Axis::logarithmic(label, values, time)
}

fn clients_axis(points: &[Point<'_>]) -> Axis {
    let counts = points
        .iter()
        .map(|point| point.cell.clients as f64)
        .collect();
    Axis::of_values("clients at the same time", counts, |count| {
        format!("{count}")
    })
}

/// What else a cell sets, behind the name of its line.
fn with_extras(name: String, cell: &Cell) -> String {
    let extras = report::extras(cell);
    if extras.is_empty() {
        name
    } else {
        format!("{name}, {}", extras.join(", "))
    }
}

fn by_size(cell: &Cell) -> String {
    with_extras(bytes(cell.size as f64), cell)
}

pub(super) fn by_clients(cell: &Cell) -> String {
    let s = if cell.clients == 1 { "" } else { "s" };
    with_extras(format!("{} client{s}", cell.clients), cell)
}

/// The points as lines: those of one name become one line, sorted by their place.
fn lines<'a>(
    points: impl Iterator<Item = &'a Point<'a>>,
    name: fn(&Cell) -> String,
    place: impl Fn(&Point<'_>) -> f64,
    value: impl Fn(&Point<'_>) -> (f64, f64, f64),
) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    for point in points {
        let name = name(point.cell);
        let at = if let Some(at) = series.iter().position(|one| one.name == name) {
            at
        } else {
            series.push(Series {
                name,
                marked: true,
                ..Series::default()
            });
            series.len() - 1
        };
        let (low, middle, high) = value(point);
        let x = place(point).log10();
        if middle > 0.0 {
            series[at].points.push((x, middle.log10()));
            series[at]
                .band
                .push((x, low.max(f64::MIN_POSITIVE).log10(), high.log10()));
        }
    }
    for one in &mut series {
        one.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        one.band.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    series.retain(|one| !one.points.is_empty());
    series
}

/// The middle of the transfers' times, and what lies around it.
fn spread(point: &Point<'_>) -> (f64, f64, f64) {
    (point.at(0.1), point.at(0.5), point.at(0.9))
}

fn spread_values(points: &[Point<'_>]) -> impl Iterator<Item = f64> {
    points.iter().flat_map(|point| {
        let (low, middle, high) = spread(point);
        [low, middle, high]
    })
}

fn time_by_clients(points: &[Point<'_>], about: &str) -> Chart {
    Chart {
        name: "time-by-clients".into(),
        title: "Time of a file by number of clients".into(),
        about: about.to_owned(),
        reading: "median, band from 10th to 90th percentile".into(),
        x: clients_axis(points),
        y: seconds_axis("time of a file (log scale)", spread_values(points)),
        legend: "size of a file".into(),
        series: lines(
            points.iter(),
            by_size,
            |point| point.cell.clients as f64,
            spread,
        ),
        bars: Vec::new(),
        reference: None,
        main: true,
    }
}

fn time_by_size(points: &[Point<'_>], about: &str) -> Chart {
    let sizes = points
        .iter()
        .map(|point| point.cell.size.max(1) as f64)
        .collect();
    Chart {
        name: "time-by-size".into(),
        title: "Time of a file by its size".into(),
        about: about.to_owned(),
        reading: "median, band from 10th to 90th percentile".into(),
        x: Axis::of_values("size of a file", sizes, bytes),
        y: seconds_axis("time of a file (log scale)", spread_values(points)),
        legend: "at the same time".into(),
        series: lines(
            points.iter(),
            by_clients,
            |point| point.cell.size.max(1) as f64,
            spread,
        ),
        bars: Vec::new(),
        reference: None,
        main: true,
    }
}

fn throughput(points: &[Point<'_>], about: &str) -> Chart {
    let value = |point: &Point<'_>| {
        let all = point.figures.throughput;
        (all.min, all.median, all.max)
    };
    let values = points.iter().flat_map(|point| {
        let (low, middle, high) = value(point);
        [low, middle, high]
    });
    Chart {
        name: "throughput-by-clients".into(),
        title: "Throughput of all clients together".into(),
        about: about.to_owned(),
        reading: "median of the runs, band from slowest to fastest".into(),
        x: clients_axis(points),
        y: Axis::binary("throughput (log scale)", values, |rate| {
            format!("{}/s", bytes(rate as f64))
        }),
        legend: "size of a file".into(),
        series: lines(
            points.iter(),
            by_size,
            |point| point.cell.clients as f64,
            value,
        ),
        bars: Vec::new(),
        reference: None,
        main: true,
    }
}

/// A chart a size, with a line a number of clients.
fn distributions(points: &[Point<'_>], about: &str) -> Vec<Chart> {
    let mut sizes: Vec<u64> = points.iter().map(|point| point.cell.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let last = sizes.last().copied();
    sizes
        .into_iter()
        .map(|size| {
            let of = || points.iter().filter(move |point| point.cell.size == size);
            Chart {
                name: format!("ecdf-{}", size_name(size)),
                title: format!(
                    "How the times of files of {} are spread",
                    bytes(size as f64)
                ),
                about: about.to_owned(),
                reading: "the part of all files that took no longer".into(),
                x: seconds_axis(
                    "time of a file (log scale)",
                    of().flat_map(|point| [point.at(0.0), point.at(1.0)]),
                ),
                y: Axis::linear("part of all files", [1.0].into_iter(), |part| {
                    format!("{:.0} %", part * 100.0)
                }),
                legend: "at the same time".into(),
                series: of()
                    .map(|point| Series {
                        name: by_clients(point.cell),
                        points: ecdf(&point.transfers),
                        ..Series::default()
                    })
                    .collect(),
                bars: Vec::new(),
                reference: None,
                main: Some(size) == last,
            }
        })
        .collect()
}

/// The steps of the empirical distribution: at each time, the part of all that is not above it.
fn ecdf(sorted: &[f64]) -> Vec<(f64, f64)> {
    let every = sorted.len().div_ceil(STEPS).max(1);
    let mut points = Vec::new();
    let mut part = 0.0;
    for (index, value) in sorted.iter().enumerate() {
        if (index + 1) % every == 0 || index + 1 == sorted.len() {
            let x = value.max(f64::MIN_POSITIVE).log10();
            points.push((x, part));
            part = (index + 1) as f64 / sorted.len() as f64;
            points.push((x, part));
        }
    }
    points
}

fn ratios(
    name: &str,
    title: &str,
    (about, reading): (&str, &str),
    pairs: &[(&Point<'_>, &Point<'_>)],
    ratio_of: impl Fn(&(&Point<'_>, &Point<'_>)) -> f64,
) -> Chart {
    let found: Vec<(&Point<'_>, f64)> = pairs
        .iter()
        .map(|pair| (pair.0, ratio_of(pair)))
        .filter(|(_, ratio)| ratio.is_finite() && *ratio > 0.0)
        .collect();
    let value = |point: &Point<'_>| {
        let ratio = found
            .iter()
            .find(|(other, _)| other.cell == point.cell)
            .map_or(0.0, |(_, ratio)| *ratio);
        (ratio, ratio, ratio)
    };
    let counts = pairs
        .iter()
        .map(|(one, _)| one.cell.clients as f64)
        .collect();
    let mut series = lines(
        pairs.iter().map(|(one, _)| *one),
        by_size,
        |point| point.cell.clients as f64,
        value,
    );
    for one in &mut series {
        one.band.clear();
    }
    let values = found.iter().map(|(_, ratio)| *ratio).chain([0.8, 1.25]);
    Chart {
        name: name.into(),
        title: title.into(),
        about: about.into(),
        reading: reading.into(),
        x: Axis::of_values("clients at the same time", counts, |count| {
            format!("{count}")
        }),
        y: Axis::logarithmic("ratio (log scale)", values, ratio),
        legend: "size of a file".into(),
        series,
        bars: Vec::new(),
        reference: Some(0.0),
        main: true,
    }
}
