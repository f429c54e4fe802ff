//! What else decides about a failure: how its server stands, and who else may do the work.

use std::time::Instant;

use super::{
    ASKED_MAX,
    table::{Standing, is_about_load},
};
use crate::client::{
    Error,
    id::{SlotId, SourceId, SourceSet},
    schedule::{
        Schedule,
        led::LedStanding,
        order::{Fault, Flight, Work},
    },
};

impl Schedule {
    /// A server that closes before it has answered what was sent ahead does not bear pipelining. A cable that is cut says
    /// nothing about a server of our kind: those pipeline.
    pub(super) fn broke_ahead(&mut self, source: SourceId, error: &Error, answered: u32) {
        let source = self.sources.get_mut(source);
        if source.haul {
            return;
        }
        match error {
            Error::Broken(_) => source.depth.lower(answered as usize),
            // It does not answer what was sent ahead, or answers nonsense.
            _ => source.depth.lower(1),
        }
    }

    pub(super) fn standing(
        &mut self,
        id: SlotId,
        fault: &Fault,
        flight: Option<&Flight>,
        pipelined: bool,
    ) -> Standing {
        let slot = &self.slots[id.0];
        let (source, answered) = (slot.source, slot.answered);
        let broken = matches!(fault, Fault::Broke(Error::Broken(_)));
        let is_run = flight.is_some_and(|flight| matches!(flight.work, Work::Run(..)));
        let refuses = broken && answered == 0 && flight.is_some() && {
            let source = self.sources.get_mut(source);
            source.closed += 1;
            // Once is an accident.
            source.closed > 1
        };
        let others = match flight.map(|flight| &flight.work) {
            None => self.sources.has_others(source),
            Some(work) => {
                !flight.is_some_and(|flight| flight.last) && self.others_may_do(work, source, fault)
            }
        };
        let led = flight.map_or_else(LedStanding::default, |flight| self.led_for(flight, source));
        Standing {
            others,
            patient: self.limits.patient,
            stale: answered > 0 && (pipelined || broken && !is_run),
            refuses,
            ahead: flight.is_some_and(|flight| flight.ahead),
            pipelined,
            progress: flight.is_some_and(|flight| self.goes_on_behind(flight)),
            // One that nobody else can help out is its own measure.
            worn: if source.is_led() || !others {
                self.sources.is_worn(source)
            } else {
                self.sources.are_worn()
            },
            led: source.is_led(),
            first: led.first,
            flows: led.flows,
            outdated: led.outdated,
        }
    }

    /// Whether whole pieces came, and the rest can be asked for behind them.
    fn goes_on_behind(&self, flight: &Flight) -> bool {
        let Work::Run(file, _) = &flight.work else {
            return false;
        };
        let transfer = self.transfers.get(file);
        flight.progress && transfer.is_some_and(|transfer| transfer.facts.ranges)
    }

    /// Whether a server was left out for the file of some work.
    pub(in crate::client::schedule) fn is_left_out(&self, work: &Work, source: SourceId) -> bool {
        match work {
            Work::Open(task) => task.off().contains(source),
            Work::Run(file, _) | Work::Values(file) => {
                let transfer = self.transfers.get(file);
                transfer.is_some_and(|transfer| transfer.off().contains(source))
            }
            Work::Browse(_) | Work::List(_) | Work::Spent => false,
        }
    }

    /// Whether another server may do the work, now or once it has rested.
    fn others_may_do(&self, work: &Work, source: SourceId, fault: &Fault) -> bool {
        let mut without = match work {
            Work::Browse(browse) => browse.tried.union(SourceSet::LED),
            Work::List(task) => task.tried.union(SourceSet::LED),
            Work::Open(task) => task.off(),
            Work::Run(file, _) | Work::Values(file) => match self.transfers.get(file) {
                Some(transfer) => transfer.off(),
                None => SourceSet::LED,
            },
            Work::Spent => return false,
        };
        if let Fault::BadWhole(task) | Fault::Unlisted(task, _) = fault {
            without = without.union(task.off());
        }
        without.insert(source);
        !self.sources.hopeful().without(without).is_empty()
    }

    /// The server said that it is asked too much; or it failed inside, and others may do the work. Where nobody else may, such a
    /// failure is that of the file alone, and holds up no other for longer than a moment.
    pub(super) fn refused_for_load(
        &mut self,
        source: SourceId,
        flight: &Flight,
        fault: &Fault,
        now: Instant,
    ) {
        let Fault::Busy { error, retry_after } = fault else {
            return;
        };
        if !is_about_load(error) && !self.others_may_do(&flight.work, source, fault) {
            self.sources.get_mut(source).load.failed(flight.at, now);
            return;
        }
        let open = self.open_lines(source);
        let refusals = self.sources.get(source).load.refusals();
        // One that counts requests is asked less, at first without a pause.
        let rest = match retry_after {
            Some(time) if !time.is_zero() => Some((*time).min(ASKED_MAX)),
            _ if is_about_load(error) && refusals < 2 => None,
            _ => Some(self.backoff(refusals + 1)),
        };
        let load = &mut self.sources.get_mut(source).load;
        load.refused(flight.at, now, open, rest);
    }
}

#[cfg(test)]
mod tests;
