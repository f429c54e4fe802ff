//! Takes connections, and makes room for them.

use std::{io, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    connection,
    people::peers::Who,
    shared::{Shared, Stop},
};

/// How long running transfers may go on once the server drains.
const GRACE: Duration = Duration::from_secs(10);
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
/// Connections over the limit that are told so at once; what comes beyond is closed without a word.
const TURNED_AWAY: usize = 64;
/// An address that holds more than one of so many places holds much.
const MUCH: usize = 16;

/// How many connections there may be: each that is served takes a socket, and a file while one is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) served: usize,
    /// Those that are told that there are too many.
    pub(super) turned_away: usize,
}

impl Places {
    /// As many as were `asked` for, if the limit on open files allows it.
    pub(super) fn of(asked: usize, files: u64) -> Self {
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
pub(super) struct Accept {
    pub(super) shared: Arc<Shared>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) places: Places,
    pub(super) away: Arc<Semaphore>,
    pub(super) connections: TaskTracker,
    pub(super) stop: Stop,
}

impl Accept {
    /// Takes connections until the server drains or stops. A panic costs the connection that was being taken: without this
    /// loop the program would run on and hear nobody.
    pub(super) async fn run(self, listener: TcpListener) {
        keep_alive(&listener);
        while let Err(_told) = AssertUnwindSafe(self.listen(&listener))
            .catch_unwind()
            .await
        {
            sleep(ACCEPT_PAUSE).await;
        }
    }

    async fn listen(&self, listener: &TcpListener) {
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
                            crate::exit::reason(&error)
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
        self.relieve();
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            self.serve(stream, peer, slot);
            return;
        }
        let held = self.held_by(peer);
        let is_crowd = held * 2 > self.places.served;
        // Whoever holds much of what there is, as one of several too, does not take all that is left for others.
        if held * MUCH > self.places.served
            && self.away.available_permits() <= self.places.turned_away / 2
        {
            return;
        }
        let Ok(away) = Arc::clone(&self.away).try_acquire_owned() else {
            return;
        };
        let this = self.clone();
        self.connections.spawn(async move {
            let _away = away;
            let slot = async {
                loop {
                    if is_crowd {
                        return None;
                    }
                    if let Ok(slot) = timeout(LOOK, Arc::clone(&this.slots).acquire_owned()).await {
                        return slot.ok();
                    }
                    this.relieve();
                }
            };
            match timeout(RELIEVED, slot).await {
                Ok(Some(slot)) => this.serve(stream, peer, slot),
                _ => connection::turn_away(stream, peer, &this.shared).await,
            }
        });
    }

    /// Places that are held by the address of a newcomer.
    fn held_by(&self, peer: SocketAddr) -> usize {
        let open = self.shared.registry.open();
        open.held_by(&Who::of(None, peer.ip()))
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
        let (max, free) = (self.places.served, self.slots.available_permits());
        let may_wait = free > 0 && !self.shared.registry.open().may_sweep();
        if free <= max / 4 && !may_wait {
            self.make_room((max / SWEEP).max(1));
        }
    }

    fn make_room(&self, most: usize) {
        for who in self.shared.registry.open().relieve(most) {
            tracing::debug!(client = %who, "closed a connection that waited for its client: there are too many");
        }
    }
}

/// A client that vanished without a word is noticed, also while nothing is sent to it. Set once: connections have it from
/// their listener.
fn keep_alive(listener: &TcpListener) {
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    // Where it is refused, the time limits do the rest.
    let _ = socket2::SockRef::from(listener).set_tcp_keepalive(&probes);
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

    #[tokio::test]
    async fn who_vanished_without_a_word_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        keep_alive(&listener);
        let address = listener.local_addr().unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_time().unwrap(),
            Duration::from_secs(60)
        );
    }

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
