//! Where redirects lead: to servers beside those that the user named, each for the files that were led there.
//!
//! A place among them is an origin's as long as a file or a connection needs it, and another one's after that: however
//! many servers files are led to, no more than [`LED_MAX`] are known at a time.

use std::time::{Duration, Instant};

use super::{
    FileId, Flight, Hop, Placed, Schedule, SlotId, SourceId, SourceSet, Work, order::Fault,
};
use crate::client::{
    Error,
    id::LED_MAX,
    task::{FileTask, Led, REDIRECTS_MAX, Task},
};

/// Other origins that one file may be led to before it has failed: each may hold pieces of it.
const MET_MAX: usize = 16;
/// A file for which there is no place is asked for again after so long.
const FULL: Duration = Duration::from_secs(1);
/// What was refused while others fetch some of the same file is asked for again after so long.
const LATER: Duration = Duration::from_millis(500);

/// What becomes of files whose redirect led to a server that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// They are asked for at the first URL again.
    Again,
    /// The same after a pause, and the failure counts.
    Retry,
    /// They have failed, unless others have them.
    Fail,
}

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
            flows: is_led && file.is_some_and(|file| self.reading(file) > 0),
            outdated: redirects && task.turned.is_some_and(|turned| flight.at < turned),
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
                    transfer.wait(now + FULL);
                }
                front.work = work;
            }
        }
    }

    /// What is asked for where a redirect led is asked for at the first URL again. Whether there was such a redirect.
    pub(super) fn turn_back(&mut self, source: SourceId, work: &mut Work, now: Instant) -> bool {
        let task = match work {
            Work::Open(task) => task,
            Work::Run(file, _) | Work::Values(file) => match self.transfers.get_mut(file) {
                Some(transfer) => &mut transfer.task,
                None => return false,
            },
            _ => return false,
        };
        let led = task.forget_led(source);
        if led {
            task.turned = Some(now);
        }
        led
    }

    /// A server that a redirect led to refuses what it may have given before: a signed URL that has expired, say.
    pub(super) fn ask_first(
        &mut self,
        source: SourceId,
        fault: &Fault,
        flight: Option<Flight>,
        now: Instant,
    ) {
        let Some(mut flight) = flight else { return };
        self.turn_back(source, &mut flight.work, now);
        if let Some(task) = self.task_of_mut(&mut flight.work) {
            task.refusals += 1;
            let shown = task.shown();
            tracing::info!(path = %shown, "{}: {}: the first URL is asked again", self.name_of(source), fault.error());
        }
        self.put_back(flight.work);
    }

    /// The same, but that it is known to be asked for there: only so often, it seems, as others fetch it.
    pub(super) fn ask_later(&mut self, flight: Option<Flight>, now: Instant) {
        let file = flight.as_ref().and_then(|flight| flight.work.file());
        if let Some(transfer) = file.and_then(|file| self.transfers.get_mut(&file)) {
            transfer.wait(now + LATER);
        }
        self.put_back_flight(flight);
    }

    /// The file that work is for.
    fn task_of_mut<'a>(&'a mut self, work: &'a mut Work) -> Option<&'a mut FileTask> {
        match work {
            Work::Open(task) => Some(task),
            Work::Run(file, _) | Work::Values(file) => {
                let transfer = self.transfers.get_mut(file);
                transfer.map(|transfer| &mut transfer.task)
            }
            _ => None,
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

    /// A server that a redirect led to cannot be reached. It rests, and its files are asked for at the first URL again,
    /// which may lead to another one.
    pub(super) fn rest_led(&mut self, source: SourceId, fault: &Fault, now: Instant) {
        let error = fault.error();
        let own = matches!(fault, Fault::Unreachable { own: true, .. });
        let waits = own && self.sources.get_mut(source).own_outage(now);
        let pause = self.source_failed(source, &error, now);
        self.log_rest(source, &error, pause);
        if waits {
            // The first URL is out of reach as well.
            return;
        }
        let leave = if self.limits.patient {
            Leave::Again
        } else {
            Leave::Retry
        };
        self.leave(source, &error, leave, now);
    }

    /// Files that a redirect led to a server are not asked for there any more.
    pub(super) fn leave(&mut self, source: SourceId, error: &Error, leave: Leave, now: Instant) {
        let items = self.items.iter_mut();
        let tasks: Vec<_> = items.flat_map(|item| item.take_led(source)).collect();
        for mut task in tasks {
            let first = task.forget_led_from(source);
            match leave {
                Leave::Again => self.put_back_task(task.into()),
                Leave::Retry => self.task_failed(task.into(), error.clone(), None, now),
                Leave::Fail => {
                    task.tried = task.tried.union(first);
                    if self.others_have(task.off()) {
                        self.put_back_task(task.into());
                    } else {
                        let attempts = task.failures + 1;
                        self.task_ended_after(Task::File(task), attempts, error.clone());
                    }
                }
            }
        }
        let its = self.transfers.values();
        let its = its.filter(|transfer| transfer.task.led_to(source).is_some());
        let files: Vec<FileId> = its.map(|transfer| transfer.id).collect();
        for file in files {
            self.leave_transfer(file, source, error, leave, now);
        }
        self.ring_all();
    }

    fn leave_transfer(
        &mut self,
        file: FileId,
        source: SourceId,
        error: &Error,
        leave: Leave,
        now: Instant,
    ) {
        let Some(transfer) = self.transfers.get_mut(&file) else {
            return;
        };
        let first = transfer.task.forget_led_from(source);
        transfer.task.turned = Some(now);
        match leave {
            Leave::Again => {}
            Leave::Retry => self.transfer_failed(file, error.clone(), None, now),
            Leave::Fail => {
                transfer.excluded = transfer.excluded.union(first);
                let off = transfer.off();
                if !self.others_have(off) {
                    self.transfer_ended_after(file, 1, error.clone());
                }
            }
        }
    }

    /// Whether a server may have what those in `off` have not.
    fn others_have(&self, off: SourceSet) -> bool {
        !self.sources.hopeful().without(off).is_empty()
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
