//! Whether a file's pieces are the server's: values of both sides, and whom to blame.
//!
//! Values and bytes travel side by side, in any order. A piece counts once it is whole; where the server offers values it
//! is held against them as soon as both are known, and goes back where they differ. What an earlier run left on disk is
//! judged in the same way.

use rangemap::RangeSet;

use super::{SourceId, plan::Plan};
use crate::{
    client::{
        Error,
        facts::Facts,
        proof::{Gap, Proof},
    },
    pieces::{self, Value},
};

/// How far the values of a file's pieces are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// There are none, or they were checked up to the root.
    Settled,
    /// Nobody has asked for them, or the answer broke off.
    Unasked,
    /// A connection reads them.
    Asked,
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

/// What is known of a file's pieces.
#[derive(Debug)]
pub struct Verdict {
    size: u64,
    has_values: bool,
    /// Further tries for one piece.
    retries: u32,
    /// Values of the pieces as they are here, computed from what arrived or what lay on disk.
    local: Vec<Option<Value>>,
    /// Values as the server tells them, in order, as far as they have come.
    remote: Vec<Value>,
    /// How far those have come.
    pub values: Values,
    /// Who tells them, or told the file.
    pub teller: SourceId,
    /// What the values merge to: told after them, and checked against them when they were all here.
    root: Option<blake3::Hash>,
    /// Bytes that are in the part, where no values can prove it.
    written: RangeSet<u64>,
    /// Landings that did not hold.
    stopped: u32,
    /// How often each piece was bad; few entries, if any.
    bad: Vec<(u32, u32)>,
    /// Who sent each piece that is here; only where pieces are judged one by one.
    senders: Vec<SourceId>,
    blamed: Vec<Blame>,
}

impl Verdict {
    /// Nothing is known yet but the `facts`.
    pub fn new(facts: &Facts, retries: u32) -> Self {
        let has_values = facts.has_values();
        let count = if has_values {
            pieces::count(facts.size) as usize
        } else {
            0
        };
        Self {
            size: facts.size,
            has_values,
            retries,
            local: vec![None; count],
            remote: Vec::new(),
            values: if has_values {
                Values::Unasked
            } else {
                Values::Settled
            },
            teller: facts.source,
            root: None,
            written: RangeSet::new(),
            stopped: 0,
            bad: Vec::new(),
            senders: vec![facts.source; count],
            blamed: Vec::new(),
        }
    }

    /// Remembers bytes that are in the part: the second fact that a landing without values stands on.
    pub fn note_written(&mut self, at: u64, bytes: u64) {
        if bytes > 0 && !self.has_values {
            self.written.insert(at..at + bytes);
        }
    }

    /// A piece came whole from `sender`, with this value.
    pub fn received(
        &mut self,
        plan: &mut Plan,
        piece: u32,
        value: Value,
        sender: SourceId,
    ) -> Result<(), Error> {
        self.local[piece as usize] = Some(value);
        self.senders[piece as usize] = sender;
        self.judge(plan, piece)
    }

    /// A piece lay on disk, with this value. True where it is the server's, as far as that is known.
    pub fn left(&mut self, plan: &mut Plan, piece: u32, value: Value) -> Left {
        self.local[piece as usize] = Some(value);
        self.judge_left(plan, piece)
    }

    /// The server's value of the next piece has come.
    pub fn told(&mut self, plan: &mut Plan, value: Value) -> Result<Left, Error> {
        let piece = self.remote.len() as u32;
        if piece >= pieces::value_count(self.size) {
            return Err(Error::Protocol("the list of pieces is too long".into()));
        }
        self.remote.push(value);
        if plan.is_done(piece) {
            self.judge(plan, piece).map(|()| Left::Open)
        } else {
            Ok(self.judge_left(plan, piece))
        }
    }

    /// All values have come, and `root` after them, to which they must merge.
    pub fn told_all(&mut self, plan: &mut Plan, root: [u8; 32]) -> Result<(), Error> {
        let whole = self.remote.len() == self.local.len() && !self.remote.is_empty();
        if !whole || pieces::root(&self.remote).as_bytes() != &root {
            return Err(Error::Integrity { piece: None });
        }
        self.values = Values::Settled;
        self.root = Some(root.into());
        (0..self.remote.len() as u32).try_for_each(|piece| {
            if plan.is_done(piece) {
                self.judge(plan, piece)
            } else {
                Ok(())
            }
        })
    }

