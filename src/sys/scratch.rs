//! A directory for what a run needs only while it lasts.

use std::{
    fs::{self, DirBuilder},
    path::{Path, PathBuf},
};

use crate::exit::{Exit, Local};

/// A new directory among the temporary ones, for its owner only; it is removed with all that it holds when this is
/// dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self, Local> {
        let path = std::env::temp_dir().join(format!("haul-{:016x}", fastrand::u64(..)));
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(Local {
                what: format!("cannot make {}", path.display()),
                source,
                remedy: "point TMPDIR at a directory that you can write",
                exit: Exit::Disk,
            }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is the system's to clear, as all temporary files are.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_what_it_holds() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_owned();
        fs::write(path.join("x"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
