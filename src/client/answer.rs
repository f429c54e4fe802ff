//! What an answer means: the second half of a worker, from a response's head to bytes that are checked.

use std::{ops::Range, sync::Arc, time::Duration};

use super::{
    Error, Event, Verified,
    connection::Connection,
    job::{Facts, Job},
    lander::SmallFile,
    listing,
    plan::Run,
    queue::{Browse, DirTask, FileTask, Local, Work},
    target::Remote,
    worker::{Broken, First, Flight, Worker},
};
use crate::{
    entry::Entry,
    escape::display_name,
    http1::{
        body_reader::{BodyReader, Framing},
        path::RemotePath,
        response_head::ResponseHead,
    },
    pieces::{self, PIECE, PieceHasher, Preamble},
    units,
};

/// Bodies of errors and redirects are read up to this many bytes to keep the connection; beyond that it is closed.
const DRAIN_MAX: usize = 64 * 1024;
/// Entries of a listing that are handed on at once.
const ENTRIES_AT_ONCE: usize = 1000;
/// Redirects that are followed for one file.
const REDIRECTS_MAX: u32 = 5;
/// Entries that a browser gets at most: about 200 bytes each.
const BROWSE_MAX: usize = 5_000_000;

impl Worker {
    /// Reads the answer to the first request in flight.
    pub(super) async fn answer(&mut self, flight: Flight) -> Result<(), Broken> {
        let Flight {
            work, first, began, ..
        } = flight;
        let Some(mut connection) = self.connection.take() else {
            return Err(Broken {
                work,
                error: Error::Broken("not connected".into()),
            });
        };
        // The connection is put back only once the answer was read to its end.
        let head = connection
            .head(first == First::Head)
            .await
            .and_then(|head| {
                self.engine.check_server(&head)?;
                if head.encoded {
                    Err(Error::Protocol("the answer is compressed".into()))
                } else {
                    Ok(head)
                }
            });
        let head = match head {
            Ok(head) => head,
            Err(error) => {
                self.engine.connection_opened(false);
                return Err(Broken { work, error });
            }
        };
        let body = BodyReader::new(head.framing.unwrap_or(Framing::Close));
        let mut answer = Answer {
            connection,
            head,
            body,
        };
        let done = match work {
            Work::Browse(browse) => self.browsed(&mut answer, browse).await,
            Work::List(task) => self.listed(&mut answer, task).await,
            Work::Open(task) => self.opened(&mut answer, task, first, began).await,
            Work::Run(job, run) => self.run_answered(&mut answer, job, run).await,
            Work::Values(job) => self.values_answered(&mut answer, job).await,
        };
        if done.is_ok() && answer.body.is_done() && answer.head.keep_alive {
            self.connection = Some(answer.connection);
        } else {
            self.engine.connection_opened(false);
        }
        done
    }

    async fn browsed(&mut self, answer: &mut Answer, browse: Browse) -> Result<(), Broken> {
        let mut entries = Vec::new();
        let read = match answer.refused().await {
            Some(error) => Err(error),
            None => {
                self.read_listing(answer, &browse.dir, &mut entries, None)
                    .await
            }
        };
        match read {
            Ok(()) => {
                let _ = browse.reply.send(Ok(entries));
                Ok(())
            }
            Err(error) if error.is_connection() => Err(Broken {
                work: Work::Browse(browse),
                error,
            }),
            Err(error) => {
                self.blame(Work::Browse(browse), error, answer.head.retry_after)
                    .await;
                Ok(())
            }
        }
    }

    async fn listed(&mut self, answer: &mut Answer, task: DirTask) -> Result<(), Broken> {
        let (mut entries, mut look) = (Vec::new(), Look::default());
        let read = match answer.refused().await {
            Some(error) => Err(error),
            None => {
                self.read_listing(answer, &task.dir, &mut entries, Some((&task, &mut look)))
                    .await
            }
        };
        let read = match read {
            Ok(()) => {
                self.found(&task, std::mem::take(&mut entries), &mut look, true)
                    .await
            }
            failed => failed,
        };
        match read {
            Ok(()) => {
                self.engine.queue().listed(task.item);
                self.engine.settle().await;
                Ok(())
            }
            // What was found of it already is fetched; the next try must not find it again.
            Err(error) if error.is_connection() && !look.any => Err(Broken {
                work: Work::List(task),
                error,
            }),
            Err(error) => {
                self.blame(Work::List(task), error, answer.head.retry_after)
                    .await;
                Ok(())
            }
        }
    }

