//! Of pieces that differ from what lies here in a little, only the blocks that differ are fetched.

mod patch;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    ops::Range,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{Either, select};

use super::{Engine, Server, beside::in_time, blocking::blocking};
use crate::{
    client::{
        Error, disk::part::OpenPart, id::FileId, net::side::SideConnection, schedule::backoff,
    },
    pieces::{self, Value, blocks},
};
use patch::{Patch, batches, compare};

/// Pieces that are looked at before all are: spread over those that differ.
const SAMPLE: usize = 16;
/// If fewer than one of so many blocks are here, of all that were looked at, no more are.
const WORTHWHILE: usize = 4;
/// Of a piece of which fewer than one of so many blocks are here, all is fetched by the schedule's connections.
const PIECE_HERE: usize = 2;
/// Failures in a row, with fewer than so many pieces completed between, after which the rest is fetched whole: a try costs values,
/// and reading what is here.
const TRIES: u32 = 3;
const BROUGHT_MIN: u32 = 16;
/// How long a server that lets this client wait is left alone, and how long one that asks for more is, at most.
const PAUSED: Duration = Duration::from_secs(2);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// How far an open piece is.
#[derive(Default)]
struct Came {
    /// Bytes of it that came.
    bytes: u64,
    /// It was looked at.
    seen: bool,
}

/// Who patches one transfer.
struct Patching<'a> {
    engine: &'a Arc<Engine>,
    server: &'a Server,
    file: FileId,
    part: &'a Arc<OpenPart>,
    /// The values of all pieces.
    values: Arc<[Value]>,
    /// Pieces that are neither completed nor left to be fetched whole.
    open: BTreeMap<u32, Came>,
    /// Blocks of the pieces that were looked at, and those of them that were here.
    looked_at: usize,
    here: usize,
    /// The server is too slow: others may be asked for the rest.
    slow: bool,
    /// Pieces that were completed, and the bytes that were fetched for that.
    completed: u32,
    fetched: u64,
}

impl Engine {
    /// Completes pieces that differ in a little; each that does not is free to be fetched at once.
    pub(super) async fn patch(
        self: &Arc<Self>,
        file: FileId,
        part: &Arc<OpenPart>,
    ) -> Result<(), Error> {
        let sought = self.look(|schedule| schedule.transfer(file)?.sought());
        let Some((open, values)) = sought.filter(|(open, _)| !open.is_empty()) else {
            return Ok(());
        };
        let server = self.server_beside(part)?;
        let (some, nothing): (Vec<_>, Vec<_>) = {
            let part = Arc::clone(part);
            let look = move || Ok(open.into_iter().partition(|piece| part.has_some(*piece)));
            blocking(look).await?
        };
        self.with(|schedule| schedule.not_sought(file, &nothing));
        let mut patching = Patching {
            engine: self,
            server: &server,
            file,
            part,
            values: values.into(),
            open: some
                .into_iter()
                .map(|piece| (piece, Came::default()))
                .collect(),
            looked_at: 0,
            here: 0,
            slow: false,
            completed: 0,
            fetched: 0,
        };
        let ran = Box::pin(self.unless_stopped(patching.run())).await;
        let completed = crate::units::count(patching.completed.into());
        let fetched = crate::units::size(patching.fetched);
        if patching.completed > 0 {
            tracing::info!(path = %part.task.shown(), "pieces that differ in some blocks only: {completed}, for which {fetched} were fetched");
        }
        ran
    }
}

