//! How several servers stand among each other: who leads, who may be asked, and where connections belong.
//!
//! The first source that may be asked *leads*: it is asked for listings, for files at first, and for the values of their
//! pieces; the others give pieces of the files that it named. One that fails rests; it is dropped only for wrong bytes, or
//! for what no other try can help, and the last one never is.

use std::time::{Duration, Instant};

use super::{
    SlotId, SourceId, SourceSet,
    source::{Reach, Source},
};
use crate::client::Error;

/// Bad pieces after which a mirror is dropped: one may be the network's fault.
pub const BAD_PIECES_MAX: u32 = 2;

/// All of a client's sources.
#[derive(Debug)]
pub struct Sources {
    all: Vec<Source>,
    /// Failures in a row after which a source is nobody's hope, where there are others.
    retries: u32,
}

/// Which sources a connection that asks for work sees: its own, and the others that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Its own.
    pub source: SourceId,
    /// Those that may be asked now.
    pub usable: SourceSet,
    /// Those that something may be waited for: see [`Sources::hopeful`].
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

impl Sources {
    /// So many, of which nothing is known.
    pub fn new(count: usize, retries: u32) -> Self {
        Self {
            all: (0..count).map(|_| Source::default()).collect(),
            retries,
        }
    }

    /// By its place.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.all[id.place()]
    }

    /// By its place.
    pub fn get_mut(&mut self, id: SourceId) -> &mut Source {
        &mut self.all[id.place()]
    }

    /// Each with its place.
    pub fn each(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        let places = self.all.iter().enumerate();
        places.map(|(place, source)| (SourceId::at(place), source))
    }

    /// Each, to be changed.
    pub fn each_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.all.iter_mut()
    }

    /// Those that were not dropped.
    pub fn kept(&self) -> SourceSet {
        let kept = self.each().filter(|(_, source)| source.is_kept());
        kept.map(|(id, _)| id).collect()
    }

    /// Those that were not dropped, and have not failed too often in a row; where all have, all that were not dropped.
    pub fn hopeful(&self) -> SourceSet {
        let kept = self.kept();
        let fails = |id: &SourceId| self.get(*id).failures > self.retries;
        let hopeful: SourceSet = kept.iter().filter(|id| !fails(id)).collect();
        if hopeful.is_empty() { kept } else { hopeful }
    }

    /// What a connection of `source` sees.
    pub fn outlook(&self, source: SourceId, now: Instant) -> Outlook {
        let usable: SourceSet = self
            .each()
            .filter(|(_, source)| source.may_ask(now).is_ok())
            .map(|(id, _)| id)
            .collect();
        // A server that has been tried for long keeps nobody waiting, where another one answers.
        let prompt: SourceSet = usable
            .iter()
            .filter(|id| self.get(*id).tries_until().is_none_or(|until| until > now))
            .collect();
        Outlook {
            source,
            usable: if prompt.is_empty() { usable } else { prompt },
            kept: self.hopeful(),
        }
    }

    /// The one that leads, or would.
    pub fn lead(&self, now: Instant) -> SourceId {
        let outlook = self.outlook(SourceId::default(), now);
        let first = outlook.usable.first().or(outlook.kept.first());
        first.unwrap_or_default()
    }

    /// Whether sources other than `id` are left.
    pub fn has_others(&self, id: SourceId) -> bool {
        self.kept().iter().any(|other| other != id)
    }

    /// The next time at which one may be asked that may not be now.
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        let rests = self
            .all
            .iter()
            .filter_map(|source| source.may_ask(now).err().flatten());
        let tries = self.all.iter().filter_map(Source::tries_until);
        rests.chain(tries).filter(|at| *at > now).min()
    }

    /// Where a connection belongs, given how many belong to each: the one that leads if it has none, else the one with the
    /// fewest. `None` while none may be asked.
    pub fn choose(&self, held: &[usize], now: Instant) -> Option<SourceId> {
        let usable = self.outlook(SourceId::default(), now).usable;
        let held = |id: &SourceId| held[id.place()];
        match usable.first() {
            Some(lead) if held(&lead) == 0 => Some(lead),
            _ => usable.iter().min_by_key(held),
        }
    }

    /// A server failed. It rests; how long. `None` where that is known already: connections that break together are one
    /// failure.
    pub fn failed(
        &mut self,
        id: SourceId,
        error: &Error,
        now: Instant,
        backoff: impl FnOnce(u32) -> Duration,
    ) -> Option<Duration> {
        let source = self.get_mut(id);
        if source.is_out(now) || matches!(source.reach, Reach::Down(_) | Reach::Dropped(_)) {
            return None;
        }
        source.failures += 1;
        let pause = backoff(source.failures);
        source.rest(error, pause, now);
        Some(pause)
    }

    /// Whether no server that is left has answered anything in more tries than are allowed, or all were given up.
    pub fn are_worn(&self) -> bool {
        let retries = self.retries;
        self.all
            .iter()
            .filter(|source| source.is_kept())
            .all(|source| {
                let is_down = source.down_for().is_some();
                is_down || source.failures > retries || source.load.refusals() > retries
            })
    }

    /// Why none of those that are left is tried any more, before something is asked for anew.
    pub fn all_down(&self) -> Option<Error> {
        let mut kept = self.all.iter().filter(|source| source.is_kept());
        let error = kept.next().and_then(Source::down_for)?;
        kept.all(|source| source.down_for().is_some())
            .then_some(error)
    }

    /// It is not asked any more, where others are left. True when it is not, now or before.
    pub fn drop_source(&mut self, id: SourceId, reason: &str) -> bool {
        if !self.get(id).is_kept() {
            return true;
        }
        if !self.has_others(id) {
            return false;
        }
        self.get_mut(id).reach = Reach::Dropped(reason.to_owned());
        true
    }

    /// How often the others may send the same piece wrong before all but one are dropped.
    pub fn bad_pieces_borne(&self) -> u32 {
        let kept = self.all.iter().filter(|source| source.is_kept()).count();
        BAD_PIECES_MAX * kept.saturating_sub(1) as u32
    }

    /// A connection is not tried any more, by this slot. Whether it was.
    pub fn let_go(&mut self, slot: SlotId) -> bool {
        let tries = |source: &Source| source.trying.is_some_and(|(by, _)| by == slot);
        let mut found = false;
        for source in self.all.iter_mut().filter(|source| tries(source)) {
            source.trying = None;
            found = true;
        }
        found
    }
}
