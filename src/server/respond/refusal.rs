//! Short answers: what went wrong, in one status, one line, and what to do. Everything that fails becomes one of these here,
//! and is written in one way.

use std::{borrow::Cow, io};

use http::StatusCode;
use rustix::io::Errno;

use super::{
    form::{listing::Format, page},
    link::Stop,
    request::{ALLOW, Answer, Request, now},
};
use crate::{
    escape::display_name,
    http1::{fields, request::Refusal, response::HeadWriter},
    server::{
        host,
        people::{
            access::{CROWDED, Unproved},
            standing::Denied,
            warnings,
        },
        tree::catalog::is_not_found,
        work::Busy,
    },
};

/// Seconds after which a paused client may ask whether it may go on.
const PAUSED: u64 = 2;
/// Seconds after which another client may have left.
const FULL: u64 = 5;
/// Seconds after which what was waited for may have been done.
const BUSY: u64 = 10;
/// Seconds after which files may have been closed again.
const SHORT: u64 = 2;
/// Bytes of a target or method that a line shows.
const SHOWN: usize = 200;

/// An error answer: its status, why, and where a client should look instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub(super) status: StatusCode,
    why: Cow<'static, str>,
    /// Seconds after which trying again may help.
    pub(super) retry_after: Option<u64>,
    /// What was decided about the client, as a field and its value.
    told: Option<(&'static str, &'static str)>,
    /// How a login may be given; whether a token is one.
    login: Option<bool>,
    /// Who hears of it besides the client.
    heard: Heard,
    /// Whether the connection ends with it.
    closes: bool,
}

/// Who hears of a failure besides the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// The log, and the client's row.
    Warning,
    /// The row; the log only where it tells everything.
    Row,
    /// Nobody: nothing went wrong.
    Nobody,
}

/// A failure that says no more than its status and why.
pub const fn fail(status: StatusCode, why: &'static str) -> Failure {
    Failure {
        status,
        why: Cow::Borrowed(why),
        retry_after: None,
        told: None,
        login: None,
        heard: Heard::Warning,
        closes: false,
    }
}

/// No such file, or none that may be seen.
pub const NOT_FOUND: Failure = fail(StatusCode::NOT_FOUND, "not found");

/// The served directory is not there, and may be again.
pub fn gone() -> Failure {
    Failure {
        retry_after: Some(BUSY),
        ..fail(
            StatusCode::SERVICE_UNAVAILABLE,
            "the served directory is not there",
        )
    }
}

/// It changed each time that it was read.
pub const BEING_CHANGED: Failure =
    fail(StatusCode::SERVICE_UNAVAILABLE, "the file is being changed");

impl From<Busy> for Failure {
    fn from(busy: Busy) -> Self {
        let failure = match busy {
            Busy::All => fail(
                StatusCode::SERVICE_UNAVAILABLE,
                "too much of this is waiting to be done",
            ),
            Busy::Yours => fail(
                StatusCode::TOO_MANY_REQUESTS,
                "too much of this is waiting to be done for you",
            ),
        };
        Self {
            retry_after: Some(BUSY),
            ..failure
        }
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        if is_not_found(error) {
            return NOT_FOUND;
        }
        if error.kind() == io::ErrorKind::PermissionDenied {
            return fail(StatusCode::FORBIDDEN, "not readable");
        }
        if error.kind() == io::ErrorKind::TimedOut {
            return Self::from(&Stop::Late);
        }
        tracing::error!("cannot open or read: {}", crate::exit::reason(error));
        let is_short = is_short_of_files(error)
            || Errno::from_io_error(error).is_some_and(|errno| errno == Errno::NOMEM);
        if !is_short {
            return fail(StatusCode::INTERNAL_SERVER_ERROR, "it cannot be read");
        }
        Self {
            retry_after: Some(SHORT),
            ..fail(
                StatusCode::SERVICE_UNAVAILABLE,
                "too much is open at this moment",
            )
        }
    }
}