    /// Reads a listing's body. With a task, entries are handed on as they come.
    async fn read_listing(
        &mut self,
        answer: &mut Answer,
        dir: &RemotePath,
        entries: &mut Vec<Entry>,
        mut task: Option<(&DirTask, &mut Look)>,
    ) -> Result<(), Error> {
        let mut reader = listing::Reader::new(&answer.head.content_type)?;
        while let Some(range) = answer.connection.chunk(&mut answer.body).await? {
            self.engine.received.add(range.len() as u64);
            reader.feed(answer.connection.bytes(range), entries)?;
            if let Some((task, look)) = &mut task
                && entries.len() >= ENTRIES_AT_ONCE
            {
                self.found(task, std::mem::take(entries), look, false)
                    .await?;
                // With one connection alone nobody else could make room.
                while self.engine.settings.workers > 1 && self.engine.queue().is_full(task.item) {
                    self.engine.pause(Duration::from_millis(20)).await;
                    if self.engine.stop.is_cancelled() {
                        return Err(Error::Broken("stopped".into()));
                    }
                }
            } else if entries.len() > BROWSE_MAX {
                return Err(Error::Listing(format!(
                    "it has more than {} entries",
                    units::count(BROWSE_MAX as u64)
                )));
            }
        }
        reader.finish(&self.engine.origin, dir, entries)
    }

    /// Hands entries of a tree's directory to the queue, after a look at what is here already.
    async fn found(
        &mut self,
        task: &DirTask,
        entries: Vec<Entry>,
        look: &mut Look,
        last: bool,
    ) -> Result<(), Error> {
        let Some((filter, target)) = self.engine.queue().tree(task.item) else {
            return Ok(());
        };
        let wants = |path: &RemotePath| filter.as_ref().is_none_or(|filter| filter.wants(path));
        let may_hold =
            |path: &RemotePath| filter.as_ref().is_none_or(|filter| filter.may_hold(path));
        let (mut dirs, mut files) = (Vec::new(), Vec::new());
        for entry in entries {
            let Ok(path) = task.dir.join(&entry.name) else {
                continue;
            };
            if entry.is_dir {
                let dir = path.into_dir();
                if may_hold(&dir) {
                    dirs.push(DirTask {
                        item: task.item,
                        dir,
                        failures: 0,
                    });
                }
            } else if wants(&path) {
                let (size, modified, blake3) = (entry.size, entry.modified, entry.blake3);
                files.push(FileTask {
                    size,
                    modified,
                    blake3,
                    ..FileTask::new(task.item, path)
                });
            }
        }
        // A directory is made where files will land, or where it is wanted itself, empty or not.
        let wanted = filter
            .as_ref()
            .is_none_or(|filter| filter.wants_dir(&task.dir));
        if look.names.is_none() && (!files.is_empty() || (last && wanted)) {
            let dir = task.dir.clone();
            let names = tokio::task::spawn_blocking(move || target.names(&dir)).await;
            look.names = Some(names.unwrap_or_else(|_| Ok(Default::default()))?);
        }
        if let Some(names) = look.names.as_ref().filter(|names| !names.is_empty()) {
            for file in &mut files {
                file.local = match names.get(file.path.name()) {
                    Some(_) => Local::File,
                    None if names.contains_key(&super::target::part_name(file.path.name(), 0)) => {
                        Local::Part
                    }
                    None => Local::Nothing,
                };
            }
        }
        look.any |= !files.is_empty() || !dirs.is_empty();
        self.engine.queue().found(task.item, dirs, files);
        self.engine.wake.notify_waiters();
        Ok(())
    }

