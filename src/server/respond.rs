//! From a request to an answer: status, fields, and what the body will be.

use std::{borrow::Cow, io, ops::Range, sync::Arc, time::SystemTime};

use http::StatusCode;

use super::{
    Shared,
    catalog::{Catalog, Found, FoundFile, blocking, is_not_found},
    clients::Client,
    connection::Output,
    listing::{Entries, Format, Lister},
    page,
    standing::Denied,
    transfers::Flow,
    values::Stream,
};
use crate::{
    escape::display_name,
    http1::{
        date,
        path::{RemotePath, encode_name},
        request::{Method, Refusal, RequestHead},
        response::HeadWriter,
    },
};

mod denied;
mod file;

pub use denied::too_many;

/// Listings up to this size are sent with their length, larger ones in chunks, in bytes.
const LISTING_BUFFER: usize = 64 * 1024;
/// The methods that are served.
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// One request on its way to an answer.
pub struct Request<'a> {
    /// What all connections share.
    pub shared: &'a Shared,
    /// The directory that is served at its time.
    pub catalog: &'a Arc<Catalog>,
    /// Who asks.
    pub client: &'a Arc<Client>,
    /// What is asked.
    pub head: &'a RequestHead<'a>,
    /// Whether the connection may go on.
    pub keep: bool,
    /// Whether only what runs is finished.
    pub draining: bool,
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
    /// A file's chaining values, as they are computed.
    Pieces(Stream),
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
    why: Cow<'static, str>,
    /// Seconds after which trying again may help.
    retry_after: Option<&'static str>,
}

const fn fail(status: StatusCode, why: &'static str) -> Failure {
    Failure {
        status,
        why: Cow::Borrowed(why),
        retry_after: None,
    }
}

fn now() -> u64 {
    date::seconds(SystemTime::now())
}

impl Request<'_> {
    /// Writes the head, and small bodies too, into `out`.
    pub async fn answer(&self, output: &mut Output) -> io::Result<Answer> {
        let out = &mut output.bytes;
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
        if self.draining && !self.client.is_taking(&path) {
            return Ok(self.deny(out, &Denied::Draining));
        }
        match self.catalog.find(&path).await {
            Ok(Found::File(_)) if path.is_dir() => {
                Ok(self.error(out, &fail(StatusCode::NOT_FOUND, "not found")))
            }
            Ok(Found::File(found)) => self.file(path, found, output).await,
            Ok(Found::Dir(_)) if !path.is_dir() => Ok(self.redirect(out, &path)),
            Ok(Found::Dir(dir)) => {
                let entries = Entries::new(Arc::clone(self.catalog), path, dir)?;
                self.listing(entries, output).await
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
        if let Some(id) = self.catalog.id() {
            head.field("Haul-Dir", id);
        }
    }

    /// A short answer that says what went wrong; it is logged and shown beside the client.
    fn error(&self, out: &mut Vec<u8>, failure: &Failure) -> Answer {
        let (status, why) = (failure.status, &failure.why);
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
        if let Some(seconds) = failure.retry_after {
            head.field("Retry-After", seconds);
        }
        error_fields(&mut head, &body, html);
        head.connection(self.keep, self.head.http10);
        let out = head.end();
        if !self.is_head() {
            out.extend_from_slice(body.as_bytes());
        }
        self.written()
    }

    async fn listing(&self, entries: Entries, output: &mut Output) -> io::Result<Answer> {
        let out = &mut output.bytes;
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
            output.has_bodies = true;
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
