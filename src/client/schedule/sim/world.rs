//! One run: the schedule, servers, disk and user, and what must hold after every step.
#![expect(
    clippy::needless_pass_by_value,
    clippy::unchecked_time_subtraction,
    clippy::single_match_else,
    reason = "what happens is used up when it has happened, and virtual time never goes back"
)]

mod answers;
mod checks;
mod led;
mod left;
mod orders;
mod pieces;
mod setup;
mod stop;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
    time::{Duration, Instant},
};

use super::server::{SimFile, SimServer, Trouble};
use crate::{
    client::{
        Error, Event, ItemId, ItemState, Verified,
        id::{BrowseId, FileId, SlotId, SourceId},
        schedule::{Channel, Complete, Effect, Fault, Flight, Phase, Report, Run, Schedule},
    },
    http1::path::RemotePath,
    units::Rate,
};

/// A connection that hears nothing for so long gives up.
const SILENCE: Duration = Duration::from_secs(6);
/// Virtual time within which all ends once all trouble is over.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Connects and requests without a success that a server sees in one second at most.
const ATTEMPTS_MAX: usize = 80;
/// Seeds from here on are of servers that may be odd about ranges, and about what is sent ahead.
pub const ODD: u64 = 1 << 32;
/// A connection whose task panicked begins anew after so long.
const PANIC_PAUSE: Duration = Duration::from_millis(100);
/// From here on, half of them plain, the user also limits single items and puts them first.
pub const WISHES: u64 = 1 << 33;
/// From here on, something of some files lies here: what an earlier run left, or another version; and pieces of others are judged
/// in the end, by digests of a Metalink.
pub const LEFT: u64 = 3 << 32;
/// From here on, the run is stopped at some moment.
pub const STOPS: u64 = 6 << 32;
/// Steps of one run at most.
const STEPS_MAX: u32 = 400_000;

/// Something that happens at a moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A connection's bell rings, or its wait is over.
    Wake(usize, u64),
    /// What a connection does goes on; the number tells whether it still does that.
    Step(usize, u64),
    /// A file reaches its name.
    Landed(FileId),
    Small(FileId),
    /// A piece that lies here was hashed.
    Hashed(FileId, u32),
    /// What differs is looked for elsewhere, so many times more.
    Searched(FileId, u32),
    /// The user does something.
    User,
    /// The task of a connection panics.
    Panic(usize),
    /// The run is to end.
    Stop,
    /// Trouble is over.
    Calm,
}

/// What a connection is doing.
#[derive(Debug, Clone)]
enum Doing {
    /// It waits, or is about to ask.
    Nothing,
    Dialing(SourceId),
    /// It waits for an answer's head.
    Head(Box<Flight>),
    /// It reads a run: the file, the run, the next piece, pieces received, since when.
    Reading(FileId, Run, u32, u32, Duration),
    /// It reads values: how many came.
    Values(FileId, u32),
}

struct Slot {
    source: SourceId,
    open: bool,
    doing: Doing,
    /// Counts what it began.
    turn: u64,
    /// Pieces since the connection was made, for servers that break off.
    pieces: u32,
    /// It was told to end.
    ended: bool,
}

pub struct World {
    seed: u64,
    schedule: Schedule,
    base: Instant,
    now: Duration,
    calm_at: Duration,
    servers: Vec<SimServer>,
    elsewhere: led::Elsewhere,
    files: BTreeMap<RemotePath, SimFile>,
    slots: Vec<Slot>,
    agenda: BinaryHeap<Reverse<(Duration, u64, Happening)>>,
    sequence: u64,
    rng: fastrand::Rng,
    items: Vec<ItemId>,
    paths: HashMap<FileId, RemotePath>,
    /// What is on the disk of each file that is under way: whether each piece is the server's.
    disk: HashMap<FileId, BTreeMap<u32, bool>>,
    ended: HashMap<ItemId, u32>,
    retried: HashMap<ItemId, u32>,
    browses: HashMap<BrowseId, Duration>,
    landed: HashSet<RemotePath>,
    /// Who looks for pieces of a file whose item is paused, and how often more.
    waiting: Vec<(FileId, u32)>,
    /// When the run was stopped.
    stopped: Option<Duration>,
    /// When nothing more was hoped of some server, last.
    worn: Option<Duration>,
    verbose: bool,
    workers: usize,
}

