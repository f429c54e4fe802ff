//! The directory that downloads land in: everything in it is reached through its handle, beneath it, without links.

use std::{
    collections::HashSet,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::{
    fs::{Dir, Mode, OFlags},
    io::Errno,
};

use super::{Error, Verified, job::Part, queue::Local};
use crate::{
    config::OnConflict,
    error::reason,
    escape,
    http1::path::RemotePath,
    sys::{
        dir_id::dir_id,
        disk,
        open::{Links, open_beneath},
    },
};

/// What a file is called until it is complete.
const PART: &[u8] = b".part";
/// The longest name that file systems take, in bytes.
const NAME_MAX: usize = 255;
/// Names of a local directory that are remembered while it is listed; beyond that, each is looked up.
const NAMES_MAX: usize = 10_000;
/// Copies that are tried as `name (1)`, `name (2)` … before the conflict is an error.
const COPIES_MAX: u32 = 10_000;

/// A directory that downloads land in.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    dir: OwnedFd,
    on_conflict: OnConflict,
}

/// A complete file under its final name.
#[derive(Debug, PartialEq, Eq)]
pub struct Landed {
    /// The name it got: the remote one, or `name (1).ext`.
    pub name: Vec<u8>,
    /// Whether an equal file (or any, with `skip`) was there, and the new one was dropped.
    pub present: bool,
}

impl Target {
    /// Opens `path`, making it and its parents where they are missing.
    pub fn open(path: &Path, on_conflict: OnConflict) -> Result<Self, Error> {
        let failed = |error: &io::Error| Error::Target {
            path: escape::display_path(path),
            reason: reason(error),
        };
        std::fs::create_dir_all(path).map_err(|error| failed(&error))?;
        let dir = disk::open_dir(path).map_err(|error| failed(&error))?;
        rustix::fs::accessat(
            &dir,
            c".",
            rustix::fs::Access::WRITE_OK,
            rustix::fs::AtFlags::EACCESS,
        )
        .map_err(|error| failed(&error.into()))?;
        Ok(Self {
            path: path.to_owned(),
            dir,
            on_conflict,
        })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its handle.
    pub fn handle(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The ids of this directory and all above it (see [`dir_id`]): a server that hosts one of them
    /// would be serving its own downloads.
    pub fn ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let Ok(mut dir) = self.dir.try_clone() else {
            return ids;
        };
        while let Some(id) = dir_id(dir.as_fd()) {
            if ids.last() == Some(&id) {
                break; // the root is its own parent
            }
            ids.push(id);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match rustix::fs::openat(&dir, c"..", flags, Mode::empty()) {
                Ok(parent) => dir = parent,
                Err(_) => break,
            }
        }
        ids
    }

    /// Opens the directory `path` below this one, making what is missing on the way.
    pub fn dir(&self, path: &RemotePath) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open =
            |path: &[u8]| open_beneath(self.dir.as_fd(), path, flags, Mode::empty(), Links::Refuse);
        let failed = |error: &io::Error| Error::disk(self.local(path, b""), error);
        match open(path.trimmed()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done.map_err(|error| failed(&error)),
        }
        let mut dir = open(b"").map_err(|error| failed(&error))?;
        let mut so_far = RemotePath::root();
        for name in path.names() {
            disk::make_dir(dir.as_fd(), name).map_err(|error| failed(&error))?;
            so_far
                .push(name)
                .map_err(|error| failed(&io::Error::other(error)))?;
            dir = open(so_far.trimmed()).map_err(|error| failed(&error))?;
            so_far.make_dir();
        }
        Ok(dir)
    }

    /// What the directory `path` below this one holds, as far as one can remember it. The directory is made where it
    /// is missing.
    pub fn names(&self, path: &RemotePath) -> Result<Names, Error> {
        let dir = self.dir(path)?;
        let failed = |error: Errno| Error::disk(self.local(path, b""), &error.into());
        let mut names = HashSet::new();
        for entry in Dir::read_from(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if names.len() == NAMES_MAX {
                return Ok(Names::Many(dir));
            }
            names.insert(name.to_vec());
        }
        Ok(Names::Few(names))
    }

