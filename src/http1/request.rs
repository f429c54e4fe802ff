//! Request heads as a server reads them (RFC 9112 §2–§6): strict wherever two readers could differ.

use std::mem::MaybeUninit;

use http::StatusCode;

use super::conditional::Conditions;

/// Longest request line in bytes, its line end included; longer is 414.
pub const MAX_REQUEST_LINE: usize = 8 * 1024;
/// Longest head in bytes; longer is 431.
pub const MAX_HEAD: usize = 32 * 1024;
/// Most fields in one head; more is 431.
pub const MAX_FIELDS: usize = 100;

/// What a TLS handshake begins with (RFC 8446 §5.1), and no method does: no line end would ever come.
const TLS_HANDSHAKE: u8 = 0x16;

/// A request that is answered with an error and a closed connection, since what follows it cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What is answered.
    pub status: StatusCode,
    /// Why, in a few words.
    pub why: &'static str,
}

const fn refuse(status: StatusCode, why: &'static str) -> Refusal {
    Refusal { status, why }
}

const fn bad(why: &'static str) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, why)
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

/// One request's head, borrowed from the connection's buffer: every field that the server understands.
#[derive(Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: Method<'a>,
    /// The path of the target, still encoded, from its first slash on; `*` for `OPTIONS *`.
    pub path: &'a [u8],
    /// The target's query, without its question mark.
    pub query: Option<&'a [u8]>,
    /// Host and port that the client meant, as the target or else `Host` names them.
    pub authority: Option<&'a [u8]>,
    /// Whether the request is HTTP/1.0: no chunks in the answer.
    pub http10: bool,
    /// Whether the client would go on with this connection (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether a body follows; it is never read, so the connection ends with the answer.
    pub has_body: bool,
    /// `Accept`, a line each.
    pub accept: Vec<&'a [u8]>,
    /// `Authorization`, where it stands once.
    pub authorization: Option<&'a [u8]>,
    /// `User-Agent`
    pub user_agent: Option<&'a [u8]>,
    /// `Range`, where it stands once.
    pub range: Option<&'a [u8]>,
    /// Preconditions.
    pub conditions: Conditions<'a>,
    /// `Haul-Session`: groups the connections of one client.
    pub haul_session: Option<&'a [u8]>,
    /// `Haul-Name`: what the client calls itself, percent-encoded.
    pub haul_name: Option<&'a [u8]>,
}

/// Where the next head lies in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins, behind empty lines (RFC 9112 §2.2).
    pub start: usize,
    /// Where it ends, its empty line included.
    pub end: usize,
}

/// Looks for a complete head in `input`; `None` means that more has to be read.
///
/// `scanned` is where an earlier call on the same input stopped (0 at first), so that a head that comes byte by
/// byte is scanned once only.
pub fn find_head(input: &[u8], scanned: &mut usize) -> Result<Option<Extent>, Refusal> {
    let start = input
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(input.len());
    if start > MAX_HEAD {
        return Err(bad("only empty lines"));
    }
    let head = &input[start..];
    if head.first() == Some(&TLS_HANDSHAKE) {
        return Err(bad("TLS on a port for plain HTTP: use http://"));
    }
    let new = scanned.saturating_sub(start);
    let mut at = new;
    while let Some(line_end) = head[at..].iter().position(|b| *b == b'\n').map(|n| at + n) {
        if line_end >= MAX_HEAD {
            break;
        }
        let end = match &head[line_end + 1..] {
            [b'\n', ..] => line_end + 2,
            [b'\r', b'\n', ..] => line_end + 3,
            // The line end stays unscanned: what follows it decides.
            [] | [b'\r'] => break,
            _ => {
                at = line_end + 1;
                continue;
            }
        };
        check_request_line(head)?;
        if end > MAX_HEAD {
            break;
        }
        return Ok(Some(Extent {
            start,
            end: start + end,
        }));
    }
    check_request_line(head)?;
    if head.len() >= MAX_HEAD {
        return Err(refuse(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the head is longer than 32 KiB",
        ));
    }
    // Its end may never come: whoever ends lines in this way (RFC 9112 §2.2) is told at once.
    if has_bare_cr(&head[new..]) {
        return Err(bad("a carriage return without a line feed"));
    }
    *scanned = start + at;
    Ok(None)
}

/// Whether something else than a line feed follows a carriage return; what follows the last byte is not known yet.
fn has_bare_cr(head: &[u8]) -> bool {
    head.windows(2)
        .any(|pair| pair[0] == b'\r' && pair[1] != b'\n')
}

fn check_request_line(head: &[u8]) -> Result<(), Refusal> {
    let limit = head.len().min(MAX_REQUEST_LINE);
    if head.len() >= MAX_REQUEST_LINE && !head[..limit].contains(&b'\n') {
        return Err(refuse(
            StatusCode::URI_TOO_LONG,
            "the request line is longer than 8 KiB",
        ));
    }
    Ok(())
}

