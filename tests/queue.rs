//! What was asked for outlives the program that was asked.

use std::{fs, path::Path};

use haul::client::{ItemState, Settings, Want};
use tempfile::TempDir;

use crate::common::{
    fetching::{fetch_with, settings},
    program::Haul,
    proxy::{Line, Proxy, proxy},
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
fn a_killed_run_is_gone_on_with_by_the_next_unless_told_otherwise() {
    let (_root, _server, proxy) = stalling();
    let dir = tempfile::tempdir().unwrap();
    let (url, target) = (proxy.url("/"), dir.path().to_str().unwrap());
    let mut first = Haul::new(&["connect", &url, "-g", "one", "-d", target, "--headless"]);
    let mut child = first.command.spawn().unwrap();
    let start = std::time::Instant::now();
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
