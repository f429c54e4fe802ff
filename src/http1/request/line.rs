//! Request lines (RFC 9112 §3): a method, one of the four forms of a target, and a version.

use std::net::Ipv6Addr;

use http::StatusCode;

use super::refusal::{Refusal, bad, refuse};
use crate::http1::path::decode;

/// The first line of a request.
pub(super) struct RequestLine<'a> {
    pub method: Method<'a>,
    pub target: Target<'a>,
    /// Whether the version is 1.0; any higher 1.x is answered as 1.1 (RFC 9110 §2.5).
    pub http10: bool,
}

impl<'a> RequestLine<'a> {
    /// Parses the line that `head` begins with, and returns what follows it.
    ///
    /// One space stands between its parts: of the ways of §3, the one that leaves nothing to guess.
    pub fn parse(head: &'a [u8]) -> Result<(Self, &'a [u8]), Refusal> {
        let malformed = bad("a malformed request line");
        let end = head.iter().position(|b| *b == b'\n').ok_or(malformed)?;
        let line = head[..end].strip_suffix(b"\r").unwrap_or(&head[..end]);
        let mut parts = line.split(|b| *b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed);
        };
        let target_ok = !target.is_empty() && !target.iter().any(u8::is_ascii_control);
        if method.is_empty() || !method.iter().copied().all(is_token) || !target_ok {
            return Err(malformed);
        }
        let http10 = is_http10(version)?;
        let method = Method::new(std::str::from_utf8(method).unwrap_or_default());
        let target = Target::parse(method, target)?;
        let this = Self {
            method,
            target,
            http10,
        };
        Ok((this, &head[end + 1..]))
    }
}

/// RFC 9110 §5.6.2
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// RFC 9112 §2.3: one digit each; `HTTP/2` and `HTTP/3` are what people write by hand.
fn is_http10(version: &[u8]) -> Result<bool, Refusal> {
    match version.strip_prefix(b"HTTP/") {
        Some(b"1.0") => Ok(true),
        Some([b'1', b'.', b'1'..=b'9']) => Ok(false),
        Some([b'0'..=b'9', b'.', b'0'..=b'9'] | [b'2'..=b'9']) => Err(refuse(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "a version other than HTTP/1.1 and HTTP/1.0",
        )),
        _ => Err(bad("a malformed version")),
    }
}

/// The request's method (RFC 9110 §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method<'a> {
    /// GET
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// One that is known and never allowed here: 405.
    Forbidden(&'a str),
    /// One that is not known: 501.
    Unknown(&'a str),
}

/// Registered methods that change things or tunnel: 405 rather than 501.
const FORBIDDEN: [&str; 14] = [
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "CONNECT",
    "TRACE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "QUERY",
];

impl<'a> Method<'a> {
    fn new(method: &'a str) -> Self {
        match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            _ if FORBIDDEN.contains(&method) => Self::Forbidden(method),
            _ => Self::Unknown(method),
        }
    }

    /// The method as it stands in the request line.
    pub fn as_str(&self) -> &'a str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Forbidden(name) | Self::Unknown(name) => name,
        }
    }
}

/// What is asked for, and of whom.
pub(super) struct Target<'a> {
    pub authority: Option<&'a [u8]>,
    pub path: &'a [u8],
    pub query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// The four forms of RFC 9112 §3.2.
    fn parse(method: Method<'_>, target: &'a [u8]) -> Result<Self, Refusal> {
        if target == b"*" {
            return match method {
                Method::Options => Ok(Self::origin(target)),
                _ => Err(bad("`*` as the target of another method than OPTIONS")),
            };
        }
        if target.contains(&b'#') {
            return Err(bad("a fragment in the target"));
        }
        if target.starts_with(b"/") {
            return Ok(Self::origin(target));
        }
        let scheme = [b"http://".as_slice(), b"https://"]
            .into_iter()
            .find(|scheme| {
                target.len() >= scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme)
            });
        match scheme {
            Some(scheme) => Self::absolute(&target[scheme.len()..]),
            // CONNECT's authority-form; it is refused by its method.
            None if matches!(method, Method::Forbidden("CONNECT")) => Ok(Self::origin(target)),
            None => Err(bad("a target that is neither a path nor an http URL")),
        }
    }

    fn origin(target: &'a [u8]) -> Self {
        let question = target.iter().position(|b| *b == b'?');
        Self {
            authority: None,
            path: &target[..question.unwrap_or(target.len())],
            query: question.map(|at| &target[at + 1..]),
        }
    }

    fn absolute(rest: &'a [u8]) -> Result<Self, Refusal> {
        let end = rest
            .iter()
            .position(|b| matches!(b, b'/' | b'?'))
            .unwrap_or(rest.len());
        let authority = &rest[..end];
        if authority.is_empty() || !is_authority(authority) {
            return Err(bad("a malformed authority in the target"));
        }
        let mut target = Self::origin(&rest[end..]);
        if target.path.is_empty() {
            target.path = b"/";
        }
        target.authority = Some(authority);
        Ok(target)
    }
}

/// `uri-host [ ":" port ]` (RFC 3986 §3.2.2), or nothing at all; never with a user. A port is one that exists, and
/// names nobody by itself (RFC 9110 §4.2.1).
pub(super) fn is_authority(value: &[u8]) -> bool {
    let (host_ok, port) = if let Some(literal) = value.strip_prefix(b"[") {
        let Some(end) = literal.iter().position(|b| *b == b']') else {
            return false;
        };
        let address = std::str::from_utf8(&literal[..end]).unwrap_or_default();
        (address.parse::<Ipv6Addr>().is_ok(), &literal[end + 1..])
    } else {
        let end = value.iter().position(|b| *b == b':').unwrap_or(value.len());
        let host = &value[..end];
        (
            is_reg_name(host) && (end > 0 || value.is_empty()),
            &value[end..],
        )
    };
    let port_ok = match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => {
            let text = std::str::from_utf8(digits).unwrap_or_default();
            digits.iter().all(u8::is_ascii_digit) && text.parse::<u16>().is_ok()
        }
        _ => false,
    };
    host_ok && port_ok
}

/// RFC 3986 §3.2.2; an IPv4 address looks the same.
fn is_reg_name(host: &[u8]) -> bool {
    let known = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'.' | b'_' | b'~' | b'%')
            || b"!$&'()*+,;=".contains(b)
    };
    host.iter().all(known) && decode(host).is_ok()
}
