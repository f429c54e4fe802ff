//! Making, keeping and replacing files on disk without ever showing a partial one.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::SystemTime,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT},
    io::Errno,
};

/// Permissions of new files and directories, before the umask.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const DIR_MODE: Mode = Mode::from_raw_mode(0o777);

/// Makes a file in `dir` that has no name yet (`O_TMPFILE`): a crash leaves nothing behind. `None` where the file
/// system or the platform cannot do that.
pub fn nameless_file(dir: BorrowedFd<'_>) -> io::Result<Option<File>> {
    #[cfg(target_os = "linux")]
    {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(dir, c".", flags, FILE_MODE) {
            Ok(file) => Ok(Some(file.into())),
            // Old kernels take the flag for O_DIRECTORY.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = dir;
        Ok(None)
    }
}

/// Gives a nameless file its name; `AlreadyExists` when that is taken.
pub fn name_file(file: &File, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // Kernels before 6.10 allow the first form only to the superuser; the second needs /proc.
        match rustix::fs::linkat(file.as_fd(), c"", dir, name, AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT | Errno::PERM) => {}
            done => return Ok(done?),
        }
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(rustix::fs::linkat(
            rustix::fs::CWD,
            own,
            dir,
            name,
            AtFlags::SYMLINK_FOLLOW,
        )?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, dir, name);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Whether `dir` has something of that name, a dangling link too.
pub fn exists(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes a file in `dir` for reading and writing; `AlreadyExists` when the name is taken, by a dangling link too.
pub fn new_file(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, FILE_MODE)?.into())
}

/// Makes a file on the file system of `dir` whose name is taken away at once: what [`nameless_file`] is for where
/// that does not exist.
pub fn removed_file(dir: BorrowedFd<'_>) -> io::Result<File> {
    loop {
        let name = format!(".haul-{:016x}.part", fastrand::u64(..));
        match new_file(dir, name.as_bytes()) {
            Ok(file) => {
                remove(dir, name.as_bytes())?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Opens a regular file of `dir` that has no other name, following no link.
pub fn open_own(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> io::Result<File> {
    let file = open_file(dir, name, flags)?;
    if rustix::fs::fstat(&file)?.st_nlink != 1 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it has several names",
        ));
    }
    Ok(file)
}

/// Opens a regular file of `dir`, following no link.
pub fn open_file(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file",
        ));
    }
    Ok(file.into())
}

/// Makes a directory in `dir`; one that exists is as good.
pub fn make_dir(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match rustix::fs::mkdirat(dir, name, DIR_MODE) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Renames within `dir`; `AlreadyExists` when `to` is taken.
pub fn rename_new(dir: BorrowedFd<'_>, from: &[u8], to: &[u8]) -> io::Result<()> {
    match rustix::fs::renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
        // Some network file systems lack the flag: a second name fails where one exists, too.
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::linkat(dir, from, dir, to, AtFlags::empty())?;
            Ok(rustix::fs::unlinkat(dir, from, AtFlags::empty())?)
        }
        done => Ok(done?),
    }
}

/// Renames within `dir`, replacing a file `to`.
pub fn rename_over(dir: BorrowedFd<'_>, from: &[u8], to: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::renameat(dir, from, dir, to)?)
}

/// Gives a file of `dir` a second name, which it may have already. Where the file system knows no second names, it has the new one
/// only.
///
/// # Errors
///
/// With `AlreadyExists` where another file is called so, which stays.
pub fn name_also(dir: BorrowedFd<'_>, name: &[u8], also: &[u8]) -> io::Result<()> {
    let stat = |name: &[u8]| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    match rustix::fs::linkat(dir, name, dir, also, AtFlags::empty()) {
        Err(Errno::EXIST) => {
            let (file, there) = (stat(name)?, stat(also)?);
            let is_same = (file.st_dev, file.st_ino) == (there.st_dev, there.st_ino);
            is_same.then_some(()).ok_or(Errno::EXIST.into())
        }
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
            rename_new(dir, name, also)
        }
        done => Ok(done?),
    }
}

/// Gives `file` the permissions of the file `name` of `dir`, where there is one.
pub fn take_mode(dir: BorrowedFd<'_>, name: &[u8], file: &File) -> io::Result<()> {
    let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        stat => stat?,
    };
    // Never more than permissions: no set-user-ID bit goes over to another content.
    let mode = Mode::from_raw_mode(stat.st_mode & 0o777);
    Ok(rustix::fs::fchmod(file, mode)?)
}

/// Copies bytes from one file, beginning at its byte `start`, to another, where they begin at `at`; within the file system
/// where that can. False where the first does not have them all, or cannot be read.
pub fn copy_range(from: &File, start: u64, to: &File, at: u64, bytes: u64) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    const STEP: u64 = 256 * 1024;
    let mut done = 0;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    while done < bytes {
        let (mut read, mut written) = (start + done, at + done);
        let most = usize::try_from(bytes - done).unwrap_or(usize::MAX);
        let copied =
            rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), most);
        match copied {
            Ok(0) => return Ok(false),
            Ok(copied) => done += copied as u64,
            Err(Errno::INTR) => {}
            // Whatever it is, reading and writing tells it better.
            Err(_) => break,
        }
    }
    let mut buffer = vec![0; if done < bytes { STEP as usize } else { 0 }];
    while done < bytes {
        let step = (bytes - done).min(STEP) as usize;
        if from
            .read_exact_at(&mut buffer[..step], start + done)
            .is_err()
        {
            return Ok(false);
        }
        to.write_all_at(&buffer[..step], at + done)?;
        done += step as u64;
    }
    Ok(true)
}

