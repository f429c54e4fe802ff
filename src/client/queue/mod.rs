//! What is to be done, in which order: items, the directories still to list, the files still to fetch, and the jobs
//! under way. Bookkeeping only, under one lock; connections ask it for work and tell it what became of it.

mod item;
mod work;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use super::{
    Error,
    disk::target::Target,
    disk::{journal::Ticket, names::Local},
    job::{Job, StepPolicy},
    read::pattern::Filter,
    snapshot::{ItemId, ItemState, ItemView, Verified},
    source::{Outlook, SourceId},
    task::{DirTask, FileTask, Task},
    want::Wanted,
};
use crate::{exit::Exit, http1::path::RemotePath, progress::Counter};

pub use item::{NewItem, Sum};
pub use work::{Asker, Browse, Kind, Work};

use item::Item;

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    items: Vec<Item>,
    browse: VecDeque<Browse>,
    next_id: u64,
    stopped: bool,
}

/// An item that has just ended.
#[derive(Debug)]
pub struct Ended {
    /// Which.
    pub item: ItemId,
    /// What was asked for.
    pub path: RemotePath,
    /// Whether its patterns matched nothing.
    pub unmatched: bool,
    /// Its number in the journal, if a later run has nothing to go on with.
    pub settled: Option<Ticket>,
}

/// What a run comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files complete.
    pub finished: u64,
    /// Files and directories failed.
    pub failed: u64,
}

impl Queue {
    /// Adds an item at the end.
    pub fn add(&mut self, new: NewItem) -> ItemId {
        let id = ItemId(self.next_id);
        self.next_id += 1;
        let tree = new.path.is_dir();
        let mut item = Item::new(id, new, tree);
        item.seed();
        self.items.push(item);
        id
    }

    /// The numbers that items have in the journal.
    pub fn tickets(&self) -> Vec<Ticket> {
        self.items.iter().filter_map(|item| item.ticket).collect()
    }

    /// Asks for a listing ahead of everything else.
    pub fn browse(&mut self, browse: Browse) {
        if !self.stopped {
            self.browse.push_back(browse);
        }
    }

