//! What a client of `haul serve` sees, byte by byte, over real sockets.

use std::{
    fs,
    net::TcpStream,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    time::Duration,
};

use crate::common::{
    raw::{Raw, fetch, get},
    serving::{Serving, serve, serve_with, settings},
};
use haul::{
    entry::JsonListing,
    http1::path::RemotePath,
    server::{Server, TransferState},
};

/// Bytes that are no pattern of a block size.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n * 31 + n / 251) as u8).collect()
}

/// A root with a little of everything, and a secret beside it.
fn tree() -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    fs::create_dir_all(root.join("dir/deep")).unwrap();
    fs::create_dir(root.join(".git")).unwrap();
    fs::create_dir(root.join("empty dir")).unwrap();
    for (name, bytes) in [
        ("hello.txt", b"hello world".to_vec()),
        ("empty", Vec::new()),
        ("large.bin", content(3_000_001)),
        ("dir/inner.html", b"<p>inner</p>".to_vec()),
        ("dir/deep/leaf", content(70_000)),
        (".hidden", b"hidden".to_vec()),
        (".git/config", b"hidden".to_vec()),
        ("100% & #1?.txt", b"odd".to_vec()),
        ("back\\slash", b"odd".to_vec()),
    ] {
        fs::write(root.join(name), bytes).unwrap();
    }
    let raw = std::ffi::OsStr::from_bytes(b"raw\xff\n.txt");
    fs::write(root.join(raw), "raw").unwrap();
    fs::write(temp.path().join("secret"), "secret").unwrap();
    symlink("hello.txt", root.join("link")).unwrap();
    symlink("../secret", root.join("link-out")).unwrap();
    symlink(root.join("hello.txt"), root.join("link-absolute")).unwrap();
    symlink("dir", root.join("link-dir")).unwrap();
    symlink("..", root.join("link-up")).unwrap();
    symlink("nothing", root.join("link-dangling")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("fifo"),
        rustix::fs::FileType::Fifo,
        0o644.into(),
        0,
    )
    .unwrap();
    temp
}

fn served() -> (tempfile::TempDir, Serving) {
    let temp = tree();
    let serving = serve(&temp.path().join("root"));
    (temp, serving)
}

#[test]
fn hidden_names_and_far_links_are_served_when_asked_for() {
    let temp = tree();
    let mut settings = settings(&temp.path().join("root"));
    settings.hidden = true;
    settings.follow_symlinks = true;
    let serving = serve_with(settings);
    for target in [
        "/.hidden",
        "/.git/config",
        "/link-out",
        "/link-absolute",
        "/link-up/secret",
    ] {
        assert_eq!(
            fetch(serving.address, get(target, "")).status,
            200,
            "{target}"
        );
    }
    assert_eq!(fetch(serving.address, get("/../secret", "")).status, 400);
    assert_eq!(
        fetch(serving.address, get("/link-dangling", "")).status,
        404
    );
}

#[test]
fn a_file_that_was_changed_has_another_tag() {
    let (temp, serving) = served();
    let before = fetch(serving.address, get("/hello.txt", ""));
    let unless_changed = format!("If-Match: {}\r\n", before.field("ETag").unwrap());
    let ask = || fetch(serving.address, get("/hello.txt", &unless_changed)).status;
    assert_eq!(ask(), 200);
    fs::write(temp.path().join("root/hello.txt"), "hello again").unwrap();
    assert_eq!(ask(), 412);
}

#[test]
fn a_batch_of_small_files_keeps_order_and_is_counted() {
    let temp = tempfile::tempdir().unwrap();
    for n in 0..500usize {
        fs::write(temp.path().join(format!("{n}")), content(n * 37)).unwrap();
    }
    let serving = serve(temp.path());
    let mut raw = Raw::connect(serving.address);
    let fields = "Haul-Session: 0123\r\nHaul-Name: al%20ice\r\nUser-Agent: haul/0.1.0\r\n";
    let requests: String = (0..500).map(|n| get(&format!("/{n}"), fields)).collect();
    raw.send(requests);
    for n in 0..500 {
        assert!(raw.read().body == content(n * 37), "{n}");
    }
    let snapshot = serving.wait_for("500 files are counted", |now| now.files == 500);
    let bytes: usize = (0..500).map(|n| n * 37).sum();
    assert_eq!(snapshot.sent, bytes as u64);
    assert_eq!(snapshot.requests, 500);
    let client = &snapshot.clients[0];
    assert_eq!((client.files, client.connections), (500, 1));
    assert_eq!(client.name.as_deref(), Some("al ice"));
    assert_eq!(client.transfers.len(), 100);
    assert_eq!(
        serving
            .server
            .downloads(&RemotePath::from_target(b"/499").unwrap()),
        1
    );
}

