//! One connection's life: ask the queue for work, send requests, read their answers in order, say what became of them.
//!
//! Requests are pipelined where that helps: small files up to 64 deep, runs of pieces two deep, so that no round trip
//! is waited for between them. When the connection breaks, the answer that was being read is to blame; everything
//! behind it goes back to the queue.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

mod answer;
mod file;
mod hold;
mod pieces;
mod stream;
mod tree;

use super::{
    Error, Link,
    depth::DEPTH_MAX,
    disk::lander::SmallFile,
    disk::names::Local,
    engine::Engine,
    job::StepPolicy,
    net::connection::Connection,
    net::request::Ask,
    plan::RUN_MAX,
    queue::{Asker, Kind, Work},
    source::{Held, Source},
    task::FileTask,
};
use crate::pieces::PIECE;

/// Runs in flight on one connection: the second request is under way while the first one's answer is read.
const RUNS_IN_FLIGHT: usize = 2;
/// Bytes of requests that are sent before answers are read: more could fill both directions and block both sides.
const REQUESTS_MAX: usize = 16 * 1024;
/// How often a connection without work looks whether another one is slow.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// A connection that made no progress for this long, and for twice our own time for a piece, may be helped.
const STEAL_AFTER: Duration = Duration::from_millis(300);
/// A run should take about this long, so that connections can be rebalanced and listings need not wait.
const RUN_TIME: Duration = Duration::from_millis(500);
/// Pieces of a connection's first run, before its speed is known.
const FIRST_RUN: u32 = 4;

/// A connection and what is in flight on it.
pub struct Worker {
    pub(super) engine: Arc<Engine>,
    index: usize,
    /// The server that it belongs to.
    pub(super) source: Arc<Source>,
    pub(super) connection: Option<Connection>,
    /// Work whose answers have not been read, in the order of the requests.
    flight: VecDeque<Flight>,
    /// Small files that are complete but not handed to the lander yet.
    pub(super) complete: Vec<SmallFile>,
    /// Time for one piece, smoothed; `None` before the first run.
    pub(super) piece_time: Option<Duration>,
    /// Answers read on this connection.
    answered: u32,
}

/// Work whose request was sent, or is about to be.
#[derive(Debug)]
pub struct Flight {
    pub work: Work,
    /// How the first request for a file was made.
    pub first: First,
    pub began: Instant,
    sent: bool,
    /// Whether it was sent before the one in front of it was answered.
    ahead: bool,
}

/// How a file is asked for at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// HEAD: something is here already that may spare the fetching.
    Head,
    /// The whole file: it is known to be small.
    Whole,
    /// So many bytes from the front: it is large, or of unknown size.
    Range(u64),
    /// Not a file.
    None,
}

/// What reading an answer comes to.
type Answered = Result<(), Box<Broken>>;

/// What a failed answer leaves to do.
pub struct Broken {
    pub work: Work,
    pub error: Error,
}

impl Worker {
    /// The connection number `index`, not connected yet.
    pub fn new(engine: Arc<Engine>, index: usize) -> Self {
        Self {
            source: engine.sources.choose(None),
            engine,
            index,
            connection: None,
            flight: VecDeque::new(),
            complete: Vec::new(),
            piece_time: None,
            answered: 0,
        }
    }

    /// Works until the client stops.
    pub async fn run(mut self) {
        let engine = Arc::clone(&self.engine);
        while !engine.stop.is_cancelled() {
            let wake = engine.wake.notified();
            tokio::pin!(wake);
            wake.as_mut().enable();
            self.settle_source();
            if self.source.held().is_some() {
                let hurry = engine.hurry.notified();
                tokio::pin!(hurry);
                hurry.as_mut().enable();
                let Some(held) = self.source.held() else {
                    continue;
                };
                if !self.flight.is_empty() {
                    // Its answers would only say the same, one by one.
                    self.put_back_all();
                    self.disconnect();
                }
                self.land_complete();
                let until = match held {
                    Held::Until(until) => Some(until),
                    Held::ForAnswer => None,
                };
                tokio::select! {
                    () = super::retry::wake_at(until) => {}
                    () = hurry => {}
                    () = engine.stop.cancelled() => {}
                }
                continue;
            }
            self.take_work();
            if self.flight.is_empty() {
                self.land_complete();
                engine.settle_put_back().await;
                if self.is_needed_elsewhere() {
                    continue;
                }
                let look_again = engine.queue().look_again(Instant::now() + LOOK_AGAIN);
                tokio::select! {
                    () = wake => {}
                    () = super::retry::wake_at(look_again) => {}
                    () = engine.stop.cancelled() => {}
                }
                continue;
            }
            if self.connection.is_none() && !self.connect().await {
                continue;
            }
            self.exchange().await;
        }
        self.put_back_all();
        self.land_complete();
        self.disconnect();
    }