impl Patching<'_> {
    /// A sample first, then all others in order.
    async fn run(&mut self) -> Result<(), Error> {
        let step = self.open.len().div_ceil(SAMPLE).max(1);
        let sample = self.open.keys().copied().step_by(step).collect();
        if self.all(&sample).await? {
            let others = self.open.keys().copied().collect();
            self.all(&others).await?;
        }
        Ok(())
    }

    /// Looks at all of these that are open; whether it is worth while to go on. Waits while the item is paused, and tries again
    /// after failures that may pass, unless so many in a row bring nothing.
    async fn all(&mut self, pieces: &BTreeSet<u32>) -> Result<bool, Error> {
        let (engine, file) = (Arc::clone(self.engine), self.file);
        let mut failures = 0;
        while engine.is_flowing_again(file).await {
            let open = self.open.keys().copied();
            let batches = batches(open.filter(|piece| pieces.contains(piece)));
            let before = self.completed;
            let turn = async {
                let _turn = engine.searches.acquire().await;
                self.some(&batches).await
            };
            let ended = tokio::select! {
                biased;
                () = engine.flows_no_more(file) => continue,
                ended = turn => ended,
            };
            let error = match ended {
                Ok(goes_on) => return Ok(goes_on),
                Err(error) => error,
            };
            let brought = self.completed - before >= BROUGHT_MIN;
            failures = match error {
                _ if brought => 0,
                // Nobody is to blame, and nobody else has it.
                Error::Paused if engine.servers.len() == 1 && self.part.task.led.is_empty() => {
                    failures
                }
                _ => failures + 1,
            };
            if !error.is_transient() || failures == TRIES {
                return Err(error);
            }
            let pause = match &error {
                Error::Paused => PAUSED,
                Error::Status {
                    retry_after: Some(time),
                    ..
                } if *time > RETRY_AFTER_MAX => return Err(error),
                Error::Status {
                    retry_after: Some(time),
                    ..
                } => *time,
                // It brought much, and closed the connection.
                Error::Broken(_) if failures == 0 => Duration::ZERO,
                _ => backoff(failures.max(1), &mut fastrand::Rng::new()),
            };
            // A transfer that has ended is let go of at once: another may take its part up.
            tokio::select! {
                () = engine.flows_no_more(file) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        Ok(false)
    }

    /// Looks at some pieces: the values of the next batch are asked for while one is completed. False where most of what was
    /// looked at is not here, or cannot be told.
    async fn some(&mut self, batches: &[Vec<Range<u32>>]) -> Result<bool, Error> {
        let (engine, server, total) = (self.engine, self.server, self.part.facts.size);
        let Some(first) = batches.first() else {
            return Ok(true);
        };
        let mut side = engine.side(server, self.part).await?;
        // Who wants no more than one connection gets no more of these either.
        let mut ahead = if engine.settings.workers == 1 {
            None
        } else {
            Some(engine.side(server, self.part).await?)
        };
        // Values are few bytes: what they may take does not depend on how many.
        let time = self
            .engine
            .time_for(self.part, u64::from(blocks::PIECES_MAX) * 2048);
        let mut told = in_time(time, side.blocks(first, total))
            .await
            .unwrap_or(Ok(None))?;
        for (at, batch) in batches.iter().enumerate() {
            let Some(values) = told else {
                tracing::info!(path = %self.part.task.shown(), "its server tells no values of blocks, or not soon: pieces that differ are fetched whole");
                return Ok(false);
            };
            let next = batches.get(at + 1);
            told = match (&mut ahead, next) {
                (Some(ahead), Some(next)) => {
                    let next = async {
                        let told = in_time(time, ahead.blocks(next, total)).await;
                        told.unwrap_or(Ok(None))
                    };
                    both(self.batch(&mut side, batch, values), next).await?
                }
                (None, Some(next)) => {
                    self.batch(&mut side, batch, values).await?;
                    let told = in_time(time, side.blocks(next, total)).await;
                    told.unwrap_or(Ok(None))?
                }
                (_, None) => {
                    self.batch(&mut side, batch, values).await?;
                    return Ok(self.is_worthwhile());
                }
            };
            if !self.is_worthwhile() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_worthwhile(&self) -> bool {
        !self.slow && self.here * WORTHWHILE >= self.looked_at
    }

    /// Completes pieces of which the server told the blocks' values, for each range of them.
    async fn batch(
        &mut self,
        side: &mut SideConnection<'_>,
        batch: &[Range<u32>],
        told: Vec<Vec<Value>>,
    ) -> Result<(), Error> {
        let bytes = told.iter().flatten().count() as u64 * 32;
        self.engine.count_beside(self.server, bytes);
        let (part, values) = (Arc::clone(self.part), Arc::clone(&self.values));
        let pieces: Vec<_> = batch.iter().cloned().flatten().collect();
        let compared = blocking(move || {
            let mut told = told.iter().flatten().copied();
            let mut buffer = Vec::new();
            let each = pieces.into_iter().map(|piece| {
                let count = blocks::count(pieces::len(part.facts.size, piece));
                let told = told.by_ref().take(count).collect();
                compare(&part, piece, &values, told, &mut buffer)
            });
            each.collect::<Result<Vec<_>, _>>()
        });
        let mut whole = Vec::new();
        let mut patches = compared.await?;
        patches.retain(|patch| {
            let differing = patch.differing();
            let here = patch.told.len() - differing;
            let came = self.open.get_mut(&patch.piece);
            if came.is_some_and(|came| !std::mem::replace(&mut came.seen, true)) {
                self.looked_at += patch.told.len();
                self.here += here;
            }
            let worthwhile = here * PIECE_HERE >= patch.told.len();
            if !worthwhile {
                whole.push(patch.piece);
            }
            worthwhile
        });
        for piece in &whole {
            self.open.remove(piece);
        }
        self.engine
            .with(|schedule| schedule.not_sought(self.file, &whole));
        let missing = patches.iter().flat_map(|patch| &patch.missing);
        let bytes = missing.map(|range| range.end - range.start).sum();
        let time = self.engine.time_for(self.part, bytes);
        let completed = in_time(time, self.complete(side, patches)).await;
        self.slow = completed.is_none();
        completed.unwrap_or(Ok(()))
    }

    /// Fetches what is missing of these pieces.
    async fn complete(
        &mut self,
        side: &mut SideConnection<'_>,
        mut patches: Vec<Patch>,
    ) -> Result<(), Error> {
        let each = patches.iter().enumerate();
        let missing = each.flat_map(|(of, patch)| {
            let ranges = patch.missing.iter().cloned();
            ranges.map(move |range| (of, range))
        });
        let (of, ranges): (Vec<_>, Vec<_>) = missing.unzip();
        // What needs nothing is complete already.
        for patch in &patches {
            self.tell(patch);
        }
        let take = |at: usize, bytes: Vec<u8>| {
            let patch = &mut patches[of[at]];
            self.engine.count_beside(self.server, bytes.len() as u64);
            self.part.patch(
                patch.piece,
                ranges[at].start,
                &bytes,
                &patch.told,
                &mut patch.here,
            )?;
            if let Some(came) = self.open.get_mut(&patch.piece) {
                came.bytes += bytes.len() as u64;
            }
            self.tell(patch);
            Ok(())
        };
        side.ranges(&ranges, take).await
    }

    /// Says that a piece is here, if it is.
    fn tell(&mut self, patch: &Patch) {
        // Each block was hashed as it was read from the part, or as it came and was written.
        if patch.here != patch.told {
            return;
        }
        let Some(Came { bytes: fetched, .. }) = self.open.remove(&patch.piece) else {
            return;
        };
        let value = Some(blocks::piece_value(&patch.here));
        self.engine
            .with(|schedule| schedule.left_piece(self.file, patch.piece, value, fetched));
        self.completed += 1;
        self.fetched += fetched;
    }
}

/// What `next` brings, once `work` is done; where that fails, `next` is not waited for.
async fn both<T>(
    work: impl Future<Output = Result<(), Error>>,
    next: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match select(pin!(work), pin!(next)).await {
        Either::Left((done, next)) => {
            done?;
            next.await
        }
        Either::Right((next, work)) => {
            work.await?;
            next
        }
    }
}
