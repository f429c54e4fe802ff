//! Which parts in a target directory are this client's own: a log in the state directory, never in the target.
//!
//! A file named `NAME.part` may be anybody's. Only one that the journal names, by device and inode, is gone on with;
//! beside any other a new name is used. One journal belongs to one target directory and one origin, and to one process
//! at a time (`flock`): a second client of the same pair works without it, on parts of its own.
//!
//! Where a server offers no pieces, nothing but the journal can tell what of a part is right: after each sync of the part
//! it notes which pieces were there, and of which content (entity tag or date, and size). Only those are gone on with.
//!
//! It keeps the queue, too: what was asked for and has not ended, so that a later run can go on with that.
//!
//! Format, version 2: JSON objects, a line each. The first names format and version; `began`, `synced` and `ended` (parts)
//! and `wanted` and `settled` (the queue) follow in the order in which they happened; a later `synced` of a part replaces
//! the earlier. Version 1 had no queue, and is read as well. A journal that cannot be read is set aside as `NAME.bad`,
//! never trusted.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    ops::Range,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::wanted::Wanted;
use crate::exit::reason;

const VERSION: u32 = 2;
/// How long whoever held a journal may take to let go of it. Short: the caller may have a screen to draw.
const LET_GO: Duration = Duration::from_millis(100);

/// A file by device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileId {
    dev: u64,
    ino: u64,
}

impl FileId {
    /// Of an open file.
    pub fn of(file: &File) -> std::io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = file.metadata()?;
        Ok(Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Journal {
        version: u32,
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
}

/// Numbers what is kept of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ticket(u64);

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

/// The parts that are this client's own.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Inner>, Arc<Claims>);

/// Parts that are being worked on, and who waits for one of them.
#[derive(Debug, Default)]
struct Claims {
    held: Mutex<HashSet<FileId>>,
    let_go: Condvar,
}

/// A part that a job works on: no other may take it up. Released when it is dropped.
#[derive(Debug)]
pub struct Claim {
    file: FileId,
    claims: Arc<Claims>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let held = self.claims.held.lock();
        held.unwrap_or_else(PoisonError::into_inner)
            .remove(&self.file);
        self.claims.let_go.notify_all();
    }
}

#[derive(Debug, Default)]
struct Inner {
    parts: HashMap<FileId, Option<Synced>>,
    wanted: BTreeMap<Ticket, Wanted>,
    /// `None`: parts are remembered for this run only.
    log: Option<File>,
}

impl Journal {
    /// Opens the journal of a target (by its directory id) and origin in `state_dir`. Where that fails, the reason is
    /// logged and parts are remembered for this run only: downloads go on, a later run starts them afresh.
    pub fn open(state_dir: Option<&Path>, target_id: &str, origin: &str) -> Self {
        let Some(state_dir) = state_dir else {
            return Self::default();
        };
        let key = blake3::hash(format!("{target_id} {origin}").as_bytes()).to_hex();
        let path = state_dir
            .join("journals")
            .join(format!("{}.jsonl", &key[..32]));
        match open(&path) {
            Ok(inner) => Self(Mutex::new(inner), Arc::default()),
            Err(error) => {
                tracing::warn!(
                    "what is fetched now cannot be gone on with later: {}: {}",
                    path.display(),
                    reason(&error)
                );
                Self::default()
            }
        }
    }

    /// Whether `file` is a part of ours.
    pub fn owns(&self, file: FileId) -> bool {
        self.inner().parts.contains_key(&file)
    }

    /// The pieces of `content` that `file` is known to hold.
    pub fn pieces_of(&self, file: FileId, content: &Content) -> Vec<Range<u32>> {
        match self.inner().parts.get(&file) {
            Some(Some((of, pieces))) if of == content => pieces.clone(),
            _ => Vec::new(),
        }
    }

    /// A part was synced, and holds these pieces of `content`.
    pub fn synced(&self, part: FileId, content: Content, pieces: Vec<Range<u32>>) {
        let mut inner = self.inner();
        if let Some(synced) = inner.parts.get_mut(&part) {
            *synced = Some((content.clone(), pieces.clone()));
            let line = Line::Synced {
                part,
                content,
                pieces,
            };
            inner.append(&line, true);
        }
    }

