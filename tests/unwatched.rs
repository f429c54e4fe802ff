//! Runs without a screen: what signals, cancels from elsewhere and outputs that take nothing make of them.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Stdio},
    time::Instant,
};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::{
    fs::{CWD, FileType, mknodat},
    process::{Pid, Signal, kill_process},
    termios::LocalModes,
};
use serde_json::Value;

use crate::common::{
    program::{Haul, ended, status},
    scripted::{Reply, Then, scripted},
    secure::Daemon,
    serving::{PATIENCE, serve},
    trees::content,
};

/// A run whose output this test has; killed when it is dropped.
struct Run {
    child: Child,
    _haul: Haul,
}

impl Run {
    fn start(mut haul: Haul) -> Self {
        let piped = haul.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = piped.stderr(Stdio::piped()).spawn().unwrap();
        Self { child, _haul: haul }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Its status, and what it wrote to both.
    fn end(mut self) -> (i32, String, String) {
        let status = ended(&mut self.child).code().unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        if let Some(mut stdout) = stdout {
            stdout.read_to_string(&mut out).unwrap();
        }
        stderr.unwrap().read_to_string(&mut err).unwrap();
        (status, out, err)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signal_ends_what_waits_for_a_server() {
    let silent = scripted(|_| Reply {
        bytes: Vec::new(),
        then: Then::Hang,
    });
    let (metalink, list, base) = (
        silent.url("/x.meta4"),
        silent.url("/SHA256SUMS"),
        silent.url("/"),
    );
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        for arguments in [
            &[&metalink, "--headless"][..],
            &[&base, "--all", "--headless", "--checksums", &list],
            &[&metalink, "--run", "-"],
            &[&base, "--all", "--run", "-", "--checksums", &list],
        ] {
            let target = tempfile::tempdir().unwrap();
            let dir = target.path().to_str().unwrap();
            let asked = silent.requests().len();
            let run = Run::start(Haul::new(
                &[&["connect", "-d", dir][..], arguments].concat(),
            ));
            let begun = Instant::now();
            while silent.requests().len() == asked {
                assert!(begun.elapsed() < PATIENCE, "{arguments:?}");
                std::thread::yield_now();
            }
            run.signal(signal);
            let (code, out, err) = run.end();
            assert_eq!(code, status, "{arguments:?}: {out}{err}");
            assert_eq!(err, "", "{arguments:?}");
        }
    }
}

#[test]
fn a_signal_ends_a_file_that_nobody_reads() {
    let (root, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(root.path().join("large"), content(1, 3 << 20)).unwrap();
    let server = serve(root.path());
    let url = server.url("/large");
    let fifo = target.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, 0o644.into(), 0).unwrap();
    for output in ["-", fifo.to_str().unwrap()] {
        let arguments = ["connect", &url, "--headless", "-o", output, "-v", "info"];
        let mut run = Run::start(Haul::new(&arguments));
        let stderr = run.child.stderr.take().unwrap();
        let mut lines = BufReader::new(stderr).lines();
        // All of it is here: only the way on is shut.
        let done = lines.find(|line| line.as_ref().unwrap().contains("verified"));
        assert!(done.is_some(), "{output}");
        run.signal(Signal::TERM);
        assert_eq!(ended(&mut run.child).code(), Some(143), "{output}");
        let rest: Vec<_> = lines.map(Result::unwrap).collect();
        let end = rest.last().map_or("", String::as_str);
        assert!(end.contains("interrupted"), "{output}: {rest:?}");
    }
}

/// A run that others steer, at a server that sends slowly.
struct Steered {
    daemon: Daemon,
    run: Run,
}

impl Steered {
    fn start(root: &Path, target: &Path, more: &[&str]) -> Self {
        let daemon = Daemon::start(root, &["--limit", "100k"]);
        let dir = target.to_str().unwrap();
        let url = format!("{}/", daemon.url);
        let arguments = [&["connect", &url, "--headless", "-d", dir][..], more].concat();
        let runtime = daemon.state.path().to_str().unwrap();
        let run = Run::start(Haul::new(&arguments).env("XDG_RUNTIME_DIR", runtime));
        Self { daemon, run }
    }

    /// Gives the run a command.
    fn ctl(&self, command: &[&str]) -> (i32, String, String) {
        self.tell(&format!("connect.{}", self.run.child.id()), command)
    }

    fn unlimited(&self) {
        let name = format!("serve.{}", self.daemon.id());
        assert_eq!(self.tell(&name, &["limit", "off"]).0, 0);
    }

    fn tell(&self, name: &str, command: &[&str]) -> (i32, String, String) {
        let runtime = self.daemon.state.path().to_str().unwrap();
        let ctl = Haul::new(&[&["ctl", name], command].concat());
        ctl.env("XDG_RUNTIME_DIR", runtime).run()
    }

    /// Waits until a figure of its status is `count`.
    fn until(&self, key: &str, count: u64) {
        let begun = Instant::now();
        loop {
            let run = status(self.daemon.state.path(), self.run.child.id());
            if run.as_ref().is_some_and(|run| run[key] == count) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{key}: {run:?}");
        }
    }
}

#[test]
fn what_is_cancelled_from_elsewhere_is_no_success() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("large"), content(1, 4 << 20)).unwrap();
    let update = ["--delete", "--yes", "--on-conflict", "update"];
    for (more, json) in [
        (&[&["--all"][..], &update].concat()[..], false),
        (&["--get", "large", "--json"], true),
        (&["--get", "large", "-o", "-"], false),
    ] {
        let target = tempfile::tempdir().unwrap();
        fs::write(target.path().join("old"), "old").unwrap();
        let steered = Steered::start(root.path(), target.path(), more);
        steered.until("items", 1);
        let (code, _, stderr) = steered.ctl(&["cancel", "all"]);
        assert_eq!(code, 0, "{stderr}");
        let (code, out, err) = steered.run.end();
        assert_eq!(code, 1, "{more:?}: {out}{err}");
        assert!(target.path().join("old").exists(), "{more:?}");
        if json {
            let last = serde_json::from_str::<Value>(out.lines().last().unwrap()).unwrap();
            let told = (&last["event"], &last["cancelled"], &last["failed"]);
            assert_eq!(told, (&"summary".into(), &1.into(), &0.into()), "{out}");
        } else {
            let told = format!("{out}{err}");
            assert!(told.contains("1 cancelled"), "{told}");
            assert!(!told.contains("no such file"), "{told}");
        }
    }
}

