//! How a download without a dashboard shows itself.

use std::io::{self, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::logging::Sink;

/// How progress is shown.
pub enum Style {
    /// A bar on the terminal.
    Bar(ProgressBar),
    /// A log line a file, and one every few seconds.
    Lines,
    /// One JSON object a line on stdout.
    Json,
    /// Nothing: the log has it all.
    Silent,
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
            Self::Lines | Self::Json | Self::Silent => None,
        };
        if matches!(self, Self::Silent) {
            return Box::new(|_| {});
        }
        Box::new(move |line| {
            // Without stderr the log file has the line.
            let write = || drop(io::stderr().write_all(format!("{line}\n").as_bytes()));
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
