//! Holding pieces against the values that the server tells: those that arrive, and those that lay on disk.

use std::os::unix::fs::FileExt;

use tokio_util::sync::CancellationToken;

use super::{Blame, Job, State, Values};
use crate::{
    client::{
        Error,
        proof::{Gap, Proof},
    },
    pieces::{self, PieceHasher, Value},
    sys::disk,
};

impl Job {
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
        self.state().left_hashed = true;
        Ok(())
    }

    fn end_of(&self, index: u32) -> u64 {
        u64::from(index) * pieces::PIECE + pieces::len(self.facts.size, index)
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
        state.root = Some(root.into());
        (0..state.remote.len() as u32).try_for_each(|piece| {
            if state.plan.is_done(piece) {
                self.judge(&mut state, piece)
            } else {
                Ok(())
            }
        })
    }

    /// Bytes from the front that are here and were held against values that merge to their root. None of a file that
    /// must have a digest that was given: until all of it is here, another server may be right.
    pub fn checked_prefix(&self) -> u64 {
        let state = self.state();
        if state.root.is_none() || self.task.checksum.is_some() {
            return 0;
        }
        let both = state.local.iter().zip(&state.remote);
        let equal = both.take_while(|(local, remote)| local.as_ref() == Some(*remote));
        (equal.count() as u32)
            .checked_sub(1)
            .map_or(0, |last| self.end_of(last))
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
    pub(super) fn judge(&self, state: &mut State, piece: u32) -> Result<(), Error> {
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

    /// For the caller that finds the file complete, once: the proof with which it lands. A landing that does not hold is
    /// a fault of this program: it is logged as one, what is missing is free to be fetched again, and after too many of
    /// them the job fails.
    pub fn claim_landing(&self) -> Result<Option<Proof>, Error> {
        let mut state = self.state();
        let told = !self.facts.has_values() || state.root.is_some();
        if state.over || !told || !state.plan.is_complete() {
            return Ok(None);
        }
        match self.prove(&state) {
            Ok(proof) => {
                state.over = true;
                state.halt.cancel();
                Ok(Some(proof))
            }
            Err(gap) => self.stop_landing(&mut state, &gap).map(|()| None),
        }
    }

    fn prove(&self, state: &State) -> Result<Proof, Gap> {
        match state.root {
            Some(root) => Proof::of_values(&state.local, &state.remote, root),
            None => Proof::of_ranges(
                self.facts.size,
                |piece| state.plan.is_done(piece),
                &state.written,
            ),
        }
    }

    fn stop_landing(&self, state: &mut State, gap: &Gap) -> Result<(), Error> {
        tracing::error!(path = %self.task.shown(), "it was taken for complete, but {gap}: a fault of haul, please report it; what is missing is fetched again");
        let missing = gap.pieces();
        for piece in &missing {
            let bytes = pieces::len(self.facts.size, *piece);
            if state.plan.is_done(*piece) {
                Self::uncount_in(state, &self.done, bytes);
            }
            let start = u64::from(*piece) * pieces::PIECE;
            state.written.remove(start..start + bytes);
            state.plan.fetch_again(*piece);
            if let Some(value) = state.local.get_mut(*piece as usize) {
                *value = None;
            }
        }
        state.stopped_landings += 1;
        if missing.is_empty() || state.stopped_landings > self.retries {
            return Err(Error::Integrity {
                piece: Some(missing.first().copied().unwrap_or_default()),
            });
        }
        Ok(())
    }
}