    /// The local path of `name` in the directory `dir`, for messages and events.
    pub fn local(&self, dir: &RemotePath, name: &[u8]) -> PathBuf {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let mut path = self.path.clone();
        path.extend(
            dir.names()
                .chain([name])
                .filter(|name| !name.is_empty())
                .map(OsStr::from_bytes),
        );
        path
    }

    /// Names a complete nameless `file` of `dir` by the conflict rule. `content` is what it holds.
    pub fn land_nameless(
        &self,
        dir: BorrowedFd<'_>,
        file: &File,
        name: &[u8],
        content: &[u8],
    ) -> io::Result<Landed> {
        let same = |there: &File| equals(there, content);
        self.land(
            dir,
            name,
            &mut |name| disk::name_file(file, dir, name),
            &same,
            &|name| {
                // A nameless file cannot take another's place: it gets a name of its own first.
                let mut turn = 0;
                let between = loop {
                    let between = part_name(name, turn);
                    match disk::name_file(file, dir, &between) {
                        Ok(()) => break between,
                        Err(error)
                            if error.kind() == io::ErrorKind::AlreadyExists
                                && turn < COPIES_MAX =>
                        {
                            turn += 1;
                        }
                        Err(error) => return Err(error),
                    }
                };
                disk::rename_over(dir, &between, name)
            },
        )
    }

    /// Renames the complete part `from` of `dir` by the conflict rule; it is gone when an equal file was there.
    pub fn land_part(
        &self,
        dir: BorrowedFd<'_>,
        part: &File,
        from: &[u8],
        name: &[u8],
    ) -> io::Result<Landed> {
        let same = |there: &File| same_content(there, part);
        let rename = &mut |name: &[u8]| disk::rename_new(dir, from, name);
        let landed = self.land(dir, name, rename, &same, &|name| {
            disk::rename_over(dir, from, name)
        })?;
        if landed.present {
            disk::remove(dir, from)?;
        }
        Ok(landed)
    }

