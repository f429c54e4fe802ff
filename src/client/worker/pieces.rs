//! Runs of a large file's pieces, and the values that they are held against.

use std::{sync::Arc, time::Instant};

use super::{Answered, Broken, Worker, answer::Answer};
use crate::{
    client::{
        Error,
        job::{Fit, Job},
        plan::Run,
        queue::Work,
    },
    http1::body_reader::Framing,
    pieces::{self, PIECE, PieceHasher, Preamble},
};

impl Worker {
    pub(super) async fn run_answered(
        &mut self,
        answer: &mut Answer,
        job: Arc<Job>,
        run: Run,
    ) -> Answered {
        let (first, end) = job.bytes_of(&run.pieces);
        let head = &answer.head;
        let whole = head.status == 200
            && first == 0
            && head.framing == Some(Framing::Length(job.facts.size));
        let right = match (head.status, head.range) {
            (206, Some(range)) => {
                range.bytes == Some((first, end - 1)) && range.total == Some(job.facts.size)
            }
            _ => whole && !job.facts.ranges,
        };
        let source = self.source.id;
        let fit = if right {
            job.fit(source, head)
        } else if source == job.facts.source {
            Fit::Changed
        } else {
            Fit::Foreign
        };
        let is_verdict = matches!(head.status, 200 | 206 | 404 | 410 | 412 | 416);
        match fit {
            Fit::Yes => return self.read_run(answer, job, run).await,
            Fit::Foreign if is_verdict && job.exclude(source) => {
                answer.drain().await;
                tracing::warn!(path = %job.task.shown(), "{} has no such file, or another: left out for it", self.source.origin.authority());
                job.end(&run, false);
                self.engine.wake.notify_waiters();
                return Ok(());
            }
            Fit::Foreign | Fit::Changed => {}
        }
        let error = if is_verdict {
            answer.drain().await;
            Error::Changed
        } else {
            answer.refused().await.unwrap_or(Error::Changed)
        };
        self.blame(Work::Run(job, run), error, answer.head.retry_after)
            .await;
        Ok(())
    }

    /// Reads a run's body: hash, write, count, piece by piece.
    pub(super) async fn read_run(
        &mut self,
        answer: &mut Answer,
        job: Arc<Job>,
        mut run: Run,
    ) -> Answered {
        let first = run.pieces.start;
        let halt = job.begin(&mut run);
        // A run that was taken over before its answer came begins in the wrong place, or not at all.
        let mut received = 0;
        let ended = if run.pieces.is_empty() || run.pieces.start != first {
            Ok(())
        } else {
            tokio::select! {
                biased;
                () = halt.cancelled() => Ok(()),
                read = self.read_pieces(answer, &job, &run, &mut received) => read,
            }
        };
        job.end(&run, true);
        self.engine.land_if_complete(&job);
        match ended {
            Ok(()) => {
                self.engine.wake.notify_waiters();
                Ok(())
            }
            Err(error) if error.is_connection() && received > 0 && job.facts.ranges => {
                // There was progress: any connection goes on behind it, without a pause.
                tracing::debug!(path = %job.task.shown(), "{error}");
                self.engine.wake.notify_waiters();
                Ok(())
            }
            // Its pieces are free again: other mirrors fetch them.
            Err(error)
                if error.is_connection()
                    && job.facts.ranges
                    && self.engine.source_failed(self.source.id, &error, None) =>
            {
                Ok(())
            }
            Err(error) => {
                // The run was let go of already: the failure is the job's.
                self.engine.job_failed(&job, error, None).await;
                Ok(())
            }
        }
    }

