//! The directory that downloads land in: everything in it is reached through its handle, beneath it, without links.

use std::{
    collections::HashSet,
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rustix::{
    fs::{Dir, Mode, OFlags},
    io::Errno,
};

use super::names::{Local, Names};
use crate::{
    client::Error,
    config::OnConflict,
    escape,
    exit::reason,
    http1::path::RemotePath,
    sync::lock,
    sys::{
        dir_id::dir_id,
        disk,
        open::{Links, open_beneath},
    },
};

/// Names of a local directory that are remembered while it is listed; beyond that, each is looked up.
const NAMES_MAX: usize = 10_000;
/// Names that are kept free for files: a tree of more parts and backups is one of nothing else.
const RESERVED_MAX: usize = 100_000;

/// A directory that downloads land in.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    dir: OwnedFd,
    pub(super) on_conflict: OnConflict,
    pub(super) backup: bool,
    /// Names that files are to get, though they end like those of parts and backups, by the id of their directory.
    reserved: Arc<Mutex<HashSet<Place>>>,
}

/// Device and inode.
type DirId = (u64, u64);
/// A name in a directory.
type Place = (DirId, Vec<u8>);

impl Target {
    /// Opens `path`, making it and its parents where they are missing.
    pub fn open(path: &Path, on_conflict: OnConflict) -> Result<Self, Error> {
        let failed = |error: &io::Error| Error::Target {
            path: escape::display_path(path),
            reason: reason(error),
        };
        std::fs::create_dir_all(path).map_err(|error| failed(&error))?;
        let dir = disk::open_dir(path).map_err(|error| failed(&error))?;
        rustix::fs::accessat(
            &dir,
            c".",
            rustix::fs::Access::WRITE_OK,
            rustix::fs::AtFlags::EACCESS,
        )
        .map_err(|error| failed(&error.into()))?;
        Ok(Self {
            path: path.to_owned(),
            dir,
            on_conflict,
            backup: false,
            reserved: Arc::default(),
        })
    }

    /// The same, which keeps what it replaces as `name~` if so asked.
    #[must_use]
    pub fn keeping(self, backup: bool) -> Self {
        Self { backup, ..self }
    }

    /// The same, which keeps names free for files together with another one.
    #[must_use]
    pub fn beside(self, other: &Self) -> Self {
        let reserved = Arc::clone(&other.reserved);
        Self { reserved, ..self }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its absolute path without links, by which a later run knows it, after a restart of the machine as well.
    pub fn lasting_path(&self) -> PathBuf {
        let path = std::fs::canonicalize(&self.path);
        path.or_else(|_| std::path::absolute(&self.path))
            .unwrap_or_else(|_| self.path.clone())
    }

    /// The number of its device, which may be another after a restart of the machine; `None` where it cannot be told.
    pub fn device(&self) -> Option<u64> {
        let dir = self.dir.try_clone().map(File::from);
        let there = dir.and_then(|dir| dir.metadata());
        there.map(|there| there.dev()).ok()
    }

    /// Its handle.
    pub fn handle(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The ids of this directory and all above it (see [`dir_id`]): a server that hosts one of them
    /// would be serving its own downloads.
    pub fn ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let Ok(mut dir) = self.dir.try_clone() else {
            return ids;
        };
        while let Some(id) = dir_id(dir.as_fd()) {
            if ids.last() == Some(&id) {
                break; // the root is its own parent
            }
            ids.push(id);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match rustix::fs::openat(&dir, c"..", flags, Mode::empty()) {
                Ok(parent) => dir = parent,
                Err(_) => break,
            }
        }
        ids
    }

    /// Opens the directory `path` below this one, making what is missing on the way.
    pub fn dir(&self, path: &RemotePath) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open =
            |path: &[u8]| open_beneath(self.dir.as_fd(), path, flags, Mode::empty(), Links::Refuse);
        let failed = |error: &io::Error| Error::disk(self.local(path, b""), error);
        match open(path.trimmed()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done.map_err(|error| failed(&error)),
        }
        let mut dir = open(b"").map_err(|error| failed(&error))?;
        let mut so_far = RemotePath::root();
        for name in path.names() {
            disk::make_dir(dir.as_fd(), name).map_err(|error| failed(&error))?;
            so_far
                .push(name)
                .map_err(|error| failed(&io::Error::other(error)))?;
            dir = open(so_far.trimmed()).map_err(|error| failed(&error))?;
            so_far.make_dir();
        }
        Ok(dir)
    }

    /// What the directory `path` below this one holds, as far as one can remember it. The directory is made where it
    /// is missing.
    pub fn names(&self, path: &RemotePath) -> Result<Names, Error> {
        let dir = self.dir(path)?;
        let failed = |error: Errno| Error::disk(self.local(path, b""), &error.into());
        let mut names = HashSet::new();
        for entry in Dir::read_from(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if names.len() == NAMES_MAX {
                return Ok(Names::Many(dir));
            }
            names.insert(name.to_vec());
        }
        Ok(Names::Few(names))
    }

    /// Keeps the names of files that are to come free of parts and backups. Their directories are made; where one cannot be used,
    /// the file itself tells so. Blocking.
    pub fn reserve(&self, files: &[RemotePath]) {
        for file in files {
            let dir = self.dir(&file.parent()).ok();
            let Some(id) = dir.and_then(|dir| dir_key(dir.as_fd()).ok()) else {
                continue;
            };
            let mut reserved = lock(&self.reserved);
            if reserved.len() < RESERVED_MAX {
                reserved.insert((id, file.name().to_vec()));
            }
        }
    }

    /// Whether a file is to get this name in `dir`, which nothing else gets then.
    pub fn is_reserved(&self, dir: BorrowedFd<'_>, name: &[u8]) -> bool {
        let reserved = lock(&self.reserved);
        !reserved.is_empty() && dir_key(dir).is_ok_and(|id| reserved.contains(&(id, name.to_vec())))
    }

    /// The directory `path` below this one, as it is; `None` where there is none, or a link leads away.
    pub fn look_in(&self, path: &RemotePath) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let (dir, none) = (self.dir.as_fd(), Mode::empty());
        open_beneath(dir, path.trimmed(), flags, none, Links::Refuse).ok()
    }

    /// The local path of `name` in the directory `dir`, for messages and events.
    pub fn local(&self, dir: &RemotePath, name: &[u8]) -> PathBuf {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let mut path = self.path.clone();
        path.extend(
            dir.names()
                .chain([name])
                .filter(|name| !name.is_empty())
                .map(OsStr::from_bytes),
        );
        path
    }

    /// What is here where `name` of `dir` should land. One look at the disk.
    pub fn look(&self, dir: &RemotePath, name: &[u8]) -> Local {
        let dir = self.look_in(dir);
        dir.map_or(Local::Nothing, |dir| Names::Many(dir).look(name))
    }
}

fn dir_key(dir: BorrowedFd<'_>) -> io::Result<DirId> {
    let stat = rustix::fs::fstat(dir)?;
    Ok((stat.st_dev as u64, stat.st_ino as u64))
}
