//! What the simulated servers answer, and what a connection makes of it.

use std::{collections::BTreeMap, time::Duration};

use super::{Doing, Happening, SILENCE, World, complete, connect_error, forbidden};
use crate::{
    client::{
        Error,
        disk::names::Local,
        facts::Validators,
        id::{FileId, SlotId, SourceId},
        schedule::{
            Answered, Ask, Channel, Fault, Fit, Flight, Opened, Report, Run, Sum, Work,
            sim::server::{OddRanges, Trouble},
        },
        task::FileTask,
    },
    pieces::{self, PIECE},
};

impl World {
    /// What a connection does goes on.
    pub(super) fn step(&mut self, at: usize) {
        let doing = std::mem::replace(&mut self.slots[at].doing, Doing::Nothing);
        match doing {
            Doing::Nothing => {}
            Doing::Dialing(source) => self.dialed(at, source),
            Doing::Head(flight) => self.head(at, *flight),
            Doing::Reading(file, run, piece, received, began) => {
                self.read_piece(at, file, run, piece, received, began);
            }
            Doing::Values(file, came) => self.read_value(at, file, came),
        }
    }

    pub(super) fn dialed(&mut self, at: usize, source: SourceId) {
        let server = &self.servers[self.elsewhere.index(source)];
        let refused = match server.trouble(self.now) {
            Some(Trouble::Refuses { own }) => Some((connect_error(), own)),
            Some(Trouble::Hangs) => Some((Error::Timeout(SILENCE), false)),
            _ => None,
        };
        let report = match refused {
            Some((error, own)) => Report::Fault(Fault::Unreachable { error, own }, Channel::CLOSED),
            None => {
                let rtt = server.rtt;
                let slot = &mut self.slots[at];
                (slot.source, slot.open, slot.pieces) = (source, true, 0);
                Report::Connected(rtt)
            }
        };
        self.report(at, report);
    }

    pub(super) fn report(&mut self, at: usize, report: Report) {
        self.say(|| format!("slot {at}: {report:?}").chars().take(160).collect());
        let now = self.instant();
        if let Report::Fault(_, channel) | Report::Answered(_, channel) = &report
            && !channel.open
        {
            self.slots[at].open = false;
            self.forget_sent(at);
        }
        self.schedule.report(SlotId(at), report, now);
        self.slots[at].turn += 1;
        self.slots[at].doing = Doing::Nothing;
        let turn = self.slots[at].turn;
        self.at(self.now, Happening::Wake(at, turn));
    }

    pub(super) fn channel(&self, at: usize) -> Channel {
        Channel {
            open: true,
            haul: self.servers[self.elsewhere.index(self.slots[at].source)].haul,
        }
    }

    pub(super) fn broke(&mut self, at: usize, error: Error) {
        self.report(at, Report::Fault(Fault::Broke(error), Channel::CLOSED));
    }

