//! Started for later, by somebody who leaves: `nohup`, `&`, services; and variables that were set for somebody else.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::{
    program::{Haul, ended},
    raw::{fetch, get},
    secure::Daemon,
    serving::PATIENCE,
    tools::{need, skipped},
};

fn signal(id: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn signals_that_were_ignored_at_the_start_stay_ignored() {
    if need("sh").is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "hello").unwrap();
    // What nohup does, and a script's `&`.
    let within = ["sh", "-c", "trap '' HUP INT; exec \"$@\"", "sh"];
    let args = ["-p", "0"];
    let daemon = Daemon::start_within(&within, root.path(), &args);
    for ignored in [Signal::HUP, Signal::INT, Signal::HUP] {
        signal(daemon.id(), ignored);
        let answer = fetch(daemon.address(), get("/f", ""));
        assert_eq!(answer.text(), "hello", "{ignored:?}");
    }
    // A drain would have begun: no new connection is taken from then on.
    assert_eq!(fetch(daemon.address(), get("/f", "")).text(), "hello");
    assert!(
        !daemon.written().contains("stopping"),
        "{}",
        daemon.written()
    );
    signal(daemon.id(), Signal::TERM);
    assert_eq!(daemon.wait(), Some(143));
}

#[test]
fn signals_that_were_not_ignored_end_it() {
    let root = tempfile::tempdir().unwrap();
    for (told, status) in [(Signal::HUP, 143), (Signal::INT, 130), (Signal::TERM, 143)] {
        let daemon = Daemon::start(root.path(), &[]);
        signal(daemon.id(), told);
        assert_eq!(daemon.wait(), Some(status), "{told:?}");
    }
}

#[test]
fn a_download_that_runs_under_nohup_outlives_its_terminal() {
    if need("sh").is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let target = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), vec![7; 300_000]).unwrap();
    let daemon = Daemon::start(root.path(), &["--limit", "100k"]);
    let dir = target.path().to_str().unwrap();
    let within = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"];
    let arguments = [
        "connect",
        &daemon.url,
        "--all",
        "-d",
        dir,
        "--headless",
        "--json",
    ];
    let mut haul = Haul::within(&within, &arguments);
    let mut child = haul.command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("\"started\""));
    signal(child.id(), Signal::HUP);
    assert_eq!(ended(&mut child).code(), Some(0));
    assert_eq!(fs::read(target.path().join("f")).unwrap().len(), 300_000);
}

/// A shell on a terminal of its own with job control runs `line`; what appears until it ends.
fn on_a_terminal(line: &str) -> String {
    let pair = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new("bash");
    command.args(["--norc", "--noprofile", "-c", line]);
    command.env("TERM", "xterm");
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut shown = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = reader.read(&mut chunk) {
        shown.extend_from_slice(&chunk[..read]);
    }
    child.wait().unwrap();
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn in_the_background_nothing_is_drawn_on_the_terminal_and_nothing_stops() {
    if need("bash").is_none() || need("timeout").is_none() || need("curl").is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let target = tempfile::tempdir().unwrap();
    let state = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), vec![7; 100_000]).unwrap();
    let (root, target, state) = (root.path(), target.path(), state.path());
    let haul = env!("CARGO_BIN_EXE_haul");
    // Job control, as at a prompt: `&` is a process group of its own, and what it reads or sets there stops it.
    let line = format!(
        "set -m; export XDG_STATE_HOME={state} XDG_CACHE_HOME={state}; \
         {haul} serve {root} -a 127.0.0.1 -p 0 -l {state}/log & server=$!; \
         until grep -qs 'listening on' {state}/log; do sleep 0.02; done; \
         url=$(grep -o 'http://[0-9.:]*' {state}/log | head -n 1); \
         curl -s -o /dev/null -w 'status=%{{http_code}}\\n' \"$url/f\"; \
         {haul} connect \"$url\" --all -d {target} & client=$!; \
         wait $client; echo client=$?; kill $server; wait $server; echo server=$?",
        state = state.display(),
        root = root.display(),
        target = target.display(),
    );
    let shown = on_a_terminal(&format!(
        "timeout 30 bash -c '{}'",
        line.replace('\'', "'\\''")
    ));
    assert!(shown.contains("status=200"), "{shown:?}");
    assert!(
        shown.contains("client=0") && shown.contains("server=143"),
        "{shown:?}"
    );
    assert!(!shown.contains('\x1b'), "it draws: {shown:?}");
    assert_eq!(fs::read(target.join("f")).unwrap().len(), 100_000);
}

