//! A client, and what it tells.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::client::{self, Client};

/// How long parts may take to reach the disk once the dashboard has ended.
pub const STOP: Duration = Duration::from_secs(10);

/// A client, and the events that it tells.
pub struct Session {
    /// The handle.
    pub client: Client,
    /// Its turning points.
    pub events: mpsc::Receiver<client::Event>,
}
