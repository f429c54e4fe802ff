//! Writing to the terminal, on a thread of its own: one that is not read blocks whoever writes, and the loop has to
//! answer signals all the same.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, write},
};

/// Bytes that are written at once: how far it got is known after each.
const CHUNK: usize = 1024;
/// A terminal that takes nothing for so long is not read.
const STUCK: Duration = Duration::from_millis(400);
/// What is written last may take no longer, however slowly it is read.
const LAST: Duration = Duration::from_secs(1);

/// The way to the terminal. Its clones share it.
#[derive(Debug, Clone)]
pub struct Output {
    shared: Arc<Shared>,
    /// What is not handed over yet.
    buffer: Vec<u8>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What is to be written.
    queue: Vec<u8>,
    /// Whether the thread is writing.
    writing: bool,
    /// Chunks that were written.
    written: u64,
    /// Why nothing can be written any more.
    failed: Option<Errno>,
    /// Nothing is taken any more: what comes is passed over.
    closed: bool,
    /// There is no handle any more.
    ended: bool,
}

impl Output {
    /// Begins to write to standard output.
    pub fn start() -> io::Result<Self> {
        let shared: Arc<Shared> = Arc::default();
        thread::Builder::new().name("terminal".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.write_all()
        })?;
        Ok(Self {
            shared,
            buffer: Vec::new(),
        })
    }

    /// Whether everything was written: until then there is no use in another frame.
    pub fn is_idle(&self) -> bool {
        self.shared.lock().is_idle()
    }

    /// Takes bytes again after [`Self::close`].
    pub fn open(&mut self) {
        self.buffer.clear();
        self.shared.lock().closed = false;
    }

    /// Writes `last`, waits until the terminal has taken it all, or takes nothing any more, and takes nothing from then on.
    pub fn close(&self, last: &[u8]) {
        let mut state = self.shared.lock();
        if state.closed {
            return;
        }
        state.queue.extend_from_slice(last);
        self.shared.changed.notify_all();
        let begun = Instant::now();
        let (mut before, mut moved) = (state.written, begun);
        while !state.is_idle() && moved.elapsed() < STUCK && begun.elapsed() < LAST {
            let waited = self.shared.changed.wait_timeout(state, STUCK / 4);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.written != before {
                (before, moved) = (state.written, Instant::now());
            }
        }
        state.closed = true;
        state.queue.clear();
    }

    /// The thread ends once it has written what it has.
    pub fn end(&self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.closed {
            self.buffer.clear();
            return Ok(());
        }
        if let Some(errno) = state.failed {
            return Err(errno.into());
        }
        state.queue.append(&mut self.buffer);
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.failed.is_some() || self.queue.is_empty() && !self.writing
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self) {
        loop {
            let mut state = self.lock();
            state.writing = false;
            self.changed.notify_all();
            while state.queue.is_empty() && !state.ended {
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
            if state.queue.is_empty() {
                return;
            }
            let bytes = mem::take(&mut state.queue);
            state.writing = true;
            drop(state);
            for chunk in bytes.chunks(CHUNK) {
                let written = write_chunk(chunk);
                let mut state = self.lock();
                state.written += 1;
                self.changed.notify_all();
                if let Err(errno) = written {
                    state.failed = Some(errno);
                    state.queue.clear();
                    break;
                }
            }
        }
    }
}

fn write_chunk(mut bytes: &[u8]) -> Result<(), Errno> {
    let out = io::stdout();
    while !bytes.is_empty() {
        match write(&out, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // Somebody who shares the terminal has made it so.
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&out, PollFlags::OUT)], None)?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
