//! What runs, seen and steered by other processes: `haul status`, `haul ctl`, and watchers of the socket itself.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixStream,
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::common::{
    program::{Haul, ended, status},
    secure::Daemon,
    serving::{PATIENCE, serve},
    tools::{need, skipped},
    trees::content,
};

/// A run of haul that sees what `daemon` runs.
fn beside(daemon: &Daemon, arguments: &[&str]) -> Haul {
    Haul::new(arguments).env("XDG_RUNTIME_DIR", daemon.state.path().to_str().unwrap())
}

/// The only socket of a process.
fn socket(runtime: &Path) -> PathBuf {
    // The log may lie beside it.
    let files = fs::read_dir(runtime.join("haul")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut sockets = paths.filter(|path| path.extension().is_some_and(|end| end == "sock"));
    let path = sockets.next().unwrap();
    assert!(sockets.next().is_none());
    path
}

/// Who reads and writes a socket himself.
struct Watcher {
    lines: BufReader<UnixStream>,
}

impl Watcher {
    fn of(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut watcher = Self {
            lines: BufReader::new(stream),
        };
        let hello = watcher.next();
        assert_eq!(hello["hello"]["version"], 1, "{hello}");
        watcher
    }

    fn ask(&self, ask: &Value) {
        let line = format!("{ask}\n");
        self.lines.get_ref().write_all(line.as_bytes()).unwrap();
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn until(&mut self, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut start = Instant::now();
        loop {
            let told = self.next();
            if is_so(&told) {
                return told;
            }
            if told.get("answer").is_some() {
                start = Instant::now();
            }
            assert!(start.elapsed() < PATIENCE, "{told}");
        }
    }
}

#[test]
fn status_tells_what_runs_and_whether_anything_does() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(root.path(), &["--instance", "pub", "--limit", "3M"]);
    let (code, stdout, _) = beside(&daemon, &["status"]).run();
    let name = format!("pub.{}", daemon.id());
    let told = stdout.lines().find_map(|line| line.strip_prefix(&name));
    let told = told.unwrap_or_default().trim_start();
    let serving = format!("{} on http://127.0.0.1:", root.path().display());
    assert_eq!(code, 0);
    assert!(told.starts_with(&serving), "{stdout}");
    assert!(told.ends_with(" · 0 clients"), "{stdout}");
    let run = status(daemon.state.path(), daemon.id()).unwrap();
    assert_eq!(run["name"], "pub");
    assert_eq!(
        (&run["command"], &run["limit"]),
        (&json!("serve"), &json!(3 << 20))
    );
    // Nobody else can come near the socket.
    let path = socket(daemon.state.path());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

    let runtime = daemon.state.path().to_owned();
    let quit = beside(&daemon, &["ctl", &name, "quit"]).run();
    assert_eq!(quit, (0, String::new(), String::new()));
    assert!(!path.exists(), "it goes with what listened there");
    let gone = Haul::new(&["status"]).env("XDG_RUNTIME_DIR", runtime.to_str().unwrap());
    match gone.run() {
        (0, others, _) => assert!(!others.contains(&name), "{others}"),
        none => assert_eq!(none, (3, "nothing runs\n".to_owned(), String::new())),
    }
    assert_eq!(daemon.wait(), Some(0), "to be told to end is no failure");
}

#[test]
fn a_command_from_a_script_answers_by_its_status() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(root.path(), &[]);
    let name = format!("serve.{}", daemon.id());
    let ctl = |command: &[&str]| beside(&daemon, &[&["ctl", &name], command].concat());
    let (code, stdout, stderr) = ctl(&["limit", "2M"]).run();
    assert_eq!(
        (code, stdout.as_str()),
        (0, "all clients: at most 2.00 MiB/s\n"),
        "{stderr}"
    );
    let run = status(daemon.state.path(), daemon.id()).unwrap();
    assert_eq!(run["limit"], 2 << 20);
    // A whole line as one word, with the colon that screens have.
    let (code, stdout, _) = ctl(&[":limit off"]).run();
    assert_eq!((code, stdout.as_str()), (0, "all clients: no limit\n"));
    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("two words")).unwrap();
    let mut share = ctl(&["share", "two words"]);
    share.command.current_dir(other.path());
    let (code, stdout, stderr) = share.run();
    assert_eq!(code, 0, "{stderr}");
    let shown = format!("{}/two words is served", other.path().display());
    assert!(stdout.starts_with(&shown), "{stdout}");

    for (command, status, said) in [
        (&["nonsense"][..], 2, "no command `nonsense`"),
        (&["limit", "fast"], 2, "`fast` is no rate"),
        (&["theme", "light"], 2, "about a screen"),
        (&["get", "x"], 2, "no command `get`"),
        (&["kick", "nobody"], 1, "no client is called `nobody`"),
        (&["share", "/nowhere"], 1, "/nowhere"),
        (&["unban", "nobody"], 1, "is not banned"),
    ] {
        let line = ctl(command).fails(status);
        assert!(line.contains(said), "{command:?}: {line}");
    }
    let line = beside(&daemon, &["ctl", "x", "drain"]).fails(3);
    assert!(line.contains("there is ") && line.contains(&name), "{line}");
    let line = beside(&daemon, &["attach"]).fails(2);
    assert!(line.contains("terminal"), "{line}");
    // Drained, it ends by itself.
    assert_eq!(ctl(&["drain"]).run().0, 0);
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_download_is_steered_and_the_queue_added_to() {
    let root = tempfile::tempdir().unwrap();
    for (seed, name) in (1..).zip(["first", "second"]) {
        fs::write(root.path().join(name), content(seed, 4 << 20)).unwrap();
    }
    let daemon = Daemon::start(root.path(), &["--limit", "100k"]);
    let into = tempfile::tempdir().unwrap();
    let (dir, url) = (
        into.path().to_str().unwrap(),
        format!("{}/first", daemon.url),
    );
    let mut haul = beside(&daemon, &["connect", &url, "--headless", "-d", dir]);
    let mut child = haul.command.spawn().unwrap();
    let run = |arguments: &[&str]| beside(&daemon, arguments).run();
    let start = Instant::now();
    let client = format!("connect.{}", child.id());
    let server = format!("serve.{}", daemon.id());
    let item = |key: &str| {
        let run = status(daemon.state.path(), child.id());
        run.map_or(Value::Null, |run| run[key].clone())
    };
    while item("items") != 1 {
        assert!(start.elapsed() < PATIENCE);
    }
    let (code, stdout, stderr) = run(&["ctl", &client, "get", "second"]);
    assert_eq!(
        (code, stdout.as_str()),
        (0, "1 added to the queue\n"),
        "{stderr}"
    );
    assert_eq!(run(&["ctl", &client, "pause", "all"]).0, 0);
    while item("paused") != 2 {
        assert!(start.elapsed() < PATIENCE);
    }
    let line = beside(&daemon, &["ctl", &client, "connect http://127.0.0.1:1/"]).fails(1);
    assert!(line.contains("stays with its server"), "{line}");
    assert_eq!(run(&["ctl", &server, "limit", "off"]).0, 0);
    assert_eq!(run(&["ctl", &client, "resume", "all"]).0, 0);
    // It ends only once what was added has arrived as well.
    assert_eq!(ended(&mut child).code(), Some(0));
    for (seed, name) in (1..).zip(["first", "second"]) {
        assert!(
            fs::read(into.path().join(name)).unwrap() == content(seed, 4 << 20),
            "{name}"
        );
    }
}

