//! Digests of whole files that were computed before: in memory, and of large files in the cache directory too.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use super::{
    kind::Kind,
    store::{Stores, key},
};
use crate::sync::lock;
use crate::{pieces::PIECE, server::tree::stamp::Stamp};

/// Files that are remembered, at about 150 bytes each.
const MAX_FILES: usize = 1 << 15;

/// What is known of one file's content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digests {
    /// Its BLAKE3 digest.
    pub blake3: Option<[u8; 32]>,
    /// Its SHA-256 digest.
    pub sha256: Option<[u8; 32]>,
}

#[derive(Debug, Default)]
struct Memory {
    digests: Digests,
    /// Whether the cache directory was asked already.
    looked: bool,
}

/// Digests by entity tag. Only those of settled files come in: their tag names their content for good.
#[derive(Debug)]
pub struct Known {
    files: Mutex<HashMap<String, Memory>>,
    stores: Option<Arc<Stores>>,
}

impl Known {
    pub(super) fn new(stores: Option<Arc<Stores>>) -> Self {
        Self {
            files: Mutex::default(),
            stores,
        }
    }

    /// What is known of a file. May read the cache directory, once a file.
    pub fn look(&self, stamp: &Stamp) -> Digests {
        let key = key(&stamp.etag());
        if let Some(digests) = self.recall(&key, stamp.size) {
            return digests;
        }
        let Some(stores) = &self.stores else {
            return Digests::default();
        };
        let kept = |kind: Kind| Some(kind.whole(&stores.of(kind).load(&key, stamp.size)?));
        let digests = Digests {
            blake3: kept(Kind::Pieces).flatten(),
            sha256: kept(Kind::Sha256).flatten(),
        };
        self.change(key, |memory| {
            memory.looked = true;
            memory.digests.blake3 = memory.digests.blake3.or(digests.blake3);
            memory.digests.sha256 = memory.digests.sha256.or(digests.sha256);
            memory.digests
        })
    }

    /// What is known of a file without looking any further; `None` where the cache directory might tell more.
    pub fn recall(&self, key: &str, size: u64) -> Option<Digests> {
        let memory = lock(&self.files)
            .get(key)
            .map(|memory| (memory.digests, memory.looked));
        // Nothing is kept on disk of a file that is hashed in a moment.
        let only_here = size <= PIECE || self.stores.is_none();
        match memory {
            Some((digests, looked)) if looked || only_here => Some(digests),
            None if only_here => Some(Digests::default()),
            _ => None,
        }
    }

    /// Notes what was computed of a settled file.
    pub(super) fn learn(&self, key: String, kind: Kind, digest: [u8; 32]) {
        self.change(key, |memory| {
            let digests = &mut memory.digests;
            match kind {
                Kind::Pieces => digests.blake3 = Some(digest),
                Kind::Sha256 => digests.sha256 = Some(digest),
            }
            *digests
        });
    }

    fn change(&self, key: String, change: impl FnOnce(&mut Memory) -> Digests) -> Digests {
        let mut files = lock(&self.files);
        if files.len() >= MAX_FILES && !files.contains_key(&key) {
            // Half of them, whichever: each can be found or computed again.
            let mut keep = false;
            files.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        change(files.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let known = Known::new(None);
        for n in 0..100_000 {
            known.learn(format!("{n}"), Kind::Sha256, [1; 32]);
        }
        assert!(lock(&known.files).len() <= MAX_FILES);
        let last = known.recall("99999", 5).unwrap();
        assert_eq!((last.blake3, last.sha256), (None, Some([1; 32])));
    }
}
