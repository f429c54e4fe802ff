//! Screens of what runs in another process.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use haul::{
    app::{Sample, State},
    server,
};
use rustix::process::Signal;

use super::{
    pty::{Pty, haul_in, served},
    states::*,
};
use crate::common::{
    program::{Haul, ended},
    serving::PATIENCE,
    trees::content,
};

#[test]
fn the_hint_of_a_key_says_what_it_does_here() {
    for state in [downloading(), serving()] {
        let mut state = state;
        assert!(screen(&mut state, 120, 36).contains("q quit"));
        let mut state = state.attached("x.1".into());
        let shown = screen(&mut state, 120, 36);
        assert!(
            shown.contains("q detach") && !shown.contains("q quit"),
            "{shown}"
        );
    }
}

/// The same after it went over a socket.
fn sent(sample: &Sample) -> Sample {
    serde_json::from_slice(&serde_json::to_vec(sample).unwrap()).unwrap()
}

#[test]
fn what_goes_over_a_socket_is_drawn_cell_by_cell_as_it_is_here() {
    let start = Instant::now();
    let mut here = State::serve(serve_facts(), looks());
    let mut there = State::serve(serve_facts(), looks());
    for tenth in 0..100u64 {
        // In the middle of a second's tenth: the form has milliseconds.
        let now = start + Duration::from_millis(tenth * 100 + 50);
        let clients = clients(start, (99 - tenth) as f64 / 10.0);
        let sample = Sample::Server(server::Snapshot {
            sent: clients.iter().map(|c| c.sent).sum(),
            clients,
            connections: 19,
            requests: 40,
            ..server::Snapshot::default()
        });
        tick(&mut there, now, wall(), sent(&sample));
        tick(&mut here, now, wall(), sample);
    }
    let drawn = draw(&mut here, 120, 36);
    assert!(text(&drawn).contains("alice"));
    assert_eq!(drawn, draw(&mut there, 120, 36));

    let sample = Sample::Client(client(&downloading()).snapshot.clone());
    assert!(matches!(&sample, Sample::Client(snapshot) if !snapshot.items.is_empty()));
    let (mut here, mut there) = (browsing(), browsing());
    tick(&mut there, start, wall(), sent(&sample));
    tick(&mut here, start, wall(), sample);
    assert_eq!(draw(&mut here, 100, 30), draw(&mut there, 100, 30));
}

/// Ends with the test; a server has its URL.
struct Ends(Child, String);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program without a screen, which those in the terminals of `home` see; it has said its first line.
fn headless(home: &Arc<tempfile::TempDir>, arguments: &[&str]) -> Ends {
    let runtime = home.path().to_str().unwrap();
    let mut haul = Haul::new(arguments).env("XDG_RUNTIME_DIR", runtime);
    let piped = haul.command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn().unwrap();
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on"), "{line}");
    let url = line.trim_end().rsplit(' ').next().unwrap();
    Ends(child, url.to_owned())
}

fn run(home: &Arc<tempfile::TempDir>, arguments: &[&str]) -> (i32, String, String) {
    let runtime = home.path().to_str().unwrap();
    Haul::new(arguments).env("XDG_RUNTIME_DIR", runtime).run()
}

#[test]
fn two_screens_show_one_server_and_leave_it_running() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let (dir, _own) = served();
    let root = dir.path().to_str().unwrap();
    let arguments = [
        "serve",
        root,
        "--headless",
        "-p",
        "0",
        "-a",
        "127.0.0.1",
        "--limit",
        "1k",
    ];
    let mut server = headless(&home, &arguments);
    // Others may run on this machine, as a system's service too.
    let name = format!("serve.{}", server.0.id());
    let attach = || -> Pty {
        let pty = haul_in(&home, &["attach", &name, "--theme", "dark"]);
        pty.expect("q leaves it running");
        pty.expect("tester");
        pty
    };
    let into = tempfile::tempdir().unwrap();
    let url = format!("{}/readme.txt", server.1);
    let dir = into.path().to_str().unwrap();
    let arguments = ["connect", &url, "--headless", "-d", dir, "-u", "tester"];
    let mut slow = Haul::new(&arguments);
    let slow = slow.command.stdout(Stdio::null()).stderr(Stdio::null());
    let _slow = Ends(slow.spawn().unwrap(), String::new());
    let (mut one, mut other) = (attach(), attach());
    one.press(":pause tester\r");
    // Each sees what any of them does, and a script as well.
    other.expect("paused");
    one.signal(Signal::KILL);
    let _ = one.end();
    other.press(":resume tester\r");
    other.expect("tester goes on");
    let (code, stdout, _) = run(&home, &["ctl", &name, "pause", "tester"]);
    assert_eq!(code, 0, "{stdout}");
    let third = attach();
    third.expect("paused");
    drop(third);
    other.press("q");
    assert_eq!(other.end(), 0);
    other.is_restored();
    let (_, running, _) = run(&home, &["status"]);
    assert!(running.contains(&name), "it runs on: {running}");

    let mut last = attach();
    last.press(":quit!\r");
    last.expect("End the server?");
    last.press("n:quit!\r");
    last.expect("End the server?");
    last.press("y");
    assert_eq!(ended(&mut server.0).code(), Some(0));
    assert_eq!(last.end(), 0);
    assert!(last.sent().contains("has ended"), "it says why it left");
}

#[test]
fn a_detached_download_outlives_its_terminal() {
    const SIZE: usize = 8 << 20;
    let home = Arc::new(tempfile::tempdir().unwrap());
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("large"), content(5, SIZE)).unwrap();
    fs::write(root.path().join("more"), content(6, SIZE)).unwrap();
    let mut settings = crate::common::serving::settings(root.path());
    settings.limit = Some(haul::units::Rate(200 << 10));
    let serving = crate::common::serving::serve_with(settings);
    let into = tempfile::tempdir().unwrap();
    let dir = into.path().to_str().unwrap();
    let url = serving.url("/");
    let arguments = [
        "connect",
        &url,
        "--all",
        "-d",
        dir,
        "--detach",
        "--instance",
        "nightly",
    ];
    let mut pty = haul_in(&home, &arguments);
    pty.expect("nightly.");
    assert_eq!(pty.end(), 0);
    // The terminal is gone, and its session with it.
    drop(pty);
    serving.wait_for("it goes on", |now| now.sent > 1 << 20);
    let (code, stdout, _) = run(&home, &["status"]);
    assert_eq!(code, 0);
    let mut told = stdout.lines().filter(|line| line.starts_with("nightly."));
    assert!(
        told.any(|line| line.contains("0 of 1 download done")),
        "{stdout}"
    );

    let mut again = haul_in(&home, &["attach", "nightly", "--theme", "dark"]);
    again.expect("q leaves it running");
    again.expect("everything");
    again.press("q");
    assert_eq!(again.end(), 0);
    serving.server.limit(None);
    let start = Instant::now();
    while run(&home, &["status"]).1.contains("nightly.") {
        assert!(start.elapsed() < PATIENCE, "it does not end");
    }
    for (seed, name) in [(5, "large"), (6, "more")] {
        assert!(
            fs::read(into.path().join(name)).unwrap() == content(seed, SIZE),
            "{name}"
        );
    }
    let log = home.path().join(".local/state/haul/connect.log");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("all verified"), "{log}");
}
