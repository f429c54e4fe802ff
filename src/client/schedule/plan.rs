//! Who fetches which pieces of one file: runs in file order, cut and handed on as connections turn out slow.
//!
//! A *run* is a range of pieces that one connection fetches with one request. Runs are short at first and grow with the
//! connection's speed, and shrink again near the end, so that no connection holds the others back. An idle connection
//! takes half of what a slow one still has before it, and races it for the rest: a racer writes a piece only once it has
//! the whole of it, and whoever is first has it. Nobody loses a piece to a connection that is not ahead of it.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use crate::pieces::{PieceSet, Ranges};

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
    /// Its last sign of life: handed out, begun, or a piece done.
    since: Instant,
}

/// The pieces of one file: done, free, or held by runs.
#[derive(Debug)]
pub struct Plan {
    done: PieceSet,
    free: Ranges,
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
        self.done.insert(piece);
    }

    /// Whether every piece is done.
    pub fn is_complete(&self) -> bool {
        self.done.is_full()
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
        open.map(|run| run.partial).sum()
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
            since: now,
        });
        Run { id, pieces, racing }
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
        self.let_go(piece);
        self.free_unless_held(piece);
    }

    /// Cuts the runs that have come to `piece`: what they have read of it was thrown away, or overwritten by another.
    fn let_go(&mut self, piece: u32) {
        let mut rest = Vec::new();
        for run in self.runs.iter_mut().filter(|run| run.next == piece) {
            rest.extend(piece + 1..run.end);
            run.end = piece;
            run.partial = 0;
        }
        for piece in rest {
            if !self.done.contains(piece) {
                self.free_unless_held(piece);
            }
        }
    }

    fn free_unless_held(&mut self, piece: u32) {
        let mut runs = self.runs.iter();
        if !runs.any(|run| (run.next..run.end).contains(&piece)) {
            self.free.insert(piece..piece + 1);
        }
    }

    /// The run is over, finished or not; what it did not do is free again, unless another connection is at it.
    pub fn release(&mut self, run: RunId) {
        let Some(at) = self.runs.iter().position(|held| held.id == run) else {
            return;
        };
        let held = self.runs.swap_remove(at);
        for piece in held.next..held.end.max(held.next) {
            if !self.done.contains(piece) {
                self.free_unless_held(piece);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_PATIENCE: Patience = Patience {
        piece: Duration::ZERO,
        head: Duration::ZERO,
    };

    fn plan(pieces: u32) -> Plan {
        let mut plan = Plan::new(pieces);
        plan.add_free(0..pieces);
        plan
    }

    #[test]
    fn runs_come_in_file_order_and_shrink_towards_the_end() {
        let mut plan = plan(100);
        let mut sizes = Vec::new();
        let mut next = 0;
        while let Some(run) = plan.take(RUN_MAX, 4, Instant::now()) {
            assert_eq!(run.pieces.start, next);
            next = run.pieces.end;
            sizes.push(run.pieces.len());
        }
        assert_eq!(next, 100);
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
        assert_eq!(sizes.last(), Some(&1));
    }

    #[test]
    fn a_begun_run_is_halved_and_one_that_waits_for_its_answer_is_raced() {
        let mut plan = plan(20);
        let mut first = plan.take(16, 1, Instant::now()).unwrap();
        plan.begin(&mut first, Instant::now());
        let mut second = plan.take(16, 1, Instant::now()).unwrap();
        assert_eq!(
            (first.pieces.clone(), second.pieces.clone()),
            (0..10, 10..15)
        );
        plan.free.take_front(99);
        // Ten held, one of them in progress: the upper half of the other nine.
        let mut third = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
        assert_eq!((third.pieces.clone(), third.racing), (5..10, false));
        plan.begin(&mut third, Instant::now());
        assert!(plan.wants(first.id, 4) && !plan.wants(first.id, 5));
        // Now the longest is the one that has not begun: all of it, and it keeps all of it.
        let racer = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
        assert_eq!((racer.pieces, racer.racing), (10..15, true));
        plan.begin(&mut second, Instant::now());
        assert_eq!(second.pieces, 10..15);
        // Who was first with a piece has it, and the other goes on behind it.
        assert!(plan.finish_piece(racer.id, 10, Instant::now()));
        assert!(!plan.wants(second.id, 10) && plan.wants(second.id, 11));
    }

    #[test]
    fn an_answer_that_is_waited_for_has_a_patience_of_its_own() {
        let mut plan = plan(2);
        let start = Instant::now();
        let slow = plan.take(1, 1, start).unwrap();
        plan.free.take_front(9);
        let patience = Patience {
            piece: Duration::from_millis(300),
            head: Duration::from_secs(3),
        };
        let later = |ms| start + Duration::from_millis(ms);
        assert_eq!(plan.steal(later(2999), patience), None);
        let racer = plan.steal(later(3000), patience).unwrap();
        assert_eq!((racer.pieces, racer.racing), (slow.pieces, true));
        assert_eq!(plan.steal(later(9000), patience), None, "nobody is third");
    }

    #[test]
    fn a_connection_that_makes_progress_is_left_alone() {
        let mut plan = plan(4);
        let start = Instant::now();
        let mut run = plan.begin_with(0..4, start);
        plan.free.take_front(9);
        let time = Duration::from_millis(300);
        let patience = Patience {
            piece: time,
            head: time,
        };
        plan.finish_piece(run.id, 0, start + time);
        assert_eq!(plan.steal(start + time, patience), None);
        assert_eq!(plan.steal(start + 2 * time, patience).unwrap().pieces, 3..4);
        plan.begin(&mut run, start);
        assert_eq!(run.pieces, 1..3);
    }

    #[test]
    fn the_last_piece_is_raced_once() {
        let mut plan = plan(1);
        let mut slow = plan.take(16, 1, Instant::now()).unwrap();
        plan.begin(&mut slow, Instant::now());
        let fast = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
        assert_eq!(fast.pieces, 0..1);
        assert_eq!(plan.steal(Instant::now(), NO_PATIENCE), None);
        plan.note_partial(slow.id, 7);
        assert_eq!(plan.partial(), 7);
        assert!(plan.finish_piece(fast.id, 0, Instant::now()));
        assert!(!plan.wants(slow.id, 0));
        plan.release(fast.id);
        plan.release(slow.id);
        assert!(plan.is_complete() && !plan.has_free() && plan.partial() == 0);
    }

    #[test]
    fn nothing_is_wanted_beyond_the_last_piece() {
        let mut plan = plan(64);
        let run = plan.begin_with(0..64, Instant::now());
        assert!(plan.wants(run.id, 63) && !plan.wants(run.id, 64));
    }

    #[test]
    fn a_bad_piece_is_let_go_of_by_all_who_read_it() {
        let mut plan = plan(1);
        let mut slow = plan.take(16, 1, Instant::now()).unwrap();
        plan.begin(&mut slow, Instant::now());
        let fast = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
        assert!(fast.racing);
        let piece = slow.pieces.start;
        assert!(plan.finish_piece(fast.id, piece, Instant::now()));
        plan.release(fast.id);
        plan.reject(piece);
        assert!(!plan.wants(slow.id, piece));
        plan.release(slow.id);
        let again = plan.take(1, 1, Instant::now()).unwrap();
        assert_eq!(again.pieces, piece..piece + 1);
    }

    #[test]
    fn a_piece_that_is_fetched_again_is_begun_from_its_first_byte() {
        let mut plan = plan(1);
        let mut slow = plan.take(16, 1, Instant::now()).unwrap();
        plan.begin(&mut slow, Instant::now());
        let fast = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
        plan.finish_piece(fast.id, 0, Instant::now());
        plan.release(fast.id);
        // The slow one is in the middle of it, and the other's bytes lie over what it has written.
        plan.fetch_again(0);
        assert!(!plan.wants(slow.id, 0) && plan.has_free());
        plan.release(slow.id);
        assert_eq!(plan.take(1, 1, Instant::now()).unwrap().pieces, 0..1);
    }

    #[test]
    fn what_a_broken_connection_left_is_free_again() {
        let mut plan = plan(8);
        let mut run = plan.take(8, 1, Instant::now()).unwrap();
        plan.begin(&mut run, Instant::now());
        plan.finish_piece(run.id, 0, Instant::now());
        let stolen = plan.steal(Instant::now(), NO_PATIENCE).unwrap();
        plan.release(run.id);
        let again = plan.take(8, 1, Instant::now()).unwrap();
        assert_eq!(again.pieces.start, 1);
        plan.release(stolen.id);
        plan.reject(0);
        assert!(plan.has_free() && plan.done.count() == 0);
    }

    /// Whatever connections do, every piece ends up done, and none is lost or fetched by three.
    #[test]
    fn any_order_of_events_ends_complete() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..300 {
            let pieces = random.u32(1..60);
            let mut plan = plan(pieces);
            let mut held: Vec<(Run, u32)> = Vec::new();
            let mut steps = 0;
            while !plan.is_complete() {
                steps += 1;
                assert!(steps < 20_000, "no progress");
                if held.len() < 4
                    && let Some(mut run) = plan
                        .take(random.u32(1..20), 4, Instant::now())
                        .or_else(|| plan.steal(Instant::now(), NO_PATIENCE))
                {
                    plan.begin(&mut run, Instant::now());
                    let at = run.pieces.start;
                    held.push((run, at));
                }
                if held.is_empty() {
                    continue;
                }
                let i = random.usize(..held.len());
                let (run, at) = &mut held[i];
                if random.u32(..10) == 0 || !plan.wants(run.id, *at) {
                    plan.release(run.id);
                    held.swap_remove(i);
                } else {
                    plan.finish_piece(run.id, *at, Instant::now());
                    if random.u32(..30) == 0 {
                        plan.reject(*at);
                    }
                    *at += 1;
                }
            }
        }
    }
}