    /// Claims a part; `None` while another job works on it.
    pub fn claim(&self, file: FileId) -> Option<Claim> {
        self.claim_within(file, Duration::ZERO)
    }

    /// The same, once another job has let go of it: waits for that at most so long. Blocking.
    pub fn claim_within(&self, file: FileId, patience: Duration) -> Option<Claim> {
        let held = self.1.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_held = |held: &mut HashSet<FileId>| held.contains(&file);
        let waited = self.1.let_go.wait_timeout_while(held, patience, is_held);
        let (mut held, _) = waited.unwrap_or_else(PoisonError::into_inner);
        held.insert(file).then(|| Claim {
            file,
            claims: Arc::clone(&self.1),
        })
    }

    /// A part was made.
    pub fn began(&self, file: FileId) {
        let mut inner = self.inner();
        inner.parts.insert(file, None);
        inner.append(&Line::Began(file), true);
    }

    /// What was asked for and has not ended, also by earlier runs, the oldest first.
    pub fn wanted(&self) -> Vec<(Ticket, Wanted)> {
        let inner = self.inner();
        let each = inner.wanted.iter();
        each.map(|(ticket, wanted)| (*ticket, wanted.clone()))
            .collect()
    }

    /// Something was asked for. It is on disk with the next part that is: a crash of the machine may forget it.
    pub fn want(&self, wanted: Wanted) -> Ticket {
        let mut inner = self.inner();
        let last = inner.wanted.last_key_value();
        let ticket = Ticket(last.map_or(0, |(Ticket(last), _)| last + 1));
        inner.wanted.insert(ticket, wanted.clone());
        inner.append(&Line::Wanted(ticket, wanted), false);
        ticket
    }

    /// It has ended, and nothing of it is left to be gone on with.
    pub fn settle(&self, ticket: Ticket) {
        let mut inner = self.inner();
        if inner.wanted.remove(&ticket).is_some() {
            inner.append(&Line::Settled(ticket), false);
        }
    }

    /// A part was completed or removed.
    pub fn ended(&self, file: FileId) {
        let mut inner = self.inner();
        if inner.parts.remove(&file).is_some() {
            inner.append(&Line::Ended(file), true);
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What a line says happened.
    fn apply(&mut self, line: Line) {
        match line {
            Line::Journal { .. } => {}
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
        }
    }

    /// The fewest lines that say the same.
    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line::Journal { version: VERSION }];
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
        lines
    }

    fn append(&mut self, line: &Line, sync: bool) {
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
            self.log = None;
        }
    }
}

/// Locks, reads and compacts the journal at `path`.
fn open(path: &Path) -> std::io::Result<Inner> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let log = lock(path)?;
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
    // Compacted at each start, into a file that takes the old one's place: a crash leaves the one or the other, whole.
    let next = path.with_extension("jsonl.new");
    let _ = std::fs::remove_file(&next);
    let mut compacted = OpenOptions::new()
        .read(true)
        .append(true)
        .create_new(true)
        .open(&next)?;
    try_lock(&compacted)?;
    let mut text = Vec::new();
    for line in inner.lines() {
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    compacted.write_all(&text)?;
    compacted.sync_data()?;
    std::fs::rename(&next, path)?;
    inner.log = Some(compacted);
    Ok(inner)
}

/// Opens the journal at `path`, made if missing, and locks it. One that was replaced before it could be locked is nobody's.
fn lock(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::MetadataExt;
    loop {
        let log = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        try_lock(&log)?;
        let (here, there) = (log.metadata()?, std::fs::metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino())) {
            return Ok(log);
        }
    }
}

