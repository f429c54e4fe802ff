//! Nothing outside is served while directories become links as fast as they can, and what is no file and no directory
//! neither blocks nor shows.
//!
//! Each case runs twice: with the kernel's own containment (`openat2`), and in a sandbox that denies it.

use std::{
    fs,
    net::SocketAddr,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use haul::entry::JsonListing;
use rustix::fs::{CWD, FileType, mknodat};

use crate::common::{
    program::unprivileged,
    raw::{Raw, fetch, get},
    secure::Daemon,
    serving::PATIENCE,
    swap::{both, while_swapping},
    trees::{hex, quick_temp},
};

/// What stands outside, and what of it must never be told: content, size, digests, names.
const SECRET: &str = "do not tell anybody";
const SECRET_NAME: &str = "only-outside";

/// `root/dir` and `root/other`, a link to `outside`, which has files of the same names.
fn two_places(link: impl FnOnce(&Path) -> PathBuf) -> tempfile::TempDir {
    let temp = quick_temp();
    let (root, outside) = (temp.path().join("root"), temp.path().join("outside"));
    for (dir, text) in [(root.join("dir"), "public"), (outside.clone(), SECRET)] {
        fs::create_dir_all(dir.join("deep")).unwrap();
        fs::write(dir.join("file"), text).unwrap();
        fs::write(dir.join("deep/file"), text).unwrap();
    }
    fs::write(outside.join(SECRET_NAME), SECRET).unwrap();
    symlink(link(&outside), root.join("other")).unwrap();
    temp
}

/// Fails where an answer tells anything of what stands outside.
fn assert_silent(answer: &[u8], target: &str) {
    use sha2::{Digest as _, Sha256};
    let size = format!("<size>{}</size>", SECRET.len());
    let secrets = [
        SECRET.to_owned(),
        SECRET_NAME.to_owned(),
        format!("\"size\":{}", SECRET.len()),
        size,
        hex(&Sha256::digest(SECRET)),
        blake3::hash(SECRET.as_bytes()).to_string(),
    ];
    let hash = blake3::hash(SECRET.as_bytes());
    let told = |what: &[u8]| answer.windows(what.len()).any(|part| part == what);
    for secret in &secrets {
        assert!(!told(secret.as_bytes()), "{target} tells {secret}");
    }
    assert!(!told(hash.as_bytes()), "{target} tells the digest");
}

/// Asks for everything below the two names, again and again, until each was missed and the first ones were met: those
/// that are `there` at times.
fn ask_for_everything(address: SocketAddr, swaps: &AtomicU64, there: usize) {
    const ROUNDS: usize = 60;
    const TARGETS: &[&str] = &[
        "/dir/file",
        "/dir/deep/file",
        "/other/file",
        "/other/deep/file",
        "/dir/file?pieces",
        "/dir/file?meta4",
        "/dir/",
        "/dir/deep/",
        "/other/deep/?meta4",
        "/dir/only-outside",
        "/",
    ];
    let (start, mut met, mut missed) = (Instant::now(), vec![0; TARGETS.len()], 0);
    let mut round = 0;
    while round < ROUNDS || missed == 0 || met[..there].contains(&0) || swaps.load(Relaxed) < 1000 {
        assert!(start.elapsed() < PATIENCE * 3, "{met:?} {missed} {swaps:?}");
        round += 1;
        // Requests of a haul client too, which are answered from another place.
        let session = if round % 2 == 0 {
            "Haul-Session: 1\r\n"
        } else {
            ""
        };
        for (target, met) in TARGETS.iter().zip(&mut met) {
            let mut raw = Raw::connect(address);
            raw.send(get(target, &format!("{session}Connection: close\r\n")));
            // What changes while it is sent may break off.
            let answer = raw.rest();
            assert_silent(&answer, target);
            match answer.get(9..12) {
                Some(b"200") => *met += 1,
                Some(b"404") => missed += 1,
                // It changed each time that it was read.
                Some(b"503") | None => {}
                Some(other) => panic!("{target}: {}", String::from_utf8_lossy(other)),
            }
        }
        // A tree that changes under way may break off; it never tells.
        for target in ["/?tar", "/?meta4", "/dir/?tar", "/other/?tar"] {
            let mut raw = Raw::connect(address);
            raw.send(get(target, "Connection: close\r\n"));
            assert_silent(&raw.rest(), target);
        }
    }
    assert_eq!(met[TARGETS.len() - 2], 0, "what is only outside is nowhere");
}

#[test]
fn a_directory_that_becomes_a_link_outwards_while_it_is_asked_for_tells_nothing() {
    for within in both() {
        let relative = |_: &Path| PathBuf::from("../outside");
        let absolute = |outside: &Path| outside.to_owned();
        for temp in [two_places(relative), two_places(absolute)] {
            let root = temp.path().join("root");
            let daemon = Daemon::start_within(within, &root, &["-p", "0"]);
            let (one, other) = (root.join("dir"), root.join("other"));
            while_swapping(&one, &other, |swaps| {
                ask_for_everything(daemon.address(), swaps, 4);
            });
        }
    }
}

#[test]
fn a_file_that_becomes_a_link_outwards_while_it_is_asked_for_tells_nothing() {
    for within in both() {
        let temp = two_places(Path::to_owned);
        let root = temp.path().join("root");
        symlink("../../outside/file", root.join("dir/link")).unwrap();
        let daemon = Daemon::start_within(within, &root, &["-p", "0"]);
        let (one, other) = (root.join("dir/file"), root.join("dir/link"));
        while_swapping(&one, &other, |swaps| {
            ask_for_everything(daemon.address(), swaps, 2);
        });
    }
}

/// What blocks whoever opens it without care.
#[test]
fn a_file_that_becomes_a_fifo_while_it_is_asked_for_blocks_nothing() {
    for within in both() {
        let temp = two_places(Path::to_owned);
        let root = temp.path().join("root");
        let fifo = root.join("dir/fifo");
        mknodat(CWD, &fifo, FileType::Fifo, 0o644.into(), 0).unwrap();
        let daemon = Daemon::start_within(within, &root, &["-p", "0"]);
        while_swapping(&root.join("dir/file"), &fifo, |swaps| {
            ask_for_everything(daemon.address(), swaps, 2);
        });
    }
}

/// What is served is moved out of the root, and back, while it is listed: a name that was found is never looked for
/// anywhere but below the root.
#[test]
fn a_directory_that_is_moved_out_of_the_root_takes_nobody_with_it() {
    for within in both() {
        let temp = two_places(Path::to_owned);
        let root = temp.path().join("root");
        // From where it is moved to, this leads to the secret; from where it belongs, nowhere.
        symlink("../outside/file", root.join("dir/up")).unwrap();
        symlink("../../outside/file", root.join("dir/deep/up")).unwrap();
        fs::create_dir(temp.path().join("away")).unwrap();
        let daemon = Daemon::start_within(within, &root, &["-p", "0"]);
        let (one, other) = (root.join("dir"), temp.path().join("away"));
        while_swapping(&one, &other, |swaps| {
            let (start, mut round) = (Instant::now(), 0);
            while round < 60 || swaps.load(Relaxed) < 1000 {
                assert!(start.elapsed() < PATIENCE * 3);
                round += 1;
                for target in ["/dir/up", "/dir/deep/up", "/?tar", "/dir/?meta4", "/dir/"] {
                    let mut raw = Raw::connect(daemon.address());
                    raw.send(get(target, "Connection: close\r\n"));
                    assert_silent(&raw.rest(), target);
                }
            }
        });
    }
}

/// Every sort of thing that is no file, and what leads to it.
fn oddities(root: &Path) -> UnixListener {
    fs::create_dir_all(root.join("dir")).unwrap();
    fs::write(root.join("dir/file"), "public").unwrap();
    mknodat(CWD, root.join("fifo"), FileType::Fifo, 0o644.into(), 0).unwrap();
    // Only root may make one.
    let zero = rustix::fs::makedev(1, 5);
    let _ = mknodat(
        CWD,
        root.join("zero"),
        FileType::CharacterDevice,
        0o644.into(),
        zero,
    );
    for (target, link) in [
        ("/dev/zero", "link-zero"),
        ("/dev/tty", "link-tty"),
        ("fifo", "link-fifo"),
        ("socket", "link-socket"),
        ("nothing", "dangling"),
        ("loop", "loop"),
        ("ping", "pong"),
        ("pong", "ping"),
        ("/proc/self/root", "magic"),
        ("/proc/self/fd/0", "stdin"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    for (dir, file) in [("closed", "file"), ("unlisted", "known")] {
        fs::create_dir(root.join(dir)).unwrap();
        fs::write(root.join(dir).join(file), "public").unwrap();
    }
    fs::write(root.join("secret"), SECRET).unwrap();
    let mode = |name: &str, mode| {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("closed", 0o000);
    mode("unlisted", 0o311);
    mode("secret", 0o000);
    UnixListener::bind(root.join("socket")).unwrap()
}

#[test]
fn what_is_no_file_neither_blocks_nor_shows() {
    for within in both() {
        for follow in [&[][..], &["--follow-symlinks"]] {
            let temp = tempfile::tempdir().unwrap();
            let _socket = oddities(temp.path());
            let outer = [unprivileged(), within].concat();
            let arguments = [&["-p", "0"], follow].concat();
            let daemon = Daemon::start_within(&outer, temp.path(), &arguments);
            look_at_oddities(daemon.address(), !follow.is_empty());
            // So that it can be removed.
            let closed = temp.path().join("closed");
            fs::set_permissions(closed, fs::Permissions::from_mode(0o700)).unwrap();
            let unlisted = temp.path().join("unlisted");
            fs::set_permissions(unlisted, fs::Permissions::from_mode(0o700)).unwrap();
        }
    }
}

fn look_at_oddities(address: SocketAddr, follow: bool) {
    for name in [
        "fifo",
        "zero",
        "socket",
        "link-zero",
        "link-tty",
        "link-fifo",
        "link-socket",
        "dangling",
        "loop",
        "ping",
        "pong",
        "stdin",
    ] {
        for query in ["", "/", "?meta4", "?pieces", "?blocks=0-0", "?tar"] {
            let answer = fetch(address, get(&format!("/{name}{query}"), ""));
            assert_eq!(answer.status, 404, "/{name}{query}");
        }
    }
    for (target, status) in [
        ("/secret", 403),
        ("/secret?meta4", 403),
        ("/closed/", 403),
        ("/closed/file", 403),
        ("/unlisted/", 403),
        ("/unlisted/known", 200),
        ("/dir/file", 200),
    ] {
        assert_eq!(fetch(address, get(target, "")).status, status, "{target}");
    }
    let json = fetch(address, get("/", "Accept: application/json\r\n"));
    let listing = JsonListing::read(&json.body).unwrap();
    let names: Vec<_> = listing
        .entries
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.name).into_owned())
        // Where links are followed, this one leads to all there is.
        .filter(|name| name != "magic")
        .collect();
    assert_eq!(names, ["closed", "dir", "unlisted", "secret"]);
    if follow {
        return;
    }
    assert_eq!(listing.entries.len(), 4);
    let page = fetch(address, get("/", "Accept: text/html\r\n"));
    let text = fetch(address, get("/", "Accept: text/plain\r\n"));
    assert_eq!(text.text(), "closed/\ndir/\nunlisted/\nsecret\n");
    let mut raw = Raw::connect(address);
    raw.send(get("/?meta4", ""));
    let meta4 = raw.rest();
    let text = String::from_utf8_lossy(&meta4);
    assert!(text.contains("not readable, left out: 2"));
    assert!(
        !text.contains("</metalink>") && !text.ends_with("0\r\n\r\n"),
        "it looks whole"
    );
    let mut raw = Raw::connect(address);
    raw.send(get("/?tar", ""));
    let tar = raw.rest();
    for (what, answer) in [("page", &page.body), ("Metalink", &meta4), ("tar", &tar)] {
        let told = |name: &str| {
            answer
                .windows(name.len())
                .any(|part| part == name.as_bytes())
        };
        assert!(told("dir/"), "{what}");
        for name in [
            "fifo", "zero", "socket", "tty", "dangling", "loop", "ping", "magic", "stdin",
        ] {
            assert!(!told(name), "{what}: {name}");
        }
        assert!(!told(SECRET), "{what}");
    }
    assert!(!tar.ends_with(b"0\r\n\r\n"), "not all could be read");
}
