//! What a directory holds, as visitors see it: read name by name, sorted while that is affordable.

use std::{cell::OnceCell, io, os::fd::OwnedFd, sync::Arc};

use rustix::fs::{AtFlags, Dir, FileType, statat};

use crate::{
    entry::Entry,
    exit::reason,
    http1::path::RemotePath,
    server::{
        tree::{
            catalog::{Catalog, is_not_found},
            stamp::Stamp,
        },
        work::budget::{Budget, Held},
    },
};

/// Entries up to which a directory is sorted; beyond it, directory order is kept.
const MAX_SORTED: usize = 100_000;
/// Bytes that sorted names take over all requests; beyond it, too, directory order is kept.
pub const SORTED_BYTES: usize = 64 << 20;
/// What a name costs beside its own bytes: its place in the list and the allocator's part.
const NAME_COST: usize = 48;

/// An entry, and what only its server knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What the client sees.
    pub entry: Entry,
    /// What the name leads to.
    pub stamp: Stamp,
    /// Whether the name is a symbolic link.
    pub is_symlink: bool,
    /// Why it could not be looked at, though it is there: no size, date or stamp is known then.
    pub unread: Option<String>,
}

impl Listed {
    /// An entry that is there and tells nothing.
    fn unread(name: &[u8], is_dir: bool, error: &io::Error) -> Self {
        Self {
            entry: Entry {
                name: name.to_vec(),
                is_dir,
                size: None,
                modified: None,
                blake3: None,
            },
            stamp: Stamp::default(),
            is_symlink: false,
            unread: Some(reason(error)),
        }
    }
}

/// An open directory and its place below the root.
struct Place {
    catalog: Arc<Catalog>,
    path: RemotePath,
    dir: OwnedFd,
    /// Whether its file system is served by somebody else.
    may_hang: bool,
    /// The directories from the root to here, once a link makes it necessary to know them.
    above: OnceCell<Vec<(u64, u64)>>,
}

impl Place {
    /// What a name leads to: one stat, and for a link another of its target, which must lie within the root. On a disk of this
    /// machine nothing is asked of whoever serves a file system that is mounted on one of the names.
    fn stat(&self, name: &[u8]) -> io::Result<(Stamp, bool)> {
        let stamp = if self.may_hang {
            Stamp::of(&statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW)?)
        } else {
            Stamp::at_once(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW)?
        };
        if !FileType::from_raw_mode(stamp.mode).is_symlink() {
            return Ok((stamp, false));
        }
        let path = self.path.join(name).map_err(io::Error::other)?;
        Ok((self.catalog.stat(path.trimmed())?, true))
    }

    /// Whether a directory is this one or holds it: a link to it would lead whoever follows it round and round.
    fn lies_in(&self, stamp: &Stamp) -> bool {
        let above = self.above.get_or_init(|| {
            let mut path = self.path.clone();
            let mut above = Vec::new();
            loop {
                let stat = self.catalog.stat(path.trimmed());
                above.extend(stat.map(|stamp| stamp.identity()));
                if path.is_root() {
                    return above;
                }
                path = path.parent();
            }
        });
        above.contains(&stamp.identity())
    }

    fn shows(&self, name: &[u8]) -> bool {
        !matches!(name, b"." | b"..") && self.catalog.shows(name)
    }

    /// The entry of that name. What vanished meanwhile or could not be fetched anyway is left out, and so are links to
    /// directories that hold them: they can be fetched, but no client that takes a tree would come to an end. What is there
    /// and cannot be looked at is told as what its directory `calls` it: to leave it out would make a part look whole.
    fn look_at(&self, name: &[u8], calls: FileType) -> Option<Listed> {
        let (stamp, is_symlink) = match self.stat(name) {
            Ok(found) => found,
            Err(error) if is_not_found(&error) => return None,
            Err(error) => return Some(Listed::unread(name, calls.is_dir(), &error)),
        };
        let is_dir = match FileType::from_raw_mode(stamp.mode) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return None,
        };
        if self.catalog.hides(&stamp, name) {
            return None;
        }
        if is_symlink && is_dir && self.lies_in(&stamp) {
            return None;
        }
        Some(Listed {
            entry: Entry {
                name: name.to_vec(),
                is_dir,
                size: (!is_dir).then_some(stamp.size),
                modified: Some(stamp.modified()),
                blake3: None,
            },
            stamp,
            is_symlink,
            unread: None,
        })
    }
}

/// The entries of a directory, in directory order or sorted.
pub struct Entries {
    place: Place,
    /// Names in order, once they are sorted; what they lead to is looked at when their turn comes.
    sorted: std::vec::IntoIter<Name>,
    /// What is read in directory order instead.
    reader: Option<Dir>,
    /// What the sorted names hold of the server's memory.
    held: Option<Held>,
}

/// Directories first, then by name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    is_file: bool,
    name: Box<[u8]>,
}

