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

use tokio::sync::{Semaphore, watch};

use super::{
    catalog::{FoundFile, blocking},
    clients::lock,
};
use crate::pieces::{self, PIECE};

mod chaining;
mod known;
mod pacing;
pub mod sha256;
mod store;
pub use known::{Digests, Known};
pub use pacing::Asker;
use pacing::Askers;
use store::Store;

/// Bytes that are read and hashed at once, while they are in the processor's cache.
const BLOCK: usize = 128 * 1024;

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
    running: Mutex<HashMap<(Kind, String), Weak<Job>>>,
}

/// The values of one file, on their way.
#[derive(Debug)]
struct Job {
    /// What is computed, in its wire form, as far as it is known.
    bytes: Mutex<Vec<u8>>,
    state: watch::Sender<State>,
    askers: Askers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// So many bytes of the answer are there.
    Known(usize),
    /// They will not become more.
    Failed(String),
}

/// One client's reading of a file's values.
#[derive(Debug)]
pub struct Stream {
    job: Arc<Job>,
    state: watch::Receiver<State>,
    at: usize,
    len: usize,
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

    /// The next bytes, as soon as there are some; `None` behind the last.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.at >= self.len {
            return Ok(None);
        }
        let at = self.at;
        let is_news = |state: &State| !matches!(state, State::Known(known) if *known <= at);
        match &*self
            .state
            .wait_for(is_news)
            .await
            .map_err(io::Error::other)?
        {
            State::Failed(reason) => return Err(io::Error::other(reason.clone())),
            State::Known(_) => {}
        }
        let new = lock(&self.job.bytes)[at..].to_vec();
        self.at += new.len();
        Ok(Some(new))
    }
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
            running: Mutex::default(),
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

    /// The values of a file: those that are being computed, kept ones, or new ones.
    pub fn stream(&self, kind: Kind, found: FoundFile, etag: &str) -> Stream {
        let len = kind.wire_len(found.stamp.size) as usize;
        let key = (kind, key(etag));
        let mut running = lock(&self.running);
        if let Some(job) = running.get(&key).and_then(Weak::upgrade)
            && !matches!(&*job.state.borrow(), State::Failed(_))
        {
            return Stream::of(job, len);
        }
        running.retain(|_, job| job.strong_count() > 0);
        let job = Arc::new(Job {
            bytes: Mutex::default(),
            state: watch::Sender::new(State::Known(0)),
            askers: Askers::default(),
        });
        running.insert(key.clone(), Arc::downgrade(&job));
        drop(running);
        let stream = Stream::of(Arc::clone(&job), len);
        let work = Work {
            kind,
            found,
            key: key.1,
            slots: Arc::clone(self.slots.of(kind)),
            stores: self.stores.clone(),
            known: Arc::clone(&self.known),
        };
        tokio::spawn(async move {
            if let Err(error) = work.run(&job).await {
                job.state.send_replace(State::Failed(error.to_string()));
            }
        });
        stream
    }
}

impl Stream {
    fn of(job: Arc<Job>, len: usize) -> Self {
        Self {
            state: job.state.subscribe(),
            job,
            at: 0,
            len,
            asker: None,
        }
    }
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
}

