//! The program in a real pseudo-terminal: what it draws there, and that every way out gives the terminal back.

use std::{
    env, fs,
    io::{Read, Write},
    num::NonZero,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::common::{
    program::serve_line,
    serving::{PATIENCE, Serving, serve},
    trees::content,
};

/// What the terminal was sent.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) bytes: Vec<u8>,
    /// Nothing more is read.
    ended: bool,
    /// Nothing is read for now.
    held: bool,
    /// Nothing more is to be read.
    enough: bool,
}

/// A program in a pseudo-terminal.
pub(super) struct Pty {
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    pub(super) child: Box<dyn Child + Send + Sync>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    size: (u16, u16),
    /// Where it keeps what it remembers.
    pub(super) home: Arc<TempDir>,
}

const SIZE: (u16, u16) = (80, 24);

pub(super) fn start(program: &str, arguments: &[&str]) -> Pty {
    start_in(Arc::new(tempfile::tempdir().unwrap()), program, arguments)
}

fn start_in(home: Arc<TempDir>, program: &str, arguments: &[&str]) -> Pty {
    let size = PtySize {
        cols: SIZE.0,
        rows: SIZE.1,
        pixel_width: 0,
        pixel_height: 0,
    };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(program);
    command.args(arguments);
    command.env_clear();
    for (name, value) in [
        ("TERM", "xterm-256color"),
        ("COLORTERM", "truecolor"),
        ("LANG", "C.UTF-8"),
        ("PATH", &env::var("PATH").unwrap()),
        ("PS1", "$ "),
        ("TZ", "UTC"),
        ("HOME", home.path().to_str().unwrap()),
        ("XDG_RUNTIME_DIR", home.path().to_str().unwrap()),
    ] {
        command.env(name, value);
    }
    command.cwd(home.path());
    let child = pair.slave.spawn_command(command).unwrap();
    let mut reader = pair.master.try_clone_reader().unwrap();
    let seen: Arc<(Mutex<Seen>, Condvar)> = Arc::default();
    thread::spawn({
        let seen = Arc::clone(&seen);
        move || {
            let mut chunk = [0; 4096];
            loop {
                let read = reader.read(&mut chunk).unwrap_or(0);
                let mut now = seen.0.lock().unwrap();
                while now.held {
                    now = seen.1.wait(now).unwrap();
                }
                now.bytes.extend_from_slice(&chunk[..read]);
                now.ended = read == 0 || now.enough;
                seen.1.notify_all();
                if now.ended {
                    return;
                }
            }
        }
    });
    Pty {
        keys: Some(pair.master.take_writer().unwrap()),
        master: Some(pair.master),
        child,
        seen,
        size: SIZE,
        home,
    }
}

pub(super) fn haul(arguments: &[&str]) -> Pty {
    start(env!("CARGO_BIN_EXE_haul"), arguments)
}

/// The same with what an earlier one remembers.
pub(super) fn haul_in(home: &Arc<TempDir>, arguments: &[&str]) -> Pty {
    start_in(Arc::clone(home), env!("CARGO_BIN_EXE_haul"), arguments)
}

