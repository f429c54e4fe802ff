//! Downloading from `haul serve`: trees, patterns, conflicts, control, and servers that misbehave.

use std::{fs, path::Path};

use crate::common::{
    fetching::{fetch_all, fetch_with, is_finished, settings},
    proxy::{Line, proxy},
    scripted::{Reply, file, ok, scripted},
    serving::serve,
    trees::{assert_same, content, make_tree},
};
use haul::{
    client::{Client, Error, ItemState, Verified, Want},
    config::OnConflict,
    exit::Exit,
};

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_tree_arrives_byte_for_byte() {
    let (source, target) = (temp(), temp());
    make_tree(source.path());
    let serving = serve(source.path());
    let fetched = fetch_all(&serving.url("/"), target.path());
    assert_eq!(fetched.failed, []);
    assert_eq!(fetched.exit, Some(Exit::Done));
    assert_same(source.path(), target.path());
}

#[test]
fn sixteen_clients_at_once_each_get_all() {
    let source = temp();
    make_tree(source.path());
    let serving = serve(source.path());
    let url = serving.url("/");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let target = temp();
                let fetched = fetch_all(&url, target.path());
                assert_eq!(fetched.failed, []);
                assert_same(source.path(), target.path());
            });
        }
    });
}

#[test]
fn one_connection_or_one_file_at_a_time_do_as_well() {
    let source = temp();
    make_tree(source.path());
    let serving = serve(source.path());
    for (workers, serial) in [(1, false), (3, true), (16, false)] {
        let target = temp();
        let mut fetching = fetch_with(haul::client::Settings {
            workers,
            serial,
            ..settings(&serving.url("/"), target.path())
        });
        fetching.get_everything();
        assert_eq!(fetching.finish().failed, []);
        assert_same(source.path(), target.path());
    }
}

#[test]
fn patterns_choose_and_paths_are_kept() {
    let (source, target) = (temp(), temp());
    make_tree(source.path());
    let serving = serve(source.path());
    let mut fetching = fetch_with(settings(&serving.url("/"), target.path()));
    let get = vec!["a/".into(), "size-*.bin".into()];
    fetching.get(Want::Patterns {
        get,
        exclude: vec!["size-1*".into()],
    });
    let fetched = fetching.finish();
    let expected = [
        "a/b c/d%20/e#/f/deep.txt",
        "size-0.bin",
        "size-4095.bin",
        "size-5242887.bin",
        "size-65536.bin",
    ];
    assert_eq!(fetched.paths(), expected);
    assert!(target.path().join("a/b c/d%20/e#/f/deep.txt").is_file());
}

fn patterns(get: &[&str]) -> Want {
    Want::Patterns {
        get: get.iter().map(ToString::to_string).collect(),
        exclude: Vec::new(),
    }
}

#[test]
fn each_pattern_that_matches_nothing_is_a_failure() {
    let (source, target) = (temp(), temp());
    fs::write(source.path().join("here"), "x").unwrap();
    fs::create_dir(source.path().join("empty")).unwrap();
    let serving = serve(source.path());
    for (get, unmatched) in [
        (&["nothing*"][..], &["nothing*"][..]),
        (&["gone", "here", "no/where"], &["gone", "no/where"]),
        (&["empty/*", "he*"], &["empty/*"]),
        (&["empty/"], &[]),
        (&["empty", "here"], &[]),
    ] {
        for dry_run in [true, false] {
            let mut fetching = fetch_with(haul::client::Settings {
                dry_run,
                ..settings(&serving.url("/"), target.path())
            });
            fetching.get(patterns(get));
            let fetched = fetching.finish();
            let expected = unmatched.iter().map(|text| {
                format!("nothing there matches `{text}`: check it against the listing")
            });
            let told = fetched.failed.iter().map(|(_, why)| why.clone());
            assert!(told.eq(expected), "{get:?}: {:?}", fetched.failed);
            let exit = if unmatched.is_empty() {
                Exit::Done
            } else {
                Exit::Remote
            };
            assert_eq!(fetched.exit, Some(exit), "{get:?}");
            let finished = usize::from(!dry_run && get.iter().any(|text| text.starts_with("he")));
            assert_eq!(fetched.finished.len(), finished, "{get:?}");
        }
    }
    assert!(target.path().join("empty").is_dir());
}

