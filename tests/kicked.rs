//! A client that the server does not want now: it says why, waits or ends, and loses nothing.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::Stdio,
    time::Duration,
};

use haul::{
    client::{self, ItemState, Link, Settings},
    exit::Exit,
    server::{self, ClientId},
    units::Rate,
};
use tempfile::TempDir;

use crate::common::{
    fetching::{Fetching, fetch_all, fetch_with, is_finished, settings},
    program::Haul,
    scripted::{reply, scripted},
    serving::{Serving, serve_with},
    trees::content,
};

const MIB: usize = 1 << 20;
/// Long enough to be seen on a busy machine.
const SHORT: Duration = Duration::from_secs(3);
const HOUR: Duration = Duration::from_secs(3600);

/// A server of one large file, slow enough for a client to be met on its way.
fn slow(kick: Duration) -> (TempDir, Serving) {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("big"), content(1, 24 * MIB)).unwrap();
    let serving = serve_with(server::Settings {
        kick,
        limit: Some(Rate(8 * MIB as u64)),
        ..server::Settings::new(root.path().to_owned())
    });
    (root, serving)
}

fn patient(url: &str, dir: &Path) -> Settings {
    Settings {
        patient: true,
        ..settings(url, dir)
    }
}

/// Fetches the file until some of it is here.
fn begin(serving: &Serving, settings: Settings) -> Fetching {
    let mut fetching = fetch_with(settings);
    fetching.get_path("/big");
    fetching.wait_for("some of it", |now| now.items[0].done >= 8 * MIB as u64);
    serving.wait_for("its client", |now| now.clients.len() == 1);
    fetching
}

fn only_client(serving: &Serving) -> ClientId {
    serving.server.snapshot().clients[0].id
}

fn kicked(now: &client::Snapshot) -> bool {
    matches!(&now.link, Link::Kicked { reason, .. } if reason == "too <greedy>")
}

fn is_whole(root: &TempDir, dir: &TempDir) -> bool {
    fs::read(dir.path().join("big")).unwrap() == fs::read(root.path().join("big")).unwrap()
}

#[test]
fn it_says_why_waits_and_comes_back_with_every_byte() {
    let (root, serving) = slow(SHORT);
    let dir = tempfile::tempdir().unwrap();
    let mut fetching = begin(&serving, settings(&serving.url("/"), dir.path()));
    serving.server.kick(only_client(&serving), "too <greedy>");
    let now = fetching.wait_for("it knows why", kicked);
    assert!(
        matches!(&now.items[0].state, ItemState::Waiting(why) if why.starts_with("kicked, back in ") && why.ends_with(" s: too <greedy>")),
        "{now:#?}"
    );
    serving.server.limit(None);
    fetching.wait_for("it is let in again", |now| now.link == Link::Up);
    let fetched = fetching.finish();
    assert_eq!(fetched.exit, Some(Exit::Done), "{fetched:?}");
    assert!(is_whole(&root, &dir));
    let most = (24 + 10) * MIB as u64;
    assert!(fetched.received < most, "what was here stays: {fetched:?}");
}

#[test]
fn asked_to_try_now_it_does_and_goes_on_waiting() {
    let (_root, serving) = slow(HOUR);
    let dir = tempfile::tempdir().unwrap();
    let mut fetching = begin(&serving, patient(&serving.url("/"), dir.path()));
    serving.server.kick(only_client(&serving), "too <greedy>");
    let first = fetching.wait_for("it knows why", |now| kicked(now) && now.connections == 0);
    let before = serving.server.snapshot().requests;
    fetching.client.retry_now();
    serving.wait_for("it tries", |now| now.requests > before);
    let again = fetching.wait_for("it is told again", |now| {
        kicked(now) && now.link != first.link
    });
    assert!(!again.items[0].state.is_ended());
}

#[test]
fn asked_to_try_now_a_paused_client_does_too() {
    let (_root, serving) = slow(HOUR);
    let dir = tempfile::tempdir().unwrap();
    let mut fetching = begin(&serving, settings(&serving.url("/"), dir.path()));
    serving.server.pause(only_client(&serving));
    // What flows is held; what is asked for now is told to wait.
    let root = haul::http1::path::RemotePath::root();
    let client = fetching.client.clone();
    let listing = fetching
        .runtime
        .spawn(async move { client.list(&root).await.map(|entries| entries.len()) });
    serving.server.resume(only_client(&serving));
    serving.server.limit(None);
    fetching.client.retry_now();
    assert_eq!(fetching.runtime.block_on(listing).unwrap(), Ok(1));
    fetching.wait_for("it goes on", |now| is_finished(&now.items[0].state));
}

#[test]
fn a_ban_ends_everything_and_says_so() {
    let (root, serving) = slow(HOUR);
    let dir = tempfile::tempdir().unwrap();
    let mut fetching = begin(&serving, patient(&serving.url("/"), dir.path()));
    serving.server.ban(only_client(&serving), "no more");
    let now = fetching.wait_for("it has failed", |now| {
        now.items[0].state.is_ended() && now.connections == 0
    });
    let words = "banned by the server: no more";
    assert_eq!(now.link, Link::Banned(words.into()));
    assert_eq!(now.items[0].state, ItemState::Failed(words.into()));
    assert!(
        now.items[0].done >= 3 * MIB as u64,
        "its part is kept: {now:#?}"
    );
    assert_eq!(fetching.client.outcome().0, Exit::Remote);
    // Once somebody lifts it, a retry goes on.
    let banned = serving.server.snapshot().banned[0].who.clone();
    assert!(serving.server.unban(&banned));
    serving.server.limit(None);
    fetching.client.retry(now.items[0].id);
    fetching.client.retry_now();
    let fetched = fetching.finish();
    assert_eq!(fetched.exit, Some(Exit::Done));
    assert!(is_whole(&root, &dir));
    assert!(fetched.received < (24 + 10) * MIB as u64, "{fetched:?}");
}

#[test]
fn a_server_that_kicks_for_ever_is_given_up_where_nobody_watches() {
    let server = scripted(|_| {
        reply(
            "403 Forbidden\nHaul-Denied: kicked\nRetry-After: 0\nContent-Type: text/plain\nContent-Length: 17",
            b"403 kicked: a\x1b[2J",
        )
    });
    let dir = tempfile::tempdir().unwrap();
    let fetched = fetch_all(&server.url("/"), dir.path());
    assert_eq!(fetched.exit, Some(Exit::Remote), "{fetched:?}");
    assert!(server.requests().len() >= 4, "it was tried again");
}

#[test]
fn without_a_screen_it_is_one_line() {
    let (root, serving) = slow(SHORT);
    let dir = tempfile::tempdir().unwrap();
    let url = serving.url("/");
    let target = dir.path().to_str().unwrap();
    let mut haul = Haul::new(&["connect", &url, "--all", "-d", target, "--headless"]);
    let mut child = haul
        .command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    serving.wait_for("it fetches", |now| now.sent > 3 * MIB as u64);
    serving.server.kick(only_client(&serving), "too <greedy>");
    serving.server.limit(None);
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let lines: Vec<_> = lines.map(|line| line.unwrap()).collect();
    assert!(child.wait().unwrap().success(), "{lines:#?}");
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("kicked"))
        .collect();
    assert_eq!(told.len(), 1, "{lines:#?}");
    assert!(
        told[0].contains("kicked by the server: too <greedy>: back in "),
        "{told:?}"
    );
    assert!(is_whole(&root, &dir));
}
