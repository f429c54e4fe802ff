//! Conditional requests (RFC 9110 §13). The file was changed last on [`DATE`].

use super::{
    row::{Expected, Row, get, head, ok, row, status, stays},
    stage::{DATE, DATE_850, DATE_ASCTIME, EARLIER, HELLO, LATER, TEN},
};

pub fn rows() -> Vec<Row> {
    let mut rows = tags();
    rows.extend(dates());
    rows.extend(order());
    rows.extend(if_range());
    rows.extend(elsewhere());
    rows
}

fn file(section: &'static str, name: &str, fields: &[&str], expected: Expected) -> Row {
    let fields = fields.join("\r\n") + "\r\n";
    row(section, name, get("/hello.txt", &fields), stays([expected]))
}

fn fresh() -> Expected {
    status(304)
        .with("ETag", "{etag}")
        .with("Last-Modified", DATE)
}

fn tags() -> Vec<Row> {
    const MATCH: &str = "9110 §13.1.1";
    const NONE: &str = "9110 §13.1.2";
    let failed = || status(412);
    vec![
        file(MATCH, "If-Match: the tag", &["If-Match: {etag}"], ok(HELLO)),
        file(MATCH, "If-Match: another tag", &["If-Match: \"x\""], failed()),
        file(MATCH, "If-Match: the tag, but weak", &["If-Match: W/{etag}"], failed()),
        file(MATCH, "If-Match: anything that is there", &["If-Match: *"], ok(HELLO)),
        file(MATCH, "If-Match: the last of a list", &["If-Match: \"a\",, \"b\" ,{etag}"], ok(HELLO)),
        file(MATCH, "If-Match: a list over two lines", &["If-Match: \"a\"", "If-Match: {etag}"], ok(HELLO)),
        file("9110 §8.8.3", "If-Match: a tag with a comma in it is one tag",
            &["If-Match: \"a,b\", {etag}"], ok(HELLO)),
        file("9110 §8.8.3", "If-Match: a backslash escapes no quote", &["If-Match: \"a\\\", {etag}"], ok(HELLO)),
        file(MATCH, "If-Match: the tag without its quotes is none", &["If-Match: x{etag}"], failed()),
        file(MATCH, "If-Match: nothing matches an empty list", &["If-Match:"], failed()),
        file("9110 §8.8.3", "If-Match: W has a case", &["If-Match: w/{etag}"], failed()),
        file(NONE, "If-None-Match: the tag", &["If-None-Match: {etag}"], fresh()),
        file(NONE, "If-None-Match: another tag", &["If-None-Match: \"x\""], ok(HELLO)),
        file(NONE, "If-None-Match: the tag, but weak", &["If-None-Match: W/{etag}"], fresh()),
        file(NONE, "If-None-Match: anything that is there", &["If-None-Match: *"], fresh()),
        file(NONE, "If-None-Match: the last of a list", &["If-None-Match: W/\"a\" ,, {etag}"], fresh()),
        file(NONE, "If-None-Match: a list over two lines",
            &["If-None-Match: \"a\"", "If-None-Match: {etag}"], fresh()),
        file("9110 §8.8.3", "If-None-Match: an asterisk in quotes is a tag", &["If-None-Match: \"*\""], ok(HELLO)),
        file("9110 §8.8.3", "If-None-Match: the empty tag is another one", &["If-None-Match: \"\""], ok(HELLO)),
    ]
}

