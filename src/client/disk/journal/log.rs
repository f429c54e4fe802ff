//! The journal's file: its lines, what they amount to, and how it is opened, locked and written.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::claims::FileId;
use crate::{client::want::Wanted, exit::reason};

const VERSION: u32 = 5;
/// How long whoever held a journal may take to let go of it. Short: the caller may have a screen to draw.
const LET_GO: Duration = Duration::from_millis(100);
/// It is tried anew so often.
const AGAIN: Duration = Duration::from_millis(5);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    Journal {
        version: u32,
        /// The target directory's device when this was written.
        #[serde(default)]
        dev: Option<u64>,
    },
    Began(FileId),
    Synced {
        part: FileId,
        content: Content,
        pieces: Vec<Range<u32>>,
    },
    Ended(FileId),
    Wanted(Ticket, Wanted),
    Settled(Ticket),
    Order(Vec<Ticket>),
}

/// Numbers what is kept of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ticket(pub(super) u64);

/// Names the content that a part is of: validator and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// A strong entity tag, or else the date of the last change.
    pub validator: String,
    /// Bytes.
    pub size: u64,
}

/// What of a part was on disk when it was synced last.
pub type Synced = (Content, Vec<Range<u32>>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) parts: HashMap<FileId, Option<Synced>>,
    /// Those of them that earlier runs left, and that no job of this one has taken up.
    pub(super) left: HashSet<FileId>,
    pub(super) wanted: BTreeMap<Ticket, Wanted>,
    /// The queue's order, where the user changed it; what was asked for later comes behind.
    pub(super) order: Vec<Ticket>,
    /// The target directory's device.
    dev: Option<u64>,
    /// `None`: parts are remembered for this run only, or it was closed.
    log: Option<File>,
    /// It was kept until it was closed.
    was_kept: bool,
    /// It was written until that failed.
    failed: bool,
    /// The log since then, for its lock: nobody else is to take up parts that this run still writes.
    locked: Option<File>,
}

impl Inner {
    /// What a line says happened.
    fn apply(&mut self, line: Line) {
        match line {
            Line::Journal { dev, .. } => self.dev = dev,
            Line::Began(part) => {
                self.parts.insert(part, None);
            }
            Line::Synced {
                part,
                content,
                pieces,
            } => {
                self.parts.insert(part, Some((content, pieces)));
            }
            Line::Ended(part) => {
                self.parts.remove(&part);
            }
            Line::Wanted(ticket, wanted) => {
                self.wanted.insert(ticket, wanted);
            }
            Line::Settled(ticket) => {
                self.wanted.remove(&ticket);
            }
            Line::Order(order) => self.order = order,
        }
    }

    /// Whether it is written, or was until it was closed.
    pub(super) fn is_kept(&self) -> bool {
        self.log.is_some() || self.was_kept
    }

    /// Unlocks it; nothing more is written.
    pub(super) fn close(&mut self) {
        self.was_kept |= self.log.take().is_some();
        self.locked = None;
    }

    /// No job has taken up any of its parts.
    pub(super) fn all_is_left(&mut self) {
        self.left = self.parts.keys().copied().collect();
    }

    /// The target directory is on device `dev` now; where that cannot be told, on the one that it was on. Devices are numbered
    /// anew when a machine starts: the parts that were on the target's are on it still, and of others nothing is known.
    fn on_device(&mut self, dev: Option<u64>) {
        let Some(dev) = dev else { return };
        let before = self.dev.replace(dev);
        let Some(before) = before.filter(|before| *before != dev) else {
            return;
        };
        let parts = std::mem::take(&mut self.parts).into_iter();
        self.parts = parts
            .filter(|(part, _)| part.dev == before)
            .map(|(part, synced)| (FileId { dev, ..part }, synced))
            .collect();
    }

    /// Whether nothing of it was ever written.
    pub(super) fn is_fleeting(&self) -> bool {
        !self.is_kept() && !self.failed
    }

    /// What is wanted, in the queue's order.
    pub(super) fn queue(&self) -> Vec<Ticket> {
        let mut queue: Vec<Ticket> = self.wanted.keys().copied().collect();
        let place = |ticket: &Ticket| self.order.iter().position(|it| it == ticket);
        queue.sort_by_cached_key(|ticket| (place(ticket).unwrap_or(usize::MAX), *ticket));
        queue
    }

    /// The same, with what each is.
    pub(super) fn kept(&self) -> Vec<(Ticket, Wanted)> {
        let queue = self.queue().into_iter();
        queue
            .filter_map(|ticket| Some((ticket, self.wanted.get(&ticket)?.clone())))
            .collect()
    }

