//! Where a body ends is what a smuggled request lives on (RFC 9112 §6, §11.2): haul reads no bodies, so whatever has
//! one, or might have, ends its connection, and nothing in it is ever answered.

use super::{
    row::{Row, ask, bad, ends, get, ok, row, status, stays},
    stage::{HELLO, TEN},
};

/// What would be answered if a body were taken for the next request.
const SMUGGLED: &str = "GET /ten HTTP/1.1\r\nHost: haul\r\n\r\n";

pub fn rows() -> Vec<Row> {
    let mut rows = lengths();
    rows.extend(codings());
    rows.extend(both());
    rows.extend(bodies());
    rows
}

/// A GET with these fields and a smuggled request behind them.
fn attack(fields: &str) -> String {
    get("/hello.txt", fields) + SMUGGLED
}

/// RFC 9110 §8.6: `Content-Length = 1*DIGIT`.
fn lengths() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        ("a plus sign", "+33"),
        ("a minus sign", "-33"),
        ("hexadecimal digits", "0x21"),
        ("a space inside", "3 3"),
        ("an underscore", "3_3"),
        ("2^64, one more than can be counted", "18446744073709551616"),
        ("2^64 + 33, which wraps to 33", "18446744073709551649"),
        ("a list of different lengths", "0, 33"),
    ]
    .map(|(what, value)| {
        let name = format!("Content-Length: {what} is refused");
        let sent = attack(&format!("Content-Length: {value}\r\n"));
        row("9110 §8.6", name, sent, ends([bad()]))
    })
    .into();
    rows.extend([
        row("9110 §8.6", "Content-Length: a list of equal lengths is refused, which is one of two choices",
            attack("Content-Length: 33, 33\r\n"), ends([bad()])),
        row("9110 §8.6", "an empty Content-Length is refused", attack("Content-Length:\r\n"), ends([bad()])),
        row("9112 §6.3", "two different Content-Lengths are refused",
            attack("Content-Length: 0\r\nContent-Length: 33\r\n"), ends([bad()])),
        row("9112 §6.3", "two equal Content-Lengths are refused, which is one of two choices",
            attack("Content-Length: 33\r\nCONTENT-LENGTH: 33\r\n"), ends([bad()])),
        row("9112 §5.1", "a Content-Length that a space hides is refused",
            attack("Content-Length : 33\r\n"), ends([bad()])),
        row("9112 §5.2", "a Content-Length on a folded line is refused",
            attack("X-A: b\r\n Content-Length: 33\r\n"), ends([bad()])),
        row("9110 §8.6", "2^64 - 1 is a length: the body that will not come ends the connection",
            attack("Content-Length: 18446744073709551615\r\n"), ends([ok(HELLO)])),
        row("9112 §6.3", "a length of 0 is no body, so what follows is a request",
            attack("Content-Length: 0\r\n"), stays([ok(HELLO), ok(TEN)])),
        row("9110 §8.6", "leading zeros are digits: 000 is no body",
            attack("Content-Length: 000\r\n"), stays([ok(HELLO), ok(TEN)])),
        row("9110 §5.1", "Content_Length is another field",
            attack("Content_Length: 33\r\n"), stays([ok(HELLO), ok(TEN)])),
    ]);
    rows
}

/// RFC 9112 §6.1: only `chunked` is known, it stands last, and once.
fn codings() -> Vec<Row> {
    let chunked = |fields: &str| get("/hello.txt", fields) + "0\r\n\r\n" + SMUGGLED;
    let mut rows: Vec<Row> = [
        ("is not last", "chunked, identity", 400),
        ("is not there", "identity", 400),
        ("is not there, though gzip is known elsewhere", "gzip", 400),
        ("stands twice", "chunked, chunked", 400),
        ("is a part of a word", "xchunked", 400),
        ("has a parameter, which it has not", "chunked;q=1", 400),
        ("is quoted", "\"chunked\"", 400),
        ("stands behind a vertical tab", "\u{b}chunked", 400),
        ("stands behind a coding that is not known: 501", "gzip, chunked", 501),
    ]
    .map(|(what, value, code)| {
        let name = format!("Transfer-Encoding whose chunked {what}");
        let sent = chunked(&format!("Transfer-Encoding: {value}\r\n"));
        row("9112 §6.3", name, sent, ends([status(code)]))
    })
    .into();
    rows.extend([
        row("9112 §6.3", "an empty Transfer-Encoding is refused", chunked("Transfer-Encoding:\r\n"), ends([bad()])),
        row("9112 §6.1", "chunked on two lines stands twice",
            chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), ends([bad()])),
        row("9110 §5.3", "two lines are one list: identity behind chunked is last",
            chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), ends([bad()])),
        row("9110 §5.3", "two lines are one list: chunked behind gzip is last",
            chunked("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), ends([status(501)])),
        row("9112 §6.1", "chunked in HTTP/1.0 is refused",
            chunked("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n").replacen("1.1", "1.0", 1),
            ends([bad()])),
        row("9112 §5.1", "a Transfer-Encoding that a tab hides is refused",
            chunked("Transfer-Encoding\t: chunked\r\n"), ends([bad()])),
        row("9112 §7", "the coding's name has no case",
            chunked("Transfer-Encoding: ChUnKeD\r\n"), ends([ok(HELLO)])),
        row("9110 §5.5", "whitespace around chunked, and empty list elements, are nothing",
            chunked("Transfer-Encoding: ,\t chunked \t,\r\n"), ends([ok(HELLO)])),
    ]);
    rows
}

