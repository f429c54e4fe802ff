//! Response heads as the client reads them (RFC 9112 §4): what it needs, copied out of the buffer.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use blake3::Hash;

use super::{body_reader::Framing, coding::Coding, fields};

/// Longest response head that is read, in bytes. Cookies and security policies fill what other clients allow: curl takes
/// 300 KB.
pub const HEAD_MAX: usize = 256 * 1024;
/// Fields that most heads have at most, and most that any may have.
const FIELDS: usize = 100;
const FIELDS_MAX: usize = 4096;

/// What the client needs of a response head.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of the head, present or not"
)]
pub struct ResponseHead {
    /// Status code.
    pub status: u16,
    /// How the body ends.
    pub framing: Option<Framing>,
    /// `Content-Length`, also where no body follows: the answer to HEAD tells the size by it.
    pub length: Option<u64>,
    /// Whether another response may follow on this connection.
    pub keep_alive: bool,
    /// The validator of a strong entity tag, quotes included; weak ones are left out: they identify no bytes.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<SystemTime>,
    /// `Content-Range`, if it is one of bytes.
    pub range: Option<ContentRange>,
    /// Whether the server says that it serves byte ranges.
    pub ranges: bool,
    /// `Content-Type`, without parameters, in lower case.
    pub content_type: String,
    /// Whether there is a `Content-Range`, whatever it says.
    pub is_part: bool,
    /// Whether caches are told that the answer depends on `Accept-Encoding`.
    pub varies: bool,
    /// Whether the entity tag, weak or strong, names a coded variant, as Apache and Jetty mark what they code themselves.
    pub variant: bool,
    /// `Content-Encoding`, where it names one.
    pub coding: Option<Coding>,
    /// `WWW-Authenticate`, each of them, in a 401.
    pub challenges: Vec<String>,
    /// `Set-Cookie`, each of them, in a redirect.
    pub cookies: Vec<String>,
    /// `Location`.
    pub location: Option<String>,
    /// `Retry-After`, as a pause from now.
    pub retry_after: Option<Duration>,
    /// `Server`.
    pub server: Option<String>,
    /// `Haul-Blake3`: digest of the whole file.
    pub blake3: Option<Hash>,
    /// `Haul-Pieces: 1`: the server answers `?pieces`.
    pub pieces: bool,
    /// `Haul-Dir`: names the served directory.
    pub haul_dir: Option<String>,
    /// `Haul-Paused: 1`: the server lets this client wait.
    pub paused: bool,
    /// `Haul-Denied`: what was decided about this client.
    pub denied: Option<Denied>,
    /// `Repr-Digest`, or else `Digest`, as it stands.
    pub digest: Option<String>,
}

/// Why a server of our kind refuses everything that a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It was kicked: `Retry-After` tells for how long.
    Kicked,
    /// It is banned.
    Banned,
}

/// `Content-Range: bytes first-last/total` (RFC 9110 §14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// First and last byte, inclusive; `None` in a 416.
    pub bytes: Option<(u64, u64)>,
    /// Size of the whole; `None` for `*`.
    pub total: Option<u64>,
}

/// A head that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not HTTP/1.
    #[error("the answer is not HTTP/1.1")]
    Malformed,
    /// More than [`HEAD_MAX`] bytes or 4,096 fields.
    #[error("the answer's head is too long")]
    TooLong,
    /// Content-Length is malformed, or several differ.
    #[error("the answer's length is malformed")]
    Length,
    /// A transfer coding other than chunked.
    #[error("the answer has an unknown transfer coding")]
    Coding,
}

