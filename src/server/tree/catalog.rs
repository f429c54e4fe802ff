//! The served directory: what a path leads to, who may see it, and what identifies a file's content.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, fstat, readlinkat},
    io::Errno,
};

use super::{
    found::{AtOnce, Found, FoundFile, Opened},
    own::{Own, StateDir},
    stamp::Stamp,
};
use crate::{
    http1::path::RemotePath,
    server::work::Mount,
    sys::{
        dir_id::dir_id,
        mounts::{Mounts, Seen},
        open::{Links, open_beneath, open_cached},
    },
};

/// Files and directories alike are opened so that a FIFO or a terminal never blocks or takes over.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// How something is opened to learn what it is and where it lies, and nothing more.
#[cfg(target_os = "linux")]
const PLACE: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const PLACE: OFlags = READ;

/// Links that are followed to learn where a path leads, as the kernel does.
const LINKS_MAX: usize = 40;

/// The served directory.
#[derive(Debug)]
pub struct Catalog {
    path: PathBuf,
    /// The same from the root of the file system: a working directory that is replaced stays what it was.
    place: PathBuf,
    root: OwnedFd,
    /// What the directory is: see [`Stamp::identity`].
    identity: (u64, u64),
    hidden: bool,
    links: Links,
    id: Option<String>,
    mounts: Mounts,
    /// What is this server's own, and not there.
    own: Own,
    state: StateDir,
}

