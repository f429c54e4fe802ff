//! What follows an outcome: another try after a pause, a landing, an event.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::Engine;
use crate::client::{
    Error, Event,
    job::{Blame, Job},
    lander::SmallFile,
    proof::Proof,
    queue::{FileTask, Local, Task},
    retry::backoff,
    source::{BAD_PIECES_MAX, SourceId},
};

impl Engine {
    /// An attempt at a file or a listing failed: it is tried again after a pause, or it has failed for good. Its item
    /// counts it as under way.
    pub async fn failed(&self, task: impl Into<Task>, error: Error, retry_after: Option<Duration>) {
        let mut task = task.into();
        let item = task.item();
        if error.is_transient() && !self.queue().is_going(item) {
            // Paused or cancelled meanwhile: it is kept for when that ends.
            self.queue().retry_now(task);
            self.settle().await;
            return;
        }
        *task.failures() += 1;
        let (path, failures) = (task.path().clone(), *task.failures());
        if error.is_transient() && failures <= self.settings.retries && !self.stop.is_cancelled() {
            let after = backoff(failures, retry_after);
            self.emit(Event::Retrying {
                item,
                path,
                attempt: failures + 1,
                after,
                error: error.clone(),
            })
            .await;
            self.queue()
                .retry_later(task, Instant::now() + after, &error);
        } else {
            // Told before it counts: an item must not have ended while something about it is still to be told.
            self.emit(Event::Failed {
                item,
                path,
                attempts: failures,
                error: error.clone(),
            })
            .await;
            self.queue().failed(task, error);
        }
        // Idle connections look again when the next time comes.
        self.settle().await;
    }

    /// Something about a job failed on one of its connections.
    pub async fn job_failed(
        self: &Arc<Self>,
        job: &Arc<Job>,
        error: Error,
        retry_after: Option<Duration>,
    ) {
        if job.is_over() {
            return;
        }
        if matches!(error, Error::Changed) {
            if job.give_up() {
                tracing::warn!(path = %job.task.shown(), "it changed on the server: started again");
                self.queue().remove_job(job);
                self.failed(
                    FileTask {
                        local: Local::Unknown,
                        kept: 0,
                        ..job.task.clone()
                    },
                    error,
                    None,
                )
                .await;
            }
            return;
        }
        if !job.facts.ranges {
            // There is no going on in the middle: the file is asked for again from its first byte.
            if job.give_up() {
                self.queue().remove_job(job);
                let task = FileTask {
                    local: Local::Part,
                    ..job.task.clone()
                };
                self.failed(task, error, retry_after).await;
            }
            return;
        }
        let mut pause = Duration::ZERO;
        // A piece has its own count of tries, and has used it up.
        let again = error.is_transient() && !matches!(error, Error::Integrity { piece: Some(_) });
        let failures = job.failed(|failures| {
            pause = backoff(failures, retry_after);
            Instant::now() + pause
        });
        let failures = match failures {
            None if again => return,
            None => 0,
            Some(failures) => failures,
        };
        if again && failures <= self.settings.retries {
            let (item, path) = (job.task.item, job.task.path.clone());
            self.emit(Event::Retrying {
                item,
                path,
                attempt: failures + 1,
                after: pause,
                error,
            })
            .await;
            let (engine, paused) = (Arc::clone(self), Arc::clone(job));
            self.tasks.spawn(async move {
                engine.pause(pause).await;
                // Where the user hurried it, too.
                paused.end_pause();
                engine.wake.notify_waiters();
            });
        } else if job.give_up() {
            self.queue().remove_job(job);
            self.note_parts(vec![Arc::clone(job)]);
            let task = FileTask {
                failures: self.settings.retries.max(failures),
                ..job.task_kept()
            };
            self.failed(task, error, None).await;
        }
    }

    /// Starts a job's landing if it is complete and nobody else has. A file that was compared and differs is fetched.
    pub fn land_if_complete(self: &Arc<Self>, job: &Arc<Job>) {
        if job.claim_difference() {
            let mut queue = self.queue();
            queue.remove_job(job);
            queue.retry_now(FileTask {
                local: Local::Part,
                ..job.task.clone()
            });
            drop(queue);
            self.wake.notify_waiters();
            return;
        }
        let (engine, job) = (Arc::clone(self), Arc::clone(job));
        let proof = match job.claim_landing() {
            Ok(Some(proof)) => proof,
            Ok(None) => return,
            Err(error) => {
                let failed = async move { engine.job_failed(&job, error, None).await };
                self.tasks.spawn_on(failed, &self.runtime);
                return;
            }
        };
        self.tasks.spawn_blocking(move || {
            let landed = job.land(proof);
            engine.queue().remove_job(&job);
            match landed {
                Ok((name, proof)) => {
                    engine.part_ended(&job.part().file);
                    let local = job.target.local(&job.task.path.parent(), &name);
                    engine.file_finished(&job.task, local, job.facts.size, proof, job.began);
                }
                Err(Error::Integrity { .. }) if engine.asks_elsewhere(&job) => {}
                // What is wrong as a whole has no good pieces that could be told from the bad ones.
                Err(error @ Error::Integrity { .. }) => {
                    job.uncount(job.facts.size);
                    engine.drop_part_of(&job);
                    engine
                        .runtime
                        .block_on(engine.failed(job.task.clone(), error, None));
                }
                Err(error) => {
                    job.uncount(job.facts.size);
                    engine.failed_on_disk(job.task.clone(), error);
                }
            }
        });
    }