    /// No more work is given out. Who waits for a listing is told by its dropped reply.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.browse.clear();
        for item in &mut self.items {
            item.jobs.iter().for_each(|job| job.halt());
        }
    }

    /// The next thing for a connection to do.
    pub fn next(&mut self, asker: Asker) -> Option<Work> {
        if self.stopped {
            return None;
        }
        let led = |browse: &Browse| asker.pace.outlook.leads(browse.tried);
        if asker.behind.is_none()
            && self.browse.front().is_some_and(led)
            && let Some(browse) = self.browse.pop_front()
        {
            return Some(Work::Browse(browse));
        }
        for item in &mut self.items {
            item.release(Some(asker.pace.now));
        }
        // About two connections for each item at the front: several advance at once, and none crawls.
        let abreast = asker.pace.workers.div_ceil(2);
        let mut order: Vec<usize> = (0..self.items.len())
            .filter(|at| self.items[*at].has_work())
            .collect();
        let front = abreast.min(order.len());
        order[..front].sort_by_key(|at| self.items[*at].load());
        let open: usize = self.items.iter().map(Item::large_open).sum();
        // Work that nobody does comes before work that somebody is slow at, whichever item it belongs to.
        let patient = Asker {
            pace: StepPolicy {
                steal_after: None,
                ..asker.pace
            },
            ..asker
        };
        for &at in &order {
            let item = &mut self.items[at];
            let room = open < abreast || item.large_open() == 0;
            if let Some(work) = item.next(patient, room) {
                return Some(work);
            }
        }
        if asker.behind.is_some() {
            return None;
        }
        order
            .iter()
            .find_map(|at| self.items[*at].next_step(asker.pace, false))
    }

    /// A source other than the asker's own that something waits for.
    pub fn needed(&self, outlook: Outlook) -> Option<SourceId> {
        let browse = self.browse.front();
        browse
            .and_then(|browse| outlook.lead(browse.tried))
            .filter(|source| *source != outlook.source)
            .or_else(|| {
                let mut going = self.items.iter().filter(|item| item.is_going());
                going.find_map(|item| item.needed(outlook))
            })
    }

    /// When a connection that found nothing to do should look again: once the first of those is due that are tried
    /// again at a later time, or at `helping`, where some job is under way of which it may take pieces over.
    pub fn look_again(&self, helping: Instant) -> Option<Instant> {
        let going = || self.items.iter().filter(|item| item.is_going());
        let due = going().filter_map(|item| item.later.first_key_value());
        let helping = going().any(|item| !item.jobs.is_empty()).then_some(helping);
        due.map(|((at, _), _)| *at).chain(helping).min()
    }

    /// Tries everything again now that waits for a later time.
    pub fn hurry(&mut self) {
        for item in &mut self.items {
            item.release(None);
        }
    }

    /// All jobs under way.
    pub fn jobs(&self) -> Vec<Arc<Job>> {
        self.items
            .iter()
            .flat_map(|item| item.jobs.iter().cloned())
            .collect()
    }

    /// Puts work back that was not done, without blame.
    pub fn put_back(&mut self, work: Work) {
        match work {
            Work::Browse(browse) if self.stopped => drop(browse),
            Work::Browse(browse) => self.browse.push_front(browse),
            Work::List(task) => self.retry_now(task),
            Work::Open(task) => self.with(task.item, |item| {
                item.opening -= 1;
                item.take_back(task);
            }),
            Work::Run(job, run) => job.end(&run, false),
            Work::Values(job) => job.values_failed(),
        }
    }

    /// A first request failed: like [`Self::opened`], unless trying again may help and the item is paused. Then the
    /// file goes back, in one step, so that nobody sees it gone meanwhile.
    pub fn opened_or_put_back(&mut self, task: FileTask, transient: bool) -> Option<FileTask> {
        if transient && !self.is_going(task.item) {
            self.put_back(Work::Open(task));
            return None;
        }
        self.opened(task.item);
        Some(task)
    }

    /// A first request was answered, or its file is being waited for: it is `busy` until it is finished or failed.
    pub fn opened(&mut self, item: ItemId) {
        self.with(item, |item| {
            item.opening -= 1;
            item.busy += 1;
        });
    }

    /// A file turned out to be large: connections may join. Where its item was cancelled meanwhile, the job is given
    /// up at once.
    pub fn add_job(&mut self, job: &Arc<Job>) {
        self.with(job.task.item, |item| {
            item.jobs.push(Arc::clone(job));
            if item.cancelled {
                item.cancel_jobs();
            } else if item.paused {
                job.halt();
            }
        });
    }

    /// A job has ended without its file being finished or failed: it will be opened again.
    pub fn remove_job(&mut self, job: &Arc<Job>) {
        self.with(job.task.item, |item| {
            item.jobs.retain(|other| !Arc::ptr_eq(other, job));
        });
    }

    /// A file's true size is known now, where a listing told none or another.
    pub fn sized(&mut self, item: ItemId, before: Option<u64>, now: u64) {
        self.with(item, |item| {
            let others = item.total.saturating_sub(before.unwrap_or(0));
            item.total = others.saturating_add(now);
            item.sized = true;
        });
    }

    /// What failed will be tried again at a later time.
    pub fn retry_later(&mut self, task: Task, at: Instant, reason: &Error) {
        self.with(task.item(), |item| {
            item.settled(&task);
            item.take_back_later(task, at, reason.to_string());
        });
    }

    /// It will be tried again as soon as a connection has time for it.
    pub fn retry_now(&mut self, task: impl Into<Task>) {
        let task = task.into();
        self.with(task.item(), |item| {
            item.settled(&task);
            item.take_back_task(task);
        });
    }

    /// Whether what listings find must wait on disk, because enough is known.
    pub fn is_full(&self, item: ItemId) -> bool {
        self.items
            .iter()
            .any(|it| it.id == item && it.ended.is_none() && it.is_full())
    }

    /// Files of an item that are known and not begun.
    #[cfg(test)]
    pub fn known(&self, item: ItemId) -> usize {
        let found = self.items.iter().find(|it| it.id == item);
        found.map_or(0, Item::known)
    }

    /// A tree's filter and target, for whoever lists it; `None` once the item is gone or ended.
    pub fn tree(&self, item: ItemId) -> Option<(Option<Filter>, Arc<Target>)> {
        let item = self
            .items
            .iter()
            .find(|it| it.id == item && it.ended.is_none())?;
        Some((item.filter.clone(), Arc::clone(&item.target)))
    }

    /// Where an item's files land.
    pub fn target(&self, item: ItemId) -> Option<Arc<Target>> {
        Some(Arc::clone(
            &self.items.iter().find(|it| it.id == item)?.target,
        ))
    }

    /// An item's byte counter.
    pub fn counter(&self, item: ItemId) -> Arc<Counter> {
        let found = self.items.iter().find(|it| it.id == item);
        found.map_or_else(Arc::default, |item| Arc::clone(&item.done))
    }

    /// Files of a listing have come. False when they are not wanted now, because the item was cancelled.
    pub fn found(&mut self, item: ItemId, files: Vec<FileTask>) -> bool {
        let mut wanted = false;
        self.with(item, |item| {
            wanted = !item.cancelled;
            if wanted {
                item.count_found(Sum::of(&files));
                item.push_all(files);
            }
        });
        wanted
    }

    /// A listing is complete: its directories, and the sum of what of it waits on disk.
    pub fn listed(&mut self, task: DirTask, dirs: Vec<DirTask>, waiting: Sum) {
        self.with(task.item, |item| {
            item.listing -= 1;
            item.count_found(waiting);
            item.take_back_rest(task, dirs);
        });
    }

    /// Some of what waited on disk was read; it was counted when its listing was complete.
    pub fn loaded(&mut self, task: DirTask, dirs: Vec<DirTask>, files: Vec<FileTask>) {
        self.with(task.item, |item| {
            item.loading -= 1;
            if item.cancelled {
                item.failed_files.extend(files);
            } else {
                item.push_all(files);
            }
            item.take_back_rest(task, dirs);
        });
    }

    /// What of a directory waited on disk cannot be read any more: it is as if its listing were under way, and only
    /// beginning anew tells what else it held.
    pub fn lost(&mut self, item: ItemId) {
        self.with(item, |item| {
            item.loading -= 1;
            item.listing += 1;
            item.forgetful = true;
        });
    }

    /// What was asked for as a file is a directory.
    pub fn is_tree(&mut self, task: &FileTask) {
        self.with(task.item, |item| {
            item.opening -= 1;
            let dir = task.path.clone().into_dir();
            if !item.tree {
                item.tree = true;
                item.path = dir.clone();
                item.found = 0;
            }
            item.take_back_dir(DirTask::new(item.id, dir));
        });
    }

    /// A file is complete under its final name (or was already).
    pub fn finished(&mut self, item: ItemId, verified: Verified) {
        self.with(item, |item| {
            item.busy -= 1;
            item.finished += 1;
            item.verified = item.verified.max(Some(verified));
        });
    }

    /// A file failed for good, or a directory could not be listed.
    pub fn failed(&mut self, task: Task, error: Error) {
        self.with(task.item(), |item| {
            item.settled(&task);
            item.keep_failed(task);
            item.note_failure(error);
        });
    }

    /// Something of a listing can have no name here.
    pub fn refused(&mut self, item: ItemId, error: Error) {
        self.with(item, |item| item.note_failure(error));
    }

    /// Fails everything that waits, because the server cannot be reached; the browsers who waited.
    pub fn fail_all(&mut self, error: &Error) -> Vec<Browse> {
        for item in self.items.iter_mut().filter(|item| item.ended.is_none()) {
            item.release(None);
            let files = item
                .small
                .drain(..)
                .chain(item.large.drain(..))
                .collect::<Vec<_>>();
            let lost = files.len() + item.dirs.len();
            item.failed_files.extend(files);
            item.failed_dirs.append(&mut item.dirs);
            for job in item.give_up_jobs() {
                item.failed_files.push(job.task_kept());
                item.note_failure(error.clone());
            }
            (0..lost).for_each(|_| item.note_failure(error.clone()));
        }
        self.take_browsers()
    }

    /// Those who wait for a listing that nobody is about to fetch.
    pub fn take_browsers(&mut self) -> Vec<Browse> {
        self.browse.drain(..).collect()
    }

    /// Items that have just ended: everything that could be done for them was done.
    pub fn take_ended(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        for item in &mut self.items {
            if item.ended.is_some() || !item.is_exhausted() {
                continue;
            }
            let unmatched = item.filter.is_some() && item.found == 0 && item.failed == 0;
            if unmatched && !item.cancelled {
                item.note_failure(Error::NoMatch);
            }
            item.ended = Some(item.final_state());
            item.count_kept();
            ended.push(Ended {
                item: item.id,
                path: item.path.clone(),
                unmatched,
                settled: if item.is_unsettled() {
                    None
                } else {
                    item.ticket.take()
                },
            });
        }
        ended
    }

    /// Whether some item is about to end.
    pub fn any_exhausted(&self) -> bool {
        let mut items = self.items.iter();
        items.any(|item| item.ended.is_none() && item.is_exhausted())
    }

    /// Whether every item has ended.
    pub fn is_idle(&self) -> bool {
        self.items
            .iter()
            .all(|item| item.ended.is_some() && item.jobs.is_empty())
    }

    /// Whether an item is there, and neither paused nor ended.
    pub fn is_going(&self, item: ItemId) -> bool {
        self.items.iter().any(|it| it.id == item && it.is_going())
    }

    /// Sums over all items.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for item in &self.items {
            tally.finished += item.finished;
            tally.failed += item.failed;
        }
        tally
    }

    /// The exit statuses of all failures, and the only error if there was just one.
    pub fn outcome(&self) -> (Exit, Option<Error>) {
        let exit = Exit::of_all(
            self.items
                .iter()
                .flat_map(|item| item.failures.iter().copied()),
        );
        let failed: u64 = self.items.iter().map(|item| item.failed).sum();
        let only = self
            .items
            .iter()
            .find_map(|item| item.last_error.clone())
            .filter(|_| failed == 1);
        (exit, only)
    }

    /// Stops an item where it is.
    pub fn pause(&mut self, item: ItemId) {
        self.with(item, |item| {
            if item.ended.is_none() {
                item.paused = true;
                item.jobs.iter().for_each(|job| job.halt());
            }
        });
    }

    /// Goes on with a paused item.
    pub fn resume(&mut self, item: ItemId) {
        self.with(item, |item| {
            item.paused = false;
            item.jobs.iter().for_each(|job| job.go_on());
        });
    }

    /// Ends an item; what is here of it stays for a later try.
    pub fn cancel(&mut self, item: ItemId) {
        self.with(item, |item| {
            if item.ended.is_some() {
                return;
            }
            item.cancelled = true;
            item.paused = false;
            item.release(None);
            item.failed_files.extend(item.small.drain(..));
            item.failed_files.extend(item.large.drain(..));
            item.failed_dirs.append(&mut item.dirs);
            item.cancel_jobs();
        });
    }

    /// Tries a failed or cancelled item again: what failed, and what was never begun. `keep` puts what was asked for into
    /// the journal again, where it is not there any more.
    pub fn retry(&mut self, item: ItemId, keep: impl FnOnce(Wanted) -> Ticket) {
        self.with(item, |item| {
            if !matches!(
                item.ended,
                Some(ItemState::Failed(_) | ItemState::Cancelled)
            ) {
                return;
            }
            if item.ticket.is_none() {
                item.ticket = item.wanted.clone().map(keep);
            }
            item.ended = None;
            item.cancelled = false;
            item.waiting = None;
            item.failed = 0;
            item.failures.clear();
            item.last_error = None;
            if item.forgetful {
                item.begin_anew();
                return;
            }
            for mut file in std::mem::take(&mut item.failed_files) {
                file.failures = 0;
                // What is here of it now must be looked at.
                file.local = Local::Unknown;
                item.push_back(file);
            }
            item.dirs.append(&mut item.failed_dirs);
            if item.is_exhausted() && item.finished == 0 {
                item.seed();
            }
        });
    }

    /// Moves an item up (negative) or down.
    pub fn reorder(&mut self, item: ItemId, by: isize) {
        let Some(from) = self.items.iter().position(|it| it.id == item) else {
            return;
        };
        let to = from.saturating_add_signed(by).min(self.items.len() - 1);
        let item = self.items.remove(from);
        self.items.insert(to, item);
    }

    /// Forgets items that have ended.
    pub fn clear_ended(&mut self) {
        self.items.retain(|item| item.ended.is_none());
    }

    /// What a screen shows.
    pub fn views(&self, workers: usize) -> Vec<ItemView> {
        let each = self.items.iter();
        each.map(|item| item.view(workers)).collect()
    }

    fn with(&mut self, item: ItemId, act: impl FnOnce(&mut Item)) {
        if let Some(item) = self.items.iter_mut().find(|it| it.id == item) {
            act(item);
        }
    }
}
