//! Response heads as a server writes them, straight into the connection's output buffer.

use std::{fmt, io::Write as _};

use http::StatusCode;

use super::date;

/// What the server calls itself.
pub const SERVER: &str = concat!("haul/", env!("CARGO_PKG_VERSION"));

/// Writes one head into a buffer: the status line and the fields that every answer has at once, the others as they
/// are given; [`Self::end`] closes it.
pub struct HeadWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> HeadWriter<'a> {
    /// Begins a head; `now` is in seconds since 1970.
    pub fn new(out: &'a mut Vec<u8>, status: StatusCode, now: u64) -> Self {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.canonical_reason().unwrap_or("Status").as_bytes());
        out.extend_from_slice(b"\r\nServer: ");
        out.extend_from_slice(SERVER.as_bytes());
        out.extend_from_slice(b"\r\nDate: ");
        date::with_now(now, |date| out.extend_from_slice(date.as_bytes()));
        out.extend_from_slice(
            b"\r\nX-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n\
              Cache-Control: no-cache\r\n",
        );
        Self { out }
    }

    /// Adds a field. Everything foreign is encoded before it comes here; a line end that came all the same becomes a blank,
    /// so that no value can begin another field.
    pub fn field(&mut self, name: &str, value: &str) -> &mut Self {
        self.field_fmt(name, format_args!("{value}"))
    }

    /// Adds a field whose value is formatted in place.
    pub fn field_fmt(&mut self, name: &str, value: fmt::Arguments<'_>) -> &mut Self {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        let begin = self.out.len();
        // Writing to a Vec cannot fail.
        let _ = self.out.write_fmt(value);
        for byte in &mut self.out[begin..] {
            if matches!(byte, b'\r' | b'\n' | b'\0') {
                *byte = b' ';
            }
        }
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// `Connection: close` where the connection ends, and `keep-alive` where an HTTP/1.0 client needs to be told.
    pub fn connection(&mut self, keep: bool, http10: bool) -> &mut Self {
        match (keep, http10) {
            (false, _) => self.field("Connection", "close"),
            (true, true) => self.field("Connection", "keep-alive"),
            (true, false) => self,
        }
    }

    /// Bytes in the buffer so far, with whatever stands before this head.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a head that was begun is never empty"
    )]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Ends the head; the body follows in the same buffer or behind it.
    pub fn end(self) -> &'a mut Vec<u8> {
        self.out.extend_from_slice(b"\r\n");
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_its_line() {
        let mut out = Vec::new();
        let mut head = HeadWriter::new(&mut out, StatusCode::OK, 0);
        let evil = "x\r\nSet-Cookie: a=b\0\n\nbody";
        head.field("A", evil).field_fmt("B", format_args!("{evil}"));
        head.end();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains(
                "\r\nA: x  Set-Cookie: a=b   body\r\nB: x  Set-Cookie: a=b   body\r\n\r\n"
            )
        );
        assert!(text.ends_with("\r\n\r\n") && !text.contains("\nSet-Cookie"));
    }

    #[test]
    fn a_head_has_what_every_answer_has() {
        let mut out = Vec::new();
        let mut head = HeadWriter::new(&mut out, StatusCode::PARTIAL_CONTENT, 784_111_777);
        let begun = head.len();
        assert!(begun > "HTTP/1.1 206 Partial Content\r\n".len());
        head.field("A", "b");
        assert_eq!(head.len(), begun + "A: b\r\n".len());
        head.field("ETag", "\"x\"")
            .field_fmt("Content-Length", format_args!("{}", 5))
            .connection(true, true);
        head.end().extend_from_slice(b"hello");
        let text = String::from_utf8(out).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text,
            format!(
                "HTTP/1.1 206 Partial Content\r\nServer: haul/{version}\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                 X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n\
                 Cache-Control: no-cache\r\nA: b\r\nETag: \"x\"\r\nContent-Length: 5\r\n\
                 Connection: keep-alive\r\n\r\nhello"
            )
        );
    }
}
