//! The servers that a client fetches from: one, or several that hold the same tree (mirrors), and how each fares.
//!
//! Every connection belongs to one source. The first source that is in good standing *leads*: it is asked for listings,
//! for files at first, and for the values of their pieces; the others give pieces of the files that it named. A
//! mirror that cannot be reached rests a while, and is dropped once it has failed too often or sent wrong bytes. The
//! last one is never dropped: what becomes of its failures is the engine's to say.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{Error, Link, depth::Depth, origin::Origin, retry::backoff};
use crate::{escape, http1::response_head::ResponseHead, progress::Counter, units};

/// Most sources of one client: they are counted in a word of bits.
pub const SOURCES_MAX: usize = 64;

/// Bad pieces after which a mirror is dropped: one may be the network's fault.
pub const BAD_PIECES_MAX: u32 = 2;

/// Names one of a client's sources: its place among those that the user named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceId(u8);

impl SourceId {
    /// The one at a place, below [`SOURCES_MAX`].
    pub fn at(place: usize) -> Self {
        Self(place as u8)
    }

    /// Its place.
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// Some of a client's sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceSet(u64);

impl SourceSet {
    /// Adds one.
    pub fn insert(&mut self, source: SourceId) {
        self.0 |= 1 << source.0;
    }

    /// Whether it is among them.
    pub fn contains(self, source: SourceId) -> bool {
        self.0 & 1 << source.0 != 0
    }

    /// Those of it that are not in `others`.
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Those in either.
    pub fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// The one that the user named first.
    pub fn first(self) -> Option<SourceId> {
        (self.0 != 0).then(|| SourceId(self.0.trailing_zeros() as u8))
    }

    /// The first `count` of those that the user named.
    pub fn all(count: usize) -> Self {
        (0..count).map(SourceId::at).collect()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<SourceId> for SourceSet {
    fn from_iter<I: IntoIterator<Item = SourceId>>(sources: I) -> Self {
        let mut set = Self::default();
        sources.into_iter().for_each(|source| set.insert(source));
        set
    }
}

/// Which sources a connection that asks for work sees: its own, and the others that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Its own.
    pub source: SourceId,
    /// Those that were not dropped and do not rest.
    pub usable: SourceSet,
    /// Those that were not dropped.
    pub kept: SourceSet,
}

impl Outlook {
    /// Whose turn it is to be asked for what those in `tried` refused. `None` while only resting ones are left for it.
    pub fn lead(&self, tried: SourceSet) -> Option<SourceId> {
        if self.kept.without(tried).is_empty() {
            // All were tried: the first one's answer stands.
            return self.usable.first();
        }
        self.usable.without(tried).first()
    }

    /// Whether that is this connection's own.
    pub fn leads(&self, tried: SourceSet) -> bool {
        self.lead(tried) == Some(self.source)
    }
}

/// One server, and what its connections share.
#[derive(Debug)]
pub struct Source {
    /// Its place.
    pub id: SourceId,
    /// Where it is, and how it is asked.
    pub origin: Origin,
    /// Whether it can be reached.
    pub link: watch::Sender<Link>,
    /// Held by the connection that tries to reach it while it cannot be reached. The value is what was received from it
    /// before its last failure.
    pub connecting: tokio::sync::Mutex<u64>,
    /// The last handshake's time.
    rtt: Mutex<Option<Duration>>,
    /// Until when it lets this client wait.
    paused_until: Mutex<Option<Instant>>,
    /// What it calls itself.
    server: Mutex<Option<String>>,
    /// Requests in flight on one of its connections, while small files flow.
    pub depth: Depth,
    /// Body bytes received from it.
    pub received: Counter,
    /// Ids of the target and what is above it, until this server's was compared.
    target_ids: Mutex<Option<Vec<String>>>,
}

impl Source {
    /// The link works.
    pub fn link_up(&self, rtt: Duration) {
        *lock(&self.rtt) = Some(rtt);
        self.link.send_if_modified(|link| {
            // That it can be reached ends no pause: its answers do.
            let changed = !matches!(link, Link::Up | Link::Paused);
            if changed {
                *link = Link::Up;
            }
            changed
        });
    }

    /// It lets this client wait: it is asked again after `pause`.
    pub fn paused(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut paused_until = lock(&self.paused_until);
        *paused_until = Some(paused_until.map_or(until, |before| before.max(until)));
        let first = self.link.send_if_modified(|link| {
            let changed = *link != Link::Paused;
            *link = Link::Paused;
            changed
        });
        if first {
            tracing::warn!(path = %self.origin.authority(), "paused by the server: it goes on when that ends");
        }
    }

    /// Until when nothing is asked of it.
    pub fn paused_until(&self) -> Option<Instant> {
        lock(&self.paused_until).filter(|until| *until > Instant::now())
    }

