//! One large file on its way: its plan, its part on disk, its pieces' values from both sides.
//!
//! A job is shared by the connections that work on it. What arrives is hashed piece by piece; a piece counts once it
//! is whole, and, where the server offers values, once both values are known and equal. The order does not matter:
//! values and bytes travel side by side, and pieces that an earlier run left on disk are judged the same way.

mod facts;
mod judge;
mod landing;
mod mirrors;
#[cfg(test)]
mod tests;

use std::{
    ops::Range,
    os::unix::fs::FileExt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rangemap::RangeSet;
use tokio_util::sync::CancellationToken;

use super::{
    Error,
    plan::{Plan, Run, RunId},
    queue::FileTask,
    source::{Outlook, SourceId, SourceSet},
    target::Target,
};
use crate::{
    pieces::{self, PieceHasher, Value},
    progress::Counter,
};

pub use facts::{Facts, Part};
pub use mirrors::{Blame, Fit};

use facts::Validators;

/// A file that is fetched in runs of pieces.
#[derive(Debug)]
pub struct Job {
    /// What is fetched.
    pub task: FileTask,
    /// Where it lands.
    pub target: Arc<Target>,
    /// What the first answer told.
    pub facts: Facts,
    /// When its first request was sent.
    pub began: Instant,
    /// Bytes received that count, shared with the item.
    done: Arc<Counter>,
    part: Part,
    /// The part is a whole file under its final name: it is compared, and nothing is fetched.
    compares: bool,
    retries: u32,
    state: Mutex<State>,
    /// Told when a write ends that was made outside the lock.
    quiet: Condvar,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    /// Values of the pieces as they are here, computed from what arrived or what lay on disk.
    local: Vec<Option<Value>>,
    /// Values as the server tells them, in order, as far as they have come.
    remote: Vec<Value>,
    values: Values,
    /// What the values merge to: told after them, and checked against them when they were all here.
    root: Option<blake3::Hash>,
    /// Bytes that are in the part, where no values can prove it.
    written: RangeSet<u64>,
    /// Pieces of which bytes are being written outside the lock.
    writing: Vec<u32>,
    /// Landings that did not hold.
    stopped_landings: u32,
    /// How often each piece was bad; few entries, if any.
    bad: Vec<(u32, u32)>,
    /// Who sent each piece that is here; only where pieces are judged one by one.
    senders: Vec<SourceId>,
    /// Who sent bad ones.
    blamed: Vec<Blame>,
    /// Sources that have no such file.
    excluded: SourceSet,
    /// What mirrors' answers said of the file.
    mirrors: Vec<(SourceId, Validators)>,
    /// Who tells the values.
    teller: SourceId,
    /// Cancelled when connections should let go of the job: paused, failed, changed or complete.
    halt: CancellationToken,
    /// When the part was synced last, and bytes received since then; only where the journal needs it.
    synced: (Instant, u64),
    /// Bytes added to `done`, to be taken back if the job starts over.
    counted: u64,
    failures: u32,
    not_before: Option<Instant>,
    over: bool,
    /// A piece of a file that is compared was not equal.
    differs: bool,
    /// What lay on disk was hashed.
    left_hashed: bool,
    connections: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    /// There are none, or they were checked up to the root.
    Settled,
    Unasked,
    Asked,
}

/// Something to do for a job.
#[derive(Debug)]
pub enum Step {
    /// Fetch these pieces.
    Run(Run),
    /// Fetch the pieces' values.
    Values,
}

/// How to choose a job's next step.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Most pieces in a run, by the connection's speed.
    pub run_max: u32,
    /// Connections in all.
    pub workers: usize,
    /// Now.
    pub now: Instant,
    /// Whether to take work over from connections that made no progress for this long.
    pub steal_after: Option<Duration>,
    /// The connection's source, and the others.
    pub outlook: Outlook,
}