fn dates() -> Vec<Row> {
    const SINCE: &str = "9110 §13.1.3";
    const UNMODIFIED: &str = "9110 §13.1.4";
    const FORMS: &str = "9110 §5.6.7";
    let since = |section, name: &str, date: &str, expected| {
        let name = format!("If-Modified-Since: {name}");
        file(section, &name, &[&format!("If-Modified-Since: {date}")], expected)
    };
    let unmodified = |section, name: &str, date: &str, expected| {
        let name = format!("If-Unmodified-Since: {name}");
        file(section, &name, &[&format!("If-Unmodified-Since: {date}")], expected)
    };
    vec![
        since(SINCE, "the date of the file", DATE, fresh()),
        since(SINCE, "a second later is the date of another copy: an older file may have come back", LATER, ok(HELLO)),
        since(SINCE, "a second earlier", EARLIER, ok(HELLO)),
        since(FORMS, "a date as RFC 850 wrote it", DATE_850, fresh()),
        since(FORMS, "a date as asctime writes it", DATE_ASCTIME, fresh()),
        since(SINCE, "what is no date is ignored", "soon", ok(HELLO)),
        since(FORMS, "a number of seconds is no date", "784111777", ok(HELLO)),
        since(FORMS, "a date in another zone is none", "Sun, 06 Nov 1994 08:49:37 CET", ok(HELLO)),
        since(FORMS, "an hour of 24 is none", "Sun, 06 Nov 1994 24:49:37 GMT", ok(HELLO)),
        since(FORMS, "a day of 32 is none", "Sun, 32 Nov 2094 08:49:37 GMT", ok(HELLO)),
        since(FORMS, "a date of ISO 8601 is none", "2094-11-06T08:49:37Z", ok(HELLO)),
        unmodified(UNMODIFIED, "the date of the file", DATE, ok(HELLO)),
        unmodified(UNMODIFIED, "a second later", LATER, ok(HELLO)),
        unmodified(UNMODIFIED, "a second earlier", EARLIER, status(412)),
        unmodified(UNMODIFIED, "what is no date is ignored", "never", ok(HELLO)),
        unmodified(FORMS, "an earlier date as RFC 850 wrote it", "Saturday, 05-Nov-94 08:49:37 GMT", status(412)),
        file("9110 §5.3", "If-Unmodified-Since: two lines are no date, and ignored",
            &[&format!("If-Unmodified-Since: {LATER}"), &format!("If-Unmodified-Since: {EARLIER}")], ok(HELLO)),
        file("9110 §5.3", "If-Modified-Since: two lines are no date, and ignored",
            &[&format!("If-Modified-Since: {DATE}"), &format!("If-Modified-Since: {DATE}")], ok(HELLO)),
    ]
}

/// RFC 9110 §13.2.2: which precondition is looked at first, and which not at all.
fn order() -> Vec<Row> {
    const SECTION: &str = "9110 §13.2.2";
    const SAME: &str = "If-Match: {etag}";
    const OTHER: &str = "If-Match: \"x\"";
    const KNOWN: &str = "If-None-Match: {etag}";
    const UNKNOWN: &str = "If-None-Match: \"x\"";
    let since = &format!("If-Modified-Since: {DATE}");
    let changed = &format!("If-Modified-Since: {EARLIER}");
    let unmodified = &format!("If-Unmodified-Since: {DATE}");
    let modified = &format!("If-Unmodified-Since: {EARLIER}");
    let row = |name: &str, fields: &[&str], expected| file(SECTION, name, fields, expected);
    vec![
        row("a tag that matches silences its date", &[SAME, modified], ok(HELLO)),
        row("a tag that does not match fails, whatever its date", &[OTHER, unmodified], status(412)),
        row("a tag that is not known silences its date", &[UNKNOWN, since], ok(HELLO)),
        row("a tag that is known is enough, whatever its date", &[KNOWN, changed], fresh()),
        row("what fails goes before what is known", &[KNOWN, OTHER], status(412)),
        row("what holds goes on to what is known", &[KNOWN, SAME], fresh()),
        row("a date that fails goes before a tag that is known", &[KNOWN, modified], status(412)),
        row("a date that holds goes on to a tag that is known", &[KNOWN, unmodified], fresh()),
        row("a date that fails goes before a date that is known", &[since, modified], status(412)),
        row("a date that holds goes on to a date that is known", &[since, unmodified], fresh()),
        row("a tag that fails goes before a date that is known", &[since, OTHER], status(412)),
        row("a tag that holds goes on to a date that is known", &[since, SAME], fresh()),
        row("all that can hold does", &[SAME, unmodified, UNKNOWN, changed], ok(HELLO)),
        row("what is known goes before a range", &[KNOWN, "Range: bytes=0-0"], fresh()),
        row("what fails goes before a range that is not there", &[OTHER, "Range: bytes=99-"], status(412)),
        row("what holds goes on to the range", &[SAME, "Range: bytes=0-0"], status(206).body("h")),
        row("what is known goes before If-Range", &[KNOWN, "Range: bytes=0-0", "If-Range: {etag}"], fresh()),
    ]
}

