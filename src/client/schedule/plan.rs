//! Who fetches which pieces of one file: runs in file order, cut and handed on as connections turn out slow.
//!
//! A *run* is a range of pieces that one connection fetches with one request. Runs are short at first and grow with the
//! connection's speed, and shrink again near the end, so that no connection holds the others back. An idle connection
//! takes half of what a slow one still has before it, and races it for the rest: a racer writes a piece only once it has
//! the whole of it, and whoever is first has it. Nobody loses a piece to a connection that is not ahead of it.

use std::{
    collections::BTreeMap,
    ops::Range,
    time::{Duration, Instant},
};

use crate::{
    client::id::SourceId,
    pieces::{PieceSet, Ranges},
};

/// Most pieces in a run: 16 MiB keep requests rare on any link.
pub const RUN_MAX: u32 = 16;

/// Names a run within its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(u32);

/// A run that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Names it in later calls.
    pub id: RunId,
    /// The pieces to fetch.
    pub pieces: Range<u32>,
    /// Whether it is the second to fetch its pieces: it must write nothing of one before that is whole.
    pub racing: bool,
    /// Bytes at the front of its first piece that are in the part already, from the same source.
    pub skip: u64,
}

#[derive(Debug)]
struct Held {
    id: RunId,
    /// The piece that comes next; those before it are done.
    next: u32,
    end: u32,
    /// Whether its connection reads it already, rather than another answer before it.
    begun: bool,
    /// Whether this is the second connection that fetches its pieces.
    racing: bool,
    /// Bytes that are here of the next piece.
    partial: u64,
    /// Who sends them, where ranges may begin in the middle of a piece.
    source: Option<SourceId>,
    /// Its last sign of life: handed out, begun, or a piece done.
    since: Instant,
}

/// The pieces of one file: done, free, or held by runs.
#[derive(Debug)]
pub struct Plan {
    done: PieceSet,
    free: Ranges,
    /// Bytes at the front of free pieces that are in the part, and who sent them: the next run goes on behind them.
    begun: BTreeMap<u32, (SourceId, u64)>,
    runs: Vec<Held>,
    next_id: u32,
}

/// How long a connection may show no sign of life before others help it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Within an answer, from one piece to the next.
    pub piece: Duration,
    /// From the request to the beginning of its answer.
    pub head: Duration,
}

impl Held {
    /// Pieces behind the one that is being read, or that may be read next.
    fn ahead(&self) -> u32 {
        (self.end.max(self.next) - self.next).saturating_sub(u32::from(self.begun))
    }
}

impl Plan {
    /// A plan in which no piece is done, free or held: see [`Self::add_free`].
    pub fn new(pieces: u32) -> Self {
        Self {
            done: PieceSet::new(pieces),
            free: Ranges::default(),
            begun: BTreeMap::new(),
            runs: Vec::new(),
            next_id: 0,
        }
    }

    /// Makes pieces free to be fetched.
    pub fn add_free(&mut self, pieces: Range<u32>) {
        for piece in pieces {
            if !self.done.contains(piece) {
                self.free.insert(piece..piece + 1);
            }
        }
    }

    /// Marks a piece that was here already as done.
    pub fn add_done(&mut self, piece: u32) {
        self.begun.remove(&piece);
        self.done.insert(piece);
    }

    /// Whether a piece is free, or some run's.
    #[cfg(test)]
    pub fn is_given(&self, piece: u32) -> bool {
        let held = |run: &Held| (run.next..run.end).contains(&piece);
        self.free.contains(piece) || self.runs.iter().any(held)
    }

    /// Whether every piece is done.
    pub fn is_complete(&self) -> bool {
        self.done.is_full()
    }

    /// Whether of each piece it is known that it is done or to be fetched, unless runs hold some.
    pub fn is_known(&self) -> bool {
        !self.runs.is_empty() || self.free.count() + self.done.count() == self.done.size()
    }

    /// Whether a piece is done.
    pub fn is_done(&self, piece: u32) -> bool {
        self.done.contains(piece)
    }

