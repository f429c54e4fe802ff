//! `multipart/byteranges` (RFC 9110 §14.6): several ranges of a file in one body, and what stands around them.

use std::{borrow::Cow, ops::Range};

/// Most parts in one answer; more, once they are merged, get the whole file (RFC 9110 §14.2).
pub const MAX_PARTS: usize = 16;

/// A body of several parts.
#[derive(Debug)]
pub struct Multipart {
    boundary: String,
    content_type: Cow<'static, str>,
    size: u64,
    parts: Vec<Range<u64>>,
    length: u64,
}

impl Multipart {
    /// The parts of a file of `size` bytes; `None` where they are too many, or no less than the file.
    ///
    /// `random` becomes the boundary, which must not be met in the file: it is to be another for each answer.
    pub fn new(
        parts: Vec<Range<u64>>,
        size: u64,
        content_type: impl Into<Cow<'static, str>>,
        random: u128,
    ) -> Option<Self> {
        if parts.len() > MAX_PARTS {
            return None;
        }
        let mut this = Self {
            boundary: format!("{random:032x}"),
            content_type: content_type.into(),
            size,
            parts,
            length: 0,
        };
        let mut length = this.end().len() as u64;
        for (head, part) in this.parts() {
            length = length
                .checked_add(part.end - part.start)?
                .checked_add(head.len() as u64)?;
        }
        this.length = length;
        (this.length <= size).then_some(this)
    }

    /// The media type of the whole body.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// The bytes of the whole body.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The parts in their order, each behind what stands before it.
    pub fn parts(&self) -> impl Iterator<Item = (String, Range<u64>)> {
        self.parts.iter().enumerate().map(|(at, part)| {
            let line_end = if at == 0 { "" } else { "\r\n" };
            let head = format!(
                "{line_end}--{}\r\nContent-Type: {}\r\nContent-Range: bytes {}-{}/{}\r\n\r\n",
                self.boundary,
                self.content_type,
                part.start,
                part.end - 1,
                self.size,
            );
            (head, part.clone())
        })
    }

    /// What stands behind the last part.
    pub fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_as_long_as_it_says() {
        let parts = vec![500..600, 0..1];
        let body = Multipart::new(parts, 1000, "text/plain", 7).unwrap();
        let mut bytes = String::new();
        for (head, part) in body.parts() {
            bytes += &head;
            bytes += &"x".repeat((part.end - part.start) as usize);
        }
        bytes += &body.end();
        assert_eq!(bytes.len() as u64, body.length());
        assert_eq!(
            body.content_type(),
            "multipart/byteranges; boundary=00000000000000000000000000000007"
        );
        let expected = "--00000000000000000000000000000007\r\nContent-Type: text/plain\r\n\
                        Content-Range: bytes 500-599/1000\r\n\r\nx";
        assert!(bytes.starts_with(expected), "{bytes}");
        assert!(bytes.ends_with("\r\n\r\nx\r\n--00000000000000000000000000000007--\r\n"));
    }

    #[test]
    fn parts_that_cost_more_than_the_file_are_none() {
        let of = |parts, size| Multipart::new(parts, size, "text/plain", u128::MAX).is_some();
        let length = Multipart::new(vec![0..1, 5..6], u64::MAX, "text/plain", 0)
            .unwrap()
            .length();
        // The size stands in each part: as many digits as that takes, and a few bytes less.
        assert!(of(vec![0..1, 5..6], length));
        assert!(!of(vec![0..1, 5..6], 200));
        let many = |count: u64| (0..count).map(|n| n * 2..n * 2 + 1).collect();
        assert!(of(many(16), 10_000));
        assert!(!of(many(17), 10_000));
        // Nothing overflows at the end of the largest file.
        assert!(of(vec![0..1, u64::MAX - 1..u64::MAX], u64::MAX));
        assert!(!of(
            vec![0..u64::MAX - 300, u64::MAX - 1..u64::MAX],
            u64::MAX
        ));
    }
}
