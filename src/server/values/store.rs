//! Values that were computed before: one small file a key.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use super::Kind;

/// What all kept values take together, in bytes: enough for 8 TiB of files.
const MAX_BYTES: u64 = 256 << 20;
/// What an interrupted writer left is removed after this long.
const ABANDONED: Duration = Duration::from_secs(3600);
/// How the name of a file begins that is being written.
const ASIDE: &str = "aside-";

/// The directory of kept values; it is made when the first are kept.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    kind: Kind,
}

impl Store {
    pub fn new(dir: PathBuf, kind: Kind) -> Self {
        Self { dir, kind }
    }

    /// Kept values, in their wire form, if they are whole. Marks them as used.
    pub fn load(&self, key: &str, size: u64) -> Option<Vec<u8>> {
        let path = self.dir.join(key);
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
        if let Err(error) = self.write(key, bytes).and_then(|()| self.prune(MAX_BYTES)) {
            tracing::debug!(
                "cannot keep the values of a file: {}",
                crate::exit::reason(&error)
            );
        }
    }

    fn write(&self, key: &str, bytes: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)?;
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
            .and_then(|()| fs::rename(&aside, self.dir.join(key)));
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written
    }

    /// Removes what was not used for longest until the rest takes at most `limit` bytes.
    fn prune(&self, limit: u64) -> io::Result<()> {
        let now = SystemTime::now();
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // Another server may remove it in the same moment.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let used = metadata.modified()?;
            if !is_aside(&entry.path()) {
                kept.push((used, metadata.len(), entry.path()));
            } else if now.duration_since(used).is_ok_and(|age| age > ABANDONED) {
                let _ = fs::remove_file(entry.path());
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

fn is_aside(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(ASIDE))
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
        let path = temp.path().join("a/b/k");
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
        for (n, name) in ["old", "older", "new", "aside-1-1"].iter().enumerate() {
            store.write(name, &[0; 100]).unwrap();
            if *name != "new" {
                let time = long_ago - Duration::from_secs(n as u64);
                fs::File::open(temp.path().join(name))
                    .unwrap()
                    .set_modified(time)
                    .unwrap();
            }
        }
        store.prune(200).unwrap();
        let mut names: Vec<_> = fs::read_dir(temp.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["new", "old"]);
    }
}