    /// The first answer about a file.
    async fn opened(
        &mut self,
        answer: &mut Answer,
        task: FileTask,
        first: First,
        began: std::time::Instant,
    ) -> Result<(), Broken> {
        match answer.head.status {
            200 | 206 => {}
            301 | 302 | 307 | 308 => return self.redirected(answer, task).await,
            // An empty file has no first byte: nginx and others say so to a range request.
            416 if matches!(answer.head.range, Some(range) if range.total == Some(0)) => {
                answer.drain().await;
                self.settle_size(&task, 0);
                self.engine.queue().opened(task.item);
                self.complete_small(&answer.head, task, Vec::new(), began)
                    .await;
                return Ok(());
            }
            _ => {
                let error = answer.refused().await.unwrap_or(Error::Changed);
                self.blame(Work::Open(task), error, answer.head.retry_after)
                    .await;
                return Ok(());
            }
        }
        let size = match (answer.head.status, answer.head.range, answer.head.framing) {
            (206, Some(range), _) if range.bytes.is_some_and(|(first, _)| first == 0) => {
                range.total
            }
            (206, ..) => {
                let error =
                    Error::Protocol("the answer is not the range that was asked for".into());
                return Err(Broken {
                    work: Work::Open(task),
                    error,
                });
            }
            (_, _, Some(Framing::Length(size))) => Some(size),
            (_, _, Some(Framing::Empty)) if first != First::Head => Some(0),
            _ => answer.head.length,
        };
        if first == First::Head {
            return self.looked(answer, task, size).await;
        }
        match size {
            Some(size) if size <= PIECE => self.read_small(answer, task, size, began).await,
            Some(size) => self.read_large(answer, task, size).await,
            None => self.read_unsized(answer, task, began).await,
        }
    }

    /// A HEAD was answered: either what is here will do, or the file is asked for now.
    async fn looked(
        &mut self,
        answer: &Answer,
        mut task: FileTask,
        size: Option<u64>,
    ) -> Result<(), Broken> {
        let head = &answer.head;
        if let Some(size) = size {
            self.settle_size(&task, size);
            task.size = Some(size);
        }
        let Some(target) = self.engine.queue().target(task.item) else {
            return Ok(());
        };
        let digest = head.blake3.or(task.blake3);
        if let Some(size) = size {
            let remote = Remote {
                size,
                modified: head.modified,
                blake3: digest,
            };
            let (dir, name) = (task.path.parent(), task.local_name().to_vec());
            let large_unknown = digest.is_none() && head.pieces && size > PIECE;
            let engine = Arc::clone(&self.engine);
            if !large_unknown {
                let already =
                    tokio::task::spawn_blocking(move || target.already(&dir, &name, remote)).await;
                match already.unwrap_or(Ok(None)) {
                    Ok(Some(verified)) => {
                        engine.queue().opened(task.item);
                        self.present(task, size, verified).await;
                        return Ok(());
                    }
                    Ok(None) => {}
                    Err(error) => {
                        self.blame(Work::Open(task), error, None).await;
                        return Ok(());
                    }
                }
            }
        }
        let has_values = Facts {
            size: size.unwrap_or(0),
            pieces: head.pieces,
            ..Facts::default()
        }
        .has_values();
        if let Some(size) = size.filter(|_| has_values) {
            // Whatever lies here is held against the values of its pieces before anything is fetched.
            let facts = Facts {
                size,
                etag: head.etag.clone(),
                modified: head.modified,
                ranges: true,
                pieces: true,
            };
            self.engine.queue().opened(task.item);
            self.begin_job(task, facts, 0).await;
            return Ok(());
        }
        task.local = Local::Nothing;
        let mut queue = self.engine.queue();
        queue.put_back(Work::Open(task));
        drop(queue);
        self.engine.wake.notify_waiters();
        Ok(())
    }

    /// An equal file is here already.
    async fn present(&mut self, task: FileTask, size: u64, verified: Verified) {
        let engine = Arc::clone(&self.engine);
        let counter = engine.queue().counter(task.item);
        counter.add(size);
        let began = std::time::Instant::now();
        engine.clone().tasks.spawn_blocking(move || {
            let local = engine
                .queue()
                .target(task.item)
                .map(|target| target.local(&task.path.parent(), task.local_name()));
            engine.file_finished(&task, local.unwrap_or_default(), size, verified, began);
        });
    }

    /// A file of at most a piece, from one answer.
    async fn read_small(
        &mut self,
        answer: &mut Answer,
        task: FileTask,
        size: u64,
        began: std::time::Instant,
    ) -> Result<(), Broken> {
        self.settle_size(&task, size);
        let counter = self.engine.queue().counter(task.item);
        let mut content = Vec::with_capacity(size as usize);
        let read = answer
            .connection
            .read_body(&mut answer.body, &mut content, PIECE as usize)
            .await;
        self.engine.received.add(content.len() as u64);
        if let Err(error) = read {
            return Err(Broken {
                work: Work::Open(task),
                error,
            });
        }
        if content.len() as u64 != size {
            // A 206 of less than the file, or a size that lied: the whole is asked for.
            self.blame(Work::Open(task), Error::Changed, None).await;
            return Ok(());
        }
        self.engine.queue().opened(task.item);
        counter.add(size);
        self.complete_small(&answer.head, task, content, began)
            .await;
        Ok(())
    }

