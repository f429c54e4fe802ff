//! What is here already of a file, under its name or that of a copy: one that need not be fetched, or that gives what is equal.

use std::{
    fs::{File, Metadata},
    io,
    os::fd::{AsFd as _, BorrowedFd},
    time::{Duration, SystemTime},
};

use rustix::fs::{AtFlags, FileType, OFlags, statat};

use super::{
    likeness::{Likeness, likeness},
    names::{COPIES_MAX, PART, copied_name, copy_name, may_be_cut_copy},
    part::Part,
    target::Target,
};
use crate::{
    client::{Error, Verified, proof::Proof},
    config::OnConflict,
    digest::Digest,
    entry::Entry,
    http1::path::RemotePath,
    piece_digests::PieceDigests,
    sums::METALINK_WEAK,
    sys::disk,
};

/// What the conflict rule makes of what is here.
#[derive(Debug)]
pub enum Already {
    /// The file is to be fetched.
    Fetch,
    /// It is here, under this name.
    Here(Vec<u8>, Proof),
    /// A file of the same size is here: it is to be compared piece by piece.
    Compare(Part),
}

/// What is known of a remote file when a local one is in its way.
#[derive(Debug, Clone, Copy)]
pub struct Remote {
    /// Bytes.
    pub size: u64,
    /// Its date, as fine as it is told.
    pub modified: Option<SystemTime>,
    /// Digest of the content.
    pub blake3: Option<blake3::Hash>,
    /// Whether the server tells the values of its pieces.
    pub has_values: bool,
}

/// What was told of a file apart from its server's word, which replaces none of it but the weak digest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told<'a> {
    /// The digest that was given for it.
    pub checksum: Option<&'a Digest>,
    /// Those of its pieces.
    pub pieces: Option<&'a PieceDigests>,
    /// A Metalink's weak digest: it counts where nothing else is known.
    pub weak: Option<&'a Digest>,
}

impl Target {
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

    /// Whether a new file takes the place of what has this name in `dir`.
    pub fn replaces(&self, dir: BorrowedFd<'_>, name: &[u8]) -> bool {
        let replaces = matches!(self.on_conflict, OnConflict::Overwrite | OnConflict::Update);
        // What ends like a part may be one, and on its way.
        replaces && !name.ends_with(PART) && is_file(dir, name)
    }

    /// Whether `name` of `dir` is a copy beside a file that has one of the names that `is_told`, and keeps it: it may be what the server
    /// has.
    pub fn is_copy_of(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        is_told: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let copied = copied_name(name).is_some_and(|of| {
            is_told(&of) && disk::exists(dir, &of).unwrap_or(true) && !self.replaces(dir, &of)
        });
        copied || may_be_cut_copy(name)
    }

    /// The names in use under which a file may be here that lands as `name`: that one, and where what has it is not replaced, those of
    /// copies beside it.
    fn names_of(&self, dir: BorrowedFd<'_>, name: &[u8]) -> Vec<Vec<u8>> {
        let copies = if self.replaces(dir, name) {
            1
        } else {
            COPIES_MAX
        };
        let names = (0..copies).map(|copy| copy_name(name, copy));
        names
            .take_while(|name| disk::exists(dir, name).unwrap_or(false))
            .collect()
    }

    /// The file that stands where `name` of `dir` is to land, where what is equal in it is kept; a copy beside it that has
    /// `size` bytes, as an earlier run may have left it, gives more.
    pub fn old(&self, dir: BorrowedFd<'_>, name: &[u8], size: u64) -> Option<File> {
        if !matches!(self.on_conflict, OnConflict::Verify | OnConflict::Update) {
            return None;
        }
        let mut old = None;
        for there in self.names_of(dir, name) {
            // It may be a part, and on its way.
            if there == name && name.ends_with(PART) {
                continue;
            }
            // It is only read: other names of it are no harm.
            let Ok(file) = disk::open_file(dir, &there, OFlags::RDONLY) else {
                continue;
            };
            let fits = file.metadata().is_ok_and(|about| about.len() == size);
            if fits || old.is_none() {
                old = Some(file);
            }
        }
        old
    }

