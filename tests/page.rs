//! What a directory can be had as: a page, a stream of a million entries, a Metalink, a tar file.

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, fs::symlink},
    },
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::common::{
    program::unprivileged,
    raw::{Raw, fetch, get},
    secure::Daemon,
    serving::{PATIENCE, Serving, serve, serve_with, settings},
    tools::need,
    trees::{NAMES, assert_same, content, make_tree, quick_temp},
};
use haul::{
    credentials::Credentials,
    entry::JsonListing,
    server::{
        Settings,
        access::{Access, Sources},
    },
};

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

/// A root with everything that careless servers stumble over, and a secret beside it.
fn hostile() -> (tempfile::TempDir, Serving) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    fs::create_dir_all(root.join("dir/deep")).unwrap();
    fs::create_dir(root.join(".git")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(temp.path().join("secret"), "secret").unwrap();
    fs::write(root.join(".git/config"), "hidden").unwrap();
    fs::write(root.join("dir/large.bin"), content(1, 3_000_001)).unwrap();
    fs::write(root.join("dir/deep/leaf"), content(2, 70_000)).unwrap();
    for (seed, name) in NAMES.iter().enumerate() {
        let path = root.join(std::ffi::OsStr::from_bytes(name));
        fs::write(path, content(seed as u64, 100 + seed)).unwrap();
    }
    for (target, link) in [
        ("index.html", "link"),
        ("dir", "link-dir"),
        ("../secret", "out"),
        ("..", "dir/up"),
        ("nothing", "dangling"),
        ("/dev/zero", "device"),
        ("../..", "dir/out"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), fifo, 0o644.into(), 0).unwrap();
    let serving = serve(&root);
    (temp, serving)
}