/// Whether this process, or the system, has as many files open as it may.
pub(super) fn is_short_of_files(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| matches!(errno, Errno::MFILE | Errno::NFILE))
}

impl From<&Stop> for Failure {
    fn from(stop: &Stop) -> Self {
        match stop {
            Stop::Io(error) => Self::from(error),
            Stop::Late => Self {
                retry_after: Some(BUSY),
                ..fail(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too much is waiting to be done first",
                )
            },
            Stop::Busy(busy) => Self::from(*busy),
            Stop::Hangs => Self {
                retry_after: Some(BUSY),
                ..fail(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the file system does not answer",
                )
            },
            // Nobody reads it.
            Stop::Gone => Self {
                heard: Heard::Nobody,
                closes: true,
                ..fail(StatusCode::REQUEST_TIMEOUT, "the client went away")
            },
            Stop::Incomplete(why) => fail(StatusCode::INTERNAL_SERVER_ERROR, why),
        }
    }
}

impl From<&Denied> for Failure {
    fn from(denied: &Denied) -> Self {
        let unavailable = |why| Self {
            retry_after: Some(FULL),
            ..fail(StatusCode::SERVICE_UNAVAILABLE, why)
        };
        let forbidden = |what: &'static str, reason: &str| Self {
            why: because(what, reason).into(),
            told: Some((fields::DENIED, what)),
            ..fail(StatusCode::FORBIDDEN, "")
        };
        let failure = match denied {
            // Nothing went wrong, so nothing is shown or logged as if it had; and it may keep the connection.
            Denied::Paused => {
                return Self {
                    retry_after: Some(PAUSED),
                    told: Some((fields::PAUSED, "1")),
                    heard: Heard::Nobody,
                    ..fail(StatusCode::SERVICE_UNAVAILABLE, "paused by the server")
                };
            }
            Denied::Banned(reason) => forbidden("banned", reason),
            Denied::Kicked { reason, left } => Self {
                // Not before it is over.
                retry_after: Some(left.as_secs() + u64::from(left.subsec_nanos() > 0)),
                ..forbidden("kicked", reason)
            },
            Denied::Full => unavailable("too many clients"),
            Denied::Draining => unavailable("the server is about to end"),
        };
        Self {
            closes: true,
            ..failure
        }
    }
}

/// RFC 9110 §11.6.1
impl From<&Unproved> for Failure {
    fn from(unproved: &Unproved) -> Self {
        let (status, why) = match unproved {
            Unproved::Missing { .. } => (StatusCode::UNAUTHORIZED, "a login is needed"),
            Unproved::Wrong { .. } => (StatusCode::UNAUTHORIZED, "the login is wrong"),
            Unproved::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too many wrong logins"),
            Unproved::Crowded => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many logins are waiting to be checked",
            ),
        };
        let (login, retry_after) = match unproved {
            Unproved::Missing { tokens } | Unproved::Wrong { tokens } => (Some(*tokens), None),
            Unproved::TooMany { retry_after } => (None, Some(retry_after.as_secs() + 1)),
            Unproved::Crowded => (None, Some(CROWDED.as_secs())),
        };
        Self {
            login,
            retry_after,
            heard: Heard::Row,
            ..fail(status, why)
        }
    }
}

/// For who asks for another server (RFC 9110 §15.5.20): the name that leads here is not one of this one's.
pub fn misdirected(authority: Option<&[u8]>) -> Failure {
    let named = host::host(authority.unwrap_or_default());
    // What is longer is no name (RFC 1035 §2.3.4).
    let name = named.filter(|name| name.len() <= 253);
    let (quoted, name) = name.map_or(("that name".into(), "HOST"), |name| {
        (format!("`{name}`"), name)
    });
    let why = format!(
        "this server is not known as {quoted}: ask for it by its address, or start it with --name {name}"
    );
    Failure {
        why: why.into(),
        ..fail(StatusCode::MISDIRECTED_REQUEST, "")
    }
}

fn because(what: &str, reason: &str) -> String {
    if reason.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {reason}")
    }
}