impl Work {
    async fn run(self, job: &Arc<Job>) -> io::Result<()> {
        if let Some(stores) = &self.stores {
            let (stores, key) = (Arc::clone(stores), self.key.clone());
            let (kind, size) = (self.kind, self.found.stamp.size);
            let kept = blocking(move || Ok(stores.of(kind).load(&key, size))).await;
            if let Ok(Some(kept)) = kept {
                job.publish(&kept);
                self.learn(&kept);
                return Ok(());
            }
        }
        let slots = Arc::clone(&self.slots);
        let _slot = slots.acquire().await.map_err(io::Error::other)?;
        let job = Arc::clone(job);
        blocking(move || {
            self.kind.compute(&job, &self.found)?;
            self.keep(&lock(&job.bytes));
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

/// An error once no one waits for a job's values any more.
fn wanted(job: &Job) -> io::Result<()> {
    if job.state.receiver_count() > 0 {
        return Ok(());
    }
    Err(io::Error::other("no one waits for the values any more"))
}

impl Job {
    fn publish(&self, more: &[u8]) {
        let known = {
            let mut bytes = lock(&self.bytes);
            bytes.extend_from_slice(more);
            bytes.len()
        };
        self.state.send_replace(State::Known(known));
    }

    /// The last value, and behind it the check of them all.
    fn finish(&self, last: &[u8]) {
        let check = {
            let bytes = lock(&self.bytes);
            blake3::Hasher::new().update(&bytes).update(last).finalize()
        };
        self.publish(&[last, check.as_bytes()].concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::path::RemotePath;
    use crate::server::catalog::{Catalog, Found};
    use std::{fs, path::PathBuf, time::Duration};

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|n| (n * 31 + n / 251) as u8).collect()
    }

    struct Disk {
        root: tempfile::TempDir,
        cache: tempfile::TempDir,
    }

    impl Disk {
        fn new(content: &[u8], age: Duration) -> Self {
            let disk = Self {
                root: tempfile::tempdir().unwrap(),
                cache: tempfile::tempdir().unwrap(),
            };
            fs::write(disk.root.path().join("f"), content).unwrap();
            let file = fs::File::open(disk.root.path().join("f")).unwrap();
            file.set_modified(std::time::SystemTime::now() - age)
                .unwrap();
            disk
        }

        fn find(&self) -> FoundFile {
            let catalog = Catalog::open(self.root.path(), false, false).unwrap();
            let path = RemotePath::from_target(b"/f").unwrap();
            let Found::File(found) = catalog.find_blocking(&path).unwrap() else {
                panic!("no file");
            };
            found
        }

        fn kept(&self) -> Vec<PathBuf> {
            let Ok(dir) = fs::read_dir(self.cache.path().join("pieces")) else {
                return Vec::new();
            };
            dir.map(|entry| entry.unwrap().path()).collect()
        }
    }

    async fn read(mut stream: Stream) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(bytes) = stream.next().await? {
            all.extend(bytes);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn values_merge_to_the_digest_that_b3sum_prints() {
        for size in [0, 5, 1 << 20, (1 << 20) + 1, 5_000_000] {
            let content = content(size);
            let disk = Disk::new(&content, Duration::from_secs(60));
            let stream = Values::new(None).stream(Kind::Pieces, disk.find(), "\"e\"");
            assert_eq!(stream.len as u64, pieces::wire_len(size as u64));
            let bytes = read(stream).await.unwrap();
            assert!(chaining::is_whole(&bytes, size as u64), "{size}");
            assert_eq!(
                bytes[bytes.len() - 32..],
                *blake3::hash(&content).as_bytes(),
                "{size}"
            );
        }
    }

    #[tokio::test]
    async fn many_who_ask_at_once_get_the_same_from_one_computation() {
        let disk = Disk::new(&content(3_000_000), Duration::from_secs(60));
        let values = Values::new(None);
        let streams: Vec<Stream> = (0..10)
            .map(|_| values.stream(Kind::Pieces, disk.find(), "\"e\""))
            .collect();
        assert!(streams.iter().all(|s| Arc::ptr_eq(&s.job, &streams[0].job)));
        let mut all = Vec::new();
        for stream in streams {
            all.push(read(stream).await.unwrap());
        }
        assert!(
            all.iter()
                .all(|bytes| bytes == &all[0] && bytes.len() == 24 + 4 * 32)
        );
    }

    #[tokio::test]
    async fn a_file_that_changes_is_not_vouched_for() {
        let disk = Disk::new(&content(3_000_000), Duration::from_secs(60));
        let found = disk.find();
        fs::write(disk.root.path().join("f"), content(3_000_001)).unwrap();
        let values = Values::new(Some(disk.cache.path()));
        let error = read(values.stream(Kind::Pieces, found, "\"e\""))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("changed"), "{error}");
        assert_eq!(disk.kept(), [] as [PathBuf; 0]);
    }

    #[tokio::test]
    async fn kept_values_are_not_computed_again() {
        let (other, disk) = (
            content(3_000_001),
            Disk::new(&content(3_000_000), Duration::ZERO),
        );
        let values = Values::new(Some(disk.cache.path()));
        // What is kept is of other bytes of the same size, so that it shows where the answer came from.
        let source = Disk::new(&other[1..], Duration::ZERO);
        let kept = read(Values::new(None).stream(Kind::Pieces, source.find(), "\"e\""));
        let kept = kept.await.unwrap();
        values.stores.as_ref().unwrap().pieces.keep("e", &kept);
        assert_eq!(
            read(values.stream(Kind::Pieces, disk.find(), "\"e\""))
                .await
                .unwrap(),
            kept
        );
        assert_ne!(
            read(values.stream(Kind::Pieces, disk.find(), "\"f\""))
                .await
                .unwrap(),
            kept
        );
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_file_that_was_just_changed() {
        let disk = Disk::new(&content(3_000_000), Duration::from_secs(60));
        let values = Values::new(Some(disk.cache.path()));
        // It was made just now, whatever its date says.
        read(values.stream(Kind::Pieces, disk.find(), "\"e\""))
            .await
            .unwrap();
        while lock(&values.running)
            .values()
            .any(|job| job.strong_count() > 0)
        {
            tokio::task::yield_now().await;
        }
        assert_eq!(disk.kept(), [] as [PathBuf; 0]);
    }

    #[tokio::test]
    async fn sha256_of_pieces_and_file() {
        use sha2::{Digest as _, Sha256};
        for size in [0, 5, 1 << 20, (1 << 20) + 1, 5_000_000] {
            let content = content(size);
            let disk = Disk::new(&content, Duration::from_secs(60));
            let stream = Values::new(None).stream(Kind::Sha256, disk.find(), "\"e\"");
            let bytes = read(stream).await.unwrap();
            let pieces = content.chunks(1 << 20).map(Sha256::digest);
            let mut expected: Vec<u8> = pieces
                .filter(|_| size > 1 << 20)
                .flat_map(|digest| digest.to_vec())
                .collect();
            expected.extend(Sha256::digest(&content));
            assert_eq!(bytes[..bytes.len() - 32], expected, "{size}");
            assert!(sha256::is_whole(&bytes, size as u64));
            assert!(!sha256::is_whole(&bytes[32..], size as u64));
        }
    }

    #[tokio::test]
    async fn kept_digests_are_known_without_asking_for_them() {
        let disk = Disk::new(&content(3_000_000), Duration::from_secs(60));
        let (found, etag) = (disk.find(), disk.find().stamp.etag());
        let values = Values::new(Some(disk.cache.path()));
        assert_eq!(values.look(&found, &etag).await, Digests::default());
        let digests = read(Values::new(None).stream(Kind::Sha256, disk.find(), &etag));
        let digests = digests.await.unwrap();
        values
            .stores
            .as_ref()
            .unwrap()
            .sha256
            .keep(&key(&etag), &digests);
        let values = Values::new(Some(disk.cache.path()));
        let known = values.look(&found, &etag).await;
        assert_eq!(known.sha256, sha256::whole(&digests));
        assert_eq!(values.known().look(&found.stamp), known);
        assert_eq!(known.blake3, None);
    }
}