impl Entries {
    /// Reads the open directory `dir`, which is `path` below the root, in directory order.
    pub fn new(catalog: Arc<Catalog>, path: RemotePath, dir: OwnedFd) -> io::Result<Self> {
        let reader = Dir::read_from(&dir)?;
        Ok(Self {
            place: Place {
                may_hang: catalog.mount_of(&dir).is_some(),
                catalog,
                path: path.into_dir(),
                dir,
                above: OnceCell::new(),
            },
            sorted: Vec::new().into_iter(),
            reader: Some(reader),
            held: None,
        })
    }

    /// Sorts the entries, directories first, unless they are too many or `budget` is used up.
    /// Only names are held, and only those are read now. Blocks on the disk.
    pub fn sort(mut self, budget: &Budget) -> io::Result<Self> {
        let Some(mut reader) = self.reader.take() else {
            return Ok(self);
        };
        let (mut names, mut cost) = (Vec::new(), 0);
        while let Some(found) = reader.read().transpose()? {
            let name = found.file_name().to_bytes();
            let Some(is_file) = self.is_file(name, found.file_type()) else {
                continue;
            };
            cost += name.len() + NAME_COST;
            names.push(Name {
                is_file,
                name: name.into(),
            });
            if names.len() > MAX_SORTED {
                break;
            }
        }
        let permit = (names.len() <= MAX_SORTED)
            .then(|| budget.take(cost))
            .flatten();
        if permit.is_some() {
            names.sort_unstable();
            self.sorted = names.into_iter();
            self.held = permit;
        } else {
            reader.rewind();
            self.reader = Some(reader);
        }
        Ok(self)
    }

    /// Whether a name is a file's; `None` for what is not shown. Most file systems tell it without a stat.
    fn is_file(&self, name: &[u8], kind: FileType) -> Option<bool> {
        if !self.place.shows(name) {
            return None;
        }
        match kind {
            FileType::RegularFile => Some(true),
            FileType::Directory => Some(false),
            FileType::Symlink | FileType::Unknown => {
                let listed = self.place.look_at(name, kind);
                listed.map(|listed| !listed.entry.is_dir)
            }
            _ => None,
        }
    }

    /// Whether they come in order.
    pub fn in_order(&self) -> bool {
        self.reader.is_none()
    }

    /// The directory's path.
    pub fn path(&self) -> &RemotePath {
        &self.place.path
    }
}

impl Iterator for Entries {
    type Item = io::Result<Listed>;

    fn next(&mut self) -> Option<Self::Item> {
        for Name { name, is_file } in self.sorted.by_ref() {
            let calls = if is_file {
                FileType::RegularFile
            } else {
                FileType::Directory
            };
            if let Some(listed) = self.place.look_at(&name, calls) {
                return Some(Ok(listed));
            }
        }
        let reader = self.reader.as_mut()?;
        loop {
            match reader.read()? {
                Ok(found) => {
                    let name = found.file_name().to_bytes();
                    if self.place.shows(name)
                        && let Some(listed) = self.place.look_at(name, found.file_type())
                    {
                        return Some(Ok(listed));
                    }
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

/// Directories first, then by name.
pub fn sort(entries: &mut [Listed]) {
    entries.sort_unstable_by(|a, b| {
        let key = |listed: &Listed| !listed.entry.is_dir;
        key(a)
            .cmp(&key(b))
            .then_with(|| a.entry.name.cmp(&b.entry.name))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tree::found::Found;
    use std::{fs, path::Path};

    fn read(root: &Path, permits: usize) -> (Vec<Vec<u8>>, bool) {
        let catalog = Arc::new(Catalog::open(root, false, false).unwrap());
        let path = RemotePath::root();
        let Found::Dir(dir) = catalog.find_blocking(&path).unwrap() else {
            panic!("no directory");
        };
        let budget = Budget::new(permits);
        let entries = Entries::new(catalog, path, dir)
            .unwrap()
            .sort(&budget)
            .unwrap();
        let sorted = entries.in_order();
        let names = entries.map(|listed| listed.unwrap().entry.name).collect();
        assert_eq!(budget.left(), permits, "all is given back");
        (names, sorted)
    }

    #[test]
    fn what_is_too_much_to_sort_is_read_in_directory_order_and_complete() {
        let temp = tempfile::tempdir().unwrap();
        for n in 0..500 {
            fs::write(temp.path().join(format!("f{n:03}")), "").unwrap();
        }
        fs::create_dir(temp.path().join("z")).unwrap();
        std::os::unix::fs::symlink("z", temp.path().join("y")).unwrap();
        std::os::unix::fs::symlink("nothing", temp.path().join("x")).unwrap();
        let (names, sorted) = read(temp.path(), 1 << 20);
        assert!(sorted);
        assert_eq!(names.len(), 502);
        assert_eq!(names[..3], [b"y".to_vec(), b"z".to_vec(), b"f000".to_vec()]);
        assert!(names[2..].is_sorted());
        let (mut streamed, sorted) = read(temp.path(), 1000);
        assert!(!sorted);
        streamed.sort();
        let mut names = names;
        names.sort();
        assert_eq!(streamed, names);
    }
}