    /// An answer begins.
    pub(super) fn head(&mut self, at: usize, flight: Flight) {
        let source = self.slots[at].source;
        let channel = self.channel(at);
        let subject = self.next_sent(at);
        let server = &mut self.servers[self.elsewhere.index(source)];
        match server.trouble(self.now) {
            Some(Trouble::Closes | Trouble::Refuses { .. }) => {
                return self.broke(at, Error::Broken("closed".into()));
            }
            Some(Trouble::Hangs) => return self.broke(at, Error::Timeout(SILENCE)),
            _ if server.forgets && flight.ahead => {
                return self.broke(at, Error::Timeout(SILENCE));
            }
            _ => {}
        }
        if let Some(fault) = server.refusal(self.now, flight.ahead) {
            return self.report(at, Report::Fault(fault, channel));
        }
        server.attempts.clear();
        if let Some(report) = self.redirected(at, &flight, subject) {
            return self.report(at, report);
        }
        let now = self.instant();
        self.schedule.head_came(SlotId(at), now);
        match flight.work {
            Work::Browse(browse) => {
                self.browses.remove(&browse.id);
                self.report(at, Report::Answered(Answered::Browsed, channel));
            }
            Work::List(task) => {
                let files: Vec<FileTask> = self
                    .files
                    .iter()
                    .map(|(path, file)| FileTask {
                        size: Some(file.size),
                        ..FileTask::new(task.item, path.clone())
                    })
                    .collect();
                let answered = if self.schedule.found(task.item, files) {
                    Answered::Listed {
                        task,
                        dirs: Vec::new(),
                        waiting: Sum::default(),
                    }
                } else {
                    Answered::Unlisted(task)
                };
                self.report(at, Report::Answered(answered, channel));
            }
            Work::Open(task) => self.open(at, task, &flight.ask),
            Work::Run(file, run) => self.run_head(at, file, run, flight.ask),
            Work::Values(file) => {
                if self.schedule.transfer(file).is_none() {
                    return self.report(at, Report::Fault(Fault::Interrupted, Channel::CLOSED));
                }
                self.next_step(at, Doing::Values(file, 0), Duration::from_millis(1));
            }
            Work::Spent => self.report(at, Report::Answered(Answered::Opened, channel)),
        }
    }

    pub(super) fn next_step(&mut self, at: usize, doing: Doing, takes: Duration) {
        self.slots[at].doing = doing;
        self.slots[at].turn += 1;
        let turn = self.slots[at].turn;
        self.at(self.now + takes, Happening::Step(at, turn));
    }

    pub(super) fn open(&mut self, at: usize, mut task: FileTask, ask: &Ask) {
        let (source, channel) = (self.slots[at].source, self.channel(at));
        let now = self.instant();
        let server = &self.servers[self.elsewhere.index(source)];
        let file = self.files.get(&task.path).filter(|_| !server.foreign);
        let Some(file) = file.cloned() else {
            let error = Error::Status {
                status: 404,
                retry_after: None,
                said: None,
            };
            return self.report(at, Report::Fault(Fault::Refused(error), channel));
        };
        self.schedule.resized(SlotId(at), &task, file.size);
        task.size = Some(file.size);
        if *ask == Ask::Head {
            let local = Local::Nothing;
            let again = Answered::Again(FileTask { local, ..task });
            return self.report(at, Report::Answered(again, channel));
        }
        if file.size <= PIECE {
            if let Some(Trouble::Breaks(_)) = server.trouble(self.now) {
                return self.broke(at, Error::Broken("cut".into()));
            }
            self.note_bytes(&task.path);
            let id = self.schedule.landing(SlotId(at), task.clone());
            self.paths.insert(id, task.path);
            let takes = Duration::from_millis(self.rng.u64(1..500));
            self.at(self.now + takes, Happening::Small(id));
            return self.report(at, Report::Answered(Answered::Opened, channel));
        }
        let ranged = matches!(ask, Ask::Range { .. });
        let begun = match (ask, server.odd) {
            (_, Some(OddRanges::Refused)) if ranged => {
                return self.report(at, Report::Fault(Fault::Refused(forbidden()), channel));
            }
            (_, Some(OddRanges::Short(0))) if ranged && server.ranges => {
                return self.report(at, Report::Fault(Fault::NoRanges, channel));
            }
            (Ask::Range { last, .. }, odd) if server.ranges && last + 1 < file.size => {
                let given = (last + 1) / PIECE;
                match odd {
                    Some(OddRanges::Short(most)) => given.min(most.into()),
                    _ => given,
                }
            }
            _ => pieces::count(file.size).into(),
        };
        let mut facts = server.facts(source, &file);
        facts.ranges &= !task.whole;
        facts.pieces &= !task.mute().contains(source);
        let opened = Opened {
            facts,
            ..Opened::default()
        };
        let id = self.schedule.new_file();
        self.paths.insert(id, task.path.clone());
        self.disk.insert(id, BTreeMap::new());
        let run = self
            .schedule
            .begin(SlotId(at), id, task, opened, begun as u32, now);
        match run.flatten() {
            Some(run) => self.begin_run(at, id, run),
            None => self.report(at, Report::Answered(Answered::Opened, Channel::CLOSED)),
        }
    }