impl Job {
    /// A job on an open part. Nothing is free to be fetched before [`Self::start`].
    pub fn new(
        task: FileTask,
        target: Arc<Target>,
        facts: Facts,
        part: Part,
        done: Arc<Counter>,
        retries: u32,
    ) -> Self {
        let count = pieces::count(facts.size);
        let has_values = facts.has_values();
        Self {
            began: Instant::now(),
            state: Mutex::new(State {
                plan: Plan::new(count),
                local: if has_values {
                    vec![None; count as usize]
                } else {
                    Vec::new()
                },
                remote: Vec::new(),
                values: if has_values {
                    Values::Unasked
                } else {
                    Values::Settled
                },
                root: None,
                written: RangeSet::new(),
                writing: Vec::new(),
                stopped_landings: 0,
                bad: Vec::new(),
                senders: vec![facts.source; if has_values { count as usize } else { 0 }],
                blamed: Vec::new(),
                excluded: task.tried,
                mirrors: Vec::new(),
                teller: facts.source,
                halt: CancellationToken::new(),
                synced: (Instant::now(), 0),
                counted: 0,
                failures: 0,
                not_before: None,
                over: false,
                differs: false,
                left_hashed: false,
                connections: 0,
            }),
            quiet: Condvar::new(),
            compares: false,
            task,
            target,
            facts,
            done,
            part,
            retries,
        }
    }

    /// A job that holds a local file against the values of the server's pieces, and fetches nothing else.
    pub fn comparing(
        task: FileTask,
        target: Arc<Target>,
        facts: Facts,
        there: Part,
        done: Arc<Counter>,
    ) -> Self {
        Self {
            compares: true,
            ..Self::new(task, target, facts, there, done, 0)
        }
    }

    /// Frees all pieces but the first `begun`, which the calling connection reads already; the run for those.
    pub fn start(&self, begun: u32) -> Option<Run> {
        let mut state = self.state();
        let count = pieces::count(self.facts.size);
        for piece in self
            .part
            .known
            .iter()
            .cloned()
            .flatten()
            .filter(|piece| *piece < count)
        {
            state.plan.add_done(piece);
            let bytes = pieces::len(self.facts.size, piece);
            let start = u64::from(piece) * pieces::PIECE;
            self.note_written(&mut state, start, bytes);
            state.counted += bytes;
            self.done.add(bytes);
        }
        state.plan.add_free(begun..count);
        (begun > 0).then(|| state.plan.begin_with(0..begun, Instant::now()))
    }

    /// Whether its values come next: nothing is pipelined with them.
    pub fn wants_values(&self, pace: Pace) -> bool {
        self.wants_values_in(&self.state(), pace)
    }

    fn wants_values_in(&self, state: &State, pace: Pace) -> bool {
        // One connection alone fetches values last: its first byte must not wait for the server's hashing.
        let first = pace.workers > 1 || self.part.left > 0 || state.plan.is_complete();
        let mute = state.excluded.union(self.task.mute());
        state.values == Values::Unasked && first && pace.outlook.leads(mute)
    }

    /// A source other than the asker's own that it waits for.
    pub fn needed(&self, outlook: Outlook) -> Option<SourceId> {
        let state = self.state();
        if state.over || state.halt.is_cancelled() {
            return None;
        }
        if state.values == Values::Unasked {
            return outlook.lead(state.excluded.union(self.task.mute()));
        }
        let only_lead = !self.facts.ranges || state.excluded.contains(outlook.source);
        outlook.lead(state.excluded).filter(|_| only_lead)
    }

