//! One large file under way: its plan, what is known of its pieces, its mirrors and its tries. No bytes.

mod ask;
mod left;
mod mend;
mod senders;
mod step;

use std::{
    ops::Range,
    time::{Duration, Instant},
};

pub use left::Elsewhere;
use senders::Senders;
pub use step::{Asker, Step};

use super::{
    FileId, SourceId, SourceSet,
    order::Opened,
    plan::{Plan, Run, RunId},
    verdict::Verdict,
};
use crate::{
    client::{
        Error,
        facts::{Facts, Validators},
        proof::Proof,
        task::FileTask,
    },
    pieces::{self, Value},
};

/// Parts that only the journal can vouch for are synced after so many bytes or so much time: that much may be fetched
/// again after a crash.
const SYNC_BYTES: u64 = 256 << 20;
const SYNC_TIME: Duration = Duration::from_secs(5);

/// How a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connections fetch it, or will.
    Flowing,
    /// Its item is paused.
    Halted,
    /// It is complete, and on its way to its name.
    Landing,
}

/// A file that is fetched in runs of pieces.
#[derive(Debug)]
pub struct Transfer {
    /// Names it.
    pub id: FileId,
    /// What is fetched.
    pub task: FileTask,
    /// What the first answer told.
    pub facts: Facts,
    /// How it stands.
    pub phase: Phase,
    /// Who fetches what.
    pub plan: Plan,
    /// Whether its pieces are the server's.
    pub verdict: Verdict,
    /// The part is a whole file under its final name: it is compared, and nothing is fetched.
    pub compares: bool,
    /// Bytes that an earlier run left in the part, to be judged.
    left: u64,
    /// What lay on disk was hashed.
    left_hashed: bool,
    /// Bytes of it that are the server's, where the file that is replaced gives them.
    kept: Option<u64>,
    /// Whether what differs is looked for elsewhere in that file.
    elsewhere: Elsewhere,
    /// Sources that have no such file.
    pub excluded: SourceSet,
    /// Who sent which pieces, where a Metalink's digests judge them in the end.
    senders: Senders,
    /// What mirrors' answers said of the file.
    mirrors: Vec<(SourceId, Validators)>,
    /// Failures in a row, and the time before which it is not tried again.
    failures: u32,
    not_before: Option<Instant>,
    /// The same for its values alone, while pieces flow.
    values_not_before: Option<Instant>,
    /// Pieces that were done when the values were asked for last.
    done_before_values: u32,
    /// When the part was synced last, and bytes received since then; only where the journal needs it.
    synced: (Instant, u64),
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

impl Transfer {
    /// A file whose part was opened. Nothing is free to be fetched before [`Self::start`].
    pub fn new(id: FileId, mut task: FileTask, opened: Opened, retries: u32, now: Instant) -> Self {
        task.refusals = 0;
        task.opened();
        let Opened {
            facts,
            left,
            from_old,
            known,
            compares,
        } = opened;
        let left = if facts.has_values() {
            left.min(facts.size)
        } else {
            0
        };
        let mut plan = Plan::new(pieces::count(facts.size));
        let mut verdict = Verdict::new(&facts, if compares { 0 } else { retries });
        let count = pieces::count(facts.size);
        for piece in known.into_iter().flatten().filter(|piece| *piece < count) {
            plan.add_done(piece);
            let start = u64::from(piece) * pieces::PIECE;
            verdict.note_written(start, pieces::len(facts.size, piece));
        }
        Self {
            id,
            excluded: task.tried,
            senders: Senders::new(facts.judged_by(task.pieces.as_deref()).map_or(0, |_| count)),
            phase: Phase::Flowing,
            compares,
            left,
            left_hashed: false,
            kept: from_old.then(|| {
                let right = (0..count).filter(|piece| plan.is_done(*piece));
                right.map(|piece| pieces::len(facts.size, piece)).sum()
            }),
            elsewhere: Elsewhere::new(from_old && left > 0),
            mirrors: Vec::new(),
            failures: 0,
            not_before: None,
            values_not_before: None,
            done_before_values: 0,
            synced: (now, 0),
            plan,
            verdict,
            task,
            facts,
        }
    }

    /// Frees all pieces but the first `begun`, which the calling connection reads already; the run for those. Where an
    /// earlier run left something, only what lies behind that is free before it was hashed.
    pub fn start(&mut self, begun: u32, now: Instant) -> Option<Run> {
        let count = pieces::count(self.facts.size);
        if self.left > 0 {
            self.free(self.left_pieces()..count);
            return None;
        }
        self.plan.add_free(begun..count);
        if begun == 0 {
            return None;
        }
        let mut run = self.plan.begin_with(0..begun, now);
        if self.facts.ranges {
            self.plan.fetch_from(&mut run, self.facts.source);
        }
        Some(run)
    }

    /// Bytes that are here: whole pieces, and what has come of others.
    pub fn counted(&self) -> u64 {
        self.done_bytes() + self.plan.partial()
    }

    fn done_bytes(&self) -> u64 {
        let done = u64::from(self.plan.done_count());
        let last = pieces::count(self.facts.size).saturating_sub(1);
        let short = pieces::PIECE - pieces::len(self.facts.size, last).max(1);
        let short = if self.plan.is_done(last) { short } else { 0 };
        done * pieces::PIECE - short
    }

