//! How often each file was taken whole, in bounded memory.

use std::collections::HashMap;

use crate::http1::path::RemotePath;

/// Paths that are counted. A million of them would take more memory than the rest of the server.
const MAX_PATHS: usize = 1 << 16;

/// Counts by path. Beyond [`MAX_PATHS`] the paths that were taken only once are forgotten.
#[derive(Debug, Default)]
pub struct Downloads(HashMap<u64, u32>);

impl Downloads {
    /// Counts a file, for itself and for each directory above it.
    pub fn add(&mut self, path: &RemotePath) {
        let mut floor = 1;
        while self.0.len() >= MAX_PATHS {
            self.0.retain(|_, count| *count > floor);
            floor = floor.saturating_mul(2);
        }
        for key in keys(path.as_bytes()) {
            let count = self.0.entry(key).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// The count of a file, or of all files below a directory.
    pub fn of(&self, path: &RemotePath) -> u64 {
        let key = keys(path.as_bytes()).last();
        key.and_then(|key| self.0.get(&key).copied())
            .map_or(0, u64::from)
    }
}

/// A key for each directory on the way (`a/`, `a/b/`), and one for the path itself where it is no directory.
fn keys(path: &[u8]) -> impl Iterator<Item = u64> {
    // FNV-1a: one pass over the bytes gives every prefix's key. A collision would only add two counts up.
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut hash = BASIS;
    path.iter().enumerate().filter_map(move |(at, byte)| {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        (*byte == b'/' || at + 1 == path.len()).then_some(hash)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RemotePath {
        RemotePath::from_target(text.as_bytes()).unwrap()
    }

    #[test]
    fn files_count_for_themselves_and_their_directories() {
        let mut downloads = Downloads::default();
        for file in ["/a/b/c", "/a/b/c", "/a/d", "/ab"] {
            downloads.add(&path(file));
        }
        for (asked, count) in [
            ("/a/b/c", 2),
            ("/a/b/", 2),
            ("/a/", 3),
            ("/ab", 1),
            ("/a", 0),
            ("/", 0),
        ] {
            assert_eq!(downloads.of(&path(asked)), count, "{asked}");
        }
    }

    #[test]
    fn a_million_files_do_not_make_it_grow() {
        let mut downloads = Downloads::default();
        for _ in 0..10 {
            downloads.add(&path("/often"));
        }
        for n in 0..200_000 {
            downloads.add(&path(&format!("/{n}")));
        }
        assert!(downloads.0.len() <= MAX_PATHS);
        assert_eq!(downloads.of(&path("/often")), 10);
    }
}
