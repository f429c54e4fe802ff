//! What a local directory holds of a listing.

use std::{
    collections::HashSet,
    os::fd::{AsFd as _, BorrowedFd},
    path::Path,
    time::SystemTime,
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, statat};

use crate::{
    app::here::Here,
    client::part_name,
    entry::Entry,
    http1::path::RemotePath,
    sys::{
        disk,
        open::{Links, open_beneath},
    },
};

/// What is below `target` where the entries of the remote directory `dir` would land: one for each entry, and nothing
/// where the directory is not there. Links are not followed, as downloads follow none.
pub(super) fn look(target: &Path, dir: &RemotePath, entries: &[Entry]) -> Vec<Here> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = disk::open_dir(target).and_then(|target| {
        open_beneath(
            target.as_fd(),
            dir.trimmed(),
            flags,
            Mode::empty(),
            Links::Refuse,
        )
    });
    let Ok(opened) = opened else {
        return vec![Here::Nothing; entries.len()];
    };
    let listed: HashSet<&[u8]> = entries.iter().map(|entry| &entry.name[..]).collect();
    let one = |entry: &Entry| here(opened.as_fd(), entry, &listed);
    entries.iter().map(one).collect()
}

fn here(dir: BorrowedFd<'_>, entry: &Entry, listed: &HashSet<&[u8]>) -> Here {
    let stat = |name: &[u8]| statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok();
    match stat(&entry.name) {
        Some(there) if is(&there, FileType::Directory) && entry.is_dir => Here::Directory,
        Some(there) if is(&there, FileType::RegularFile) => same(&there, entry),
        Some(there) => Here::Other(there.st_size.cast_unsigned()),
        None if entry.is_dir => Here::Nothing,
        None => {
            let part = part_name(&entry.name, 0);
            // A file that is called like a part is its own.
            let is_part = !listed.contains(&part[..])
                && stat(&part).is_some_and(|there| is(&there, FileType::RegularFile));
            if is_part { Here::Part } else { Here::Nothing }
        }
    }
}

fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

fn same(there: &Stat, entry: &Entry) -> Here {
    let size = there.st_size.cast_unsigned();
    if entry.is_dir || entry.size != Some(size) {
        return Here::Other(size);
    }
    let Some(told) = entry.modified.and_then(seconds) else {
        return Here::Whole { dated: false };
    };
    // What landed has the whole seconds of HTTP; some listings tell whole minutes.
    let step = if told % 60 == 0 { 60 } else { 1 };
    if there.st_mtime.div_euclid(step) == told / step {
        Here::Whole { dated: true }
    } else {
        Here::Other(size)
    }
}

fn seconds(time: SystemTime) -> Option<i64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        time::Duration,
    };

    use super::*;

    #[test]
    fn whole_files_parts_and_others_are_told_apart() {
        let target = tempfile::tempdir().unwrap();
        let at = target.path().join("sub");
        fs::create_dir_all(at.join("dir")).unwrap();
        let date = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_001, 5);
        for (name, content, seconds) in [
            ("same", "12345", 1_700_000_001),
            ("older", "12345", 1_600_000_001),
            ("longer", "123456", 1_700_000_001),
            ("begun.part", "1", 0),
            ("own.part", "12345", 1_700_000_001),
            ("undated", "12345", 1),
        ] {
            fs::write(at.join(name), content).unwrap();
            let file = File::options().write(true).open(at.join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
                .unwrap();
        }
        std::os::unix::fs::symlink("same", at.join("link")).unwrap();
        let entry = |name: &str, modified| Entry {
            name: name.into(),
            is_dir: name == "dir",
            size: (name != "dir").then_some(5),
            modified,
            blake3: None,
        };
        let names = [
            "same", "older", "longer", "begun", "own", "own.part", "link", "dir", "none",
        ];
        let mut entries: Vec<_> = names.iter().map(|n| entry(n, Some(date))).collect();
        entries.push(entry("undated", None));
        let dir = RemotePath::from_target(b"/sub/").unwrap();
        let here = look(target.path(), &dir, &entries);
        let whole = Here::Whole { dated: true };
        assert_eq!(
            here,
            [
                whole,
                Here::Other(5),
                Here::Other(6),
                Here::Part,
                Here::Nothing,
                whole,
                Here::Other(4),
                Here::Directory,
                Here::Nothing,
                Here::Whole { dated: false },
            ]
        );
        let elsewhere = RemotePath::from_target(b"/other/").unwrap();
        assert_eq!(
            look(target.path(), &elsewhere, &entries[..1]),
            [Here::Nothing]
        );
    }
}
