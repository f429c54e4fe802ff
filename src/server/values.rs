//! Chaining values of large files: computed once however many ask at once, streamed while they are computed, and kept
//! in the cache directory.
//!
//! The store has no index and no lock: a file a key, written aside and renamed into place, checked when it is read.
//! Any number of servers may share it.

use std::{
    collections::HashMap,
    io,
    os::fd::AsFd as _,
    path::Path,
    sync::{Arc, Mutex, Weak},
};

use tokio::sync::{Semaphore, watch};

use super::{
    catalog::{FoundFile, blocking},
    clients::lock,
};
use crate::{
    pieces::{self, PREAMBLE_LEN, PieceHasher, Preamble, Value},
    sys::send::read_ahead,
};

mod store;
use store::Store;

/// Files that are hashed at once: more would take the processor from those who send.
const AT_ONCE: usize = 2;
/// Bytes that are read and hashed at once, while they are in the processor's cache.
const BLOCK: usize = 128 * 1024;
/// Values in their wire form.
const VALUE_LEN: usize = 32;

/// The values of all files.
#[derive(Debug)]
pub struct Values {
    store: Option<Arc<Store>>,
    slots: Arc<Semaphore>,
    running: Mutex<HashMap<String, Weak<Job>>>,
}

/// The values of one file, on their way.
#[derive(Debug)]
struct Job {
    /// The answer to `?pieces` as far as it is known.
    bytes: Mutex<Vec<u8>>,
    state: watch::Sender<State>,
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
}

impl Stream {
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
        let store = cache.map(|cache| Arc::new(Store::new(cache.join("pieces"))));
        Self {
            store,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            running: Mutex::default(),
        }
    }

    /// The values of a file: those that are being computed, kept ones, or new ones.
    pub fn stream(&self, found: FoundFile, etag: &str) -> Stream {
        let len = pieces::wire_len(found.stamp.size) as usize;
        let mut running = lock(&self.running);
        if let Some(job) = running.get(etag).and_then(Weak::upgrade)
            && !matches!(&*job.state.borrow(), State::Failed(_))
        {
            return Stream::of(job, len);
        }
        running.retain(|_, job| job.strong_count() > 0);
        let job = Arc::new(Job {
            bytes: Mutex::default(),
            state: watch::Sender::new(State::Known(0)),
        });
        running.insert(etag.to_owned(), Arc::downgrade(&job));
        drop(running);
        let stream = Stream::of(Arc::clone(&job), len);
        let (slots, store, key) = (Arc::clone(&self.slots), self.store.clone(), key(etag));
        tokio::spawn(async move {
            let result = run(&job, found, slots, store, key).await;
            if let Err(error) = result {
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
        }
    }
}

/// The entity tag without its quotes: hexadecimal digits only.
fn key(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

async fn run(
    job: &Arc<Job>,
    found: FoundFile,
    slots: Arc<Semaphore>,
    store: Option<Arc<Store>>,
    key: String,
) -> io::Result<()> {
    let size = found.stamp.size;
    if let Some(store) = store.clone() {
        let key = key.clone();
        if let Ok(Some(kept)) = blocking(move || Ok(store.load(&key, size))).await {
            job.publish(&kept);
            return Ok(());
        }
    }
    let _slot = slots.acquire().await.map_err(io::Error::other)?;
    let job = Arc::clone(job);
    blocking(move || {
        job.compute(&found)?;
        if let Some(store) = store
            && found.stamp.is_settled()
        {
            store.keep(&key, &lock(&job.bytes));
        }
        Ok(())
    })
    .await
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

    /// Hashes the file piece by piece. Blocks on the disk.
    fn compute(&self, found: &FoundFile) -> io::Result<()> {
        let size = found.stamp.size;
        self.publish(&Preamble { size }.encode());
        let mut block = vec![0; BLOCK];
        let mut values: Vec<Value> = Vec::new();
        let mut only = None;
        for index in 0..pieces::count(size).max(1) {
            if self.state.receiver_count() == 0 {
                return Err(io::Error::other("no one waits for the values any more"));
            }
            let hasher = hash_piece(found, index, &mut block)?;
            if pieces::value_count(size) == 0 {
                only = Some(hasher.only());
            } else {
                values.push(hasher.value());
                self.publish(&hasher.value());
            }
        }
        let root = only.unwrap_or_else(|| pieces::root(&values));
        // The root vouches for all that was sent before it: of a file that changed, none is sent.
        if !found.is_unchanged() {
            return Err(io::Error::other("the file changed while it was hashed"));
        }
        self.publish(root.as_bytes());
        Ok(())
    }
}

fn hash_piece(found: &FoundFile, index: u32, block: &mut [u8]) -> io::Result<PieceHasher> {
    let size = found.stamp.size;
    let (mut at, mut left) = (
        u64::from(index) * pieces::PIECE,
        pieces::len(size, index) as usize,
    );
    if left > 0 {
        read_ahead(found.file.as_fd(), at, left as u64)?;
    }
    let mut hasher = PieceHasher::new(index);
    while left > 0 {
        let wanted = left.min(block.len());
        match rustix::io::pread(&found.file, &mut block[..wanted], at)? {
            0 => {
                return Err(io::Error::other(
                    "the file was truncated while it was hashed",
                ));
            }
            read => {
                hasher.update(&block[..read]);
                at += read as u64;
                left -= read;
            }
        }
    }
    Ok(hasher)
}

/// Whether `bytes` are a whole answer for a file of `size` bytes whose values merge to its root.
fn is_whole(bytes: &[u8], size: u64) -> bool {
    let Some((preamble, rest)) = bytes.split_first_chunk::<PREAMBLE_LEN>() else {
        return false;
    };
    let (values, rest) = rest.as_chunks::<VALUE_LEN>();
    let Some((root, values)) = values.split_last() else {
        return false;
    };
    Preamble::decode(preamble) == Ok(Preamble { size })
        && rest.is_empty()
        && values.len() == pieces::value_count(size) as usize
        && (values.is_empty() || pieces::root(values).as_bytes() == root)
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
            let stream = Values::new(None).stream(disk.find(), "\"e\"");
            assert_eq!(stream.len as u64, pieces::wire_len(size as u64));
            let bytes = read(stream).await.unwrap();
            assert!(is_whole(&bytes, size as u64), "{size}");
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
            .map(|_| values.stream(disk.find(), "\"e\""))
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
        let error = read(values.stream(found, "\"e\"")).await.unwrap_err();
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
        let kept = read(Values::new(None).stream(source.find(), "\"e\""));
        let kept = kept.await.unwrap();
        values.store.as_ref().unwrap().keep("e", &kept);
        assert_eq!(
            read(values.stream(disk.find(), "\"e\"")).await.unwrap(),
            kept
        );
        assert_ne!(
            read(values.stream(disk.find(), "\"f\"")).await.unwrap(),
            kept
        );
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_file_that_was_just_changed() {
        let disk = Disk::new(&content(3_000_000), Duration::from_secs(60));
        let values = Values::new(Some(disk.cache.path()));
        // It was made just now, whatever its date says.
        read(values.stream(disk.find(), "\"e\"")).await.unwrap();
        while lock(&values.running)
            .values()
            .any(|job| job.strong_count() > 0)
        {
            tokio::task::yield_now().await;
        }
        assert_eq!(disk.kept(), [] as [PathBuf; 0]);
    }
}
