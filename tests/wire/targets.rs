//! From a target to a file: escapes, what could climb out, queries, names that are not shown (RFC 9110 §4, §17.3).

use super::{
    row::{Expected, Row, bad, ends, get, head, ok, row, status, stays},
    stage::{HELLO, NAMES},
};

pub fn rows() -> Vec<Row> {
    let mut rows = escapes();
    rows.extend(climbing());
    rows.extend(queries());
    rows.extend(not_shown());
    rows
}

fn target(section: &'static str, name: &str, target: &str, expected: Expected) -> Row {
    row(section, name, get(target, ""), stays([expected]))
}

fn escapes() -> Vec<Row> {
    const SECTION: &str = "9110 §4.2.3";
    let [words, percent, dots, plus, semicolon, backslash, what, sharp, tail, raw, unicode, plain] = NAMES;
    let mut rows = vec![
        target(SECTION, "an escaped letter is that letter", "/%68ello%2Etxt", ok(HELLO)),
        target(SECTION, "hexadecimal digits have no case", "/%6cin%6B", ok(HELLO)),
        target(SECTION, "an escaped space is a space", "/two%20words", ok(words)),
        target(SECTION, "an escaped percent sign is one", "/100%25.txt", ok(percent)),
        target(SECTION, "a name is decoded once: %252e stays %2e", "/%252e%252e", ok(dots)),
        target(SECTION, "a plus sign is one, not a space", "/a+b", ok(plus)),
        target(SECTION, "an escaped plus sign is the same", "/a%2Bb", ok(plus)),
        target(SECTION, "a semicolon is a part of a name", "/semi;v=1", ok(semicolon)),
        target(SECTION, "an escaped backslash is a part of a name", "/back%5cslash", ok(backslash)),
        target(SECTION, "a raw backslash is the same, not a slash", "/back\\slash", ok(backslash)),
        target(SECTION, "an escaped question mark begins no query", "/what%3f", ok(what)),
        target(SECTION, "an escaped number sign begins no fragment", "/sharp%23", ok(sharp)),
        target(SECTION, "dots at the end are a part of a name", "/tail...", ok(tail)),
        target(SECTION, "names are bytes: no UTF-8 is needed", "/raw%ff%0A.txt", ok(raw)),
        target(SECTION, "UTF-8 is escaped byte by byte", "/%c3%bcnic%C3%B6de", ok(unicode)),
        target("9110 §4.1", "raw UTF-8, which no URI holds, is taken as the bytes that it is",
            "/\u{fc}nic\u{f6}de", ok(unicode)),
        row("9110 §4.1", "raw bytes that are no UTF-8 are taken as well",
            b"GET /raw\xff%0A.txt HTTP/1.1\r\nHost: haul\r\n\r\n", stays([ok(raw)])),
        target(SECTION, "unreserved marks may be escaped or not", "/%7etilde%2ddash_dot%2E", ok(plain)),
        target("9110 §4.1", "empty segments count as none", "//dir///inner.html", ok("<p>inner</p>")),
    ];
    for (what, path) in [
        ("without digits", "/a%"),
        ("with one digit", "/a%4"),
        ("with one digit before a slash", "/a%4/b"),
        ("without hexadecimal digits", "/a%zz"),
        ("with one hexadecimal digit", "/a%4g"),
        ("with a sign", "/a%+1"),
    ] {
        rows.push(target("9110 §4.1", &format!("an escape {what} is refused"), path, bad()));
    }
    rows
}

