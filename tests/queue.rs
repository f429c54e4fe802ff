//! What was asked for outlives the program that was asked.

use std::{fs, path::Path, process::Stdio, time::Instant};

use haul::{
    client::{ItemId, ItemState, Settings, Snapshot, Want},
    exit::Exit,
    config::OnConflict,
    exit::Exit,
    http1::path::RemotePath,
    units::Rate,
};
use rustix::process::{Pid, Signal, kill_process};
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
fn stalling() -> (TempDir, Serving, Proxy) {
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

fn kept(url: &str, state: &Path, dir: &Path) -> Settings {
    Settings {
        state_dir: Some(state.to_owned()),
        workers: 1,
        ..settings(url, dir)
    }
}

fn pattern(name: &str) -> Want {
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

/// Files of `dir` below `photos`, by their names, and what is in the small ones.
fn photos(dir: &Path) -> Vec<(String, String)> {
    let names = fs::read_dir(dir.join("photos")).unwrap();
    let mut photos: Vec<_> = names
        .map(|entry| {
            let entry = entry.unwrap();
            let bytes = fs::read(entry.path()).unwrap();
            let text = match bytes.len() {
                0..100 => String::from_utf8_lossy(&bytes).into_owned(),
                n => format!("{n} from {}", bytes[0]),
            };
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect();
    photos.sort_unstable();
    photos
}

/// A run by one rule is interrupted, and one by another goes on: what is below `photos` then, and what the second would delete.
fn interrupted(first: OnConflict, get: &str, second: OnConflict) -> Vec<(String, String)> {
    let root = tempfile::tempdir().unwrap();
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for at in [root.path(), dir.path()] {
        fs::create_dir(at.join("photos")).unwrap();
        fs::create_dir(at.join("docs")).unwrap();
    }
    fs::write(root.path().join("photos/big"), vec![b'S'; 6 * MIB]).unwrap();
    fs::write(dir.path().join("photos/big"), "my edit").unwrap();
    fs::write(dir.path().join("photos/mine"), "mine").unwrap();
    fs::write(root.path().join("docs/d"), "newer").unwrap();
    fs::write(dir.path().join("docs/d"), "old").unwrap();
    let server = serve(root.path());
    let proxy = proxy(server.address);
    proxy.lines(|_| Line {
        stall_after: Some(2 * MIB as u64),
        ..Line::default()
    });
    let url = proxy.url("/");
    let kept = |on_conflict| Settings {
        on_conflict,
        delete: on_conflict == OnConflict::Update,
        ..kept(&url, &state.path().join("haul"), dir.path())
    };
    {
        let mut before = fetch_with(kept(first));
        before.get(pattern("photos/"));
        before.wait_for("some bytes", |now| now.received > MIB as u64);
    }
    proxy.lines(|_| Line::default());
    let target = dir.path().to_str().unwrap();
    let before = photos(dir.path());
    let dry = [
        "connect",
        &url,
        "-g",
        get,
        "-d",
        target,
        "--headless",
        "--dry-run",
    ];
    let mut dry = Haul::new(&dry);
    dry.command.env("XDG_STATE_HOME", state.path());
    let (status, stdout, stderr) = dry.run();
    assert_eq!(status, 0, "{stderr}");
    assert_eq!(
        stderr.contains("left from an earlier run: 1 to download"),
        get == "docs/",
        "{stdout}{stderr}"
    );
    assert_eq!(photos(dir.path()), before, "nothing is changed");
    let mut again = fetch_with(kept(second));
    again.get(pattern(get));
    assert_eq!(again.client.restore(false), usize::from(get == "docs/"));
    again.wait_for("all ended", |now| {
        now.items.iter().all(|item| item.state.is_ended())
    });
    let extras = again.client.extras();
    let extras: Vec<_> = extras.iter().map(|it| it.path.to_string_lossy()).collect();
    let all = get == "photos/" && second == OnConflict::Update;
    assert_eq!(extras, if all { vec!["photos/mine"] } else { vec![] });
    let fetched = again.finish();
    assert_eq!(fetched.failed, []);
    if get == "docs/" {
        let updated = fs::read_to_string(dir.path().join("docs/d")).unwrap() == "newer";
        assert_eq!(updated, second == OnConflict::Update);
    }
    photos(dir.path())
}

#[test]
fn what_an_earlier_run_left_keeps_its_own_rule() {
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let big = format!("{} from {}", 6 * MIB, b'S');
    let mine = pair("mine", "mine");
    let beside = [pair("big", "my edit"), pair("big (1)", &big), mine.clone()];
    let updated = [pair("big", &big), mine];
    let (verify, update) = (OnConflict::Verify, OnConflict::Update);
    assert_eq!(interrupted(verify, "docs/", update), beside);
    assert_eq!(interrupted(update, "docs/", verify), updated);
    // The same is asked for by another rule: that one counts.
    assert_eq!(interrupted(verify, "photos/", update), updated);
    assert_eq!(interrupted(update, "photos/", verify), beside);
}

#[test]
fn a_file_that_is_asked_for_again_comes_once() {
    let (root, _server, proxy) = stalling();
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(root.path().join("three"), "3").unwrap();
    let url = proxy.url("/");
    {
        let mut first = fetch_with(kept(&url, state.path(), dir.path()));
        first.get_path("/two");
        first.get_everything();
        first.wait_for("some bytes", |now| now.received > MIB as u64);
    }
    proxy.lines(|_| Line::default());
    let mut again = fetch_with(Settings {
        fail_empty: true,
        ..kept(&url, state.path(), dir.path())
    });
    again.get(pattern("t*"));
    // The one file is taken by what was asked for later.
    assert_eq!(again.client.restore(false), 1);
    let fetched = again.finish();
    assert_eq!(fetched.paths(), ["one", "three", "two"]);
    assert_eq!(fetched.failed, []);
    assert!(fetched.received < 13 * MIB as u64, "{}", fetched.received);
    let names = fs::read_dir(dir.path()).unwrap();
    assert_eq!(names.count(), 3, "no part is left");
    let last = fetch_with(kept(&url, state.path(), dir.path()));
    assert_eq!(last.client.restore(false), 0);
}

#[test]
fn what_fails_for_good_is_not_tried_by_later_runs() {
    let root = tempfile::tempdir().unwrap();
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(root.path().join("sub")).unwrap();
    for name in ["a", "b", "sub/c"] {
        fs::write(root.path().join(name), name).unwrap();
    }
    fs::write(dir.path().join("sub"), "in the way").unwrap();
    let server = serve(root.path());
    let url = server.url("/");
    let mistyped = Want::File {
        path: RemotePath::from_target(b"/a").unwrap(),
        name: None,
        checksum: Some(format!("sha-256={}", "0".repeat(64)).parse().unwrap()),
    };
    for (want, status) in [(mistyped, Exit::Integrity), (pattern("sub/"), Exit::Disk)] {
        let mut first = fetch_with(kept(&url, state.path(), dir.path()));
        first.get(want);
        assert_eq!(first.finish().exit, Some(status));
        let mut second = fetch_with(kept(&url, state.path(), dir.path()));
        second.get(pattern("b"));
        assert_eq!(second.client.restore(false), 0);
        let fetched = second.finish();
        assert_eq!(
            (fetched.exit, fetched.paths()),
            (Some(Exit::Done), vec!["b"])
        );
    }
}

#[test]
fn a_run_that_is_refused_leaves_nothing_to_a_later_one() {
    let root = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::write(root.path().join(name), name).unwrap();
    }
    let server = serve(root.path());
    let (url, temp) = (server.url("/"), tempfile::tempdir().unwrap());
    let dir = temp.path().join("new");
    let target = dir.to_str().unwrap();
    let line = |more: &[&str]| Haul::new(&[&["connect", &url, "-d", target], more].concat());
    let malformed = line(&["--get", ".", "--headless"]).fails(2);
    assert!(malformed.contains("an empty pattern"), "{malformed}");
    assert!(!dir.exists(), "nothing is made for what is refused");
    let file = temp.path().join("file");
    fs::write(&file, "").unwrap();
    let socket = file.join("socket");
    let nowhere = ["--control", socket.to_str().unwrap()];
    for more in [&["--headless"][..], &["--run", "-"]] {
        let refused = line(&[&["--all"], more, &nowhere].concat());
        let state = refused.state.path().to_owned();
        let mut again = line(&["--get", "a", "--headless"]);
        again.command.env("XDG_STATE_HOME", &state);
        let mut refused = refused;
        let output = refused.command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{stderr}");
        assert!(!stderr.contains("report it"), "{stderr}");
        let (status, stdout, stderr) = again.run();
        assert_eq!(status, 0, "{stderr}");
        assert!(stdout.starts_with("1 file"), "{stdout}");
        assert!(!dir.join("b").exists());
        fs::remove_file(dir.join("a")).unwrap();
    }
}

#[test]
fn what_has_no_directory_now_waits_for_a_later_run() {
    let (_root, _server, proxy) = stalling();
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = proxy.url("/");
    let elsewhere = tempfile::tempdir().unwrap();
    let to = elsewhere.path().join("to");
    {
        let mut first = fetch_with(kept(&url, state.path(), dir.path()));
        first.client.get(pattern("one"), Some(&to)).unwrap();
        first.wait_for("some bytes", |now| now.received > MIB as u64);
    }
    proxy.lines(|_| Line::default());
    let aside = elsewhere.path().join("aside");
    fs::rename(&to, &aside).unwrap();
    fs::write(&to, "no directory").unwrap();
    let second = fetch_with(kept(&url, state.path(), dir.path()));
    assert_eq!(second.client.restore(false), 0);
    drop(second);
    fs::remove_file(&to).unwrap();
    fs::rename(&aside, &to).unwrap();
    let third = fetch_with(kept(&url, state.path(), dir.path()));
    assert_eq!(third.client.restore(false), 1);
    assert_eq!(third.finish().exit, Some(Exit::Done));
    assert!(to.join("one").exists() && !dir.path().join("one").exists());
}

/// Names in a directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_run_without_a_journal_leaves_no_part() {
    let (_root, _server, proxy) = stalling();
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = proxy.url("/");
    let mut first = fetch_with(kept(&url, state.path(), dir.path()));
    first.get_path("/one");
    first.wait_for("some bytes", |now| now.received > MIB as u64);
    let mut second = fetch_with(kept(&url, state.path(), dir.path()));
    second.get_path("/one");
    second.get_path("/two");
    second.wait_for("some bytes", |now| now.received > MIB as u64);
    let cancelled = second.client.snapshot().items[0].id;
    second.client.cancel(cancelled);
    second.wait_for("the other", |now| now.received > 2 * MIB as u64);
    assert_eq!(names(dir.path()).len(), 3);
    assert!(first.client.can_be_gone_on_with() && !second.client.can_be_gone_on_with());
    drop(second);
    assert_eq!(names(dir.path()), ["one.part"]);
    drop(first);
    assert_eq!(names(dir.path()), ["one.part"]);
}

#[test]
fn only_what_can_be_gone_on_with_is_said_to_go_on() {
    let (_root, _server, proxy) = stalling();
    let url = proxy.url("/");
    for (more, goes_on) in [(&[][..], true), (&["--no-resume"], false)] {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().to_str().unwrap();
        let line = ["connect", &url, "-g", "one", "-d", target, "--headless"];
        let mut haul = Haul::new(&[&line[..], more].concat());
        haul.command.stdout(Stdio::piped()).stderr(Stdio::null());
        let before = proxy.file_bytes();
        let child = haul.command.spawn().unwrap();
        let start = Instant::now();
        while proxy.file_bytes() == before {
            assert!(start.elapsed() < crate::common::serving::PATIENCE);
            std::thread::yield_now();
        }
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(", interrupted"), "{said}");
        assert_eq!(said.contains("the same command goes on"), goes_on, "{said}");
    }
}

#[test]
fn another_digest_takes_the_place_of_one_that_an_earlier_run_was_given() {
    let (root, _server, proxy) = stalling();
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = proxy.url("/");
    let want = |hash: String| Want::File {
        path: RemotePath::from_target(b"/one").unwrap(),
        name: None,
        checksum: Some(format!("blake3={hash}").parse().unwrap()),
    };
    {
        let mut first = fetch_with(kept(&url, state.path(), dir.path()));
        first.get(want("0".repeat(64)));
        first.wait_for("some bytes", |now| now.received > MIB as u64);
    }
    proxy.lines(|_| Line::default());
    let content = fs::read(root.path().join("one")).unwrap();
    let mut again = fetch_with(kept(&url, state.path(), dir.path()));
    again.get(want(blake3::hash(&content).to_hex().to_string()));
    assert_eq!(again.client.restore(false), 0);
    assert_eq!(again.finish().exit, Some(Exit::Done));
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
