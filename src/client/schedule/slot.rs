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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::schedule::testing::{MS, flight};
    use crate::{
        client::{
            id::{BrowseId, SourceSet},
            schedule::{Browse, plan::Plan},
            task::{DirTask, FileTask},
        },
        http1::path::RemotePath,
        pieces::PIECE,
    };

    const FILE: FileId = FileId(7);

    fn slot() -> Slot {
        Slot::new(SourceId::at(0))
    }

    fn open(size: Option<u64>, alone: bool) -> Work {
        let mut task = FileTask::new(ItemId(1), RemotePath::root());
        (task.size, task.alone) = (size, alone);
        Work::Open(task)
    }

    fn list() -> Work {
        Work::List(DirTask::new(ItemId(2), RemotePath::root()))
    }

    fn browse() -> Work {
        Work::Browse(Browse {
            id: BrowseId(1),
            dir: RemotePath::root(),
            failures: 0,
            tried: SourceSet::default(),
        })
    }

    fn run() -> Work {
        Work::Run(FILE, Plan::new(1).begin_with(0..1, Instant::now()))
    }

    #[test]
    fn a_run_takes_half_a_second_as_far_as_is_known() {
        let mut slot = slot();
        assert_eq!(slot.run_max(), 4);
        slot.timed(0, 9000 * MS);
        assert_eq!(slot.run_max(), 4, "no piece says nothing");
        for (took, pieces) in [(0, 16), (10, 16), (50, 10), (250, 2), (500, 1), (9000, 1)] {
            slot.piece_time = None;
            slot.timed(2, took * 2 * MS);
            assert_eq!(slot.run_max(), pieces, "{took} ms");
        }
    }

    #[test]
    fn a_connections_speed_changes_by_a_third_at_a_time() {
        let mut slot = slot();
        slot.timed(4, 400 * MS);
        assert_eq!((slot.piece_time, slot.run_max()), (Some(100 * MS), 5));
        slot.timed(1, 400 * MS);
        assert_eq!((slot.piece_time, slot.run_max()), (Some(200 * MS), 2));
    }

    #[test]
    fn a_slow_connection_has_patience_with_others() {
        let mut slot = slot();
        let patience = |slot: &Slot, head: u32| {
            let patience = slot.patience(head * MS);
            (patience.piece, patience.head)
        };
        assert_eq!(patience(&slot, 10), (300 * MS, 300 * MS));
        assert_eq!(patience(&slot, 1000), (300 * MS, 1000 * MS));
        slot.timed(1, 100 * MS);
        assert_eq!(patience(&slot, 10), (300 * MS, 300 * MS));
        slot.piece_time = Some(200 * MS);
        assert_eq!(patience(&slot, 350), (400 * MS, 400 * MS));
    }

    #[test]
    fn what_may_be_sent_behind_work_follows_from_it() {
        for (work, kind) in [
            (open(None, false), Kind::Small),
            (open(Some(PIECE), false), Kind::Small),
            (open(Some(PIECE), true), Kind::Alone),
            (open(Some(PIECE + 1), false), Kind::Alone),
            (run(), Kind::Run),
            (Work::Values(FILE), Kind::Alone),
            (list(), Kind::Alone),
            (browse(), Kind::Alone),
            (Work::Spent, Kind::Alone),
        ] {
            assert_eq!(work.kind(), kind, "{work:?}");
            let mut slot = slot();
            assert_eq!(slot.behind(), None);
            slot.flight = [
                flight(browse(), Instant::now()),
                flight(work, Instant::now()),
            ]
            .into();
            assert_eq!(slot.behind(), Some(kind));
        }
    }

    #[test]
    fn work_belongs_to_an_item_and_runs_to_a_file() {
        let of = |file| (file == FILE).then_some(ItemId(3));
        for (work, item, file) in [
            (open(None, false), Some(1), None),
            (list(), Some(2), None),
            (run(), Some(3), Some(FILE)),
            (Work::Values(FILE), Some(3), Some(FILE)),
            (Work::Values(FileId(8)), None, Some(FileId(8))),
            (browse(), None, None),
            (Work::Spent, None, None),
        ] {
            assert_eq!((work.item(of), work.file()), (item.map(ItemId), file));
            let mut slot = slot();
            assert_eq!(slot.item(of), None);
            slot.flight = [
                flight(work, Instant::now()),
                flight(open(None, false), Instant::now()),
            ]
            .into();
            assert_eq!(slot.item(of), item.map(ItemId));
        }
    }

    #[test]
    fn only_what_is_read_in_pieces_can_be_let_go_of() {
        let mut streamed = flight(open(None, false), Instant::now());
        assert!(!slot().may_interrupt());
        streamed.streamed = Some(0);
        for (flight, may) in [
            (flight(run(), Instant::now()), true),
            (flight(Work::Values(FILE), Instant::now()), true),
            (streamed, true),
            (flight(open(None, false), Instant::now()), false),
            (flight(list(), Instant::now()), false),
            (flight(browse(), Instant::now()), false),
            (flight(Work::Spent, Instant::now()), false),
        ] {
            for sent in [true, false] {
                let mut slot = slot();
                slot.flight.push_back(Flight {
                    sent,
                    ..flight.clone()
                });
                assert_eq!(slot.may_interrupt(), may && sent, "{flight:?}");
            }
        }
    }

    #[test]
    fn the_next_work_is_the_first_from_when_the_one_before_is_done() {
        let mut slot = slot();
        slot.flight = [
            flight(list(), Instant::now()),
            flight(Work::Spent, Instant::now()),
        ]
        .into();
        let now = Instant::now();
        let done = slot.pop(now).unwrap();
        assert!(matches!(done.work, Work::List(_)));
        assert_eq!((slot.front_since, slot.flight.len()), (Some(now), 1));
    }
}
