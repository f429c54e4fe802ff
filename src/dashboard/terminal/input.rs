//! Reading the terminal, on a thread of its own: a terminal that is gone, or floods, must not take the loop with it.

use std::{
    fs::File,
    io::{self, IsTerminal as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read},
};
use tokio::sync::mpsc;

use super::decode::{Decoder, Input};

/// How long the thread waits before it looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(250);
/// Keys that may wait for the loop.
const KEYS: usize = 256;
/// Bytes that are read at once.
const READ: usize = 16 * 1024;
/// The terminal's answer is awaited for so long: until then an ESC is given more time to be one's beginning.
const AWAITED: Duration = Duration::from_secs(5);

/// Where keys come from: standard input, or the terminal itself where that is something else.
enum Source {
    Stdin(io::Stdin),
    Terminal(OwnedFd),
}

impl Source {
    fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            return Ok(Self::Stdin(stdin));
        }
        Ok(Self::Terminal(File::open("/dev/tty")?.into()))
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stdin(stdin) => stdin.as_fd(),
            Self::Terminal(fd) => fd.as_fd(),
        }
    }
}

/// Reads while the terminal is `taken`; `asked` tells that an answer of the terminal is under way.
pub fn read_terminal(
    taken: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
) -> mpsc::Receiver<io::Result<Input>> {
    let (sender, inputs) = mpsc::channel(KEYS);
    thread::spawn(move || {
        let mut reading = match Source::open() {
            Ok(source) => Reading::new(source),
            Err(error) => {
                let _ = sender.blocking_send(Err(error));
                return;
            }
        };
        while taken.load(Ordering::SeqCst) {
            reading.note(asked.swap(false, Ordering::SeqCst));
            let read = reading.step();
            let failed = read.is_err();
            let sent = match read {
                Ok(inputs) => inputs
                    .into_iter()
                    .all(|input| sender.blocking_send(Ok(input)).is_ok()),
                Err(error) => sender.blocking_send(Err(error)).is_ok(),
            };
            if failed || !sent {
                break;
            }
        }
    });
    inputs
}

struct Reading {
    source: Source,
    decoder: Decoder,
    chunk: Vec<u8>,
    /// Until when an answer is awaited.
    awaited: Option<Instant>,
}

impl Reading {
    fn new(source: Source) -> Self {
        Self {
            source,
            decoder: Decoder::default(),
            chunk: vec![0; READ],
            awaited: None,
        }
    }

    fn note(&mut self, asked: bool) {
        if asked {
            self.decoder.awaited = true;
            self.awaited = Some(Instant::now() + AWAITED);
        }
        if self.awaited.is_some_and(|until| until < Instant::now()) {
            self.decoder.awaited = false;
            self.awaited = None;
        }
    }

    /// Waits a while; what came.
    fn step(&mut self) -> io::Result<Vec<Input>> {
        let mut out = Vec::new();
        let begun = self.decoder.patience();
        let patience = begun.unwrap_or(PATIENCE);
        let mut fds = [PollFd::new(&self.source, PollFlags::IN)];
        let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
        let ready = match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => ready,
            Err(Errno::INTR) => return Ok(out),
            Err(error) => return Err(error.into()),
        };
        if ready == 0 {
            if begun.is_some() {
                self.decoder.silence(&mut out);
            }
            return Ok(out);
        }
        match read(&self.source, &mut self.chunk) {
            // Nothing more to read is a terminal that is gone.
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.decoder.feed(&self.chunk[..count], &mut out);
                Ok(out)
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(out),
            Err(error) => Err(error.into()),
        }
    }
}
