//! From a request to an answer: status, fields, and what the body will be.

use std::{
    io,
    ops::Range,
    os::fd::AsFd as _,
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::StatusCode;
use percent_encoding::percent_encode;

use super::{
    Shared,
    catalog::{Found, FoundFile, blocking, is_not_found},
    clients::{Client, SmallFile},
    listing::{Entries, Format, Lister},
    page,
    transfers::Flow,
};
use crate::{
    escape::display_name,
    http1::{
        conditional::{Validators, Verdict},
        date,
        path::{RemotePath, encode_name},
        range::Ranges,
        request::{Method, Refusal, RequestHead},
        response::HeadWriter,
    },
    sys::send::read_cached,
};

/// Files up to this size are sent from the output buffer rather than by a call of their own, in bytes.
const INLINE: u64 = 16 * 1024;
/// The same for requests of the haul client, whose small files are hashed from the same buffer.
const INLINE_HAUL: u64 = 1 << 20;
/// How often a small file that changes while it is read is tried again.
const ATTEMPTS: usize = 3;
/// Listings up to this size are sent with their length, larger ones in chunks, in bytes.
const LISTING_BUFFER: usize = 64 * 1024;
/// The methods that are served.
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// One request on its way to an answer.
pub struct Request<'a> {
    /// What all connections share.
    pub shared: &'a Shared,
    /// Who asks.
    pub client: &'a Arc<Client>,
    /// What is asked.
    pub head: &'a RequestHead<'a>,
    /// Whether the connection may go on.
    pub keep: bool,
}

/// What the connection does once the head stands in its output.
pub struct Answer {
    /// What follows the head.
    pub body: Body,
    /// Whether the connection goes on.
    pub keep: bool,
}

/// What follows a head.
pub enum Body {
    /// Nothing: the answer is complete.
    Written,
    /// A range of a file.
    File(FoundFile, Range<u64>, Flow),
    /// A listing that did not fit into one buffer.
    Listing(Listing),
}

/// A listing whose beginning stands in `chunk`.
pub struct Listing {
    lister: Lister,
    chunk: Vec<u8>,
    /// Whether the body is framed in chunks rather than by the connection's end.
    pub chunked: bool,
}

impl Listing {
    /// The next bytes, and whether they are the last.
    pub async fn next(self, shared: &Shared, size: usize) -> io::Result<(Self, Vec<u8>, bool)> {
        let Self {
            mut lister,
            mut chunk,
            chunked,
        } = self;
        let _permit = shared.listings.acquire().await.map_err(io::Error::other)?;
        blocking(move || {
            let last = lister.fill(&mut chunk, size)?;
            let next = Self {
                lister,
                chunk: Vec::new(),
                chunked,
            };
            Ok((next, chunk, last))
        })
        .await
    }
}

/// An error answer: its status, why, and where a client should look instead.
struct Failure {
    status: StatusCode,
    why: &'static str,
}

const fn fail(status: StatusCode, why: &'static str) -> Failure {
    Failure { status, why }
}

/// A file that was found, and what its answer's head is made of.
struct FileAnswer {
    path: RemotePath,
    found: FoundFile,
    etag: String,
    modified: u64,
}

fn now() -> u64 {
    date::seconds(SystemTime::now())
}

