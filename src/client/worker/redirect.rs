//! Answers that redirect: a file is asked for where that leads, a listing stays within what was asked.

use std::sync::Arc;

use url::Url;

use super::{Worker, answer::Reading};
use crate::{
    client::{
        Error,
        engine::Server,
        net::{
            origin::{Origin, shown},
            redirect::{follow, is_redirect, target_of},
        },
        schedule::{Answered, Fault, Hop, Placed, Work},
        task::{REDIRECTS_MAX, Subject},
    },
    entry::Entry,
    http1::path::{RemotePath, decode_leniently},
};

/// Where the redirects of a listing lead.
pub(super) enum Place {
    /// To the same directory, at this address; its answer is the one that is read now.
    Here(Url),
    /// To a directory below it.
    Below(Entry),
    /// Nowhere any more: it was cancelled meanwhile.
    Unwanted,
}

impl Worker {
    /// A redirect of a file: a directory that was taken for one, or where else it is asked for from now on.
    pub(super) async fn redirected(&mut self, reading: &mut Reading, work: &Work) -> super::Answer {
        reading.drain().await;
        let server = Arc::clone(&self.server);
        let subject = self
            .engine
            .look(|schedule| schedule.subject(self.source, work));
        let from = match subject {
            Some(Subject::Path(path)) => server.origin.target(&path),
            Some(Subject::Target(target)) => target,
            // It ended meanwhile.
            None => return Err(Fault::Interrupted),
        };
        let here = server.origin.url().join(&from);
        let here = here.unwrap_or_else(|_| server.origin.url().clone());
        let there = match follow(&here, reading.head.location.as_deref()) {
            Ok(there) => there,
            Err(error) => return Err(Fault::Refused(error)),
        };
        let (same, to) = (there.origin() == here.origin(), target_of(&there));
        if let Work::Open(task) = work
            && is_its_directory(&from, &to)
        {
            if !same {
                return Err(Fault::Refused(Error::Redirect(shown(there.as_str()))));
            }
            if task.rename.is_some() || task.checksum.is_some() {
                let text = "it is a directory: a name or a checksum is for one file";
                return Err(Fault::Local(Error::Usage(text.into())));
            }
            return Ok(Answered::IsDir(task.clone()));
        }
        let hop = Hop {
            named: if same {
                Some(self.source)
            } else {
                self.engine.named(&there)
            },
            origin: there.origin().ascii_serialization(),
            target: to,
            shown: shown(there.as_str()),
        };
        match self.go(&there, &hop).await {
            // What was asked for waits again, for the server that it led to.
            Ok(()) => Ok(Answered::Opened),
            Err(error) => Err(Fault::Refused(error)),
        }
    }

    /// Tells the schedule where a redirect led.
    async fn go(&self, there: &Url, hop: &Hop) -> Result<(), Error> {
        let mut server = None;
        loop {
            let met = self.engine.led(self.slot, hop, server.clone())?;
            if met != Placed::Unmet {
                return Ok(());
            }
            // The system's authorities are read for it.
            let (engine, there) = (Arc::clone(&self.engine), there.clone());
            let made = tokio::task::spawn_blocking(move || {
                let origin = Origin::stranger(&there, &engine.settings.access)?;
                Ok::<_, Error>(Server::new(origin, engine.target_ids.clone()))
            });
            let made = made.await.map_err(|error| Error::Broken(error.to_string()));
            server = Some(Arc::new(made??));
        }
    }

    /// Follows the redirects of a listing as long as they stay in the directory that was asked for.
    pub(super) async fn arrive(
        &self,
        reading: &mut Reading,
        dir: &RemotePath,
    ) -> Result<Place, Error> {
        let asked = self.server.origin.list_url(dir);
        let mut address = asked.clone();
        for _ in 0..=REDIRECTS_MAX {
            if !is_redirect(reading.head.status) {
                return match self.engine.wanted(self.slot, reading.refused()).await {
                    Some(Some(error)) => Err(error),
                    Some(None) => Ok(Place::Here(address)),
                    None => Ok(Place::Unwanted),
                };
            }
            if self
                .engine
                .wanted(self.slot, reading.drain())
                .await
                .is_none()
            {
                return Ok(Place::Unwanted);
            }
            let there = follow(&address, reading.head.location.as_deref())?;
            match below(&asked, &there) {
                Some(None) => {}
                Some(Some(name)) => {
                    let entry = Entry {
                        name,
                        is_dir: true,
                        size: None,
                        modified: None,
                        blake3: None,
                    };
                    return Ok(Place::Below(entry));
                }
                None => return Err(Error::Redirect(shown(there.as_str()))),
            }
            address = there;
            if !self.ask_on(reading, &address).await? {
                return Ok(Place::Unwanted);
            }
            if is_redirect(reading.head.status) {
                self.server.origin.keep_cookies(&reading.head.cookies);
            }
        }
        Err(Error::Unfollowed {
            to: shown(address.as_str()),
            why: "more than 5 redirects in a row lead nowhere".into(),
        })
    }
}

/// Where in a directory an address lies: `None` for elsewhere, `Some(None)` for itself or a document in it, else the
/// directory in it.
#[expect(clippy::option_option, reason = "elsewhere, here, or below")]
fn below(dir: &Url, there: &Url) -> Option<Option<Vec<u8>>> {
    if dir.origin() != there.origin() {
        return None;
    }
    let path = |url: &Url| RemotePath::from_target(url.path().as_bytes()).ok();
    let (dir, there) = (path(dir)?.into_dir(), path(there)?);
    let there = if there.is_dir() {
        there
    } else {
        there.parent()
    };
    if there.trimmed() == dir.trimmed() {
        return Some(None);
    }
    let first = there.below(&dir)?.names().next().map(<[u8]>::to_vec);
    Some(first)
}

/// Whether a redirect adds the slash of a directory. It may escape names in another way, and add a query.
fn is_its_directory(from: &str, to: &str) -> bool {
    let path = |target: &str| {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let names = path.split('/').filter(|name| !name.is_empty());
        let names = names.map(|name| decode_leniently(name.as_bytes()).into_owned());
        (names.collect::<Vec<_>>(), path.ends_with('/'))
    };
    let ((from, was_dir), (to, is_dir)) = (path(from), path(to));
    is_dir && !was_dir && from == to
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{below, is_its_directory};
    #[test]
    fn a_listing_stays_in_its_directory() {
        let dir = Url::parse("http://h/a%20b/").unwrap();
        let place = |there: &str| below(&dir, &dir.join(there).unwrap());
        for here in ["?sort=name", "index.html", "/a%20b/", "/a b/x?y"] {
            assert_eq!(place(here), Some(None), "{here}");
        }
        assert_eq!(place("c/d/"), Some(Some(b"c".to_vec())));
        assert_eq!(place("c/index.html"), Some(Some(b"c".to_vec())));
        for elsewhere in ["/", "/a/", "../x", "http://h:81/a%20b/", "//g/a%20b/"] {
            assert_eq!(place(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_slash_makes_a_directory_however_names_are_escaped() {
        for (from, to) in [
            ("/c%3ax", "/c:x/"),
            ("/a", "/a/"),
            ("/a%20b/%7Ec", "/a%20b/~c/?lang=en"),
        ] {
            assert!(is_its_directory(from, to), "{from} {to}");
        }
        for (from, to) in [
            ("/a", "/b/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a", "/a/b/"),
            ("/a%2Fb", "/a/b/"),
        ] {
            assert!(!is_its_directory(from, to), "{from} {to}");
        }
    }
}
