//! What identifies a file's content without reading it.

use std::{
    io,
    os::fd::AsFd,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{AtFlags, Stat, fstat, statat};

/// What changes when a file's content does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
