//! The conflict rule: what becomes of a file that lands where one is already, and of one that need not be fetched.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, SystemTime},
};

use rustix::fs::OFlags;

use super::{
    landed::{Holds, Landed},
    names::{PART, copy_name, part_name},
    part::{Part, new_file},
    target::Target,
};
use crate::{
    client::{Error, Verified, proof::Proof},
    config::OnConflict,
    digest::Digest,
    http1::path::RemotePath,
    piece_digests::PieceDigests,
    sys::disk,
};

/// Copies that are tried as `name (1)`, `name (2)` … before the conflict is an error.
const COPIES_MAX: u32 = 10_000;

/// What the conflict rule makes of what is here.
#[derive(Debug)]
pub enum Already {
    /// The file is to be fetched.
    Fetch,
    /// It is here.
    Here(Proof),
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

impl Target {
    /// Names a complete file of `dir` by the conflict rule: a nameless one, or one that is called as its part. `content` is what
    /// it holds.
    pub fn land_content(
        &self,
        dir: BorrowedFd<'_>,
        (file, part): (&File, Option<&[u8]>),
        name: &[u8],
        content: &[u8],
    ) -> io::Result<Landed> {
        match part {
            None => self.land_nameless(dir, file, name, content),
            Some(part) => self.land_part(dir, file, part, name),
        }
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
                if self.updates() {
                    disk::take_mode(dir, name, file)?;
                }
                // A nameless file cannot take another's place: it gets a name of its own first.
                let between = name_beside(file, dir, name)?;
                disk::rename_over(dir, &between, name)
            },
        )
    }

    /// Writes a file of this content to `name` of `dir`, by the conflict rule; one that is there and holds the same will do.
    pub fn put(&self, dir: &OwnedFd, name: &[u8], content: &[u8]) -> io::Result<Landed> {
        let handle = dir.as_fd();
        if let Ok(there) = disk::open_own(handle, name, OFlags::RDONLY)
            && equals(&there, content)?
        {
            return Ok(Landed {
                name: name.to_vec(),
                holds: Holds::Equal,
            });
        }
        let (mut file, part) = new_file(dir, name)?;
        let put = file.write_all(content).and_then(|()| {
            file.sync_data()?;
            self.land_content(handle, (&file, part.as_deref()), name, content)
        });
        if let (Err(_), Some(part)) = (&put, part) {
            // The failure that is reported is the first one.
            let _ = disk::remove(handle, &part);
        }
        put
    }

    /// The file that stands where `name` of `dir` is to land, where what is equal in it is kept.
    pub fn old(&self, dir: BorrowedFd<'_>, name: &[u8]) -> Option<File> {
        let keeps = matches!(self.on_conflict, OnConflict::Verify | OnConflict::Update);
        let keeps = keeps && !name.ends_with(PART);
        // It is only read: other names of it are no harm.
        keeps
            .then(|| disk::open_file(dir, name, OFlags::RDONLY).ok())
            .flatten()
    }

    /// Whether a local file that differs is brought up to date.
    pub fn updates(&self) -> bool {
        self.on_conflict == OnConflict::Update
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
            if self.updates() {
                // It is the same file to whoever may read it.
                disk::take_mode(dir, name, part)?;
            }
            disk::rename_over(dir, from, name)
        })?;
        if landed.holds != Holds::New {
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
                        holds: Holds::New,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            match self.on_conflict {
                OnConflict::Skip => {
                    return Ok(Landed {
                        name: candidate,
                        holds: Holds::Other,
                    });
                }
                // What ends like a part may be one, and on its way.
                OnConflict::Overwrite | OnConflict::Update
                    if copy == 0 && !candidate.ends_with(PART) && is_file(dir, &candidate) =>
                {
                    if self.backup {
                        disk::name_also(dir, &candidate, &[&candidate, &b"~"[..]].concat())?;
                    }
                    replace(&candidate)?;
                    return Ok(Landed {
                        name: candidate,
                        holds: Holds::New,
                    });
                }
                OnConflict::Verify => {
                    let there = disk::open_own(dir, &candidate, OFlags::RDONLY);
                    if let Ok(there) = there
                        && same(&there)?
                    {
                        return Ok(Landed {
                            name: candidate,
                            holds: Holds::Equal,
                        });
                    }
                }
                OnConflict::Overwrite | OnConflict::Update | OnConflict::Rename => {}
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Whether a file in the way may spare fetching.
    pub fn spares(&self) -> bool {
        matches!(
            self.on_conflict,
            OnConflict::Verify | OnConflict::Skip | OnConflict::Update
        )
    }

    /// Whether a file in the way is never looked at.
    pub fn skips(&self) -> bool {
        self.on_conflict == OnConflict::Skip
    }

    /// What the conflict rule makes of a local file before anything is fetched. Reads the file where a digest is
    /// known to hold it against; `checksum` is the one that was given for it, `pieces` are those of its pieces: no word of the
    /// server's replaces them.
    /// Blocking.
    pub fn already(
        &self,
        dir: &RemotePath,
        name: &[u8],
        remote: Remote,
        checksum: Option<&Digest>,
        pieces: Option<&PieceDigests>,
    ) -> Result<Already, Error> {
        let failed = |error: &io::Error| Error::disk(self.local(dir, name), error);
        if !self.spares() {
            return Ok(Already::Fetch);
        }
        let handle = self.dir(dir)?;
        let Ok(file) = disk::open_own(handle.as_fd(), name, OFlags::RDONLY) else {
            return Ok(Already::Fetch);
        };
        if self.skips() {
            return Ok(Already::Here(Proof::of_local(Verified::Unread)));
        }
        let there = file.metadata().map_err(|error| failed(&error))?;
        if there.len() != remote.size {
            return Ok(Already::Fetch);
        }
        let told = remote.blake3.map(Digest::Blake3);
        if checksum.is_none()
            && let Some(told) = pieces
        {
            let wrong = told.wrong(&file).map_err(|error| failed(&error))?;
            let is_right = told.size() == remote.size && wrong.is_empty();
            let here = is_right.then(|| Already::Here(Proof::of_local(Verified::Present)));
            return Ok(here.unwrap_or(Already::Fetch));
        }
        let equal = match checksum.or(told.as_ref()) {
            Some(digest) => {
                let matches = digest.matches_file(&file);
                let matches = matches.map_err(|error| failed(&error))?;
                matches.then_some(Verified::Present)
            }
            None if remote.has_values => {
                return Ok(Already::Compare(Part {
                    claim: None,
                    file,
                    dir: handle,
                    name: name.to_vec(),
                    old: None,
                    left: remote.size,
                    known: Vec::new(),
                }));
            }
            // Nothing to compare but what a quick check compares; it is reported as unread.
            None => {
                let time = remote
                    .modified
                    .filter(|time| landed_with(there.modified().ok(), *time));
                time.map(|_| Verified::Unread)
            }
        };
        Ok(equal.map_or(Already::Fetch, |how| Already::Here(Proof::of_local(how))))
    }
}

/// Gives a nameless file a name that a part of `name` may have, and tells which.
fn name_beside(file: &File, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Vec<u8>> {
    for turn in 0..COPIES_MAX {
        let between = part_name(name, turn);
        match disk::name_file(file, dir, &between) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            named => return named.map(|()| between),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn is_file(dir: BorrowedFd<'_>, name: &[u8]) -> bool {
    rustix::fs::statat(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file())
}

fn equals(file: &File, content: &[u8]) -> io::Result<bool> {
    use std::io::Read;
    // One byte more than there may be.
    let most = content.len() as u64 + 1;
    let mut there = Vec::with_capacity(most as usize);
    file.take(most).read_to_end(&mut there)?;
    Ok(there == content)
}

fn same_content(a: &File, b: &File) -> io::Result<bool> {
    Ok(a.metadata()?.len() == b.metadata()?.len() && begins_with(b, a)?)
}

/// Whether the first bytes of `file` are all those of `beginning`.
fn begins_with(file: &File, beginning: &File) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    const STEP: usize = 256 * 1024;
    let (mut here, mut there) = (vec![0; STEP], vec![0; STEP]);
    let mut at = 0;
    loop {
        let n = beginning.read_at(&mut here, at)?;
        if n == 0 {
            return Ok(true);
        }
        match file.read_exact_at(&mut there[..n], at) {
            Ok(()) if here[..n] == there[..n] => at += n as u64,
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// Whether a local file has the very time that landing gives: that of the listing, or whole seconds as HTTP dates have them,
/// which a file that was written by something else hardly ever has.
fn landed_with(local: Option<SystemTime>, remote: SystemTime) -> bool {
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
    let (Some(local), Some(remote)) = (local.and_then(since), since(remote)) else {
        return false;
    };
    local == remote || local == Duration::from_secs(remote.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file in memory.
    fn holding(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn files_are_compared_to_their_last_byte() {
        use std::io::Seek as _;
        let is_content = |there: &[u8], content: &[u8]| {
            let mut file = holding(there);
            file.rewind().unwrap();
            equals(&file, content).unwrap()
        };
        assert!(is_content(b"", b""));
        assert!(is_content(b"abc", b"abc"));
        for other in ["", "ab", "abd", "abcd", "abcde"] {
            assert!(!is_content(other.as_bytes(), b"abc"), "{other}");
        }
        // Over what is compared at a time.
        let long = vec![1; 600_000];
        let mut differs = long.clone();
        differs[599_999] = 2;
        for (a, b, same, begins) in [
            (&long[..], &long[..], true, true),
            (&long, &differs, false, false),
            (&long[..599_999], &long, false, true),
            (&long, &long[..599_999], false, false),
            (&[], &[], true, true),
        ] {
            let (a, b) = (holding(a), holding(b));
            assert_eq!(same_content(&a, &b).unwrap(), same);
            assert_eq!(begins_with(&b, &a).unwrap(), begins);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_answer() {
        let (temp, file) = (tempfile::tempdir().unwrap(), holding(b"abc"));
        let write_only = File::create(temp.path().join("x")).unwrap();
        assert!(begins_with(&write_only, &file).is_err());
        assert!(begins_with(&file, &write_only).is_err());
    }

    #[test]
    fn a_landed_file_is_known_by_its_time() {
        let epoch = SystemTime::UNIX_EPOCH;
        let at = |millis| epoch + Duration::from_millis(millis);
        assert!(landed_with(Some(at(1500)), at(1500)));
        assert!(landed_with(Some(at(1000)), at(1500)));
        assert!(!landed_with(Some(at(1499)), at(1500)));
        assert!(!landed_with(Some(at(2000)), at(1500)));
        assert!(!landed_with(None, at(1500)));
        // Of times before 1970 nothing is known.
        assert!(!landed_with(None, epoch - Duration::from_secs(9)));
    }

    #[test]
    fn what_keeps_a_file_from_its_name_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let dir = File::open(temp.path()).unwrap();
        let Some(file) = disk::nameless_file(dir.as_fd()).unwrap() else {
            return;
        };
        drop(temp);
        let error = name_beside(&file, dir.as_fd(), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
