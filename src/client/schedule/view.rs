//! What others see of the schedule: plain values that a screen samples.

use std::{collections::HashMap, time::Instant};

use super::{
    FileId, Schedule, SourceId, Work,
    item::{Item, Life},
    source::Reach,
    sources::Outlook,
    transfer::{Phase, Transfer},
};
use crate::{
    client::{
        Error, FileView, FilesView, ItemId, ItemState, ItemView, Link, UNDER_WAY_MAX,
        id::SourceSet, task::Task,
    },
    exit::Exit,
};

/// What a run comes to.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files complete.
    pub finished: u64,
    /// Files and directories failed.
    pub failed: u64,
}

/// What a run amounts to where nobody watches: what was cancelled counts as well, and what was cleared is not forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The status of all failures; a cancel is one of [`Exit::Other`].
    pub exit: Exit,
    /// Files and directories that failed.
    pub failed: u64,
    /// Items that were cancelled.
    pub cancelled: u64,
}

impl Outcome {
    /// Nothing failed yet.
    pub(super) const NONE: Self = Self {
        exit: Exit::Done,
        failed: 0,
        cancelled: 0,
    };

    /// The same with what an item comes to.
    pub(super) fn with(self, item: &Item) -> Self {
        let cancel = item.is_cancelled().then_some(Exit::Other);
        let failures = item.failures.iter().copied();
        Self {
            exit: Exit::of_all(failures.chain(cancel).chain([self.exit])),
            failed: self.failed + item.failed,
            cancelled: self.cancelled + u64::from(item.is_cancelled()),
        }
    }
}

/// What is under way for one item.
#[derive(Debug, Default)]
struct UnderWay {
    connections: usize,
    listing: bool,
    landing: usize,
    /// Bytes that are here of files that are not complete.
    bytes: u64,
    /// Whether parts that an earlier try left are being held against their digests.
    judging: bool,
    /// Whether pieces are looked for elsewhere, or fetched in blocks.
    searched: bool,
}

impl Schedule {
    /// The server that leads, or would.
    pub fn lead(&self, now: Instant) -> SourceId {
        self.sources.lead(now)
    }

    /// The server that a screen tells of: where something waits for nobody but servers that ask the user, one of those; else the
    /// one that leads.
    pub fn shown(&self, now: Instant) -> SourceId {
        let outlook = self.sources.outlook(SourceId::default(), now);
        let going = self.items.iter().filter(|item| item.is_going());
        let mut askers = going.filter_map(|item| self.asker_of(item, &outlook));
        let browse = self.browses.front();
        let browse = browse.and_then(|browse| {
            let off = browse.tried.union(SourceSet::LED);
            self.asker_for(off, &outlook)
        });
        let asker = browse.or_else(|| askers.next());
        asker.unwrap_or_else(|| self.sources.lead(now))
    }

    /// The server whose question has to be answered before anything of an item can go on that is at its front.
    fn asker_of(&self, item: &Item, outlook: &Outlook) -> Option<SourceId> {
        let its = self.transfers.values();
        let its = its.filter(|it| it.task.item == item.id && it.phase == Phase::Flowing);
        let mut off = item.fronts(usize::MAX).chain(its.map(Transfer::off));
        off.find_map(|off| self.asker_for(off, outlook))
    }

    /// The same of what those in `off` are not asked for.
    fn asker_for(&self, off: SourceSet, outlook: &Outlook) -> Option<SourceId> {
        let left = outlook.kept.without(off);
        let asks = |id: SourceId| self.sources.get(id).asks().is_some();
        left.iter().all(asks).then(|| left.first())?
    }

    /// The servers that the user named and that were not dropped.
    pub fn kept_sources(&self) -> SourceSet {
        self.sources.kept()
    }

    /// Those that want a login.
    pub fn login_wanted(&self) -> SourceSet {
        let each = self.sources.each();
        let asking = each.filter(|(_, source)| matches!(source.asks(), Some(Error::Login { .. })));
        asking.map(|(id, _)| id).collect()
    }

    /// How a server stands.
    pub fn link(&self, source: SourceId) -> Link {
        self.sources.get(source).link()
    }

