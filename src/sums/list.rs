//! Lines of lists of digests: coreutils' (`HEX  NAME`, `HEX *NAME`), BSD's (`SHA256 (NAME) = HEX`), and either with an
//! escaped name (a backslash first; `\\`, `\n` and `\r` in the name).

use std::{borrow::Cow, io};

use super::Algorithm;
use crate::digest::Digest;

/// Bytes that are read of a list at most.
pub const LIST_MAX: usize = 16 << 20;

/// What one line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The file's name as the list has it; empty where the line is nothing but a digest.
    pub name: Vec<u8>,
    /// What its content must hash to.
    pub digest: Digest,
    /// The other digest that the same digits may be, where neither the list's name nor the line says which.
    pub or: Option<Digest>,
}

/// Reads a list line by line.
#[derive(Debug)]
pub struct Lines {
    said: Option<Algorithm>,
    signature: bool,
}

impl Lines {
    /// At its beginning; `said` is what the list's name tells of its digests.
    pub fn new(said: Option<Algorithm>) -> Self {
        Self {
            said,
            signature: false,
        }
    }

    /// The next line, with or without its end. `None` where it is empty, a comment (`#`) or a part of the PGP signature
    /// around the list.
    pub fn read(&mut self, raw: &[u8]) -> Option<Result<Line, NoLine>> {
        let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if raw.starts_with(b"-----") {
            self.signature = raw.starts_with(b"-----BEGIN PGP SIGNATURE");
            return None;
        }
        let around =
            self.signature || raw.is_empty() || raw[0] == b'#' || raw.starts_with(b"Hash: ");
        (!around).then(|| line(raw, self.said).ok_or(NoLine))
    }
}

/// A line that tells no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoLine;

/// The lines of a whole list that can be read, and how many cannot.
pub fn lines(text: &[u8], said: Option<Algorithm>) -> (Vec<Line>, usize) {
    let (mut read, mut wrong, mut lines) = (Vec::new(), 0, Lines::new(said));
    for raw in text.split(|byte| *byte == b'\n') {
        match lines.read(raw) {
            Some(Ok(line)) => read.push(line),
            Some(Err(NoLine)) => wrong += 1,
            None => {}
        }
    }
    (read, wrong)
}

/// Reads a line, without its end.
pub fn line(raw: &[u8], said: Option<Algorithm>) -> Option<Line> {
    let (raw, escaped) = match raw.strip_prefix(b"\\") {
        Some(rest) => (rest, true),
        None => (raw, false),
    };
    let (name, digest, or) = tagged(raw).or_else(|| plain(raw, said))?;
    let name = if escaped {
        unescaped(name)?
    } else {
        name.to_vec()
    };
    (!name.contains(&0)).then_some(Line { name, digest, or })
}

type Parts<'a> = (&'a [u8], Digest, Option<Digest>);

/// `SHA256 (NAME) = HEX`, and OpenSSL's `SHA2-256(NAME)= HEX`.
fn tagged(raw: &[u8]) -> Option<Parts<'_>> {
    const TAGS: [(&[u8], Algorithm); 6] = [
        (b"SHA256", Algorithm::Sha256),
        (b"SHA512", Algorithm::Sha512),
        (b"SHA2-256", Algorithm::Sha256),
        (b"SHA2-512", Algorithm::Sha512),
        (b"BLAKE3", Algorithm::Blake3),
        (b"MD5", Algorithm::Md5),
    ];
    let (rest, algorithm) = TAGS.iter().find_map(|(tag, algorithm)| {
        let rest = raw.strip_prefix(*tag)?;
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        Some((rest.strip_prefix(b"(")?, *algorithm))
    })?;
    let end = rest.iter().rposition(|byte| *byte == b')')?;
    let value = &rest[end + 1..];
    let value = value.strip_prefix(b" ").unwrap_or(value);
    let value = value.strip_prefix(b"=")?;
    let value = value.strip_prefix(b" ").unwrap_or(value);
    let digest = Digest::from_hex(algorithm.name(), std::str::from_utf8(value).ok()?)?;
    (end > 0).then_some((&rest[..end], digest, None))
}