#[test]
fn what_a_killed_process_leaves_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(root.path(), &[]);
    let path = socket(daemon.state.path());
    let name = format!("serve.{}", daemon.id());
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let pid = Pid::from_raw(daemon.id().cast_signed()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let runtime = daemon.state.path().to_str().unwrap().to_owned();
    let state = tempfile::tempdir().unwrap();
    // Its directory outlives it.
    let kept = state.path().join("haul");
    fs::create_dir(&kept).unwrap();
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(path.exists(), "{runtime}");
    let moved = kept.join(path.file_name().unwrap());
    fs::rename(&path, &moved).unwrap();
    assert_eq!(daemon.wait(), None);
    let status = Haul::new(&["status"]).env("XDG_RUNTIME_DIR", state.path().to_str().unwrap());
    let (_, told, _) = status.run();
    assert!(!told.contains(&name), "{told}");
    assert!(!moved.exists());
}

#[test]
fn without_a_socket_it_runs_and_says_why() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "hello").unwrap();
    let off = Daemon::start(root.path(), &["--control", "off"]);
    assert!(!off.state.path().join("haul").join("run").exists());
    assert_eq!(status(off.state.path(), off.id()), None);
    // A directory of that name cannot be made anywhere: files stand there.
    let blocked = tempfile::tempdir().unwrap();
    let file = blocked.path().join("file");
    fs::write(&file, "").unwrap();
    let within = format!("XDG_RUNTIME_DIR={}", file.display());
    if rustix::process::geteuid().is_root() {
        skipped("root has another place for the socket");
    } else {
        let state = format!("XDG_STATE_HOME={}", file.display());
        let daemon = Daemon::start_within(&["env", &within, &state], root.path(), &["-p", "0"]);
        daemon.wait_to_say("no control socket: ");
    }
    let at = file.join("x.sock");
    let arguments = ["serve", ".", "--headless", "-p", "0", "--control"];
    let line = Haul::new(&[&arguments[..], &[at.to_str().unwrap()]].concat()).fails(7);
    assert!(line.contains("cannot make the control socket"), "{line}");
}

