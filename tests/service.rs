//! Under a service manager: sockets that it hands over, what it is told, a restart that nobody notices, and as process 1.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::common::{
    program::{Haul, ended},
    raw::{fetch, get},
    secure::Daemon,
    serving::PATIENCE,
    tools::{need, skipped},
};

/// What a service manager does: the socket that it is told news on, and the sockets that it hands over.
struct Manager {
    dir: TempDir,
    told: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let told = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { dir, told }
    }

    /// Hands `first` over as descriptor 3, and `second` as 4, where there is one.
    fn start(&self, root: &Path, first: &TcpListener, second: Option<&TcpListener>) -> Haul {
        let (count, more) = match second {
            Some(_) => (2, "exec 4<&1 >/dev/null;"),
            None => (1, ""),
        };
        let line = format!(
            "exec 3<&0 </dev/null; {more} export LISTEN_PID=$$ LISTEN_FDS={count}; exec \"$@\""
        );
        let root = root.to_str().unwrap();
        let within = ["bash", "-c", &line, "bash"];
        let mut haul = Haul::within(&within, &["serve", root, "--headless", "-p", "1"]);
        let owned =
            |listener: &TcpListener| Stdio::from(OwnedFd::from(listener.try_clone().unwrap()));
        let stderr = fs::File::create(haul.state.path().join("stderr")).unwrap();
        haul.command
            .env("NOTIFY_SOCKET", self.dir.path().join("notify"))
            .stdin(owned(first))
            .stdout(second.map_or_else(Stdio::null, owned))
            .stderr(stderr);
        haul
    }

    /// Waits until it is told a line that begins so; the line.
    fn hears(&self, line: &str) -> String {
        let start = Instant::now();
        loop {
            let mut told = [0; 1024];
            let length = self.told.recv(&mut told).unwrap();
            let text = std::str::from_utf8(&told[..length]).unwrap();
            if let Some(found) = text.lines().find(|told| told.starts_with(line)) {
                return found.to_owned();
            }
            assert!(start.elapsed() < PATIENCE, "no {line}");
        }
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn stop(child: &mut Child) -> Option<i32> {
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    ended(child).code()
}

fn served() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "hello").unwrap();
    root
}

#[test]
fn sockets_are_taken_over_and_the_manager_is_told() {
    if need("bash").is_none() {
        return;
    }
    let (root, manager) = (served(), Manager::new());
    let ((first, one), (second, two)) = (listener(), listener());
    let mut haul = manager.start(root.path(), &first, Some(&second));
    let mut child = haul.command.spawn().unwrap();
    assert_eq!(manager.hears("READY="), "READY=1");
    for address in [one, two] {
        assert_eq!(fetch(address, get("/f", "")).text(), "hello");
    }
    let status = manager.hears("STATUS=");
    assert!(status.ends_with("2 files sent"), "{status}");
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    manager.hears("STOPPING=1");
    assert_eq!(ended(&mut child).code(), Some(143));
    // They are the manager's: who comes now waits for the next start.
    for address in [one, two] {
        drop(TcpStream::connect(address).unwrap());
    }
}

#[test]
fn who_is_watched_gives_signs_of_life() {
    if need("bash").is_none() {
        return;
    }
    let (root, manager) = (served(), Manager::new());
    let (socket, _) = listener();
    let mut haul = manager.start(root.path(), &socket, None);
    haul.command.env("WATCHDOG_USEC", "200000");
    let mut child = haul.command.spawn().unwrap();
    manager.hears("READY=1");
    let begun = Instant::now();
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    // Twice in each 0.2 s: three of them cannot have come before.
    assert!(begun.elapsed() >= Duration::from_millis(200));
    // Who hangs gives none.
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    manager
        .told
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut told = [0; 1024];
    while manager.told.recv(&mut told).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "a stopped process is alive");
    }
    kill_process(pid, Signal::CONT).unwrap();
    manager.told.set_read_timeout(Some(PATIENCE)).unwrap();
    manager.hears("WATCHDOG=1");
    assert_eq!(stop(&mut child), Some(143));
}

#[test]
fn a_restart_refuses_nobody() {
    const EACH: Duration = Duration::from_millis(20);
    if need("bash").is_none() {
        return;
    }
    let (root, manager) = (served(), Manager::new());
    let (socket, address) = listener();
    let start = || {
        let mut haul = manager.start(root.path(), &socket, None);
        let child = haul.command.spawn().unwrap();
        manager.hears("READY=1");
        (haul, child)
    };
    let (mut state, mut child) = start();
    let over = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(AtomicUsize::new(0));
    // 50 new connections a second, whatever becomes of those before them.
    let clients = thread::spawn({
        let (over, begun) = (Arc::clone(&over), Arc::clone(&begun));
        move || {
            let mut asked = Vec::new();
            while !over.load(Ordering::SeqCst) {
                asked.push(thread::spawn(move || ask(address)));
                begun.fetch_add(1, Ordering::SeqCst);
                thread::sleep(EACH);
            }
            let answers = asked.into_iter().map(|asked| asked.join().unwrap());
            answers.collect::<Vec<_>>()
        }
    });
    for _ in 0..5 {
        assert_eq!(stop(&mut child), Some(143), "{:?}", state.state.path());
        (state, child) = start();
        let before = begun.load(Ordering::SeqCst);
        while begun.load(Ordering::SeqCst) < before + 10 {
            assert_eq!(fetch(address, get("/f", "")).text(), "hello");
        }
    }
    over.store(true, Ordering::SeqCst);
    let answers = clients.join().unwrap();
    let lost: Vec<_> = answers
        .iter()
        .filter(|answer| !answer.ends_with("hello"))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {}: {lost:?}",
        lost.len(),
        answers.len()
    );
    assert!(answers.len() >= 50, "{}", answers.len());
    assert_eq!(stop(&mut child), Some(143));
}