    /// Why each server is not asked any more, or not for long: in their order, `None` for those that are.
    pub fn dropped(&self) -> Vec<Option<String>> {
        let each = self.sources.each().map(|(_, source)| match &source.reach {
            Reach::Dropped(reason) => Some(reason.clone()),
            _ if source.failures > self.limits.retries && self.names.len() > 1 => {
                match source.link() {
                    Link::Retrying { reason, .. } => Some(reason),
                    _ => None,
                }
            }
            _ => None,
        });
        each.collect()
    }

    /// Every item, in the queue's order.
    pub fn views(&self, now: Instant) -> Vec<ItemView> {
        let mut under_way = self.under_way();
        let lead = self.sources.lead(now);
        let waits = self.sources.get(lead).link().waits_for(now);
        let busy = self.sources.get(lead).load.rests_until(now).is_some();
        let waits = waits.or_else(|| busy.then(|| "the server is busy".to_owned()));
        let outlook = self.sources.outlook(lead, now);
        // Others may go on meanwhile.
        let asked_for = |item: &Item| {
            let asker = self.asker_of(item, &outlook)?;
            self.sources.get(asker).link().waits_for(now)
        };
        let each = self.items.iter().map(|item| {
            let mut view = Self::view(item, &under_way.remove(&item.id).unwrap_or_default());
            if item.tree {
                view.under_way = self.files_under_way(item.id);
            }
            if let Some(what) = &waits
                && matches!(
                    view.state,
                    ItemState::Active | ItemState::Queued | ItemState::Waiting(_)
                )
            {
                view.state = ItemState::Waiting(what.clone());
            } else if view.state == ItemState::Queued
                && let Some(what) = asked_for(item)
            {
                view.state = ItemState::Waiting(what);
            }
            view
        });
        each.collect()
    }

    /// Files of a tree that are on their way: large ones in the order in which they began, then small ones by name.
    fn files_under_way(&self, id: ItemId) -> Vec<FileView> {
        let works_on = |file: FileId| {
            let slots = self.slots.iter();
            let front = slots.filter_map(|slot| slot.flight.front());
            front.filter(|it| it.work.file() == Some(file)).count()
        };
        let large = self.transfers.values();
        let large = large.filter(|it| it.task.item == id && it.phase != Phase::Landing);
        let large = large.map(|transfer| FileView {
            path: transfer.task.path.clone(),
            done: transfer.counted().min(transfer.facts.size),
            total: Some(transfer.facts.size),
            connections: works_on(transfer.id),
        });
        let mut files: Vec<_> = large.take(UNDER_WAY_MAX).collect();
        let flights = self
            .slots
            .iter()
            .flat_map(|slot| slot.flight.iter().enumerate());
        let mut small: Vec<_> = flights
            .filter_map(|(place, flight)| match &flight.work {
                Work::Open(task) if task.item == id => Some((task, place, flight.streamed)),
                _ => None,
            })
            .collect();
        small.sort_unstable_by_key(|(task, ..)| task.path.as_bytes());
        let small = small.into_iter().take(UNDER_WAY_MAX - files.len());
        files.extend(small.map(|(task, place, streamed)| FileView {
            path: task.path.clone(),
            done: streamed.unwrap_or(0),
            total: task.size,
            // What was sent ahead waits for those in front of it.
            connections: usize::from(place == 0),
        }));
        files
    }

    fn under_way(&self) -> HashMap<ItemId, UnderWay> {
        let mut all: HashMap<ItemId, UnderWay> = HashMap::new();
        let of = |file| self.transfers.get(&file).map(|it| it.task.item);
        for slot in &self.slots {
            if let Some(item) = slot.item(of) {
                all.entry(item).or_default().connections += 1;
            }
            for flight in &slot.flight {
                match &flight.work {
                    Work::Open(task) => {
                        let its = all.entry(task.item).or_default();
                        its.bytes += flight.streamed.unwrap_or(0);
                        its.judging |= task.kept > 0;
                    }
                    Work::List(task) => all.entry(task.item).or_default().listing = true,
                    _ => {}
                }
            }
        }
        for transfer in self.transfers.values() {
            let its = all.entry(transfer.task.item).or_default();
            its.searched |= transfer.is_searched() && transfer.phase == Phase::Flowing;
            its.bytes += transfer.counted();
            its.landing += usize::from(transfer.phase == Phase::Landing);
            its.judging |= !transfer.is_judged();
        }
        for task in self.landings.values() {
            let its = all.entry(task.item).or_default();
            its.landing += 1;
            its.bytes += task.size.unwrap_or(0);
        }
        all
    }

