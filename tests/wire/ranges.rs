//! Ranges (RFC 9110 §14): single ones of `/ten`, which is `0123456789`; several of `/large`, which is worth it.

use super::{
    answer::Answer,
    row::{Expected, Row, ends, get, head, ok, row, status, stays},
    stage::{DATE, HELLO, LARGE, TEN, large},
};

pub fn rows() -> Vec<Row> {
    let mut rows = single();
    rows.extend(unsatisfiable());
    rows.extend(ignored());
    rows.extend(several());
    rows.extend(refused_parts());
    rows
}

fn ten(section: &'static str, name: &str, range: &str, expected: Expected) -> Row {
    row(section, name, get("/ten", &format!("Range: {range}\r\n")), stays([expected]))
}

/// Bytes `first` to `last` of `/ten`.
fn part(first: usize, last: usize) -> Expected {
    status(206)
        .body(&TEN[first..=last])
        .with("Content-Range", format!("bytes {first}-{last}/10"))
        .with("Content-Length", (last - first + 1).to_string())
}

fn whole() -> Expected {
    ok(TEN).without("Content-Range")
}

fn single() -> Vec<Row> {
    const SECTION: &str = "9110 §14.1.2";
    let ten = |name: &str, range: &str, expected| ten(SECTION, name, range, expected);
    vec![
        ten("the first byte", "bytes=0-0", part(0, 0)),
        ten("the last byte", "bytes=9-9", part(9, 9)),
        ten("all bytes are a part as well", "bytes=0-9", part(0, 9)),
        ten("from a byte on", "bytes=4-", part(4, 9)),
        ten("from the last byte on", "bytes=9-", part(9, 9)),
        ten("the last bytes", "bytes=-3", part(7, 9)),
        ten("a suffix as long as the file", "bytes=-10", part(0, 9)),
        ten("a suffix longer than the file is all of it", "bytes=-11", part(0, 9)),
        ten("an end behind the file is the file's", "bytes=4-10", part(4, 9)),
        ten("2^63 as an end", "bytes=4-9223372036854775808", part(4, 9)),
        ten("2^64 - 1 as an end, whose successor is 0", "bytes=4-18446744073709551615", part(4, 9)),
        ten("2^64 as an end", "bytes=4-18446744073709551616", part(4, 9)),
        ten("2^64 + 5 as an end, which wraps to 5", "bytes=4-18446744073709551621", part(4, 9)),
        ten("2^64 - 1 as a suffix", "bytes=-18446744073709551615", part(0, 9)),
        ten("2^64 + 3 as a suffix, which wraps to 3", "bytes=-18446744073709551619", part(0, 9)),
        ten("leading zeros are digits", "bytes=0004-005", part(4, 5)),
        ten("the unit has no case", "BYTES=4-5", part(4, 5)),
        ten("a list may have empty elements", "bytes=, ,4-5,", part(4, 5)),
        ten("of several, the one that is there comes alone", "bytes=10-, 4-5, 99-100", part(4, 5)),
        ten("two that overlap are one", "bytes=2-5,4-7", part(2, 7)),
        ten("two that touch are one", "bytes=2-3,4-7", part(2, 7)),
        ten("two that are equal are one", "bytes=2-3,2-3", part(2, 3)),
        ten("two that a third joins are one, in any order", "bytes=6-7,2-3,4-5", part(2, 7)),
        ten("one inside another is no other", "bytes=2-7,4-5", part(2, 7)),
        row("9110 §14.2", "a part of a file that is sent straight from the disk",
            get("/large", "Range: bytes=65535-65537\r\n"),
            stays([status(206).body(&large()[65535..=65537]).with("Content-Range", "bytes 65535-65537/100000")])),
        row("9110 §15.3.7", "a part has the validators and the type of the whole",
            get("/hello.txt", "Range: bytes=0-0\r\n"),
            stays([status(206).with("ETag", "{etag}").with("Last-Modified", DATE).with("Content-Type", "text/plain; charset=utf-8")])),
    ]
}

