//! The lines that were typed, kept in the state directory across runs: one a line, for this user alone.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::{app::history::HISTORY_MAX, config};

/// The file of one command, `serve` or `connect`; `None` where no home directory is known.
pub(super) fn file(command: &str) -> Option<PathBuf> {
    Some(config::state_dir()?.join(format!("{command}.history")))
}

/// The newest lines, oldest first; none where the file cannot be read. One that has grown long is cut.
pub(super) fn load(file: &Path) -> Vec<String> {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.chars().any(char::is_control))
        .map(str::to_owned)
        .collect();
    if lines.len() > 2 * HISTORY_MAX {
        let newest = lines[lines.len() - HISTORY_MAX..].join("\n") + "\n";
        // Where that fails, it stays long.
        let _ = replace(file, &newest);
    }
    lines
}

/// Adds a line.
pub(super) fn append(file: &Path, line: &str) -> io::Result<()> {
    private_dir(file)?;
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(file)?;
    // In one write, so that two dashboards never share a line.
    file.write_all(format!("{line}\n").as_bytes())
}

/// Makes the directory that a file is to lie in, for this user alone.
pub(super) fn private_dir(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(dir) => DirBuilder::new().recursive(true).mode(0o700).create(dir),
        None => Ok(()),
    }
}

/// Puts a text in a file's place at once.
pub(super) fn replace(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension(format!("new.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&new)?.write_all(text.as_bytes())?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_and_a_long_file_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/connect.history");
        assert!(load(&file).is_empty());
        append(&file, "get a").unwrap();
        append(&file, "cd b").unwrap();
        assert_eq!(load(&file), ["get a", "cd b"]);
        for n in 0..=2 * HISTORY_MAX {
            append(&file, &format!("{n}")).unwrap();
        }
        load(&file);
        assert_eq!(load(&file).len(), HISTORY_MAX);
        assert_eq!(load(&file).last().unwrap(), "1000");
    }
}
