//! Which part is which, and who works on it.

use std::{
    collections::HashSet,
    fs::File,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// A file by device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileId {
    pub(super) dev: u64,
    pub(super) ino: u64,
}

impl FileId {
    /// Of an open file.
    pub fn of(file: &File) -> std::io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = file.metadata()?;
        Ok(Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
        })
    }
}

/// Parts that are being worked on, and who waits for one of them.
#[derive(Debug, Default)]
pub(super) struct Claims {
    held: Mutex<HashSet<FileId>>,
    let_go: Condvar,
}

impl Claims {
    /// Claims a part once another job has let go of it: waits for that at most so long. Blocking.
    pub(super) fn claim(self: &Arc<Self>, file: FileId, patience: Duration) -> Option<Claim> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_held = |held: &mut HashSet<FileId>| held.contains(&file);
        let waited = self.let_go.wait_timeout_while(held, patience, is_held);
        let (mut held, _) = waited.unwrap_or_else(PoisonError::into_inner);
        held.insert(file).then(|| Claim {
            file,
            claims: Arc::clone(self),
        })
    }
}

/// A part that a job works on: no other may take it up. Released when it is dropped.
#[derive(Debug)]
pub struct Claim {
    file: FileId,
    claims: Arc<Claims>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let held = self.claims.held.lock();
        held.unwrap_or_else(PoisonError::into_inner)
            .remove(&self.file);
        self.claims.let_go.notify_all();
    }
}
