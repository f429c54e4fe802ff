//! What a server asks or decides, in a real terminal against a live server: logins, certificates, kicks. What was
//! queued goes on after the answer.

use std::{fs, path::Path, sync::Arc, time::Duration};

use haul::{
    credentials::Credentials,
    server::{
        Settings,
        access::{Access, Sources},
    },
    units::Rate,
};
use tempfile::TempDir;

use super::pty::{Pty, haul, haul_in, screen};
use crate::common::{
    secure::own_identity,
    serving::{Serving, serve_with, serve_with_at},
    trees::content,
};

const MIB: usize = 1 << 20;

/// A directory with a small file and one that takes a while at [`SLOW`].
fn files() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("readme.txt"), content(1, 20_000)).unwrap();
    fs::write(root.path().join("big.iso"), content(2, 24 * MIB)).unwrap();
    root
}

const SLOW: Option<Rate> = Some(Rate(6 << 20));

fn guarded(root: &Path, login: &str) -> Settings {
    let access = Access::new(&Sources {
        logins: &[Credentials::parse_login(login).unwrap()],
        ..Sources::default()
    });
    Settings {
        access: access.unwrap(),
        ..Settings::new(root.to_owned())
    }
}

fn connect(url: &str, into: &Path, more: &[&str]) -> Pty {
    let usual = ["connect", url, "-d", into.to_str().unwrap()];
    haul(&[&usual[..], &["--theme", "dark", "-u", "ada"], more].concat())
}

fn assert_whole(root: &Path, into: &Path, name: &str) {
    assert!(
        fs::read(root.join(name)).unwrap() == fs::read(into.join(name)).unwrap(),
        "{name}"
    );
}

fn quit(mut pty: Pty) {
    pty.press("q");
    assert_eq!(pty.end(), 0);
    pty.is_restored();
}

/// Waits until much of the large file is on its way.
fn flowing(serving: &Serving) {
    serving.wait_for("it flows", |now| now.sent > 4 * MIB as u64);
}

/// The port is free again once the last connection is gone.
fn restart(serving: Serving, settings: Settings) -> Serving {
    let address = serving.address;
    drop(serving);
    serve_with_at(settings, address)
}

#[test]
fn a_kicked_client_says_why_and_comes_back_by_itself() {
    let (root, into) = (files(), tempfile::tempdir().unwrap());
    let serving = serve_with(Settings {
        limit: SLOW,
        kick: Duration::from_secs(5),
        ..Settings::new(root.path().to_owned())
    });
    let mut pty = connect(&serving.url("/"), into.path(), &[]);
    pty.expect("readme.txt");
    pty.press(":get big.iso\r");
    flowing(&serving);
    let client = serving.server.snapshot().clients[0].id;
    serving.server.kick(client, "enough for now");
    pty.expect("kicked by the server: enough for now");
    pty.expect("back in 4 s");
    pty.expect("r now");
    serving.server.limit(None);
    pty.expect("1 done");
    assert_whole(root.path(), into.path(), "big.iso");
    pty.press("4G");
    pty.expect("let in again by the server");
    quit(pty);
}

#[test]
fn a_login_is_asked_for_until_it_is_right() {
    let (root, into) = (files(), tempfile::tempdir().unwrap());
    let serving = serve_with(guarded(root.path(), "ada:lovelace"));
    let mut pty = connect(&serving.url("/"), into.path(), &[]);
    pty.expect("the server wants a login");
    pty.expect("user ada");
    pty.press("\r");
    pty.expect("password ");
    pty.press("babbage\r");
    pty.expect("the server refuses the login");
    pty.expect("user ada");
    pty.press("\r");
    pty.expect("password ");
    pty.press("lovelace\r");
    pty.expect("readme.txt");
    pty.press(":get readme.txt\r");
    pty.expect("1 done");
    assert_whole(root.path(), into.path(), "readme.txt");
    let sent = pty.sent();
    assert!(!sent.contains("lovelace") && !sent.contains("babbage"));
    quit(pty);
}

#[test]
fn what_was_asked_for_before_the_login_goes_on_after_it() {
    let (root, into) = (files(), tempfile::tempdir().unwrap());
    let serving = serve_with(guarded(root.path(), "ada:lovelace"));
    let mut pty = connect(&serving.url("/"), into.path(), &["-g", "*.txt"]);
    pty.expect("user ada");
    pty.press("\r");
    pty.expect("password ");
    pty.press("lovelace\r");
    pty.expect("1 done");
    assert_whole(root.path(), into.path(), "readme.txt");
    quit(pty);
}

