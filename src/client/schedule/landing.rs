//! Files that are whole reach their names.

use std::{
    ffi::OsStr,
    ops::Range,
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    Effect, FileId, Keep, Schedule, SlotId, SourceSet, Work,
    transfer::{Phase, Transfer},
};
use crate::{
    client::{Error, Event, ItemId, Verified, disk::names::Local, task::FileTask},
    http1::path::RemotePath,
};

/// A file that is complete under its final name.
#[derive(Debug)]
pub struct Complete {
    /// Where it is.
    pub local: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How it is known that it is the server's.
    pub verified: Verified,
    /// From its first request to its final name.
    pub took: Duration,
}

/// Why a file did not land.
#[derive(Debug)]
pub enum Unlanded {
    /// The whole does not match its digest: others may have it.
    Wrong,
    /// The same, and what is wrong are some of a Metalink's pieces: the pieces that each of those reaches into.
    Pieces(Vec<Range<u32>>),
    /// The whole is not what a list of digests tells: others may have it.
    Listed(Error),
    /// The disk.
    Disk(Error),
}

impl Schedule {
    /// The first file in flight is whole in memory, or here already: it lands, or is told, under this number.
    pub fn landing(&mut self, id: SlotId, task: FileTask) -> FileId {
        let file = FileId(self.new_id());
        self.landings.insert(file, task);
        self.set_front(id, Work::Spent);
        file
    }

    /// Files of which all is here land, whoever brought the last of it and whatever becomes of that connection.
    pub(super) fn land_complete(&mut self, now: Instant) {
        let complete = self.transfers.values().filter(|it| it.is_complete());
        for file in complete.map(|it| it.id).collect::<Vec<_>>() {
            self.land_if_complete(file, now);
        }
    }

    /// A file that is complete lands.
    pub(super) fn land_if_complete(&mut self, file: FileId, now: Instant) {
        let Some(transfer) = self.transfers.get_mut(&file) else {
            return;
        };
        match transfer.claim_landing() {
            Ok(Some(proof)) => {
                self.outbox.push_back(Effect::Land(file, proof));
                self.interrupt(
                    |work| matches!(work, Work::Run(of, _) | Work::Values(of) if *of == file),
                );
            }
            Ok(None) => {}
            Err(error) => self.transfer_failed(file, error, None, now),
        }
    }

    /// A large file reached its final name, or did not.
    pub fn landed(&mut self, file: FileId, outcome: Result<Complete, Unlanded>, now: Instant) {
        let outcome = match outcome {
            Err(Unlanded::Pieces(wrong)) => return self.mend(file, &wrong, now),
            outcome => outcome,
        };
        let Some(transfer) = self.transfers.remove(&file) else {
            return;
        };
        match outcome {
            Ok(complete) => {
                self.outbox.push_back(Effect::LetGo(file, Keep::AsIs));
                let kept = transfer.kept();
                self.complete(transfer.task, complete, kept);
            }
            Err(Unlanded::Wrong | Unlanded::Pieces(_)) => {
                let error = Error::Integrity { piece: None };
                self.whole_is_wrong(transfer, error, Keep::Nothing, now);
            }
            // It stays to be looked at: the list may be what is wrong.
            Err(Unlanded::Listed(error)) => self.whole_is_wrong(transfer, error, Keep::AsIs, now),
            Err(Unlanded::Disk(error)) => {
                self.outbox.push_back(Effect::LetGo(file, Keep::AsIs));
                let attempts = transfer.task.failures + 1;
                self.task_ended_after(transfer.into_task().into(), attempts, error);
            }
        }
        self.ring_all();
    }

    /// The whole of a file is not what it must be: another mirror goes on with its part, or it is tried again, and `keep` says what
    /// becomes of that.
    fn whole_is_wrong(&mut self, transfer: Transfer, error: Error, keep: Keep, now: Instant) {
        let elsewhere = self.may_be_right_elsewhere(&transfer);
        let keep = if elsewhere { Keep::AsIs } else { keep };
        let (teller, mut task) = (transfer.verdict.teller, transfer.task);
        if keep == Keep::AsIs {
            task.local = Local::Part;
        }
        self.outbox.push_back(Effect::LetGo(transfer.id, keep));
        if elsewhere {
            task.tried.insert(teller);
            tracing::warn!(path = %task.shown(), "{error}: another mirror is asked");
            self.put_back_task(task.into());
        } else {
            let first = task.first_for(teller);
            self.url_failed(first, task, error, None, now);
        }
    }

