//! Where control sockets are: directories that only their owner can enter, a socket a process, `NAME.PID.sock`.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use rustix::process::{Pid, geteuid, test_kill_process};

use super::error::Error;
use crate::{
    config,
    escape::{display_name, display_path},
    exit::reason,
    sys::disk::private_dir,
};

const EXTENSION: &str = "sock";

/// Where services have theirs, those with a user of their own too.
const SERVICES: &str = "/run/haul";

/// A socket of something that runs, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is called: a name as `--instance` takes it, or for a socket of its own place, that.
    pub name: String,
    /// Its process, where the socket's name tells.
    pub pid: Option<u32>,
    /// The socket.
    pub path: PathBuf,
}

impl Found {
    fn at(path: PathBuf) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?;
        let (name, pid) = stem.strip_suffix('.')?.rsplit_once('.')?;
        Some(Self {
            // It is shown: whoever made the socket may be another user.
            name: config::values::instance(name).ok()?,
            pid: Some(pid.parse().ok()?),
            path,
        })
    }

    /// Whether `word` means it: its name, its process, or both as in `serve.123`.
    fn is_meant(&self, word: &str) -> bool {
        let pid = self.pid.map(|pid| pid.to_string()).unwrap_or_default();
        word == self.name || word == pid || word == format!("{}.{pid}", self.name)
    }

    /// Its name and process, for people.
    pub fn label(&self) -> String {
        match self.pid {
            Some(pid) => format!("{}.{pid}", self.name),
            None => self.name.clone(),
        }
    }
}

/// The directories in which sockets may be, the one for a new socket first.
fn dirs() -> Vec<PathBuf> {
    let own = geteuid();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|dir| dir.is_absolute());
    let dirs = [
        runtime.map(|dir| dir.join("haul")),
        own.is_root().then(|| PathBuf::from(SERVICES)),
        config::state_dir().map(|dir| dir.join("run")),
        // What began with a session's variables is found without them, as by cron.
        Some(PathBuf::from(format!("/run/user/{}/haul", own.as_raw()))),
    ];
    let mut seen: Vec<PathBuf> = Vec::new();
    for dir in dirs.into_iter().flatten() {
        if !seen.contains(&dir) {
            seen.push(dir);
        }
    }
    seen
}

/// Makes the directory for a new socket and gives the socket's path; what stands there of processes that are gone is
/// removed. The error is for people.
pub(super) fn path_for(name: &str, pid: u32) -> Result<PathBuf, String> {
    let mut why = "no directory for it is known".to_owned();
    // The last is looked in, and not made.
    let dirs = dirs();
    for dir in &dirs[..dirs.len().saturating_sub(1).max(1)] {
        match private_dir(dir).and_then(|()| private_to(dir, geteuid().as_raw())) {
            Ok(()) => {
                // Looking removes what nobody listens on any more.
                let _ = look_in(dir);
                return Ok(dir.join(format!("{name}.{pid}.{EXTENSION}")));
            }
            Err(error) => why = format!("{}: {}", display_path(dir), reason(&error)),
        }
    }
    Err(why)
}

/// Whether a directory is `user`'s, and nobody else can enter it: another's could hold sockets of anybody. A link to it is as
/// good where it is that user's or root's: `/run/haul` is one of systemd's for a service whose user systemd makes.
fn private_to(dir: &Path, user: u32) -> io::Result<()> {
    let (link, meta) = (fs::symlink_metadata(dir)?, fs::metadata(dir)?);
    let is_linked = [user, 0].contains(&link.uid());
    let is_open = meta.mode() & 0o077 != 0;
    if !meta.is_dir() || meta.uid() != user || !is_linked || is_open {
        return Err(io::Error::other("it is another's, or open to others"));
    }
    Ok(())
}

fn look_in(dir: &Path) -> Vec<Found> {
    let own = geteuid().as_raw();
    // A service lets root in, and root leaves what is there as it is.
    let keeper = match fs::metadata(dir) {
        Ok(meta) if own == 0 && dir == Path::new(SERVICES) => meta.uid(),
        _ => own,
    };
    let Ok(()) = private_to(dir, keeper) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let found = entries.filter_map(|entry| Found::at(entry.ok()?.path()));
    let is_there = |found: &Found| {
        if keeper != own {
            // No link to a socket of somebody else's, and nothing is tried on one whose process is gone.
            let meta = fs::symlink_metadata(&found.path);
            return meta.is_ok_and(|meta| meta.file_type().is_socket()) && !is_gone(found);
        }
        let is_left = is_gone(found) && is_stale(&found.path);
        !(is_left && fs::remove_file(&found.path).is_ok())
    };
    found.filter(is_there).collect()
}

