//! What a download without a dashboard tells: a bar, plain lines or JSON, and a summary at the end.

use std::{
    borrow::Cow,
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    dry_run::Would,
    landed::Landed,
    style::Style,
    summary::{Ended, Tally, summary},
};
use crate::{
    client::{Action, Event, Extra, Snapshot, Verified, signature},
    error::Error,
    escape::display_name,
    exit::{Exit, Local, REPORTED},
    http1::path::RemotePath,
    logging::{Sink, json_escaped, one_line},
    progress::{Meter, percent},
    units,
};

/// A line of `--json`. Sizes are bytes, rates bytes a second, times seconds.
#[derive(Debug, Default, Serialize)]
struct Object<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<u64>,
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
    cancelled: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unverified: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<u64>,
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
    /// What a run that changes nothing would do.
    would: Option<Would>,
    landed: Option<Landed>,
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
            would: None,
            landed: None,
        }
    }

    /// The same, of a run that changes nothing.
    #[must_use]
    pub fn dry(self) -> Self {
        Self {
            would: Some(Would::default()),
            ..self
        }
    }

    /// The same for a terminal that shows links, to what lands in `dir`.
    #[must_use]
    pub fn linked(mut self, dir: &Path) -> Self {
        self.landed = Some(Landed::new(dir));
        self
    }

    /// How often [`Self::progress`] is worth calling.
    pub fn interval(&self) -> Duration {
        match self.style {
            Style::Bar(_) => Duration::from_millis(100),
            Style::Json => Duration::from_millis(500),
            Style::Lines | Style::Silent => Duration::from_secs(5),
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
                local,
                copy,
                bytes,
                kept,
                verified,
                ..
            } => {
                if let Some(landed) = &mut self.landed {
                    landed.add(local);
                }
                self.tally.files += 1;
                self.tally.kept += kept;
                match verified {
                    Verified::Present => self.tally.present += 1,
                    Verified::Unread => {
                        self.tally.present += 1;
                        self.tally.unread += 1;
                    }
                    Verified::Unverified => self.tally.unverified += 1,
                    Verified::Blake3 | Verified::Digest | Verified::Listed(_) => {}
                }
                if !matches!(verified, Verified::Present | Verified::Unread) {
                    self.tally.bytes += bytes;
                }
                let copy = copy.as_ref();
                if let Some(copy) = copy {
                    let shown = |path: &RemotePath| display_name(path.as_bytes()).into_owned();
                    self.line(&format!("{} -> {}", shown(path), shown(copy)))?;
                }
                self.json(&Object {
                    event: "finished",
                    path: Some(&name(path)),
                    local: copy.map(name).as_deref(),
                    bytes: Some(*bytes),
                    total: Some(*bytes),
                    kept: (*kept > 0).then_some(*kept),
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
                (self.stderr)(&one_line(&format!("haul: {}{error}", subject(path))));
                self.json(&Object {
                    event: "failed",
                    path: Some(&name(path)),
                    error: Some(error.to_string()),
                    attempt: Some(*attempts),
                    ..Object::default()
                })
            }
            Event::Signed {
                path, local, file, ..
            } => {
                self.line(&signature(local, file))?;
                self.json(&Object {
                    event: "signature",
                    path: Some(&name(path)),
                    ..Object::default()
                })
            }
            Event::Would {
                path,
                action,
                bytes,
                ..
            } => self.would(path, *action, *bytes),
            Event::Retrying { .. } | Event::Ended { .. } => Ok(()),
        }
    }

    /// Tells what would become of a file or directory.
    fn would(
        &mut self,
        path: &RemotePath,
        action: Action,
        bytes: Option<u64>,
    ) -> Result<(), Error> {
        let line = self.would.as_mut();
        let line = line.and_then(|would| would.line(path, action, bytes));
        if matches!(self.style, Style::Json) {
            return self.json(&Object {
                event: "would",
                path: Some(&name(path)),
                action: Some(action.word()),
                bytes,
                ..Object::default()
            });
        }
        line.map_or(Ok(()), |line| self.line(&line))
    }

    /// Writes a line for people, above the bar, where anything is written for them.
    fn line(&mut self, line: &str) -> Result<(), Error> {
        let mut write = || writeln!(self.out, "{line}");
        match &self.style {
            Style::Bar(bar) => bar.suspend(write),
            Style::Lines => write(),
            Style::Json | Style::Silent => Ok(()),
        }
        .map_err(unwritable)
    }

    /// Takes the bar away: something else is written to the terminal.
    pub fn clear(&self) {
        if let Style::Bar(bar) = &self.style {
            bar.finish_and_clear();
        }
    }

    /// Tells what was removed here, or would be.
    pub fn deleted(&mut self, extra: &Extra) -> Result<(), Error> {
        let bytes = (!extra.path.is_dir()).then_some(extra.bytes);
        if self.would.is_some() {
            return self.would(&extra.path, Action::Delete, bytes);
        }
        self.tally.deleted += 1;
        tracing::info!(path = %display_name(extra.path.as_bytes()), "deleted: the server does not have it any more");
        self.json(&Object {
            event: "deleted",
            path: Some(&name(&extra.path)),
            bytes,
            ..Object::default()
        })
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
            Style::Lines | Style::Silent if now.received > 0 && total != Some(0) => {
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
            Style::Lines | Style::Json | Style::Silent => Ok(()),
        }
    }

    /// Tells that the server cannot be reached, which fails all that is left without a word about each file.
    pub fn lost(&mut self, reason: &str) -> Result<(), Error> {
        tracing::error!(target: REPORTED, "{reason}");
        (self.stderr)(&one_line(&format!("haul: {reason}")));
        self.json(&Object {
            event: "failed",
            error: Some(reason.into()),
            ..Object::default()
        })
    }

    /// So many downloads were cancelled, by whoever steers the run from elsewhere.
    pub fn cancelled(&mut self, count: u64) {
        self.tally.cancelled = count;
    }

    /// Ends it after `error`, whose line is the caller's to print: who reads JSON gets that, and the summary.
    pub fn broken(mut self, at: Instant, failed: u64, error: &Error) {
        self.clear();
        if matches!(self.style, Style::Json) {
            let told = Object {
                event: "failed",
                error: Some(error.to_string()),
                ..Object::default()
            };
            // It may be stdout that failed.
            let _ = self.json(&told);
            let _ = self.end(at, failed.max(1), Ended::Whole);
        }
    }

    /// Prints the summary; `failed` files or directories did not arrive.
    pub fn end(mut self, at: Instant, failed: u64, ended: Ended) -> Result<(), Error> {
        let took = at.saturating_duration_since(self.began);
        let fetched = self.tally.bytes.saturating_sub(self.tally.kept);
        let rate = (fetched as f64 / took.as_secs_f64().max(0.001)).round() as u64;
        match &self.style {
            Style::Json => {
                let Tally {
                    files,
                    bytes,
                    kept,
                    unverified,
                    unread,
                    cancelled,
                    ..
                } = self.tally;
                self.json(&Object {
                    event: "summary",
                    bytes: Some(bytes),
                    kept: (kept > 0).then_some(kept),
                    rate: Some(rate),
                    files: Some(files),
                    failed: Some(failed),
                    cancelled: (cancelled > 0).then_some(cancelled),
                    unverified: Some(unverified),
                    unread: (unread > 0).then_some(unread),
                    seconds: Some(took.as_secs_f64()),
                    ..Object::default()
                })?;
            }
            Style::Silent => {
                let line = summary(self.tally, failed, took, rate, ended);
                tracing::info!("{line}");
            }
            Style::Bar(_) | Style::Lines => {
                if let Style::Bar(bar) = &self.style {
                    bar.finish_and_clear();
                }
                let line = match &self.would {
                    Some(would) => would.summary(failed, self.tally.cancelled, took, ended),
                    None => summary(self.tally, failed, took, rate, ended),
                };
                let landed = self.landed.as_ref();
                let line = landed.map_or_else(|| line.clone(), |landed| landed.link(&line));
                writeln!(self.out, "{line}")
                    .and_then(|()| self.out.flush())
                    .map_err(unwritable)?;
            }
        }
        Ok(())
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

/// Nobody takes what goes to stdout.
pub(super) fn unwritable(source: io::Error) -> Error {
    Error::Local(Local {
        what: "cannot write to stdout".into(),
        source,
        remedy: "keep its reader running",
        exit: Exit::Other,
    })
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

#[cfg(test)]
mod tests;
