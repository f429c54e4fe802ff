//! What costs the server much is bounded, and told when it is too much: hashing on request, whole trees.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use haul::{
    credentials::Credentials,
    server::{
        Settings,
        access::{Access, Sources},
    },
};
use sha2::{Digest as _, Sha256};

use crate::common::{
    program::unprivileged,
    raw::{Raw, fetch, get},
    secure::Daemon,
    serving::{PATIENCE, Serving, serve, serve_with, settings},
    tools::need,
    trees::{assert_same, content, hex, make_tree, quick_temp},
};

const GIB: u64 = 1 << 30;
const ADA: &str = "Authorization: Basic YWRhOmxvdmVsYWNl\r\n";

/// A file of `size` bytes that takes none on the disk.
fn sparse(path: &Path, size: u64) {
    fs::File::create(path).unwrap().set_len(size).unwrap();
}

/// Asks until the answer is as expected.
fn until<T>(what: &str, mut ask: impl FnMut() -> T, is_so: impl Fn(&T) -> bool) -> T {
    let start = Instant::now();
    loop {
        let answer = ask();
        if is_so(&answer) {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn who_asks_for_too_many_digests_is_told_to_come_back_and_nobody_hangs() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..40 {
        sparse(&root.path().join(format!("{n}")), 64 * GIB);
    }
    fs::write(root.path().join("small"), "small").unwrap();
    let serving = serve(root.path());
    let ask = |from: u8, target: &str| {
        let mut raw = Raw::connect_from([127, 0, 0, from], serving.address);
        raw.send(get(target, ""));
        let head = raw.read_head();
        (raw, head)
    };
    // All are hashed in turns: each has its head soon.
    let mut waiting: Vec<Raw> = (0..32)
        .map(|n| {
            let mut raw = Raw::connect_from([127, 0, 0, 1 + n / 8], serving.address);
            raw.send(get(&format!("/{n}?meta4"), ""));
            raw
        })
        .collect();
    for raw in &mut waiting {
        assert_eq!(raw.read_head().status, 200);
    }
    let (_, yours) = ask(1, "/39?meta4");
    assert_eq!(
        (yours.status, yours.field("Retry-After")),
        (429, Some("10"))
    );
    let (_, all) = ask(5, "/39?meta4");
    assert_eq!((all.status, all.field("Retry-After")), (503, Some("10")));
    // What is hashed for others is shared, and all else is answered as ever.
    assert_eq!(ask(5, "/0?meta4").1.status, 200);
    for target in [
        "/small",
        "/small?pieces",
        "/39?blocks=0-1",
        "/small?meta4",
        "/?meta4",
        "/?tar",
        "/",
        "/39",
    ] {
        assert_eq!(ask(5, target).1.status, 200, "{target}");
    }
    // Who goes away makes room, also while it waits, and although it sent more than it waits for.
    for raw in &mut waiting {
        raw.send(get("/small", ""));
    }
    drop(waiting);
    until(
        "room was made",
        || ask(5, "/39?meta4").1.status,
        |status| *status == 200,
    );
}

#[test]
fn who_goes_away_over_tls_makes_room_too() {
    let Some(curl) = need("curl") else { return };
    let root = tempfile::tempdir().unwrap();
    for n in 0..9 {
        sparse(&root.path().join(format!("{n}")), 64 * GIB);
    }
    let daemon = Daemon::start(root.path(), &["--tls"]);
    let url = |n: usize| format!("{}/{n}?meta4", daemon.url);
    let mut waiting: Vec<_> = (0..8)
        .map(|n| {
            let mut curl = Command::new(&curl);
            let curl = curl
                .args(["-k", "-s", "-N", &url(n)])
                .stdout(Stdio::piped());
            let mut child = curl.spawn().unwrap();
            // It has its place once its answer begins.
            child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
            child
        })
        .collect();
    let ask = || {
        let line = [
            "-k",
            "-s",
            "-m",
            "2",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
        ];
        let output = Command::new(&curl).args(line).arg(url(8)).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ask(), "429");
    for child in &mut waiting {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    until("room was made", ask, |status| status == "200");
}

/// A server for ada, whose password is lovelace.
fn guarded(root: &Path) -> Serving {
    let access = Access::new(&Sources {
        logins: &[Credentials::parse_login("ada:lovelace").unwrap()],
        ..Sources::default()
    });
    serve_with(Settings {
        access: access.unwrap(),
        ..settings(root)
    })
}

/// The SHA-256 of each file of a Metalink, by name; `None` for those that have none.
fn digests(meta4: &str) -> BTreeMap<String, Option<String>> {
    let document = roxmltree::Document::parse(meta4).unwrap();
    let files = document
        .descendants()
        .filter(|node| node.has_tag_name("file"));
    let text = |file: roxmltree::Node<'_, '_>| {
        let mut hashes = file.children().filter(|node| node.has_tag_name("hash"));
        hashes.next().map(|hash| hash.text().unwrap().to_owned())
    };
    files
        .map(|file| (file.attribute("name").unwrap().to_owned(), text(file)))
        .collect()
}

#[test]
fn a_tree_is_hashed_for_who_is_logged_in() {
    let root = tempfile::tempdir().unwrap();
    make_tree(root.path());
    fs::write(root.path().join("a/b c/large"), content(9, 3_000_000)).unwrap();
    let serving = guarded(root.path());
    let mut raw = Raw::connect(serving.address);
    raw.send(get("/a?meta4=hash", ADA));
    assert_eq!(raw.read().field("Location"), Some("a/?meta4=hash"));
    // Twice over one connection: the second time most is known.
    for _ in 0..2 {
        raw.send(get("/?meta4=hash", ADA));
        let answer = raw.read();
        assert_eq!(answer.status, 200);
        let told = digests(answer.text());
        for (name, digest) in &told {
            // Names that XML cannot hold are encoded.
            let Ok(bytes) = fs::read(root.path().join(name)) else {
                continue;
            };
            let expected = hex(&Sha256::digest(bytes));
            assert_eq!(digest.as_deref(), Some(expected.as_str()), "{name}");
        }
        let files = crate::common::trees::digest(root.path());
        assert_eq!(told.len(), files.values().flatten().count());
        assert!(told.values().all(Option::is_some), "{told:?}");
        let pieces = answer.text().matches("<pieces length=\"1048576\"").count();
        assert_eq!(pieces, 3, "of the files with several");
    }
    raw.send(get("/?meta4=hash", ADA).replace("GET", "HEAD"));
    assert_eq!(raw.read_head().status, 200);
    // Nor for the page of another site that its visitor's browser asks for.
    for (site, status) in [
        ("cross-site", 403),
        ("same-site", 403),
        ("same-origin", 200),
        ("none", 200),
    ] {
        let asked = format!("{ADA}Sec-Fetch-Site: {site}\r\n");
        assert_eq!(
            fetch(serving.address, get("/?meta4=hash", &asked)).status,
            status,
            "{site}"
        );
    }
    // Without a login there is none to be had, and where none is asked for it is refused.
    assert_eq!(fetch(serving.address, get("/?meta4=hash", "")).status, 401);
    let open = serve(root.path());
    assert_eq!(fetch(open.address, get("/?meta4=hash", ADA)).status, 403);
    assert_eq!(fetch(open.address, get("/?meta4", ADA)).status, 200);
}

#[test]
fn a_tree_takes_one_place_and_what_cannot_be_hashed_is_listed_without() {
    let root = tempfile::tempdir().unwrap();
    sparse(&root.path().join("huge"), 64 * GIB);
    fs::write(root.path().join("first"), "first").unwrap();
    let serving = guarded(root.path());
    let ask = || {
        let mut raw = Raw::connect(serving.address);
        raw.send(get("/?meta4=hash", ADA));
        let head = raw.read_head();
        (raw, head)
    };
    let mut waiting: Vec<_> = (0..8).map(|_| ask()).collect();
    assert!(waiting.iter().all(|(_, head)| head.status == 200));
    let (_, full) = ask();
    assert_eq!((full.status, full.field("Retry-After")), (429, Some("10")));
    // What is known goes out before a long wait.
    let (mut raw, _) = waiting.pop().unwrap();
    let mut begun = Vec::new();
    while !String::from_utf8_lossy(&begun).contains("<file name=\"first\">") {
        begun.extend(raw.take(1));
    }
    // A client that hears nothing for a minute might give up: every 10 s there is an empty line.
    while !begun.ends_with(b"\r\n1\r\n\n\r\n") {
        begun.extend(raw.take(1));
    }
    // It shrinks while it is hashed.
    sparse(&root.path().join("huge"), 5_000_000);
    let rest = loop {
        begun.extend(raw.take(1));
        if begun.ends_with(b"</metalink>\n") {
            break String::from_utf8(begun).unwrap();
        }
    };
    assert!(rest.contains("<file name=\"huge\">\n"));
    assert!(rest.contains("<!-- could not be hashed: 1 -->"), "{rest}");
    assert_eq!(rest.matches("<hash").count(), 1, "{rest}");
    drop(waiting);
    until("room was made", || ask().1.status, |status| *status == 200);
}

/// Reads an answer of HTTP/1.0 to its end: the bytes, and whether the end was a good one.
fn old(mut stream: TcpStream) -> (Vec<u8>, bool) {
    let (mut all, mut chunk) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return (all, true),
            Ok(read) => all.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (all, false),
            Err(error) => panic!("the connection does not end: {error}"),
        }
    }
}

fn ask_old(address: SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {target} HTTP/1.0\r\nHost: haul\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// HTTP/1.0 knows no chunks: the connection's end is the body's, and a reset is no end.
#[test]
fn a_tar_over_http_1_0_that_is_not_whole_ends_in_a_reset() {
    use std::os::unix::fs::PermissionsExt as _;
    let (root, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(root.path());
    let daemon = Daemon::start_within(unprivileged(), root.path(), &["-p", "0"]);
    let tls = Daemon::start_within(unprivileged(), root.path(), &["-p", "0", "--tls"]);
    let Some(curl) = need("curl") else { return };
    let run = |url: &str, version: &str| {
        let url = format!("{url}/?tar");
        let arguments = ["-k", "-s", version, "-o", "/dev/null", &url];
        Command::new(&curl).args(arguments).status().unwrap().code()
    };
    for url in [&daemon.url, &tls.url] {
        assert_eq!((run(url, "-0"), run(url, "--http1.1")), (Some(0), Some(0)));
    }
    let (answer, good) = old(ask_old(daemon.address(), "/?tar"));
    assert!(good);
    let at = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let mut tar = Command::new("tar")
        .args(["-x", "-C"])
        .arg(target.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin
        .take()
        .unwrap()
        .write_all(&answer[at + 4..])
        .unwrap();
    assert!(tar.wait().unwrap().success());
    assert_same(root.path(), target.path());

    let unreadable = root.path().join("size-1.bin");
    fs::set_permissions(unreadable, fs::Permissions::from_mode(0o0)).unwrap();
    let (_, good) = old(ask_old(daemon.address(), "/?tar"));
    assert!(!good, "what is missing is told");
    for url in [&daemon.url, &tls.url] {
        assert_eq!(run(url, "-0"), Some(56), "curl says so: {url}");
        assert_eq!(run(url, "--http1.1"), Some(18), "{url}");
    }
}

#[test]
fn who_is_kicked_in_the_middle_of_a_tar_knows_that_it_is_not_whole() {
    let root = tempfile::tempdir().unwrap();
    sparse(&root.path().join("large"), GIB);
    let serving = serve(root.path());
    let stream = ask_old(serving.address, "/?tar");
    let snapshot = serving.wait_for("it is sent", |now| now.sent > 0);
    serving.server.kick(snapshot.clients[0].id, "enough");
    assert!(!old(stream).1);
}

/// The members of a tar file as they come: names and sizes; content is skipped.
fn members(mut stream: impl std::io::Read) -> Vec<(String, u64)> {
    let mut members = Vec::new();
    let (mut block, mut size) = ([0; 512], None);
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .trim_end_matches('\0')
            .to_owned()
    };
    loop {
        stream.read_exact(&mut block).unwrap();
        if block == [0; 512] {
            return members;
        }
        let told = u64::from_str_radix(&text(&block[124..136]), 8).unwrap();
        let padded = |size: u64| size.next_multiple_of(512);
        if block[156] == b'x' {
            let mut records = vec![0; padded(told) as usize];
            stream.read_exact(&mut records).unwrap();
            let records = text(&records);
            size = records
                .lines()
                .find_map(|line| line.split_once("size=")?.1.parse().ok());
            continue;
        }
        let size = size.take().unwrap_or(told);
        members.push((text(&block[..100]), size));
        let mut content = stream.by_ref().take(padded(size));
        std::io::copy(&mut content, &mut std::io::sink()).unwrap();
    }
}

#[test]
fn a_member_of_more_than_8_gib_has_its_size_in_a_tar() {
    let root = quick_temp();
    let sizes = [8 * GIB + 1, 5];
    for (name, size) in ["a", "b"].iter().zip(sizes) {
        sparse(&root.path().join(name), size);
    }
    let serving = serve(root.path());
    let mut stream = std::io::BufReader::with_capacity(1 << 20, ask_old(serving.address, "/?tar"));
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        std::io::BufRead::read_line(&mut stream, &mut line).unwrap();
    }
    let expected = ["a", "b"].map(str::to_owned).into_iter().zip(sizes);
    assert_eq!(members(stream), expected.collect::<Vec<_>>());
}

#[test]
fn many_tars_at_once_are_all_sent() {
    let root = quick_temp();
    make_tree(root.path());
    let plain = serve(root.path());
    let whole = fetch(plain.address, get("/?tar", "")).body;
    let mut many: Vec<Raw> = (0..64)
        .map(|_| {
            let mut raw = Raw::connect(plain.address);
            raw.send(get("/?tar", ""));
            raw
        })
        .collect();
    // None is read before all were asked for.
    for raw in &mut many {
        assert!(raw.read().body == whole);
    }
}