    /// The values did not come whole: the next answer begins with the first one again.
    pub fn broke_off(&mut self) {
        if self.values == Values::Asked {
            self.values = Values::Unasked;
            self.remote.clear();
        }
    }

    /// Bytes from the front that are here and were held against values that merge to their root.
    pub fn checked_prefix(&self) -> u64 {
        if self.root.is_none() {
            return 0;
        }
        let both = self.local.iter().zip(&self.remote);
        let equal = both.take_while(|(local, remote)| local.as_ref() == Some(*remote));
        let equal = equal.count() as u64;
        (equal * pieces::PIECE).min(self.size)
    }

    /// Compares a received piece with the server's value, where both are known. Before the values are known to
    /// merge to the root, one that differs may be wrong itself: the verdict waits.
    fn judge(&mut self, plan: &mut Plan, piece: u32) -> Result<(), Error> {
        let (Some(Some(local)), Some(remote)) = (
            self.local.get(piece as usize),
            self.remote.get(piece as usize),
        ) else {
            return Ok(());
        };
        if local == remote || self.values != Values::Settled {
            return Ok(());
        }
        plan.reject(piece);
        self.local[piece as usize] = None;
        let sender = self.senders[piece as usize];
        match self.blamed.iter_mut().find(|known| known.sender == sender) {
            Some(known) => (known.times, known.news) = (known.times + 1, known.news + 1),
            None => self.blamed.push(Blame {
                sender,
                times: 1,
                news: 1,
            }),
        }
        let times = if let Some((_, times)) = self.bad.iter_mut().find(|(bad, _)| *bad == piece) {
            *times += 1;
            *times
        } else {
            self.bad.push((piece, 1));
            1
        };
        tracing::warn!("piece {piece} bad, try {times} of {}", self.retries + 1);
        if times > self.retries {
            Err(Error::Integrity { piece: Some(piece) })
        } else {
            Ok(())
        }
    }

    /// Compares a piece that lay on disk with the server's value: equal ones are done, others are to be fetched.
    fn judge_left(&mut self, plan: &mut Plan, piece: u32) -> Left {
        let (Some(Some(local)), Some(remote)) = (
            self.local.get(piece as usize),
            self.remote.get(piece as usize),
        ) else {
            return Left::Open;
        };
        if local == remote {
            plan.add_done(piece);
            Left::Equal
        } else {
            self.local[piece as usize] = None;
            Left::Differs
        }
    }

    /// Values as the server tells them, as far as they have come.
    pub fn told_values(&self) -> &[Value] {
        &self.remote
    }

    /// The sources that sent bad pieces since the last call.
    pub fn take_blamed(&mut self) -> Vec<Blame> {
        let blamed = self.blamed.iter().copied().filter(|one| one.news > 0);
        let blamed = blamed.collect();
        self.blamed.iter_mut().for_each(|one| one.news = 0);
        blamed
    }

    /// Whether everything is known that a landing needs, but for the pieces themselves.
    pub fn is_told(&self) -> bool {
        !self.has_values || self.root.is_some()
    }

    /// That the file is whole, from what is known of each piece; see [`Proof`].
    pub fn prove(&self, plan: &Plan) -> Result<Proof, Gap> {
        match self.root {
            Some(root) => Proof::of_values(&self.local, &self.remote, root),
            None => Proof::of_ranges(self.size, |piece| plan.is_done(piece), &self.written),
        }
    }

    /// A landing did not hold: by a fault of this program, or since a Metalink's digests prove pieces wrong. What is missing is
    /// free to be fetched again, unless that happened too often.
    pub fn stop_landing(&mut self, plan: &mut Plan, gap: &Gap) -> Result<(), Error> {
        let missing = gap.pieces();
        for piece in &missing {
            let start = u64::from(*piece) * pieces::PIECE;
            let bytes = pieces::len(self.size, *piece);
            if bytes > 0 {
                self.written.remove(start..start + bytes);
            }
            plan.fetch_again(*piece);
            if let Some(value) = self.local.get_mut(*piece as usize) {
                *value = None;
            }
        }
        self.stopped += 1;
        if missing.is_empty() || self.stopped > self.retries {
            let piece = missing.first().copied().unwrap_or_default();
            return Err(Error::Integrity { piece: Some(piece) });
        }
        Ok(())
    }
}

/// What a piece that lay on disk turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Not known yet.
    Open,
    /// The server's.
    Equal,
    /// Something else.
    Differs,
}

#[cfg(test)]
mod tests;