fn unsatisfiable() -> Vec<Row> {
    let ten = |name: &str, range: &str| {
        let none = status(416)
            .with("Content-Range", "bytes */10")
            .with("Content-Length", "0");
        ten("9110 §15.5.17", name, range, none)
    };
    vec![
        ten("the byte behind the last is not there", "bytes=10-"),
        ten("a range behind the end is not there", "bytes=10-11"),
        ten("a suffix of nothing is not there", "bytes=-0"),
        ten("2^64 as a beginning is not there, and does not wrap to 0", "bytes=18446744073709551616-"),
        ten("2^64 - 1 to itself is not there", "bytes=18446744073709551615-18446744073709551615"),
        ten("several of which none is there", "bytes=10-,99-100,-0"),
        row("9110 §15.5.17", "no byte of an empty file is there",
            get("/empty", "Range: bytes=0-\r\n"), stays([status(416).with("Content-Range", "bytes */0")])),
        row("9110 §14.1.2", "a suffix of an empty file is all of it, and there is no Content-Range for that",
            get("/empty", "Range: bytes=-5\r\n"), stays([ok("").without("Content-Range")])),
    ]
}

/// RFC 9110 §14.2: what cannot be read, or has no meaning here, is ignored.
fn ignored() -> Vec<Row> {
    const SECTION: &str = "9110 §14.2";
    let mut rows: Vec<Row> = [
        ("an end before its beginning", "bytes=5-4"),
        ("a good range beside a malformed one", "bytes=0-1,5-4"),
        ("another unit", "lines=0-1"),
        ("a unit that begins as the known one", "bytesx=0-1"),
        ("no unit", "0-1"),
        ("no range", "bytes="),
        ("nothing but commas", "bytes=,,"),
        ("a dash alone", "bytes=-"),
        ("two dashes", "bytes=1--2"),
        ("a number without a dash", "bytes=5"),
        ("spaces inside a range", "bytes=1 - 2"),
        ("a space before the equals sign", "bytes =1-2"),
        ("a sign", "bytes=+1-2"),
        ("a malformed range behind one that is not there", "bytes=99-,x"),
    ]
    .map(|(what, range)| ten(SECTION, &format!("ignored: {what}"), range, whole()))
    .into();
    rows.extend([
        row("9110 §5.3", "ignored: two Range lines",
            get("/ten", "Range: bytes=0-1\r\nRange: bytes=0-1\r\n"), stays([whole()])),
        row(SECTION, "ignored: a range of HEAD",
            head("/ten", "Range: bytes=0-1\r\n"),
            stays([status(200).for_head().with("Content-Length", "10").without("Content-Range")])),
        row("9110 §15.5.17", "ignored: a range of HEAD that is not there",
            head("/ten", "Range: bytes=99-\r\n"), stays([status(200).for_head()])),
        row(SECTION, "ignored: a range of a listing",
            get("/", "Range: bytes=0-1\r\n"), stays([status(200).without("Accept-Ranges").has("hello.txt")])),
        row("9110 §13.2.2", "ignored: a range of what is not there",
            get("/nothing", "Range: bytes=0-1\r\n"), stays([status(404)])),
    ]);
    rows
}

fn of_large(section: &'static str, name: &str, range: &str, expected: Expected) -> Row {
    row(section, name, get("/large", &format!("Range: {range}\r\n")), stays([expected]))
}