impl Pty {
    pub(super) fn press(&mut self, keys: &str) {
        let writer = self.keys.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// Waits until `is_so` holds of what was sent.
    pub(super) fn wait(&self, what: &str, is_so: impl Fn(&Seen) -> bool) {
        let start = Instant::now();
        let mut seen = self.seen.0.lock().unwrap();
        while !is_so(&seen) {
            let left = PATIENCE.checked_sub(start.elapsed());
            let Some(left) = left else {
                panic!("{what}:\n{}", screen(&seen.bytes, self.size));
            };
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Reads nothing more: what is sent stays in the terminal until that is full.
    pub(super) fn stop_reading(&self) {
        self.seen.0.lock().unwrap().held = true;
    }

    pub(super) fn expect(&self, text: &str) {
        let size = self.size;
        self.wait(text, |seen| screen(&seen.bytes, size).contains(text));
    }

    /// All that was sent so far.
    pub(super) fn sent(&self) -> String {
        String::from_utf8_lossy(&self.seen.0.lock().unwrap().bytes).into_owned()
    }

    /// Presses Esc and waits until the box is gone that holds `text`: with a key right behind it, it would be Alt.
    pub(super) fn escape(&mut self, text: &str) {
        self.press("\x1b");
        let size = self.size;
        self.wait("the box closes", |seen| {
            !screen(&seen.bytes, size).contains(text)
        });
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.process_id().unwrap().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end, and for all that it sent unless nobody reads; its exit status.
    pub(super) fn end(&mut self) -> u32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.wait("the end of what was sent", |seen| seen.ended || seen.held);
                return status.exit_code();
            }
            assert!(
                start.elapsed() < PATIENCE,
                "it does not end:\n{}",
                screen(&self.seen.0.lock().unwrap().bytes, self.size)
            );
            thread::yield_now();
        }
    }

    /// That every mode that was switched on is off again, and the line discipline as it was.
    pub(super) fn is_restored(&self) {
        self.wait("the end", |seen| ends_restored(&seen.bytes));
        let modes = self.master.as_ref().unwrap().get_termios().unwrap();
        let local = format!("{:?}", modes.local_flags);
        assert!(
            local.contains("ICANON") && local.contains("ECHO"),
            "{local}"
        );
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let seen = self.seen.0.lock();
        seen.unwrap_or_else(std::sync::PoisonError::into_inner).held = false;
        self.seen.1.notify_all();
    }
}

/// Whether each mode was left after it had been entered the last time.
fn ends_restored(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    ["?1049", "?2004", "?1006", "?1004"].iter().all(|mode| {
        let on = text.rfind(&format!("\x1b[{mode}h"));
        let off = text.rfind(&format!("\x1b[{mode}l"));
        // The screen of a measurement takes no mouse.
        on.is_none() || off > on
    }) && text.contains("\x1b[?1049h")
        && text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")
}

pub(super) fn screen(bytes: &[u8], (columns, rows): (u16, u16)) -> String {
    parsed(bytes, (columns, rows)).screen().contents()
}

fn parsed(bytes: &[u8], (columns, rows): (u16, u16)) -> vt100::Parser {
    let cells = |n: u16| NonZero::new(n).unwrap();
    let mut parser = vt100::Parser::new(cells(rows), cells(columns), 0);
    parser.process(bytes);
    parser
}

/// A server with some files.
pub(super) fn served() -> (TempDir, Serving) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("photos")).unwrap();
    for (name, size) in [
        ("notes.md", 300),
        ("readme.txt", 20_000),
        ("photos/a.jpg", 5_000),
    ] {
        fs::write(dir.path().join(name), content(1, size)).unwrap();
    }
    let serving = serve(dir.path());
    (dir, serving)
}

pub(super) fn connected(url: &str, into: &Path) -> Pty {
    let dir = into.to_str().unwrap();
    let mut pty = haul(&["connect", url, "-d", dir, "--theme", "dark", "-u", "tester"]);
    pty.expect("readme.txt");
    // Keys are read from here on.
    pty.press("?");
    pty.expect("type to find");
    pty.escape("type to find");
    pty
}

#[test]
fn files_are_chosen_downloaded_and_the_terminal_is_given_back() {
    let (_dir, serving) = served();
    let into = tempfile::tempdir().unwrap();
    let mut pty = connected(&serving.url("/"), into.path());
    // The second row of the list, by the mouse; then one by its key.
    pty.press("\x1b[<0;10;4M\x1b[<0;10;4m d");
    pty.expect("added to the queue");
    pty.press(":get readme.txt\r");
    pty.expect("2 done");
    assert_eq!(
        fs::read(into.path().join("readme.txt")).unwrap(),
        content(1, 20_000)
    );
    assert_eq!(
        fs::read(into.path().join("notes.md")).unwrap(),
        content(1, 300)
    );
    let size = PtySize {
        cols: 120,
        rows: 36,
        pixel_width: 0,
        pixel_height: 0,
    };
    pty.master.as_ref().unwrap().resize(size).unwrap();
    pty.size = (120, 36);
    pty.expect("follow ● level ≥ info");
    pty.press("q");
    assert_eq!(pty.end(), 0);
    pty.is_restored();
}

#[test]
fn signals_end_it_with_the_terminal_as_it_was() {
    let (_dir, serving) = served();
    for (signal, status) in [(Signal::TERM, 143), (Signal::HUP, 143), (Signal::INT, 130)] {
        let into = tempfile::tempdir().unwrap();
        let mut pty = connected(&serving.url("/"), into.path());
        pty.signal(signal);
        assert_eq!(pty.end(), status, "{signal:?}");
        pty.is_restored();
    }
}

/// How long a program may run on a terminal that is gone.
const HUNG_UP: Duration = Duration::from_secs(2);

/// Takes its terminal from a program; how long it runs on.
fn hang_up(mut pty: Pty) -> Duration {
    // The reader holds the terminal open, too: it ends with the next thing that it reads.
    pty.seen.0.lock().unwrap().enough = true;
    pty.press("t");
    pty.wait("the reader's end", |seen| seen.ended);
    pty.keys = None;
    pty.master = None;
    let start = Instant::now();
    assert_eq!(pty.end(), 143);
    start.elapsed()
}

