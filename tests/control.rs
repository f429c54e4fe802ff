//! Downloads in bulk and under control: bursts, endless listings, cancelling and stopping in the middle of things.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::common::{
    fetching::{fetch_with, settings},
    scripted::{Reply, Then, file, ok, scripted},
    serving::PATIENCE,
};
use haul::{
    client::{ItemState, Link, Settings, Snapshot, Want},
    config::OnConflict,
    http1::path::RemotePath,
};

const MIB: usize = 1 << 20;

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn path(target: &str) -> RemotePath {
    RemotePath::from_target(target.as_bytes()).unwrap()
}

/// A listing of `count` files of `size` bytes.
fn listing(count: usize, size: usize) -> Reply {
    let entry = |i| format!(r#"{{"name":"{i}","size":{size},"is_dir":false}}"#);
    let all: Vec<_> = (0..count).map(entry).collect();
    ok(
        "application/json",
        format!("[{}]", all.join(",")).as_bytes(),
    )
}

/// Closed until it is opened, once and for all.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        let held = self.0.lock().unwrap();
        let (open, _) = self
            .1
            .wait_timeout_while(held, PATIENCE, |open| !*open)
            .unwrap();
        assert!(*open, "the gate was never opened");
    }
}

/// More small files in one burst than may wait for the disk: they must be handed on before there is room again.
#[test]
fn a_burst_of_small_files_does_not_wait_for_itself() {
    const COUNT: usize = 60;
    let content = vec![7; MIB];
    let server = scripted(move |request| match request.target.as_str() {
        "/" => listing(COUNT, MIB),
        _ => file(request, &content, ""),
    });
    let to = temp();
    let mut fetching = fetch_with(Settings {
        workers: 1,
        ..settings(&server.url("/"), to.path())
    });
    fetching.get_everything();
    assert_eq!(fetching.finish().finished.len(), COUNT);
}

#[test]
fn an_item_that_is_cancelled_before_its_first_answer_ends() {
    let gate = Arc::new(Gate::default());
    let content = vec![7; 8 * MIB];
    let server = scripted({
        let gate = Arc::clone(&gate);
        move |request| {
            gate.pass();
            file(request, &content, "")
        }
    });
    let to = temp();
    let mut fetching = fetch_with(settings(&server.url("/"), to.path()));
    let item = fetching
        .client
        .get(
            Want::Path {
                path: path("/big"),
                size: None,
            },
            None,
        )
        .unwrap();
    fetching.wait_for("the request", |_| !server.requests().is_empty());
    fetching.client.cancel(item);
    gate.open();
    fetching.wait_for("the end", |snapshot| {
        snapshot.items[0].state == ItemState::Cancelled
    });
    fetching.client.retry(item);
    assert_eq!(fetching.finish().finished.len(), 1);
}

/// Listings are held back while many files wait, but never by all connections at once.
#[test]
fn connections_that_all_read_long_listings_do_not_wait_for_each_other() {
    let entry = |name| format!(r#"{{"name":"{name}/","is_dir":true}}"#);
    let root = format!("[{},{}]", entry("a"), entry("b"));
    let long = listing(30_000, 0);
    let server = scripted(move |request| match request.target.as_str() {
        "/" => ok("application/json", root.as_bytes()),
        "/a/" | "/b/" => long.clone(),
        _ => file(request, b"", ""),
    });
    let to = temp();
    let mut fetching = fetch_with(Settings {
        workers: 2,
        ..settings(&server.url("/"), to.path())
    });
    fetching.get_everything();
    fetching.wait_for("a finished file", |snapshot| {
        snapshot.items[0].files.as_ref().unwrap().done > 0
    });
}

/// A listing that breaks after part of it was handed on is read again, and nothing in it is fetched twice.
#[test]
fn a_listing_that_is_cut_is_continued() {
    const COUNT: usize = 3000;
    let times = AtomicUsize::new(0);
    let server = scripted(move |request| match request.target.as_str() {
        "/" => {
            let mut whole = listing(COUNT, 0);
            if times.fetch_add(1, Ordering::Relaxed) == 0 {
                whole.bytes.truncate(whole.bytes.len() * 2 / 3);
                return whole.then(Then::Close);
            }
            whole
        }
        _ => file(request, b"", ""),
    });
    let to = temp();
    let mut fetching = fetch_with(Settings {
        on_conflict: OnConflict::Rename,
        ..settings(&server.url("/"), to.path())
    });
    fetching.get_everything();
    assert_eq!(fetching.finish().finished.len(), COUNT);
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), COUNT);
}

