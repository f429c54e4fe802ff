//! Effects on this machine rather than on an engine: files, directories, and work that takes longer than a frame.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use tokio::{sync::mpsc, task::spawn_blocking};
use url::Url;

use super::{here, history, kept::Kept, places};
use crate::{
    app::{Effect, Event, event::LocalFile},
    config::target::Target,
    discovery::survey,
    escape::{display_name, display_path},
    exit::reason,
    sys::disk,
};

/// Names of a local directory that are read for completions.
const NAMES: usize = 10_000;

/// Carries an effect out on the blocking pool if it is one of these; else gives it back. `kept` are the files that
/// remember.
pub(super) fn apply(effect: Effect, kept: &Kept, answers: &mpsc::Sender<Event>) -> Option<Effect> {
    let answer: Box<dyn FnOnce() -> Option<Event> + Send> = match effect {
        Effect::Arrange(job) => Box::new(|| Some(Event::Arranged(job.run()))),
        Effect::Match(job) => Box::new(|| Some(Event::Matched(job.run()))),
        Effect::Export { path, text } => Box::new(move || Some(export(&path, &text))),
        Effect::LookForSpace(dir) => Box::new(move || {
            let dir = disk::open_dir(&dir);
            let free = dir.and_then(|dir| disk::free_space(dir.as_fd()));
            Some(Event::Space(free.ok()))
        }),
        Effect::LookLocal {
            target,
            dir,
            entries,
        } => Box::new(move || {
            let here = here::look(&target, &dir, &entries);
            Some(Event::LookedLocal {
                target,
                entries,
                here,
            })
        }),
        Effect::Lcd(dir) => Box::new(move || Some(lcd(dir))),
        Effect::ListLocal(dir) => Box::new(move || {
            let names = names(&dir).unwrap_or_default();
            Some(Event::LocalListed { dir, names })
        }),
        Effect::Verify {
            file,
            expected,
            name,
        } => Box::new(move || Some(verify(file, expected, &name))),
        Effect::Remember(line) => {
            let file = kept.history.clone();
            Box::new(move || {
                if let Some(file) = file
                    && let Err(error) = history::append(&file, &line)
                {
                    tracing::debug!("the history is not kept: {}", reason(&error));
                }
                None
            })
        }
        Effect::Places(change) => {
            let file = kept.places.clone();
            Box::new(move || {
                if let Some(file) = file
                    && let Err(error) = places::keep(&file, &change)
                {
                    tracing::debug!("bookmarks and servers are not kept: {}", reason(&error));
                }
                None
            })
        }
        other => return Some(other),
    };
    let answers = answers.clone();
    spawn_blocking(move || {
        if let Some(answer) = answer() {
            // Nobody listens once the dashboard has ended.
            let _ = answers.blocking_send(answer);
        }
    });
    None
}

/// Looks for servers, beside everything else; with `usual`, also where one is if nothing else is said.
pub(super) fn find_servers(used: Vec<Url>, usual: bool, answers: mpsc::Sender<Event>) {
    let usual = usual.then(Target::usual).and_then(Result::ok);
    tokio::spawn(async move {
        let (known, deaf) = survey(used, usual.map(|target| target.url)).await;
        if let Some(error) = deaf {
            tracing::warn!("no server can be heard on the network: {error}");
        }
        // Nobody listens once the dashboard has ended.
        let _ = answers.send(Event::Servers(known)).await;
    });
}

/// Writes a file that is not there yet.
fn export(path: &Path, text: &str) -> Event {
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path)?;
        file.write_all(text.as_bytes())
    };
    let shown = display_path(path);
    match write() {
        Ok(()) => Event::Told(format!("wrote {shown}")),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Event::Refused(format!("export: {shown} exists: name another file"))
        }
        Err(error) => Event::Refused(format!("export: {shown}: {}", reason(&error))),
    }
}

/// Whether files can be made in a directory, which is made where it is missing: the answer is tried, not guessed.
fn lcd(dir: PathBuf) -> Event {
    let tried = || -> io::Result<()> {
        fs::create_dir_all(&dir)?;
        tempfile_in(&dir)
    };
    match tried() {
        Ok(()) => Event::Lcd(dir),
        Err(error) => Event::Refused(format!(
            "lcd: {}: {}: name a directory that can be written to",
            display_path(&dir),
            reason(&error)
        )),
    }
}

/// Makes a file in a directory and takes it away again.
fn tempfile_in(dir: &Path) -> io::Result<()> {
    let name = dir.join(format!(".haul-{:x}", fastrand::u64(..)));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&name)?;
    fs::remove_file(&name)
}

fn names(dir: &Path) -> io::Result<Vec<(String, bool)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)?.take(NAMES) {
        let entry = entry?;
        // What cannot be typed cannot be completed.
        if let Ok(name) = entry.file_name().into_string()
            && !name.chars().any(char::is_control)
        {
            // A link to a directory is one as well.
            let is_dir = fs::metadata(entry.path()).is_ok_and(|meta| meta.is_dir());
            names.push((name, is_dir));
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn verify(file: LocalFile, expected: blake3::Hash, name: &str) -> Event {
    let hash = || -> io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(fs::File::open(&file.local)?)?;
        Ok(hasher.finalize())
    };
    match hash() {
        Ok(hash) if hash == expected => {
            Event::Told(format!("{name}: the file here is the server's, by BLAKE3"))
        }
        Ok(_) => Event::Differs(file),
        Err(error) => Event::Refused(format!(
            "verify: {}: {}",
            display_name(&file.local.to_string_lossy().into_owned()),
            reason(&error)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::path::RemotePath;

    #[test]
    fn nothing_is_exported_over_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.tsv");
        assert!(matches!(export(&path, "a\n"), Event::Told(_)));
        assert!(matches!(export(&path, "b\n"), Event::Refused(_)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\n");
    }

    #[test]
    fn a_file_is_held_against_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "content").unwrap();
        let held = |local: &Path, content: &[u8]| {
            let file = LocalFile {
                server: "http://nas/".parse().unwrap(),
                path: RemotePath::root(),
                local: local.to_owned(),
            };
            verify(file, blake3::hash(content), "f")
        };
        let right = held(&path, b"content");
        assert!(matches!(right, Event::Told(_)), "{right:?}");
        let wrong = held(&path, b"other");
        assert!(
            matches!(&wrong, Event::Differs(file) if file.local == path),
            "{wrong:?}"
        );
        let missing = held(&dir.path().join("g"), b"");
        assert!(matches!(missing, Event::Refused(_)), "{missing:?}");
    }

    #[test]
    fn downloads_go_only_where_files_can_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("a/b");
        assert!(matches!(lcd(new.clone()), Event::Lcd(at) if at == new));
        assert_eq!(
            fs::read_dir(&new).unwrap().count(),
            0,
            "nothing is left behind"
        );
        fs::write(dir.path().join("file"), "").unwrap();
        for wrong in [dir.path().join("file"), "/proc/x".into()] {
            assert!(matches!(lcd(wrong.clone()), Event::Refused(_)), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_sorted_and_tell_directories() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("a"), "").unwrap();
        let names = names(dir.path()).unwrap();
        assert_eq!(names, [("a".to_owned(), false), ("b".to_owned(), true)]);
    }
}
