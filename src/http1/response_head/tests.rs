//! Heads as servers send them.

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
fn several_fields_are_one_list() {
    for (fields, coding) in [
        ("Content-Encoding: gzip\nContent-Encoding: br", "gzip, br"),
        (
            "Content-Encoding: gzip\nContent-Encoding: gzip",
            "gzip, gzip",
        ),
        ("Content-Encoding: gzip\nContent-Encoding: identity", "gzip"),
    ] {
        let coding = Coding::parse(coding);
        assert_eq!(
            head(&format!("200 OK\n{fields}")).coding,
            coding,
            "{fields}"
        );
    }
    let digests = head("200 OK\nRepr-Digest: a=:b:\nDigest: old\nRepr-Digest: c=:d:");
    assert_eq!(digests.digest.as_deref(), Some("a=:b:, c=:d:"));
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
    let (to_head, _) = ResponseHead::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true)
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
    let parse = |wire: &str| ResponseHead::parse(wire.as_bytes(), false).map(|head| head.is_some());
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
    for (range, bytes) in [("bytes */7", None), ("bytes 6-6/7", Some((6, 6)))] {
        let total = Some(7);
        let parsed = ContentRange::parse(range.as_bytes());
        assert_eq!(parsed, Some(ContentRange { bytes, total }), "{range}");
    }
}