impl ResponseHead {
    /// Parses the head at the front of `input`: the head and its length, or `None` when its end is not there yet.
    /// `to_head` says that it answers a HEAD request, so that no body follows.
    pub fn parse(input: &[u8], to_head: bool) -> Result<Option<(Self, usize)>, HeadError> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        match Self::parse_with(&mut fields, input, to_head) {
            Err(HeadError::TooLong) => {
                let mut fields = vec![httparse::EMPTY_HEADER; FIELDS_MAX];
                Self::parse_with(&mut fields, input, to_head)
            }
            parsed => parsed,
        }
    }

    fn parse_with<'b>(
        fields: &mut [httparse::Header<'b>],
        input: &'b [u8],
        to_head: bool,
    ) -> Result<Option<(Self, usize)>, HeadError> {
        let mut response = httparse::Response::new(fields);
        // What old servers send, and a user agent may take (RFC 9112 §5.1, §5.2): nobody reads it behind this client.
        let parsed = httparse::ParserConfig::default()
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .parse_response(&mut response, input);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) if length <= HEAD_MAX => length,
            Ok(httparse::Status::Partial) if input.len() < HEAD_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLong),
            Err(_) => return Err(HeadError::Malformed),
        };
        let status = response.code.unwrap_or(0);
        let mut head = Self {
            status,
            keep_alive: response.version == Some(1),
            ..Self::default()
        };
        let (mut content_length, mut chunked) = (None, false);
        let (mut codings, mut digests, mut old_digests) = (None, None, None);
        for field in response.headers.iter() {
            match field.name.len() {
                14 if is(field, "content-length") => {
                    // The same several times, or in a list, is that once (RFC 9110 §8.6).
                    for length in field.value.split(|b| *b == b',') {
                        let length = parse_u64(length).ok_or(HeadError::Length)?;
                        if content_length
                            .replace(length)
                            .is_some_and(|before| before != length)
                        {
                            return Err(HeadError::Length);
                        }
                    }
                }
                17 if is(field, "transfer-encoding") => {
                    if !field.value.trim_ascii().eq_ignore_ascii_case(b"chunked") || chunked {
                        return Err(HeadError::Coding);
                    }
                    chunked = true;
                }
                16 if is(field, "content-encoding") => list(&mut codings, field),
                11 if is(field, "repr-digest") => list(&mut digests, field),
                6 if is(field, "digest") => list(&mut old_digests, field),
                _ => head.take(field),
            }
        }
        head.coding = codings.as_deref().and_then(Coding::parse);
        head.digest = digests.or(old_digests);
        head.length = content_length;
        head.framing = Some(match (status, content_length) {
            _ if to_head || matches!(status, 100..=199 | 204 | 304) => Framing::Empty,
            _ if chunked => Framing::Chunked,
            (_, Some(length)) => Framing::Length(length),
            (_, None) => Framing::Close,
        });
        if head.framing == Some(Framing::Close) {
            head.keep_alive = false;
        }
        Ok(Some((head, length)))
    }

    /// Notes one field; what is malformed counts as absent.
    fn take(&mut self, field: &httparse::Header<'_>) {
        let value = value_of(field);
        let value = &*value;
        let text = || String::from_utf8_lossy(value).into_owned();
        match field.name.len() {
            4 if is(field, "etag") => {
                self.variant = [&b"gzip\""[..], b"deflate\"", b"-br\"", b"zstd\""]
                    .iter()
                    .any(|end| value.ends_with(end));
                self.etag = value.starts_with(b"\"").then(text);
            }
            4 if is(field, "vary") => {
                let mut names = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
                self.varies |= names.any(|name| name.eq_ignore_ascii_case(b"accept-encoding"));
            }
            6 if is(field, "server") => self.server = Some(text()),
            8 if is(field, "location") => self.location = Some(text()),
            8 if is(field, fields::DIR) => self.haul_dir = Some(text()),
            10 if self.status / 100 == 3 && is(field, "set-cookie") => self.cookies.push(text()),
            10 if is(field, "connection") => self.connection(value),
            11 if is(field, fields::BLAKE3) => {
                self.blake3 = std::str::from_utf8(value)
                    .ok()
                    .and_then(|hex| Hash::from_hex(hex).ok());
            }
            11 if is(field, fields::PIECES) => self.pieces = value == b"1",
            11 if is(field, fields::PAUSED) => self.paused = value == b"1",
            11 if is(field, fields::DENIED) => {
                self.denied = match value {
                    b"kicked" => Some(Denied::Kicked),
                    b"banned" => Some(Denied::Banned),
                    _ => None,
                };
            }
            11 if is(field, "retry-after") => self.retry_after = retry_after(value),
            12 if is(field, "content-type") => {
                let essence = value.split(|b| *b == b';').next().unwrap_or_default();
                self.content_type =
                    String::from_utf8_lossy(essence.trim_ascii()).to_ascii_lowercase();
            }
            13 if is(field, "last-modified") => {
                self.modified = std::str::from_utf8(value)
                    .ok()
                    .and_then(|date| httpdate::parse_http_date(date).ok());
            }
            13 if is(field, "content-range") => {
                self.is_part = true;
                self.range = ContentRange::parse(value);
            }
            13 if is(field, "accept-ranges") => self.ranges = value.eq_ignore_ascii_case(b"bytes"),
            16 if self.status == 401 && is(field, "www-authenticate") => {
                self.challenges.push(text());
            }
            _ => {}
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            }
        }
    }
}

impl ContentRange {
    fn parse(value: &[u8]) -> Option<Self> {
        let value = std::str::from_utf8(value).ok()?;
        let (unit, rest) = value.split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (bytes, total) = rest.trim().split_once('/')?;
        let total = match total {
            "*" => None,
            digits => Some(parse_u64(digits.as_bytes())?),
        };
        let bytes = match bytes {
            "*" => None,
            range => {
                let (first, last) = range.split_once('-')?;
                let (first, last) = (parse_u64(first.as_bytes())?, parse_u64(last.as_bytes())?);
                if first > last || total.is_some_and(|total| last >= total) {
                    return None;
                }
                Some((first, last))
            }
        };
        Some(Self { bytes, total })
    }
}

/// A field's value; a folded one has blanks in place of the line ends (RFC 9112 §5.2).
fn value_of<'b>(field: &httparse::Header<'b>) -> Cow<'b, [u8]> {
    let value = field.value.trim_ascii();
    if !value.contains(&b'\n') {
        return value.into();
    }
    let lines = value.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    lines.collect::<Vec<_>>().join(&b' ').into()
}

/// Adds a field to the list that all fields of its name are together (RFC 9110 §5.3).
fn list(all: &mut Option<String>, field: &httparse::Header<'_>) {
    let value = value_of(field);
    let text = String::from_utf8_lossy(&value);
    match all {
        Some(all) => {
            all.push_str(", ");
            all.push_str(&text);
        }
        None => *all = Some(text.into_owned()),
    }
}

fn is(field: &httparse::Header<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

/// Digits only: no sign, no blank inside, no overflow.
fn parse_u64(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).
fn retry_after(value: &[u8]) -> Option<Duration> {
    if let Some(seconds) = parse_u64(value) {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    date.duration_since(SystemTime::now()).ok()
}

#[cfg(test)]
mod tests;
