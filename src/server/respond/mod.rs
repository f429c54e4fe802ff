//! From a request to an answer: status, fields, and what the body will be.

use std::{borrow::Cow, io, ops::Range, sync::Arc, time::SystemTime};

use http::StatusCode;
use rustix::io::Errno;

use crate::server::{
    Shared,
    connection::{Output, Parts, Tree},
    digests::{Busy, Stream},
    people::clients::Client,
    people::peers::Who,
    people::rows::Flow,
    people::standing::Denied,
    respond::form::listing::Format,
    respond::form::metalink::FileLink,
    respond::form::page,
    tree::catalog::{Catalog, Found, FoundFile, is_not_found},
};
use crate::{
    escape::display_name,
    http1::{
        date,
        path::{PathError, RemotePath},
        request::{Method, Refusal, RequestHead},
        response::HeadWriter,
    },
};

mod challenge;
mod denied;
mod dir;
mod file;
pub mod form;
pub use dir::Listing;

pub use denied::too_many;

/// Bytes of a target or method that a line shows.
const SHOWN: usize = 200;

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
    /// Whom limits and bans take it for.
    pub who: &'a Who,
    /// Whether it proved who it is.
    pub logged_in: bool,
    /// What is asked.
    pub head: &'a RequestHead<'a>,
    /// `http` or `https`: how the client reached the server.
    pub scheme: &'static str,
    /// The port on which it did.
    pub port: u16,
    /// Whether the client runs on this machine.
    pub is_local: bool,
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
    /// Several ranges of a file.
    Parts(Parts),
    /// A listing that did not fit into one buffer.
    Listing(Listing),
    /// What is computed of a file, as it is computed.
    Computed(Computed),
    /// A tree as a tar file.
    Tree(Tree),
}

/// What is computed of a file.
pub enum Computed {
    /// Its chaining values.
    Pieces(Stream),
    /// Its Metalink.
    Metalink(FileLink),
}

impl Computed {
    /// The next bytes, as soon as there are some; `None` behind the last.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Pieces(stream) => stream.next().await,
            Self::Metalink(link) => link.next().await,
        }
    }
}

/// An error answer: its status, why, and where a client should look instead.
struct Failure {
    status: StatusCode,
    why: Cow<'static, str>,
    /// Seconds after which trying again may help.
    retry_after: Option<u64>,
    /// What was decided about the client, as `Haul-Denied` tells it.
    denied: Option<&'static str>,
}

const fn fail(status: StatusCode, why: &'static str) -> Failure {
    Failure {
        status,
        why: Cow::Borrowed(why),
        retry_after: None,
        denied: None,
    }
}

/// Seconds after which files may have been closed again.
const SHORT: u64 = 2;

const NOT_FOUND: Failure = fail(StatusCode::NOT_FOUND, "not found");

/// Seconds after which a file that was waited for may have been hashed.
const HASHED: u64 = 10;

/// Too many files wait to be hashed.
fn of_busy(busy: Busy) -> Failure {
    let failure = match busy {
        Busy::All => fail(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many files are waiting to be hashed",
        ),
        Busy::Yours => fail(
            StatusCode::TOO_MANY_REQUESTS,
            "too many of your files are waiting to be hashed",
        ),
    };
    Failure {
        retry_after: Some(HASHED),
        ..failure
    }
}

fn now() -> u64 {
    date::seconds(SystemTime::now())
}

