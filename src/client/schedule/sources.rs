//! How several servers stand among each other: who leads, who may be asked, and where connections belong.
//!
//! The first source that may be asked *leads*: it is asked for listings, for files at first, and for the values of their
//! pieces; the others give pieces of the files that it named. One that fails rests; it is dropped only for wrong bytes, or
//! for what no other try can help, and the last one never is.
//!
//! Redirects lead to others: each is asked for the files that a redirect led there for, before those that the user named,
//! and for nothing else.

use std::time::{Duration, Instant};

use super::source::{Reach, Source};
use crate::client::{
    Error,
    id::{SlotId, SourceId, SourceSet},
};

/// Bad pieces after which a mirror is dropped: one may be the network's fault.
pub const BAD_PIECES_MAX: u32 = 2;

/// All of a client's sources.
#[derive(Debug)]
pub struct Sources {
    /// Those that the user named.
    all: Vec<Source>,
    /// Those that redirects led to, by their places.
    led: Vec<Source>,
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
    /// Those that something may be waited for: see [`Sources::hopeful_now`].
    pub kept: SourceSet,
}

impl Outlook {
    /// Whose turn it is to be asked for what those in `off` refused or have not, see [`FileTask::off`]. `None` while only
    /// resting ones are left for it.
    ///
    /// [`FileTask::off`]: crate::client::task::FileTask::off
    pub fn lead(&self, off: SourceSet) -> Option<SourceId> {
        if self.kept.without(off).is_empty() {
            // All were tried: the first one's answer stands.
            return self.usable.without(SourceSet::LED).first();
        }
        let able = self.usable.without(off);
        able.both(SourceSet::LED).first().or(able.first())
    }

    /// Whether that is this connection's own.
    pub fn leads(&self, off: SourceSet) -> bool {
        self.lead(off) == Some(self.source)
    }

    /// The same for a directory: no redirect leads from one to another server.
    pub fn leads_dirs(&self, tried: SourceSet) -> bool {
        self.leads(tried.union(SourceSet::LED))
    }
}

impl Sources {
    /// So many, of which nothing is known.
    pub fn new(count: usize, retries: u32) -> Self {
        Self {
            all: (0..count).map(|_| Source::default()).collect(),
            led: Vec::new(),
            retries,
        }
    }

    /// By its place.
    pub fn get(&self, id: SourceId) -> &Source {
        match id.led_place() {
            Some(place) => &self.led[place],
            None => &self.all[id.place()],
        }
    }

    /// By its place.
    pub fn get_mut(&mut self, id: SourceId) -> &mut Source {
        match id.led_place() {
            Some(place) => &mut self.led[place],
            None => &mut self.all[id.place()],
        }
    }

    /// A redirect led to this one, of which nothing is known.
    pub fn meet(&mut self, id: SourceId) {
        if id.led_place() == Some(self.led.len()) {
            self.led.push(Source::default());
        } else {
            *self.get_mut(id) = Source::default();
        }
    }

    /// Each that the user named with its place.
    pub fn each(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        let places = self.all.iter().enumerate();
        places.map(|(place, source)| (SourceId::at(place), source))
    }

    /// The same, and those that redirects led to.
    fn each_of_all(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        let led = self.led.iter().enumerate();
        self.each()
            .chain(led.map(|(place, source)| (SourceId::led(place), source)))
    }

