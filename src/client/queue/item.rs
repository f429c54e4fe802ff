//! One item of the queue: a file, or a tree and what is known of it so far.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use super::work::{Asker, Kind, Work};
use crate::{
    client::{
        Error,
        disk::journal::Ticket,
        disk::names::Local,
        disk::target::Target,
        job::{Job, Step, StepPolicy},
        read::pattern::Filter,
        snapshot::{FilesView, ItemId, ItemState, ItemView, Verified},
        source::{Outlook, SourceId},
        task::{DirTask, FileTask, Task},
        want::Wanted,
    },
    digest::Digest,
    exit::Exit,
    http1::path::RemotePath,
    progress::Counter,
};

/// Directories are listed ahead while fewer files than this are known and not begun.
const LIST_AHEAD: usize = 2_000;
/// What a listing names goes to disk while more files than this are known and not begun, or more directories: memory
/// stays bounded for any tree.
const FILES_MAX: usize = 20_000;
const DIRS_MAX: usize = 10_000;
/// Failed files, and directories, that an item remembers for `retry`; beyond that, retrying lists the tree again.
const FAILED_MAX: usize = 10_000;

/// Files at the front of a queue that are looked at for one that a source leads: those that others refused are
/// put back there.
const LOOK_MAX: usize = 64;

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
    /// What a single file must hash to.
    pub checksum: Option<Box<Digest>>,
    /// A single file's size, if it is known.
    pub size: Option<u64>,
    /// Files that a Metalink names, instead of what is found at the path.
    pub named: Vec<FileTask>,
    /// Its number in the journal and what is kept there, if anything is.
    pub kept_as: Option<(Ticket, Wanted)>,
    /// Whether it waits until somebody lets it go on.
    pub paused: bool,
}

/// How many files, and their bytes as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Sum {
    /// Of these files.
    pub fn of(files: &[FileTask]) -> Self {
        let mut sum = Self::default();
        for file in files {
            sum.add(file.size);
        }
        sum
    }

    /// Adds a file.
    pub fn add(&mut self, size: Option<u64>) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size.unwrap_or(0));
    }
}

/// An item and everything that waits or is under way for it.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, set by its own call"
)]
pub struct Item {
    pub id: ItemId,
    pub path: RemotePath,
    pub tree: bool,
    pub filter: Option<Filter>,
    pub target: Arc<Target>,
    pub rename: Option<Vec<u8>>,
    pub checksum: Option<Box<Digest>>,
    pub size: Option<u64>,
    pub named: Vec<FileTask>,
    /// Its number in the journal; `None` once that has no more to say of it.
    pub ticket: Option<Ticket>,
    /// What the journal keeps of it, to be kept again if it is tried again.
    pub wanted: Option<Wanted>,
    pub dirs: Vec<DirTask>,
    /// Files up to 1 MiB or of unknown size, and larger ones.
    pub small: VecDeque<FileTask>,
    pub large: VecDeque<FileTask>,
    pub jobs: Vec<Arc<Job>>,
    /// What is tried again at a later time; the number tells those of one time apart.
    pub later: BTreeMap<(Instant, u64), Task>,
    /// Listings, readings of what waits on disk and first requests under way, files being landed.
    pub listing: usize,
    pub loading: usize,
    pub opening: usize,
    pub busy: usize,
    pub paused: bool,
    pub cancelled: bool,
    pub ended: Option<ItemState>,
    pub waiting: Option<String>,
    pub failed_files: Vec<FileTask>,
    pub failed_dirs: Vec<DirTask>,
    /// More failed than is remembered: a retry begins anew.
    pub forgetful: bool,
    pub failed: u64,
    pub failures: Vec<Exit>,
    pub last_error: Option<Error>,
    pub found: u64,
    pub finished: u64,
    pub total: u64,
    pub sized: bool,
    pub done: Arc<Counter>,
    /// Bytes that were here when it ended without being complete, those of parts included: what a retry finds.
    pub kept: u64,
    pub verified: Option<Verified>,
}

