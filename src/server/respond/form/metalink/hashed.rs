//! The Metalink of a tree whose files are hashed for it: one after the other, at the price of one place in the queue.

use std::{io, io::Write as _, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{FileLink, TreeFile, TreeLink};
use crate::{
    error::reason,
    escape::display_name,
    pieces::PIECE,
    server::{
        Shared,
        digests::{Kind, Place},
        tree::catalog::{Catalog, Found, FoundFile, blocking, is_not_found},
    },
};

/// How long nothing may go out while a file is hashed, before an empty line does: many clients give up after a minute.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The Metalink of a tree with the digests of all its files and of their pieces.
pub struct HashedLink {
    tree: TreeLink,
    catalog: Arc<Catalog>,
    place: Arc<Place>,
    /// The file that is hashed now.
    hashing: Option<Hashing>,
    /// Files that could not be hashed.
    without: u64,
}

struct Hashing {
    file: TreeFile,
    link: FileLink,
    /// Its element so far: it is only told once all of it is right.
    text: String,
}

/// Where one reading of the tree stopped.
enum Step {
    Full,
    Hash(TreeFile, FoundFile),
    End,
}

/// What goes out next, and what it comes from.
pub type Next = (Box<HashedLink>, Vec<u8>, bool);

impl HashedLink {
    /// Every file that `tree` finds in `catalog`, hashed in its turn; `place` is held to the end.
    pub fn new(tree: TreeLink, catalog: Arc<Catalog>, place: Place) -> Box<Self> {
        Box::new(Self {
            tree,
            catalog,
            place: Arc::new(place),
            hashing: None,
            without: 0,
        })
    }

    /// The next bytes, never none, and whether they are the last. What is known goes out before a large file is hashed.
    pub async fn next(
        mut self: Box<Self>,
        shared: &Shared,
        mut out: Vec<u8>,
        size: usize,
    ) -> io::Result<Next> {
        while out.len() < size {
            if let Some(hashing) = self.hashing.take() {
                self.hash(hashing, &mut out).await;
                if self.hashing.is_some() {
                    return Ok((self, out, false));
                }
            }
            let permit = shared.listings.acquire().await.map_err(io::Error::other)?;
            let (this, bytes, step) = blocking(move || {
                let step = self.fill(&mut out, size)?;
                Ok((self, out, step))
            })
            .await?;
            drop(permit);
            (self, out) = (this, bytes);
            match step {
                Step::Full => {}
                Step::End => return Ok((self, out, true)),
                Step::Hash(file, found) => {
                    let is_large = file.size > PIECE;
                    self.hashing = Some(self.prepare(file, found, shared).await);
                    if is_large && !out.is_empty() {
                        return Ok((self, out, false));
                    }
                }
            }
        }
        Ok((self, out, false))
    }

    /// Reads on to the next file whose digest is not known. Blocks on the disk.
    fn fill(&mut self, out: &mut Vec<u8>, size: usize) -> io::Result<Step> {
        self.tree.begin(out);
        while out.len() < size {
            let Some(mut file) = self.tree.next_file()? else {
                if self.without > 0 {
                    writeln!(out, "  <!-- could not be hashed: {} -->", self.without)?;
                }
                self.tree.end(out)?;
                return Ok(Step::End);
            };
            let known = self.tree.known.look(&file.stamp).sha256;
            if let (Some(digest), true) = (known, file.size <= PIECE) {
                out.extend_from_slice(self.tree.element(&file, Some(digest)).as_bytes());
                continue;
            }
            match self.catalog.find_blocking(&file.path) {
                Ok(Found::File(found)) => {
                    (file.size, file.stamp) = (found.stamp.size, found.stamp);
                    return Ok(Step::Hash(file, found));
                }
                // It became something else, or vanished.
                Ok(Found::Dir(_)) => {}
                Err(error) if is_not_found(&error) => {}
                Err(error) => self.give_up(&file, &error, out),
            }
        }
        Ok(Step::Full)
    }

    async fn prepare(&mut self, file: TreeFile, found: FoundFile, shared: &Shared) -> Hashing {
        let etag = found.stamp.etag();
        let values = &shared.values;
        let stream = values
            .stream_at(Kind::Sha256, found, &etag, &self.place)
            .await;
        let (pieces, link) = FileLink::one(stream, file.size);
        let text = self.tree.file_begin(&file) + &pieces;
        Hashing { file, link, text }
    }

    /// Takes the digests of the file as they come; where they take long, adds an empty line and lets it go on later.
    async fn hash(&mut self, mut hashing: Hashing, out: &mut Vec<u8>) {
        let until = Instant::now() + SIGN_OF_LIFE;
        loop {
            match timeout_at(until, hashing.link.next()).await {
                Ok(Ok(Some(more))) => hashing.text.push_str(&String::from_utf8_lossy(&more)),
                Ok(Ok(None)) => {
                    out.extend_from_slice(hashing.text.as_bytes());
                    return;
                }
                Ok(Err(error)) => {
                    self.give_up(&hashing.file, &error, out);
                    return;
                }
                Err(_) => {
                    out.push(b'\n');
                    self.hashing = Some(hashing);
                    return;
                }
            }
        }
    }

    /// Lists a file without digests.
    fn give_up(&mut self, file: &TreeFile, error: &io::Error, out: &mut Vec<u8>) {
        self.without += 1;
        let path = display_name(file.path.as_bytes());
        tracing::warn!("not hashed for a Metalink: {path}: {}", reason(error));
        out.extend_from_slice(self.tree.element(file, None).as_bytes());
    }
}
