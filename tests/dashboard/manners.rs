//! What is sent to terminals that are known to take it, and to no others: progress, notifications, links.

use std::{fs, path::Path};

use super::pty::{Pty, served, start};
use crate::common::{serving::serve, trees::content};

/// A terminal that calls itself so runs `haul` with `arguments`.
fn on(terminal: &str, arguments: &[&str]) -> Pty {
    let line = [&[terminal, env!("CARGO_BIN_EXE_haul")], arguments].concat();
    start("env", &line)
}

/// A dashboard that downloads a file slowly into `dir`.
fn downloading(terminal: &str, url: &str, dir: &Path, more: &[&str]) -> Pty {
    let dir = dir.to_str().unwrap();
    let line = [
        "connect", url, "-d", dir, "--get", "large", "--theme", "dark",
    ];
    on(terminal, &[&line, more].concat())
}

#[test]
fn progress_is_sent_to_terminals_that_show_it_and_taken_back() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("large"), content(3, 8 << 20)).unwrap();
    let serving = serve(root.path());
    let url = serving.url("/");
    for (terminal, takes) in [
        ("TERM_PROGRAM=ghostty", true),
        ("TERM=xterm-ghostty", true),
        ("KONSOLE_VERSION=260400", true),
        ("KONSOLE_VERSION=250800", false),
        ("TERM=xterm-kitty", false),
        ("TERM=xterm-256color", false),
    ] {
        let into = tempfile::tempdir().unwrap();
        let mut pty = downloading(terminal, &url, into.path(), &["--limit", "512k"]);
        if takes {
            pty.wait("progress", |seen| {
                String::from_utf8_lossy(&seen.bytes).contains("\x1b]9;4;1;")
            });
        }
        // The title tells when it would have come.
        pty.wait("the title", |seen| {
            String::from_utf8_lossy(&seen.bytes).contains("% · 127.0.0.1")
        });
        pty.press("q");
        pty.expect("Quit while these run?");
        pty.press("y");
        assert_eq!(pty.end(), 130, "{terminal}");
        let sent = pty.sent();
        assert_eq!(sent.contains("\x1b]9;4;"), takes, "{terminal}");
        assert!(!takes || sent.contains("\x1b]9;4;0;"), "{terminal}");
    }
}

#[test]
fn the_focus_is_asked_for_where_a_notification_can_be_shown() {
    let (_dir, serving) = served();
    let url = serving.url("/");
    for (terminal, option, asks) in [
        ("TERM=xterm-kitty", "--theme=dark", true),
        ("TERM=foot", "--theme=dark", true),
        ("TERM_PROGRAM=iTerm.app", "--theme=dark", true),
        ("TERM=xterm-kitty", "--no-notify", false),
        ("TERM=xterm-256color", "--theme=dark", false),
        ("TERM=tmux-256color", "--theme=dark", false),
    ] {
        let mut pty = on(terminal, &["connect", &url, option]);
        pty.expect("readme.txt");
        // What the terminal reports is no key.
        pty.press("\x1b[O\x1b[I");
        pty.press(":get readme.txt\r");
        pty.expect("1 done");
        pty.press("q");
        assert_eq!(pty.end(), 0, "{terminal}");
        pty.is_restored();
        assert_eq!(pty.sent().contains("\x1b[?1004h"), asks, "{terminal}");
    }
}

#[test]
#[ignore = "takes 25 s: cargo test --test haul who_has_left_is_called -- --ignored"]
fn who_has_left_is_called_back_once_after_20_s() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("large"), content(3, 11 << 20)).unwrap();
    let serving = serve(root.path());
    let url = serving.url("/");
    let into = tempfile::tempdir().unwrap();
    let (dir, slow) = (into.path(), ["--limit", "512k"]);
    let mut left = downloading("TERM=xterm-kitty", &url, dir, &slow);
    let into = tempfile::tempdir().unwrap();
    let mut stayed = downloading("TERM=xterm-kitty", &url, into.path(), &slow);
    left.expect("1 active");
    left.press("\x1b[O");
    // Half of it takes 11 s.
    left.wait("half of it", |seen| {
        let sent = String::from_utf8_lossy(&seen.bytes);
        (50..60).any(|percent| sent.contains(&format!("haul: {percent}%")))
    });
    left.expect("1 done");
    stayed.expect("1 done");
    let called = "\x1b]99;i=haul:d=1:p=body;127.0.0.1: 1 done\x1b\\";
    left.wait("a notification", |seen| {
        String::from_utf8_lossy(&seen.bytes).contains(called)
    });
    for pty in [&mut left, &mut stayed] {
        pty.press("q");
        assert_eq!(pty.end(), 0);
    }
    assert_eq!(left.sent().matches(called).count(), 1);
    assert!(!stayed.sent().contains("\x1b]99;"));
}

#[test]
fn what_landed_is_a_link_on_terminals_that_show_links() {
    let (_dir, serving) = served();
    let url = serving.url("/readme.txt");
    let line = |dir: &Path| format!("connect {url} --headless -d {}", dir.to_str().unwrap());
    for (terminal, links) in [
        ("TERM=xterm-kitty", true),
        ("TERM=foot", true),
        ("VTE_VERSION=7600", true),
        ("TERM=xterm-256color", false),
        ("TERM=screen", false),
    ] {
        let into = tempfile::tempdir().unwrap();
        let line = line(into.path());
        let mut pty = on(terminal, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(pty.end(), 0);
        let sent = pty.sent();
        let file = format!(
            "{}/readme.txt\x1b\\1 file\x1b]8;;\x1b\\, ",
            into.path().display()
        );
        assert_eq!(
            sent.contains("\x1b]8;;file://"),
            links,
            "{terminal}: {sent}"
        );
        assert_eq!(sent.contains(&file), links, "{terminal}: {sent}");
        assert!(sent.contains("all verified"), "{terminal}: {sent}");
    }
    // A pipe is read by programs.
    let into = tempfile::tempdir().unwrap();
    let haul = env!("CARGO_BIN_EXE_haul");
    let piped = format!("TERM=xterm-kitty {haul} {} | cat", line(into.path()));
    let mut pty = start("sh", &["-c", &piped]);
    assert_eq!(pty.end(), 0);
    assert!(!pty.sent().contains("\x1b]8;"), "{}", pty.sent());
}
