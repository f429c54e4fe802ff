//! When a connection that waits for its client ends because its server stops.

use std::time::Duration;

use tokio::time::sleep;

use super::Connection;

/// How long a draining server waits for the first request of a connection that it has just taken: whoever has reached it in
/// its last moment is answered (a restart under a service manager loses nobody).
const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// How long a draining server waits for the next range of a file that a connection's client is taking.
const NEXT_RANGE: Duration = Duration::from_secs(2);

impl Connection<'_> {
    /// Completes once the server drains and this client has nothing to finish over this connection.
    pub(super) async fn drained(&self) {
        self.shared.drain.cancelled().await;
        let client = self
            .attached
            .as_ref()
            .map(|(_, attached)| attached.client());
        match client {
            None => sleep(FIRST_REQUEST).await,
            Some(client) if client.taken().is_taking_any() => sleep(NEXT_RANGE).await,
            Some(_) => {}
        }
    }
}
