//! The server: takes connections, answers requests for what lies below one directory, and counts who takes what.
//!
//! It knows nothing of any screen. A request goes through [`connection`] (one client connection), [`respond`]
//! (status, fields), [`body`] (bytes); [`catalog`] decides what a path leads to and [`clients`] keeps count.

pub mod access;
mod body;
mod catalog;
mod clients;
mod connection;
mod control;
mod downloads;
mod entries;
mod error;
mod floor;
mod listen;
mod listing;
mod metalink;
mod open;
mod page;
mod peers;
mod respond;
pub mod snapshot;
mod spans;
mod standing;
mod stream;
mod tar;
mod transfers;
mod unsent;
mod values;
mod walk;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    entry::Entry,
    http1::path::RemotePath,
    tls::{Fingerprint, Identity},
    units::Rate,
};
use access::Access;
use catalog::{Catalog, Found};
use clients::Registry;
use entries::{Entries, SORTED_BYTES};
use peers::Who;
use values::Values;

pub use error::Error;
pub use listen::{bind, local_addresses, urls};
pub use snapshot::{Ban, ClientId, ClientView, Snapshot, TransferId, TransferState, TransferView};

/// How long running transfers may go on once the server drains.
const GRACE: Duration = Duration::from_secs(10);
/// How long a kicked client is refused: long enough to be noticed and for a retrying program to give up, short enough
/// not to be a ban.
const KICKED_FOR: Duration = Duration::from_secs(60);
/// Pause after the system refused a connection, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Open files that listeners, logs, the runtime and the cache directory need, at most a quarter of all.
const OWN_FILES: usize = 64;
/// How long a connection beyond the limit waits for a place, before it is told that there are too many.
const RELIEVED: Duration = Duration::from_millis(700);
/// How often it looks meanwhile whether one can be closed for it.
const LOOK: Duration = Duration::from_millis(50);
/// Part of all places that one sweep for room frees at most.
const SWEEP: usize = 64;
/// Listings that are read at once; each occupies a thread while it reads.
const LISTINGS: usize = 8;
/// Bytes of the larger ones among the small files that wait in output buffers, over all connections.
const BUFFERED: usize = 16 << 20;
/// Connections over the limit that are told so at once; what comes beyond is closed without a word.
const TURNED_AWAY: usize = 64;

/// What the server runs with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory to host.
    pub root: PathBuf,
    /// Serve names that begin with a dot too.
    pub hidden: bool,
    /// Follow symbolic links even out of the root.
    pub follow_symlinks: bool,
    /// A connection that is silent this long is closed.
    pub timeout: Duration,
    /// Connections at the same time; more get 503.
    pub max_connections: usize,
    /// Clients at the same time, by login or else address; others get 503. `None` for any number.
    pub max_clients: Option<usize>,
    /// What all clients together get.
    pub limit: Option<Rate>,
    /// How long a kicked client is refused.
    pub kick: Duration,
    /// What each client gets, unless it is given a limit of its own.
    pub limit_client: Option<Rate>,
    /// Readers that are slower are dropped.
    pub min_rate: Option<MinRate>,
    /// Where values of large files are kept between runs; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// The certificate to show; `None` speaks plain HTTP.
    pub tls: Option<Identity>,
    /// Who may come in.
    pub access: Access,
}

impl Settings {
    /// What URLs of the server begin with.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

impl Settings {
    /// The defaults for `root`: no limits but 4096 connections, and nothing kept.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            hidden: false,
            follow_symlinks: false,
            timeout: Duration::from_secs(60),
            max_connections: 4096,
            max_clients: None,
            limit: None,
            kick: KICKED_FOR,
            limit_client: None,
            min_rate: None,
            cache: None,
            tls: None,
            access: Access::default(),
        }
    }
}

/// What a reader must take at least while there are bytes for it, and nothing here holds them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinRate {
    /// The rate.
    pub rate: Rate,
    /// The time over which it must be kept.
    pub over: Duration,
}

/// A server of one directory; clones share it.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

/// What all connections share.
struct Shared {
    settings: Settings,
    /// The directory that is served now.
    catalog: RwLock<Arc<Catalog>>,
    registry: Registry,
    values: Values,
    listings: Semaphore,
    /// A permit a byte that the sorted names of directories hold.
    sorted: Arc<Semaphore>,
    /// A permit a byte that such a file holds in an output buffer.
    buffered: Arc<Semaphore>,
    /// What runs is finished, and no one new is taken.
    drain: CancellationToken,
}

impl Shared {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_catalog(&self, catalog: Arc<Catalog>) {
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = catalog;
    }
}

/// The two stages of a stop: `drain` ends accepting and lets running transfers finish; `abort` ends at once.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// No new connections or requests; idle connections close, running answers get 10 s.
    pub drain: CancellationToken,
    /// Every connection is closed where it stands.
    pub abort: CancellationToken,
}

