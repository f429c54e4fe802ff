//! Bodies of large files as they come: runs of pieces, and the pieces' values.

use std::time::Duration;

use super::{Doing, SILENCE, World};
use crate::{
    client::{
        Error,
        id::{FileId, SlotId},
        schedule::{Answered, Channel, Fault, Report, Run, sim::server::Trouble},
    },
    pieces::{self, PIECE},
};

impl World {
    pub(super) fn begin_run(&mut self, at: usize, file: FileId, mut run: Run) {
        let first = run.pieces.start;
        let now = self.instant();
        self.schedule.begin_run(file, &mut run, now);
        if run.pieces.is_empty() || run.pieces.start != first {
            return self.run_over(at, 0, self.now, false);
        }
        if self.schedule.is_interrupted(SlotId(at)) {
            return self.report(at, Report::Fault(Fault::Interrupted, Channel::CLOSED));
        }
        let takes = self.servers[self.elsewhere.index(self.slots[at].source)].piece_time;
        let doing = Doing::Reading(file, run, first, 0, self.now);
        self.next_step(at, doing, takes);
    }

    pub(super) fn run_over(&mut self, at: usize, pieces: u32, began: Duration, whole: bool) {
        let channel = if whole {
            self.channel(at)
        } else {
            Channel::CLOSED
        };
        let took = self.now - began;
        let answered = Answered::Run { pieces, took };
        self.report(at, Report::Answered(answered, channel));
    }

    /// A piece came whole, or the connection broke in it.
    pub(super) fn read_piece(
        &mut self,
        at: usize,
        file: FileId,
        run: Run,
        piece: u32,
        received: u32,
        began: Duration,
    ) {
        let (source, now) = (self.slots[at].source, self.instant());
        let length = pieces::len(self.files[&self.paths[&file]].size, piece);
        let skip = if piece == run.pieces.start {
            run.skip
        } else {
            0
        };
        if let Some(error) = self.breaks_off(at) {
            let is_cut = matches!(error, Error::Broken(_));
            // Some of the piece came.
            if is_cut && self.schedule.wants(file, run.id, piece) && !run.racing {
                let some = (length - skip) / 2;
                let at = u64::from(piece) * PIECE + skip;
                self.schedule.wrote(file, run.id, at, some);
            }
            return self.broke(at, error);
        }
        let server = &self.servers[self.elsewhere.index(source)];
        let (damaged, takes) = (server.damaged, server.piece_time);
        let id = SlotId(at);
        if !self.schedule.wants(file, run.id, piece) || self.schedule.is_dropped(id) {
            return self.run_over(at, received, began, false);
        }
        let path = self.paths[&file].clone();
        self.note_bytes(&path);
        let it = self.files[&path].clone();
        let checked = self
            .schedule
            .transfer(file)
            .is_some_and(|transfer| transfer.facts.has_values());
        // Nothing finds damage where nobody can be asked for values, and no digests are told.
        let transfer = self.schedule.transfer(file);
        let judged = transfer.is_some_and(|it| it.task.pieces.is_some());
        let damaged = damaged.filter(|_| checked || judged);
        let good = damaged.is_none_or(|often| !self.rng.u32(..).is_multiple_of(often));
        let value = checked.then(|| it.value(piece, good));
        self.disk.entry(file).or_default().insert(piece, good);
        let start = u64::from(piece) * PIECE + skip;
        self.schedule.wrote(file, run.id, start, length - skip);
        let judged = self
            .schedule
            .piece_received(id, (file, run.id), piece, value, now);
        self.slots[at].pieces += 1;
        if let Err(error) = judged {
            return self.report(at, Report::Fault(Fault::of(error, None), Channel::CLOSED));
        }
        let (next, received) = (piece + 1, received + 1);
        if next >= run.pieces.end || u64::from(next) * PIECE >= it.size {
            return self.run_over(at, received, began, true);
        }
        let doing = Doing::Reading(file, run, next, received, began);
        self.next_step(at, doing, takes);
    }

    /// How a connection breaks in the middle of a run, if it does now.
    fn breaks_off(&self, at: usize) -> Option<Error> {
        let server = &self.servers[self.elsewhere.index(self.slots[at].source)];
        match server.trouble(self.now)? {
            Trouble::Breaks(after) if self.slots[at].pieces < after => None,
            Trouble::Breaks(_) | Trouble::Closes | Trouble::Refuses { .. } => {
                Some(Error::Broken("cut".into()))
            }
            Trouble::Hangs => Some(Error::Timeout(SILENCE)),
            _ => None,
        }
    }

    pub(super) fn read_value(&mut self, at: usize, file: FileId, came: u32) {
        let Some(path) = self.paths.get(&file) else {
            return;
        };
        let it = self.files[path].clone();
        let trouble = self.servers[self.elsewhere.index(self.slots[at].source)].trouble(self.now);
        if matches!(trouble, Some(Trouble::Breaks(_) | Trouble::Refuses { .. })) {
            return self.broke(at, Error::Broken("cut".into()));
        }
        if self.schedule.transfer(file).is_none() {
            return self.report(at, Report::Fault(Fault::Interrupted, Channel::CLOSED));
        }
        let result = if came < pieces::count(it.size) {
            let value = it.value(came, true);
            self.schedule.value_told(file, value, came)
        } else {
            self.schedule.values_told(file, it.root())
        };
        match result {
            Err(error) => self.report(at, Report::Fault(Fault::of(error, None), Channel::CLOSED)),
            Ok(()) if came == pieces::count(it.size) => {
                let channel = self.channel(at);
                self.report(at, Report::Answered(Answered::Values, channel));
            }
            Ok(()) => {
                let takes = Duration::from_millis(2);
                self.next_step(at, Doing::Values(file, came + 1), takes);
            }
        }
    }
}
