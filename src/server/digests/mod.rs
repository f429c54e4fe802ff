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

use super::work::{Turn, Work};
use crate::escape::display_path;
use crate::pieces::{self, PIECE};
use crate::server::{
    people::peers::Who,
    tree::{
        catalog::blocking,
        found::{FoundFile, Since},
    },
};
use crate::sync::lock;
use crate::sys::mounts::may_hang;

mod blocks;
mod chaining;
mod computation;
mod job;
mod kind;
mod known;
mod pacing;
mod quantum;
pub mod sha256;
mod store;
pub use super::work::{Busy, Place};
pub use blocks::Blocks;
use computation::{Computation, Hashing};
use job::Job;
pub use job::Stream;
pub use kind::Kind;
pub use known::{Digests, Known};
pub use pacing::Asker;
use store::{Store, Stores, key};

/// The values of all files.
#[derive(Debug)]
pub struct Values {
    stores: Option<Arc<Stores>>,
    known: Arc<Known>,
    work: Work,
    running: Mutex<HashMap<(Kind, String), Weak<Job>>>,
    /// Held while kept values are read, so that many who ask for the same read them once.
    loading: tokio::sync::Mutex<()>,
}

impl Values {
    /// Keeps values below the cache directory, where there is one that does not hang: everybody would wait for it.
    pub fn new(cache: Option<&Path>, work: Work) -> Self {
        let hangs = cache.filter(|cache| may_hang(cache));
        if let Some(cache) = hangs {
            let cache = display_path(cache);
            tracing::info!("digests are not kept: {cache} is on a file system that may hang");
        }
        let stores = cache
            .filter(|_| hangs.is_none())
            .map(|cache| Arc::new(Stores::new(|kind| Store::new(cache.join(kind.dir()), kind))));
        Self {
            known: Arc::new(Known::new(stores.clone())),
            stores,
            work,
            running: Mutex::default(),
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

    /// Notes the BLAKE3 digest of a file that was settled before it was read, and the same behind it.
    pub fn learn(&self, etag: &str, digest: blake3::Hash) {
        self.known.learn(key(etag), Kind::Pieces, digest.into());
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
        let lane = kind.lane(found.stamp.size);
        let place = self.work.enter(lane, found.mount, who)?;
        Ok(self.compute(kind, found, etag, Arc::new(place)))
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
            None => self.compute(kind, found, etag, Arc::clone(place)),
        }
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
        let mut running = lock(&self.running);
        running.retain(|_, job| job.strong_count() > 0);
        running.insert(key, Arc::downgrade(&job));
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

    /// The BLAKE3 digest of a small file where it is known, and what computes it else.
    pub fn known_digest(&self, found: &FoundFile, etag: &str) -> Option<blake3::Hash> {
        let known = self.known.recall(&key(etag), found.stamp.size)?;
        known.blake3.map(Into::into)
    }

    /// Computes that digest, in a turn of the caller's; of a file that has grown meanwhile, the digest of what it was. The file
    /// is read in small blocks, and not kept.
    pub async fn digest(
        &self,
        found: FoundFile,
        etag: &str,
        turn: Turn,
    ) -> io::Result<(FoundFile, blake3::Hash)> {
        let hashed = blocking(move || {
            let _turn = turn;
            let settled = found.stamp.is_settled();
            let (digest, since) = chaining::digest(&found)?;
            Ok((found, digest, settled && since == Since::Same))
        });
        let (found, digest, is_for_good) = hashed.await?;
        if is_for_good {
            self.learn(etag, digest);
        }
        Ok((found, digest))
    }

    /// Computes values, unless somebody else began to meanwhile.
    fn compute(&self, kind: Kind, found: FoundFile, etag: &str, place: Arc<Place>) -> Stream {
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
        let task = Computation {
            kind,
            hashing: Hashing::new(kind, found.stamp.size),
            found,
            key: key.1,
            stores: self.stores.clone(),
            known: Arc::clone(&self.known),
            settled: None,
        };
        tokio::spawn(async move { job.see_to(task.run(&job, &place)).await });
        stream
    }
}

#[cfg(test)]
mod tests;