#[test]
fn variables_for_a_service_called_haul_are_not_read() {
    let root = tempfile::tempdir().unwrap();
    let linked = [
        "env",
        "HAUL_PORT=tcp://10.0.0.1:8888",
        "HAUL_NAME=/web/haul",
    ];
    let daemon = Daemon::start_within(&linked, root.path(), &["-p", "0"]);
    let said = daemon.wait_to_say("listening on");
    assert!(
        said.contains("WARN")
            && said.contains("HAUL_PORT: `tcp://10.0.0.1:8888` is not read: Kubernetes"),
        "{said}"
    );
    assert!(
        said.contains("HAUL_NAME: `/web/haul` is not read"),
        "{said}"
    );
    // The port of the default would be taken; that it is tried is enough.
    let line = Haul::new(&[
        "connect",
        "--all",
        "-a",
        "127.0.0.1",
        "--retries",
        "0",
        "--timeout",
        "1s",
    ])
    .env("HAUL_PORT", "udp://10.0.0.1:53");
    let (_, _, stderr) = line.run();
    assert!(!stderr.contains("is no port"), "{stderr}");
}

#[test]
fn a_variable_that_decides_nothing_cannot_be_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("x.ini");
    fs::write(
        &config,
        "[serve]\nport = 0\ntimeout = 5s\nhidden = false\n[connect]\nworkers = 2\nrun = x\n",
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let wrong = [
        ("HAUL_PORT", "junk"),
        ("HAUL_TIMEOUT", "soon"),
        ("HAUL_HIDDEN", "perhaps"),
    ];
    let environment = wrong.map(|(name, value)| format!("{name}={value}"));
    let within: Vec<&str> = ["env"]
        .into_iter()
        .chain(environment.iter().map(String::as_str))
        .collect();
    // The file decides.
    drop(Daemon::start_within(&within, dir.path(), &["-c", config]));
    // The command line does.
    let line = ["-p", "0", "--timeout", "5s", "--hidden=false"];
    drop(Daemon::start_within(&within, dir.path(), &line));
    // Neither does: then what is wrong is told, with its name.
    for (name, value) in wrong {
        let told = Haul::new(&["serve"]).env(name, value).fails(2);
        assert!(told.starts_with(name), "{told}");
    }
    // What the target of a client spells is decided.
    let daemon = Daemon::start(dir.path(), &[]);
    let target = tempfile::tempdir().unwrap();
    let to = target.path().to_str().unwrap();
    let (code, _, stderr) = Haul::new(&["connect", &daemon.url, "--all", "-d", to])
        .env("HAUL_PORT", "junk")
        .env("HAUL_ADDRESS", "[junk")
        .run();
    assert_eq!(code, 0, "{stderr}");
    let host = ["connect", "127.0.0.1", "--all", "-d", to];
    let told = Haul::new(&host).env("HAUL_PORT", "junk").fails(2);
    assert!(told.starts_with("HAUL_PORT"), "{told}");
}

/// In a mount namespace of its own, with a small disk at `$1` that has one free page left.
const SMALL_DISK: &str = "mount -t tmpfs -o size=64k none \"$1\" && head -c 61440 /dev/zero > \"$1/ballast\" \
                          && shift && exec \"$@\"";

/// Whether the threads that write the log have written all there is: each sleeps in a futex(2) without a time limit, its fourth
/// argument. Where the system does not show that, it counts as so.
fn log_waits(id: u32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap().flatten();
    let read = |path: &Path, name| fs::read_to_string(path.join(name)).unwrap_or_default();
    let mut writers = tasks.filter(|task| read(&task.path(), "comm").trim() == "haul-log");
    writers.all(|task| {
        let call = read(&task.path(), "syscall");
        let waits = read(&task.path(), "wchan").contains("futex");
        call.is_empty() || waits && call.split(' ').nth(4) == Some("0x0")
    })
}

