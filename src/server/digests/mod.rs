//! What is computed of files' contents: chaining values, SHA-256 of pieces. Computed once however many ask at once,
//! streamed while it is computed, and kept in the cache directory.
//!
//! A store has no index and no lock: a file a key, written aside and renamed into place, checked when it is read.
//! Any number of servers may share it.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex, Weak},
};

use tokio::sync::Semaphore;

use crate::pieces::{self, PIECE};
use crate::server::{
    people::peers::Who,
    tree::catalog::{FoundFile, blocking},
};
use crate::sync::lock;

mod chaining;
mod job;
mod known;
mod pacing;
mod queue;
pub mod sha256;
mod store;
use job::Job;
pub use job::Stream;
pub use known::{Digests, Known};
pub use pacing::Asker;
use queue::Queue;
pub use queue::{Busy, Place};
use store::Store;

/// Bytes that are read and hashed at once, while they are in the processor's cache.
const BLOCK: usize = 128 * 1024;

/// Small files that are hashed at once.
const SMALL_AT_ONCE: usize = 2;

/// What can be computed of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Chaining values and the BLAKE3 digest, in the form of `?pieces`.
    Pieces,
    /// SHA-256 of pieces and file, see [`sha256`].
    Sha256,
}

impl Kind {
    /// Files that are hashed at once: more would take the processor from those who send. Each kind has its own, so
    /// that Metalinks that anybody asks for never delay a haul client's download.
    const fn at_once(self) -> usize {
        match self {
            Self::Pieces => 2,
            Self::Sha256 => 1,
        }
    }

    /// Files that are hashed or wait for it, in all and of each client; who comes beyond is told to come back. Each
    /// holds a connection and an open file.
    const fn queue(self) -> (usize, usize) {
        match self {
            Self::Pieces => (1024, 256),
            Self::Sha256 => (32, 8),
        }
    }

    /// Where it is kept below the cache directory.
    const fn dir(self) -> &'static str {
        match self {
            Self::Pieces => "pieces",
            Self::Sha256 => "sha256",
        }
    }

    /// Bytes of all that is computed of a file of `size` bytes.
    fn wire_len(self, size: u64) -> u64 {
        match self {
            Self::Pieces => pieces::wire_len(size),
            Self::Sha256 => sha256::wire_len(size),
        }
    }

    fn is_whole(self, bytes: &[u8], size: u64) -> bool {
        match self {
            Self::Pieces => chaining::is_whole(bytes, size),
            Self::Sha256 => sha256::is_whole(bytes, size),
        }
    }

    /// The digest of the whole file among what was computed.
    fn whole(self, bytes: &[u8]) -> Option<[u8; 32]> {
        match self {
            Self::Pieces => bytes.last_chunk().copied(),
            Self::Sha256 => sha256::whole(bytes),
        }
    }

    fn compute(self, job: &Job, found: &FoundFile) -> io::Result<()> {
        match self {
            Self::Pieces => chaining::compute(job, found),
            Self::Sha256 => sha256::compute(job, found),
        }
    }
}

/// One of something for each kind.
#[derive(Debug)]
struct ByKind<T> {
    pieces: T,
    sha256: T,
}

impl<T> ByKind<T> {
    fn new(make: impl Fn(Kind) -> T) -> Self {
        Self {
            pieces: make(Kind::Pieces),
            sha256: make(Kind::Sha256),
        }
    }

    fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Pieces => &self.pieces,
            Kind::Sha256 => &self.sha256,
        }
    }
}

/// What is kept of both kinds.
type Stores = ByKind<Store>;

/// The values of all files.
#[derive(Debug)]
pub struct Values {
    stores: Option<Arc<Stores>>,
    known: Arc<Known>,
    slots: ByKind<Arc<Semaphore>>,
    queues: ByKind<Arc<Queue>>,
    running: Mutex<HashMap<(Kind, String), Weak<Job>>>,
    /// Small files that are hashed at once: none of them waits for a large one.
    small: Arc<Semaphore>,
    /// Held while kept values are read, so that many who ask for the same read them once.
    loading: tokio::sync::Mutex<()>,
}

