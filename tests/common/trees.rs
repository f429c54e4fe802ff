//! Trees of files: making them, and holding two against each other.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Bytes without a short period, different for every seed.
pub fn content(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Every path below `dir` with the digest of its content; directories have none.
pub fn digest(dir: &Path) -> BTreeMap<PathBuf, Option<blake3::Hash>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(dir).unwrap().to_owned();
            if path.is_dir() {
                found.insert(below, None);
                open.push(path);
            } else {
                found.insert(below, Some(blake3::hash(&fs::read(&path).unwrap())));
            }
        }
    }
    found
}

/// A temporary directory in memory where there is one: for many small files, whose syncs would otherwise wait for
/// whatever else is being written to the disk.
pub fn quick_temp() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// Fails with the first difference.
pub fn assert_same(left: &Path, right: &Path) {
    let (left, right) = (digest(left), digest(right));
    for (path, hash) in &left {
        assert_eq!(right.get(path), Some(hash), "{path:?}");
    }
    assert_eq!(
        left.len(),
        right.len(),
        "{:?}",
        right.keys().find(|path| !left.contains_key(*path))
    );
}

/// Names that break careless programs: each must survive listing, URL and disk.
pub const NAMES: &[&[u8]] = &[
    b"two words.txt",
    b"100%.txt",
    b"100%25.txt",
    b"#1 note?.txt",
    b"a+b&c=d.txt",
    b"quote'and\"quote.txt",
    b"<b>&amp;.html",
    b"back\\slash",
    b"semi;colon:colon@at",
    b"[brackets]{braces}",
    "日本語 ünïcode é.txt".as_bytes(),
    b"not utf8 \xff\xfe.bin",
    b"new\nline",
    b"esc\x1b[31mape",
    b"tail...",
    b"-rf",
    b"~",
    b"index.html",
    b"x.part",
];

/// A tree with nested and empty directories, empty files, odd names, and sizes around the borders that matter.
pub fn make_tree(dir: &Path) {
    for size in [
        0,
        1,
        4095,
        65_536,
        (1 << 20) - 1,
        1 << 20,
        (1 << 20) + 1,
        5 * (1 << 20) + 7,
    ] {
        fs::write(
            dir.join(format!("size-{size}.bin")),
            content(size as u64, size),
        )
        .unwrap();
    }
    let deep = dir.join("a/b c/d%20/e#/f");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("deep.txt"), "deep").unwrap();
    fs::create_dir_all(dir.join("empty/inside")).unwrap();
    fs::create_dir(dir.join("names")).unwrap();
    for (seed, name) in NAMES.iter().enumerate() {
        let path = dir.join("names").join(std::ffi::OsStr::from_bytes(name));
        fs::write(path, content(seed as u64, 100 + seed)).unwrap();
    }
}