#[test]
fn a_tree_that_is_cancelled_while_it_is_listed_is_whole_after_a_retry() {
    let gate = Arc::new(Gate::default());
    let server = scripted({
        let gate = Arc::clone(&gate);
        let root = r#"[{"name":"a","size":0,"is_dir":false},{"name":"b/","is_dir":true}]"#;
        move |request| match request.target.as_str() {
            "/" => ok("application/json", root.as_bytes()),
            "/b/" => {
                gate.pass();
                listing(1, 0)
            }
            _ => file(request, b"", ""),
        }
    });
    let to = temp();
    let mut fetching = fetch_with(settings(&server.url("/"), to.path()));
    let item = fetching.client.get(
        Want::Path {
            path: RemotePath::root(),
            size: None,
        },
        None,
    );
    let item = item.unwrap();
    fetching.wait_for("the other file", |snapshot| {
        let listed = server.requests().iter().any(|it| it.target == "/b/");
        listed && snapshot.items[0].files.as_ref().unwrap().done == 1
    });
    fetching.client.cancel(item);
    gate.open();
    fetching.wait_for("the end", |snapshot| {
        snapshot.items[0].state == ItemState::Cancelled
    });
    fetching.client.retry(item);
    fetching.finish();
    assert!(to.path().join("b/0").is_file());
}

/// All connections notice an outage at the same moment: that is one failure, not one for each.
#[test]
fn an_outage_counts_once_however_many_connections_notice_it() {
    const WORKERS: usize = 8;
    let hanging = Arc::new(AtomicUsize::new(0));
    let server = scripted({
        let (hanging, content) = (Arc::clone(&hanging), vec![7; 2 * MIB]);
        move |request| match request.target.as_str() {
            "/" => listing(WORKERS * 4, 2 * MIB),
            _ if request.nth == 0 => file(request, &content, ""),
            _ => {
                hanging.fetch_add(1, Ordering::Relaxed);
                Reply {
                    bytes: Vec::new(),
                    then: Then::Hang,
                }
            }
        }
    });
    let to = temp();
    let mut fetching = fetch_with(Settings {
        workers: WORKERS,
        ..settings(&server.url("/"), to.path())
    });
    fetching.get_everything();
    fetching.wait_for("some that hang", |_| hanging.load(Ordering::Relaxed) > 4);
    let gone = Instant::now();
    drop(server);
    fetching.wait_for("the end", |snapshot| matches!(snapshot.link, Link::Down(_)));
    // Three pauses: 0.5, 1 and 2 seconds, each a quarter less at most.
    assert!(
        gone.elapsed() > Duration::from_secs(2),
        "{:?}",
        gone.elapsed()
    );
}

#[test]
fn a_failure_while_an_item_is_paused_is_no_failure() {
    let gate = Arc::new(Gate::default());
    let times = AtomicUsize::new(0);
    let server = scripted({
        let gate = Arc::clone(&gate);
        move |request| {
            if times.fetch_add(1, Ordering::Relaxed) > 0 {
                return file(request, b"content", "");
            }
            gate.pass();
            Reply {
                bytes: Vec::new(),
                then: Then::Close,
            }
        }
    });
    let to = temp();
    let mut fetching = fetch_with(Settings {
        retries: 0,
        workers: 1,
        ..settings(&server.url("/"), to.path())
    });
    let item = fetching
        .client
        .get(
            Want::Path {
                path: path("/a"),
                size: None,
            },
            None,
        )
        .unwrap();
    fetching.wait_for("the request", |_| !server.requests().is_empty());
    fetching.client.pause(item);
    gate.open();
    fetching.wait_for("the break", |snapshot| {
        assert_eq!(snapshot.items[0].state, ItemState::Paused);
        snapshot.connections == 0 && snapshot.items[0].connections == 0
    });
    fetching.client.resume(item);
    assert_eq!(fetching.finish().failed, []);
    assert!(to.path().join("a").is_file());
}

