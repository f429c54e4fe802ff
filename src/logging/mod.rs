//! The log: every event goes to a file, and to a ring for the dashboard or to stderr where there is none.
//!
//! The engine logs through `tracing` and passes names as they came; they are escaped here, so that no remote
//! byte can break a line or reach a terminal. A field called `who`, `client` or `path` says whom a line is about; one
//! with a dot in its name is for programs, and stands in JSON logs only.

mod file;
mod panics;
mod queue;
mod record;
pub mod ring;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tracing::{
    Event, Level, Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest,
};
use tracing_subscriber::{
    Registry,
    layer::{Context, Layer, SubscriberExt as _},
};

pub use panics::note_panic;
pub use record::{json_escaped, one_line};
pub use ring::{Line, Ring};

use crate::{
    config::{self, LogFormat},
    escape::display_path,
    exit::{Exit, Local, REPORTED},
    sys::disk::private_dir,
};
use file::{LogFile, News, Tell, open};
use queue::{Guard, Queue};
use record::Record;

/// How often it is told at most that lines of another place were dropped.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// Takes a line, without its newline, for the user to see. It must not block: a stream that may goes through
/// [`Show::Stderr`].
pub type Sink = Box<dyn Fn(&str) + Send + Sync>;

/// Where the user sees the log, besides the file.
pub enum Show {
    /// In the dashboard's ring.
    Ring(Ring),
    /// As plain lines, up to this level and never more than the log's own.
    Lines(Level, Sink),
    /// The same on stderr, by a thread of its own: a reader that stops costs lines and stops nobody who logs.
    Stderr(Level),
}

/// The running log. Dropping it writes what is pending and closes the file, also while a panic unwinds.
pub struct Logging {
    shown: Shown,
    _pending: Vec<Guard>,
}

/// The level up to which the user sees the log, changeable while it runs. The file keeps the level it began with.
#[derive(Debug, Clone)]
pub struct Shown(Arc<AtomicU8>);

impl Shown {
    fn new(level: Level) -> Self {
        Self(Arc::new(AtomicU8::new(rank(level))))
    }

