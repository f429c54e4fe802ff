//! Which file systems may hang: those whose server is another process or another machine.
//!
//! A read of a disk of this machine ends; one of FUSE, NFS or SMB ends when somebody else says so, perhaps never, and no
//! flag or signal changes that. Nothing here asks such a file system anything: the kernel's own tables say what lies where.

use std::{
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// Where something lies: `None` on a file system of this machine, else on a mount that may hang, by its number.
pub type Mount = Option<u64>;

/// What is known of the mounts.
#[derive(Debug, Default)]
pub struct Mounts {
    #[cfg(target_os = "linux")]
    table: std::sync::Mutex<linux::Table>,
}

/// What an open file is, without asking a file system that may hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Where it lies.
    pub mount: Mount,
    /// Whether its file system is memory altogether: nothing of it is on a disk.
    pub in_memory: bool,
    /// Its type and permission bits, as they were known last.
    pub mode: u32,
}

impl Mounts {
    /// Looks at an open file or directory, or one that was opened for its place only. `None` where the system cannot tell:
    /// then everything counts as being of this machine.
    #[cfg(target_os = "linux")]
    pub fn see(&self, file: impl AsFd) -> Option<Seen> {
        linux::see(file.as_fd(), &self.table)
    }

    /// The same where no system call tells.
    #[cfg(not(target_os = "linux"))]
    pub fn see(&self, _file: impl AsFd) -> Option<Seen> {
        None
    }
}

/// Whether a path, or what will be its directory, lies where it may hang; `false` where the system cannot tell.
pub fn may_hang(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Mode, OFlags, open};
        let place = |path: &Path| open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
        let there = path.ancestors().find_map(place);
        let seen = there.and_then(|there| Mounts::default().see(there));
        seen.is_some_and(|seen| seen.mount.is_some())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        false
    }
}