#[test]
fn two_items_of_one_file_do_not_share_a_part() {
    let (gate, opened) = (Arc::new(Gate::default()), AtomicUsize::new(0));
    let content: Vec<u8> = (0..4 * MIB).map(|i| (i / 1000) as u8).collect();
    let server = scripted({
        let (gate, content) = (Arc::clone(&gate), content.clone());
        move |request| {
            // Without a range it is a look at what is there: the part of the other item was there first.
            let first = request.range(content.len()).map(|(first, _)| first);
            if first == Some(0) && opened.fetch_add(1, Ordering::Relaxed) == 1 {
                gate.open();
            } else if first.is_some_and(|first| first > 0) {
                gate.pass();
            }
            file(request, &content, "")
        }
    });
    let to = temp();
    let mut fetching = fetch_with(Settings {
        on_conflict: OnConflict::Rename,
        ..settings(&server.url("/"), to.path())
    });
    fetching.get_path("/big");
    fetching.get_path("/big");
    let fetched = fetching.finish();
    assert_eq!(fetched.failed, []);
    for name in ["big", "big (1)"] {
        assert!(
            std::fs::read(to.path().join(name)).unwrap() == content,
            "{name}"
        );
    }
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 2);
}

#[test]
fn stopping_does_not_wait_for_somebody_who_takes_no_events() {
    let server = scripted(move |request| match request.target.as_str() {
        "/" => listing(300, 0),
        _ => file(request, b"", ""),
    });
    let to = temp();
    let mut fetching = fetch_with(settings(&server.url("/"), to.path()));
    fetching.get_everything();
    let start = Instant::now();
    // As much as the channel holds: the next one waits to be told.
    let done = |now: &Snapshot| now.items[0].files.map_or(0, |files| files.done);
    while done(&fetching.client.snapshot()) < 64 {
        assert!(start.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    let client = fetching.client.clone();
    let stopped = fetching
        .runtime
        .block_on(async { tokio::time::timeout(PATIENCE, client.stop()).await });
    assert!(stopped.is_ok());
}

#[test]
fn a_stopped_client_lists_nothing_and_says_so() {
    let server = scripted(|request| file(request, b"", "").then(Then::Hang));
    let to = temp();
    let fetching = fetch_with(settings(&server.url("/"), to.path()));
    let client = fetching.client.clone();
    let listed = fetching.runtime.block_on(async {
        client.stop().await;
        tokio::time::timeout(PATIENCE, client.list(&RemotePath::root())).await
    });
    assert!(listed.unwrap().is_err());
}

#[test]
fn a_client_that_the_server_pauses_waits_and_spends_no_try() {
    let (root, dir) = (temp(), temp());
    for name in 0..6 {
        let bytes = crate::common::trees::content(name, 2 * MIB);
        std::fs::write(root.path().join(name.to_string()), bytes).unwrap();
    }
    let serving = crate::common::serving::serve(root.path());
    let proxy = crate::common::proxy::proxy(serving.address);
    proxy.lines(|_| crate::common::proxy::Line {
        rate: Some(2 << 20),
        ..Default::default()
    });
    let mut fetching = fetch_with(Settings {
        retries: 1,
        workers: 2,
        timeout: Duration::from_millis(500),
        ..settings(&proxy.url("/"), dir.path())
    });
    fetching.get_everything();
    fetching.wait_for("some bytes", |client| client.received > MIB as u64);
    let snapshot = serving.server.snapshot();
    let id = snapshot.clients[0].id;
    serving.server.pause(id);
    // What was under way is held, and times out; what is asked for after that is told to wait.
    let paused = fetching.wait_for("the pause", |client| client.link == Link::Paused);
    let waits = ItemState::Waiting("paused by the server".to_owned());
    assert_eq!(paused.items[0].state, waits);
    // More often than there are tries.
    let asked = serving.server.snapshot().requests;
    serving.wait_for("it asks again", |server| server.requests > asked + 4);
    serving.server.resume(id);
    let fetched = fetching.finish();
    assert_eq!(fetched.failed, []);
    assert_eq!(fetched.finished.len(), 6);
    crate::common::trees::assert_same(root.path(), dir.path());
}
