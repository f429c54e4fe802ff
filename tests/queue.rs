//! What was asked for outlives the program that was asked.

use std::{fs, path::Path, time::Instant};

use haul::{
    client::{ItemId, ItemState, Settings, Snapshot, Want},
    exit::Exit,
    http1::path::RemotePath,
    units::Rate,
};
use tempfile::TempDir;

use crate::common::{
    fetching::{fetch_with, settings},
    program::Haul,
    proxy::{Line, Proxy, opaque_proxy, proxy},
    scripted::{ok, scripted},
    serving::{Serving, serve},
    trees::content,
};

const MIB: usize = 1 << 20;

/// Two large files behind a proxy that stalls once a little of them has passed.
pub fn stalling() -> (TempDir, Serving, Proxy) {
    let root = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        fs::write(root.path().join(name), content(1, 6 * MIB)).unwrap();
    }
    let server = serve(root.path());
    let proxy = proxy(server.address);
    proxy.lines(|_| Line {
        stall_after: Some(2 * MIB as u64),
        ..Line::default()
    });
    (root, server, proxy)
}

pub fn kept(url: &str, state: &Path, dir: &Path) -> Settings {
    Settings {
        state_dir: Some(state.to_owned()),
        workers: 1,
        ..settings(url, dir)
    }
}

pub fn pattern(name: &str) -> Want {
    Want::Patterns {
        get: vec![name.to_owned()],
        exclude: Vec::new(),
    }
}

#[test]
fn a_dashboard_finds_its_queue_again_paused() {
    let (root, _server, proxy) = stalling();
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = proxy.url("/");
    {
        let mut before = fetch_with(kept(&url, state.path(), dir.path()));
        before.get(pattern("one"));
        before.get_path("/two");
        before.get_path("/nothing");
        let gone = before.client.get(pattern("t*"), None).unwrap();
        before.client.cancel(gone);
        before.wait_for("some bytes", |client| client.received > MIB as u64);
    }
    proxy.lines(|_| Line::default());
    let elsewhere = dir.path().join("elsewhere");
    let other = fetch_with(kept(&url, state.path(), &elsewhere));
    assert_eq!(other.client.restore(true), 0);
    drop(other);
    let mut again = fetch_with(kept(&url, state.path(), dir.path()));
    // What is asked for again is not there twice.
    again.get(pattern("one"));
    assert_eq!(again.client.restore(true), 2);
    let items = again.client.snapshot().items;
    let paused = |item: &haul::client::ItemView| item.state == ItemState::Paused;
    assert_eq!(
        items.iter().filter(|item| paused(item)).count(),
        2,
        "{items:?}"
    );
    for item in items {
        again.client.resume(item.id);
    }
    let fetched = again.finish();
    assert_eq!(fetched.paths(), ["one", "two"]);
    assert_eq!(fetched.failed.len(), 1, "{:?}", fetched.failed);
    for name in ["one", "two"] {
        assert_eq!(
            fs::read(dir.path().join(name)).unwrap(),
            fs::read(root.path().join(name)).unwrap()
        );
    }
    let last = fetch_with(kept(&url, state.path(), dir.path()));
    assert_eq!(last.client.restore(true), 0);
}

#[test]
fn what_ended_at_once_is_not_taken_for_what_was_left() {
    let root = tempfile::tempdir().unwrap();
    let server = serve(root.path());
    for _ in 0..30 {
        let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut fetching = fetch_with(kept(&server.url("/"), state.path(), dir.path()));
        fetching.get_path("/nothing");
        let ended = |item: &haul::client::ItemView| matches!(item.state, ItemState::Failed(_));
        while !fetching.client.snapshot().items.iter().all(ended) {
            std::thread::yield_now();
        }
        assert_eq!(fetching.client.restore(false), 0);
    }
}

