//! A whole tree, entry by entry, in bounded memory: for the answers that hold more than one directory.

use std::{io, os::fd::OwnedFd, sync::Arc};

use rustix::fs::fstat;

use crate::server::work::budget::Budget;
use crate::server::{
    tree::entries::{Entries, Listed},
    tree::{
        catalog::{Catalog, is_gone},
        found::Found,
        stamp::Stamp,
    },
};
use crate::{escape::display_name, exit::reason, http1::path::RemotePath};

/// Directories within one another that are entered; each holds two files open.
const MAX_DEPTH: usize = 128;

/// Goes through a directory and all below it: each directory before what it holds, everything under the rules by
/// which single files are served.
///
/// Symbolic links to directories are followed where the catalog follows them, but never into a directory that is being
/// gone through already ([`Entries`] leaves such links out; mounts can go round too).
pub struct Walk {
    catalog: Arc<Catalog>,
    budget: Budget,
    open: Vec<Level>,
    /// Directories that could not be read, and entries that could not be looked at.
    unreadable: u64,
}

struct Level {
    entries: Entries,
    id: (u64, u64),
}

impl Walk {
    /// Begins in the open directory `dir`, which is `path` below the root. Blocks on the disk, as every step does.
    pub fn new(
        catalog: &Arc<Catalog>,
        budget: &Budget,
        path: RemotePath,
        dir: OwnedFd,
    ) -> io::Result<Self> {
        let mut walk = Self {
            catalog: Arc::clone(catalog),
            budget: budget.clone(),
            open: Vec::new(),
            unreadable: 0,
        };
        walk.enter(path, dir)?;
        Ok(walk)
    }

    /// What could not be read so far, and was left out: directories, and entries that could not be looked at.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The next entry and its path; `None` behind the last.
    pub fn next(&mut self) -> io::Result<Option<(RemotePath, Listed)>> {
        while let Some(level) = self.open.last_mut() {
            let Some(listed) = level.entries.next().transpose()? else {
                self.open.pop();
                continue;
            };
            let Ok(path) = level.entries.path().join(&listed.entry.name) else {
                continue;
            };
            if let Some(why) = &listed.unread {
                self.unreadable += 1;
                let path = display_name(path.as_bytes());
                tracing::warn!("left out of a tree: {path}: {why}");
                continue;
            }
            if !listed.entry.is_dir {
                return Ok(Some((path, listed)));
            }
            let path = path.into_dir();
            if self.descend(&path) {
                return Ok(Some((path, listed)));
            }
        }
        Ok(None)
    }

    /// Opens a directory that was met; returns whether it belongs to the walk.
    fn descend(&mut self, path: &RemotePath) -> bool {
        let result = match self.catalog.find_blocking(path) {
            Ok(Found::Dir(_)) if self.open.len() >= MAX_DEPTH => {
                Err(io::Error::other("too many directories in one another"))
            }
            Ok(Found::Dir(dir)) => self.enter(path.clone(), dir),
            // It became something else, or vanished.
            Ok(Found::File(_)) => Ok(false),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        };
        result.unwrap_or_else(|error| {
            self.unreadable += 1;
            tracing::warn!(
                "left out of a tree: {}: {}",
                display_name(path.as_bytes()),
                reason(&error)
            );
            false
        })
    }

    fn enter(&mut self, path: RemotePath, dir: OwnedFd) -> io::Result<bool> {
        let id = Stamp::of(&fstat(&dir)?).identity();
        if self.open.iter().any(|level| level.id == id) {
            return Ok(false);
        }
        let entries = Entries::new(Arc::clone(&self.catalog), path, dir)?.sort(&self.budget)?;
        self.open.push(Level { entries, id });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tree::entries::SORTED_BYTES;
    use std::{fs, os::unix::fs::symlink, path::Path};

    fn walk(root: &Path, from: &str) -> Vec<String> {
        let catalog = Arc::new(Catalog::open(root, false, false).unwrap());
        let path = RemotePath::from_target(from.as_bytes()).unwrap();
        let Found::Dir(dir) = catalog.find_blocking(&path).unwrap() else {
            panic!("no directory");
        };
        let budget = Budget::new(SORTED_BYTES);
        let mut walk = Walk::new(&catalog, &budget, path, dir).unwrap();
        let mut all = Vec::new();
        while let Some((path, _)) = walk.next().unwrap() {
            all.push(String::from_utf8_lossy(path.as_bytes()).into_owned());
        }
        all
    }

    #[test]
    fn a_tree_comes_in_order_and_links_end_where_they_would_go_round() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(root.join(".hidden")).unwrap();
        fs::write(temp.path().join("secret"), "").unwrap();
        for file in ["a/b/deep", "a/one", "top", ".hidden/x"] {
            fs::write(root.join(file), "").unwrap();
        }
        symlink("..", root.join("a/up")).unwrap();
        symlink("../..", root.join("a/out")).unwrap();
        symlink(".", root.join("a/same")).unwrap();
        symlink("a", root.join("link")).unwrap();
        symlink("../../secret", root.join("a/b/secret")).unwrap();
        let a = ["a/", "a/b/", "a/b/deep", "a/one"];
        let link = ["link/", "link/b/", "link/b/deep", "link/one"];
        assert_eq!(walk(&root, "/"), [&a[..], &link[..], &["top"]].concat());
        assert_eq!(walk(&root, "/a/"), a[1..]);
    }

    #[test]
    fn links_that_lead_to_each_other_end_too() {
        let temp = tempfile::tempdir().unwrap();
        for dir in ["a", "b"] {
            fs::create_dir(temp.path().join(dir)).unwrap();
        }
        symlink("../b", temp.path().join("a/to")).unwrap();
        symlink("../a", temp.path().join("b/to")).unwrap();
        assert_eq!(walk(temp.path(), "/"), ["a/", "a/to/", "b/", "b/to/"]);
    }

    #[test]
    fn a_very_deep_tree_is_left_out_below_a_depth() {
        let temp = tempfile::tempdir().unwrap();
        let deep: String = "d/".repeat(MAX_DEPTH + 10);
        fs::create_dir_all(temp.path().join(deep)).unwrap();
        assert_eq!(walk(temp.path(), "/").len(), MAX_DEPTH - 1);
    }
}
