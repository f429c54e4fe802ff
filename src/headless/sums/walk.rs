//! The files of a tree in the order of their paths' bytes.

use std::{
    fs::{self, File},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    vec,
};

/// What tells one file of this machine from all others.
pub type Id = (u64, u64);

/// The id of a file.
pub fn id(about: &fs::Metadata) -> Id {
    (about.dev(), about.ino())
}

/// Something in a tree.
pub enum Step {
    /// A file, or why it cannot be opened.
    File(PathBuf, io::Result<File>),
    /// A directory that cannot be read to its end.
    Unread(PathBuf, io::Error),
    /// Nothing that a digest is of: a symbolic link, a pipe, a device. False for the file that the lines go to, which
    /// nobody misses.
    Other(bool),
}

/// Reads a tree directory by directory: what is remembered is the names on the way down.
pub struct Walk {
    open: Vec<vec::IntoIter<(Vec<u8>, PathBuf, bool)>>,
    /// Left out: what is written while the tree is read.
    except: Option<Id>,
    waiting: Option<Step>,
}

impl Walk {
    /// What is below `dir`. Its name stands in front of all others, but for `.`.
    pub fn new(dir: &Path, except: Option<Id>) -> Self {
        let mut walk = Self {
            open: Vec::new(),
            except,
            waiting: None,
        };
        walk.enter(dir, dir != Path::new("."));
        walk
    }

    fn enter(&mut self, dir: &Path, named: bool) {
        let mut entries = Vec::new();
        let mut read = || {
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                let is_dir = entry.file_type()?.is_dir();
                let name = entry.file_name();
                let mut key = name.as_bytes().to_vec();
                if is_dir {
                    // As it stands in the paths below it.
                    key.push(b'/');
                }
                let path = if named { dir.join(name) } else { name.into() };
                entries.push((key, path, is_dir));
            }
            Ok(())
        };
        if let Err(error) = read() {
            self.waiting = Some(Step::Unread(dir.to_owned(), error));
        }
        entries.sort_unstable();
        self.open.push(entries.into_iter());
    }

    fn file(&self, path: PathBuf) -> Step {
        let about = match fs::symlink_metadata(&path) {
            Ok(about) => about,
            Err(error) => return Step::File(path, Err(error)),
        };
        let own = self.except == Some(id(&about));
        if own || !about.is_file() {
            return Step::Other(!own);
        }
        // What became a pipe or a link meanwhile is not waited for, nor followed.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = File::options()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(&path);
        Step::File(path, file)
    }
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(waiting) = self.waiting.take() {
                return Some(waiting);
            }
            match self.open.last_mut()?.next() {
                None => drop(self.open.pop()),
                Some((_, path, true)) => self.enter(&path, true),
                Some((_, path, false)) => return Some(self.file(path)),
            }
        }
    }
}