impl<'a> RequestHead<'a> {
    /// Parses one complete head, as [`find_head`] found it.
    pub fn parse(head: &'a [u8]) -> Result<Self, Refusal> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(head, &mut fields) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(bad("an incomplete head")),
            Err(error) => return Err(of_httparse(error, head)),
        }
        let http10 = request.version == Some(0);
        let method = Method::new(request.method.unwrap_or_default());
        let target = Target::parse(method, request.path.unwrap_or_default().as_bytes())?;
        let mut this = Self {
            method,
            path: target.path,
            query: target.query,
            authority: None,
            http10,
            keep_alive: !http10,
            has_body: false,
            accept: Vec::new(),
            authorization: None,
            user_agent: None,
            range: None,
            conditions: Conditions::default(),
            haul_session: None,
            haul_name: None,
        };
        let mut framing = Framing::default();
        for field in &*request.headers {
            this.take(field.name, field.value, &mut framing)?;
        }
        this.has_body = framing.check(http10)?;
        if !http10 && this.authority.is_none() {
            return Err(bad("no Host field"));
        }
        if target.authority.is_some() {
            this.authority = target.authority;
        }
        if framing.unmet_expectation {
            return Err(refuse(
                StatusCode::EXPECTATION_FAILED,
                "an expectation other than 100-continue",
            ));
        }
        Ok(this)
    }

    /// Takes in one field. Names are compared without case; those that are not known are skipped.
    fn take(&mut self, name: &str, value: &'a [u8], framing: &mut Framing) -> Result<(), Refusal> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("host") {
            if self.authority.is_some() {
                return Err(bad("two Host fields"));
            }
            if !is_authority(value) {
                return Err(bad("a malformed Host"));
            }
            self.authority = Some(value);
        } else if is("user-agent") {
            self.user_agent.get_or_insert(value);
        } else if is("authorization") {
            if self.authorization.replace(value).is_some() {
                return Err(bad("two Authorization fields"));
            }
        } else if is("accept") {
            self.accept.push(value);
        } else if is("connection") {
            self.take_connection(value);
        } else if is("range") {
            // Range has no list form across lines; two of them make no sense and are ignored together.
            self.range = if framing.ranges == 0 {
                Some(value)
            } else {
                None
            };
            framing.ranges += 1;
        } else if is("if-match") {
            self.conditions.if_match.push(value);
        } else if is("if-none-match") {
            self.conditions.if_none_match.push(value);
        } else if is("if-modified-since") {
            self.conditions.if_modified_since = Some(value);
        } else if is("if-unmodified-since") {
            self.conditions.if_unmodified_since = Some(value);
        } else if is("if-range") {
            self.conditions.if_range = Some(value);
        } else if is("haul-session") {
            self.haul_session = Some(value);
        } else if is("haul-name") {
            self.haul_name = Some(value);
        } else if is("content-length") {
            framing.take_length(value)?;
        } else if is("transfer-encoding") {
            framing.codings += 1;
            framing.chunked = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
        } else if is("expect") {
            framing.unmet_expectation |= !value.trim_ascii().eq_ignore_ascii_case(b"100-continue");
        }
        Ok(())
    }

    fn take_connection(&mut self, value: &[u8]) {
        for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
            } else if option.eq_ignore_ascii_case(b"keep-alive") && self.http10 {
                self.keep_alive = true;
            }
        }
    }
}

/// What the fields say of the body's length (RFC 9112 §6).
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    codings: usize,
    chunked: bool,
    unmet_expectation: bool,
    ranges: usize,
}

impl Framing {
    fn take_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length = digits
            .then(|| std::str::from_utf8(value).ok()?.parse().ok())
            .flatten()
            .ok_or(bad("a malformed Content-Length"))?;
        match self.length.replace(length) {
            None => Ok(()),
            Some(_) => Err(bad("a repeated Content-Length")),
        }
    }

    /// Whether a body follows, or why that cannot be told.
    fn check(&self, http10: bool) -> Result<bool, Refusal> {
        match (self.codings, self.length) {
            (0, length) => Ok(length.is_some_and(|length| length > 0)),
            (_, Some(_)) => Err(bad("Content-Length beside Transfer-Encoding")),
            _ if http10 => Err(bad("Transfer-Encoding in HTTP/1.0")),
            (1, None) if self.chunked => Ok(true),
            _ => Err(refuse(
                StatusCode::NOT_IMPLEMENTED,
                "a transfer coding other than chunked",
            )),
        }
    }
}

struct Target<'a> {
    authority: Option<&'a [u8]>,
    path: &'a [u8],
    query: Option<&'a [u8]>,
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

/// `uri-host [ ":" port ]` (RFC 3986 §3.2.2), or nothing at all; never with a user.
fn is_authority(value: &[u8]) -> bool {
    let (host, port) = if value.starts_with(b"[") {
        let Some(end) = value.iter().position(|b| *b == b']') else {
            return false;
        };
        let literal = &value[1..end];
        let valid = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
        if literal.is_empty() || !literal.iter().all(valid) {
            return false;
        }
        (&[][..], &value[end + 1..])
    } else {
        let end = value.iter().position(|b| *b == b':').unwrap_or(value.len());
        value.split_at(end)
    };
    let reg_name = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'.' | b'_' | b'~' | b'%')
            || b"!$&'()*+,;=".contains(b)
    };
    let port_ok = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host.iter().all(reg_name) && port_ok
}

/// What httparse refuses, as a status.
fn of_httparse(error: httparse::Error, head: &[u8]) -> Refusal {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => refuse(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "more than 100 fields",
        ),
        Error::Version if names_version(head) => refuse(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "a version other than HTTP/1.1 and HTTP/1.0",
        ),
        Error::HeaderName => bad("a malformed field name"),
        Error::HeaderValue => bad("a malformed field value"),
        _ => bad("a malformed request line"),
    }
}

/// Whether the request line has three parts, the last being some `HTTP/x` or `HTTP/x.y`.
fn names_version(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let mut parts = line.trim_ascii_end().split(|b| *b == b' ').skip(2);
    let version = parts.next().and_then(|part| part.strip_prefix(b"HTTP/"));
    let digits = |version: &[u8]| version.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    version.is_some_and(|version| !version.is_empty() && digits(version)) && parts.next().is_none()
}

#[cfg(test)]
mod tests;
