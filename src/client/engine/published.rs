//! What published lists tell of files: `SHA256SUMS` and its like, fetched once a directory, when a file is here that nothing
//! else proves.
//!
//! What counts, the first before the second: a digest or a list that the user gave; a Metalink's; the server's own values
//! and digests; published lists; a Metalink's weak digest. A list is asked for only where none of those before it is known.
//! One that cannot be had fails no file, and one that lies about a file harms that file only.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{Notify, OnceCell};

use super::{Engine, Server, beside::in_time, lock};
use crate::{
    client::{
        Error, Verified,
        disk::land::Listed,
        net::document::Asking,
        read::{
            beside::{Beside, Candidate},
            metalink::Signature,
        },
        task::FileTask,
    },
    digest::Digest,
    entry::Entry,
    escape::{display_name, shell_word},
    http1::path::RemotePath,
    sums::{Covers, LIST_MAX, METALINK, METALINK_WEAK, Table},
    units,
};

/// Bytes of lists that are remembered, and how many lists; the oldest are fetched again where they are needed.
const KEPT_MAX: usize = 64 << 20;
const LISTS_MAX: usize = 64;
/// How long a list or a signature may take, however it drips in, beside what the user's own limit holds it back: the files that
/// need it wait.
const TIME_MAX: Duration = Duration::from_secs(60);
/// Most bytes of a signature.
const SIGNATURE_MAX: usize = 64 << 10;
/// How often a list is asked for.
const TRIES: u32 = 2;

/// What is known of published lists.
#[derive(Debug, Default)]
pub struct Lists {
    beside: Mutex<Beside>,
    /// A listing was read.
    read: Notify,
    kept: Mutex<VecDeque<(RemotePath, Fetched)>>,
}

/// A list once it was asked for, and the bytes of it.
type Fetched = Arc<OnceCell<(Arc<Table>, usize)>>;

/// A listing that is being read: what lies there is known once this is dropped.
#[derive(Debug)]
pub struct ListingRead<'a> {
    lists: &'a Lists,
    dir: RemotePath,
}

impl Drop for ListingRead<'_> {
    fn drop(&mut self) {
        lock(&self.lists.beside).end(&self.dir);
        self.lists.read.notify_waiters();
    }
}

impl Lists {
    /// A listing is about to be read.
    pub fn reading(&self, dir: &RemotePath) -> ListingRead<'_> {
        lock(&self.beside).begin(dir.clone());
        ListingRead {
            lists: self,
            dir: dir.clone(),
        }
    }

    /// A listing names these.
    pub fn note(&self, dir: &RemotePath, entries: &[Entry]) {
        let mut beside = lock(&self.beside);
        for entry in entries.iter().filter(|entry| !entry.is_dir) {
            beside.note(dir, &entry.name);
        }
    }

    /// The place of a list that is fetched once.
    fn place(&self, list: &RemotePath) -> Fetched {
        let mut kept = lock(&self.kept);
        if let Some((_, known)) = kept.iter().find(|(path, _)| path == list) {
            return Arc::clone(known);
        }
        let bytes = |kept: &VecDeque<(_, Fetched)>| {
            let each = kept.iter().filter_map(|(_, list)| list.get());
            each.map(|(_, bytes)| bytes).sum::<usize>()
        };
        while kept.len() >= LISTS_MAX || bytes(&kept) > KEPT_MAX {
            kept.pop_front();
        }
        let fetched = Fetched::default();
        kept.push_back((list.clone(), Arc::clone(&fetched)));
        fetched
    }
}

impl Engine {
    /// What a file must hash to by the list that the user gave.
    pub fn given(&self, path: &RemotePath) -> Option<&Digest> {
        self.settings.checksums.as_ref()?.of(path.as_bytes())
    }

    /// What a file must hash to by the list that the user gave; where nothing else is `known` of it, by a published one, or by
    /// the weak digest of a Metalink.
    pub async fn told(&self, task: &FileTask, known: bool) -> Option<Listed> {
        if let Some(given) = &self.settings.checksums {
            if let Some(digest) = self.given(&task.path) {
                return Some(Listed {
                    digest: digest.clone(),
                    word: given.word,
                    differs: Error::Listed {
                        list: given.shown.clone(),
                    },
                });
            }
            given.note_untold(task.path.as_bytes());
        }
        if known {
            return None;
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            told = self.published(&task.path) => told.or_else(|| weak(task)),
        }
    }

