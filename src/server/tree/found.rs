//! What a path leads to: an open file or directory, and what became of it since.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::fs::fstat;

use super::stamp::Stamp;
use crate::server::work::{Mount, Place};

/// What can be told of a path without waiting for anybody.
#[derive(Debug)]
pub enum AtOnce {
    /// What it leads to.
    Found(Found),
    /// [`Catalog::find_blocking`] tells, once a disk of this machine was read, or whoever serves that mount has answered.
    Blocks(Mount),
}

/// What a path leads to.
#[derive(Debug)]
pub enum Found {
    /// A regular file, open for reading.
    File(FoundFile),
    /// A directory, open for reading.
    Dir(OwnedFd),
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct FoundFile {
    /// The open file.
    pub file: Opened,
    /// What it was when it was opened.
    pub stamp: Stamp,
    /// Where it lies.
    pub mount: Mount,
    /// On a file system that is memory altogether.
    pub in_memory: bool,
    /// Among those who wait for that mount, where it may hang.
    pub place: Option<Arc<Place>>,
}

/// What became of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Nothing.
    Same,
    /// It has grown, as a log does: what was promised of it is still there.
    Grown,
    /// It was changed within what was promised, or has become shorter.
    Changed,
}

/// An open file. Where the file system may hang, so may closing it: that is left to a thread that may wait.
#[derive(Debug)]
pub struct Opened {
    file: Option<OwnedFd>,
    may_hang: bool,
}

impl Opened {
    pub fn new(file: OwnedFd, mount: Mount) -> Self {
        Self {
            file: Some(file),
            may_hang: mount.is_some(),
        }
    }
}

impl AsFd for Opened {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.file {
            Some(file) => file.as_fd(),
            // Never: it is taken when it is dropped.
            None => rustix::fs::CWD,
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let file = self.file.take();
        if self.may_hang
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(file));
        }
    }
}

impl FoundFile {
    /// Whether the open file still holds what it did.
    pub fn is_unchanged(&self) -> bool {
        fstat(&self.file).is_ok_and(|stat| Stamp::of(&stat).is_same_content(&self.stamp))
    }

    /// What became of it since it was opened.
    pub fn since(&self) -> Since {
        match fstat(&self.file).map(|stat| Stamp::of(&stat)) {
            Ok(now) if now.is_same_content(&self.stamp) => Since::Same,
            Ok(now) if now.size > self.stamp.size => Since::Grown,
            _ => Since::Changed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_new_mode_name_or_link_changes_the_etag_and_breaks_nothing_that_runs() {
        use std::os::unix::fs::PermissionsExt as _;
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("f");
        fs::write(&path, "content").unwrap();
        let file = fs::File::open(&path).unwrap();
        let stamp = Stamp::of(&fstat(&file).unwrap());
        let found = FoundFile {
            file: Opened::new(file.into(), None),
            stamp,
            mount: None,
            in_memory: false,
            place: None,
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&path, temp.path().join("g")).unwrap();
        fs::rename(&path, temp.path().join("h")).unwrap();
        assert!(found.is_unchanged());
        assert_ne!(Stamp::of(&fstat(&found.file).unwrap()).etag(), stamp.etag());
        fs::write(temp.path().join("h"), "CONTENT").unwrap();
        assert!(!found.is_unchanged());
        assert_eq!(found.since(), Since::Changed);
        fs::write(temp.path().join("h"), "content and more").unwrap();
        assert_eq!(found.since(), Since::Grown);
    }
}