/// What a new connection is answered, or why it is not.
fn ask(address: SocketAddr) -> String {
    let answer = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    answer().unwrap_or_else(|error: std::io::Error| error.to_string())
}

#[test]
fn sockets_for_somebody_else_are_left_alone_and_wrong_ones_are_told() {
    if need("bash").is_none() {
        return;
    }
    let root = served();
    // Of the shell that has started it, say.
    let others = ["env", "LISTEN_PID=1", "LISTEN_FDS=1"];
    let daemon = Daemon::start_within(&others, root.path(), &["-p", "0"]);
    assert_eq!(fetch(daemon.address(), get("/f", "")).text(), "hello");
    let mine = |more: &str| format!("exec 3</dev/null; export LISTEN_PID=$$ {more}; exec \"$@\"");
    for (line, told) in [
        (
            mine("LISTEN_FDS=1"),
            "socket 3 of the service manager listens for no TCP",
        ),
        (mine("LISTEN_FDS=many"), "LISTEN_FDS: `many` is no number"),
        (mine("LISTEN_FDS=4000000000"), "is no number up to 64"),
    ] {
        let within = ["bash", "-c", &line, "bash"];
        let root = root.path().to_str().unwrap();
        let (code, _, stderr) = Haul::within(&within, &["serve", root, "--headless"]).run();
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(told), "{stderr}");
    }
}

#[test]
fn systemd_socket_activate_starts_it() {
    let Some(activate) = need("systemd-socket-activate") else {
        return;
    };
    let root = served();
    let state = tempfile::tempdir().unwrap();
    // It takes a port, and none that is free by itself.
    let (one, two) = (listener().1, listener().1);
    let mut child = std::process::Command::new(activate)
        .args(["-l", &one.to_string(), "-l", &two.to_string()])
        .args([
            format!("--setenv=HOME={}", state.path().display()).as_str(),
            "--",
        ])
        .args([
            env!("CARGO_BIN_EXE_haul"),
            "serve",
            root.path().to_str().unwrap(),
            "--headless",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    // The first connection starts it.
    while TcpStream::connect(one).is_err() {
        assert!(start.elapsed() < PATIENCE, "nobody listens");
        thread::yield_now();
    }
    for address in [one, two] {
        assert_eq!(fetch(address, get("/f", "")).text(), "hello");
    }
    assert_eq!(stop(&mut child), Some(143));
}

/// That the first process of a container lets go of what ends there and was another's child.
fn leaves_no_zombie(first: i32) {
    let entered = std::process::Command::new("nsenter")
        .args([
            "--preserve-credentials",
            "-U",
            "-p",
            "-t",
            &first.to_string(),
        ])
        .args(["sh", "-c", "sleep 0.1 >/dev/null 2>&1 &"])
        .status();
    assert!(entered.unwrap().success());
    let children = format!("/proc/{first}/task/{first}/children");
    let start = Instant::now();
    while let left = fs::read_to_string(&children).unwrap()
        && !left.trim().is_empty()
    {
        assert!(start.elapsed() < PATIENCE, "{left}");
        thread::yield_now();
    }
}

/// The first process of a container is sent no signal that it does not ask for.
#[test]
fn signals_end_it_as_process_1() {
    let namespace = ["unshare", "-rpf", "--mount-proc"];
    let works = need("unshare").is_some()
        && std::process::Command::new("unshare")
            .args(&namespace[1..])
            .arg("true")
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success();
    if !works {
        return skipped("no namespaces of processes here");
    }
    let root = served();
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 143)] {
        let daemon = Daemon::start_within(&namespace, root.path(), &["-p", "0"]);
        let outer = daemon.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
        let first: i32 = children.trim().parse().unwrap();
        let inside = fs::read_to_string(format!("/proc/{first}/status")).unwrap();
        let number = inside
            .lines()
            .find(|line| line.starts_with("NSpid:"))
            .unwrap();
        assert!(number.ends_with("\t1"), "{number}");
        assert_eq!(fetch(daemon.address(), get("/f", "")).text(), "hello");
        leaves_no_zombie(first);
        kill_process(Pid::from_raw(first).unwrap(), signal).unwrap();
        assert_eq!(daemon.wait(), Some(status), "{signal:?}");
    }
}
