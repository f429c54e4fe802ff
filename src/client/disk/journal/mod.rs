//! Which parts in a target directory are this client's own: a log in the state directory, never in the target.
//!
//! A file named `NAME.part` may be anybody's. Only one that the journal names, by device and inode, is gone on with;
//! beside any other a new name is used. One journal belongs to one target directory, by its path, and one origin, and to one
//! process at a time (`flock`): a second client of the same pair works without it, on parts of its own, which it removes at its
//! end. In one process a client that stops gives way to the next, which goes on with what that lets go of.
//!
//! Where a server offers no pieces, nothing but the journal can tell what of a part is right: after each sync of the part
//! it notes which pieces were there, and of which content (entity tag or date, and size). Only those are gone on with.
//!
//! It keeps the queue, too: what was asked for and has not ended, so that a later run can go on with that.
//!
//! Format, version 5: JSON objects, a line each. The first names format, version, and the target's device, which may have
//! another number after a restart of the machine; `began`, `synced` and `ended` (parts) and `wanted`, `settled` and `order`
//! (the queue) follow in the order in which they happened; a later `synced` of a part or `wanted` of a number replaces the
//! earlier. Version 1 had no queue, version 2 no order of it, version 3 no device, version 4 of the conflict rules only
//! `update`: they are read as well. A journal that cannot be read is set aside as `NAME.bad`, never trusted.

mod claims;
mod log;
mod shared;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use log::{Inner, Line};
use shared::{Hold, Shared};

use crate::{client::want::Wanted, exit::reason, sync::lock};

pub use claims::{Claim, FileId};
pub use log::{Content, Ticket};

/// The parts that are this client's own.
#[derive(Debug, Default)]
pub struct Journal {
    shared: Arc<Shared>,
    /// `None` where it is not kept, or was let go of.
    hold: Mutex<Option<Hold>>,
}

impl Journal {
    /// Opens the journal in `state_dir` of the target directory `target`, an absolute path without links, on device `dev` where
    /// that can be told, and of an origin. Where that fails, the reason is logged and parts are remembered for this run only:
    /// downloads go on, a later run starts them afresh.
    pub fn open(state_dir: Option<&Path>, target: &Path, dev: Option<u64>, origin: &str) -> Self {
        let Some(state_dir) = state_dir else {
            return Self::default();
        };
        let path = path(state_dir, target, origin);
        let joined = Hold::join(&path).map(Ok);
        let opened = joined.unwrap_or_else(|| Ok(Hold::of(&path, log::open(&path, dev)?)));
        match opened {
            Ok((shared, hold)) => Self {
                shared,
                hold: Mutex::new(Some(hold)),
            },
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

    /// Whether another client of this process may take it over: one that is about to stop gives way.
    pub fn give_way(&self, gives_way: bool) {
        if let Some(hold) = &*lock(&self.hold) {
            hold.give_way(gives_way);
        }
    }

    /// Lets go of it: nothing more is noted, unless another client of this process has taken it over.
    pub fn let_go(&self) {
        let hold = lock(&self.hold).take();
        drop(hold);
    }

    /// What the journal in `state_dir` of a target directory and an origin says was asked for and has not ended, in the queue's
    /// order. It is not changed; where another client works with it, that is nothing.
    pub fn look(state_dir: &Path, target: &Path, origin: &str) -> Vec<(Ticket, Wanted)> {
        let inner = log::look(&path(state_dir, target, origin));
        inner.map(|inner| inner.kept()).unwrap_or_default()
    }

    /// Whether a later run can read it.
    pub fn is_kept(&self) -> bool {
        self.inner().is_kept()
    }

    /// Whether no later run can know a part of this one.
    pub fn is_fleeting(&self) -> bool {
        self.inner().is_fleeting()
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
        self.shared.claims.claim(file, patience)
    }

    /// A part was made.
    pub fn began(&self, file: FileId) {
        let mut inner = self.inner();
        inner.parts.insert(file, None);
        inner.append(&Line::Began(file), true);
    }

    /// What was asked for and has not ended, also by earlier runs, in the queue's order.
    pub fn wanted(&self) -> Vec<(Ticket, Wanted)> {
        self.inner().kept()
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

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.shared.inner)
    }
}

/// Where the journal of a target directory and an origin is.
fn path(state_dir: &Path, target: &Path, origin: &str) -> PathBuf {
    let mut key = blake3::Hasher::new();
    key.update(target.as_os_str().as_encoded_bytes());
    key.update(b"\0").update(origin.as_bytes());
    let key = key.finalize().to_hex();
    let name = format!("{}.jsonl", &key[..32]);
    state_dir.join("journals").join(name)
}

#[cfg(test)]
mod tests;
