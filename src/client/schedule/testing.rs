//! A schedule for tests, and what is asked of it most.

use std::{
    fmt::Debug,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::{
    client::{
        Error, Event, ItemId, Verified,
        facts::Facts,
        id::{BrowseId, FileId, SlotId, SourceId, SourceSet},
        schedule::{
            Ask, Channel, Complete, Effect, Fault, Flight, Keep, Limits, NewItem, Opened, Order,
            Report, Run, Schedule, Work,
        },
        task::{FileTask, Led},
    },
    http1::path::RemotePath,
};

pub const MIB: u64 = 1 << 20;
pub const SECOND: Duration = Duration::from_secs(1);
pub const MS: Duration = Duration::from_millis(1);
/// The first connection.
pub const SLOT: SlotId = SlotId(0);
/// The connection stays open behind an answer.
pub const OPEN: Channel = Channel {
    open: true,
    haul: false,
};

/// Four connections, and one further try.
pub fn limits() -> Limits {
    Limits {
        workers: 4,
        retries: 1,
        serial: false,
        patient: false,
        resume: true,
        fail_empty: false,
    }
}

/// For so many servers.
pub fn schedule(servers: usize) -> Schedule {
    schedule_of(limits(), servers)
}

pub fn schedule_of(limits: Limits, servers: usize) -> Schedule {
    let names = (0..servers).map(|at| format!("s{at}")).collect();
    Schedule::new(limits, names, 1)
}

/// So many of them are known to be reached.
pub fn reach(schedule: &mut Schedule, servers: usize, now: Instant) {
    for at in 0..servers {
        let source = schedule.sources.get_mut(SourceId::at(at));
        source.connected(Duration::ZERO, now);
    }
}

/// The server in that place of those that the user named.
pub fn at(place: usize) -> SourceId {
    SourceId::at(place)
}

/// Those in these places.
pub fn set(places: &[usize]) -> SourceSet {
    places.iter().copied().map(at).collect()
}

/// From a request's target: `/a/b`.
pub fn path(target: &str) -> RemotePath {
    RemotePath::from_target(target.as_bytes()).unwrap()
}

pub fn file(name: &str, size: u64) -> FileTask {
    let mut task = FileTask::new(ItemId(0), path(&format!("/{name}")));
    task.size = Some(size);
    task
}

/// A file that a redirect of the first server leads elsewhere.
pub fn led_file(name: &str, size: u64, at: SourceId) -> FileTask {
    let mut task = file(name, size);
    task.led.push(Led {
        first: SourceId::at(0),
        at,
        target: "/x".into(),
        hops: 1,
    });
    task.redirecting.insert(SourceId::at(0));
    task
}

/// A redirect led to a server.
pub fn meet(schedule: &mut Schedule) -> SourceId {
    let led = SourceId::led(schedule.led.len());
    schedule.led.push("http://led".into());
    schedule.sources.meet(led);
    led
}

pub fn add(schedule: &mut Schedule, named: Vec<FileTask>) -> ItemId {
    schedule.add(NewItem {
        named,
        ..NewItem::new(RemotePath::root())
    })
}

pub fn broken() -> Error {
    Error::Broken("x".into())
}

pub fn status(status: u16) -> Error {
    Error::Status {
        status,
        retry_after: None,
        said: None,
    }
}

pub fn login() -> Error {
    Error::Login {
        at: "s0".into(),
        sent: false,
        said: None,
    }
}

/// What was asked for as a whole, alone, at that time.
pub fn flight(work: Work, at: Instant) -> Flight {
    Flight {
        work,
        ask: Ask::Whole,
        at,
        sent: true,
        ahead: false,
        streamed: None,
        progress: false,
        last: false,
    }
}

pub fn complete(bytes: u64, verified: Verified) -> Complete {
    Complete {
        local: PathBuf::new(),
        bytes,
        verified,
        took: Duration::ZERO,
    }
}

/// The answer that a connection is to read next.
pub fn read(schedule: &mut Schedule, slot: usize, now: Instant) -> Flight {
    for _ in 0..2 {
        match schedule.next(SlotId(slot), now) {
            Order::Connect(_) => schedule.report(SlotId(slot), Report::Connected(SECOND), now),
            Order::Exchange { read, .. } => return *read,
            order => panic!("{order:?}"),
        }
    }
    panic!("it is not connected")
}

/// The file that a connection is to ask for next.
pub fn open(schedule: &mut Schedule, slot: usize, now: Instant) -> FileTask {
    match read(schedule, slot, now).work {
        Work::Open(task) => task,
        work => panic!("{work:?}"),
    }
}

/// A file that is served in ranges, with a validator, and without values.
pub fn ranges(size: u64) -> Opened {
    Opened {
        facts: Facts {
            size,
            etag: Some("e".into()),
            ranges: true,
            ..Facts::default()
        },
        ..Opened::default()
    }
}

/// The same with values of its pieces.
pub fn with_values(size: u64) -> Opened {
    let opened = ranges(size);
    Opened {
        facts: Facts {
            pieces: true,
            ..opened.facts
        },
        ..opened
    }
}

/// A connection asks for a file, which is opened as this, with so many pieces on their way.
pub fn begin(
    schedule: &mut Schedule,
    slot: usize,
    opened: Opened,
    begun: u32,
    now: Instant,
) -> (FileId, Option<Run>) {
    let task = open(schedule, slot, now);
    let file = schedule.new_file();
    let run = schedule.begin(SlotId(slot), file, task, opened, begun, now);
    (file, run.unwrap())
}

/// A piece of a run comes whole.
pub fn receive(schedule: &mut Schedule, slot: usize, file: FileId, run: &Run, piece: u32) {
    let now = Instant::now();
    let size = schedule.transfer(file).map_or(0, |it| it.facts.size);
    let len = crate::pieces::len(size, piece);
    schedule.wrote(file, run.id, u64::from(piece) * MIB, len);
    let received = schedule.piece_received(SlotId(slot), (file, run.id), piece, None, now);
    received.unwrap();
}

pub fn fault(schedule: &mut Schedule, slot: usize, fault: Fault, channel: Channel, now: Instant) {
    schedule.report(SlotId(slot), Report::Fault(fault, channel), now);
}

/// The only task of an item that waits to be begun.
pub fn waiting(schedule: &Schedule, item: ItemId) -> FileTask {
    let item = schedule.item(item).unwrap();
    let mut waiting = item.waiting();
    let task = waiting.next().cloned().unwrap();
    assert!(waiting.next().is_none());
    task
}

/// What is tried again later: how many tasks of an item.
pub fn later(schedule: &Schedule, item: ItemId) -> usize {
    schedule.item(item).unwrap().later.len()
}

/// What was told and done since the last call, as far as tests look at it.
#[derive(Debug, Default, PartialEq)]
pub struct Done {
    /// Attempts, pauses and reasons.
    pub retrying: Vec<(u32, Duration, Error)>,
    /// Attempts and reasons.
    pub failed: Vec<(u32, Error)>,
    pub ended: usize,
    pub answers: Vec<(BrowseId, Error)>,
    pub let_go: Vec<Keep>,
    pub landed: Vec<FileId>,
    pub synced: usize,
    pub interrupted: Vec<usize>,
    pub rung: Vec<usize>,
}

/// One thing, or nothing.
pub fn when<T>(is: bool, it: T) -> Vec<T> {
    is.then_some(it).into_iter().collect()
}

pub fn done(schedule: &mut Schedule) -> Done {
    let mut done = Done::default();
    for effect in schedule.take_effects() {
        match effect {
            Effect::Tell(Event::Retrying {
                attempt,
                after,
                error,
                ..
            }) => done.retrying.push((attempt, after, error)),
            Effect::Tell(Event::Failed {
                attempts, error, ..
            }) => done.failed.push((attempts, error)),
            Effect::Tell(Event::Ended { .. }) => done.ended += 1,
            Effect::Answer(id, error) => done.answers.push((id, error)),
            Effect::LetGo(_, keep) => done.let_go.push(keep),
            Effect::Land(file, _) => done.landed.push(file),
            Effect::Sync(..) => done.synced += 1,
            Effect::Interrupt(slot) => done.interrupted.push(slot.0),
            Effect::Ring(slot) => done.rung.push(slot.0),
            _ => {}
        }
    }
    done
}

/// What is logged meanwhile, without what it is about.
pub fn logged(act: impl FnOnce()) -> Vec<String> {
    struct Lines(Arc<Mutex<Vec<String>>>);
    struct Message<'a>(&'a mut Vec<String>);
    impl<S: tracing::Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            event.record(&mut Message(&mut self.0.lock().unwrap()));
        }
    }
    impl Visit for Message<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if field.name() == "message" {
                self.0.push(format!("{value:?}"));
            }
        }
    }
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let log = tracing_subscriber::registry().with(Lines(Arc::clone(&lines)));
    tracing::subscriber::with_default(log, act);
    lines.lock().unwrap().clone()
}
