//! `--run -`: whole sessions of commands from standard input.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, channel},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{
    fetching::fetch_all,
    program::{Haul, ended, serve_line},
    serving::{PATIENCE, serve, serve_with, settings},
    trees::content,
};

/// A session whose other side is this test.
struct Session {
    haul: Haul,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// All that it wrote.
    told: String,
}

impl Session {
    fn start(arguments: &[&str]) -> Self {
        let mut haul = Haul::new(&[arguments, &["--run", "-"]].concat());
        let piped = haul.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
        let (line, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().try_for_each(|read| line.send(read.unwrap())));
        Self {
            input: child.stdin.take(),
            lines,
            child,
            haul,
            told: String::new(),
        }
    }

    fn connect(url: &str, to: &Path) -> Self {
        Self::start(&["connect", url, "--retries", "1", "-d", to.to_str().unwrap()])
    }

    fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
    }

    /// Reads on to a line that holds `part`.
    fn until(&mut self, part: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("`{part}` does not come:\n{}", self.told);
            };
            self.told.extend([line.as_str(), "\n"]);
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Ends standard input and waits for the program; its status, all that it wrote, and stderr.
    fn end(mut self) -> (i32, String, String) {
        drop(self.input.take());
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.told.extend([line.as_str(), "\n"]);
        }
        let status = ended(&mut self.child).code().unwrap();
        let stderr = self.child.stderr.take().unwrap();
        let stderr = std::io::read_to_string(stderr).unwrap();
        drop(self.haul);
        (status, self.told, stderr)
    }
}

/// Ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every byte is a newline, printable ASCII, or part of one of the names.
fn is_plain(text: &str, names: &[&str]) {
    let mut rest = text.to_owned();
    for name in names {
        rest = rest.replace(name, "");
    }
    let strange = rest.chars().find(|c| *c != '\n' && !matches!(c, ' '..='~'));
    assert_eq!(strange, None, "{text}");
}

#[test]
fn a_session_browses_downloads_and_steers_in_plain_lines() {
    let root = tempfile::tempdir().unwrap();
    let evil = std::ffi::OsStr::from_bytes(b"red\x1b[31m\x9b\xe2\xa0\x80.txt");
    fs::write(root.path().join(evil), "evil").unwrap();
    fs::write(root.path().join("日本 ünï.txt"), content(1, 3000)).unwrap();
    let signs = "a · b?…";
    fs::write(root.path().join(signs), "signs").unwrap();
    fs::create_dir(root.path().join("sub")).unwrap();
    fs::write(root.path().join("sub/large"), content(2, 4 << 20)).unwrap();
    let serving = serve(root.path());
    let to = tempfile::tempdir().unwrap();
    let mut session = Session::connect(&serving.url("/"), to.path());
    session.say("# nothing");
    session.say(":ls");
    assert_eq!(session.until("in /"), "in /: 4 entries");
    session.until(r"file red\x1b[31m\x9b\u{2800}.txt, 4 B");
    session.say(r#"get "a · b*""#);
    session.until("a · b*: finished");
    session.say("get red*");
    session.until("added to the queue");
    session.until("finished");
    session.say("get 日本*");
    session.until("日本*: finished, 1 file, 2.93 KiB, verified");
    session.say("limit 300k");
    session.until("all downloads: at most 300 KiB/s");
    session.say("cd sub");
    assert_eq!(session.until("in "), "in sub/: 1 entries");
    session.say("get large");
    session.until("sub/large: started");
    session.say("info");
    session.until("sub/large: under way, ");
    session.say("pause");
    session.until("sub/large: paused");
    session.say("resume all");
    session.until("sub/large: started");
    session.say("limit off");
    session.until("no limit");
    session.say("help");
    session.until("quit!: quit at once");
    // What was asked for is waited for.
    let (status, told, stderr) = session.end();
    assert_eq!((status, stderr.as_str()), (0, ""), "{told}");
    assert!(
        told.ends_with("sub/large: finished, 4.00 MiB, verified\n"),
        "{told}"
    );
    assert!(fs::read(to.path().join("sub/large")).unwrap() == content(2, 4 << 20));
    assert_eq!(fs::read(to.path().join(evil)).unwrap(), b"evil");
    assert!(told.contains(&format!("file {signs}, 5 B")), "{told}");
    is_plain(&told, &["日本", "ünï", signs, "a · b*"]);
}

#[test]
fn what_a_later_connection_to_the_same_server_finishes_is_not_unfinished() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), content(1, 4 << 20)).unwrap();
    let serving = serve(root.path());
    let url = serving.url("/");
    for goes_on in [true, false] {
        let to = tempfile::tempdir().unwrap();
        let dir = to.path().to_str().unwrap();
        let line = ["connect", &url, "-d", dir, "--limit", "300k"];
        let mut session = Session::start(&line);
        session.say("get a");
        session.until("a: started");
        session.say(&format!("connect {url}"));
        session.until("a: paused");
        if goes_on {
            session.say("resume all");
            session.until("a: started");
            session.say("limit off");
            session.until("a: finished");
        }
        let (status, told, stderr) = session.end();
        let unfinished = "haul: stopped with a transfer unfinished: the same command goes on\n";
        let expected = if goes_on { (0, "") } else { (130, unfinished) };
        assert_eq!((status, stderr.as_str()), expected, "{told}");
    }
}