    /// The conflict rule: `give` gives the new file a free name, `same` compares it with the one in the way,
    /// `replace` puts it in that one's place.
    fn land(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        give: &mut dyn FnMut(&[u8]) -> io::Result<()>,
        same: &dyn Fn(&File) -> io::Result<bool>,
        replace: &dyn Fn(&[u8]) -> io::Result<()>,
    ) -> io::Result<Landed> {
        for copy in 0..COPIES_MAX {
            let candidate = copy_name(name, copy);
            match give(&candidate) {
                Ok(()) => {
                    return Ok(Landed {
                        name: candidate,
                        present: false,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            match self.on_conflict {
                OnConflict::Skip => {
                    return Ok(Landed {
                        name: candidate,
                        present: true,
                    });
                }
                // What ends like a part may be one, and on its way.
                OnConflict::Overwrite
                    if copy == 0 && !candidate.ends_with(PART) && is_file(dir, &candidate) =>
                {
                    replace(&candidate)?;
                    return Ok(Landed {
                        name: candidate,
                        present: false,
                    });
                }
                OnConflict::Verify => {
                    let there = disk::open_own(dir, &candidate, OFlags::RDONLY);
                    if let Ok(there) = there
                        && same(&there)?
                    {
                        return Ok(Landed {
                            name: candidate,
                            present: true,
                        });
                    }
                }
                OnConflict::Overwrite | OnConflict::Rename => {}
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// What is here where `name` of `dir` should land. One look at the disk.
    pub fn look(&self, dir: &RemotePath, name: &[u8]) -> Local {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = open_beneath(
            self.dir.as_fd(),
            dir.trimmed(),
            flags,
            Mode::empty(),
            Links::Refuse,
        );
        dir.map_or(Local::Nothing, |dir| Names::Many(dir).look(name))
    }

    /// Whether a file in the way may spare fetching.
    pub fn spares(&self) -> bool {
        matches!(self.on_conflict, OnConflict::Verify | OnConflict::Skip)
    }

    /// What the conflict rule makes of a local file before anything is fetched. Reads the file where a digest is
    /// known to hold it against. Blocking.
    pub fn already(&self, dir: &RemotePath, name: &[u8], remote: Remote) -> Result<Already, Error> {
        let failed = |error: &io::Error| Error::disk(self.local(dir, name), error);
        if !self.spares() {
            return Ok(Already::Fetch);
        }
        let handle = self.dir(dir)?;
        let Ok(file) = disk::open_own(handle.as_fd(), name, OFlags::RDONLY) else {
            return Ok(Already::Fetch);
        };
        if self.on_conflict == OnConflict::Skip {
            return Ok(Already::Here(Verified::Unverified));
        }
        let there = file.metadata().map_err(|error| failed(&error))?;
        if there.len() != remote.size {
            return Ok(Already::Fetch);
        }
        let equal = match remote.blake3 {
            Some(digest) => {
                let mut hasher = blake3::Hasher::new();
                io::copy(&mut &file, &mut hasher).map_err(|error| failed(&error))?;
                (hasher.finalize() == digest).then_some(Verified::Present)
            }
            None if remote.has_values => {
                return Ok(Already::Compare(Part {
                    claim: None,
                    file,
                    dir: handle,
                    name: name.to_vec(),
                    left: remote.size,
                    known: Vec::new(),
                }));
            }
            // Nothing to compare but what a quick check compares; it is reported as unverified.
            None => {
                let time = remote
                    .modified
                    .filter(|time| landed_with(there.modified().ok(), *time));
                time.map(|_| Verified::Unverified)
            }
        };
        Ok(equal.map_or(Already::Fetch, Already::Here))
    }
}

/// What a directory of the target held when its listing began.
#[derive(Debug)]
pub enum Names {
    /// These names.
    Few(HashSet<Vec<u8>>),
    /// So many that each is looked up when it is asked for.
    Many(OwnedFd),
}

impl Names {
    /// Whether a look takes no time.
    pub fn are_known(&self) -> bool {
        matches!(self, Self::Few(_))
    }

    /// What is here where `name` should land. One look at the disk, unless the names are known.
    pub fn look(&self, name: &[u8]) -> Local {
        let exists = |name: &[u8]| match self {
            Self::Few(names) => names.contains(name),
            Self::Many(dir) => {
                rustix::fs::statat(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
            }
        };
        match self {
            Self::Few(names) if names.is_empty() => Local::Nothing,
            _ if exists(name) => Local::File,
            _ if exists(&part_name(name, 0)) => Local::Part,
            _ => Local::Nothing,
        }
    }
}

/// What the conflict rule makes of what is here.
#[derive(Debug)]
pub enum Already {
    /// The file is to be fetched.
    Fetch,
    /// It is here; how that was found out.
    Here(Verified),
    /// A file of the same size is here: it is to be compared piece by piece.
    Compare(Part),
}

/// What is known of a remote file when a local one is in its way.
#[derive(Debug, Clone, Copy)]
pub struct Remote {
    /// Bytes.
    pub size: u64,
    /// `Last-Modified`.
    pub modified: Option<SystemTime>,
    /// Digest of the content.
    pub blake3: Option<blake3::Hash>,
    /// Whether the server tells the values of its pieces.
    pub has_values: bool,
}

/// The name of the part of `name`; `turn` tells several apart. Long names are shortened with a hash of the whole.
pub fn part_name(name: &[u8], turn: u32) -> Vec<u8> {
    let mut part = name.to_vec();
    let mut end = PART.to_vec();
    if turn > 0 {
        end = format!(".{turn}.part").into_bytes();
    }
    if part.len() + end.len() > NAME_MAX {
        let hash = blake3::hash(name).to_hex();
        part.truncate(NAME_MAX - 16 - 1 - end.len());
        part.push(b'~');
        part.extend_from_slice(&hash.as_bytes()[..16]);
    }
    part.extend(end);
    part
}

/// `name (1).ext`; copy 0 is the name itself. The stem of a long name is cut so that the result still fits.
fn copy_name(name: &[u8], copy: u32) -> Vec<u8> {
    if copy == 0 {
        return name.to_vec();
    }
    let dot = name
        .iter()
        .rposition(|b| *b == b'.')
        .filter(|at| *at > 0 && name.len() - at <= 16);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let mark = format!(" ({copy})");
    let mut room = stem.len().min(NAME_MAX - mark.len() - extension.len());
    // Never cut a UTF-8 sequence in two.
    while room > 0 && stem.get(room).is_some_and(|b| b & 0xc0 == 0x80) {
        room -= 1;
    }
    [&stem[..room], mark.as_bytes(), extension].concat()
}

fn is_file(dir: BorrowedFd<'_>, name: &[u8]) -> bool {
    rustix::fs::statat(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file())
}

fn equals(file: &File, content: &[u8]) -> io::Result<bool> {
    use std::io::Read;
    if file.metadata()?.len() != content.len() as u64 {
        return Ok(false);
    }
    let mut there = Vec::with_capacity(content.len());
    file.take(content.len() as u64 + 1)
        .read_to_end(&mut there)?;
    Ok(there == content)
}

fn same_content(a: &File, b: &File) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    const STEP: usize = 256 * 1024;
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; STEP], vec![0; STEP]);
    let mut at = 0;
    loop {
        let n = a.read_at(&mut left, at)?;
        if n == 0 {
            return Ok(true);
        }
        match b.read_exact_at(&mut right[..n], at) {
            Ok(()) if left[..n] == right[..n] => at += n as u64,
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// Whether a local file has the very time that landing gives: HTTP dates have whole seconds, and a file that was
/// written by something else hardly ever has.
fn landed_with(local: Option<SystemTime>, remote: SystemTime) -> bool {
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
    local.and_then(since) == since(remote)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn target(on_conflict: OnConflict) -> (tempfile::TempDir, Target) {
        let temp = tempfile::tempdir().unwrap();
        let target = Target::open(temp.path(), on_conflict).unwrap();
        (temp, target)
    }

    fn path(text: &str) -> RemotePath {
        RemotePath::from_target(text.as_bytes()).unwrap()
    }

    fn land(target: &Target, content: &[u8]) -> Landed {
        let mut part = disk::new_file(target.handle(), b"x.part").unwrap();
        part.write_all(content).unwrap();
        target
            .land_part(target.handle(), &part, b"x.part", b"x.txt")
            .unwrap()
    }

    #[test]
    fn the_conflict_rule() {
        for (rule, content, name, present) in [
            (OnConflict::Verify, "old", "x.txt", true),
            (OnConflict::Verify, "new", "x (1).txt", false),
            (OnConflict::Rename, "old", "x (1).txt", false),
            (OnConflict::Skip, "new", "x.txt", true),
            (OnConflict::Overwrite, "new", "x.txt", false),
        ] {
            let (temp, target) = target(rule);
            std::fs::write(temp.path().join("x.txt"), "old").unwrap();
            let landed = land(&target, content.as_bytes());
            assert_eq!(
                landed,
                Landed {
                    name: name.into(),
                    present
                },
                "{rule:?} {content}"
            );
            assert!(!temp.path().join("x.part").exists());
            let there = std::fs::read_to_string(temp.path().join(name)).unwrap();
            assert_eq!(
                there,
                if rule == OnConflict::Skip {
                    "old"
                } else {
                    content
                }
            );
        }
    }

    #[test]
    fn a_nameless_file_lands_by_the_same_rule() {
        let (temp, target) = target(OnConflict::Overwrite);
        std::fs::write(temp.path().join("x"), "old").unwrap();
        if let Some(mut file) = disk::nameless_file(target.handle()).unwrap() {
            file.write_all(b"new").unwrap();
            target
                .land_nameless(target.handle(), &file, b"x", b"new")
                .unwrap();
            assert_eq!(std::fs::read(temp.path().join("x")).unwrap(), b"new");
            assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_part_in_the_way_is_neither_replaced_nor_an_obstacle() {
        let (temp, target) = target(OnConflict::Overwrite);
        for name in ["x", "x.part"] {
            std::fs::write(temp.path().join(name), "old").unwrap();
        }
        if let Some(mut file) = disk::nameless_file(target.handle()).unwrap() {
            file.write_all(b"new").unwrap();
            let land = |name: &[u8]| {
                let landed = target.land_nameless(target.handle(), &file, name, b"new");
                landed.unwrap().name
            };
            assert_eq!(land(b"x"), b"x");
            assert_eq!(land(b"x.part"), b"x (1).part");
            let part = std::fs::read(temp.path().join("x.part")).unwrap();
            assert_eq!(part, b"old");
        }
    }

    #[test]
    fn a_directory_in_the_way_is_never_replaced() {
        let (temp, target) = target(OnConflict::Overwrite);
        std::fs::create_dir(temp.path().join("x.txt")).unwrap();
        assert_eq!(land(&target, b"new").name, b"x (1).txt");
    }

    #[test]
    fn directories_are_made_beneath_the_target_and_links_are_not_followed() {
        let (temp, target) = target(OnConflict::Verify);
        target.dir(&path("/a/b c/d/")).unwrap();
        assert!(temp.path().join("a/b c/d").is_dir());
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), temp.path().join("link")).unwrap();
        assert!(matches!(
            target.dir(&path("/link/")),
            Err(Error::Disk { .. })
        ));
        assert!(matches!(
            target.dir(&path("/link/deeper/")),
            Err(Error::Disk { .. })
        ));
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_of_parts_and_copies_fit() {
        assert_eq!(part_name(b"a.iso", 0), b"a.iso.part");
        assert_eq!(part_name(b"a.iso", 2), b"a.iso.2.part");
        let long = [b'a'; 255];
        assert!(part_name(&long, 0).len() <= 255);
        assert_ne!(part_name(&long, 0), part_name(&[b'a'; 254], 0));
        assert_eq!(copy_name(b"a.tar.gz", 1), b"a.tar (1).gz");
        assert_eq!(copy_name(b".bashrc", 2), b".bashrc (2)");
        let umlauts = "ü".repeat(127);
        let copy = copy_name(umlauts.as_bytes(), 10);
        assert!(copy.len() <= 255 && std::str::from_utf8(&copy).is_ok());
    }

    #[test]
    fn a_missing_parent_is_made_and_a_file_is_no_target() {
        let temp = tempfile::tempdir().unwrap();
        Target::open(&temp.path().join("a/b"), OnConflict::Verify).unwrap();
        std::fs::write(temp.path().join("file"), "").unwrap();
        assert!(matches!(
            Target::open(&temp.path().join("file"), OnConflict::Verify),
            Err(Error::Target { .. })
        ));
    }

    #[test]
    fn an_equal_file_is_found_before_anything_is_fetched() {
        let (temp, target) = target(OnConflict::Verify);
        std::fs::write(temp.path().join("x"), "same").unwrap();
        let remote = |size, digest: Option<&str>, has_values| Remote {
            size,
            modified: None,
            blake3: digest.map(|content| blake3::hash(content.as_bytes())),
            has_values,
        };
        let already = |remote| target.already(&RemotePath::root(), b"x", remote).unwrap();
        assert!(matches!(
            already(remote(4, Some("same"), false)),
            Already::Here(Verified::Present)
        ));
        assert!(matches!(
            already(remote(4, Some("else"), false)),
            Already::Fetch
        ));
        assert!(matches!(
            already(remote(5, Some("same"), true)),
            Already::Fetch
        ));
        assert!(matches!(already(remote(4, None, false)), Already::Fetch));
        assert!(matches!(
            already(remote(4, None, true)),
            Already::Compare(_)
        ));
        assert_eq!(target.look(&RemotePath::root(), b"x"), Local::File);
        assert_eq!(target.look(&RemotePath::root(), b"y"), Local::Nothing);
    }
}