/// Unpacks a tar file with the system's own program.
fn unpack(bytes: &[u8], target: &Path) {
    let mut tar = Command::new("tar")
        .args(["-x", "-f", "-", "-C"])
        .arg(target)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = tar.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_page_is_one_file_under_a_strict_policy() {
    let (_temp, serving) = hostile();
    let answer = fetch(serving.address, get("/dir/", BROWSER));
    let policy = answer.field("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(!policy.contains("unsafe") && !policy.contains('*'));
    // The policy names the digests of exactly what stands in the page.
    for (begin, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let (_, rest) = answer.text().split_once(begin).unwrap();
        let (inline, _) = rest.split_once(end).unwrap();
        let digest = sha256(inline.as_bytes());
        let digest = STANDARD.encode(digest);
        assert!(policy.contains(&format!("'sha256-{digest}'")), "{begin}");
    }
    assert!(answer.text().contains("1 folder, 1 file, 2.86 MiB"));
    assert!(answer.text().contains("<a href=\"../\">haul</a>"));
    // A file of the served tree may be any page: it gets no script at all.
    let file = fetch(serving.address, get("/index.html", BROWSER));
    assert_eq!(file.field("Content-Security-Policy"), Some("sandbox"));
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

#[test]
fn errors_speak_the_language_of_who_asks() {
    let (_temp, serving) = hostile();
    let page = fetch(serving.address, get("/nothing", BROWSER));
    assert_eq!(page.status, 404);
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(page.field("Content-Security-Policy").is_some());
    assert!(page.text().contains("<b>404</b> <span>not found</span>"));
    for fields in ["", "Accept: */*\r\n", "Accept: application/json\r\n"] {
        let text = fetch(serving.address, get("/nothing", fields));
        assert_eq!(text.text(), "404 not found\n", "{fields}");
    }
}

#[test]
fn a_download_has_a_name_for_every_client() {
    let (_temp, serving) = hostile();
    for (target, value) in [
        (
            "/two%20words.txt?download",
            "attachment; filename=\"two words.txt\"; filename*=UTF-8''two%20words.txt",
        ),
        (
            "/esc%1b%5b31mape?download=1",
            "attachment; filename=\"esc_[31mape\"; filename*=UTF-8''esc%1B%5B31mape",
        ),
        (
            "/dir/?tar",
            "attachment; filename=\"dir.tar\"; filename*=UTF-8''dir.tar",
        ),
        (
            "/?tar=",
            "attachment; filename=\"files.tar\"; filename*=UTF-8''files.tar",
        ),
    ] {
        let mut raw = Raw::connect(serving.address);
        raw.send(get(target, "").replacen("GET", "HEAD", 1));
        let answer = raw.read_head();
        assert_eq!(answer.field("Content-Disposition"), Some(value));
    }
    let plain = fetch(serving.address, get("/x.part?tar&x=download", ""));
    assert_eq!(plain.field("Content-Disposition"), None);
}

#[test]
fn a_tar_holds_what_the_listing_shows() {
    let (temp, serving) = hostile();
    let target = tempfile::tempdir().unwrap();
    let answer = fetch(serving.address, get("/?tar", ""));
    assert_eq!(answer.field("Content-Type"), Some("application/x-tar"));
    assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
    unpack(&answer.body, target.path());
    let root = temp.path().join("root");
    // What is expected: links followed, and nothing hidden, far, endless or special.
    for gone in ["out", "dangling", "device", "fifo", "dir/up", "dir/out"] {
        fs::remove_file(root.join(gone)).unwrap();
    }
    fs::remove_dir_all(root.join(".git")).unwrap();
    assert_same(&root, target.path());
    assert!(
        target
            .path()
            .join("link")
            .symlink_metadata()
            .unwrap()
            .is_file()
    );

    let below = tempfile::tempdir().unwrap();
    let mut old = Raw::connect(serving.address);
    old.send("GET /dir/?tar HTTP/1.0\r\n\r\n");
    let answer = old.read();
    assert_eq!(answer.field("Transfer-Encoding"), None);
    assert_eq!(answer.field("Connection"), Some("close"));
    unpack(&answer.body, below.path());
    assert_same(&root.join("dir"), &below.path().join("dir"));
    let leaf = |base: &Path| base.join("dir/deep/leaf").metadata().unwrap();
    let age = leaf(&root)
        .modified()
        .unwrap()
        .duration_since(leaf(below.path()).modified().unwrap());
    assert!(age.unwrap() < Duration::from_secs(1));

    let moved = fetch(serving.address, get("/dir?tar", ""));
    assert_eq!(moved.field("Location"), Some("dir/?tar"));
    let snapshot = serving.wait_for("all files are counted", |now| now.files >= 5);
    assert!(
        snapshot.clients[0]
            .transfers
            .iter()
            .any(|row| row.path.as_bytes() == b"dir/large.bin")
    );
}

#[test]
fn hidden_files_are_in_a_tar_when_they_are_served() {
    let (temp, _) = hostile();
    let mut settings = settings(&temp.path().join("root"));
    settings.hidden = true;
    let serving = serve_with(settings);
    let target = tempfile::tempdir().unwrap();
    unpack(
        &fetch(serving.address, get("/?tar", "")).body,
        target.path(),
    );
    assert!(target.path().join(".git/config").is_file());
}

#[test]
fn long_names_and_deep_paths_survive_a_tar() {
    let (root, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(root.path());
    let deep = root
        .path()
        .join(format!("{}/{}", "d".repeat(200), "ü".repeat(100)));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("f".repeat(255)), "deep").unwrap();
    let serving = serve(root.path());
    let mut raw = Raw::connect(serving.address);
    // The connection goes on behind it.
    raw.send(get("/?tar", ""));
    unpack(&raw.read().body, target.path());
    assert_same(root.path(), target.path());
    raw.send(get("/size-1.bin", ""));
    assert_eq!(raw.read().body.len(), 1);
}

#[test]
fn a_tar_without_what_has_too_long_a_path_breaks_off() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let below = |dir: &OwnedFd, name: &str| {
        mkdirat(dir, name, Mode::RWXU).unwrap();
        openat(dir, name, OFlags::RDONLY, Mode::empty()).unwrap()
    };
    for ends_in_file in [true, false] {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("seen"), "content").unwrap();
        let mut dir = openat(CWD, root.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        // One name more than the system can be asked for in one path.
        for _ in 0..16 {
            dir = below(&dir, &"d".repeat(250));
        }
        let name = "e".repeat(255);
        if ends_in_file {
            let flags = OFlags::WRONLY | OFlags::CREATE;
            let file = openat(&dir, &name, flags, Mode::RWXU).unwrap();
            rustix::io::write(&file, b"deep").unwrap();
        } else {
            below(&dir, &name);
        }
        let access = Access::new(&Sources {
            logins: &[Credentials::parse_login("ada:lovelace").unwrap()],
            ..Sources::default()
        });
        let serving = serve_with(Settings {
            access: access.unwrap(),
            ..settings(root.path())
        });
        let login = "Authorization: Basic YWRhOmxvdmVsYWNl\r\n";
        let mut raw = Raw::connect(serving.address);
        raw.send(get("/?tar", login));
        assert_eq!(raw.read_head().status, 200);
        let got = raw.rest();
        assert!(!got.ends_with(b"\r\n0\r\n\r\n"), "it looks whole");
        if ends_in_file {
            let link = fetch(serving.address, get("/?meta4=hash", login));
            let text = link.text();
            assert!(text.contains("could not be hashed: 1"), "{text}");
        }
    }
}

/// A tar that a client reads slowly: its head is there, and most of its only file is not.
fn half_a_tar(file: &Path) -> (Serving, TcpStream) {
    let large = fs::File::create(file).unwrap();
    large.set_len(200 << 20).unwrap();
    let serving = serve(file.parent().unwrap());
    let mut stream = TcpStream::connect(serving.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(get("/?tar", "").as_bytes()).unwrap();
    let mut begin = vec![0; 4096];
    stream.read_exact(&mut begin).unwrap();
    (serving, stream)
}

/// Reads to the end, which must come before the last chunk does.
fn broken_off(mut stream: TcpStream) {
    let (mut total, mut chunk, mut end) = (0, vec![0; 1 << 20], Vec::new());
    loop {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(read) => {
                total += read;
                end = chunk[read.saturating_sub(5)..read].to_vec();
            }
        }
    }
    assert!(total < 201 << 20);
    assert_ne!(end, b"0\r\n\r\n");
}

#[test]
fn a_file_that_changes_or_shrinks_breaks_its_tar_off() {
    let temp = quick_temp();
    let file = temp.path().join("large");
    let (_serving, stream) = half_a_tar(&file);
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    broken_off(stream);
    let (_serving, stream) = half_a_tar(&file);
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .write_all(b"x")
        .unwrap();
    broken_off(stream);
}

#[test]
fn a_tar_without_what_could_not_be_read_ends_broken_off() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::write(temp.path().join(name), name).unwrap();
    }
    fs::set_permissions(temp.path().join("a"), fs::Permissions::from_mode(0o0)).unwrap();
    let daemon = Daemon::start_within(unprivileged(), temp.path(), &["-p", "0"]);
    let mut raw = Raw::connect(daemon.address());
    raw.send(get("/?tar", ""));
    let all = raw.rest();
    assert!(!all.ends_with(b"0\r\n\r\n"));
    assert!(all.windows(2).any(|two| two == b"b\0"));
    assert!(!all.windows(2).any(|two| two == b"a\0"));
}

