//! Answers to requests for directories: listings, and whole trees as Metalink or tar.

use std::{
    fmt::Write as _,
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

use http::StatusCode;
use rustix::fs::fstat;

use super::{Answer, Body, Failure, Request, asked, asks_for, fail, now, of_busy};
use crate::{
    http1::{
        conditional::Verdict,
        disposition::attachment,
        path::{RemotePath, encode_name},
        response::HeadWriter,
    },
    server::{
        Shared,
        connection::{Output, Tree},
        digests::Kind,
        respond::form::listing::{Format, Lister, Source},
        respond::form::metalink::{self, HashedLink, TreeLink},
        respond::form::page,
        respond::form::tar,
        tree::catalog::{Stamp, blocking},
        tree::entries::Entries,
        tree::walk::Walk,
    },
};

/// Bodies up to this size are sent with their length, larger ones in chunks, in bytes.
const BUFFER: usize = 64 * 1024;

/// What decides which form of a listing comes.
const VARY: &str = "Accept, User-Agent";

/// Metalinks hold whole URLs.
pub(in crate::server) const NO_HOST: Failure = fail(
    StatusCode::BAD_REQUEST,
    "a Metalink needs a Host field to name its URLs",
);

/// Digests of a whole tree cost their reader nothing and this machine much.
const NO_LOGIN: Failure = fail(
    StatusCode::FORBIDDEN,
    "only who is logged in may have a tree hashed: ask for ?meta4 without =hash, or for one file",
);

/// Asks for the digests of a tree.
const HASH: &[u8] = b"hash";

/// A body that did not fit into one buffer; its beginning stands in `chunk`.
pub struct Listing {
    maker: Maker,
    chunk: Vec<u8>,
    /// Whether the body is framed in chunks rather than by the connection's end.
    pub chunked: bool,
}

/// What makes a listing.
enum Maker {
    /// Reading directories.
    Read(Box<dyn Source>),
    /// Hashing files.
    Hash(Box<HashedLink>),
}

impl Listing {
    /// Whether it may take long: files are hashed for it.
    pub fn is_slow(&self) -> bool {
        matches!(self.maker, Maker::Hash(_))
    }

    /// The next bytes, and whether they are the last.
    pub async fn next(self, shared: &Shared, size: usize) -> io::Result<(Self, Vec<u8>, bool)> {
        let chunked = self.chunked;
        let (maker, made, last) = match self.maker {
            Maker::Read(source) => read(source, self.chunk, shared, size).await?,
            Maker::Hash(link) => {
                let (link, made, last) = link.next(shared, self.chunk, size).await?;
                (Maker::Hash(link), made, last)
            }
        };
        let next = Self {
            maker,
            chunk: Vec::new(),
            chunked,
        };
        Ok((next, made, last))
    }
}

async fn read(
    mut source: Box<dyn Source>,
    mut chunk: Vec<u8>,
    shared: &Shared,
    size: usize,
) -> io::Result<(Maker, Vec<u8>, bool)> {
    let _permit = shared.listings.acquire().await.map_err(io::Error::other)?;
    blocking(move || {
        let last = source.fill(&mut chunk, size)?;
        Ok((Maker::Read(source), chunk, last))
    })
    .await
}

impl Request<'_> {
    /// Answers a GET or HEAD of a directory.
    pub(in crate::server) async fn dir(
        &self,
        path: RemotePath,
        dir: OwnedFd,
        output: &mut Output,
    ) -> io::Result<Answer> {
        if !path.is_dir() {
            return Ok(self.redirect(&mut output.bytes, &path));
        }
        match self.head.conditions.evaluate(None) {
            Verdict::Proceed => {}
            Verdict::NotModified => {
                let mut head = HeadWriter::new(&mut output.bytes, StatusCode::NOT_MODIFIED, now());
                if !asks_for(self.head.query, "tar") && !asks_for(self.head.query, "meta4") {
                    head.field("Vary", VARY);
                }
                return Ok(self.end(head));
            }
            Verdict::Failed => {
                let failure = fail(StatusCode::PRECONDITION_FAILED, "no such entity tag");
                return Ok(self.error(&mut output.bytes, &failure));
            }
        }
        if asks_for(self.head.query, "tar") {
            return self.tar(path, dir, &mut output.bytes).await;
        }
        if asks_for(self.head.query, "meta4") {
            return self.tree_metalink(path, dir, output).await;
        }
        self.listing(path, dir, output).await
    }

    /// A directory without its slash: relative references in its listing would go wrong.
    fn redirect(&self, out: &mut Vec<u8>, path: &RemotePath) -> Answer {
        let query = match asked(self.head.query, "meta4") {
            _ if asks_for(self.head.query, "tar") => Some("tar"),
            Some(HASH) => Some("meta4=hash"),
            Some(_) => Some("meta4"),
            None => None,
        };
        let (mark, query) = query.map_or(("", ""), |query| ("?", query));
        let mut head = HeadWriter::new(out, StatusCode::MOVED_PERMANENTLY, now());
        head.field_fmt(
            "Location",
            format_args!("{}/{mark}{query}", encode_name(path.name())),
        )
        .field("Content-Length", "0");
        self.haul_dir(&mut head);
        self.end(head)
    }

    /// Tells a haul client of this machine which directory this is, so that it does not download into it. Nobody else can
    /// use it, but to tell that two addresses are those of one machine.
    pub(in crate::server) fn haul_dir(&self, head: &mut HeadWriter<'_>) {
        if let Some(id) = self.catalog.id().filter(|_| self.is_local) {
            head.field("Haul-Dir", id);
        }
    }

    /// Scheme and authority under which the client reached the server; the authority was checked with the head.
    pub(in crate::server) fn origin(&self) -> Option<String> {
        let authority = std::str::from_utf8(self.head.authority?).ok()?;
        if authority.is_empty() {
            return None;
        }
        let mut origin = format!("{}://{authority}", self.scheme);
        // wget2 1 leaves the port out, against RFC 9110 §7.2; from others no port means the scheme's.
        let agent = self.head.user_agent.unwrap_or_default();
        let usual = if self.scheme == "https" { 443 } else { 80 };
        if agent.starts_with(b"wget2/1.") && !authority.contains(':') && self.port != usual {
            let _ = write!(origin, ":{}", self.port);
        }
        Some(origin)
    }

    async fn listing(
        &self,
        path: RemotePath,
        dir: OwnedFd,
        output: &mut Output,
    ) -> io::Result<Answer> {
        let format = Format::choose(&self.head.accept, self.head.user_agent);
        let fields = |head: &mut HeadWriter<'_>| {
            head.field("Content-Type", format.content_type())
                .field("Vary", VARY);
            if format == Format::Html {
                head.field("Content-Security-Policy", page::policy())
                    .field("Referrer-Policy", "no-referrer");
            }
        };
        let catalog = Arc::clone(self.catalog);
        let (budget, known) = (
            Arc::clone(&self.shared.sorted),
            Arc::clone(self.shared.values.known()),
        );
        let place = self.head.authority.unwrap_or_default();
        let place = match String::from_utf8_lossy(place).into_owned() {
            empty if empty.is_empty() => "haul".to_owned(),
            place => place,
        };
        let source = move || {
            let entries = Entries::new(catalog, path, dir)?.sort(&budget)?;
            Ok(Lister::new(entries, format, known, &place))
        };
        self.streamed(output, fields, source).await
    }

    /// Every file below a directory, with its URL.
    async fn tree_metalink(
        &self,
        path: RemotePath,
        dir: OwnedFd,
        output: &mut Output,
    ) -> io::Result<Answer> {
        let Some(origin) = self.origin() else {
            return Ok(self.error(&mut output.bytes, &NO_HOST));
        };
        let name = download_name(&path).to_vec();
        let fields = |head: &mut HeadWriter<'_>| metalink_fields(head, &name);
        let (catalog, budget) = self.tree_parts();
        let known = Arc::clone(self.shared.values.known());
        let source = move || {
            let walk = Walk::new(&catalog, &budget, path.clone(), dir)?;
            Ok(TreeLink::new(walk, known, origin, path))
        };
        if asked(self.head.query, "meta4") == Some(HASH) {
            return self.hashed(&mut output.bytes, fields, source).await;
        }
        self.streamed(output, fields, source).await
    }

    /// The same with the digests of all files, for who is logged in: hashing a tree is work that strangers may not ask
    /// for.
    async fn hashed(
        &self,
        out: &mut Vec<u8>,
        fields: impl Fn(&mut HeadWriter<'_>),
        start: impl FnOnce() -> io::Result<TreeLink> + Send + 'static,
    ) -> io::Result<Answer> {
        if !self.logged_in {
            return Ok(self.error(out, &NO_LOGIN));
        }
        if self.is_head() {
            let mut head = HeadWriter::new(out, StatusCode::OK, now());
            fields(&mut head);
            return Ok(self.end(head));
        }
        let place = match self.shared.values.place(Kind::Sha256, self.who) {
            Ok(place) => place,
            Err(busy) => return Ok(self.error(out, &of_busy(busy))),
        };
        let tree = blocking(start).await?;
        let mut head = HeadWriter::new(out, StatusCode::OK, now());
        fields(&mut head);
        let (keep, chunked) = self.unknown_length(head);
        let body = Body::Listing(Listing {
            maker: Maker::Hash(HashedLink::new(tree, Arc::clone(self.catalog), place)),
            chunk: Vec::new(),
            chunked,
        });
        Ok(Answer { body, keep })
    }

    fn tree_parts(
        &self,
    ) -> (
        Arc<crate::server::tree::catalog::Catalog>,
        Arc<tokio::sync::Semaphore>,
    ) {
        (Arc::clone(self.catalog), Arc::clone(&self.shared.sorted))
    }

    /// Answers with what a source makes: at once where it fits into one buffer, else chunk by chunk.
    async fn streamed<S: Source + 'static>(
        &self,
        output: &mut Output,
        fields: impl Fn(&mut HeadWriter<'_>),
        start: impl FnOnce() -> io::Result<S> + Send + 'static,
    ) -> io::Result<Answer> {
        let out = &mut output.bytes;
        if self.is_head() {
            let mut head = HeadWriter::new(out, StatusCode::OK, now());
            fields(&mut head);
            self.haul_dir(&mut head);
            return Ok(self.end(head));
        }
        let permit = self.shared.listings.acquire().await;
        let (source, chunk, complete) = blocking(move || {
            let mut source = start()?;
            let mut chunk = Vec::new();
            let complete = source.fill(&mut chunk, BUFFER)?;
            Ok((source, chunk, complete))
        })
        .await?;
        drop(permit);
        let mut head = HeadWriter::new(out, StatusCode::OK, now());
        fields(&mut head);
        self.haul_dir(&mut head);
        if complete {
            head.field_fmt("Content-Length", format_args!("{}", chunk.len()))
                .connection(self.keep, self.head.http10);
            head.end().extend_from_slice(&chunk);
            output.has_bodies = true;
            return Ok(self.written());
        }
        let (keep, chunked) = self.unknown_length(head);
        let body = Body::Listing(Listing {
            maker: Maker::Read(Box::new(source)),
            chunk,
            chunked,
        });
        Ok(Answer { body, keep })
    }

    /// Ends the head of a body whose length is not known: whether the connection may go on, and whether the body comes
    /// in chunks. HTTP/1.0 knows none: there the connection's end is the body's.
    fn unknown_length(&self, mut head: HeadWriter<'_>) -> (bool, bool) {
        let chunked = !self.head.http10;
        let keep = self.keep && chunked;
        if chunked {
            head.field("Transfer-Encoding", "chunked");
        }
        head.connection(keep, self.head.http10);
        head.end();
        (keep, chunked)
    }

    /// Everything below a directory, as a tar file.
    async fn tar(&self, path: RemotePath, dir: OwnedFd, out: &mut Vec<u8>) -> io::Result<Answer> {
        let mut head = HeadWriter::new(out, StatusCode::OK, now());
        let name = download_name(&path);
        head.field("Content-Type", tar::MEDIA_TYPE).field(
            "Content-Disposition",
            &attachment(&[name, b".tar".as_slice()].concat()),
        );
        if self.is_head() {
            return Ok(self.end(head));
        }
        let (keep, chunked) = self.unknown_length(head);
        let (catalog, budget) = self.tree_parts();
        let permit = self.shared.listings.acquire().await;
        let (tar, chunk) = blocking(move || {
            let own = Stamp::of(&fstat(dir.as_fd())?);
            let walk = Walk::new(&catalog, &budget, path.clone(), dir)?;
            let mut chunk = Vec::new();
            let tar = tar::Tar::begin(catalog, walk, &path, &own, &mut chunk);
            Ok((tar, chunk))
        })
        .await?;
        drop(permit);
        let body = Body::Tree(Tree {
            tar,
            chunk,
            chunked,
        });
        Ok(Answer { body, keep })
    }
}

/// What a download of a whole directory is called, before the dot; the root shows its own name to nobody.
fn download_name(path: &RemotePath) -> &[u8] {
    if path.is_root() {
        b"files"
    } else {
        path.name()
    }
}

/// The fields of a Metalink. Without a name of its own, aria2 would store it under that of the file it is about.
pub(in crate::server) fn metalink_fields(head: &mut HeadWriter<'_>, name: &[u8]) {
    let name = [name, b".meta4"].concat();
    head.field("Content-Type", metalink::MEDIA_TYPE)
        .field("Content-Disposition", &attachment(&name));
}
