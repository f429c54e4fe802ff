//! One file's computation, and those who read what it brings.

use std::{
    io,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
};

use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::pacing::{Asker, Askers};
use crate::sync::lock;

/// Bytes that a reader is handed at once: its client may not read them for long.
const CHUNK: usize = 8 * 1024;

/// The values of one file, on their way.
#[derive(Debug)]
pub(super) struct Job {
    /// What is computed, in its wire form, as far as it is known.
    bytes: Mutex<Vec<u8>>,
    state: watch::Sender<State>,
    pub(super) askers: Askers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Its first turn has not come.
    Waiting,
    /// So many bytes of the answer are there.
    Known(usize),
    /// They will not become more.
    Failed(io::ErrorKind, String),
}

/// One client's reading of a file's values.
#[derive(Debug)]
pub struct Stream {
    pub(super) job: Arc<Job>,
    state: watch::Receiver<State>,
    at: usize,
    pub(super) len: usize,
    /// Who reads: it counts for as long as this lives.
    asker: Option<Arc<Asker>>,
}

impl Stream {
    /// The same, for a client that may be taking the file itself at the same time.
    pub fn beside(mut self, asker: Asker) -> Self {
        let asker = Arc::new(asker);
        self.job.askers.add(&asker);
        self.asker = Some(asker);
        self
    }

    /// Completes once its first turn has come, or else says why none does.
    pub async fn begun(&mut self) -> io::Result<()> {
        let has_begun = |state: &State| *state != State::Waiting;
        let state = self.state.wait_for(has_begun).await;
        match &*state.map_err(io::Error::other)? {
            State::Failed(kind, reason) => Err(io::Error::new(*kind, reason.clone())),
            _ => Ok(()),
        }
    }

    /// The next bytes, as soon as there are some; `None` behind the last.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.at >= self.len {
            return Ok(None);
        }
        let at = self.at;
        let is_news = |state: &State| match state {
            State::Waiting => false,
            State::Known(known) => *known > at,
            State::Failed(..) => true,
        };
        match &*self
            .state
            .wait_for(is_news)
            .await
            .map_err(io::Error::other)?
        {
            State::Failed(kind, reason) => return Err(io::Error::new(*kind, reason.clone())),
            State::Waiting | State::Known(_) => {}
        }
        let bytes = lock(&self.job.bytes);
        let new = bytes[at..bytes.len().min(at + CHUNK)].to_vec();
        drop(bytes);
        self.at += new.len();
        Ok(Some(new))
    }
}

impl Job {
    /// A new one, of which `len` bytes will come, and its first reader.
    pub(super) fn begin(len: usize) -> (Arc<Self>, Stream) {
        let job = Arc::new(Self {
            bytes: Mutex::default(),
            state: watch::Sender::new(State::Waiting),
            askers: Askers::default(),
        });
        let stream = job.stream(len);
        (job, stream)
    }

    fn stream(self: &Arc<Self>, len: usize) -> Stream {
        Stream {
            job: Arc::clone(self),
            state: self.state.subscribe(),
            at: 0,
            len,
            asker: None,
        }
    }

    /// Reads its `len` bytes; `None` where it failed, or was given up because no one read it any more.
    pub(super) fn read(self: &Arc<Self>, len: usize) -> Option<Stream> {
        // Nobody gives it up meanwhile.
        let _bytes = lock(&self.bytes);
        let failed = matches!(&*self.state.borrow(), State::Failed(..));
        (!failed).then(|| self.stream(len))
    }

    /// An error once no one waits for its values any more; from then on nobody can.
    pub(super) fn wanted(&self) -> io::Result<()> {
        let _bytes = lock(&self.bytes);
        if self.state.receiver_count() > 0 {
            return Ok(());
        }
        let why = "no one waits for the values any more";
        let failed = State::Failed(io::ErrorKind::Other, why.to_owned());
        self.state.send_replace(failed);
        Err(io::Error::other(why))
    }

    /// Completes once no one waits for its values any more.
    pub(super) async fn unwanted(&self) {
        while self.wanted().is_ok() {
            self.state.closed().await;
        }
    }

    /// Its first turn has come.
    pub(super) fn begun(&self) {
        let first = |state: &mut State| {
            let waits = *state == State::Waiting;
            if waits {
                *state = State::Known(0);
            }
            waits
        };
        self.state.send_if_modified(first);
    }

    pub(super) fn publish(&self, more: &[u8]) {
        let known = {
            let mut bytes = lock(&self.bytes);
            bytes.extend_from_slice(more);
            bytes.len()
        };
        self.state.send_replace(State::Known(known));
    }

    /// The last value, and behind it the check of them all.
    pub(super) fn finish(&self, last: &[u8]) {
        let check = {
            let bytes = lock(&self.bytes);
            blake3::Hasher::new().update(&bytes).update(last).finalize()
        };
        self.publish(&[last, check.as_bytes()].concat());
    }

    /// Waits for `work`, which computes the values, and fails with it, also where it panics: whoever reads would wait for
    /// ever.
    pub(super) async fn see_to(&self, work: impl Future<Output = io::Result<()>>) {
        let ended = AssertUnwindSafe(work).catch_unwind().await;
        let fault = |_told| Err(io::Error::other("a fault of haul, which its log tells of"));
        if let Err(error) = ended.unwrap_or_else(fault) {
            self.fail(&error);
        }
    }

    pub(super) fn fail(&self, error: &io::Error) {
        let failed = State::Failed(error.kind(), error.to_string());
        self.state.send_replace(failed);
    }

    /// All that was computed.
    pub(super) fn bytes(&self) -> Vec<u8> {
        lock(&self.bytes).clone()
    }
}
