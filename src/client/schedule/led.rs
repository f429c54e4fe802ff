//! Where redirects lead: to servers beside those that the user named, each for the files that were led there.
//!
//! A place among them is an origin's as long as a file or a connection needs it, and another one's after that: however
//! many servers files are led to, no more than [`LED_MAX`] are known at a time.

use std::time::{Duration, Instant};

use super::{FileId, Flight, Hop, Phase, Placed, Schedule, SlotId, SourceId, SourceSet, Work};
use crate::client::{
    Error,
    id::LED_MAX,
    task::{FileTask, Led, REDIRECTS_MAX},
};

/// Other origins that one file may be led to before it has failed: each may hold pieces of it.
const MET_MAX: usize = 16;
/// A file for which there is no place is asked for again after so long.
const FULL: Duration = Duration::from_secs(1);
/// What was refused while others fetch some of the same file is asked for again so often in a row.
const LATER_MAX: u16 = 8;

/// How a file stands where a redirect led, when its work fails there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LedStanding {
    /// The first URL may be asked again: what it led to has not been refused twice without a byte between.
    pub first: bool,
    /// Others fetch some of it now.
    pub flows: bool,
    /// The work was sent before it was known where it is asked for now.
    pub outdated: bool,
}

impl Schedule {
    /// How the file of some work stands at a server.
    pub(super) fn led_for(&self, flight: &Flight, source: SourceId) -> LedStanding {
        let Some(task) = self.task_of(&flight.work) else {
            return LedStanding::default();
        };
        let is_led = task.led_to(source).is_some();
        let redirects = source.is_led() || task.redirecting.contains(source);
        let file = flight.work.file();
        LedStanding {
            first: is_led && task.refusals == 0,
            flows: is_led
                && task.refusals < LATER_MAX
                && file.is_some_and(|file| self.reading(file) > 0),
            outdated: redirects && task.turned.is_some_and(|turned| flight.at <= turned),
        }
    }

    /// The answer to the first work in flight redirects: where that leads is asked instead, for this file. A server that is
    /// met there must be `known` to the caller.
    pub fn led(
        &mut self,
        id: SlotId,
        hop: &Hop,
        known: bool,
        now: Instant,
    ) -> Result<Placed, Error> {
        let placed = match hop.named {
            Some(named) if self.sources.get(named).is_kept() => Placed::At(named),
            Some(_) => return Err(hop.error("that server was dropped: the log says why")),
            None => self.place(&hop.origin, known),
        };
        let from = self.slots[id.0].source;
        let Some(front) = self.slots[id.0].flight.front_mut() else {
            return Ok(Placed::Full);
        };
        let task = match &mut front.work {
            Work::Open(task) => task,
            Work::Run(file, _) | Work::Values(file) => match self.transfers.get_mut(file) {
                Some(transfer) => &mut transfer.task,
                None => return Ok(Placed::Full),
            },
            _ => return Ok(Placed::Full),
        };
        match placed {
            Placed::At(at) | Placed::New(at) => {
                follow(task, from, at, hop, now)?;
                let (item, file) = (task.item, front.work.file());
                if let Some(transfer) = file.and_then(|file| self.transfers.get_mut(&file)) {
                    transfer.excluded = transfer.excluded.without(SourceSet::of(at));
                }
                if let Some(item) = self.item_mut(item) {
                    item.led = Some(hop.shown.clone());
                }
                if matches!(placed, Placed::New(_)) {
                    self.meet(at, &hop.origin);
                }
            }
            Placed::Full => self.wait_for_a_place(id, now),
            Placed::Unmet => {}
        }
        Ok(placed)
    }

    /// Takes back what was not sent yet, and is asked for elsewhere now, was stopped or has ended.
    pub(super) fn recall(&mut self, id: SlotId) {
        let source = self.slots[id.0].source;
        let is_off = |schedule: &Self, flight: &Flight| match &flight.work {
            Work::Open(task) => !schedule.is_going(task.item),
            Work::List(task) => !schedule.is_going(task.item),
            Work::Run(file, _) | Work::Values(file) => {
                let transfer = schedule.transfers.get(file);
                transfer.is_none_or(|transfer| {
                    transfer.phase != Phase::Flowing || transfer.off().contains(source)
                })
            }
            Work::Browse(_) | Work::Spent => false,
        };
        // What is unsent stands behind all that is sent.
        let flights = &self.slots[id.0].flight;
        let mut at = flights
            .iter()
            .rposition(|it| it.sent)
            .map_or(0, |sent| sent + 1);
        while let Some(flight) = self.slots[id.0].flight.get(at) {
            if is_off(self, flight) {
                let flight = self.slots[id.0].flight.remove(at);
                self.put_back_flight(flight);
                self.ring_all();
            } else {
                at += 1;
            }
        }
    }

