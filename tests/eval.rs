//! `haul eval`, as a shell runs it: what it leaves behind, and what it says when something is wrong.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use haul::eval::{
    logs,
    stats::{Distribution, fairness},
    summary::Summary,
    times::{Run, Times},
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::common::serving::{PATIENCE, serve};

/// A place for what measurements leave; nothing of the caller's environment reaches them.
struct Lab {
    home: TempDir,
}

impl Lab {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for dir in ["tmp", "cwd"] {
            fs::create_dir(home.path().join(dir)).unwrap();
        }
        Self { home }
    }

    fn out(&self) -> PathBuf {
        self.home.path().join("out")
    }

    fn times(&self) -> PathBuf {
        self.out().join("times/times.json")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haul"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HAUL_") {
                command.env_remove(name);
            }
        }
        command
            .arg("eval")
            .args(arguments)
            .arg("--out")
            .arg(self.out())
            .current_dir(self.home.path().join("cwd"))
            .env("XDG_STATE_HOME", self.home.path().join("state"))
            .env("XDG_CACHE_HOME", self.home.path().join("cache"))
            .env("TMPDIR", self.home.path().join("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end: status, stdout, stderr.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        finish(self.command(arguments).spawn().unwrap())
    }

    fn read(&self) -> (Times, Summary) {
        let times = Times::read(&self.times()).unwrap().unwrap();
        let text = fs::read(self.out().join("times/summary.json")).unwrap();
        (times, serde_json::from_slice(&text).unwrap())
    }

    /// Names below a directory, sorted.
    fn names(&self, dir: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.home.path().join(dir))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Processes of this program that were started for this lab and still run, but for eval itself.
    fn processes(&self) -> Vec<(Pid, String)> {
        let home = self.home.path().to_str().unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(number) = entry.file_name().to_string_lossy().parse() else {
                continue;
            };
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(home) && !line.contains(" eval ") {
                found.push((Pid::from_raw(number).unwrap(), line));
            }
        }
        found
    }

    /// Looks at the processes until one is as expected.
    fn wait_for(&self, what: &str) -> Pid {
        let start = Instant::now();
        loop {
            let found = self.processes();
            if let Some((pid, _)) = found.iter().find(|(_, line)| line.contains(what)) {
                return *pid;
            }
            assert!(start.elapsed() < PATIENCE, "no {what}: {found:?}");
            std::thread::yield_now();
        }
    }
}

fn finish(child: Child) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn near(figure: f64, expected: f64) -> bool {
    (figure - expected).abs() <= expected.abs() / 500.0 + 1e-9
}

/// The figures of `values`, reckoned anew: by sorting.
fn assert_figures(of: &Distribution, mut values: Vec<f64>, what: &str) {
    values.sort_by(f64::total_cmp);
    assert_eq!(of.count, values.len(), "{what}");
    let at = |quantile: f64| values[(quantile * values.len() as f64).ceil() as usize - 1];
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    for (figure, expected) in [
        (of.min, values[0]),
        (of.max, values[values.len() - 1]),
        (of.mean, mean),
        (of.median, at(0.5)),
        (of.p90, at(0.9)),
        (of.p99, at(0.99)),
    ] {
        assert!(near(figure, expected), "{what}: {figure} for {expected}");
    }
}