/// Kibibytes that a process has in memory.
fn resident(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}

#[test]
fn a_watcher_that_stops_reading_costs_little_and_holds_up_nobody() {
    /// Each listing of so many entries is near 1 MiB of JSON, and as much in memory.
    const ENTRIES: usize = 4000;
    /// All of them together would be.
    const ASKED: usize = 60;
    let root = tempfile::tempdir().unwrap();
    for number in 0..ENTRIES {
        let name = format!("{number:04}-{}", "x".repeat(120));
        fs::write(root.path().join(name), "").unwrap();
    }
    let daemon = Daemon::start(root.path(), &[]);
    let path = socket(daemon.state.path());
    let list = |id: usize| json!({"do": {"id": id, "effect": {"list": "/"}}});
    let mut reads = Watcher::of(&path);
    reads.ask(&list(1));
    let listed = reads.until(|told| told.get("answer").is_some());
    let entries = &listed["answer"]["event"]["listed"]["result"]["Ok"];
    assert_eq!(entries.as_array().unwrap().len(), ENTRIES);

    let before = resident(daemon.id());
    let mut stopped = Watcher::of(&path);
    stopped.ask(&json!({"watch": {"every": 20, "log": 0}}));
    let asking = stopped.lines.get_ref().try_clone().unwrap();
    let mut asks = Vec::new();
    for id in 0..ASKED {
        writeln!(asks, "{}", list(id)).unwrap();
    }
    // Whatever of it is not taken waits with who asks.
    let asked = std::thread::spawn(move || (&asking).write_all(&asks));
    // Who reads is told as ever, also of what he asks for.
    reads.ask(&json!({"watch": {"every": 20}}));
    for round in 0..5 {
        reads.ask(&list(100 + round));
        let done = |told: &Value| told["done"]["id"] == 100 + round;
        reads.until(done);
    }
    let grown = resident(daemon.id()).saturating_sub(before);
    assert!(grown < 48 << 10, "{grown} KiB more");

    // And what the stopped one gets, once it reads on, is what it asked for.
    let final_id = ASKED - 1;
    stopped.until(|told| told["done"]["id"] == final_id);
    asked.join().unwrap().unwrap();
}

