//! What is to be done next for a transfer, and of whom it may be asked.

use std::time::Instant;

use super::{Phase, Transfer};
use crate::client::{
    id::SourceSet,
    schedule::{Run, plan::Patience, sources::Outlook, verdict::Values},
};

/// Something to do for a transfer.
#[derive(Debug)]
pub enum Step {
    /// Fetch these pieces.
    Run(Run),
    /// Fetch the pieces' values.
    Values,
}

/// Who asks for a step.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// Most pieces in a run, by the connection's speed.
    pub run_max: u32,
    /// Connections in all.
    pub workers: usize,
    /// Now.
    pub now: Instant,
    /// Whether to take work over from connections that show no sign of life.
    pub help: Option<Patience>,
    /// The connection's source, and the others.
    pub outlook: Outlook,
}

impl Transfer {
    /// Whether its values come next: nothing is pipelined with them.
    pub fn wants_values(&self, asker: &Asker) -> bool {
        let mute = self.off_for(&asker.outlook).union(self.task.mute());
        self.may_ask_values(asker.workers, asker.now) && asker.outlook.leads(mute)
    }

    /// Whether its values are to be asked for now, of whomever. One connection alone fetches them last: its first byte must
    /// not wait for the server's hashing.
    fn may_ask_values(&self, workers: usize, now: Instant) -> bool {
        let next = workers > 1 || self.left > 0 || self.plan.is_complete();
        let rests = self.values_not_before.is_some_and(|at| at > now);
        self.verdict.values == Values::Unasked && next && !rests
    }

    /// Sources that may give something of it that is free now, or tell its values, to one of so many `workers`.
    pub fn needed(&self, outlook: &Outlook, workers: usize, now: Instant) -> SourceSet {
        if self.phase != Phase::Flowing || self.not_before.is_some_and(|at| at > now) {
            return SourceSet::default();
        }
        let off = self.off_for(outlook);
        let mut needed = SourceSet::default();
        if self.may_ask_values(workers, now)
            && let Some(lead) = outlook.lead(off.union(self.task.mute()))
        {
            needed.insert(lead);
        }
        if self.plan.has_free() {
            if self.facts.ranges {
                needed = needed.union(outlook.usable.without(off));
            }
            outlook
                .lead(off)
                .into_iter()
                .for_each(|lead| needed.insert(lead));
        }
        needed
    }

    /// When it may be looked at again, if it waits for that.
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        let values = self
            .values_not_before
            .filter(|_| self.verdict.values == Values::Unasked);
        let later = |at: &Instant| *at > now;
        [self.not_before, values]
            .into_iter()
            .flatten()
            .filter(later)
            .min()
    }

    /// The next thing to do for it, if there is any; `reading` connections are at it.
    pub fn next(&mut self, asker: &Asker, reading: usize) -> Option<Step> {
        if self.phase != Phase::Flowing || self.not_before.is_some_and(|at| at > asker.now) {
            return None;
        }
        let off = self.off_for(&asker.outlook);
        let leads = asker.outlook.leads(off);
        if !leads && off.contains(asker.outlook.source) {
            return None;
        }
        if self.wants_values(asker) {
            self.verdict.values = Values::Asked;
            self.verdict.teller = asker.outlook.source;
            self.done_before_values = self.plan.done_count();
            self.values_not_before = None;
            return Some(Step::Values);
        }
        if !self.facts.ranges && (reading > 0 || !leads) {
            return None;
        }
        let run = match asker.help {
            Some(patience) if !self.plan.has_free() && self.facts.ranges => {
                self.plan.steal(asker.now, patience)
            }
            _ => {
                let max = if self.facts.ranges {
                    asker.run_max
                } else {
                    u32::MAX
                };
                let workers = if self.facts.ranges { asker.workers } else { 0 };
                self.plan.take(max, workers, asker.now)
            }
        };
        let mut run = run?;
        if self.facts.ranges {
            self.plan.fetch_from(&mut run, asker.outlook.source);
        }
        Some(Step::Run(run))
    }
}
