//! The Metalink of a tree whose files are hashed for it: one after the other, at the price of one place in the queue.

use std::{io, io::Write as _, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{END, FileLink, TreeFile, TreeLink};
use crate::{
    escape::display_name,
    exit::reason,
    pieces::PIECE,
    server::{
        digests::{Kind, Place},
        people::taken::SmallFile,
        respond::{
            chunks::{CHUNK, Chunk, Chunks, Next},
            link::{Link, Stop},
        },
        shared::Shared,
        tree::{
            catalog::{Catalog, blocking, is_gone},
            found::{Found, FoundFile},
        },
    },
};

/// How long nothing may go out while a file is hashed, before an empty line does: many clients give up after a minute.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The Metalink of a tree with the digests of all its files and of their pieces.
pub struct HashedLink {
    /// Away only while a thread works on it.
    reading: Option<Reading>,
    shared: Arc<Shared>,
    /// Among those who read directories.
    listing: Place,
    /// Among those whose files are hashed.
    hashing: Arc<Place>,
    /// The file that is hashed now.
    file: Option<Hashing>,
    ended: bool,
}

/// What reads the tree.
struct Reading {
    tree: TreeLink,
    catalog: Arc<Catalog>,
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
    Hash(Box<(TreeFile, FoundFile)>),
    End,
}

impl HashedLink {
    /// Every file that `tree` finds in `catalog`, hashed in its turn; both places are held to the end.
    pub fn new(
        shared: &Arc<Shared>,
        tree: TreeLink,
        catalog: Arc<Catalog>,
        (listing, hashing): (Place, Place),
    ) -> Self {
        Self {
            reading: Some(Reading {
                tree,
                catalog,
                without: 0,
            }),
            shared: Arc::clone(shared),
            listing,
            hashing: Arc::new(hashing),
            file: None,
            ended: false,
        }
    }

    /// The next bytes, never none but at the end. What is known goes out before a large file is hashed.
    async fn more(&mut self, link: Link<'_>) -> Result<Vec<u8>, Stop> {
        let mut out = Vec::new();
        while out.len() < CHUNK && !self.ended {
            if let Some(hashing) = self.file.take() {
                link.unless_gone(self.hash(hashing, &mut out)).await?;
                if self.file.is_some() {
                    return Ok(out);
                }
            }
            let Some(mut reading) = self.reading.take() else {
                return Ok(out);
            };
            let turn = link.turn(&self.listing).await?;
            let filled = blocking(move || {
                let _turn = turn;
                let step = reading.fill(&mut out, CHUNK)?;
                Ok((reading, out, step))
            });
            let (reading, bytes, step) = link.asked(self.listing.mount(), filled).await?;
            out = bytes;
            match step {
                // As for the tree without digests, it breaks off behind this.
                Step::Full if reading.tree.left_out > 0 => {
                    self.reading = Some(reading);
                    return Ok(out);
                }
                Step::Full => {}
                Step::End => self.ended = true,
                Step::Hash(next) => {
                    let (file, found) = *next;
                    let is_large = file.size > PIECE;
                    let text = reading.tree.file_begin(&file);
                    self.file = Some(self.prepare(text, file, found).await);
                    if is_large && !out.is_empty() {
                        self.reading = Some(reading);
                        return Ok(out);
                    }
                }
            }
            self.reading = Some(reading);
        }
        Ok(out)
    }

    async fn prepare(&mut self, begin: String, file: TreeFile, found: FoundFile) -> Hashing {
        let etag = found.stamp.etag();
        let values = &self.shared.values;
        let stream = values.stream_at(Kind::Sha256, found, &etag, &self.hashing);
        let (pieces, link) = FileLink::one(stream.await, file.size);
        let text = begin + &pieces;
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
                    if let Some(reading) = &mut self.reading {
                        reading.give_up(&hashing.file, &error, out);
                    }
                    return;
                }
                Err(_) => {
                    out.push(b'\n');
                    self.file = Some(hashing);
                    return;
                }
            }
        }
    }
}

impl Chunks for HashedLink {
    fn next<'a>(&'a mut self, link: Link<'a>, _: &'a mut Vec<SmallFile>) -> Next<'a> {
        Box::pin(async move {
            let bytes = self.more(link).await?;
            Ok(if bytes.is_empty() {
                Chunk::End
            } else {
                Chunk::Bytes(bytes)
            })
        })
    }
}

impl Reading {
    /// Reads on to the next file whose digest is not known. Blocks on the disk.
    fn fill(&mut self, out: &mut Vec<u8>, size: usize) -> io::Result<Step> {
        self.tree.begin(out);
        while out.len() < size {
            let Some(mut file) = self.tree.next_file()? else {
                if self.tree.breaks_off(out)? {
                    return Ok(Step::Full);
                }
                if self.without > 0 {
                    writeln!(out, "  <!-- could not be hashed: {} -->", self.without)?;
                }
                out.extend_from_slice(END.as_bytes());
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
                    return Ok(Step::Hash(Box::new((file, found))));
                }
                // It became something else, or vanished.
                Ok(Found::Dir(_)) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => self.give_up(&file, &error, out),
            }
        }
        Ok(Step::Full)
    }

    /// Lists a file without digests.
    fn give_up(&mut self, file: &TreeFile, error: &io::Error, out: &mut Vec<u8>) {
        self.without += 1;
        let path = display_name(file.path.as_bytes());
        tracing::warn!("not hashed for a Metalink: {path}: {}", reason(error));
        out.extend_from_slice(self.tree.element(file, None).as_bytes());
    }
}