#[test]
fn lines_that_cannot_be_read_are_answered_and_change_nothing() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(root.path(), &[]);
    let mut watcher = Watcher::of(&socket(daemon.state.path()));
    for wrong in [
        json!({"do": {"id": 1, "effect": "quit"}}),
        json!({"x": 1}),
        json!(7),
    ] {
        watcher.ask(&wrong);
        let told = watcher.next();
        assert!(told["wrong"].is_string(), "{wrong}: {told}");
    }
    // One sample, and no more.
    watcher.ask(&json!({"watch": {"every": 0}}));
    let told = watcher.next();
    assert_eq!(
        told["sample"]["sample"]["server"]["connections"], 0,
        "{told}"
    );
    watcher.ask(&json!({"do": {"id": 2, "effect": {"serve": {"limit": 5}}}}));
    assert_eq!(watcher.next(), json!({"done": {"id": 2}}));
    watcher.ask(&json!({"watch": {"every": 0, "log": 0}}));
    let told = watcher.next();
    let first = &told["log"][0];
    assert_eq!(first["seq"], 1, "{told}");
    let sample = watcher.until(|told| told.get("sample").is_some());
    assert_eq!(sample["sample"]["sample"]["server"]["limit"], 5);
}

#[test]
fn somebody_else_is_turned_away() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        skipped("only root can be somebody else");
        return;
    }
    if need("python3").is_none() {
        return;
    }
    // One that anybody may run, wherever the first in PATH lies.
    let python = "/usr/bin/python3";
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = open.path().join("x.sock");
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(root.path(), &["--control", at.to_str().unwrap()]);
    // As if the modes had not kept him out.
    fs::set_permissions(&at, fs::Permissions::from_mode(0o666)).unwrap();
    let program = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\nprint(len(s.recv(100)))";
    let as_user = |uid: u32| {
        let mut command = std::process::Command::new(python);
        command
            .args(["-c", program])
            .arg(&at)
            .uid(uid)
            .current_dir("/");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(as_user(NOBODY), "0\n", "not even a hello");
    daemon.wait_to_say("user 65534 is turned away");
    assert_eq!(as_user(0), "100\n");
    // A socket of its own place is named by that.
    let (code, stdout, _) = beside(&daemon, &["ctl", at.to_str().unwrap(), "limit", "1M"]).run();
    assert_eq!(
        (code, stdout.as_str()),
        (0, "all clients: at most 1.00 MiB/s\n")
    );
}

#[test]
fn detached_from_the_start_it_says_what_is_wrong() {
    let into = tempfile::tempdir().unwrap();
    let dir = into.path().to_str().unwrap();
    let line = Haul::new(&["connect", "http://127.0.0.1:1/", "--detach", "-d", dir]).fails(2);
    assert!(line.contains("--detach has nothing to get"), "{line}");
    let line = Haul::new(&["connect", "http://127.0.0.1:1/x", "--detach", "--json"]).fails(2);
    assert!(line.contains("leave --json"), "{line}");
    let file = into.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("dir");
    let arguments = ["connect", "http://127.0.0.1:1/x", "--detach", "-d"];
    let line = Haul::new(&[&arguments[..], &[below.to_str().unwrap()]].concat()).fails(7);
    assert!(line.contains("file"), "{line}");
    // What fails later is in the log, and the program that started it has ended well.
    let server = serve(into.path());
    let state = tempfile::tempdir().unwrap();
    let log = state.path().join("x.log");
    let url = server.url("/missing");
    let arguments = ["connect", &url, "--detach", "-d", dir, "--log"];
    let (code, stdout, stderr) =
        Haul::new(&[&arguments[..], &[log.to_str().unwrap()]].concat()).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("connect."), "{stdout}");
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(&log).unwrap();
        if text.contains("404") {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
