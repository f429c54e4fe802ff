//! What the connections of a client share: the queue, the link's state, the counters, and what follows an outcome.

mod found;
mod outcome;
mod parts;

pub use found::Found;
pub use parts::Keep;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Error, Event, ItemId, Link, Settings,
    disk::journal::Journal,
    disk::lander::Lander,
    disk::target::Target,
    net::origin::Origin,
    queue::{Ended, Queue},
    retry::backoff,
    source::{Source, SourceId, Sources},
};
use crate::{http1::path::RemotePath, pace::Pace, progress::Counter, units};

/// What the connections share.
#[derive(Debug)]
pub struct Engine {
    /// The client's settings.
    pub settings: Settings,
    /// The servers.
    pub sources: Sources,
    /// What is to be done.
    queue: Mutex<Queue>,
    /// Something may have been added to the queue.
    pub wake: Notify,
    /// Tries again now instead of waiting out a pause.
    pub hurry: Notify,
    /// The limit of all connections together.
    pub pace: Arc<Pace>,
    /// Body bytes received.
    pub received: Counter,
    /// Open connections.
    pub connections: AtomicUsize,
    /// Ends everything at the next safe point.
    pub stop: CancellationToken,
    /// The client stops, and nobody has taken events for a while: nobody will.
    pub unheard: CancellationToken,
    /// Connections and landings.
    pub tasks: TaskTracker,
    /// Where they run; calls may come from threads outside of it.
    pub runtime: tokio::runtime::Handle,
    lander: Lander,
    journal: Journal,
    events: mpsc::Sender<Event>,
}

/// After a stop, an event waits this long for somebody to take it.
const LAST_EVENTS: Duration = Duration::from_secs(1);

impl Engine {
    /// Shared state for one client.
    pub fn new(
        settings: Settings,
        origins: Vec<Origin>,
        target: &Target,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let ids = target.ids();
        let own_id = ids.first().cloned().unwrap_or_default();
        let sources = Sources::new(origins, &ids, settings.retries);
        let base = sources.primary().origin.base_url();
        let journal = Journal::open(settings.state_dir.as_deref(), &own_id, &base);
        Self {
            pace: Arc::new(Pace::new(settings.limit)),
            settings,
            sources,
            queue: Mutex::default(),
            wake: Notify::new(),
            hurry: Notify::new(),
            received: Counter::default(),
            connections: AtomicUsize::new(0),
            stop: CancellationToken::new(),
            unheard: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
            lander: Lander::default(),
            journal,
            events,
        }
    }

    /// The queue; never hold it across an await.
    pub fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a later run goes on with.
    pub fn journal(&self) -> &Journal {
        &self.journal
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
            settled,
        } in ended
        {
            if let Some(ticket) = settled {
                self.journal.settle(ticket);
            }
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

    /// Completes once an item is paused, cancelled or ended.
    pub async fn halted(&self, item: ItemId) {
        loop {
            let wake = self.wake.notified();
            tokio::pin!(wake);
            wake.as_mut().enable();
            if !self.queue().is_going(item) {
                return;
            }
            wake.await;
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

    /// The only server that is left cannot be reached: notes the failure; everything fails once that has lasted, or at
    /// once where another try cannot help.
    pub async fn link_failed(self: &Arc<Self>, source: &Source, failures: u32, error: &Error) {
        if self.settings.patient && error.asks() {
            self.ask(source, error);
            return;
        }
        let hopeless = !error.is_transient();
        if hopeless || failures > self.settings.retries && !self.settings.patient {
            self.give_up(source, error).await;
            return;
        }
        if self.settings.patient && source.rtt().is_none() {
            // Somebody looks at an empty screen: they are told at once, and may name another server.
            self.tell_browsers(error);
            if self.queue().is_idle() {
                source.link.send_replace(Link::Down(error.to_string()));
                return;
            }
        }
        let after = backoff(failures, None);
        tracing::warn!(path = %source.origin.authority(), "{error}: try {} in {}", failures + 1, units::took(after));
        source.link.send_replace(Link::Retrying {
            attempt: failures + 1,
            after,
            reason: error.to_string(),
        });
        self.pause(after).await;
    }

    /// The only server that is left is of no use any more: everything fails.
    pub async fn give_up(self: &Arc<Self>, source: &Source, error: &Error) {
        match error {
            Error::Banned(_) => source.banned(error),
            _ => {
                source.link.send_replace(Link::Down(error.to_string()));
            }
        }
        let (jobs, browsers) = {
            let mut queue = self.queue();
            (queue.jobs(), queue.fail_all(error))
        };
        self.note_parts(jobs);
        for browse in browsers {
            let _ = browse.reply.send(Err(error.clone()));
        }
        self.settle().await;
    }

    /// Somebody is there to answer what `error` asks: nothing fails, and all waits for that.
    pub fn ask(&self, source: &Source, error: &Error) {
        source.ask(error);
        self.tell_browsers(error);
        self.wake.notify_waiters();
    }

    /// Those who wait for a listing are told why there is none.
    pub fn tell_browsers(&self, error: &Error) {
        let browsers = self.queue().take_browsers();
        for browse in browsers {
            let _ = browse.reply.send(Err(error.clone()));
        }
    }

    /// A server failed. True where others are left: they go on with its work, and it rests or is dropped.
    pub fn source_failed(
        self: &Arc<Self>,
        source: SourceId,
        error: &Error,
        retry_after: Option<Duration>,
    ) -> bool {
        let Some(rest) = self.sources.failed(source, error, retry_after) else {
            return false;
        };
        self.wake.notify_waiters();
        if !rest.is_zero() {
            let engine = Arc::clone(self);
            self.tasks.spawn(async move {
                engine.pause(rest).await;
                engine.wake.notify_waiters();
            });
        }
        true
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
        self.sources.primary().origin.url_of(path)
    }
}
