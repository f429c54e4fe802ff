//! The state of `haul connect`'s dashboard: the remote directory and the queue of transfers.

use std::{
    collections::{HashMap, HashSet},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    browser::Browser,
    cursor::Cursor,
    effect::Effect,
    event::{LocalFile, Server},
    figures::Book,
    here::Watch,
    throughput::Gauge,
    undone::Undo,
};
use crate::{
    client::{self, ItemId, Snapshot, Want},
    escape::display_name,
    forms,
    http1::path::RemotePath,
    pieces, units,
};

/// Transfers that one key adds: each has a row and a place in the queue, and is looked at several times a second.
const QUEUED_AT_ONCE: usize = 10_000;
/// How often the disk is asked what is free on it.
const FREE_EVERY: Duration = Duration::from_secs(5);

/// What the dashboard is told at the start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Facts {
    /// How this client is called on the server's screen.
    pub user: Option<String>,
    /// Where downloads go, absolute.
    #[serde(with = "forms::path")]
    pub dir: PathBuf,
    /// The user's home, for `~`.
    #[serde(with = "forms::some_path")]
    pub home: Option<PathBuf>,
    /// Where downloads of screens go, if `:lcd` had changed it before this run began.
    #[serde(default, with = "forms::some_path")]
    pub lcd: Option<PathBuf>,
    /// Whether the server was named by the user; one that was not is asked for when it cannot be reached.
    pub named: bool,
}

/// A row of the transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// The snapshot's item at that place.
    Item(usize),
    /// One of the files of that item that are on their way.
    File(usize, usize),
}

impl Row {
    pub(super) fn item(self) -> usize {
        match self {
            Self::Item(item) | Self::File(item, _) => item,
        }
    }
}

/// The state of the dashboard.
#[derive(Debug)]
pub struct Connect {
    /// What the dashboard was told.
    pub facts: Facts,
    /// The server's base URL; `None` until one is named.
    pub url: Option<Url>,
    /// Where downloads go now, if `:lcd` changed it.
    pub lcd: Option<PathBuf>,
    /// Bytes that are free where downloads go, as far as it is known.
    pub free: Option<u64>,
    /// When that was asked for last.
    free_asked: Option<Instant>,
    /// The client as it was sampled last.
    pub snapshot: Snapshot,
    /// When the link went down, and how it did.
    pub link_lost: Option<Instant>,
    /// What the user named on the server, until its directory is listed.
    pub named: Option<RemotePath>,
    /// The remote directory.
    pub remote: Browser,
    /// The text that shown transfers hold.
    pub filter: String,
    /// What the filter lets through, and the files of trees that are unfolded.
    pub rows: Vec<Row>,
    /// Trees whose files on their way have rows.
    pub(super) unfolded: HashSet<ItemId>,
    /// What the server asked last while nothing went on, until it is up again; and which one wants a login.
    pub(super) asked: Option<(client::Question, Option<String>)>,
    /// Whether a sample was taken of this server's client.
    pub(super) sampled: bool,
    pub(super) gauges: HashMap<ItemId, Gauge>,
    pub(super) book: Book,
    pub(super) cursor: Cursor,
    pub(super) current: Option<ItemId>,
    /// Where the cursor is on one of its files, which.
    pub(super) current_file: Option<RemotePath>,
    /// Whether somebody chose it.
    pub(super) chosen: bool,
    /// Of the local disk.
    pub(super) watch: Watch,
    /// What was done to the queue last.
    pub(super) undo: Undo,
    /// Whether the server is in the list of those that were used.
    pub(super) noted: bool,
    /// The directory to open on a server once it has answered.
    pub(super) going: Option<(Url, RemotePath)>,
}