fn climbing() -> Vec<Row> {
    const SECTION: &str = "9110 §17.3";
    let refused = |what: &str, path: &str| {
        let name = format!("{what} is refused");
        target(SECTION, &name, path, bad())
    };
    let missing = |what: &str, path: &str| target(SECTION, what, path, status(404));
    vec![
        refused("a way out of the root", "/../secret"),
        refused("a way down and up again", "/dir/../hello.txt"),
        refused("a dot alone", "/./hello.txt"),
        refused("two dots at the end", "/dir/.."),
        refused("an escaped way out", "/%2e%2e/secret"),
        refused("a way out that is escaped by half", "/.%2E/secret"),
        refused("an escaped dot alone", "/%2e/hello.txt"),
        refused("an escaped slash", "/dir%2finner.html"),
        refused("an escaped slash in a way out", "/..%2Fsecret"),
        refused("an escaped NUL", "/hello.txt%00"),
        refused("an escaped NUL before another suffix", "/hello%00.txt"),
        refused("a way out of an absolute target", "http://haul/../secret"),
        missing("two dots and a backslash are a name, and lead nowhere", "/..%5csecret"),
        missing("an overlong dot is no dot", "/%c0%ae%c0%ae/secret"),
        missing("an overlong slash is no slash", "/dir%c0%afinner.html"),
        missing("a wide dot is no dot", "/%ef%bc%8e%ef%bc%8e/secret"),
        missing("three dots are a name", "/.../secret"),
        missing("a name of 256 bytes names nothing", &format!("/{}", "a".repeat(256))),
        missing("a path of 5000 bytes names nothing", &"/a".repeat(2500)),
        missing("a link out of the root leads nowhere", "/link-out"),
        missing("a link to the directory above leads nowhere", "/link-up/secret"),
        missing("an absolute link leads nowhere, even to the root's own file", "/link-absolute"),
        missing("a dangling link leads nowhere", "/link-dangling"),
        missing("a FIFO is no file", "/fifo"),
        target(SECTION, "a link inside the root is followed", "/link-dir/inner.html", ok("<p>inner</p>")),
    ]
}

fn queries() -> Vec<Row> {
    const SECTION: &str = "9110 §4.2.3";
    vec![
        target(SECTION, "an empty query changes nothing", "/hello.txt?", ok(HELLO)),
        target(SECTION, "a query that means nothing here changes nothing", "/hello.txt?v=1&/../%zz?", ok(HELLO)),
        target(SECTION, "dots and slashes in a query are no path", "/hello.txt?/../../secret", ok(HELLO)),
        row("9112 §3.2", "a fragment in a target is refused", get("/hello.txt#top", ""), ends([bad()])),
        target(SECTION, "?download names the file, in two forms",
            "/%C3%BCnic%C3%B6de?download",
            status(200).with("Content-Disposition",
                "attachment; filename=\"_nic_de\"; filename*=UTF-8''%C3%BCnic%C3%B6de")),
        target(SECTION, "a query's key is compared as a whole",
            "/hello.txt?downloads=1", ok(HELLO).without("Content-Disposition")),
        target("9110 §10.2.2", "a directory without its slash is elsewhere, told relatively",
            "/dir/deep", status(301).with("Location", "deep/").with("Content-Length", "0")),
        target("9110 §10.2.2", "a link to a directory needs its slash as well",
            "/link-dir", status(301).with("Location", "link-dir/")),
        target("9110 §10.2.2", "a Location is escaped",
            "/empty%20dir", status(301).with("Location", "empty%20dir/")),
        target("9110 §10.2.2", "a Location keeps a query that means something for directories",
            "/dir?x=1&tar", status(301).with("Location", "dir/?tar")),
        target("9110 §10.2.2", "a Location leaves out a query that means nothing for directories",
            "/dir?x=1", status(301).with("Location", "dir/")),
        target("9110 §10.2.2", "a Location never begins with two slashes, which would name a host",
            "//dir", status(301).with("Location", "dir/")),
        row("9110 §15.4.2", "HEAD of a directory without its slash is elsewhere too",
            head("/dir", ""), stays([status(301).for_head().with("Location", "dir/")])),
        target("9110 §15.5.5", "a file with a slash behind it is not there", "/hello.txt/", status(404)),
        target("9110 §15.5.5", "nothing lies below a file", "/hello.txt/x", status(404)),
    ]
}

fn not_shown() -> Vec<Row> {
    const SECTION: &str = "9110 §15.5.5";
    vec![
        target(SECTION, "a hidden name is not there", "/.hidden", status(404)),
        target(SECTION, "an escaped dot hides as well", "/%2ehidden", status(404)),
        target(SECTION, "what lies in a hidden directory is not there", "/.git/config", status(404)),
        target(SECTION, "a hidden directory has no slash to be sent to", "/.git", status(404)),
    ]
}
