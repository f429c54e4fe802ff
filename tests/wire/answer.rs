//! A parser of answers that shares nothing with haul's own, so that no fault there can hide itself. It takes only what
//! a careful sender writes: one space where one stands, no whitespace around values, no field twice.

/// One answer, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub framing: Framing,
}

/// What ends the body (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none, whatever the fields say.
    None,
    /// `Content-Length`
    Length,
    /// `Transfer-Encoding: chunked`
    Chunked,
    /// The connection's end.
    Close,
}

/// Fields that may stand more than once.
const LISTS: [&str; 1] = ["www-authenticate"];

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Takes the first answer off `bytes`: it, and its length. `None` means that more has to come.
pub fn parse(bytes: &[u8], to_head: bool, ended: bool) -> Result<Option<(Answer, usize)>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is no ASCII")?;
    let mut lines = head.split("\r\n");
    let status = status_line(lines.next().unwrap_or_default())?;
    let fields = lines.map(field_line).collect::<Result<Vec<_>, _>>()?;
    for (at, (name, _)) in fields.iter().enumerate() {
        let again = fields[..at]
            .iter()
            .any(|other| other.0.eq_ignore_ascii_case(name));
        if again && !LISTS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("{name} stands twice"));
        }
    }
    let mut answer = Answer {
        status,
        fields,
        body: Vec::new(),
        framing: Framing::None,
    };
    let rest = &bytes[end + 4..];
    answer.framing = framing(&answer, to_head)?;
    let body = match answer.framing {
        Framing::None => Some((Vec::new(), 0)),
        Framing::Length => {
            let length = number(answer.field("Content-Length").unwrap_or_default())?;
            rest.get(..length).map(|body| (body.to_vec(), length))
        }
        Framing::Chunked => chunked(rest)?,
        Framing::Close => ended.then(|| (rest.to_vec(), rest.len())),
    };
    let Some((body, length)) = body else {
        return Ok(None);
    };
    answer.body = body;
    Ok(Some((answer, end + 4 + length)))
}

/// `HTTP/1.1 200 OK` (RFC 9112 §4).
fn status_line(line: &str) -> Result<u16, String> {
    let wrong = || format!("no status line: {line:?}");
    let rest = line.strip_prefix("HTTP/1.1 ").ok_or_else(wrong)?;
    let (code, reason) = rest.split_once(' ').ok_or_else(wrong)?;
    let plain = |b: u8| b == b' ' || b.is_ascii_graphic();
    if code.len() != 3 || reason.is_empty() || !reason.bytes().all(plain) {
        return Err(wrong());
    }
    Ok(number(code).map_err(|_| wrong())? as u16)
}

/// `Name: value` (RFC 9112 §5), without what only a lenient reader would take.
fn field_line(line: &str) -> Result<(String, String), String> {
    let wrong = || format!("no field line: {line:?}");
    let (name, value) = line.split_once(": ").ok_or_else(wrong)?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let text = |b: u8| b == b' ' || b.is_ascii_graphic();
    if name.is_empty() || !name.bytes().all(token) || value.is_empty() || value.trim() != value {
        return Err(wrong());
    }
    if !value.bytes().all(text) {
        return Err(wrong());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// RFC 9112 §6.3, as far as answers to GET, HEAD and OPTIONS go.
fn framing(answer: &Answer, to_head: bool) -> Result<Framing, String> {
    let length = answer.field("Content-Length");
    let coding = answer.field("Transfer-Encoding");
    if length.is_some() && coding.is_some() {
        return Err("Content-Length beside Transfer-Encoding".into());
    }
    if matches!(answer.status, 100..200 | 204) && (length.is_some() || coding.is_some()) {
        return Err(format!("a {} with a length", answer.status));
    }
    if to_head || matches!(answer.status, 100..200 | 204 | 304) {
        return Ok(Framing::None);
    }
    match (length, coding) {
        (Some(_), _) => Ok(Framing::Length),
        (_, Some("chunked")) => Ok(Framing::Chunked),
        (_, Some(other)) => Err(format!("an unknown coding {other:?}")),
        (None, None) => Ok(Framing::Close),
    }
}

type Body = (Vec<u8>, usize);

/// RFC 9112 §7.1: no extensions, no trailers, sizes without leading zeros.
fn chunked(bytes: &[u8]) -> Result<Option<Body>, String> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else {
            return Ok(None);
        };
        let line = String::from_utf8_lossy(&bytes[at..at + end]).into_owned();
        let wrong = || format!("no chunk size: {line:?}");
        let size = usize::from_str_radix(&line, 16).map_err(|_| wrong())?;
        if format!("{size:x}") != line {
            return Err(wrong());
        }
        at += end + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else {
            return Ok(None);
        };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk that does not end where it says".into());
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

/// A number as a careful sender writes it: digits, no sign, no leading zero.
pub fn number(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| format!("no number: {text:?}"))?;
    if number.to_string() == text {
        Ok(number)
    } else {
        Err(format!("an odd number: {text:?}"))
    }
}

/// Where `part` stands first.
pub fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[test]
fn what_a_lenient_reader_would_take_is_an_error() {
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let (answer, length) = parse(ok, false, false).unwrap().unwrap();
    assert_eq!((answer.status, length), (200, ok.len()));
    assert_eq!(parse(&ok[..ok.len() - 1], false, true), Ok(None));
    for wrong in [
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA:b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b \r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\na: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\nB: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 02\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n02\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n",
    ] {
        assert!(parse(wrong.as_bytes(), false, true).is_err(), "{wrong:?}");
    }
}
