//! What goes where while files are hashed: lines to stdout, failures to stderr, and progress to stderr where that is a
//! terminal.

use std::{
    cell::RefCell,
    io::{self, BufWriter, IsTerminal as _, Write},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    error::Error,
    escape::{display_name, display_path},
    exit::{Exit, reason},
    headless::report::unwritable,
    logging::one_line,
    units,
};

/// How often the line of progress is written.
const OFTEN: Duration = Duration::from_millis(100);

/// Why nothing more is printed.
pub enum Ended {
    /// Whoever read it has seen enough.
    Enough,
    /// It cannot be written.
    Failed(Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Enough,
            _ => Self::Failed(unwritable(error)),
        }
    }
}

/// The end of a run: a reader such as `head` that has seen enough is no failure, but what was found before still is.
pub fn ended(result: Result<(), Ended>, exits: Vec<Exit>) -> Result<Exit, Error> {
    match result {
        Ok(()) | Err(Ended::Enough) => Ok(Exit::of_all(exits)),
        Err(Ended::Failed(error)) => Err(error),
    }
}

/// Bytes and files so far, as a line that is written over where stderr is a terminal.
pub struct Progress {
    bar: Option<ProgressBar>,
    bytes: AtomicU64,
    began: Instant,
}

impl Progress {
    /// Nothing yet.
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(None, target);
            // The template is a constant; were it wrong, indicatif's own would do.
            let style = ProgressStyle::with_template("{msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self {
            bar,
            bytes: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    /// So many bytes were read, by any thread.
    pub fn read(&self, bytes: u64) {
        let all = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let Some(bar) = &self.bar else { return };
        let took = self.began.elapsed();
        if took > OFTEN {
            let rate = (all as f64 / took.as_secs_f64()) as u64;
            let files = units::count(bar.position());
            let (size, rate) = (units::size(all), units::rate(rate));
            bar.set_message(format!("{files} files, {size}, {rate}"));
        }
    }
}

/// Where lines go.
pub struct Lines<'a, W: Write> {
    out: RefCell<BufWriter<&'a mut W>>,
    progress: &'a Progress,
    /// They go to a terminal: somebody reads along, and progress may share it.
    at_once: bool,
}

impl<'a, W: Write> Lines<'a, W> {
    /// Nothing is written yet.
    pub fn new(out: &'a mut W, progress: &'a Progress) -> Self {
        Self {
            out: RefCell::new(BufWriter::new(out)),
            progress,
            at_once: io::stdout().is_terminal(),
        }
    }

    /// Writes a file's line to stdout.
    pub fn write(&self, line: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Ended> {
        let mut out = self.out.borrow_mut();
        let write = || {
            if !self.at_once {
                return line(&mut *out);
            }
            // Programs get names as they are, terminals none that acts.
            let mut raw = Vec::new();
            line(&mut raw)?;
            let raw = raw.strip_suffix(b"\n").unwrap_or(&raw);
            writeln!(out, "{}", display_name(raw))?;
            out.flush()
        };
        match &self.progress.bar {
            Some(bar) => {
                bar.inc(1);
                if self.at_once {
                    bar.suspend(write)?;
                } else {
                    write()?;
                }
            }
            None => write()?,
        }
        Ok(())
    }

    /// Writes a line to stderr, behind what went to stdout.
    pub fn tell(&self, line: &str) -> Result<(), Ended> {
        self.out.borrow_mut().flush()?;
        // Without stderr nobody can be told.
        let line = one_line(&format!("haul: {line}"));
        let write = || {
            let _ = writeln!(io::stderr(), "{line}");
        };
        match &self.progress.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
        Ok(())
    }

    /// The last of it is written.
    pub fn end(&self) -> Result<(), Ended> {
        if let Some(bar) = &self.progress.bar {
            bar.finish_and_clear();
        }
        Ok(self.out.borrow_mut().flush()?)
    }
}

/// `NAME: no such file or directory`.
pub fn unread(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", display_path(path), reason(error))
}
