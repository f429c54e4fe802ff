//! Which parts in a target directory are this client's own: a log in the state directory, never in the target.
//!
//! A file named `NAME.part` may be anybody's. Only one that the journal names, by device and inode, is gone on with;
//! beside any other a new name is used. One journal belongs to one target directory, by its path, and one origin, and to one
//! process at a time (`flock`): a second client of the same pair works without it, on parts of its own.
//!
//! Where a server offers no pieces, nothing but the journal can tell what of a part is right: after each sync of the part
//! it notes which pieces were there, and of which content (entity tag or date, and size). Only those are gone on with.
//!
//! It keeps the queue, too: what was asked for and has not ended, so that a later run can go on with that.
//!
//! Format, version 4: JSON objects, a line each. The first names format, version, and the target's device, which may have
//! another number after a restart of the machine; `began`, `synced` and `ended` (parts) and `wanted`, `settled` and `order`
//! (the queue) follow in the order in which they happened; a later `synced` of a part or `wanted` of a number replaces the
//! earlier. Version 1 had no queue, version 2 no order of it, version 3 no device: they are read as well. A journal that
//! cannot be read is set aside as `NAME.bad`, never trusted.

mod claims;
mod log;

use std::{
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use claims::Claims;
use log::{Inner, Line};

use crate::{client::want::Wanted, exit::reason};

pub use claims::{Claim, FileId};
pub use log::{Content, Ticket};

/// The parts that are this client's own.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Inner>, Arc<Claims>);

impl Journal {
    /// Opens the journal in `state_dir` of the target directory `target`, an absolute path without links, on device `dev` where
    /// that can be told, and of an origin. Where that fails, the reason is logged and parts are remembered for this run only:
    /// downloads go on, a later run starts them afresh.
    pub fn open(state_dir: Option<&Path>, target: &Path, dev: Option<u64>, origin: &str) -> Self {
        let Some(state_dir) = state_dir else {
            return Self::default();
        };
        let mut key = blake3::Hasher::new();
        key.update(target.as_os_str().as_encoded_bytes());
        key.update(b"\0").update(origin.as_bytes());
        let key = key.finalize().to_hex();
        let path = state_dir
            .join("journals")
            .join(format!("{}.jsonl", &key[..32]));
        match log::open(&path, dev) {
            Ok(inner) => Self(Mutex::new(inner), Arc::default()),
            Err(error) => {
                tracing::warn!(
                    "what is fetched now cannot be gone on with later: {}: {}",
                    path.display(),
                    reason(&error)
                );
                Self::default()
            }
        }
    }

    /// Whether a later run can read it.
    pub fn is_kept(&self) -> bool {
        self.inner().is_kept()
    }

    /// Whether there are parts that earlier runs left and that no job of this one has taken up.
    pub fn has_left(&self) -> bool {
        !self.inner().left.is_empty()
    }

    /// Claims `file` where it is one of those.
    pub fn claim_left(&self, file: FileId) -> Option<Claim> {
        // Claimed before it is looked at: a job that takes it up meanwhile goes on with it.
        let claim = self.claim(file);
        claim.filter(|_| self.inner().left.contains(&file))
    }

    /// A job has taken up a part of ours.
    pub fn taken_up(&self, file: FileId) {
        self.inner().left.remove(&file);
    }

    /// Whether `file` is a part of ours.
    pub fn owns(&self, file: FileId) -> bool {
        self.inner().parts.contains_key(&file)
    }

    /// The pieces of `content` that `file` is known to hold.
    pub fn pieces_of(&self, file: FileId, content: &Content) -> Vec<Range<u32>> {
        match self.inner().parts.get(&file) {
            Some(Some((of, pieces))) if of == content => pieces.clone(),
            _ => Vec::new(),
        }
    }

    /// A part was synced, and holds these pieces of `content`.
    pub fn synced(&self, part: FileId, content: Content, pieces: Vec<Range<u32>>) {
        let mut inner = self.inner();
        if let Some(synced) = inner.parts.get_mut(&part) {
            *synced = Some((content.clone(), pieces.clone()));
            let line = Line::Synced {
                part,
                content,
                pieces,
            };
            inner.append(&line, true);
        }
    }

    /// Claims a part; `None` while another job works on it.
    pub fn claim(&self, file: FileId) -> Option<Claim> {
        self.claim_within(file, Duration::ZERO)
    }

    /// The same, once another job has let go of it: waits for that at most so long. Blocking.
    pub fn claim_within(&self, file: FileId, patience: Duration) -> Option<Claim> {
        self.1.claim(file, patience)
    }

    /// A part was made.
    pub fn began(&self, file: FileId) {
        let mut inner = self.inner();
        inner.parts.insert(file, None);
        inner.append(&Line::Began(file), true);
    }

    /// What was asked for and has not ended, also by earlier runs, in the queue's order.
    pub fn wanted(&self) -> Vec<(Ticket, Wanted)> {
        let inner = self.inner();
        let queue = inner.queue().into_iter();
        queue
            .filter_map(|ticket| Some((ticket, inner.wanted.get(&ticket)?.clone())))
            .collect()
    }

    /// The user changed the queue: its order, or how something in it is fetched. What is not in it any more stays away.
    pub fn keep_queue(&self, queue: Vec<(Ticket, Wanted)>) {
        let mut inner = self.inner();
        let mut order = Vec::new();
        for (ticket, wanted) in queue {
            let Some(known) = inner.wanted.get_mut(&ticket) else {
                continue;
            };
            order.push(ticket);
            if *known != wanted {
                *known = wanted.clone();
                inner.append(&Line::Wanted(ticket, wanted), false);
            }
        }
        let before = inner.queue();
        inner.order.clone_from(&order);
        if before != inner.queue() {
            inner.append(&Line::Order(order), false);
        }
    }

    /// Something was asked for. It is on disk with the next part that is: a crash of the machine may forget it.
    pub fn want(&self, wanted: Wanted) -> Ticket {
        let mut inner = self.inner();
        let last = inner.wanted.last_key_value();
        let ticket = Ticket(last.map_or(0, |(Ticket(last), _)| last + 1));
        inner.wanted.insert(ticket, wanted.clone());
        inner.append(&Line::Wanted(ticket, wanted), false);
        ticket
    }

    /// It has ended, and nothing of it is left to be gone on with.
    pub fn settle(&self, ticket: Ticket) {
        let mut inner = self.inner();
        if inner.wanted.remove(&ticket).is_some() {
            inner.append(&Line::Settled(ticket), false);
        }
    }

    /// A part was completed or removed.
    pub fn ended(&self, file: FileId) {
        let mut inner = self.inner();
        inner.left.remove(&file);
        if inner.parts.remove(&file).is_some() {
            inner.append(&Line::Ended(file), true);
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FileId = FileId { dev: 1, ino: 2 };
    const B: FileId = FileId { dev: 1, ino: 3 };

    fn file(dir: &Path) -> std::path::PathBuf {
        std::fs::read_dir(dir.join("journals"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
    }

    #[test]
    fn parts_are_remembered_across_runs() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), Path::new("/target"), Some(1), "origin");
        let journal = open();
        journal.began(A);
        journal.began(B);
        journal.ended(B);
        drop(journal);
        let journal = open();
        assert!(journal.owns(A) && !journal.owns(B));
        assert!(journal.has_left() && journal.claim_left(B).is_none());
        let claim = journal.claim_left(A);
        assert!(claim.is_some() && journal.claim_left(A).is_none());
        drop(claim);
        journal.taken_up(A);
        assert!(journal.owns(A) && !journal.has_left() && journal.claim_left(A).is_none());
        let (state, target) = (Some(temp.path()), Path::new("/target"));
        assert!(!Journal::open(state, target, Some(1), "elsewhere").owns(A));
    }

    #[test]
    fn parts_are_remembered_where_devices_have_other_numbers() {
        let temp = tempfile::tempdir().unwrap();
        let open = |dev| Journal::open(Some(temp.path()), Path::new("/target"), dev, "origin");
        let elsewhere = FileId { dev: 5, ino: 4 };
        let journal = open(Some(1));
        journal.began(A);
        journal.began(elsewhere);
        drop(journal);
        assert!(open(Some(1)).owns(elsewhere));
        let untold = open(None);
        assert!(untold.owns(A) && untold.owns(elsewhere));
        drop(untold);
        let journal = open(Some(7));
        assert!(journal.owns(FileId { dev: 7, ino: 2 }) && !journal.owns(A));
        assert!(!journal.owns(elsewhere), "it may be any file now");
        drop(journal);
        assert!(open(Some(7)).owns(FileId { dev: 7, ino: 2 }));
    }

    #[test]
    fn what_a_part_holds_is_remembered_for_its_content_only() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), Path::new("/target"), Some(1), "origin");
        let content = |validator: &str| Content {
            validator: validator.into(),
            size: 9,
        };
        let journal = open();
        journal.began(A);
        journal.synced(A, content("one"), vec![0..2, 4..5]);
        journal.synced(A, content("one"), vec![0..3, 5..6]);
        journal.synced(B, content("one"), vec![0..1, 2..3]);
        drop(journal);
        let journal = open();
        assert_eq!(journal.pieces_of(A, &content("one")), [0..3, 5..6]);
        assert_eq!(journal.pieces_of(A, &content("two")), []);
        assert_eq!(journal.pieces_of(B, &content("one")), []);
    }

    /// A directory stands where the compacted journal is to be written.
    #[test]
    fn a_journal_that_cannot_be_compacted_goes_on_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), Path::new("/target"), Some(1), "origin");
        drop(open());
        let path = file(temp.path());
        std::fs::create_dir(path.with_extension("jsonl.new")).unwrap();
        for before in [&b""[..], &std::fs::read(&path).unwrap()] {
            std::fs::write(&path, before).unwrap();
            open().began(A);
            open().began(B);
            assert!(open().owns(A) && open().owns(B));
        }
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        let journal = open();
        journal.began(B);
        assert!(!journal.owns(A), "nothing is written behind a cut line");
        assert_eq!(std::fs::read(&path).unwrap(), whole[..whole.len() - 4]);
    }

    #[test]
    fn what_was_asked_for_is_remembered_until_it_ends() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), Path::new("/target"), Some(1), "origin");
        let wanted = |name: &str| {
            let get = vec![name.to_owned()];
            let exclude = Vec::new();
            Wanted::new(&crate::client::Want::Patterns { get, exclude }, None, false).unwrap()
        };
        let journal = open();
        let first = journal.want(wanted("one"));
        let second = journal.want(wanted("two"));
        journal.settle(first);
        drop(journal);
        let journal = open();
        assert_eq!(journal.wanted(), [(second, wanted("two"))]);
        let third = journal.want(wanted("three"));
        assert!(third > second);
        drop(journal);
        let journal = open();
        journal.settle(second);
        journal.settle(third);
        drop(journal);
        assert_eq!(open().wanted(), []);
    }

    #[test]
    fn the_queue_keeps_its_order_and_its_limits() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), Path::new("/target"), Some(1), "origin");
        let wanted = |name: &str| {
            let (get, exclude) = (vec![name.to_owned()], Vec::new());
            Wanted::new(&crate::client::Want::Patterns { get, exclude }, None, false).unwrap()
        };
        let journal = open();
        let [a, b, c] = ["a", "b", "c"].map(|name| journal.want(wanted(name)));
        let mut slow = wanted("c");
        slow.set_limit(Some(crate::units::Rate(7)));
        slow.first = true;
        let gone = Ticket(99);
        journal.keep_queue(vec![
            (c, slow.clone()),
            (gone, wanted("gone")),
            (a, wanted("a")),
            (b, wanted("b")),
        ]);
        let after = [(c, slow.clone()), (a, wanted("a")), (b, wanted("b"))];
        assert_eq!(journal.wanted(), after);
        drop(journal);
        assert_eq!(open().wanted(), after, "from its lines");
        assert_eq!(open().wanted(), after, "and from the compacted ones");
        let journal = open();
        let d = journal.want(wanted("d"));
        journal.settle(a);
        drop(journal);
        let after = [(c, slow), (b, wanted("b")), (d, wanted("d"))];
        assert_eq!(open().wanted(), after);
    }

    #[test]
    fn what_a_crash_left_while_it_was_compacted_is_no_obstacle() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), Path::new("/target"), Some(1), "origin");
        open().began(A);
        let path = file(temp.path());
        std::fs::write(path.with_extension("jsonl.new"), "half a li").unwrap();
        let journal = open();
        assert!(journal.owns(A));
        assert!(!open().owns(A), "it is locked, whichever file it is");
        drop(journal);
        assert!(open().owns(A) && !path.with_extension("jsonl.new").exists());
    }

    #[test]
    fn a_journal_without_a_queue_is_read() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), Path::new("/target"), Some(1), "origin");
        drop(open());
        let old = "{\"journal\":{\"version\":1}}\n{\"began\":{\"dev\":1,\"ino\":2}}\n";
        std::fs::write(file(temp.path()), old).unwrap();
        assert!(open().owns(A));
    }

    #[test]
    fn two_clients_never_share_a_journal() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), Path::new("/target"), Some(1), "origin");
        let first = open();
        first.began(A);
        let second = open();
        assert!(!second.owns(A));
        second.began(B);
        drop((first, second));
        assert!(open().owns(A) && !open().owns(B));
    }

    #[test]
    fn a_journal_that_is_let_go_of_just_now_is_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), Path::new("/target"), Some(1), "origin");
        let first = open();
        assert!(first.is_kept());
        let path = file(temp.path());
        std::thread::scope(|scope| {
            let second = scope.spawn(|| log::lock(&path, Duration::from_secs(60)));
            drop(first);
            assert!(second.join().unwrap().is_ok());
        });
        let _held = open();
        assert!(!open().is_kept() && !Journal::default().is_kept());
    }

    #[test]
    fn a_part_has_one_job_at_a_time() {
        let journal = Journal::default();
        let claim = journal.claim(A).unwrap();
        assert!(journal.claim(A).is_none() && journal.claim(B).is_some());
        let soon = Duration::from_secs(60);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| journal.claim_within(A, soon).is_some());
            drop(claim);
            assert!(waits.join().unwrap());
        });
        assert!(journal.claim(A).is_some());
    }

    #[test]
    fn a_cut_line_is_dropped_and_damage_is_set_aside() {
        let temp = tempfile::tempdir().unwrap();
        let open = || Journal::open(Some(temp.path()), Path::new("/target"), Some(1), "origin");
        let journal = open();
        journal.began(A);
        journal.began(B);
        drop(journal);
        let path = file(temp.path());
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        let journal = open();
        assert!(journal.owns(A) != journal.owns(B));
        assert!(!path.with_extension("jsonl.bad").exists());
        drop(journal);
        let (first, rest) = whole.split_once('\n').unwrap();
        for damage in [
            "nonsense\n",
            "{\"journal\":{\"version\":9}}\n",
            "{\"began\":{\"dev\":1,\"ino\":2}}\n",
            &first[..first.len() - 4],
            &format!("{first}\n{first}\n{rest}"),
            &format!("{first}\nnonsense\n{rest}"),
        ] {
            std::fs::write(&path, damage).unwrap();
            assert!(!open().owns(A), "{damage}");
            let aside = path.with_extension("jsonl.bad");
            assert_eq!(std::fs::read_to_string(&aside).unwrap(), damage);
            std::fs::remove_file(aside).unwrap();
        }
    }
}
