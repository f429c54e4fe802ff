//! What is to be done, in which order: items, the directories still to list, the files still to fetch, and the jobs
//! under way. Bookkeeping only, under one lock; connections ask it for work and tell it what became of it.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::Arc,
    time::{Instant, SystemTime},
};

use tokio::sync::oneshot;

use super::{
    Error,
    job::{Job, Pace, Step},
    pattern::Filter,
    plan::Run,
    snapshot::{FilesView, ItemId, ItemState, ItemView, Verified},
    target::Target,
};
use crate::{
    entry::Entry, error::Exit, escape, http1::path::RemotePath, pieces::PIECE, progress::Counter,
};

/// Directories are listed ahead while fewer files than this are known and not begun.
const LIST_AHEAD: usize = 2_000;
/// A listing waits while more files than this are known and not begun: memory stays bounded for any tree.
const FILES_MAX: usize = 20_000;
/// Failed files that an item remembers for `retry`; beyond that, retrying lists the tree again.
const FAILED_MAX: usize = 10_000;

/// A file that is to be fetched.
#[derive(Debug, Clone)]
pub struct FileTask {
    /// The item that it belongs to.
    pub item: ItemId,
    /// Below the base URL.
    pub path: RemotePath,
    /// The local file's name where it is not the remote one's (`--output`).
    pub rename: Option<Vec<u8>>,
    /// Bytes, if known.
    pub size: Option<u64>,
    /// Date of the content, if known.
    pub modified: Option<SystemTime>,
    /// Digest of the content, if known.
    pub blake3: Option<blake3::Hash>,
    /// What is here already.
    pub local: Local,
    /// Failed attempts so far.
    pub failures: u32,
    /// Redirects followed so far, and where to.
    pub redirects: u32,
    /// The request target, where a redirect changed it.
    pub target: Option<String>,
}

/// What a look into the target directory found where a file should land.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Local {
    /// Nothing.
    #[default]
    Nothing,
    /// Something that may be its part.
    Part,
    /// A file of that name.
    File,
}

impl FileTask {
    /// A task about which only the path is known.
    pub fn new(item: ItemId, path: RemotePath) -> Self {
        Self {
            item,
            path,
            rename: None,
            size: None,
            modified: None,
            blake3: None,
            local: Local::Nothing,
            failures: 0,
            redirects: 0,
            target: None,
        }
    }

    /// The name that the file gets.
    pub fn local_name(&self) -> &[u8] {
        self.rename.as_deref().unwrap_or_else(|| self.path.name())
    }

    /// The path for people.
    pub fn shown(&self) -> String {
        escape::display_name(self.path.as_bytes()).into_owned()
    }

    /// Whether it is fetched in runs of pieces, as far as its size is known.
    pub fn is_large(&self) -> bool {
        self.size.is_some_and(|size| size > PIECE)
    }
}

/// A directory that is to be listed for someone who waits.
#[derive(Debug)]
pub struct Browse {
    /// Below the base URL.
    pub dir: RemotePath,
    /// Failed attempts so far.
    pub failures: u32,
    /// Who waits.
    pub reply: oneshot::Sender<Result<Vec<Entry>, Error>>,
}

/// Something for a connection to do.
#[derive(Debug)]
pub enum Work {
    /// List a directory for someone who waits.
    Browse(Browse),
    /// List a directory of a tree.
    List(DirTask),
    /// Make the first request for a file.
    Open(FileTask),
    /// Fetch pieces.
    Run(Arc<Job>, Run),
    /// Fetch the values of pieces.
    Values(Arc<Job>),
}

/// A directory of a tree that is to be listed.
#[derive(Debug, Clone)]
pub struct DirTask {
    /// The item that it belongs to.
    pub item: ItemId,
    /// Below the base URL.
    pub dir: RemotePath,
    /// Failed attempts so far.
    pub failures: u32,
}

/// Who asks for work.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// Which connection, from 0.
    pub index: usize,
    /// What its last work in flight is, if any is: only the like is sent behind it.
    pub behind: Option<Kind>,
    /// How to choose pieces.
    pub pace: Pace,
}

/// Work that may be pipelined behind other work of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Small files.
    Small,
    /// Runs of pieces.
    Run,
    /// Anything else: nothing goes behind it.
    Alone,
}