/// RFC 9110 §14.6, §15.3.7.2: parts in the order asked for.
fn several() -> Vec<Row> {
    const SECTION: &str = "9110 §15.3.7.2";
    let file = large();
    let parts = |section, name: &str, range: &str, parts| {
        let expected = status(206)
            .parts(parts, &file)
            .without("Content-Range")
            .with("Accept-Ranges", "bytes");
        of_large(section, name, range, expected)
    };
    vec![
        parts("9110 §14.6", "two parts", "bytes=0-0,50000-50009", &[(0, 0), (50000, 50009)]),
        parts(SECTION, "parts come in the order asked for", "bytes=90000-90001,5-6", &[(90000, 90001), (5, 6)]),
        parts(SECTION, "a suffix among parts", "bytes=5-6,-2", &[(5, 6), (LARGE - 2, LARGE - 1)]),
        parts(SECTION, "parts with a byte between them stay two", "bytes=5-6,8-9", &[(5, 6), (8, 9)]),
        parts(SECTION, "what overlaps is one part, where the first of it was asked for",
            "bytes=20-29,5-6,25-34", &[(20, 34), (5, 6)]),
        parts(SECTION, "a part that joins two others", "bytes=50-59,5-6,70-79,60-69", &[(50, 79), (5, 6)]),
        parts(SECTION, "a part that is not there is left out", "bytes=5-6,100000-,8-9", &[(5, 6), (8, 9)]),
        parts(SECTION, "the end of a part is clamped",
            "bytes=5-6,99999-18446744073709551616", &[(5, 6), (LARGE - 1, LARGE - 1)]),
        parts("9110 §5.6.1", "spaces and empty elements between parts", "bytes=5-6 ,\t, 8-9 ,", &[(5, 6), (8, 9)]),
        parts("9110 §14.2", "16 parts, the most that haul sends",
            "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30",
            &[(0, 0), (2, 2), (4, 4), (6, 6), (8, 8), (10, 10), (12, 12), (14, 14),
              (16, 16), (18, 18), (20, 20), (22, 22), (24, 24), (26, 26), (28, 28), (30, 30)]),
        parts("9110 §14.2", "17 that are 16 once they are joined",
            "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,31-31",
            &[(0, 0), (2, 2), (4, 4), (6, 6), (8, 8), (10, 10), (12, 12), (14, 14),
              (16, 16), (18, 18), (20, 20), (22, 22), (24, 24), (26, 26), (28, 28), (30, 31)]),
        row(SECTION, "each answer has a boundary of its own",
            get("/large", "Range: bytes=0-0,9-9\r\n").repeat(2),
            stays([status(206), status(206)]).and(different_boundaries)),
        row("9112 §6.3", "an answer in parts has a length, and the connection goes on in order",
            get("/large", "Range: bytes=0-0,60000-99999\r\n") + &get("/hello.txt", ""),
            stays([status(206).parts(&[(0, 0), (60000, 99999)], &file).without("Transfer-Encoding"), ok(HELLO)])),
        row("9112 §9.3", "an answer in parts over HTTP/1.0",
            "GET /large HTTP/1.0\r\nRange: bytes=0-0,9-9\r\n\r\n",
            ends([status(206).parts(&[(0, 0), (9, 9)], &file)])),
        row("9110 §13.1.5", "If-Range that does not match gives the whole instead of parts",
            get("/large", "Range: bytes=0-0,9-9\r\nIf-Range: \"x\"\r\n"), stays([ok(&file)])),
    ]
}

fn different_boundaries(answers: &[Answer]) -> Result<(), String> {
    let kinds: Vec<_> = answers
        .iter()
        .map(|answer| answer.field("Content-Type"))
        .collect();
    if kinds[0] == kinds[1] {
        return Err(format!("{:?} twice", kinds[0]));
    }
    Ok(())
}

/// RFC 9110 §14.2: a server may ignore sets of ranges that cost more than they save.
fn refused_parts() -> Vec<Row> {
    const SECTION: &str = "9110 §14.2";
    let many = |count: usize| {
        (0..count)
            .map(|n| format!("{}-{}", n * 2, n * 2))
            .collect::<Vec<_>>()
            .join(",")
    };
    let file = large();
    vec![
        of_large(SECTION, "17 parts are too many: the whole comes", &format!("bytes={}", many(17)), ok(&file)),
        of_large(SECTION, "1000 parts are no more work than the whole",
            &format!("bytes={}", many(1000)), ok(&file)),
        of_large(SECTION, "parts that are larger than the file with what stands around them: the whole comes",
            "bytes=0-49999,50001-99999", ok(&file)),
        of_large(SECTION, "all but one byte overlaps itself ten times: one part",
            &format!("bytes={}", ["0-99998"; 10].join(",")),
            status(206).with("Content-Range", "bytes 0-99998/100000")),
        ten(SECTION, "two parts of a small file are more than it: the whole comes", "bytes=0-1,8-9", whole()),
    ]
}