impl Request<'_> {
    /// Writes the head, and small bodies too, into `out`.
    pub async fn answer(
        &self,
        out: &mut Vec<u8>,
        files: &mut Vec<SmallFile>,
    ) -> io::Result<Answer> {
        match self.head.method {
            Method::Get | Method::Head => {}
            Method::Options => return Ok(self.options(out)),
            Method::Forbidden(_) => {
                let failure = fail(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
                return Ok(self.error(out, &failure));
            }
            Method::Unknown(_) => {
                let failure = fail(StatusCode::NOT_IMPLEMENTED, "unknown method");
                return Ok(self.error(out, &failure));
            }
        }
        let Ok(path) = RemotePath::from_target(self.head.path) else {
            return Ok(self.error(out, &fail(StatusCode::BAD_REQUEST, "malformed path")));
        };
        match self.shared.catalog.find(&path).await {
            Ok(Found::File(_)) if path.is_dir() => {
                Ok(self.error(out, &fail(StatusCode::NOT_FOUND, "not found")))
            }
            Ok(Found::File(found)) => self.file(path, found, out, files).await,
            Ok(Found::Dir(_)) if !path.is_dir() => Ok(self.redirect(out, &path)),
            Ok(Found::Dir(dir)) => {
                let entries = Entries::new(Arc::clone(&self.shared.catalog), path, dir)?;
                self.listing(entries, out).await
            }
            Err(error) => Ok(self.error(out, &of_io(&error))),
        }
    }

    fn is_head(&self) -> bool {
        self.head.method == Method::Head
    }

    fn written(&self) -> Answer {
        Answer {
            body: Body::Written,
            keep: self.keep,
        }
    }

    fn end(&self, mut head: HeadWriter<'_>) -> Answer {
        head.connection(self.keep, self.head.http10);
        head.end();
        self.written()
    }

    fn options(&self, out: &mut Vec<u8>) -> Answer {
        let mut head = HeadWriter::new(out, StatusCode::NO_CONTENT, now());
        head.field("Allow", ALLOW);
        self.end(head)
    }

    /// A directory without its slash: relative references in its listing would go wrong.
    fn redirect(&self, out: &mut Vec<u8>, path: &RemotePath) -> Answer {
        let mut head = HeadWriter::new(out, StatusCode::MOVED_PERMANENTLY, now());
        head.field_fmt("Location", format_args!("{}/", encode_name(path.name())))
            .field("Content-Length", "0");
        self.haul_dir(&mut head);
        self.end(head)
    }

    /// Tells a haul client which directory this is, so that it does not download into it.
    fn haul_dir(&self, head: &mut HeadWriter<'_>) {
        if let Some(id) = self.shared.catalog.id() {
            head.field("Haul-Dir", id);
        }
    }

    /// A short answer that says what went wrong; it is logged and shown beside the client.
    fn error(&self, out: &mut Vec<u8>, failure: &Failure) -> Answer {
        let Failure { status, why } = *failure;
        let target = self.head.path;
        let code = status.as_u16();
        tracing::warn!(
            client = self.client.who(),
            "{code} {why}: {} {}",
            display_name(self.head.method.as_str()),
            display_name(target)
        );
        let shown = String::from_utf8_lossy(target);
        self.client.refuse(format!("{code} {why}: {shown}"));
        let html = Format::choose(&self.head.accept, Some(b"curl/")) == Format::Html;
        let body = error_body(status, why, html);
        let mut head = HeadWriter::new(out, status, now());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            head.field("Allow", ALLOW);
        }
        error_fields(&mut head, &body, html);
        head.connection(self.keep, self.head.http10);
        let out = head.end();
        if !self.is_head() {
            out.extend_from_slice(body.as_bytes());
        }
        self.written()
    }

    async fn listing(&self, entries: Entries, out: &mut Vec<u8>) -> io::Result<Answer> {
        let format = Format::choose(&self.head.accept, self.head.user_agent);
        if self.is_head() {
            let mut head = HeadWriter::new(out, StatusCode::OK, now());
            self.listing_fields(&mut head, format);
            return Ok(self.end(head));
        }
        let permit = self.shared.listings.acquire().await;
        let (lister, chunk, complete) = blocking(move || {
            let mut chunk = Vec::new();
            let mut lister = Lister::start(entries, format, &mut chunk)?;
            let complete = lister.fill(&mut chunk, LISTING_BUFFER)?;
            Ok((lister, chunk, complete))
        })
        .await?;
        drop(permit);
        let mut head = HeadWriter::new(out, StatusCode::OK, now());
        self.listing_fields(&mut head, format);
        if complete {
            head.field_fmt("Content-Length", format_args!("{}", chunk.len()))
                .connection(self.keep, self.head.http10);
            head.end().extend_from_slice(&chunk);
            return Ok(self.written());
        }
        // HTTP/1.0 knows no chunks: the connection's end is the listing's.
        let chunked = !self.head.http10;
        let keep = self.keep && chunked;
        if chunked {
            head.field("Transfer-Encoding", "chunked");
        }
        head.connection(keep, self.head.http10);
        head.end();
        let body = Body::Listing(Listing {
            lister,
            chunk,
            chunked,
        });
        Ok(Answer { body, keep })
    }

    fn listing_fields(&self, head: &mut HeadWriter<'_>, format: Format) {
        head.field("Content-Type", format.content_type())
            .field("Vary", "Accept, User-Agent");
        self.haul_dir(head);
    }

    async fn file(
        &self,
        path: RemotePath,
        found: FoundFile,
        out: &mut Vec<u8>,
        files: &mut Vec<SmallFile>,
    ) -> io::Result<Answer> {
        let now = now();
        let file = FileAnswer {
            etag: found.stamp.etag(),
            // A date in the future would be no date at all (RFC 9110 §8.8.2.1).
            modified: date::seconds(found.stamp.modified()).min(now),
            path,
            found,
        };
        let validators = Validators {
            etag: &file.etag,
            modified: file.modified,
            now,
        };
        match self.head.conditions.evaluate(&validators) {
            Verdict::Proceed => {}
            Verdict::NotModified => {
                let mut head = HeadWriter::new(out, StatusCode::NOT_MODIFIED, now);
                file.validators(&mut head);
                return Ok(self.end(head));
            }
            Verdict::Failed => {
                let failure = fail(StatusCode::PRECONDITION_FAILED, "the file changed");
                return Ok(self.error(out, &failure));
            }
        }
        let size = file.found.stamp.size;
        let ranges = match self.head.range {
            Some(range) if !self.is_head() && self.head.conditions.range_counts(&validators) => {
                Ranges::parse(range, size)
            }
            _ => Ranges::Whole,
        };
        match ranges {
            Ranges::Unsatisfiable => Ok(self.unsatisfiable(out, size, now)),
            Ranges::Single(range) => Ok(self.send(file, Some(range), out, now)),
            // Several ranges may be answered with the whole file (RFC 9110 §14.2).
            Ranges::Whole | Ranges::Several(_) => {
                let inline = match self.head.haul_session {
                    Some(_) => INLINE_HAUL,
                    None => INLINE,
                };
                if self.is_head() || size > inline {
                    Ok(self.send(file, None, out, now))
                } else {
                    self.send_small(file, out, files, now).await
                }
            }
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
        self.file_fields(&mut head, &file, range.end - range.start);
        head.connection(self.keep, self.head.http10);
        head.end();
        if self.is_head() {
            return self.written();
        }
        let flow = self
            .client
            .begin(&file.path, &file.etag, size, range.clone());
        Answer {
            body: Body::File(file.found, range, flow),
            keep: self.keep,
        }
    }

    /// Head and body at once, from one buffer that was read whole.
    async fn send_small(
        &self,
        mut file: FileAnswer,
        out: &mut Vec<u8>,
        files: &mut Vec<SmallFile>,
        now: u64,
    ) -> io::Result<Answer> {
        let started = Instant::now();
        let before = out.len();
        for _ in 0..ATTEMPTS {
            let size = file.found.stamp.size;
            let mut head = HeadWriter::new(out, StatusCode::OK, now);
            self.file_fields(&mut head, &file, size);
            head.connection(self.keep, self.head.http10);
            let out = head.end();
            let (found, whole) = append(file.found, out).await?;
            file.found = found;
            if whole && file.found.is_unchanged() {
                files.push(SmallFile {
                    path: file.path,
                    size,
                    started,
                });
                return Ok(self.written());
            }
            // It changed under the reader, and nothing of it has left yet.
            out.truncate(before);
            match self.shared.catalog.find(&file.path).await {
                Ok(Found::File(found)) if found.stamp.size <= INLINE_HAUL => {
                    file.etag = found.stamp.etag();
                    file.modified = date::seconds(found.stamp.modified()).min(now);
                    file.found = found;
                }
                Ok(_) => break,
                Err(error) => return Ok(self.error(out, &of_io(&error))),
            }
        }
        Ok(self.error(
            out,
            &fail(StatusCode::SERVICE_UNAVAILABLE, "the file is being changed"),
        ))
    }

    fn file_fields(&self, head: &mut HeadWriter<'_>, file: &FileAnswer, length: u64) {
        head.field("Content-Type", content_type(file.path.name()))
            .field_fmt("Content-Length", format_args!("{length}"))
            .field("Accept-Ranges", "bytes");
        file.validators(head);
        if self.head.query.is_some_and(asks_for_download) {
            let name = percent_encode(file.path.name(), ATTR_CHAR);
            head.field_fmt(
                "Content-Disposition",
                format_args!("attachment; filename*=UTF-8''{name}"),
            );
        }
        if self.head.haul_session.is_some() {
            self.haul_dir(head);
        }
    }
}

