//! Listings, and which form of them comes (RFC 9110 §12).

use std::{fs, path::Path};

use super::{
    answer::{Answer, Framing},
    row::{Row, ends, get, row, status, stays},
};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

pub fn rows() -> Vec<Row> {
    const SECTION: &str = "9110 §12.5.1";
    let form = |name: &str, fields: &str, kind: &str| {
        let expected = status(200)
            .with("Content-Type", kind)
            .with("Vary", "Accept, User-Agent");
        row(SECTION, name, get("/dir/", fields), stays([expected]))
    };
    vec![
        form("JSON for who names it", "Accept: application/json\r\n", JSON),
        form("text for who names it", "Accept: text/plain\r\n", TEXT),
        form("HTML for a browser", "Accept: text/html,application/xml;q=0.9,*/*;q=0.8\r\n", HTML),
        form("HTML for who says nothing", "", HTML),
        form("HTML for who takes anything", "Accept: */*\r\n", HTML),
        form("text for curl, which takes anything", "Accept: */*\r\nUser-Agent: curl/8.5.0\r\n", TEXT),
        form("JSON for curl, if it names it", "Accept: application/json\r\nUser-Agent: curl/8.5.0\r\n", JSON),
        form("weights decide, not the order", "Accept: text/html;q=0.5, application/json;q=0.9\r\n", JSON),
        form("of equal weights the first", "Accept: text/plain, text/html\r\n", TEXT),
        form("the letter of a weight has no case", "Accept: text/html;Q=0.5, application/json;Q=0.9\r\n", JSON),
        form("a weight of 0 is a refusal", "Accept: application/json;q=0, text/plain;q=0.001\r\n", TEXT),
        form("media types have no case", "Accept: Application/JSON\r\n", JSON),
        form("two lines are one list", "Accept: text/html;q=0.5\r\nAccept: application/json\r\n", JSON),
        form("parameters of a type are no other type", "Accept: text/plain;format=flowed\r\n", TEXT),
        form("what nothing here satisfies gets HTML rather than 406, which is a choice",
            "Accept: image/png\r\n", HTML),
        row("9110 §9.3.1", "text has a reference a line, directories first",
            get("/dir/", "Accept: text/plain\r\n"), stays([status(200).body("deep/\ninner.html\n")])),
        row("9110 §4.1", "references are escaped down to the unreserved characters",
            get("/", "Accept: text/plain\r\n"), stays([status(200).has("back%5Cslash\n")]).and(escaped)),
        row("9110 §17.3", "no form of a listing shows hidden names, dangling links, or what is no file",
            [JSON, "text/plain", "text/html"].map(|kind| get("/", &format!("Accept: {kind}\r\n"))).concat(),
            stays([status(200), status(200), status(200)]).and(nothing_hidden)),
        row("9110 §8.6", "a listing that fits has a length",
            get("/dir/", ""), stays([status(200).checked("Content-Length", |_| true)])),
        row("9112 §7.1", "a listing that ends where a chunk does ends once",
            get("/long/", "Accept: text/plain\r\n") + &get("/dir/", "Accept: text/plain\r\n"),
            stays([status(200).with("Transfer-Encoding", "chunked"), status(200).body("deep/\ninner.html\n")])),
        row("9112 §7.1", "a tree comes in chunks, and the connection goes on",
            get("/dir/?tar", ""),
            stays([status(200).with("Content-Type", "application/x-tar").has("inner.html")]).and(in_chunks)),
        row("9112 §6.1", "HTTP/1.0 knows no chunks: there a tree ends with the connection, keep-alive or not",
            "GET /dir/?tar HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            ends([status(200).without("Transfer-Encoding").has("inner.html")]).and(up_to_the_end)),
        row("9110 §7.2", "a Metalink without a Host would name nobody",
            "GET /hello.txt?meta4 HTTP/1.1\r\nHost:\r\n\r\n", stays([status(400)])),
    ]
}

/// A directory whose listing as text is 64 KiB, a chunk's size: 1024 names of 63 bytes.
pub fn long(root: &Path) {
    let dir = root.join("long");
    fs::create_dir(&dir).unwrap();
    for n in 0..1024 {
        fs::write(dir.join(format!("{n:063}")), "").unwrap();
    }
}

fn in_chunks(answers: &[Answer]) -> Result<(), String> {
    framed(answers, Framing::Chunked)
}

fn up_to_the_end(answers: &[Answer]) -> Result<(), String> {
    framed(answers, Framing::Close)
}

fn framed(answers: &[Answer], framing: Framing) -> Result<(), String> {
    if answers[0].framing == framing {
        Ok(())
    } else {
        Err(format!("{:?}", answers[0].framing))
    }
}

fn escaped(answers: &[Answer]) -> Result<(), String> {
    let body = &answers[0].body;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%/\n".contains(b);
    match body.iter().find(|b| !plain(b)) {
        None => Ok(()),
        Some(odd) => Err(format!("{odd:#x} in a listing")),
    }
}

fn nothing_hidden(answers: &[Answer]) -> Result<(), String> {
    for answer in answers {
        let body = String::from_utf8_lossy(&answer.body);
        for name in ["hidden", ".git", "link-dangling", "fifo", "link-out", "link-up", "link-absolute"] {
            // The page's own text and style may hold a word; a reference to it is what counts.
            if body.contains(&format!("./{name}")) || body.lines().any(|line| line == name) {
                return Err(format!("{name} is listed"));
            }
        }
    }
    Ok(())
}
