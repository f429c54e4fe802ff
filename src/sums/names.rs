//! Which names lists of digests have, and what they tell.

use super::Algorithm;

/// What a list is called where a file is told to be verified, one of few.
pub type Word = &'static str;

/// What a list tells digests of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// Whatever it names.
    Many,
    /// The file whose name is as much of the list's own, in bytes.
    Prefix(usize),
}

/// A list of digests among the names of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// What it is called.
    pub word: Word,
    /// How its digests are computed.
    pub algorithm: Algorithm,
    /// What it tells digests of.
    pub covers: Covers,
}

/// What stands behind a list's name in that of its signature.
pub const SIGNATURES: [&str; 3] = [".asc", ".sig", ".gpg"];

/// Lists of many files by their whole names, in lower case, without `.txt`.
const LISTS: [(&str, &str, Algorithm); 16] = [
    ("b3sums", "B3SUMS", Algorithm::Blake3),
    ("b3sum", "b3sum", Algorithm::Blake3),
    ("blake3sums", "BLAKE3SUMS", Algorithm::Blake3),
    ("sha512sums", "SHA512SUMS", Algorithm::Sha512),
    ("sha512sum", "sha512sum", Algorithm::Sha512),
    ("sha512", "SHA512", Algorithm::Sha512),
    ("sha256sums", "SHA256SUMS", Algorithm::Sha256),
    ("sha256sum", "sha256sum", Algorithm::Sha256),
    ("sha256", "SHA256", Algorithm::Sha256),
    ("sha256-checksums", "SHA256", Algorithm::Sha256),
    ("checksum", "CHECKSUM", Algorithm::Sha256),
    ("checksums", "CHECKSUMS", Algorithm::Sha256),
    ("checksum.sha256", "SHA256", Algorithm::Sha256),
    ("md5sums", "MD5SUMS, weak", Algorithm::Md5),
    ("md5sum", "md5sum, weak", Algorithm::Md5),
    ("md5", "MD5, weak", Algorithm::Md5),
];

/// What a list that the user names is called, where its name tells nothing.
pub const GIVEN: &str = "--checksums";

/// What a Metalink's digests of a file's pieces are called.
pub const METALINK: Word = "Metalink";

/// What a weak digest of a file in a Metalink is called.
pub const METALINK_WEAK: Word = "Metalink, weak";

/// Ends of the names of lists of one file, and what those are called.
const SUFFIXES: [(&str, &str, Algorithm); 8] = [
    (".b3", ".b3", Algorithm::Blake3),
    (".blake3", ".blake3", Algorithm::Blake3),
    (".sha512", ".sha512", Algorithm::Sha512),
    (".sha512sum", ".sha512sum", Algorithm::Sha512),
    (".sha256", ".sha256", Algorithm::Sha256),
    (".sha256sum", ".sha256sum", Algorithm::Sha256),
    (".md5", ".md5, weak", Algorithm::Md5),
    (".md5sum", ".md5sum, weak", Algorithm::Md5),
];

/// The list of digests that a name stands for: `SHA256SUMS`, `sha256sum.txt`, `NAME.sha256`, …
pub fn published(name: &[u8]) -> Option<Published> {
    let lower = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    let whole = lower.strip_suffix(".txt").unwrap_or(&lower);
    let list = LISTS.iter().find(|(known, ..)| *known == whole);
    if let Some((_, word, algorithm)) = list {
        return Some(Published {
            word,
            algorithm: *algorithm,
            covers: Covers::Many,
        });
    }
    let (suffix, word, algorithm) = SUFFIXES
        .iter()
        .find(|(suffix, ..)| lower.len() > suffix.len() && lower.ends_with(suffix))?;
    Some(Published {
        word,
        algorithm: *algorithm,
        covers: Covers::Prefix(lower.len() - suffix.len()),
    })
}

/// The word that reads like this one, of those that [`Published::word`] may be; another program's version may know others.
pub fn word(text: &str) -> Word {
    let words = LISTS.iter().chain(&SUFFIXES).map(|(_, word, _)| *word);
    let mut words = words.chain([GIVEN, METALINK, METALINK_WEAK]);
    words.find(|word| *word == text).unwrap_or("a list")
}

/// How the digests of a list are computed, as far as its name tells: by its end, else by a word anywhere in it. Words that
/// contradict each other tell nothing: one of them may be part of a file's name.
pub fn algorithm_of(name: &[u8]) -> Option<Algorithm> {
    let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
    let end = lower.strip_suffix(".txt").unwrap_or(&lower);
    let mut suffixes = SUFFIXES.iter();
    if let Some((.., algorithm)) = suffixes.find(|(suffix, ..)| end.ends_with(suffix)) {
        return Some(*algorithm);
    }
    let words: [(&[&str], _); 4] = [
        (&["b3sum", "blake3"], Algorithm::Blake3),
        (&["sha512", "sha-512"], Algorithm::Sha512),
        (&["sha256", "sha-256"], Algorithm::Sha256),
        (&["md5"], Algorithm::Md5),
    ];
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let mut said = words.iter().filter(|(words, _)| says(words));
    match (said.next(), said.next()) {
        (Some((_, algorithm)), None) => Some(*algorithm),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_known_by_their_names() {
        for (name, algorithm, covers) in [
            ("SHA256SUMS", Algorithm::Sha256, Covers::Many),
            ("sha256sum.txt", Algorithm::Sha256, Covers::Many),
            ("SHA512SUMS.txt", Algorithm::Sha512, Covers::Many),
            ("B3SUMS", Algorithm::Blake3, Covers::Many),
            ("MD5SUMS", Algorithm::Md5, Covers::Many),
            ("a.iso.sha256", Algorithm::Sha256, Covers::Prefix(5)),
            ("a.iso.SHA512", Algorithm::Sha512, Covers::Prefix(5)),
            ("a.b3", Algorithm::Blake3, Covers::Prefix(1)),
            ("a.md5", Algorithm::Md5, Covers::Prefix(1)),
        ] {
            let found = published(name.as_bytes()).unwrap();
            assert_eq!(
                (found.algorithm, found.covers),
                (algorithm, covers),
                "{name}"
            );
            assert_eq!(algorithm_of(name.as_bytes()), Some(algorithm), "{name}");
        }
        for name in [
            &b"SHA256SUMS.asc"[..],
            b"a.iso",
            b".sha256",
            b"sums",
            b"\xff.md5",
            b"B2SUMS",
        ] {
            assert_eq!(published(name), None);
        }
        assert_eq!(algorithm_of(b"sums.txt"), None);
    }

    #[test]
    fn a_word_in_the_name_of_a_file_does_not_speak_for_its_list() {
        for (name, algorithm) in [
            ("b3sum-1.5.tar.gz.sha256", Some(Algorithm::Sha256)),
            ("b3sum-1.5.tar.gz.SHA256.txt", Some(Algorithm::Sha256)),
            ("sha512-tool.zip.sha256", Some(Algorithm::Sha256)),
            ("sha512-tool.zip.md5", Some(Algorithm::Md5)),
            ("md5deep.sha512sum", Some(Algorithm::Sha512)),
            ("sha256-x.b3", Some(Algorithm::Blake3)),
            ("release-sha256-checksums", Some(Algorithm::Sha256)),
            ("B3SUMS-2026", Some(Algorithm::Blake3)),
            ("b3sum-1.5-sha256-sums", None),
        ] {
            assert_eq!(algorithm_of(name.as_bytes()), algorithm, "{name}");
        }
    }
}
