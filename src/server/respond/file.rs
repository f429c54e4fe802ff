//! Answers to requests for files: conditions, ranges, small files from one buffer, chaining values.

use std::{borrow::Cow, ops::Range, time::Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;

use super::{
    Answer, Body, Output, Parts, Request, asks_for, fail, form::metalink, kind, link::Stop, now,
    refusal::BEING_CHANGED, small::append,
};
use crate::{
    http1::{
        conditional::{Validators, Verdict},
        date,
        disposition::attachment,
        fields,
        multipart::Multipart,
        path::RemotePath,
        range::Ranges,
        response::HeadWriter,
    },
    server::{
        people::taken::SmallFile,
        tree::found::{Found, FoundFile, Since},
        work,
    },
};

/// Files up to this size are sent from the output buffer rather than by a call of their own, in bytes.
const INLINE: u64 = 16 * 1024;
/// The same for requests of the haul client, whose small files are hashed from the same buffer.
const INLINE_HAUL: u64 = 1 << 20;
/// How often a small file that changes while it is read is tried again.
const ATTEMPTS: usize = 3;
/// What stands for a BLAKE3 digest in hexadecimal until it is known.
const DIGEST_PLACE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A file that was found, and what its answer's head is made of.
pub(super) struct FileAnswer {
    pub(super) path: RemotePath,
    pub(super) found: FoundFile,
    pub(super) etag: String,
    pub(super) modified: u64,
    /// Its media type.
    kind: Cow<'static, str>,
    /// The digest of its content, where it is known.
    sha256: Option<[u8; 32]>,
}

impl Request<'_> {
    /// Answers a GET or HEAD of a file.
    pub(in crate::server) async fn file(
        &self,
        path: RemotePath,
        found: FoundFile,
        output: &mut Output,
    ) -> Result<Answer, Stop> {
        let now = now();
        let etag = found.stamp.etag();
        let out = &mut output.bytes;
        let file = FileAnswer {
            sha256: self.shared.values.look(&found, &etag).await.sha256,
            etag,
            // A date in the future would be no date at all (RFC 9110 §8.8.2.1).
            modified: date::seconds(found.stamp.modified()).min(now),
            kind: kind::of(&found, path.name(), self.link).await?,
            path,
            found,
        };
        match self.head.conditions.evaluate(Some(&file.known(now))) {
            Verdict::Proceed => {}
            Verdict::NotModified => {
                let mut head = HeadWriter::new(out, StatusCode::NOT_MODIFIED, now);
                file.validators(&mut head);
                return Ok(self.end(head));
            }
            Verdict::Failed => {
                let failure = fail(StatusCode::PRECONDITION_FAILED, "the file changed");
                return Ok(self.refuse(out, &failure));
            }
        }
        match Asked::of(self.head.query) {
            Asked::Pieces => self.pieces(file, out, now).await,
            Asked::Blocks(pieces) => self.blocks(file, pieces, out, now).await,
            Asked::Metalink => self.metalink(file, out, now).await,
            Asked::Content => self.content(file, output, now).await,
        }
    }

    /// What is in a file, or ranges of it.
    async fn content(
        &self,
        file: FileAnswer,
        output: &mut Output,
        now: u64,
    ) -> Result<Answer, Stop> {
        let (out, size) = (&mut output.bytes, file.found.stamp.size);
        let counts = || (self.head.conditions).range_counts(&file.known(now));
        let ranges = match self.head.range {
            Some(range) if !self.is_head() && counts() => Ranges::parse(range, size),
            _ => Ranges::Whole,
        };
        match ranges {
            // A client that does not know the size yet asks for a range, and is told the digest all the same.
            Ranges::Unsatisfiable if size == 0 && self.head.haul_session.is_some() => {
                self.send_whole(file, output, now).await
            }
            Ranges::Single(range)
                if range == (0..size)
                    && size <= INLINE_HAUL
                    && self.head.haul_session.is_some() =>
            {
                self.send_hashed(file, Some(range), out, now).await
            }
            Ranges::Unsatisfiable => Ok(self.unsatisfiable(out, size, now)),
            Ranges::Single(range) => Ok(self.send(file, Some(range), None, out, now)),
            Ranges::Several(ranges) => {
                let kind = file.kind.clone();
                match Multipart::new(ranges, size, kind, fastrand::u128(..)) {
                    Some(body) => Ok(self.send_parts(file, body, out, now)),
                    None => self.send_whole(file, output, now).await,
                }
            }
            Ranges::Whole => self.send_whole(file, output, now).await,
        }
    }

    /// All of a file: from a buffer where it is small.
    async fn send_whole(
        &self,
        file: FileAnswer,
        output: &mut Output,
        now: u64,
    ) -> Result<Answer, Stop> {
        let (out, size) = (&mut output.bytes, file.found.stamp.size);
        let inline = match self.head.haul_session {
            Some(_) => INLINE_HAUL,
            None => INLINE,
        };
        if self.is_head() && self.head.haul_session.is_some() && size <= INLINE_HAUL {
            // The client may have the very content already.
            self.send_hashed(file, None, out, now).await
        } else if self.is_head() || size > inline {
            Ok(self.send(file, None, None, out, now))
        } else if self.reserve(size, output) {
            self.send_small(file, output, now).await
        } else {
            self.send_hashed(file, None, &mut output.bytes, now).await
        }
    }

    fn unsatisfiable(&self, out: &mut Vec<u8>, size: u64, now: u64) -> Answer {
        let mut head = HeadWriter::new(out, StatusCode::RANGE_NOT_SATISFIABLE, now);
        head.field_fmt("Content-Range", format_args!("bytes */{size}"))
            .field("Content-Length", "0");
        self.end(head)
    }

    /// A head for a body that goes out by itself; none follows a HEAD.
    fn send(
        &self,
        file: FileAnswer,
        range: Option<Range<u64>>,
        digest: Option<blake3::Hash>,
        out: &mut Vec<u8>,
        now: u64,
    ) -> Answer {
        let size = file.found.stamp.size;
        let status = match range {
            Some(_) => StatusCode::PARTIAL_CONTENT,
            None => StatusCode::OK,
        };
        let mut head = HeadWriter::new(out, status, now);
        if let Some(Range { start, end }) = &range {
            head.field_fmt(
                "Content-Range",
                format_args!("bytes {start}-{}/{size}", end - 1),
            );
        }
        let range = range.unwrap_or(0..size);
        self.file_fields(&mut head, &file, &file.kind, range.end - range.start);
        if let Some(digest) = digest {
            head.field(fields::BLAKE3, &digest.to_hex());
        }
        head.connection(self.keep, self.head.http10);
        head.end();
        if self.is_head() {
            return self.written();
        }
        let flow = self
            .client
            .taken()
            .begin(&file.path, &file.etag, size, range.clone());
        Answer {
            body: Body::File(file.found, range, flow),
            keep: self.keep,
        }
    }

    /// Several ranges as one body (RFC 9110 §15.3.7.2); each part has its range in a head of its own.
    fn send_parts(&self, file: FileAnswer, body: Multipart, out: &mut Vec<u8>, now: u64) -> Answer {
        let mut head = HeadWriter::new(out, StatusCode::PARTIAL_CONTENT, now);
        self.file_fields(&mut head, &file, &body.content_type(), body.length());
        head.connection(self.keep, self.head.http10);
        head.end();
        Answer {
            body: Body::Parts(Parts {
                found: file.found,
                path: file.path,
                etag: file.etag,
                body,
            }),
            keep: self.keep,
        }
    }

    /// Reserves memory for a small file's place in the output. The smallest need none: a buffer holds few of them.
    fn reserve(&self, size: u64, output: &mut Output) -> bool {
        if size <= INLINE {
            return true;
        }
        let held = self.shared.buffered.take(size as usize);
        held.map(|held| output.held.push(held)).is_some()
    }

    /// A small file for HEAD, as a range, or while too many clients are slow to take theirs: hashed first, then sent
    /// like a large one.
    async fn send_hashed(
        &self,
        mut file: FileAnswer,
        range: Option<Range<u64>>,
        out: &mut Vec<u8>,
        now: u64,
    ) -> Result<Answer, Stop> {
        let values = &self.shared.values;
        if let Some(digest) = values.known_digest(&file.found, &file.etag) {
            return Ok(self.send(file, range, Some(digest), out, now));
        }
        let place = match self
            .shared
            .work
            .enter(work::Kind::Small, file.found.mount, self.who)
        {
            Ok(place) => place,
            Err(busy) => return Ok(self.refuse(out, &busy.into())),
        };
        let turn = self.link.turn(&place).await?;
        let mount = file.found.mount;
        let digest = values.digest(file.found, &file.etag, turn);
        let (found, digest) = match self.link.asked(mount, digest).await {
            Ok(done) => done,
            // What the system did not say: it was found to be changed.
            Err(Stop::Io(error)) if error.raw_os_error().is_none() => {
                return Ok(self.refuse(out, &BEING_CHANGED));
            }
            Err(stop) => return Err(stop),
        };
        file.found = found;
        Ok(self.send(file, range, Some(digest), out, now))
    }

    /// Head and body at once, from one buffer that was read whole.
    async fn send_small(
        &self,
        mut file: FileAnswer,
        output: &mut Output,
        now: u64,
    ) -> Result<Answer, Stop> {
        let started = Instant::now();
        let (out, files) = (&mut output.bytes, &mut output.files);
        let before = out.len();
        for _ in 0..ATTEMPTS {
            let size = file.found.stamp.size;
            let mut head = HeadWriter::new(out, StatusCode::OK, now);
            self.file_fields(&mut head, &file, &file.kind, size);
            // The digest goes in front of the bytes that it is made from: its place is kept until they are there.
            let digest = self.head.haul_session.map(|_| {
                head.field(fields::BLAKE3, DIGEST_PLACE);
                head.len() - "\r\n".len() - DIGEST_PLACE.len()
            });
            head.connection(self.keep, self.head.http10);
            let out = head.end();
            let body = out.len();
            let settled = file.found.stamp.is_settled();
            let (found, since) = append(file.found, out, self.link).await?;
            file.found = found;
            if since != Since::Changed {
                if let Some(at) = digest {
                    let digest = blake3::hash(&out[body..]);
                    if settled && since == Since::Same {
                        self.shared.values.learn(&file.etag, digest);
                    }
                    let hex = digest.to_hex();
                    out[at..at + hex.len()].copy_from_slice(hex.as_bytes());
                }
                output.has_bodies = true;
                files.push(SmallFile {
                    path: file.path,
                    size,
                    started,
                });
                return Ok(self.written());
            }
            // It changed under the reader, and nothing of it has left yet.
            out.truncate(before);
            match self.find(&file.path).await? {
                Found::File(found) if found.stamp.size <= INLINE_HAUL => {
                    file.etag = found.stamp.etag();
                    file.modified = date::seconds(found.stamp.modified()).min(now);
                    file.sha256 = None;
                    file.found = found;
                }
                _ => break,
            }
        }
        Ok(self.refuse(out, &BEING_CHANGED))
    }

    fn file_fields(
        &self,
        head: &mut HeadWriter<'_>,
        file: &FileAnswer,
        content_type: &str,
        length: u64,
    ) {
        head.field("Content-Type", content_type)
            .field_fmt("Content-Length", format_args!("{length}"))
            .field("Accept-Ranges", "bytes")
            .field(fields::PIECES, "1");
        if kind::is_active(&file.kind) && !self.shared.settings.web {
            head.field("Content-Security-Policy", "sandbox");
        }
        file.validators(head);
        if let Some(digest) = &file.sha256 {
            // RFC 9530, and RFC 6249 for where a Metalink is.
            head.field_fmt(
                "Repr-Digest",
                format_args!("sha-256=:{}:", STANDARD.encode(digest)),
            )
            .field_fmt(
                "Link",
                format_args!(
                    "<{}?meta4>; rel=describedby; type=\"{}\"",
                    file.path.to_target(),
                    metalink::MEDIA_TYPE
                ),
            );
        }
        if asks_for(self.head.query, "download") {
            head.field("Content-Disposition", &attachment(file.path.name()));
        }
        if self.head.haul_session.is_some() {
            self.haul_dir(head);
        }
    }
}

