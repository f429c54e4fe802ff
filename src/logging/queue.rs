//! A bounded queue of lines before a file or stream that may block, and the thread that empties it.
//!
//! Whoever logs never waits: where the writer cannot keep up, lines are dropped, counted, and their number is told as a
//! line of its own once there is room again.

use std::{
    collections::VecDeque,
    io::Write,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Bytes of the lines that wait; what comes beyond is dropped.
const MAX_BYTES: usize = 4 << 20;
/// Lines that are written together, at most so many bytes unless one alone is longer.
const BATCH_BYTES: usize = 64 << 10;
/// How long lines gather after a batch before the next one is written: a busy server wakes a thread a hundred times a
/// second, and not for every line.
const GATHER: Duration = Duration::from_millis(10);
/// How long the end of the program waits for what is still to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Makes the line that tells how many were dropped.
pub(super) type Tell = Box<dyn Fn(u64) -> String + Send>;

/// The queue; clones share it.
#[derive(Clone)]
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<String>,
    bytes: usize,
    /// Dropped since the last line that told so.
    untold: u64,
    /// What the writer does.
    writer: Writer,
    /// Nothing comes any more.
    closed: bool,
}

/// What the thread that writes does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Writer {
    /// It waits to be woken.
    #[default]
    Idle,
    /// It writes, or lets lines gather: it looks by itself.
    Busy,
}

impl Queue {
    /// Starts the thread that writes to `out`. The guard writes what is pending when it is dropped.
    pub(super) fn start(mut out: impl Write + Send + 'static, tell: Tell) -> (Self, Guard) {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&shared);
        let write = move || {
            while let Some(lines) = theirs.next(&tell) {
                // Nobody is left to be told of it but the log.
                let _ = out.write_all(lines.as_bytes());
                let _ = out.flush();
                theirs.gather();
            }
        };
        // Without a thread nothing is ever written: the queue fills, and that is all.
        let _ = thread::Builder::new().name("haul-log".into()).spawn(write);
        (Self(Arc::clone(&shared)), Guard(shared))
    }

    /// Adds a line with its line end, or drops it where too many wait.
    pub(super) fn push(&self, line: String) {
        let mut waiting = self.0.lock();
        if waiting.bytes + line.len() > MAX_BYTES {
            waiting.untold += 1;
            drop(waiting);
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
        let idle = waiting.writer == Writer::Idle;
        drop(waiting);
        if idle {
            self.0.changed.notify_all();
        }
    }

    /// Lines that were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets lines gather, unless nothing comes any more.
    fn gather(&self) {
        let until = Instant::now() + GATHER;
        let mut waiting = self.lock();
        while !waiting.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the next lines; `None` once the queue is closed and empty.
    fn next(&self, tell: &Tell) -> Option<String> {
        let mut waiting = self.lock();
        loop {
            if let Some(lines) = waiting.take(tell) {
                waiting.writer = Writer::Busy;
                return Some(lines);
            }
            waiting.writer = Writer::Idle;
            if waiting.closed {
                // Whoever ends the program waits for this.
                self.changed.notify_all();
                return None;
            }
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Waiting {
    /// The lines of the next batch, or the one that tells how many were dropped.
    fn take(&mut self, tell: &Tell) -> Option<String> {
        let mut batch = self.lines.pop_front().unwrap_or_default();
        while let Some(line) = self.lines.front()
            && batch.len() + line.len() <= BATCH_BYTES
        {
            batch.push_str(line);
            self.lines.pop_front();
        }
        self.bytes -= batch.len();
        if batch.is_empty() && self.untold > 0 {
            batch = tell(std::mem::take(&mut self.untold));
        }
        (!batch.is_empty()).then_some(batch)
    }
}

/// Writes what is pending when it is dropped, for as long as that takes no longer than a second.
pub(super) struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        let until = Instant::now() + LAST_LINES;
        let mut waiting = self.0.lock();
        waiting.closed = true;
        self.0.changed.notify_all();
        while waiting.writer == Writer::Busy || !waiting.lines.is_empty() || waiting.untold > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.changed.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io, sync::mpsc};

    /// Takes a batch a permit.
    struct Slow(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_that_blocks_costs_lines_and_nobody_waits() {
        let (permits, blocked) = mpsc::channel();
        let written: Arc<Mutex<Vec<u8>>> = Arc::default();
        let slow = Slow(blocked, Arc::clone(&written));
        let tell: Tell = Box::new(|count| format!("{count} dropped\n"));
        let (queue, guard) = Queue::start(slow, tell);
        let line = "x".repeat(1023) + "\n";
        let count = 3 * MAX_BYTES / 1024;
        for _ in 0..count {
            queue.push(line.clone());
        }
        let dropped = queue.dropped();
        // One batch was taken before the writer stood still.
        assert!(dropped as usize >= count - (MAX_BYTES + BATCH_BYTES) / 1024);
        // Once it is read again, all that waited is written, and how many were dropped.
        drop(permits);
        drop(guard);
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count() as u64, count as u64 - dropped + 1);
        assert!(written.ends_with(&format!("{dropped} dropped\n")));
    }
}
