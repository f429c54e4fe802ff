//! The download engine.
mod connection;
mod error;
mod origin;
mod plan;
mod target;
pub mod snapshot;
pub use error::Error;
use crate::{config::OnConflict, entry::Entry, error::Exit, http1::path::RemotePath};
pub use snapshot::{Event, FilesView, ItemId, ItemState, ItemView, Link, Snapshot, Verified};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use url::Url;

/// Settings
#[derive(Debug, Clone)]
pub struct Settings {
    pub url: Url,
    pub dir: PathBuf,
    pub workers: usize,
    pub retries: u32,
    pub timeout: Duration,
    pub user: Option<String>,
    pub serial: bool,
    pub on_conflict: OnConflict,
    pub resume: bool,
}


/// What to download: a path (a directory means its tree), or what patterns match below the base URL.
#[derive(Debug, Clone)]
pub enum Want {
    Path(RemotePath),
    Patterns {
        get: Vec<String>,
        exclude: Vec<String>,
    },
}

#[derive(Clone)]
pub struct Client(Arc<()>);
impl Client {
    /// Opens the target directory (made if missing) and starts the engine on the current runtime.
    pub fn start(settings: Settings, events: mpsc::Sender<Event>) -> Result<Self, Error> {
        todo!()
    }
    pub async fn list(&self, dir: &RemotePath) -> Result<Vec<Entry>, Error> {
        todo!()
    }
    /// Adds to the queue's end; an item per call. `to`: another directory (absolute), else the target.
    pub fn get(&self, want: Want, to: Option<PathBuf>) -> Result<ItemId, Error> {
        todo!()
    }
    pub fn pause(&self, item: ItemId) {
        todo!()
    }
    pub fn resume(&self, item: ItemId) {
        todo!()
    }
    pub fn cancel(&self, item: ItemId) {
        todo!()
    }
    /// Tries a failed or cancelled item again
    pub fn retry(&self, item: ItemId) {
        todo!()
    }
    /// Moves an item up (negative) or down in the queue
    pub fn reorder(&self, item: ItemId, by: isize) {
        todo!()
    }
    /// Forgets ended items
    pub fn clear_ended(&self) {
        todo!()
    }
    /// Tries again now instead of waiting out a backoff
    pub fn retry_now(&self) {
        todo!()
    }
    pub fn snapshot(&self) -> Snapshot {
        todo!()
    }
    /// Completes once every item has ended
    pub async fn idle(&self) {
        todo!()
    }
    /// Ends every connection at the next safe point and completes once parts are on disk
    pub async fn stop(&self) {
        todo!()
    }
}
