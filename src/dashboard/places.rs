//! Servers that were used and bookmarks, kept in the state directory across runs: one a line, for this user alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::history::{private_dir, replace};
use crate::{
    app::places::{Change, Place, bound, change},
    config,
    http1::path::RemotePath,
};

/// The file; `None` where no home directory is known.
pub fn file() -> Option<PathBuf> {
    Some(config::state_dir()?.join("places"))
}

/// The newest places, oldest first; none where the file cannot be read. A line that cannot be read is left out.
pub fn load(file: &Path) -> Vec<Place> {
    read(&fs::read(file).unwrap_or_default())
}

fn read(text: &[u8]) -> Vec<Place> {
    let text = String::from_utf8_lossy(text);
    let mut places = text.lines().filter_map(parse).collect();
    bound(&mut places);
    places
}

/// `server URL` or `bookmark URL PATH`, the path percent-encoded.
fn parse(line: &str) -> Option<Place> {
    let mut words = line.split(' ');
    let (kind, server) = (words.next()?, words.next()?.parse().ok()?);
    let bookmark = match (kind, words.next()) {
        ("server", None) => None,
        ("bookmark", Some(path)) => Some(RemotePath::from_target(path.as_bytes()).ok()?.into_dir()),
        _ => return None,
    };
    Place::new(server, bookmark)
}

fn line(place: &Place) -> String {
    match &place.bookmark {
        None => format!("server {}\n", place.server),
        Some(dir) => format!("bookmark {} {}\n", place.server, dir.to_target()),
    }
}

/// Changes the file. What another run wrote meanwhile stays.
pub(super) fn keep(file: &Path, how: &Change) -> io::Result<()> {
    private_dir(file)?;
    let dir = fs::File::open(file.parent().unwrap_or(Path::new(".")))?;
    // One after another, in this run and in others; until it is closed.
    rustix::fs::flock(&dir, rustix::fs::FlockOperation::LockExclusive)?;
    let text = match fs::read(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        read => read.unwrap_or_default(),
    };
    let mut places = read(&text);
    change(&mut places, how);
    let text: String = places.iter().map(line).collect();
    replace(file, &text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn places_come_back_to_this_user_alone_and_without_a_login() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/places");
        assert!(load(&file).is_empty());
        let url = "https://alice:secret@nas:8888/share/?key=secret";
        let server = Place::new(url.parse().unwrap(), None).unwrap();
        let odd = RemotePath::from_target(b"/a%20b/%FF%0A/").unwrap();
        let bookmark = Place::new(url.parse().unwrap(), Some(odd)).unwrap();
        for place in [&server, &bookmark] {
            keep(&file, &Change::Keep(place.clone())).unwrap();
        }
        assert_eq!(load(&file), [server.clone(), bookmark.clone()]);
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("secret"), "{text}");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(
            &file,
            text + "nonsense\nserver gopher://x/\nserver no url\n",
        )
        .unwrap();
        keep(&file, &Change::Drop(server)).unwrap();
        assert_eq!(load(&file), [bookmark]);
    }
}