    /// Checks a small file against its digest, where there is one, and hands it on to be landed.
    async fn complete_small(
        &mut self,
        head: &ResponseHead,
        task: FileTask,
        content: Vec<u8>,
        began: std::time::Instant,
    ) {
        let verified = match head.blake3 {
            Some(digest) if blake3::hash(&content) == digest => Verified::Blake3,
            Some(_) => {
                self.engine
                    .queue()
                    .counter(task.item)
                    .take_back(content.len() as u64);
                self.engine
                    .file_failed(task, Error::Integrity { piece: None }, None)
                    .await;
                return;
            }
            None => Verified::Unverified,
        };
        let Some(target) = self.engine.queue().target(task.item) else {
            return;
        };
        self.engine.room_for(content.len()).await;
        self.complete.push(SmallFile {
            task,
            target,
            content,
            modified: head.modified,
            verified,
            began,
        });
    }

    /// A file of several pieces: this answer is its first run.
    async fn read_large(
        &mut self,
        answer: &mut Answer,
        task: FileTask,
        size: u64,
    ) -> Result<(), Broken> {
        self.settle_size(&task, size);
        let head = &answer.head;
        let facts = Facts {
            size,
            etag: head.etag.clone(),
            modified: head.modified,
            ranges: head.status == 206 || head.ranges,
            pieces: head.pieces,
        };
        let end = if head.status == 206 {
            head.range
                .and_then(|range| range.bytes)
                .map(|(_, last)| last + 1)
        } else {
            None
        };
        let end = end.unwrap_or(size);
        let begun = if end == size {
            pieces::count(size)
        } else {
            (end / PIECE) as u32
        };
        self.engine.queue().opened(task.item);
        let Some((job, run)) = self.begin_job(task, facts, begun).await else {
            // It ended already; the rest of the answer is not wanted.
            return Ok(());
        };
        let Some(run) = run else { return Ok(()) };
        self.read_run(answer, job, run).await
    }

    /// Makes the job of a file that the queue counts as busy. `begun` pieces from the front are on their way.
    async fn begin_job(
        &mut self,
        task: FileTask,
        facts: Facts,
        begun: u32,
    ) -> Option<(Arc<Job>, Option<Run>)> {
        let (engine, size) = (Arc::clone(&self.engine), facts.size);
        let job = match engine.make_job(&task, facts).await {
            Ok(job) => job,
            Err(error) => {
                engine.file_failed(task, error, None).await;
                return None;
            }
        };
        engine
            .emit(Event::Started {
                item: task.item,
                path: task.path.clone(),
                total: Some(size),
            })
            .await;
        let left = job.left();
        let run = if left == 0 { job.start(begun) } else { None };
        engine.queue().add_job(&job);
        engine.wake.notify_waiters();
        if left > 0 {
            let (engine, job) = (Arc::clone(&engine), Arc::clone(&job));
            tokio::task::spawn_blocking(move || {
                let checked = job.check_left();
                tokio::runtime::Handle::current().block_on(async {
                    if let Err(error) = checked {
                        engine.job_failed(&job, error, None).await;
                    }
                    engine.land_if_complete(&job);
                    engine.settle().await;
                });
            });
        }
        Some((job, run))
    }

    async fn run_answered(
        &mut self,
        answer: &mut Answer,
        job: Arc<Job>,
        run: Run,
    ) -> Result<(), Broken> {
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
        let same = head.etag.is_none() || job.facts.etag.is_none() || head.etag == job.facts.etag;
        if right && same {
            return self.read_run(answer, job, run).await;
        }
        let error = match head.status {
            412 | 200 | 206 | 416 | 404 | 410 => {
                answer.drain().await;
                Error::Changed
            }
            _ => answer.refused().await.unwrap_or(Error::Changed),
        };
        self.blame(Work::Run(job, run), error, answer.head.retry_after)
            .await;
        Ok(())
    }

