//! The first answer about a file: what it tells, and the whole of a small one.

use std::{sync::Arc, time::Instant};

use super::{Answered, Broken, First, Worker, answer::Answer};
use crate::{
    client::{
        Error, Event,
        disk::conflict::{Already, Remote},
        disk::lander::SmallFile,
        disk::names::Local,
        job::{Facts, Job},
        net::origin::shown,
        plan::Run,
        proof::Proof,
        queue::Work,
        task::FileTask,
    },
    digest::Digest,
    http1::{body_reader::Framing, path::decode_leniently, response_head::ResponseHead},
    pieces::{self, PIECE},
};

/// Redirects that are followed for one file.
const REDIRECTS_MAX: u32 = 5;

impl Worker {
    /// The first answer about a file.
    pub(super) async fn opened(
        &mut self,
        answer: &mut Answer,
        mut task: FileTask,
        first: First,
        began: Instant,
    ) -> Answered {
        match answer.head.status {
            200 | 206 => {}
            // A server that knows no HEAD, or refuses it: the file is asked for without a look at what is here.
            400..=599 if first == First::Head && answer.is_about_method() => {
                self.fetch_after_all(task);
                return Ok(());
            }
            301 | 302 | 307 | 308 => return self.redirected(answer, task).await,
            // An empty file has no first byte: nginx and others say so to a range request.
            416 if matches!(answer.head.range, Some(range) if range.total == Some(0)) => {
                answer.drain().await;
                self.settle_size(&mut task, 0);
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
        if answer.decoder.is_some() && (first == First::Head || answer.head.status == 206) {
            // Sizes and ranges of the coded content say nothing about the file's.
            if std::mem::replace(&mut task.whole, true) {
                let error = Error::Protocol("a part was sent for the whole".into());
                return Err(Box::new(Broken {
                    work: Work::Open(task),
                    error,
                }));
            }
            self.fetch_after_all(task);
            answer.drain().await;
            return Ok(());
        }
        let size = match (answer.head.status, answer.head.range, answer.head.framing) {
            _ if answer.decoder.is_some() => None,
            // Without its total, a range may be the whole file or not.
            (206, Some(range), _)
                if range.total.is_some() && range.bytes.is_some_and(|(first, _)| first == 0) =>
            {
                range.total
            }
            (206, ..) => {
                let error =
                    Error::Protocol("the answer is not the range that was asked for".into());
                return Err(Box::new(Broken {
                    work: Work::Open(task),
                    error,
                }));
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
            Some(size) => {
                // Who answers a range with the whole does not serve ranges, whatever it says of itself.
                let head = &answer.head;
                let ranges = head.status == 206 || (first == First::Whole && head.ranges);
                self.read_large(answer, task, size, ranges).await
            }
            None => self.read_unsized(answer, task, began).await,
        }
    }

    /// A HEAD was answered: either what is here will do, or the file is asked for now.
    async fn looked(&mut self, answer: &Answer, mut task: FileTask, size: Option<u64>) -> Answered {
        let head = &answer.head;
        if let Some(size) = size {
            self.settle_size(&mut task, size);
        }
        let (Some(target), Some(size)) = (self.engine.queue().target(task.item), size) else {
            self.fetch_after_all(task);
            return Ok(());
        };
        let facts = Facts {
            source: self.source.id,
            size,
            etag: head.etag.clone(),
            modified: head.modified,
            ranges: head.ranges || head.pieces,
            pieces: head.pieces && self.may_ask_values(&task),
            digest: head.digest.as_deref().and_then(Digest::from_field),
        };
        let (modified, has_values) = (head.modified, facts.has_values());
        let remote = Remote {
            size,
            modified,
            blake3: head.blake3.or(task.blake3),
            has_values,
        };
        let (dir, name) = (task.path.parent(), task.local_name().to_vec());
        // Where a part is to be looked at, there was no file of that name, or it was found to differ.
        let already = if task.local == Local::Part {
            Ok(Already::Fetch)
        } else {
            let look = tokio::task::spawn_blocking(move || target.already(&dir, &name, remote));
            look.await.unwrap_or(Ok(Already::Fetch))
        };
        match already {
            Ok(Already::Here(proof)) => {
                self.engine.queue().opened(task.item);
                self.present(task, size, proof);
                Ok(())
            }
            Ok(Already::Compare(there)) => {
                self.engine.queue().opened(task.item);
                if let Some(job) = self.engine.compare(task, facts, there) {
                    self.check_left(&job);
                }
                Ok(())
            }
            // Whatever part lies here is looked at before anything is fetched.
            Ok(Already::Fetch) if has_values || (facts.ranges && size > PIECE) => {
                self.engine.queue().opened(task.item);
                self.begin_job(task, facts, 0).await;
                Ok(())
            }
            Ok(Already::Fetch) => {
                self.fetch_after_all(task);
                Ok(())
            }
            Err(error) => {
                self.blame(Work::Open(task), error, None).await;
                Ok(())
            }
        }
    }

    /// What is here spares nothing: the file is asked for.
    fn fetch_after_all(&self, mut task: FileTask) {
        task.local = Local::Nothing;
        self.engine.queue().put_back(Work::Open(task));
        self.engine.wake.notify_waiters();
    }

    /// An equal file is here already.
    fn present(&self, task: FileTask, size: u64, proof: Proof) {
        let engine = Arc::clone(&self.engine);
        let counter = engine.queue().counter(task.item);
        counter.add(size);
        let began = Instant::now();
        engine.clone().tasks.spawn_blocking(move || {
            let local = engine
                .queue()
                .target(task.item)
                .map(|target| target.local(&task.path.parent(), task.local_name()));
            engine.file_finished(&task, local.unwrap_or_default(), size, proof, began);
        });
    }

    /// A file of at most a piece, from one answer.
    async fn read_small(
        &mut self,
        answer: &mut Answer,
        mut task: FileTask,
        size: u64,
        began: Instant,
    ) -> Answered {
        self.settle_size(&mut task, size);
        let counter = self.engine.queue().counter(task.item);
        let mut content = Vec::with_capacity(size as usize);
        let read = answer
            .connection
            .read_body(&mut answer.body, &mut content, PIECE as usize)
            .await;
        self.count_received(content.len());
        if let Err(error) = read.and_then(|()| self.check_end(answer)) {
            return Err(Box::new(Broken {
                work: Work::Open(task),
                error,
            }));
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
    pub(super) async fn complete_small(
        &mut self,
        head: &ResponseHead,
        task: FileTask,
        content: Vec<u8>,
        began: Instant,
    ) {
        let told = head.blake3.map(Digest::Blake3);
        let told = told.or_else(|| head.digest.as_deref().and_then(Digest::from_field));
        let known = told.iter().chain(task.checksum.as_deref());
        let Some(proof) = Proof::of_content(&content, task.size, known) else {
            self.engine
                .queue()
                .counter(task.item)
                .take_back(content.len() as u64);
            let sender = self.source.id;
            if let Some(task) = self.engine.ask_another(task, sender) {
                self.engine
                    .failed(task, Error::Integrity { piece: None }, None)
                    .await;
            }
            return;
        };
        let Some(target) = self.engine.queue().target(task.item) else {
            return;
        };
        let engine = Arc::clone(&self.engine);
        engine.room_for(content.len(), &mut self.complete).await;
        let modified = task.modified;
        self.complete.push(SmallFile {
            task,
            target,
            content,
            modified: head.modified.or(modified),
            proof,
            began,
        });
    }

    /// A file of several pieces: this answer is its first run.
    async fn read_large(
        &mut self,
        answer: &mut Answer,
        mut task: FileTask,
        size: u64,
        ranges: bool,
    ) -> Answered {
        self.settle_size(&mut task, size);
        let head = &answer.head;
        let facts = Facts {
            source: self.source.id,
            size,
            etag: head.etag.clone(),
            modified: head.modified.or(task.modified),
            ranges,
            pieces: head.pieces && self.may_ask_values(&task),
            digest: head.digest.as_deref().and_then(Digest::from_field),
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
                engine.failed(task, error, None).await;
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
        if job.left() > 0 {
            self.check_left(&job);
            return Some((job, None));
        }
        let run = job.start(begun);
        engine.queue().add_job(&job);
        engine.wake.notify_waiters();
        Some((job, run))
    }

    /// Begins to judge what lies on disk, beside the connections.
    fn check_left(&self, job: &Arc<Job>) {
        self.engine.queue().add_job(job);
        self.engine.wake.notify_waiters();
        let (engine, job) = (Arc::clone(&self.engine), Arc::clone(job));
        self.engine.tasks.clone().spawn_blocking(move || {
            let checked = job.check_left(&engine.stop);
            engine.runtime.clone().block_on(async {
                if let Err(error) = checked {
                    engine.job_failed(&job, error, None).await;
                }
                engine.land_if_complete(&job);
                engine.settle().await;
            });
        });
    }

    /// A redirect: a directory that was taken for a file, or another path on the same server.
    async fn redirected(&mut self, answer: &mut Answer, mut task: FileTask) -> Answered {
        answer.drain().await;
        let origin = &self.source.origin;
        let from = task.target_at(&self.source);
        let location = answer.head.location.clone().unwrap_or_default();
        let to = match origin.redirect(&from, &location) {
            Ok(to) => to,
            Err(error) => {
                self.blame(Work::Open(task), error, None).await;
                return Ok(());
            }
        };
        if is_its_directory(&from, &to) {
            if task.rename.is_some() || task.checksum.is_some() {
                let error =
                    Error::Usage("it is a directory: a name or a checksum is for one file".into());
                self.blame(Work::Open(task), error, None).await;
                return Ok(());
            }
            let mut queue = self.engine.queue();
            queue.is_tree(&task);
            drop(queue);
            self.engine.wake.notify_waiters();
            return Ok(());
        }
        task.redirects += 1;
        if task.redirects > REDIRECTS_MAX {
            let error = Error::Redirect(format!("{} and on, {REDIRECTS_MAX} times", shown(&to)));
            self.blame(Work::Open(task), error, None).await;
            return Ok(());
        }
        task.targets.retain(|(of, _)| *of != self.source.id);
        task.targets.push((self.source.id, to));
        self.engine.queue().put_back(Work::Open(task));
        self.engine.wake.notify_waiters();
        Ok(())
    }

    /// Whether this source can be asked for the values of a file's pieces: not where a query names it.
    fn may_ask_values(&self, task: &FileTask) -> bool {
        !task.mute().contains(self.source.id) && self.source.origin.query(&task.path).is_none()
    }

    /// Notes the size that an answer tells, in place of what the listing or an earlier answer told.
    pub(super) fn settle_size(&self, task: &mut FileTask, size: u64) {
        self.engine.queue().sized(task.item, task.size, size);
        task.size = Some(size);
    }
}

/// Whether a redirect adds the slash of a directory. It may escape names in another way, and add a query.
fn is_its_directory(from: &str, to: &str) -> bool {
    let path = |target: &str| {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let names = path.split('/').filter(|name| !name.is_empty());
        let names = names.map(|name| decode_leniently(name.as_bytes()).into_owned());
        (names.collect::<Vec<_>>(), path.ends_with('/'))
    };
    let ((from, was_dir), (to, is_dir)) = (path(from), path(to));
    is_dir && !was_dir && from == to
}

#[cfg(test)]
mod tests {
    use super::is_its_directory;

    #[test]
    fn a_slash_makes_a_directory_however_names_are_escaped() {
        for (from, to) in [
            ("/c%3ax", "/c:x/"),
            ("/a", "/a/"),
            ("/a%20b/%7Ec", "/a%20b/~c/?lang=en"),
        ] {
            assert!(is_its_directory(from, to), "{from} {to}");
        }
        for (from, to) in [
            ("/a", "/b/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a", "/a/b/"),
            ("/a%2Fb", "/a/b/"),
        ] {
            assert!(!is_its_directory(from, to), "{from} {to}");
        }
    }
}
