//! What has failed: it is tried again after a pause, or has failed for good.

use std::time::{Duration, Instant};

use super::{
    FileId, Schedule,
    fault::ASKED_MAX,
    order::{Flight, Keep, Work},
};
use crate::client::{Error, Event, task::Task};

impl Schedule {
    /// An attempt at a file or a listing failed: it is tried again after a pause, or it has failed for good.
    pub(super) fn task_failed(
        &mut self,
        mut task: Task,
        error: Error,
        retry_after: Option<Duration>,
        now: Instant,
    ) {
        let item = task.item();
        if error.is_transient() && !self.is_going(item) {
            // Nothing fails while its item is paused: it is done again once that goes on.
            self.put_back_task(task);
            return;
        }
        *task.failures() += 1;
        let failures = *task.failures();
        let _ = task.ask_failing_again();
        if let Task::File(task) = &mut task {
            task.begin_anew();
        }
        if error.is_transient() && failures <= self.limits.retries && !self.stopped {
            let after =
                retry_after.map_or_else(|| self.backoff(failures), |time| time.min(ASKED_MAX));
            self.tell(Event::Retrying {
                item,
                path: task.path().clone(),
                attempt: failures + 1,
                after,
                error: error.clone(),
            });
            if let Some(item) = self.item_mut(item) {
                item.take_back_later(task, now + after, error.to_string());
            }
        } else {
            self.task_ended_after(task, failures, error);
        }
        self.end_item(item);
    }

    pub(super) fn task_ended(&mut self, mut task: Task, error: Error) {
        let attempts = *task.failures() + 1;
        self.task_ended_after(task, attempts, error);
    }

    /// It has failed for good. Told before it counts: an item must not have ended while something about it is still to be
    /// told.
    pub(super) fn task_ended_after(&mut self, task: Task, attempts: u32, error: Error) {
        let item = task.item();
        self.tell(Event::Failed {
            item,
            path: task.path().clone(),
            attempts,
            error: error.clone(),
        });
        if let Some(item) = self.item_mut(item) {
            item.keep_failed(task);
            item.note_failure(error);
        }
        self.end_item(item);
    }

    /// Something about a transfer failed: it goes on after a pause, or has failed for good.
    pub(super) fn transfer_failed(
        &mut self,
        file: FileId,
        error: Error,
        retry_after: Option<Duration>,
        now: Instant,
    ) {
        let going = self
            .transfers
            .get(&file)
            .is_some_and(|transfer| self.is_going(transfer.task.item));
        let Some(transfer) = self.transfers.get_mut(&file) else {
            return;
        };
        if error.is_transient() && !going {
            return;
        }
        if !transfer.facts.ranges {
            if let Some(task) = self.begin_anew(file) {
                self.task_failed(task.into(), error, retry_after, now);
            }
            return;
        }
        // A piece has its own count of tries, and has used it up.
        let again = error.is_transient() && !matches!(error, Error::Integrity { piece: Some(_) });
        let rng = &mut self.rng;
        let failed = transfer.failed(now, |failures| match retry_after {
            Some(time) => time.min(ASKED_MAX),
            None => super::retry::backoff(failures, rng),
        });
        match failed {
            None if again => {}
            Some((failures, after)) if again && failures <= self.limits.retries => {
                let (item, path) = (transfer.task.item, transfer.task.path.clone());
                self.tell(Event::Retrying {
                    item,
                    path,
                    attempt: failures + 1,
                    after,
                    error,
                });
            }
            failed => {
                let failures = failed.map_or(0, |(failures, _)| failures);
                let attempts = if again {
                    failures.max(1)
                } else {
                    self.limits.retries.max(failures) + 1
                };
                self.transfer_ended_after(file, attempts, error);
            }
        }
    }

    pub(super) fn transfer_ended(&mut self, file: FileId, error: Error) {
        self.transfer_ended_after(file, 1, error);
    }

    /// A transfer has failed for good; what is here of it stays.
    pub(super) fn transfer_ended_after(&mut self, file: FileId, attempts: u32, error: Error) {
        let noted = self
            .transfers
            .get(&file)
            .and_then(super::transfer::Transfer::worth_noting);
        let keep = noted.map_or(Keep::AsIs, Keep::Pieces);
        if let Some(transfer) = self.let_go(file, keep) {
            let task = transfer.into_task();
            self.task_ended_after(task.into(), attempts, error);
        }
    }

    /// Says that work will be tried again.
    pub(super) fn tell_retrying(
        &mut self,
        flight: Option<&Flight>,
        attempt: u32,
        after: Duration,
        error: &Error,
    ) {
        let (item, path) = match flight.map(|flight| &flight.work) {
            Some(Work::List(task)) => (task.item, task.dir.clone()),
            Some(Work::Open(task)) => (task.item, task.path.clone()),
            _ => return,
        };
        if after >= Duration::from_millis(500) {
            self.tell(Event::Retrying {
                item,
                path,
                attempt,
                after,
                error: error.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
