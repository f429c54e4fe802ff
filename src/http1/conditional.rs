//! Conditional requests (RFC 9110 §13), as pure functions of the fields and the file's validators.

use super::date;

/// The conditional fields of a request; lists may come on several lines.
#[derive(Debug, Clone, Default)]
pub struct Conditions<'a> {
    /// `If-Match`
    pub if_match: Vec<&'a [u8]>,
    /// `If-None-Match`
    pub if_none_match: Vec<&'a [u8]>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<&'a [u8]>,
    /// `If-Unmodified-Since`
    pub if_unmodified_since: Option<&'a [u8]>,
    /// `If-Range`
    pub if_range: Option<&'a [u8]>,
}

/// What a file is compared by.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// The strong entity tag, with its quotes.
    pub etag: &'a str,
    /// `Last-Modified`, in seconds since 1970.
    pub modified: u64,
    /// Now, in the same seconds: a date is a strong validator only once it is a second old (§8.8.2.2).
    pub now: u64,
}

/// How a request goes on after its preconditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The method is performed.
    Proceed,
    /// 304
    NotModified,
    /// 412
    Failed,
}

impl Conditions<'_> {
    /// Evaluates the preconditions of a GET or HEAD of what exists, in the order of §13.2.2.
    ///
    /// Where that has no validators, as a listing, only `*` matches it, and dates are ignored (§13.1.3, §13.1.4).
    pub fn evaluate(&self, validators: Option<&Validators<'_>>) -> Verdict {
        let etag = validators.map(|file| file.etag);
        let later_than = |date: Option<&[u8]>| {
            let modified = validators?.modified;
            Some(modified > date.and_then(date::parse)?)
        };
        // Steps 1 and 2
        if !self.if_match.is_empty() {
            if !tags(&self.if_match).any(|tag| tag.strong_eq(etag)) {
                return Verdict::Failed;
            }
        } else if later_than(self.if_unmodified_since) == Some(true) {
            return Verdict::Failed;
        }
        // Steps 3 and 4; a date that cannot be read is ignored (§13.1.3). A date that is later than the file's is another copy's:
        // where an older file came back, 304 would leave the newer one in its place. nginx compares in the same way.
        let is_from = |date: Option<&[u8]>| {
            let modified = validators?.modified;
            Some(modified == date.and_then(date::parse)?)
        };
        if !self.if_none_match.is_empty() {
            if tags(&self.if_none_match).any(|tag| tag.weak_eq(etag)) {
                return Verdict::NotModified;
            }
        } else if is_from(self.if_modified_since) == Some(true) {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Step 5: whether a `Range` field counts. Only a strong match does; a date must be the same (§13.1.5).
    pub fn range_counts(&self, file: &Validators<'_>) -> bool {
        let Some(value) = self.if_range.map(<[u8]>::trim_ascii) else {
            return true;
        };
        if value.starts_with(b"\"") || value.starts_with(b"W/") {
            return value == file.etag.as_bytes();
        }
        date::parse(value).is_some_and(|date| date == file.modified && date < file.now)
    }
}

/// One member of `If-Match` or `If-None-Match`.
#[derive(Debug, PartialEq, Eq)]
enum Tag<'a> {
    /// `*`: any file that exists.
    Any,
    /// An entity tag with its quotes.
    Opaque { weak: bool, tag: &'a [u8] },
}

impl Tag<'_> {
    /// §8.8.3.2: equal, and neither is weak.
    fn strong_eq(&self, etag: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Opaque { weak, tag } => !weak && Some(*tag) == etag.map(str::as_bytes),
        }
    }

    /// §8.8.3.2: equal, weak or not.
    fn weak_eq(&self, etag: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Opaque { tag, .. } => Some(*tag) == etag.map(str::as_bytes),
        }
    }
}

fn tags<'a>(lines: &[&'a [u8]]) -> impl Iterator<Item = Tag<'a>> {
    lines.iter().flat_map(|line| {
        let mut rest = *line;
        std::iter::from_fn(move || next_tag(&mut rest))
    })
}

