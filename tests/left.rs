//! What a run leaves to the next one: all that may still come of it, by its own rules, and nothing else.

use std::{fs, path::Path, process::Stdio, time::Instant};

use haul::{
    client::{Settings, Snapshot, Want},
    config::OnConflict,
    exit::Exit,
    http1::path::RemotePath,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    common::{
        fetching::fetch_with,
        program::Haul,
        proxy::{Line, proxy},
        scripted::{Then, reply, scripted},
        serving::{PATIENCE, serve},
    },
    queue::{kept, pattern, stalling},
};

const MIB: usize = 1 << 20;

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
fn a_body_without_a_size_leaves_no_part_where_nothing_goes_on_with_it() {
    let server = scripted(|_| {
        let chunk = [&b"100000\r\n"[..], &vec![b'x'; 1 << 20], b"\r\n"].concat();
        let head = "200 OK\nContent-Type: application/octet-stream\nTransfer-Encoding: chunked";
        reply(head, &chunk.repeat(4)).then(Then::Hang)
    });
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = server.url("/");
    let received = |now: &Snapshot| now.received > 2 * MIB as u64;
    let mut first = fetch_with(kept(&url, state.path(), dir.path()));
    first.get_path("/one");
    first.wait_for("a part", received);
    let mut second = fetch_with(kept(&url, state.path(), dir.path()));
    second.get_path("/two");
    second.wait_for("a part", received);
    assert_eq!(names(dir.path()), ["one.part", "two.part"]);
    assert!(first.client.can_be_gone_on_with() && !second.client.can_be_gone_on_with());
    drop(second);
    assert_eq!(names(dir.path()), ["one.part"]);
    drop(first);
    assert_eq!(names(dir.path()), [""; 0]);
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
            assert!(start.elapsed() < PATIENCE);
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
