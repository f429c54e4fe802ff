//! What lies in the target and is not on the server any more: found while listings are read whole, removed at the end.
//!
//! Only regular files and directories are looked at, and no link is followed, ever. What stays whatever the server lists:
//! names that begin with a dot (servers do not tell theirs), parts, links and devices, other file systems, and what was put
//! there since this run began, by whomever.

use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, statat, unlinkat},
    io::Errno,
};
use tokio_util::sync::CancellationToken;

use super::{names::PART, target::Target};
use crate::{
    client::{Error, read::pattern::Filter},
    http1::path::RemotePath,
    sys::open::{Links, open_beneath},
};

/// Directories that are gone into, one inside the other.
const DEPTH_MAX: usize = 200;

/// Something that is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// Below the target; of a directory with a slash at its end.
    pub path: RemotePath,
    /// Bytes of a file.
    pub bytes: u64,
    /// Device and inode: another file of that name stays.
    id: (u64, u64),
}

/// What is looked for in the target.
#[derive(Debug)]
pub struct Extras<'a> {
    /// Where.
    pub target: &'a Target,
    /// What of it is wanted from the server: all else is none of this run's business.
    pub filter: Option<&'a Filter>,
    /// When this run began.
    pub began: SystemTime,
}

impl Extras<'_> {
    /// What the directory `dir` holds that its listing, of which `listed` knows every name, does not: files, and directories
    /// before what is in them. Blocking.
    pub fn of(
        &self,
        dir: &RemotePath,
        listed: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<Extra>, Error> {
        let mut found = Vec::new();
        let failed = |error: io::Error| Error::disk(self.target.local(dir, b""), &error);
        match self.open(dir) {
            Ok(handle) => {
                let device = rustix::fs::fstat(self.target.handle()).map(|stat| stat.st_dev);
                let device = device.map_err(|error| failed(error.into()))?;
                self.gather(&handle, dir, &listed, (device, 0), &mut found)
                    .map_err(failed)?;
            }
            // Nothing of it is here, or a link leads away.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(failed(error.into())),
        }
        Ok(found)
    }

    fn open(&self, dir: &RemotePath) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = self.target.handle();
        let opened = open_beneath(handle, dir.trimmed(), flags, Mode::empty(), Links::Refuse);
        opened.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// Finds what a directory holds that is not `listed`; whether nothing else is in it.
    fn gather(
        &self,
        handle: &OwnedFd,
        dir: &RemotePath,
        listed: &dyn Fn(&[u8]) -> bool,
        (device, depth): (u64, usize),
        found: &mut Vec<Extra>,
    ) -> io::Result<bool> {
        let (mut names, mut is_all) = (Vec::new(), true);
        for entry in Dir::read_from(handle)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if matches!(&*name, b"." | b"..") {
                continue;
            }
            if name.starts_with(b".") || listed(&name) {
                is_all = false;
            } else {
                names.push(name);
            }
        }
        names.sort_unstable();
        for name in names {
            let stat = match statat(handle, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            is_all &= match dir.join(&name) {
                Ok(path) if kind.is_file() => {
                    let goes = !name.ends_with(PART) && self.is_old(&stat) && self.wants(&path);
                    found.extend(goes.then(|| extra(path, &stat)));
                    goes
                }
                Ok(path) if kind.is_dir() && stat.st_dev == device && depth < DEPTH_MAX => {
                    self.gather_dir(&path.into_dir(), &stat, depth, found)?
                }
                _ => false,
            };
        }
        Ok(is_all)
    }

    /// Finds a directory that is not listed, if nothing stays in it, and what goes of it; whether it goes.
    fn gather_dir(
        &self,
        path: &RemotePath,
        stat: &Stat,
        depth: usize,
        found: &mut Vec<Extra>,
    ) -> io::Result<bool> {
        if !self.filter.is_none_or(|filter| filter.may_hold(path)) {
            return Ok(false);
        }
        let below = match self.open(path) {
            Ok(below) => below,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let at = found.len();
        found.push(extra(path.clone(), stat));
        let within = (stat.st_dev, depth + 1);
        let is_all = self.gather(&below, path, &|_| false, within, found)?;
        // A pattern of files takes what is in it, and leaves the directory itself.
        let goes = is_all && self.filter.is_none_or(|filter| filter.wants_dir(path));
        if !goes {
            found.remove(at);
        }
        Ok(goes)
    }

    /// Whether nothing was done to it since this run began: neither its content nor its name is another's work beside it.
    fn is_old(&self, stat: &Stat) -> bool {
        changed(stat).is_some_and(|changed| changed < self.began)
    }

    fn wants(&self, path: &RemotePath) -> bool {
        self.filter.is_none_or(|filter| filter.wants(path))
    }
}

/// When a file's content, name or mode changed last.
pub fn changed(stat: &Stat) -> Option<SystemTime> {
    let seconds = u64::try_from(stat.st_ctime).ok()?;
    let nanos = u32::try_from(stat.st_ctime_nsec).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

fn extra(path: RemotePath, stat: &Stat) -> Extra {
    Extra {
        path,
        bytes: u64::try_from(stat.st_size).unwrap_or(0),
        id: (stat.st_dev, stat.st_ino),
    }
}

/// Removes what was found, directories after what is in them, until `stop`; `tell` is told of each that is gone. What is
/// another file by now stays, and so does a directory that holds something. Blocking.
pub fn remove(
    target: &Target,
    extras: &[Extra],
    stop: &CancellationToken,
    mut tell: impl FnMut(&Extra),
) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for extra in extras
        .iter()
        .rev()
        .filter(|extra| seen.insert(extra.path.as_bytes()))
    {
        if stop.is_cancelled() {
            return Ok(());
        }
        let parent = extra.path.parent();
        let failed =
            |error: io::Error| Error::disk(target.local(&parent, extra.path.name()), &error);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open_beneath(
            target.handle(),
            parent.trimmed(),
            flags,
            Mode::empty(),
            Links::Refuse,
        );
        let handle = match opened {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        match remove_one(handle.as_fd(), extra) {
            Ok(true) => tell(extra),
            Ok(false) => {}
            Err(error) => return Err(failed(error.into())),
        }
    }
    Ok(())
}

/// Removes one name. False where it is another by now, or a directory that is not empty.
fn remove_one(dir: BorrowedFd<'_>, extra: &Extra) -> Result<bool, Errno> {
    let name = extra.path.name();
    let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(false),
        stat => stat?,
    };
    let (is_dir, kind) = (extra.path.is_dir(), FileType::from_raw_mode(stat.st_mode));
    let same = (stat.st_dev, stat.st_ino) == extra.id
        && if is_dir {
            kind.is_dir()
        } else {
            kind.is_file()
        };
    if !same {
        return Ok(false);
    }
    let flags = if is_dir {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    match unlinkat(dir, name, flags) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(Errno::NOTEMPTY | Errno::EXIST) if is_dir => Ok(false),
        Err(error) => Err(error),
    }
}