    /// It answers again.
    pub fn link_resumed(&self) {
        self.link.send_if_modified(|link| {
            let paused = *link == Link::Paused;
            if paused {
                *link = Link::Up;
                tracing::info!(path = %self.origin.authority(), "no longer paused by the server");
            }
            paused
        });
    }

    /// Time of the last connection's handshake, if there was any.
    pub fn rtt(&self) -> Option<Duration> {
        *lock(&self.rtt)
    }

    /// What it calls itself, raw.
    pub fn server(&self) -> Option<String> {
        lock(&self.server).clone()
    }

    /// Whether it says that it is one of our kind.
    pub fn is_haul(&self) -> bool {
        let server = lock(&self.server);
        server
            .as_ref()
            .is_some_and(|name| name.starts_with("haul/"))
    }

    /// Notes what every answer tells about the server; refuses to download into the directory that it serves, which is
    /// one of those in `dir` or above it.
    pub fn check(&self, head: &ResponseHead, dir: &std::path::Path) -> Result<(), Error> {
        let mut target_ids = lock(&self.target_ids);
        let Some(ids) = target_ids.as_ref() else {
            return Ok(());
        };
        lock(&self.server).clone_from(&head.server);
        if head.haul_dir.as_ref().is_some_and(|id| ids.contains(id)) {
            // The ids stay: every later answer must be refused, too.
            return Err(Error::Target {
                path: escape::display_path(dir),
                reason: "it lies in the directory that the server serves".into(),
            });
        }
        *target_ids = None;
        Ok(())
    }
}

/// How a source stands among the others.
#[derive(Debug, Default)]
struct Standing {
    /// Connections that belong to it, open or about to be.
    workers: usize,
    /// Failures in a row, and until when it rests after them.
    failures: u32,
    rests_until: Option<Instant>,
    bad_pieces: u32,
    dropped: Option<String>,
}

/// All of a client's sources.
#[derive(Debug)]
pub struct Sources {
    all: Vec<Arc<Source>>,
    standings: Mutex<Vec<Standing>>,
    /// Failures in a row after which a mirror is dropped.
    retries: u32,
}

impl Sources {
    /// One for each origin, of which there is at least one; `target_ids` are those of the target directory and
    /// what is above it.
    pub fn new(origins: Vec<Origin>, target_ids: &[String], retries: u32) -> Self {
        let source = |(place, origin)| {
            Arc::new(Source {
                id: SourceId::at(place),
                origin,
                link: watch::Sender::new(Link::Connecting),
                connecting: tokio::sync::Mutex::default(),
                rtt: Mutex::default(),
                paused_until: Mutex::default(),
                server: Mutex::default(),
                depth: Depth::default(),
                received: Counter::default(),
                target_ids: Mutex::new(Some(target_ids.to_vec())),
            })
        };
        let all: Vec<_> = origins.into_iter().enumerate().map(source).collect();
        Self {
            standings: Mutex::new(all.iter().map(|_| Standing::default()).collect()),
            all,
            retries,
        }
    }

    /// The one that the user named first.
    pub fn primary(&self) -> &Arc<Source> {
        &self.all[0]
    }

    /// The first in good standing.
    pub fn lead(&self) -> &Arc<Source> {
        let first = usable(&lock(&self.standings), Instant::now()).first();
        self.get(first.unwrap_or_default())
    }

    /// How many there are, dropped ones included.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// By its place.
    pub fn get(&self, id: SourceId) -> &Arc<Source> {
        &self.all[id.place()]
    }

    /// All, with the reason why it was dropped for each that was.
    pub fn each(&self) -> Vec<(&Arc<Source>, Option<String>)> {
        let standings = lock(&self.standings);
        let dropped = standings.iter().map(|standing| standing.dropped.clone());
        self.all.iter().zip(dropped).collect()
    }

    /// What a connection of `source` sees.
    pub fn outlook(&self, source: SourceId, now: Instant) -> Outlook {
        let standings = lock(&self.standings);
        Outlook {
            source,
            usable: usable(&standings, now),
            kept: kept(&standings).map(|(id, _)| id).collect(),
        }
    }

    /// A source for a connection that belonged to `before`, if to any: the first in good standing if no connection
    /// belongs to it, else the one with the fewest.
    pub fn choose(&self, before: Option<SourceId>) -> Arc<Source> {
        let mut standings = lock(&self.standings);
        if let Some(before) = before {
            standings[before.place()].workers -= 1;
        }
        let usable = usable(&standings, Instant::now());
        let held = |id: SourceId| standings[id.place()].workers;
        let chosen = match usable.first() {
            Some(lead) if held(lead) == 0 => lead,
            _ => ids(&standings)
                .map(|(id, _)| id)
                .filter(|id| usable.contains(*id))
                .min_by_key(|id| held(*id))
                .unwrap_or_default(),
        };
        standings[chosen.place()].workers += 1;
        Arc::clone(self.get(chosen))
    }

