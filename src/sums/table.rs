//! What lists tell of files, looked up by name.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{Algorithm, SIGNATURES, beside, lines, names::GIVEN, published};
use crate::digest::Digest;

/// A list's digests by the paths that they are told of, from the list's directory on.
#[derive(Debug, Default)]
pub struct Table {
    /// `None` where the list tells two digests of one path.
    digests: HashMap<Vec<u8>, Option<Digest>>,
    /// Digests of nothing that is named.
    nameless: Vec<Digest>,
    /// Lines that cannot be used, those with names that lead out of the directory among them.
    pub refused: usize,
}

impl Table {
    /// Reads a list; `said` is how its digests are computed where its lines do not say so.
    pub fn read(text: &[u8], said: Algorithm) -> Self {
        let (lines, refused) = lines(text, Some(said));
        let mut table = Self {
            refused,
            ..Self::default()
        };
        for line in lines {
            if line.name.is_empty() {
                table.nameless.push(line.digest);
                continue;
            }
            let Some(names) = beside(&line.name) else {
                table.refused += 1;
                continue;
            };
            let path = names.collect::<Vec<_>>().join(&b'/');
            let digest = line.digest;
            let known = table
                .digests
                .entry(path)
                .or_insert_with(|| Some(digest.clone()));
            if known.as_ref() != Some(&digest) {
                *known = None;
            }
        }
        table
    }

    /// What the list tells of a path below its directory.
    pub fn of(&self, path: &[u8]) -> Option<&Digest> {
        self.digests.get(path)?.as_ref()
    }

    /// What a list of one file tells of it: the digest by its name, or the only one without a name.
    pub fn of_one(&self, name: &[u8]) -> Option<&Digest> {
        self.nameless().or_else(|| self.of(name))
    }

    /// The digest of a list that holds nothing else, and no name.
    pub fn nameless(&self) -> Option<&Digest> {
        match self.nameless.as_slice() {
            [digest] if self.digests.is_empty() => Some(digest),
            _ => None,
        }
    }

    /// Whether the list tells two digests of a path.
    pub fn is_torn(&self, path: &[u8]) -> bool {
        matches!(self.digests.get(path), Some(None))
    }

    /// Paths that the list tells two digests of.
    pub fn torn(&self) -> usize {
        self.digests.values().filter(|it| it.is_none()).count()
    }

    /// Whether it tells nothing.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty() && self.nameless.is_empty()
    }

    /// Files that it tells digests of.
    pub fn len(&self) -> usize {
        self.digests.len() + self.nameless.len()
    }
}

/// A list that the user gave.
#[derive(Debug)]
pub struct Given {
    /// What it tells.
    pub table: Table,
    /// What it is called where a file is told to be verified.
    pub word: &'static str,
    /// Its name, for people.
    pub shown: String,
    /// What stands in front of paths below the URL in the list.
    pub above: Vec<u8>,
    /// What of paths below the URL the list leaves out.
    pub below: Vec<u8>,
    /// The one path that is asked for: a digest without a name is that one's, and the list has to tell one.
    pub one: Option<Vec<u8>>,
    /// Files that it told nothing of.
    untold: AtomicU64,
}

impl Given {
    /// Reads a list by its name. Where that tells no algorithm, 64 digits are SHA-256.
    pub fn read(text: &[u8], name: &[u8], shown: String) -> Self {
        let said = super::algorithm_of(name).unwrap_or(Algorithm::Sha256);
        Self {
            table: Table::read(text, said),
            word: published(name).map_or(GIVEN, |published| published.word),
            shown,
            above: Vec::new(),
            below: Vec::new(),
            one: None,
            untold: AtomicU64::default(),
        }
    }

    /// What it tells of a path below the URL.
    pub fn of(&self, path: &[u8]) -> Option<&Digest> {
        let named = self.named(path).and_then(|name| self.table.of(&name));
        named.or_else(|| self.table.nameless().filter(|_| self.is_one(path)))
    }

    /// Whether a path below the URL is all that is asked for, and the list tells no digest of it.
    pub fn lacks(&self, path: &[u8]) -> bool {
        self.is_one(path) && self.of(path).is_none()
    }

    /// Whether it tells two digests of a path below the URL.
    pub fn is_torn(&self, path: &[u8]) -> bool {
        let name = self.named(path);
        name.is_some_and(|name| self.table.is_torn(&name))
    }

