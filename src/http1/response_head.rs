//! Response heads as the client reads them (RFC 9112 §4): what it needs, copied out of the buffer.

use std::time::{Duration, SystemTime};

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
                _ => head.take(field),
            }
        }
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
        let unfolded;
        let mut value = field.value.trim_ascii();
        if value.contains(&b'\n') {
            unfolded = unfold(value);
            value = &unfolded;
        }
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
            6 if is(field, "digest") && self.digest.is_none() => self.digest = Some(text()),
            8 if is(field, "location") => self.location = Some(text()),
            8 if is(field, fields::DIR) => self.haul_dir = Some(text()),
            10 if self.status / 100 == 3 && is(field, "set-cookie") => self.cookies.push(text()),
            10 if is(field, "connection") => self.connection(value),
            11 if is(field, "repr-digest") => self.digest = Some(text()),
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
            16 if is(field, "content-encoding") => {
                self.coding = Coding::parse(&text());
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

/// A folded field's value with blanks in place of the line ends (RFC 9112 §5.2).
fn unfold(value: &[u8]) -> Vec<u8> {
    let lines = value.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    lines.collect::<Vec<_>>().join(&b' ')
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
mod tests {
    use super::*;

    fn head(text: &str) -> ResponseHead {
        let wire = format!("HTTP/1.1 {}\r\n\r\n", text.replace('\n', "\r\n"));
        let (head, length) = ResponseHead::parse(wire.as_bytes(), false)
            .unwrap()
            .unwrap();
        assert_eq!(length, wire.len());
        head
    }

    #[test]
    fn the_fields_that_matter_are_read() {
        let hash = blake3::hash(b"x");
        let head = head(&format!(
            "206 Partial Content\ncontent-length: 5\nETag: \"abc\"\nContent-Range: bytes 5-9/100\n\
             Accept-Ranges: bytes\nContent-Type: Text/HTML; charset=utf-8\nHaul-Blake3: {hash}\nHaul-Pieces: 1\n\
             Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nConnection: close\nRetry-After: 7"
        ));
        assert_eq!(head.status, 206);
        assert_eq!(head.framing, Some(Framing::Length(5)));
        assert_eq!(head.etag.as_deref(), Some("\"abc\""));
        assert_eq!(
            head.range,
            Some(ContentRange {
                bytes: Some((5, 9)),
                total: Some(100)
            })
        );
        assert!(head.ranges && head.pieces && !head.keep_alive);
        assert_eq!(head.content_type, "text/html");
        assert_eq!(head.blake3, Some(hash));
        assert_eq!(head.retry_after, Some(Duration::from_secs(7)));
        assert!(head.modified.is_some());
    }

    #[test]
    fn each_field_is_known_by_its_name() {
        let all = head(
            "302 Found\nServer: S\nVary: Cookie, accept-encoding\nDigest: old\nRepr-Digest: new\n\
             Location: /l\nHaul-Dir: d\nHaul-Paused: 1\nHaul-Denied: kicked\nSet-Cookie: a\n\
             Set-Cookie: b\nContent-Encoding: gzip\nETag: W/\"x-gzip\"\nWWW-Authenticate: Basic",
        );
        assert_eq!(all.server.as_deref(), Some("S"));
        assert!(all.varies && all.variant && all.paused);
        assert_eq!(all.digest.as_deref(), Some("new"));
        assert_eq!(all.location.as_deref(), Some("/l"));
        assert_eq!(all.haul_dir.as_deref(), Some("d"));
        assert_eq!(all.denied, Some(Denied::Kicked));
        assert_eq!(all.cookies, ["a", "b"]);
        assert_eq!(all.coding, Some(Coding::Gzip));
        assert_eq!(all.challenges, [""; 0]);
        let other = head(
            "401 Unauthorized\nRepr-Digest: new\nDigest: old\nVary: Cookie\nHaul-Denied: banned\n\
             WWW-Authenticate: Basic\nSet-Cookie: a",
        );
        assert_eq!(other.digest.as_deref(), Some("new"));
        assert!(!other.varies && !other.variant && !other.paused);
        assert_eq!(other.denied, Some(Denied::Banned));
        assert_eq!(other.challenges, ["Basic"]);
        assert_eq!(other.cookies, [""; 0]);
        assert_eq!(head("200 OK\nDigest: old").digest.as_deref(), Some("old"));
        assert_eq!(head("200 OK\nHaul-Denied: x").denied, None);
    }

    #[test]
    fn fields_that_are_as_long_as_known_ones_say_nothing() {
        for status in [200, 302, 401] {
            let plain = format!("{:?}", head(&format!("{status} S")));
            for length in 1..20 {
                let name = "X".repeat(length);
                for value in [
                    "7",
                    "1",
                    "\"a-gzip\"",
                    "bytes",
                    "bytes 0-1/2",
                    "accept-encoding",
                ] {
                    let with = format!("{:?}", head(&format!("{status} S\n{name}: {value}")));
                    assert_eq!(with, plain, "{name}: {value}");
                }
                let connection = head(&format!("{status} S\nContent-Length: 1\n{name}: close"));
                assert!(connection.keep_alive, "{name}");
            }
        }
    }

    #[test]
    fn a_connection_stays_open_as_its_version_and_options_say() {
        let keeps = |version: &str, options: &str| {
            let wire = format!("HTTP/1.{version} 200 OK\r\nContent-Length: 0\r\n{options}\r\n");
            let head = ResponseHead::parse(wire.as_bytes(), false);
            head.unwrap().unwrap().0.keep_alive
        };
        assert!(keeps("1", "") && !keeps("0", ""));
        assert!(keeps("0", "Connection: x, Keep-Alive\r\n"));
        assert!(!keeps("1", "Connection: x, Close\r\n"));
    }

    #[test]
    fn a_head_may_be_so_long_and_no_longer() {
        let parse = |length: usize, end: &str| {
            let mut wire = "HTTP/1.1 200 OK\r\n".to_owned();
            let field = ["X: ", &"x".repeat(900), "\r\n"].concat();
            while wire.len() + 1000 < length {
                wire += &field;
            }
            wire += "Y: ";
            wire += &"y".repeat(length - wire.len() - end.len());
            wire += end;
            assert_eq!(wire.len(), length);
            ResponseHead::parse(wire.as_bytes(), false).map(|head| head.is_some())
        };
        assert_eq!(parse(HEAD_MAX, "\r\n\r\n"), Ok(true));
        assert_eq!(parse(HEAD_MAX + 1, "\r\n\r\n"), Err(HeadError::TooLong));
        assert_eq!(parse(HEAD_MAX - 1, ""), Ok(false));
        assert_eq!(parse(HEAD_MAX, ""), Err(HeadError::TooLong));
    }

    #[test]
    fn a_weak_entity_tag_identifies_no_bytes() {
        assert_eq!(head("200 OK\nETag: W/\"abc\"").etag, None);
    }

    #[test]
    fn framing_follows_the_rules() {
        assert_eq!(
            head("200 OK\nTransfer-Encoding: chunked").framing,
            Some(Framing::Chunked)
        );
        let until_close = head("200 OK");
        assert_eq!(
            (until_close.framing, until_close.keep_alive),
            (Some(Framing::Close), false)
        );
        assert_eq!(
            head("304 Not Modified\nContent-Length: 9").framing,
            Some(Framing::Empty)
        );
        let (to_head, _) =
            ResponseHead::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true)
                .unwrap()
                .unwrap();
        assert_eq!(to_head.framing, Some(Framing::Empty));
    }

    #[test]
    fn what_old_servers_send_is_read() {
        let old = head(
            "200 OK\nContent-Length : 5, 5\nETag:\n\t\"a\"\nLast-Modified: Sun,\n 06 Nov 1994 08:49:37 GMT\nContent-Length: 5",
        );
        assert_eq!(old.framing, Some(Framing::Length(5)));
        assert_eq!(old.etag.as_deref(), Some("\"a\""));
        assert!(old.modified.is_some());
        let policy = format!("X: {}\n", "x".repeat(1000)).repeat(200);
        assert_eq!(
            head(&format!("200 OK\n{policy}Content-Length: 5")).length,
            Some(5)
        );
    }

    #[test]
    fn what_is_malformed_is_refused_or_absent() {
        let parse =
            |wire: &str| ResponseHead::parse(wire.as_bytes(), false).map(|head| head.is_some());
        assert_eq!(parse("HTTP/1.1 200 OK\r\nContent-Le"), Ok(false));
        assert_eq!(parse("SSH-2.0-OpenSSH\r\n\r\n"), Err(HeadError::Malformed));
        for length in [
            "-1",
            "+1",
            "1,2",
            "1,",
            "",
            "1\r\n 2",
            "99999999999999999999",
        ] {
            let wire = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            assert_eq!(parse(&wire), Err(HeadError::Length), "{length}");
        }
        assert_eq!(
            parse("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            Err(HeadError::Length)
        );
        assert_eq!(
            parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
            Err(HeadError::Coding)
        );
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_MAX));
        assert_eq!(parse(&endless), Err(HeadError::TooLong));
        for range in [
            "bytes 9-5/10",
            "bytes 0-10/10",
            "items 0-1/2",
            "bytes 0-1",
            "bytes -1/2",
        ] {
            assert_eq!(ContentRange::parse(range.as_bytes()), None, "{range}");
        }
        assert_eq!(
            ContentRange::parse(b"bytes */7"),
            Some(ContentRange {
                bytes: None,
                total: Some(7)
            })
        );
    }
}
