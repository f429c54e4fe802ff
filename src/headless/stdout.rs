//! A file on its way to stdout: what is verified of it is written while the rest still comes.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
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
/// pieces, or that must have a digest that was given, is written once it is complete and was checked as far as it can be.
#[derive(Debug, Clone)]
pub(super) struct ToStdout {
    /// Where the complete file lands.
    landed: PathBuf,
    /// Where it goes on to, if not to stdout.
    sink: Option<Arc<Sink>>,
    written: Arc<Mutex<Written>>,
}

/// The bytes that were written.
#[derive(Debug, Default)]
struct Written {
    count: u64,
    /// Of those very bytes: what lands in the end must begin with them.
    hasher: blake3::Hasher,
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

    /// Writes the rest of the complete file. It fails where that does not begin with what was written already.
    pub(super) async fn finish(&self) -> Result<(), Error> {
        let file = File::open(&self.landed).map_err(|error| self.unwritable(error))?;
        let size = file
            .metadata()
            .map_err(|error| self.unwritable(error))?
            .len();
        let (begun, same) = (
            self.clone(),
            file.try_clone().map_err(|error| self.unwritable(error))?,
        );
        let begins = spawn_blocking(move || begun.written().begins(&same)).await;
        let begins = begins.unwrap_or_else(|error| Err(io::Error::other(error)));
        if !begins.map_err(|error| self.unwritable(error))? {
            return Err(client::Error::Changed.into());
        }
        self.copy(file, size).await
    }

    /// What an event means for what was written: a file that is started again cannot take it back.
    pub(super) fn check(&self, event: &Event) -> Result<(), Error> {
        match event {
            Event::Retrying {
                error: error @ client::Error::Changed,
                ..
            } if self.written().count > 0 => Err(error.clone().into()),
            _ => Ok(()),
        }
    }

    /// Writes `file` up to `end` from where the last call ended. One call at a time; a dropped one goes on by itself.
    async fn copy(&self, file: File, end: u64) -> Result<(), Error> {
        let (this, sink) = (self.clone(), self.sink.clone());
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
                let mut written = this.written();
                let step = end.saturating_sub(written.count).min(CHUNK as u64) as usize;
                if step == 0 {
                    return out.flush();
                }
                file.read_exact_at(&mut buffer[..step], written.count)?;
                written.count += step as u64;
                written.hasher.update(&buffer[..step]);
                drop(written);
                out.write_all(&buffer[..step])?;
            }
        });
        copied
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| self.unwritable(error))
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    /// Whether `file` begins with what was written.
    fn begins(&self, file: &File) -> io::Result<bool> {
        let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; CHUNK]);
        let mut at = 0;
        while at < self.count {
            let step = (self.count - at).min(CHUNK as u64) as usize;
            match file.read_exact_at(&mut buffer[..step], at) {
                Ok(()) => hasher.update(&buffer[..step]),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
            };
            at += step as u64;
        }
        Ok(hasher.finalize() == self.hasher.finalize())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_lands_must_begin_with_what_was_written() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"the beginning and the end").unwrap();
        let mut written = Written::default();
        assert!(written.begins(&file).unwrap());
        written.count = 13;
        written.hasher.update(b"the beginning");
        assert!(written.begins(&file).unwrap());
        file.set_len(12).unwrap();
        assert!(!written.begins(&file).unwrap());
        file.write_at(b"another beginning", 0).unwrap();
        assert!(!written.begins(&file).unwrap());
    }
}
