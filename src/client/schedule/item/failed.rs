//! What of an item failed, what a retry does with that, and what the item ends as.

use super::{FAILED_MAX, Item, Life};
use crate::{
    client::{
        Error,
        disk::names::Local,
        id::SourceSet,
        read::pattern::Filter,
        snapshot::{ItemState, Verified},
        task::Task,
    },
    escape::display_name,
    exit::Exit,
};

impl Item {
    /// Tries it again: what failed, and what was never begun. What waits on disk of directories that are listed anew is
    /// handed back, to be forgotten.
    pub fn retry(&mut self) {
        self.life = Life::Going;
        self.failed = 0;
        self.failures.clear();
        self.may_pass = false;
        self.last_error = None;
        if self.forgetful {
            self.begin_anew();
            return;
        }
        for mut file in std::mem::take(&mut self.failed_files) {
            file.failures = 0;
            (file.tried, file.failing) = (file.foreign, None);
            file.turn_to_all_urls();
            // What is here of it now must be looked at.
            file.local = Local::Unknown;
            self.push_back(file);
        }
        for mut dir in std::mem::take(&mut self.failed_dirs) {
            dir.failures = 0;
            (dir.tried, dir.failing) = (SourceSet::default(), None);
            self.dirs.push(dir);
        }
        if !self.waits_for_nothing() {
            return;
        }
        if self.finished == 0 {
            self.found = 0;
            self.seed();
        } else if self.unmatched().next().is_some() {
            self.begin_anew();
        }
    }