    /// Moves an idle connection from one source to another that is needed and has none. True when it moved.
    pub fn move_to(&self, needed: SourceId, from: SourceId) -> bool {
        let mut standings = lock(&self.standings);
        let moves = needed != from && standings[needed.place()].workers == 0;
        if moves {
            standings[from.place()].workers -= 1;
            standings[needed.place()].workers += 1;
        }
        moves
    }

    /// A source failed. Where others are left it rests, or is dropped for having failed too often, and the time is
    /// told after which it may be tried again; `None` where it is the last one, which is not its business to judge.
    pub fn failed(
        &self,
        id: SourceId,
        error: &Error,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let mut standings = lock(&self.standings);
        if !has_others(&standings, id) {
            return None;
        }
        let now = Instant::now();
        let standing = &mut standings[id.place()];
        if standing.dropped.is_some() || standing.rests_until.is_some_and(|until| until > now) {
            // Connections that break together are one failure.
            return Some(Duration::ZERO);
        }
        standing.failures += 1;
        let tries = standing.failures;
        let server = self.get(id).origin.authority();
        if standing.failures > self.retries || !error.is_transient() {
            standing.dropped = Some(error.to_string());
            drop(standings);
            tracing::warn!(path = %server, "mirror dropped after {tries} tries: {error}");
            return Some(Duration::ZERO);
        }
        let pause = backoff(standing.failures, retry_after);
        standing.rests_until = Some(now + pause);
        drop(standings);
        tracing::warn!(path = %server, "{error}: try {} of this mirror in {}", tries + 1, units::took(pause));
        Some(pause)
    }

    /// A source lets this client wait. Where others are left they go on meanwhile: true.
    pub fn paused(&self, id: SourceId, pause: Duration) -> bool {
        let mut standings = lock(&self.standings);
        let others = has_others(&standings, id);
        if others {
            standings[id.place()].rests_until = Some(Instant::now() + pause);
        }
        others
    }

    /// A source answered: earlier failures are forgotten.
    pub fn answered(&self, id: SourceId) {
        let standing = &mut lock(&self.standings)[id.place()];
        (standing.failures, standing.rests_until) = (0, None);
    }

    /// Pieces that came from a source were wrong. It is dropped once that was no accident, where others are left.
    pub fn bad_pieces(&self, id: SourceId, pieces: u32) {
        let bad = {
            let standing = &mut lock(&self.standings)[id.place()];
            standing.bad_pieces += pieces;
            standing.bad_pieces
        };
        if bad >= BAD_PIECES_MAX {
            self.distrust(id, "its bytes do not match the digests");
        }
    }

    /// How often the others may send the same piece wrong before all but one are dropped.
    pub fn bad_pieces_borne(&self) -> u32 {
        let others = kept(&lock(&self.standings)).count().saturating_sub(1);
        BAD_PIECES_MAX * others as u32
    }

    /// What a source sends is wrong: it is dropped, where others are left. True when it was, now or before.
    pub fn distrust(&self, id: SourceId, reason: &str) -> bool {
        let mut standings = lock(&self.standings);
        if standings[id.place()].dropped.is_some() {
            return true;
        }
        if !has_others(&standings, id) {
            return false;
        }
        standings[id.place()].dropped = Some(reason.to_owned());
        drop(standings);
        tracing::warn!(path = %self.get(id).origin.authority(), "mirror dropped: {reason}");
        true
    }

    /// The user is impatient: nobody rests.
    pub fn wake(&self) {
        for standing in lock(&self.standings).iter_mut() {
            standing.rests_until = None;
        }
    }
}

/// Every source's place and standing.
fn ids(standings: &[Standing]) -> impl Iterator<Item = (SourceId, &Standing)> {
    let places = standings.iter().enumerate();
    places.map(|(place, standing)| (SourceId::at(place), standing))
}

/// Those that were not dropped.
fn kept(standings: &[Standing]) -> impl Iterator<Item = (SourceId, &Standing)> {
    ids(standings).filter(|(_, standing)| standing.dropped.is_none())
}

/// Those that do not rest, either; where all of them rest, all that were not dropped. Never empty.
fn usable(standings: &[Standing], now: Instant) -> SourceSet {
    let awake = |standing: &Standing| standing.rests_until.is_none_or(|until| until <= now);
    let usable: SourceSet = kept(standings)
        .filter(|(_, standing)| awake(standing))
        .map(|(id, _)| id)
        .collect();
    if usable.is_empty() {
        kept(standings).map(|(id, _)| id).collect()
    } else {
        usable
    }
}

/// Whether sources other than `id` are left.
fn has_others(standings: &[Standing], id: SourceId) -> bool {
    kept(standings).any(|(other, _)| other != id)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