#[test]
fn a_metalink_names_digests_and_place() {
    let (_temp, serving) = hostile();
    let large = content(1, 3_000_001);
    let before = fetch(serving.address, get("/dir/large.bin", ""));
    assert_eq!(before.field("Repr-Digest"), None);
    let answer = fetch(serving.address, get("/dir/large.bin?meta4", ""));
    assert_eq!(
        answer.field("Content-Type"),
        Some("application/metalink4+xml")
    );
    assert_eq!(answer.field("ETag"), before.field("ETag"));
    let mut expected = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n  \
         <generator>haul/{}</generator>\n  <file name=\"large.bin\">\n    <size>3000001</size>\n    \
         <url>http://haul/dir/large.bin</url>\n    <pieces length=\"1048576\" type=\"sha-256\">\n",
        env!("CARGO_PKG_VERSION")
    );
    for piece in large.chunks(1 << 20) {
        writeln!(expected, "      <hash>{}</hash>", hex(&sha256(piece))).unwrap();
    }
    write!(
        expected,
        "    </pieces>\n    <hash type=\"sha-256\">{}</hash>\n  </file>\n</metalink>\n",
        hex(&sha256(&large))
    )
    .unwrap();
    assert_eq!(answer.text(), expected);
}

#[test]
fn what_was_hashed_once_is_told_with_every_answer() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("a b"), "hello").unwrap();
    let serving = serve(temp.path());
    // A file that changed a moment ago may change again unseen: only then is its digest kept.
    let path = temp.path().join("a b");
    let start = SystemTime::now();
    while start.elapsed().unwrap() < PATIENCE {
        fetch(serving.address, get("/a%20b?meta4", ""));
        let answer = fetch(serving.address, get("/a%20b", "Range: bytes=1-2\r\n"));
        let Some(digest) = answer.field("Repr-Digest") else {
            std::thread::yield_now();
            continue;
        };
        assert_eq!(
            digest,
            "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"
        );
        assert_eq!(
            answer.field("Link"),
            Some("</a%20b?meta4>; rel=describedby; type=\"application/metalink4+xml\"")
        );
        let tree = fetch(serving.address, get("/?meta4", ""));
        assert!(
            tree.text()
                .contains("<hash type=\"sha-256\">2cf24dba5fb0a30e")
        );
        fs::write(&path, "other").unwrap();
        let changed = fetch(serving.address, get("/a%20b", ""));
        assert_eq!(changed.field("Repr-Digest"), None);
        return;
    }
    panic!("no digest was kept");
}

