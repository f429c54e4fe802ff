//! One large file on its way: its plan, its part on disk, its pieces' values from both sides.
//!
//! A job is shared by the connections that work on it. What arrives is hashed piece by piece; a piece counts once it
//! is whole, and, where the server offers values, once both values are known and equal. The order does not matter:
//! values and bytes travel side by side, and pieces that an earlier run left on disk are judged the same way.

use std::{
    fs::File,
    ops::Range,
    os::{fd::OwnedFd, unix::fs::FileExt},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{
    Digest, Error, Verified,
    journal::{Claim, Content, Synced},
    plan::{Plan, Run, RunId},
    queue::FileTask,
    source::{Outlook, SourceId, SourceSet},
    target::Target,
};
use crate::{
    http1::response_head::ResponseHead,
    pieces::{self, PieceHasher, Value},
    progress::Counter,
    sys::disk,
};

/// Parts that only the journal can vouch for are synced after so many bytes or so much time: that much may be fetched
/// again after a crash.
const SYNC_BYTES: u64 = 256 << 20;
const SYNC_TIME: Duration = Duration::from_secs(5);

/// What is known of a file from the first answer about it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Who told it.
    pub source: SourceId,
    /// Bytes.
    pub size: u64,
    /// Strong entity tag, if any.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<std::time::SystemTime>,
    /// Whether the server answers ranges, so that several connections can work on the file.
    pub ranges: bool,
    /// Whether the server offers the values of its pieces.
    pub pieces: bool,
    /// Digest of the whole that the server tells where it offers no pieces.
    pub digest: Option<Digest>,
}

impl Facts {
    /// Whether pieces are checked one by one: a single piece has no value of its own.
    pub fn has_values(&self) -> bool {
        self.pieces && pieces::value_count(self.size) > 0
    }

    /// What names the content on a server that offers no pieces: without a validator nothing can be gone on with.
    pub fn content(&self) -> Option<Content> {
        let validator = self
            .validators()
            .condition()
            .filter(|_| self.ranges && !self.has_values())?;
        Some(Content {
            validator,
            size: self.size,
        })
    }

    /// Whether a later answer is about the same content, as far as its validators tell.
    pub fn agree(&self, head: &ResponseHead) -> bool {
        self.validators().agree(&Validators::of(head))
    }

    fn validators(&self) -> Validators {
        Validators {
            etag: self.etag.clone(),
            modified: self.modified,
        }
    }
}

/// What tells one content from another on one source (RFC 9110 §8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Validators {
    etag: Option<String>,
    modified: Option<std::time::SystemTime>,
}

impl Validators {
    fn of(head: &ResponseHead) -> Self {
        Self {
            etag: head.etag.clone(),
            modified: head.modified,
        }
    }

    /// Whether nothing says that they are of different content.
    fn agree(&self, other: &Self) -> bool {
        fn same<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        same(self.etag.as_ref(), other.etag.as_ref())
            && same(self.modified.as_ref(), other.modified.as_ref())
    }

    /// Whether something says that they are of the same content, on whichever source.
    fn coincide(&self, other: &Self) -> bool {
        self.etag.is_some() && self.etag == other.etag
            || self.modified.is_some() && self.modified == other.modified
    }

    /// For `If-Range`: a strong entity tag, else the date.
    fn condition(&self) -> Option<String> {
        let date = || self.modified.map(httpdate::fmt_http_date);
        self.etag.clone().or_else(date)
    }
}

/// A source that sent bad pieces of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blame {
    /// Who.
    pub sender: SourceId,
    /// How many in all.
    pub times: u32,
    /// How many since somebody asked last.
    pub news: u32,
}

/// What an answer to a range request says about the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It is the file's.
    Yes,
    /// The file changed.
    Changed,
    /// A mirror has another file there.
    Foreign,
}

/// The file on disk until it is complete.
#[derive(Debug)]
pub struct Part {
    /// Keeps other jobs off it; released before the handle, since its inode may be used again after that.
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub claim: Option<Claim>,
    /// Its handle, for reading and writing.
    pub file: File,
    /// The directory that it lies in.
    pub dir: OwnedFd,
    /// Its name there.
    pub name: Vec<u8>,
    /// Bytes that an earlier run left in it; 0 for a new one.
    pub left: u64,
    /// Pieces in it that the journal vouches for, where the server cannot.
    pub known: Vec<Range<u32>>,
}

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
}

