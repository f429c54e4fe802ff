//! What follows from a failure is carried out.

use std::time::{Duration, Instant};

use super::{
    Schedule, SlotId, SourceId,
    fault::{ASKED_MAX, Follow},
    order::{Effect, Fault, Flight, Keep, Work},
};
use crate::client::{
    Error,
    disk::names::Local,
    task::{FileTask, Task},
};

/// Values that did not come are asked for again after so long while pieces flow, where the server does not say.
const VALUES_AGAIN: Duration = Duration::from_secs(2);
/// A file that changed so often while it was fetched is fetched in one answer.
const CHANGES_MAX: u32 = 3;

impl Schedule {
    pub(super) fn carry_out(
        &mut self,
        id: SlotId,
        follow: Follow,
        fault: &Fault,
        flight: Option<Flight>,
        now: Instant,
    ) {
        let source = self.slots[id.0].source;
        let flight = match follow {
            Follow::LeaveOut | Follow::Fail | Follow::Retry => {
                self.turn_to_next_url(source, follow, fault, flight, now)
            }
            _ => flight,
        };
        match follow {
            Follow::Again => self.put_back_flight(flight),
            Follow::Alone => {
                self.sources.get_mut(source).depth.refused_ahead();
                self.put_back_alone(flight);
            }
            Follow::Get => self.get_after_all(flight),
            Follow::Elsewhere => self.leave_to_others(source, fault, flight, now),
            Follow::LeaveOut => self.leave_out(source, fault, flight),
            Follow::First => self.ask_first(source, fault, flight, now),
            Follow::Later => self.ask_later(flight, now),
            Follow::Slower => self.go_slower(source, fault, flight, now),
            Follow::Hold => {
                self.put_back_flight(flight);
                self.hold(id, fault, now);
            }
            Follow::Ask => {
                self.put_back_flight(flight);
                self.ask_user(source, &fault.error());
            }
            Follow::Retry => self.blame(source, flight, fault, now),
            Follow::RetryAndRest => {
                self.blame(source, flight, fault, now);
                self.rest(source, fault, now);
            }
            Follow::Fail => {
                let browses = |flight: &Flight| matches!(flight.work, Work::Browse(_));
                if matches!(fault, Fault::Busy { .. }) && !flight.as_ref().is_some_and(browses) {
                    self.sources.forgive(source);
                }
                self.fail(source, flight, fault, now);
            }
            Follow::Restart => self.restart(flight, now),
            Follow::Whole => {
                let error = fault.error();
                // An empty file has no range: that is nothing to be told of.
                let empty = matches!(error, Error::Status { status: 416, .. });
                let why = (!empty).then_some("the server refuses ranges of it");
                self.ask_whole(flight, why, error, now);
            }
            Follow::Drop => {
                self.put_back_flight(flight);
                let error = fault.error();
                if !self.drop_source(source, &error) {
                    self.give_up(source, &error, now);
                }
            }
            Follow::Rest => self.rest(source, fault, now),
        }
    }

    fn leave_to_others(
        &mut self,
        source: SourceId,
        fault: &Fault,
        flight: Option<Flight>,
        now: Instant,
    ) {
        if !matches!(fault, Fault::Busy { .. }) {
            let pause = self.source_failed(source, &fault.error(), now);
            self.log_rest(source, &fault.error(), pause);
        }
        self.put_back_flight(flight);
    }

    fn go_slower(&mut self, source: SourceId, fault: &Fault, flight: Option<Flight>, now: Instant) {
        let load = &self.sources.get(source).load;
        let after = load.wait(now).map_or(Duration::ZERO, |at| at - now);
        let tries = load.refusals() + 1;
        self.tell_retrying(flight.as_ref(), tries, after, &fault.error());
        self.put_back_flight(flight);
    }

    /// What is told of a fault of a server: where a redirect led there, that it is not the one that was named.
    fn told_by(&self, source: SourceId, fault: &Fault) -> Error {
        match fault.error() {
            error @ (Error::Status { .. } | Error::Login { .. }) if source.is_led() => Error::Led {
                at: self.name_of(source).to_owned(),
                error: Box::new(error),
            },
            error => error,
        }
    }

    fn get_after_all(&mut self, flight: Option<Flight>) {
        let Some(Flight {
            work: Work::Open(task),
            ..
        }) = flight
        else {
            return self.put_back_flight(flight);
        };
        let local = Local::Nothing;
        self.put_back(Work::Open(FileTask { local, ..task }));
    }