    /// Shows events of `level` and more severe ones from now on.
    pub fn set(&self, level: Level) {
        self.0.store(rank(level), Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    /// The level that is shown now.
    pub fn get(&self) -> Level {
        match self.0.load(Ordering::Relaxed) {
            1 => Level::ERROR,
            2 => Level::WARN,
            3 => Level::INFO,
            4 => Level::DEBUG,
            _ => Level::TRACE,
        }
    }
}

fn rank(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

impl Logging {
    /// Starts the log of this process; `command` names the default file, `serve.log` or `connect.log`. From then on it tells
    /// of panics, too.
    /// A `ring` beside what is shown is for those who watch from elsewhere.
    ///
    /// A file that was asked for and cannot be opened is an error. Where the default one cannot, the log goes on
    /// without it and says so: a service without a home directory still runs.
    pub fn start(
        settings: &config::Log,
        command: &str,
        show: Show,
        ring: Option<Ring>,
    ) -> Result<Self, Local> {
        let (file, complaint) = match &settings.file {
            Some(path) => {
                let file = open(path).map_err(|e| unwritable(path, e))?;
                (Some((path.clone(), file)), None)
            }
            None => match open_default(command) {
                Ok(file) => (Some(file), None),
                Err(complaint) => (None, Some(complaint)),
            },
        };
        let (mut layer, pending) = Output::new(settings, file, show);
        layer.ring = ring;
        let logging = Self {
            shown: layer.shown.clone(),
            _pending: pending,
        };
        tracing::subscriber::set_global_default(Registry::default().with(layer)).map_err(|e| {
            Local {
                what: "starting the log".into(),
                source: io::Error::other(e),
                remedy: "this process has one already",
                exit: Exit::Other,
            }
        })?;
        panics::note();
        if let Some(complaint) = complaint {
            tracing::warn!("no log file: {complaint}: name another with --log");
        }
        Ok(logging)
    }

    /// The handle with which `:log LEVEL` changes what is shown.
    pub fn shown(&self) -> Shown {
        self.shown.clone()
    }
}

fn unwritable(path: &Path, source: io::Error) -> Local {
    Local {
        what: format!("cannot write the log {}", path.display()),
        source,
        remedy: "name another file with --log",
        exit: Exit::Disk,
    }
}

/// The file that [`Logging::start`] writes, where it can.
pub fn path(settings: &config::Log, command: &str) -> Option<PathBuf> {
    let usual = || config::state_dir().map(|dir| dir.join(format!("{command}.log")));
    settings.file.clone().or_else(usual)
}

/// Opens the state directory's log, or says in words why it cannot.
fn open_default(command: &str) -> Result<(PathBuf, File), String> {
    let dir = config::state_dir().ok_or("no home directory is known")?;
    let path = dir.join(format!("{command}.log"));
    let opened = private_dir(&dir).and_then(|()| open(&path));
    opened
        .map(|file| (path.clone(), file))
        .map_err(|e| format!("{}: {}", path.display(), crate::exit::reason(&e)))
}

/// The layer that writes every event to its places.
struct Output {
    file: Option<(Queue, LogFormat)>,
    file_level: Level,
    show: Arc<Shows>,
    /// For those who watch from elsewhere.
    ring: Option<Ring>,
    shown: Shown,
    /// How many lines that were not shown were told to the file, and when.
    told: Mutex<(u64, Option<Instant>)>,
}

/// Where lines are shown.
enum Shows {
    Ring(Ring),
    Lines(Sink),
    Stderr(Queue),
}

/// How the log tells of its own file.
fn tell(path: PathBuf, format: LogFormat, show: Arc<Shows>) -> Tell {
    let record = move |news: &News| match news {
        News::Fails(why) => {
            let path = display_path(&path);
            let text = format!("the log {path} cannot be written: {why}: lines are lost");
            Record::own(Level::ERROR, text)
        }
        News::Lost(lines, why) => {
            let text = format!("lines of the log that are lost: {lines}: {why}");
            Record::own(Level::WARN, text)
        }
    };
    let form = record.clone();
    Tell {
        form: Box::new(move |news| form(news).form(format)),
        show: Box::new(move |news| match &*show {
            Shows::Ring(ring) => ring.push(record(news).line()),
            Shows::Lines(sink) => sink(&record(news).plain_line()),
            Shows::Stderr(queue) => queue.push(record(news).plain_line() + "\n"),
        }),
    }
}

impl Output {
    fn new(
        settings: &config::Log,
        file: Option<(PathBuf, File)>,
        show: Show,
    ) -> (Self, Vec<Guard>) {
        let format = settings.format;
        let shown = match &show {
            Show::Ring(_) => settings.level,
            Show::Lines(level, _) | Show::Stderr(level) => settings.level.min(*level),
        };
        let mut pending = Vec::new();
        let show = Arc::new(match show {
            Show::Ring(ring) => Shows::Ring(ring),
            Show::Lines(_, sink) => Shows::Lines(sink),
            Show::Stderr(_) => {
                let tell = Box::new(|lines| dropped(lines).plain_line() + "\n");
                let (queue, guard) = Queue::start(io::stderr(), tell);
                pending.push(guard);
                Shows::Stderr(queue)
            }
        });
        let (file, guard) = file
            .map(|(path, file)| {
                let news = tell(path.clone(), format, Arc::clone(&show));
                let file = LogFile::new(path, file, news);
                Queue::start(file, Box::new(move |lines| dropped(lines).form(format)))
            })
            .unzip();
        // What is written to the file first is done with first: it may have news for the other place.
        pending.splice(0..0, guard);
        let output = Self {
            file: file.map(|file| (file, format)),
            file_level: settings.level,
            show,
            ring: None,
            shown: Shown::new(shown),
            told: Mutex::default(),
        };
        (output, pending)
    }

    /// Tells the file, now and then, how many lines stderr did not take.
    fn tell_dropped(&self, stderr: &Queue) {
        let (Some((file, format)), lines) = (&self.file, stderr.dropped()) else {
            return;
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, when) = *told;
        if lines > before && when.is_none_or(|when| when.elapsed() >= TELL_AGAIN) {
            *told = (lines, Some(Instant::now()));
            drop(told);
            file.push(dropped(lines).form(*format));
        }
    }

    fn max_level(&self) -> Level {
        self.file_level.max(self.shown.get())
    }
}

impl<S: Subscriber> Layer<S> for Output {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes() // the level may change
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.max_level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.max_level()))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let all = self
            .file
            .as_ref()
            .is_some_and(|(_, format)| *format == LogFormat::Json);
        let record = Record::new(event, Timestamp::now(), all);
        if let Some((file, format)) = &self.file
            && level <= self.file_level
        {
            file.push(record.form(*format));
        }
        if let Some(ring) = &self.ring
            && level <= self.file_level
        {
            ring.push(record.line());
        }
        if level > self.shown.get() {
            return;
        }
        let reported = event.metadata().target() == REPORTED;
        match &*self.show {
            Shows::Ring(ring) => ring.push(record.line()),
            Shows::Lines(sink) if !reported => sink(&record.plain_line()),
            Shows::Stderr(queue) if !reported => {
                queue.push(record.plain_line() + "\n");
                self.tell_dropped(queue);
            }
            Shows::Lines(_) | Shows::Stderr(_) => {}
        }
    }
}

/// The event that tells of lines that were dropped.
fn dropped(lines: u64) -> Record {
    let why = "their reader or disk was too slow";
    Record::own(
        Level::WARN,
        format!("{lines} lines of the log were dropped: {why}"),
    )
}

#[cfg(test)]
mod tests;