/// Takes the next tag off a list; a tag may hold commas. What is malformed ends the list.
fn next_tag<'a>(rest: &mut &'a [u8]) -> Option<Tag<'a>> {
    let start = rest
        .iter()
        .position(|b| !matches!(b, b',' | b' ' | b'\t'))?;
    let list = &rest[start..];
    if let Some(after) = list.strip_prefix(b"*") {
        *rest = after;
        return Some(Tag::Any);
    }
    let (weak, quoted) = match list.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, list),
    };
    let body = quoted.strip_prefix(b"\"")?;
    let length = body.iter().position(|b| *b == b'"')? + 2;
    *rest = &quoted[length..];
    Some(Tag::Opaque {
        weak,
        tag: &quoted[..length],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const MODIFIED: u64 = 784_111_777;
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const FILE: Validators<'static> = Validators {
        etag: "\"tag\"",
        modified: MODIFIED,
        now: MODIFIED + 100,
    };

    fn conditions<'a>(fields: &[(&str, &'a str)]) -> Conditions<'a> {
        let mut conditions = Conditions::default();
        for (name, value) in fields {
            let value = value.as_bytes();
            match *name {
                "match" => conditions.if_match.push(value),
                "none" => conditions.if_none_match.push(value),
                "since" => conditions.if_modified_since = Some(value),
                "unmodified" => conditions.if_unmodified_since = Some(value),
                "range" => conditions.if_range = Some(value),
                _ => unreachable!(),
            }
        }
        conditions
    }

    #[test]
    fn preconditions_follow_rfc_9110_section_13() {
        use Verdict::{Failed, NotModified, Proceed};
        for (fields, expected) in [
            (&[][..], Proceed),
            // §13.1.1 If-Match: strong comparison
            (&[("match", "\"tag\"")], Proceed),
            (&[("match", "*")], Proceed),
            (&[("match", "\"a\", \"tag\"")], Proceed),
            (&[("match", "\"a,b\",\"tag\"")], Proceed),
            (&[("match", "\"a\""), ("match", "\"tag\"")], Proceed),
            (&[("match", "\"other\"")], Failed),
            (&[("match", "W/\"tag\"")], Failed),
            (&[("match", "tag")], Failed),
            (&[("match", "\"tag")], Failed),
            (&[("match", "")], Failed),
            // §13.1.2 If-None-Match: weak comparison
            (&[("none", "\"tag\"")], NotModified),
            (&[("none", "W/\"tag\"")], NotModified),
            (&[("none", "*")], NotModified),
            (&[("none", "\"a\" , W/\"b\",, \"tag\"")], NotModified),
            (&[("none", "\"other\"")], Proceed),
            // §13.1.3 If-Modified-Since
            (&[("since", SAME)], NotModified),
            (&[("since", LATER)], Proceed),
            (&[("since", EARLIER)], Proceed),
            (&[("since", "soon")], Proceed),
            // §13.1.4 If-Unmodified-Since
            (&[("unmodified", SAME)], Proceed),
            (&[("unmodified", EARLIER)], Failed),
            (&[("unmodified", "soon")], Proceed),
            // §13.2.2: a tag silences its date; If-Match goes before If-None-Match
            (&[("match", "\"tag\""), ("unmodified", EARLIER)], Proceed),
            (&[("none", "\"other\""), ("since", LATER)], Proceed),
            (&[("match", "\"other\""), ("none", "\"tag\"")], Failed),
            (&[("match", "\"tag\""), ("none", "\"tag\"")], NotModified),
            (&[("unmodified", EARLIER), ("none", "\"tag\"")], Failed),
        ] {
            assert_eq!(
                conditions(fields).evaluate(Some(&FILE)),
                expected,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn what_has_no_validators_is_still_there() {
        use Verdict::{Failed, NotModified, Proceed};
        for (field, value, expected) in [
            ("match", "*", Proceed),
            ("match", "\"tag\"", Failed),
            ("none", "*", NotModified),
            ("none", "\"tag\"", Proceed),
            ("since", LATER, Proceed),
            ("unmodified", EARLIER, Proceed),
        ] {
            let verdict = conditions(&[(field, value)]).evaluate(None);
            assert_eq!(verdict, expected, "{field} {value}");
        }
    }

    #[test]
    fn if_range_needs_a_strong_validator() {
        for (value, counts) in [
            ("\"tag\"", true),
            ("W/\"tag\"", false),
            ("\"other\"", false),
            (SAME, true),
            (EARLIER, false),
            (LATER, false),
            ("tag", false),
        ] {
            assert_eq!(
                conditions(&[("range", value)]).range_counts(&FILE),
                counts,
                "{value}"
            );
        }
        assert!(conditions(&[]).range_counts(&FILE));
        // §8.8.2.2: a file that changed within this second may change again under the same date.
        let fresh = Validators {
            now: MODIFIED,
            ..FILE
        };
        assert!(!conditions(&[("range", SAME)]).range_counts(&fresh));
    }
}