    /// Some pieces of a file that was complete are wrong: the others stay, and these are fetched again, from other servers than
    /// those that sent them where there are any. One that is wrong too often is damage.
    fn mend(&mut self, file: FileId, wrong: &[Range<u32>], now: Instant) {
        let kept = self.sources.kept().union(SourceSet::LED);
        let Some(transfer) = self.transfers.get_mut(&file) else {
            return;
        };
        let (item, shown) = (transfer.task.item, transfer.task.shown());
        tracing::warn!(path = %shown, "{} pieces are not what the Metalink tells of them: they are fetched again", wrong.len());
        let mended = transfer.mend(wrong, kept);
        let going = self.item(item).is_some_and(super::item::Item::is_going);
        let cancelled = self.item(item).is_none_or(super::item::Item::is_cancelled);
        if let Some(transfer) = self.transfers.get_mut(&file) {
            transfer.phase = if going { Phase::Flowing } else { Phase::Halted };
        }
        self.pieces.1 += wrong.len() as u64;
        match mended {
            Err(error) if !cancelled => self.transfer_failed(file, error, None, now),
            _ if cancelled => {
                self.shelve_transfer(file);
                self.end_item(item);
            }
            _ => {}
        }
        self.fail_leftovers();
        self.ring_all();
    }

    /// Whether another mirror is asked for a file whose whole is wrong. Without values nobody knows who sent what is
    /// wrong: at first the others are left out, then the one who is left. Who was asked again, because the others are out of
    /// reach, is not asked for ever.
    fn may_be_right_elsewhere(&self, transfer: &Transfer) -> bool {
        let teller = transfer.verdict.teller;
        let mut off = transfer.task.off();
        let is_asked_again = transfer.task.tried.contains(teller);
        off.insert(teller);
        let kept = self.sources.hopeful().union(SourceSet::LED);
        let others = !kept.without(off).is_empty();
        others && !is_asked_again && (transfer.facts.has_values() || transfer.task.failures > 0)
    }

    /// A file was here already. One that is held against a list is told by that list's name, so that all of it counts as kept.
    pub fn found_here(&mut self, file: FileId, complete: Complete) {
        let Some(task) = self.landings.remove(&file) else {
            return;
        };
        let kept = match complete.verified {
            Verified::Listed(_) => complete.bytes,
            _ => 0,
        };
        self.complete(task, complete, kept);
    }

    /// A small file reached its final name, or did not.
    pub fn small_landed(&mut self, file: FileId, outcome: Result<Complete, Error>) {
        let Some(task) = self.landings.remove(&file) else {
            return;
        };
        match outcome {
            Ok(complete) => self.complete(task, complete, 0),
            Err(error) => {
                let attempts = task.failures + 1;
                self.task_ended_after(task.into(), attempts, error);
            }
        }
    }

    /// The signature of a `file` is here.
    pub fn signed(&mut self, item: ItemId, path: RemotePath, local: PathBuf, file: PathBuf) {
        self.tell(Event::Signed {
            item,
            path,
            local,
            file,
        });
    }

    pub(super) fn complete(&mut self, task: FileTask, complete: Complete, kept: u64) {
        let Complete {
            local,
            bytes,
            verified,
            took,
        } = complete;
        let id = task.item;
        let name = local.file_name().map(OsStr::as_bytes);
        let copy = name.filter(|name| *name != task.local_name());
        let copy = copy.and_then(|name| task.path.parent().join(name).ok());
        self.tell(Event::Finished {
            item: id,
            path: task.path,
            local,
            copy,
            bytes,
            kept,
            verified,
            took,
        });
        if let Some(item) = self.item_mut(id) {
            item.finished += 1;
            item.settled += bytes;
            item.unread += u64::from(verified == Verified::Unread);
            item.verified = Some(item.verified.map_or(verified, |it| it.with(verified)));
        }
        self.end_item(id);
    }
}

#[cfg(test)]
mod tests;