#[test]
fn what_is_refused_is_a_line_and_a_status() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), content(1, 8 << 20)).unwrap();
    let to = tempfile::tempdir().unwrap();
    let slow = serve_with(haul::server::Settings {
        limit: Some(haul::units::Rate(100 << 10)),
        ..settings(root.path())
    });
    for (lines, status, said) in [
        (
            &["nonsense"][..],
            2,
            "refused: line 1: no command `nonsense`: help lists",
        ),
        (
            &["", "get"],
            2,
            "refused: line 2: get: a name or pattern is missing: get <pattern>...",
        ),
        (&["theme light"], 2, "about a screen"),
        (&["qr"], 2, "no command `qr`"),
        (&["cd nowhere"], 1, "refused: line 1: "),
        (&["pause"], 1, "there are no transfers"),
        (&["connect 127.0.0.1:1", "pause"], 1, "connected to http"),
        // What follows is done all the same; of two kinds the status is 1.
        (&["nonsense", "pause", "lcd ."], 1, "downloads go to"),
        (
            &["get a", "quit", "quit!"],
            1,
            "refused: line 2: not while these run: a: quit! ends them",
        ),
        (&["quit"], 0, ""),
    ] {
        let mut session = Session::connect(&slow.url("/"), to.path());
        for line in lines {
            session.say(line);
        }
        let (code, told, stderr) = session.end();
        assert!(told.contains(said), "{lines:?}: {told}");
        assert_eq!(code, status, "{lines:?}: {told}{stderr}");
        is_plain(&told, &[]);
    }
    // What fails is told by the run's status.
    let mut session = Session::connect(&slow.url("/"), to.path());
    session.say("get nothing.such");
    let (code, told, stderr) = session.end();
    assert_eq!(code, 3, "{told}{stderr}");
    assert!(told.contains("nothing.such: failed: "), "{told}");
    let nowhere = Session::start(&["connect", "127.0.0.1:1", "--retries", "0"]).end();
    assert_eq!(nowhere.0, 4, "{nowhere:?}");
    for option in ["--json", "--hold", "--detach"] {
        let line = Haul::new(&["connect", "--run", "-", "--headless", option]).fails(2);
        assert!(line.contains("--run - has stdin and stdout"), "{line}");
    }
    for option in ["--delete", "--dry-run"] {
        let line = Haul::new(&["connect", "--run", "-", "--all", option]).fails(2);
        let why = format!("--run - does what its lines say: leave {option} out");
        assert!(line.starts_with(&why), "{line}");
    }
    let device = ["connect", &slow.url("/a"), "--headless", "-o", "/dev/null"];
    let (code, _, stderr) = Session::start(&device).end();
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("to which --run - does not write"),
        "{stderr}"
    );
    for command in ["connect", "serve"] {
        let line = Haul::new(&[command, "--run", "file", "--headless"]).fails(2);
        assert!(line.contains("--run FILE needs the dashboard"), "{line}");
    }
}