/// `HEX  NAME`, `HEX *NAME`, `HEX NAME`, or nothing but the digits.
fn plain(raw: &[u8], said: Option<Algorithm>) -> Option<Parts<'_>> {
    let digits = raw.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (hex, rest) = raw.split_at(digits.count());
    let hex = std::str::from_utf8(hex).ok()?;
    let of = |algorithm: Algorithm| Digest::from_hex(algorithm.name(), hex);
    let (digest, or) = match (said, hex.len()) {
        (Some(said), _) => (of(said)?, None),
        (None, 32) => (of(Algorithm::Md5)?, None),
        (None, 64) => (of(Algorithm::Blake3)?, of(Algorithm::Sha256)),
        (None, 128) => (of(Algorithm::Sha512)?, None),
        _ => return None,
    };
    if rest.is_empty() {
        return Some((rest, digest, or));
    }
    let name = rest.strip_prefix(b" ")?;
    let name = name
        .strip_prefix(b" ")
        .or_else(|| name.strip_prefix(b"*"))
        .unwrap_or(name);
    (!name.is_empty()).then_some((name, digest, or))
}

fn unescaped(name: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        whole.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            _ => *byte,
        });
    }
    Some(whole)
}

/// A name as lists have it, and whether it is escaped: then the line begins with a backslash.
fn escaped(name: &[u8]) -> (Cow<'_, [u8]>, bool) {
    if !name
        .iter()
        .any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'))
    {
        return (Cow::Borrowed(name), false);
    }
    let mut text = Vec::with_capacity(name.len() + 8);
    for byte in name {
        match byte {
            b'\\' => text.extend_from_slice(br"\\"),
            b'\n' => text.extend_from_slice(br"\n"),
            b'\r' => text.extend_from_slice(br"\r"),
            _ => text.push(*byte),
        }
    }
    (Cow::Owned(text), true)
}

/// A name as `--check` prints it: escaped, with a backslash first, where it has to be.
pub fn shown(name: &[u8]) -> Vec<u8> {
    match escaped(name) {
        (name, true) => [b"\\", &*name].concat(),
        (name, false) => name.into_owned(),
    }
}

/// Writes the line that `b3sum` writes.
pub fn write_line(out: &mut impl io::Write, hash: &blake3::Hash, name: &[u8]) -> io::Result<()> {
    let (name, is_escaped) = escaped(name);
    let mark = if is_escaped { "\\" } else { "" };
    write!(out, "{mark}{hash}  ")?;
    out.write_all(&name)?;
    out.write_all(b"\n")
}

