//! The served directory: what a path leads to, who may see it, and what identifies a file's content.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, statat},
    io::Errno,
};

use crate::{
    http1::path::RemotePath,
    server::work::{Mount, Place},
    sys::{
        dir_id::dir_id,
        mounts::Mounts,
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

/// The served directory.
#[derive(Debug)]
pub struct Catalog {
    path: PathBuf,
    root: OwnedFd,
    hidden: bool,
    links: Links,
    id: Option<String>,
    mounts: Mounts,
}

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
    /// Among those who wait for that mount, where it may hang.
    pub place: Option<Arc<Place>>,
}

/// An open file. Where the file system may hang, so may closing it: that is left to a thread that may wait.
#[derive(Debug)]
pub struct Opened {
    file: Option<OwnedFd>,
    may_hang: bool,
}

impl Opened {
    fn new(file: OwnedFd, mount: Mount) -> Self {
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

/// What changes when a file's content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its size in bytes.
    pub size: u64,
    /// Unix type and permission bits.
    pub mode: u32,
    /// Time of the last change of its content: seconds since 1970 (may be negative) and nanoseconds.
    modified: (i64, u32),
    changed: (i64, u32),
    device: u64,
    inode: u64,
}

impl Stamp {
    /// The stamp in the system's answer.
    #[expect(
        clippy::unnecessary_cast,
        reason = "the fields' types differ between systems"
    )]
    pub fn of(stat: &Stat) -> Self {
        Self {
            size: stat.st_size as u64,
            mode: stat.st_mode as u32,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
        }
    }

    /// The stamp of what `name` is in an open directory, as it was known last: whoever serves a file system is not asked.
    pub fn at_once(dir: impl AsFd, name: &[u8], flags: AtFlags) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{StatxFlags, makedev, statx};
            let flags_now = flags | AtFlags::STATX_DONT_SYNC;
            if let Ok(stat) = statx(&dir, name, flags_now, StatxFlags::BASIC_STATS) {
                let time = |time: rustix::fs::StatxTimestamp| (time.tv_sec, time.tv_nsec);
                return Ok(Self {
                    size: stat.stx_size,
                    mode: u32::from(stat.stx_mode),
                    modified: time(stat.stx_mtime),
                    changed: time(stat.stx_ctime),
                    device: makedev(stat.stx_dev_major, stat.stx_dev_minor),
                    inode: stat.stx_ino,
                });
            }
        }
        if flags.contains(AtFlags::EMPTY_PATH) {
            return Ok(Self::of(&fstat(dir)?));
        }
        Ok(Self::of(&statat(dir, name, flags)?))
    }

    /// The strong entity tag, with its quotes: 128 bits of BLAKE3 over the whole stamp.
    pub fn etag(&self) -> String {
        let mut bytes = [0; 48];
        let words = [
            self.device,
            self.inode,
            self.size,
            self.modified.0 as u64,
            self.changed.0 as u64,
            u64::from(self.modified.1) << 32 | u64::from(self.changed.1),
        ];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let hex = blake3::hash(&bytes).to_hex();
        ["\"", &hex[..32], "\""].concat()
    }

    /// Whether the content is taken for the same: as long as size, date and file are. A chmod, a rename or another link
    /// changes the entity tag, and breaks nothing that runs.
    pub fn is_same_content(&self, other: &Self) -> bool {
        let content = |stamp: &Self| (stamp.identity(), stamp.size, stamp.modified);
        content(self) == content(other)
    }

    /// Device and inode: what stays the same under every name.
    pub fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// When the content changed last, in whole seconds since 1970.
    pub fn modified_seconds(&self) -> i64 {
        self.modified.0
    }

    /// When the content changed last.
    pub fn modified(&self) -> SystemTime {
        let (seconds, nanoseconds) = self.modified;
        let fraction = Duration::from_nanos(u64::from(nanoseconds));
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let time = if seconds < 0 {
            UNIX_EPOCH.checked_sub(whole)
        } else {
            UNIX_EPOCH.checked_add(whole)
        };
        time.and_then(|time| time.checked_add(fraction))
            .unwrap_or(UNIX_EPOCH)
    }
}

/// A file that changed within this time may change again without its stamp showing it.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

impl Stamp {
    /// Whether the last change is long enough ago for the stamp to name the content for good.
    pub fn is_settled(&self) -> bool {
        let changed = |(seconds, _): (i64, u32)| {
            UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        };
        let last = changed(self.modified).max(changed(self.changed));
        // A second more, as the fraction is left out.
        SystemTime::now()
            .duration_since(last)
            .is_ok_and(|age| age > SETTLED_AFTER + Duration::from_secs(1))
    }
}

impl FoundFile {
    /// Whether the open file still holds what it did.
    pub fn is_unchanged(&self) -> bool {
        fstat(&self.file).is_ok_and(|stat| Stamp::of(&stat).is_same_content(&self.stamp))
    }
}