#[test]
fn a_measurement_leaves_its_logs_and_times_and_nothing_else() {
    let lab = Lab::new();
    let (code, stdout, stderr) =
        lab.run(&["-n", "1,3", "-f", "128,3k", "-r", "2", "--label", "first"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(stderr.lines().count(), 8, "a line a run: {stderr}");
    assert!(stdout.starts_with("first: haul "), "{stdout}");
    assert_eq!(lab.names("tmp"), [""; 0], "the clients' directories");
    assert_eq!(lab.names("cwd"), [""; 0]);
    assert_eq!(lab.names("out"), ["logs", "times"]);
    assert_eq!(lab.names("out/times"), ["summary.json", "times.json"]);
    assert_eq!(lab.names("cache/haul/eval"), ["10x128", "10x3k"]);
    let mut logs = Vec::new();
    for stem in ["1c128f", "1c3kf", "3c128f", "3c3kf"] {
        let clients: usize = stem[..1].parse().unwrap();
        logs.extend((0..clients).map(|number| format!("client{number}-{stem}.log")));
        logs.push(format!("server0-{stem}.log"));
    }
    logs.sort();
    assert_eq!(lab.names("out/logs"), logs);
    assert!(lab.processes().is_empty());

    let (times, summary) = lab.read();
    let evaluation = times.labelled("first").unwrap();
    assert!(evaluation.machine.cores > 0);
    assert_eq!((evaluation.planned, evaluation.runs.len()), (8, 8));
    assert_times_are_the_logs(&lab.out().join("logs"), &times);
    assert_summary_is_of_the_times(&summary, &times);
}

/// Every transfer of every run stands in a log of its client and of its server.
fn assert_times_are_the_logs(dir: &Path, times: &Times) {
    for evaluation in &times.evaluations {
        for run in &evaluation.runs {
            let released = run.began.parse().unwrap();
            for client in &run.clients {
                let path = dir.join(logs::name(&client.name, &run.cell));
                let sections = logs::read(&path).unwrap();
                let section = sections.iter().find(|one| one.mark.run == run.id).unwrap();
                let logged: Vec<_> = section
                    .lines
                    .iter()
                    .filter_map(|line| line.transfer(released))
                    .collect();
                assert_eq!(client.transfers, logged, "{}", path.display());
                assert_eq!(client.transfers.len(), run.cell.files);
                assert_eq!(client.error, None);
                let size = run.cell.size;
                for transfer in &client.transfers {
                    assert!(transfer.bytes == size && transfer.seconds > 0.0);
                    let end = transfer.began + transfer.seconds;
                    // The log's clock is another than the one that measures; it ticks in microseconds.
                    assert!(end <= client.seconds + 0.05, "{transfer:?} of {client:?}");
                }
                assert!(client.seconds <= run.seconds);
            }
            let server = logs::read(&dir.join(logs::name("server0", &run.cell))).unwrap();
            let section = server.iter().find(|one| one.mark.run == run.id).unwrap();
            let sent = section
                .lines
                .iter()
                .filter(|line| line.transfer(released).is_some());
            assert_eq!(sent.count(), run.cell.clients * run.cell.files);
        }
    }
}

/// Every figure, reckoned anew from the raw times.
fn assert_summary_is_of_the_times(summary: &Summary, times: &Times) {
    assert_eq!(summary.evaluations.len(), times.evaluations.len());
    for (all, evaluation) in summary.evaluations.iter().zip(&times.evaluations) {
        assert_eq!(all.label, evaluation.label);
        for figures in &all.cells {
            let runs: Vec<&Run> = evaluation
                .runs
                .iter()
                .filter(|run| run.cell == figures.cell)
                .collect();
            assert_eq!(figures.runs, runs.len());
            let clients = || runs.iter().flat_map(|run| &run.clients);
            let transfers = clients().flat_map(|client| &client.transfers);
            assert_figures(
                &figures.transfer,
                transfers.map(|transfer| transfer.seconds).collect(),
                "transfers",
            );
            assert_figures(
                &figures.client,
                clients().map(|client| client.seconds).collect(),
                "clients",
            );
            let per_run = |figure: &dyn Fn(&Run) -> f64| {
                runs.iter().map(|run| figure(run)).collect::<Vec<f64>>()
            };
            let cell = &figures.cell;
            let bytes = (cell.clients * cell.files) as f64 * cell.size as f64;
            let files = (cell.clients * cell.files) as f64;
            assert_figures(&figures.run, per_run(&|run| run.seconds), "runs");
            assert_figures(
                &figures.throughput,
                per_run(&|run| bytes / run.seconds),
                "throughput",
            );
            assert_figures(
                &figures.files_per_second,
                per_run(&|run| files / run.seconds),
                "files a second",
            );
            let shares = |run: &Run| {
                let rates: Vec<f64> = run.clients.iter().map(|one| 1.0 / one.seconds).collect();
                fairness(&rates).unwrap()
            };
            assert_figures(&figures.fairness, per_run(&shares), "fairness");
        }
    }
}

#[test]
fn a_new_measurement_is_added_and_a_taken_name_refused() {
    let lab = Lab::new();
    let small = ["-n", "1", "-f", "1k", "--files", "2", "-r", "1", "--label"];
    let with = |label| [&small[..], &[label]].concat();
    assert_eq!(lab.run(&with("a")).0, Some(0));
    let before = fs::read(lab.times()).unwrap();
    let (code, _, stderr) = lab.run(&with("a"));
    assert_eq!(code, Some(2));
    assert!(
        stderr.ends_with("has a measurement called `a` already: name this one with --label\n"),
        "{stderr}"
    );
    assert_eq!(fs::read(lab.times()).unwrap(), before);
    assert_eq!(lab.run(&with("b")).0, Some(0));
    let (times, summary) = lab.read();
    let labels: Vec<&str> = times
        .evaluations
        .iter()
        .map(|one| one.label.as_str())
        .collect();
    assert_eq!(labels, ["a", "b"]);
    assert_summary_is_of_the_times(&summary, &times);
    // The second one's runs follow in the same logs.
    assert_times_are_the_logs(&lab.out().join("logs"), &times);
}

#[test]
fn what_is_no_file_of_times_is_told_and_left_as_it_is() {
    let lab = Lab::new();
    fs::create_dir_all(lab.out().join("times")).unwrap();
    for (text, says) in [
        (
            "{\"version\":1,\n\"evaluations\":[{]}",
            "times.json:2: column ",
        ),
        ("", "times.json:1: "),
        (
            "{\"version\":7}",
            "times.json has version 7, this haul reads version 1: move it away",
        ),
    ] {
        fs::write(lab.times(), text).unwrap();
        let (code, stdout, stderr) = lab.run(&["-n", "1", "-f", "1k", "-r", "1"]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(
            stderr.contains(says) && stderr.lines().count() == 1,
            "{stderr}"
        );
        assert_eq!(fs::read_to_string(lab.times()).unwrap(), text);
        assert_eq!(lab.names("out/times"), ["times.json"]);
    }
}

/// 64 clients of files that take a while, one of which is killed in the middle.
#[test]
fn a_client_that_is_killed_is_told_by_name_and_the_others_count() {
    let lab = Lab::new();
    let child = lab
        .command(&[
            "-n", "64", "-f", "16k", "--files", "4", "-r", "1", "--rate", "32k",
        ])
        .spawn()
        .unwrap();
    let victim = lab.wait_for("--user=client7 ");
    // In the middle: it was released, and no file of it is complete: that takes half a second.
    let log = lab.out().join("logs/client7-64c16kf.log");
    let start = Instant::now();
    while !fs::read_to_string(&log).is_ok_and(|text| text.contains("client.released")) {
        assert!(start.elapsed() < PATIENCE, "{log:?}");
        std::thread::yield_now();
    }
    kill_process(victim, Signal::KILL).unwrap();
    let (code, stdout, stderr) = finish(child);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    assert!(stderr.contains("1 failed, "), "{stderr}");
    let told = stderr.find("haul: client7 failed: killed by signal 9\n    INFO ");
    assert!(told.is_some(), "with the end of its log: {stderr}");
    let (times, summary) = lab.read();
    let run = &times.evaluations[0].runs[0];
    assert_eq!(run.done().count(), 63);
    assert_eq!(run.clients[7].error.as_deref(), Some("killed by signal 9"));
    let figures = &summary.evaluations[0].cells[0];
    assert_eq!((figures.failed, figures.client.count), (1, 63));
    assert!(figures.transfer.count >= 63 * 4, "{figures:?}");
    assert_eq!(lab.names("tmp"), [""; 0]);
    assert!(lab.processes().is_empty());
}

#[test]
fn an_interrupted_measurement_keeps_what_is_done_and_ends_every_process() {
    let lab = Lab::new();
    // The first cell takes no time, the second a minute.
    let mut child = lab
        .command(&[
            "-n", "1", "-f", "1k,1m", "--files", "2", "-r", "1", "--rate", "32k",
        ])
        .spawn()
        .unwrap();
    lab.wait_for("client0-1c1mf.log");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < PATIENCE, "it goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let (code, stdout, stderr) = finish(child);
    assert_eq!(code, Some(130), "{stdout}{stderr}");
    assert!(stdout.contains(", 1 of 2 runs\n"), "{stdout}");
    let (times, summary) = lab.read();
    assert_eq!(times.evaluations[0].runs.len(), 1);
    assert!(!summary.evaluations[0].complete);
    assert_eq!(lab.names("tmp"), [""; 0]);
    assert!(lab.processes().is_empty());
}

#[test]
fn a_measurement_that_is_killed_takes_its_processes_along_and_leaves_the_times_of_its_runs() {
    let lab = Lab::new();
    // One cell: what is kept is kept run by run.
    let arguments = ["-n", "1", "-f", "2k", "-r", "500", "--headless"];
    let mut child = lab.command(&arguments).spawn().unwrap();
    let start = Instant::now();
    let runs = || {
        Times::read(&lab.times())
            .unwrap()
            .map_or(0, |times| times.evaluations[0].runs.len())
    };
    while runs() < 2 || lab.processes().is_empty() {
        assert!(start.elapsed() < PATIENCE && child.try_wait().unwrap().is_none());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    while !lab.processes().is_empty() {
        assert!(start.elapsed() < 2 * PATIENCE, "{:?}", lab.processes());
    }
    let (times, summary) = lab.read();
    assert!(times.evaluations[0].runs.len() >= 2);
    assert!(times.evaluations[0].runs.iter().all(Run::is_whole));
    assert!(!summary.evaluations.is_empty());
    // What it left in the temporary directory goes with the next, once it is old enough to be nobody's.
    let left = lab.names("tmp");
    assert_eq!(left.len(), 1, "{left:?}");
    let path = lab.home.path().join("tmp").join(&left[0]);
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::open(path).unwrap().set_modified(old).unwrap();
    let (code, _, stderr) = lab.run(&[
        "-n",
        "1",
        "-f",
        "2k",
        "-r",
        "1",
        "--headless",
        "--label",
        "next",
    ]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(lab.names("tmp"), [""; 0]);
}

#[test]
fn a_server_elsewhere_is_measured_by_its_folders() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("1k")).unwrap();
    for name in ["a", "b b"] {
        fs::write(root.path().join("1k").join(name), [7; 1024]).unwrap();
    }
    let server = serve(root.path());
    let address = server.url("/");
    let lab = Lab::new();
    let arguments = [
        "-n",
        "2",
        "-f",
        "1k",
        "-r",
        "1",
        "--address",
        &address,
        "--files",
    ];
    let (code, _, stderr) = lab.run(&[&arguments[..], &["2"]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    let (times, _) = lab.read();
    assert_eq!(times.evaluations[0].runs[0].done().count(), 2);
    assert!(
        !lab.names("out/logs")
            .iter()
            .any(|name| name.starts_with("server"))
    );
    let (code, _, stderr) = lab.run(&[&arguments[..], &["3", "--label", "x"]].concat());
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("the server's folder has 2 files: say --files 2"),
        "{stderr}"
    );
}

#[test]
fn slow_links_and_other_axes_make_cells_of_their_own() {
    let lab = Lab::new();
    let (code, stdout, stderr) = lab.run(&[
        "-n",
        "1",
        "-f",
        "4k",
        "--files",
        "2",
        "-r",
        "1",
        "--workers",
        "1,2",
        "--serial=true,false",
        "--latency",
        "0,50ms",
        "--limit",
        "off,64k",
        "--tls=false,true",
    ]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.contains("serial, TLS, round trip +50.0 ms, server 64.0 KiB/s"),
        "{stdout}"
    );
    let (_, summary) = lab.read();
    let cells = &summary.evaluations[0].cells;
    assert_eq!(cells.len(), 32);
    for figures in cells {
        if figures.cell.latency > 0.0 {
            // A handshake, the listing and a file, at the least.
            assert!(figures.run.min >= 0.15, "{figures:?}");
        }
    }
}

#[test]
fn results_go_nowhere_that_was_not_named() {
    let lab = Lab::new();
    let mut command = lab.command(&[]);
    let program = command.get_program().to_owned();
    command = Command::new(program);
    let output = command
        .arg("eval")
        .current_dir(lab.home.path().join("cwd"))
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("name a directory for the results with --out"),
        "{stderr}"
    );
    assert_eq!(lab.names("cwd"), [""; 0]);
}

/// `haul plot` in the lab's current directory.
fn plot(lab: &Lab, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haul"));
    command
        .arg("plot")
        .args(arguments)
        .current_dir(lab.home.path().join("cwd"))
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    finish(command.spawn().unwrap())
}

#[test]
fn what_was_measured_is_drawn_from_times_and_from_logs() {
    let lab = Lab::new();
    for label in ["before", "after"] {
        let arguments = [
            "-n", "1,2", "-f", "1k,2k", "--files", "3", "-r", "2", "--label", label,
        ];
        assert_eq!(lab.run(&arguments).0, Some(0));
    }
    let names = [
        "ecdf-1k",
        "ecdf-2k",
        "throughput-by-clients",
        "time-by-clients",
        "time-by-size",
        "timeline",
    ];
    let expected: Vec<String> = names
        .iter()
        .flat_map(|name| [format!("{name}.png"), format!("{name}.svg")])
        .collect();
    for (option, source) in [("--times", "times/times.json"), ("--logs", "logs")] {
        let source = lab.out().join(source);
        let drawn = lab.home.path().join(format!("drawn{option}"));
        let arguments = [
            option,
            source.to_str().unwrap(),
            "--out",
            drawn.to_str().unwrap(),
        ];
        let (code, stdout, stderr) = plot(&lab, &arguments);
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(stdout.lines().count(), expected.len(), "{stdout}");
        assert_eq!(lab.names(&format!("drawn{option}")), expected);
        for name in &expected {
            let content = fs::read(drawn.join(name)).unwrap();
            if Path::new(name).extension().is_some_and(|end| end == "png") {
                assert!(content.starts_with(b"\x89PNG\r\n\x1a\n"), "{name}");
            } else {
                let text = String::from_utf8(content).unwrap();
                assert!(text.starts_with("<svg") && text.contains("after"), "{name}");
            }
        }
    }
    let times = lab.times();
    let times = times.to_str().unwrap();
    let (code, stdout, stderr) = plot(&lab, &["--times", times, "--tui", "--label", "before"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.contains("Time of a file by its size") && stdout.contains("2 KiB"),
        "{stdout}"
    );
    assert!(
        !stdout.contains('\x1b'),
        "no colours where nobody sees them: {stdout}"
    );
    let drawn = lab.home.path().join("compared");
    let out = drawn.to_str().unwrap();
    let (code, _, stderr) = plot(
        &lab,
        &["--times", times, "--compare", "before,after", "--out", out],
    );
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(lab.names("compared").len(), 4);
    for (arguments, says) in [
        (["--label", "never"], "no measurement called `never`: "),
        (
            ["--compare", "before,never"],
            "no measurement called `never`: ",
        ),
        (
            ["--run", "99"],
            "no run called `99`: `after` has the runs 1 to 8",
        ),
    ] {
        let (code, _, stderr) = plot(
            &lab,
            &[&["--times", times, "--out", out], &arguments[..]].concat(),
        );
        assert_eq!(code, Some(2));
        assert!(stderr.contains(says), "{stderr}");
    }
    assert_eq!(lab.names("cwd"), [""; 0]);
}

#[test]
fn nothing_is_drawn_of_what_is_damaged_or_missing() {
    let lab = Lab::new();
    let (logs, drawn) = (lab.home.path().join("logs"), lab.home.path().join("drawn"));
    fs::create_dir(&logs).unwrap();
    let arguments = [
        "--logs",
        logs.to_str().unwrap(),
        "--out",
        drawn.to_str().unwrap(),
    ];
    let refused = |says: &str| {
        let (code, stdout, stderr) = plot(&lab, &arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(
            stderr.contains(says) && stderr.lines().count() == 1,
            "{says}: {stderr}"
        );
        assert!(!drawn.exists());
    };
    refused("has no logs of runs: run `haul eval` first");
    let log = logs.join("client0-1c1kf.log");
    fs::write(&log, "{\"time\":\"x\"}\n").unwrap();
    refused("client0-1c1kf.log:1: no log line: missing field");
    fs::write(&log, "2026-11-23T01:00:00.000Z INFO listening\n").unwrap();
    refused("client0-1c1kf.log:1: no log line: ");
    let (code, _, stderr) = plot(&lab, &["--times", "none.json", "--tui"]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("there is neither none.json nor logs: run `haul eval` first"),
        "{stderr}"
    );
    let (code, _, stderr) = plot(&lab, &[]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("name what to draw with --times FILE or --logs DIR"),
        "{stderr}"
    );
}
