//! `haul sum`: what `b3sum` prints, of trees as well.

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::AsFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    Stdin,
    shown::{Lines, Progress, ended, unread},
    threads,
    walk::{Id, Step, Walk, id},
};
use crate::{
    error::Error,
    exit::Exit,
    sums::{
        self,
        hashing::{self, Ask, Found, Queue},
    },
    units,
};

/// Prints the digests of files and of all files in directories; `.` where nothing is named. What cannot be read is told on
/// stderr, and the exit status is [`Exit::Disk`] then.
pub fn sum(paths: &[PathBuf], out: &mut impl Write) -> Result<Exit, Error> {
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &here[..] } else { paths };
    let (progress, others) = (Progress::new(), AtomicU64::new(0));
    let lines = Lines::new(out, &progress);
    let mut exits = Vec::new();
    let (output, stdin) = (own_output(), Stdin::default());
    let give = |queue: &Queue<PathBuf>| {
        let mut paths = paths.iter();
        paths.all(|path| give(queue, path, output, &others, &stdin));
    };
    let read = |bytes| progress.read(bytes);
    let mut result = hashing::run(threads(), &read, give, |path, found| match found {
        Ok(Found::Hash(hash)) => {
            let name = path.as_os_str().as_bytes();
            lines.write(|mut out| sums::write_line(&mut out, &hash, name))
        }
        Ok(Found::Matches(_)) => Ok(()),
        Err(error) => {
            exits.push(Exit::Disk);
            lines.tell(&unread(&path, &error))
        }
    });
    if result.is_ok() {
        result = lines.end().and_then(|()| match others.into_inner() {
            0 => Ok(()),
            1 => lines.tell("1 symbolic link or special file was left out"),
            many => lines.tell(&format!(
                "{} symbolic links and special files were left out",
                units::count(many)
            )),
        });
    }
    ended(result, exits)
}

/// The file that stdout goes to: it is written while the tree is read.
fn own_output() -> Option<Id> {
    let stdout = io::stdout().as_fd().try_clone_to_owned().ok()?;
    let about = File::from(stdout).metadata().ok()?;
    about.is_file().then(|| id(&about))
}

/// Puts what a path names into the queue; false once nobody takes it.
fn give(
    queue: &Queue<PathBuf>,
    path: &Path,
    except: Option<Id>,
    others: &AtomicU64,
    stdin: &Stdin,
) -> bool {
    let whole = |file| queue.add(path.to_owned(), file, Ask::Hash);
    if path == Path::new("-") {
        return whole(stdin.open(path));
    }
    match std::fs::metadata(path) {
        Err(error) => whole(Err(error)),
        Ok(about) if !about.is_dir() => whole(File::open(path)),
        Ok(_) => Walk::new(path, except).all(|step| match step {
            Step::File(path, file) => queue.add(path, file, Ask::Hash),
            Step::Unread(path, error) => queue.add(path, Err(error), Ask::Hash),
            Step::Other(counts) => {
                others.fetch_add(counts.into(), Ordering::Relaxed);
                true
            }
        }),
    }
}
