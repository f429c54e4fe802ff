//! Servers that redirects led to and that serve a file no more: it is asked for at the first URL again.

use std::time::{Duration, Instant};

use super::{
    FileId, Flight, Keep, Schedule, SourceId, SourceSet, Transfer, Work, order::Fault,
    verdict::Values,
};
use crate::client::{
    Error,
    disk::names::Local,
    task::{FileTask, Task},
};

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

impl Schedule {
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
            // Those that are refused together are one refusal.
            if transfer.wait(now, now + LATER) {
                transfer.task.refusals += 1;
            }
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

    /// A server that a redirect led to cannot be reached. It rests, and its files are asked for at the first URL again,
    /// which may lead to another one.
    pub(super) fn rest_led(&mut self, source: SourceId, fault: &Fault, now: Instant) {
        let error = fault.error();
        let own = error.is_own_network();
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
        // One by one: an item ends when nothing of it waits.
        while let Some(mut task) = self.items.iter_mut().find_map(|it| it.take_led(source)) {
            let first = task.forget_led_from(source);
            // The next URLs of a Metalink may lead elsewhere.
            let its = first.iter();
            let over = its.filter(|first| !task.has_next_url(*first)).collect();
            for first in first.iter() {
                task.turn_to_next_url(first, leave == Leave::Fail);
            }
            match leave {
                Leave::Again => self.put_back_task(task.into()),
                Leave::Retry => self.task_failed(task.into(), error.clone(), None, now),
                Leave::Fail => {
                    task.tried = task.tried.union(over);
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

    /// Files whose values nobody can be asked for any more, because those who are left are asked for them by a query, are
    /// begun anew without.
    pub(super) fn begin_without_values(&mut self, now: Instant) {
        let led = self.transfers.values();
        let led = led.filter(|transfer| !transfer.task.redirecting.is_empty());
        let files: Vec<FileId> = led.map(|transfer| transfer.id).collect();
        for file in files {
            self.begin_one_without_values(file, now);
        }
    }

    fn begin_one_without_values(&mut self, file: FileId, now: Instant) {
        let kept = self.sources.hopeful();
        let is_mute = |transfer: &Transfer| {
            let mute = transfer.off().union(transfer.task.mute());
            transfer.verdict.values == Values::Unasked && kept.without(mute).is_empty()
        };
        if self.transfers.get(&file).is_some_and(is_mute)
            && let Some(transfer) = self.let_go(file, Keep::AsIs)
        {
            let task = FileTask {
                local: Local::Unknown,
                kept: 0,
                ..transfer.task
            };
            self.task_failed(task.into(), Error::Changed, None, now);
        }
    }
}

#[cfg(test)]
mod tests;