#[test]
fn a_full_disk_costs_whole_lines_of_the_log_and_they_are_counted() {
    let disk = tempfile::tempdir().unwrap();
    let disk = disk.path().to_str().unwrap();
    let namespace = ["unshare", "-rm", "--propagation", "private", "sh", "-c"];
    let works = need("unshare").is_some()
        && std::process::Command::new("unshare")
            .args(&namespace[1..])
            .args([SMALL_DISK, "sh", disk, "true"])
            .status()
            .unwrap()
            .success();
    if !works {
        return skipped("no mount namespaces here");
    }
    let root = tempfile::tempdir().unwrap();
    let within = [&namespace[..], &[SMALL_DISK, "sh", disk]].concat();
    let log = format!("{disk}/log");
    let line = ["-p", "0", "-l", &log, "--log-format", "json"];
    let daemon = Daemon::start_within(&within, root.path(), &line);
    let inside = format!("/proc/{}/root{disk}", daemon.id());
    let said = || fs::read_to_string(daemon.state.path().join("stderr")).unwrap();
    let start = Instant::now();
    while !said().contains("cannot be written: no space left on device") {
        assert_eq!(fetch(daemon.address(), get("/missing", "")).status, 404);
        assert!(start.elapsed() < PATIENCE, "{}", said());
    }
    for _ in 0..20 {
        assert_eq!(fetch(daemon.address(), get("/lost", "")).status, 404);
    }
    // Lines come to the disk in batches: all that are to be lost have come before there is room again.
    while !log_waits(daemon.id()) {
        assert!(start.elapsed() < PATIENCE, "the log is never done");
        std::thread::yield_now();
    }
    fs::remove_file(format!("{inside}/ballast")).unwrap();
    let text = || fs::read_to_string(format!("{inside}/log")).unwrap();
    while !text().contains("lines of the log that are lost") {
        assert_eq!(fetch(daemon.address(), get("/found", "")).status, 404);
        assert!(start.elapsed() < PATIENCE, "{}", text());
    }
    // Each line is in it or counted: what people saw are both together. Lines about the log itself come on top.
    let is_own =
        |line: &str| line.contains("lines of the log") || line.contains("cannot be written");
    let others = |text: &str| text.lines().filter(|line| !is_own(line)).count();
    loop {
        let (text, shown) = (text(), others(&said()));
        let lines: Vec<serde_json::Value> = text
            .split_terminator('\n')
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
            })
            .collect();
        let told = lines.iter().filter_map(|line| {
            let told = line["message"].as_str()?;
            told.strip_prefix("lines of the log that are lost: ")
        });
        let (counts, reasons): (Vec<_>, Vec<_>) =
            told.filter_map(|lost| lost.split_once(": ")).unzip();
        let lost: usize = counts.iter().map(|n| n.parse::<usize>().unwrap()).sum();
        assert!(reasons.iter().all(|why| *why == "no space left on device"));
        let is_told = said().contains("lines of the log that are lost: ");
        if is_told && lost >= 20 && others(&text) + lost == shown {
            break;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{lost} lost of {shown}: {text}\n{}",
            said()
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_log_that_was_moved_away_goes_on_under_its_name() {
    let root = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("serve.log");
    // A crash left half a line.
    fs::write(&log, "half a li").unwrap();
    let daemon = Daemon::start(root.path(), &["-l", log.to_str().unwrap()]);
    let start = Instant::now();
    let ask_until = |target: &str| {
        while !fs::read_to_string(&log).is_ok_and(|text| text.contains(target)) {
            assert_eq!(fetch(daemon.address(), get(target, "")).status, 404);
            assert!(start.elapsed() < PATIENCE, "{target}");
        }
    };
    ask_until("/before");
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("half a li\n2"), "{text:?}");
    fs::rename(&log, dir.path().join("serve.log.1")).unwrap();
    ask_until("/after");
    let old = fs::read_to_string(dir.path().join("serve.log.1")).unwrap();
    assert!(old.contains("/before") && old.ends_with('\n'));
    assert!(!fs::read_to_string(&log).unwrap().contains("/before"));
}

/// A laptop that sleeps, Ctrl-Z, a debugger: nobody could take anything meanwhile.
#[test]
fn a_server_that_was_stopped_keeps_its_readers() {
    const SIZE: usize = 12 << 20;
    let root = tempfile::tempdir().unwrap();
    let bytes = crate::common::trees::content(4, SIZE);
    fs::write(root.path().join("f"), &bytes).unwrap();
    let args = ["-p", "0", "--timeout", "1s", "--min-rate", "1k"];
    let daemon = Daemon::start_within(&[], root.path(), &args);
    let mut stream = std::net::TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = b"GET /f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, request).unwrap();
    let mut answer = vec![0; 100_000];
    stream.read_exact(&mut answer).unwrap();
    signal(daemon.id(), Signal::STOP);
    // What the kernel holds of it is read meanwhile; the stop lasts longer than its patience.
    let stopped = Instant::now();
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut more = vec![0; 64 * 1024];
    while stopped.elapsed() < Duration::from_secs(3) {
        match stream.read(&mut more) {
            Ok(read) => answer.extend_from_slice(&more[..read]),
            // A signal that is for another test may end the wait.
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                ),
                "{error}"
            ),
        }
    }
    signal(daemon.id(), Signal::CONT);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap();
    assert!(
        answer[head + 4..] == bytes,
        "{}: {}",
        answer.len(),
        daemon.written()
    );
}
