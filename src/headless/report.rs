//! What a download without a dashboard tells: a bar, plain lines or JSON, and a summary at the end.

use std::{
    borrow::Cow,
    io::{self, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::{
    client::{Event, Snapshot, Verified},
    error::{Error, Exit},
    escape::display_name,
    http1::path::RemotePath,
    logging::{Sink, json_escaped, one_line},
    progress::{Meter, percent},
    units,
};

/// How progress is shown.
pub enum Style {
    /// A bar on the terminal.
    Bar(ProgressBar),
    /// A log line a file, and one every few seconds.
    Lines,
    /// One JSON object a line on stdout.
    Json,
}

impl Style {
    /// JSON where it was asked for, else a bar where stderr is a terminal.
    pub fn choose(json: bool, terminal: bool) -> Self {
        match (json, terminal) {
            (true, _) => Self::Json,
            (false, true) => Self::Bar(bar()),
            (false, false) => Self::Lines,
        }
    }

    /// Writes lines to stderr, above the bar where there is one.
    pub fn stderr(&self) -> Sink {
        let bar = match self {
            Self::Bar(bar) => Some(bar.clone()),
            Self::Lines | Self::Json => None,
        };
        Box::new(move |line| {
            // Without stderr the log file has the line.
            let write = || drop(writeln!(io::stderr(), "{line}"));
            match &bar {
                Some(bar) => bar.suspend(write),
                None => write(),
            }
        })
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    // The template is a constant; were it wrong, indicatif's own would do.
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("━╸─"));
    bar
}

/// A line of `--json`. Sizes are bytes, rates bytes a second, times seconds.
#[derive(Debug, Default, Serialize)]
struct Object<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unverified: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

/// Follows one download and tells of it.
pub struct Report {
    style: Style,
    stderr: Sink,
    out: Box<dyn Write + Send>,
    began: Instant,
    meter: Meter,
    tally: Tally,
    failures: Vec<Exit>,
}

/// What became of the files so far.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// Complete under their final names, those that were here already among them.
    files: u64,
    /// Bytes of those that were fetched.
    bytes: u64,
    /// Those that were here already.
    present: u64,
    /// Those that nothing vouches for.
    unverified: u64,
}

impl Report {
    /// Begins at `began`; results go to `out`, all else to stderr.
    pub fn new(style: Style, out: Box<dyn Write + Send>, began: Instant) -> Self {
        Self {
            stderr: style.stderr(),
            style,
            out,
            began,
            meter: Meter::default(),
            tally: Tally::default(),
            failures: Vec::new(),
        }
    }

    /// How often [`Self::progress`] is worth calling.
    pub fn interval(&self) -> Duration {
        match self.style {
            Style::Bar(_) => Duration::from_millis(100),
            Style::Json => Duration::from_millis(500),
            Style::Lines => Duration::from_secs(5),
        }
    }

    /// Tells of a file's turning point.
    pub fn event(&mut self, event: &Event) -> Result<(), Error> {
        event.log();
        match event {
            Event::Started { path, total, .. } => self.json(&Object {
                event: "started",
                path: Some(&name(path)),
                total: *total,
                ..Object::default()
            }),
            Event::Finished {
                path,
                bytes,
                verified,
                ..
            } => {
                self.tally.files += 1;
                match verified {
                    Verified::Present => self.tally.present += 1,
                    Verified::Unverified => self.tally.unverified += 1,
                    Verified::Blake3 | Verified::Digest => {}
                }
                if *verified != Verified::Present {
                    self.tally.bytes += bytes;
                }
                self.json(&Object {
                    event: "finished",
                    path: Some(&name(path)),
                    bytes: Some(*bytes),
                    total: Some(*bytes),
                    verified: Some(verified.word()),
                    ..Object::default()
                })
            }
            Event::Failed {
                path,
                attempts,
                error,
                ..
            } => {
                self.failures.push(error.exit());
                (self.stderr)(&one_line(&format!("haul: {}{error}", subject(path))));
                self.json(&Object {
                    event: "failed",
                    path: Some(&name(path)),
                    error: Some(error.to_string()),
                    attempt: Some(*attempts),
                    ..Object::default()
                })
            }
            Event::Retrying { .. } | Event::Ended { .. } => Ok(()),
        }
    }

    /// Shows how far the whole job is.
    pub fn progress(&mut self, now: &Snapshot, at: Instant) -> Result<(), Error> {
        self.meter.sample(at, now.received);
        let done: u64 = now.items.iter().map(|item| item.done).sum();
        let total: Option<u64> = now.items.iter().map(|item| item.total).sum();
        let left = total.map(|total| total.saturating_sub(done));
        let eta = left.and_then(|left| self.meter.eta(now.received.saturating_add(left)));
        match &self.style {
            Style::Bar(bar) => {
                bar.set_length(total.unwrap_or(0));
                bar.set_position(done);
                bar.set_prefix(percent(done, total).map_or("  —".into(), |p| format!("{p:>3}%")));
                bar.set_message(format!(
                    "{}  {:>10}  {}",
                    amount(done, total),
                    units::rate(self.meter.rate()),
                    units::eta(eta)
                ));
                Ok(())
            }
            Style::Lines if now.received > 0 => {
                tracing::info!(
                    "{}, {}, {} left",
                    amount(done, total),
                    units::rate(self.meter.rate()),
                    units::eta(eta)
                );
                Ok(())
            }
            Style::Json if now.received > 0 => self.json(&Object {
                event: "progress",
                bytes: Some(done),
                total,
                rate: Some(self.meter.rate()),
                eta: eta.map(|eta| eta.as_secs_f64()),
                ..Object::default()
            }),
            Style::Lines | Style::Json => Ok(()),
        }
    }

    /// Prints the summary, and gives the status that the failures amount to.
    pub fn end(mut self, at: Instant, interrupted: bool) -> Result<Exit, Error> {
        let took = at.saturating_duration_since(self.began);
        let rate = (self.tally.bytes as f64 / took.as_secs_f64().max(0.001)).round() as u64;
        let failed = self.failures.len() as u64;
        match &self.style {
            Style::Json => {
                let Tally {
                    files,
                    bytes,
                    unverified,
                    ..
                } = self.tally;
                self.json(&Object {
                    event: "summary",
                    bytes: Some(bytes),
                    rate: Some(rate),
                    files: Some(files),
                    failed: Some(failed),
                    unverified: Some(unverified),
                    seconds: Some(took.as_secs_f64()),
                    ..Object::default()
                })?;
            }
            Style::Bar(_) | Style::Lines => {
                if let Style::Bar(bar) = &self.style {
                    bar.finish_and_clear();
                }
                let line = summary(self.tally, failed, took, rate, interrupted);
                writeln!(self.out, "{line}")
                    .and_then(|()| self.out.flush())
                    .map_err(unwritable)?;
            }
        }
        Ok(Exit::of_all(self.failures))
    }

    /// Writes a line of JSON where JSON is the style.
    fn json(&mut self, object: &Object<'_>) -> Result<(), Error> {
        if !matches!(self.style, Style::Json) {
            return Ok(());
        }
        let line = serde_json::to_string(object).map_err(|error| unwritable(error.into()))?;
        writeln!(self.out, "{}", json_escaped(&line))
            .and_then(|()| self.out.flush())
            .map_err(unwritable)
    }
}

fn unwritable(source: io::Error) -> Error {
    Error::Local {
        what: "cannot write to stdout".into(),
        source,
        remedy: "keep its reader running",
        exit: Exit::Other,
    }
}

/// A path for programs: as it is, or in its visible form where it is no UTF-8.
fn name(path: &RemotePath) -> Cow<'_, str> {
    std::str::from_utf8(path.as_bytes())
        .map_or_else(|_| display_name(path.as_bytes()), Cow::Borrowed)
}