fn if_range() -> Vec<Row> {
    const SECTION: &str = "9110 §13.1.5";
    let range = |name: &str, value: &str, expected| {
        let fields = ["Range: bytes=0-4", &format!("If-Range: {value}")];
        file(SECTION, &format!("If-Range: {name}"), &fields, expected)
    };
    let part = || {
        status(206)
            .body("hello")
            .with("Content-Range", "bytes 0-4/11")
    };
    let whole = || ok(HELLO).without("Content-Range");
    vec![
        range("the tag lets the range count", "{etag}", part()),
        range("another tag gives the whole", "\"x\"", whole()),
        range("a weak tag never matches", "W/{etag}", whole()),
        range("a list of tags is no tag", "{etag}, \"x\"", whole()),
        range("there is no asterisk here", "*", whole()),
        range("the date lets the range count", DATE, part()),
        range("the date in another form is the same date", DATE_ASCTIME, part()),
        range("a later date is not the same", LATER, whole()),
        range("an earlier date is not the same", EARLIER, whole()),
        range("what is neither gives the whole", "soon", whole()),
        row("9110 §8.8.2.2", "If-Range: the date of a file that changed in this very second is weak",
            get("/future", "Range: bytes=0-1\r\nIf-Range: {now}\r\n"), stays([ok("future")])),
        file(SECTION, "If-Range without Range says nothing", &["If-Range: \"x\""], whole()),
        file("9110 §5.3", "two If-Range lines are no validator",
            &["Range: bytes=0-4", "If-Range: \"x\"", "If-Range: {etag}"], whole()),
        file("9110 §14.2", "a range that is not there is no matter if If-Range does not match",
            &["Range: bytes=99-", "If-Range: \"x\""], whole()),
        file("9110 §15.5.17", "a range that is not there is one if If-Range matches",
            &["Range: bytes=99-", "If-Range: {etag}"], status(416).with("Content-Range", "bytes */11")),
    ]
}

/// RFC 9110 §13.2.1: where there is no file to hold anything against.
fn elsewhere() -> Vec<Row> {
    const SECTION: &str = "9110 §13.2.1";
    let at = |section, name: &str, target: &str, field: &str, expected| {
        row(section, name, get(target, &format!("{field}\r\n")), stays([expected]))
    };
    vec![
        at(SECTION, "what is not there fails no precondition", "/nothing", "If-Match: \"x\"", status(404)),
        at(SECTION, "what is elsewhere is not unchanged", "/dir", "If-None-Match: *", status(301)),
        row(SECTION, "a refused method is refused whatever the preconditions",
            super::row::ask("PUT", "/hello.txt", "If-Match: \"x\"\r\n"), stays([status(405)])),
        row(SECTION, "HEAD has preconditions as GET has",
            head("/hello.txt", "If-None-Match: {etag}\r\n"), stays([fresh().for_head()])),
        at("9110 §13.1.1", "a listing is there", "/", "If-Match: *", status(200)),
        at("9110 §13.1.1", "a listing has no tag to match", "/", "If-Match: \"x\"", status(412)),
        at("9110 §13.1.2", "a listing that is there is not sent to who wants none",
            "/", "If-None-Match: *", status(304).with("Vary", "Accept, User-Agent").without("ETag")),
        at("9110 §15.4.5", "a 304 varies as the 200 would: a tree has one form",
            "/?tar", "If-None-Match: *", status(304).without("Vary")),
        at("9110 §13.1.2", "a listing has no tag that could be known", "/", "If-None-Match: \"x\"", status(200)),
        at("9110 §13.1.3", "a listing has no date that could be old",
            "/", &format!("If-Modified-Since: {LATER}"), status(200).without("Last-Modified")),
        at("9110 §8.8.3", "another file has another tag", "/ten", "If-None-Match: {etag}", ok(TEN)),
        at("9110 §13.1.1", "the digests of a file's pieces are under its own tag",
            "/hello.txt?pieces", "If-Match: \"x\"", status(412)),
    ]
}