impl Catalog {
    /// Opens the directory to serve.
    pub fn open(root: &Path, hidden: bool, follow_symlinks: bool) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Self {
            id: dir_id(opened.as_fd()),
            path: root.to_owned(),
            root: opened,
            hidden,
            mounts: Mounts::default(),
            links: if follow_symlinks {
                Links::Follow
            } else {
                Links::Inside
            },
        })
    }

    /// The directory, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
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
            return Ok(AtOnce::Blocks(self.mount_above(path)));
        };
        let place = place?;
        if let Some(seen) = self.mounts.see(&place) {
            may_be_opened(seen.mode)?;
            if seen.mount.is_some() {
                return Ok(AtOnce::Blocks(seen.mount));
            }
        }
        match cached(READ) {
            Some(opened) => found(opened?, None).map(AtOnce::Found),
            None => Ok(AtOnce::Blocks(None)),
        }
    }

    /// The mount that a path is looked for on: that of the last directory above it that the kernel has in memory. The place of
    /// a mount always is.
    fn mount_above(&self, path: &RemotePath) -> Mount {
        let mut above = path.parent();
        loop {
            let opened = open_cached(self.root.as_fd(), above.trimmed(), PLACE, self.links);
            if let Some(Ok(dir)) = opened {
                return self.mount_of(&dir);
            }
            if above.is_root() {
                return None;
            }
            above = above.parent();
        }
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
        let mount = self.mount_of(&opened);
        found(opened, mount)
    }

    /// What a path leads to, without opening it for reading where the system can do that.
    pub fn stat(&self, path: &[u8]) -> io::Result<Stamp> {
        #[cfg(target_os = "linux")]
        let flags = OFlags::PATH;
        #[cfg(not(target_os = "linux"))]
        let flags = READ;
        let opened = open_beneath(self.root.as_fd(), path, flags, Mode::empty(), self.links)?;
        Stamp::at_once(&opened, b"", AtFlags::EMPTY_PATH)
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

fn found(file: OwnedFd, mount: Mount) -> io::Result<Found> {
    let stat = fstat(&file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(Found::File(FoundFile {
            file: Opened::new(file, mount),
            stamp: Stamp::of(&stat),
            mount,
            place: None,
        })),
        FileType::Directory => Ok(Found::Dir(file)),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Whether an error of [`Catalog::find`] means that a visitor must not learn more than "not found".
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
    use super::*;
    use crate::http1::date;
    use std::fs;

    #[test]
    fn an_etag_changes_with_every_part_of_the_stamp() {
        let temp = tempfile::NamedTempFile::new().unwrap();
        let stamp = || Stamp::of(&rustix::fs::stat(temp.path()).unwrap());
        let before = stamp();
        assert_eq!(before.etag(), stamp().etag());
        assert_eq!(before.etag().len(), 34);
        fs::write(temp.path(), "x").unwrap();
        assert_ne!(before.etag(), stamp().etag());
        let mut etags: Vec<String> = [
            before,
            Stamp { size: 1, ..before },
            Stamp { inode: 1, ..before },
            Stamp {
                device: 1,
                ..before
            },
            Stamp {
                modified: (1, 2),
                ..before
            },
            Stamp {
                modified: (1, 3),
                ..before
            },
            Stamp {
                changed: (1, 2),
                ..before
            },
        ]
        .iter()
        .map(Stamp::etag)
        .collect();
        etags.sort();
        etags.dedup();
        assert_eq!(etags.len(), 7);
    }

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
            place: None,
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&path, temp.path().join("g")).unwrap();
        fs::rename(&path, temp.path().join("h")).unwrap();
        assert!(found.is_unchanged());
        assert_ne!(Stamp::of(&fstat(&found.file).unwrap()).etag(), stamp.etag());
        fs::write(temp.path().join("h"), "CONTENT").unwrap();
        assert!(!found.is_unchanged());
    }

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
        drop(open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap());
        writer.join().unwrap();
    }

    #[test]
    fn a_stamp_is_settled_once_nothing_changed_for_a_while() {
        let now = i64::try_from(date::seconds(SystemTime::now())).unwrap();
        let temp = tempfile::NamedTempFile::new().unwrap();
        let fresh = Stamp::of(&rustix::fs::stat(temp.path()).unwrap());
        for (modified, changed, settled) in [
            (0, 0, true),
            (now - 4, now - 4, true),
            (now, 0, false),
            (0, now, false),
            (now - 1, now - 100, false),
            (now + 100, 0, false),
        ] {
            let stamp = Stamp {
                modified: (modified, 0),
                changed: (changed, 0),
                ..fresh
            };
            assert_eq!(stamp.is_settled(), settled, "{modified} {changed}");
        }
        assert!(!fresh.is_settled());
    }

    #[test]
    fn times_before_1970_are_times() {
        let stamp = Stamp {
            size: 0,
            mode: 0,
            modified: (-2, 500_000_000),
            changed: (0, 0),
            device: 0,
            inode: 0,
        };
        assert_eq!(stamp.modified(), UNIX_EPOCH - Duration::from_millis(1500));
        let absurd = Stamp {
            modified: (i64::MIN, 0),
            ..stamp
        };
        assert!(absurd.modified() <= UNIX_EPOCH);
    }
}