    /// Counts whole pieces into `received`.
    async fn read_pieces(
        &mut self,
        answer: &mut Answer,
        job: &Arc<Job>,
        run: &Run,
        received: &mut u32,
    ) -> Result<(), Error> {
        let checked = job.facts.has_values();
        let size = job.facts.size;
        let began = Instant::now();
        let mut piece = run.pieces.start;
        let mut partial = PartialPiece { job, bytes: 0 };
        // Bytes of the piece so far; a racer keeps them until they are whole.
        let (mut got, mut raced) = (0, Vec::new());
        let mut hasher = PieceHasher::new(piece);
        while let Some(range) = answer.connection.chunk(&mut answer.body).await? {
            self.count_received(range.len());
            let mut bytes = answer.connection.bytes(range);
            while !bytes.is_empty() {
                if got == 0 && (!job.wants(run.id, piece) || self.is_dropped()) {
                    return Ok(());
                }
                let length = pieces::len(size, piece);
                let now = bytes.len().min((length - got) as usize);
                let at = u64::from(piece) * PIECE + got;
                if checked {
                    hasher.update(&bytes[..now]);
                }
                if run.racing {
                    raced.extend_from_slice(&bytes[..now]);
                } else if job.write(run.id, piece, at, &bytes[..now])? {
                    partial.bytes += now as u64;
                } else {
                    return Ok(());
                }
                got += now as u64;
                bytes = &bytes[now..];
                if got == length {
                    if !checked && answer.body.is_done() {
                        self.check_end(answer)?;
                    }
                    (got, partial.bytes) = (0, 0);
                    let value = checked.then_some(&hasher);
                    let unwritten = run.racing.then_some(raced.as_slice());
                    let sender = (run.id, self.source.id);
                    let judged = job.piece_received(sender, piece, value, unwritten);
                    self.engine.blame_senders(job);
                    judged?;
                    raced.clear();
                    if job.is_sync_due() {
                        let (engine, job) = (Arc::clone(&self.engine), Arc::clone(job));
                        self.engine
                            .tasks
                            .spawn_blocking(move || engine.sync_part(&job));
                    }
                    piece += 1;
                    *received += 1;
                    hasher = PieceHasher::new(piece);
                }
            }
        }
        if piece < run.pieces.end && (got > 0 || job.wants(run.id, piece)) {
            // Without this, an answer that names more than it holds would be asked for for ever.
            let text = "the answer ends before the range that it names";
            return Err(Error::Protocol(text.into()));
        }
        if *received > 0 {
            let time = began.elapsed() / *received;
            self.piece_time = Some(
                self.piece_time
                    .map_or(time, |before| (before * 2 + time) / 3),
            );
        }
        Ok(())
    }

    pub(super) async fn values_answered(&mut self, answer: &mut Answer, job: Arc<Job>) -> Answered {
        if answer.head.status != 200 {
            let error = match answer.head.status {
                412 | 404 | 410 => Error::Changed,
                _ => answer.refused().await.unwrap_or(Error::Changed),
            };
            self.blame(Work::Values(job), error, answer.head.retry_after)
                .await;
            return Ok(());
        }
        let halt = job.halt_token();
        let read = tokio::select! {
            biased;
            () = halt.cancelled() => Err(None),
            read = read_values(answer, &job) => read.map_err(Some),
        };
        self.engine.blame_senders(&job);
        match read {
            Ok(()) => {
                self.engine.land_if_complete(&job);
                self.engine.wake.notify_waiters();
                Ok(())
            }
            Err(None) => {
                job.values_failed();
                self.engine.land_if_complete(&job);
                Ok(())
            }
            Err(Some(error)) if error.is_connection() => Err(Box::new(Broken {
                work: Work::Values(job),
                error,
            })),
            Err(Some(Error::Integrity { piece: None }))
                if self.engine.sources.distrust(
                    self.source.id,
                    "the values of a file's pieces do not merge to its digest",
                ) =>
            {
                job.values_failed();
                self.engine.wake.notify_waiters();
                Ok(())
            }
            Err(Some(error)) => {
                self.blame(Work::Values(job), error, None).await;
                Ok(())
            }
        }
    }

    /// Whether the server turned out to be a bad mirror meanwhile.
    fn is_dropped(&self) -> bool {
        let outlook = self.engine.sources.outlook(self.source.id, Instant::now());
        !outlook.kept.contains(self.source.id)
    }
}

/// A piece that is being received: what was counted of it is taken back when it does not become whole.
struct PartialPiece<'a> {
    job: &'a Job,
    bytes: u64,
}

impl Drop for PartialPiece<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.job.uncount(self.bytes);
        }
    }
}

async fn read_values(answer: &mut Answer, job: &Job) -> Result<(), Error> {
    let mut wire = Wire {
        answer,
        pending: Vec::new(),
    };
    let preamble = wire.take::<{ pieces::PREAMBLE_LEN }>().await?;
    let preamble =
        Preamble::decode(&preamble).map_err(|error| Error::Protocol(error.to_string()))?;
    if preamble.size != job.facts.size {
        return Err(Error::Changed);
    }
    for _ in 0..pieces::value_count(preamble.size) {
        job.value_received(wire.take::<32>().await?)?;
    }
    let root = wire.take::<32>().await?;
    if wire
        .answer
        .connection
        .chunk(&mut wire.answer.body)
        .await?
        .is_some()
    {
        return Err(Error::Protocol("the list of pieces is too long".into()));
    }
    job.values_complete(root)
}

/// A body in portions of a fixed size.
struct Wire<'a> {
    answer: &'a mut Answer,
    pending: Vec<u8>,
}

impl Wire<'_> {
    async fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        while self.pending.len() < N {
            let Some(range) = self.answer.connection.chunk(&mut self.answer.body).await? else {
                return Err(Error::Broken("the list of pieces ends too early".into()));
            };
            self.pending
                .extend_from_slice(self.answer.connection.bytes(range));
        }
        let mut taken = [0; N];
        taken.copy_from_slice(&self.pending[..N]);
        self.pending.drain(..N);
        Ok(taken)
    }
}