    /// Each, to be changed.
    pub fn each_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.all.iter_mut().chain(&mut self.led)
    }

    /// Each that the user named, to be changed.
    pub fn named_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.all.iter_mut()
    }

    /// Those that the user named and that were not dropped.
    pub fn kept(&self) -> SourceSet {
        let kept = self.each().filter(|(_, source)| source.is_kept());
        kept.map(|(id, _)| id).collect()
    }

    /// Those that were neither dropped nor given up, and have not failed too often in a row; where all have, those that were
    /// not given up, and where all were, all that were not dropped. Of those that redirects led to, all: a file is not led there any
    /// more once one fails.
    pub fn hopeful(&self) -> SourceSet {
        let kept = self.kept();
        let up: SourceSet = kept
            .iter()
            .filter(|id| self.get(*id).down_for().is_none())
            .collect();
        let left = if up.is_empty() { kept } else { up };
        let hopeful: SourceSet = left.iter().filter(|id| !self.fails(*id)).collect();
        let hopeful = if hopeful.is_empty() { left } else { hopeful };
        let led = (0..self.led.len()).map(SourceId::led);
        hopeful.union(led.collect())
    }

    /// Whether it failed more often in a row than is allowed.
    fn fails(&self, id: SourceId) -> bool {
        self.get(id).failures > self.retries
    }

    /// The same as [`Self::hopeful`], but where all fail, one that has rested is not kept waiting for those that rest: it
    /// may work by now, and only who asks it finds that out.
    fn hopeful_now(&self, usable: SourceSet) -> SourceSet {
        let hopeful = self.hopeful();
        let named = hopeful.without(SourceSet::LED);
        let rested = named.both(usable);
        if rested.is_empty() || !named.iter().all(|id| self.fails(id)) {
            return hopeful;
        }
        hopeful.without(named).union(rested)
    }

    /// What a connection of `source` sees.
    pub fn outlook(&self, source: SourceId, now: Instant) -> Outlook {
        let usable: SourceSet = self
            .each_of_all()
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
            kept: self.hopeful_now(usable),
        }
    }

    /// The one that leads, or would.
    pub fn lead(&self, now: Instant) -> SourceId {
        let outlook = self.outlook(SourceId::default(), now);
        let first = outlook.lead(SourceSet::LED).or(outlook.kept.first());
        first.unwrap_or_default()
    }

    /// Whether sources other than `id` that the user named are left.
    pub fn has_others(&self, id: SourceId) -> bool {
        self.kept().iter().any(|other| other != id)
    }

    /// The next time at which one may be asked that may not be now.
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        let all = || self.each_of_all().map(|(_, source)| source);
        let rests = all().filter_map(|source| source.may_ask(now).err().flatten());
        let tries = all().filter_map(Source::tries_until);
        // What one may be asked next decides where the others are of use.
        let paced = all().filter_map(|source| source.load.wait(now));
        let waits = rests.chain(tries).chain(paced);
        waits.filter(|at| *at > now).min()
    }

    /// Where a connection belongs, given how many belong to each: the one that leads if it has none, else the one with the
    /// fewest. `None` while none may be asked.
    pub fn choose(&self, held: &[usize], now: Instant) -> Option<SourceId> {
        let usable = self.outlook(SourceId::default(), now).usable;
        let usable = usable.without(SourceSet::LED);
        let held = |id: &SourceId| held[id.place()];
        // The first of those with as few: the one that leads, as long as it has none.
        usable.iter().min_by_key(held)
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
        // A connection that breaks says nothing about a pause or a question: those stand until they are over.
        if source.is_out(now)
            || source.is_held(now)
            || matches!(
                source.reach,
                Reach::Down(_) | Reach::Dropped(_) | Reach::Asks(_)
            )
        {
            return None;
        }
        source.failures += 1;
        let pause = backoff(source.failures);
        source.rest(error, pause, now);
        Some(pause)
    }

    /// Whether no server that is left has answered anything in more tries than are allowed, or all were given up.
    pub fn are_worn(&self) -> bool {
        self.kept().iter().all(|id| self.is_worn(id))
    }

    /// Whether this one has not, or was.
    pub fn is_worn(&self, id: SourceId) -> bool {
        let source = self.get(id);
        let is_down = source.down_for().is_some();
        is_down || source.failures > self.retries || source.load.refusals() > self.retries
    }

    /// A file failed for the refusals of a source, and of the others that the user named: they do not count against the next.
    pub fn forgive(&mut self, id: SourceId) {
        if id.is_led() {
            return self.get_mut(id).load.forgive();
        }
        self.all.iter_mut().for_each(|source| source.load.forgive());
    }

    /// Why none of those that are left is tried any more, before something is asked for anew.
    pub fn all_down(&self) -> Option<Error> {
        let mut kept = self.all.iter().filter(|source| source.is_kept());
        let error = kept.next().and_then(Source::down_for)?;
        kept.all(|source| source.down_for().is_some())
            .then_some(error)
    }

    /// It is not asked any more, where others are left. True when it is not, now or before. One that a redirect led to is
    /// left by its files, each by itself.
    pub fn drop_source(&mut self, id: SourceId, reason: &str) -> bool {
        if !self.get(id).is_kept() {
            return true;
        }
        if id.is_led() || !self.has_others(id) {
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
        for source in self.each_mut().filter(|source| tries(source)) {
            source.trying = None;
            found = true;
        }
        found
    }
}

#[cfg(test)]
mod tests;