impl Values {
    /// Keeps values below the cache directory, where there is one.
    pub fn new(cache: Option<&Path>) -> Self {
        let stores = cache
            .map(|cache| Arc::new(Stores::new(|kind| Store::new(cache.join(kind.dir()), kind))));
        Self {
            known: Arc::new(Known::new(stores.clone())),
            stores,
            slots: ByKind::new(|kind| Arc::new(Semaphore::new(kind.at_once()))),
            queues: ByKind::new(|kind| {
                let (most, each) = kind.queue();
                Queue::new(most, each)
            }),
            running: Mutex::default(),
            small: Arc::new(Semaphore::new(SMALL_AT_ONCE)),
            loading: tokio::sync::Mutex::default(),
        }
    }

    /// Digests of whole files that were computed before.
    pub fn known(&self) -> &Arc<Known> {
        &self.known
    }

    /// [`Known::look`] for threads that serve sockets.
    pub async fn look(&self, found: &FoundFile, etag: &str) -> Digests {
        if let Some(digests) = self.known.recall(&key(etag), found.stamp.size) {
            return digests;
        }
        let (known, stamp) = (Arc::clone(&self.known), found.stamp);
        blocking(move || Ok(known.look(&stamp)))
            .await
            .unwrap_or_default()
    }

    /// Notes the BLAKE3 digest of a file that was hashed while it was sent.
    pub fn learn(&self, found: &FoundFile, etag: &str, digest: blake3::Hash) {
        if found.stamp.is_settled() {
            self.known.learn(key(etag), Kind::Pieces, digest.into());
        }
    }

    /// The values of a file: those that are being computed, kept ones, or new ones, for which `who` must wait.
    pub async fn stream(
        &self,
        kind: Kind,
        found: FoundFile,
        etag: &str,
        who: &Who,
    ) -> Result<Stream, Busy> {
        if let Some(stream) = self.there(kind, &found, etag).await {
            return Ok(stream);
        }
        let place = if is_quick(&found) {
            None
        } else {
            Some(Arc::new(self.place(kind, who)?))
        };
        Ok(self.compute(kind, found, etag, place))
    }

    /// The same for one of several files, in the order of which `place` was taken once.
    pub async fn stream_at(
        &self,
        kind: Kind,
        found: FoundFile,
        etag: &str,
        place: &Arc<Place>,
    ) -> Stream {
        match self.there(kind, &found, etag).await {
            Some(stream) => stream,
            None => self.compute(kind, found, etag, Some(Arc::clone(place))),
        }
    }

    /// A place among those who wait for files to be hashed.
    pub fn place(&self, kind: Kind, who: &Who) -> Result<Place, Busy> {
        self.queues.of(kind).enter(who)
    }

    /// What costs no hashing: values that are being computed, or that were kept.
    async fn there(&self, kind: Kind, found: &FoundFile, etag: &str) -> Option<Stream> {
        let size = found.stamp.size;
        let len = kind.wire_len(size) as usize;
        let key = (kind, key(etag));
        let running = || lock(&self.running).get(&key).and_then(Weak::upgrade);
        if let Some(stream) = running().and_then(|job| job.read(len)) {
            return Some(stream);
        }
        if let Some(bytes) = self.of_known(&key, size) {
            let (job, stream) = Job::begin(len);
            job.publish(&bytes);
            return Some(stream);
        }
        let stores = Arc::clone(self.stores.as_ref()?);
        let _one = self.loading.lock().await;
        if let Some(stream) = running().and_then(|job| job.read(len)) {
            return Some(stream);
        }
        let name = key.1.clone();
        let kept = blocking(move || Ok(stores.of(kind).load(&name, size)));
        let kept = kept.await.ok()??;
        if let Some(digest) = kind.whole(&kept) {
            self.known.learn(key.1.clone(), kind, digest);
        }
        let (job, stream) = Job::begin(len);
        job.publish(&kept);
        lock(&self.running).insert(key, Arc::downgrade(&job));
        Some(stream)
    }

