//! Runs of a large file's pieces, and the values that they are held against.

use std::{sync::Arc, time::Instant};

use super::{Worker, answer::Reading};
use crate::{
    client::{
        Error,
        disk::part::OpenPart,
        facts::Validators,
        id::FileId,
        schedule::{Answered, Fault, Fit, Run},
    },
    http1::body_reader::Framing,
    pieces::{self, PIECE, PieceHasher, Preamble, Value},
};

impl Worker {
    pub(super) async fn run_answered(
        &mut self,
        reading: &mut Reading,
        file: FileId,
        run: Run,
    ) -> super::Answer {
        let engine = Arc::clone(&self.engine);
        let Some(part) = engine.part(file) else {
            // It ended meanwhile.
            return Err(Fault::Interrupted);
        };
        let facts = &part.facts;
        let start = u64::from(run.pieces.start) * PIECE;
        let first = start + run.skip;
        let end = (u64::from(run.pieces.end) * PIECE).min(facts.size);
        let head = &reading.head;
        let whole =
            head.status == 200 && first == 0 && head.framing == Some(Framing::Length(facts.size));
        // Less than was asked for is taken as well: the rest is asked for again.
        let given = match (head.status, head.range) {
            (206, Some(range)) if range.total.is_none_or(|total| total == facts.size) => range
                .bytes
                .and_then(|(from, last)| (from == first && last < end).then_some(last + 1)),
            _ => None,
        };
        let right = given.is_some() || whole && !facts.ranges;
        let fit = if right {
            let told = Validators::of(head);
            engine.with(|schedule| schedule.fit(file, self.source, told))
        } else if self.source == facts.source {
            Fit::Changed
        } else {
            Fit::Foreign
        };
        if fit == Fit::Yes {
            if let Some(given) = given.filter(|given| *given < end) {
                let whole = ((given - start) / PIECE) as u32;
                engine.with(|schedule| schedule.gave_less(self.slot, (file, run.id), whole));
                if whole == 0 {
                    reading.drain().await;
                    return Err(Fault::NoRanges);
                }
            }
            return self.read_run(reading, &part, run).await;
        }
        // What a redirect led to may serve it no more, and the first URL may lead elsewhere.
        let led = engine.look(|schedule| schedule.is_led(file, self.source));
        if !matches!(head.status, 200 | 206 | 404 | 410 | 412 | 416)
            || led && matches!(head.status, 404 | 410)
        {
            return Err(reading.fault().await);
        }
        reading.drain().await;
        Err(match fit {
            Fit::Foreign => Fault::Foreign,
            _ => Fault::Changed,
        })
    }

    /// Reads a run's body: hash, write, count, piece by piece.
    pub(super) async fn read_run(
        &mut self,
        reading: &mut Reading,
        part: &Arc<OpenPart>,
        mut run: Run,
    ) -> super::Answer {
        let engine = Arc::clone(&self.engine);
        let first = run.pieces.start;
        let Some(file) = engine.look(|schedule| schedule.file_of(self.slot)) else {
            return Err(Fault::Interrupted);
        };
        engine.with(|schedule| schedule.begin_run(file, &mut run, Instant::now()));
        if run.pieces.is_empty() || run.pieces.start != first {
            // What it begins with was done meanwhile.
            return Ok(Answered::Run {
                pieces: 0,
                took: std::time::Duration::ZERO,
            });
        }
        let began = Instant::now();
        let mut received = 0;
        let read = tokio::select! {
            biased;
            () = engine.interrupted(self.slot) => Err(Fault::Interrupted),
            read = self.read_pieces(reading, (file, part), &run, &mut received) => read.map_err(|error| Fault::of(error, None)),
        };
        read.map(|()| Answered::Run {
            pieces: received,
            took: began.elapsed(),
        })
    }

    /// Counts whole pieces into `received`.
    async fn read_pieces(
        &mut self,
        reading: &mut Reading,
        (file, part): (FileId, &OpenPart),
        run: &Run,
        received: &mut u32,
    ) -> Result<(), Error> {
        let checked = part.facts.has_values();
        let size = part.facts.size;
        let mut piece = run.pieces.start;
        // Bytes of the piece so far; a racer keeps them until they are whole.
        let (mut got, mut raced) = (run.skip, Vec::new());
        let mut hasher = PieceHasher::new(piece);
        if checked && run.skip > 0 {
            hasher.update(&part.read(u64::from(piece) * PIECE, run.skip as usize)?);
        }
        while let Some(range) = reading.connection.chunk(&mut reading.body).await? {
            self.count_received(range.len());
            let mut bytes = reading.connection.bytes(range);
            while !bytes.is_empty() {
                let length = pieces::len(size, piece);
                let now = bytes.len().min((length.max(got) - got) as usize);
                if now == 0 {
                    // The answer goes beyond the last piece.
                    return Ok(());
                }
                let at = u64::from(piece) * PIECE + got;
                let (mine, rest) = bytes.split_at(now);
                if checked {
                    hasher.update(mine);
                }
                let whole = got + now as u64 == length;
                if whole && !checked && reading.body.is_done() {
                    self.check_end(reading)?;
                }
                let value = (checked && whole).then(|| hasher.value());
                let write = if run.racing {
                    raced.extend_from_slice(mine);
                    whole.then_some((u64::from(piece) * PIECE, raced.as_slice()))
                } else {
                    Some((at, mine))
                };
                if !self.write((file, part), run, piece, write, whole.then_some(value))? {
                    return Ok(());
                }
                got += now as u64;
                bytes = rest;
                if whole {
                    raced.clear();
                    (got, piece) = (0, piece + 1);
                    *received += 1;
                    hasher = PieceHasher::new(piece);
                }
            }
        }
        self.check_all_came((file, run), piece, got)
    }

