//! `haul check`: files held against lists of their digests.

use std::{
    ffi::OsStr,
    io::{self, BufRead as _, BufReader, Write},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{
    Stdin,
    shown::{Lines, Progress, ended, unread},
    threads,
};
use crate::{
    error::Error,
    escape::display_path,
    exit::Exit,
    sums::{
        self, Covers, Line, NoLine,
        hashing::{self, Ask, Found, Queue},
    },
    units,
};

/// Bytes of a line that are read: a path of Linux has 4 KiB, and each byte may be escaped.
const LINE_MAX: u64 = 64 * 1024;

/// What is told of while lists are read.
enum Item {
    /// A file that a line names.
    File(PathBuf),
    /// A list that cannot be read.
    List(PathBuf),
    /// A list without a line that could be used.
    Useless(PathBuf),
}

/// What lists amounted to.
#[derive(Default)]
struct Seen {
    lines: AtomicU64,
    wrong: AtomicU64,
    weak: AtomicBool,
    stdin: Stdin,
}

/// Holds files against what `lists` tell of them, with a line for each; with `quiet`, for those that fail.
pub fn check(lists: &[PathBuf], quiet: bool, out: &mut impl Write) -> Result<Exit, Error> {
    let (progress, seen) = (Progress::new(), Seen::default());
    let lines = Lines::new(out, &progress);
    let (mut exits, mut differ, mut unreadable) = (Vec::new(), 0, 0);
    let give = |queue: &Queue<Item>| {
        lists.iter().all(|list| give(queue, list, &seen));
    };
    let read = |bytes| progress.read(bytes);
    let mut result = hashing::run(threads(), &read, give, |item, found| {
        let (path, is_list) = match item {
            Item::File(path) => (path, false),
            Item::List(path) => (path, true),
            Item::Useless(path) => {
                exits.push(Exit::Other);
                let shown = display_path(&path);
                return lines.tell(&format!(
                    "{shown}: no line is a digest and a name: is that a list?"
                ));
            }
        };
        let say = |word: &str| {
            let name = sums::shown(path.as_os_str().as_bytes());
            lines.write(|out| {
                out.write_all(&name)?;
                writeln!(out, ": {word}")
            })
        };
        match found {
            Ok(Found::Matches(true)) if quiet => Ok(()),
            Ok(Found::Matches(true) | Found::Hash(_)) => say("OK"),
            Ok(Found::Matches(false)) => {
                exits.push(Exit::Integrity);
                differ += 1;
                say("FAILED")
            }
            Err(error) => {
                exits.push(Exit::Disk);
                lines.tell(&unread(&path, &error))?;
                if is_list {
                    return Ok(());
                }
                unreadable += 1;
                say("FAILED open or read")
            }
        }
    });
    if result.is_ok() {
        result = lines.end().and_then(|()| {
            if let Some(line) = summary(differ, unreadable, &seen) {
                lines.tell(&line)?;
            }
            if seen.weak.load(Ordering::Relaxed) {
                lines.tell("MD5 tells accidents only: another file with the same digest is made in seconds")?;
            }
            Ok(())
        });
    }
    ended(result, exits)
}

/// What went wrong, in one line.
fn summary(differ: u64, unreadable: u64, seen: &Seen) -> Option<String> {
    let mut parts = Vec::new();
    let mut add = |count: u64, one: &str, many: &str| match count {
        0 => {}
        1 => parts.push(format!("1 {one}")),
        _ => parts.push(format!("{} {many}", units::count(count))),
    };
    add(differ, "file does not match", "files do not match");
    add(unreadable, "file cannot be read", "files cannot be read");
    let wrong = seen.wrong.load(Ordering::Relaxed);
    add(wrong, "line is no digest", "lines are no digests");
    let lines = units::count(seen.lines.load(Ordering::Relaxed));
    (!parts.is_empty()).then(|| format!("{}, of {lines}", parts.join(", ")))
}

/// Puts what a list names into the queue; false once nobody takes it.
fn give(queue: &Queue<Item>, list: &Path, seen: &Seen) -> bool {
    let failed = |error| queue.add(Item::List(list.to_owned()), Err(error), Ask::Hash);
    let mut text = match seen.stdin.open(list) {
        Ok(file) => BufReader::new(file),
        Err(error) => return failed(error),
    };
    let name = list.file_name().unwrap_or_default().as_bytes();
    let mut reader = sums::Lines::new(sums::algorithm_of(name));
    let (mut raw, mut used, mut wrong) = (Vec::new(), false, 0);
    let read = loop {
        raw.clear();
        match io::Read::take(&mut text, LINE_MAX).read_until(b'\n', &mut raw) {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
        let line = match reader.read(&raw) {
            None => continue,
            Some(line) => line.and_then(|line| Ok((path(&line, list)?, line))),
        };
        let Ok((path, line)) = line else {
            wrong += 1;
            continue;
        };
        used = true;
        seen.lines.fetch_add(1, Ordering::Relaxed);
        if line.digest.is_weak() {
            seen.weak.store(true, Ordering::Relaxed);
        }
        let file = seen.stdin.open(&path);
        if !queue.add(Item::File(path), file, Ask::Matches(line.digest, line.or)) {
            return false;
        }
    };
    match read {
        Err(error) => failed(error),
        // A list of which nothing was checked is told by its name, not by its lines.
        Ok(()) if !used => {
            let none = Err(io::ErrorKind::InvalidData.into());
            queue.add(Item::Useless(list.to_owned()), none, Ask::Hash)
        }
        Ok(()) => {
            seen.wrong.fetch_add(wrong, Ordering::Relaxed);
            true
        }
    }
}

/// The file that a line is about. One without a name is about the file that the list's name tells: `NAME.sha256`.
fn path(line: &Line, list: &Path) -> Result<PathBuf, NoLine> {
    if !line.name.is_empty() {
        return Ok(OsStr::from_bytes(&line.name).into());
    }
    let name = list.file_name().unwrap_or_default().as_bytes();
    match sums::published(name).map(|published| published.covers) {
        Some(Covers::Prefix(end)) => Ok(list.with_file_name(OsStr::from_bytes(&name[..end]))),
        _ => Err(NoLine),
    }
}
