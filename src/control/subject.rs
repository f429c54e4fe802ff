//! What runs in this process, as its socket shows it.

use tokio::sync::mpsc;

use super::{
    engine::{connecting::Connecting, hub::Hub, serving::Serving},
    protocol::Facts,
    seam::Engine,
};
use crate::{
    app::{Effect, Event, Sample, connect, serve},
    escape::display_path,
    metrics,
    server::Server,
};

/// What runs in this process.
#[derive(Clone)]
pub enum Subject {
    /// A server.
    Serve {
        /// The handle.
        server: Server,
        /// What screens are told of it.
        facts: serve::Facts,
    },
    /// A client, or several, one after the other.
    Connect {
        /// The handle.
        hub: Hub,
        /// What screens are told of it.
        facts: connect::Facts,
    },
}

impl Subject {
    /// What it is, now.
    pub(super) fn facts(&self) -> Facts {
        match self {
            Self::Serve { server, facts } => {
                let mut facts = facts.clone();
                let root = server.snapshot().root;
                facts.root = display_path(&std::path::absolute(&root).unwrap_or(root));
                Facts::Serve(facts)
            }
            Self::Connect { hub, facts } => Facts::Connect {
                facts: facts.clone(),
                server: hub.server(),
            },
        }
    }

    /// Figures for monitoring, now.
    pub(super) fn metrics(&self) -> String {
        match self {
            Self::Serve { server, .. } => metrics::of_server(server),
            Self::Connect { hub, .. } => metrics::of_client(hub.client().as_ref()),
        }
    }

    /// What one watcher hands its effects to.
    pub(super) fn engine(&self) -> Local {
        match self {
            Self::Serve { server, .. } => Local::Serve(Serving::new(server.clone())),
            Self::Connect { hub, .. } => Local::Connect(hub.engine()),
        }
    }
}

/// Either engine.
pub(super) enum Local {
    Serve(Serving),
    Connect(Connecting),
}

impl Engine for Local {
    fn sample(&mut self) -> Sample {
        match self {
            Self::Serve(engine) => engine.sample(),
            Self::Connect(engine) => engine.sample(),
        }
    }

    fn apply(&mut self, effect: Effect, answers: &mpsc::Sender<Event>) {
        match self {
            Self::Serve(engine) => engine.apply(effect, answers),
            Self::Connect(engine) => engine.apply(effect, answers),
        }
    }

    async fn told(&mut self) -> Option<Event> {
        match self {
            Self::Serve(engine) => engine.told().await,
            Self::Connect(engine) => engine.told().await,
        }
    }
}
