//! The summary as a link to what landed (OSC 8), on terminals that are known to show links.

use std::path::{Path, PathBuf};

use url::Url;

use crate::sys::emulator;

/// Where the files of a download landed.
#[derive(Debug)]
pub(super) struct Landed {
    /// The target directory, absolute.
    dir: PathBuf,
    /// The one file, while there is no other.
    only: Option<PathBuf>,
    files: u64,
}

impl Landed {
    /// Nothing yet, in `dir`.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()),
            only: None,
            files: 0,
        }
    }

    /// One more file.
    pub(super) fn add(&mut self, local: &Path) {
        self.files += 1;
        self.only = (self.files == 1).then(|| self.dir.join(local));
    }

    /// `line` with its first part, `12 files`, as a link to the directory, or to the file if it is the only one.
    pub(super) fn link(&self, line: &str) -> String {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let linked = || {
            let (count, rest) = line.split_once(", ").filter(|_| self.files > 0)?;
            let mut url = match &self.only {
                Some(file) => Url::from_file_path(file).ok()?,
                None => Url::from_directory_path(&self.dir).ok()?,
            };
            // Over ssh it leads nowhere on the machine where it is shown. A name that is none of a URL is left out.
            let _ = url.set_host(Some(&host));
            Some(format!("{}, {rest}", emulator::link(count, url.as_str())))
        };
        linked().unwrap_or_else(|| line.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_linked_itself_and_several_by_their_directory() {
        let mut landed = Landed::new(Path::new("/srv/a b"));
        let none = "0 files: there is none there, in 1 s";
        assert_eq!(landed.link(none), none);
        landed.add(Path::new("c\x1b#.txt"));
        let line = landed.link("1 file, 2 B in 1.0 s");
        assert!(line.starts_with("\x1b]8;;file://"), "{line:?}");
        assert!(
            line.ends_with("/srv/a%20b/c%1B%23.txt\x1b\\1 file\x1b]8;;\x1b\\, 2 B in 1.0 s"),
            "{line:?}"
        );
        landed.add(Path::new("/elsewhere/d"));
        let line = landed.link("2 files, 2 B in 1.0 s");
        assert!(
            line.contains("/srv/a%20b/\x1b\\2 files\x1b]8;;"),
            "{line:?}"
        );
    }
}
