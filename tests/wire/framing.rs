//! Request lines, versions, field lines and line ends (RFC 9112 §2, §3, §5).

use super::{
    row::{Row, ask, bad, byte_by_byte, ends, get, head, ok, row, status, stays},
    stage::HELLO,
};

pub fn rows() -> Vec<Row> {
    [
        request_lines(),
        versions(),
        fields(),
        line_ends(),
        expectations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn request_lines() -> Vec<Row> {
    let refused = |name: &str, line: &str| {
        let sent = format!("{line}\r\nHost: haul\r\n\r\n");
        row("9112 §3", name, sent, ends([bad()]))
    };
    vec![
        row("9112 §2.1", "a plain request gets its answer", get("/hello.txt", ""), stays([ok(HELLO)])),
        row("9112 §2.1", "a request that comes byte by byte is the same request",
            byte_by_byte(get("/hello.txt", "")), stays([ok(HELLO)])),
        refused("two spaces behind the method are refused", "GET  /hello.txt HTTP/1.1"),
        refused("two spaces before the version are refused", "GET /hello.txt  HTTP/1.1"),
        refused("a tab is no space of a request line", "GET\t/hello.txt HTTP/1.1"),
        refused("whitespace behind the version is refused", "GET /hello.txt HTTP/1.1 "),
        refused("whitespace before the method is refused", " GET /hello.txt HTTP/1.1"),
        refused("a space in the target is refused, not repaired", "GET /two words HTTP/1.1"),
        refused("a request line without a target is refused", "GET HTTP/1.1"),
        refused("a control character in the target is refused", "GET /hello\u{7f}.txt HTTP/1.1"),
        refused("a NUL in the target is refused", "GET /hello.txt\0 HTTP/1.1"),
        row("9110 §9.1", "a method that is no token is refused",
            "G(E)T /hello.txt HTTP/1.1\r\nHost: haul\r\n\r\n", ends([bad()])),
        row("9110 §9.3.2", "a refused HEAD gets no content either",
            "HEAD /hello.txt HTTP/1.1\r\n\r\n", ends([bad().for_head()])),
        row("9112 §3", "TLS on a plain port is told so at once, though no line ever ends",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ends([bad().has("TLS")])),
    ]
}

fn versions() -> Vec<Row> {
    let version = |section, name: &str, version: &str, outcome| {
        let sent = format!("GET /hello.txt {version}\r\nHost: haul\r\n\r\n");
        row(section, name, sent, outcome)
    };
    vec![
        version("9112 §2.3", "the version is case-sensitive", "http/1.1", ends([bad()])),
        version("9112 §2.3", "a version without its minor is malformed", "HTTP/1.", ends([bad()])),
        version("9112 §2.3", "a version is one digit each", "HTTP/1.10", ends([bad()])),
        version("9112 §2.3", "a version has no leading zero", "HTTP/01.1", ends([bad()])),
        version("9112 §2.3", "the protocol's name is HTTP", "HTTPS/1.1", ends([bad()])),
        version("9110 §15.6.6", "a higher major version gets 505", "HTTP/3.0", ends([status(505)])),
        version("9110 §2.5", "a higher minor version is answered as HTTP/1.1", "HTTP/1.2", stays([ok(HELLO)])),
        row("9110 §15.6.6", "the preface of HTTP/2 gets 505",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ends([status(505)])),
        row("9112 §2.3", "a request without a version (HTTP/0.9) is refused",
            "GET /hello.txt\r\n\r\n", ends([bad()])),
        row("9112 §9.3", "HTTP/1.0 ends with its answer, whose version is the server's own",
            "GET /hello.txt HTTP/1.0\r\n\r\n", ends([ok(HELLO)])),
        row("9112 §9.3", "HTTP/1.0 goes on where it asks for it, and is told so",
            "GET /hello.txt HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            stays([ok(HELLO).with("Connection", "keep-alive")])),
        row("9112 §9.3", "close wins over keep-alive in one list",
            "GET /hello.txt HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n", ends([ok(HELLO)])),
        row("9112 §9.3", "close wins over a keep-alive on a later line",
            "GET /hello.txt HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", ends([ok(HELLO)])),
        row("9112 §9.6", "close in a list, in any case, ends an HTTP/1.1 connection",
            get("/hello.txt", "Connection: x, ,CLOSE\r\n"), ends([ok(HELLO)])),
        row("9112 §9.3", "a connection option that is longer than close is another one",
            get("/hello.txt", "Connection: closed, close-not\r\n"), stays([ok(HELLO).without("Connection")])),
        row("9110 §7.8", "an upgrade that is not known is ignored",
            get("/hello.txt", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
            stays([ok(HELLO)])),
    ]
}

fn fields() -> Vec<Row> {
    let refused = |section, name: &str, field: &str| {
        row(section, name, get("/hello.txt", &format!("{field}\r\n")), ends([bad()]))
    };
    let taken = |section, name: &str, field: &str| {
        let sent = get("/hello.txt", &format!("{field}\r\n"));
        row(section, name, sent, stays([ok(HELLO)]))
    };
    vec![
        refused("9112 §5.1", "whitespace between name and colon is refused", "X-A : b"),
        refused("9112 §5.1", "a tab between name and colon is refused", "X-A\t: b"),
        refused("9112 §5.2", "a folded line is refused", "X-A: b\r\n c"),
        refused("9112 §5.2", "a line folded with a tab is refused", "X-A: b\r\n\tc"),
        refused("9112 §5.2", "a fold of nothing but whitespace is refused", "X-A: b\r\n \r\nX-B: c"),
        row("9112 §2.2", "whitespace behind the request line is refused, not skipped",
            "GET /hello.txt HTTP/1.1\r\n X-A: b\r\nHost: haul\r\n\r\n", ends([bad()])),
        refused("9112 §5", "a line without a colon is refused", "no colon"),
        refused("9110 §5.1", "an empty field name is refused", ": b"),
        refused("9110 §5.6.2", "a field name is a token: no parentheses", "X(A): b"),
        refused("9110 §5.6.2", "a field name is a token: no letters beyond ASCII", "X-\u{e4}: b"),
        refused("9110 §5.5", "a NUL in a value is refused", "X-A: b\0c"),
        refused("9110 §5.5", "a control character in a value is refused", "X-A: b\x01c"),
        refused("9110 §5.5", "a bare CR in a value is refused", "X-A: b\rc"),
        taken("9110 §5.5", "bytes beyond ASCII in a value are opaque", "X-A: \u{e4}"),
        taken("9112 §5.1", "whitespace around a value is no part of it", "Content-Length: \t 0 \t"),
        taken("9112 §5", "a field may be empty", "X-A:"),
        row("9110 §5.1", "field names have no case",
            "GET /ten HTTP/1.1\r\nhOST: haul\r\nrANGE: bytes=1-2\r\n\r\n", stays([status(206).body("12")])),
    ]
}

fn line_ends() -> Vec<Row> {
    vec![
        row("9112 §2.2", "empty lines before a request are skipped",
            format!("\r\n\r\n{}\r\n{}", get("/hello.txt", ""), get("/hello.txt", "")), stays([ok(HELLO), ok(HELLO)])),
        row("9112 §2.2", "a bare CR before a request is refused",
            format!("\r{}", get("/hello.txt", "")), ends([bad()])),
        row("9112 §2.2", "a bare LF ends a line where it ends all of them",
            "GET /hello.txt HTTP/1.1\nHost: haul\n\n", stays([ok(HELLO)])),
        row("9112 §2.2", "both line ends in one head are refused, and nothing behind it is taken for a request",
            format!("GET /hello.txt HTTP/1.1\r\nHost: haul\n\r\n{}", get("/ten", "Range: bytes=0-0\r\n")),
            ends([bad()])),
        row("9112 §2.2", "a bare LF in a value begins no field and ends no head",
            format!("GET /hello.txt HTTP/1.1\r\nHost: haul\r\nX: a\n\n{}", get("/ten", "")), ends([bad()])),
        row("9112 §2.2", "two CRs are no line end",
            "GET /hello.txt HTTP/1.1\r\r\nHost: haul\r\n\r\n", ends([bad()])),
        row("9112 §2.2", "a bare CR is no line end of the request line",
            "GET /hello.txt HTTP/1.1\rHost: haul\r\n\r\n", ends([bad()])),
        row("9112 §2.2", "a line that is CR CR LF does not end the head",
            "GET /hello.txt HTTP/1.1\r\nHost: haul\r\n\r\r\nGET /ten HTTP/1.1\r\nHost: haul\r\n\r\n", ends([bad()])),
    ]
}

/// RFC 9110 §10.1.1
fn expectations() -> Vec<Row> {
    const SECTION: &str = "9110 §10.1.1";
    vec![
        row(SECTION, "100-continue without a body is ignored",
            get("/hello.txt", "Expect: 100-continue\r\n"), stays([ok(HELLO)])),
        row(SECTION, "100-continue with a body gets the final status at once: the body never has to come",
            ask("POST", "/hello.txt", "Content-Length: 5\r\nExpect: 100-continue\r\n"), ends([status(405)])),
        row(SECTION, "expectations are a list, compared without case",
            get("/hello.txt", "Expect: 100-CONTINUE,, 100-continue\r\n"), stays([ok(HELLO)])),
        row(SECTION, "another expectation gets 417",
            get("/hello.txt", "Expect: 200-maybe\r\n"), ends([status(417)])),
        row(SECTION, "one unmet expectation in a list is enough for 417",
            get("/hello.txt", "Expect: 100-continue, 200-maybe\r\n"), ends([status(417)])),
        row(SECTION, "100-continue in HTTP/1.0 is ignored",
            "GET /hello.txt HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", ends([ok(HELLO)])),
        row(SECTION, "417 to HEAD has no content",
            head("/hello.txt", "Expect: 200-maybe\r\n"), ends([status(417).for_head()])),
    ]
}
