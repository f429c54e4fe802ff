//! A connection's place among its client's.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use super::Client;
use crate::{
    pace,
    server::people::{
        peers::{Peer, Peers},
        standing::Denied,
    },
    sync::lock,
};

/// A connection's place among its client's.
#[derive(Debug)]
pub struct Attached {
    pub(super) client: Arc<Client>,
    /// Whom the connection belongs to.
    pub(super) peer: Arc<Peer>,
    pub(super) peers: Arc<Peers>,
    /// Whether it is among the clients that are let in.
    pub(super) counts: bool,
}

impl Attached {
    /// The client.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Whether its client is one of ours and has other connections at this moment.
    pub fn has_others(&self) -> bool {
        self.client.is_haul() && self.client.connections.load(Ordering::Relaxed) > 1
    }

    /// Whom the connection belongs to.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Whether a request is to be answered. One that has not `proved` whose it is takes no place among the clients.
    pub fn admit(&mut self, proved: bool, now: Instant) -> Result<(), Denied> {
        if let Some(reason) = self.peers.banned(&self.peer.who) {
            return Err(Denied::Banned(reason));
        }
        if let Some((reason, left)) = self.client.standing().kicked(now) {
            return Err(Denied::Kicked { reason, left });
        }
        if !proved {
            return Ok(());
        }
        self.counts = self.counts || self.peers.enter(&self.peer);
        if !self.counts {
            return Err(Denied::Full);
        }
        if self.client.standing().is_paused() {
            return Err(Denied::Paused);
        }
        Ok(())
    }

    /// Whether everything may go out at once.
    pub fn is_free(&self) -> bool {
        !self.peer.pace.is_on()
            && !self.client.taken().totals.pace.is_on()
            && !self.client.standing().is_paused()
    }

    /// Puts bytes back that were allowed and not sent.
    pub fn put_back(&self, bytes: u64) {
        self.peer.pace.put_back(bytes);
        self.client.taken().totals.pace.put_back(bytes);
    }

    /// Waits until body bytes may go out to the client: how many, at most `most`; `None` where it is `gone` while it is paused.
    pub async fn allowance(&self, most: u64, gone: impl Future<Output = ()>) -> Option<u64> {
        let mut gone = pin!(gone);
        loop {
            tokio::select! {
                biased;
                () = self.client.standing().resumed() => {}
                () = &mut gone => return None,
            }
            let bytes = pace::share(&self.peer.pace, &self.client.taken().totals.pace, most).await;
            if !self.client.standing().is_paused() {
                return Some(bytes);
            }
            self.put_back(bytes);
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.counts {
            self.peers.leave(&self.peer);
        }
        // Both change under the one lock: who comes back at this moment is not taken for one that left.
        let mut left = lock(&self.client.left);
        if self.client.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            let now = Instant::now();
            self.client.taken().left(now);
            *left = Some(now);
        }
    }
}