#[test]
fn a_login_that_is_revoked_on_the_way_is_asked_for_again() {
    let (root, into) = (files(), tempfile::tempdir().unwrap());
    let serving = serve_with(Settings {
        limit: SLOW,
        ..guarded(root.path(), "ada:lovelace")
    });
    let mut pty = connect(&serving.url("/"), into.path(), &["--auth", "ada:lovelace"]);
    pty.expect("readme.txt");
    pty.press(":get big.iso\r:get readme.txt\r");
    flowing(&serving);
    let serving = restart(serving, guarded(root.path(), "ada:countess"));
    pty.expect("user ada");
    pty.press("\r");
    pty.expect("password ");
    pty.press("countess\r");
    pty.expect("2 done");
    for name in ["big.iso", "readme.txt"] {
        assert_whole(root.path(), into.path(), name);
    }
    drop(serving);
    quit(pty);
}

fn secured(root: &Path) -> (Settings, String) {
    let identity = own_identity();
    let fingerprint = identity.fingerprint().to_string();
    let settings = Settings {
        tls: Some(identity),
        ..Settings::new(root.to_owned())
    };
    (settings, fingerprint)
}

/// Whether a screen shows a fingerprint: on two lines, one below the other.
fn shows(screen: &str, fingerprint: &str) -> bool {
    let (first, second) = fingerprint.split_at("00:".len() * 16);
    let lines: Vec<&str> = screen.lines().collect();
    let has = |pair: &[&str]| pair[0].contains(first) && pair[1].contains(second);
    lines.windows(2).any(has)
}

#[test]
fn a_certificate_is_judged_once_and_what_was_queued_goes_on() {
    let (root, into) = (files(), tempfile::tempdir().unwrap());
    let (settings, fingerprint) = secured(root.path());
    let serving = serve_with(settings);
    let url = serving.url("/");
    let mut pty = connect(&url, into.path(), &["-g", "*.txt"]);
    pty.expect("Trust this server?");
    pty.wait("its fingerprint", |seen| {
        shows(&screen(&seen.bytes, (80, 24)), &fingerprint)
    });
    pty.expect("y trust it from now on");
    pty.press("y");
    pty.expect("1 done");
    assert_whole(root.path(), into.path(), "readme.txt");
    let home = Arc::clone(&pty.home);
    quit(pty);
    let pty = haul_in(&home, &["connect", &url, "--theme", "dark"]);
    pty.expect("big.iso");
    quit(pty);
    // Another certificate at the same address is not believed, whatever is pressed.
    let (settings, other) = secured(root.path());
    let _serving = restart(serving, settings);
    let mut pty = haul_in(&home, &["connect", &url, "--theme", "dark"]);
    pty.expect("shows another certificate than before");
    pty.wait("both fingerprints", |seen| {
        let screen = screen(&seen.bytes, (80, 24));
        shows(&screen, &fingerprint) && shows(&screen, &other)
    });
    pty.expect("Esc leave the server");
    pty.press("y");
    pty.expect("connect to ");
    // The servers that were used before are offered.
    pty.escape("Bookmarks and servers");
    pty.escape("connect to ");
    quit(pty);
}

#[test]
fn what_one_screen_answers_no_other_one_asks_any_more() {
    let (root, into) = (files(), tempfile::tempdir().unwrap());
    let serving = serve_with(Settings {
        tls: secured(root.path()).0.tls,
        ..guarded(root.path(), "ada:lovelace")
    });
    let pty = connect(&serving.url("/"), into.path(), &[]);
    pty.expect("Trust this server?");
    let name = format!("connect.{}", pty.child.process_id().unwrap());
    let mut other = haul_in(&pty.home, &["attach", &name, "--theme", "dark"]);
    other.expect("y trust it");
    other.press("y");
    for screen in [&other, &pty] {
        screen.expect("user ada");
    }
    other.press("\r");
    other.expect("password ");
    other.press("lovelace\r");
    for screen in [&other, &pty] {
        screen.expect("readme.txt");
    }
    pty.wait("nothing is asked", |seen| {
        let screen = screen(&seen.bytes, (80, 24));
        !screen.contains("user ada") && !screen.contains("Trust")
    });
    // What is typed as a question goes away is no key.
    std::thread::sleep(Duration::from_secs(1));
    quit(other);
    quit(pty);
}

#[test]
fn a_certificate_that_is_not_believed_is_left() {
    let (root, into) = (files(), tempfile::tempdir().unwrap());
    let serving = serve_with(secured(root.path()).0);
    let mut pty = connect(&serving.url("/"), into.path(), &[]);
    pty.expect("n leave");
    pty.press("n");
    pty.expect("no server yet");
    assert_eq!(serving.server.snapshot().requests, 0, "nothing was sent");
    pty.expect("connect to ");
    pty.escape("connect to ");
    quit(pty);
}
