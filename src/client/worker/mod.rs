//! One connection's life: it asks the schedule what to do, does it, and says what became of it.
//!
//! Requests are pipelined where that helps: small files up to 64 deep, runs of pieces two deep, so that no round trip
//! is waited for between them. What is in flight stands in the schedule; a worker that breaks or panics loses nothing.

mod answer;
mod open;
mod pieces;
mod redirect;
mod request;
mod tree;
mod whole;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    disk::lander::SmallFile,
    engine::{Engine, Server},
    id::{SlotId, SourceId},
    net::connection::Connection,
    schedule::{Answered, Channel, DEPTH_MAX, Fault, Flight, Order, Report, Request},
    task::FileTask,
};

/// A connection's task.
pub struct Worker {
    engine: Arc<Engine>,
    slot: SlotId,
    /// The server that the connection is to, or was.
    source: SourceId,
    server: Arc<Server>,
    connection: Option<Connection>,
    /// Requests sent whose answers were not read.
    awaited: usize,
    /// Small files that are complete but not handed to the lander yet.
    complete: Vec<SmallFile>,
}

/// What reading an answer comes to.
type Answer = Result<Answered, Fault>;

impl Worker {
    /// The connection number `slot`, not connected yet.
    pub fn new(engine: Arc<Engine>, slot: SlotId) -> Self {
        let source = SourceId::default();
        Self {
            server: engine.server(source),
            engine,
            slot,
            source,
            connection: None,
            awaited: 0,
            complete: Vec::new(),
        }
    }

    /// Works until the client stops; begins anew where a panic ends it.
    pub async fn watch(engine: Arc<Engine>, slot: SlotId) {
        loop {
            let worker = tokio::spawn(Self::new(Arc::clone(&engine), slot).run());
            let Err(error) = worker.await else { return };
            if error.is_cancelled() {
                // The runtime ends, and all of it with it.
                return;
            }
            tracing::error!(
                "a connection's task failed, and begins anew: {error}: a fault of haul, please report it"
            );
            engine.with(|schedule| schedule.gone(slot, Instant::now()));
            // Whatever it is, it does not happen in a tight loop.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn run(mut self) {
        let engine = Arc::clone(&self.engine);
        loop {
            let order = engine.with(|schedule| schedule.next(self.slot, Instant::now()));
            match order {
                Order::Connect(source) => self.connect(source).await,
                Order::Look(task) => self.look(*task).await,
                Order::Exchange {
                    send,
                    read,
                    patience,
                } => self.exchange(send, *read, patience).await,
                Order::Close => self.disconnect(),
                Order::Wait(until) => self.wait(until).await,
                Order::End => break,
            }
        }
        self.land_complete();
    }

    async fn wait(&mut self, until: Option<Instant>) {
        self.land_complete();
        let until = async {
            match until {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.engine.bell(self.slot) => {}
            () = until => {}
            () = self.engine.stop.cancelled() => {}
        }
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn report(&self, report: Report) {
        self.engine
            .with(|schedule| schedule.report(self.slot, report, Instant::now()));
    }

    async fn connect(&mut self, source: SourceId) {
        self.disconnect();
        let engine = Arc::clone(&self.engine);
        let server = engine.server(source);
        (self.source, self.server) = (source, Arc::clone(&server));
        let opened = tokio::select! {
            opened = Connection::open(&server.origin, engine.settings.timeout, &engine.pace) => {
                opened.map_err(Fault::Unreachable)
            }
            () = engine.stop.cancelled() => Err(Fault::Interrupted),
            () = engine.unwanted(self.slot) => Err(Fault::Interrupted),
        };
        let report = match opened {
            Ok(connection) => {
                server.connected(connection.rtt, connection.certificate());
                let rtt = connection.rtt;
                self.connection = Some(connection);
                Report::Connected(rtt)
            }
            Err(fault) => Report::Fault(fault, Channel::CLOSED),
        };
        self.report(report);
    }

    /// Looks what is here of a file already.
    async fn look(&mut self, mut task: FileTask) {
        let (engine, shown) = (Arc::clone(&self.engine), task.clone());
        let look = tokio::task::spawn_blocking(move || {
            let target = engine.target(shown.item)?;
            Some(target.look(&shown.path.parent(), shown.local_name()))
        });
        task.local = look.await.ok().flatten().unwrap_or_default();
        self.engine
            .with(|schedule| schedule.looked(self.slot, task, Instant::now()));
    }

    /// Sends requests and reads one answer.
    async fn exchange(&mut self, send: Vec<Request>, read: Flight, patience: Option<Duration>) {
        let began = self.connection.is_some();
        if let Err(error) = self.send(send).await {
            self.disconnect();
            return self.report(Report::Fault(Fault::of(error, None), Channel::CLOSED));
        }
        debug_assert!(began, "an exchange without a connection");
        let stop = self.engine.stop.clone();
        let (answer, open) = tokio::select! {
            biased;
            // What it was doing is dropped with its connection.
            () = stop.cancelled() => (Err(Fault::Interrupted), false),
            answer = self.answer(read, patience) => answer,
        };
        if !open {
            self.disconnect();
        }
        let channel = Channel {
            open,
            haul: self.server().is_haul(),
        };
        self.report(match answer {
            Ok(answered) => Report::Answered(answered, channel),
            Err(fault) => Report::Fault(fault, channel),
        });
        let idle = self
            .connection
            .as_ref()
            .is_none_or(|connection| !connection.has_input());
        if idle || self.complete.len() >= DEPTH_MAX {
            self.land_complete();
        }
    }

    /// Counts body bytes that came.
    fn count_received(&self, bytes: usize) {
        self.engine.received.add(bytes as u64);
        self.server().received.add(bytes as u64);
    }

    /// Closes the connection.
    fn disconnect(&mut self) {
        self.connection = None;
        self.awaited = 0;
    }

    /// Hands complete small files to the lander.
    fn land_complete(&mut self) {
        if !self.complete.is_empty() {
            let files = std::mem::take(&mut self.complete);
            self.engine.land_small(files);
        }
    }
}

/// What is complete lands, also where a panic ends the task.
impl Drop for Worker {
    fn drop(&mut self) {
        self.land_complete();
    }
}
