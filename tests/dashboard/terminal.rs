//! What real terminals do to the program: they answer late, send much at once, and are not read.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::pty::{connected, haul, served, serving_here};
use crate::common::trees::content;

/// Answers that a terminal may give to what it was asked, or to what another program had asked before.
const LATE: [&str; 3] = [
    "\x1b]11;rgb:0b0b/dede/fcfc\x1b\\",
    "\x1b[?62;22c",
    "\x1bP>|XTerm(390)\x1b\\",
];

#[test]
fn late_answers_of_the_terminal_are_no_keys() {
    let (_dir, serving) = served();
    let into = tempfile::tempdir().unwrap();
    let mut pty = connected(&serving.url("/"), into.path());
    for (answer, wait) in LATE.iter().zip([100, 800, 3000]) {
        // The time is the point: an answer that is looked for a while and then given up.
        thread::sleep(Duration::from_millis(wait));
        pty.press(answer);
    }
    // In parts, as over a slow line.
    for answer in LATE {
        let (begin, end) = answer.split_at(answer.len() / 2);
        pty.press(begin);
        thread::sleep(Duration::from_millis(400));
        pty.press(end);
    }
    // What would have been typed would stand in the line now.
    pty.press(":get readme.txt\r");
    pty.expect("1 done");
    pty.press("q");
    assert_eq!(pty.end(), 0);
    assert!(!pty.sent().contains("dede"), "{}", pty.sent());
}

#[test]
fn a_burst_of_input_is_read_to_its_end() {
    let (_dir, serving) = served();
    let into = tempfile::tempdir().unwrap();
    for burst in [
        "\x1b[<35;10;10M".repeat(350),
        "jk".repeat(5000),
        "\x1b[<65;10;4M".repeat(800),
    ] {
        let mut pty = connected(&serving.url("/"), into.path());
        pty.press(&burst);
        pty.press("q");
        assert_eq!(pty.end(), 0);
        assert!(
            !pty.sent().contains("?1002h") && !pty.sent().contains("?1003h"),
            "no motion is asked for"
        );
    }
}

/// How long a program may take to end after a signal, whatever its terminal does.
const SIGNALLED: Duration = Duration::from_secs(2);

#[test]
fn a_signal_ends_it_though_its_terminal_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("large"), content(3, 64 << 20)).unwrap();
    let serving = crate::common::serving::serve(dir.path());
    for signal in [Signal::TERM, Signal::HUP] {
        for side in ["connect", "serve"] {
            let into = tempfile::tempdir().unwrap();
            let mut quickest = Duration::MAX;
            // A machine that has other things to do may hold up one of them.
            for _ in 0..3 {
                let mut pty = if side == "serve" {
                    serving_here(into.path())
                } else {
                    let url = serving.url("/");
                    let dir = into.path().to_str().unwrap();
                    let pty = haul(&[
                        "connect", &url, "-d", dir, "--limit", "256k", "--get", "large",
                    ]);
                    pty.expect("1 active");
                    pty
                };
                pty.stop_reading();
                // Every frame writes all cells anew, until nothing goes out any more.
                for _ in 0..30 {
                    pty.press("\x0c");
                    thread::sleep(Duration::from_millis(40));
                }
                pty.signal(signal);
                let begun = Instant::now();
                assert_eq!(pty.end(), 143, "{side} {signal:?}");
                quickest = quickest.min(begun.elapsed());
                if quickest < SIGNALLED {
                    break;
                }
            }
            assert!(quickest < SIGNALLED, "{side} {signal:?}: {quickest:?}");
            if side == "connect" {
                let names = fs::read_dir(into.path()).unwrap();
                let part = |name: std::ffi::OsString| name.to_string_lossy().contains("large");
                assert!(
                    names.flatten().any(|entry| part(entry.file_name())),
                    "its part is kept"
                );
            }
        }
    }
}
