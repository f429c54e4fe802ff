//! What of an item failed, what a retry does with that, and what the item ends as.

use super::{FAILED_MAX, Item, Life};
use crate::{
    client::{
        Error,
        disk::names::Local,
        id::SourceSet,
        snapshot::{ItemState, Verified},
        task::Task,
    },
    exit::Exit,
};

impl Item {
    /// Tries it again: what failed, and what was never begun. What waits on disk of directories that are listed anew is
    /// handed back, to be forgotten.
    pub fn retry(&mut self) {
        self.life = Life::Going;
        self.failed = 0;
        self.failures.clear();
        self.last_error = None;
        if self.forgetful {
            self.begin_anew();
            return;
        }
        for mut file in std::mem::take(&mut self.failed_files) {
            file.failures = 0;
            file.tried = file.foreign;
            // What is here of it now must be looked at.
            file.local = Local::Unknown;
            self.push_back(file);
        }
        for mut dir in std::mem::take(&mut self.failed_dirs) {
            dir.failures = 0;
            dir.tried = SourceSet::default();
            self.dirs.push(dir);
        }
        if self.waits_for_nothing() && self.finished == 0 {
            self.found = 0;
            self.seed();
        }
    }

    /// Begins anew: what is here already is found equal, and not fetched again.
    fn begin_anew(&mut self) {
        self.forgetful = false;
        self.failed_files.clear();
        self.failed_dirs.clear();
        (self.found, self.finished, self.total) = (0, 0, 0);
        (self.settled, self.kept) = (0, 0);
        self.verified = None;
        self.seed();
    }

    /// Remembers for a retry what failed, as far as one can.
    pub fn keep_failed(&mut self, mut task: Task) {
        *task.failures() = 0;
        match task {
            Task::File(mut task) if self.failed_files.len() < FAILED_MAX => {
                task.begin_anew();
                self.failed_files.push(task);
            }
            Task::Dir(task) if self.failed_dirs.len() < FAILED_MAX => self.failed_dirs.push(task),
            _ => self.forgetful = true,
        }
    }

    /// Everything that waits is kept for a retry; how many tasks that are.
    pub fn shelve(&mut self) -> usize {
        let later = self.later.len();
        let cancelled = std::mem::replace(&mut self.life, Life::Cancelled);
        self.release(None);
        let files = self.small.drain(..).chain(self.large.drain(..));
        let tasks: Vec<Task> = files
            .map(Task::from)
            .chain(self.dirs.drain(..).map(Task::from))
            .collect();
        let count = tasks.len();
        for task in tasks {
            self.keep_failed(task);
        }
        self.life = cancelled;
        later + count
    }

    pub fn note_failure(&mut self, error: Error) {
        self.failed += 1;
        if !self.failures.contains(&error.exit()) {
            self.failures.push(error.exit());
        }
        self.last_error = Some(error);
    }

    /// What it ends as.
    pub fn final_state(&self) -> ItemState {
        if self.is_cancelled() {
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
        !self.is_cancelled() && self.failures.iter().any(may_pass)
    }
}