impl Catalog {
    /// Opens the directory to serve.
    pub fn open(root: &Path, hidden: bool, follow_symlinks: bool) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Self {
            id: dir_id(opened.as_fd()),
            path: root.to_owned(),
            place: std::path::absolute(root)?,
            identity: Stamp::of(&fstat(&opened)?).identity(),
            root: opened,
            hidden,
            mounts: Mounts::default(),
            links: if follow_symlinks {
                Links::Follow
            } else {
                Links::Inside
            },
            own: Own::default(),
            state: StateDir::default(),
        })
    }

    /// The same without what is the server's own.
    pub fn without(mut self, own: &Own) -> Self {
        self.state = own.below(&self.path, self.links == Links::Follow);
        self.own = own.clone();
        self
    }

    /// The directory, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is looked for again.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Whether it is the directory of this stamp.
    pub fn is_at(&self, stamp: &Stamp) -> bool {
        stamp.identity() == self.identity
    }

    /// Whether it lies on a file system of this machine, which does not hang.
    pub fn is_local(&self) -> bool {
        self.mount_of(&self.root).is_none()
    }

    /// What the `Haul-Dir` field says.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Where an open file or directory lies.
    pub fn mount_of(&self, file: impl AsFd) -> Mount {
        self.mounts.see(file)?.mount
    }

    /// Whether a name may be seen at all.
    pub fn shows(&self, name: &[u8]) -> bool {
        self.hidden || !name.starts_with(b".")
    }

    /// Whether what was found under `name` is the server's own.
    pub fn hides(&self, stamp: &Stamp, name: &[u8]) -> bool {
        self.own.hides(stamp.identity(), name)
    }

    /// What `path` leads to, if that can be told without waiting for a disk or for whoever serves a file system. Whatever is
    /// no file and no directory, or leaves the root, is not found.
    pub fn find_at_once(&self, path: &RemotePath) -> io::Result<AtOnce> {
        if !path.names().all(|name| self.shows(name)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Nearly every file is found in the kernel's caches: no thread has to be woken for it.
        let root = self.root.as_fd();
        let cached = |flags| open_cached(root, path.trimmed(), flags, self.links);
        let Some(place) = cached(PLACE) else {
            return Ok(AtOnce::Blocks(self.mount_above(path.trimmed())));
        };
        let place = place?;
        let seen = self.mounts.see(&place);
        if let Some(seen) = seen {
            may_be_opened(seen.mode)?;
            if seen.mount.is_some() {
                return Ok(AtOnce::Blocks(seen.mount));
            }
        }
        // Whether it is the server's own may have to be asked of the disk.
        if !self.own.is_fresh(path.name()) {
            return Ok(AtOnce::Blocks(None));
        }
        match cached(READ) {
            Some(opened) => self.found(opened?, seen, path).map(AtOnce::Found),
            None => Ok(AtOnce::Blocks(None)),
        }
    }

    /// The mount that a path is looked for on: that of the last directory above it that the kernel has in memory, which the
    /// place of a mount always is; of where a link leads, where one is on the way.
    fn mount_above(&self, path: &[u8]) -> Mount {
        let (mut at, mut links) = (path.to_vec(), 0);
        loop {
            if let Some(Ok(dir)) = open_cached(self.root.as_fd(), &at, PLACE, self.links) {
                return self.mount_of(&dir);
            }
            match self.link_at(&at) {
                Some(target) if links < LINKS_MAX => (at, links) = (target, links + 1),
                _ if matches!(&at[..], b"" | b"/") => return None,
                _ => at = above(&at).to_vec(),
            }
        }
    }

    /// Where a link leads that the kernel has in memory, from the root of what is served, or of all.
    fn link_at(&self, path: &[u8]) -> Option<Vec<u8>> {
        let flags = PLACE | OFlags::NOFOLLOW;
        let link = open_cached(self.root.as_fd(), path, flags, self.links)?.ok()?;
        let target = readlinkat(&link, "", Vec::new()).ok()?.into_bytes();
        if target.starts_with(b"/") {
            // Where links out of the root are not followed, this one leads nowhere.
            return (self.links == Links::Follow).then_some(target);
        }
        let mut at = above(path).to_vec();
        for name in target.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => at = above(&at).to_vec(),
                name => {
                    if !at.is_empty() && !at.ends_with(b"/") {
                        at.push(b'/');
                    }
                    at.extend_from_slice(name);
                }
            }
        }
        Some(at)
    }

    /// [`Self::find_at_once`] for threads that may wait.
    pub fn find_blocking(&self, path: &RemotePath) -> io::Result<Found> {
        if !path.names().all(|name| self.shows(name)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let open = |flags| {
            let root = self.root.as_fd();
            open_beneath(root, path.trimmed(), flags, Mode::empty(), self.links)
        };
        may_be_opened(fstat(open(PLACE)?)?.st_mode)?;
        let opened = open(READ)?;
        let seen = self.mounts.see(&opened);
        self.found(opened, seen, path)
    }

    /// What a path leads to, without opening it for reading where the system can do that. What a link leads to on a file
    /// system that may hang is told only as far as the kernel has it in memory.
    pub fn stat(&self, path: &[u8]) -> io::Result<Stamp> {
        let root = self.root.as_fd();
        let opened = match open_cached(root, path, PLACE, self.links) {
            Some(opened) => opened?,
            None if self.mount_above(path).is_some() => return Err(io::ErrorKind::TimedOut.into()),
            None => open_beneath(root, path, PLACE, Mode::empty(), self.links)?,
        };
        if self.state.holds(opened.as_fd(), path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Stamp::at_once(&opened, b"", AtFlags::EMPTY_PATH)
    }

    /// What was opened at `path`, unless it is the server's own.
    fn found(&self, opened: OwnedFd, seen: Option<Seen>, path: &RemotePath) -> io::Result<Found> {
        let mount = seen.and_then(|seen| seen.mount);
        let stat = fstat(&opened)?;
        let stamp = Stamp::of(&stat);
        if self.hides(&stamp, path.name()) || self.state.holds(opened.as_fd(), path.trimmed()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Found::File(FoundFile {
                file: Opened::new(opened, mount),
                stamp,
                mount,
                in_memory: seen.is_some_and(|seen| seen.in_memory),
                place: None,
            })),
            FileType::Directory => Ok(Found::Dir(opened)),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// The directory above a path; that above the root is the root.
fn above(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) if path.len() > 1 => b"/",
        Some(at) => &path[..at],
        None => b"",
    }
}

/// To open a FIFO wakes who waits to write into it, and to open a device may do anything: they are not found without being
/// opened.
fn may_be_opened(mode: u32) -> io::Result<()> {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile | FileType::Directory => Ok(()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Whether an error of [`Catalog::find_blocking`] means that a visitor must not learn more than "not found".
pub fn is_not_found(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || Errno::from_io_error(error).is_some_and(|errno| {
            matches!(
                errno,
                Errno::NOENT
                    | Errno::NOTDIR
                    | Errno::LOOP
                    | Errno::XDEV
                    | Errno::NAMETOOLONG
                    | Errno::NXIO
                    | Errno::NODEV
            )
        })
}

/// Whether it means that what a listing named is not there any more. A path that is too long for the system may be: what
/// goes through a tree leaves it out, and must not look whole.
pub fn is_gone(error: &io::Error) -> bool {
    is_not_found(error) && Errno::from_io_error(error) != Some(Errno::NAMETOOLONG)
}

/// Runs what may wait for a disk away from the threads that serve sockets.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn who_waits_to_write_into_a_fifo_is_not_woken() {
        use rustix::fs::{CWD, mknodat, open};
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (opened, open_for) = std::sync::mpsc::channel();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || {
                let file = open(&path, OFlags::WRONLY, Mode::empty()).unwrap();
                opened.send(()).unwrap();
                drop(file);
            }
        });
        let catalog = Arc::new(Catalog::open(temp.path(), false, false).unwrap());
        let asked = RemotePath::from_target(b"/fifo").unwrap();
        for _ in 0..1000 {
            assert!(is_not_found(&catalog.find_blocking(&asked).unwrap_err()));
        }
        assert!(open_for.try_recv().is_err(), "the writer was woken");
        // Only a reader of its own lets it go.
        let reader = open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        writer.join().unwrap();
        drop(reader);
    }
}
