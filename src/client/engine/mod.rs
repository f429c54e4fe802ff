//! What the connections of a client share: the queue, the link's state, the counters, and what follows an outcome.

mod outcome;
mod parts;

pub use parts::Keep;

use std::{
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Error, Event, Link, Settings,
    journal::Journal,
    lander::Lander,
    origin::Origin,
    queue::{Ended, Queue},
    retry::backoff,
    target::Target,
};
use crate::{
    escape,
    http1::{path::RemotePath, response_head::ResponseHead},
    progress::Counter,
    units,
};

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
    /// Held by the connection that tries to reach the server while it cannot be reached. The value is what was
    /// received before its last failure.
    pub connecting: tokio::sync::Mutex<u64>,
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
    /// The client stops, and nobody has taken events for a while: nobody will.
    pub unheard: CancellationToken,
    /// Connections and landings.
    pub tasks: TaskTracker,
    /// Where they run; calls may come from threads outside of it.
    pub runtime: tokio::runtime::Handle,
    /// Requests in flight on one connection, while small files flow.
    pub depth: Depth,
    /// Connections that hold a listing back until some of the files that are known were begun.
    pub held_back: AtomicUsize,
    lander: Lander,
    journal: Journal,
    events: mpsc::Sender<Event>,
    /// Ids of the target and what is above it, until the server's was compared.
    target_ids: Mutex<Option<Vec<String>>>,
}

/// After a stop, an event waits this long for somebody to take it.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// Requests in flight on one connection at most. 64 hide a round trip of 20 ms at 3,000 files a second.
pub const DEPTH_MAX: usize = 64;

/// Requests in flight while it is not known whether the server answers what is sent ahead.
const TRIAL: usize = 2;

/// How deep requests for small files are pipelined: one at a time until the server has kept a connection open, then
/// two, and once it has answered both, as many as it bears. What it once broke under is never tried again.
///
/// The two matter: a server that throws away what it read ahead, and then answers what comes later, would give one
/// file's bytes for another's. Of two requests in one packet it never answers the second.
#[derive(Debug)]
pub struct Depth {
    now: AtomicUsize,
    max: AtomicUsize,
}

impl Default for Depth {
    fn default() -> Self {
        Self {
            now: AtomicUsize::new(1),
            max: AtomicUsize::new(DEPTH_MAX),
        }
    }
}

impl Depth {
    /// Requests that may be in flight on one connection.
    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Whether the answers to what is in flight must be waited for before more is sent.
    pub fn is_trial(&self) -> bool {
        self.now() == TRIAL
    }

    /// The server kept a connection open behind an answer.
    pub fn kept_open(&self) {
        if self.now() == 1 {
            let max = self.max.load(Ordering::Relaxed);
            self.now.store(max.min(TRIAL), Ordering::Relaxed);
        }
    }

    /// The server is known to answer what is sent ahead.
    pub fn proven(&self) {
        let max = self.max.load(Ordering::Relaxed);
        self.now.store(max, Ordering::Relaxed);
    }

    /// A connection broke with requests sent ahead, after so many answers.
    pub fn lower(&self, answered: usize) {
        let fewer = answered.min(self.now() / 2).max(1);
        self.max.fetch_min(fewer, Ordering::Relaxed);
        self.now.fetch_min(fewer, Ordering::Relaxed);
    }
}

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
            connecting: tokio::sync::Mutex::default(),
            hurry: Notify::new(),
            received: Counter::default(),
            connections: AtomicUsize::new(0),
            rtt: Mutex::default(),
            server: Mutex::default(),
            stop: CancellationToken::new(),
            unheard: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
            depth: Depth::default(),
            held_back: AtomicUsize::new(0),
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

    /// Tells what happened. Waits while nobody takes events; a receiver that is gone is no obstacle, and one that
    /// takes none is none after a stop.
    pub async fn emit(&self, event: Event) {
        tokio::select! {
            biased;
            _ = self.events.send(event) => {}
            () = self.unheard.cancelled() => {}
            () = self.give_up_hearing() => {}
        }
    }

    /// Completes when an event has waited too long after a stop; later ones do not wait.
    async fn give_up_hearing(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_EVENTS).await;
        self.unheard.cancel();
    }

    /// The same from a thread that may block.
    fn emit_blocking(&self, event: Event) {
        self.runtime.block_on(self.emit(event));
    }

    /// Ends items that are exhausted and wakes idle connections; after every outcome.
    pub async fn settle(&self) {
        for event in self.ended() {
            self.emit(event).await;
        }
    }

    /// The same where no outcome is new: what was put back may have been the last of a cancelled item. Wakes nobody
    /// for nothing, so that idle connections can call it.
    pub async fn settle_put_back(&self) {
        if self.queue().any_exhausted() {
            self.settle().await;
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
        let mut events = Vec::new();
        for Ended {
            item,
            path,
            unmatched,
        } in ended
        {
            if unmatched {
                events.push(Event::Failed {
                    item,
                    path,
                    attempts: 1,
                    error: Error::NoMatch,
                });
            }
            events.push(Event::Ended { item });
        }
        events
    }

    /// Whether the server says that it is one of our kind.
    pub fn is_haul(&self) -> bool {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server
            .as_ref()
            .is_some_and(|name| name.starts_with("haul/"))
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

    /// Waits out a pause, unless the client stops or the user hurries it.
    pub async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.hurry.notified() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// The server cannot be reached: notes the failure; everything fails once that has lasted. True when it has.
    pub async fn link_failed(&self, failures: u32, error: &Error) -> bool {
        let hopeless = !error.is_transient();
        if hopeless || failures > self.settings.retries && !self.settings.patient {
            self.link.send_replace(Link::Down(error.to_string()));
            let browsers = self.queue().fail_all(error);
            for browse in browsers {
                let _ = browse.reply.send(Err(error.clone()));
            }
            self.settle().await;
            return true;
        }
        let never_up = self
            .rtt
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none();
        if self.settings.patient && never_up {
            // Somebody looks at an empty screen: they are told at once, and may name another server.
            let (browsers, idle) = {
                let mut queue = self.queue();
                (queue.take_browsers(), queue.is_idle())
            };
            for browse in browsers {
                let _ = browse.reply.send(Err(error.clone()));
            }
            if idle {
                self.link.send_replace(Link::Down(error.to_string()));
                return false;
            }
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
        self.origin.url_of(path)
    }
}
