//! `:detach`: a dashboard's downloads go on without the terminal, and another one finds them.

use std::{fs, path::Path, sync::Arc, time::Instant};

use haul::{
    credentials::Credentials,
    server::{
        Settings,
        access::{Access, Sources},
    },
    units::Rate,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::pty::{Pty, haul_in};
use crate::common::{
    program::{Haul, serve_line, status},
    serving::{PATIENCE, serve, serve_with, settings},
    trees::content,
};

const MIB: usize = 1 << 20;

/// What went on in the background: `connect.4711`. It ends with the test.
struct Detached(String);

impl Detached {
    /// Leaves the terminal of a dashboard, which ends.
    fn from(mut pty: Pty) -> Self {
        pty.press(":detach\r");
        assert_eq!(pty.end(), 0, "{}", pty.sent());
        pty.is_restored();
        let sent = pty.sent();
        // Titles of the window begin like it, before it.
        let (_, line) = sent.rsplit_once("haul: ").unwrap();
        let name = line.split(' ').next().unwrap().to_owned();
        let rest = format!("{name} goes on in the background: `haul attach {name}` shows it");
        assert_eq!(line.trim_end(), rest);
        Self(name)
    }

    /// How it stands, as `haul status --json` tells.
    fn status(&self, home: &TempDir) -> Option<Value> {
        let (_, pid) = self.0.rsplit_once('.').unwrap();
        status(home.path(), pid.parse().unwrap())
    }

    fn wait_for(&self, home: &TempDir, is_so: impl Fn(&Value) -> bool) {
        let start = Instant::now();
        while let status = self.status(home).unwrap_or_default()
            && !is_so(&status)
        {
            assert!(start.elapsed() < PATIENCE, "{status}");
        }
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        let pid = self.0.rsplit('.').next().and_then(|pid| pid.parse().ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // It has ended, as a rule.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn run(home: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    let runtime = home.path().to_str().unwrap();
    Haul::new(arguments).env("XDG_RUNTIME_DIR", runtime).run()
}

fn connect(home: &Arc<TempDir>, url: &str, into: &Path, more: &[&str]) -> Pty {
    let usual = ["connect", url, "-d", into.to_str().unwrap()];
    let usual = [&usual[..], &["--theme", "dark", "-u", "ada"], more].concat();
    haul_in(home, &usual)
}

fn attach(home: &Arc<TempDir>, detached: &Detached) -> Pty {
    let pty = haul_in(home, &["attach", &detached.0, "--theme", "dark"]);
    pty.expect("q leaves it running");
    pty
}

fn log(home: &TempDir) -> String {
    fs::read_to_string(home.path().join(".local/state/haul/connect.log")).unwrap()
}

#[test]
fn a_dashboard_that_is_detached_goes_on_as_it_was() {
    // What five connections may have had of pieces that were not whole yet.
    const BROKEN_OFF: u64 = 6 << 20;
    let home = Arc::new(tempfile::tempdir().unwrap());
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = [("a.bin", 32 * MIB), ("b.bin", 4 * MIB), ("later", 1000)];
    for (name, size) in files {
        fs::write(root.path().join(name), content(size as u64, size)).unwrap();
    }
    let serving = serve_with(Settings {
        limit: Some(Rate(100 << 10)),
        ..settings(root.path())
    });
    let mut pty = connect(&home, &serving.url("/"), into.path(), &[]);
    pty.expect("a.bin");
    pty.press(":get b.bin\r");
    pty.expect("1 active");
    pty.press(":pause all\r");
    pty.expect("1 paused");
    let there = into.path().join("there");
    pty.press(&format!(":lcd {}\r", there.display()));
    pty.expect("downloads go to");
    serving.server.limit(Some(Rate(8 << 20)));
    pty.press(":limit 50M\r:get a.bin\r");
    let before = serving.server.snapshot().sent;
    let enough = before + 16 * MIB as u64;
    serving.wait_for("half of it", |now| now.sent > enough);
    // What is on its way from here on takes its time.
    serving.server.limit(Some(Rate(100 << 10)));
    let detached = Detached::from(pty);

    let status = detached.status(&home).unwrap();
    assert_eq!(
        (&status["items"], &status["paused"]),
        (&2.into(), &1.into())
    );
    assert_eq!(status["limit"], 50 << 20, "{status}");
    let mut pty = attach(&home, &detached);
    pty.expect("1 active · 1 paused");
    pty.expect("/there ");
    // The second screen's downloads go where the first one's did.
    pty.press(":get later\r");
    pty.expect("1 added to the queue");
    serving.server.limit(None);
    detached.wait_for(&home, |status| status["finished"] == 2);
    let (code, said, _) = run(&home, &["ctl", &detached.0, "resume", "all"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(pty.end(), 0);
    assert!(pty.sent().contains("has ended"), "{}", pty.sent());
    detached.wait_for(&home, Value::is_null);

    for (name, size) in files {
        let dir = if name == "b.bin" { into.path() } else { &there };
        assert!(
            fs::read(dir.join(name)).unwrap() == content(size as u64, size),
            "{name}"
        );
    }
    let log = log(&home);
    assert!(log.contains("all verified"), "{log}");
    let total: usize = files.iter().map(|(_, size)| size).sum();
    let sent = serving.server.snapshot().sent;
    assert!(sent < total as u64 + BROKEN_OFF, "{sent} of {total}");
}

#[test]
fn the_server_that_was_turned_to_and_the_login_that_was_typed_go_along() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(root.path().join("f"), content(3, 3 * MIB)).unwrap();
    let plain = tempfile::tempdir().unwrap();
    fs::write(plain.path().join("plain.txt"), "").unwrap();
    let first = serve(plain.path());
    let access = Access::new(&Sources {
        logins: &[Credentials::parse_login("ada:lovelace").unwrap()],
        ..Sources::default()
    });
    let other = serve_with(Settings {
        access: access.unwrap(),
        limit: Some(Rate(200 << 10)),
        ..settings(root.path())
    });
    let mut pty = connect(&home, &first.url("/"), into.path(), &["--retries", "0"]);
    pty.expect("plain.txt");
    pty.press(&format!(":connect {}\r", other.url("/")));
    pty.expect("user ada");
    pty.press("\r");
    pty.expect("password ");
    pty.press("lovelace\r");
    pty.expect("3.00 MiB");
    pty.press(":get f\r");
    other.wait_for("it flows", |now| now.sent > 100 << 10);
    let detached = Detached::from(pty);
    let status = detached.status(&home).unwrap();
    assert_eq!(status["url"], other.url("/"), "{status}");
    other.server.limit(None);
    detached.wait_for(&home, Value::is_null);
    assert!(fs::read(into.path().join("f")).unwrap() == content(3, 3 * MIB));
    let written = crate::common::secure::all_text(home.path());
    assert!(!written.contains("lovelace"), "{written}");
}

#[test]
fn what_cannot_be_detached_says_why() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(root.path().join("f"), content(3, 3 * MIB)).unwrap();
    let serving = serve_with(Settings {
        limit: Some(Rate(100 << 10)),
        ..settings(root.path())
    });
    let url = serving.url("/");
    let mut pty = connect(&home, &url, into.path(), &["--control", "off"]);
    pty.expect("3.00 MiB");
    pty.press(":get f\r");
    pty.expect("1 active");
    pty.press("D");
    pty.expect("detach: nothing could be attached to it");
    // In the journal of the one before it is what another would go on with.
    let mut beside = connect(&home, &url, into.path(), &[]);
    beside.expect("3.00 MiB");
    beside.press("D");
    beside.expect("detach: nothing is on its way");
    beside.press(":get f\r");
    beside.expect("1 active");
    beside.press("D");
    beside.expect("detach: no journal is kept here");
    for mut pty in [pty, beside] {
        pty.press(":quit!\r");
        assert_eq!(pty.end(), 130);
    }
    let mut pty = haul_in(&home, &serve_line(root.path()));
    pty.expect("No clients yet");
    pty.press(":detach\r");
    pty.expect("detach: a server keeps its terminal");
    let runs = format!("serve.{}", pty.child.process_id().unwrap());
    let mut screen = haul_in(&home, &["attach", &runs]);
    screen.expect("q leaves it running");
    screen.press(":detach\r");
    assert_eq!(screen.end(), 0);
    let (_, running, _) = run(&home, &["status"]);
    assert!(running.contains(&runs), "{running}");
    pty.press("q");
    assert_eq!(pty.end(), 0);
}
