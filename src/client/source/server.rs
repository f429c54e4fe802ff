//! One server: whether it can be reached, and what its connections learned of it.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{SourceId, lock};
use crate::{
    client::{Error, Link, depth::Depth, net::origin::Origin},
    escape,
    http1::response_head::ResponseHead,
    progress::Counter,
    tls::Fingerprint,
};

/// One server, and what its connections share.
#[derive(Debug)]
pub struct Source {
    /// Its place.
    pub id: SourceId,
    /// Where it is, and how it is asked.
    pub origin: Origin,
    /// Whether it can be reached.
    pub link: watch::Sender<Link>,
    /// Held by the connection that tries to reach it while it cannot be reached.
    pub connecting: tokio::sync::Mutex<Outage>,
    /// Answers that came from it.
    pub answers: Counter,
    /// The last handshake's time.
    rtt: Mutex<Option<Duration>>,
    /// Until when nothing is asked of it.
    held: Mutex<Option<Held>>,
    /// When it last refused this client as such: what was asked before may be answered after.
    denied: Mutex<Option<Instant>>,
    /// How often in a row it refused this client for a while.
    kicks: AtomicU32,
    /// What it was believed for in the last handshake.
    certificate: Mutex<Option<Fingerprint>>,
    /// What it calls itself.
    server: Mutex<Option<String>>,
    /// Requests in flight on one of its connections, while small files flow.
    pub depth: Depth,
    /// Body bytes received from it.
    pub received: Counter,
    /// Ids of the target and what is above it, until this server's was compared.
    target_ids: Mutex<Option<Vec<String>>>,
}

/// Until when nothing is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It lets this client wait until then, or refuses it.
    Until(Instant),
    /// The user has something to answer first.
    ForAnswer,
}

/// How a server's link failed last.
#[derive(Debug, Default)]
pub struct Outage {
    /// Failures in a row.
    failures: u32,
    /// Bytes and answers that had come from the server then: more of them are progress.
    before: (u64, u64),
}

impl Source {
    /// The server at `origin`, of which nothing is known yet; `target_ids` are those of the target directory and what is
    /// above it.
    pub fn new(id: SourceId, origin: Origin, target_ids: Vec<String>) -> Self {
        Self {
            id,
            origin,
            link: watch::Sender::new(Link::Connecting),
            connecting: tokio::sync::Mutex::default(),
            answers: Counter::default(),
            rtt: Mutex::default(),
            held: Mutex::default(),
            denied: Mutex::default(),
            kicks: AtomicU32::new(0),
            certificate: Mutex::default(),
            server: Mutex::default(),
            depth: Depth::default(),
            received: Counter::default(),
            target_ids: Mutex::new(Some(target_ids)),
        }
    }

    /// Counts a failure of the link; how many there were in a row, without any progress between them.
    pub fn count_failure(&self, outage: &mut Outage) -> u32 {
        let now = (self.received.get(), self.answers.get());
        let anew = outage.before != now || matches!(*self.link.borrow(), Link::Down(_));
        outage.failures = if anew { 1 } else { outage.failures + 1 };
        outage.before = now;
        outage.failures
    }

    /// The link works: how long the handshake took, and which certificate was shown in it, if it was one of TLS.
    pub fn link_up(&self, rtt: Duration, certificate: Option<Fingerprint>) {
        *lock(&self.rtt) = Some(rtt);
        *lock(&self.certificate) = certificate;
        self.link.send_if_modified(|link| {
            // That it can be reached ends no pause, kick or ban: its answers do.
            let changed = !matches!(
                link,
                Link::Up | Link::Paused | Link::Kicked { .. } | Link::Banned(_) | Link::Asks(_)
            );
            if changed {
                *link = Link::Up;
            }
            changed
        });
    }

