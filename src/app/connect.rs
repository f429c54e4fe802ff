//! The state of `haul connect`'s dashboard: the remote directory and the queue of transfers.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use url::Url;

use super::{
    browser::Browser,
    command::Target,
    cursor::{Cursor, Motion},
    event::{Control, Effect, Server},
    listing::holds,
    throughput::Gauge,
};
use crate::{
    client::{ItemId, ItemState, ItemView, Link, Snapshot, Want},
    http1::path::RemotePath,
    progress::percent,
};

/// What the dashboard is told at the start.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// How this client is called on the server's screen.
    pub user: Option<String>,
    /// Where downloads go, absolute.
    pub dir: PathBuf,
    /// The user's home, for `~`.
    pub home: Option<PathBuf>,
    /// Whether the server was named by the user; one that was not is asked for when it cannot be reached.
    pub named: bool,
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
    /// Indices into the snapshot's items that the filter lets through.
    pub rows: Vec<usize>,
    /// The patterns of items that are no single path; raw.
    pub labels: HashMap<ItemId, String>,
    gauges: HashMap<ItemId, Gauge>,
    cursor: Cursor,
    current: Option<ItemId>,
}

/// The queue in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes flow, or a failure is waited out.
    pub active: usize,
    /// Paused.
    pub paused: usize,
    /// Waiting for their turn.
    pub queued: usize,
    /// Failed for good.
    pub failed: usize,
    /// Complete.
    pub done: usize,
    /// Cancelled.
    pub cancelled: usize,
}

/// Everything that is wanted, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Here.
    pub done: u64,
    /// In all.
    pub total: u64,
    /// Whether the total is final: every size is known and every tree is listed.
    pub known: bool,
}

impl Connect {
    /// A dashboard before the first sample.
    pub fn new(facts: Facts, server: Option<Server>) -> Self {
        let (url, named) = server.map_or((None, None), |s| (Some(s.url), s.named));
        Self {
            facts,
            url,
            lcd: None,
            snapshot: Snapshot::default(),
            link_lost: None,
            named,
            remote: Browser::default(),
            filter: String::new(),
            rows: Vec::new(),
            labels: HashMap::new(),
            gauges: HashMap::new(),
            cursor: Cursor::default(),
            current: None,
        }
    }

    /// Turns to another server.
    pub fn turn_to(&mut self, server: Server) -> Effect {
        self.url = Some(server.url);
        self.named = server.named;
        self.snapshot = Snapshot::default();
        self.link_lost = None;
        self.gauges.clear();
        self.labels.clear();
        self.rows.clear();
        self.remote = Browser::default();
        self.remote.open(RemotePath::root())
    }

    /// Goes to what the user named on the server, now that its directory is listed or cannot be: opens a directory,
    /// downloads a file.
    pub fn go_to_named(&mut self) -> Option<Effect> {
        let named = self.named.take()?;
        let entries = self.remote.listing.entries();
        let entry = entries.iter().find(|entry| entry.name == named.name());
        if entry.is_some_and(|entry| entry.is_dir) {
            return Some(self.remote.open(named));
        }
        // What no listing shows may be there all the same.
        Some(Effect::Get {
            want: Want::Path {
                path: named,
                size: entry.and_then(|entry| entry.size),
            },
            to: None,
        })
    }

    /// Takes a sample. With `refresh` the shown figures are renewed.
    pub fn sample(&mut self, now: Instant, snapshot: Snapshot, refresh: bool) {
        self.link_lost = match snapshot.link {
            Link::Up | Link::Connecting => None,
            // Every attempt starts its own wait.
            _ if snapshot.link != self.snapshot.link => Some(now),
            _ => self.link_lost.or(Some(now)),
        };
        for item in &snapshot.items {
            if item.state == ItemState::Active {
                let gauge = self.gauges.entry(item.id).or_default();
                gauge.sample(now, item.done, item.total, refresh);
            } else {
                // A rate from before a pause says nothing about after it.
                self.gauges.remove(&item.id);
            }
        }
        if self.gauges.len() > snapshot.items.len() {
            let known: HashSet<_> = snapshot.items.iter().map(|item| item.id).collect();
            self.gauges.retain(|id, _| known.contains(id));
        }
        self.snapshot = snapshot;
        self.choose_rows();
    }

