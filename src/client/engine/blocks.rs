//! Of pieces that differ from what lies here in a little, only the blocks that differ are fetched.

use std::{collections::BTreeSet, future::Future, ops::Range, sync::Arc};

use futures_util::future;

use super::{Engine, Server};
use crate::{
    client::{
        Error,
        disk::part::OpenPart,
        id::FileId,
        net::{document::Asking, line::Line},
        schedule::Phase,
    },
    pieces::{
        self, PIECE, Value,
        blocks::{self, BLOCK},
    },
};

/// Pieces that are looked at before all are: spread over those that differ.
const SAMPLE: usize = 16;
/// If fewer than one of so many blocks of the sample are here, the others are not looked at.
const SAMPLE_HERE: usize = 8;
/// Of a piece of which fewer than one of so many blocks are here, all is fetched, in one answer with its neighbours.
const PIECE_HERE: usize = 4;
/// Ranges that are asked for at once: with what the server has to say to each, no more than sockets hold.
const RANGES_MAX: usize = 128;

/// A piece that is being completed.
struct Patch {
    piece: u32,
    /// Values of its blocks as the server tells them, which merge to the piece's.
    told: Vec<Value>,
    /// What of it is fetched: whole blocks.
    missing: Vec<Range<u64>>,
    fetched: u64,
}

/// Who patches one transfer.
struct Patching<'a> {
    engine: &'a Arc<Engine>,
    server: &'a Server,
    file: FileId,
    part: &'a OpenPart,
    /// The values of all pieces.
    values: &'a [Value],
    /// Pieces that are neither completed nor left to be fetched whole.
    open: BTreeSet<u32>,
    buffer: Vec<u8>,
    /// Blocks of the pieces that were looked at, and those of them that are here.
    looked_at: usize,
    here: usize,
    /// Pieces that were completed, and the bytes that were fetched for that.
    completed: u32,
    fetched: u64,
}

impl Engine {
    /// Completes pieces that differ in a little. Ends early where that is no use; what is not completed is fetched whole. Blocking.
    pub(super) fn patch(self: &Arc<Self>, file: FileId, part: &OpenPart) -> Result<(), Error> {
        let Some((open, values)) = self.look(|schedule| schedule.transfer(file)?.sought()) else {
            return Ok(());
        };
        let open: BTreeSet<_> = open
            .into_iter()
            .filter(|piece| part.has_some(*piece))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let server = self.beside(part)?;
        let mut patching = Patching {
            engine: self,
            server: &server,
            file,
            part,
            values: &values,
            open,
            buffer: Vec::new(),
            looked_at: 0,
            here: 0,
            completed: 0,
            fetched: 0,
        };
        // On a thread that may block, as all of this.
        let ran = self.runtime.block_on(self.unless_stopped(patching.run()));
        let (completed, fetched) = (patching.completed, crate::units::size(patching.fetched));
        if completed > 0 {
            tracing::info!(path = %part.task.shown(), "{completed} pieces differ in some blocks only, which were fetched: {fetched}");
        }
        ran
    }

    /// The server that a file is asked of beside the schedule's connections.
    pub(super) fn beside(&self, part: &OpenPart) -> Result<Arc<Server>, Error> {
        let facts = &part.facts;
        if !facts.ranges || part.task.led_to(facts.source).is_some() {
            return Err(Error::Protocol("no ranges of it are to be had".into()));
        }
        Ok(self.server(facts.source))
    }

    /// A connection of its own for what is asked of a file beside the schedule's.
    pub(super) async fn line<'a>(
        &'a self,
        server: &'a Server,
        part: &'a OpenPart,
    ) -> Result<Line<'a>, Error> {
        let asking = Asking {
            first: &server.origin,
            access: &self.settings.access,
            silence: self.settings.timeout,
            pace: &self.pace,
        };
        let line = asking.line(&part.task.path, part.facts.etag.as_deref());
        let mut line = line.await?;
        line.set_pace(self.pace_of(part.task.item));
        Ok(line)
    }

    /// What comes of `work`, unless everything ends before.
    pub(super) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Error::Changed),
            done = work => done,
        }
    }

    /// Counts bytes that were received beside the schedule's connections.
    pub(super) fn count_beside(&self, server: &Server, bytes: u64) {
        self.received.add(bytes);
        server.received.add(bytes);
    }
}

