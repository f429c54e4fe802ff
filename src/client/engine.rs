//! What the connections of a client share: the queue, the link's state, the counters, and what follows an outcome.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize, atomic::Ordering},
    time::{Duration, Instant},
};

use rustix::fs::OFlags;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Error, Event, Link, Settings, Verified,
    job::{Facts, Job, Part},
    journal::{FileId, Journal},
    lander::{Lander, SmallFile},
    origin::Origin,
    queue::{DirTask, FileTask, Queue, backoff},
    target::{Target, part_name},
};
use crate::{
    escape,
    http1::{path::RemotePath, response_head::ResponseHead},
    progress::Counter,
    sys::disk,
    units,
};

/// Names that are tried for a part before giving up on finding a free one.
const PART_TURNS: u32 = 1000;

/// What the connections share.
#[derive(Debug)]
pub struct Engine {
    /// The client's settings.
    pub settings: Settings,
    /// The server.
    pub origin: Origin,
    /// What is to be done.
    queue: Mutex<Queue>,
    /// Something may have been added to the queue.
    pub wake: Notify,
    /// Whether the server can be reached.
    pub link: watch::Sender<Link>,
    /// Held by the connection that tries to reach the server while it cannot be reached.
    pub connecting: tokio::sync::Mutex<()>,
    /// Tries again now instead of waiting out a pause.
    pub hurry: Notify,
    /// Body bytes received.
    pub received: Counter,
    /// Open connections.
    pub connections: AtomicUsize,
    /// The last handshake's time.
    pub rtt: Mutex<Option<Duration>>,
    /// What the server calls itself.
    pub server: Mutex<Option<String>>,
    /// Ends everything at the next safe point.
    pub stop: CancellationToken,
    /// Connections and landings.
    pub tasks: TaskTracker,
    /// Requests in flight on one connection, while small files flow.
    pub depth: AtomicUsize,
    lander: Lander,
    journal: Journal,
    events: mpsc::Sender<Event>,
    /// Ids of the target and what is above it, until the server's was compared.
    target_ids: Mutex<Option<Vec<String>>>,
}

/// Requests in flight on one connection at most. 64 hide a round trip of 20 ms at 3,000 files a second.
pub const DEPTH_MAX: usize = 64;

impl Engine {
    /// Shared state for one client.
    pub fn new(
        settings: Settings,
        origin: Origin,
        target: &Target,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let ids = target.ids();
        let own_id = ids.first().cloned().unwrap_or_default();
        let journal = Journal::open(settings.state_dir.as_deref(), &own_id, &origin.base_url());
        Self {
            settings,
            origin,
            queue: Mutex::default(),
            wake: Notify::new(),
            link: watch::Sender::new(Link::Connecting),
            connecting: tokio::sync::Mutex::new(()),
            hurry: Notify::new(),
            received: Counter::default(),
            connections: AtomicUsize::new(0),
            rtt: Mutex::default(),
            server: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            depth: AtomicUsize::new(1),
            lander: Lander::default(),
            journal,
            events,
            target_ids: Mutex::new(Some(ids)),
        }
    }

    /// The queue; never hold it across an await.
    pub fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what happened. Waits while nobody takes events; a receiver that is gone is no obstacle.
    pub async fn emit(&self, event: Event) {
        let _ = self.events.send(event).await;
    }

    /// The same from a thread that may block.
    fn emit_blocking(&self, event: Event) {
        let _ = self.events.blocking_send(event);
    }

    /// Ends items that are exhausted and wakes idle connections; after every outcome.
    pub async fn settle(&self) {
        for event in self.ended() {
            self.emit(event).await;
        }
    }

    fn settle_blocking(&self) {
        self.ended()
            .into_iter()
            .for_each(|event| self.emit_blocking(event));
    }

    fn ended(&self) -> Vec<Event> {
        let ended = self.queue().take_ended();
        self.wake.notify_waiters();
        ended
            .into_iter()
            .map(|(item, _)| Event::Ended { item })
            .collect()
    }

    /// Notes what every answer tells about the server; refuses to download into the directory that it serves.
    pub fn check_server(&self, head: &ResponseHead) -> Result<(), Error> {
        let Some(ids) = self
            .target_ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        else {
            return Ok(());
        };
        (*self.server.lock().unwrap_or_else(PoisonError::into_inner)).clone_from(&head.server);
        if let Some(id) = &head.haul_dir
            && ids.contains(id)
        {
            // Every later answer must be refused, too.
            *self
                .target_ids
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(ids);
            return Err(Error::Target {
                path: escape::display_path(&self.settings.dir),
                reason: "it lies in the directory that the server serves".into(),
            });
        }
        Ok(())
    }