impl Item {
    pub fn new(id: ItemId, new: NewItem, tree: bool) -> Self {
        let (ticket, wanted) = new.kept_as.unzip();
        Self {
            id,
            path: new.path,
            tree,
            filter: new.filter,
            target: new.target,
            rename: new.rename,
            checksum: new.checksum,
            size: new.size,
            named: new.named,
            ticket,
            wanted,
            dirs: Vec::new(),
            small: VecDeque::new(),
            large: VecDeque::new(),
            jobs: Vec::new(),
            later: BTreeMap::new(),
            listing: 0,
            loading: 0,
            opening: 0,
            busy: 0,
            paused: new.paused,
            cancelled: false,
            ended: None,
            waiting: None,
            failed_files: Vec::new(),
            failed_dirs: Vec::new(),
            forgetful: false,
            failed: 0,
            failures: Vec::new(),
            last_error: None,
            found: 0,
            finished: 0,
            total: if tree { 0 } else { new.size.unwrap_or(0) },
            sized: new.size.is_some(),
            done: Arc::default(),
            kept: 0,
            verified: None,
        }
    }

    /// Ends the jobs under way, and takes out those that were not about to land anyway.
    pub fn give_up_jobs(&mut self) -> Vec<Arc<Job>> {
        let (given_up, landing) = std::mem::take(&mut self.jobs)
            .into_iter()
            .partition(|job| job.give_up());
        self.jobs = landing;
        self.busy -= given_up.len();
        given_up
    }

    /// Gives up the jobs under way; their files are kept for a later retry.
    pub fn cancel_jobs(&mut self) {
        let jobs = self.give_up_jobs();
        self.failed_files
            .extend(jobs.iter().map(|job| job.task_kept()));
    }

    /// Takes back a file that is not done; a cancelled item keeps it for a later retry.
    pub fn take_back(&mut self, task: FileTask) {
        if self.cancelled {
            self.failed_files.push(task);
        } else if task.is_large() {
            self.large.push_front(task);
        } else {
            self.small.push_front(task);
        }
    }

    /// The same for a directory.
    pub fn take_back_dir(&mut self, task: DirTask) {
        if self.cancelled {
            self.failed_dirs.push(task);
        } else {
            self.dirs.push(task);
        }
    }

    /// Takes back either.
    pub fn take_back_task(&mut self, task: Task) {
        match task {
            Task::File(task) => self.take_back(task),
            Task::Dir(task) => self.take_back_dir(task),
        }
    }

    /// A file's first request was answered, or a listing: it is not counted as under way any more.
    pub fn settled(&mut self, task: &Task) {
        match task {
            Task::File(_) => self.busy -= 1,
            Task::Dir(task) if task.rest.is_some() => self.loading -= 1,
            Task::Dir(_) => self.listing -= 1,
        }
    }

    /// Takes back what of a directory still waits on disk, and takes in directories that were found in it. They come
    /// first, so that what waits of all directories together is never more than what lies on one way down.
    pub fn take_back_rest(&mut self, task: DirTask, dirs: Vec<DirTask>) {
        let rest = task.rest.as_ref();
        if rest.is_some_and(|rest| !rest.spill.is_empty()) {
            self.take_back_dir(task);
        }
        // The first directory is listed first: the stack is taken from its end.
        for dir in dirs.into_iter().rev() {
            self.take_back_dir(dir);
        }
    }

    /// Counts files that a listing names.
    pub fn count_found(&mut self, sum: Sum) {
        self.found += sum.files;
        // A listing can name any size.
        self.total = self.total.saturating_add(sum.bytes);
    }

    /// Keeps it until its time has come; a cancelled item keeps it for a later retry.
    pub fn take_back_later(&mut self, task: Task, at: Instant, reason: String) {
        if self.cancelled {
            self.take_back_task(task);
            return;
        }
        // Behind all others of the same time.
        let last = self.later.range(..=(at, u64::MAX)).next_back();
        let turn = last.map_or(0, |((_, turn), _)| turn + 1);
        self.later.insert((at, turn), task);
        self.waiting = Some(reason);
    }

    /// Takes back whatever is to be tried again by `now`; everything, without a time.
    pub fn release(&mut self, now: Option<Instant>) {
        while let Some(first) = self.later.first_entry()
            && now.is_none_or(|now| first.key().0 <= now)
        {
            let task = first.remove();
            self.take_back_task(task);
        }
        if self.later.is_empty() {
            self.waiting = None;
        }
    }

    /// Notes what is here of it, now that it has ended.
    pub fn count_kept(&mut self) {
        let parts: u64 = self.failed_files.iter().map(|task| task.kept).sum();
        self.kept = self.done.get().saturating_add(parts);
    }

