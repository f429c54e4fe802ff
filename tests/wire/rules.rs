//! What is held against the answers: rules that hold for each of them, and what a row expects.

use std::time::{Duration, SystemTime};

use super::{
    answer::{Answer, Framing, find, number},
    row::{Body, Expected, Outcome, Then, Value},
};

/// Holds the answers of a row against what it expects, and against the rules for all.
pub fn check(outcome: &Outcome, answers: &[Answer], etag: &str) -> Result<(), String> {
    for (at, (answer, expected)) in answers.iter().zip(&outcome.answers).enumerate() {
        let last = at + 1 == outcome.answers.len();
        as_expected(answer, expected, etag)
            .and_then(|()| every_answer(answer, expected.to_head))
            .and_then(|()| by_status(answer, expected.to_head))
            .and_then(|()| connection(answer, last && outcome.then == Then::Closed))
            .map_err(|why| format!("answer {}: {why}", at + 1))?;
    }
    outcome
        .together
        .map_or(Ok(()), |together| together(answers))
}

fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn must_have<'a>(answer: &'a Answer, name: &str) -> Result<&'a str, String> {
    let why = || format!("a {} without {name}", answer.status);
    answer.field(name).ok_or_else(why)
}

/// RFC 9110 §6.6.1, §8.3, §8.8, §10.2.4, and what haul promises of every answer.
fn every_answer(answer: &Answer, to_head: bool) -> Result<(), String> {
    let date = must_have(answer, "Date")?;
    require(is_imf_date(date) && is_now(date), || {
        format!("Date: {date:?}")
    })?;
    for (name, value) in [
        ("Server", concat!("haul/", env!("CARGO_PKG_VERSION"))),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-cache"),
    ] {
        let found = must_have(answer, name)?;
        require(found == value, || format!("{name}: {found:?}"))?;
    }
    if let Some(etag) = answer.field("ETag") {
        let inner = etag
            .strip_prefix('"')
            .and_then(|etag| etag.strip_suffix('"'));
        let hex = |b: u8| b.is_ascii_hexdigit();
        let strong = inner.is_some_and(|hash| hash.len() == 32 && hash.bytes().all(hex));
        require(strong, || format!("no strong tag: {etag:?}"))?;
        let modified = must_have(answer, "Last-Modified")?;
        require(is_imf_date(modified), || format!("no date: {modified:?}"))?;
    }
    let has_content = !answer.body.is_empty() || (to_head && answer.status == 200);
    require(
        !has_content || answer.field("Content-Type").is_some(),
        || "content without a Content-Type".into(),
    )?;
    let announced = answer.field("Connection") == Some("close");
    require(answer.framing != Framing::Close || announced, || {
        "a body up to the connection's end, which is not announced".into()
    })
}

/// What a status asks for.
fn by_status(answer: &Answer, to_head: bool) -> Result<(), String> {
    match answer.status {
        206 => {
            let kind = must_have(answer, "Content-Type")?;
            // §15.3.7.2: several parts carry their ranges themselves.
            let several = kind.starts_with("multipart/byteranges");
            require(several != answer.field("Content-Range").is_some(), || {
                "a 206 with a range for all or none".into()
            })?;
            must_have(answer, "ETag")?;
        }
        // §15.4.5: what would help a cache, and nothing of the content.
        304 => {
            for name in ["Content-Length", "Content-Type", "Content-Range"] {
                require(answer.field(name).is_none(), || {
                    format!("a 304 with {name}")
                })?;
            }
        }
        301 => drop(must_have(answer, "Location")?),
        401 => drop(must_have(answer, "WWW-Authenticate")?),
        405 => {
            let allow = must_have(answer, "Allow")?;
            require(allow == "GET, HEAD, OPTIONS", || format!("Allow: {allow}"))?;
        }
        416 => {
            let range = must_have(answer, "Content-Range")?;
            require(range.starts_with("bytes */"), || {
                format!("Content-Range: {range}")
            })?;
        }
        429 | 503 => {
            let after = must_have(answer, "Retry-After")?;
            number(after)?;
        }
        _ => {}
    }
    if answer.status >= 400 && answer.status != 416 {
        let code = answer.status.to_string();
        let says = find(&answer.body, code.as_bytes()).is_some();
        require(to_head || says, || {
            "an error that does not say what it is".into()
        })?;
        number(must_have(answer, "Content-Length")?)?;
    }
    Ok(())
}