/// What of a file a query asks for.
enum Asked<'a> {
    /// `?pieces`
    Pieces,
    /// `?blocks=FIRST-LAST`, and its pieces.
    Blocks(&'a [u8]),
    /// `?meta4`
    Metalink,
    /// What is in it.
    Content,
}

impl<'a> Asked<'a> {
    fn of(query: Option<&'a [u8]>) -> Self {
        let blocks = query.and_then(|query| query.strip_prefix(b"blocks="));
        match (query, blocks) {
            (Some(b"pieces"), _) => Self::Pieces,
            (_, Some(pieces)) => Self::Blocks(pieces),
            _ if asks_for(query, "meta4") => Self::Metalink,
            _ => Self::Content,
        }
    }
}

impl FileAnswer {
    /// What conditions are held against.
    fn known(&self, now: u64) -> Validators<'_> {
        Validators {
            etag: &self.etag,
            modified: self.modified,
            now,
        }
    }

    fn validators(&self, head: &mut HeadWriter<'_>) {
        validators(head, &self.etag, self.modified);
    }
}

pub(super) fn validators(head: &mut HeadWriter<'_>, etag: &str, modified: u64) {
    head.field("ETag", etag)
        .field_fmt("Last-Modified", format_args!("{}", date::format(modified)));
}