impl FileAnswer {
    fn validators(&self, head: &mut HeadWriter<'_>) {
        head.field("ETag", &self.etag).field_fmt(
            "Last-Modified",
            format_args!("{}", date::format(self.modified)),
        );
    }
}

/// Reads a file to the end of `out`; the second value says whether all that its size promises was there.
async fn append(found: FoundFile, out: &mut Vec<u8>) -> io::Result<(FoundFile, bool)> {
    let (start, size) = (out.len(), found.stamp.size as usize);
    out.resize(start + size, 0);
    match read_cached(found.file.as_fd(), &mut out[start..], 0)? {
        Some(read) if read == size => return Ok((found, true)),
        _ => {}
    }
    let (found, bytes) = blocking(move || {
        let mut bytes = vec![0; size];
        let mut filled = 0;
        while filled < size {
            match rustix::io::pread(&found.file, &mut bytes[filled..], filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        Ok((found, bytes))
    })
    .await?;
    out.truncate(start);
    out.extend_from_slice(&bytes);
    Ok((found, bytes.len() == size))
}

/// What stays as it is in `filename*` (RFC 8187 §3.2.1), but for the marks that some clients read otherwise.
const ATTR_CHAR: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn asks_for_download(query: &[u8]) -> bool {
    query
        .split(|b| *b == b'&')
        .any(|part| part == b"download" || part.starts_with(b"download="))
}

/// The media type that a name suggests.
fn content_type(name: &[u8]) -> &'static str {
    const UNKNOWN: &str = "application/octet-stream";
    let Some(dot) = name.iter().rposition(|b| *b == b'.') else {
        return UNKNOWN;
    };
    std::str::from_utf8(&name[dot + 1..])
        .ok()
        .and_then(|extension| mime_guess::from_ext(extension).first_raw())
        .unwrap_or(UNKNOWN)
}

fn of_io(error: &io::Error) -> Failure {
    if is_not_found(error) {
        fail(StatusCode::NOT_FOUND, "not found")
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        fail(StatusCode::FORBIDDEN, "not readable")
    } else {
        tracing::error!("cannot open a file: {}", crate::error::reason(error));
        fail(
            StatusCode::SERVICE_UNAVAILABLE,
            "the file cannot be opened now",
        )
    }
}

fn error_body(status: StatusCode, why: &str, html: bool) -> String {
    let code = status.as_u16();
    if html {
        let why = page::escape(why);
        format!("<!DOCTYPE html>\n<title>{code}</title>\n<p>{code} {why}</p>\n")
    } else {
        format!("{code} {why}\n")
    }
}

fn error_fields(head: &mut HeadWriter<'_>, body: &str, html: bool) {
    let format = if html { Format::Html } else { Format::Text };
    head.field("Content-Type", format.content_type())
        .field_fmt("Content-Length", format_args!("{}", body.len()));
}

/// Answers a head that could not be understood; the connection ends with it.
pub fn refuse(out: &mut Vec<u8>, refusal: &Refusal) {
    let body = error_body(refusal.status, refusal.why, false);
    let mut head = HeadWriter::new(out, refusal.status, now());
    error_fields(&mut head, &body, false);
    head.connection(false, false);
    head.end().extend_from_slice(body.as_bytes());
}

/// The answer to a connection over the limit.
pub fn too_many(out: &mut Vec<u8>) {
    /// Seconds after which trying again may help.
    const RETRY_AFTER: &str = "5";
    let body = error_body(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many connections",
        false,
    );
    let mut head = HeadWriter::new(out, StatusCode::SERVICE_UNAVAILABLE, now());
    head.field("Retry-After", RETRY_AFTER);
    error_fields(&mut head, &body, false);
    head.connection(false, false);
    head.end().extend_from_slice(body.as_bytes());
}