impl Connect {
    /// A dashboard before the first sample.
    pub fn new(facts: Facts, server: Option<Server>) -> Self {
        let (url, named) = server.map_or((None, None), |s| (Some(s.url), s.named));
        Self {
            lcd: facts.lcd.clone(),
            facts,
            url,
            free: None,
            free_asked: None,
            snapshot: Snapshot::default(),
            link_lost: None,
            named,
            remote: Browser::default(),
            filter: String::new(),
            rows: Vec::new(),
            unfolded: HashSet::new(),
            asked: None,
            sampled: false,
            gauges: HashMap::new(),
            book: Book::default(),
            cursor: Cursor::default(),
            current: None,
            current_file: None,
            chosen: false,
            watch: Watch::default(),
            undo: Undo::default(),
            noted: false,
            going: None,
        }
    }

    /// Turns to another server.
    pub fn turn_to(&mut self, server: Server) -> Effect {
        self.url = Some(server.url);
        self.named = server.named;
        self.snapshot = Snapshot::default();
        self.asked = None;
        self.sampled = false;
        self.noted = false;
        self.undo = Undo::default();
        self.link_lost = None;
        self.chosen = false;
        self.filter.clear();
        self.gauges.clear();
        self.book = Book::default();
        self.rows.clear();
        self.unfolded.clear();
        self.remote = self.remote.next();
        self.remote.open(RemotePath::root())
    }

    /// Where downloads go now.
    pub fn dir(&self) -> &Path {
        self.lcd.as_deref().unwrap_or(&self.facts.dir)
    }

    /// Lets downloads go to `dir` from now on.
    pub(super) fn download_to(&mut self, dir: PathBuf) {
        self.lcd = Some(dir);
        (self.free, self.free_asked) = (None, None);
        self.remote.listing.forget_here();
    }

    /// Asks from time to time how much is free there.
    pub(super) fn ask_free(&mut self, now: Instant) -> Option<Effect> {
        let old = |at: Instant| now.saturating_duration_since(at) >= FREE_EVERY;
        if !self.free_asked.is_none_or(old) {
            return None;
        }
        self.free_asked = Some(now);
        Some(Effect::LookForSpace(self.dir().to_owned()))
    }

    /// Goes to what the user named on the server, now that its directory is listed or cannot be: opens a directory,
    /// downloads a file.
    pub fn go_to_named(&mut self) -> Option<Effect> {
        if let Some((server, dir)) = self.going.take()
            && self.url.as_ref() == Some(&server)
        {
            return Some(self.remote.open(dir));
        }
        let named = self.named.take()?;
        let entries = self.remote.listing.entries();
        let entry = entries.iter().find(|entry| entry.name == named.name());
        if entry.is_some_and(|entry| entry.is_dir) {
            return Some(self.remote.open(named));
        }
        // What no listing shows may be there all the same.
        Some(Effect::Get {
            wants: vec![Want::Path {
                path: named,
                size: entry.and_then(|entry| entry.size),
            }],
            to: None,
            update: false,
        })
    }

    /// Downloads what is marked, or else the current entry. A whole directory is one transfer, where its entries are too
    /// many for one each. With `update`, what is here in another version is brought up to date.
    pub fn download(&mut self, update: bool) -> Result<Vec<Effect>, String> {
        let listing = &self.remote.listing;
        let marked = self.remote.marked_count();
        if marked > QUEUED_AT_ONCE {
            let whole = listing.marked_count() == listing.entries().len();
            if !whole || marked > listing.marked_count() {
                return Err(format!(
                    "{} marked, at most {} at once: `:get PATTERN` takes any number, Ctrl-a without a filter all",
                    units::count(marked as u64),
                    units::count(QUEUED_AT_ONCE as u64)
                ));
            }
            let path = self.remote.path.clone().into_dir();
            self.remote.unmark_all();
            return Ok(vec![Effect::Get {
                wants: vec![Want::Path { path, size: None }],
                to: self.lcd.clone(),
                update,
            }]);
        }
        let paths = if marked > 0 {
            self.remote.marked()
        } else {
            let current = listing.current();
            let path = |entry| Some((self.remote.path_of(entry)?, entry.size));
            current.and_then(path).into_iter().collect()
        };
        let paths = paths.into_iter();
        let wants: Vec<_> = paths
            .map(|(path, size)| Want::Path { path, size })
            .collect();
        self.remote.unmark_all();
        self.remote.listing.end_range();
        if wants.is_empty() {
            return Err("nothing to download here: `Space` marks, `d` downloads".to_owned());
        }
        let to = self.lcd.clone();
        Ok(vec![Effect::Get { wants, to, update }])
    }