    /// Begins anew: what is here already is found equal, and not fetched again.
    fn begin_anew(&mut self) {
        self.forgetful = false;
        self.failed_files.clear();
        self.failed_dirs.clear();
        (self.found, self.finished, self.total) = (0, 0, 0);
        (self.settled, self.kept, self.unread) = (0, 0, 0);
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

    /// Patterns that nothing has matched so far.
    fn unmatched(&self) -> impl Iterator<Item = &str> {
        self.filter.iter().flat_map(Filter::unmatched)
    }

    /// What was asked for and is not there, now that all of it was looked at.
    pub fn missing(&self) -> Vec<Error> {
        // Of what could not be listed nobody knows what it holds.
        let is_known = self.failed_dirs.is_empty() && !self.forgetful;
        if !self.tree || self.is_cancelled() || !is_known {
            return Vec::new();
        }
        let shown = |pattern: &str| display_name(pattern.as_bytes()).into_owned();
        let unmatched = self.unmatched().map(|it| Error::NoMatch(shown(it)));
        unmatched.collect()
    }

    /// Whether it is a tree in which there was no file.
    pub fn is_empty(&self) -> bool {
        let none = self.found == 0 && self.failed == 0 && !self.left;
        self.tree && none && !self.is_cancelled()
    }

    pub fn note_failure(&mut self, error: Error) {
        self.failed += 1;
        if !self.failures.contains(&error.exit()) {
            self.failures.push(error.exit());
        }
        // A digest that the user gave was mistyped, or is of another version.
        let is_refuted = self.checksum.is_some() && error.exit() == Exit::Integrity;
        self.may_pass |= error.may_pass() && !is_refuted;
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
        !self.is_cancelled() && self.may_pass
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rustix::io::Errno;

    use super::{
        super::{
            NewItem,
            tests::{dir, file, item, tree},
        },
        *,
    };
    use crate::{
        client::{schedule::testing::path, task::FileTask},
        digest::Digest,
        pieces::PIECE,
    };

    /// Errors that may pass, and one that will not.
    fn errors() -> [Error; 2] {
        [Error::Broken("x".into()), Error::Empty]
    }

    #[test]
    fn a_retry_tries_what_failed_and_nothing_else() {
        let mut item = tree();
        item.dirs.clear();
        let tried = SourceSet::all(2);
        let foreign = SourceSet::all(1);
        item.keep_failed(
            FileTask {
                tried,
                foreign,
                refusals: 3,
                failures: 3,
                passed: 1,
                ..file("/t/a", Some(2 * PIECE))
            }
            .into(),
        );
        let mut failed = dir("/t/d/");
        (failed.tried, failed.failures) = (tried, 3);
        item.keep_failed(failed.into());
        for error in errors() {
            item.note_failure(error);
        }
        item.life = Life::Ended(ItemState::Failed("x".into()));
        item.found = 1;
        item.retry();
        assert_eq!((item.life.clone(), item.failed), (Life::Going, 0));
        assert!(item.failures.is_empty() && item.last_error.is_none());
        assert!(item.failed_files.is_empty() && item.failed_dirs.is_empty());
        assert_eq!((item.large.len(), item.dirs.len(), item.found), (1, 1, 1));
        let file = &item.large[0];
        assert_eq!((file.tried, file.failures, file.refusals), (foreign, 0, 0));
        assert_eq!(file.local, Local::Unknown);
        assert_eq!(file.passed, 0);
        assert_eq!(
            (item.dirs[0].tried, item.dirs[0].failures),
            (SourceSet::default(), 0)
        );
    }

    #[test]
    fn an_item_of_which_nothing_came_begins_anew() {
        let mut single = item(NewItem::new(path("/a")));
        for (finished, waits) in [(0, 1), (1, 0)] {
            single.small.clear();
            single.finished = finished;
            single.found = 7;
            single.retry();
            assert_eq!(single.small.len(), waits);
            assert_eq!(single.found, if waits == 1 { 1 } else { 7 });
        }
        // What failed waits again, and is not asked for twice.
        single.finished = 0;
        single.keep_failed(file("/a", None).into());
        single.retry();
        assert_eq!((single.small.len(), single.found), (1, 7));
    }

    #[test]
    fn an_item_that_forgot_what_failed_begins_anew() {
        let mut item = tree();
        item.dirs.clear();
        item.keep_failed(file("/t/a", None).into());
        item.keep_failed(dir("/t/d/").into());
        item.forgetful = true;
        (item.found, item.finished, item.total) = (9, 8, 7);
        (item.settled, item.kept, item.verified) = (6, 5, Some(Verified::Blake3));
        item.retry();
        assert!(!item.forgetful && item.verified.is_none());
        assert_eq!((item.found, item.finished, item.total), (0, 0, 0));
        assert_eq!((item.settled, item.kept), (0, 0));
        assert!(item.failed_files.is_empty() && item.failed_dirs.is_empty());
        assert_eq!((item.known(), item.dirs.len()), (0, 1));
    }

    #[test]
    fn only_so_much_of_what_failed_is_remembered() {
        for task in [Task::from(file("/t/a", None)), dir("/t/d/").into()] {
            let mut item = tree();
            for _ in 0..FAILED_MAX {
                item.keep_failed(task.clone());
            }
            assert!(!item.forgetful);
            item.keep_failed(task);
            assert!(item.forgetful);
            let kept = item.failed_files.len() + item.failed_dirs.len();
            assert_eq!(kept, FAILED_MAX);
        }
    }

    #[test]
    fn everything_that_waits_is_shelved_and_the_life_stays() {
        let mut item = tree();
        item.push_back(file("/t/a", None));
        item.push_back(file("/t/b", Some(2 * PIECE)));
        for name in ["/t/c", "/t/d", "/t/e"] {
            item.take_back_later(file(name, None).into(), Instant::now(), String::new());
        }
        assert_eq!(item.shelve(), 6);
        assert!(item.is_going() && item.waits_for_nothing());
        assert_eq!((item.failed_files.len(), item.failed_dirs.len()), (5, 1));
        assert_eq!(item.shelve(), 0);
    }

    #[test]
    fn an_item_ends_as_what_became_of_it() {
        let [broken, no_match] = errors();
        let mut item = tree();
        assert_eq!(item.final_state(), ItemState::Finished(Verified::Present));
        item.verified = Some(Verified::Digest);
        assert_eq!(item.final_state(), ItemState::Finished(Verified::Digest));
        item.note_failure(no_match);
        item.note_failure(broken.clone());
        item.note_failure(broken.clone());
        assert_eq!(item.failures, [Exit::Remote, Exit::Network]);
        let all = format!("3 failed, the last: {broken}");
        assert_eq!(item.final_state(), ItemState::Failed(all));
        item.failed = 1;
        assert_eq!(item.final_state(), ItemState::Failed(broken.to_string()));
        item.last_error = None;
        let some = "1 failed".to_owned();
        assert_eq!(item.final_state(), ItemState::Failed(some));
        item.life = Life::Cancelled;
        assert_eq!(item.final_state(), ItemState::Cancelled);
    }

    #[test]
    fn a_later_run_goes_on_with_what_may_pass() {
        let [broken, no_match] = errors();
        let mut item = tree();
        assert!(!item.is_unsettled());
        item.note_failure(no_match);
        assert!(!item.is_unsettled());
        item.note_failure(broken);
        assert!(item.is_unsettled());
        let disk = |errno: Errno| Error::disk("x", &errno.into());
        let damaged = Error::Integrity { piece: None };
        for (error, passes) in [
            (disk(Errno::NOSPC), true),
            (disk(Errno::IO), true),
            (damaged.clone(), true),
            (disk(Errno::NOTDIR), false),
            (disk(Errno::ISDIR), false),
            (disk(Errno::EXIST), false),
            (disk(Errno::LOOP), false),
            (disk(Errno::ACCESS), false),
            (disk(Errno::NAMETOOLONG), false),
        ] {
            let mut item = tree();
            item.note_failure(error.clone());
            assert_eq!(item.is_unsettled(), passes, "{error:?}");
        }
        item.life = Life::Ended(ItemState::Cancelled);
        assert!(!item.is_unsettled());
        let mut checked = super::super::tests::item(NewItem {
            checksum: Some(Box::new(Digest::Md5([0; 16]))),
            ..NewItem::new(path("/a"))
        });
        checked.note_failure(damaged);
        assert!(!checked.is_unsettled(), "the user's digest refutes it");
        checked.note_failure(Error::Broken("x".into()));
        assert!(checked.is_unsettled());
        checked.retry();
        assert!(!checked.is_unsettled());
    }
}