/// In which form a failure is told.
#[derive(Debug, Clone, Copy)]
struct Manner {
    format: Format,
    to_head: bool,
    keep: bool,
    http10: bool,
}

impl Manner {
    /// For who is not known yet: in one line, and the connection ends with it.
    fn plain(to_head: bool) -> Self {
        Self {
            format: Format::Text,
            to_head,
            keep: false,
            http10: false,
        }
    }
}

impl Failure {
    fn write(&self, out: &mut Vec<u8>, manner: Manner) {
        let (status, why) = (self.status, &self.why);
        let html = manner.format == Format::Html;
        let body = if html {
            page::error(status, why)
        } else {
            format!("{} {why}\n", status.as_u16())
        };
        let mut head = HeadWriter::new(out, status, now());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            head.field("Allow", ALLOW);
        }
        if let Some(tokens) = self.login {
            head.field(
                "WWW-Authenticate",
                "Basic realm=\"haul\", charset=\"UTF-8\"",
            );
            if tokens {
                head.field("WWW-Authenticate", "Bearer realm=\"haul\"");
            }
        }
        if let Some((name, value)) = self.told {
            head.field(name, value);
        }
        if let Some(seconds) = self.retry_after {
            head.field_fmt("Retry-After", format_args!("{seconds}"));
        }
        if html {
            head.field("Content-Security-Policy", page::policy());
        }
        head.field("Content-Type", manner.format.content_type())
            .field_fmt("Content-Length", format_args!("{}", body.len()))
            .connection(manner.keep, manner.http10);
        let out = head.end();
        if !manner.to_head {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

impl Request<'_> {
    /// Answers with a failure; it is logged and shown beside the client where it is worth it.
    pub fn refuse(&self, out: &mut Vec<u8>, failure: &Failure) -> Answer {
        self.note(failure);
        let keep = self.keep && !failure.closes;
        // Who is paused is told so in a line, whatever it takes.
        let html = failure.heard != Heard::Nobody
            && Format::choose(&self.head.accept, Some(b"curl/")) == Format::Html;
        let manner = Manner {
            format: if html { Format::Html } else { Format::Text },
            to_head: self.is_head(),
            keep,
            http10: self.head.http10,
        };
        failure.write(out, manner);
        Answer {
            keep,
            ..self.written()
        }
    }

    fn note(&self, failure: &Failure) {
        let (client, code, why) = (self.client, failure.status.as_u16(), &failure.why);
        let (shown, rest) = shortened(self.head.path);
        match failure.heard {
            Heard::Nobody => return,
            Heard::Row => {
                tracing::debug!(client = client.who(), "{code} {why}");
                client.refuse(format!("{code} {why}"));
                return;
            }
            Heard::Warning => {}
        }
        let (method, _) = shortened(self.head.method.as_str().as_bytes());
        let subject = format_args!("{} {}{rest}", display_name(method), display_name(shown));
        warnings::tell(
            client.who(),
            client.warns(),
            format_args!("{code} {why}: {subject}"),
        );
        let shown = String::from_utf8_lossy(shown);
        client.refuse(format!("{code} {why}: {shown}{rest}"));
    }
}

/// As much of foreign bytes as is shown, and what stands for the rest.
fn shortened(text: &[u8]) -> (&[u8], &'static str) {
    match text.split_at_checked(SHOWN) {
        Some((shown, [_, ..])) => (shown, "…"),
        _ => (text, ""),
    }
}

/// Answers a head that could not be understood; the connection ends with it.
pub fn refuse(out: &mut Vec<u8>, refusal: &Refusal, to_head: bool) {
    fail(refusal.status, refusal.why).write(out, Manner::plain(to_head));
}

/// The answer to a connection over the limit.
pub fn too_many(out: &mut Vec<u8>, to_head: bool) {
    let failure = Failure {
        retry_after: Some(FULL),
        ..fail(StatusCode::SERVICE_UNAVAILABLE, "too many connections")
    };
    failure.write(out, Manner::plain(to_head));
}
