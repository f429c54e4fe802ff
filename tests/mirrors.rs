//! Several servers that hold the same tree.

use std::{fmt::Write as _, fs, net::TcpListener, path::Path};

use haul::client::{Client, ItemState, Settings, SourceView, Verified, Want};
use haul::digest::Digest;

use crate::common::{
    fetching::{Fetched, Fetching, fetch_with, settings},
    program::Haul,
    proxy::{Line, proxy},
    scripted::{Scripted, file, not_found, scripted},
    serving::serve,
    trees::{content, digest, hex},
};

const MIB: u64 = 1 << 20;

/// A URL where nobody listens.
fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

fn mirrored(urls: &[String], dir: &Path) -> Settings {
    Settings {
        mirrors: urls[1..].iter().map(|url| url.parse().unwrap()).collect(),
        ..settings(&urls[0], dir)
    }
}

fn sources(client: &Client) -> Vec<SourceView> {
    client.snapshot().sources
}

fn all(mut fetching: Fetching) -> (Fetched, Vec<SourceView>) {
    fetching.get_everything();
    let client = fetching.client.clone();
    let fetched = fetching.finish();
    (fetched, sources(&client))
}

#[test]
fn of_three_mirrors_one_dead_and_one_corrupt_the_good_one_gives_nearly_all() {
    let (root, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes = content(1, 64 * MIB as usize + 7);
    fs::write(root.path().join("large"), &bytes).unwrap();
    fs::write(root.path().join("small"), "small").unwrap();
    let server = serve(root.path());
    let corrupt = proxy(server.address);
    corrupt.flip_always((0..=64).map(|piece| piece * MIB + 3));
    let good = proxy(server.address);
    let urls = [dead(), corrupt.url("/"), good.url("/")];
    let (fetched, sources) = all(fetch_with(mirrored(&urls, dir.path())));
    assert_eq!(fetched.failed, []);
    assert_eq!(fetched.paths(), ["large", "small"]);
    assert!(
        fetched
            .finished
            .iter()
            .all(|(_, how)| *how == Verified::Blake3)
    );
    assert_eq!(fs::read(dir.path().join("large")).unwrap(), bytes);
    assert_eq!(sources[0].received, 0);
    let dropped = sources[1].dropped.as_deref().unwrap();
    assert!(dropped.contains("do not match"), "{dropped}");
    assert!(
        good.file_bytes() >= bytes.len() as u64 * 8 / 10,
        "{sources:?}"
    );
}

#[test]
fn a_mirror_that_dies_costs_no_more_than_its_unfinished_pieces() {
    let (root, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes = content(2, 48 * MIB as usize);
    fs::write(root.path().join("large"), &bytes).unwrap();
    let server = serve(root.path());
    let (first, second) = (proxy(server.address), proxy(server.address));
    let slow = |_| Line {
        rate: Some(16 << 20),
        ..Line::default()
    };
    first.lines(slow);
    second.lines(slow);
    let urls = [first.url("/"), second.url("/")];
    let mut fetching = fetch_with(Settings {
        workers: 4,
        ..mirrored(&urls, dir.path())
    });
    fetching.get_everything();
    fetching.wait_for("both give", |client| {
        client
            .sources
            .iter()
            .all(|source| source.received > 4 * MIB)
    });
    let before = first.file_bytes();
    drop(first);
    let fetched = fetching.finish();
    assert_eq!(fetched.failed, []);
    assert_eq!(fs::read(dir.path().join("large")).unwrap(), bytes);
    // Two connections had begun a piece each; what the proxy had sent lay in socket buffers, too.
    let spent = before + second.file_bytes();
    assert!(spent <= 48 * MIB + 2 * 2 * MIB, "{spent}");
}

#[test]
fn a_faster_mirror_gives_more() {
    let (root, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes = content(3, 48 * MIB as usize);
    fs::write(root.path().join("large"), &bytes).unwrap();
    let server = serve(root.path());
    let (slow, fast) = (proxy(server.address), proxy(server.address));
    // Rates that a busy machine keeps up with.
    slow.lines(|_| Line {
        rate: Some(1 << 20),
        ..Line::default()
    });
    fast.lines(|_| Line {
        rate: Some(10 << 20),
        ..Line::default()
    });
    let urls = [slow.url("/"), fast.url("/")];
    let (fetched, sources) = all(fetch_with(Settings {
        workers: 4,
        ..mirrored(&urls, dir.path())
    }));
    assert_eq!(fetched.failed, []);
    assert_eq!(fs::read(dir.path().join("large")).unwrap(), bytes);
    assert!(sources[0].received > 0, "{sources:?}");
    assert!(sources[1].received > 4 * sources[0].received, "{sources:?}");
}

#[test]
fn a_mirror_with_other_content_is_left_out_or_dropped() {
    let roots: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let dir = tempfile::tempdir().unwrap();
    let bytes = content(4, 32 * MIB as usize);
    fs::write(roots[0].path().join("large"), &bytes).unwrap();
    // The same size and another content; another size; nothing of that name.
    fs::write(roots[1].path().join("large"), content(5, bytes.len())).unwrap();
    fs::write(roots[2].path().join("large"), content(4, bytes.len() + 1)).unwrap();
    let servers: Vec<_> = roots.iter().map(|root| serve(root.path())).collect();
    // Slow enough that all of them are asked.
    let proxies: Vec<_> = servers.iter().map(|server| proxy(server.address)).collect();
    for proxy in &proxies {
        proxy.lines(|_| Line {
            rate: Some(16 << 20),
            ..Line::default()
        });
    }
    let urls: Vec<_> = proxies.iter().map(|proxy| proxy.url("/")).collect();
    let (fetched, sources) = all(fetch_with(mirrored(&urls, dir.path())));
    assert_eq!(fetched.failed, []);
    assert_eq!(fetched.finished, [("large".to_owned(), Verified::Blake3)]);
    assert_eq!(fs::read(dir.path().join("large")).unwrap(), bytes);
    assert!(sources[1].dropped.is_some(), "{sources:?}");
    assert_eq!((&sources[2].dropped, sources[2].received), (&None, 0));
    assert_eq!((&sources[3].dropped, sources[3].received), (&None, 0));
}

#[test]
fn what_the_first_mirror_refuses_the_next_one_is_asked_for() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(second.path().join("sub")).unwrap();
    fs::write(second.path().join("sub/a"), "a").unwrap();
    fs::write(second.path().join("sub/b"), content(6, 3 * MIB as usize)).unwrap();
    let servers = [serve(first.path()), serve(second.path())];
    let urls = servers.each_ref().map(|server| server.url("/"));
    for workers in [1, 5] {
        let mut fetching = fetch_with(Settings {
            workers,
            ..mirrored(&urls, dir.path())
        });
        fetching.get_path("/sub/");
        fetching.get_path("/sub/b");
        fetching.get_path("/sub/nowhere");
        let fetched = fetching.finish();
        assert_eq!(fetched.paths(), ["sub/a", "sub/b", "sub/b"]);
        assert_eq!(fetched.failed.len(), 1, "{:?}", fetched.failed);
        assert!(fetched.failed[0].1.contains("404"), "{:?}", fetched.failed);
    }
}

#[test]
fn a_digest_that_is_asked_for_decides_which_mirror_is_believed() {
    let roots: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let dir = tempfile::tempdir().unwrap();
    for size in [MIB as usize / 2, 8 * MIB as usize] {
        let (wrong, right) = (content(7, size), content(8, size));
        fs::write(roots[0].path().join("file"), &wrong).unwrap();
        fs::write(roots[1].path().join("file"), &right).unwrap();
        let servers: Vec<_> = roots.iter().map(|root| serve(root.path())).collect();
        let urls: Vec<_> = servers.iter().map(|server| server.url("/")).collect();
        let mut fetching = fetch_with(Settings {
            on_conflict: haul::config::OnConflict::Overwrite,
            ..mirrored(&urls, dir.path())
        });
        fetching.get(Want::File {
            path: haul::http1::path::RemotePath::from_target(b"/file").unwrap(),
            name: None,
            checksum: Some(Digest::Blake3(blake3::hash(&right))),
        });
        let fetched = fetching.finish();
        assert_eq!(fetched.failed, []);
        assert_eq!(fs::read(dir.path().join("file")).unwrap(), right);
    }
}

#[test]
fn when_the_leading_mirror_goes_away_another_leads() {
    let (root, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in 0..12 {
        fs::write(
            root.path().join(format!("{name}")),
            content(name, 2 * MIB as usize),
        )
        .unwrap();
    }
    let server = serve(root.path());
    let (first, second) = (proxy(server.address), proxy(server.address));
    second.lines(|_| Line {
        rate: Some(24 << 20),
        ..Line::default()
    });
    for workers in [1, 3] {
        first.set_upstream(server.address);
        first.lines(|_| Line {
            rate: Some(24 << 20),
            ..Line::default()
        });
        let target = dir.path().join(workers.to_string());
        let urls = [first.url("/"), second.url("/")];
        let mut fetching = fetch_with(Settings {
            workers,
            ..mirrored(&urls, &target)
        });
        fetching.get_everything();
        fetching.wait_for("the first file", |client| {
            client.sources[0].received > 3 * MIB
        });
        // Nobody is behind it from now on.
        first.set_upstream(
            dead()
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .parse()
                .unwrap(),
        );
        first.lines(|_| Line {
            cut_after: Some(0),
            ..Line::default()
        });
        let snapshot = fetching.wait_for("the end", |client| {
            matches!(
                client.items[0].state,
                ItemState::Finished(_) | ItemState::Failed(_)
            )
        });
        assert_eq!(
            snapshot.items[0].files.unwrap().done,
            12,
            "{:?}",
            snapshot.items
        );
        crate::common::trees::assert_same(root.path(), &target);
    }
}

/// A Metalink of files as (name, digest's algorithm and hex, URLs).
fn metalink(files: &[(&str, &str, &str, Vec<String>)]) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n",
    );
    for (name, algorithm, hex, urls) in files {
        let urls: Vec<_> = urls.iter().map(|url| format!("<url>{url}</url>")).collect();
        let _ = writeln!(
            text,
            "<file name=\"{name}\"><hash type=\"{algorithm}\">{hex}</hash>{}</file>",
            urls.concat()
        );
    }
    text + "</metalink>\n"
}

#[test]
fn a_metalink_is_downloaded_from_its_mirrors_and_held_against_its_digests() {
    let roots: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let dir = tempfile::tempdir().unwrap();
    let (large, small) = (content(9, 5 * MIB as usize + 7), content(10, 1000));
    // The first server has another content of the large file, and nothing of the small one.
    fs::write(roots[0].path().join("l"), content(11, large.len())).unwrap();
    fs::write(roots[1].path().join("ell"), &large).unwrap();
    fs::write(roots[1].path().join("s"), &small).unwrap();
    let servers: Vec<_> = roots.iter().map(|root| serve(root.path())).collect();
    let sha256 = |bytes: &[u8]| {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(bytes);
        let mut hex = String::new();
        digest
            .iter()
            .for_each(|byte| write!(hex, "{byte:02x}").unwrap());
        hex
    };
    let text = metalink(&[
        (
            "a/large.bin",
            "sha-256",
            &sha256(&large),
            vec![servers[0].url("/l"), servers[1].url("/ell?any"), dead()],
        ),
        (
            "small.bin",
            "sha-256",
            &sha256(&small),
            vec![servers[0].url("/s"), servers[1].url("/s")],
        ),
        (
            "../escape",
            "sha-256",
            &sha256(&small),
            vec![servers[1].url("/s")],
        ),
        (
            "damaged",
            "sha-256",
            &sha256(&large),
            vec![servers[1].url("/s")],
        ),
    ]);
    fs::write(dir.path().join("all.meta4"), &text).unwrap();
    fs::write(roots[0].path().join("all.meta4"), &text).unwrap();
    for source in [
        dir.path().join("all.meta4").display().to_string(),
        servers[0].url("/all.meta4"),
    ] {
        let target = dir.path().join("target");
        let arguments = [
            "connect",
            &source,
            "--headless",
            "-r",
            "1",
            "-d",
            target.to_str().unwrap(),
        ];
        let (status, _, stderr) = Haul::new(&arguments).run();
        assert_eq!(status, 6, "{stderr}");
        assert!(stderr.contains("damaged"), "{stderr}");
        let mut found: Vec<_> = digest(&target).into_keys().collect();
        found.sort();
        assert_eq!(
            found,
            ["a", "a/large.bin", "small.bin"].map(std::path::PathBuf::from)
        );
        assert_eq!(fs::read(target.join("a/large.bin")).unwrap(), large);
        assert_eq!(fs::read(target.join("small.bin")).unwrap(), small);
        fs::remove_dir_all(&target).unwrap();
    }
    assert!(!dir.path().join("escape").exists());
}

#[test]
fn urls_of_a_metalink_at_one_server_are_tried_in_turn() {
    let server = scripted(|request| match request.target.as_str() {
        "/new" => file(request, b"content", ""),
        _ => not_found(),
    });
    let dir = tempfile::tempdir().unwrap();
    let hex = {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(b"content");
        hex(&digest)
    };
    let urls = ["/old", "/older", "/new"].map(|target| server.url(target));
    let text = metalink(&[("f", "sha-256", &hex, urls.to_vec())]);
    fs::write(dir.path().join("x.meta4"), text).unwrap();
    let mut run = Haul::new(&["connect", "--headless", "x.meta4"]);
    run.command.current_dir(dir.path());
    let (status, _, stderr) = run.run();
    assert_eq!(status, 0, "{stderr}");
    assert!(stderr.contains("its next URL there is asked"), "{stderr}");
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"content");
}

