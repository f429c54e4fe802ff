//! `Content-Disposition: attachment` (RFC 6266), with names of any bytes (RFC 8187).

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in `filename*` (RFC 8187 §3.2.1), but for the marks that some clients read otherwise.
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The field's value for a file of that name.
///
/// `filename` comes first, for clients that know no other; what it cannot carry in all of them is `_` there (RFC 6266
/// appendix D). `filename*` follows; bytes that are no UTF-8 become U+FFFD, as the field has no form for them.
pub fn attachment(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let mut value = "attachment; filename=\"".to_owned();
    value.extend(name.chars().map(|c| match c {
        '"' | '\\' | '%' | '/' => '_',
        c if c == ' ' || c.is_ascii_graphic() => c,
        _ => '_',
    }));
    // Writing to a String cannot fail.
    let _ = write!(
        value,
        "\"; filename*=UTF-8''{}",
        utf8_percent_encode(&name, ATTR_CHAR)
    );
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_form() {
        for (name, plain, extended) in [
            (b"notes.md".as_slice(), "notes.md", "notes.md"),
            (b"a b.txt", "a b.txt", "a%20b.txt"),
            (b"100% \"x\"\\", "100_ _x__", "100%25%20%22x%22%5C"),
            ("ü€.txt".as_bytes(), "__.txt", "%C3%BC%E2%82%AC.txt"),
            (b"\xff\r\n;'", "___;'", "%EF%BF%BD%0D%0A%3B%27"),
        ] {
            assert_eq!(
                attachment(name),
                format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}"),
            );
        }
    }
}