impl Work {
    /// What may follow it before its answer is here.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Open(task) if !task.is_large() => Kind::Small,
            Self::Run(job, _) if job.facts.ranges => Kind::Run,
            _ => Kind::Alone,
        }
    }
}

#[derive(Debug)]
struct Item {
    id: ItemId,
    path: RemotePath,
    tree: bool,
    filter: Option<Filter>,
    target: Arc<Target>,
    rename: Option<Vec<u8>>,
    dirs: Vec<DirTask>,
    /// Files up to 1 MiB or of unknown size, and larger ones.
    small: VecDeque<FileTask>,
    large: VecDeque<FileTask>,
    jobs: Vec<Arc<Job>>,
    /// Listings and first requests under way, files being landed, retries being waited out.
    listing: usize,
    opening: usize,
    busy: usize,
    paused: bool,
    cancelled: bool,
    ended: Option<ItemState>,
    waiting: Option<String>,
    failed_files: Vec<FileTask>,
    failed_dirs: Vec<DirTask>,
    failed: u64,
    failures: Vec<Exit>,
    last_error: Option<Error>,
    found: u64,
    finished: u64,
    total: u64,
    sized: bool,
    done: Arc<Counter>,
    verified: Option<Verified>,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    items: Vec<Item>,
    browse: VecDeque<Browse>,
    next_id: u64,
    stopped: bool,
}

/// What is asked for.
#[derive(Debug)]
pub struct NewItem {
    /// A file or directory below the base URL.
    pub path: RemotePath,
    /// What of the directory; everything, where there is none.
    pub filter: Option<Filter>,
    /// Where it lands.
    pub target: Arc<Target>,
    /// Another name for a single file.
    pub rename: Option<Vec<u8>>,
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

    /// Asks for a listing ahead of everything else.
    pub fn browse(&mut self, browse: Browse) {
        self.browse.push_back(browse);
    }

    /// No more work is given out.
    pub fn stop(&mut self) {
        self.stopped = true;
        for item in &mut self.items {
            item.jobs.iter().for_each(|job| job.halt());
        }
    }

    /// The next thing for a connection to do.
    pub fn next(&mut self, asker: Asker) -> Option<Work> {
        if self.stopped {
            return None;
        }
        if asker.behind.is_none()
            && let Some(browse) = self.browse.pop_front()
        {
            return Some(Work::Browse(browse));
        }
        self.items
            .iter_mut()
            .filter(|item| item.is_going())
            .find_map(|item| item.next(asker))
    }

    /// Whether some job is under way, so that an idle connection may find pieces to take over later.
    pub fn has_jobs(&self) -> bool {
        self.items
            .iter()
            .any(|item| item.is_going() && !item.jobs.is_empty())
    }

    /// Puts work back that was not done, without blame.
    pub fn put_back(&mut self, work: Work) {
        match work {
            Work::Browse(browse) => self.browse.push_front(browse),
            Work::List(task) => self.with(task.item, |item| {
                item.listing -= 1;
                item.take_back_dir(task);
            }),
            Work::Open(task) => self.with(task.item, |item| {
                item.opening -= 1;
                item.take_back(task);
            }),
            Work::Run(job, run) => job.end(&run, false),
            Work::Values(job) => job.values_failed(),
        }
    }

    /// A first request was answered, or its file is being waited for: it is `busy` until it is finished or failed.
    pub fn opened(&mut self, item: ItemId) {
        self.with(item, |item| {
            item.opening -= 1;
            item.busy += 1;
        });
    }

    /// A file turned out to be large: connections may join. Its bytes count into the item's total.
    pub fn add_job(&mut self, job: &Arc<Job>) {
        self.with(job.task.item, |item| {
            item.jobs.push(Arc::clone(job));
            if item.paused || item.ended.is_some() {
                job.halt();
            }
        });
    }

    /// A job has ended without its file being finished or failed: it will be opened again.
    pub fn remove_job(&mut self, job: &Arc<Job>) {
        self.with(job.task.item, |item| {
            item.jobs.retain(|other| !Arc::ptr_eq(other, job))
        });
    }

    /// A file's true size is known now, where a listing told none or another.
    pub fn sized(&mut self, item: ItemId, before: Option<u64>, now: u64) {
        self.with(item, |item| {
            item.total = item.total.saturating_sub(before.unwrap_or(0)) + now;
            item.sized = true;
        });
    }