/// Locks a journal. One that was given up just now may be held a moment longer: by a client that ends, or by a program
/// that this process starts, between its fork and its exec.
fn try_lock(log: &File) -> std::io::Result<()> {
    let end = Instant::now() + LET_GO;
    while rustix::fs::flock(log, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= end {
            return Err(std::io::Error::other(
                "another haul works on the same target",
            ));
        }
        std::thread::sleep(LET_GO / 20);
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
            Ok(Line::Journal {
                version: 1..=VERSION,
            }) if number == 0 => {}
            Ok(Line::Journal { .. }) => return Err(damaged()),
            Ok(line) if number > 0 => inner.apply(line),
            Err(error) if error.is_eof() && number > 0 => {}
            _ => return Err(damaged()),
        }
    }
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FileId = FileId { dev: 1, ino: 2 };
    const B: FileId = FileId { dev: 1, ino: 3 };

    fn file(dir: &Path) -> std::path::PathBuf {
        std::fs::read_dir(dir.join("journals"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
    }

    #[test]
    fn parts_are_remembered_across_runs() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), "target", "origin");
        let journal = open();
        journal.began(A);
        journal.began(B);
        journal.ended(B);
        drop(journal);
        let journal = open();
        assert!(journal.owns(A) && !journal.owns(B));
        assert!(!Journal::open(Some(temp.path()), "target", "elsewhere").owns(A));
    }

    #[test]
    fn what_a_part_holds_is_remembered_for_its_content_only() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), "target", "origin");
        let content = |validator: &str| Content {
            validator: validator.into(),
            size: 9,
        };
        let journal = open();
        journal.began(A);
        journal.synced(A, content("one"), vec![0..2, 4..5]);
        journal.synced(A, content("one"), vec![0..3, 5..6]);
        journal.synced(B, content("one"), vec![0..1, 2..3]);
        drop(journal);
        let journal = open();
        assert_eq!(journal.pieces_of(A, &content("one")), [0..3, 5..6]);
        assert_eq!(journal.pieces_of(A, &content("two")), []);
        assert_eq!(journal.pieces_of(B, &content("one")), []);
    }

    #[test]
    fn what_was_asked_for_is_remembered_until_it_ends() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), "target", "origin");
        let wanted = |name: &str| {
            let get = vec![name.to_owned()];
            let exclude = Vec::new();
            Wanted::new(&crate::client::Want::Patterns { get, exclude }, None).unwrap()
        };
        let journal = open();
        let first = journal.want(wanted("one"));
        let second = journal.want(wanted("two"));
        journal.settle(first);
        drop(journal);
        let journal = open();
        assert_eq!(journal.wanted(), [(second, wanted("two"))]);
        let third = journal.want(wanted("three"));
        assert!(third > second);
        drop(journal);
        let journal = open();
        journal.settle(second);
        journal.settle(third);
        drop(journal);
        assert_eq!(open().wanted(), []);
    }

    #[test]
    fn what_a_crash_left_while_it_was_compacted_is_no_obstacle() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), "target", "origin");
        open().began(A);
        let path = file(temp.path());
        std::fs::write(path.with_extension("jsonl.new"), "half a li").unwrap();
        let journal = open();
        assert!(journal.owns(A));
        assert!(!open().owns(A), "it is locked, whichever file it is");
        drop(journal);
        assert!(open().owns(A) && !path.with_extension("jsonl.new").exists());
    }

    #[test]
    fn a_journal_without_a_queue_is_read() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), "target", "origin");
        drop(open());
        let old = "{\"journal\":{\"version\":1}}\n{\"began\":{\"dev\":1,\"ino\":2}}\n";
        std::fs::write(file(temp.path()), old).unwrap();
        assert!(open().owns(A));
    }

    #[test]
    fn two_clients_never_share_a_journal() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), "target", "origin");
        let first = open();
        first.began(A);
        let second = open();
        assert!(!second.owns(A));
        second.began(B);
        drop((first, second));
        assert!(open().owns(A) && !open().owns(B));
    }

    #[test]
    fn a_cut_line_is_dropped_and_damage_is_set_aside() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), "target", "origin");
        open().began(A);
        let path = file(temp.path());
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        assert!(!open().owns(A));
        for damage in [
            "nonsense\n",
            "{\"journal\":{\"version\":9}}\n",
            "{\"began\":{\"dev\":1,\"ino\":2}}\n",
        ] {
            std::fs::write(&path, damage).unwrap();
            assert!(!open().owns(A));
            assert!(path.with_extension("jsonl.bad").exists());
        }
    }
}
