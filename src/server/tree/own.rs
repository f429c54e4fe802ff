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
use crate::{
    escape::display_path,
    sys::{mounts::places, real_path},
};

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

#[derive(Debug)]
struct Seen {
    /// Every file that had one of the names since the start, by device and inode: an old key is a key. Each is held open, so
    /// that no other file gets its inode.
    files: HashMap<(u64, u64), OwnedFd>,
    /// By which paths the directory of the state is reached, or will be once it is made.
    dirs: Vec<PathBuf>,
    /// When the files were looked for.
    at: Instant,
    /// When the paths were.
    dirs_at: Option<Instant>,
}

impl Own {
    /// Takes note of `files` that this process reads or writes, whether they are there yet or not, and of `dir`, where it keeps
    /// its state.
    pub fn new(mut files: Vec<PathBuf>, dir: Option<PathBuf>) -> Self {
        files.extend(dir.clone());
        let seen = Seen {
            files: HashMap::new(),
            dirs: Vec::new(),
            at: Instant::now(),
            dirs_at: None,
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
            if file.exists() && places(file).iter().any(|place| place.starts_with(&root)) {
                tracing::warn!(
                    "{} lies in the directory that is served: it is this server's own, and not there for visitors",
                    display_path(file)
                );
            }
        }
        StateDir {
            own: self.clone(),
            root,
            follows_links,
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
        // Mounts come and go; a visitor who asks for one of the names again and again does not have them read as often.
        let old = |seen: &Seen| seen.dirs_at.is_none_or(|at| at.elapsed() >= LOOK_AGAIN);
        let is_old = old(&self.seen.read().unwrap_or_else(PoisonError::into_inner));
        let dirs = self.dir.as_deref().filter(|_| is_old).map(places);
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(dirs) = dirs {
            (seen.dirs, seen.dirs_at) = (dirs, Some(Instant::now()));
        }
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
    own: Own,
    root: PathBuf,
    follows_links: bool,
}

impl StateDir {
    /// Whether an open file or directory, found at `path` below the root, is it or lies in it.
    pub fn holds(&self, opened: BorrowedFd<'_>, path: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        let Some(inner) = &self.own.0 else {
            return false;
        };
        let seen = inner.seen.read().unwrap_or_else(PoisonError::into_inner);
        let mut near = seen.dirs.iter().filter(|dir| self.may_lead_to(dir));
        let Some(first) = near.next() else {
            return false;
        };
        // Links may lead there under any name; only the system knows where an open file lies.
        let real =
            real_path(opened).unwrap_or_else(|| self.root.join(std::ffi::OsStr::from_bytes(path)));
        real.starts_with(first) || near.any(|dir| real.starts_with(dir))
    }

    /// Whether the root may lie in `dir` or hold it, which is all that is asked for mostly: no call, and no path taken apart.
    fn may_lead_to(&self, dir: &Path) -> bool {
        let [dir, root] = [dir, &self.root].map(|path| path.as_os_str().as_encoded_bytes());
        self.follows_links || dir.starts_with(root) || root.starts_with(dir)
    }
}
