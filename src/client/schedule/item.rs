//! One item of the queue: a file, or a tree and what is known of it so far.

mod failed;
mod scope;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use super::{order::Sum, sources::Outlook};
use crate::{
    client::{
        Error,
        disk::journal::Ticket,
        disk::names::Local,
        id::{SourceId, SourceSet},
        read::pattern::Filter,
        snapshot::{ItemId, ItemState, Verified},
        task::{DirTask, FileTask, Task},
        want::Wanted,
    },
    digest::Digest,
    exit::Exit,
    http1::path::RemotePath,
    units::Rate,
};

/// What listings name goes to disk while more files than this are known and not begun, or more directories: memory
/// stays bounded for any tree.
const FILES_MAX: usize = 20_000;
const DIRS_MAX: usize = 10_000;
/// Failed files, and directories, that an item remembers for `retry`; beyond that, retrying lists the tree again.
const FAILED_MAX: usize = 10_000;
/// Files at the front of a queue that are looked at for one that a source leads: those that others refused are
/// put back there.
const LOOK_MAX: usize = 64;
/// A limited item gets a connection for each so many bytes a second: more would wait for their turns only, and would not be
/// there for others.
const CONNECTION_RATE: u64 = 1 << 20;

/// What is asked for.
#[derive(Debug)]
pub struct NewItem {
    /// A file or directory below the base URL.
    pub path: RemotePath,
    /// What of the directory; everything, where there is none.
    pub filter: Option<Filter>,
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
    /// Its number in the journal, where an earlier run was asked for it.
    pub earlier: Option<Ticket>,
    /// Whether it waits until somebody lets it go on.
    pub paused: bool,
    /// Whether what its target holds and its listings do not is noted.
    pub extras: bool,
    /// Whether a file that is here may spare the fetching.
    pub spares: bool,
}

impl NewItem {
    /// All that is at a path.
    pub fn new(path: RemotePath) -> Self {
        Self {
            path,
            filter: None,
            rename: None,
            checksum: None,
            size: None,
            named: Vec::new(),
            kept_as: None,
            earlier: None,
            paused: false,
            extras: false,
            spares: false,
        }
    }

    /// Where the files land that it names itself.
    pub fn files(&self) -> Vec<RemotePath> {
        let named = |path: &RemotePath, name: &[u8]| path.parent().join(name).ok();
        let files = self.named.iter();
        let files = files.filter_map(|file| named(&file.path, file.local_name()));
        let name = self.rename.as_deref().unwrap_or_else(|| self.path.name());
        let is_file = !self.path.is_dir() && self.named.is_empty();
        let file = is_file.then(|| named(&self.path, name)).flatten();
        files.chain(file).collect()
    }
}

/// Where an item is in its life.
#[derive(Debug, Clone, PartialEq)]
pub enum Life {
    /// Connections work on it, or will.
    Going,
    /// The user stopped it.
    Paused,
    /// The user cancelled it; it ends once all is let go of.
    Cancelled,
    /// Nothing more happens to it by itself.
    Ended(ItemState),
}

/// An item and everything that waits for it. What is under way is in the slots, the transfers and the landings.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Item {
    pub id: ItemId,
    pub path: RemotePath,
    pub tree: bool,
    pub filter: Option<Filter>,
    pub rename: Option<Vec<u8>>,
    pub checksum: Option<Box<Digest>>,
    pub size: Option<u64>,
    pub named: Vec<FileTask>,
    /// Its number in the journal; `None` once that has no more to say of it.
    pub ticket: Option<Ticket>,
    /// The same, where an earlier run was asked for it; it keeps that.
    pub earlier: Option<Ticket>,
    /// Files of it were left to items that were asked for later.
    pub left: bool,
    /// What the journal keeps of it, to be kept again if it is tried again.
    pub wanted: Option<Wanted>,
    pub life: Life,
    /// What its target holds and its listings do not is noted.
    pub extras: bool,
    /// A file that is here may spare the fetching.
    pub spares: bool,
    /// What its connections together may take.
    pub limit: Option<Rate>,
    /// It gets every connection that it has work for before others do; one item at most.
    pub first: bool,
    pub dirs: Vec<DirTask>,
    /// Files up to 1 MiB or of unknown size, and larger ones.
    pub small: VecDeque<FileTask>,
    pub large: VecDeque<FileTask>,
    /// What is tried again at a later time, and why; the number tells those of one time apart.
    pub later: BTreeMap<(Instant, u64), (Task, String)>,
    pub failed_files: Vec<FileTask>,
    pub failed_dirs: Vec<DirTask>,
    /// More failed than is remembered, or what waited on disk was lost: a retry begins anew.
    pub forgetful: bool,
    pub failed: u64,
    pub failures: Vec<Exit>,
    /// One of them may have passed when a later run comes.
    pub may_pass: bool,
    pub last_error: Option<Error>,
    pub found: u64,
    pub finished: u64,
    pub total: u64,
    pub sized: bool,
    /// Bytes of files that are complete.
    pub settled: u64,
    /// Bytes that were here when it ended without being complete, those of parts included: what a retry finds.
    pub kept: u64,
    pub verified: Option<Verified>,
    /// Files that were here already and were not read.
    pub unread: u64,
    /// Where the last redirect of one of its files led, for people.
    pub led: Option<String>,
}