/// RFC 9112 §9.6: the last answer says that it is, and no other does.
fn connection(answer: &Answer, closes: bool) -> Result<(), String> {
    let says = answer.field("Connection");
    let right = if closes {
        says == Some("close")
    } else {
        matches!(says, None | Some("keep-alive"))
    };
    require(right, || format!("Connection: {says:?}"))
}

fn as_expected(answer: &Answer, expected: &Expected, etag: &str) -> Result<(), String> {
    require(answer.status == expected.status, || {
        format!("{} instead of {}", answer.status, expected.status)
    })?;
    for (name, value) in &expected.fields {
        let found = answer.field(name);
        let right = match value {
            Value::Is(value) => found == Some(&value.replace("{etag}", etag)),
            Value::Absent => found.is_none(),
            Value::Check(check) => found.is_some_and(check),
        };
        require(right, || format!("{name}: {found:?}"))?;
    }
    match &expected.body {
        Body::Any => Ok(()),
        Body::Is(bytes) => require(answer.body == *bytes, || "another body".into()),
        Body::Has(text) => require(find(&answer.body, text.as_bytes()).is_some(), || {
            format!("a body without {text:?}")
        }),
        Body::Parts(parts, file) => multipart(answer, parts, file),
    }
}

/// RFC 9110 §14.6: parts in this order, each with its own range and the type of the whole, and nothing around them.
fn multipart(answer: &Answer, parts: &[(usize, usize)], file: &[u8]) -> Result<(), String> {
    let kind = must_have(answer, "Content-Type")?;
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .ok_or_else(|| format!("Content-Type: {kind}"))?;
    let plain = boundary.bytes().all(|b| b.is_ascii_alphanumeric());
    // RFC 2046 §5.1.1: at most 70 characters; one that cannot be guessed is not met in a file.
    require(plain && (24..=70).contains(&boundary.len()), || {
        format!("boundary={boundary}")
    })?;
    let mut rest = answer.body.as_slice();
    for (at, (first, last)) in parts.iter().enumerate() {
        let before = if at == 0 { "" } else { "\r\n" };
        let head = format!(
            "{before}--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes {first}-{last}/{}\r\n\r\n",
            file.len()
        );
        let part = &file[*first..=*last];
        rest = rest
            .strip_prefix(head.as_bytes())
            .and_then(|rest| rest.strip_prefix(part))
            .ok_or_else(|| format!("part {} is another", at + 1))?;
    }
    let end = format!("\r\n--{boundary}--\r\n");
    require(rest == end.as_bytes(), || {
        "more behind the last part".into()
    })
}

/// Within a minute, which no answer takes.
fn is_now(date: &str) -> bool {
    let (now, minute) = (SystemTime::now(), Duration::from_secs(60));
    httpdate::parse_http_date(date).is_ok_and(|date| date <= now + minute && now <= date + minute)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7), the only form that is sent.
fn is_imf_date(text: &str) -> bool {
    const SHAPE: &[u8] = b"Aaa, 00 Aaa 0000 00:00:00 GMT";
    let alike = |(b, shape): (u8, &u8)| match shape {
        b'0' => b.is_ascii_digit(),
        b'A' => b.is_ascii_uppercase(),
        b'a' => b.is_ascii_lowercase(),
        _ => b == *shape,
    };
    text.len() == SHAPE.len()
        && text.bytes().zip(SHAPE).enumerate().all(|(at, (b, shape))| {
            // GMT is meant literally.
            if at >= 26 {
                b == *shape
            } else {
                alike((b, shape))
            }
        })
}