#[test]
fn listings_come_in_three_forms() {
    let (_temp, serving) = served();
    let json = fetch(serving.address, get("/", "Accept: application/json\r\n"));
    assert_eq!(json.field("Content-Type"), Some("application/json"));
    assert_eq!(json.field("Vary"), Some("Accept, User-Agent"));
    assert_eq!(json.field("Haul-Dir").map(str::len), Some(64));
    let listing = JsonListing::read(&json.body).unwrap();
    let names: Vec<&[u8]> = listing
        .entries
        .iter()
        .map(|entry| entry.name.as_slice())
        .collect();
    let expected: [&[u8]; 11] = [
        b"dir",
        b"empty dir",
        b"link-dir",
        b"100% & #1?.txt",
        b"back\\slash",
        b"empty",
        b"hello.txt",
        b"large.bin",
        b"link",
        b"raw\xff\n.txt",
        b"",
    ];
    assert_eq!(names, expected[..10]);
    assert_eq!(listing.entries[6].size, Some(11));
    assert!(listing.entries[0].is_dir && listing.entries[2].is_dir);
    let value: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(value[8]["is_symlink"], true);

    let text = fetch(
        serving.address,
        get("/", "Accept: */*\r\nUser-Agent: curl/8.5.0\r\n"),
    );
    let lines: Vec<&str> = text.text().lines().collect();
    assert_eq!(lines[..3], ["dir/", "empty%20dir/", "link-dir/"]);
    assert_eq!(lines[3..5], ["100%25%20%26%20%231%3F.txt", "back%5Cslash"]);
    assert_eq!(lines[9], "raw%FF%0A.txt");
    assert_eq!(lines.len(), 10);

    let html = fetch(serving.address, get("/dir/", "Accept: text/html\r\n"));
    for part in [
        "href=\"../\"",
        "href=\"./deep/\"",
        "href=\"./inner.html\"",
        "<title>dir · haul</title>",
    ] {
        assert!(html.text().contains(part), "{part}: {}", html.text());
    }
    let listed = serving.server.list(&RemotePath::root()).unwrap();
    assert_eq!(
        listed, listing.entries,
        "the screen lists what visitors see"
    );
    let empty = fetch(
        serving.address,
        get("/empty%20dir/", "Accept: application/json\r\n"),
    );
    assert_eq!(
        JsonListing::read(&empty.body).unwrap(),
        JsonListing::default()
    );
}

#[test]
fn a_huge_directory_is_streamed() {
    let temp = tempfile::tempdir().unwrap();
    for n in 0..2000 {
        fs::write(temp.path().join(format!("{n:04}-{}", "x".repeat(60))), "").unwrap();
    }
    let serving = serve(temp.path());
    let mut raw = Raw::connect(serving.address);
    raw.send(get("/", "Accept: application/json\r\n"));
    let answer = raw.read();
    assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(JsonListing::read(&answer.body).unwrap().entries.len(), 2000);
    raw.send(get("/", "Accept: text/plain\r\n"));
    let lines = raw.read();
    assert_eq!(lines.text().lines().count(), 2000);
    assert!(lines.text().lines().is_sorted());
    let old = fetch(
        serving.address,
        "GET / HTTP/1.0\r\nAccept: application/json\r\n\r\n",
    );
    assert_eq!(old.field("Transfer-Encoding"), None);
    assert!(old.body == answer.body);
}