    /// So many more bytes are here of the piece that the run reads.
    pub fn note_partial(&mut self, run: RunId, bytes: u64) {
        if let Some(held) = self.runs.iter_mut().find(|held| held.id == run) {
            held.partial += bytes;
        }
    }

    /// Bytes that are here of pieces that are not whole.
    pub fn partial(&self) -> u64 {
        // Of a piece that another connection has done meanwhile, nothing counts twice.
        let open = self.runs.iter().filter(|run| !self.done.contains(run.next));
        let begun = self.begun.values().map(|(_, bytes)| *bytes);
        open.map(|run| run.partial).chain(begun).sum()
    }

    /// The run's bytes come from `source`, which gives ranges. What is here of its first piece from there already is not
    /// fetched again: of others it is, so that who sent a bad piece is known.
    pub fn fetch_from(&mut self, run: &mut Run, source: SourceId) {
        let Some(held) = self.runs.iter_mut().find(|held| held.id == run.id) else {
            return;
        };
        held.source = Some(source);
        if held.racing {
            return;
        }
        let begun = self.begun.remove(&held.next);
        if let Some((_, bytes)) = begun.filter(|(from, _)| *from == source) {
            held.partial = bytes;
            run.skip = bytes;
        }
    }

    /// How many pieces are done.
    pub fn done_count(&self) -> u32 {
        self.done.count()
    }

    /// Pieces that are done, as ranges in order.
    pub fn done(&self) -> Vec<Range<u32>> {
        self.done.ranges()
    }

    /// Runs that connections hold.
    pub fn held(&self) -> usize {
        self.runs.len()
    }

    /// Whether pieces wait for a connection.
    pub fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Hands out the next free pieces: at most `max` and at most their share among `workers` connections.
    pub fn take(&mut self, max: u32, workers: usize, now: Instant) -> Option<Run> {
        // Guided self-scheduling: half of an even share, so that all connections end about together.
        let share = self.free.count().div_ceil(2 * workers.max(1) as u32);
        let pieces = self
            .free
            .take_front(max.clamp(1, RUN_MAX).min(share.max(1)))?;
        Some(self.hold(pieces, false, now))
    }

    /// Takes all that is free from the first such piece on: what has no ranges comes in one answer.
    pub fn take_all(&mut self, now: Instant) -> Option<Run> {
        let pieces = self.free.take_front(u32::MAX)?;
        Some(self.hold(pieces, false, now))
    }

    /// Registers a run over `pieces` that a connection reads already, whatever was free among them.
    pub fn begin_with(&mut self, pieces: Range<u32>, now: Instant) -> Run {
        let mut run = self.hold(pieces, false, now);
        self.begin(&mut run, now);
        run
    }

    /// Takes work over from another run, for a connection that found nothing free: half of what the longest begun run
    /// still has before it, or else a race for what a run has left. Runs that showed a sign of life within their patience
    /// are left alone: their connection is not slow.
    pub fn steal(&mut self, now: Instant, patience: Patience) -> Option<Run> {
        let is_slow = |run: &&mut Held| {
            let patience = if run.begun {
                patience.piece
            } else {
                patience.head
            };
            !run.racing
                && run.next < run.end
                && now.saturating_duration_since(run.since) >= patience
        };
        // The longest first; of those that are equally long the first, so that a race is for the earliest piece.
        let raced = self.raced();
        let victim = self
            .runs
            .iter_mut()
            .filter(is_slow)
            .filter(|run| !raced.contains(&run.next))
            .max_by_key(|run| (run.ahead(), std::cmp::Reverse(run.next)))?;
        if victim.begun && victim.ahead() > 0 {
            let cut = victim.end - victim.ahead().div_ceil(2);
            let taken = cut..victim.end;
            victim.end = cut;
            return Some(self.hold(taken, false, now));
        }
        let left = victim.next..victim.end;
        Some(self.hold(left, true, now))
    }

    /// Pieces that somebody races for.
    fn raced(&self) -> Vec<u32> {
        let racers = self.runs.iter().filter(|run| run.racing);
        racers.flat_map(|run| run.next..run.end).collect()
    }