#[derive(Debug)]
struct State {
    plan: Plan,
    /// Values of the pieces as they are here, computed from what arrived or what lay on disk.
    local: Vec<Option<Value>>,
    /// Values as the server tells them, in order, as far as they have come.
    remote: Vec<Value>,
    values: Values,
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
                connections: 0,
            }),
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
            state.counted += bytes;
            self.done.add(bytes);
        }
        state.plan.add_free(begun..count);
        (begun > 0).then(|| state.plan.begin_with(0..begun, Instant::now()))
    }

    /// Bytes that an earlier run left in the part, to be judged by [`Self::check_left`].
    pub fn left(&self) -> u64 {
        if self.facts.has_values() {
            self.part.left.min(self.facts.size)
        } else {
            0
        }
    }

    /// Hashes what an earlier run left, piece by piece; pieces beyond it are freed at once. Blocking,
    /// until `cancel`.
    pub fn check_left(&self, cancel: &CancellationToken) -> Result<(), Error> {
        let count = pieces::count(self.facts.size);
        let whole = (0..count)
            .take_while(|index| self.end_of(*index) <= self.left())
            .count() as u32;
        self.state().plan.add_free(whole..count);
        let mut buffer = vec![0; 256 * 1024];
        for index in 0..whole {
            if cancel.is_cancelled() || self.state().over {
                return Ok(());
            }
            let start = u64::from(index) * pieces::PIECE;
            if !self.compares && disk::is_hole(&self.part.file, start, self.end_of(index)) {
                // Reserved but never received: hashing zeros would only take time.
                self.state().plan.add_free(index..index + 1);
                continue;
            }
            let (mut hasher, mut at) = (PieceHasher::new(index), u64::from(index) * pieces::PIECE);
            while at < self.end_of(index) {
                let step = (self.end_of(index) - at).min(buffer.len() as u64) as usize;
                let read = self.part.file.read_exact_at(&mut buffer[..step], at);
                read.map_err(|error| Error::disk(self.part_path(), &error))?;
                hasher.update(&buffer[..step]);
                at += step as u64;
            }
            let mut state = self.state();
            state.local[index as usize] = Some(hasher.value());
            self.judge_left(&mut state, index);
        }
        Ok(())
    }

    fn end_of(&self, index: u32) -> u64 {
        u64::from(index) * pieces::PIECE + pieces::len(self.facts.size, index)
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
            drop(state);
            self.write_at(at, bytes)?;
            state = self.state();
        }
        self.count(&mut state, bytes.len() as u64);
        Ok(true)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let written = self.part.file.write_all_at(bytes, at);
        written.map_err(|error| Error::disk(self.part_path(), &error))
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
        if state.over || !state.plan.wants(run, piece) {
            // Another connection was first: its bytes are there.
            if raced.is_none() {
                Self::uncount_in(&mut state, &self.done, pieces::len(self.facts.size, piece));
            }
            return Ok(());
        }
        if let Some(bytes) = raced {
            self.write_at(u64::from(piece) * pieces::PIECE, bytes)?;
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

    /// What an answer of `source` to a request for some of the pieces says about the file. A mirror's first one must
    /// agree with what the file was opened as where its bytes are not judged one by one, nor all of them in the end.
    pub fn fit(&self, source: SourceId, head: &ResponseHead) -> Fit {
        if source == self.facts.source {
            return if self.facts.agree(head) {
                Fit::Yes
            } else {
                Fit::Changed
            };
        }
        let told = Validators::of(head);
        let mut state = self.state();
        let mut mirrors = state.mirrors.iter();
        if let Some((_, before)) = mirrors.find(|(of, _)| *of == source) {
            return if before.agree(&told) {
                Fit::Yes
            } else {
                Fit::Foreign
            };
        }
        let judged = self.facts.has_values()
            || self.task.failures == 0
                && (self.facts.digest.is_some() || self.task.checksum.is_some());
        if judged || self.facts.validators().coincide(&told) {
            state.mirrors.push((source, told));
            return Fit::Yes;
        }
        Fit::Foreign
    }

    /// A source turned out to have no such file: it is not asked for it again. True the first time.
    pub fn exclude(&self, source: SourceId) -> bool {
        let mut state = self.state();
        let first = !state.excluded.contains(source);
        state.excluded.insert(source);
        first
    }

    /// The sources that sent bad pieces since the last call.
    pub fn take_blamed(&self) -> Vec<Blame> {
        let mut state = self.state();
        let blamed = state.blamed.iter().copied().filter(|one| one.news > 0);
        let blamed = blamed.collect();
        state.blamed.iter_mut().for_each(|one| one.news = 0);
        blamed
    }

    /// Who told the values of the pieces, or is about to.
    pub fn teller(&self) -> SourceId {
        self.state().teller
    }

    /// The server's value of the next piece has come.
    pub fn value_received(&self, value: Value) -> Result<(), Error> {
        let mut state = self.state();
        let piece = state.remote.len() as u32;
        state.remote.push(value);
        if state.plan.is_done(piece) {
            self.judge(&mut state, piece)
        } else {
            self.judge_left(&mut state, piece);
            Ok(())
        }
    }

    /// All values have come, and `root` after them: they must merge to it.
    pub fn values_complete(&self, root: [u8; 32]) -> Result<(), Error> {
        let mut state = self.state();
        if pieces::root(&state.remote).as_bytes() != &root {
            return Err(Error::Integrity { piece: None });
        }
        state.values = Values::Settled;
        (0..state.remote.len() as u32).try_for_each(|piece| {
            if state.plan.is_done(piece) {
                self.judge(&mut state, piece)
            } else {
                Ok(())
            }
        })
    }

    /// The values did not come whole: they are asked for again.
    pub fn values_failed(&self) {
        let mut state = self.state();
        if state.values == Values::Asked {
            state.values = Values::Unasked;
            // The next answer begins with the first value again.
            state.remote.clear();
        }
    }

    /// Compares a received piece with the server's value, where both are known. Before the values are known to
    /// merge to the root, one that differs may be wrong itself: the verdict waits.
    fn judge(&self, state: &mut State, piece: u32) -> Result<(), Error> {
        let (Some(Some(local)), Some(remote)) = (
            state.local.get(piece as usize),
            state.remote.get(piece as usize),
        ) else {
            return Ok(());
        };
        if local == remote || state.values != Values::Settled {
            return Ok(());
        }
        state.plan.reject(piece);
        state.local[piece as usize] = None;
        let sender = state.senders[piece as usize];
        match state.blamed.iter_mut().find(|known| known.sender == sender) {
            Some(known) => (known.times, known.news) = (known.times + 1, known.news + 1),
            None => state.blamed.push(Blame {
                sender,
                times: 1,
                news: 1,
            }),
        }
        Self::uncount_in(state, &self.done, pieces::len(self.facts.size, piece));
        let times = if let Some((_, times)) = state.bad.iter_mut().find(|(bad, _)| *bad == piece) {
            *times += 1;
            *times
        } else {
            state.bad.push((piece, 1));
            1
        };
        tracing::warn!(path = %self.task.shown(), "piece {piece} bad, try {times} of {}", self.retries + 1);
        if times > self.retries {
            Err(Error::Integrity { piece: Some(piece) })
        } else {
            Ok(())
        }
    }

    /// Compares a piece that lay on disk with the server's value: equal ones are done, others are fetched.
    fn judge_left(&self, state: &mut State, piece: u32) {
        let (Some(Some(local)), Some(remote)) = (
            state.local.get(piece as usize),
            state.remote.get(piece as usize),
        ) else {
            return;
        };
        if local == remote {
            state.plan.add_done(piece);
            let bytes = pieces::len(self.facts.size, piece);
            state.counted += bytes;
            self.done.add(bytes);
        } else if self.compares {
            state.differs = true;
            state.halt.cancel();
        } else {
            state.local[piece as usize] = None;
            state.plan.add_free(piece..piece + 1);
        }
    }

    /// True once, for the caller that finds that a compared file differs.
    pub fn claim_difference(&self) -> bool {
        let mut state = self.state();
        let first = state.differs && !state.over;
        if first {
            state.over = true;
            let counted = state.counted;
            Self::uncount_in(&mut state, &self.done, counted);
        }
        first
    }

    /// True once, for the caller that finds the file complete and checked: it lands it.
    pub fn claim_landing(&self) -> bool {
        let mut state = self.state();
        let all_judged = !self.facts.has_values() || state.remote.len() == state.local.len();
        let ready = !state.over
            && state.plan.is_complete()
            && state.values == Values::Settled
            && all_judged;
        if ready {
            state.over = true;
            state.halt.cancel();
        }
        ready
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

    /// Syncs the complete part, names it by the conflict rule, and syncs its directory. Blocking.
    pub fn land(&self) -> Result<(Vec<u8>, Verified), Error> {
        use std::os::fd::AsFd;
        if self.compares {
            return Ok((self.part.name.clone(), Verified::Present));
        }
        let failed = |error: &std::io::Error| Error::disk(self.part_path(), error);
        if let Some(time) = self.facts.modified {
            disk::set_modified(&self.part.file, time).map_err(|error| failed(&error))?;
        }
        // Pieces were checked as they came; other digests are of the whole file.
        let told = if self.facts.has_values() {
            None
        } else {
            self.facts.digest.as_ref()
        };
        for digest in told.into_iter().chain(self.task.checksum.as_deref()) {
            if !digest
                .matches_file(&self.part.file)
                .map_err(|error| failed(&error))?
            {
                return Err(Error::Integrity { piece: None });
            }
        }
        self.part.file.sync_data().map_err(|error| failed(&error))?;
        let dir = self.part.dir.as_fd();
        let landed = self.target.land_part(
            dir,
            &self.part.file,
            &self.part.name,
            self.task.local_name(),
        );
        let landed = landed.map_err(|error| failed(&error))?;
        disk::sync_dir(dir).map_err(|error| failed(&error))?;
        let verified = match (
            self.facts.has_values(),
            told.or(self.task.checksum.as_deref()),
        ) {
            (true, _) | (_, Some(Digest::Blake3(_))) => Verified::Blake3,
            (false, Some(_)) => Verified::Digest,
            (false, None) => Verified::Unverified,
        };
        Ok((landed.name, verified))
    }

    /// The first byte of `run`, and the one behind its last.
    pub fn bytes_of(&self, run: &Range<u32>) -> (u64, u64) {
        let end = u64::from(run.end) * pieces::PIECE;
        (
            u64::from(run.start) * pieces::PIECE,
            end.min(self.facts.size),
        )
    }

    /// What a range request carries so that it fails when the file has changed: `If-Match` for a server of our kind,
    /// which then answers 412, `If-Range` for others, which then answer 200.
    pub fn validators(&self, source: SourceId) -> (Option<&str>, Option<String>) {
        if source != self.facts.source {
            let state = self.state();
            let mut mirrors = state.mirrors.iter();
            let known = mirrors.find(|(of, _)| *of == source);
            return (None, known.and_then(|(_, told)| told.condition()));
        }
        if self.facts.pieces {
            (self.facts.etag.as_deref(), None)
        } else {
            (None, self.facts.content().map(|content| content.validator))
        }
    }

    /// Whether the part should be synced now, so that a later run can go on with it. True once for each time.
    pub fn is_sync_due(&self) -> bool {
        let mut state = self.state();
        let (at, bytes) = state.synced;
        let due = bytes > 0
            && (bytes >= SYNC_BYTES || at.elapsed() >= SYNC_TIME)
            && self.facts.content().is_some();
        if due {
            state.synced = (Instant::now(), 0);
        }
        due
    }

    /// Syncs the part; the content it is of and the pieces that are on disk for certain now. Blocking.
    pub fn sync(&self) -> Result<Option<Synced>, Error> {
        let Some(content) = self.facts.content() else {
            return Ok(None);
        };
        // What is done before the sync is what the sync covers.
        let done = self.state().plan.done();
        self.part
            .file
            .sync_data()
            .map_err(|error| Error::disk(self.part_path(), &error))?;
        Ok(Some((content, done)))
    }

    /// Everything is on disk already: it came in one answer of unknown size.
    pub fn all_received(&self) {
        let mut state = self.state();
        (0..pieces::count(self.facts.size)).for_each(|piece| state.plan.add_done(piece));
        // The caller has added them to the counter.
        state.counted = self.facts.size;
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