impl Item {
    /// What it is called where its path is not what was asked for.
    pub fn label(&self) -> Option<String> {
        match &self.filter {
            Some(filter) => Some(filter.label()),
            None if self.named.len() > 1 => Some("Metalink".to_owned()),
            None => self.path.is_root().then(|| "everything".to_owned()),
        }
    }

    pub fn new(id: ItemId, new: NewItem) -> Self {
        let (ticket, wanted) = new.kept_as.unzip();
        let tree = new.path.is_dir();
        let limit = wanted.as_ref().and_then(Wanted::limit);
        let first = wanted.as_ref().is_some_and(|wanted| wanted.first);
        let mut item = Self {
            id,
            tree,
            total: if tree { 0 } else { new.size.unwrap_or(0) },
            sized: new.size.is_some(),
            path: new.path,
            filter: new.filter,
            rename: new.rename,
            checksum: new.checksum,
            size: new.size,
            named: new.named,
            ticket,
            earlier: new.earlier,
            left: false,
            wanted,
            limit,
            first,
            extras: new.extras,
            spares: new.spares,
            life: if new.paused {
                Life::Paused
            } else {
                Life::Going
            },
            dirs: Vec::new(),
            small: VecDeque::new(),
            large: VecDeque::new(),
            later: BTreeMap::new(),
            failed_files: Vec::new(),
            failed_dirs: Vec::new(),
            forgetful: false,
            failed: 0,
            failures: Vec::new(),
            may_pass: false,
            last_error: None,
            found: 0,
            finished: 0,
            settled: 0,
            kept: 0,
            verified: None,
            unread: 0,
            led: None,
        };
        item.seed();
        item
    }

    pub fn is_going(&self) -> bool {
        self.life == Life::Going
    }

    /// Whether it comes before all others.
    pub fn set_first(&mut self, first: bool) {
        self.first = first;
        if let Some(wanted) = &mut self.wanted {
            wanted.first = first;
        }
    }

    /// Connections that are of use to it at once.
    pub fn connections_max(&self) -> usize {
        let rate = self.limit.map(|limit| limit.0 / CONNECTION_RATE);
        rate.map_or(usize::MAX, |rate| {
            usize::try_from(rate).unwrap_or(usize::MAX).max(1)
        })
    }

