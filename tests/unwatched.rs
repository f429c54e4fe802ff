//! Runs without a screen: what signals, cancels from elsewhere and outputs that take nothing make of them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Stdio},
    time::Instant,
};

use rustix::{
    fs::{CWD, FileType, mknodat},
    process::{Pid, Signal, kill_process},
};

use crate::common::{
    program::{Haul, ended},
    scripted::{Reply, Then, scripted},
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