#[test]
fn what_was_here_already_is_said_of_a_tree_where_all_of_it_was() {
    let (root, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (seed, name) in (1..).zip(["a", "b", "c"]) {
        fs::write(root.path().join(name), content(seed, 1000)).unwrap();
    }
    fs::copy(root.path().join("a"), to.path().join("a")).unwrap();
    let dir = to.path().to_str().unwrap();
    // Each server is a new one, which knows no digests yet.
    let all = |more: &[&str]| {
        let serving = serve(root.path());
        let url = serving.url("/");
        let line = [&["connect", &url, "--all", "-d", dir][..], more].concat();
        let (code, told, stderr) = Session::start(&line).end();
        assert_eq!(code, 0, "{told}{stderr}");
        told.lines().last().unwrap().to_owned()
    };
    let everything = "everything: finished, 3 files, 2.93 KiB, ";
    assert_eq!(all(&[]), format!("{everything}verified"));
    assert_eq!(all(&[]), format!("{everything}here already"));
    for name in ["a", "b"] {
        fs::remove_file(to.path().join(name)).unwrap();
    }
    let update = ["--on-conflict", "update"];
    for checked in [
        "verified, 1 here already (not read)",
        "here already (3 not read)",
    ] {
        assert_eq!(all(&update), format!("{everything}{checked}"));
    }
}

#[test]
fn a_server_tells_who_comes_and_goes_and_is_steered() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("large"), content(1, 8 << 20)).unwrap();
    let other = tempfile::tempdir().unwrap();
    let arguments = serve_line(root.path());
    let mut session = Session::start(&[&arguments[..], &["--limit", "200k"]].concat());
    let url = session.until("listening on ");
    let url = url.strip_prefix("listening on ").unwrap();
    session.say("clients");
    session.until("no clients");
    let to = tempfile::tempdir().unwrap();
    let large = format!("{url}/large");
    let dir = to.path().to_str().unwrap();
    let mut client = Haul::new(&[
        "connect",
        &large,
        "-d",
        dir,
        "-u",
        "t\u{1b}ester",
        "--headless",
    ]);
    client.command.stdout(Stdio::null()).stderr(Stdio::null());
    // A name with an escape is refused; another one is taken.
    assert_eq!(client.run().0, 2);
    let mut client = Haul::new(&["connect", &large, "-d", dir, "-u", "té ster", "--headless"]);
    let mut child = Ends(
        client
            .command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    session.until("té ster: came from 127.0.0.1, haul/");
    session.until("té ster: large: started, 8.00 MiB");
    session.say("pause \"té ster\"");
    session.until("té ster: paused");
    session.say("resume");
    session.until("té ster: goes on");
    session.say("kick nobody");
    session.until("refused: line 4: no client is called `nobody`");
    session.say("theme dark");
    session.until("refused: line 5: ");
    session.say("kick \"té ster\" enough");
    session.until("té ster was kicked");
    session.until("té ster: large: ended early: kicked");
    session.until("té ster: left, took 0 files, ");
    let pid = Pid::from_raw(i32::try_from(child.0.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(ended(&mut child.0).code(), Some(143));
    session.say(&format!("share {}", other.path().display()));
    session.until("is served from now on");
    // Its end is the server's, which finishes what runs.
    let (status, told, stderr) = session.end();
    assert!(told.ends_with("draining\n"), "{told}");
    assert_eq!((status, stderr.as_str()), (1, ""), "{told}");
    is_plain(&told, &["té"]);
}

#[test]
fn a_damaged_file_is_told_where_nobody_can_be_asked() {
    const MIB: usize = 1 << 20;
    let (root, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(root.path().join("large"), content(1, 5 * MIB)).unwrap();
    let serving = serve(root.path());
    fetch_all(&serving.url("/"), target.path());
    let local = target.path().join("large");
    let whole = fs::read(&local).unwrap();
    let mut damaged = whole.clone();
    damaged[3 * MIB] ^= 1;
    let mut session = Session::connect(&serving.url("/"), target.path());
    session.say("ls");
    session.until("file large");
    for (content, says) in [
        (
            &whole[..],
            "large: the file here is the server's, by BLAKE3",
        ),
        (&damaged[..], "differ: 3: --on-conflict update repairs it"),
        (&whole[..5], "differ: 0 to 4, it is not 5.00 MiB long"),
    ] {
        fs::write(&local, content).unwrap();
        session.say("verify large");
        session.until(says);
    }
    fs::remove_file(&local).unwrap();
    session.say("verify large");
    session.until("verify: large: ");
    let (status, ..) = session.end();
    assert_ne!(status, 0);
}