/// RFC 9112 §6.1: a length beside a coding is refused, in whatever order.
fn both() -> Vec<Row> {
    let section = "9112 §6.1";
    vec![
        row(section, "Content-Length before Transfer-Encoding is refused",
            get("/hello.txt", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + SMUGGLED,
            ends([bad()])),
        row(section, "Transfer-Encoding before Content-Length is refused",
            get("/hello.txt", "Transfer-Encoding: chunked\r\nContent-Length: 38\r\n") + "0\r\n\r\n" + SMUGGLED,
            ends([bad()])),
        row(section, "a length of 0 beside a coding is refused too",
            get("/hello.txt", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + SMUGGLED,
            ends([bad()])),
        row(section, "a coding that is not known beside a length is refused, not skipped",
            get("/hello.txt", "Content-Length: 33\r\nTransfer-Encoding: x\r\n") + SMUGGLED, ends([bad()])),
    ]
}

/// RFC 9112 §6, §7.1: a body belongs to its request, whatever stands in it.
fn bodies() -> Vec<Row> {
    let chunked = |method: &str, body: &str| {
        ask(method, "/hello.txt", "Transfer-Encoding: chunked\r\n") + body + SMUGGLED
    };
    vec![
        row("9110 §9.3.1", "the body of a GET is no request: the connection ends behind the answer",
            attack("Content-Length: 33\r\n"), ends([ok(HELLO)])),
        row("9112 §6.3", "a body that is longer than its length is no request either",
            attack("Content-Length: 1\r\n"), ends([ok(HELLO)])),
        row("9112 §7.1", "what follows a chunked body is not read: of two ways, haul closes",
            chunked("GET", "5\r\nhello\r\n0\r\n\r\n"), ends([ok(HELLO)])),
        row("9112 §7.1.1", "a chunk extension with a line end in quotes hides nothing",
            chunked("GET", "5;a=\"\r\n\r\n\"\r\nhello\r\n0\r\n\r\n"), ends([ok(HELLO)])),
        row("9112 §7.1", "a chunk size that overflows ends no body early",
            chunked("GET", "10000000000000000\r\n\r\n0\r\n\r\n"), ends([ok(HELLO)])),
        row("9112 §7.1.2", "a trailer is no field of the next request",
            chunked("GET", "0\r\nHost: other\r\n\r\n"), ends([ok(HELLO)])),
        row("9112 §6.3", "the body of a refused method is no request",
            ask("POST", "/hello.txt", "Content-Length: 33\r\n") + SMUGGLED, ends([status(405)])),
        row("9112 §6.3", "the body of a method that is not known is no request",
            ask("BREW", "/hello.txt", "Content-Length: 33\r\n") + SMUGGLED, ends([status(501)])),
        row("9110 §9.3.7", "the body of OPTIONS is no request",
            ask("OPTIONS", "/hello.txt", "Content-Length: 33\r\n") + SMUGGLED, ends([status(204)])),
        row("9110 §9.3.2", "the body of HEAD is no request",
            ask("HEAD", "/hello.txt", "Content-Length: 33\r\n") + SMUGGLED, ends([status(200).for_head()])),
        row("9110 §9.3.6", "what follows a refused CONNECT is a request: there is no tunnel",
            "CONNECT haul:80 HTTP/1.1\r\nHost: haul:80\r\n\r\n".to_owned() + SMUGGLED,
            stays([status(405), ok(TEN)])),
        row("9112 §6.3", "a method with neither length nor coding has no body",
            ask("POST", "/hello.txt", "") + SMUGGLED, stays([status(405), ok(TEN)])),
    ]
}