#[test]
fn a_killed_run_is_gone_on_with_by_the_next_unless_told_otherwise() {
    let (_root, _server, proxy) = stalling();
    let dir = tempfile::tempdir().unwrap();
    let (url, target) = (proxy.url("/"), dir.path().to_str().unwrap());
    let mut first = Haul::new(&["connect", &url, "-g", "one", "-d", target, "--headless"]);
    let mut child = first.command.spawn().unwrap();
    let start = Instant::now();
    while proxy.file_bytes() == 0 {
        assert!(start.elapsed() < crate::common::serving::PATIENCE);
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    proxy.lines(|_| Line::default());
    let second = ["connect", &url, "-g", "two", "-d", target, "--headless"];
    // Told to start afresh it forgets; a copy of the state is kept for the run that goes on.
    let state = first.state.path().join("haul");
    let copy = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-a", state.to_str().unwrap(), copy.path().to_str().unwrap()])
        .status();
    assert!(copied.unwrap().success());
    let run = |state: &Path, more: &[&str]| {
        let mut haul = Haul::new(&second);
        haul.command.args(more).env("XDG_STATE_HOME", state);
        let (status, _, stderr) = haul.run();
        assert_eq!(status, 0, "{stderr}");
    };
    run(first.state.path(), &["--no-resume"]);
    assert!(!dir.path().join("one").exists() && dir.path().join("two").exists());
    run(first.state.path(), &[]);
    assert!(!dir.path().join("one").exists());
    run(copy.path(), &[]);
    assert!(dir.path().join("one").exists());
}

#[test]
fn what_is_kept_of_a_cancelled_file_is_shown_and_a_retry_begins_there() {
    let (root, _server, proxy) = stalling();
    proxy.lines(|_| Line {
        stall_after: Some(4 * MIB as u64),
        ..Line::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let mut fetching = fetch_with(Settings {
        workers: 1,
        ..settings(&proxy.url("/"), dir.path())
    });
    fetching.get_path("/one");
    let now = fetching.wait_for("three pieces", |now| now.items[0].done >= 3 * MIB as u64);
    let item = now.items[0].id;
    fetching.client.cancel(item);
    let now = fetching.wait_for("it is cancelled", |now| {
        now.items[0].state == ItemState::Cancelled
    });
    let kept = now.items[0].done;
    assert!((3..6).contains(&(kept / MIB as u64)), "{now:#?}");
    proxy.lines(|_| Line::default());
    // At once: what held the part has hardly let go of it.
    fetching.client.retry(item);
    let mut least = u64::MAX;
    while !fetching.client.snapshot().items[0].state.is_ended() {
        let now = fetching.wait_for("a look", |_| true);
        least = least.min(now.items[0].done);
    }
    assert!(least >= kept, "{least} of {kept}");
    let fetched = fetching.finish();
    assert!(fetched.received < 8 * MIB as u64, "{fetched:?}");
    assert_eq!(
        fs::read(dir.path().join("one")).unwrap(),
        fs::read(root.path().join("one")).unwrap()
    );
    let names = fs::read_dir(dir.path()).unwrap();
    assert_eq!(names.count(), 1, "no other part was begun");
}

#[test]
fn a_retry_is_kept_for_a_later_run() {
    let (_root, _server, proxy) = stalling();
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = proxy.url("/");
    {
        let mut first = fetch_with(kept(&url, state.path(), dir.path()));
        first.get_path("/one");
        first.get_path("/two");
        let now = first.wait_for("some bytes", |now| now.received > MIB as u64);
        for item in &now.items {
            first.client.cancel(item.id);
        }
        first.wait_for("both are cancelled", |now| {
            now.items.iter().all(|item| item.state.is_ended())
        });
        first.client.retry(now.items[1].id);
    }
    let again = fetch_with(kept(&url, state.path(), dir.path()));
    assert_eq!(again.client.restore(true), 1);
    assert_eq!(again.client.snapshot().items[0].path.as_bytes(), b"two");
}

fn done(snapshot: &Snapshot, item: ItemId) -> u64 {
    let mut items = snapshot.items.iter();
    items.find(|it| it.id == item).unwrap().done
}

#[test]
fn the_limit_of_one_transfer_holds_over_all_its_connections_and_holds_up_no_other() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), content(1, 40 * MIB)).unwrap();
    fs::create_dir(root.path().join("tree")).unwrap();
    for n in 0..160 {
        let name = format!("tree/{n}");
        fs::write(root.path().join(name), content(n, MIB / 4)).unwrap();
    }
    fs::write(root.path().join("free"), content(2, 40 * MIB)).unwrap();
    let server = serve(root.path());
    for slow in ["/file", "/tree/"] {
        let dir = tempfile::tempdir().unwrap();
        let mut fetching = fetch_with(Settings {
            workers: 4,
            ..settings(&server.url("/"), dir.path())
        });
        let get = |target: &str| {
            let path = RemotePath::from_target(target.as_bytes()).unwrap();
            fetching.client.get(Want::Path { path, size: None }, None)
        };
        let (slow, free) = (get(slow).unwrap(), get("/free").unwrap());
        fetching.client.limit_item(slow, Some(Rate(2 * MIB as u64)));
        let (began, before) = (Instant::now(), fetching.client.snapshot());
        let ended = |it: &haul::client::ItemView| it.id == free && it.state.is_ended();
        let now = fetching.wait_for("the other", |it| it.items.iter().any(ended));
        assert!(done(&now, slow) < 40 * MIB as u64 / 2, "{now:?}");
        let more = done(&before, slow) + 6 * MIB as u64;
        let now = fetching.wait_for("some", |it| done(it, slow) > more);
        let may = began.elapsed().as_secs_f64() * 2.0 + 2.0;
        let took = (done(&now, slow) - done(&before, slow)) as f64 / MIB as f64;
        assert!(took <= may, "{took} MiB of {may}");
        fetching.client.limit_item(slow, None);
        let fetched = fetching.finish();
        assert_eq!(fetched.failed.len(), 0, "{:?}", fetched.failed);
    }
}