    fn view(item: &Item, its: &UnderWay) -> ItemView {
        let mut later = item.later.values().map(|(task, _)| task);
        // What waits on disk was listed.
        let listed = item.dirs.iter().all(|task| task.rest.is_some())
            && !its.listing
            && !later.any(|task| matches!(task, Task::Dir(task) if task.rest.is_none()));
        let reason = item.later.first_key_value().map(|(_, (_, reason))| reason);
        let state = match &item.life {
            Life::Ended(state) => state.clone(),
            Life::Paused => ItemState::Paused,
            // One that was cancelled has ended once all that is in flight for it has been let go of.
            Life::Going | Life::Cancelled => match reason {
                _ if its.connections > 0 || its.searched => ItemState::Active,
                Some(reason) => ItemState::Waiting(reason.clone()),
                None if its.landing > 0 => ItemState::Landing,
                None => ItemState::Queued,
            },
        };
        let total = (item.sized || item.tree).then_some(item.total);
        let mut done = item.settled + its.bytes;
        let ended = matches!(state, ItemState::Failed(_) | ItemState::Cancelled);
        let judging = its.judging
            || item.large.iter().any(|task| task.kept > 0)
            || item
                .later
                .values()
                .any(|(task, _)| matches!(task, Task::File(task) if task.kept > 0));
        if ended || judging {
            done = done.max(item.kept);
        }
        let mut done = done.min(total.unwrap_or(u64::MAX));
        if matches!(state, ItemState::Finished(_)) {
            done = total.unwrap_or(done);
        } else if let Some(total) = total {
            // Never 100 % before all is checked and landed.
            done = done.min(total.saturating_sub(1));
        }
        ItemView {
            id: item.id,
            path: item.path.clone(),
            label: item.label(),
            files: item.tree.then_some(FilesView {
                done: item.finished,
                failed: item.failed,
                unread: item.unread,
                found: item.found,
                listed,
            }),
            done,
            total,
            connections: its.connections,
            state,
            limit: item.limit,
            first: item.first,
            led: item.led.clone(),
            under_way: Vec::new(),
        }
    }

    /// Whether every item has ended; landings may be on their way to be told.
    pub fn has_ended(&self) -> bool {
        self.items.iter().all(Item::has_ended)
    }

    /// Whether every item has ended, and all of it was told.
    pub fn is_idle(&self) -> bool {
        self.items.iter().all(Item::has_ended) && self.transfers.is_empty()
    }

    /// Whether all that happened was told.
    pub fn is_told(&self) -> bool {
        self.untold == 0
    }

    /// The item that work is for.
    pub fn item_of(&self, work: &Work) -> Option<ItemId> {
        work.item(|file| self.transfers.get(&file).map(|it| it.task.item))
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        let open = self
            .slots
            .iter()
            .filter(|slot| slot.line == super::slot::Line::Open);
        open.count()
    }

    /// Pieces that came whole since the start, and those of them that were bad.
    pub fn pieces(&self) -> (u64, u64) {
        self.pieces
    }

    /// Sums over all items.
    #[cfg(test)]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for item in &self.items {
            tally.finished += item.finished;
            tally.failed += item.failed;
        }
        tally
    }

    /// What the run amounts to, cleared items among it.
    pub fn amount(&self) -> Outcome {
        self.items.iter().fold(self.cleared, Outcome::with)
    }

    /// The exit statuses of all failures, and the only error if there was just one.
    pub fn outcome(&self) -> (Exit, Option<Error>) {
        let items = self.items.iter();
        let exit = Exit::of_all(items.flat_map(|item| item.failures.iter().copied()));
        let failed: u64 = self.items.iter().map(|item| item.failed).sum();
        let only = self
            .items
            .iter()
            .find_map(|item| item.last_error.clone())
            .filter(|_| failed == 1);
        (exit, only)
    }
}

#[cfg(test)]
mod tests;
