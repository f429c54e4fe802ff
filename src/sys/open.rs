//! Opening paths that cannot leave a directory.
//!
//! Linux does it in one call (`openat2`); elsewhere, and where a sandbox forbids that call, [`walk`] goes from
//! name to name by itself and follows links by hand. Both answer alike, and one table of tests holds for both.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, openat, readlinkat, statat},
    io::Errno,
};

/// What symbolic links below the directory may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Any link on the way is an error (`ELOOP`).
    Refuse,
    /// Relative links that stay beneath the directory are followed; all others are an error (`EXDEV`).
    Inside,
    /// Links are followed wherever they lead.
    Follow,
}

/// Links that are followed for one path before it counts as a loop; as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Opens `path` (relative, decoded, may be empty for the directory itself) beneath `dir`.
///
/// The descriptor is closed on exec. A path or link that would leave `dir` is `EXDEV`, an absolute one too; a
/// trailing slash asks for a directory.
pub fn open_beneath(
    dir: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    let path = if path.is_empty() { b"." } else { path };
    if links == Links::Follow {
        return Ok(openat(dir, path, flags, mode)?);
    }
    #[cfg(target_os = "linux")]
    if let Some(opened) = kernel(dir, path, flags, mode, links) {
        return Ok(opened?);
    }
    Ok(walk(dir, path, flags, mode, links)?)
}

/// Opens `path` for reading like [`open_beneath`], but only from what the kernel has in memory.
///
/// `None` means that a disk may have to be waited for, or that this system cannot tell: open it on the blocking pool.
pub fn open_cached(
    dir: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    links: Links,
) -> Option<io::Result<OwnedFd>> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        let path = if path.is_empty() { b"." } else { path };
        let beneath = match links {
            Links::Follow => ResolveFlags::empty(),
            Links::Inside | Links::Refuse => resolve_beneath(links),
        };
        let resolve = beneath | ResolveFlags::CACHED;
        match openat2(dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // EINVAL: a kernel before 5.12 does not know RESOLVE_CACHED.
            Err(Errno::AGAIN | Errno::INTR | Errno::INVAL | Errno::NOSYS | Errno::PERM) => None,
            result => Some(result.map_err(io::Error::from)),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (dir, path, flags, links);
        None
    }
}

/// The kernel's rules for [`Links::Inside`] and [`Links::Refuse`].
#[cfg(target_os = "linux")]
fn resolve_beneath(links: Links) -> rustix::fs::ResolveFlags {
    use rustix::fs::ResolveFlags;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match links {
        Links::Refuse => beneath | ResolveFlags::NO_SYMLINKS,
        Links::Inside | Links::Follow => beneath,
    }
}

/// The kernel's own containment; `None` where it has none (before Linux 5.6, or under a sandbox that denies it).
#[cfg(target_os = "linux")]
fn kernel(
    dir: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> Option<Result<OwnedFd, Errno>> {
    use rustix::fs::openat2;
    use std::sync::atomic::{AtomicBool, Ordering};

    static MISSING: AtomicBool = AtomicBool::new(false);
    /// A rename that runs beside a `..` makes the kernel give up; it seldom does so twice.
    const RACES: usize = 8;

    if MISSING.load(Ordering::Relaxed) {
        return None;
    }
    let resolve = resolve_beneath(links);
    // Unlike openat, openat2 takes a mode only with a flag that needs it.
    let mode = if flags.intersects(OFlags::CREATE | OFlags::TMPFILE) {
        mode
    } else {
        Mode::empty()
    };
    for _ in 0..RACES {
        match openat2(dir, path, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOSYS) => {
                MISSING.store(true, Ordering::Relaxed);
                return None;
            }
            // Sandboxes deny unknown calls so; where the file itself is meant, the walk finds that out.
            Err(Errno::PERM) => return None,
            result => return Some(result),
        }
    }
    None
}

/// The portable twin: opens one name after the other, never through a link, and follows links by hand.
///
/// A stack of handles, not of names, stands for the way down, so that `..` returns to where the walk came from
/// even when directories are moved meanwhile.
fn walk(
    dir: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> Result<OwnedFd, Errno> {
    let mut rest = Rest::default();
    rest.take(path)?;
    let mut above: Vec<OwnedFd> = Vec::new();
    let mut followed = 0;
    while let Some(name) = rest.0.pop() {
        let here = above.last().map_or(dir, AsFd::as_fd);
        if name == b".." {
            above.pop().ok_or(Errno::XDEV)?;
            continue;
        }
        if name == b"." {
            // Asks for a directory, and the handle on top of the stack is none other.
            continue;
        }
        let last = rest.0.is_empty();
        let opened = if last {
            openat(here, name.as_slice(), flags | OFlags::NOFOLLOW, mode)
        } else {
            openat(here, name.as_slice(), STEP, Mode::empty())
        };
        match opened {
            Ok(file) if last => return Ok(file),
            Ok(next) => above.push(next),
            Err(error) => {
                let target = link_target(here, &name, error)?;
                followed += 1;
                // The caller's own O_NOFOLLOW forbids a link in the last place only.
                let forbidden =
                    links == Links::Refuse || (last && flags.contains(OFlags::NOFOLLOW));
                if forbidden || followed > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                rest.take(&target)?;
            }
        }
    }
    // The path ended in `.`, `..` or nothing: it names the directory that was reached.
    let here = above.last().map_or(dir, AsFd::as_fd);
    openat(here, ".", flags, mode)
}

/// How a directory on the way is opened; it need not be readable where the system can say so.
#[cfg(target_os = "linux")]
const STEP: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// How a directory on the way is opened.
#[cfg(not(target_os = "linux"))]
const STEP: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Names that are still to be walked, the next one last.
#[derive(Default)]
struct Rest(Vec<Vec<u8>>);

impl Rest {
    /// Puts the names of `path` before what is left. A trailing slash becomes a `.` behind them.
    fn take(&mut self, path: &[u8]) -> Result<(), Errno> {
        match path {
            [] => return Err(Errno::NOENT),
            [b'/', ..] => return Err(Errno::XDEV),
            [.., b'/'] => self.0.push(b".".to_vec()),
            _ => {}
        }
        let names = path.split(|b| *b == b'/').filter(|name| !name.is_empty());
        self.0.extend(names.rev().map(<[u8]>::to_vec));
        Ok(())
    }
}

/// Where the link `name` points, or `error` (why it could not be opened) when it is no link.
fn link_target(dir: BorrowedFd<'_>, name: &[u8], error: Errno) -> Result<Vec<u8>, Errno> {
    // Systems differ in what O_NOFOLLOW says of a link: ELOOP, EMLINK, EFTYPE, or ENOTDIR beside O_DIRECTORY.
    if matches!(error, Errno::NOENT | Errno::ACCESS | Errno::EXIST) {
        return Err(error);
    }
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| error)?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink() {
        return Err(error);
    }
    readlinkat(dir, name, Vec::new())
        .map(std::ffi::CString::into_bytes)
        .map_err(|_| error)
}

#[cfg(test)]
mod tests;