    /// Whether a redirect led, or leads, to a server for a file.
    pub fn is_led(&self, file: FileId, source: SourceId) -> bool {
        let transfer = self.transfers.get(&file);
        source.is_led()
            || transfer.is_some_and(|transfer| transfer.task.redirecting.contains(source))
    }

    fn place(&mut self, origin: &str, known: bool) -> Placed {
        if let Some(at) = self.led.iter().position(|met| met == origin) {
            return Placed::At(SourceId::led(at));
        }
        if !known {
            return Placed::Unmet;
        }
        if self.led.len() < LED_MAX {
            return Placed::New(SourceId::led(self.led.len()));
        }
        let free = |used: SourceSet| {
            let all = (0..LED_MAX).map(SourceId::led);
            all.into_iter().find(|at| !used.contains(*at))
        };
        let at = free(self.met()).or_else(|| {
            // What is paused may stay so for long.
            let paused = self.items.iter_mut().filter(|item| !item.is_going());
            for task in paused.flat_map(super::item::Item::waiting_mut) {
                task.begin_anew();
            }
            free(self.met())
        });
        at.map_or(Placed::Full, Placed::New)
    }

    fn meet(&mut self, at: SourceId, origin: &str) {
        let place = at.led_place().unwrap_or_default();
        if place == self.led.len() {
            self.led.push(origin.to_owned());
        } else {
            origin.clone_into(&mut self.led[place]);
        }
        self.sources.meet(at);
    }

    /// Sources that redirects led to and that something still needs.
    fn met(&self) -> SourceSet {
        let slots = self.slots.iter().map(|slot| SourceSet::of(slot.source));
        let flights = self.slots.iter().flat_map(|slot| &slot.flight);
        let flights = flights.filter_map(|flight| match &flight.work {
            Work::Open(task) => Some(task),
            _ => None,
        });
        let waiting = self.items.iter().flat_map(super::item::Item::waiting);
        let transfers = self.transfers.values().map(|transfer| &transfer.task);
        let tasks = flights
            .chain(waiting)
            .chain(transfers)
            .chain(self.landings.values());
        slots
            .chain(tasks.map(|task| task.met))
            .fold(SourceSet::default(), SourceSet::union)
    }

    /// Too many servers are met at a time: the file is asked for again a little later.
    fn wait_for_a_place(&mut self, id: SlotId, now: Instant) {
        let Some(front) = self.slots[id.0].flight.front_mut() else {
            return;
        };
        match std::mem::replace(&mut front.work, Work::Spent) {
            Work::Open(mut task) => {
                task.begin_anew();
                let reason = "its redirect leads to one server too many at a time";
                if let Some(item) = self.item_mut(task.item) {
                    item.take_back_later(task.into(), now + FULL, reason.into());
                }
            }
            work => {
                if let Some(transfer) = work.file().and_then(|file| self.transfers.get_mut(&file)) {
                    transfer.wait(now, now + FULL);
                }
                front.work = work;
            }
        }
    }

    /// The file that work is for.
    pub(super) fn task_of<'a>(&'a self, work: &'a Work) -> Option<&'a FileTask> {
        match work {
            Work::Open(task) => Some(task),
            Work::Run(file, _) | Work::Values(file) => {
                self.transfers.get(file).map(|transfer| &transfer.task)
            }
            _ => None,
        }
    }

    /// Whether the first URL of a file, which redirects, is being asked by some connection: one is enough.
    pub(super) fn asks_first(&self, file: FileId, source: SourceId) -> bool {
        let its = |work: &Work| work.file() == Some(file);
        self.slots
            .iter()
            .any(|slot| slot.source == source && slot.flight.iter().any(|flight| its(&flight.work)))
    }
}

/// Notes where a redirect of `from` led.
fn follow(
    task: &mut FileTask,
    from: SourceId,
    at: SourceId,
    hop: &Hop,
    now: Instant,
) -> Result<(), Error> {
    let before = task.led_to(from);
    let (first, hops) = before.map_or((from, 1), |led| (led.first, led.hops + 1));
    if hops > REDIRECTS_MAX {
        return Err(hop.error("more than 5 redirects in a row lead nowhere"));
    }
    let met = task.met.union(SourceSet::of(at)).both(SourceSet::LED);
    if met.len() > MET_MAX {
        return Err(hop.error("after 16 others, which all served some of it no more"));
    }
    task.met = met;
    task.led.retain(|led| led.first != first && led.at != from);
    task.redirecting.insert(first);
    task.tried = task.tried.without(SourceSet::of(at));
    task.turned = Some(now);
    task.led.push(Led {
        first,
        at,
        target: hop.target.clone(),
        hops,
    });
    tracing::info!(path = %task.shown(), "redirected to {}", hop.shown);
    Ok(())
}

#[cfg(test)]
mod tests;
