//! One connection: the server that it belongs to, and what is in flight on it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    order::{Flight, Kind, Work},
    plan::{Patience, RUN_MAX},
};
use crate::client::{
    ItemId,
    id::{FileId, SourceId},
};

/// A connection that made no progress for this long, and for twice our own time for a piece, may be helped.
const HELP_AFTER: Duration = Duration::from_millis(300);
/// A run should take about this long, so that connections can be rebalanced and listings need not wait.
const RUN_TIME: Duration = Duration::from_millis(500);
/// Pieces of a connection's first run, before its speed is known.
const FIRST_RUN: u32 = 4;

/// Whether a connection is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// It is not.
    Closed,
    /// It is being made.
    Dialing,
    /// It is.
    Open,
}

/// A connection, open or not.
#[derive(Debug)]
pub struct Slot {
    /// The server that it belongs to.
    pub source: SourceId,
    /// Whether it is open.
    pub line: Line,
    /// Work whose answers have not been read, in the order of the requests.
    pub flight: VecDeque<Flight>,
    /// Since when the first of it is the first.
    pub front_since: Option<Instant>,
    /// Answers read on this connection.
    pub answered: u32,
    /// Whether it waits for the bell.
    pub parked: bool,
    /// Time for one piece, smoothed; `None` before the first run.
    piece_time: Option<Duration>,
}

impl Slot {
    /// One that is not connected.
    pub fn new(source: SourceId) -> Self {
        Self {
            source,
            line: Line::Closed,
            flight: VecDeque::new(),
            front_since: None,
            answered: 0,
            parked: false,
            piece_time: None,
        }
    }

    /// What new work would be sent behind, if behind any.
    pub fn behind(&self) -> Option<Kind> {
        self.flight.back().map(|flight| flight.work.kind())
    }

    /// The item that its first work belongs to.
    pub fn item(&self, of: impl Fn(FileId) -> Option<ItemId>) -> Option<ItemId> {
        self.flight.front().and_then(|flight| flight.work.item(of))
    }

    /// Most pieces of its next run, by its speed.
    pub fn run_max(&self) -> u32 {
        self.piece_time.map_or(FIRST_RUN, |time| {
            (RUN_TIME.as_micros() / time.as_micros().max(1)).clamp(1, RUN_MAX.into()) as u32
        })
    }

    /// How long others may show no sign of life before it helps them; `head` for the beginning of their answers.
    pub fn patience(&self, head: Duration) -> Patience {
        let piece = self
            .piece_time
            .map_or(HELP_AFTER, |time| HELP_AFTER.max(2 * time));
        Patience {
            piece,
            head: head.max(piece),
        }
    }

    /// So many pieces took so long.
    pub fn timed(&mut self, pieces: u32, took: Duration) {
        if pieces > 0 {
            let time = took / pieces;
            self.piece_time = Some(
                self.piece_time
                    .map_or(time, |before| (before * 2 + time) / 3),
            );
        }
    }

    /// The first work is done.
    pub fn pop(&mut self, now: Instant) -> Option<Flight> {
        self.front_since = Some(now);
        self.flight.pop_front()
    }

    /// Whether the first work is read already and can be let go of at any moment.
    pub fn may_interrupt(&self) -> bool {
        self.flight.front().is_some_and(|flight| {
            let reads = match &flight.work {
                Work::Run(..) | Work::Values(_) => true,
                Work::Open(_) => flight.streamed.is_some(),
                _ => false,
            };
            flight.sent && reads
        })
    }
}

impl Work {
    /// The item that it belongs to; none for someone who waits.
    pub fn item(&self, of: impl Fn(FileId) -> Option<ItemId>) -> Option<ItemId> {
        match self {
            Self::Browse(_) | Self::Spent => None,
            Self::List(task) => Some(task.item),
            Self::Open(task) => Some(task.item),
            Self::Run(file, _) | Self::Values(file) => of(*file),
        }
    }

    /// The transfer that it is for.
    pub fn file(&self) -> Option<FileId> {
        match self {
            Self::Run(file, _) | Self::Values(file) => Some(*file),
            _ => None,
        }
    }

    /// What may follow it before its answer is here.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Open(task) if !task.is_large() && !task.alone => Kind::Small,
            Self::Run(..) => Kind::Run,
            _ => Kind::Alone,
        }
    }
}