    /// A file's attempt failed: it is tried again after a pause, or it has failed for good. Its item counts it as busy.
    pub async fn file_failed(
        self: &Arc<Self>,
        mut task: FileTask,
        error: Error,
        retry_after: Option<Duration>,
    ) {
        task.failures += 1;
        let paused = !self.queue().is_going(task.item);
        if error.is_transient()
            && task.failures <= self.settings.retries
            && !self.stop.is_cancelled()
            && !paused
        {
            let after = backoff(task.failures, retry_after);
            self.queue().waiting(task.item, &error);
            let attempt = task.failures + 1;
            self.emit(Event::Retrying {
                item: task.item,
                path: task.path.clone(),
                attempt,
                after,
                error,
            })
            .await;
            let engine = Arc::clone(self);
            self.tasks.spawn(async move {
                engine.pause(after).await;
                engine.queue().retry_file(task);
                engine.settle().await;
            });
            return;
        }
        let (path, attempts) = (task.path.clone(), task.failures);
        let item = task.item;
        self.queue().file_failed(task, error.clone());
        self.emit(Event::Failed {
            item,
            path,
            attempts,
            error,
        })
        .await;
        self.settle().await;
    }

    /// The same for a directory.
    pub async fn dir_failed(
        self: &Arc<Self>,
        mut task: DirTask,
        error: Error,
        retry_after: Option<Duration>,
    ) {
        task.failures += 1;
        if error.is_transient()
            && task.failures <= self.settings.retries
            && !self.stop.is_cancelled()
        {
            let after = backoff(task.failures, retry_after);
            let attempt = task.failures + 1;
            self.emit(Event::Retrying {
                item: task.item,
                path: task.dir.clone(),
                attempt,
                after,
                error,
            })
            .await;
            let engine = Arc::clone(self);
            self.tasks.spawn(async move {
                engine.pause(after).await;
                engine.queue().retry_dir(task);
                engine.settle().await;
            });
            return;
        }
        let (item, path, attempts) = (task.item, task.dir.clone(), task.failures);
        self.queue().dir_failed(task, error.clone());
        self.emit(Event::Failed {
            item,
            path,
            attempts,
            error,
        })
        .await;
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
                self.file_failed(
                    FileTask {
                        local: super::queue::Local::Part,
                        ..job.task.clone()
                    },
                    error,
                    None,
                )
                .await;
            }
            return;
        }
        let mut pause = Duration::ZERO;
        let failures = job.failed(|failures| {
            pause = backoff(failures, retry_after);
            Instant::now() + pause
        });
        if error.is_transient()
            && failures <= self.settings.retries
            && !matches!(error, Error::Integrity { .. })
        {
            let (item, path) = (job.task.item, job.task.path.clone());
            self.emit(Event::Retrying {
                item,
                path,
                attempt: failures + 1,
                after: pause,
                error,
            })
            .await;
            let engine = Arc::clone(self);
            self.tasks.spawn(async move {
                engine.pause(pause).await;
                engine.wake.notify_waiters();
            });
        } else if job.give_up() {
            self.queue().remove_job(job);
            let task = FileTask {
                failures: self.settings.retries.max(failures),
                ..job.task.clone()
            };
            self.file_failed(task, error, None).await;
        }
    }

    /// Waits out a pause, unless the client stops or the user hurries it.
    pub async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.hurry.notified() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Opens a file's part and makes its job. Off the runtime's threads, since disks may be slow.
    pub async fn make_job(
        self: &Arc<Self>,
        task: &FileTask,
        facts: Facts,
    ) -> Result<Arc<Job>, Error> {
        let target = self.queue().target(task.item).ok_or(Error::Changed)?;
        let done = self.queue().counter(task.item);
        let (engine, task) = (Arc::clone(self), task.clone());
        let made = tokio::task::spawn_blocking(move || {
            let keep = facts.has_values() && engine.settings.resume;
            let part = engine.open_part(&target, &task, facts.size, keep)?;
            Ok(Arc::new(Job::new(
                task,
                target,
                facts,
                part,
                done,
                engine.settings.retries,
            )))
        });
        made.await
            .unwrap_or_else(|error| Err(Error::Broken(format!("a thread failed: {error}"))))
    }

    /// The part of `task`: one of ours to go on with, or a new one of `size` bytes. Blocking.
    pub fn open_part(
        &self,
        target: &Target,
        task: &FileTask,
        size: u64,
        keep: bool,
    ) -> Result<Part, Error> {
        use std::os::fd::AsFd;
        let parent = task.path.parent();
        let dir = target.dir(&parent)?;
        let failed =
            |name: &[u8], error: &std::io::Error| Error::disk(target.local(&parent, name), error);
        for turn in 0..PART_TURNS {
            let name = part_name(task.local_name(), turn);
            match disk::new_file(dir.as_fd(), &name) {
                Ok(file) => {
                    self.journal
                        .began(FileId::of(&file).map_err(|error| failed(&name, &error))?);
                    if let Err(error) = disk::allocate(&file, size) {
                        self.drop_part(&file, &dir, &name);
                        return Err(failed(&name, &error));
                    }
                    return Ok(Part {
                        file,
                        dir,
                        name,
                        left: 0,
                    });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&name, &error)),
            }
            let Ok(file) = disk::open_own(dir.as_fd(), &name, OFlags::RDWR) else {
                continue;
            };
            let id = FileId::of(&file).map_err(|error| failed(&name, &error))?;
            if !self.journal.owns(id) {
                continue;
            }
            let left = if keep {
                file.metadata()
                    .map_err(|error| failed(&name, &error))?
                    .len()
            } else {
                0
            };
            let sized = file
                .set_len(left.min(size))
                .and_then(|()| disk::allocate(&file, size));
            sized.map_err(|error| failed(&name, &error))?;
            return Ok(Part {
                file,
                dir,
                name,
                left: left.min(size),
            });
        }
        Err(failed(
            task.local_name(),
            &std::io::ErrorKind::AlreadyExists.into(),
        ))
    }

    /// Removes a part that holds nothing worth keeping.
    pub fn drop_part(&self, file: &std::fs::File, dir: &std::os::fd::OwnedFd, name: &[u8]) {
        use std::os::fd::AsFd;
        if disk::remove(dir.as_fd(), name).is_ok()
            && let Ok(id) = FileId::of(file)
        {
            self.journal.ended(id);
        }
    }

    /// Forgets a part that has become a file.
    pub fn part_ended(&self, file: &std::fs::File) {
        if let Ok(id) = FileId::of(file) {
            self.journal.ended(id);
        }
    }

    /// Starts a job's landing if it is complete and nobody else has.
    pub fn land_if_complete(self: &Arc<Self>, job: &Arc<Job>) {
        if !job.claim_landing() {
            return;
        }
        let (engine, job) = (Arc::clone(self), Arc::clone(job));
        self.tasks.spawn_blocking(move || {
            let landed = job.land();
            engine.queue().remove_job(&job);
            match landed {
                Ok((name, verified)) => {
                    engine.part_ended(job.part_file());
                    let local = job.target.local(&job.task.path.parent(), &name);
                    engine.file_finished(&job.task, local, job.facts.size, verified, job.began);
                }
                Err(error) => engine.failed_on_disk(job.task.clone(), error),
            }
        });
    }

    /// Lands small files soon.
    pub async fn land_small(self: &Arc<Self>, files: Vec<SmallFile>) {
        if files.is_empty() || !self.lander.push(files) {
            return;
        }
        let engine = Arc::clone(self);
        self.tasks.spawn_blocking(move || {
            engine.lander.work(&|small, outcome| match outcome {
                Ok(landed) => {
                    let verified = if landed.present {
                        small.verified.min(Verified::Present)
                    } else {
                        small.verified
                    };
                    let local = small.target.local(&small.task.path.parent(), &landed.name);
                    engine.file_finished(
                        &small.task,
                        local,
                        small.content.len() as u64,
                        verified,
                        small.began,
                    );
                }
                Err(error) => engine.failed_on_disk(small.task, error),
            });
            engine.settle_blocking();
        });
    }

    /// Waits until small files of `bytes` more may wait for the disk.
    pub async fn room_for(&self, bytes: usize) {
        self.lander.room_for(bytes).await;
    }

    /// A file is complete under its final name. Blocking.
    pub fn file_finished(
        &self,
        task: &FileTask,
        local: PathBuf,
        bytes: u64,
        verified: Verified,
        began: Instant,
    ) {
        let took = began.elapsed();
        self.queue().finished(task.item, verified);
        self.emit_blocking(Event::Finished {
            item: task.item,
            path: task.path.clone(),
            local,
            bytes,
            verified,
            took,
        });
        self.settle_blocking();
    }

    /// The local disk failed for good. Blocking.
    fn failed_on_disk(&self, task: FileTask, error: Error) {
        let (item, path, attempts) = (task.item, task.path.clone(), task.failures + 1);
        self.queue().file_failed(task, error.clone());
        self.emit_blocking(Event::Failed {
            item,
            path,
            attempts,
            error,
        });
        self.settle_blocking();
    }

    /// The server cannot be reached: notes the failure; everything fails once that has lasted. True when it has.
    pub async fn link_failed(&self, failures: u32, error: &Error) -> bool {
        if failures > self.settings.retries && !self.settings.patient {
            self.link.send_replace(Link::Down(error.to_string()));
            let browsers = self.queue().fail_all(error);
            for browse in browsers {
                let _ = browse.reply.send(Err(error.clone()));
            }
            self.settle().await;
            return true;
        }
        let after = backoff(failures, None);
        tracing::warn!(path = %self.origin.authority(), "{error}: try {} in {}", failures + 1, units::took(after));
        self.link.send_replace(Link::Retrying {
            attempt: failures + 1,
            after,
            reason: error.to_string(),
        });
        self.pause(after).await;
        false
    }

    /// The link works.
    pub fn link_up(&self, rtt: Duration) {
        *self.rtt.lock().unwrap_or_else(PoisonError::into_inner) = Some(rtt);
        self.link.send_if_modified(|link| {
            let changed = *link != Link::Up;
            *link = Link::Up;
            changed
        });
    }

    /// A connection was opened (+1) or closed (-1).
    pub fn connection_opened(&self, opened: bool) {
        if opened {
            self.connections.fetch_add(1, Ordering::Relaxed);
        } else {
            self.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The base's URL for a path, for messages.
    pub fn url_of(&self, path: &RemotePath) -> String {
        format!(
            "http://{}{}",
            self.origin.authority(),
            self.origin.target(path)
        )
    }
}
