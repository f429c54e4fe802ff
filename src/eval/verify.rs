//! Whether what the clients have is what was served, byte for byte.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The files below a directory: their paths, and the BLAKE3 digests of their contents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree(BTreeMap<PathBuf, blake3::Hash>);

impl Tree {
    /// Reads every byte below `root`.
    pub fn of(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.add(root, Path::new(""))?;
        Ok(tree)
    }

    fn add(&mut self, root: &Path, below: &Path) -> io::Result<()> {
        for entry in fs::read_dir(root.join(below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.add(root, &path)?;
            } else {
                let mut hasher = blake3::Hasher::new();
                io::copy(&mut File::open(entry.path())?, &mut hasher)?;
                self.0.insert(path, hasher.finalize());
            }
        }
        Ok(())
    }

    /// Files in it.
    pub fn files(&self) -> usize {
        self.0.len()
    }

    /// What is wrong with a copy of this, in words: the first file that is missing, differs, or is one too many.
    pub fn difference(&self, copy: &Self) -> Option<String> {
        let name = |path: &Path| crate::escape::display_path(path);
        for (path, hash) in &self.0 {
            match copy.0.get(path) {
                None => return Some(format!("{} is missing", name(path))),
                Some(other) if other != hash => {
                    return Some(format!("{} has other bytes than the server's", name(path)));
                }
                Some(_) => {}
            }
        }
        let mut more = copy.0.keys().filter(|path| !self.0.contains_key(*path));
        more.next()
            .map(|path| format!("{} is not the server's", name(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_every_name_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for root in [&a, &b] {
            fs::create_dir_all(root.join("sub")).unwrap();
            fs::write(root.join("x"), "x").unwrap();
            fs::write(root.join("sub/y"), "y").unwrap();
        }
        let whole = Tree::of(&a).unwrap();
        let differs = || whole.difference(&Tree::of(&b).unwrap());
        assert_eq!((whole.files(), differs()), (2, None));
        fs::write(b.join("z"), "").unwrap();
        assert_eq!(differs().unwrap(), "z is not the server's");
        fs::write(b.join("sub/y"), "z").unwrap();
        assert_eq!(
            differs().unwrap(),
            "sub/y has other bytes than the server's"
        );
        fs::remove_file(b.join("sub/y")).unwrap();
        assert_eq!(differs().unwrap(), "sub/y is missing");
    }
}
