//! The beginning of a file in its details.

use std::fs;

use haul::app::{Effect, Event, State};

use super::{pty::haul, states::*};
use crate::common::serving::serve;

fn answer(state: &mut State, of: &str, result: Result<Vec<u8>, String>) {
    let path = path(of);
    let _ = send(state, Event::Previewed { path, result });
}

#[test]
fn details_show_a_files_beginning_harmlessly() {
    let mut state = browsing();
    draw(&mut state, 120, 36);
    assert!(keys(&mut state, "i").is_empty(), "a directory has none");
    keys(&mut state, "Esc / . m d Enter");
    let effects = keys(&mut state, "i");
    assert!(matches!(&effects[..], [Effect::Preview(path)] if path.as_bytes() == b"notes.md"));
    assert!(screen(&mut state, 120, 36).contains("fetching its beginning"));
    answer(&mut state, "/other", Ok(b"another's".to_vec()));
    assert!(!screen(&mut state, 120, 36).contains("another's"));
    let content: Vec<_> = (0..100).map(|n| format!("line {n}\n")).collect();
    let content = content.concat();
    let content = format!("\x1b[2J\u{202e}first of a text that is long enough\n{content}");
    answer(&mut state, "/notes.md", Ok(content.into_bytes()));
    for (columns, rows) in [(120, 36), (80, 24)] {
        let screen = screen(&mut state, columns, rows);
        assert!(screen.contains(r"\x1b[2J\u{202e}first"), "{screen}");
        assert!(
            screen.contains("line 3") && !screen.contains("line 90"),
            "{screen}"
        );
        assert!(
            screen.contains("18.2 KiB (18,636 bytes)"),
            "the facts stay: {screen}"
        );
    }
    keys(&mut state, "j G");
    assert!(screen(&mut state, 80, 24).contains("line 99"));
    // One that was asked for before, shorter than what is in the window.
    answer(&mut state, "/notes.md", Err("late".into()));
    assert!(screen(&mut state, 80, 24).contains("line 99"));
    keys(&mut state, "g");
    assert!(screen(&mut state, 80, 24).contains("first of"));
    keys(&mut state, "Esc i");
    answer(&mut state, "/notes.md", Err("404 Not Found".into()));
    assert!(screen(&mut state, 80, 24).contains("no preview: 404 Not Found"));
    keys(&mut state, "Esc i");
    answer(&mut state, "/notes.md", Ok(b"\0\x01\x1b]0;x\x07".to_vec()));
    let bytes = screen(&mut state, 80, 24);
    assert!(bytes.contains("000000  00 01 1b 5d 30 3b 78 07"), "{bytes}");
    assert!(bytes.contains("...]0;x."), "{bytes}");
    screen(&mut state, 40, 10);
    keys(&mut state, "Esc");
    assert!(state.popup.is_none());
}

#[test]
fn of_a_large_file_only_the_beginning_is_fetched() {
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let line = "a line of a large text file\n";
    fs::write(root.path().join("large.txt"), line.repeat(400_000)).unwrap();
    let serving = serve(root.path());
    let target = into.path().to_str().unwrap();
    let mut pty = haul(&["connect", &serving.url("/"), "-d", target]);
    pty.expect("large.txt");
    pty.press("i");
    pty.expect("a line of a large text file");
    let sent = serving.server.snapshot().sent;
    assert!(sent < 80_000, "{sent} bytes");
    pty.escape("a line of a large text file");
    pty.press("q");
    assert_eq!(pty.end(), 0);
    assert_eq!(
        fs::read_dir(into.path()).unwrap().count(),
        0,
        "nothing is written"
    );
}