    /// An answer ended in `piece`, of which `got` bytes came. Without this, one that names more than it holds would be
    /// asked for for ever.
    fn check_all_came(
        &self,
        (file, run): (FileId, &Run),
        piece: u32,
        got: u64,
    ) -> Result<(), Error> {
        if piece < run.pieces.end && (got > 0 || self.wants(file, run, piece)) {
            let text = "the answer ends before the range that it names";
            return Err(Error::Protocol(text.into()));
        }
        Ok(())
    }

    fn wants(&self, file: FileId, run: &Run, piece: u32) -> bool {
        self.engine
            .look(|schedule| schedule.wants(file, run.id, piece))
    }

    /// Writes bytes of a piece, if `run` is still to fetch it, and says so; `whole` is the piece's value once it is whole.
    /// False where it is another connection's, or done, by now.
    #[expect(
        clippy::option_option,
        reason = "whole or not, and with a value or without"
    )]
    fn write(
        &self,
        (file, part): (FileId, &OpenPart),
        run: &Run,
        piece: u32,
        bytes: Option<(u64, &[u8])>,
        whole: Option<Option<Value>>,
    ) -> Result<bool, Error> {
        let guard = part.write_guard();
        let wanted = self.engine.look(|schedule| {
            schedule.wants(file, run.id, piece) && !schedule.is_dropped(self.slot)
        });
        if !wanted {
            return Ok(false);
        }
        let Some((at, bytes)) = bytes else {
            return Ok(true);
        };
        guard.write(at, bytes)?;
        self.engine.with(|schedule| {
            schedule.wrote(file, run.id, at, bytes.len() as u64);
            match whole {
                Some(value) => schedule
                    .piece_received(self.slot, (file, run.id), piece, value, Instant::now())
                    .map(|()| true),
                None => Ok(true),
            }
        })
    }

    pub(super) async fn values_answered(
        &mut self,
        reading: &mut Reading,
        file: FileId,
    ) -> super::Answer {
        let engine = Arc::clone(&self.engine);
        let Some(part) = engine.part(file) else {
            return Err(Fault::Interrupted);
        };
        if reading.head.status != 200 {
            let led = engine.look(|schedule| schedule.is_led(file, self.source));
            return Err(match reading.head.status {
                404 | 410 if led => reading.fault().await,
                412 | 404 | 410 => Fault::Changed,
                _ => reading.fault().await,
            });
        }
        let read = tokio::select! {
            biased;
            () = engine.interrupted(self.slot) => Err(Fault::Interrupted),
            read = self.read_values(reading, file, part.facts.size) => read.map_err(|error| match error {
                Error::Integrity { piece: None } => Fault::BadValues,
                error => Fault::of(error, None),
            }),
        };
        read.map(|()| Answered::Values)
    }

    async fn read_values(
        &self,
        reading: &mut Reading,
        file: FileId,
        size: u64,
    ) -> Result<(), Error> {
        let mut wire = Wire {
            reading,
            pending: Vec::new(),
        };
        let preamble = wire.take::<{ pieces::PREAMBLE_LEN }>().await?;
        let preamble =
            Preamble::decode(&preamble).map_err(|error| Error::Protocol(error.to_string()))?;
        if preamble.size != size {
            return Err(Error::Changed);
        }
        for piece in 0..pieces::value_count(size) {
            let value = wire.take::<32>().await?;
            self.engine
                .with(|schedule| schedule.value_told(file, value, piece))?;
        }
        let root = wire.take::<32>().await?;
        let Wire { reading, pending } = wire;
        if !pending.is_empty() || reading.connection.chunk(&mut reading.body).await?.is_some() {
            return Err(Error::Protocol("the list of pieces is too long".into()));
        }
        self.engine
            .with(|schedule| schedule.values_told(file, root))
    }
}

/// A body in portions of a fixed size.
struct Wire<'a> {
    reading: &'a mut Reading,
    pending: Vec<u8>,
}

impl Wire<'_> {
    async fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        while self.pending.len() < N {
            let Some(range) = self
                .reading
                .connection
                .chunk(&mut self.reading.body)
                .await?
            else {
                return Err(Error::Broken("the list of pieces ends too early".into()));
            };
            self.pending
                .extend_from_slice(self.reading.connection.bytes(range));
        }
        let mut taken = [0; N];
        taken.copy_from_slice(&self.pending[..N]);
        self.pending.drain(..N);
        Ok(taken)
    }
}
