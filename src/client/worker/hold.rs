//! When a server lets nothing of this client through: it is paused, kicked or banned, or has to say who it is.

use std::time::Duration;

use super::Worker;
use crate::{
    client::{Error, queue::Work},
    units,
};

/// A server that lets this client wait is asked again after so long, where it does not say, and at the latest.
const PAUSED: Duration = Duration::from_secs(2);
const PAUSED_MAX: Duration = Duration::from_secs(30);
/// The same for one that refuses it for a while.
const KICKED: Duration = Duration::from_secs(60);
const KICKED_MAX: Duration = Duration::from_secs(300);

impl Worker {
    /// Takes in what the server decided about this client as a whole: all waits, or goes on elsewhere, or fails. The work,
    /// where the failure is its own.
    pub(super) async fn held(
        &mut self,
        work: Work,
        error: &Error,
        retry_after: Option<Duration>,
    ) -> Option<Work> {
        match error {
            Error::Paused => {
                let pause = retry_after.unwrap_or(PAUSED).min(PAUSED_MAX);
                self.source.paused(pause);
                self.wait(work, pause);
            }
            Error::Kicked(reason) => {
                let time = retry_after.unwrap_or(KICKED).min(KICKED_MAX);
                self.kicked(work, (error, reason), time).await;
            }
            Error::Banned(_) => {
                self.engine.queue().put_back(work);
                if !self.engine.source_failed(self.source.id, error, None) {
                    self.engine.give_up(&self.source, error).await;
                }
                self.engine.wake.notify_waiters();
            }
            _ => return Some(work),
        }
        None
    }

    async fn kicked(&mut self, work: Work, (error, reason): (&Error, &str), time: Duration) {
        let times = self.source.kicked(reason, time);
        if let Some(times) = times {
            let path = self.source.origin.authority();
            if times > self.engine.settings.retries && !self.engine.settings.patient {
                self.source.release();
                self.engine.queue().put_back(work);
                if !self.engine.source_failed(self.source.id, error, None) {
                    self.engine.give_up(&self.source, error).await;
                }
                self.engine.wake.notify_waiters();
                return;
            }
            tracing::warn!(%path, "{error}: back in {}", units::took(time));
        }
        self.wait(work, time);
    }

    /// Nothing failed: all is asked for again after `pause`, there or at once elsewhere.
    fn wait(&mut self, work: Work, pause: Duration) {
        self.engine.queue().put_back(work);
        if self.engine.sources.paused(self.source.id, pause) {
            self.disconnect();
        }
        self.engine.wake.notify_waiters();
    }

    /// Where somebody is there to answer, a login that is missing or wrong fails nothing: all waits for the answer. The
    /// work, where that is not so.
    pub(super) fn asks(&self, work: Work, error: &Error) -> Option<Work> {
        let asks = self.engine.settings.patient
            && matches!(error, Error::Login { .. })
            && !matches!(work, Work::Browse(_));
        if !asks {
            return Some(work);
        }
        self.engine.queue().put_back(work);
        self.engine.ask(&self.source, error);
        None
    }
}