#[test]
fn order_first_and_limits_outlive_the_program() {
    let (_root, _server, proxy) = stalling();
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = proxy.url("/");
    let limit = Some(Rate(123_456));
    {
        let mut before = fetch_with(kept(&url, state.path(), dir.path()));
        before.get_path("/one");
        before.get_path("/two");
        before.get(pattern("t*"));
        let items: Vec<_> = before
            .client
            .snapshot()
            .items
            .iter()
            .map(|it| it.id)
            .collect();
        before.client.reorder(items[2], -2);
        before.client.set_first(items[1], true);
        before.client.limit_item(items[1], limit);
        before.wait_for("the journal", |_| {
            let mut journals = fs::read_dir(state.path().join("journals")).unwrap();
            let text = fs::read_to_string(journals.next().unwrap().unwrap().path()).unwrap();
            text.contains("123456") && text.contains("\"order\":[1,2,0]")
        });
    }
    let again = fetch_with(kept(&url, state.path(), dir.path()));
    assert_eq!(again.client.restore(true), 3);
    let items = again.client.snapshot().items;
    let seen: Vec<_> = items
        .iter()
        .map(|it| (it.path.to_target(), it.first, it.limit))
        .collect();
    assert_eq!(
        seen,
        [
            ("/two".into(), true, limit),
            ("/".into(), false, None),
            ("/one".into(), false, None)
        ]
    );
}

/// A file of which a job waits for another to let go of the part, until that has landed it.
#[test]
fn a_file_that_is_asked_for_twice_stays_what_it_became() {
    const SIZE: usize = 6 * MIB;
    let root = tempfile::tempdir().unwrap();
    let bytes = content(5, SIZE);
    fs::write(root.path().join("big"), &bytes).unwrap();
    let server = serve(root.path());
    let body = bytes.clone();
    let plain = scripted(move |_| ok("application/octet-stream", &body));
    for address in [server.address, plain.address] {
        let dir = tempfile::tempdir().unwrap();
        let proxy = opaque_proxy(address);
        proxy.lines(|_| Line {
            rate: Some(3 << 20),
            ..Line::default()
        });
        let mut fetching = fetch_with(Settings {
            workers: 2,
            ..settings(&proxy.url("/"), dir.path())
        });
        fetching.get_path("/big");
        fetching.wait_for("the first half", |now| now.received > SIZE as u64 / 2);
        fetching.get_path("/big");
        let fetched = fetching.finish();
        assert_eq!((fetched.failed.len(), fetched.exit), (0, Some(Exit::Done)));
        assert!(fs::read(dir.path().join("big")).unwrap() == bytes);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_pause_stops_small_files_that_were_asked_for_ahead() {
    const FILES: u64 = 120;
    let root = tempfile::tempdir().unwrap();
    for n in 0..FILES {
        fs::write(root.path().join(format!("{n:03}")), content(n, 10_000)).unwrap();
    }
    let server = serve(root.path());
    let (proxy, dir) = (proxy(server.address), tempfile::tempdir().unwrap());
    proxy.lines(|_| Line {
        rate: Some(100_000),
        ..Line::default()
    });
    let mut fetching = fetch_with(Settings {
        workers: 2,
        ..settings(&proxy.url("/"), dir.path())
    });
    fetching.get(Want::Patterns {
        get: Vec::new(),
        exclude: Vec::new(),
    });
    let finished = |now: &Snapshot| now.items[0].files.as_ref().map_or(0, |files| files.done);
    fetching.wait_for("some files", |now| finished(now) > 4);
    let item = fetching.client.snapshot().items[0].id;
    fetching.client.pause(item);
    let now = fetching.wait_for("rest", |now| now.items[0].connections == 0);
    assert!(finished(&now) < FILES / 2, "{now:#?}");
    proxy.lines(|_| Line::default());
    fetching.client.resume(item);
    let fetched = fetching.finish();
    assert_eq!((fetched.failed, fetched.retried), (vec![], vec![]));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), FILES as usize);
}

#[test]
fn a_client_that_stops_gives_way_to_the_next_of_its_process() {
    let (root, _server, proxy) = stalling();
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = proxy.url("/");
    let mut before = fetch_with(kept(&url, state.path(), dir.path()));
    before.get_path("/one");
    before.wait_for("some of it", |now| now.items[0].done >= MIB as u64);
    // Another client beside it keeps no queue; one that it gives way to goes on with what it has.
    let other = fetch_with(kept(&url, state.path(), dir.path()));
    assert_eq!(other.client.restore(false), 0);
    before.client.give_way(true);
    let next = fetch_with(kept(&url, state.path(), dir.path()));
    before.runtime.block_on(before.client.stop());
    proxy.lines(|_| Line::default());
    assert_eq!(next.client.restore(false), 1);
    let fetched = next.finish();
    assert_eq!((fetched.failed.len(), fetched.finished.len()), (0, 1));
    assert!(fetched.received <= 5 * MIB as u64, "{}", fetched.received);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let (here, there) = (dir.path().join("one"), root.path().join("one"));
    assert!(fs::read(here).unwrap() == fs::read(there).unwrap());
}