#[test]
fn ranges_of_one_file_are_one_row_on_the_screen() {
    let (_temp, serving) = served();
    let path = RemotePath::from_target(b"/large.bin").unwrap();
    // Several in one request are rows no more than several requests are.
    for range in ["2000000-,0-499999", "500000-999999"] {
        fetch(
            serving.address,
            get("/large.bin", &format!("Range: bytes={range}\r\n")),
        );
    }
    let rows = |snapshot: &haul::server::Snapshot| snapshot.clients[0].transfers.clone();
    let half = serving.wait_for("two ranges are sent", |now| now.sent == 2_000_001);
    assert_eq!(rows(&half).len(), 1);
    assert_eq!(
        (rows(&half)[0].done, rows(&half)[0].total),
        (2_000_001, 3_000_001)
    );
    fetch(
        serving.address,
        get("/large.bin", "Range: bytes=900000-2000000\r\n"),
    );
    let done = serving.wait_for("the file is complete", |now| now.files == 1);
    assert!(matches!(rows(&done)[0].state, TransferState::Done(_)));
    assert_eq!(serving.server.downloads(&path), 1);
    fetch(serving.address, get("/sec%1bret", ""));
    let refused = serving.server.snapshot().clients[0]
        .refused
        .clone()
        .unwrap()
        .0;
    assert_eq!(refused, "404 not found: /sec%1bret");
}

/// A sparse file that is larger than all socket buffers together, and a client that has read only its head.
fn half_way(size: u64) -> (tempfile::TempDir, Serving, Raw, fs::File) {
    let temp = tempfile::tempdir().unwrap();
    let file = fs::File::create(temp.path().join("big")).unwrap();
    file.set_len(size).unwrap();
    let serving = serve(temp.path());
    let mut raw = Raw::connect(serving.address);
    raw.send(get("/big", ""));
    assert_eq!(raw.read_head().status, 200);
    serving.wait_for("bytes flow", |now| now.sent > 0);
    (temp, serving, raw, file)
}

#[test]
fn a_file_that_shrinks_or_changes_breaks_the_connection_off() {
    const SIZE: u64 = 256 << 20;
    for change in [
        |file: &fs::File| file.set_len(64 << 20).unwrap(),
        |file: &fs::File| {
            let later = std::time::SystemTime::now() + Duration::from_secs(5);
            file.set_modified(later).unwrap();
        },
    ] {
        let (_temp, serving, mut raw, file) = half_way(SIZE);
        change(&file);
        let got = raw.rest().len() as u64;
        assert!(got < SIZE, "{got} bytes");
        let snapshot = serving.wait_for("the row says so", |now| {
            now.clients[0]
                .transfers
                .iter()
                .any(|row| matches!(row.state, TransferState::Aborted(..)))
        });
        assert_eq!(snapshot.files, 0);
    }
}

#[test]
fn a_drained_server_finishes_what_runs_and_takes_no_one_new() {
    const SIZE: u64 = 64 << 20;
    let (_temp, mut serving, mut raw, _file) = half_way(SIZE);
    let mut idle = Raw::connect(serving.address);
    idle.send(get("/", ""));
    idle.read();
    serving.stop.drain.cancel();
    assert_eq!(idle.rest(), b"", "an idle connection closes at once");
    assert_eq!(raw.rest().len() as u64, SIZE);
    serving.wait_for_end();
    assert!(TcpStream::connect(serving.address).is_err());
}

#[test]
fn an_aborted_server_ends_at_once() {
    let (_temp, mut serving, mut raw, _file) = half_way(1 << 40);
    serving.stop.abort.cancel();
    serving.wait_for_end();
    raw.rest();
}

