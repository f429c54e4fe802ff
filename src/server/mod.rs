//! The server.
pub mod snapshot;
use crate::{entry::Entry, error::Exit, http1::path::RemotePath};
pub use snapshot::{ClientId, ClientView, Snapshot, TransferId, TransferState, TransferView};
use std::{net::IpAddr, path::PathBuf, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Settings
#[derive(Debug, Clone)]
pub struct Settings {
    pub root: PathBuf,
    pub hidden: bool,
    pub follow_symlinks: bool,
    pub timeout: Duration,
    pub max_connections: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("todo")]
    Todo,
}
impl Error {
    pub fn exit(&self) -> Exit {
        Exit::Other
    }
}

#[derive(Clone)]
pub struct Server;
/// The two stages of a stop: `drain` ends accepting and lets running transfers finish; `abort` ends at once.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    pub drain: CancellationToken,
    pub abort: CancellationToken,
}
pub async fn bind(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, Error> {
    todo!()
}
/// URLs under which others reach these listeners, the best one first.
pub fn urls(listeners: &[TcpListener]) -> Vec<String> {
    todo!()
}
impl Server {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        todo!()
    }
    pub async fn run(&self, listeners: Vec<TcpListener>, stop: Stop) {
        todo!()
    }
    pub fn snapshot(&self) -> Snapshot {
        todo!()
    }
    /// Blocking: reads the directory
    pub fn list(&self, dir: &RemotePath) -> Result<Vec<Entry>, Error> {
        todo!()
    }
    /// How often each file of `dir` was taken whole, by name
    pub fn downloads(&self, path: &RemotePath) -> u64 {
        todo!()
    }
}