#[test]
fn a_terminal_that_vanishes_ends_it_within_two_seconds() {
    let (_dir, serving) = served();
    let into = tempfile::tempdir().unwrap();
    let url = serving.url("/");
    // A machine that has other things to do may hold up one of them.
    let connect = (0..3).map(|_| hang_up(connected(&url, into.path())));
    assert!(connect.into_iter().any(|time| time < HUNG_UP));
    let serve = (0..3).map(|_| hang_up(serving_here(into.path())));
    assert!(serve.into_iter().any(|time| time < HUNG_UP));
}

/// `haul serve` of a directory, once it shows its screen.
pub(super) fn serving_here(dir: &Path) -> Pty {
    let pty = haul(&[&serve_line(dir)[..], &["--theme", "dark"]].concat());
    pty.expect("No clients yet");
    pty
}

#[test]
fn the_server_gives_the_terminal_back_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut pty = serving_here(dir.path());
    // No phone can reach it.
    pty.press("Q");
    pty.expect("only this machine can reach it");
    pty.press("?");
    pty.expect("type to find");
    pty.escape("type to find");
    pty.press("q");
    assert_eq!(pty.end(), 0);
    pty.is_restored();
}

#[test]
fn the_terminals_background_chooses_the_theme() {
    let (_dir, serving) = served();
    let mut pty = haul(&["connect", &serving.url("/")]);
    let asks = |seen: &Seen| String::from_utf8_lossy(&seen.bytes).contains("\x1b]11;?");
    pty.wait("it asks for the background", asks);
    assert!(
        pty.seen
            .0
            .lock()
            .unwrap()
            .bytes
            .windows(6)
            .any(|w| w == b"Remote"),
        "the first frame does not wait"
    );
    pty.press("\x1b]10;rgb:0000/0000/0000\x1b\\\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62c");
    pty.wait("a light ground", |seen| {
        let parser = parsed(&seen.bytes, SIZE);
        let cell = parser.screen().cell(12, 40);
        cell.is_some_and(|cell| cell.bgcolor() == vt100::Color::Rgb(0xef, 0xf1, 0xf5))
    });
    pty.expect("readme.txt");
    pty.press("q");
    assert_eq!(pty.end(), 0);
}

#[test]
fn it_suspends_and_comes_back_whole() {
    let (_dir, serving) = served();
    let mut pty = start("bash", &["--norc", "--noprofile", "-i"]);
    pty.expect("$");
    let program = env!("CARGO_BIN_EXE_haul");
    pty.press(&format!(
        "{program} connect {} --theme dark\r",
        serving.url("/")
    ));
    pty.expect("readme.txt");
    pty.press("\x1a");
    pty.expect("Stopped");
    pty.press("fg\r");
    pty.expect("readme.txt");
    pty.press("?");
    pty.expect("type to find");
    pty.escape("type to find");
    pty.press("q");
    // The shell switches pasting on again for itself: the screen is what tells.
    let screens = |seen: &Seen| {
        let text = String::from_utf8_lossy(&seen.bytes);
        (
            text.matches("\x1b[?1049h").count(),
            text.matches("\x1b[?1049l").count(),
        )
    };
    pty.wait("the screen is left", |seen| screens(seen) == (2, 2));
    // And the shell asks for the next command.
    pty.wait("the shell", |seen| {
        let text = String::from_utf8_lossy(&seen.bytes);
        let left = text.rfind("\x1b[?1049l").unwrap_or(0);
        text[left..].contains("$ ")
    });
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    let tests = env::current_exe().unwrap();
    let helper = "dashboard::pty::helper_that_panics_on_its_screen";
    let mut pty = start(
        tests.to_str().unwrap(),
        &["--exact", helper, "--ignored", "--nocapture"],
    );
    assert_ne!(pty.end(), 0);
    pty.is_restored();
    let seen = pty.seen.0.lock().unwrap();
    let text = String::from_utf8_lossy(&seen.bytes);
    assert!(
        text.find("on purpose") > text.rfind("\x1b[?1049l"),
        "{text}"
    );
}

/// Run by the test above, in a terminal of its own.
#[test]
#[ignore = "it panics on purpose: another test runs it"]
fn helper_that_panics_on_its_screen() {
    let _tty = haul::dashboard::terminal::Tty::enter(true, true).unwrap();
    panic!("on purpose");
}

#[test]
fn a_measurement_shows_its_progress_and_stops_when_it_is_told_to() {
    let mut pty = haul(&[
        "eval", "-n", "1", "-f", "8k", "-r", "1000", "--out", "out", "--theme", "dark",
    ]);
    pty.expect("Matrix");
    pty.wait("a run is done", |seen| {
        let screen = screen(&seen.bytes, SIZE);
        (1..1000).any(|runs| screen.contains(&format!("{runs}/1000")))
    });
    pty.press("q");
    pty.expect("stop measuring?");
    pty.press("n");
    pty.expect("q stop");
    pty.press("q");
    pty.expect("stop measuring?");
    pty.press("y");
    assert_eq!(pty.end(), 130);
    pty.is_restored();
}
