//! What is asked of a server beside the schedule's connections: over which connection, for how long, and until what.

use std::{future::Future, sync::Arc, time::Duration};

use super::{Engine, Server};
use crate::client::{
    Error,
    disk::part::OpenPart,
    id::FileId,
    net::{document::Asking, side::SideConnection},
    schedule::Phase,
};
use crate::units::Rate;

/// Who sends less than so many bytes a second, and is not held back here, is not waited for.
const SLOWEST: u64 = 16 << 10;

impl Engine {
    /// The server that a file is asked of beside the schedule's connections.
    pub(super) fn server_beside(&self, part: &OpenPart) -> Result<Arc<Server>, Error> {
        let facts = &part.facts;
        if !facts.ranges || part.task.led_to(facts.source).is_some() {
            return Err(Error::Broken("no ranges of it are to be had".into()));
        }
        Ok(self.server(facts.source))
    }

    /// A connection of its own for what is asked of a file beside the schedule's.
    pub(super) async fn side<'a>(
        &'a self,
        server: &'a Server,
        part: &'a OpenPart,
    ) -> Result<SideConnection<'a>, Error> {
        let asking = Asking {
            first: &server.origin,
            access: &self.settings.access,
            silence: self.settings.timeout,
            pace: &self.pace,
        };
        let (pace, serial) = (self.pace_of(part.task.item), self.settings.serial);
        let etag = part.facts.etag.as_deref();
        asking.side(&part.task.path, etag, pace, serial).await
    }

    /// Waits while a transfer's item is paused; whether it goes on then.
    pub(super) async fn is_flowing_again(&self, file: FileId) -> bool {
        loop {
            let changed = self.changed.notified();
            match self.phase_of(file) {
                Some(Phase::Halted) => changed.await,
                phase => return phase == Some(Phase::Flowing),
            }
        }
    }

    /// Completes once a transfer is paused or has ended.
    pub(super) async fn flows_no_more(&self, file: FileId) {
        loop {
            let changed = self.changed.notified();
            if self.phase_of(file) != Some(Phase::Flowing) {
                return;
            }
            changed.await;
        }
    }

    fn phase_of(&self, file: FileId) -> Option<Phase> {
        self.look(|schedule| schedule.transfer(file).map(|it| it.phase))
    }

    /// What comes of `work`, unless everything ends before.
    pub(super) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Error::Broken("this run ends".into())),
            done = work => done,
        }
    }

    /// Counts bytes that were received beside the schedule's connections.
    pub(super) fn count_beside(&self, server: &Server, bytes: u64) {
        self.received.add(bytes);
        server.received.add(bytes);
    }

    /// How long so many bytes of a file may take, all in all.
    pub(super) fn time_for(&self, part: &OpenPart, bytes: u64) -> Duration {
        let own = self.pace_of(part.task.item);
        let own = own.and_then(|own| own.rate());
        let time = self.settings.timeout + Duration::from_millis(bytes * 1000 / SLOWEST);
        let held = [self.pace.rate(), own].map(|limit| self.held_back(limit, bytes));
        held.into_iter().fold(time, Duration::saturating_add)
    }

    /// How long the user's limit holds so many bytes back at most, which all connections share, and those beside them.
    pub(super) fn held_back(&self, limit: Option<Rate>, bytes: u64) -> Duration {
        let sharers = 2 * self.settings.workers as u64;
        limit.map_or(Duration::ZERO, |limit| held_back(limit, sharers, bytes))
    }
}

fn held_back(limit: Rate, sharers: u64, bytes: u64) -> Duration {
    Duration::from_secs(bytes.saturating_mul(sharers) / limit.0.max(1))
}

/// What comes of `work`; `None` where that takes longer than it may.
pub(super) async fn in_time<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(time, work).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_a_limit_there_is_more_time_and_an_end() {
        let seconds = |limit, bytes| held_back(Rate(limit), 4, bytes).as_secs();
        assert_eq!(seconds(1 << 20, 1 << 20), 4);
        assert_eq!(seconds(1 << 20, 1000), 0);
        assert_eq!(seconds(0, 5), 20);
        assert_eq!(seconds(1, u64::MAX), u64::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_comes_is_waited_for_no_longer_than_it_may_take() {
        let time = Duration::from_secs(60) + held_back(Rate(10 << 20), 16, 16 << 20);
        let began = tokio::time::Instant::now();
        assert_eq!(in_time(time, std::future::pending::<()>()).await, None);
        assert_eq!(began.elapsed().as_secs(), 85);
        assert_eq!(in_time(time, async { 1 }).await, Some(1));
    }
}