impl World {
    pub fn verbose(mut self) -> Self {
        self.verbose = true;
        self
    }

    fn at(&mut self, when: Duration, what: Happening) {
        self.sequence += 1;
        self.agenda.push(Reverse((when, self.sequence, what)));
    }

    fn instant(&self) -> Instant {
        self.base + self.now
    }

    fn instant_of(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.base)
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:9.3} {}", self.now.as_secs_f64(), what());
        }
    }

    pub fn run(mut self) {
        let mut steps = 0;
        while let Some(Reverse((when, _, what))) = self.agenda.pop() {
            steps += 1;
            assert!(steps < STEPS_MAX, "no end after {steps} steps");
            assert!(
                when < self.calm_at + PATIENCE,
                "not all ended: {:#?}",
                self.schedule.views(self.instant())
            );
            self.now = when.max(self.now);
            self.happen(what);
            self.carry_out();
            self.check();
            if self.has_stopped() {
                return;
            }
            let is_idle = self.schedule.is_idle() && self.browses.is_empty();
            if self.now > self.calm_at && is_idle && self.stopped.is_none() {
                break;
            }
        }
        assert!(self.stopped.is_none(), "nobody is told of the stop");
        self.check_end();
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Wake(slot, turn) => {
                let waits = matches!(self.slots[slot].doing, Doing::Nothing);
                if waits && (turn == 0 || turn == self.slots[slot].turn) {
                    self.ask(slot);
                }
            }
            Happening::Step(slot, turn) => {
                if turn == self.slots[slot].turn {
                    self.step(slot);
                }
            }
            Happening::Landed(file) => self.landed(file),
            Happening::Hashed(file, piece) => self.hashed(file, piece),
            Happening::Searched(file, times) => self.searched(file, times),
            Happening::Small(file) => {
                let path = self.paths.get(&file).cloned();
                let bytes = path.and_then(|path| {
                    self.landed.insert(path.clone());
                    self.files.get(&path).map(|file| file.size)
                });
                let complete = complete(bytes.unwrap_or(0));
                self.schedule.small_landed(file, Ok(complete));
            }
            Happening::User | Happening::Panic(_) | Happening::Calm if self.stopped.is_some() => {}
            Happening::User if self.now >= self.calm_at => {}
            Happening::User => self.user(),
            Happening::Panic(slot) => self.panic(slot),
            Happening::Stop => self.stop(),
            Happening::Calm => self.calm(),
        }
    }

    /// What remains asks for is done: the end of a run must be reached without the user.
    fn calm(&mut self) {
        self.say(|| "all trouble is over".into());
        self.asks_anew();
        for item in self.items.clone() {
            self.schedule.resume(item);
            let views = self.schedule.views(self.instant());
            let state = views.into_iter().find(|view| view.id == item);
            if state.is_some_and(|view| view.state.is_ended() && !is_finished(&view.state)) {
                *self.retried.entry(item).or_default() += 1;
                self.schedule.retry(item);
            }
        }
    }

    /// What a server said of this client is tried again where the user asks for something.
    fn asks_anew(&mut self) {
        for server in &mut self.servers {
            server.denied = None;
        }
    }

    fn user(&mut self) {
        self.asks_anew();
        let item = *self
            .rng
            .choice(self.items.iter())
            .expect("there is an item");
        let now = self.instant();
        if self.seed >= WISHES && self.rng.u32(..2) == 0 {
            return match self.rng.u32(..5) {
                0 => self.schedule.set_first(item, true),
                1 => self.schedule.set_first(item, false),
                2 => self.schedule.limit_item(item, None),
                3 => self.schedule.limit_item(item, Some(Rate(3 << 20))),
                _ => self.schedule.limit_item(item, Some(Rate(1000))),
            };
        }
        match self.rng.u32(..8) {
            0 => self.schedule.pause(item),
            1 => self.schedule.resume(item),
            2 => self.schedule.cancel(item),
            3 => {
                let ended = self.ended.get(&item).copied().unwrap_or(0);
                let retried = self.retried.entry(item).or_default();
                let views = self.schedule.views(now);
                let view = views.iter().find(|view| view.id == item);
                let may = view.is_some_and(|view| {
                    view.state.is_ended() && !is_finished(&view.state) && ended > *retried
                });
                if may {
                    *retried += 1;
                    self.schedule.retry(item);
                }
            }
            4 => self.schedule.reorder(item, -2),
            5 => {
                self.schedule.hurry();
                for server in &mut self.servers {
                    (server.quiet, server.attempts) = (None, Vec::new());
                }
            }
            _ => {
                let id = self.schedule.browse(RemotePath::root(), now);
                self.browses.insert(id, self.now);
            }
        }
    }

    /// A connection's task ends by a fault of this program, and begins anew a little later.
    fn panic(&mut self, at: usize) {
        self.say(|| format!("slot {at} panics"));
        self.slots[at].open = false;
        self.forget_sent(at);
        self.schedule.gone(SlotId(at), self.instant());
        self.slots[at].turn += 1;
        self.slots[at].doing = Doing::Nothing;
        let turn = self.slots[at].turn;
        self.at(self.now + PANIC_PAUSE, Happening::Wake(at, turn));
    }

    /// Does what the schedule wants done.
    fn carry_out(&mut self) {
        loop {
            let effects = self.schedule.take_effects();
            if effects.is_empty() {
                return;
            }
            let mut told = 0;
            for effect in effects {
                match effect {
                    Effect::Tell(event) => {
                        told += 1;
                        self.told(event);
                    }
                    Effect::Ring(slot) => {
                        let turn = self.slots[slot.0].turn;
                        self.at(self.now, Happening::Wake(slot.0, turn));
                    }
                    Effect::Interrupt(slot) => self.interrupted(slot.0),
                    Effect::Land(file, _) => {
                        let takes = Duration::from_millis(self.rng.u64(1..2000));
                        self.at(self.now + takes, Happening::Landed(file));
                    }
                    Effect::HashLeft(file) => {
                        self.at(self.now, Happening::Hashed(file, 0));
                    }
                    Effect::Search(file) => {
                        let times = self.rng.u32(..12);
                        self.at(self.now, Happening::Searched(file, times));
                    }
                    Effect::Changed => self.changed(),
                    Effect::Answer(browse, _) => {
                        self.browses.remove(&browse);
                    }
                    _ => {}
                }
            }
            if told > 0 {
                self.schedule.told(told);
            }
        }
    }

    fn interrupted(&mut self, at: usize) {
        let reads = matches!(
            self.slots[at].doing,
            Doing::Reading(..) | Doing::Values(..) | Doing::Head(_)
        );
        let id = SlotId(at);
        let unwanted = self.schedule.is_unwanted(id);
        if unwanted && matches!(self.slots[at].doing, Doing::Dialing(_)) {
            return self.report(at, Report::Fault(Fault::Interrupted, Channel::CLOSED));
        }
        let waits = matches!(self.slots[at].doing, Doing::Head(_));
        let unwanted = unwanted || waits && self.schedule.is_unawaited(id);
        if reads && (unwanted || self.schedule.is_interrupted(id)) {
            self.report(at, Report::Fault(Fault::Interrupted, Channel::CLOSED));
        }
    }

    fn told(&mut self, event: Event) {
        self.say(|| format!("{event:?}").chars().take(160).collect());
        if let Event::Failed {
            path,
            attempts,
            error,
            ..
        } = &event
            && *attempts <= self.schedule.limits.retries
        {
            self.check_missing(path, error);
        }
        if let Event::Ended { item } = event {
            let ended = self.ended.entry(item).or_default();
            *ended += 1;
            let retried = self.retried.get(&item).copied().unwrap_or(0);
            assert!(*ended <= retried + 1, "{item:?} ends twice");
        }
    }
}

fn complete(bytes: u64) -> Complete {
    Complete {
        local: std::path::PathBuf::new(),
        bytes,
        verified: Verified::Blake3,
        took: Duration::ZERO,
    }
}

fn connect_error(own: bool) -> Error {
    Error::Connect {
        server: "s".into(),
        reason: "refused".into(),
        own,
    }
}

fn forbidden() -> Error {
    Error::Status {
        status: 403,
        retry_after: None,
        said: None,
    }
}

fn is_finished(state: &ItemState) -> bool {
    matches!(state, ItemState::Finished(_))
}