/// Removes a file of `dir`.
pub fn remove(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
}

/// Reserves `size` bytes, so that a full disk is told at the start; where the file system cannot, sets the size.
///
/// Memory file systems fill every page before they return, with the file locked: there the space is only looked at.
pub fn allocate(file: &File, size: u64) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if size > 0 {
        use std::os::unix::fs::MetadataExt;
        const TMPFS_MAGIC: u64 = 0x0102_1994;
        if rustix::fs::fstatfs(file)?.f_type as u64 == TMPFS_MAGIC {
            let missing = size.saturating_sub(file.metadata()?.blocks() * 512);
            if missing > free_space(file.as_fd())? {
                return Err(Errno::NOSPC.into());
            }
            return file.set_len(size);
        }
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, size) {
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {}
            done => return Ok(done?),
        }
    }
    file.set_len(size)
}

/// Sets the time of the last change.
pub fn set_modified(file: &File, time: SystemTime) -> io::Result<()> {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let modified = Timespec {
        tv_sec: since.as_secs().cast_signed(),
        tv_nsec: since.subsec_nanos().into(),
    };
    let access = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    Ok(rustix::fs::futimens(
        file,
        &Timestamps {
            last_access: access,
            last_modification: modified,
        },
    )?)
}

/// Whether nothing was ever written to these bytes of a file; false where the file system cannot tell.
pub fn is_hole(file: &File, start: u64, end: u64) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(start)) {
            Ok(data) => data >= end,
            // No data from there to the end.
            Err(error) => error == Errno::NXIO && start < end,
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    {
        let _ = (file, start, end);
        false
    }
}

/// Tells the system that these bytes of a file are about to be read. Advice: nothing depends on it.
pub fn will_need(file: &File, at: u64, bytes: u64) {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        let advice = rustix::fs::Advice::WillNeed;
        let _ = rustix::fs::fadvise(file, at, std::num::NonZeroU64::new(bytes), advice);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = (file, at, bytes);
}

/// Lets this process open as many files as the system allows it to, rather than the few that are usual; their number.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        // Where it is refused, the old limit stands.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                ..limit
            },
        );
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Writes everything of the file system that holds `dir` to the disk, at once for many files.
pub fn sync_all_of(dir: BorrowedFd<'_>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        Ok(rustix::fs::syncfs(dir)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        Ok(rustix::fs::fsync(dir)?)
    }
}

/// Writes a directory's entries to the disk. Some file systems cannot: that is no failure.
pub fn sync_dir(dir: BorrowedFd<'_>) -> io::Result<()> {
    match rustix::fs::fsync(dir) {
        Ok(()) | Err(Errno::INVAL | Errno::ROFS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Bytes that an ordinary user can still write to the file system of `dir`.
pub fn free_space(dir: BorrowedFd<'_>) -> io::Result<u64> {
    let stat = rustix::fs::fstatvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Opens a directory by its path, for the functions here.
pub fn open_dir(path: &std::path::Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Makes a directory, where it is missing, that only its owner can read: logs tell who fetched what.
pub fn private_dir(dir: &std::path::Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    // One that somebody made before may be open to others; another's cannot be changed, and stays.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if std::fs::metadata(dir)?.permissions().mode() & 0o077 != 0 {
            let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn names_are_given_without_replacing() {
        let temp = tempfile::tempdir().unwrap();
        let dir = open_dir(temp.path()).unwrap();
        std::fs::write(temp.path().join("taken"), "old").unwrap();
        if let Some(mut file) = nameless_file(dir.as_fd()).unwrap() {
            file.write_all(b"new").unwrap();
            let error = name_file(&file, dir.as_fd(), b"taken").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            name_file(&file, dir.as_fd(), b"free").unwrap();
            assert_eq!(std::fs::read(temp.path().join("free")).unwrap(), b"new");
        }
        std::fs::write(temp.path().join("part"), "x").unwrap();
        let error = rename_new(dir.as_fd(), b"part", b"taken").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        rename_new(dir.as_fd(), b"part", b"whole").unwrap();
        assert_eq!(std::fs::read(temp.path().join("taken")).unwrap(), b"old");
    }

    #[test]
    fn what_was_never_written_is_a_hole() {
        use std::os::unix::fs::FileExt;
        let file = tempfile::tempfile().unwrap();
        file.set_len(8 << 20).unwrap();
        file.write_all_at(&[1; 4096], 4 << 20).unwrap();
        assert!(!is_hole(&file, 4 << 20, 5 << 20));
        assert!(!is_hole(&file, 3 << 20, 5 << 20));
        // Where the file system cannot tell, nothing is a hole.
        assert_eq!(is_hole(&file, 0, 1 << 20), is_hole(&file, 6 << 20, 7 << 20));
    }

    #[test]
    fn only_a_regular_file_with_one_name_is_ours() {
        let temp = tempfile::tempdir().unwrap();
        let dir = open_dir(temp.path()).unwrap();
        std::fs::write(temp.path().join("a"), "x").unwrap();
        open_own(dir.as_fd(), b"a", OFlags::RDWR).unwrap();
        std::fs::hard_link(temp.path().join("a"), temp.path().join("b")).unwrap();
        assert!(open_own(dir.as_fd(), b"a", OFlags::RDWR).is_err());
        std::os::unix::fs::symlink("a", temp.path().join("link")).unwrap();
        assert!(open_own(dir.as_fd(), b"link", OFlags::RDWR).is_err());
        assert!(open_own(dir.as_fd(), b".", OFlags::RDONLY).is_err());
    }
}
