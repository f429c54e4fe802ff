//! Several requests at once, their answers in order, and what ends a connection (RFC 9112 §9).

use super::{
    row::{Expected, Row, ask, bad, byte_by_byte, ends, get, gone, half_close, head, ok, row, status, stays},
    stage::{HELLO, TEN, large},
};

pub fn rows() -> Vec<Row> {
    let mut rows = order();
    rows.extend(endings());
    rows.extend(half_closed());
    rows
}

/// Requests of every kind, and their answers.
fn mixed() -> (String, Vec<Expected>) {
    let (requests, answers): (Vec<String>, Vec<Expected>) = [
        (get("/hello.txt", ""), ok(HELLO)),
        (head("/large", ""), status(200).for_head().with("Content-Length", "100000")),
        (get("/nothing", ""), status(404)),
        (get("/hello.txt", "If-None-Match: {etag}\r\n"), status(304)),
        (get("/large", ""), ok(large())),
        (get("/ten", "Range: bytes=99-\r\n"), status(416)),
        (get("/ten", "Range: bytes=1-2\r\n"), status(206).body("12")),
        (get("/empty", ""), ok("")),
        (get("/%zz", ""), bad()),
        (ask("POST", "/ten", "Content-Length: 0\r\n"), status(405)),
        (get("/dir", ""), status(301)),
        (ask("OPTIONS", "*", ""), status(204)),
        (get("/dir/?tar", ""), status(200).with("Transfer-Encoding", "chunked")),
        (get("/large", "Range: bytes=1-1,9-9\r\n"), status(206).parts(&[(1, 1), (9, 9)], &large())),
        (ask("BREW", "/", ""), status(501)),
        (get("/ten", "If-Match: \"x\"\r\n"), status(412)),
    ]
    .into_iter()
    .unzip();
    (requests.concat(), answers)
}

fn order() -> Vec<Row> {
    const SECTION: &str = "9112 §9.3.2";
    let (requests, answers) = mixed();
    let files = (0..64).map(|n| if n % 2 == 0 { "/hello.txt" } else { "/ten" });
    let bodies = (0..64).map(|n| ok(if n % 2 == 0 { HELLO } else { TEN }));
    vec![
        row(SECTION, "64 requests in one write, 64 answers in order",
            files.map(|target| get(target, "")).collect::<String>(), stays(bodies)),
        row(SECTION, "answers of every kind come in order", &requests, stays(answers.clone())),
        row(SECTION, "the same, from a client that sends byte by byte", byte_by_byte(&requests), stays(answers)),
        row("9112 §2.2", "an empty line behind each request, as careless clients send it",
            format!("{}\r\n", get("/ten", "")).repeat(3), stays([ok(TEN), ok(TEN), ok(TEN)])),
        row("9112 §9.3.2", "large answers in a row do not mix",
            get("/large", "").repeat(8), stays(vec![ok(large()); 8])),
        row("9112 §9.3", "requests of both versions on one connection",
            "GET /ten HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned() + &get("/hello.txt", ""),
            stays([ok(TEN).with("Connection", "keep-alive"), ok(HELLO).without("Connection")])),
    ]
}

fn endings() -> Vec<Row> {
    const SECTION: &str = "9112 §9.6";
    let after = |fields: &str| get("/ten", "") + &get("/hello.txt", fields) + &get("/large", "");
    vec![
        row(SECTION, "nothing behind a request that closes is answered",
            after("Connection: close\r\n"), ends([ok(TEN), ok(HELLO)])),
        row("9112 §9.3.2", "a malformed request ends what went well before it",
            get("/ten", "") + &get("/hello.txt", "X : y\r\n") + &get("/large", ""), ends([ok(TEN), bad()])),
        row("9112 §9.3.2", "a malformed request line ends what went well before it",
            get("/ten", "") + "GET  / HTTP/1.1\r\nHost: haul\r\n\r\n" + &get("/large", ""), ends([ok(TEN), bad()])),
        row("9112 §9.6", "what a client still sends behind the end does not cost it the last answer",
            get("/hello.txt", "Connection: close\r\n") + &"x".repeat(500_000), ends([ok(HELLO)])),
        row("9112 §9.6", "nor does the body of a request that was refused",
            ask("PUT", "/large", "Content-Length: 500000\r\n") + &"x".repeat(500_000), ends([status(405)])),
        row("9112 §6.3", "a body in the middle ends the connection behind its answer",
            get("/ten", "") + &ask("POST", "/ten", "Content-Length: 2\r\n") + "hi" + &get("/large", ""),
            ends([ok(TEN), status(405)])),
    ]
}

/// A client that sends no more may still want its answers.
fn half_closed() -> Vec<Row> {
    vec![
        row("9112 §9.6", "a client that closes its side behind a request gets the answer",
            half_close(get("/hello.txt", "")), gone([ok(HELLO)])),
        row("9112 §9.3.2", "it gets all answers to what it sent before",
            half_close(get("/ten", "") + &get("/large", "") + &get("/hello.txt", "")),
            gone([ok(TEN), ok(large()), ok(HELLO)])),
        row("9112 §8", "a request that is cut off is not answered, those before it are",
            half_close(get("/ten", "") + "GET /hello.txt HTTP/1.1\r\nHost: haul\r\n"), gone([ok(TEN)])),
        row("9112 §8", "a request line that is cut off is not answered",
            half_close("GET /hello.txt HTT"), gone([])),
        row("9112 §9.5", "a client that sends nothing gets nothing", half_close(""), gone([])),
        row("9112 §2.2", "empty lines alone are no request", half_close("\r\n\r\n"), gone([])),
    ]
}