    /// Whether parts that an earlier try left were not all held against their digests yet.
    fn is_judging(&self) -> bool {
        let mut later = self.later.values();
        // Files whose first request is under way, and those that are made jobs of.
        self.opening > 0
            || self.busy > self.jobs.len()
            || self.jobs.iter().any(|job| !job.is_judged())
            || self.large.iter().any(|task| task.kept > 0)
            || later.any(|task| matches!(task, Task::File(task) if task.kept > 0))
    }

    /// Remembers for a retry what failed, as far as one can.
    pub fn keep_failed(&mut self, mut task: Task) {
        *task.failures() = 0;
        match task {
            Task::File(task) if self.failed_files.len() < FAILED_MAX => {
                self.failed_files.push(task);
            }
            Task::Dir(task) if self.failed_dirs.len() < FAILED_MAX => self.failed_dirs.push(task),
            _ => self.forgetful = true,
        }
    }

    /// Begins anew: what is here already is found equal, and not fetched again.
    pub fn begin_anew(&mut self) {
        self.forgetful = false;
        self.failed_files.clear();
        self.failed_dirs.clear();
        (self.found, self.finished, self.total) = (0, 0, 0);
        self.done = Arc::default();
        self.verified = None;
        self.seed();
    }

    /// Files that are known and not begun.
    pub fn known(&self) -> usize {
        self.small.len() + self.large.len() + self.later.len()
    }

    /// Whether no more files or directories can be remembered.
    pub fn is_full(&self) -> bool {
        self.known() > FILES_MAX || self.dirs.len() > DIRS_MAX
    }

    /// Puts in what the item begins with.
    pub fn seed(&mut self) {
        if !self.named.is_empty() {
            for mut task in std::mem::take(&mut self.named) {
                task.item = self.id;
                self.found += 1;
                self.total = self.total.saturating_add(task.size.unwrap_or(0));
                self.sized |= task.size.is_some();
                self.push_back(task);
            }
        } else if self.tree {
            self.dirs.push(DirTask::new(self.id, self.path.clone()));
        } else {
            let mut task = FileTask::new(self.id, self.path.clone());
            task.rename.clone_from(&self.rename);
            task.checksum.clone_from(&self.checksum);
            task.size = self.size;
            task.local = Local::Unknown;
            self.found = 1;
            self.push_back(task);
        }
    }

    pub fn is_going(&self) -> bool {
        !self.paused && !self.cancelled && self.ended.is_none()
    }

    pub fn is_exhausted(&self) -> bool {
        self.dirs.is_empty()
            && self.small.is_empty()
            && self.large.is_empty()
            && self.jobs.is_empty()
            && self.later.is_empty()
            && self.listing + self.loading + self.opening + self.busy == 0
    }

    pub fn final_state(&self) -> ItemState {
        if self.cancelled {
            return ItemState::Cancelled;
        }
        match (&self.last_error, self.failed) {
            (None, 0) => ItemState::Finished(self.verified.unwrap_or(Verified::Present)),
            (Some(error), 1) => ItemState::Failed(error.to_string()),
            (Some(error), failed) => {
                ItemState::Failed(format!("{failed} failed, the last: {error}"))
            }
            (None, failed) => ItemState::Failed(format!("{failed} failed")),
        }
    }

    /// Whether a later run should go on with it: it failed, but not for good.
    pub fn is_unsettled(&self) -> bool {
        let may_pass = |exit: &Exit| matches!(exit, Exit::Network | Exit::Disk | Exit::Integrity);
        !self.cancelled && self.failures.iter().any(may_pass)
    }

    pub fn note_failure(&mut self, error: Error) {
        self.failed += 1;
        if !self.failures.contains(&error.exit()) {
            self.failures.push(error.exit());
        }
        self.last_error = Some(error);
    }

    pub fn push_back(&mut self, task: FileTask) {
        if task.is_large() {
            self.large.push_back(task);
        } else {
            self.small.push_back(task);
        }
    }

    pub fn push_all(&mut self, tasks: Vec<FileTask>) {
        for task in tasks {
            self.push_back(task);
        }
    }

    /// Whether a connection may find something to do here.
    pub fn has_work(&self) -> bool {
        let waiting = self.dirs.len() + self.small.len() + self.large.len() + self.jobs.len();
        self.is_going() && waiting > 0
    }

    /// What connections hold of it.
    pub fn load(&self) -> usize {
        self.jobs.iter().map(|job| job.load()).sum::<usize>() + self.opening + self.listing
    }

    /// Large files that are fetched or about to be.
    pub fn large_open(&self) -> usize {
        self.jobs.len() + self.opening
    }