    /// It lets this client wait: it is asked again after `pause`.
    pub fn paused(&self, pause: Duration) {
        self.hold(Instant::now() + pause);
        let first = self.link.send_if_modified(|link| {
            let changed = *link != Link::Paused;
            *link = Link::Paused;
            changed
        });
        if first {
            tracing::warn!(path = %self.origin.authority(), "paused by the server: it goes on when that ends");
        }
    }

    /// It refuses this client for `time`, counted from the first of the connections that are told so. How often in a row
    /// it did; `None` where that is known.
    pub fn kicked(&self, reason: &str, time: Duration) -> Option<u32> {
        if self.held().is_some() {
            return None;
        }
        let now = Instant::now();
        *lock(&self.denied) = Some(now);
        let until = now + time;
        self.hold(until);
        self.link.send_replace(Link::Kicked {
            reason: reason.to_owned(),
            until,
        });
        Some(self.kicks.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// It refuses this client until that is lifted there.
    pub fn banned(&self, error: &Error) {
        *lock(&self.denied) = Some(Instant::now());
        self.link.send_replace(Link::Banned(error.to_string()));
    }

    /// Nothing is asked of it before the user has answered what `error` asks.
    pub fn ask(&self, error: &Error) {
        *lock(&self.held) = Some(Held::ForAnswer);
        self.link.send_replace(Link::Asks(error.clone()));
    }

    fn hold(&self, until: Instant) {
        let mut held = lock(&self.held);
        *held = Some(match *held {
            Some(Held::Until(before)) => Held::Until(before.max(until)),
            _ => Held::Until(until),
        });
    }

    /// Until when nothing is asked of it.
    pub fn held(&self) -> Option<Held> {
        lock(&self.held).filter(|held| match held {
            Held::Until(until) => *until > Instant::now(),
            Held::ForAnswer => true,
        })
    }

    /// It may be asked now.
    pub fn release(&self) {
        *lock(&self.held) = None;
        self.link.send_if_modified(|link| {
            let asked = matches!(link, Link::Asks(_));
            if asked {
                *link = Link::Connecting;
            }
            asked
        });
    }

    /// It answers again: what was asked at `asked`.
    pub fn link_resumed(&self, asked: Instant) {
        let let_in = lock(&self.denied).is_none_or(|denied| asked > denied);
        self.link.send_if_modified(|link| {
            let what = match link {
                Link::Paused => "no longer paused by the server",
                Link::Kicked { .. } | Link::Banned(_) if let_in => "let in again by the server",
                _ => return false,
            };
            *link = Link::Up;
            self.kicks.store(0, Ordering::Relaxed);
            tracing::info!(path = %self.origin.authority(), "{what}");
            true
        });
    }

    /// Time of the last connection's handshake, if there was any.
    pub fn rtt(&self) -> Option<Duration> {
        *lock(&self.rtt)
    }

    /// The certificate that it was believed for; `None` without TLS, and before it was reached.
    pub fn certificate(&self) -> Option<Fingerprint> {
        *lock(&self.certificate)
    }

    /// What it calls itself, raw.
    pub fn server(&self) -> Option<String> {
        lock(&self.server).clone()
    }

    /// Whether it says that it is one of our kind.
    pub fn is_haul(&self) -> bool {
        let server = lock(&self.server);
        server
            .as_ref()
            .is_some_and(|name| name.starts_with("haul/"))
    }

    /// Notes what every answer tells about the server; refuses to download into the directory that it serves, which is
    /// one of those in `dir` or above it.
    pub fn check(&self, head: &ResponseHead, dir: &std::path::Path) -> Result<(), Error> {
        let mut target_ids = lock(&self.target_ids);
        let Some(ids) = target_ids.as_ref() else {
            return Ok(());
        };
        lock(&self.server).clone_from(&head.server);
        if head.haul_dir.as_ref().is_some_and(|id| ids.contains(id)) {
            // The ids stay: every later answer must be refused, too.
            return Err(Error::Target {
                path: escape::display_path(dir),
                reason: "it lies in the directory that the server serves".into(),
            });
        }
        *target_ids = None;
        Ok(())
    }
}
