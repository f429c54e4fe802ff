//! How a client stands with whoever runs the server: paused, or kicked for a while.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::clients::lock;

/// How long a kicked client is refused: long enough to be noticed and for a retrying program to give up, short enough
/// not to be a ban.
pub const KICKED_FOR: Duration = Duration::from_secs(60);

/// Why a request gets no answer of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Banned, for this reason.
    Banned(String),
    /// Kicked less than [`KICKED_FOR`] ago, for this reason.
    Kicked(String),
    /// There are as many clients as are allowed.
    Full,
    /// The server takes no one new.
    Draining,
    /// It is to wait.
    Paused,
}

/// One client's standing.
#[derive(Debug, Default)]
pub struct Standing {
    paused: AtomicBool,
    resumed: Notify,
    kicked: Mutex<Option<(String, Instant)>>,
}

impl Standing {
    /// Holds what runs, or lets it go on.
    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
        if !paused {
            self.resumed.notify_waiters();
        }
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Completes once it is not paused.
    pub async fn resumed(&self) {
        while self.is_paused() {
            let resumed = self.resumed.notified();
            // It may have gone on between the two lines above.
            if self.is_paused() {
                resumed.await;
            }
        }
    }

    /// Refuses it for a while.
    pub fn kick(&self, reason: &str, now: Instant) {
        *lock(&self.kicked) = Some((reason.to_owned(), now));
    }

    /// Why it was kicked, as long as that counts.
    pub fn kicked(&self, now: Instant) -> Option<String> {
        let kicked = lock(&self.kicked);
        let (reason, at) = kicked.as_ref()?;
        (now.saturating_duration_since(*at) < KICKED_FOR).then(|| reason.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kick_is_no_ban() {
        let (standing, now) = (Standing::default(), Instant::now());
        assert_eq!(standing.kicked(now), None);
        standing.kick("enough", now);
        assert_eq!(standing.kicked(now).as_deref(), Some("enough"));
        assert_eq!(standing.kicked(now + KICKED_FOR), None);
    }

    #[tokio::test]
    async fn who_is_paused_waits_until_it_may_go_on() {
        let standing = Standing::default();
        standing.resumed().await;
        standing.pause(true);
        let (paused, ()) = tokio::join!(
            async {
                let paused = standing.is_paused();
                standing.resumed().await;
                paused
            },
            async {
                tokio::task::yield_now().await;
                standing.pause(false);
            }
        );
        assert!(paused && !standing.is_paused());
    }
}