    fn choose_rows(&mut self) {
        let exact = self.filter.chars().any(char::is_uppercase);
        let items = self.snapshot.items.iter().enumerate();
        self.rows.clear();
        self.rows.extend(
            items
                .filter(|(_, item)| holds(item.path.as_bytes(), &self.filter, exact))
                .map(|(i, _)| i),
        );
        let at = self
            .rows
            .iter()
            .position(|&i| Some(self.snapshot.items[i].id) == self.current);
        self.cursor
            .go(at.unwrap_or(self.cursor.at()), self.rows.len());
        self.current = self.item().map(|item| item.id);
    }

    /// The `row`th shown item and its figures.
    pub fn row(&self, row: usize) -> Option<(&ItemView, Option<&Gauge>)> {
        let item = self.snapshot.items.get(*self.rows.get(row)?)?;
        Some((item, self.gauges.get(&item.id)))
    }

    /// The item under the cursor.
    pub fn item(&self) -> Option<&ItemView> {
        self.row(self.cursor.at()).map(|(item, _)| item)
    }

    /// What an item is called: its path, or the patterns that it was asked for by; raw.
    pub fn name<'a>(&'a self, item: &'a ItemView) -> &'a [u8] {
        match self.labels.get(&item.id) {
            Some(patterns) => patterns.as_bytes(),
            None if item.path.is_root() => b"/",
            None => item.path.as_bytes(),
        }
    }

    /// The queue's item for a remote path, the newest one.
    pub fn item_for(&self, path: &RemotePath) -> Option<&ItemView> {
        let same = |item: &&ItemView| item.path.trimmed() == path.trimmed();
        self.snapshot.items.iter().rev().find(same)
    }

    /// The cursor in the transfers pane.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Moves the cursor.
    pub fn apply(&mut self, motion: Motion) {
        self.cursor.apply(motion, self.rows.len());
        self.current = self.item().map(|item| item.id);
    }

    /// Stands on a row.
    pub fn go(&mut self, row: usize) {
        self.cursor.go(row, self.rows.len());
        self.current = self.item().map(|item| item.id);
    }

    /// Moves the window.
    pub fn scroll(&mut self, by: isize) {
        self.cursor.scroll(by, self.rows.len());
        self.current = self.item().map(|item| item.id);
    }

    /// Tells how many rows the window has.
    pub fn set_page(&mut self, rows: usize) {
        self.cursor.set_page(rows, self.rows.len());
    }

    /// Shows only transfers that hold `filter`.
    pub fn set_filter(&mut self, filter: &str) {
        filter.clone_into(&mut self.filter);
        self.choose_rows();
    }