    /// The next thing for a connection to do; `room` says whether another large file may be begun.
    pub fn next(&mut self, asker: Asker, room: bool) -> Option<Work> {
        match asker.behind {
            Some(Kind::Alone) => return None,
            Some(Kind::Small) => return self.next_small(asker.pace),
            Some(Kind::Run) => return self.next_step(asker.pace, true),
            None => {}
        }
        if self.known() < LIST_AHEAD
            && self.listing + self.loading == 0
            && let Some(work) = self.next_dir(asker.pace)
        {
            return Some(work);
        }
        if room && let Some(work) = self.next_large(asker.pace) {
            return Some(work);
        }
        // Half of the connections look for small files first, half for pieces.
        let work = if asker.index.is_multiple_of(2) {
            self.next_small(asker.pace)
                .or_else(|| self.next_step(asker.pace, false))
        } else {
            self.next_step(asker.pace, false)
                .or_else(|| self.next_small(asker.pace))
        };
        work.or_else(|| self.next_large(asker.pace))
            .or_else(|| self.next_dir(asker.pace))
    }

    pub fn next_small(&mut self, pace: StepPolicy) -> Option<Work> {
        let task = take_led(&mut self.small, pace.outlook)?;
        self.opening += 1;
        Some(Work::Open(task))
    }

    pub fn next_large(&mut self, pace: StepPolicy) -> Option<Work> {
        let task = take_led(&mut self.large, pace.outlook)?;
        self.opening += 1;
        Some(Work::Open(task))
    }

    pub fn next_dir(&mut self, pace: StepPolicy) -> Option<Work> {
        // Where all that is known waits for a later time, nothing more is made known.
        if self.known() > FILES_MAX {
            return None;
        }
        let task = self.dirs.pop_if(|task| pace.outlook.leads(task.tried))?;
        *if task.rest.is_some() {
            &mut self.loading
        } else {
            &mut self.listing
        } += 1;
        Some(Work::List(task))
    }

    /// A source other than the asker's own that something here waits for.
    pub fn needed(&self, outlook: Outlook) -> Option<SourceId> {
        let files = [&self.small, &self.large].map(|files| files.front().map(|task| task.tried));
        let dir = self.dirs.last().map(|task| task.tried);
        let tasks = files.into_iter().chain([dir]).flatten();
        let jobs = self.jobs.iter().filter_map(|job| job.needed(outlook));
        tasks
            .filter_map(|tried| outlook.lead(tried))
            .chain(jobs)
            .find(|source| *source != outlook.source)
    }

    /// A step for the job with the fewest connections; `runs_only` leaves out what nothing may be sent behind.
    pub fn next_step(&mut self, pace: StepPolicy, runs_only: bool) -> Option<Work> {
        let mut jobs: Vec<&Arc<Job>> = self.jobs.iter().collect();
        jobs.sort_by_key(|job| job.load());
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

    pub fn view(&self, workers: usize) -> ItemView {
        // Small files are asked for many at a time: how many connections that takes is not known exactly.
        let reading: usize = self.jobs.iter().map(|job| job.connections()).sum();
        let connections = (reading + self.opening).min(workers);
        let mut later = self.later.values();
        // What waits on disk was listed.
        let listed = self.dirs.iter().all(|task| task.rest.is_some())
            && self.listing == 0
            && !later.any(|task| matches!(task, Task::Dir(task) if task.rest.is_none()));
        let state = match &self.ended {
            Some(state) => state.clone(),
            None if self.paused => ItemState::Paused,
            None => match &self.waiting {
                _ if connections + self.listing > 0 => ItemState::Active,
                Some(reason) => ItemState::Waiting(reason.clone()),
                None if self.jobs.iter().any(|job| job.is_over())
                    || self.busy > self.jobs.len() =>
                {
                    ItemState::Landing
                }
                None => ItemState::Queued,
            },
        };
        let total = (self.sized || self.tree).then_some(self.total);
        let mut done = self.done.get();
        let ended = matches!(state, ItemState::Failed(_) | ItemState::Cancelled);
        if self.kept > done && (ended || self.is_judging()) {
            done = self.kept;
        }
        let mut done = done.min(total.unwrap_or(u64::MAX));
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

/// Takes out the first file that is its source's turn to be asked for.
fn take_led(files: &mut VecDeque<FileTask>, outlook: Outlook) -> Option<FileTask> {
    let mut front = files.iter().take(LOOK_MAX);
    let at = front.position(|task| outlook.leads(task.tried))?;
    files.remove(at)
}