    /// Lets go of a server that was dropped, or that cannot be reached now while others can.
    fn settle_source(&mut self) {
        let engine = Arc::clone(&self.engine);
        let outlook = engine.sources.outlook(self.source.id, Instant::now());
        if !outlook.kept.contains(self.source.id) {
            self.put_back_all();
            self.disconnect();
        }
        if self.connection.is_none() && !outlook.usable.contains(self.source.id) {
            self.put_back_all();
            self.source = engine.sources.choose(Some(self.source.id));
        }
    }

    /// Moves to a server that something waits for and that no other connection belongs to, if there is one.
    fn is_needed_elsewhere(&mut self) -> bool {
        let sources = &self.engine.sources;
        let outlook = sources.outlook(self.source.id, Instant::now());
        let needed = self.engine.queue().needed(outlook);
        let Some(needed) = needed.filter(|needed| sources.move_to(*needed, self.source.id)) else {
            return false;
        };
        self.source = Arc::clone(sources.get(needed));
        self.disconnect();
        true
    }

    /// Fills the pipeline.
    fn take_work(&mut self) {
        let pipelining = self.source.depth.now();
        let mut bytes = 0;
        loop {
            let behind = self.flight.back().map(|flight| flight.work.kind());
            let room = match behind {
                None => true,
                Some(Kind::Small) => {
                    self.flight.len() < pipelining.min(DEPTH_MAX) && bytes < REQUESTS_MAX
                }
                Some(Kind::Run) => pipelining > 1 && self.flight.len() < RUNS_IN_FLIGHT,
                Some(Kind::Alone) => false,
            };
            // A pipeline is refilled in strides, so that requests leave many to a packet.
            let stride = self.source.depth.is_trial() || self.flight.len() > pipelining / 2;
            if !room || (behind == Some(Kind::Small) && stride && bytes == 0) {
                return;
            }
            let Some(mut work) = self.engine.queue().next(self.asker(behind)) else {
                return;
            };
            if let Work::Open(task) = &work
                && task.is_foreign_to(self.source.id)
            {
                self.fail_without_mirror(task.clone());
                continue;
            }
            if let Work::List(task) = work {
                if task.rest.is_some() {
                    let engine = Arc::clone(&self.engine);
                    self.engine.tasks.spawn(engine.load(task));
                    continue;
                }
                work = Work::List(task);
            }
            let first = match &mut work {
                Work::Open(task) => self.first_ask(task),
                _ => First::None,
            };
            bytes += 512;
            self.flight.push_back(Flight {
                work,
                first,
                began: Instant::now(),
                sent: false,
                ahead: behind.is_some(),
            });
        }
    }

    /// A file came here because no server is left that has it.
    fn fail_without_mirror(&self, task: FileTask) {
        let engine = Arc::clone(&self.engine);
        engine.queue().opened(task.item);
        self.engine
            .tasks
            .spawn(async move { engine.failed(task, Error::NoMirror, None).await });
    }

    fn asker(&self, behind: Option<Kind>) -> Asker {
        let run_max = self.piece_time.map_or(FIRST_RUN, |time| {
            (RUN_TIME.as_micros() / time.as_micros().max(1)).clamp(1, RUN_MAX.into()) as u32
        });
        let patience = self
            .piece_time
            .map_or(STEAL_AFTER, |time| STEAL_AFTER.max(2 * time));
        let workers = self.engine.settings.workers;
        let now = Instant::now();
        let pace = StepPolicy {
            run_max,
            workers,
            now,
            steal_after: Some(patience),
            outlook: self.engine.sources.outlook(self.source.id, now),
        };
        Asker {
            index: self.index,
            behind,
            pace,
        }
    }

