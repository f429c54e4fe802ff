//! One run: the schedule, servers, disk and user, and what must hold after every step.
#![expect(
    clippy::needless_pass_by_value,
    clippy::unchecked_time_subtraction,
    clippy::single_match_else,
    reason = "what happens is used up when it has happened, and virtual time never goes back"
)]

mod led;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
    time::{Duration, Instant},
};

use super::server::{OddRanges, SimFile, SimServer, Trouble};
use crate::{
    client::{
        Error, Event, ItemId, ItemState, Verified,
        disk::names::Local,
        facts::Validators,
        id::{BrowseId, FileId, SlotId, SourceId},
        schedule::{
            Answered, Ask, Channel, Complete, Effect, Fault, Fit, Flight, Limits, NewItem, Opened,
            Order, Report, Run, Schedule, Sum, Work,
        },
        task::FileTask,
    },
    http1::path::RemotePath,
    pieces::{self, PIECE},
};

/// A connection that hears nothing for so long gives up.
const SILENCE: Duration = Duration::from_secs(6);
/// Virtual time within which all ends once all trouble is over.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Connects and requests without a success that a server sees in one second at most.
const ATTEMPTS_MAX: usize = 80;
/// Seeds from here on are of servers that may be odd about ranges, and about what is sent ahead.
pub const ODD: u64 = 1 << 32;
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
    /// The user does something.
    User,
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
    verbose: bool,
    workers: usize,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let workers = *rng.choice([1, 2, 4, 5, 16].iter()).unwrap_or(&4);
        let calm = rng.u64(5..120);
        let count = *rng.choice([1, 1, 2, 2, 3].iter()).unwrap_or(&1);
        let haul = rng.bool();
        let mut servers: Vec<SimServer> = (0..count)
            .map(|place| Self::server(&mut rng, place, haul, calm))
            .collect();
        if seed >= ODD {
            let mut rng = fastrand::Rng::with_seed(seed);
            for server in servers.iter_mut().filter(|server| !server.haul) {
                server.odd = [
                    None,
                    Some(OddRanges::Refused),
                    Some(OddRanges::Short(rng.u32(..4))),
                    Some(OddRanges::Flips(rng.u32(1..8))),
                ][rng.usize(..4)];
                server.forgets = rng.u8(..4) == 0;
            }
        }
        let own = rng.u8(..8) == 0;
        if own {
            // The cable is cut: all are unreachable at once.
            let (from, to) = (rng.u64(1..10), rng.u64(10..30));
            for server in &mut servers {
                server.troubles = vec![(from, to, Trouble::Refuses { own: true })];
            }
        }
        let mut files = BTreeMap::new();
        for n in 0..rng.u32(1..30) {
            let pieces = *rng.choice([0u64, 0, 0, 1, 2, 7, 40].iter()).unwrap_or(&0);
            let size = pieces * PIECE + rng.u64(1..PIECE);
            let name = format!("f{n}");
            let path = RemotePath::from_target(format!("/{name}").as_bytes());
            let path = path.expect("a plain name is a path");
            files.insert(path, SimFile { name, size });
        }
        let limits = Limits {
            workers,
            retries: rng.u32(1..4),
            serial: workers == 1 && rng.bool(),
            patient: rng.bool(),
            resume: true,
            spares: true,
            fail_empty: false,
        };
        let names = (0..count).map(|n| format!("s{n}")).collect();
        let slots = (0..workers).map(|_| Slot {
            source: SourceId::default(),
            open: false,
            doing: Doing::Nothing,
            turn: 0,
            pieces: 0,
        });
        let mut world = Self {
            seed,
            schedule: Schedule::new(limits, names, seed),
            base: Instant::now(),
            now: Duration::ZERO,
            calm_at: Duration::from_secs(calm + 30),
            servers,
            elsewhere: led::Elsewhere::default(),
            files,
            slots: slots.collect(),
            agenda: BinaryHeap::new(),
            sequence: 0,
            rng,
            items: Vec::new(),
            paths: HashMap::new(),
            disk: HashMap::new(),
            ended: HashMap::new(),
            retried: HashMap::new(),
            browses: HashMap::new(),
            landed: HashSet::new(),
            verbose: false,
            workers,
        };
        world.begin();
        world
    }

    pub fn verbose(mut self) -> Self {
        self.verbose = true;
        self
    }

    fn server(rng: &mut fastrand::Rng, place: usize, haul: bool, calm: u64) -> SimServer {
        let mut troubles = Vec::new();
        for _ in 0..rng.u32(..4) {
            let from = rng.u64(..calm);
            let to = from + rng.u64(1..30);
            let busy = *rng
                .choice([None, Some(1), Some(7), Some(30)].iter())
                .unwrap_or(&None);
            let trouble = match rng.u32(..9) {
                0 => Trouble::Refuses { own: false },
                1 => Trouble::Hangs,
                2 => Trouble::Closes,
                3 => Trouble::Breaks(rng.u32(..5)),
                4 | 5 => Trouble::Busy(busy),
                6 => Trouble::Fails,
                7 => Trouble::Pauses,
                _ => Trouble::Kicks(rng.u64(1..20)),
            };
            troubles.push((from, to, trouble));
        }
        let rtts = [1, 20, 200, 1000, 3000];
        let rtt = *rng.choice(rtts.iter()).unwrap_or(&20);
        let mirror = place > 0;
        let odd = if mirror { rng.u32(..6) } else { 9 };
        if odd == 0 {
            // A mirror that never answers.
            troubles = vec![(0, u64::MAX, Trouble::Refuses { own: false })];
        }
        SimServer {
            rtt: Duration::from_millis(rtt),
            piece_time: Duration::from_millis(rng.u64(5..800)),
            haul,
            ranges: haul || odd != 1 && rng.u32(..5) > 0,
            damaged: (haul && odd == 2).then(|| rng.u32(1..10)),
            odd: None,
            forgets: false,
            foreign: odd == 3,
            strict: !haul && rng.u32(..5) == 0,
            troubles,
            quiet: None,
            attempts: Vec::new(),
        }
    }

    fn begin(&mut self) {
        for path in self.files.keys().cloned().collect::<Vec<_>>() {
            // Half of what is there is asked for file by file, the rest as one tree.
            if self.rng.bool() {
                self.add(path);
            }
        }
        self.add(RemotePath::root());
        for slot in 0..self.workers {
            self.at(Duration::ZERO, Happening::Wake(slot, 0));
        }
        for _ in 0..self.rng.u32(..8) {
            let when = Duration::from_millis(self.rng.u64(..60_000));
            self.at(when, Happening::User);
        }
        self.at(self.calm_at, Happening::Calm);
        self.carry_out();
    }

    fn add(&mut self, path: RemotePath) {
        let item = self.schedule.add(NewItem {
            path,
            filter: None,
            rename: None,
            checksum: None,
            size: None,
            named: Vec::new(),
            kept_as: None,
            paused: false,
        });
        self.items.push(item);
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
            if self.now > self.calm_at && self.schedule.is_idle() && self.browses.is_empty() {
                break;
            }
        }
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
            Happening::Small(file) => {
                let path = self.paths.get(&file).cloned();
                let bytes = path.and_then(|path| {
                    self.landed.insert(path.clone());
                    self.files.get(&path).map(|file| file.size)
                });
                let complete = complete(bytes.unwrap_or(0));
                self.schedule.small_landed(file, Ok(complete));
            }
            Happening::User if self.now >= self.calm_at => {}
            Happening::User => self.user(),
            Happening::Calm => self.calm(),
        }
    }

    /// What remains asks for is done: the end of a run must be reached without the user.
    fn calm(&mut self) {
        self.say(|| "all trouble is over".into());
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

    fn user(&mut self) {
        let item = *self
            .rng
            .choice(self.items.iter())
            .expect("there is an item");
        let now = self.instant();
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

    /// Asks the schedule what a connection is to do.
    fn ask(&mut self, at: usize) {
        let now = self.instant();
        let order = self.schedule.next(SlotId(at), now);
        self.obey(at, order);
    }

    /// Does what the schedule says.
    fn obey(&mut self, at: usize, order: Order) {
        let now = self.instant();
        self.say(|| {
            let source = self.schedule.slots[at].source.place();
            format!("slot {at} of {source}: {}", brief(&order))
        });
        self.slots[at].turn += 1;
        let turn = self.slots[at].turn;
        match order {
            Order::Connect(source) => {
                self.attempt(source);
                let server = &self.servers[self.elsewhere.index(source)];
                let takes = match server.trouble(self.now) {
                    Some(Trouble::Hangs) if self.rng.bool() => SILENCE,
                    _ => server.rtt,
                };
                self.slots[at].doing = Doing::Dialing(source);
                self.at(self.now + takes, Happening::Step(at, turn));
            }
            Order::Look(mut task) => {
                task.local = Local::Nothing;
                self.schedule.looked(SlotId(at), *task, now);
                self.ask(at);
            }
            Order::Exchange {
                send,
                read,
                patience,
            } => {
                let source = self.slots[at].source;
                assert!(self.slots[at].open, "an exchange on a closed connection");
                if !send.is_empty() {
                    self.attempt(source);
                }
                self.note_sent(at, send.into_iter().map(|request| request.subject));
                let server = &self.servers[self.elsewhere.index(source)];
                // The answer comes a round trip after its request, and behind those before it.
                let arrives = self.instant_of(read.at) + server.rtt;
                let takes = match server.trouble(self.now) {
                    Some(Trouble::Hangs) => self.now + SILENCE,
                    _ if server.forgets && read.ahead => self.now + patience.unwrap_or(SILENCE),
                    _ => arrives.max(self.now),
                };
                self.slots[at].doing = Doing::Head(read);
                self.at(takes, Happening::Step(at, turn));
            }
            Order::Close => {
                self.slots[at].open = false;
                self.forget_sent(at);
                self.ask(at);
            }
            Order::Wait(until) => {
                self.slots[at].doing = Doing::Nothing;
                if let Some(until) = until {
                    let until = self.instant_of(until);
                    assert!(until > self.now, "a wait that is over already");
                    self.at(until, Happening::Wake(at, turn));
                }
            }
            Order::End => {}
        }
    }

    /// A connect or request reaches a server: not too often, and not while it wants to be left alone.
    fn attempt(&mut self, source: SourceId) {
        let now = self.now;
        let server = &mut self.servers[self.elsewhere.index(source)];
        if let Some((asked, until)) = server.quiet {
            // What was on its way when it said so does not count.
            let told = asked + server.rtt;
            assert!(
                now <= told || now >= until,
                "{source:?} is asked at {now:?}, and wants to be left alone until {until:?}"
            );
        }
        server.attempts.push(now);
        let second = now.saturating_sub(Duration::from_secs(1));
        server.attempts.retain(|at| *at > second);
        assert!(
            server.attempts.len() <= ATTEMPTS_MAX,
            "{source:?} is hammered"
        );
    }

    /// What a connection does goes on.
    fn step(&mut self, at: usize) {
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

    fn dialed(&mut self, at: usize, source: SourceId) {
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

    fn report(&mut self, at: usize, report: Report) {
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

    fn channel(&self, at: usize) -> Channel {
        Channel {
            open: true,
            haul: self.servers[self.elsewhere.index(self.slots[at].source)].haul,
        }
    }

    fn broke(&mut self, at: usize, error: Error) {
        self.report(at, Report::Fault(Fault::Broke(error), Channel::CLOSED));
    }

    /// An answer begins.
    fn head(&mut self, at: usize, flight: Flight) {
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

    fn next_step(&mut self, at: usize, doing: Doing, takes: Duration) {
        self.slots[at].doing = doing;
        self.slots[at].turn += 1;
        let turn = self.slots[at].turn;
        self.at(self.now + takes, Happening::Step(at, turn));
    }

    fn open(&mut self, at: usize, mut task: FileTask, ask: &Ask) {
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

    fn run_head(&mut self, at: usize, file: FileId, run: Run, ask: Ask) {
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

    fn begin_run(&mut self, at: usize, file: FileId, mut run: Run) {
        let first = run.pieces.start;
        let now = self.instant();
        self.schedule.begin_run(file, &mut run, now);
        if run.pieces.is_empty() || run.pieces.start != first {
            return self.run_over(at, 0, self.now, false);
        }
        let takes = self.servers[self.elsewhere.index(self.slots[at].source)].piece_time;
        let doing = Doing::Reading(file, run, first, 0, self.now);
        self.next_step(at, doing, takes);
    }

    fn run_over(&mut self, at: usize, pieces: u32, began: Duration, whole: bool) {
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
    fn read_piece(
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

    fn read_value(&mut self, at: usize, file: FileId, came: u32) {
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

    fn landed(&mut self, file: FileId) {
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
        if reads && self.schedule.is_interrupted(SlotId(at)) {
            self.report(at, Report::Fault(Fault::Interrupted, Channel::CLOSED));
        }
    }

    fn told(&mut self, event: Event) {
        self.say(|| format!("{event:?}").chars().take(160).collect());
        if let Event::Ended { item } = event {
            let ended = self.ended.entry(item).or_default();
            *ended += 1;
            let retried = self.retried.get(&item).copied().unwrap_or(0);
            assert!(*ended <= retried + 1, "{item:?} ends twice");
        }
    }

    /// What holds after every step.
    fn check(&mut self) {
        let open = self.slots.iter().filter(|slot| slot.open).count();
        assert!(open <= self.workers, "{open} connections");
        let now = self.instant();
        for view in self.schedule.views(now) {
            if let Some(total) = view.total {
                assert!(view.done <= total, "{view:?} has more than there is");
            }
        }
        self.schedule.check_conserved();
        self.check_dropped();
        // Who waits with nothing to wake it at this moment finds nothing when it asks again.
        let rings = self
            .agenda
            .iter()
            .filter(|Reverse((when, ..))| *when <= self.now)
            .count();
        if rings == 0 {
            for at in 0..self.workers {
                if self.schedule.is_parked(SlotId(at)) {
                    // Whether others are slow it looks every now and then; that alone is no reason to ring.
                    let free = self.schedule.has_free();
                    let order = self.schedule.next(SlotId(at), now);
                    let file = self.schedule.file_of(SlotId(at));
                    let helps = !matches!(order, Order::Wait(_))
                        && file.is_some_and(|file| !free.contains(&file));
                    assert!(
                        matches!(order, Order::Wait(_)) || helps,
                        "slot {at} waits, and could {} for {:?}",
                        brief(&order),
                        self.schedule.slots[at].flight
                    );
                    if helps {
                        self.obey(at, order);
                    }
                }
            }
        }
        for (id, since) in &self.browses {
            let waits = self.now - *since;
            let healthy = self
                .servers
                .iter()
                .all(|server| server.trouble(self.now).is_none());
            let calm = self.now > self.calm_at + Duration::from_secs(400);
            assert!(
                !(healthy && calm) || waits < Duration::from_secs(700),
                "{id:?} waits for {waits:?}"
            );
        }
    }

    /// A server is given up for what it sent or said of this client, never because it was out of reach.
    fn check_dropped(&self) {
        let named = self.servers.len() - self.elsewhere.hosts;
        for (place, server) in self.servers.iter().take(named).enumerate() {
            let kicks = |trouble: &(u64, u64, Trouble)| matches!(trouble.2, Trouble::Kicks(_));
            let has_reason = server.damaged.is_some() || server.troubles.iter().any(kicks);
            let id = SourceId::at(place);
            assert!(
                has_reason || !self.schedule.is_given_up(id),
                "server {place} is dropped for nothing"
            );
        }
    }

    fn check_end(&self) {
        assert!(
            self.schedule.is_idle(),
            "seed {}: it came to a halt: {:#?} {:#?}",
            self.seed,
            self.schedule.transfers,
            self.schedule.views(self.instant())
        );
        for path in self.files.keys() {
            let tree = self.schedule.views(self.instant()).into_iter();
            let finished = tree
                .filter(|view| view.files.is_some())
                .all(|view| is_finished(&view.state));
            assert!(
                !finished || self.landed.contains(path),
                "{path:?} is told to be complete and is not here"
            );
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

fn connect_error() -> Error {
    Error::Connect {
        server: "s".into(),
        reason: "refused".into(),
        own: false,
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

fn brief(order: &Order) -> String {
    format!("{order:?}").chars().take(140).collect()
}
