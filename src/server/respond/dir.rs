//! Answers to requests for directories: listings, and whole trees as Metalink or tar.

use std::{
    fmt::Write as _,
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

use http::StatusCode;
use rustix::fs::fstat;

use super::{
    Answer, Body, Framing, Output, Request, asked, asks_for,
    chunks::{CHUNK, Chunk, Chunks as _, Made},
    form::{
        listing::{Format, Lister, Source},
        metalink::{self, HashedLink, TreeLink},
        page, tar,
    },
    link::Stop,
    now,
    refusal::{Failure, fail},
};
use crate::{
    http1::{
        conditional::Verdict,
        disposition::attachment,
        fields,
        path::{RemotePath, encode_name},
        response::HeadWriter,
    },
    server::{
        tree::{catalog::blocking, entries::Entries, stamp::Stamp, walk::Walk},
        work::{self, Busy, Place},
    },
};

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

/// A page cannot read what it asks another site for, but it could have a visitor's browser ask for it, login and all.
const OTHER_SITE: Failure = fail(
    StatusCode::FORBIDDEN,
    "the page of another site may not have a tree hashed",
);

/// Asks for the digests of a tree.
const HASH: &[u8] = b"hash";

impl Request<'_> {
    /// Answers a GET or HEAD of a directory.
    pub(in crate::server) async fn dir(
        &self,
        path: RemotePath,
        dir: OwnedFd,
        output: &mut Output,
    ) -> Result<Answer, Stop> {
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
                return Ok(self.refuse(&mut output.bytes, &failure));
            }
        }
        if asks_for(self.head.query, "tar") {
            return self.tar(path, dir, output).await;
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
            head.field(fields::DIR, id);
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
    ) -> Result<Answer, Stop> {
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
            self.shared.sorted.clone(),
            Arc::clone(self.shared.values.known()),
        );
        let place = self.head.authority.unwrap_or_default();
        let place = match String::from_utf8_lossy(place).into_owned() {
            empty if empty.is_empty() => "haul".to_owned(),
            place => place,
        };
        let source = move |dir| {
            let entries = Entries::new(catalog, path, dir)?.sort(&budget)?;
            Ok(Lister::new(entries, format, known, &place))
        };
        self.streamed(output, (work::Kind::Listing, dir), fields, source)
            .await
    }

    /// Every file below a directory, with its URL.
    async fn tree_metalink(
        &self,
        path: RemotePath,
        dir: OwnedFd,
        output: &mut Output,
    ) -> Result<Answer, Stop> {
        let Some(origin) = self.origin() else {
            return Ok(self.refuse(&mut output.bytes, &NO_HOST));
        };
        let name = download_name(&path).to_vec();
        let fields = |head: &mut HeadWriter<'_>| metalink_fields(head, &name);
        let (catalog, budget) = (Arc::clone(self.catalog), self.shared.sorted.clone());
        let known = Arc::clone(self.shared.values.known());
        let source = move |dir| {
            let walk = Walk::new(&catalog, &budget, path.clone(), dir)?;
            Ok(TreeLink::new(walk, known, origin, path))
        };
        if asked(self.head.query, "meta4") == Some(HASH) {
            return self.hashed(&mut output.bytes, dir, fields, source).await;
        }
        self.streamed(output, (work::Kind::Tree, dir), fields, source)
            .await
    }

    /// The same with the digests of all files, for who is logged in: hashing a tree is work that strangers may not ask
    /// for.
    async fn hashed(
        &self,
        out: &mut Vec<u8>,
        dir: OwnedFd,
        fields: impl Fn(&mut HeadWriter<'_>),
        start: impl FnOnce(OwnedFd) -> io::Result<TreeLink> + Send + 'static,
    ) -> Result<Answer, Stop> {
        if !self.logged_in {
            return Ok(self.refuse(out, &NO_LOGIN));
        }
        if self.head.is_from_another_site() {
            return Ok(self.refuse(out, &OTHER_SITE));
        }
        if self.is_head() {
            let mut head = HeadWriter::new(out, StatusCode::OK, now());
            fields(&mut head);
            return Ok(self.end(head));
        }
        let places = self.places(&dir)?;
        let turn = self.link.turn(&places.0).await?;
        let tree = blocking(move || {
            let _turn = turn;
            start(dir)
        });
        let tree = self.link.asked(places.0.mount(), tree).await?;
        let mut link = HashedLink::new(self.shared, tree, Arc::clone(self.catalog), places);
        let Chunk::Bytes(first) = link.next(self.link, &mut Vec::new()).await? else {
            return Err(Stop::Incomplete("an empty Metalink"));
        };
        let mut head = HeadWriter::new(out, StatusCode::OK, now());
        fields(&mut head);
        let (keep, framing) = self.unknown_length(head);
        let body = Body::Stream(first, Box::new(link), framing);
        Ok(Answer { body, keep })
    }

    /// Places to read a tree and to hash its files.
    fn places(&self, dir: &OwnedFd) -> Result<(Place, Place), Busy> {
        let enter = |kind| {
            self.shared
                .work
                .enter(kind, self.catalog.mount_of(dir), self.who)
        };
        Ok((enter(work::Kind::Tree)?, enter(work::Kind::Sha256)?))
    }

    /// Answers with what a source makes: at once where it fits into one buffer, else chunk by chunk.
    async fn streamed<S: Source + 'static>(
        &self,
        output: &mut Output,
        (kind, dir): (work::Kind, OwnedFd),
        fields: impl Fn(&mut HeadWriter<'_>),
        start: impl FnOnce(OwnedFd) -> io::Result<S> + Send + 'static,
    ) -> Result<Answer, Stop> {
        let out = &mut output.bytes;
        if self.is_head() {
            let mut head = HeadWriter::new(out, StatusCode::OK, now());
            fields(&mut head);
            self.haul_dir(&mut head);
            return Ok(self.end(head));
        }
        let mount = self.catalog.mount_of(&dir);
        let place = self.shared.work.enter(kind, mount, self.who)?;
        let turn = self.link.turn(&place).await?;
        let first = blocking(move || {
            let _turn = turn;
            let mut source = start(dir)?;
            let mut chunk = Vec::new();
            let complete = source.fill(&mut chunk, CHUNK)?;
            Ok((source, chunk, complete))
        });
        let (source, chunk, complete) = self.link.asked(mount, first).await?;
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
        let (keep, framing) = self.unknown_length(head);
        let made = Made::new(Box::new(source), place);
        Ok(Answer {
            body: Body::Stream(chunk, Box::new(made), framing),
            keep,
        })
    }

    /// Ends the head of a body whose length is not known: whether the connection may go on, and how the body is framed.
    /// HTTP/1.0 knows no chunks: there the connection's end is the body's.
    fn unknown_length(&self, mut head: HeadWriter<'_>) -> (bool, Framing) {
        let chunked = !self.head.http10;
        let keep = self.keep && chunked;
        if chunked {
            head.field("Transfer-Encoding", "chunked");
        }
        head.connection(keep, self.head.http10);
        head.end();
        let framing = if chunked {
            Framing::Chunked
        } else {
            Framing::Close
        };
        (keep, framing)
    }

    /// Everything below a directory, as a tar file.
    async fn tar(
        &self,
        path: RemotePath,
        dir: OwnedFd,
        output: &mut Output,
    ) -> Result<Answer, Stop> {
        let fields = |head: &mut HeadWriter<'_>, path: &RemotePath| {
            let name = [download_name(path), b".tar".as_slice()].concat();
            head.field("Content-Type", tar::MEDIA_TYPE)
                .field("Content-Disposition", &attachment(&name));
        };
        let out = &mut output.bytes;
        if self.is_head() {
            let mut head = HeadWriter::new(out, StatusCode::OK, now());
            fields(&mut head, &path);
            return Ok(self.end(head));
        }
        let mount = self.catalog.mount_of(&dir);
        let place = self.shared.work.enter(work::Kind::Tree, mount, self.who)?;
        let turn = self.link.turn(&place).await?;
        let (catalog, budget) = (Arc::clone(self.catalog), self.shared.sorted.clone());
        let from = path.clone();
        let first = blocking(move || {
            let _turn = turn;
            let own = Stamp::of(&fstat(dir.as_fd())?);
            let walk = Walk::new(&catalog, &budget, from.clone(), dir)?;
            let mut first = Vec::new();
            let tar = tar::Tar::begin(catalog, walk, &from, &own, &mut first);
            Ok((tar, first))
        });
        let (tar, first) = self.link.asked(mount, first).await?;
        let mut head = HeadWriter::new(out, StatusCode::OK, now());
        fields(&mut head, &path);
        let (keep, framing) = self.unknown_length(head);
        let body = Body::Stream(first, Box::new(tar::Sent::new(tar, place)), framing);
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