#[test]
fn a_retry_finds_what_matches_by_then() {
    let (source, target) = (temp(), temp());
    fs::write(source.path().join("here"), "x").unwrap();
    let serving = serve(source.path());
    let mut fetching = fetch_with(settings(&serving.url("/"), target.path()));
    fetching.get(patterns(&["here", "late"]));
    let snapshot = fetching.wait_for("an end", |snapshot| snapshot.items[0].state.is_ended());
    let failed =
        matches!(&snapshot.items[0].state, ItemState::Failed(reason) if reason.contains("`late`"));
    assert!(failed, "{snapshot:#?}");
    fs::write(source.path().join("late"), "y").unwrap();
    fetching.client.retry(snapshot.items[0].id);
    fetching.wait_for("the rest", |snapshot| is_finished(&snapshot.items[0].state));
    assert_eq!(fetching.finish().exit, Some(Exit::Done));
    assert_same(source.path(), target.path());
}

#[test]
fn a_file_and_a_directory_without_its_slash() {
    let (source, target) = (temp(), temp());
    make_tree(source.path());
    let serving = serve(source.path());
    let mut fetching = fetch_with(settings(&serving.url("/"), target.path()));
    fetching.get_path("/size-1048577.bin");
    fetching.get_path("/names");
    fetching.get_path("/missing");
    let fetched = fetching.finish();
    assert_same(&source.path().join("names"), &target.path().join("names"));
    assert!(target.path().join("size-1048577.bin").is_file());
    assert_eq!(fetched.failed.len(), 1, "{:?}", fetched.failed);
    assert!(fetched.failed[0].1.contains("404"), "{:?}", fetched.failed);
    assert_eq!(fetched.exit, Some(Exit::Remote));
}

#[test]
fn one_file_under_another_name() {
    let (source, target) = (temp(), temp());
    fs::write(source.path().join("a"), "content").unwrap();
    let serving = serve(source.path());
    let mut fetching = fetch_with(settings(&serving.url("/"), target.path()));
    let path = haul::http1::path::RemotePath::from_target(b"/a").unwrap();
    fetching.get(Want::File {
        path,
        name: Some(b"other name".to_vec()),
        checksum: None,
    });
    assert_eq!(fetching.finish().failed, []);
    assert_eq!(
        fs::read(target.path().join("other name")).unwrap(),
        b"content"
    );
}