impl Patching<'_> {
    /// A sample first, then all others in order.
    async fn run(&mut self) -> Result<(), Error> {
        let step = self.open.len().div_ceil(SAMPLE);
        let sample: Vec<_> = self.open.iter().copied().step_by(step).collect();
        self.all(batches(sample)).await?;
        if self.here * SAMPLE_HERE < self.looked_at {
            return Ok(());
        }
        let others = batches(self.open.iter().copied());
        self.all(others).await
    }

    /// Looks at all of these, and goes on over new connections as long as each brings something.
    async fn all(&mut self, batches: Vec<Range<u32>>) -> Result<(), Error> {
        let mut at = 0;
        loop {
            let before = at;
            match self.some(&batches, &mut at).await {
                Err(error) if error.is_transient() && at > before => {}
                ended => return ended,
            }
        }
    }

    /// Looks at batches from the one at `at` on, which follows what is done. The values of the next one are asked for while
    /// one is completed.
    async fn some(&mut self, batches: &[Range<u32>], at: &mut usize) -> Result<(), Error> {
        let (engine, server, size) = (self.engine, self.server, self.part.facts.size);
        let Some(first) = batches.get(*at) else {
            return Ok(());
        };
        let mut ahead = engine.line(server, self.part).await?;
        let mut line = engine.line(server, self.part).await?;
        let mut told = ahead.blocks(first.clone(), size).await?;
        loop {
            let batch = batches[*at].clone();
            let next = batches.get(*at + 1).cloned();
            let next = async {
                match next {
                    Some(next) => ahead.blocks(next, size).await.map(Some),
                    None => Ok(None),
                }
            };
            let (next, done) = future::join(next, self.batch(&mut line, batch, told)).await;
            if !done? {
                return Ok(());
            }
            *at += 1;
            match next? {
                Some(next) => told = next,
                None => return Ok(()),
            }
        }
    }

    /// Completes pieces of which the server told the blocks' values. False where the transfer has ended.
    async fn batch(
        &mut self,
        line: &mut Line<'_>,
        batch: Range<u32>,
        told: Vec<Value>,
    ) -> Result<bool, Error> {
        let mut told = told.as_slice();
        let mut patches = Vec::new();
        let mut ranges = 0;
        for piece in batch {
            let count = blocks::blocks(pieces::len(self.part.facts.size, piece));
            let (own, rest) = told.split_at_checked(count).unwrap_or_default();
            told = rest;
            // What is done, or was looked at already, lies between those of this batch.
            if !self.open.contains(&piece) {
                continue;
            }
            let Some(patch) = self.compare(piece, own)? else {
                self.open.remove(&piece);
                continue;
            };
            ranges += patch.missing.len();
            patches.push(patch);
            if ranges >= RANGES_MAX {
                ranges = 0;
                if !self.complete(line, std::mem::take(&mut patches)).await? {
                    return Ok(false);
                }
            }
        }
        self.complete(line, patches).await
    }

    /// What of a piece is to be fetched; `None` where that is most of it.
    fn compare(&mut self, piece: u32, told: &[Value]) -> Result<Option<Patch>, Error> {
        if told.is_empty() || blocks::piece_value(told) != self.values[piece as usize] {
            return Err(Error::Protocol(
                "the values of its blocks are not those of its pieces".into(),
            ));
        }
        let (start, bytes) = (
            u64::from(piece) * PIECE,
            pieces::len(self.part.facts.size, piece),
        );
        self.part
            .read_into(start, bytes as usize, &mut self.buffer)?;
        let own = blocks::values(start, &self.buffer);
        let mut missing: Vec<Range<u64>> = Vec::new();
        let mut differing = 0;
        for (at, _) in own
            .zip(told)
            .enumerate()
            .filter(|(_, (own, told))| own != *told)
        {
            differing += 1;
            let at = start + at as u64 * BLOCK;
            let end = (at + BLOCK).min(start + bytes);
            match missing.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => missing.push(at..end),
            }
        }
        let here = told.len() - differing;
        self.looked_at += told.len();
        self.here += here;
        Ok((here * PIECE_HERE >= told.len()).then(|| Patch {
            piece,
            told: told.to_vec(),
            missing,
            fetched: 0,
        }))
    }

    /// Fetches what is missing of these pieces. False where the transfer has ended.
    async fn complete(
        &mut self,
        line: &mut Line<'_>,
        mut patches: Vec<Patch>,
    ) -> Result<bool, Error> {
        if !self.may_go_on().await {
            return Ok(false);
        }
        let each = patches.iter().enumerate();
        let ranges =
            each.flat_map(|(of, patch)| patch.missing.iter().map(move |range| (of, range.clone())));
        let (of, ranges): (Vec<_>, Vec<_>) = ranges.unzip();
        let part = self.part;
        let take = |at: usize, bytes: Vec<u8>| {
            let patch = &mut patches[of[at]];
            let start = ranges[at].start;
            let first = ((start - u64::from(patch.piece) * PIECE) / BLOCK) as usize;
            let right = blocks::values(start, &bytes).zip(&patch.told[first..]);
            if !right.fold(true, |right, (came, told)| right & (came == *told)) {
                return Err(Error::Integrity {
                    piece: Some(patch.piece),
                });
            }
            part.write_guard().write(start, &bytes)?;
            patch.fetched += bytes.len() as u64;
            Ok(())
        };
        let fetched = line.ranges(&ranges, take).await;
        let came = patches.iter().map(|patch| patch.fetched).sum::<u64>();
        self.engine.count_beside(self.server, came);
        for patch in patches {
            let missing = patch.missing.iter().map(|range| range.end - range.start);
            if patch.fetched < missing.sum() {
                break;
            }
            // Every block was held against its value, as it was read from the part or came; these merge to the piece's.
            let value = blocks::piece_value(&patch.told);
            let goes_on = self.engine.with(|schedule| {
                schedule.left_piece(self.file, patch.piece, Some(value), patch.fetched)
            });
            if !goes_on {
                return Ok(false);
            }
            self.open.remove(&patch.piece);
            self.completed += 1;
            self.fetched += patch.fetched;
        }
        fetched.map(|()| true)
    }

    /// Waits while its item is paused. False where the transfer has ended.
    async fn may_go_on(&self) -> bool {
        loop {
            let changed = self.engine.changed.notified();
            match self
                .engine
                .look(|schedule| schedule.transfer(self.file).map(|it| it.phase))
            {
                Some(Phase::Halted) => changed.await,
                Some(Phase::Flowing) => return true,
                Some(Phase::Landing) | None => return false,
            }
        }
    }
}

/// Pieces as the ranges of them that one request each asks about: nothing between is asked for where that is much.
fn batches(pieces: impl IntoIterator<Item = u32>) -> Vec<Range<u32>> {
    let mut batches: Vec<Range<u32>> = Vec::new();
    for piece in pieces {
        match batches.last_mut() {
            // A value costs its server some hashing, and a request costs a round trip.
            Some(last) if piece - last.end < 2 && piece - last.start < blocks::PIECES_MAX => {
                last.end = piece + 1
            }
            _ => batches.push(piece..piece + 1),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_asked_about_in_runs_with_small_gaps() {
        assert_eq!(batches([]), []);
        assert_eq!(batches([3, 4, 6, 9]), [3..7, 9..10]);
        assert_eq!(batches(0..130), [0..64, 64..128, 128..130]);
    }
}