#[test]
fn what_has_another_size_than_a_metalink_tells_is_another_file() {
    let [wrong, right] = [&b"an error page"[..], b"abc"].map(|content| {
        scripted(move |request| match request.method.as_str() {
            "GET" => file(request, content, ""),
            _ => not_found(),
        })
    });
    let dir = tempfile::tempdir().unwrap();
    let text = |urls: &str| {
        format!(
            "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"f\"><size>3</size>{urls}</file></metalink>"
        )
    };
    let url = |server: &Scripted| format!("<url>{}</url>", server.url("/f"));
    for (urls, expected) in [
        (url(&wrong), None),
        (url(&wrong) + &url(&right), Some(&b"abc"[..])),
    ] {
        fs::write(dir.path().join("x.meta4"), text(&urls)).unwrap();
        let mut run = Haul::new(&["connect", "--headless", "x.meta4"]);
        run.command.current_dir(dir.path());
        let (status, _, stderr) = run.run();
        assert_eq!(status == 0, expected.is_some(), "{stderr}");
        assert!(stderr.contains("the Metalink says 3"), "{stderr}");
        assert_eq!(fs::read(dir.path().join("f")).ok().as_deref(), expected);
    }
}

#[test]
fn what_is_no_metalink_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.meta4"), "<html/>").unwrap();
    for (arguments, says) in [
        (&["x.meta4"][..], "no Metalink that haul can read"),
        (&["y.meta4"], "cannot be read"),
        (&["x.meta4", "http://127.0.0.1/"], "give it alone"),
        (&["x.meta4", "--all"], "leave --get and --all out"),
        (&["x.meta4", "-o", "z"], "does not go with a Metalink"),
    ] {
        let mut run = Haul::new(&["connect", "--headless"]);
        run.command.args(arguments).current_dir(dir.path());
        let stderr = run.fails(2);
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_document_that_is_too_long_is_named_without_its_query() {
    let root = tempfile::tempdir().unwrap();
    let long = fs::File::create(root.path().join("long.meta4")).unwrap();
    long.set_len(17 * MIB).unwrap();
    let server = serve(root.path());
    let url = server.url("/long.meta4?signature=hidden");
    let stderr = Haul::new(&["connect", &url, "--headless"]).fails(2);
    assert!(stderr.contains("it has more than"), "{stderr}");
    assert!(!stderr.contains("hidden"), "{stderr}");
}