impl Request<'_> {
    /// Writes the head, and small bodies too, into `out`. What fails before the body begins has a status.
    pub async fn answer(&self, output: &mut Output) -> Answer {
        let (bytes, files) = (output.bytes.len(), output.files.len());
        match self.try_answer(output).await {
            Ok(answer) => answer,
            Err(error) => {
                output.bytes.truncate(bytes);
                output.files.truncate(files);
                self.error(&mut output.bytes, &of_io(&error))
            }
        }
    }

    async fn try_answer(&self, output: &mut Output) -> io::Result<Answer> {
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
        let path = match RemotePath::from_target(self.head.path) {
            Ok(path) => path,
            // Nothing is wrong with it, but no file can have it.
            Err(PathError::Long) => return Ok(self.error(out, &NOT_FOUND)),
            Err(_) => {
                let failure = fail(StatusCode::BAD_REQUEST, "malformed path");
                return Ok(self.error(out, &failure));
            }
        };
        if self.draining && !self.client.is_taking(&path) {
            return Ok(self.deny(out, &Denied::Draining));
        }
        match self.catalog.find(&path).await {
            Ok(Found::File(_)) if path.is_dir() => Ok(self.error(out, &NOT_FOUND)),
            Ok(Found::File(found)) => self.file(path, found, output).await,
            Ok(Found::Dir(dir)) => self.dir(path, dir, output).await,
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

    /// A short answer that says what went wrong; it is logged and shown beside the client.
    fn error(&self, out: &mut Vec<u8>, failure: &Failure) -> Answer {
        let (status, why) = (failure.status, &failure.why);
        let code = status.as_u16();
        let (shown, rest) = shortened(self.head.path);
        let (method, _) = shortened(self.head.method.as_str().as_bytes());
        let subject = format_args!("{} {}{rest}", display_name(method), display_name(shown));
        match self.client.warns() {
            None => tracing::debug!(client = self.client.who(), "{code} {why}: {subject}"),
            Some(0) => tracing::warn!(client = self.client.who(), "{code} {why}: {subject}"),
            Some(more) => tracing::warn!(
                client = self.client.who(),
                "{code} {why}: {subject}, and {more} more were refused since the last such line"
            ),
        }
        let shown = String::from_utf8_lossy(shown);
        self.client.refuse(format!("{code} {why}: {shown}{rest}"));
        let html = Format::choose(&self.head.accept, Some(b"curl/")) == Format::Html;
        let body = error_body(status, why, html);
        let mut head = HeadWriter::new(out, status, now());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            head.field("Allow", ALLOW);
        }
        if let Some(seconds) = failure.retry_after {
            head.field_fmt("Retry-After", format_args!("{seconds}"));
        }
        if let Some(denied) = failure.denied {
            head.field("Haul-Denied", denied);
        }
        error_fields(&mut head, &body, html);
        head.connection(self.keep, self.head.http10);
        let out = head.end();
        if !self.is_head() {
            out.extend_from_slice(body.as_bytes());
        }
        self.written()
    }
}

/// As much of foreign bytes as is shown, and what stands for the rest.
fn shortened(text: &[u8]) -> (&[u8], &'static str) {
    match text.split_at_checked(SHOWN) {
        Some((shown, [_, ..])) => (shown, "…"),
        _ => (text, ""),
    }
}

fn of_io(error: &io::Error) -> Failure {
    if is_not_found(error) {
        NOT_FOUND
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        fail(StatusCode::FORBIDDEN, "not readable")
    } else {
        tracing::error!("cannot open or read: {}", crate::error::reason(error));
        let is_short = Errno::from_io_error(error)
            .is_some_and(|errno| matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM));
        if is_short {
            let failure = fail(
                StatusCode::SERVICE_UNAVAILABLE,
                "too much is open at this moment",
            );
            return Failure {
                retry_after: Some(SHORT),
                ..failure
            };
        }
        fail(StatusCode::INTERNAL_SERVER_ERROR, "it cannot be read")
    }
}

fn error_body(status: StatusCode, why: &str, html: bool) -> String {
    let code = status.as_u16();
    if html {
        page::error(status, why)
    } else {
        format!("{code} {why}\n")
    }
}

fn error_fields(head: &mut HeadWriter<'_>, body: &str, html: bool) {
    let format = if html { Format::Html } else { Format::Text };
    if html {
        head.field("Content-Security-Policy", page::policy());
    }
    head.field("Content-Type", format.content_type())
        .field_fmt("Content-Length", format_args!("{}", body.len()));
}

/// Whether a query asks for something by name: `name` or `name=…`, alone or beside others.
fn asks_for(query: Option<&[u8]>, name: &str) -> bool {
    asked(query, name).is_some()
}

/// What a query says behind a name, perhaps nothing; `None` where it does not name it.
fn asked<'q>(query: Option<&'q [u8]>, name: &str) -> Option<&'q [u8]> {
    let parts = query?.split(|b| *b == b'&');
    let mut rests = parts.filter_map(|part| part.strip_prefix(name.as_bytes()));
    rests.find_map(|rest| match rest {
        [] => Some(rest),
        [b'=', value @ ..] => Some(value),
        _ => None,
    })
}

/// Answers a head that could not be understood; the connection ends with it.
pub fn refuse(out: &mut Vec<u8>, refusal: &Refusal, to_head: bool) {
    let body = error_body(refusal.status, refusal.why, false);
    let mut head = HeadWriter::new(out, refusal.status, now());
    error_fields(&mut head, &body, false);
    head.connection(false, false);
    let out = head.end();
    if !to_head {
        out.extend_from_slice(body.as_bytes());
    }
}
