//! What parts and copies are called, and which names a directory holds already.

use std::{collections::HashSet, os::fd::OwnedFd};

/// What a file is called until it is complete.
pub(super) const PART: &[u8] = b".part";
/// The longest name that file systems take, in bytes.
const NAME_MAX: usize = 255;
/// Digits of the hash in a shortened name.
const HASH: usize = 16;
/// Copies that are tried as `name (1)`, `name (2)` …, and backups, before the conflict is an error.
pub(super) const COPIES_MAX: u32 = 10_000;

/// What a look into the target directory found where a file should land.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Local {
    /// Nothing.
    #[default]
    Nothing,
    /// Nobody has looked yet.
    Unknown,
    /// Something that may be its part.
    Part,
    /// A file of that name.
    File,
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

/// Whether a name ends like that of a part or a backup.
pub fn may_be_ours(name: &[u8]) -> bool {
    let is_backup = |name: &[u8]| {
        let end = name.iter().rposition(|byte| !byte.is_ascii_digit());
        end.is_some_and(|at| name[at] == b'~')
    };
    name.ends_with(PART) || is_backup(name)
}

/// The name of the part of `name`; `turn` tells several apart. Long names are shortened with a hash of the whole.
pub fn part_name(name: &[u8], turn: u32) -> Vec<u8> {
    match turn {
        0 => with_end(name, PART),
        turn => with_end(name, format!(".{turn}.part").as_bytes()),
    }
}

/// `name~`, `name~2`, `name~3` …: what files are kept as that `name` was before. Long names are shortened with a hash of the whole.
pub(super) fn backup_name(name: &[u8], number: u32) -> Vec<u8> {
    match number {
        1 => with_end(name, b"~"),
        number => with_end(name, format!("~{number}").as_bytes()),
    }
}

/// Whether `backup` is called like what a file of a name that `is_told` was before, or may be: of a shortened one that cannot be told.
pub fn is_backup_of(backup: &[u8], is_told: impl Fn(&[u8]) -> bool) -> bool {
    let mut name = backup;
    while let Some(end) = name.iter().rposition(|byte| !byte.is_ascii_digit())
        && name[end] == b'~'
    {
        name = &name[..end];
        let is_cut = backup.len() == NAME_MAX && has_hash(name);
        if is_cut || is_told(name) {
            return true;
        }
    }
    false
}

/// A name and what its end says of it. Long names are shortened with a hash of the whole.
fn with_end(name: &[u8], end: &[u8]) -> Vec<u8> {
    if name.len() + end.len() <= NAME_MAX {
        return [name, end].concat();
    }
    let hash = blake3::hash(name).to_hex();
    let stem = &name[..NAME_MAX - HASH - 1 - end.len()];
    [stem, b"~", &hash.as_bytes()[..HASH], end].concat()
}

/// Whether a name ends with the hash of a longer one.
fn has_hash(name: &[u8]) -> bool {
    let at = name.len().checked_sub(HASH + 1);
    let end = at.map_or(&[][..], |at| &name[at..]);
    matches!(end, [b'~', hash @ ..] if hash.iter().all(u8::is_ascii_hexdigit))
}

/// Whether a name may be that of a copy of a longer one, whose own name was cut for it: see [`copy_name`].
pub fn may_be_cut_copy(copy: &[u8]) -> bool {
    // A UTF-8 sequence is cut off whole.
    copy.len() + 3 >= NAME_MAX && copy.windows(2).any(|two| two == b" (")
}

/// The name that `copy` is one of: see [`copy_name`]. `None` where it is called otherwise, or the name was cut.
pub fn copied_name(copy: &[u8]) -> Option<Vec<u8>> {
    let mark = copy.windows(2).rposition(|two| two == b" (")?;
    let (stem, rest) = copy.split_at(mark);
    let close = rest.iter().position(|byte| *byte == b')')?;
    let number = std::str::from_utf8(&rest[2..close]).ok()?.parse().ok()?;
    let name = [stem, &rest[close + 1..]].concat();
    (number > 0 && copy_name(&name, number) == copy).then_some(name)
}

/// `name (1).ext`; copy 0 is the name itself. The stem of a long name is cut so that the result still fits.
pub(super) fn copy_name(name: &[u8], copy: u32) -> Vec<u8> {
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