/// Every path by which a file or directory is reached, whether it is there yet or not: where it lies, and where other mounts
/// show the same. Where the system does not tell of mounts, only the first.
pub fn places(path: &Path) -> Vec<PathBuf> {
    let Ok(path) = std::path::absolute(path) else {
        return Vec::new();
    };
    // What is not made yet will lie below what is there of the way to it.
    let there = path.ancestors().find_map(|above| {
        let real = above.canonicalize().ok()?;
        Some((above, real))
    });
    let Some((above, real)) = there else {
        return Vec::new();
    };
    let whole = match path.strip_prefix(above) {
        Ok(rest) => real.join(rest).components().collect(),
        Err(_) => path.clone(),
    };
    #[cfg(target_os = "linux")]
    {
        linux::places(&real, whole)
    }
    #[cfg(not(target_os = "linux"))]
    {
        vec![whole]
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        collections::HashMap,
        ffi::OsString,
        fs,
        os::{fd::BorrowedFd, unix::ffi::OsStringExt as _},
        path::{Path, PathBuf},
        sync::Mutex,
        time::{Duration, Instant},
    };

    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

    use super::Seen;
    use crate::sync::lock;

    /// How long the table of mounts is believed: numbers are given anew.
    const BELIEVED: Duration = Duration::from_secs(10);

    /// File systems that need nobody but the kernel and its disks.
    const OF_THIS_MACHINE: [&str; 24] = [
        "bcachefs", "btrfs", "cramfs", "devtmpfs", "erofs", "exfat", "ext2", "ext3", "ext4",
        "f2fs", "hfsplus", "iso9660", "jfs", "nilfs2", "ntfs3", "overlay", "proc", "reiserfs",
        "rootfs", "squashfs", "ubifs", "udf", "vfat", "xfs",
    ];
    /// Those that need the kernel alone.
    const IN_MEMORY: [&str; 2] = ["ramfs", "tmpfs"];

    /// What the file system of a mount needs.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Kind {
        /// Nothing.
        Memory,
        /// A disk of this machine.
        Disk,
        /// Whoever serves it: it may hang.
        Other,
    }

    #[derive(Debug, Default)]
    pub(super) struct Table {
        mounts: HashMap<u64, Kind>,
        read: Option<Instant>,
    }

    impl Table {
        fn kind(&mut self, id: u64) -> Kind {
            let is_old = self.read.is_none_or(|read| read.elapsed() > BELIEVED);
            if is_old || !self.mounts.contains_key(&id) {
                let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
                self.mounts = text.lines().filter_map(parse).collect();
                self.read = Some(Instant::now());
            }
            // What is in no table is not known to be harmless.
            self.mounts.get(&id).copied().unwrap_or(Kind::Other)
        }
    }

    /// A line of proc(5) mountinfo: the mount's number and kind.
    pub(super) fn parse(line: &str) -> Option<(u64, Kind)> {
        let (fields, kind) = line.split_once(" - ")?;
        let id = fields.split(' ').next()?.parse().ok()?;
        let kind = kind.split(' ').next()?;
        let kind = if IN_MEMORY.contains(&kind) {
            Kind::Memory
        } else if OF_THIS_MACHINE.contains(&kind) || kind == "zfs" {
            Kind::Disk
        } else {
            Kind::Other
        };
        Some((id, kind))
    }

    pub(super) fn see(file: BorrowedFd<'_>, table: &Mutex<Table>) -> Option<Seen> {
        // Not to ask whoever serves the file system is what keeps this from hanging.
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let mask = StatxFlags::TYPE | StatxFlags::MNT_ID;
        let stat = statx(file, "", flags, mask).ok()?;
        if stat.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
            return None;
        }
        let id = stat.stx_mnt_id;
        let kind = lock(table).kind(id);
        Some(Seen {
            mount: (kind == Kind::Other).then_some(id),
            in_memory: kind == Kind::Memory,
            mode: u32::from(stat.stx_mode),
        })
    }

    /// What of which file system a mount shows, and where.
    struct Shown {
        id: u64,
        device: Vec<u8>,
        /// The directory or file of that file system.
        part: PathBuf,
        at: PathBuf,
    }

    impl Shown {
        /// A line of proc(5) mountinfo.
        fn parse(line: &[u8]) -> Option<Self> {
            let mut fields = line.split(|byte| *byte == b' ');
            let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            let device = fields.nth(1)?.to_vec();
            let mut path = || Some(PathBuf::from(OsString::from_vec(unescaped(fields.next()?))));
            let (part, at) = (path()?, path()?);
            Some(Self {
                id,
                device,
                part,
                at,
            })
        }
    }

    /// Blanks, line ends and backslashes stand there as three octal digits.
    fn unescaped(field: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = field;
        while let Some((first, behind)) = rest.split_first() {
            let escaped = behind
                .split_at_checked(3)
                .filter(|_| *first == b'\\')
                .and_then(|(digits, behind)| {
                    let digits = std::str::from_utf8(digits).ok()?;
                    Some((u8::from_str_radix(digits, 8).ok()?, behind))
                });
            let (byte, behind) = escaped.unwrap_or((*first, behind));
            bytes.push(byte);
            rest = behind;
        }
        bytes
    }

    /// Where what is or will be `whole` is shown; `there` is on the way to it.
    pub(super) fn places(there: &Path, whole: PathBuf) -> Vec<PathBuf> {
        let flags = AtFlags::STATX_DONT_SYNC;
        let id = statx(CWD, there, flags, StatxFlags::MNT_ID)
            .ok()
            .filter(|stat| stat.stx_mask & StatxFlags::MNT_ID.bits() != 0)
            .map(|stat| stat.stx_mnt_id);
        let text = id.and_then(|_| fs::read("/proc/self/mountinfo").ok());
        let others = shown(&text.unwrap_or_default(), id.unwrap_or_default(), &whole);
        [whole].into_iter().chain(others).collect()
    }

    /// Where the mounts of a table show what lies at `path` on the mount `id`, or a part of it.
    pub(super) fn shown(table: &[u8], id: u64, path: &Path) -> Vec<PathBuf> {
        let lines = table.split(|byte| *byte == b'\n');
        let mounts: Vec<Shown> = lines.filter_map(Shown::parse).collect();
        let Some(on) = mounts.iter().find(|mount| mount.id == id) else {
            return Vec::new();
        };
        let Ok(below) = path.strip_prefix(&on.at) else {
            return Vec::new();
        };
        let inside = on.part.join(below);
        let same = mounts.iter().filter(|mount| mount.device == on.device);
        same.filter_map(|mount| {
            if mount.part.starts_with(&inside) {
                return Some(mount.at.clone());
            }
            let below = inside.strip_prefix(&mount.part).ok()?;
            Some(mount.at.join(below)).filter(|place| place != path)
        })
        .collect()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{linux::Kind, *};
    use std::fs::File;

    #[test]
    fn disks_of_this_machine_are_told_from_what_others_serve() {
        for (line, expected) in [
            (
                "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext4 /dev/root rw",
                Some((36, Kind::Disk)),
            ),
            (
                "7 1 0:5 / /dev rw - devtmpfs udev rw",
                Some((7, Kind::Disk)),
            ),
            (
                "41 36 0:33 / /media/x rw - fuse.sshfs ada@host:/ rw",
                Some((41, Kind::Other)),
            ),
            (
                "42 36 0:34 / /net rw - nfs4 host:/ rw",
                Some((42, Kind::Other)),
            ),
            (
                "43 36 0:35 / /s rw - cifs //host/s rw",
                Some((43, Kind::Other)),
            ),
            (
                "44 36 0:36 / /a\\040b rw shared:1 master:2 - fuse x rw",
                Some((44, Kind::Other)),
            ),
            ("45 36 0:37 / /s rw - tmpfs t rw", Some((45, Kind::Memory))),
            ("nonsense", None),
        ] {
            assert_eq!(linux::parse(line), expected, "{line}");
        }
    }

    #[test]
    fn a_directory_lies_wherever_its_file_system_is_mounted() {
        let table = b"20 1 8:1 / / rw - ext4 /dev/root rw\n\
            30 20 8:2 / /home rw shared:1 - ext4 /dev/sdb rw\n\
            31 20 8:2 /ada /srv/a\\040b rw - ext4 /dev/sdb rw\n\
            32 20 8:2 /ada/state/haul/journals /srv/j rw - ext4 /dev/sdb rw\n\
            33 20 8:2 /bob /srv/bob rw - ext4 /dev/sdb rw\n\
            34 20 8:1 /ada /srv/other rw - ext4 /dev/root rw\n\
            35 20 8:2 /ada/state/haul /srv/own rw - ext4 /dev/sdb rw\n";
        let shown = |id, path: &str| linux::shown(table, id, Path::new(path));
        let places = ["/srv/a b/state/haul", "/srv/j", "/srv/own"];
        assert_eq!(shown(30, "/home/ada/state/haul"), places.map(PathBuf::from));
        let below = shown(33, "/srv/bob/later");
        assert_eq!(below, [PathBuf::from("/home/bob/later")]);
        for (id, path) in [(20, "/var/lib"), (20, "/home"), (99, "/x"), (31, "/x")] {
            let none: [PathBuf; 0] = [];
            assert_eq!(shown(id, path), none, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_yet_lies_below_what_is() {
        let temp = tempfile::tempdir().unwrap();
        let real = temp.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&real, real.join("link")).unwrap();
        let place = places(&real.join("link/not/yet"))[0].clone();
        assert_eq!(place, real.join("not/yet"));
        assert_eq!(places(&real.join("link"))[0], real);
    }

    #[test]
    fn what_lies_here_does_not_hang() {
        let mounts = Mounts::default();
        let Some(seen) = mounts.see(File::open("/proc/self/status").unwrap()) else {
            return;
        };
        assert_eq!((seen.mount, seen.mode & 0o170_000), (None, 0o100_000));
    }
}
