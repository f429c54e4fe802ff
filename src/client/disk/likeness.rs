//! How a local file stands to what a listing tells of it: nothing is asked of the server for that.

use std::{
    fs::File,
    os::fd::BorrowedFd,
    time::{Duration, SystemTime},
};

use rustix::fs::{AtFlags, FileType, OFlags, statat};

use crate::{client::Verified, digest::Digest, entry::Entry, sys::disk};

/// How a local file stands to an entry of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// There is none of that name.
    Missing,
    /// It counts as the same.
    Same(Verified),
    /// It is another.
    Differs,
    /// What the listing tells does not decide it.
    Open,
    /// Something that is no regular file has the name.
    InTheWay,
}

/// How the file of that name in `dir` stands to `entry`: by its size and digest, where the listing tells one, else by size and
/// date. Reads the file where a digest is told. Blocking.
pub fn likeness(dir: BorrowedFd<'_>, entry: &Entry) -> Likeness {
    looked_into(dir, entry).0
}

/// The same, and the file where it was read for that. Blocking.
pub fn looked_into(dir: BorrowedFd<'_>, entry: &Entry) -> (Likeness, Option<File>) {
    let stat = match statat(dir, entry.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(rustix::io::Errno::NOENT) => return (Likeness::Missing, None),
        Err(_) => return (Likeness::Open, None),
    };
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return (Likeness::InTheWay, None);
    }
    let Some(size) = entry.size else {
        return (Likeness::Open, None);
    };
    if u64::try_from(stat.st_size).ok() != Some(size) {
        return (Likeness::Differs, None);
    }
    if let Some(hash) = entry.blake3 {
        let Ok(file) = disk::open_file(dir, &entry.name, OFlags::RDONLY) else {
            return (Likeness::Open, None);
        };
        let likeness = match Digest::Blake3(hash).matches_file(&file) {
            Ok(true) => Likeness::Same(Verified::Present),
            Ok(false) => Likeness::Differs,
            Err(_) => Likeness::Open,
        };
        return (likeness, Some(file));
    }
    let seconds = u64::try_from(stat.st_mtime).ok();
    let nanos = u32::try_from(stat.st_mtime_nsec).ok();
    let local = seconds.zip(nanos);
    let local = local.map(|(seconds, nanos)| Duration::new(seconds, nanos));
    let likeness = match local.zip(entry.modified) {
        Some((local, told)) if is_date(local, told) => Likeness::Same(Verified::Unread),
        _ => Likeness::Open,
    };
    (likeness, None)
}

/// Whether a local date is what a listing tells: landing gives files that very date, or the whole seconds of `Last-Modified`.
/// What HTML listings tell is cut to minutes.
fn is_date(local: Duration, told: SystemTime) -> bool {
    const MINUTE: u64 = 60;
    let Ok(told) = told.duration_since(SystemTime::UNIX_EPOCH) else {
        return false;
    };
    let is_minute = told.subsec_nanos() == 0 && told.as_secs().is_multiple_of(MINUTE);
    local == told
        || local.subsec_nanos() == 0
            && (local.as_secs() == told.as_secs()
                || is_minute && local.as_secs() / MINUTE == told.as_secs() / MINUTE)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn size_and_digest_decide_else_size_and_date() {
        let temp = tempfile::tempdir().unwrap();
        let dir = disk::open_dir(temp.path()).unwrap();
        let date = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let file = File::create(temp.path().join("x")).unwrap();
        std::fs::write(temp.path().join("x"), "abc").unwrap();
        file.set_modified(date(1_000_000_030)).unwrap();
        std::os::unix::fs::symlink("x", temp.path().join("link")).unwrap();
        let entry = |name: &str, size, modified, blake3: Option<&str>| Entry {
            name: name.into(),
            is_dir: false,
            size,
            modified,
            blake3: blake3.map(|of| blake3::hash(of.as_bytes())),
        };
        let (same, minute) = (Some(date(1_000_000_030)), Some(date(1_000_000_020)));
        let exact = same.map(|date| date + Duration::from_nanos(5));
        for (entry, expected) in [
            (entry("y", Some(3), same, None), Likeness::Missing),
            (entry("link", Some(3), same, None), Likeness::InTheWay),
            (entry("x", Some(4), same, None), Likeness::Differs),
            (entry("x", None, same, None), Likeness::Open),
            (entry("x", Some(3), None, None), Likeness::Open),
            (
                entry("x", Some(3), same, None),
                Likeness::Same(Verified::Unread),
            ),
            (
                entry("x", Some(3), exact, None),
                Likeness::Same(Verified::Unread),
            ),
            // 01:47:00, as an HTML listing has it for 01:47:10.
            (
                entry("x", Some(3), minute, None),
                Likeness::Same(Verified::Unread),
            ),
            (
                entry("x", Some(3), Some(date(1_000_000_031)), None),
                Likeness::Open,
            ),
            (
                entry("x", Some(3), None, Some("abc")),
                Likeness::Same(Verified::Present),
            ),
            (entry("x", Some(3), same, Some("abd")), Likeness::Differs),
        ] {
            assert_eq!(likeness(dir.as_fd(), &entry), expected, "{entry:?}");
        }
        // What was written by something else has a date of its own.
        file.set_modified(date(1_000_000_030) + Duration::from_nanos(1))
            .unwrap();
        assert_eq!(
            likeness(dir.as_fd(), &entry("x", Some(3), same, None)),
            Likeness::Open
        );
    }
}
