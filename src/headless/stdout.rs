//! A file on its way to stdout: what is verified of it is written while the rest still comes.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::spawn_blocking;

use super::report::unwritable;
use crate::{
    client::{self, Client, Event, ItemId},
    error::Error,
};

/// Pause between looks at what was verified meanwhile.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes that are copied at once.
const CHUNK: usize = 256 * 1024;

/// What of a file is on stdout already. Pieces are written in order, once each is verified; a file that comes without
/// pieces is written once it is complete and was checked as far as it can be.
#[derive(Debug, Clone)]
pub(super) struct ToStdout {
    /// Where the complete file lands.
    landed: PathBuf,
    written: Arc<AtomicU64>,
}

impl ToStdout {
    pub(super) fn new(landed: PathBuf) -> Self {
        Self {
            landed,
            written: Arc::default(),
        }
    }

    /// Writes what is verified as it comes, until it is dropped or stdout fails.
    pub(super) async fn follow(&self, client: &Client, item: ItemId) -> Error {
        loop {
            if let Some((file, checked)) = client.checked_prefix(item)
                && let Err(error) = self.copy(file, checked).await
            {
                return error;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Writes the rest of the complete file.
    pub(super) async fn finish(&self) -> Result<(), Error> {
        let file = File::open(&self.landed).map_err(unwritable)?;
        let size = file.metadata().map_err(unwritable)?.len();
        self.copy(file, size).await
    }

    /// What an event means for what was written: a file that is started again cannot take it back.
    pub(super) fn check(&self, event: &Event) -> Result<(), Error> {
        match event {
            Event::Retrying {
                error: error @ client::Error::Changed,
                ..
            } if self.written.load(Ordering::Relaxed) > 0 => Err(error.clone().into()),
            _ => Ok(()),
        }
    }

    /// Writes `file` up to `end` from where the last call ended. One call at a time; a dropped one goes on by itself.
    async fn copy(&self, file: File, end: u64) -> Result<(), Error> {
        let written = Arc::clone(&self.written);
        let copied = spawn_blocking(move || {
            let mut out = io::stdout().lock();
            let mut buffer = vec![0; CHUNK];
            loop {
                let at = written.load(Ordering::Relaxed);
                let step = end.saturating_sub(at).min(CHUNK as u64) as usize;
                if step == 0 {
                    return out.flush();
                }
                file.read_exact_at(&mut buffer[..step], at)?;
                out.write_all(&buffer[..step])?;
                written.store(at + step as u64, Ordering::Relaxed);
            }
        });
        copied
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(unwritable)
    }
}
