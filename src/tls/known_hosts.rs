//! The certificates that a user has vouched for: a file of lines `HOST:PORT SHA256:FINGERPRINT`, for people to edit.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{Error, Fingerprint};
use crate::{exit::reason, sys::disk::private_dir};

/// The file's name in the state directory.
const NAME: &str = "known_hosts";

/// Where pins are kept. Nothing is cached: another process may have added one.
#[derive(Debug, Clone)]
pub struct KnownHosts(PathBuf);

impl KnownHosts {
    /// In a state directory, which is made when the first pin is.
    pub fn new(state_dir: &Path) -> Self {
        Self(state_dir.join(NAME))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is pinned for a server (`host:port`): the last line about it counts.
    ///
    /// A file that is there and cannot be read is an error, and so is a line about this server that makes no sense: a
    /// pin that is overlooked would protect nobody.
    pub fn find(&self, server: &str) -> Result<Option<Fingerprint>, Error> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.unreadable(source)),
        };
        let mut found = None;
        for line in text.lines() {
            // The mark of an editor must not hide the first pin.
            let mut words = line.trim_start_matches('\u{feff}').split_whitespace();
            if words.next() != Some(server) {
                continue;
            }
            let parsed = words.next().unwrap_or_default().parse();
            found = Some(parsed.map_err(|error| {
                self.unreadable(io::Error::new(io::ErrorKind::InvalidData, error))
            })?);
        }
        Ok(found)
    }

    /// Pins a certificate; it replaces what was pinned for the server before.
    pub fn pin(&self, server: &str, fingerprint: &Fingerprint) -> Result<(), Error> {
        let keep = |error: io::Error| Error::Keep {
            what: "the server's fingerprint",
            reason: format!("{}: {}", self.0.display(), reason(&error)),
            remedy: "make the file writable, or give --fingerprint each time",
        };
        if let Some(dir) = self.0.parent() {
            private_dir(dir).map_err(keep)?;
        }
        // A person may have left the last line without its end.
        let whole = fs::read(&self.0).is_ok_and(|text| text.last().is_none_or(|b| *b == b'\n'));
        let start = if whole || !self.0.exists() { "" } else { "\n" };
        let line = format!("{start}{server} SHA256:{fingerprint}\n");
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        // One write, so that two processes cannot mix their lines.
        let written = options
            .open(&self.0)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        written.map_err(keep)
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::Read {
            what: "known hosts in",
            path: self.0.clone(),
            source,
            remedy: "mend or remove the file",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_last_pin_of_a_server_counts() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = KnownHosts::new(&dir.path().join("new"));
        let (one, two) = (Fingerprint::of(b"1"), Fingerprint::of(b"2"));
        assert_eq!(hosts.find("nas:8888").unwrap(), None);
        hosts.pin("nas:8888", &one).unwrap();
        hosts.pin("[::1]:8888", &two).unwrap();
        assert_eq!(hosts.find("nas:8888").unwrap(), Some(one));
        assert_eq!(hosts.find("nas:888").unwrap(), None, "a whole name");
        let by_hand = fs::read_to_string(hosts.path()).unwrap();
        fs::write(hosts.path(), by_hand.trim_end()).unwrap();
        hosts.pin("nas:8888", &two).unwrap();
        assert_eq!(hosts.find("[::1]:8888").unwrap(), Some(two));
        assert_eq!(hosts.find("nas:8888").unwrap(), Some(two));
        let mode = fs::metadata(hosts.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_pin_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = KnownHosts::new(dir.path());
        fs::write(
            hosts.path(),
            "# by hand\nother:1 nonsense\nnas:1 SHA256:00\n",
        )
        .unwrap();
        assert_eq!(hosts.find("third:1").unwrap(), None);
        let error = hosts.find("nas:1").unwrap_err().to_string();
        assert!(
            error.contains("known_hosts") && error.contains("mend"),
            "{error}"
        );
        fs::remove_file(hosts.path()).unwrap();
        fs::create_dir(hosts.path()).unwrap();
        assert!(
            hosts.find("nas:1").is_err(),
            "a directory is no file of pins"
        );
    }
}