#[test]
fn the_metalink_of_a_tree_stays_beneath_and_within_xml() {
    let (_temp, serving) = hostile();
    let answer = fetch(serving.address, get("/?meta4", ""));
    let text = answer.text();
    let names: Vec<&str> = text
        .split("<file name=\"")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0)
        .collect();
    assert_eq!(names.len(), NAMES.len() + 5, "{names:#?}");
    for name in &names {
        assert!(
            !name.starts_with('/') && !name.contains(['<', '\n', '\x1b']),
            "{name}"
        );
        assert!(
            name.split('/').all(|part| !matches!(part, "" | "." | "..")),
            "{name}"
        );
    }
    for part in ["secret", "hidden", "fifo", "zero", "up/"] {
        assert!(!text.contains(part), "{part}");
    }
    assert!(text.contains("<file name=\"&#60;b&#62;&#38;amp;.html\">"));
    assert!(text.contains("<file name=\"esc%1B%5B31mape\">"));
    assert!(text.contains("<url>http://haul/not%20utf8%20%FF%FE.bin</url>"));
    // Names of another directory are relative to it.
    let below = fetch(serving.address, get("/dir/?meta4", ""));
    assert!(below.text().contains("<file name=\"deep/leaf\">"));
    assert!(
        below
            .text()
            .contains("<url>http://haul/dir/deep/leaf</url>")
    );
}

#[test]
fn a_metalink_needs_a_host() {
    let (_temp, serving) = hostile();
    for target in ["/?meta4", "/x.part?meta4"] {
        let old = fetch(serving.address, format!("GET {target} HTTP/1.0\r\n\r\n"));
        assert_eq!(old.status, 400, "{target}");
        let quoted = format!("GET {target} HTTP/1.1\r\nHost: a&'b\r\n\r\n");
        let text = fetch(serving.address, quoted);
        assert!(
            text.text().contains("<url>http://a&#38;&#39;b/"),
            "{}",
            text.text()
        );
    }
}