    pub fn is_cancelled(&self) -> bool {
        self.life == Life::Cancelled || self.life == Life::Ended(ItemState::Cancelled)
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.life, Life::Ended(_))
    }

    /// Puts in what the item begins with.
    fn seed(&mut self) {
        if !self.named.is_empty() {
            for mut task in self.named.clone() {
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

    /// Takes back a file that is not done; a cancelled item keeps it for a later retry.
    pub fn take_back(&mut self, task: FileTask) {
        if self.is_cancelled() {
            self.keep_failed(task.into());
        } else if task.is_large() {
            self.large.push_front(task);
        } else {
            self.small.push_front(task);
        }
    }

    /// The same for a directory.
    pub fn take_back_dir(&mut self, task: DirTask) {
        if self.is_cancelled() {
            self.keep_failed(task.into());
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

    /// Keeps it until its time has come; a cancelled item keeps it for a later retry.
    pub fn take_back_later(&mut self, task: Task, at: Instant, reason: String) {
        if self.is_cancelled() {
            self.take_back_task(task);
            return;
        }
        // Behind all others of the same time.
        let last = self.later.range(..=(at, u64::MAX)).next_back();
        let turn = last.map_or(0, |((_, turn), _)| turn + 1);
        self.later.insert((at, turn), (task, reason));
    }

    /// Takes back whatever is to be tried again by `now`; everything, without a time.
    pub fn release(&mut self, now: Option<Instant>) {
        while let Some(first) = self.later.first_entry()
            && now.is_none_or(|now| first.key().0 <= now)
        {
            let (task, _) = first.remove();
            self.take_back_task(task);
        }
    }

    /// What of a listing or of a block from the disk is to be done. Directories come first, so that what waits of all
    /// directories together is never more than what lies on one way down.
    pub fn take_dirs(&mut self, dirs: Vec<DirTask>) {
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

    /// A file's true size is known now, where a listing told none or another.
    pub fn resized(&mut self, before: Option<u64>, now: u64) {
        let others = self.total.saturating_sub(before.unwrap_or(0));
        self.total = others.saturating_add(now);
        self.sized = true;
    }

    pub fn push_back(&mut self, task: FileTask) {
        if task.is_large() {
            self.large.push_back(task);
        } else {
            self.small.push_back(task);
        }
    }

    /// Files that are known and not begun.
    pub fn known(&self) -> usize {
        self.small.len() + self.large.len() + self.later.len()
    }

    /// Whether no more files or directories can be remembered.
    pub fn is_full(&self) -> bool {
        self.known() > FILES_MAX || self.dirs.len() > DIRS_MAX
    }

    /// Whether nothing waits to be begun.
    pub fn waits_for_nothing(&self) -> bool {
        self.dirs.is_empty()
            && self.small.is_empty()
            && self.large.is_empty()
            && self.later.is_empty()
    }

    /// The next file of a queue that it is its source's turn to be asked for.
    pub fn take_file(&mut self, large: bool, outlook: &Outlook) -> Option<FileTask> {
        let files = if large {
            &mut self.large
        } else {
            &mut self.small
        };
        let mut front = files.iter().take(LOOK_MAX);
        let at = front.position(|task| outlook.leads(task.off()))?;
        files.remove(at)
    }

    /// The next directory that it is its source's turn to be asked for.
    pub fn take_dir(&mut self, outlook: &Outlook) -> Option<DirTask> {
        // Where all that is known waits for a later time, nothing more is made known.
        if self.known() > FILES_MAX {
            return None;
        }
        self.dirs.pop_if(|task| outlook.leads_dirs(task.tried))
    }

    /// Sources that something which waits here is to be asked of.
    pub fn needed(&self, outlook: &Outlook) -> SourceSet {
        // Redirects lead the files at the front apart.
        let apart = !outlook.kept.both(SourceSet::LED).is_empty();
        let look = if apart { LOOK_MAX } else { 1 };
        let off = self.fronts(look);
        off.filter_map(|off| outlook.lead(off)).collect()
    }

    /// Of what waits at the front, at most `look` files of a queue: the sources that are not asked for it.
    pub fn fronts(&self, look: usize) -> impl Iterator<Item = SourceSet> {
        let files = [&self.small, &self.large].into_iter();
        let files = files.flat_map(move |files| files.iter().take(look.min(LOOK_MAX)));
        let dir = self.dirs.last();
        let dir = dir.map(|task| task.tried.union(SourceSet::LED));
        files.map(FileTask::off).chain(dir)
    }

    /// Files that wait to be asked for.
    pub fn waiting(&self) -> impl Iterator<Item = &FileTask> {
        self.small.iter().chain(&self.large)
    }

    /// The same, to be changed.
    pub fn waiting_mut(&mut self) -> impl Iterator<Item = &mut FileTask> {
        self.small.iter_mut().chain(&mut self.large)
    }

    /// Takes out a file that waits to be asked for at a server that a redirect led to.
    pub fn take_led(&mut self, source: SourceId) -> Option<FileTask> {
        [&mut self.small, &mut self.large]
            .into_iter()
            .find_map(|files| {
                let at = files.iter().position(|task| task.led_to(source).is_some());
                files.remove(at?)
            })
    }
}

#[cfg(test)]
mod tests;
