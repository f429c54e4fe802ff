//! Figures for people: a line a run, and a table at the end.

use super::{
    matrix::Cell,
    stats::Distribution,
    summary::{Aggregate, Figures},
    times::Run,
};
use crate::{samples::size_name, units};

/// The header of a figure's spread, which stands close behind the figure.
const SPREAD: &str = "±";

/// A duration with three significant digits: `850 ns`, `1.23 ms`, `45.6 s`.
pub fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 999.5e-9 => (s * 1e9, "ns"),
        s if s < 999.5e-6 => (s * 1e6, "µs"),
        s if s < 0.9995 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// A number with three significant digits: `1.23`, `45.6`, `789`, `12,345`.
pub fn digits(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => units::count(v.round() as u64),
    }
}

/// A spread: `±12 %`; a dash where one value alone has none.
pub fn spread(of: &Distribution) -> String {
    match of.spread() {
        Some(spread) => format!("±{:.0} %", spread * 100.0),
        None => "—".into(),
    }
}

/// What a cell is, in words: `4 clients × 10 files of 2k`, and what else is not usual.
pub fn cell(cell: &Cell) -> String {
    let plural =
        |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let mut text = format!(
        "{} × {} of {}",
        plural(cell.clients, "client"),
        plural(cell.files, "file"),
        size_name(cell.size)
    );
    for extra in extras(cell) {
        text.push_str(", ");
        text.push_str(&extra);
    }
    text
}

/// What else a cell sets, beside the clients and the size; nothing where it is as usual.
pub fn extras(cell: &Cell) -> Vec<String> {
    let mut extras = Vec::new();
    if cell.workers != 5 {
        extras.push(format!("{} workers", cell.workers));
    }
    if cell.serial {
        extras.push("serial".into());
    }
    if cell.tls {
        extras.push("TLS".into());
    }
    if cell.latency > 0.0 {
        extras.push(format!("round trip +{}", time(cell.latency)));
    }
    if let Some(rate) = cell.rate {
        extras.push(format!("link {}", units::rate(rate)));
    }
    if let Some(limit) = cell.limit {
        extras.push(format!("server {}", units::rate(limit)));
    }
    extras
}

/// The line that a run ends with.
pub fn run_line(run: &Run, number: usize, planned: usize, repeat: usize) -> String {
    let files: usize = run
        .clients
        .iter()
        .map(|client| client.transfers.len())
        .sum();
    let bytes: u64 = run.clients.iter().map(|client| client.bytes).sum();
    let failed = run.clients.len() - run.done().count();
    let width = planned.to_string().len();
    let rate = if run.seconds > 0.0 {
        (bytes as f64 / run.seconds) as u64
    } else {
        0
    };
    format!(
        "[{number:>width$}/{planned}] {}, run {} of {repeat}: {}{} files in {}, {}",
        cell(&run.cell),
        run.repeat,
        if failed > 0 {
            format!("{failed} failed, ")
        } else {
            String::new()
        },
        units::count(files as u64),
        time(run.seconds),
        units::rate(rate)
    )
}

/// The table of a measurement: a row a cell, a spread beside every figure.
pub fn table(all: &Aggregate) -> String {
    let mut rows = vec![header(all)];
    rows.extend(all.cells.iter().map(|figures| row(figures, all)));
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|text| width(text)).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, widest)) in row.iter().zip(&widths).enumerate() {
            let is_spread = rows[0][column] == SPREAD;
            let gap = match (column, is_spread) {
                (_, true) => 1,
                (0, false) => 0,
                _ => 2,
            };
            let pad = gap + widest - width(cell);
            line.push_str(&" ".repeat(pad));
            line.push_str(cell);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// Whether some cell has something unusual, so that the column for it is needed.
fn has_extras(all: &Aggregate) -> bool {
    all.cells
        .iter()
        .any(|figures| !extras(&figures.cell).is_empty())
}

fn header(all: &Aggregate) -> Vec<String> {
    let mut names = vec!["clients", "size", "runs"];
    if has_extras(all) {
        names.push("with");
    }
    names.extend([
        "file median",
        SPREAD,
        "p90",
        "p99",
        "client mean",
        SPREAD,
        "throughput",
        SPREAD,
        "files/s",
        SPREAD,
        "fairness",
        SPREAD,
        "failed",
    ]);
    names.into_iter().map(str::to_owned).collect()
}

fn row(figures: &Figures, all: &Aggregate) -> Vec<String> {
    let Figures {
        cell,
        transfer,
        client,
        throughput,
        files_per_second,
        fairness,
        ..
    } = figures;
    let shown = |of: &Distribution, text: String| if of.count == 0 { "—".into() } else { text };
    let mut row = vec![
        cell.clients.to_string(),
        size_name(cell.size),
        figures.runs.to_string(),
    ];
    if has_extras(all) {
        row.push(extras(cell).join(", "));
    }
    row.extend([
        shown(transfer, time(transfer.median)),
        spread(transfer),
        shown(transfer, time(transfer.p90)),
        shown(transfer, time(transfer.p99)),
        shown(client, time(client.mean)),
        spread(client),
        shown(throughput, units::rate(throughput.median as u64)),
        spread(throughput),
        shown(files_per_second, digits(files_per_second.median)),
        spread(files_per_second),
        shown(fairness, format!("{:.3}", fairness.median)),
        spread(fairness),
        figures.failed.to_string(),
    ]);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::examples::{self, evaluation};

    #[test]
    fn times_have_three_digits() {
        for (seconds, text) in [
            (0.0, "0.00 ns"),
            (1.234e-6, "1.23 µs"),
            (0.000_999_9, "1.00 ms"),
            (0.0456, "45.6 ms"),
            (0.9999, "1.00 s"),
            (789.4, "789 s"),
            (12_345.0, "12,345 s"),
        ] {
            assert_eq!(time(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn the_table_is_aligned_and_has_a_row_a_cell() {
        let table = table(&Aggregate::of(&evaluation("x")));
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        let end = |line: &str| width(line);
        assert!(
            lines.iter().all(|line| end(line) == end(lines[0])),
            "{table}"
        );
        assert!(!lines[0].contains("with"), "{table}");
        assert!(
            lines[2].contains("150 ms") && lines[2].contains("26.7 KiB/s"),
            "{table}"
        );
    }

    #[test]
    fn what_is_unusual_is_said() {
        let usual = examples::cell(1, 2048);
        assert_eq!(cell(&usual), "1 client × 10 files of 2k");
        let slow = Cell {
            latency: 0.02,
            rate: Some(1 << 20),
            workers: 1,
            serial: true,
            ..usual
        };
        assert_eq!(
            cell(&slow),
            "1 client × 10 files of 2k, 1 workers, serial, round trip +20.0 ms, link 1.00 MiB/s"
        );
    }
}
