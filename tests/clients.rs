//! Other people's clients list, download, continue and repair what `haul serve` hosts, plain and over TLS with a login.
//!
//! What they run stands in docs/CLIENTS.md, and nowhere else: each section is a client, each of its two blocks holds
//! lines of shell under a comment that says what they do ([`Does`]).

use std::{
    fs,
    path::{Path, PathBuf},
};

use haul::{
    credentials::Credentials,
    server::{
        Settings,
        access::{Access, Sources},
    },
    tls::Identity,
};

use crate::common::{
    secure::{Authority, own_identity},
    serving::{Serving, serve_with},
    tools::need,
    trees::content,
};

mod run;
use run::{Run, shell};

const DOC: &str = include_str!("../docs/CLIENTS.md");

/// The file of several megabytes.
const LARGE: &str = "large #1.bin";
const SIZE: usize = 9_000_001;
/// What was fetched of it before the connection was cut.
const CUT: usize = 1_234_567;

/// Files of the tree: every name that breaks careless programs, an empty file, a large one, some in directories.
const FILES: &[(&str, usize)] = &[
    ("two words.txt", 1),
    ("100%.txt", 2),
    ("100%25.txt", 3),
    ("#1 note?.txt", 4),
    ("a+b&c=d.txt", 5),
    ("quote'and\"quote.txt", 6),
    ("<b>&amp;.html", 7),
    ("ümläut ß.txt", 8),
    ("日本語.txt", 9),
    ("semi;colon:colon@at", 10),
    ("[brackets]{braces}", 11),
    ("back\\slash", 12),
    ("tail...", 13),
    ("-rf", 14),
    ("~", 15),
    ("x.part", 16),
    ("index.html", 17),
    ("empty", 0),
    ("deep/er & deeper/leaf #1.txt", 18),
    ("deep/big.bin", 3_000_000),
];
const EMPTY_DIR: &str = "empty dir";

/// A client, and names that it cannot have; docs/CLIENTS.md says why.
struct Client {
    program: &'static str,
    /// In a listing.
    unlisted: &'static [&'static str],
    /// In a tree that it fetches.
    unfetched: &'static [&'static str],
    /// Whether it leaves the pages of directories behind.
    keeps_pages: bool,
    does: &'static [Does],
}

/// What a line does, and so how it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Writes the names of `tree/` to stdout, as text, references, JSON or a page.
    List,
    ListAsJson,
    /// Fetches the large file.
    File,
    /// Goes on with the large file where it was cut.
    Rest,
    /// Fetches nothing the second time.
    FileIfChanged,
    /// Asks for the large file in parts.
    Several,
    Tree,
    /// Fetches nothing the second time.
    TreeChanges,
    Metalink,
    /// Fetches only what was damaged.
    Repair,
    TreeMetalink,
}

use Does::*;

impl Does {
    fn named(name: &str) -> Self {
        match name {
            "list" => List,
            "list as JSON" => ListAsJson,
            "a file" => File,
            "the rest of a file" => Rest,
            "a file if it changed" => FileIfChanged,
            "over several connections" => Several,
            "a tree" => Tree,
            "what changed in a tree" => TreeChanges,
            "by Metalink" => Metalink,
            "repair by Metalink" => Repair,
            "a tree by Metalink" => TreeMetalink,
            other => panic!("{other:?} is nothing that a line does"),
        }
    }
}

#[test]
fn curl() {
    every_line(&Client {
        program: "curl",
        unlisted: &[],
        unfetched: &[],
        keeps_pages: false,
        does: &[List, ListAsJson, File, Rest, FileIfChanged, Tree],
    });
}

#[test]
fn wget() {
    every_line(&Client {
        program: "wget",
        unlisted: &[],
        unfetched: &["100%.txt", "100%25.txt", "index.html"],
        keeps_pages: false,
        does: &[List, File, Rest, FileIfChanged, Tree, TreeChanges],
    });
}

#[test]
fn wget2() {
    every_line(&Client {
        program: "wget2",
        unlisted: &[],
        unfetched: &["index.html"],
        keeps_pages: true,
        does: &[List, File, Rest, FileIfChanged, Several, Tree, Metalink],
    });
}

#[test]
fn aria2c() {
    need("curl");
    every_line(&Client {
        program: "aria2c",
        unlisted: &[],
        unfetched: &[EMPTY_DIR],
        keeps_pages: false,
        does: &[
            File,
            Rest,
            FileIfChanged,
            Several,
            Metalink,
            Repair,
            TreeMetalink,
        ],
    });
}

#[test]
fn lftp() {
    every_line(&Client {
        program: "lftp",
        unlisted: &["~"],
        unfetched: &["~"],
        keeps_pages: false,
        does: &[List, File, Rest, Several, Tree, TreeChanges],
    });
}