    /// What the conflict rule makes of a local file before anything is fetched. Reads the file where a digest is
    /// known to hold it against. Blocking.
    pub fn already(
        &self,
        dir: &RemotePath,
        name: &[u8],
        remote: Remote,
        told: Told<'_>,
    ) -> Result<Already, Error> {
        if !self.spares() {
            return Ok(Already::Fetch);
        }
        let handle = self.dir(dir)?;
        let at = handle.as_fd();
        if self.skips() {
            // Whatever has the name: nobody looks into it.
            let is_here = disk::exists(at, name).unwrap_or(false);
            let here = is_here.then(|| here(name, Verified::Unread));
            return Ok(here.unwrap_or(Already::Fetch));
        }
        let is_told = told.checksum.is_some() || told.pieces.is_some() || remote.blake3.is_some();
        for name in self.names_of(at, name) {
            let failed = |error: &io::Error| Error::disk(self.local(dir, &name), error);
            // It is only read: other names of it are no harm.
            let Ok(file) = disk::open_file(at, &name, OFlags::RDONLY) else {
                continue;
            };
            let there = file.metadata().map_err(|error| failed(&error))?;
            if there.len() != remote.size {
                continue;
            }
            if remote.has_values && !is_told {
                return Ok(Already::Compare(Part {
                    claim: None,
                    file,
                    dir: handle,
                    name,
                    old: None,
                    left: remote.size,
                    known: Vec::new(),
                }));
            }
            let held = held(&file, &there, remote, told);
            if let Some(how) = held.map_err(|error| failed(&error))? {
                if how != Verified::Unread {
                    self.give_date(&file, remote.modified);
                }
                return Ok(here(&name, how));
            }
        }
        Ok(Already::Fetch)
    }

    /// How what is here stands to `entry`, which names a file of `dir`, see [`likeness`]: the one of that name, or where it is not
    /// replaced, a copy beside it that counts as the same, or may be. Blocking.
    pub fn stands(&self, dir: BorrowedFd<'_>, entry: &Entry) -> Likeness {
        let mut stands = likeness(dir, entry);
        if self.skips() || matches!(stands, Likeness::Missing | Likeness::Same(_)) {
            return stands;
        }
        for name in self.names_of(dir, &entry.name).into_iter().skip(1) {
            let copy = Entry {
                name,
                ..entry.clone()
            };
            match likeness(dir, &copy) {
                same @ Likeness::Same(_) => return same,
                Likeness::Open => stands = Likeness::Open,
                _ => {}
            }
        }
        stands
    }
}

fn here(name: &[u8], how: Verified) -> Already {
    Already::Here(name.to_vec(), Proof::of_local(how))
}

/// How a local file of the right size counts as the remote one; `None` where it does not.
fn held(
    file: &File,
    there: &Metadata,
    remote: Remote,
    told: Told<'_>,
) -> io::Result<Option<Verified>> {
    if told.checksum.is_none()
        && let Some(told) = told.pieces
    {
        let is_right = told.size() == remote.size && told.wrong(file)?.is_empty();
        return Ok(is_right.then_some(Verified::Present));
    }
    let server = remote.blake3.map(Digest::Blake3);
    match (told.checksum.or(server.as_ref()), told.weak) {
        (Some(digest), _) => Ok(digest.matches_file(file)?.then_some(Verified::Present)),
        // Another file may have it too: that is no equal one, and no more than the Metalink's word.
        (None, Some(weak)) => {
            let how = Verified::Listed(METALINK_WEAK);
            Ok(weak.matches_file(file)?.then_some(how))
        }
        // Nothing to compare but what a quick check compares; it is reported as unread.
        (None, None) => Ok(remote
            .modified
            .filter(|time| landed_with(there.modified().ok(), *time))
            .map(|_| Verified::Unread)),
    }
}

fn is_file(dir: BorrowedFd<'_>, name: &[u8]) -> bool {
    statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file())
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
}
