//! The server: takes connections, answers requests for what lies below one directory, and counts who takes what.
//!
//! It knows nothing of any screen. A request goes through [`connection`] (one client connection), [`respond`]
//! (status, fields, what the body is) and back to the connection, which sends it; [`tree`] decides what a path leads to,
//! [`digests`] what is computed of it, and [`people`] keeps count.

mod accept;
mod connection;
mod control;
mod digests;
mod error;
mod host;
mod listen;
mod people;
mod respond;
mod settings;
mod shared;
mod tree;
mod work;

use std::{
    io,
    sync::{Arc, Mutex, RwLock},
    time::Instant,
};

use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    entry::Entry,
    http1::path::RemotePath,
    tls::{Fingerprint, Identity},
};
use accept::{Accept, Places};
use digests::Values;
use people::clients::Registry;
use shared::Shared;
use tree::{
    entries::{self, Entries, SORTED_BYTES},
    found::Found,
};
use work::{Work, budget::Budget};

pub use error::Error;
pub use host::Names;
pub use listen::{bind, local_addresses, urls};
pub use people::{
    access,
    snapshot::{
        self, Ban, ClientId, ClientView, Counts, Snapshot, TransferId, TransferState, TransferView,
        WorkCount,
    },
};
pub use settings::{MinRate, Settings};
pub use shared::Stop;
pub use tree::own::Own;

/// Bytes of the larger ones among the small files that wait in output buffers, over all connections.
const BUFFERED: usize = 16 << 20;

/// A server of one directory; clones share it.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

impl Server {
    /// Opens the directory to serve.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let catalog = shared::open(&settings.root, &settings)?;
        let work = Work::default();
        Ok(Self(Arc::new(Shared {
            catalog: RwLock::new(Arc::new(catalog)),
            looking: Mutex::default(),
            gone: RwLock::default(),
            registry: Registry::new(settings.max_clients, settings.limit_client, settings.limit),
            drain: CancellationToken::new(),
            values: Values::new(settings.cache.as_deref(), work.clone()),
            work,
            sorted: Budget::new(SORTED_BYTES),
            buffered: Budget::new(BUFFERED),
            settings,
        })))
    }

    /// Serves until `stop` says otherwise; completes once the last connection is closed.
    pub async fn run(&self, listeners: Vec<TcpListener>, stop: Stop) {
        let asked = self.0.settings.max_connections;
        let places = Places::of(asked, crate::sys::disk::raise_open_files());
        if places.served < asked {
            tracing::warn!(
                "at most {} connections instead of {asked}: each needs two open files: raise the limit (ulimit -n)",
                places.served
            );
        }
        let connections = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(places.served));
        let away = Arc::new(Semaphore::new(places.turned_away));
        for listener in listeners {
            let accept = Accept {
                shared: Arc::clone(&self.0),
                slots: Arc::clone(&slots),
                places,
                away: Arc::clone(&away),
                connections: connections.clone(),
                stop: stop.clone(),
            };
            connections.spawn(accept.run(listener));
        }
        connections.close();
        let told = async {
            stop.drain.cancelled().await;
            self.drain();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = connections.wait() => {}
            () = told => {}
            () = tree::root::watch(Arc::clone(&self.0)) => {}
        }
    }

    /// What it runs with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The fingerprint of the certificate that it shows; `None` without TLS.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.0.settings.tls.as_ref().map(Identity::fingerprint)
    }

    /// Everything that a screen shows, at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            draining: self.0.drain.is_cancelled(),
            root: self.0.catalog().path().to_owned(),
            gone: self.0.gone(),
            ..self.0.registry.snapshot(Instant::now())
        }
    }

    /// What monitoring asks for besides, at this moment.
    pub fn counts(&self) -> Counts {
        Counts {
            statuses: self.0.registry.statuses(),
            work: self.0.work.counts(),
        }
    }

    /// The entries of a directory as visitors see them, directories first. Blocks: reads the directory.
    pub fn list(&self, dir: &RemotePath) -> Result<Vec<Entry>, Error> {
        self.list_blocking(dir).map_err(|source| Error::List {
            path: dir.clone(),
            source,
        })
    }

    fn list_blocking(&self, dir: &RemotePath) -> io::Result<Vec<Entry>> {
        let catalog = self.0.catalog();
        let Found::Dir(open) = catalog.find_blocking(dir)? else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        let entries = Entries::new(Arc::clone(&catalog), dir.clone(), open)?;
        let mut listed = entries.collect::<io::Result<Vec<_>>>()?;
        entries::sort(&mut listed);
        Ok(listed.into_iter().map(|listed| listed.entry).collect())
    }

    /// How often a file was taken whole; for a directory, how many files below it were.
    pub fn downloads(&self, path: &RemotePath) -> u64 {
        self.0.registry.downloads(path)
    }
}
