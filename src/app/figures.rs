//! The figures of the queue: every pane, the title and the taskbar take them from here.
//!
//! A percentage of one job never falls, and is said only of a total that is final. `Σ` is of the job that runs: what had
//! ended before anything of it was asked for is no part of it. No time left is shorter than that of one of its parts.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::throughput::Gauge;
use crate::{
    client::{ItemId, ItemState, ItemView},
    progress::Percent,
};

/// What is shown of one transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Bytes that are here.
    pub done: u64,
    /// Bytes in all, once that is final.
    pub total: Option<u64>,
    /// Percent; 100 only of what has landed.
    pub percent: Option<u8>,
    /// Bytes per second.
    pub rate: u64,
    /// Time left.
    pub left: Option<Duration>,
    /// How long no byte has come, once that is a stall.
    pub stalled: Option<Duration>,
}

/// The job that runs, or ran last: everything that is wanted, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Whole {
    /// Here.
    pub done: u64,
    /// In all, once that is final: every size is known and every tree is listed.
    pub total: Option<u64>,
    /// Percent; 100 only once everything has landed.
    pub percent: Option<u8>,
    /// Time left.
    pub left: Option<Duration>,
}

/// What is kept between samples.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// What had ended when the job began.
    before: HashSet<ItemId>,
    running: bool,
    percents: HashMap<ItemId, Percent>,
    sum: Percent,
    /// The time left of several, as it was worked out last.
    estimate: Option<Duration>,
    pub(super) whole: Whole,
}

/// Whether an item belongs to what is wanted.
fn is_wanted(item: &ItemView) -> bool {
    item.state != ItemState::Cancelled
}

impl Book {
    /// Takes a sample; what is `hidden` may be brought back. With `refresh` the estimate is renewed.
    pub(super) fn sample(
        &mut self,
        items: &[ItemView],
        hidden: &HashSet<ItemId>,
        gauges: &HashMap<ItemId, Gauge>,
        refresh: bool,
    ) {
        let running = items.iter().any(|item| !item.state.is_ended());
        if running && !self.running {
            let ended = items.iter().filter(|item| item.state.is_ended());
            self.before = ended
                .map(|item| item.id)
                .chain(hidden.iter().copied())
                .collect();
            // With something new it is another job, be it as large as the last one; what is tried again goes on with that.
            if items.iter().any(|it| !self.percents.contains_key(&it.id)) {
                self.sum = Percent::default();
            }
        }
        self.running = running;
        let mut fell = false;
        for item in items {
            if !item.state.is_ended() {
                // Tried again, it is part of this job.
                self.before.remove(&item.id);
            }
            let percent = self.percents.entry(item.id).or_default();
            let before = percent.get();
            let over = matches!(item.state, ItemState::Cancelled | ItemState::Failed(_));
            if over {
                // Its job is over: what is told is what is kept, and pieces that were under way are not.
                *percent = Percent::default();
            }
            percent.note(item.done, item.final_total());
            fell |= over && percent.get() < before;
        }
        if fell {
            // The whole is told no higher than its parts.
            self.sum = Percent::default();
        }
        if self.percents.len() > items.len() + hidden.len() {
            let mut known = hidden.clone();
            known.extend(items.iter().map(|item| item.id));
            self.percents.retain(|id, _| known.contains(id));
            self.before.retain(|id| known.contains(id));
        }
        self.add_up(items, gauges, refresh);
    }

    fn add_up(&mut self, items: &[ItemView], gauges: &HashMap<ItemId, Gauge>, refresh: bool) {
        let job = || {
            items
                .iter()
                .filter(|i| is_wanted(i) && !self.before.contains(&i.id))
        };
        let done = job().fold(0u64, |sum, item| sum.saturating_add(item.done));
        let total = job().try_fold(0u64, |sum, item| {
            Some(sum.saturating_add(item.final_total()?))
        });
        let total = total.filter(|_| job().next().is_some());
        let landed = job().all(|item| matches!(item.state, ItemState::Finished(_)));
        let running: Vec<_> = job().filter(|item| !item.state.is_ended()).collect();
        if refresh {
            self.estimate = estimate(&running, gauges);
        }
        let rows = running
            .iter()
            .filter(|item| item.state == ItemState::Active);
        let rows = rows.filter_map(|item| gauges.get(&item.id)?.left);
        let longest = rows.max();
        // One transfer takes what its row says; several no less than the slowest of them.
        let left = match running.as_slice() {
            [] => None,
            [_] => longest,
            _ => self
                .estimate
                .map(|all| longest.map_or(all, |one| all.max(one))),
        };
        let left = left.filter(|_| total.is_some());
        self.sum.note(done, total);
        self.whole = Whole {
            done,
            total,
            percent: self.sum.get().map(|p| if landed { p } else { p.min(99) }),
            left,
        };
    }

    /// An item's percentage.
    pub(super) fn percent(&self, item: &ItemView) -> Option<u8> {
        let said = self.percents.get(&item.id)?.get()?;
        if matches!(item.state, ItemState::Finished(_)) {
            return Some(said);
        }
        // Of nothing, nothing can be here.
        (item.final_total() != Some(0)).then_some(said.min(99))
    }
}

/// The time until all of this is here, at the rate of what runs now.
fn estimate(running: &[&ItemView], gauges: &HashMap<ItemId, Gauge>) -> Option<Duration> {
    let (mut missing, mut rate) = (0.0, 0.0);
    for item in running {
        missing += item.final_total()?.saturating_sub(item.done) as f64;
        rate += gauges
            .get(&item.id)
            .and_then(Gauge::calm_rate)
            .unwrap_or(0.0);
    }
    if rate < 1.0 {
        return None;
    }
    Duration::try_from_secs_f64(missing / rate).ok()
}
