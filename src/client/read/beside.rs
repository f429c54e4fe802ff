//! Which lists of digests and signatures lie in which directories, as far as listings told: no request is spent on guessing.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::{
    http1::path::RemotePath,
    sums::{Covers, Published, SIGNATURES, published},
};

/// Names that are remembered, of all directories together; the oldest directories are forgotten first.
const NAMES_MAX: usize = 200_000;

/// What listings told of lists of digests.
#[derive(Debug, Default)]
pub struct Beside {
    dirs: HashMap<RemotePath, Dir>,
    order: VecDeque<RemotePath>,
    names: usize,
    /// Listings that are being read.
    reading: HashMap<RemotePath, u32>,
}

#[derive(Debug, Default)]
struct Dir {
    /// Lists of whatever they name.
    many: Vec<Vec<u8>>,
    /// Lists of one file each, by that file's name.
    one: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Signatures of lists, and of other files.
    signatures: HashSet<Vec<u8>>,
    names: usize,
}

/// A list that may tell of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub list: RemotePath,
    /// What its name tells.
    pub published: Published,
    /// The file's path from the list's directory on.
    pub name: Vec<u8>,
    /// The end of its signature's name, where there is one.
    pub signed: Option<&'static str>,
}

impl Beside {
    /// A directory's listing is about to be read: until its end nobody knows what lies there.
    pub fn begin(&mut self, dir: RemotePath) {
        *self.reading.entry(dir).or_default() += 1;
    }

    /// It was read, or given up.
    pub fn end(&mut self, dir: &RemotePath) {
        if let Some(count) = self.reading.get_mut(dir) {
            *count -= 1;
            if *count == 0 {
                self.reading.remove(dir);
            }
        }
    }

    /// Whether a listing of it is being read.
    pub fn is_reading(&self, dir: &RemotePath) -> bool {
        self.reading.contains_key(dir)
    }

    /// A listing names a file.
    pub fn note(&mut self, dir: &RemotePath, name: &[u8]) {
        let signs = SIGNATURES
            .iter()
            .find_map(|end| name.strip_suffix(end.as_bytes()));
        let found = published(name);
        if found.is_none() && signs.is_none() {
            return;
        }
        // The names of S3's listings hold slashes.
        let Ok(path) = dir.join_all(name) else { return };
        let (dir, name) = (path.parent(), path.name().to_vec());
        if !self.dirs.contains_key(&dir) {
            self.order.push_back(dir.clone());
        }
        let at = self.dirs.entry(dir).or_default();
        let into = match found.map(|found| found.covers) {
            _ if signs.is_some() => None,
            Some(Covers::Prefix(end)) => Some(at.one.entry(name[..end].to_vec()).or_default()),
            _ => Some(&mut at.many),
        };
        let is_new = match into {
            None => at.signatures.insert(name),
            Some(names) if names.contains(&name) => false,
            Some(names) => {
                names.push(name);
                true
            }
        };
        if is_new {
            (at.names, self.names) = (at.names + 1, self.names + 1);
        }
        while self.names > NAMES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.dirs.remove(&oldest);
            self.names -= gone.map_or(0, |dir| dir.names);
        }
    }

    /// The end of the name of a file's signature, which lies beside it.
    pub fn signature(&self, path: &RemotePath) -> Option<&'static str> {
        let signed = self.dirs.get(&path.parent())?.signed_by(path.name())?;
        // `NAME.gpg` may be the file itself, encrypted.
        (signed != ".gpg").then_some(signed)
    }

    /// The lists that may tell of a file: those beside it first, then those of the directories above it; of one directory
    /// the one of that file alone first, then by what they prove. Weak ones come last of all.
    pub fn candidates(&self, path: &RemotePath) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        let mut dir = path.parent();
        loop {
            if let Some(at) = self.dirs.get(&dir) {
                let below = path.below(&dir);
                let name = below.as_ref().map_or(path.name(), RemotePath::as_bytes);
                let one = at.one.get(name).into_iter().flatten();
                let lists = one.chain(&at.many).filter(|list| **list != name);
                let mut here: Vec<_> = lists
                    .filter_map(|list| at.candidate(&dir, list, name))
                    .collect();
                here.sort_by_key(|it| {
                    let many = it.published.covers == Covers::Many;
                    (many, std::cmp::Reverse(it.published.algorithm))
                });
                candidates.extend(here);
            }
            if dir.is_root() {
                break;
            }
            dir = dir.parent();
        }
        candidates.sort_by_key(|it| it.published.algorithm == crate::sums::Algorithm::Md5);
        candidates
    }
}

