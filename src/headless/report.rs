//! What a download without a dashboard tells: a bar, plain lines or JSON, and a summary at the end.

use std::{
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
    logging::{REPORTED, Sink, one_line},
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
        log(event);
        match event {
            Event::Started { path, total, .. } => self.json(&Object {
                event: "started",
                path: Some(&display_name(path.as_bytes())),
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
                    path: Some(&display_name(path.as_bytes())),
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
                    path: Some(&display_name(path.as_bytes())),
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
        let mut line = serde_json::to_vec(object).map_err(|error| unwritable(error.into()))?;
        line.push(b'\n');
        self.out
            .write_all(&line)
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

/// Puts a turning point in the log. A failure is reported on stderr besides.
fn log(event: &Event) {
    match event {
        Event::Started { path, .. } => {
            tracing::debug!(path = %display_name(path.as_bytes()), "started");
        }
        Event::Finished {
            path,
            bytes,
            verified,
            took,
            ..
        } => tracing::info!(
            path = %display_name(path.as_bytes()),
            "{} in {}, {}",
            units::size(*bytes),
            units::took(*took),
            verified.word()
        ),
        Event::Retrying {
            path,
            attempt,
            after,
            error,
            ..
        } => tracing::warn!(
            path = %display_name(path.as_bytes()),
            "{error}; try {attempt} in {}",
            units::took(*after)
        ),
        Event::Failed {
            path,
            attempts,
            error,
            ..
        } => tracing::error!(
            target: REPORTED,
            path = %display_name(path.as_bytes()),
            attempts,
            "{error}"
        ),
        Event::Ended { .. } => {}
    }
}
