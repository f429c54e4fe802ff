//! Values that were computed before: one small file a key.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::kind::Kind;
use crate::sync::lock;

/// What all kept values take of the disk together, in bytes: enough for 8 TiB of large files.
const MAX_BYTES: u64 = 256 << 20;
/// After so many bytes that were kept, the oldest are looked for: each time the whole directory is read.
const PRUNE_EACH: u64 = 16 << 20;
/// Bytes of a block of the disk, as `st_blocks` counts them.
const BLOCK: u64 = 512;
/// What an interrupted writer left is removed after this long.
const ABANDONED: Duration = Duration::from_secs(3600);
/// How the name of a file begins that is being written.
const ASIDE: &str = "aside-";

/// One of something for each kind.
#[derive(Debug)]
pub(super) struct ByKind<T> {
    pub(super) pieces: T,
    pub(super) sha256: T,
}

impl<T> ByKind<T> {
    pub(super) fn new(make: impl Fn(Kind) -> T) -> Self {
        Self {
            pieces: make(Kind::Pieces),
            sha256: make(Kind::Sha256),
        }
    }

    pub(super) fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Pieces => &self.pieces,
            Kind::Sha256 => &self.sha256,
        }
    }
}

/// What is kept of both kinds.
pub(super) type Stores = ByKind<Store>;

/// The directory of kept values; it is made when the first are kept.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    kind: Kind,
    /// Bytes that were kept since the directory was read last; `None` before it ever was.
    kept: Mutex<Option<u64>>,
}

impl Store {
    pub fn new(dir: PathBuf, kind: Kind) -> Self {
        Self {
            dir,
            kind,
            kept: Mutex::default(),
        }
    }

    /// One of 256 directories below, so that none of them grows long.
    fn path(&self, key: &str) -> PathBuf {
        self.dir.join(key.get(..2).unwrap_or("_")).join(key)
    }

    /// Kept values, in their wire form, if they are whole. Marks them as used.
    pub fn load(&self, key: &str, size: u64) -> Option<Vec<u8>> {
        let path = self.path(key);
        let bytes = fs::read(&path).ok()?;
        if !self.kind.is_whole(&bytes, size) {
            tracing::warn!("kept values of a file were damaged: computing them again");
            return None;
        }
        // Where this fails they only seem older than they are.
        let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes)
    }

    /// Keeps values; where that fails they are computed again the next time.
    pub fn keep(&self, key: &str, bytes: &[u8]) {
        let written = self.write(key, bytes);
        if let Err(error) = written.and_then(|taken| self.count(taken)) {
            tracing::debug!(
                "cannot keep the values of a file: {}",
                crate::exit::reason(&error)
            );
        }
    }

    /// Counts what was written, and looks for what is to go now and then.
    fn count(&self, taken: u64) -> io::Result<()> {
        let mut kept = lock(&self.kept);
        let since = kept.map(|since| since + taken);
        if since.is_some_and(|since| since < PRUNE_EACH) {
            *kept = since;
            return Ok(());
        }
        *kept = Some(0);
        drop(kept);
        self.prune(MAX_BYTES)
    }

    /// Writes a file and returns what it takes of the disk, in bytes.
    fn write(&self, key: &str, bytes: &[u8]) -> io::Result<u64> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = self.path(key);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path.parent().unwrap_or(&self.dir))?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let aside = self
            .dir
            .join(format!("{ASIDE}{}-{number}", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&aside, &path))
            .and_then(|()| fs::metadata(&path))
            .map(|metadata| taken(&metadata));
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written
    }

    /// Removes what was not used for longest until the rest takes at most `limit` bytes.
    fn prune(&self, limit: u64) -> io::Result<()> {
        let now = SystemTime::now();
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        let mut dirs = vec![self.dir.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                // Another server may remove it in the same moment.
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                if metadata.is_dir() {
                    dirs.push(entry.path());
                    continue;
                }
                let used = metadata.modified()?;
                if !is_aside(&entry.path()) {
                    kept.push((used, taken(&metadata), entry.path()));
                } else if now.duration_since(used).is_ok_and(|age| age > ABANDONED) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        let mut total: u64 = kept.iter().map(|(_, bytes, _)| bytes).sum();
        kept.sort();
        for (_, bytes, path) in kept {
            if total <= limit {
                break;
            }
            let _ = fs::remove_file(path);
            total -= bytes;
        }
        Ok(())
    }
}

/// What a file takes of the disk, in bytes: whole blocks.
fn taken(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.len().max(metadata.blocks() * BLOCK)
}

fn is_aside(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(ASIDE))
}

/// The entity tag without its quotes: hexadecimal digits only.
pub(super) fn key(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pieces::{self, Preamble};

    fn wire(size: u64) -> Vec<u8> {
        let values: Vec<_> = (0..pieces::count(size))
            .map(|index| {
                let mut hasher = pieces::PieceHasher::new(index);
                hasher.update(b"something");
                hasher.value()
            })
            .collect();
        let mut bytes = Preamble { size }.encode().to_vec();
        bytes.extend(values.iter().flatten());
        bytes.extend(pieces::root(&values).as_bytes());
        bytes
    }

    #[test]
    fn only_whole_values_are_believed() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::new(temp.path().join("a/b"), Kind::Pieces);
        let (size, bytes) = (3 << 20, wire(3 << 20));
        assert_eq!(store.load("k", size), None);
        store.keep("k", &bytes);
        assert_eq!(store.load("k", size), Some(bytes.clone()));
        assert_eq!(store.load("k", size - 1), None);
        let path = store.path("k");
        for damaged in [
            &bytes[1..],
            &bytes[..bytes.len() - 1],
            b"",
            &[&bytes[..40], &[0], &bytes[41..]].concat(),
        ] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(store.load("k", size), None);
        }
    }

    #[test]
    fn the_least_used_go_first() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::new(temp.path().to_owned(), Kind::Pieces);
        let long_ago = SystemTime::now() - Duration::from_secs(10_000);
        let mut each = 0;
        for (n, name) in ["old", "older", "new", "aside-1-1"].iter().enumerate() {
            each = store.write(name, &[0; 100]).unwrap();
            if *name != "new" {
                let time = long_ago - Duration::from_secs(n as u64);
                let file = fs::File::open(store.path(name)).unwrap();
                file.set_modified(time).unwrap();
            }
        }
        store.prune(2 * each).unwrap();
        let there = ["old", "older", "new", "aside-1-1"].map(|name| store.path(name).exists());
        assert_eq!(there, [true, false, true, false]);
    }

    #[test]
    fn the_directory_is_read_now_and_then_only() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::new(temp.path().to_owned(), Kind::Pieces);
        // Read once to know what is there, it would remove this.
        store.keep("first", &[0; 100]);
        let aside = temp.path().join("aside-1-1");
        fs::write(&aside, "").unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(10_000);
        let file = fs::File::open(&aside).unwrap();
        file.set_modified(long_ago).unwrap();
        let mut kept = 0;
        while aside.exists() {
            store.keep(&format!("{kept:04}"), &vec![0; 1 << 20]);
            kept += 1;
        }
        assert!((15..=17).contains(&kept), "{kept}");
    }
}