    /// A Metalink may name several URLs at one server: a file that fails for one of them is asked for at the next. What is left to be
    /// done.
    fn turn_to_next_url(
        &mut self,
        source: SourceId,
        follow: Follow,
        fault: &Fault,
        flight: Option<Flight>,
        now: Instant,
    ) -> Option<Flight> {
        let Some(Flight {
            work: Work::Open(task),
            ..
        }) = &flight
        else {
            return flight;
        };
        let first = task.first_for(source);
        if !is_about_the_url(fault, follow) || !task.has_next_url(first) {
            return flight;
        }
        let mut task = match fault {
            Fault::BadWhole(task) | Fault::Unlisted(task, _) => FileTask::clone(task),
            _ => task.clone(),
        };
        let (server, why) = (self.name_of(source).to_owned(), self.told_by(source, fault));
        if follow == Follow::Retry {
            self.url_failed(first, task, why, fault.retry_after(), now);
        } else {
            // What only one answer could give here may be given there in pieces.
            task.whole = false;
            self.pass_url(first, task, &format!("{server}: {}", fault.error()), now);
        }
        None
    }

    /// A try at what the URL of a source gave failed. The next one there is asked after the usual pause; the last try is as many as it
    /// has URLs.
    pub(super) fn url_failed(
        &mut self,
        first: SourceId,
        mut task: FileTask,
        error: Error,
        retry_after: Option<Duration>,
        now: Instant,
    ) {
        let is_last = !error.is_transient() || task.failures >= self.limits.retries;
        if is_last && task.has_next_url(first) && !self.stopped {
            return self.pass_url(first, task, &error.to_string(), now);
        }
        task.turn_to_next_url(first, false);
        self.task_failed(task.into(), error, retry_after, now);
    }

    /// A file is asked for at the next URL of a source at once, and at this one no more.
    fn pass_url(&mut self, first: SourceId, mut task: FileTask, why: &str, now: Instant) {
        task.turn_to_next_url(first, true);
        task.led.retain(|led| led.first != first);
        (task.refusals, task.turned) = (0, Some(now));
        tracing::warn!(path = %task.shown(), "{why}: its next URL there is asked");
        self.put_back(Work::Open(task));
    }

    /// The server is left out for this work, and others are asked.
    fn leave_out(&mut self, source: SourceId, fault: &Fault, flight: Option<Flight>) {
        let Some(flight) = flight else { return };
        let (server, why) = (self.name_of(source).to_owned(), fault.error());
        match flight.work {
            Work::Browse(mut browse) => {
                browse.tried.insert(source);
                self.put_back(Work::Browse(browse));
            }
            Work::List(task) => self.put_back_task(left_out(task.into(), source, fault)),
            Work::Open(task) => {
                let mut task = match fault {
                    Fault::BadWhole(task) | Fault::Unlisted(task, _) => FileTask::clone(task),
                    _ => task,
                };
                // What only one answer could give here, others may give in pieces.
                task.whole = false;
                tracing::warn!(path = %task.shown(), "{server}: {why}: another mirror is asked");
                self.put_back_task(left_out(task.into(), source, fault));
            }
            Work::Run(file, _) | Work::Values(file) => {
                if let Some(transfer) = self.transfers.get_mut(&file)
                    && !transfer.excluded.contains(source)
                {
                    transfer.excluded.insert(source);
                    tracing::warn!(path = %transfer.task.shown(), "{server} has no such file, or another, or only the whole of it: left out for it");
                }
                self.put_back(flight.work);
            }
            Work::Spent => {}
        }
    }

    /// The work failed: it is tried again after a pause, or has failed for good.
    fn blame(&mut self, source: SourceId, flight: Option<Flight>, fault: &Fault, now: Instant) {
        let Some(mut flight) = flight else { return };
        // Where a redirect led is not all that the first URL may lead to.
        self.turn_back(source, &mut flight.work, now);
        let (error, retry_after) = (self.told_by(source, fault), fault.retry_after());
        match flight.work {
            Work::Browse(mut browse) => {
                browse.failures += 1;
                if error.is_connection() && browse.failures <= self.limits.retries {
                    self.put_back(Work::Browse(browse));
                } else {
                    self.outbox.push_back(Effect::Answer(browse.id, error));
                }
            }
            Work::List(task) => self.task_failed(task.into(), error, retry_after, now),
            Work::Open(task) => {
                let task = match fault {
                    Fault::BadWhole(task) | Fault::Unlisted(task, _) => FileTask::clone(task),
                    _ => task,
                };
                self.task_failed(task.into(), error, retry_after, now);
            }
            Work::Run(file, ref run) => {
                if let Some(transfer) = self.transfers.get_mut(&file) {
                    transfer.plan.release(run.id);
                }
                self.transfer_failed(file, error, retry_after, now);
            }
            Work::Values(file) => {
                let pause = retry_after.map_or(VALUES_AGAIN, |time| time.min(ASKED_MAX));
                let flows = self
                    .transfers
                    .get_mut(&file)
                    .is_some_and(|transfer| transfer.values_failed(now, pause));
                if !flows {
                    self.transfer_failed(file, error, retry_after, now);
                }
            }
            Work::Spent => {}
        }
    }