    /// How to ask for a file at first, after a look at what is here if there was none yet.
    fn first_ask(&self, task: &mut FileTask) -> First {
        let target = self.engine.queue().target(task.item);
        if let Some(target) = target.as_ref().filter(|_| task.local == Local::Unknown) {
            // Once for a single file that somebody asked for; trees are looked at by directory.
            task.local = target.look(&task.path.parent(), task.local_name());
        }
        let worth_a_look = match task.local {
            // Small files leave no part that could be gone on with.
            Local::Part => self.engine.settings.resume && task.size.is_none_or(|size| size > PIECE),
            Local::File => target.is_some_and(|target| target.spares()),
            Local::Nothing | Local::Unknown => false,
        };
        match task.size {
            _ if task.whole => First::Whole,
            _ if worth_a_look => First::Head,
            Some(size) if size <= PIECE => First::Whole,
            Some(_) => First::Range(u64::from(self.asker(None).pace.run_max) * PIECE),
            None => First::Range(PIECE),
        }
    }

    /// Connects. While the server cannot be reached, one worker tries and the others wait for it.
    async fn connect(&mut self) -> bool {
        let (engine, source) = (Arc::clone(&self.engine), Arc::clone(&self.source));
        let mut guard = None;
        // Before the look at the link, so that no change after it is missed.
        let mut changed = source.link.subscribe();
        let began_up = *changed.borrow_and_update() == Link::Up;
        if !began_up {
            if let Ok(held) = source.connecting.try_lock() {
                guard = Some(held);
            } else {
                self.put_back_all();
                tokio::select! {
                    _ = changed.changed() => {}
                    () = engine.stop.cancelled() => {}
                }
                return false;
            }
        }
        let opened = tokio::select! {
            opened = Connection::open(&source.origin, engine.settings.timeout, &engine.pace) => opened,
            () = engine.stop.cancelled() => return false,
        };
        match opened {
            // Another has noted an outage meanwhile: it says when that is over.
            Ok(_) if guard.is_none() && source.link.borrow().is_lost() => {
                self.put_back_all();
                false
            }
            Ok(connection) => {
                source.link_up(connection.rtt, connection.certificate());
                engine.connection_opened(true);
                self.connection = Some(connection);
                self.answered = 0;
                true
            }
            Err(error) => {
                self.put_back_all();
                if engine.source_failed(source.id, &error, None) {
                    return false;
                }
                // Those that began while the link was up fail together: one of them speaks for all.
                let Some(mut guard) = guard.or_else(|| source.connecting.try_lock().ok()) else {
                    return false;
                };
                if began_up && source.link.borrow().is_lost() {
                    // Another has waited out a pause for this outage.
                    return false;
                }
                let failures = source.count_failure(&mut guard);
                engine.link_failed(&source, failures, &error).await;
                drop(guard);
                false
            }
        }
    }

    /// The server closed the connection before it answered anything. The work is to blame: perhaps it is only this that
    /// the server cannot answer. Where it goes on, it is a failure of the link as well.
    async fn closed_at_once(&mut self, work: Work, error: Error) {
        let source = Arc::clone(&self.source);
        let is_going = {
            let queue = self.engine.queue();
            work.item().is_none_or(|item| queue.is_going(item))
        };
        let outage = source.connecting.try_lock();
        let mut outage = match outage {
            Ok(outage) if is_going && !source.link.borrow().is_lost() => outage,
            // Another waits out a pause for this outage, or has.
            _ => return self.blame(work, error, None).await,
        };
        let (failures, retries) = (
            source.count_failure(&mut outage),
            self.engine.settings.retries,
        );
        // Once is an accident.
        if failures == 1 {
            return self.blame(work, error, None).await;
        }
        let failures = failures - 1;
        if failures > retries && !self.engine.settings.patient {
            // It fails with all the rest.
            self.engine.queue().put_back(work);
        } else {
            self.blame(work, error.clone(), None).await;
        }
        if source.link.borrow().is_lost() || source.held().is_some() {
            // Another connection knows better by now: it was kicked, say.
            return;
        }
        self.engine.link_failed(&source, failures, &error).await;
    }

