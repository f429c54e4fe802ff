//! Request heads as a server reads them (RFC 9112 §2–§6): strict wherever two readers could differ,
//! but for line feeds alone throughout, which some tools send.

use http::StatusCode;
use memchr::memchr;

use super::{conditional::Conditions, fields};

mod line;
mod refusal;
pub use line::Method;
use line::{RequestLine, is_authority};
pub use refusal::Refusal;
use refusal::{bad, refuse};

/// Longest request line in bytes, its line end included; longer is 414.
pub const MAX_REQUEST_LINE: usize = 8 * 1024;
/// Longest head in bytes; longer is 431.
pub const MAX_HEAD: usize = 32 * 1024;
/// Most fields in one head; more is 431.
pub const MAX_FIELDS: usize = 100;

/// What a TLS handshake begins with (RFC 8446 §5.1), and no method does: no line end would ever come.
const TLS_HANDSHAKE: u8 = 0x16;

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
    /// `Sec-Fetch-Site`
    pub fetch_site: Option<&'a [u8]>,
    /// `Range`; empty where it stands twice.
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
    let start = empty_lines(input);
    if start > MAX_HEAD {
        return Err(bad("only empty lines"));
    }
    let head = &input[start..];
    if head.first() == Some(&TLS_HANDSHAKE) {
        return Err(bad("TLS on a port for plain HTTP: use http://"));
    }
    let new = scanned.saturating_sub(start);
    let mut at = new;
    while let Some(line_end) = memchr(b'\n', &head[at..]).map(|n| at + n) {
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

/// How many bytes of empty lines `input` begins with. A CR alone is no line end.
fn empty_lines(input: &[u8]) -> usize {
    let mut rest = input;
    while let [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] = rest {
        rest = after;
    }
    input.len() - rest.len()
}

/// Whether the request that `input` begins with is a HEAD, however little of it is understood: then no content may
/// follow the answer's head (RFC 9110 §9.3.2).
pub fn is_head(input: &[u8]) -> bool {
    input[empty_lines(input)..].starts_with(b"HEAD ")
}

/// Whether some lines end in CR LF and others in LF alone: two readers could see two requests in them. A head that has LF
/// alone throughout is taken, for those who type one (RFC 9112 §2.2).
fn has_mixed_line_ends(head: &[u8]) -> bool {
    let mut lines = head.split_inclusive(|b| *b == b'\n');
    let crlf = lines.next().is_some_and(|line| line.ends_with(b"\r\n"));
    lines.any(|line| line.ends_with(b"\r\n") != crlf)
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
        if has_mixed_line_ends(head) {
            return Err(bad("lines that end in different ways"));
        }
        let (line, rest) = RequestLine::parse(head)?;
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let fields = match httparse::parse_headers(rest, &mut fields) {
            Ok(httparse::Status::Complete((length, fields))) if length == rest.len() => fields,
            Ok(_) => return Err(bad("an incomplete head")),
            Err(error) => return Err(of_httparse(error)),
        };
        let RequestLine {
            method,
            target,
            http10,
        } = line;
        let mut this = Self {
            method,
            path: target.path,
            query: target.query,
            authority: None,
            http10,
            keep_alive: false,
            has_body: false,
            accept: Vec::new(),
            authorization: None,
            user_agent: None,
            fetch_site: None,
            range: None,
            conditions: Conditions::default(),
            haul_session: None,
            haul_name: None,
        };
        let mut framing = Framing::default();
        for field in fields {
            this.take(field.name, field.value, &mut framing)?;
        }
        this.has_body = framing.check(http10)?;
        this.keep_alive = !framing.closes && (framing.keeps || !http10);
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

    /// Whether a browser asks for the page of another site (Fetch Metadata §2.3); other clients do not say.
    pub fn is_from_another_site(&self) -> bool {
        let site = self.fetch_site;
        site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
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
        } else if is("sec-fetch-site") {
            self.fetch_site.get_or_insert(value);
        } else if is("authorization") {
            if self.authorization.replace(value).is_some() {
                return Err(bad("two Authorization fields"));
            }
        } else if is("accept") {
            self.accept.push(value);
        } else if is("connection") {
            framing.take_connection(value);
        } else if is("range") {
            once(&mut self.range, value);
        } else if is("if-match") {
            self.conditions.if_match.push(value);
        } else if is("if-none-match") {
            self.conditions.if_none_match.push(value);
        } else if is("if-modified-since") {
            once(&mut self.conditions.if_modified_since, value);
        } else if is("if-unmodified-since") {
            once(&mut self.conditions.if_unmodified_since, value);
        } else if is("if-range") {
            once(&mut self.conditions.if_range, value);
        } else if is(fields::SESSION) {
            self.haul_session = Some(value);
        } else if is(fields::NAME) {
            self.haul_name = Some(value);
        } else if is("content-length") {
            framing.take_length(value)?;
        } else if is("transfer-encoding") {
            framing.take_codings(value);
        } else if is("expect") {
            framing.unmet_expectation |=
                elements(value).any(|expected| !expected.eq_ignore_ascii_case(b"100-continue"));
        }
        Ok(())
    }
}