impl Dir {
    /// The end of the name of what signs `name`.
    fn signed_by(&self, name: &[u8]) -> Option<&'static str> {
        let mut ends = SIGNATURES.iter().copied();
        ends.find(|end| self.signatures.contains(&[name, end.as_bytes()].concat()))
    }

    fn candidate(&self, dir: &RemotePath, list: &[u8], name: &[u8]) -> Option<Candidate> {
        Some(Candidate {
            list: dir.join(list).ok()?,
            published: published(list)?,
            name: name.to_vec(),
            signed: self.signed_by(list),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> RemotePath {
        RemotePath::from_target(target.as_bytes()).unwrap()
    }

    fn lists(beside: &Beside, of: &str) -> Vec<String> {
        let candidates = beside.candidates(&path(of)).into_iter();
        candidates.map(|it| it.list.to_target()).collect()
    }

    #[test]
    fn the_nearest_and_strongest_list_comes_first_and_weak_ones_last() {
        let mut beside = Beside::default();
        for (dir, name) in [
            ("/", "SHA256SUMS"),
            ("/", "MD5SUMS"),
            ("/d/", "a.md5"),
            ("/d/", "SHA256SUMS"),
            ("/d/", "SHA512SUMS"),
            ("/d/", "SHA512SUMS.sign.asc"),
            ("/d/", "SHA256SUMS.asc"),
            ("/d/", "a.sha256"),
            ("/d/", "b.sha256"),
            ("/d/", "a"),
        ] {
            beside.note(&path(dir), name.as_bytes());
            beside.note(&path(dir), name.as_bytes());
        }
        let expected = [
            "/d/a.sha256",
            "/d/SHA512SUMS",
            "/d/SHA256SUMS",
            "/SHA256SUMS",
            "/d/a.md5",
            "/MD5SUMS",
        ];
        assert_eq!(lists(&beside, "/d/a"), expected);
        let candidates = beside.candidates(&path("/d/a"));
        assert_eq!(candidates[2].signed, Some(".asc"));
        assert_eq!(
            (candidates[1].signed, &candidates[3].name[..]),
            (None, &b"d/a"[..])
        );
        assert_eq!(
            lists(&beside, "/SHA256SUMS"),
            ["/MD5SUMS"],
            "none tells of itself"
        );
        assert_eq!(lists(&beside, "/e/a"), ["/SHA256SUMS", "/MD5SUMS"]);
    }

    #[test]
    fn a_signature_is_known_by_the_name_of_what_it_signs() {
        let mut beside = Beside::default();
        for name in ["a", "a.sig", "a.asc", "b.sig", "c.gpg", "d.asc.sig"] {
            beside.note(&path("/d/"), name.as_bytes());
        }
        let signed = ["/d/a", "/d/b", "/d/c", "/d/d", "/d/d.asc", "/e/a"];
        let signed = signed.map(|of| beside.signature(&path(of)));
        let expected = [Some(".asc"), Some(".sig"), None, None, Some(".sig"), None];
        assert_eq!(signed, expected);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut beside = Beside::default();
        for n in 0..NAMES_MAX + 10 {
            beside.note(
                &path(&format!("/{}/", n / 2)),
                format!("{n}.sha256").as_bytes(),
            );
        }
        assert!(beside.names <= NAMES_MAX && beside.dirs.len() <= NAMES_MAX / 2);
        assert_eq!(lists(&beside, "/0/0"), Vec::<String>::new());
    }

    #[test]
    fn a_listing_is_waited_for_until_all_who_read_it_are_done() {
        let (mut beside, dir) = (Beside::default(), path("/d/"));
        beside.begin(dir.clone());
        beside.begin(dir.clone());
        beside.end(&dir);
        assert!(beside.is_reading(&dir));
        beside.end(&dir);
        assert!(!beside.is_reading(&dir));
    }
}
