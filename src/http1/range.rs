//! Byte ranges (RFC 9110 §14), checked against a size; no arithmetic here can overflow.

use std::ops::Range;

/// What a `Range` field asks of a representation of a known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// The field is to be ignored (§14.2): malformed, of another unit, or without meaning for an empty file.
    Whole,
    /// One part.
    Single(Range<u64>),
    /// Several parts, in the order asked for, overlapping and touching neighbours merged (§15.3.7.2).
    Several(Vec<Range<u64>>),
    /// Nothing that was asked for exists: 416.
    Unsatisfiable,
}

impl Ranges {
    /// Reads the value of one `Range` field for a file of `size` bytes.
    pub fn parse(value: &[u8], size: u64) -> Self {
        let Some(specs) = bytes_unit(value) else {
            return Self::Whole;
        };
        let mut parts = Vec::new();
        let mut any = false;
        for spec in specs.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            // A list may hold empty elements (§5.6.1).
            if spec.is_empty() {
                continue;
            }
            any = true;
            match Spec::parse(spec) {
                None => return Self::Whole,
                // A suffix of nothing exists, but Content-Range has no words for it (§14.4).
                Some(Spec::Suffix(1..)) if size == 0 => return Self::Whole,
                Some(spec) => parts.extend(spec.within(size)),
            }
        }
        if !any {
            return Self::Whole;
        }
        let mut parts = merge(parts);
        match parts.len() {
            0 => Self::Unsatisfiable,
            1 => Self::Single(parts.remove(0)),
            _ => Self::Several(parts),
        }
    }
}

/// What follows `bytes=`; units are compared without case.
fn bytes_unit(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let (unit, rest) = value.split_at_checked(b"bytes=".len())?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(rest)
}

enum Spec {
    From(u64),
    FromTo(u64, u64),
    Suffix(u64),
}

impl Spec {
    fn parse(spec: &[u8]) -> Option<Self> {
        let dash = spec.iter().position(|b| *b == b'-')?;
        let (first, last) = (&spec[..dash], &spec[dash + 1..]);
        match (first.is_empty(), last.is_empty()) {
            (true, true) => None,
            (true, false) => number(last).map(Self::Suffix),
            (false, true) => number(first).map(Self::From),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }

    /// The part of `0..size` that is meant, if there is one.
    fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first) => first..size,
            Self::FromTo(first, last) => first..last.saturating_add(1).min(size),
            Self::Suffix(length) => size.saturating_sub(length)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// Digits only; a number beyond 2^64-1 lies behind the end of every file, as 2^64-1 does.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |n, digit| {
        n.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}

/// Merges parts that overlap or touch, each in the place of the first of them. A head holds thousands of ranges: this
/// takes no longer than sorting them.
fn merge(parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut placed: Vec<(usize, Range<u64>)> = parts.into_iter().enumerate().collect();
    placed.sort_by_key(|(_, part)| part.start);
    let mut merged: Vec<(usize, Range<u64>)> = Vec::new();
    for (place, part) in placed {
        match merged.last_mut() {
            Some((first, last)) if part.start <= last.end => {
                *first = place.min(*first);
                last.end = part.end.max(last.end);
            }
            _ => merged.push((place, part)),
        }
    }
    merged.sort_by_key(|(place, _)| *place);
    merged.into_iter().map(|(_, part)| part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_rfc_9110_section_14() {
        use Ranges::{Several, Single, Unsatisfiable, Whole};
        for (value, size, expected) in [
            // §14.1.2: int-range
            ("bytes=0-0", 10, Single(0..1)),
            ("bytes=0-9", 10, Single(0..10)),
            ("bytes=2-", 10, Single(2..10)),
            ("BYTES=2-3", 10, Single(2..4)),
            ("bytes= 2-3 ", 10, Single(2..4)),
            ("bytes=,2-3,,", 10, Single(2..4)),
            // a last-pos beyond the end is clamped, at and beyond 2^64-1 too
            ("bytes=5-999", 10, Single(5..10)),
            ("bytes=5-18446744073709551615", 10, Single(5..10)),
            ("bytes=5-99999999999999999999999", 10, Single(5..10)),
            (
                "bytes=0-18446744073709551615",
                u64::MAX,
                Single(0..u64::MAX),
            ),
            // suffix-range
            ("bytes=-3", 10, Single(7..10)),
            ("bytes=-10", 10, Single(0..10)),
            ("bytes=-11", 10, Single(0..10)),
            ("bytes=-99999999999999999999999", 10, Single(0..10)),
            // §15.5.17: unsatisfiable
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=10-20", 10, Unsatisfiable),
            ("bytes=99999999999999999999-", 10, Unsatisfiable),
            ("bytes=18446744073709551615-", u64::MAX, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-0", 0, Unsatisfiable),
            ("bytes=-5", 0, Whole),
            // §14.2: ignored
            ("bytes=3-2", 10, Whole),
            ("bytes=0-1,3-2", 10, Whole),
            ("bytes=", 10, Whole),
            ("bytes=,", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=+1-2", 10, Whole),
            ("bytes=1 - 2", 10, Whole),
            ("bytes 0-1", 10, Whole),
            ("lines=0-1", 10, Whole),
            ("", 10, Whole),
            // several
            ("bytes=0-1,5-6", 10, Several(vec![0..2, 5..7])),
            ("bytes=5-6, 0-1", 10, Several(vec![5..7, 0..2])),
            ("bytes=0-1,20-30", 10, Single(0..2)),
            ("bytes=20-,30-", 10, Unsatisfiable),
            ("bytes=0-4,2-6", 10, Single(0..7)),
            ("bytes=0-1,2-3", 10, Single(0..4)),
            ("bytes=0-1,4-5,2-3", 10, Single(0..6)),
            ("bytes=0-1,-1,4-5", 10, Several(vec![0..2, 9..10, 4..6])),
        ] {
            assert_eq!(
                Ranges::parse(value.as_bytes(), size),
                expected,
                "{value} of {size}"
            );
        }
    }
}