/// `docs/a.txt: `, or nothing for the root.
fn subject(path: &RemotePath) -> String {
    if path.is_root() {
        String::new()
    } else {
        format!("{}: ", display_name(path.as_bytes()))
    }
}

fn amount(done: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => units::part_of(done, total),
        None => units::size(done),
    }
}

/// `12 files, 3.00 GiB in 4.1 s, 750 MiB/s, all verified`.
fn summary(tally: Tally, failed: u64, took: Duration, rate: u64, interrupted: bool) -> String {
    let plural = if tally.files == 1 { "" } else { "s" };
    let mut line = format!(
        "{} file{plural}, {} in {}",
        units::count(tally.files),
        units::size(tally.bytes),
        units::took(took)
    );
    let mut add = |part: String| {
        line.push_str(", ");
        line.push_str(&part);
    };
    if tally.bytes > 0 {
        add(units::rate(rate));
    }
    if tally.present > 0 {
        add(format!("{} here already", units::count(tally.present)));
    }
    match tally {
        Tally { files: 0, .. } => {}
        Tally { unverified: 0, .. } => add("all verified".into()),
        Tally { unverified, .. } => add(format!("{} unverified", units::count(unverified))),
    }
    if failed > 0 {
        add(format!("{} failed", units::count(failed)));
    }
    if interrupted {
        add("interrupted: the same command goes on from here".into());
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::client::{ItemId, ItemState, ItemView};

    /// A writer whose bytes can be read after it was given away.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn path(target: &str) -> RemotePath {
        RemotePath::from_target(target.as_bytes()).unwrap()
    }

    fn finished(target: &str, bytes: u64, verified: Verified) -> Event {
        Event::Finished {
            item: ItemId(1),
            path: path(target),
            local: "x".into(),
            bytes,
            verified,
            took: Duration::from_millis(2),
        }
    }

    #[test]
    fn json_has_an_object_a_line_for_each_turning_point() {
        let (out, began) = (Shared::default(), Instant::now());
        let mut report = Report::new(Style::Json, Box::new(out.clone()), began);
        let started = Event::Started {
            item: ItemId(1),
            path: path("/a%0A%C2%9B.txt"),
            total: Some(2048),
        };
        report.event(&started).unwrap();
        let snapshot = Snapshot {
            received: 512,
            items: vec![ItemView {
                id: ItemId(1),
                path: path("/"),
                files: None,
                done: 512,
                total: Some(2048),
                connections: 1,
                state: ItemState::Active,
            }],
            ..Snapshot::default()
        };
        report.progress(&snapshot, began).unwrap();
        let done = finished("/a", 2048, Verified::Blake3);
        report.event(&done).unwrap();
        report
            .event(&finished("/b", 5, Verified::Unverified))
            .unwrap();
        let exit = report.end(began + Duration::from_secs(2), false).unwrap();
        assert_eq!(exit, Exit::Done);
        let text = out.text();
        assert!(!text.contains('\u{9b}'), "{text}");
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let expected = serde_json::json!([
            {"event": "started", "path": "a\n\u{9b}.txt", "total": 2048},
            {"event": "progress", "bytes": 512, "total": 2048, "rate": 0},
            {"event": "finished", "path": "a", "bytes": 2048, "total": 2048, "verified": "blake3"},
            {"event": "finished", "path": "b", "bytes": 5, "total": 5, "verified": "unverified"},
            {"event": "summary", "bytes": 2053, "rate": 1027, "files": 2, "failed": 0, "unverified": 1, "seconds": 2.0},
        ]);
        assert_eq!(serde_json::Value::from(lines), expected);
    }

    #[test]
    fn the_summary_says_what_nothing_vouches_for() {
        let took = Duration::from_millis(4100);
        let line = |tally: Tally, failed, interrupted| {
            summary(tally, failed, took, 750 << 20, interrupted)
        };
        let tally = Tally {
            files: 12,
            bytes: 3 << 30,
            ..Tally::default()
        };
        assert_eq!(
            line(tally, 0, false),
            "12 files, 3.00 GiB in 4.1 s, 750 MiB/s, all verified"
        );
        let unverified = Tally {
            unverified: 3,
            present: 1,
            ..tally
        };
        assert_eq!(
            line(unverified, 2, true),
            "12 files, 3.00 GiB in 4.1 s, 750 MiB/s, 1 here already, 3 unverified, 2 failed, interrupted: the same \
             command goes on from here"
        );
        assert_eq!(
            line(Tally::default(), 1, false),
            "0 files, 0 B in 4.1 s, 1 failed"
        );
    }

    #[test]
    fn what_was_here_already_is_no_download() {
        let (out, began) = (Shared::default(), Instant::now());
        let mut report = Report::new(Style::Lines, Box::new(out.clone()), began);
        report
            .event(&finished("/a", 2048, Verified::Present))
            .unwrap();
        report.end(began + Duration::from_secs(1), false).unwrap();
        assert_eq!(
            out.text(),
            "1 file, 0 B in 1.0 s, 1 here already, all verified\n"
        );
    }
}
