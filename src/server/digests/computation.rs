//! The hashing of one file, quantum by quantum.

use std::{io, sync::Arc};

use super::{
    chaining, job::Job, kind::Kind, known::Known, quantum::QUANTUM, sha256, store::Stores,
};
use crate::{
    pieces::PIECE,
    server::{
        tree::{catalog::blocking, found::FoundFile},
        work::{Late, Place},
    },
};

/// One file's computation.
pub(super) struct Computation {
    pub(super) kind: Kind,
    pub(super) hashing: Hashing,
    pub(super) found: FoundFile,
    pub(super) key: String,
    pub(super) stores: Option<Arc<Stores>>,
    pub(super) known: Arc<Known>,
    /// Whether the stamp named the content for good before the first byte was read; not known until then.
    pub(super) settled: Option<bool>,
}

/// How far it is.
pub(super) enum Hashing {
    Pieces(chaining::Hashing),
    Sha256(Box<sha256::Hashing>),
}

impl Hashing {
    pub(super) fn new(kind: Kind, size: u64) -> Self {
        match kind {
            Kind::Pieces => Self::Pieces(chaining::Hashing::default()),
            Kind::Sha256 => Self::Sha256(Box::new(sha256::Hashing::new(size))),
        }
    }

    /// Goes on, and returns whether that was all. Blocks on the disk, for not much longer than a quantum.
    fn step(&mut self, job: &Job, found: &FoundFile) -> io::Result<bool> {
        match self {
            Self::Pieces(hashing) => hashing.step(job, found),
            Self::Sha256(hashing) => hashing.step(job, found),
        }
    }

    /// How far bytes should have been sent before it goes on; `None` where that is of no account.
    fn paced_at(&self) -> Option<u64> {
        match self {
            Self::Pieces(hashing) => hashing.paced_at(),
            Self::Sha256(_) => None,
        }
    }
}

impl Computation {
    /// Computes quantum by quantum, each in a turn of `place`; what is held back for a sender holds no turn.
    pub(super) async fn run(mut self, job: &Arc<Job>, place: &Place) -> io::Result<()> {
        loop {
            if let Some(at) = self.hashing.paced_at() {
                job.askers.pace(at, QUANTUM.0).await;
            }
            let turn = tokio::select! {
                turn = place.turn() => turn.map_err(|Late| io::Error::from(io::ErrorKind::TimedOut))?,
                () = job.unwanted() => return job.wanted(),
            };
            let theirs = Arc::clone(job);
            let (this, done) = blocking(move || {
                let _turn = turn;
                theirs.wanted()?;
                theirs.begun();
                let stamp = &self.found.stamp;
                self.settled.get_or_insert_with(|| stamp.is_settled());
                let done = self.hashing.step(&theirs, &self.found)?;
                Ok((self, done))
            })
            .await?;
            self = this;
            if done {
                let bytes = job.bytes();
                return blocking(move || {
                    self.keep(&bytes);
                    Ok(())
                })
                .await;
            }
        }
    }

    fn learn(self, bytes: &[u8]) {
        if let Some(digest) = self.kind.whole(bytes) {
            self.known.learn(self.key, self.kind, digest);
        }
    }

    /// Keeps what was computed; nothing of a file that may have changed meanwhile without its stamp showing it.
    fn keep(self, bytes: &[u8]) {
        if self.settled != Some(true) {
            return;
        }
        if let Some(stores) = &self.stores
            && self.found.stamp.size > PIECE
        {
            stores.of(self.kind).keep(&self.key, bytes);
        }
        self.learn(bytes);
    }
}