#[test]
fn rclone() {
    every_line(&Client {
        program: "rclone",
        unlisted: &["semi;colon:colon@at"],
        unfetched: &["semi;colon:colon@at"],
        keeps_pages: false,
        does: &[List, File, FileIfChanged, Several, Tree, TreeChanges],
    });
}

#[test]
fn python3() {
    every_line(&Client {
        program: "python3",
        unlisted: &[],
        unfetched: &[],
        keeps_pages: false,
        does: &[ListAsJson, File, Tree],
    });
}

/// The lines of a shell block: what each does, and the line.
fn lines(block: &'static str) -> Vec<(&'static str, &'static str)> {
    let (_, block) = block.split_once("```sh\n").expect("a block of shell");
    let (block, _) = block.split_once("\n```").expect("its end");
    let commands = block.split("# ").filter(|part| !part.is_empty());
    commands
        .map(|part| part.split_once('\n').expect("a line under what it does"))
        .map(|(does, line)| (does, line.trim_end()))
        .collect()
}

/// A section's blocks.
fn section(title: &str) -> Vec<&'static str> {
    let section = DOC
        .split("\n## ")
        .find_map(|section| section.strip_prefix(title)?.strip_prefix('\n'))
        .unwrap_or_else(|| panic!("docs/CLIENTS.md says nothing of {title}"));
    let starts: Vec<usize> = section.match_indices("```sh\n").map(|(at, _)| at).collect();
    starts.iter().map(|at| &section[*at..]).collect()
}

fn every_line(client: &Client) {
    if need(client.program).is_none() {
        return;
    }
    let blocks = section(client.program);
    assert_eq!(blocks.len(), 2, "plain, and over TLS with a login");
    let root = root();
    let plain = serve_with(Settings::new(root.path().to_owned()));
    every_line_of(client, blocks[0], &plain, None);

    let authority = Authority::new();
    let signed = authority.sign("127.0.0.1", 2200);
    let identity = Identity::load(&signed.certificate, &signed.key).unwrap();
    let serving = serve_tls(root.path(), identity);
    every_line_of(client, blocks[1], &serving, Some(&authority.file()));

    let serving = serve_tls(root.path(), own_identity());
    let fetched = tempfile::tempdir().unwrap();
    fetch_certificate(&serving, fetched.path());
    every_line_of(
        client,
        blocks[1],
        &serving,
        Some(&fetched.path().join("ca.pem")),
    );
}

/// The large file, and the tree.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join(LARGE), content(1, SIZE)).unwrap();
    let tree = root.path().join("tree");
    fs::create_dir_all(tree.join(EMPTY_DIR)).unwrap();
    for (seed, (name, size)) in FILES.iter().enumerate() {
        let file = tree.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content(seed as u64, *size)).unwrap();
    }
    root
}

/// Serves over TLS whoever is ada, whose password is lovelace.
fn serve_tls(root: &Path, identity: Identity) -> Serving {
    let login = Credentials::parse_login("ada:lovelace").unwrap();
    let access = Access::new(&Sources {
        logins: &[login],
        ..Sources::default()
    });
    serve_with(Settings {
        access: access.unwrap(),
        tls: Some(identity),
        ..Settings::new(root.to_owned())
    })
}

/// The server's own certificate, as the document has it fetched and compared.
fn fetch_certificate(serving: &Serving, dir: &Path) {
    assert!(need("openssl").is_some());
    let lines = lines(section("The certificate")[0]);
    let [(_, fetch), (_, fingerprint)] = lines[..] else {
        panic!("{lines:?}");
    };
    shell(fetch, serving, dir);
    let shown = shell(fingerprint, serving, dir);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let expected = serving.server.fingerprint().unwrap().to_string();
    let (_, expected) = expected.split_once(':').unwrap();
    assert!(shown.contains(expected), "{shown} {expected}");
}

fn every_line_of(client: &Client, block: &'static str, serving: &Serving, ca: Option<&PathBuf>) {
    let lines = lines(block);
    let does: Vec<Does> = lines.iter().map(|(does, _)| Does::named(does)).collect();
    let mut expected = client.does.to_vec();
    expected.sort_by_key(|does| *does as u8);
    let mut sorted = does.clone();
    sorted.sort_by_key(|does| *does as u8);
    assert_eq!(sorted, expected, "{} has a line for each", client.program);
    let line_of = |wanted: Does| lines[does.iter().position(|does| *does == wanted).unwrap()].1;
    for (does, (_, line)) in does.iter().zip(&lines) {
        assert!(line.contains("HOST:8000"), "{line}");
        assert_eq!(
            line.contains("https://") && line.contains("ada"),
            ca.is_some()
        );
        let dir = tempfile::tempdir().unwrap();
        if let Some(ca) = ca {
            fs::copy(ca, dir.path().join("ca.pem")).unwrap();
        }
        let run = Run {
            client,
            line,
            serving,
            dir: dir.path(),
        };
        println!("{does:?}: {line}");
        run.check(*does, line_of);
    }
}