#[test]
fn a_checksum_decides_whatever_the_server_says() {
    let (source, target) = (temp(), temp());
    for (name, size) in [("small", 100), ("large", 3 << 20)] {
        fs::write(source.path().join(name), content(1, size)).unwrap();
    }
    let serving = serve(source.path());
    let mut fetching = fetch_with(haul::client::Settings {
        retries: 0,
        ..settings(&serving.url("/"), target.path())
    });
    let right = |size| format!("blake3={}", blake3::hash(&content(1, size)));
    let wrong = format!("sha-256={}", "00".repeat(32));
    for (file, name, checksum) in [
        ("/small", "a", right(100)),
        ("/large", "b", right(3 << 20)),
        ("/small", "c", wrong.clone()),
        ("/large", "d", wrong),
    ] {
        fetching.get(Want::File {
            path: haul::http1::path::RemotePath::from_target(file.as_bytes()).unwrap(),
            name: Some(name.into()),
            checksum: Some(checksum.parse().unwrap()),
        });
    }
    let fetched = fetching.finish();
    assert_eq!(
        (fetched.finished.len(), fetched.failed.len()),
        (2, 2),
        "{fetched:?}"
    );
    assert_eq!(fetched.exit, Some(Exit::Integrity));
    let mut names: Vec<_> = fs::read_dir(target.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
}

fn with_conflict(
    rule: OnConflict,
    there: &str,
) -> (tempfile::TempDir, crate::common::fetching::Fetched) {
    let (source, target) = (temp(), temp());
    fs::write(source.path().join("x.txt"), "new content").unwrap();
    fs::write(target.path().join("x.txt"), there).unwrap();
    let serving = serve(source.path());
    let mut fetching = fetch_with(haul::client::Settings {
        on_conflict: rule,
        ..settings(&serving.url("/"), target.path())
    });
    fetching.get_everything();
    (target, fetching.finish())
}

fn read(dir: &Path, name: &str) -> Option<String> {
    fs::read_to_string(dir.join(name)).ok()
}

#[test]
fn the_conflict_rule_decides_what_happens_to_a_file_in_the_way() {
    for (rule, there, kept, copy) in [
        (
            OnConflict::Verify,
            "old content",
            "old content",
            Some("new content"),
        ),
        (OnConflict::Verify, "new content", "new content", None),
        (
            OnConflict::Rename,
            "new content",
            "new content",
            Some("new content"),
        ),
        (OnConflict::Skip, "old content", "old content", None),
        (OnConflict::Overwrite, "old content", "new content", None),
    ] {
        let (target, fetched) = with_conflict(rule, there);
        assert_eq!(fetched.failed, [], "{rule:?}");
        assert_eq!(
            read(target.path(), "x.txt").as_deref(),
            Some(kept),
            "{rule:?}"
        );
        assert_eq!(
            read(target.path(), "x (1).txt").as_deref(),
            copy,
            "{rule:?}"
        );
    }
}

#[test]
fn times_are_kept() {
    let (source, target) = (temp(), temp());
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for (name, size) in [("small", 10), ("large", 3 << 20)] {
        fs::write(source.path().join(name), content(1, size)).unwrap();
        fs::File::options()
            .write(true)
            .open(source.path().join(name))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    let serving = serve(source.path());
    assert_eq!(fetch_all(&serving.url("/"), target.path()).failed, []);
    for name in ["small", "large"] {
        assert_eq!(
            fs::metadata(target.path().join(name))
                .unwrap()
                .modified()
                .unwrap(),
            old,
            "{name}"
        );
    }
}

#[test]
fn no_downloads_into_the_directory_that_is_served() {
    let source = temp();
    fs::write(source.path().join("x"), "content").unwrap();
    let serving = serve(source.path());
    let fetched = fetch_all(&serving.url("/"), &source.path().join("deep/er"));
    assert_eq!(fetched.finished, []);
    assert_eq!(fetched.exit, Some(Exit::Disk));
    assert!(
        fetched
            .failed
            .iter()
            .all(|(_, reason)| reason.contains("the server serves")),
        "{:?}",
        fetched.failed
    );
}

#[test]
fn a_target_that_is_a_file_is_refused() {
    let target = temp();
    fs::write(target.path().join("file"), "").unwrap();
    let (sender, _events) = tokio::sync::mpsc::channel(1);
    let error = Client::start(
        settings("http://127.0.0.1:1/", &target.path().join("file")),
        sender,
    )
    .unwrap_err();
    assert!(matches!(error, Error::Target { .. }));
}

#[test]
fn a_refused_connection_fails_after_its_retries() {
    let target = temp();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut fetching = fetch_with(haul::client::Settings {
        retries: 1,
        ..settings(&format!("http://{free}/"), target.path())
    });
    fetching.get_everything();
    let fetched = fetching.finish();
    assert_eq!(fetched.exit, Some(Exit::Network));
    assert_eq!(fetched.finished, []);
}

#[test]
fn who_browses_an_absent_server_is_told_at_once_however_patient_the_client_is() {
    let (source, target) = (temp(), temp());
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let fetching = fetch_with(haul::client::Settings {
        patient: true,
        ..settings(&format!("http://{free}/"), target.path())
    });
    let root = haul::http1::path::RemotePath::root();
    for _ in 0..2 {
        let error = fetching
            .runtime
            .block_on(fetching.client.list(&root))
            .unwrap_err();
        assert_eq!(error.exit(), Exit::Network);
    }
    assert!(matches!(
        fetching.client.snapshot().link,
        haul::client::Link::Down(_)
    ));
    // It may have come up by now.
    let serving = crate::common::serving::serve_at(source.path(), free);
    fetching
        .runtime
        .block_on(fetching.client.list(&root))
        .unwrap();
    drop(serving);
}

#[test]
fn an_item_is_paused_resumed_cancelled_and_retried() {
    let (source, target) = (temp(), temp());
    fs::write(source.path().join("big"), content(1, 64 << 20)).unwrap();
    let serving = serve(source.path());
    let mut fetching = fetch_with(haul::client::Settings {
        workers: 2,
        ..settings(&serving.url("/"), target.path())
    });
    fetching.get_path("/big");
    let item = fetching.client.snapshot().items[0].id;
    fetching.client.pause(item);
    fetching.wait_for("rest", |now| now.items[0].connections == 0);
    assert_eq!(fetching.client.snapshot().items[0].state, ItemState::Paused);
    fetching.client.resume(item);
    fetching.wait_for("bytes", |now| {
        now.items[0].done > 0 || is_finished(&now.items[0].state)
    });
    fetching.client.cancel(item);
    let ended = fetching.wait_for("an end", |now| now.items[0].state.is_ended());
    if ended.items[0].state == ItemState::Cancelled {
        assert!(!target.path().join("big").exists());
        fetching.client.retry(item);
    }
    fetching.wait_for("the end", |now| is_finished(&now.items[0].state));
    assert_same(source.path(), target.path());
    fetching.client.clear_ended();
    assert!(fetching.client.snapshot().items.is_empty());
}

#[test]
fn several_items_advance_side_by_side() {
    let (source, target) = (temp(), temp());
    for name in ["a", "b", "c"] {
        fs::write(source.path().join(name), content(1, 96 << 20)).unwrap();
    }
    let serving = serve(source.path());
    let mut fetching = fetch_with(settings(&serving.url("/"), target.path()));
    for name in ["/a", "/b", "/c"] {
        fetching.get_path(name);
    }
    // Before the first has half of its bytes, the others have some.
    let some = |now: &haul::client::Snapshot| now.items.iter().all(|item| item.done > 4 << 20);
    let now = fetching.wait_for("all on their way", some);
    assert!(
        !now.items.iter().all(|item| is_finished(&item.state)),
        "{now:#?}"
    );
    fetching.wait_for("the end", |now| {
        now.items.iter().all(|item| is_finished(&item.state))
    });
    assert_same(source.path(), target.path());
}

#[test]
fn more_small_files_than_may_wait_for_the_disk_arrive() {
    let (source, target) = (temp(), temp());
    for n in 0..120 {
        fs::write(source.path().join(n.to_string()), content(n, 700_000)).unwrap();
    }
    let serving = serve(source.path());
    assert_eq!(fetch_all(&serving.url("/"), target.path()).failed, []);
    assert_same(source.path(), target.path());
}

#[test]
fn browsing_lists_directories_and_names() {
    let (source, target) = (temp(), temp());
    make_tree(source.path());
    let serving = serve(source.path());
    let fetching = fetch_with(settings(&serving.url("/"), target.path()));
    let path = haul::http1::path::RemotePath::from_target(b"/names/").unwrap();
    let entries = fetching
        .runtime
        .block_on(fetching.client.list(&path))
        .unwrap();
    let mut names: Vec<_> = entries.into_iter().map(|entry| entry.name).collect();
    let mut expected: Vec<_> = crate::common::trees::NAMES
        .iter()
        .map(|name| name.to_vec())
        .collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
    let missing = haul::http1::path::RemotePath::from_target(b"/nowhere/").unwrap();
    let error = fetching
        .runtime
        .block_on(fetching.client.list(&missing))
        .unwrap_err();
    assert_eq!(error.exit(), Exit::Remote);
}

#[test]
fn nothing_is_left_beside_what_was_fetched() {
    let (source, target) = (temp(), temp());
    fs::write(source.path().join("big"), content(1, 9 << 20)).unwrap();
    fs::write(source.path().join("small"), "x").unwrap();
    let serving = serve(source.path());
    let fetched = fetch_all(&serving.url("/"), target.path());
    assert!(
        fetched
            .finished
            .iter()
            .all(|(_, verified)| *verified >= Verified::Blake3)
    );
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 2);
}

/// More pieces than one run has, from a server that gives no ranges: it goes on from the first byte, and did not change.
#[test]
fn a_paused_file_without_ranges_begins_anew_and_nobody_is_blamed() {
    const SIZE: usize = (20 << 20) + 77;
    let bytes = content(3, SIZE);
    let body = bytes.clone();
    let plain = scripted(move |request| {
        let whole = ok("application/octet-stream", &body);
        if request.method == "HEAD" {
            let head = whole.bytes.len() - body.len();
            return Reply {
                bytes: whole.bytes[..head].to_vec(),
                ..whole
            };
        }
        whole
    });
    for pieces in [0, 2] {
        let target = temp();
        let proxy = proxy(plain.address);
        proxy.lines(|_| Line {
            rate: Some(6 << 20),
            ..Line::default()
        });
        let mut fetching = fetch_with(settings(&proxy.url("/"), target.path()));
        fetching.get_path("/big");
        let item = fetching.client.snapshot().items[0].id;
        fetching.wait_for("the first bytes", |now| {
            let item = &now.items[0];
            now.received > pieces << 20 && (pieces == 0 || item.done >= pieces << 20)
        });
        fetching.client.pause(item);
        fetching.wait_for("rest", |now| now.items[0].connections == 0);
        proxy.lines(|_| Line::default());
        fetching.client.resume(item);
        let fetched = fetching.finish();
        assert_eq!((fetched.failed, fetched.retried), (vec![], vec![]));
        assert!(fs::read(target.path().join("big")).unwrap() == bytes);
    }
}

#[test]
fn a_pause_loses_nothing_of_the_pieces_in_flight() {
    const SIZE: usize = (5 << 20) + 77;
    let (source, bytes) = (temp(), content(3, SIZE));
    fs::write(source.path().join("big"), &bytes).unwrap();
    let serving = serve(source.path());
    let plain = scripted(move |request| file(request, &bytes, "\nETag: \"1\""));
    for upstream in [serving.address, plain.address] {
        let target = temp();
        let proxy = proxy(upstream);
        proxy.lines(|_| Line {
            rate: Some(2 << 20),
            ..Line::default()
        });
        let mut fetching = fetch_with(haul::client::Settings {
            // Two would race for the last pieces, which costs bytes of itself.
            workers: 1,
            ..settings(&proxy.url("/"), target.path())
        });
        fetching.get_path("/big");
        let item = fetching.client.snapshot().items[0].id;
        let mut before = 0;
        for _ in 0..6 {
            let now = fetching.wait_for("more bytes", |now| {
                now.items[0].done > before + 300_000 || is_finished(&now.items[0].state)
            });
            fetching.client.pause(item);
            let rests = fetching.wait_for("rest", |now| now.items[0].connections == 0);
            assert!(rests.items[0].done >= now.items[0].done, "{rests:#?}");
            before = rests.items[0].done;
            fetching.client.resume(item);
        }
        let fetched = fetching.finish();
        assert_eq!(fetched.failed, []);
        assert_same(source.path(), target.path());
        let more = fetched.received - SIZE as u64;
        assert!(
            more < 1000,
            "{more} bytes more than the file and its pieces' values"
        );
    }
}