    /// All that is computed of a file of one piece, where its digest is known.
    fn of_known(&self, (kind, key): &(Kind, String), size: u64) -> Option<Vec<u8>> {
        if size > PIECE {
            return None;
        }
        let known = self.known.recall(key, size)?;
        match kind {
            Kind::Pieces => {
                let preamble = pieces::Preamble { size }.encode();
                Some([&preamble[..], &known.blake3?].concat())
            }
            Kind::Sha256 => {
                let digest = known.sha256?;
                Some([digest, *blake3::hash(&digest).as_bytes()].concat())
            }
        }
    }

    /// The BLAKE3 digest of a small file: known, or computed in its turn. It is read in small blocks, and not kept.
    pub async fn digest(
        &self,
        found: FoundFile,
        etag: &str,
    ) -> io::Result<(FoundFile, blake3::Hash)> {
        let known = self.known.recall(&key(etag), found.stamp.size);
        if let Some(digest) = known.and_then(|known| known.blake3) {
            return Ok((found, digest.into()));
        }
        let turn = self.small.acquire().await.map_err(io::Error::other)?;
        let hashed = blocking(move || {
            let digest = chaining::digest(&found)?;
            Ok((found, digest))
        });
        let (found, digest) = hashed.await?;
        drop(turn);
        self.learn(&found, etag, digest);
        Ok((found, digest))
    }

    /// Computes values, unless somebody else began to meanwhile.
    fn compute(
        &self,
        kind: Kind,
        found: FoundFile,
        etag: &str,
        place: Option<Arc<Place>>,
    ) -> Stream {
        let len = kind.wire_len(found.stamp.size) as usize;
        let key = (kind, key(etag));
        let mut running = lock(&self.running);
        let job = running.get(&key).and_then(Weak::upgrade);
        if let Some(stream) = job.and_then(|job| job.read(len)) {
            return stream;
        }
        running.retain(|_, job| job.strong_count() > 0);
        let (job, stream) = Job::begin(len);
        running.insert(key.clone(), Arc::downgrade(&job));
        drop(running);
        let work = Work {
            kind,
            key: key.1,
            slots: Arc::clone(if is_quick(&found) {
                &self.small
            } else {
                self.slots.of(kind)
            }),
            found,
            stores: self.stores.clone(),
            known: Arc::clone(&self.known),
            place,
        };
        tokio::spawn(async move {
            if let Err(error) = work.run(&job).await {
                job.fail(&error);
            }
        });
        stream
    }
}

/// Whether hashing a file takes no longer than sending it would: that takes no place in a queue.
fn is_quick(found: &FoundFile) -> bool {
    found.stamp.size <= PIECE
}

/// The entity tag without its quotes: hexadecimal digits only.
fn key(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

/// One file's computation.
struct Work {
    kind: Kind,
    found: FoundFile,
    key: String,
    slots: Arc<Semaphore>,
    stores: Option<Arc<Stores>>,
    known: Arc<Known>,
    /// Given back with the rest of it.
    #[expect(dead_code, reason = "it is held, not read")]
    place: Option<Arc<Place>>,
}

impl Work {
    async fn run(self, job: &Arc<Job>) -> io::Result<()> {
        let slots = Arc::clone(&self.slots);
        let _slot = tokio::select! {
            slot = slots.acquire() => slot.map_err(io::Error::other)?,
            () = job.unwanted() => return job.wanted(),
        };
        let job = Arc::clone(job);
        blocking(move || {
            self.kind.compute(&job, &self.found)?;
            self.keep(&job.bytes());
            Ok(())
        })
        .await
    }

    fn learn(self, bytes: &[u8]) {
        if let Some(digest) = self.kind.whole(bytes) {
            self.known.learn(self.key, self.kind, digest);
        }
    }

    /// Keeps what was computed; nothing of a file that may change again without its stamp showing it.
    fn keep(self, bytes: &[u8]) {
        if !self.found.stamp.is_settled() {
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

#[cfg(test)]
mod tests;
