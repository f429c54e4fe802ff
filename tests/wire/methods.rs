//! Methods, and the fields that every answer carries (RFC 9110 §6.6, §8, §9).

use super::{
    answer::Answer,
    row::{Row, ask, get, head, ok, row, status, stays},
    stage::{DATE, HELLO},
};

pub fn rows() -> Vec<Row> {
    let mut rows = methods();
    rows.extend(heads());
    rows.extend(fields());
    rows
}

fn methods() -> Vec<Row> {
    const ALLOW: &str = "GET, HEAD, OPTIONS";
    let mut rows = Vec::new();
    for method in ["POST", "PUT", "TRACE", "PROPFIND"] {
        let name = format!("{method} is known and not allowed: 405, and the connection goes on");
        let outcome = stays([status(405).with("Allow", ALLOW), ok(HELLO)]);
        let sent = ask(method, "/hello.txt", "") + &get("/hello.txt", "");
        rows.push(row("9110 §15.5.6", name, sent, outcome));
    }
    rows.extend([
        row("9110 §9.1", "methods have a case: get is not known, which is 501",
            ask("get", "/hello.txt", ""), stays([status(501).without("Allow")])),
        row("9110 §15.6.2", "a method of other token characters is not known",
            ask("M-SEARCH!#$%&'*+.^_`|~", "/hello.txt", ""), stays([status(501)])),
        row("9110 §9.3.7", "OPTIONS of a file tells its methods in a 204 without a length",
            ask("OPTIONS", "/hello.txt", ""),
            stays([status(204).with("Allow", ALLOW).without("Content-Length").without("ETag")])),
        row("9110 §9.3.8", "TRACE sends no credentials back",
            ask("TRACE", "/hello.txt", "Cookie: taste=sweet\r\n"),
            stays([status(405).body("405 method not allowed\n")])),
    ]);
    rows
}

/// RFC 9110 §9.3.2: HEAD is GET without content.
fn heads() -> Vec<Row> {
    let pair = |what: &str, target: &str, fields: &str, code: u16| {
        let sent = get(target, fields) + &head(target, fields);
        let outcome = stays([status(code), status(code).for_head()]).and(same_fields);
        row("9110 §9.3.2", format!("HEAD says what GET would: {what}"), sent, outcome)
    };
    vec![
        pair("a small file", "/hello.txt", "", 200),
        pair("a large file", "/large", "", 200),
        pair("an empty file", "/empty", "", 200),
        pair("a file as a download", "/hello.txt?download", "", 200),
        pair("a file for a client of our kind, digest included", "/hello.txt", "Haul-Session: 1\r\n", 200),
        pair("nothing", "/nothing", "", 404),
        pair("an error for a browser", "/nothing", "Accept: text/html\r\n", 404),
        pair("another place", "/dir", "", 301),
        pair("a file that is known already", "/hello.txt", "If-None-Match: {etag}\r\n", 304),
        pair("a failed precondition", "/hello.txt", "If-Match: \"x\"\r\n", 412),
        pair("the digests of a file's pieces", "/hello.txt?pieces", "", 200),
        row("9110 §9.3.2", "HEAD of a listing leaves out only the length, which would have to be made",
            get("/", "") + &head("/", ""),
            stays([status(200), status(200).for_head().without("Content-Length")]).and(same_but_length)),
        row("9110 §9.3.2", "HEAD of a Metalink leaves out only the length",
            get("/hello.txt?meta4", "") + &head("/hello.txt?meta4", ""),
            stays([status(200), status(200).for_head()]).and(same_but_length)),
    ]
}

fn not_later_than_now(answers: &[Answer]) -> Result<(), String> {
    let time = |name| httpdate::parse_http_date(answers[0].field(name).unwrap_or_default()).unwrap();
    if time("Last-Modified") > time("Date") {
        return Err("changed after it was sent".into());
    }
    Ok(())
}

fn same_fields(answers: &[Answer]) -> Result<(), String> {
    same(answers, &["Date"])
}

fn same_but_length(answers: &[Answer]) -> Result<(), String> {
    same(answers, &["Date", "Content-Length", "Transfer-Encoding"])
}

fn same(answers: &[Answer], but: &[&str]) -> Result<(), String> {
    let fields = |answer: &Answer| {
        let mut fields = answer.fields.clone();
        fields.retain(|(name, _)| !but.contains(&name.as_str()));
        fields
    };
    let (get, head) = (fields(&answers[0]), fields(&answers[1]));
    if get == head {
        Ok(())
    } else {
        Err(format!("GET: {get:?}, HEAD: {head:?}"))
    }
}

fn fields() -> Vec<Row> {
    let kind = |target: &str, kind: &str| {
        let name = format!("{target} is {kind}");
        row("9110 §8.3", name, get(target, ""), stays([status(200).with("Content-Type", kind)]))
    };
    vec![
        row("9110 §8.8", "a file has both validators, its length and its unit of ranges",
            get("/hello.txt", ""),
            stays([ok(HELLO).with("Last-Modified", DATE).with("Content-Length", "11").with("Accept-Ranges", "bytes")])),
        row("9110 §8.8.2.1", "a file from the future was changed now: Last-Modified is never behind Date",
            get("/future", ""), stays([ok("future").without("Expires")]).and(not_later_than_now)),
        row("9110 §5.6.7", "a file from before 1970, which haul's dates begin with, is from 1970",
            get("/past", ""), stays([ok("past").with("Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT")])),
        row("9110 §8.6", "an empty file has a length of 0",
            get("/empty", ""), stays([ok("").with("Content-Length", "0")])),
        row("9110 §8.8.3", "two names of one file have one tag",
            get("/link", ""), stays([ok(HELLO).with("ETag", "{etag}")])),
        row("9110 §8.4", "content is never encoded, whatever is accepted",
            get("/hello.txt", "Accept-Encoding: gzip, br, identity;q=0\r\n"),
            stays([ok(HELLO).without("Content-Encoding")])),
        kind("/hello.txt", "text/plain; charset=utf-8"),
        kind("/dir/inner.html", "text/html; charset=utf-8"),
        kind("/ten", "application/octet-stream"),
        row("9110 §15.5.5", "an error is a line of text for who does not ask for HTML",
            get("/nothing", "Accept: */*\r\n"),
            stays([status(404).body("404 not found\n").with("Content-Type", "text/plain; charset=utf-8")])),
        row(
            "9110 §12.5.1",
            "an error is a page for a browser, and may load nothing",
            get("/nothing", "Accept: text/html,*/*;q=0.8\r\n"),
            stays([status(404)
                .has("<!DOCTYPE html>")
                .with("Content-Type", "text/html; charset=utf-8")
                .checked("Content-Security-Policy", |policy| {
                    policy.contains("default-src 'none'")
                })]),
        ),
        row(
            "9110 §15.5.5",
            "an error page does not repeat what was asked for",
            get("/<script>", "Accept: text/html\r\n"),
            stays([status(404)]).and(|answers| {
                let page = String::from_utf8_lossy(&answers[0].body);
                if page.contains("<script>") {
                    Err(page.into_owned())
                } else {
                    Ok(())
                }
            }),
        ),
    ]
}