    /// The fewest lines that say the same.
    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line::Journal {
            version: VERSION,
            dev: self.dev,
        }];
        for (part, synced) in &self.parts {
            lines.push(Line::Began(*part));
            lines.extend(synced.clone().map(|(content, pieces)| Line::Synced {
                part: *part,
                content,
                pieces,
            }));
        }
        let wanted = self.wanted.iter();
        lines.extend(wanted.map(|(ticket, wanted)| Line::Wanted(*ticket, wanted.clone())));
        let queue = self.queue();
        if !queue.is_sorted() {
            lines.push(Line::Order(queue));
        }
        lines
    }

    pub(super) fn append(&mut self, line: &Line, sync: bool) {
        let Some(log) = &mut self.log else { return };
        let written = serde_json::to_vec(line)
            .map_err(std::io::Error::other)
            .and_then(|mut text| {
                text.push(b'\n');
                log.write_all(&text)?;
                if sync { log.sync_data() } else { Ok(()) }
            });
        if let Err(error) = written {
            tracing::warn!("the journal cannot be written: {}", reason(&error));
            (self.locked, self.failed) = (self.log.take(), true);
        }
    }
}

/// Locks, reads and compacts the journal at `path` of a target directory on device `dev`, where that can be told.
pub(super) fn open(path: &Path, dev: Option<u64>) -> std::io::Result<Inner> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let log = lock(path, LET_GO)?;
    let mut inner = if let Ok(inner) = read(&log) {
        inner
    } else {
        let aside = path.with_extension("jsonl.bad");
        std::fs::copy(path, &aside)?;
        tracing::warn!(
            "the journal was damaged and is set aside as {}",
            aside.display()
        );
        Inner::default()
    };
    let known = dev.is_none() || inner.dev == dev;
    inner.on_device(dev);
    inner.all_is_left();
    inner.log = Some(match compact(&inner, path) {
        Ok(compacted) => compacted,
        Err(error) if known && is_whole(&log)? => {
            tracing::warn!("the journal stays as long as it is: {}", reason(&error));
            log
        }
        Err(_) if log.metadata()?.len() == 0 => {
            (&log).write_all(&text(&inner)?)?;
            log.sync_data()?;
            log
        }
        Err(error) => return Err(error),
    });
    Ok(inner)
}

/// What the journal at `path` amounts to. Nothing is changed; `None` where there is none, it cannot be read, or another client
/// works with it.
pub(super) fn look(path: &Path) -> Option<Inner> {
    let log = File::open(path).ok()?;
    rustix::fs::flock(&log, FlockOperation::NonBlockingLockShared).ok()?;
    read(&log).ok()
}

/// Whether the last line is not cut, so that others can follow.
fn is_whole(log: &File) -> std::io::Result<bool> {
    let mut last = [0];
    let end = log.metadata()?.len();
    Ok(end > 0 && log.read_at(&mut last, end - 1)? == 1 && last == *b"\n")
}

fn text(inner: &Inner) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in inner.lines() {
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Writes what a journal amounts to into a new file, locks it, and gives it the name.
fn compact(inner: &Inner, path: &Path) -> std::io::Result<File> {
    // At each start, into a file that takes the old one's place: a crash leaves the one or the other, whole.
    let next = path.with_extension("jsonl.new");
    let _ = std::fs::remove_file(&next);
    let mut compacted = OpenOptions::new()
        .read(true)
        .append(true)
        .create_new(true)
        .open(&next)?;
    try_lock(&compacted, LET_GO)?;
    compacted.write_all(&text(inner)?)?;
    compacted.sync_data()?;
    std::fs::rename(&next, path)?;
    // What is appended from now on would be lost with the name, should the power fail; all else goes on without this.
    let synced = path.parent().map(|dir| File::open(dir)?.sync_all());
    if let Some(Err(error)) = synced {
        tracing::warn!("a power failure would lose the journal: {}", reason(&error));
    }
    Ok(compacted)
}

/// Opens the journal at `path`, made if missing, and locks it. One that was replaced before it could be locked is nobody's.
pub(super) fn lock(path: &Path, patience: Duration) -> std::io::Result<File> {
    use std::os::unix::fs::MetadataExt;
    loop {
        let log = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        try_lock(&log, patience)?;
        let (here, there) = (log.metadata()?, std::fs::metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino())) {
            return Ok(log);
        }
    }
}

/// Locks a journal. One that was given up just now may be held a moment longer: by a client that ends, or by a program
/// that this process starts, between its fork and its exec.
fn try_lock(log: &File, patience: Duration) -> std::io::Result<()> {
    let end = Instant::now() + patience;
    while rustix::fs::flock(log, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= end {
            return Err(std::io::Error::other(
                "another haul works on the same target",
            ));
        }
        std::thread::sleep(AGAIN);
    }
    Ok(())
}

/// What a journal says. A last line that is cut is what a crash leaves: it counts as not written.
fn read(log: &File) -> std::io::Result<Inner> {
    let damaged = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let mut inner = Inner::default();
    for (number, line) in BufReader::new(log).split(b'\n').enumerate() {
        let line = line?;
        match serde_json::from_slice(&line) {
            Ok(
                line @ Line::Journal {
                    version: 1..=VERSION,
                    ..
                },
            ) if number == 0 => inner.apply(line),
            Ok(Line::Journal { .. }) => return Err(damaged()),
            Ok(line) if number > 0 => inner.apply(line),
            Err(error) if error.is_eof() && number > 0 => {}
            _ => return Err(damaged()),
        }
    }
    Ok(inner)
}
