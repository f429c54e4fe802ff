//! How a client stands with whoever runs the server: paused, or kicked for a while.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::sync::lock;

/// Why a request gets no answer of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Banned, for this reason.
    Banned(String),
    /// Kicked a while ago.
    Kicked {
        /// Why.
        reason: String,
        /// How long it is still refused.
        left: Duration,
    },
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
    /// Why it was kicked, and until when it is refused.
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

    /// Refuses it until then.
    pub fn kick(&self, reason: &str, until: Instant) {
        *lock(&self.kicked) = Some((reason.to_owned(), until));
    }

    /// Why it was kicked and how long that still counts, as long as it does.
    pub fn kicked(&self, now: Instant) -> Option<(String, Duration)> {
        let kicked = lock(&self.kicked);
        let (reason, until) = kicked.as_ref()?;
        let left = until.saturating_duration_since(now);
        (!left.is_zero()).then(|| (reason.clone(), left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kick_is_no_ban() {
        let (standing, now) = (Standing::default(), Instant::now());
        assert_eq!(standing.kicked(now), None);
        let minute = Duration::from_secs(60);
        standing.kick("enough", now + minute);
        assert_eq!(standing.kicked(now), Some(("enough".into(), minute)));
        assert_eq!(standing.kicked(now + minute), None);
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