    /// The queue in numbers.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for item in &self.snapshot.items {
            let count = match item.state {
                ItemState::Active | ItemState::Waiting(_) | ItemState::Landing => {
                    &mut counts.active
                }
                ItemState::Paused => &mut counts.paused,
                ItemState::Queued => &mut counts.queued,
                ItemState::Failed(_) => &mut counts.failed,
                ItemState::Finished(_) => &mut counts.done,
                ItemState::Cancelled => &mut counts.cancelled,
            };
            *count += 1;
        }
        counts
    }

    /// Everything that is wanted: all but what was cancelled.
    pub fn whole(&self) -> Whole {
        let wanted = self
            .snapshot
            .items
            .iter()
            .filter(|i| i.state != ItemState::Cancelled);
        let mut whole = Whole {
            done: 0,
            total: 0,
            known: true,
        };
        for item in wanted {
            whole.done = whole.done.saturating_add(item.done);
            whole.total = whole.total.saturating_add(item.total.unwrap_or(item.done));
            whole.known &= item.total.is_some() && item.files.is_none_or(|files| files.listed);
        }
        whole
    }

    /// The whole job in percent; `None` with an empty queue or before its size is known.
    pub fn percent(&self) -> Option<u8> {
        let whole = self.whole();
        if self.snapshot.items.is_empty() || !whole.known {
            return None;
        }
        let percent = percent(whole.done, Some(whole.total))?;
        let ended =
            |item: &ItemView| matches!(item.state, ItemState::Finished(_) | ItemState::Cancelled);
        // 100 % is said only once everything has landed.
        Some(if self.snapshot.items.iter().all(ended) {
            percent
        } else {
            percent.min(99)
        })
    }

    /// Time since the failure that is waited out, for `in 4 s`.
    pub fn waited(&self, now: Instant) -> Duration {
        self.link_lost
            .map_or(Duration::ZERO, |lost| now.saturating_duration_since(lost))
    }

    /// Whether quitting would stop something.
    pub fn running(&self) -> Vec<&[u8]> {
        let runs = |item: &&ItemView| !item.state.is_ended() && item.state != ItemState::Paused;
        let running = self.snapshot.items.iter().filter(runs);
        running.map(|item| self.name(item)).collect()
    }

    /// Downloads what is marked, or else the current entry; how many that was.
    pub fn download(&mut self) -> Vec<Effect> {
        let listing = &self.remote.listing;
        let entries = if listing.marked_count() > 0 {
            listing.marked()
        } else {
            listing.current().into_iter().collect()
        };
        let paths = entries
            .into_iter()
            .filter_map(|entry| Some((self.remote.path_of(entry)?, entry.size)));
        let effects = paths
            .map(|(path, size)| Effect::Get {
                want: Want::Path { path, size },
                to: self.lcd.clone(),
            })
            .collect();
        self.remote.listing.unmark_all();
        self.remote.listing.end_range();
        effects
    }

    /// What `:get` asks for: names of the listing as they are, all else as patterns from here.
    pub fn get(&self, patterns: Vec<String>, to: Option<String>) -> Vec<Effect> {
        let to = to.map(|to| self.local(&to)).or_else(|| self.lcd.clone());
        let mut globs = Vec::new();
        let mut effects = Vec::new();
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
                    effects.push(Effect::Get {
                        want: Want::Path {
                            path,
                            size: entry.size,
                        },
                        to: to.clone(),
                    });
                }
                _ => globs.push(self.pattern_from_top(&pattern)),
            }
        }
        if !globs.is_empty() {
            effects.push(Effect::Get {
                want: Want::Patterns {
                    get: globs,
                    exclude: Vec::new(),
                },
                to,
            });
        }
        effects
    }

    /// A pattern as the engine takes it: from the base URL, with this directory's name literal.
    fn pattern_from_top(&self, pattern: &str) -> String {
        if let Some(absolute) = pattern.strip_prefix('/') {
            return absolute.to_owned();
        }
        let mut whole = String::new();
        for c in self.remote.path.to_string_lossy().chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '{' | '}') {
                whole.extend(['[', c, ']']);
            } else {
                whole.push(c);
            }
        }
        whole + pattern
    }

    /// A local directory as typed: `~` and what is relative to the target.
    pub fn local(&self, typed: &str) -> PathBuf {
        let here = self.lcd.as_ref().unwrap_or(&self.facts.dir);
        match (typed.strip_prefix('~'), &self.facts.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                home.join(rest.trim_start_matches('/'))
            }
            _ => here.join(typed),
        }
    }

    /// Does something to the current transfer or to all that it fits.
    pub fn control(&self, target: Target, control: Control) -> Result<Vec<Effect>, &'static str> {
        let fits = |item: &&ItemView| match control {
            Control::Pause => !item.state.is_ended() && item.state != ItemState::Paused,
            Control::Resume => item.state == ItemState::Paused,
            Control::Cancel => !item.state.is_ended(),
            Control::Retry => match target {
                Target::Current => {
                    matches!(item.state, ItemState::Failed(_) | ItemState::Cancelled)
                }
                Target::All => matches!(item.state, ItemState::Failed(_)),
            },
            Control::Reorder(_) => true,
        };
        let chosen: Vec<&ItemView> = match target {
            Target::Current => self.item().into_iter().collect(),
            Target::All => self.snapshot.items.iter().collect(),
        };
        if chosen.is_empty() {
            return Err("there are no transfers: `d` in Remote starts one");
        }
        let effects: Vec<_> = chosen
            .into_iter()
            .filter(fits)
            .map(|item| Effect::Control(item.id, control))
            .collect();
        if effects.is_empty() {
            return Err(match control {
                Control::Pause => "nothing to pause: no chosen transfer runs",
                Control::Resume => "nothing to resume: no chosen transfer is paused",
                Control::Cancel => "nothing to cancel: it has ended",
                Control::Retry => "nothing to retry: no chosen transfer failed",
                Control::Reorder(_) => "nothing to move",
            });
        }
        Ok(effects)
    }
}
