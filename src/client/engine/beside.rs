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

    /// How long so many bytes of a file may take, all in all; `None` where they are held back here.
    pub(super) fn time_for(&self, part: &OpenPart, bytes: u64) -> Option<Duration> {
        let own = self.pace_of(part.task.item);
        let held_back = self.pace.is_on() || own.is_some_and(|own| own.is_on());
        let time = self.settings.timeout + Duration::from_millis(bytes * 1000 / SLOWEST);
        (!held_back).then_some(time)
    }
}

/// What comes of `work`; `None` where that takes longer than it may.
pub(super) async fn in_time<T>(time: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match time {
        Some(time) => tokio::time::timeout(time, work).await.ok(),
        None => Some(work.await),
    }
}