    /// A complete file is not what its digest names: where another mirror may have it, that one is asked. What is here of
    /// it is kept: its pieces will be held against the other's.
    fn asks_elsewhere(&self, job: &Job) -> bool {
        // Without values nobody knows who sent what is wrong: at first the others are left out, then the one who is left.
        if !job.facts.has_values() && job.task.failures == 0 {
            return false;
        }
        let task = FileTask {
            local: Local::Part,
            ..job.task.clone()
        };
        let asks = self.ask_another(task, job.teller()).is_none();
        if asks {
            job.uncount(job.facts.size);
        }
        asks
    }

    /// What a server has of a file is not what its digest names: another one is asked for it. The file, where no
    /// other is left.
    pub fn ask_another(&self, mut task: FileTask, teller: SourceId) -> Option<FileTask> {
        let outlook = self.sources.outlook(teller, Instant::now());
        let before = task.tried;
        task.tried.insert(teller);
        if outlook.kept.without(task.tried).is_empty() {
            task.tried = before;
            return Some(task);
        }
        tracing::warn!(path = %task.shown(), "it does not match its digest: another mirror is asked");
        self.queue().retry_now(task);
        self.wake.notify_waiters();
        None
    }

    /// Notes who sent bad pieces of a job. Where its whole will be held against a digest, it is not settled before that
    /// who is wrong, the sender or the one who told the values: they part for this file only.
    pub fn blame_senders(&self, job: &Job) {
        for Blame {
            sender,
            times,
            news,
        } in job.take_blamed()
        {
            if job.task.checksum.is_none() {
                self.sources.bad_pieces(sender, news);
            } else if times >= BAD_PIECES_MAX && job.exclude(sender) {
                let mirror = self.sources.get(sender).origin.authority();
                tracing::warn!(path = %job.task.shown(), "{mirror} has another file: left out for it");
            }
        }
    }

    /// Lands small files soon.
    pub fn land_small(self: &Arc<Self>, files: Vec<SmallFile>) {
        if files.is_empty() || !self.lander.push(files) {
            return;
        }
        let engine = Arc::clone(self);
        self.tasks.spawn_blocking(move || {
            engine.lander.work(&|small, outcome| match outcome {
                Ok(landed) => {
                    let proof = small.proof.of_landed(&landed);
                    let local = small.target.local(&small.task.path.parent(), &landed.name);
                    engine.file_finished(
                        &small.task,
                        local,
                        small.content.len() as u64,
                        proof,
                        small.began,
                    );
                }
                Err(error) => {
                    let counter = engine.queue().counter(small.task.item);
                    counter.take_back(small.content.len() as u64);
                    engine.failed_on_disk(small.task, error);
                }
            });
            engine.settle_blocking();
        });
    }

    /// Waits until small files of `bytes` more may wait for the disk; what the caller holds is in `complete`.
    pub async fn room_for(self: &Arc<Self>, bytes: usize, complete: &mut Vec<SmallFile>) {
        if !self.lander.try_room_for(bytes) {
            self.land_small(std::mem::take(complete));
            self.lander.room_for(bytes).await;
        }
    }

    /// A file is complete under its final name, as `proof` holds. Blocking.
    pub fn file_finished(
        &self,
        task: &FileTask,
        local: PathBuf,
        bytes: u64,
        proof: Proof,
        began: Instant,
    ) {
        let (took, verified) = (began.elapsed(), proof.verified());
        self.emit_blocking(Event::Finished {
            item: task.item,
            path: task.path.clone(),
            local,
            bytes,
            verified,
            took,
        });
        self.queue().finished(task.item, verified);
        self.settle_blocking();
    }

    /// The local disk failed for good. Blocking.
    fn failed_on_disk(&self, task: FileTask, error: Error) {
        let (item, path, attempts) = (task.item, task.path.clone(), task.failures + 1);
        self.emit_blocking(Event::Failed {
            item,
            path,
            attempts,
            error: error.clone(),
        });
        self.queue().failed(task.into(), error);
        self.settle_blocking();
    }
}