    /// A file failed but will be tried again: it waits outside of the queue until [`Self::retry_file`].
    pub fn waiting(&mut self, item: ItemId, reason: &Error) {
        self.with(item, |item| item.waiting = Some(reason.to_string()));
    }

    /// Its time has come.
    pub fn retry_file(&mut self, task: FileTask) {
        self.with(task.item, |item| {
            item.busy -= 1;
            item.waiting = None;
            item.take_back(task);
        });
    }

    /// Its time has come.
    pub fn retry_dir(&mut self, task: DirTask) {
        self.with(task.item, |item| {
            item.listing -= 1;
            item.waiting = None;
            item.take_back_dir(task);
        });
    }

    /// Whether listings should hold back because enough files are known.
    pub fn is_full(&self, item: ItemId) -> bool {
        self.items
            .iter()
            .any(|it| it.id == item && it.is_going() && it.small.len() + it.large.len() > FILES_MAX)
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

    /// Part of a listing has come.
    pub fn found(&mut self, item: ItemId, dirs: Vec<DirTask>, files: Vec<FileTask>) {
        self.with(item, |item| {
            if item.cancelled {
                return;
            }
            item.found += files.len() as u64;
            item.total += files.iter().filter_map(|file| file.size).sum::<u64>();
            files.into_iter().for_each(|file| item.push_back(file));
            // The first directory is listed first: the stack is taken from its end.
            item.dirs.extend(dirs.into_iter().rev());
        });
    }

    /// A listing is complete.
    pub fn listed(&mut self, item: ItemId) {
        self.with(item, |item| item.listing -= 1);
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
            item.dirs.push(DirTask {
                item: item.id,
                dir,
                failures: 0,
            });
        });
    }

    /// A file is complete under its final name (or was already).
    pub fn finished(&mut self, item: ItemId, verified: Verified) {
        self.with(item, |item| {
            item.busy -= 1;
            item.finished += 1;
            item.waiting = None;
            item.verified = item.verified.max(Some(verified));
        });
    }

    /// A file failed for good.
    pub fn file_failed(&mut self, task: FileTask, error: Error) {
        self.with(task.item, |item| {
            item.busy -= 1;
            if item.failed_files.len() < FAILED_MAX {
                item.failed_files.push(FileTask {
                    failures: 0,
                    ..task
                });
            }
            item.note_failure(error);
        });
    }

    /// A directory could not be listed.
    pub fn dir_failed(&mut self, task: DirTask, error: Error) {
        self.with(task.item, |item| {
            item.listing -= 1;
            item.failed_dirs.push(DirTask {
                failures: 0,
                ..task
            });
            item.note_failure(error);
        });
    }

    /// Fails everything that waits, because the server cannot be reached; the browsers who waited.
    pub fn fail_all(&mut self, error: &Error) -> Vec<Browse> {
        for item in self.items.iter_mut().filter(|item| item.ended.is_none()) {
            let files = item
                .small
                .drain(..)
                .chain(item.large.drain(..))
                .collect::<Vec<_>>();
            let lost = files.len() + item.dirs.len();
            item.failed_files.extend(files);
            item.failed_dirs.append(&mut item.dirs);
            for job in item.give_up_jobs() {
                item.failed_files.push(job.task.clone());
                item.note_failure(error.clone());
            }
            (0..lost).for_each(|_| item.note_failure(error.clone()));
        }
        self.browse.drain(..).collect()
    }

    /// Items that have just ended: everything that could be done for them was done.
    pub fn take_ended(&mut self) -> Vec<(ItemId, ItemState)> {
        let mut ended = Vec::new();
        for item in &mut self.items {
            if item.ended.is_none() && item.is_exhausted() {
                let state = item.final_state();
                item.ended = Some(state.clone());
                ended.push((item.id, state));
            }
        }
        ended
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
            item.failed_files.extend(item.small.drain(..));
            item.failed_files.extend(item.large.drain(..));
            item.failed_dirs.append(&mut item.dirs);
            let jobs = item.give_up_jobs();
            item.failed_files
                .extend(jobs.iter().map(|job| job.task.clone()));
        });
    }

    /// Tries a failed or cancelled item again: what failed, and what was never begun.
    pub fn retry(&mut self, item: ItemId) {
        self.with(item, |item| {
            if !matches!(
                item.ended,
                Some(ItemState::Failed(_) | ItemState::Cancelled)
            ) {
                return;
            }
            item.ended = None;
            item.cancelled = false;
            item.waiting = None;
            item.failed = 0;
            item.failures.clear();
            item.last_error = None;
            for mut file in std::mem::take(&mut item.failed_files) {
                file.failures = 0;
                // What is here of it now must be looked at.
                file.local = Local::Part;
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
    pub fn views(&self) -> Vec<ItemView> {
        self.items.iter().map(Item::view).collect()
    }

    fn with(&mut self, item: ItemId, act: impl FnOnce(&mut Item)) {
        if let Some(item) = self.items.iter_mut().find(|it| it.id == item) {
            act(item);
        }
    }
}

impl Item {
    fn new(id: ItemId, new: NewItem, tree: bool) -> Self {
        Self {
            id,
            path: new.path,
            tree,
            filter: new.filter,
            target: new.target,
            rename: new.rename,
            dirs: Vec::new(),
            small: VecDeque::new(),
            large: VecDeque::new(),
            jobs: Vec::new(),
            listing: 0,
            opening: 0,
            busy: 0,
            paused: false,
            cancelled: false,
            ended: None,
            waiting: None,
            failed_files: Vec::new(),
            failed_dirs: Vec::new(),
            failed: 0,
            failures: Vec::new(),
            last_error: None,
            found: 0,
            finished: 0,
            total: 0,
            sized: false,
            done: Arc::default(),
            verified: None,
        }
    }

    /// Ends the jobs under way, and takes out those that were not about to land anyway.
    fn give_up_jobs(&mut self) -> Vec<Arc<Job>> {
        let (given_up, landing) = std::mem::take(&mut self.jobs)
            .into_iter()
            .partition(|job| job.give_up());
        self.jobs = landing;
        self.busy -= given_up.len();
        given_up
    }

    /// Takes back a file that is not done; a cancelled item keeps it for a later retry.
    fn take_back(&mut self, task: FileTask) {
        if self.cancelled {
            self.failed_files.push(task);
        } else if task.is_large() {
            self.large.push_front(task);
        } else {
            self.small.push_front(task);
        }
    }

    /// The same for a directory.
    fn take_back_dir(&mut self, task: DirTask) {
        if self.cancelled {
            self.failed_dirs.push(task)
        } else {
            self.dirs.push(task)
        }
    }

    /// Puts in what the item begins with.
    fn seed(&mut self) {
        if self.tree {
            self.dirs.push(DirTask {
                item: self.id,
                dir: self.path.clone(),
                failures: 0,
            });
        } else {
            let mut task = FileTask::new(self.id, self.path.clone());
            task.rename.clone_from(&self.rename);
            // Nobody has looked yet whether something is here.
            task.local = Local::Part;
            self.found = 1;
            self.push_back(task);
        }
    }

    fn is_going(&self) -> bool {
        !self.paused && !self.cancelled && self.ended.is_none()
    }

    fn is_exhausted(&self) -> bool {
        self.dirs.is_empty()
            && self.small.is_empty()
            && self.large.is_empty()
            && self.jobs.is_empty()
            && self.listing + self.opening + self.busy == 0
    }

    fn final_state(&self) -> ItemState {
        if self.cancelled {
            return ItemState::Cancelled;
        }
        match (&self.last_error, self.failed) {
            (None, 0) if self.filter.is_some() && self.found == 0 => {
                ItemState::Failed(Error::NoMatch.to_string())
            }
            (None, 0) => ItemState::Finished(self.verified.unwrap_or(Verified::Present)),
            (Some(error), 1) => ItemState::Failed(error.to_string()),
            (Some(error), failed) => {
                ItemState::Failed(format!("{failed} failed, the last: {error}"))
            }
            (None, failed) => ItemState::Failed(format!("{failed} failed")),
        }
    }

    fn note_failure(&mut self, error: Error) {
        self.failed += 1;
        if !self.failures.contains(&error.exit()) {
            self.failures.push(error.exit());
        }
        self.last_error = Some(error);
    }

    fn push_back(&mut self, task: FileTask) {
        if task.is_large() {
            self.large.push_back(task)
        } else {
            self.small.push_back(task)
        }
    }

    fn next(&mut self, asker: Asker) -> Option<Work> {
        match asker.behind {
            Some(Kind::Alone) => return None,
            Some(Kind::Small) => return self.next_small(),
            Some(Kind::Run) => {
                return self.next_step(
                    Pace {
                        steal_after: None,
                        ..asker.pace
                    },
                    true,
                );
            }
            None => {}
        }
        let known = self.small.len() + self.large.len();
        if known < LIST_AHEAD
            && self.listing == 0
            && let Some(work) = self.next_dir()
        {
            return Some(work);
        }
        // About two connections for each large file: several advance at once, and none crawls.
        let abreast = asker.pace.workers.div_ceil(2);
        if self.jobs.len() + self.opening < abreast
            && let Some(task) = self.large.pop_front()
        {
            self.opening += 1;
            return Some(Work::Open(task));
        }
        // Half of the connections look for small files first, half for pieces.
        let free = Pace {
            steal_after: None,
            ..asker.pace
        };
        let work = if asker.index % 2 == 0 {
            self.next_small().or_else(|| self.next_step(free, false))
        } else {
            self.next_step(free, false).or_else(|| self.next_small())
        };
        work.or_else(|| self.next_large())
            .or_else(|| self.next_dir())
            .or_else(|| self.next_step(asker.pace, false))
    }

    fn next_small(&mut self) -> Option<Work> {
        let task = self.small.pop_front()?;
        self.opening += 1;
        Some(Work::Open(task))
    }

    fn next_large(&mut self) -> Option<Work> {
        let task = self.large.pop_front()?;
        self.opening += 1;
        Some(Work::Open(task))
    }

    fn next_dir(&mut self) -> Option<Work> {
        let task = self.dirs.pop()?;
        self.listing += 1;
        Some(Work::List(task))
    }

    /// A step for the job with the fewest connections; `runs_only` leaves out what nothing may be sent behind.
    fn next_step(&mut self, pace: Pace, runs_only: bool) -> Option<Work> {
        let mut jobs: Vec<&Arc<Job>> = self.jobs.iter().collect();
        jobs.sort_by_key(|job| job.connections());
        for job in jobs {
            if runs_only && (!job.facts.ranges || job.wants_values(pace)) {
                continue;
            }
            match job.next(pace) {
                Some(Step::Run(run)) => return Some(Work::Run(Arc::clone(job), run)),
                Some(Step::Values) => return Some(Work::Values(Arc::clone(job))),
                None => {}
            }
        }
        None
    }

    fn view(&self) -> ItemView {
        let connections =
            self.jobs.iter().map(|job| job.connections()).sum::<usize>() + self.opening;
        let listed = self.dirs.is_empty() && self.listing == 0;
        let state = match &self.ended {
            Some(state) => state.clone(),
            None if self.paused => ItemState::Paused,
            None => match &self.waiting {
                Some(reason) if connections == 0 => ItemState::Waiting(reason.clone()),
                _ if connections > 0 || self.listing > 0 => ItemState::Active,
                _ if self.busy > 0 => ItemState::Landing,
                _ if self.finished > 0 => ItemState::Active,
                _ => ItemState::Queued,
            },
        };
        let total = (self.sized || self.tree).then_some(self.total);
        let mut done = self.done.get().min(total.unwrap_or(u64::MAX));
        if matches!(state, ItemState::Finished(_)) {
            done = total.unwrap_or(done);
        } else if let Some(total) = total {
            // Never 100 % before all is checked and landed.
            done = done.min(total.saturating_sub(1));
        }
        let files = FilesView {
            done: self.finished,
            failed: self.failed,
            found: self.found,
            listed,
        };
        ItemView {
            id: self.id,
            path: self.path.clone(),
            files: self.tree.then_some(files),
            done,
            total,
            connections,
            state,
        }
    }
}

/// Where a finished file is, for events.
pub fn local_path(target: &Target, path: &RemotePath, name: &[u8]) -> PathBuf {
    target.local(&path.parent(), name)
}

/// The time of the next try after so many failures in a row: 0.5 s, doubling to 30 s, with jitter, unless the server
/// asked for another pause (at most 5 min).
pub fn backoff(failures: u32, asked: Option<std::time::Duration>) -> std::time::Duration {
    use std::time::Duration;
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);
    const LONGEST_ASKED: Duration = Duration::from_secs(300);
    if let Some(asked) = asked {
        return asked.min(LONGEST_ASKED);
    }
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST).mul_f64(0.75 + fastrand::f64() / 2.0)
}

/// Wakes at `at`, or never.
pub async fn wake_at(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
