//! What the server itself reads and writes: keys, logins, tokens, its configuration, its log, its state. Whoever serves the
//! directory that they lie in does not mean to hand them out: they are not there, under no name and in no form.

use std::{
    collections::HashMap,
    fs,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

use super::stamp::Stamp;
use crate::{escape::display_path, sys::real_path};

/// Files that were renamed over are looked for again after this time: a renewed key is another file of the same name.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Files that are held at most; a name that changes its file this often begins anew.
const MAX_SEEN: usize = 64;

/// What of a server's own is not served; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Own(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    files: Vec<PathBuf>,
    dir: Option<PathBuf>,
    seen: RwLock<Seen>,
}

/// Every file that had one of the names since the start, by device and inode: an old key is a key. Each is held open, so that
/// no other file gets its inode.
#[derive(Debug)]
struct Seen {
    files: HashMap<(u64, u64), OwnedFd>,
    at: Instant,
}

impl Own {
    /// Takes note of `files` that this process reads or writes, whether they are there yet or not, and of `dir`, where it keeps
    /// its state.
    pub fn new(mut files: Vec<PathBuf>, dir: Option<PathBuf>) -> Self {
        files.extend(dir.clone());
        let seen = Seen {
            files: HashMap::new(),
            at: Instant::now(),
        };
        let inner = Inner {
            files,
            dir,
            seen: RwLock::new(seen),
        };
        inner.look();
        Self(Some(Arc::new(inner)))
    }

    /// Whether [`Self::hides`] answers from memory for that name; else it looks at the disk.
    pub fn is_fresh(&self, name: &[u8]) -> bool {
        self.0.as_ref().is_none_or(|inner| inner.is_fresh(name))
    }

    /// Whether the file of that identity (device and inode), found under `name`, is one of them.
    pub fn hides(&self, id: (u64, u64), name: &[u8]) -> bool {
        let Some(inner) = &self.0 else {
            return false;
        };
        if !inner.is_fresh(name) {
            inner.look();
        }
        let seen = inner.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.files.contains_key(&id)
    }

    /// What of it can be reached through `root`; it is said in the log which files those are.
    pub fn below(&self, root: &Path, follows_links: bool) -> StateDir {
        let (Some(inner), Ok(root)) = (&self.0, fs::canonicalize(root)) else {
            return StateDir::default();
        };
        for file in &inner.files {
            if let Ok(real) = fs::canonicalize(file)
                && real.starts_with(&root)
            {
                tracing::warn!(
                    "{} lies in the directory that is served: it is this server's own, and not there for visitors",
                    display_path(file)
                );
            }
        }
        let dir = inner.dir.as_ref().and_then(|dir| {
            // Where it is not made yet, its parent is there mostly.
            fs::canonicalize(dir).ok().or_else(|| {
                let parent = fs::canonicalize(dir.parent()?).ok()?;
                Some(parent.join(dir.file_name()?))
            })
        });
        StateDir {
            dir: dir.filter(|dir| follows_links || dir.starts_with(&root)),
            root,
        }
    }
}

impl Inner {
    fn is_fresh(&self, name: &[u8]) -> bool {
        let same = |file: &PathBuf| {
            let own = file.file_name().map(std::ffi::OsStr::as_encoded_bytes);
            own == Some(name)
        };
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.at.elapsed() < LOOK_AGAIN && !self.files.iter().any(same)
    }

    fn look(&self) {
        #[cfg(target_os = "linux")]
        let flags = OFlags::PATH;
        #[cfg(not(target_os = "linux"))]
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mut there = Vec::new();
        for file in &self.files {
            if let Ok(opened) = openat(CWD, file, flags | OFlags::CLOEXEC, Mode::empty())
                && let Ok(stat) = fstat(&opened)
            {
                there.push((Stamp::of(&stat).identity(), opened));
            }
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.files.len() > MAX_SEEN {
            seen.files.clear();
        }
        for (id, opened) in there {
            seen.files.entry(id).or_insert(opened);
        }
        seen.at = Instant::now();
    }
}

/// The state directory as far as it can be reached through a root; nothing below it is there.
#[derive(Debug, Default)]
pub struct StateDir {
    /// `None` where no path leads to it.
    dir: Option<PathBuf>,
    root: PathBuf,
}

impl StateDir {
    /// Whether an open file or directory, found at `path` below the root, is it or lies in it.
    pub fn holds(&self, opened: BorrowedFd<'_>, path: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        let Some(dir) = &self.dir else {
            return false;
        };
        // Links may lead there under any name; only the system knows where an open file lies.
        let real =
            real_path(opened).unwrap_or_else(|| self.root.join(std::ffi::OsStr::from_bytes(path)));
        real.starts_with(dir)
    }
}