/// Takes a field that has no list form. Where it stands twice nobody can tell which one counts, so neither does: the
/// empty value is no range, no date and no tag.
fn once<'a>(field: &mut Option<&'a [u8]>, value: &'a [u8]) {
    *field = Some(if field.is_some() { b"" } else { value });
}

/// The elements of a list (RFC 9110 §5.6.1), without the empty ones.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|b| *b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// What the fields say of the body's length (RFC 9112 §6) and of the connection.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    coding: Option<Coding>,
    closes: bool,
    keeps: bool,
    unmet_expectation: bool,
}

impl Framing {
    fn take_connection(&mut self, value: &[u8]) {
        for option in elements(value) {
            self.closes |= option.eq_ignore_ascii_case(b"close");
            self.keeps |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn take_codings(&mut self, value: &[u8]) {
        let before = self.coding.unwrap_or(Coding::Empty);
        self.coding = Some(elements(value).fold(before, Coding::then));
    }

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
        let Some(coding) = self.coding else {
            return Ok(self.length.is_some_and(|length| length > 0));
        };
        if self.length.is_some() {
            return Err(bad("Content-Length beside Transfer-Encoding"));
        }
        if http10 {
            return Err(bad("Transfer-Encoding in HTTP/1.0"));
        }
        match coding {
            Coding::Chunked => Ok(true),
            Coding::Unknown => Err(refuse(
                StatusCode::NOT_IMPLEMENTED,
                "a transfer coding other than chunked",
            )),
            Coding::Empty | Coding::Open | Coding::Misplaced => {
                Err(bad("a Transfer-Encoding that does not end in chunked"))
            }
        }
    }
}

/// What `Transfer-Encoding` says, all its lines taken as one list (RFC 9112 §6.1, §6.3).
#[derive(Clone, Copy)]
enum Coding {
    /// Nothing.
    Empty,
    /// Codings of which none is `chunked`: nobody can tell where the body ends.
    Open,
    /// `chunked` alone.
    Chunked,
    /// `chunked` behind others.
    Unknown,
    /// Something behind `chunked`.
    Misplaced,
}

impl Coding {
    fn then(self, coding: &[u8]) -> Self {
        let chunked = coding.eq_ignore_ascii_case(b"chunked");
        match (self, chunked) {
            (Self::Empty, true) => Self::Chunked,
            (Self::Open, true) => Self::Unknown,
            (Self::Empty | Self::Open, false) => Self::Open,
            (Self::Chunked | Self::Unknown | Self::Misplaced, _) => Self::Misplaced,
        }
    }
}

/// What httparse refuses, as a status.
fn of_httparse(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => refuse(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "more than 100 fields",
        ),
        httparse::Error::HeaderName => bad("a malformed field name"),
        httparse::Error::HeaderValue => bad("a malformed field value"),
        _ => bad("a malformed head"),
    }
}

#[cfg(test)]
mod tests;