    /// The work failed for good.
    fn fail(&mut self, source: SourceId, flight: Option<Flight>, fault: &Fault, now: Instant) {
        let Some(flight) = flight else { return };
        let error = self.told_by(source, fault);
        match flight.work {
            Work::Browse(browse) => self.outbox.push_back(Effect::Answer(browse.id, error)),
            Work::List(task) => self.fail_task(source, task.into(), (fault, error), now),
            Work::Open(task) => self.fail_task(source, task.into(), (fault, error), now),
            Work::Run(file, run) => {
                if let Some(transfer) = self.transfers.get_mut(&file) {
                    transfer.plan.release(run.id);
                }
                self.transfer_ended(file, error);
            }
            Work::Values(file) => self.transfer_ended(file, error),
            Work::Spent => {}
        }
    }

    /// The last of the servers refused a task. Those that failed inside before may serve it by now.
    fn fail_task(
        &mut self,
        source: SourceId,
        mut task: Task,
        (fault, error): (&Fault, Error),
        now: Instant,
    ) {
        // What is wrong here is so whoever sends it.
        let is_here = matches!(fault, Fault::Local(_));
        match task.ask_failing_again().filter(|_| !is_here) {
            Some(failing) => {
                task.leave_out(source);
                self.task_failed(task, failing, None, now);
            }
            None => self.task_ended(task, error),
        }
    }

    /// The file is not what it was: it is fetched from its beginning. Where it never stays the same, whether it grows or
    /// several servers stand behind one name, one answer holds it as it was at that moment.
    pub(super) fn restart(&mut self, flight: Option<Flight>, now: Instant) {
        let Some(Work::Run(file, _) | Work::Values(file)) = flight.as_ref().map(|it| &it.work)
        else {
            return;
        };
        let Some(transfer) = self.transfers.get_mut(file) else {
            return;
        };
        transfer.task.changes += 1;
        if transfer.task.changes >= CHANGES_MAX.min(self.limits.retries + 1) && !transfer.task.whole
        {
            let why = Some("it changes again and again");
            return self.ask_whole(flight, why, Error::Changed, now);
        }
        if let Some(transfer) = self.let_go(*file, Keep::AsIs) {
            tracing::warn!(path = %transfer.task.shown(), "it changed on the server: started again");
            let task = FileTask {
                local: Local::Unknown,
                kept: 0,
                ..transfer.task
            };
            self.task_failed(task.into(), Error::Changed, None, now);
        }
    }

    /// The file is fetched in one answer, of which nothing but a digest of the whole could be checked. Where it was already,
    /// it has failed.
    fn ask_whole(&mut self, flight: Option<Flight>, why: Option<&str>, error: Error, now: Instant) {
        let task = match flight.map(|flight| flight.work) {
            Some(Work::Open(task)) => task,
            Some(Work::Run(file, _) | Work::Values(file)) => match self.let_go(file, Keep::AsIs) {
                Some(transfer) => transfer.task,
                None => return,
            },
            _ => return,
        };
        if task.whole {
            return self.task_failed(task.into(), error, None, now);
        }
        if let Some(why) = why {
            tracing::warn!(path = %task.shown(), "{why}: fetched in one answer, which no range or piece can prove");
        }
        self.put_back(Work::Open(FileTask {
            whole: true,
            kept: 0,
            local: Local::Nothing,
            ..task
        }));
    }
}

/// A task for which a server is left out.
fn left_out(mut task: Task, source: SourceId, fault: &Fault) -> Task {
    match fault {
        Fault::Busy { error, .. } => task.leave_out_failing(source, error),
        _ => task.leave_out(source),
    }
    task
}

/// Whether a failure may be that of what was asked for: a connection that broke may break at any URL, and of a server that fails
/// inside the others are asked first.
fn is_about_the_url(fault: &Fault, follow: Follow) -> bool {
    match fault {
        Fault::Refused(_)
        | Fault::Login(_)
        | Fault::Changed
        | Fault::BadWhole(_)
        | Fault::Unlisted(..)
        | Fault::Other(_) => true,
        Fault::Busy { .. } => follow != Follow::LeaveOut,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