#[test]
fn known_digests_stand_in_the_listing() {
    let (root, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(root.path().join("large"), content(5, 2_000_000)).unwrap();
    let mut settings = settings(root.path());
    settings.cache = Some(cache.path().to_owned());
    let expected = blake3::hash(&content(5, 2_000_000));
    let start = SystemTime::now();
    loop {
        let serving = serve_with(settings.clone());
        let list = || {
            let answer = fetch(serving.address, get("/", "Accept: application/json\r\n"));
            JsonListing::read(&answer.body).unwrap().entries[0].blake3
        };
        if list().is_some() {
            // It was kept by an earlier server.
            assert_eq!(list(), Some(expected));
            return;
        }
        assert!(start.elapsed().unwrap() < PATIENCE);
        fetch(serving.address, get("/large?pieces", ""));
    }
}

#[test]
fn a_hundred_thousand_entries_are_sorted_and_more_are_streamed() {
    let temp = quick_temp();
    let many = temp.path().join("many");
    fs::create_dir(&many).unwrap();
    for n in 0..100_000 {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            many.join(format!("{n}")),
            rustix::fs::FileType::RegularFile,
            0o644.into(),
            0,
        )
        .unwrap();
    }
    fs::create_dir(many.join("zdir")).unwrap();
    fs::remove_file(many.join("0")).unwrap();
    let serving = serve(temp.path());
    let list = || {
        let answer = fetch(serving.address, get("/many/", "Accept: text/plain\r\n"));
        assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
        answer.text().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let sorted = list();
    assert_eq!((sorted.len(), sorted[0].as_str()), (100_000, "zdir/"));
    assert!(sorted[1..].is_sorted());
    fs::write(many.join("0"), "").unwrap();
    let mut streamed = list();
    assert_eq!(streamed.len(), 100_001);
    streamed.sort();
    streamed.dedup();
    assert_eq!(streamed.len(), 100_001);
}

/// A link changes as fast as it can between what may be followed and what may not, while everything is asked for.
#[test]
fn a_swap_in_the_middle_leads_nowhere() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    fs::create_dir_all(root.join("dir")).unwrap();
    fs::write(root.join("dir/file"), "public").unwrap();
    fs::write(temp.path().join("secret"), "do not tell").unwrap();
    let serving = serve(&root);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let aside = temp.path().join("aside");
            while !stop.load(Relaxed) {
                for target in ["../secret", "dir/file", "..", "dir", "/etc"] {
                    symlink(target, &aside).unwrap();
                    fs::rename(&aside, root.join("swap")).unwrap();
                }
            }
        });
        for _ in 0..60 {
            for target in [
                "/?tar",
                "/?meta4",
                "/",
                "/swap",
                "/swap/secret",
                "/swap/?tar",
            ] {
                let answer = fetch(serving.address, get(target, ""));
                let told = |what: &[u8]| answer.body.windows(what.len()).any(|part| part == what);
                assert!(!told(b"do not tell") && !told(b"passwd"), "{target}");
            }
        }
        stop.store(true, Relaxed);
    });
}

#[test]
fn curl_pipes_a_tree_into_tar() {
    let Some(curl) = need("curl") else { return };
    let (root, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(root.path());
    let serving = serve(root.path());
    let mut fetching = Command::new(curl)
        .args(["-sSf", &serving.url("/?tar")])
        .env_remove("http_proxy")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = Command::new("tar")
        .args(["-x", "-C"])
        .arg(target.path())
        .stdin(fetching.stdout.take().unwrap())
        .status()
        .unwrap();
    assert!(status.success() && fetching.wait().unwrap().success());
    assert_same(root.path(), target.path());
}