    /// Sends what is unsent and reads one answer.
    async fn exchange(&mut self) {
        if let Err(error) = self.send().await {
            let Some(first) = self.flight.pop_front() else {
                return;
            };
            self.broken(first.work, first.ahead, error).await;
            return;
        }
        let Some(flight) = self.flight.pop_front() else {
            return;
        };
        let was_ahead = flight.ahead;
        let stop = self.engine.stop.clone();
        let answered = tokio::select! {
            biased;
            // Whatever it was doing is dropped with its connection; what it held is let go of by its guards.
            () = stop.cancelled() => {
                self.disconnect();
                return;
            }
            answered = self.answer(flight) => answered,
        };
        match answered {
            Ok(()) => {
                self.answered += 1;
                self.source.answers.add(1);
                // The server keeps connections open and answers in order: more may be sent ahead.
                if self.connection.is_some() && !self.engine.settings.serial {
                    if was_ahead || self.source.is_haul() {
                        self.source.depth.proven();
                    } else {
                        self.source.depth.kept_open();
                    }
                }
            }
            Err(broken) => self.broken(broken.work, was_ahead, broken.error).await,
        }
        if self.connection.is_none() {
            self.put_back_all();
        }
        let idle = self
            .connection
            .as_ref()
            .is_none_or(|connection| !connection.has_input());
        if idle || self.complete.len() >= DEPTH_MAX {
            self.land_complete();
        }
    }