#[test]
fn a_client_that_reads_nothing_is_dropped() {
    let temp = tempfile::tempdir().unwrap();
    fs::File::create(temp.path().join("big"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let mut settings = settings(temp.path());
    settings.timeout = Duration::from_millis(200);
    let serving = serve_with(settings);
    let mut raw = Raw::connect(serving.address);
    raw.send(get("/big", ""));
    let snapshot = serving.wait_for("the transfer is broken off", |now| {
        let mut rows = now.clients.iter().flat_map(|client| &client.transfers);
        rows.any(|row| row.state != TransferState::Active)
    });
    let TransferState::Aborted(_, reason) = &snapshot.clients[0].transfers[0].state else {
        panic!("{snapshot:?}");
    };
    assert!(reason.contains("read nothing"), "{reason}");
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let error = Server::new(settings(Path::new("/nonexistent\x1b")))
        .err()
        .unwrap();
    let line = error.to_string();
    assert!(
        line.contains(r"/nonexistent\x1b") && line.contains("no such file"),
        "{line}"
    );
    assert_eq!(error.exit(), haul::exit::Exit::Disk);
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(Server::new(settings(file.path())).is_err());
}

#[test]
fn small_files_come_with_the_digest_of_what_was_sent() {
    let (_temp, serving) = served();
    for (target, size) in [
        ("/hello.txt", 11),
        ("/dir/deep/leaf", 70_000),
        ("/empty", 0),
    ] {
        let answer = fetch(serving.address, get(target, "Haul-Session: 12\r\n"));
        assert_eq!(answer.body.len(), size, "{target}");
        let digest = blake3::hash(&answer.body).to_hex();
        assert_eq!(
            answer.field("Haul-Blake3"),
            Some(digest.as_str()),
            "{target}"
        );
        assert_eq!(answer.field("Haul-Pieces"), Some("1"), "{target}");
        let plain = fetch(serving.address, get(target, ""));
        assert_eq!(plain.field("Haul-Blake3"), None, "{target}");
    }
    let large = fetch(serving.address, get("/large.bin", "Haul-Session: 12\r\n"));
    assert_eq!(large.field("Haul-Blake3"), None);
    assert_eq!(large.field("Haul-Dir").map(str::len), Some(64));
}

#[test]
fn pieces_of_a_file_are_listed_under_its_own_etag() {
    let (_temp, serving) = served();
    let mut raw = Raw::connect(serving.address);
    raw.send(get("/large.bin", "").replace("GET", "HEAD"));
    let file = raw.read_head();
    raw.send(get("/large.bin?pieces", ""));
    let answer = raw.read();
    assert_eq!(
        answer.field("Content-Type"),
        Some("application/vnd.haul.pieces")
    );
    assert_eq!(answer.field("ETag"), file.field("ETag"));
    assert_eq!(answer.body.len(), 24 + 3 * 32 + 32);
    assert_eq!(
        answer.body[..24],
        *b"HAULPCS1\xc1\xc6\x2d\0\0\0\0\0\0\0\x10\0\0\0\0\0"
    );
    let root = blake3::hash(&content(3_000_001));
    assert_eq!(answer.body[answer.body.len() - 32..], *root.as_bytes());
    raw.send(get("/large.bin?pieces", "If-Match: \"x\"\r\n"));
    assert_eq!(raw.read().status, 412);
    raw.send(get("/large.bin?blocks=0-2", ""));
    let answer = raw.read();
    let kind = answer.field("Content-Type");
    assert_eq!(kind, Some("application/vnd.haul.blocks"));
    assert_eq!(answer.field("ETag"), file.field("ETag"));
    assert_eq!(answer.body.len(), 3_000_001_usize.div_ceil(16 << 10) * 32);
    raw.send(get("/hello.txt?pieces", ""));
    assert_eq!(
        raw.read().body[24..],
        *blake3::hash(b"hello world").as_bytes()
    );
}

#[test]
fn many_clients_that_do_not_read_hold_little_memory_and_get_right_bytes_in_the_end() {
    const TIMES: usize = 12;
    let temp = tempfile::tempdir().unwrap();
    let file = content(1 << 20);
    fs::write(temp.path().join("f"), &file).unwrap();
    let serving = serve(temp.path());
    let mut clients: Vec<Raw> = (0..24)
        .map(|_| {
            let mut raw = Raw::connect(serving.address);
            raw.send(get("/f", "Haul-Session: 12\r\n").repeat(TIMES));
            raw
        })
        .collect();
    // Sixteen fill the buffers that all share; those behind them are answered another way, which shows as a row.
    serving.wait_for("the shared buffers are full", |now| {
        let mut rows = now.clients.iter().flat_map(|client| &client.transfers);
        rows.any(|row| row.state == TransferState::Active)
    });
    let digest = blake3::hash(&file).to_hex();
    for raw in &mut clients {
        for _ in 0..TIMES {
            let answer = raw.read();
            assert_eq!(answer.field("Haul-Blake3"), Some(digest.as_str()));
            assert!(answer.body == file);
        }
    }
}