/// The names on the way from the list's directory to what a line names. `None` where that leaves the directory, or is no
/// path at all.
pub fn beside(name: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let parts = || {
        let parts = name.split(|byte| *byte == b'/');
        // `./NAME`, as `find . -exec` writes it.
        parts.skip_while(|part| *part == b".")
    };
    let is_name = |part: &[u8]| !part.is_empty() && part != b"." && part != b"..";
    (parts().all(is_name) && parts().next().is_some()).then(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

    fn sha256() -> Digest {
        Digest::from_hex("sha-256", SHA256).unwrap()
    }

    #[test]
    fn every_format_is_read() {
        let upper = SHA256.to_uppercase();
        for (text, name) in [
            (format!("{SHA256}  a b"), &b"a b"[..]),
            (format!("{SHA256} *a b"), b"a b"),
            (format!("{upper} ./d/a"), b"./d/a"),
            (format!("{SHA256}   two"), b" two"),
            (format!("SHA256 (a) = b) = {SHA256}"), b"a) = b"),
            (format!("SHA2-256(a)= {SHA256}"), b"a"),
            (format!(r"\{SHA256}  a\nb\\c\r"), b"a\nb\\c\r"),
            (format!(r"\SHA256 (a\nb) = {SHA256}"), b"a\nb"),
            (format!(r"{SHA256}  a\nb"), br"a\nb"),
            (SHA256.to_owned(), b""),
        ] {
            let read = line(text.as_bytes(), Some(Algorithm::Sha256)).unwrap();
            assert_eq!((&*read.name, read.digest), (name, sha256()), "{text}");
        }
        let md5 = line(format!("{MD5}  a").as_bytes(), None).unwrap();
        assert!(md5.digest.matches(b"") && !md5.digest.matches(b"a"));
        let either = line(format!("{SHA256}  a").as_bytes(), None).unwrap();
        assert_eq!(either.or, Some(sha256()));
        for text in [
            "",
            "  a",
            "abc  a",
            &format!("{SHA256}a  b"),
            &format!("{SHA256} "),
            &format!("{MD5}  a"),
            &format!(r"\{SHA256}  a\x"),
            &format!("{SHA256}  a\0b"),
            &format!("SHA256 () = {SHA256}"),
            &format!("SHA256 (a) = {MD5}"),
            &format!("SHA1 (a) = {SHA256}"),
        ] {
            assert_eq!(
                line(text.as_bytes(), Some(Algorithm::Sha256)),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn what_surrounds_the_lines_is_left_out() {
        let text = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n# of today\r\n{SHA256}  a\r\nno line\r\n\
             -----BEGIN PGP SIGNATURE-----\r\nabcdef\r\n-----END PGP SIGNATURE-----\r\n{SHA256}  b\r\n"
        );
        let (read, wrong) = lines(text.as_bytes(), Some(Algorithm::Sha256));
        let names: Vec<_> = read.iter().map(|line| &line.name[..]).collect();
        assert_eq!((names, wrong), (vec![&b"a"[..], b"b"], 1));
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for (name, path) in [
            ("a", Some("a")),
            ("./a", Some("a")),
            ("././d/e f", Some("d/e f")),
            ("...", Some("...")),
            ("", None),
            (".", None),
            ("/etc/passwd", None),
            ("../a", None),
            ("./../a", None),
            ("a/../../b", None),
            ("a//b", None),
            ("a/./b", None),
            ("a/", None),
        ] {
            let parts = beside(name.as_bytes());
            let joined = parts.map(|parts| parts.collect::<Vec<_>>().join(&b'/'));
            assert_eq!(joined, path.map(|path| path.as_bytes().to_vec()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(name in prop::collection::vec(1u8.., 1..40)) {
            let hash = blake3::hash(&name);
            let mut text = Vec::new();
            write_line(&mut text, &hash, &name).unwrap();
            prop_assert_eq!(text.iter().position(|byte| *byte == b'\n'), Some(text.len() - 1));
            let (read, wrong) = lines(&text, Some(Algorithm::Blake3));
            prop_assert_eq!(wrong, 0);
            prop_assert_eq!(read, vec![Line { name, digest: Digest::Blake3(hash), or: None }]);
        }

        #[test]
        fn nothing_that_is_read_leaves_the_directory_or_grows(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let (read, _) = lines(&text, None);
            for line in read {
                prop_assert!(line.name.len() < text.len());
                if let Some(parts) = beside(&line.name) {
                    let mut parts = parts.peekable();
                    prop_assert!(parts.peek().is_some());
                    prop_assert!(parts.all(|part| !part.contains(&b'/') && !part.contains(&0) && part != b".."));
                }
            }
        }

        #[test]
        fn any_name_in_a_list_is_harmless(name in "[./a]{0,12}") {
            if let Some(parts) = beside(name.as_bytes()) {
                let joined: Vec<_> = parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect();
                prop_assert!(!joined.is_empty() && joined.iter().all(|part| part != ".." && part != "." && !part.is_empty()));
                prop_assert!(!name.starts_with('/'));
            }
        }
    }
}