    async fn send(&mut self) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else {
            return Err(Error::Broken("not connected".into()));
        };
        let (source, origin) = (&self.source, &self.source.origin);
        for flight in self.flight.iter_mut().filter(|flight| !flight.sent) {
            flight.sent = true;
            match &flight.work {
                Work::Browse(browse) => {
                    connection.queue(origin, &origin.target(&browse.dir), Ask::List);
                }
                Work::List(task) => connection.queue(origin, &origin.target(&task.dir), Ask::List),
                Work::Open(task) => {
                    let ask = match flight.first {
                        First::Head => Ask::Head,
                        First::Range(bytes) => Ask::Range {
                            first: 0,
                            last: bytes - 1,
                            if_match: None,
                            if_range: None,
                        },
                        First::Whole | First::None => Ask::Whole,
                    };
                    connection.queue(origin, &task.target_at(source), ask);
                }
                Work::Run(job, run) => {
                    let (first, end) = job.bytes_of(&run.pieces);
                    let (if_match, if_range) = job.validators(source.id);
                    let ask = if job.facts.ranges {
                        Ask::Range {
                            first,
                            last: end - 1,
                            if_match,
                            if_range: if_range.as_deref(),
                        }
                    } else {
                        Ask::Whole
                    };
                    connection.queue(origin, &job.task.target_at(source), ask);
                }
                Work::Values(job) => {
                    let (if_match, _) = job.validators(source.id);
                    connection.queue(
                        origin,
                        &job.task.target_at(source),
                        Ask::Pieces { if_match },
                    );
                }
            }
        }
        connection.flush().await
    }

    /// The connection broke: the front of the pipeline is to blame, the rest goes back.
    async fn broken(&mut self, work: Work, was_ahead: bool, error: Error) {
        self.disconnect();
        // A server that closes before it has answered what was sent ahead does not bear pipelining.
        let pipelined = was_ahead || self.flight.iter().any(|flight| flight.sent);
        let depth = &self.source.depth;
        let fresh = if pipelined && error.is_connection() {
            // A cable that is cut says nothing about a server of our kind: those pipeline.
            if !self.source.is_haul() {
                match error {
                    Error::Broken(_) => depth.lower(self.answered as usize),
                    // It does not answer what was sent ahead, or answers nonsense.
                    _ => depth.lower(1),
                }
            }
            self.answered > 0
        } else {
            // A kept connection that the server closed while it was idle is nobody's failure.
            self.answered > 0 && matches!(error, Error::Broken(_)) && !matches!(work, Work::Run(..))
        };
        self.put_back_all();
        let engine = Arc::clone(&self.engine);
        let goes_on_elsewhere = |error: &Error| {
            error.is_connection() && engine.source_failed(self.source.id, error, None)
        };
        if fresh || goes_on_elsewhere(&error) {
            engine.queue().put_back(work);
            engine.wake.notify_waiters();
            return;
        }
        if self.answered == 0 && matches!(error, Error::Broken(_)) {
            self.closed_at_once(work, error).await;
        } else {
            self.blame(work, error, None).await;
        }
    }

    /// Says that `work` failed with `error`. The connection may go on.
    pub(super) async fn blame(&mut self, work: Work, error: Error, retry_after: Option<Duration>) {
        let Some(work) = self.held(work, &error, retry_after).await else {
            return;
        };
        let Some(work) = self.ask_elsewhere(work, &error, retry_after) else {
            return;
        };
        let Some(work) = self.asks(work, &error) else {
            return;
        };
        let engine = &self.engine;
        match work {
            Work::Browse(mut browse) => {
                browse.failures += 1;
                if error.is_connection() && browse.failures <= engine.settings.retries {
                    engine.queue().put_back(Work::Browse(browse));
                    engine.wake.notify_waiters();
                } else {
                    let _ = browse.reply.send(Err(error));
                }
            }
            Work::List(task) => engine.failed(task, error, retry_after).await,
            Work::Open(task) => {
                // Nothing fails while its item is paused: it is done again once that goes on.
                let blamed = engine
                    .queue()
                    .opened_or_put_back(task, error.is_transient());
                match blamed {
                    Some(task) => engine.failed(task, error, retry_after).await,
                    None => engine.settle().await,
                }
            }
            Work::Run(job, run) => {
                job.end(&run, false);
                engine.job_failed(&job, error, retry_after).await;
            }
            Work::Values(job) => {
                job.values_failed();
                engine.job_failed(&job, error, retry_after).await;
            }
        }
    }

    /// Hands work on to another mirror that this one refused, or is too busy for; the work, where there is none.
    fn ask_elsewhere(
        &self,
        mut work: Work,
        error: &Error,
        retry_after: Option<Duration>,
    ) -> Option<Work> {
        let (engine, source) = (&self.engine, self.source.id);
        let status = match error {
            Error::Status { status, .. } => status,
            Error::Login { .. } => &401,
            _ => return Some(work),
        };
        if error.is_transient() {
            if !engine.source_failed(source, error, retry_after) {
                return Some(work);
            }
        } else {
            let tried = match &mut work {
                Work::Browse(browse) => &mut browse.tried,
                Work::List(task) => &mut task.tried,
                Work::Open(task) => &mut task.tried,
                Work::Run(..) | Work::Values(_) => return Some(work),
            };
            let outlook = engine.sources.outlook(source, Instant::now());
            let before = *tried;
            tried.insert(source);
            if outlook.kept.without(*tried).is_empty() {
                *tried = before;
                return Some(work);
            }
            tracing::debug!(path = %self.source.origin.authority(), "answered {status}: another mirror is asked");
        }
        engine.queue().put_back(work);
        engine.wake.notify_waiters();
        None
    }

    /// Counts body bytes that came.
    pub(super) fn count_received(&self, bytes: usize) {
        self.engine.received.add(bytes as u64);
        self.source.received.add(bytes as u64);
    }

    /// Gives back everything in flight.
    fn put_back_all(&mut self) {
        if self.flight.is_empty() {
            return;
        }
        let mut queue = self.engine.queue();
        while let Some(flight) = self.flight.pop_back() {
            queue.put_back(flight.work);
        }
        drop(queue);
        self.engine.wake.notify_waiters();
    }

    /// Closes the connection.
    pub(super) fn disconnect(&mut self) {
        if self.connection.take().is_some() {
            self.engine.connection_opened(false);
        }
    }

    /// Hands complete small files to the lander.
    pub(super) fn land_complete(&mut self) {
        if !self.complete.is_empty() {
            let files = std::mem::take(&mut self.complete);
            self.engine.land_small(files);
        }
    }
}