    fn hold(&mut self, pieces: Range<u32>, racing: bool, now: Instant) -> Run {
        let id = RunId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        self.runs.push(Held {
            id,
            next: pieces.start,
            end: pieces.end,
            begun: false,
            racing,
            partial: 0,
            source: None,
            since: now,
        });
        let skip = 0;
        Run {
            id,
            pieces,
            racing,
            skip,
        }
    }

    /// The run's connection begins to read its answer: what is left of it, which may be nothing.
    pub fn begin(&mut self, run: &mut Run, now: Instant) {
        if let Some(held) = self.runs.iter_mut().find(|held| held.id == run.id) {
            held.begun = true;
            held.since = now;
            run.pieces = held.next..held.end.max(held.next);
        } else {
            run.pieces.end = run.pieces.start;
        }
    }

    /// Only the next `pieces` of a run are fetched by it: the others are free again.
    pub fn cut(&mut self, run: RunId, pieces: u32) {
        let Some(held) = self.runs.iter_mut().find(|held| held.id == run) else {
            return;
        };
        let end = held.end.min(held.next.saturating_add(pieces));
        let rest = end..std::mem::replace(&mut held.end, end);
        for piece in rest
            .filter(|piece| !self.done.contains(*piece))
            .collect::<Vec<_>>()
        {
            self.free_unless_held(piece);
        }
    }

    /// Whether the run should still fetch `piece`: it was not cut off, and nobody else has done it.
    pub fn wants(&self, run: RunId, piece: u32) -> bool {
        // The bound first: an answer that is longer than it says leads beyond the last piece.
        self.runs
            .iter()
            .any(|held| held.id == run && piece < held.end)
            && !self.done.contains(piece)
    }

    /// The run has received `piece` whole. True when it is the first to do so.
    pub fn finish_piece(&mut self, run: RunId, piece: u32, now: Instant) -> bool {
        if let Some(held) = self.runs.iter_mut().find(|held| held.id == run) {
            held.next = piece + 1;
            held.partial = 0;
            held.since = now;
        }
        self.begun.remove(&piece);
        self.done.insert(piece)
    }

    /// A piece turned out to be bad: it is free again. Who still reads it lets go, so that nobody writes it beside
    /// the one that fetches it next.
    pub fn reject(&mut self, piece: u32) {
        if self.done.remove(piece) {
            self.free.insert(piece..piece + 1);
            self.let_go(piece);
        }
    }

    /// A piece that counted as done is not: unless a connection is still to begin it, it is free again.
    pub fn fetch_again(&mut self, piece: u32) {
        self.done.remove(piece);
        self.begun.remove(&piece);
        self.let_go(piece);
        self.free_unless_held(piece);
    }

    /// Cuts the runs that have come to `piece`: what they have read of it was thrown away, or overwritten by another.
    fn let_go(&mut self, piece: u32) {
        let mut rest = Vec::new();
        for run in self.runs.iter_mut().filter(|run| run.next == piece) {
            rest.extend(run.next..run.end);
            run.end = piece;
            run.partial = 0;
        }
        for piece in rest {
            if !self.done.contains(piece) {
                self.free_unless_held(piece);
            }
        }
    }

    /// Whether it is free now.
    fn free_unless_held(&mut self, piece: u32) -> bool {
        let mut runs = self.runs.iter();
        let held = runs.any(|run| (run.next..run.end).contains(&piece));
        if !held {
            self.free.insert(piece..piece + 1);
        }
        !held
    }

    /// The run is over, finished or not; what it did not do is free again, unless another connection is at it.
    pub fn release(&mut self, run: RunId) {
        let Some(at) = self.runs.iter().position(|held| held.id == run) else {
            return;
        };
        let held = self.runs.swap_remove(at);
        for piece in held.next..held.end.max(held.next) {
            if self.done.contains(piece) || !self.free_unless_held(piece) {
                continue;
            }
            if let Some(source) = held.source
                && piece == held.next
                && held.partial > 0
                && !held.racing
            {
                self.begun.insert(piece, (source, held.partial));
            }
        }
    }
}

#[cfg(test)]
mod tests;