    /// What `:get` asks for: names of the listing as they are, all else as patterns from here.
    pub fn get(&self, patterns: Vec<String>, to: Option<String>) -> Vec<Effect> {
        let to = to.map(|to| self.local(&to)).or_else(|| self.lcd.clone());
        let (mut globs, mut wants) = (Vec::new(), Vec::new());
        for pattern in patterns {
            let name = pattern.strip_suffix('/').unwrap_or(&pattern);
            let entry = self
                .remote
                .listing
                .entries()
                .iter()
                .find(|e| e.name == name.as_bytes());
            match entry.map(|entry| (entry, self.remote.path.join(&entry.name))) {
                Some((entry, Ok(path))) => {
                    let path = if entry.is_dir { path.into_dir() } else { path };
                    let size = entry.size;
                    wants.push(Want::Path { path, size });
                }
                _ => globs.push(self.pattern_from_top(&pattern)),
            }
        }
        if !globs.is_empty() {
            wants.push(Want::Patterns {
                get: globs,
                exclude: Vec::new(),
            });
        }
        vec![Effect::Get {
            wants,
            to,
            update: false,
        }]
    }

    /// Holds a file that is here against the digest that the listing tells.
    pub fn verify(&self, name: &str) -> Result<Effect, String> {
        let shown = display_name(name).into_owned();
        let entries = self.remote.listing.entries();
        let entry = entries.iter().find(|entry| entry.name == name.as_bytes());
        let entry = entry.ok_or_else(|| {
            format!("verify: no `{shown}` is listed here: :cd goes to its directory")
        })?;
        let path = self.remote.path_of(entry).ok_or("verify: no file's name")?;
        let local = self
            .dir()
            .join(std::ffi::OsStr::from_bytes(path.as_bytes()));
        let server = self.url.clone().ok_or("verify: there is no server")?;
        let file = LocalFile {
            server,
            path,
            local,
        };
        let Some(expected) = entry.blake3 else {
            // One that was not hashed yet may tell values all the same.
            let server = self.snapshot.server.as_deref();
            let asks = server.is_some_and(|name| name.starts_with("haul/"))
                && entry.size.is_some_and(|size| pieces::value_count(size) > 0);
            return if asks {
                Ok(Effect::FindDamage(file))
            } else {
                Err(format!(
                    "verify: the server told no digest of {shown}: downloading it again checks it"
                ))
            };
        };
        Ok(Effect::Verify {
            file,
            expected,
            name: shown,
        })
    }

    /// Leaves the server: nothing is listed, nothing is queued.
    pub fn leave(&mut self) {
        let facts = std::mem::take(&mut self.facts);
        let lcd = self.lcd.take();
        let remote = self.remote.next();
        *self = Self {
            lcd,
            remote,
            ..Self::new(facts, None)
        };
    }

    /// A pattern as the engine takes it: from the base URL, with this directory's name literal.
    fn pattern_from_top(&self, pattern: &str) -> String {
        if let Some(absolute) = pattern.strip_prefix('/') {
            return absolute.to_owned();
        }
        let mut whole = String::new();
        for name in self.remote.path.names() {
            whole.push_str(&client::literal(name));
            whole.push('/');
        }
        whole + pattern
    }

    /// A local directory as typed: `~` and what is relative to the target.
    pub fn local(&self, typed: &str) -> PathBuf {
        let here = self.dir();
        local(typed, here, self.facts.home.as_ref())
    }
}

/// A local path as typed: `~` is `home`, what is relative is below `here`.
pub(super) fn local(typed: &str, here: &Path, home: Option<&PathBuf>) -> PathBuf {
    match (typed.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            home.join(rest.trim_start_matches('/'))
        }
        _ => here.join(typed),
    }
}
