//! How large a request may be, and how many there may be (RFC 9110 §5.4, RFC 9112 §3).

use super::{
    row::{Row, ends, get, gone, half_close, head, ok, row, status, stays},
    stage::{HELLO, PROBE},
};

/// The longest request line, its line end included, in bytes.
const LINE: usize = 8 * 1024;
/// The longest head, in bytes.
const HEAD: usize = 32 * 1024;
/// The most fields.
const FIELDS: usize = 100;
/// Requests on one connection.
const REQUESTS: usize = 10_000;

pub fn rows() -> Vec<Row> {
    let mut rows = lines();
    rows.extend(heads());
    rows
}

/// A request line of exactly so many bytes, `end` included.
fn line(length: usize, end: &str) -> String {
    let bare = "GET /hello.txt? HTTP/1.1".len() + end.len();
    let line = format!("GET /hello.txt?{} HTTP/1.1{end}", "x".repeat(length - bare));
    assert_eq!(line.len(), length);
    line
}

fn lines() -> Vec<Row> {
    const SECTION: &str = "9112 §3";
    vec![
        row(SECTION, "a request line of 8 KiB is taken",
            line(LINE, "\r\n") + "Host: haul\r\n\r\n", stays([ok(HELLO)])),
        row(SECTION, "a request line of 8 KiB and a byte gets 414",
            line(LINE + 1, "\r\n") + "Host: haul\r\n\r\n", ends([status(414)])),
        row(SECTION, "the line end counts, whichever it is",
            line(LINE + 1, "\n") + "Host: haul\r\n\r\n", ends([status(414)])),
        row("9110 §15.5.15", "a request line that does not end gets 414 as soon as it is too long",
            &line(LINE + 1, "\r\n")[..LINE], ends([status(414)])),
        row(SECTION, "empty lines before a request are no part of its line",
            format!("\r\n\r\n{}Host: haul\r\n\r\n", line(LINE, "\r\n")), stays([ok(HELLO)])),
        row("9112 §2.2", "nothing but empty lines ends in 400", "\r\n".repeat(HEAD / 2 + 1), ends([status(400)])),
    ]
}

/// A head of exactly so many bytes.
fn head_of(length: usize) -> String {
    let bare = get("/hello.txt", "X: \r\n").len();
    let head = get("/hello.txt", &format!("X: {}\r\n", "x".repeat(length - bare)));
    assert_eq!(head.len(), length);
    head
}

/// A head with so many fields, `Host` included.
fn fields(count: usize) -> String {
    get("/hello.txt", &"X: y\r\n".repeat(count - 1))
}

fn heads() -> Vec<Row> {
    const SECTION: &str = "9110 §5.4";
    vec![
        row(SECTION, "a head of 32 KiB is taken", head_of(HEAD), stays([ok(HELLO)])),
        row(SECTION, "a head of 32 KiB and a byte gets 431", head_of(HEAD + 1), ends([status(431)])),
        row(SECTION, "a head that does not end gets 431 as soon as it is too long",
            &head_of(HEAD + 1)[..HEAD], ends([status(431)])),
        row(SECTION, "a head of 32 KiB behind another request is taken",
            fields(1) + &head_of(HEAD), stays([ok(HELLO), ok(HELLO)])),
        row(SECTION, "100 fields are taken", fields(FIELDS), stays([ok(HELLO)])),
        row(SECTION, "101 fields get 431", fields(FIELDS + 1), ends([status(431)])),
    ]
}

/// Played alone: it is many requests.
pub fn many() -> Vec<Row> {
    let answer = status(200).for_head().without("Connection");
    let answers = vec![answer; REQUESTS - 1];
    let last = status(200).for_head().with("Connection", "close");
    vec![row(
        "9112 §9.3",
        "the 10000th answer on a connection says that it is the last",
        head("/hello.txt", "").repeat(REQUESTS + 1),
        ends(answers.into_iter().chain([last])),
    )]
}

/// Against a server that takes one client, and has one.
pub fn crowded() -> Vec<Row> {
    const SECTION: &str = "9110 §15.6.4";
    let full = || status(503).with("Retry-After", "5");
    vec![
        row(SECTION, "a client too many is told when to come back",
            get("/hello.txt", ""), ends([full().has("too many clients")])),
        row(SECTION, "a client too many learns nothing of what is there", get("/nothing", ""), ends([full()])),
        row(SECTION, "503 to HEAD has no content", head("/hello.txt", ""), ends([full().for_head()])),
    ]
}

/// Against a server that takes one connection, and has one.
pub fn full() -> Vec<Row> {
    let full = || status(503).with("Retry-After", "5");
    vec![
        row("9112 §9.5", "a connection too many is told so",
            get("/hello.txt", ""), ends([full().has("too many connections")])),
        row("9110 §9.3.2", "a HEAD too many gets no content either",
            head("/hello.txt", ""), ends([full().for_head()])),
        row("9112 §9.6", "a connection too many that asks nothing is closed without a word",
            half_close(""), gone([])),
    ]
}

/// Who is let in by [`LOGIN`], as it stands in a request.
const ANN: &str = "YW5uOnNlY3JldA==";
/// The login that the guarded server knows.
pub const LOGIN: &str = "ann:secret";

/// Against a server that wants a login.
pub fn guarded() -> Vec<Row> {
    const CHALLENGE: &str = "Basic realm=\"haul\", charset=\"UTF-8\"";
    const SECTION: &str = "9110 §11.6.1";
    let challenge = || status(401).with("WWW-Authenticate", CHALLENGE);
    vec![
        row(SECTION, "without a login there is a challenge, and the connection goes on",
            get("/hello.txt", "") + &get("/probe", &format!("Connection: close\r\nAuthorization: Basic {ANN}\r\n")),
            ends([challenge(), ok(PROBE)])),
        row("9110 §15.5.2", "who is not let in does not learn what is there",
            get("/nothing", "Connection: close\r\n"), ends([challenge().body("401 a login is needed\n")])),
        row(SECTION, "401 to HEAD has no content",
            head("/hello.txt", "Connection: close\r\n"), ends([challenge().for_head()])),
        row("9110 §11.1", "the scheme of a login has no case",
            get("/hello.txt", &format!("Connection: close\r\nAuthorization: bAsIc {ANN}\r\n")), ends([ok(HELLO)])),
        row("9110 §5.3", "two logins are refused: which of them counts?",
            get("/hello.txt", &format!("Authorization: Basic {ANN}\r\nAuthorization: Basic eDp5\r\n")),
            ends([status(400)])),
    ]
}

/// Against a server that speaks TLS.
pub fn encrypted() -> Vec<Row> {
    vec![
        row("9110 §15.5.1", "plain HTTP on a TLS port is told so, with the fields of every answer",
            get("/hello.txt", ""), ends([status(400).has("https")])),
        row("9110 §9.3.2", "a plain HEAD on a TLS port gets no content",
            head("/hello.txt", ""), ends([status(400).for_head()])),
    ]
}
