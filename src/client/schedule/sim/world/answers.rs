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
            sim::server::{OddRanges, SimServer, Trouble},
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
            Some(Trouble::Refuses { own }) => Some(connect_error(own)),
            Some(Trouble::Hangs) => Some(Error::Timeout(SILENCE)),
            _ => None,
        };
        let report = match refused {
            Some(error) => Report::Fault(Fault::Unreachable(error), Channel::CLOSED),
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
                        pieces: self.judges(path),
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
                let is_gone = self.schedule.transfer(file).is_none();
                if is_gone || self.schedule.is_interrupted(SlotId(at)) {
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
        let begun = match first_run(server, ask, file.size) {
            Ok(begun) => begun,
            Err(fault) => return self.report(at, Report::Fault(*fault, channel)),
        };
        let mut facts = server.facts(source, &file);
        facts.ranges &= !task.whole;
        facts.pieces &= !task.mute().contains(source);
        let opened = Opened {
            facts,
            ..Opened::default()
        };
        let opened = self.lies_here(&file, opened);
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
        // Where some of it lay here, or was wrong, less may be wanted.
        if whole && transfer.plan.done_count() == 0 {
            let all = 0..pieces::count(transfer.facts.size);
            assert_eq!(run.pieces, all, "the whole is asked for, and not wanted");
        }
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

    pub(super) fn landed(&mut self, file: FileId) {
        let Some(path) = self.paths.get(&file).cloned() else {
            return;
        };
        let size = self.files[&path].size;
        if let Some(unlanded) = self.unlanded(file) {
            let now = self.instant();
            return self.schedule.landed(file, Err(unlanded), now);
        }
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

/// Pieces of a file of `size` bytes in a server's first answer.
fn first_run(server: &SimServer, ask: &Ask, size: u64) -> Result<u64, Box<Fault>> {
    let ranged = matches!(ask, Ask::Range { .. });
    match (ask, server.odd) {
        (_, Some(OddRanges::Refused)) if ranged => Err(Fault::Refused(forbidden()).into()),
        (_, Some(OddRanges::Short(0))) if ranged && server.ranges => Err(Fault::NoRanges.into()),
        (Ask::Range { last, .. }, odd) if server.ranges && last + 1 < size => {
            let given = (last + 1) / PIECE;
            Ok(match odd {
                Some(OddRanges::Short(most)) => given.min(most.into()),
                _ => given,
            })
        }
        _ => Ok(pieces::count(size).into()),
    }
}