    /// Sources that are not asked for it: see [`FileTask::off`].
    pub fn off(&self) -> SourceSet {
        self.excluded.union(self.task.off())
    }

    /// Nothing of it is asked for before that. False where it waits already.
    pub fn wait(&mut self, now: Instant, until: Instant) -> bool {
        let news = self.not_before.is_none_or(|at| at <= now);
        self.not_before = self.not_before.max(Some(until));
        news
    }

    /// Whether `run` should still fetch `piece`. Of what is paused too: bytes that have come are kept, and who reads is
    /// interrupted.
    pub fn wants(&self, run: RunId, piece: u32) -> bool {
        self.phase != Phase::Landing && self.plan.wants(run, piece)
    }

    /// A run has received `piece` whole from `sender`, and it is in the part; its value, where there are values. True
    /// where the part should be synced, so that a later run can go on with it.
    pub fn piece_received(
        &mut self,
        (run, sender): (RunId, SourceId),
        piece: u32,
        value: Option<Value>,
        now: Instant,
    ) -> Result<bool, Error> {
        if self.plan.finish_piece(run, piece, now) {
            self.senders.note(piece, sender);
        }
        self.failures = 0;
        if self.task.led_to(sender).is_some() {
            self.task.refusals = 0;
        }
        if let Some(value) = value {
            self.verdict
                .received(&mut self.plan, piece, value, sender)?;
        }
        self.synced.1 += pieces::len(self.facts.size, piece);
        let (at, bytes) = self.synced;
        let due = (bytes >= SYNC_BYTES || now.saturating_duration_since(at) >= SYNC_TIME)
            && self.facts.content().is_some();
        if due {
            self.synced = (now, 0);
        }
        Ok(due)
    }

    /// Everything is on disk already: it came in one answer of unknown size.
    pub fn all_received(&mut self) {
        (0..pieces::count(self.facts.size)).for_each(|piece| self.plan.add_done(piece));
        self.verdict.note_written(0, self.facts.size);
    }

    /// Whether all is here and known that a landing needs, and it has not begun.
    pub fn is_complete(&self) -> bool {
        self.phase != Phase::Landing && self.verdict.is_told() && self.plan.is_complete()
    }

    /// The proof with which it lands, once it is complete. A landing that does not hold is a fault of this program: it is
    /// logged as one, what is missing is free to be fetched again, and after too many of them the transfer fails.
    pub fn claim_landing(&mut self) -> Result<Option<Proof>, Error> {
        if !self.is_complete() {
            return Ok(None);
        }
        match self.verdict.prove(&self.plan) {
            Ok(proof) => {
                self.phase = Phase::Landing;
                Ok(Some(proof))
            }
            Err(gap) => {
                tracing::error!(path = %self.task.shown(), "it was taken for complete, but {gap}: a fault of haul, please report it; what is missing is fetched again");
                self.verdict
                    .stop_landing(&mut self.plan, &gap)
                    .map(|()| None)
            }
        }
    }

    /// Whether an answer that had all of it was let go of before its end: without ranges there is no going on in the middle.
    pub fn is_cut_short(&self) -> bool {
        !self.facts.ranges && self.phase != Phase::Landing && !self.plan.is_complete()
    }

    /// The file, once the transfer has ended without it, with what its part holds.
    pub fn into_task(self) -> FileTask {
        let here = self.done_bytes();
        let stays = self.facts.has_values() || self.facts.content().is_some();
        let before = if self.is_judged() { 0 } else { self.task.kept };
        FileTask {
            kept: if stays && !self.compares {
                here.max(before)
            } else {
                0
            },
            ..self.task
        }
    }

    /// Pieces that a sync makes certain, where the journal has to vouch for them.
    pub fn worth_noting(&self) -> Option<Vec<Range<u32>>> {
        let noted = self.facts.content().is_some() && !self.compares;
        noted.then(|| self.plan.done())
    }

    /// Notes a failure and how long it is not tried again after it; how many came in a row without progress. Connections
    /// that break while a pause lasts are of the same outage: `None`.
    pub fn failed(
        &mut self,
        now: Instant,
        pause: impl FnOnce(u32) -> Duration,
    ) -> Option<(u32, Duration)> {
        if self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        self.failures += 1;
        let pause = pause(self.failures);
        self.not_before = Some(now + pause);
        Some((self.failures, pause))
    }

    /// The values did not come. True where pieces flow meanwhile: they are asked for again after `pause`, and nothing is
    /// counted.
    pub fn values_failed(&mut self, now: Instant, pause: Duration) -> bool {
        self.verdict.broke_off();
        let flows = self.plan.done_count() > self.done_before_values;
        if flows {
            self.values_not_before = Some(now + pause);
        }
        flows
    }

    /// Nothing waits for a later time any more.
    pub fn hurry(&mut self) {
        self.not_before = None;
        self.values_not_before = None;
    }

    /// The first byte of these pieces, and the one behind the last.
    pub fn bytes_of(&self, pieces: &Range<u32>) -> (u64, u64) {
        let end = u64::from(pieces.end) * pieces::PIECE;
        (
            u64::from(pieces.start) * pieces::PIECE,
            end.min(self.facts.size),
        )
    }
}

#[cfg(test)]
mod tests;