    /// Reads a run's body: hash, write, count, piece by piece.
    async fn read_run(
        &mut self,
        answer: &mut Answer,
        job: Arc<Job>,
        mut run: Run,
    ) -> Result<(), Broken> {
        let first = run.pieces.start;
        let halt = job.begin(&mut run);
        // A run that was taken over before its answer came begins in the wrong place, or not at all.
        let ended = if run.pieces.is_empty() || run.pieces.start != first {
            Ok(())
        } else {
            tokio::select! {
                biased;
                () = halt.cancelled() => Ok(()),
                read = self.read_pieces(answer, &job, &run) => read,
            }
        };
        job.end(&run, true);
        self.engine.land_if_complete(&job);
        match ended {
            Ok(()) => {
                self.engine.wake.notify_waiters();
                Ok(())
            }
            Err(error) if error.is_connection() => {
                // The run was let go of already: the failure is the job's.
                self.engine.job_failed(&job, error, None).await;
                self.disconnect();
                Ok(())
            }
            Err(error) => {
                self.engine.job_failed(&job, error, None).await;
                Ok(())
            }
        }
    }

    async fn read_pieces(
        &mut self,
        answer: &mut Answer,
        job: &Job,
        run: &Run,
    ) -> Result<(), Error> {
        let hashed = job.facts.has_values();
        let size = job.facts.size;
        let began = std::time::Instant::now();
        let mut piece = run.pieces.start;
        let mut partial = PartialPiece { job, bytes: 0 };
        let mut hasher = PieceHasher::new(piece);
        let mut done = 0u32;
        while let Some(range) = answer.connection.chunk(&mut answer.body).await? {
            self.engine.received.add(range.len() as u64);
            let mut bytes = answer.connection.bytes(range);
            while !bytes.is_empty() {
                if partial.bytes == 0 && !job.wants(run.id, piece) {
                    return Ok(());
                }
                let length = pieces::len(size, piece);
                let now = bytes.len().min((length - partial.bytes) as usize);
                let at = u64::from(piece) * PIECE + partial.bytes;
                if hashed {
                    hasher.update(&bytes[..now]);
                }
                job.write(at, &bytes[..now])?;
                partial.bytes += now as u64;
                bytes = &bytes[now..];
                if partial.bytes == length {
                    partial.bytes = 0;
                    job.piece_received(run.id, piece, hashed.then_some(&hasher))?;
                    piece += 1;
                    done += 1;
                    hasher = PieceHasher::new(piece);
                }
            }
        }
        if done > 0 {
            let time = began.elapsed() / done;
            self.piece_time = Some(
                self.piece_time
                    .map_or(time, |before| (before * 2 + time) / 3),
            );
        }
        Ok(())
    }

    async fn values_answered(&mut self, answer: &mut Answer, job: Arc<Job>) -> Result<(), Broken> {
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
        match read {
            Ok(()) => {
                self.engine.land_if_complete(&job);
                self.engine.wake.notify_waiters();
                Ok(())
            }
            Err(None) => {
                job.values_failed();
                Ok(())
            }
            Err(Some(error)) if error.is_connection() => Err(Broken {
                work: Work::Values(job),
                error,
            }),
            Err(Some(error)) => {
                self.blame(Work::Values(job), error, None).await;
                Ok(())
            }
        }
    }