    /// The next thing to do for this job, if there is any.
    pub fn next(&self, pace: Pace) -> Option<Step> {
        let mut state = self.state();
        if state.over
            || state.halt.is_cancelled()
            || state.not_before.is_some_and(|at| at > pace.now)
        {
            return None;
        }
        let leads = pace.outlook.leads(state.excluded);
        if !leads && state.excluded.contains(pace.outlook.source) {
            return None;
        }
        if self.wants_values_in(&state, pace) {
            state.values = Values::Asked;
            state.teller = pace.outlook.source;
            return Some(Step::Values);
        }
        if !self.facts.ranges && (state.connections > 0 || !leads) {
            return None;
        }
        let run = match pace.steal_after {
            Some(patience) if !state.plan.has_free() && self.facts.ranges => {
                state.plan.steal(pace.now, patience)
            }
            _ => state.plan.take(
                if self.facts.ranges {
                    pace.run_max
                } else {
                    u32::MAX
                },
                pace.workers,
                pace.now,
            ),
        };
        run.map(Step::Run)
    }

    /// A connection begins to read a run's answer: what it should still read, and when to let go.
    pub fn begin(&self, run: &mut Run) -> CancellationToken {
        let mut state = self.state();
        state.plan.begin(run, Instant::now());
        state.connections += 1;
        state.halt.clone()
    }

    /// A connection is done with a run, read whole or not.
    pub fn end(&self, run: &Run, begun: bool) {
        let mut state = self.state();
        state.plan.release(run.id);
        state.connections -= usize::from(begun);
    }

    /// When connections should let go of the job.
    pub fn halt_token(&self) -> CancellationToken {
        self.state().halt.clone()
    }

    /// Whether `run` should still fetch `piece`.
    pub fn wants(&self, run: RunId, piece: u32) -> bool {
        let state = self.state();
        !state.over && state.plan.wants(run, piece)
    }

    /// Writes bytes of `piece` where they belong, and counts them. False, and nothing is written, when `run` should
    /// not fetch it any more: another connection's bytes are there, and may be checked already.
    pub fn write(&self, run: RunId, piece: u32, at: u64, bytes: &[u8]) -> Result<bool, Error> {
        let mut state = self.state();
        if state.over || !state.plan.wants(run, piece) {
            return Ok(false);
        }
        if state.plan.is_raced(piece) {
            // Under the lock, so that the racer's piece comes wholly before or after.
            self.write_at(at, bytes)?;
        } else {
            // A racer that begins meanwhile waits for this: its piece must not be overwritten once it counts.
            state.writing.push(piece);
            drop(state);
            let written = self.write_at(at, bytes);
            state = self.state();
            state.writing.retain(|other| *other != piece);
            self.quiet.notify_all();
            written?;
        }
        self.note_written(&mut state, at, bytes.len() as u64);
        self.count(&mut state, bytes.len() as u64);
        Ok(true)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let written = self.part.file.write_all_at(bytes, at);
        written.map_err(|error| Error::disk(self.part_path(), &error))
    }

    /// Remembers bytes that are in the part: the second fact that a landing without values stands on.
    fn note_written(&self, state: &mut State, at: u64, bytes: u64) {
        if bytes > 0 && !self.facts.has_values() {
            state.written.insert(at..at + bytes);
        }
    }

    fn count(&self, state: &mut State, bytes: u64) {
        self.done.add(bytes);
        state.counted += bytes;
    }

    /// Takes back bytes that were counted but do not stay: a piece that was cut off, bad, or fetched twice.
    pub fn uncount(&self, bytes: u64) {
        Self::uncount_in(&mut self.state(), &self.done, bytes);
    }

    fn uncount_in(state: &mut State, done: &Counter, bytes: u64) {
        let bytes = bytes.min(state.counted);
        state.counted -= bytes;
        done.take_back(bytes);
    }