/// Whether a socket's process is gone.
fn is_gone(found: &Found) -> bool {
    let pid = found
        .pid
        .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    pid.is_none_or(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

/// Whether nobody listens on the socket at `path`.
pub(super) fn is_stale(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(refused)
}

/// Everything that runs, in the order of names. Sockets of processes that are gone are removed.
pub fn all() -> Vec<Found> {
    let mut found: Vec<_> = dirs().iter().flat_map(|dir| look_in(dir)).collect();
    found.sort_by(|a, b| (&a.name, a.pid).cmp(&(&b.name, b.pid)));
    found
}

/// All that `word` may mean; without it, everything.
pub fn meant(word: Option<&str>) -> Vec<Found> {
    let mut all = all();
    all.retain(|found| word.is_none_or(|word| found.is_meant(word)));
    all
}

/// What `word` means: a name, a process, or the path of a socket; without one, the only one that runs.
pub fn named(word: Option<&str>) -> Result<Found, Error> {
    if let Some(path) = word.filter(|word| word.contains('/')) {
        return Ok(Found {
            name: display_name(path).into_owned(),
            pid: None,
            path: path.into(),
        });
    }
    choose(all(), word)
}

fn choose(there: Vec<Found>, word: Option<&str>) -> Result<Found, Error> {
    let labels = |found: &[Found]| {
        let labels: Vec<_> = found.iter().map(Found::label).collect();
        labels.join(", ")
    };
    let list = labels(&there);
    let mut meant = there;
    if let Some(word) = word {
        meant.retain(|found| found.is_meant(word));
    }
    match (meant.len(), word) {
        (1, _) => Ok(meant.remove(0)),
        (0, None) => Err(Error::Nothing),
        (0, Some(word)) => Err(Error::Unknown {
            name: display_name(word).into_owned(),
            there: if list.is_empty() {
                "nothing does".to_owned()
            } else {
                format!("there is {list}")
            },
        }),
        _ => Err(Error::Several(labels(&meant))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str) -> Found {
        Found::at(PathBuf::from(format!("/run/haul/{name}"))).unwrap()
    }

    #[test]
    fn a_name_a_process_or_both_mean_a_socket() {
        let there = || {
            vec![
                found("nightly.12.sock"),
                found("serve.7.sock"),
                found("serve.8.sock"),
            ]
        };
        for (word, path) in [
            ("nightly", "nightly.12.sock"),
            ("7", "serve.7.sock"),
            ("serve.8", "serve.8.sock"),
        ] {
            let chosen = choose(there(), Some(word)).unwrap();
            assert_eq!(chosen.path, Path::new("/run/haul").join(path), "{word}");
        }
        let error = choose(there(), Some("serve")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "several run: name one of serve.7, serve.8"
        );
        let error = choose(there(), Some("x")).unwrap_err().to_string();
        assert!(error.contains("there is nightly.12, serve.7"), "{error}");
        assert!(matches!(choose(Vec::new(), None), Err(Error::Nothing)));
        assert!(matches!(choose(there(), None), Err(Error::Several(_))));
    }

    #[test]
    fn a_link_to_a_directory_of_ones_own_is_as_good() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let place = tempfile::tempdir().unwrap();
        let (dir, link) = (place.path().join("private"), place.path().join("haul"));
        fs::create_dir(&dir).unwrap();
        symlink("private", &link).unwrap();
        let own = geteuid().as_raw();
        for (mode, is_private) in [(0o700, true), (0o750, false), (0o701, false)] {
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
            for path in [&dir, &link] {
                assert_eq!(private_to(path, own).is_ok(), is_private, "{mode:o}");
                assert!(private_to(path, own + 1).is_err());
            }
        }
    }

    #[test]
    fn other_files_are_no_sockets() {
        for name in ["serve.sock", "serve.x.sock", "serve.7", "7.sock", ".sock"] {
            assert_eq!(Found::at(PathBuf::from("/run").join(name)), None, "{name}");
        }
    }
}
