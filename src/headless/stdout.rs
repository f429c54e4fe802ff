//! A file on its way to stdout: what is verified of it is written while the rest still comes.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::spawn_blocking;

use super::report::unwritable;
use crate::{
    client::{self, Client, Event, ItemId},
    error::Error,
    escape::display_path,
    exit::{Exit, Local},
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
    /// Where it goes on to, if not to stdout.
    sink: Option<Arc<Sink>>,
    written: Arc<AtomicU64>,
}

/// A device, a pipe or a socket: opened once, when there is something to write.
#[derive(Debug)]
struct Sink {
    path: PathBuf,
    file: OnceLock<File>,
}

impl Sink {
    /// Its handle. Blocking: a pipe waits for its reader.
    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = File::options().write(true).open(&self.path)?;
        Ok(self.file.get_or_init(|| file))
    }
}

impl ToStdout {
    pub(super) fn new(landed: PathBuf, sink: Option<PathBuf>) -> Self {
        let sink = sink.map(|path| {
            let file = OnceLock::new();
            Arc::new(Sink { path, file })
        });
        Self {
            landed,
            sink,
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

    fn unwritable(&self, source: io::Error) -> Error {
        let Some(sink) = &self.sink else {
            return unwritable(source);
        };
        Error::Local(Local {
            what: format!("cannot write to {}", display_path(&sink.path)),
            source,
            remedy: "name another file with --output",
            exit: Exit::Disk,
        })
    }

    /// Writes the rest of the complete file.
    pub(super) async fn finish(&self) -> Result<(), Error> {
        let file = File::open(&self.landed).map_err(|error| self.unwritable(error))?;
        let size = file
            .metadata()
            .map_err(|error| self.unwritable(error))?
            .len();
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
        let (written, sink) = (Arc::clone(&self.written), self.sink.clone());
        let copied = spawn_blocking(move || {
            let (mut stdout, mut file_out);
            let out: &mut dyn io::Write = if let Some(sink) = &sink {
                file_out = sink.file()?;
                &mut file_out
            } else {
                stdout = io::stdout().lock();
                &mut stdout
            };
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
            .map_err(|error| self.unwritable(error))
    }
}
