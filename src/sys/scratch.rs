//! A directory for what a run needs only while it lasts.

use std::{
    fs::{self, DirBuilder, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{FlockOperation, flock};

use crate::exit::{Exit, Local};

/// What the names of these directories begin with; sixteen hexadecimal digits follow.
const PREFIX: &str = "haul-";
/// What was made this long ago and is nobody's was left behind: a new directory is locked at once.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// A new directory among the temporary ones, for its owner only; it is removed with all that it holds when this is
/// dropped. What a run that was killed left there goes when the next directory is made.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    /// Locked for as long as this lives: the system lets go of it, whatever ends the process.
    _lock: Option<File>,
}

impl Scratch {
    pub(crate) fn new() -> Result<Self, Local> {
        Self::within(&std::env::temp_dir())
    }

    fn within(dir: &Path) -> Result<Self, Local> {
        sweep(dir);
        let path = dir.join(format!("{PREFIX}{:016x}", fastrand::u64(..)));
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&path) {
            Ok(()) => Ok(Self {
                _lock: lock(&path),
                path,
            }),
            Err(source) => Err(Local {
                what: format!("cannot make {}", path.display()),
                source,
                remedy: "point TMPDIR at a directory that you can write",
                exit: Exit::Disk,
            }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is the system's to clear, as all temporary files are.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Locks a directory, unless somebody has.
fn lock(dir: &Path) -> Option<File> {
    let file = File::open(dir).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(file)
}

/// Removes what runs that were killed left in `dir`.
fn sweep(dir: &Path) {
    let me = rustix::process::getuid().as_raw();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let is_ours = digits.is_some_and(|digits| {
            digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit())
        });
        let Ok(found) = entry.metadata().map(|found| (found.is_dir(), found)) else {
            continue;
        };
        let (is_dir, found) = found;
        let is_old = found.modified().is_ok_and(|at| {
            SystemTime::now()
                .duration_since(at)
                .is_ok_and(|age| age > LEFT_BEHIND)
        });
        if is_ours && is_dir && found.uid() == me && is_old && lock(&entry.path()).is_some() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_what_it_holds() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_owned();
        fs::write(path.join("x"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_run_left_goes_with_the_next_and_what_is_in_use_stays() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.join("deep")).unwrap();
            path
        };
        let age = |path: &Path| {
            let old = SystemTime::now() - 2 * LEFT_BEHIND;
            File::open(path).unwrap().set_modified(old).unwrap();
        };
        let left = make("haul-0123456789abcdef");
        let used = Scratch::within(dir.path()).unwrap();
        let new = make("haul-0123456789abcde0");
        let others = ["haul-0123", "haul-0123456789abcdeg", "other"].map(make);
        for path in others.iter().chain([&left, &used.path]) {
            age(path);
        }
        let next = Scratch::within(dir.path()).unwrap();
        assert!(!left.exists());
        for path in others.iter().chain([&new, &used.path, &next.path]) {
            assert!(path.exists(), "{}", path.display());
        }
    }
}
