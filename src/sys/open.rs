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
mod tests {
    use super::*;
    use std::{fs, io::Read as _, os::unix::fs::symlink};

    type Twin = fn(BorrowedFd<'_>, &[u8], OFlags, Mode, Links) -> Result<OwnedFd, Errno>;

    /// A root with every sort of link in it, and a secret beside it.
    fn tree() -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        fs::create_dir_all(root.join("dir/deep")).unwrap();
        fs::write(temp.path().join("secret"), "secret").unwrap();
        fs::write(root.join("file"), "file").unwrap();
        fs::write(root.join("dir/inner"), "inner").unwrap();
        let absolute = root.join("file");
        for (link, target) in [
            ("absolute", absolute.to_str().unwrap()),
            ("out", "../secret"),
            ("dir/out", "../../secret"),
            ("dir/climb", "../file"),
            ("dir/deep/up", "../../dir/./climb"),
            ("around", "../root/file"),
            ("one", "two"),
            ("two", "dir/deep/up"),
            ("dangling", "nothing"),
            ("loop", "pool"),
            ("pool", "loop"),
            ("self", "self"),
            ("to-dir", "dir"),
            ("to-dir-slash", "dir//"),
            ("to-file-slash", "file/"),
            ("to-root", "."),
            ("dir/outside", "../.."),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        temp
    }

    fn twins() -> Vec<(&'static str, Twin)> {
        let mut twins: Vec<(&'static str, Twin)> = vec![("walk", walk)];
        #[cfg(target_os = "linux")]
        {
            let works = kernel(
                rustix::fs::CWD,
                b".",
                OFlags::RDONLY,
                Mode::empty(),
                Links::Inside,
            );
            match works {
                Some(_) => twins.push(("kernel", |dir, path, flags, mode, links| {
                    kernel(dir, path, flags, mode, links).unwrap()
                })),
                None => println!("SKIPPED: this kernel has no openat2"),
            }
        }
        twins
    }

    #[test]
    fn links_are_followed_inside_only() {
        let temp = tree();
        let root = fs::File::open(temp.path().join("root")).unwrap();
        let table: &[(&str, Result<&str, Errno>)] = &[
            ("file", Ok("file")),
            ("dir/inner", Ok("inner")),
            ("dir//inner", Ok("inner")),
            ("dir/../file", Ok("file")),
            ("./file", Ok("file")),
            ("dir/climb", Ok("file")),
            ("one", Ok("file")),
            ("to-dir/inner", Ok("inner")),
            ("to-dir/deep/up", Ok("file")),
            ("to-dir-slash/inner", Ok("inner")),
            ("to-root/to-root/dir/inner", Ok("inner")),
            ("nothing", Err(Errno::NOENT)),
            ("dangling", Err(Errno::NOENT)),
            ("file/", Err(Errno::NOTDIR)),
            ("file/x", Err(Errno::NOTDIR)),
            ("to-file-slash", Err(Errno::NOTDIR)),
            ("absolute", Err(Errno::XDEV)),
            ("out", Err(Errno::XDEV)),
            ("around", Err(Errno::XDEV)),
            ("dir/out", Err(Errno::XDEV)),
            ("to-dir/out", Err(Errno::XDEV)),
            ("dir/outside", Err(Errno::XDEV)),
            ("dir/outside/secret", Err(Errno::XDEV)),
            ("dir/outside/root/file", Err(Errno::XDEV)),
            ("..", Err(Errno::XDEV)),
            ("../secret", Err(Errno::XDEV)),
            ("dir/../../secret", Err(Errno::XDEV)),
            ("/etc/passwd", Err(Errno::XDEV)),
            ("loop", Err(Errno::LOOP)),
            ("self", Err(Errno::LOOP)),
            ("self/x", Err(Errno::LOOP)),
        ];
        for (twin, open) in twins() {
            for (path, expected) in table {
                let opened = open(
                    root.as_fd(),
                    path.as_bytes(),
                    OFlags::RDONLY,
                    Mode::empty(),
                    Links::Inside,
                );
                let content = opened.map(|fd| {
                    let mut text = String::new();
                    fs::File::from(fd).read_to_string(&mut text).unwrap();
                    text
                });
                assert_eq!(
                    content.as_deref().map_err(|e| *e),
                    *expected,
                    "{twin}: {path}"
                );
            }
        }
    }

    #[test]
    fn every_link_is_refused_where_none_may_be() {
        let temp = tree();
        let root = fs::File::open(temp.path().join("root")).unwrap();
        for (twin, open) in twins() {
            let open = |path: &str| {
                open(
                    root.as_fd(),
                    path.as_bytes(),
                    OFlags::RDONLY,
                    Mode::empty(),
                    Links::Refuse,
                )
                .map(drop)
            };
            for path in [
                "absolute",
                "out",
                "one",
                "to-dir/inner",
                "to-dir",
                "dangling",
            ] {
                assert_eq!(open(path), Err(Errno::LOOP), "{twin}: {path}");
            }
            assert_eq!(open("dir/inner"), Ok(()), "{twin}");
            assert_eq!(open("../secret"), Err(Errno::XDEV), "{twin}");
        }
    }

    #[test]
    fn directories_and_new_files_open_beneath() {
        let temp = tree();
        let root = fs::File::open(temp.path().join("root")).unwrap();
        for (twin, open) in twins() {
            let dir = OFlags::RDONLY | OFlags::DIRECTORY;
            for path in ["dir", "dir/", "to-dir", "to-dir/", ".", "to-root", "dir/.."] {
                let opened = open(
                    root.as_fd(),
                    path.as_bytes(),
                    dir,
                    Mode::empty(),
                    Links::Inside,
                );
                assert!(opened.is_ok(), "{twin}: {path}: {opened:?}");
            }
            let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            let mode = Mode::from_raw_mode(0o600);
            let name = format!("dir/new-{twin}");
            let make = |path: &str| {
                open(root.as_fd(), path.as_bytes(), create, mode, Links::Refuse).map(drop)
            };
            assert_eq!(make(&name), Ok(()), "{twin}");
            assert_eq!(make(&name), Err(Errno::EXIST), "{twin}");
            assert_eq!(make("dangling"), Err(Errno::EXIST), "{twin}");
            assert_eq!(make("to-dir/new"), Err(Errno::LOOP), "{twin}");
        }
    }

    #[test]
    fn the_callers_nofollow_holds_for_the_last_name() {
        let temp = tree();
        let root = fs::File::open(temp.path().join("root")).unwrap();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW;
        for (twin, open) in twins() {
            let open = |path: &str| {
                open(
                    root.as_fd(),
                    path.as_bytes(),
                    flags,
                    Mode::empty(),
                    Links::Inside,
                )
                .map(drop)
            };
            assert_eq!(open("one"), Err(Errno::LOOP), "{twin}");
            assert_eq!(open("to-dir/inner"), Ok(()), "{twin}");
        }
    }

    #[test]
    fn what_was_just_opened_opens_from_memory_with_the_same_containment() {
        let temp = tree();
        let root = fs::File::open(temp.path().join("root")).unwrap();
        for path in ["dir/inner", "to-dir/inner", "out", "absolute", "self"] {
            let open = || {
                open_beneath(
                    root.as_fd(),
                    path.as_bytes(),
                    OFlags::RDONLY,
                    Mode::empty(),
                    Links::Inside,
                )
            };
            let errno =
                |result: io::Result<OwnedFd>| result.map(drop).map_err(|e| e.raw_os_error());
            let expected = errno(open());
            let cached = open_cached(root.as_fd(), path.as_bytes(), OFlags::RDONLY, Links::Inside);
            if let Some(cached) = cached {
                assert_eq!(errno(cached), expected, "{path}");
            }
        }
    }

    #[test]
    fn the_public_call_takes_the_empty_path_and_follows_when_told() {
        let temp = tree();
        let root = fs::File::open(temp.path().join("root")).unwrap();
        let open = |path: &[u8], links| {
            open_beneath(root.as_fd(), path, OFlags::RDONLY, Mode::empty(), links)
        };
        assert!(open(b"", Links::Refuse).is_ok());
        assert!(open(b"", Links::Follow).is_ok());
        assert!(open(b"out", Links::Follow).is_ok());
        let error = open(b"out", Links::Inside).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::XDEV.raw_os_error()));
    }
}