impl Server {
    /// Opens the directory to serve.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let catalog = control::open(&settings.root, &settings)?;
        Ok(Self(Arc::new(Shared {
            catalog: RwLock::new(Arc::new(catalog)),
            registry: Registry::new(settings.max_clients, settings.limit_client, settings.limit),
            drain: CancellationToken::new(),
            values: Values::new(settings.cache.as_deref()),
            listings: Semaphore::new(LISTINGS),
            sorted: Arc::new(Semaphore::new(SORTED_BYTES)),
            buffered: Arc::new(Semaphore::new(BUFFERED)),
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
            ..self.0.registry.snapshot(Instant::now())
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

/// How many connections there may be: each that is served takes a socket, and a file while one is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Places {
    served: usize,
    /// Those that are told that there are too many.
    turned_away: usize,
}

impl Places {
    /// As many as were `asked` for, if the limit on open files allows it.
    fn of(asked: usize, files: u64) -> Self {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let usable = files - OWN_FILES.min(files / 4);
        let turned_away = TURNED_AWAY.min(usable / 8).max(1);
        Self {
            served: asked.min((usable - turned_away) / 2).max(1),
            turned_away,
        }
    }
}

/// Takes connections from one listener.
#[derive(Clone)]
struct Accept {
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    places: Places,
    away: Arc<Semaphore>,
    connections: TaskTracker,
    stop: Stop,
}

impl Accept {
    async fn run(self, listener: TcpListener) {
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                () = self.shared.drain.cancelled() => return,
                () = self.stop.abort.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    self.take(stream, peer);
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    // Mostly EMFILE: the connections that are there go on, and the others wait in the backlog.
                    if !failing {
                        tracing::error!(
                            "cannot accept connections: {}: trying again",
                            crate::error::reason(&error)
                        );
                    }
                    failing = true;
                    self.make_room(1);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        // Answers are written in as few calls as they can be: nothing is gained by holding them back.
        let _ = stream.set_nodelay(true);
        keep_alive(&stream);
        self.relieve();
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            self.serve(stream, peer, slot);
            return;
        }
        let is_crowd = self.is_crowd(peer);
        // Whoever holds most of what there is does not take all that is left for others to be told.
        if is_crowd && self.away.available_permits() <= self.places.turned_away / 2 {
            return;
        }
        let Ok(away) = Arc::clone(&self.away).try_acquire_owned() else {
            return;
        };
        let this = self.clone();
        self.connections.spawn(async move {
            let _away = away;
            let slot = async {
                while !is_crowd {
                    if let Ok(slot) = timeout(LOOK, Arc::clone(&this.slots).acquire_owned()).await {
                        return slot.ok();
                    }
                    this.relieve();
                }
                None
            };
            match timeout(RELIEVED, slot).await {
                Ok(Some(slot)) => this.serve(stream, peer, slot),
                _ => connection::turn_away(stream, peer, &this.shared).await,
            }
        });
    }

    /// Whether most places are held by the address of a newcomer.
    fn is_crowd(&self, peer: SocketAddr) -> bool {
        let open = self.shared.registry.open();
        open.held_by(&Who::of(None, peer.ip())) * 2 > self.places.served
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
        let (shared, stop) = (Arc::clone(&self.shared), self.stop.clone());
        // Whoever comes next sees it.
        let opened = Arc::new(shared.registry.open().enter(peer.ip()));
        self.connections.spawn(async move {
            let late = async {
                stop.drain.cancelled().await;
                sleep(GRACE).await;
            };
            tokio::select! {
                () = stop.abort.cancelled() => {}
                () = late => {}
                () = connection::serve(stream, peer, &shared, &opened) => {}
            }
            drop(slot);
        });
    }

    /// Makes room while there is some left, and once there is none: of whoever holds most, those that wait for their client
    /// are closed, the longest waiting first.
    fn relieve(&self) {
        let max = self.places.served;
        if self.slots.available_permits() <= max / 4 {
            self.make_room((max / SWEEP).max(1));
        }
    }

    fn make_room(&self, most: usize) {
        for who in self.shared.registry.open().relieve(most) {
            tracing::debug!(client = %who, "closed a connection that waited for its client: there are too many");
        }
    }
}

/// A client that vanished without a word is noticed, also while nothing is sent to it.
fn keep_alive(stream: &TcpStream) {
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    // Where it is refused, the time limits do the rest.
    let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&probes);
}

/// Whether only the connection in question failed, before it was even taken.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_from_the_files_that_may_be_open() {
        for (asked, files, served, turned_away) in [
            (4096, 1 << 20, 4096, 64),
            (4096, 4096, 1984, 64),
            (4096, 1024, 448, 64),
            (4096, 64, 21, 6),
            (4096, 8, 2, 1),
            (10, 1024, 10, 64),
            (4096, u64::MAX, 4096, 64),
        ] {
            let places = Places::of(asked, files);
            assert_eq!(
                (places.served, places.turned_away),
                (served, turned_away),
                "{files}"
            );
            assert!(files < 8 || (2 * places.served + places.turned_away) as u64 <= files);
        }
    }
}