    /// A body whose size nobody tells: kept in memory while it is small, else on disk as it comes, unverified.
    async fn read_unsized(
        &mut self,
        answer: &mut Answer,
        task: FileTask,
        began: std::time::Instant,
    ) -> Result<(), Broken> {
        let counter = self.engine.queue().counter(task.item);
        let mut content = Vec::new();
        loop {
            match answer.connection.chunk(&mut answer.body).await {
                Ok(Some(range)) => {
                    self.engine.received.add(range.len() as u64);
                    content.extend_from_slice(answer.connection.bytes(range));
                }
                Ok(None) => {
                    self.settle_size(&task, content.len() as u64);
                    self.engine.queue().opened(task.item);
                    counter.add(content.len() as u64);
                    self.complete_small(&answer.head, task, content, began)
                        .await;
                    return Ok(());
                }
                Err(error) => {
                    return Err(Broken {
                        work: Work::Open(task),
                        error,
                    });
                }
            }
            if content.len() as u64 > PIECE {
                break;
            }
        }
        self.engine.queue().opened(task.item);
        let engine = Arc::clone(&self.engine);
        let Some(target) = engine.queue().target(task.item) else {
            return Ok(());
        };
        let part = match engine.open_part(&target, &task, 0, false) {
            Ok(part) => part,
            Err(error) => {
                engine.file_failed(task, error, None).await;
                return Ok(());
            }
        };
        let mut written = 0;
        let written_all = async {
            use std::os::unix::fs::FileExt;
            let failed = |error| Error::disk(target.local(&task.path.parent(), &part.name), &error);
            part.file.write_all_at(&content, 0).map_err(failed)?;
            counter.add(content.len() as u64);
            written = content.len() as u64;
            while let Some(range) = answer.connection.chunk(&mut answer.body).await? {
                let bytes = answer.connection.bytes(range);
                part.file.write_all_at(bytes, written).map_err(failed)?;
                written += bytes.len() as u64;
                counter.add(bytes.len() as u64);
                engine.received.add(bytes.len() as u64);
            }
            Ok::<_, Error>(())
        }
        .await;
        if let Err(error) = written_all {
            counter.take_back(written);
            engine.drop_part(&part.file, &part.dir, &part.name);
            engine.file_failed(task, error, None).await;
            return Ok(());
        }
        self.settle_size(&task, written);
        let facts = Facts {
            size: written,
            modified: answer.head.modified,
            ..Facts::default()
        };
        let job = Arc::new(Job::new(task, target, facts, part, Arc::default(), 0));
        job.all_received();
        engine.queue().add_job(&job);
        engine.land_if_complete(&job);
        Ok(())
    }

    /// A redirect: a directory that was taken for a file, or another path on the same server.
    async fn redirected(&mut self, answer: &mut Answer, mut task: FileTask) -> Result<(), Broken> {
        answer.drain().await;
        let origin = &self.engine.origin;
        let from = task
            .target
            .clone()
            .unwrap_or_else(|| origin.target(&task.path));
        let location = answer.head.location.clone().unwrap_or_default();
        let to = match origin.redirect(&from, &location) {
            Ok(to) => to,
            Err(error) => {
                self.blame(Work::Open(task), error, None).await;
                return Ok(());
            }
        };
        if to == format!("{from}/") {
            let mut queue = self.engine.queue();
            queue.is_tree(&task);
            drop(queue);
            self.engine.wake.notify_waiters();
            return Ok(());
        }
        task.redirects += 1;
        if task.redirects > REDIRECTS_MAX {
            let error = Error::Redirect(format!(
                "{} and on, {REDIRECTS_MAX} times",
                display_name(&to)
            ));
            self.blame(Work::Open(task), error, None).await;
            return Ok(());
        }
        task.target = Some(to);
        self.engine.queue().put_back(Work::Open(task));
        self.engine.wake.notify_waiters();
        Ok(())
    }

    fn settle_size(&self, task: &FileTask, size: u64) {
        self.engine.queue().sized(task.item, task.size, size);
    }
}

/// What is known of the directory that a tree's listing lands in.
#[derive(Debug, Default)]
struct Look {
    /// What it holds here; `None` before it was looked at.
    names: Option<std::collections::HashMap<Vec<u8>, Option<u64>>>,
    /// Whether anything was handed to the queue.
    any: bool,
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

/// An answer that is being read.
struct Answer {
    connection: Connection,
    head: ResponseHead,
    body: BodyReader,
}

impl Answer {
    /// The failure that the status means, its body read; `None` for a success.
    async fn refused(&mut self) -> Option<Error> {
        let (status, retry_after) = (self.head.status, self.head.retry_after);
        if (200..300).contains(&status) {
            return None;
        }
        self.drain().await;
        if (300..400).contains(&status) {
            return Some(Error::Redirect(
                display_name(self.head.location.as_deref().unwrap_or("nowhere")).into_owned(),
            ));
        }
        Some(Error::Status {
            status,
            retry_after,
        })
    }

    /// Reads what is left of a short body, so that the connection can go on.
    async fn drain(&mut self) {
        let mut left = DRAIN_MAX;
        while let Ok(Some(Range { start, end })) = self.connection.chunk(&mut self.body).await {
            left = left.saturating_sub(end - start);
            if left == 0 {
                return;
            }
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
