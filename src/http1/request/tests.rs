use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<RequestHead<'_>, Refusal> {
    let extent = find_head(text.as_bytes(), &mut 0)?.expect("a complete head");
    RequestHead::parse(&text.as_bytes()[extent.start..extent.end])
}

#[test]
fn a_head_is_taken_apart() {
    let head = parse(
        "\r\n\nGET /a%20b?download HTTP/1.1\r\nhost: x:80\r\nRANGE: bytes=0-\r\nIF-Match: \"a\"\r\nif-match: \"b\"\r\n\
         User-Agent: curl/8.5\r\nHaul-Session: 12\r\nAccept:  text/plain \r\nX-Other: y\r\n\r\nrest",
    )
    .unwrap();
    assert_eq!(head.method, Method::Get);
    assert_eq!(head.path, b"/a%20b");
    assert_eq!(head.query, Some(b"download".as_slice()));
    assert_eq!(head.authority, Some(b"x:80".as_slice()));
    assert_eq!(head.range, Some(b"bytes=0-".as_slice()));
    assert_eq!(head.conditions.if_match, [b"\"a\"", b"\"b\""]);
    assert_eq!(head.accept, [b"text/plain"]);
    assert_eq!(head.haul_session, Some(b"12".as_slice()));
    assert!(head.keep_alive && !head.http10 && !head.has_body);
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
    for (text, status) in [
        // RFC 9112 §3.2: Host
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (get("Host: x"), 400),
        (get("host: y"), 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: u@x\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: x/y\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: x:y\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: :80\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: x:+80\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: x:65536\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: [x]\r\n\r\n".into(), 400),
        ("GET http://a/ HTTP/1.1\r\n\r\n".into(), 400),
        // §5: field syntax
        (get("X : y"), 400),
        (get("X: y\r\n folded"), 400),
        (get(" X: y"), 400),
        (get("X: a\rb"), 400),
        (get("X: a\0b"), 400),
        (get("X\0: b"), 400),
        (get("no colon"), 400),
        // §6: framing
        (get("Content-Length: 1\r\nContent-Length: 2"), 400),
        (get("Content-Length: 1\r\nContent-Length: 1"), 400),
        (get("Content-Length: 1, 1"), 400),
        (get("Content-Length: +1"), 400),
        (get("Content-Length: -1"), 400),
        (get("Content-Length: 0x1"), 400),
        (get("Content-Length:"), 400),
        (get("Content-Length: 99999999999999999999"), 400),
        (get("Content-Length: 0\r\nTransfer-Encoding: chunked"), 400),
        (
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            400,
        ),
        (get("Transfer-Encoding: gzip"), 400),
        (get("Transfer-Encoding: gzip, chunked"), 501),
        (
            get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            400,
        ),
        (get("Transfer-Encoding: xchunked"), 400),
        // §2.3, §3: request line and version
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
        ("GET / HTTP/2\r\nHost: x\r\n\r\n".into(), 505),
        ("GET / HTTP/3.0\r\nHost: x\r\n\r\n".into(), 505),
        ("GET /\r\n\r\n".into(), 400),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / x HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("G\0T / HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET x HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /#top HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET http:/// HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET http://u:p@x/ HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("\x16\x03\x01\x02\r\n\r\n".into(), 400),
        // RFC 9110 §10.1.1
        (get("Expect: 200-ok"), 417),
        // limits
        (get(&"X: y\r\n".repeat(MAX_FIELDS)), 431),
        (get(&format!("X: {}", "y".repeat(MAX_HEAD))), 431),
        (
            format!(
                "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n",
                "a".repeat(MAX_REQUEST_LINE)
            ),
            414,
        ),
    ] {
        let refused = parse(&text).map(|_| ()).unwrap_err();
        assert_eq!(refused.status.as_u16(), status, "{text:?}: {}", refused.why);
    }
}

#[test]
fn what_is_only_unusual_is_taken() {
    for text in [
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:8888\r\n\r\n",
        // A port may be empty (RFC 3986 §3.2.3).
        "GET / HTTP/1.1\r\nHost: \t x.y_z:  \r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ] {
        let result = parse(text).map(|head| head.has_body);
        assert_eq!(result, Ok(false), "{text:?}");
    }
    let head = parse("GET HTTP://a:1?q HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
    assert_eq!(head.authority, Some(b"a:1".as_slice()));
    assert_eq!(
        (head.path, head.query),
        (b"/".as_slice(), Some(b"q".as_slice()))
    );
    let head = parse("OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
    assert_eq!((head.method, head.path), (Method::Options, b"*".as_slice()));
    assert_eq!(
        parse("POST / HTTP/1.1\r\nHost: b\r\n\r\n").unwrap().method,
        Method::Forbidden("POST")
    );
    assert_eq!(
        parse("get / HTTP/1.1\r\nHost: b\r\n\r\n").unwrap().method,
        Method::Unknown("get")
    );
    assert!(parse("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n").is_ok());
}

#[test]
fn bodies_and_connections_are_understood() {
    for (fields, http, keep, body) in [
        ("", "1.1", true, false),
        ("", "1.0", false, false),
        ("Connection: keep-alive\r\n", "1.0", true, false),
        ("Connection: Close\r\n", "1.1", false, false),
        ("Connection: te, close\r\n", "1.1", false, false),
        (
            "Connection: x\r\nConnection: close\r\n",
            "1.1",
            false,
            false,
        ),
        ("Content-Length: 5\r\n", "1.1", true, true),
        ("Transfer-Encoding: Chunked\r\n", "1.1", true, true),
    ] {
        let text = format!("GET / HTTP/{http}\r\nHost: x\r\n{fields}\r\n");
        let head = parse(&text).unwrap();
        assert_eq!((head.keep_alive, head.has_body), (keep, body), "{text}");
    }
    let twice = "GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n\r\n";
    assert_eq!(parse(twice).unwrap().range, Some(b"".as_slice()));
}

#[test]
fn a_head_that_comes_byte_by_byte_is_found_where_it_ends() {
    let text = b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2";
    let end = text.len() - b"GET /2".len();
    let mut scanned = 0;
    for length in 0..end {
        assert_eq!(
            find_head(&text[..length], &mut scanned),
            Ok(None),
            "{length}"
        );
    }
    let found = find_head(text, &mut scanned).unwrap();
    assert_eq!(found, Some(Extent { start: 2, end }));
}

/// Requests with something wrong in them, mostly.
fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    let begins: [&[u8]; 3] = [
        b"GET /a HTTP/1.1\r\nHost: h\r\n",
        b"\r\nGET http://h/a?b HTTP/1.0\n",
        b"GET ",
    ];
    let parts: [&[u8]; 14] = [
        b"A:\tb \n",
        b"B: \r\n",
        b"/a",
        b" ",
        b"HTTP/1.1",
        b"Host: h\r\n",
        b"\r\n\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"A",
        b":",
        b"\t",
        b"\xff",
    ];
    let begin = proptest::sample::select(begins.to_vec());
    let part = proptest::sample::select(parts.to_vec());
    (begin, proptest::collection::vec(part, 0..6))
        .prop_map(|(begin, rest)| [begin, rest.concat().as_slice()].concat())
}

proptest! {
    #[test]
    fn a_head_is_found_at_once_as_it_is_byte_by_byte(input in nearly_requests()) {
        let at_once = find_head(&input, &mut 0);
        let mut scanned = 0;
        let by_byte = (0..=input.len())
            .map(|length| find_head(&input[..length], &mut scanned))
            .find(|found| !matches!(found, Ok(None)))
            .unwrap_or(Ok(None));
        match (at_once, by_byte) {
            // One with a bare CR is refused as soon as it is there, or else when the whole head is parsed.
            (Ok(Some(extent)), Err(_)) => {
                let head = &input[extent.start..extent.end];
                prop_assert!(has_bare_cr(head) && RequestHead::parse(head).is_err());
            }
            (at_once, by_byte) => prop_assert_eq!(at_once, by_byte),
        }
    }

    /// httparse reads the same head and nothing else, but that it refuses bytes that are no UTF-8.
    #[test]
    fn what_is_taken_is_what_another_parser_takes(rest in nearly_requests()) {
        let input = [rest.as_slice(), b"\r\n\r\n"].concat();
        let Ok(Some(extent)) = find_head(&input, &mut 0) else {
            return Ok(());
        };
        let head = &input[extent.start..extent.end];
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut other = httparse::Request::new(&mut fields);
        let theirs = other.parse(head);
        if let Ok(ours) = RequestHead::parse(head)
            && std::str::from_utf8(ours.path).is_ok()
        {
            prop_assert_eq!(theirs, Ok(httparse::Status::Complete(head.len())));
            prop_assert_eq!(other.method, Some(ours.method.as_str()));
            prop_assert_eq!(other.version, Some(u8::from(!ours.http10)));
        }
    }
}

#[test]
fn unfinished_heads_end_at_their_limits() {
    let line = "GET /".to_owned() + &"a".repeat(MAX_REQUEST_LINE);
    let refused = find_head(line.as_bytes(), &mut 0).unwrap_err();
    assert_eq!(refused.status, StatusCode::URI_TOO_LONG);
    let fields = "GET / HTTP/1.1\r\n".to_owned() + &"X: y\r\n".repeat(MAX_HEAD / 6);
    let refused = find_head(fields.as_bytes(), &mut 0).unwrap_err();
    assert_eq!(refused.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(find_head(&vec![b'\n'; MAX_HEAD], &mut 0), Ok(None));
    assert!(find_head(&vec![b'\n'; MAX_HEAD + 1], &mut 0).is_err());
    let blank = "\r\n".repeat(MAX_HEAD);
    assert!(find_head(blank.as_bytes(), &mut 0).is_err());
}

#[test]
fn a_head_may_be_so_long_and_no_longer() {
    let begin = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
    for (length, is_taken) in [(0, true), (1, false), (2, false), (3, false), (4, false)] {
        let field = "x".repeat(MAX_HEAD + length - begin.len() - 4);
        let head = format!("{begin}{field}\r\n\r\n");
        let found = find_head(head.as_bytes(), &mut 0);
        assert_eq!(found.is_ok(), is_taken, "{length}: {found:?}");
    }
}

#[test]
fn what_is_refused_is_told_by_its_name() {
    let why = |text: &str| parse(text).map(|_| ()).unwrap_err().why;
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
    assert_eq!(why(&get("X : y")), "a malformed field name");
    assert_eq!(why(&get("X: a\0b")), "a malformed field value");
    for mixed in [
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET / HTTP/1.1\nHost: x\r\n\n",
        "GET / HTTP/1.1\nHost: x\n\r\n",
    ] {
        assert_eq!(why(mixed), "lines that end in different ways");
    }
    let more = RequestHead::parse(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nmore\r\n");
    assert_eq!(more.map(|_| ()).unwrap_err().why, "an incomplete head");
}

#[test]
fn a_head_request_is_known_before_it_is_understood() {
    assert!(is_head(b"HEAD /") && is_head(b"\r\n\nHEAD x y z"));
    assert!(!is_head(b"GET /") && !is_head(b"HEADS /") && !is_head(b""));
}

#[test]
fn a_browser_tells_whose_page_asks() {
    for (site, is_another) in [
        (None, false),
        (Some("none"), false),
        (Some("same-origin"), false),
        (Some("same-site"), true),
        (Some("cross-site"), true),
    ] {
        let field = site.map_or_else(String::new, |site| format!("Sec-Fetch-Site: {site}\r\n"));
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{field}\r\n");
        assert_eq!(parse(&text).unwrap().is_from_another_site(), is_another);
    }
}

#[test]
fn a_head_whose_lines_end_in_bare_carriage_returns_is_not_waited_for() {
    for text in ["GET / HTTP/1.1\rH", "GET / HTTP/1.1\r\nHost: x\r\r", "a\rb"] {
        let (before, text) = (&text.as_bytes()[..text.len() - 1], text.as_bytes());
        let mut scanned = 0;
        for length in 0..=before.len() {
            assert_eq!(find_head(&before[..length], &mut scanned), Ok(None));
        }
        let refused = find_head(text, &mut scanned).unwrap_err();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(find_head(&[text, b"\n"].concat(), &mut 0).is_err());
    }
}
