//! The conflict rule: what becomes of a file that lands where one is already.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::SystemTime,
};

use rustix::fs::OFlags;

use super::{
    landed::{Holds, Landed},
    names::{COPIES_MAX, backup_name, copy_name, part_name},
    target::Target,
};
use crate::{config::OnConflict, sys::disk};

impl Target {
    /// Names a complete file of `dir` by the conflict rule: a nameless one, or one that is called as its part. `content` is what
    /// it holds, `date` what the server told.
    pub fn land_content(
        &self,
        dir: BorrowedFd<'_>,
        (file, part): (&File, Option<&[u8]>),
        name: &[u8],
        content: &[u8],
        date: Option<SystemTime>,
    ) -> io::Result<Landed> {
        match part {
            None => self.land_nameless(dir, file, name, content, date),
            Some(part) => self.land_part(dir, file, part, name, date),
        }
    }

    /// Names a complete nameless `file` of `dir` by the conflict rule. `content` is what it holds, `date` what the server told.
    pub fn land_nameless(
        &self,
        dir: BorrowedFd<'_>,
        file: &File,
        name: &[u8],
        content: &[u8],
        date: Option<SystemTime>,
    ) -> io::Result<Landed> {
        let same = |there: &File| equals(there, content);
        self.land(
            (dir, date),
            name,
            &mut |name| disk::name_file(file, dir, name),
            &same,
            &|name| {
                if self.updates() {
                    disk::take_mode(dir, name, file)?;
                }
                // A nameless file cannot take another's place: it gets a name of its own first.
                let between = self.name_beside(file, dir, name)?;
                disk::rename_over(dir, &between, name)
            },
        )
    }

    /// Writes a file of this content to `name` of `dir`, by the conflict rule; one that is there and holds the same will do.
    pub fn put(&self, dir: &OwnedFd, name: &[u8], content: &[u8]) -> io::Result<Landed> {
        let handle = dir.as_fd();
        if let Ok(there) = disk::open_file(handle, name, OFlags::RDONLY)
            && equals(&there, content)?
        {
            return Ok(Landed {
                name: name.to_vec(),
                holds: Holds::Equal,
            });
        }
        let (mut file, part) = self.new_file(dir, name)?;
        let put = file.write_all(content).and_then(|()| {
            file.sync_data()?;
            self.land_content(handle, (&file, part.as_deref()), name, content, None)
        });
        if let (Err(_), Some(part)) = (&put, part) {
            // The failure that is reported is the first one.
            let _ = disk::remove(handle, &part);
        }
        put
    }

    /// Whether a local file that differs is brought up to date.
    pub fn updates(&self) -> bool {
        self.on_conflict == OnConflict::Update
    }

    /// Renames the complete part `from` of `dir` by the conflict rule; it is gone when an equal file was there. `date` is what the
    /// server told.
    pub fn land_part(
        &self,
        dir: BorrowedFd<'_>,
        part: &File,
        from: &[u8],
        name: &[u8],
        date: Option<SystemTime>,
    ) -> io::Result<Landed> {
        let same = |there: &File| same_content(there, part);
        let rename = &mut |name: &[u8]| disk::rename_new(dir, from, name);
        let landed = self.land((dir, date), name, rename, &same, &|name| {
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

    /// The conflict rule for a new file of this `date`: `give` gives it a free name, `same` compares it with the one in the way,
    /// `replace` puts it in that one's place.
    fn land(
        &self,
        (dir, date): (BorrowedFd<'_>, Option<SystemTime>),
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
                OnConflict::Rename => continue,
                OnConflict::Verify | OnConflict::Update | OnConflict::Overwrite => {}
            }
            let replaces = copy == 0 && self.replaces(dir, &candidate);
            // It is only read: other names of it are no harm.
            if let Ok(there) = disk::open_file(dir, &candidate, OFlags::RDONLY)
                && same(&there).or_else(|error| if replaces { Ok(false) } else { Err(error) })?
            {
                self.give_date(&there, date);
                return Ok(Landed {
                    name: candidate,
                    holds: Holds::Equal,
                });
            }
            if replaces {
                if self.backup {
                    self.back_up(dir, &candidate)?;
                }
                replace(&candidate)?;
                return Ok(Landed {
                    name: candidate,
                    holds: Holds::New,
                });
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Gives a file that is equal to the server's the date that this one told, by which later runs know it; where the rule replaces
    /// nothing, it keeps its own. So does another user's, which is only read again then.
    pub fn give_date(&self, there: &File, date: Option<SystemTime>) {
        let rules = matches!(self.on_conflict, OnConflict::Overwrite | OnConflict::Update);
        let has = || there.metadata().and_then(|about| about.modified()).ok();
        if let Some(date) = date.filter(|date| rules && has() != Some(*date)) {
            let _ = disk::set_modified(there, date);
        }
    }

    /// Gives a file that is replaced the first name of a backup that is free: what is there may be the server's, or the only one of
    /// its content.
    fn back_up(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        let backups = (1..=COPIES_MAX).map(|number| backup_name(name, number));
        for backup in backups.filter(|backup| !self.is_reserved(dir, backup)) {
            match disk::name_also(dir, name, &backup) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                named => return named,
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Gives a nameless file a name that a part of `name` may have, and tells which.
    fn name_beside(&self, file: &File, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Vec<u8>> {
        let parts = (0..COPIES_MAX).map(|turn| part_name(name, turn));
        for between in parts.filter(|part| !self.is_reserved(dir, part)) {
            match disk::name_file(file, dir, &between) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                named => return named.map(|()| between),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
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
    fn what_keeps_a_file_from_its_name_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let target = Target::open(temp.path(), OnConflict::Update).unwrap();
        let dir = File::open(temp.path()).unwrap();
        let Some(file) = disk::nameless_file(dir.as_fd()).unwrap() else {
            return;
        };
        drop(temp);
        for error in [
            target.name_beside(&file, dir.as_fd(), b"x").unwrap_err(),
            target.back_up(dir.as_fd(), b"x").unwrap_err(),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    }
}