    /// A file is here that it tells nothing of. Lists and their signatures are no such files: who tells of those?
    pub fn note_untold(&self, path: &[u8]) {
        let signs = SIGNATURES.iter().any(|end| path.ends_with(end.as_bytes()));
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        if !signs && published(name).is_none() {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Files that came and that it told nothing of.
    pub fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }

    fn is_one(&self, path: &[u8]) -> bool {
        self.one.as_deref() == Some(path)
    }

    /// What a path below the URL is called in the list.
    fn named(&self, path: &[u8]) -> Option<Vec<u8>> {
        let path = path.strip_prefix(&self.below[..])?;
        Some([&self.above, path].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digit: &str) -> String {
        digit.repeat(64)
    }

    #[test]
    fn a_list_tells_of_what_is_below_it_and_of_nothing_else() {
        let text = format!(
            "{}  ./a\n{}  d/b\n{}  ../c\n{}  /d\n{}  twice\n{}  twice\nnothing\n",
            hex("1"),
            hex("2"),
            hex("3"),
            hex("4"),
            hex("5"),
            hex("6")
        );
        let table = Table::read(text.as_bytes(), Algorithm::Sha256);
        assert_eq!(table.of(b"a"), Some(&Digest::Sha256([0x11; 32])));
        assert_eq!(table.of(b"d/b"), Some(&Digest::Sha256([0x22; 32])));
        for path in ["c", "../c", "d", "/d", "b", "twice", ""] {
            assert_eq!(table.of(path.as_bytes()), None, "{path}");
        }
        assert_eq!(table.refused, 3);
    }

    #[test]
    fn a_list_of_one_file_needs_no_name() {
        let one = Table::read(hex("1").as_bytes(), Algorithm::Blake3);
        assert!(one.of_one(b"a").is_some() && one.of(b"a").is_none());
        let named = Table::read(format!("{}  a", hex("1")).as_bytes(), Algorithm::Blake3);
        assert!(named.of_one(b"a").is_some() && named.of_one(b"b").is_none());
    }

    #[test]
    fn names_of_a_given_list_count_from_where_it_lies() {
        let text = format!("{}  pool/a\n{}  b\n", hex("1"), hex("2"));
        let mut given = Given::read(text.as_bytes(), b"SHA256SUMS", String::new());
        assert_eq!(given.word, "SHA256SUMS");
        assert!(given.of(b"pool/a").is_some() && given.of(b"a").is_none());
        given.above = b"pool/".to_vec();
        assert!(given.of(b"a").is_some() && given.of(b"b").is_none());
        (given.above, given.below) = (Vec::new(), b"x/".to_vec());
        assert!(given.of(b"x/b").is_some() && given.of(b"b").is_none());
    }

    #[test]
    fn a_digest_is_of_the_file_that_it_names_or_of_the_only_one_that_is_wanted() {
        let given = |text: &str, one: Option<&str>| {
            let mut given = Given::read(text.as_bytes(), b"LIST", String::new());
            given.one = one.map(|one| one.as_bytes().to_vec());
            given
        };
        let tells = |given: &Given, path: &str| given.of(path.as_bytes()).is_some();
        let named = format!("{}  a\n", hex("1"));
        for one in [None, Some("d/a")] {
            let named = given(&named, one);
            assert!(tells(&named, "a") && !tells(&named, "d/a") && !tells(&named, "b"));
            assert_eq!(named.lacks(b"d/a"), one.is_some());
            assert!(!named.lacks(b"b"));
        }
        let nameless = given(&hex("1"), None);
        assert!(!tells(&nameless, "a"));
        let nameless = given(&hex("1"), Some("d/a"));
        assert!(tells(&nameless, "d/a") && !tells(&nameless, "a"));
        assert!(!nameless.lacks(b"d/a"));
        let torn = given(&format!("{named}{}  a\n", hex("2")), Some("a"));
        assert!(torn.lacks(b"a") && torn.is_torn(b"a") && !torn.is_torn(b"b"));
        assert_eq!(torn.table.torn(), 1);
    }

    #[test]
    fn lists_and_signatures_are_not_counted_as_untold() {
        let given = Given::read(hex("1").as_bytes(), b"LIST", String::new());
        for path in ["a", "d/SHA256SUMS", "a.sha256", "d/SHA256SUMS.gpg", "d/b"] {
            given.note_untold(path.as_bytes());
        }
        assert_eq!(given.untold(), 2);
    }
}