#[test]
fn what_is_cleared_from_elsewhere_is_gone_and_still_counts() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("large"), content(1, 4 << 20)).unwrap();
    let target = tempfile::tempdir().unwrap();
    let steered = Steered::start(root.path(), target.path(), &["--get", "large"]);
    steered.until("items", 1);
    assert_eq!(steered.ctl(&["get", "none"]).0, 0);
    steered.until("failed", 1);
    let cleared = steered.ctl(&["clear"]);
    assert_eq!(
        (cleared.0, cleared.1.as_str()),
        (0, "cleared 1 transfer\n"),
        "{}",
        cleared.2
    );
    steered.until("items", 1);
    steered.until("failed", 0);
    steered.unlimited();
    let (code, out, err) = steered.run.end();
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains("1 failed"), "{out}");
}

#[test]
fn an_output_that_takes_nothing_is_told_in_json_too() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), "hello").unwrap();
    let server = serve(root.path());
    let url = server.url("/a");
    let line = ["connect", &url, "--headless", "--json", "-o", "/dev/full"];
    let (code, out, err) = Haul::new(&line).run();
    assert_eq!((code, out.as_str()), (7, ""), "{err}");
    // Where a file goes on to somewhere else, the report is on stderr.
    let (lines, said): (Vec<&str>, Vec<&str>) = err.lines().partition(|line| line.starts_with('{'));
    let told = said.concat();
    assert!(
        told.starts_with("haul: cannot write to /dev/full: "),
        "{err}"
    );
    let told = serde_json::json!({"event": "failed", "error": &told["haul: ".len()..]});
    let lines = lines
        .into_iter()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let [.., failed, last] = &lines[..] else {
        panic!("{err}");
    };
    assert_eq!(failed, &told);
    assert_eq!(
        (&last["event"], &last["failed"]),
        (&"summary".into(), &1.into())
    );
}

#[test]
fn help_that_nobody_can_take_is_told() {
    for arguments in [
        &["--version"][..],
        &["--help"],
        &["serve", "-h"],
        &["completions", "bash"],
    ] {
        let mut haul = Haul::new(arguments);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let piped = haul.command.stdout(full).stderr(Stdio::piped());
        let output = piped.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(7), "{arguments:?}: {stderr}");
        assert!(stderr.contains("cannot write to stdout"), "{stderr}");
    }
}

#[test]
fn a_signal_at_a_password_gives_the_echo_back() {
    for (signal, status) in [(None, 130), (Some(Signal::TERM), 143)] {
        let pair = native_pty_system().openpty(PtySize::default()).unwrap();
        let echoes = || {
            let modes = pair.master.get_termios().unwrap().local_flags.bits();
            modes & LocalModes::ECHO.bits() != 0
        };
        assert!(echoes());
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_haul"));
        command.args(["passwd", "ada"]);
        // The terminal outlives it, as a shell's does.
        let mut child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let mut writer = pair.master.take_writer().unwrap();
        let (mut seen, mut buffer) = (String::new(), [0; 4096]);
        while !seen.contains("Password: ") {
            let read = reader.read(&mut buffer).unwrap();
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        let begun = Instant::now();
        while echoes() {
            assert!(begun.elapsed() < PATIENCE, "{seen}");
        }
        match signal {
            None => writer.write_all(b"\x03").unwrap(),
            Some(signal) => {
                let pid = child.process_id().unwrap().cast_signed();
                kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
            }
        }
        assert_eq!(child.wait().unwrap().exit_code(), status, "{seen}");
        assert!(echoes(), "{signal:?}");
    }
}