    pub(super) fn run_head(&mut self, at: usize, file: FileId, run: Run, ask: Ask) {
        let (source, channel) = (self.slots[at].source, self.channel(at));
        let Some(transfer) = self.schedule.transfer(file) else {
            return self.report(at, Report::Fault(Fault::Interrupted, Channel::CLOSED));
        };
        let (foreign, ranges, odd) = {
            let server = &self.servers[self.elsewhere.index(source)];
            (server.foreign, server.ranges, server.odd)
        };
        let own = transfer.facts.source == source;
        let whole = matches!(ask, Ask::Whole);
        if odd == Some(OddRanges::Refused) && !whole {
            return self.report(at, Report::Fault(Fault::Refused(forbidden()), channel));
        }
        let flips = matches!(odd, Some(OddRanges::Flips(often)) if self.rng.u32(..often) == 0);
        if foreign || (!ranges || flips) && !whole {
            let fault = if own { Fault::Changed } else { Fault::Foreign };
            return self.report(at, Report::Fault(fault, channel));
        }
        let told = Validators {
            etag: Some("\"1\"".into()),
            modified: None,
        };
        match self.schedule.fit(file, source, told) {
            Fit::Yes => {
                if let Some(OddRanges::Short(most)) = odd
                    && !whole
                    && most < run.pieces.end - run.pieces.start
                {
                    self.schedule.gave_less(SlotId(at), (file, run.id), most);
                    if most == 0 {
                        return self.report(at, Report::Fault(Fault::NoRanges, channel));
                    }
                }
                self.begin_run(at, file, run);
            }
            Fit::Changed => self.report(at, Report::Fault(Fault::Changed, channel)),
            Fit::Foreign => self.report(at, Report::Fault(Fault::Foreign, channel)),
        }
    }

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
        let source = self.slots[at].source;
        let now = self.instant();
        let server = &self.servers[self.elsewhere.index(source)];
        let breaks = match server.trouble(self.now) {
            Some(Trouble::Breaks(after)) => self.slots[at].pieces >= after,
            Some(Trouble::Closes | Trouble::Refuses { .. }) => true,
            _ => false,
        };
        let length = pieces::len(self.files[&self.paths[&file]].size, piece);
        let skip = if piece == run.pieces.start {
            run.skip
        } else {
            0
        };
        if breaks {
            // Some of the piece came.
            if self.schedule.wants(file, run.id, piece) && !run.racing {
                let some = (length - skip) / 2;
                let at = u64::from(piece) * PIECE + skip;
                self.schedule.wrote(file, run.id, at, some);
            }
            return self.broke(at, Error::Broken("cut".into()));
        }
        if let Some(Trouble::Hangs) = server.trouble(self.now) {
            return self.broke(at, Error::Timeout(SILENCE));
        }
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
        // Nothing finds damage where nobody can be asked for values.
        let damaged = damaged.filter(|_| checked);
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
        let asked = u64::from(next) * PIECE;
        if next >= run.pieces.end || asked >= it.size {
            return self.run_over(at, received, began, true);
        }
        let doing = Doing::Reading(file, run, next, received, began);
        self.next_step(at, doing, takes);
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

    pub(super) fn landed(&mut self, file: FileId) {
        let Some(path) = self.paths.get(&file).cloned() else {
            return;
        };
        let size = self.files[&path].size;
        let disk = self.disk.remove(&file).unwrap_or_default();
        for piece in 0..pieces::count(size) {
            assert_eq!(
                disk.get(&piece),
                Some(&true),
                "{path:?} lands with piece {piece} wrong or missing"
            );
        }
        self.landed.insert(path);
        let now = self.instant();
        self.schedule.landed(file, Ok(complete(size)), now);
    }
}