    /// A run has received `piece` whole from `sender`; `hasher` has seen its bytes, if they are hashed at all. `raced`
    /// holds them where they were not written yet.
    pub fn piece_received(
        &self,
        (run, sender): (RunId, SourceId),
        piece: u32,
        hasher: Option<&PieceHasher>,
        raced: Option<&[u8]>,
    ) -> Result<(), Error> {
        let value = hasher.map(PieceHasher::value);
        let mut state = self.state();
        while raced.is_some() && state.writing.contains(&piece) {
            state = self
                .quiet
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.over || !state.plan.wants(run, piece) {
            // Another connection was first: its bytes are there.
            if raced.is_none() {
                Self::uncount_in(&mut state, &self.done, pieces::len(self.facts.size, piece));
            }
            return Ok(());
        }
        if let Some(bytes) = raced {
            let start = u64::from(piece) * pieces::PIECE;
            self.write_at(start, bytes)?;
            self.note_written(&mut state, start, bytes.len() as u64);
            self.count(&mut state, bytes.len() as u64);
        }
        state.plan.finish_piece(run, piece, Instant::now());
        state.failures = 0;
        state.synced.1 += pieces::len(self.facts.size, piece);
        if let Some(value) = value {
            state.local[piece as usize] = Some(value);
            state.senders[piece as usize] = sender;
            self.judge(&mut state, piece)?;
        }
        Ok(())
    }

    /// Makes connections let go; [`Self::go_on`] lets them take it up again.
    pub fn halt(&self) {
        self.state().halt.cancel();
    }

    /// After [`Self::halt`].
    pub fn go_on(&self) {
        let mut state = self.state();
        if !state.over {
            state.halt = CancellationToken::new();
        }
    }

    /// Ends the job without landing it: the part stays. True for the first to end it.
    pub fn give_up(&self) -> bool {
        let mut state = self.state();
        let first = !state.over;
        state.over = true;
        state.halt.cancel();
        if first {
            let counted = state.counted;
            Self::uncount_in(&mut state, &self.done, counted);
        }
        first
    }

    /// The file, once the job has ended without it, with what its part holds.
    pub fn task_kept(&self) -> FileTask {
        let state = self.state();
        let here = state.plan.done().into_iter().flatten();
        let here: u64 = here.map(|piece| pieces::len(self.facts.size, piece)).sum();
        let stays = self.facts.has_values() || self.facts.content().is_some();
        let before = if self.is_judged_in(&state) {
            0
        } else {
            self.task.kept
        };
        FileTask {
            kept: if stays { here.max(before) } else { 0 },
            ..self.task.clone()
        }
    }

    /// Whether it is known what of the bytes that lay on disk is right.
    pub fn is_judged(&self) -> bool {
        self.is_judged_in(&self.state())
    }

    fn is_judged_in(&self, state: &State) -> bool {
        self.left() == 0 || state.left_hashed && state.values == Values::Settled
    }

    /// Notes a failure and the time before which it is not tried again; how many came in a row without progress.
    /// Connections that break while a pause lasts are of the same outage: `None`.
    pub fn failed(&self, not_before: impl FnOnce(u32) -> Instant) -> Option<u32> {
        let mut state = self.state();
        if state.not_before.is_some_and(|at| at > Instant::now()) {
            return None;
        }
        state.failures += 1;
        state.not_before = Some(not_before(state.failures));
        Some(state.failures)
    }

    /// The pause before another try is over.
    pub fn end_pause(&self) {
        self.state().not_before = None;
    }

    /// Whether it has ended, one way or another.
    pub fn is_over(&self) -> bool {
        self.state().over
    }

    /// Runs that connections hold, and the values if they are being fetched.
    pub fn load(&self) -> usize {
        let state = self.state();
        state.plan.held() + usize::from(state.values == Values::Asked)
    }

    /// Connections that read it now.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// The first byte of `run`, and the one behind its last.
    pub fn bytes_of(&self, run: &Range<u32>) -> (u64, u64) {
        let end = u64::from(run.end) * pieces::PIECE;
        (
            u64::from(run.start) * pieces::PIECE,
            end.min(self.facts.size),
        )
    }

    /// The part.
    pub fn part(&self) -> &Part {
        &self.part
    }

    fn part_path(&self) -> std::path::PathBuf {
        self.target.local(&self.task.path.parent(), &self.part.name)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