    /// The signature that a listing showed beside a file which only published lists prove, or nothing: whoever gets that file is
    /// the one who may want to check it. Not where the same run fetches it anyway, or is to leave it out.
    pub async fn signature(&self, task: &FileTask, how: Verified) -> Option<Arc<Signature>> {
        let listed = match how {
            Verified::Listed(word) => word != METALINK,
            how => how == Verified::Unverified,
        };
        if !listed || self.given(&task.path).is_some() || task.signature.is_some() {
            return task.signature.clone();
        }
        let read = async {
            self.listing_read(&task.path.parent()).await;
            let end = lock(&self.lists.beside).signature(&task.path)?;
            let name = [task.path.name(), end.as_bytes()].concat();
            let path = task.path.parent().join(&name).ok()?;
            if self.look(|schedule| schedule.tree_decides(task.item, &path)) {
                return None;
            }
            let lead = self.lead();
            let why = match self.in_list_time(&lead, &path, SIGNATURE_MAX).await {
                Some(Ok(bytes)) => return Some(Arc::new(Signature { end, bytes })),
                Some(Err(error)) => error.to_string(),
                None => too_slow(),
            };
            tracing::warn!(path = %display_name(path.as_bytes()), "this signature is not here: {why}");
            None
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            read = read => read,
        }
    }

    /// Waits until nobody reads the listing of a directory.
    async fn listing_read(&self, dir: &RemotePath) {
        loop {
            let read = self.lists.read.notified();
            tokio::pin!(read);
            read.as_mut().enable();
            if !lock(&self.lists.beside).is_reading(dir) {
                break;
            }
            read.await;
        }
    }

    async fn published(&self, path: &RemotePath) -> Option<Listed> {
        self.listing_read(&path.parent()).await;
        let candidates = lock(&self.lists.beside).candidates(path);
        for candidate in candidates {
            let one = candidate.published.covers != Covers::Many;
            let table = if one {
                self.fetch(&candidate).await.0
            } else {
                let place = self.lists.place(&candidate.list);
                let fetched = place.get_or_init(|| self.fetch(&candidate)).await;
                Arc::clone(&fetched.0)
            };
            let digest = if one {
                table.of_one(&candidate.name)
            } else {
                table.of(&candidate.name)
            };
            if let Some(digest) = digest {
                return Some(Listed {
                    digest: digest.clone(),
                    word: candidate.published.word,
                    differs: Error::Listed {
                        list: display_name(candidate.list.as_bytes()).into_owned(),
                    },
                });
            }
        }
        None
    }

    fn asking<'a>(&'a self, server: &'a Server) -> Asking<'a> {
        Asking {
            first: &server.origin,
            access: &self.settings.access,
            silence: self.settings.timeout,
            pace: &self.pace,
        }
    }

    /// The whole of a list or a signature; `None` where it takes too long.
    async fn in_list_time(
        &self,
        server: &Server,
        path: &RemotePath,
        max: usize,
    ) -> Option<Result<Vec<u8>, Error>> {
        let held = self.held_back(self.pace.rate(), max as u64);
        let time = TIME_MAX.saturating_add(held);
        in_time(time, self.asking(server).whole(path, max)).await
    }

    /// Fetches a list over a connection of its own. What cannot be had tells nothing.
    async fn fetch(&self, candidate: &Candidate) -> (Arc<Table>, usize) {
        let lead = self.lead();
        let shown = display_name(candidate.list.as_bytes());
        let mut tries = 0;
        let text = loop {
            tries += 1;
            let read = self.in_list_time(&lead, &candidate.list, LIST_MAX).await;
            let why = match read {
                Some(Ok(text)) => break text,
                Some(Err(error)) => {
                    let pause = error.retry_after().unwrap_or_default();
                    if error.is_transient() && tries < TRIES && pause <= TIME_MAX {
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                    error.to_string()
                }
                // It would take as long again.
                None => too_slow(),
            };
            tracing::warn!(path = %shown, "what it lists is not held against it: {why}");
            return (Arc::default(), 0);
        };
        let table = Table::read(&text, candidate.published.algorithm);
        let signed = candidate.signed.map_or_else(String::new, |end| {
            let signature = format!("{shown}{end}");
            format!("; it is signed: gpg --verify {}", shell_word(&signature))
        });
        let files = match table.len() {
            1 => "the digest of 1 file".to_owned(),
            files => format!("the digests of {files} files"),
        };
        let refused = match table.refused {
            0 => String::new(),
            lines => format!(
                ", {} left out",
                units::counted(lines as u64, "line", "lines")
            ),
        };
        tracing::info!(path = %shown, "tells {files}{refused}{signed}");
        (Arc::new(table), text.len())
    }
}

/// Why there is none of what dripped in for too long.
fn too_slow() -> String {
    "its server sends it too slowly".to_owned()
}

/// What a Metalink tells of a file that only accidents are told by.
fn weak(task: &FileTask) -> Option<Listed> {
    let digest = task.named.as_ref()?.weak.clone()?;
    Some(Listed {
        digest,
        word: METALINK_WEAK,
        differs: Error::Listed {
            list: "the Metalink".into(),
        },
    })
}
