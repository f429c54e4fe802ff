//! The processes that are measured: this program's own `serve` and `connect`.
//!
//! Each runs in a process group of its own, so that Ctrl-C reaches eval alone, which then ends them in order; what kills eval
//! ends them too; and each has its own state and cache directories, so that neither an earlier run nor another client changes what it does.

use std::{
    collections::VecDeque,
    io,
    os::fd::OwnedFd,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{Error, live::Board, matrix::Cell};
use crate::sys;

/// How long a process may take to end once it is told to.
const END: Duration = Duration::from_secs(5);
/// How long a server may take until it listens: its own work is a few milliseconds.
const START: Duration = Duration::from_secs(30);
/// Lines of a process's stderr that are kept.
const KEPT: usize = 20;

/// The program, and what each side runs with.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// The executable.
    pub exe: PathBuf,
    /// Options of every server.
    pub serve: Vec<String>,
    /// Options of every client.
    pub connect: Vec<String>,
}

impl Program {
    /// `haul COMMAND` with private directories below `scratch`.
    fn command(&self, command: &str, scratch: &Path) -> Command {
        let mut process = std::process::Command::new(&self.exe);
        process.arg(command).process_group(0);
        // Only the settings count.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"HAUL_") {
                process.env_remove(name);
            }
        }
        process
            .env(sys::parent::VARIABLE, std::process::id().to_string())
            .env("XDG_STATE_HOME", scratch.join("state"))
            .env("XDG_CACHE_HOME", scratch.join("cache"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Command::from(process);
        process.kill_on_drop(true);
        process
    }
}

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// Where it listens.
    pub url: String,
    /// That of its certificate, where it speaks TLS.
    pub fingerprint: Option<String>,
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a server of `dir`, and waits until it says that it listens.
    pub async fn start(
        program: &Program,
        dir: &Path,
        log: &Path,
        scratch: &Path,
        cell: &Cell,
    ) -> Result<Self, Error> {
        let mut child = program
            .command("serve", scratch)
            .args([
                "--headless",
                "--port=0",
                "--log-format=json",
                "--control=off",
                "--no-announce",
            ])
            .arg(option("--dir=", dir))
            .arg(option("--log=", log))
            .args(cell.limit.map(|limit| format!("--limit={limit}")))
            .arg(format!("--tls={}", cell.tls))
            .args(&program.serve)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|source| starting("the server", source))?;
        let errors = Tail::of(child.stderr.take());
        let Some(mut stdout) = child.stdout.take().map(lines) else {
            return Err(Error::Server("it has no stdout".into()));
        };
        let ready = timeout(START, Self::ready(&mut stdout, cell.tls)).await;
        if let Ok(Some((url, fingerprint))) = ready {
            return Ok(Self {
                url,
                fingerprint,
                child,
                _stdout: stdout,
            });
        }
        end(&mut child).await;
        let reason = errors.last().await;
        Err(Error::Server(reason.unwrap_or_else(|| {
            format!("it was silent for {} s", START.as_secs())
        })))
    }

    /// Reads where it listens, and with TLS the fingerprint of its certificate.
    async fn ready(
        stdout: &mut Lines<BufReader<ChildStdout>>,
        tls: bool,
    ) -> Option<(String, Option<String>)> {
        let mut url = None;
        while let Ok(Some(line)) = stdout.next_line().await {
            if let Some(found) = line.strip_prefix("listening on ") {
                // The first of several.
                url.get_or_insert_with(|| found.trim().to_owned());
            }
            let fingerprint = line
                .strip_prefix("fingerprint ")
                .map(|it| it.trim().to_owned());
            if fingerprint.is_some() || !tls {
                return Some((url?, fingerprint));
            }
        }
        None
    }

    /// Ends it: no transfer runs any more.
    pub async fn stop(mut self) {
        end(&mut self.child).await;
    }
}

/// A running client.
#[derive(Debug)]
pub(super) struct Client {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    errors: Tail,
}

/// How a client ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// When.
    pub at: Instant,
    /// Why it failed; `None` when it did not.
    pub error: Option<String>,
}

/// What a client is started with.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// `client0` and so on.
    pub name: &'a str,
    /// The directory that it downloads.
    pub url: &'a str,
    /// Where it downloads to.
    pub dir: &'a Path,
    /// Its log.
    pub log: &'a Path,
    /// For its journals.
    pub scratch: &'a Path,
    /// What the cell asks for.
    pub options: &'a [String],
    /// It begins once every writer of this pipe is gone.
    pub hold: OwnedFd,
}

/// A line of a client's `--json`, as far as it is of use here.
#[derive(Debug, Deserialize)]
struct Told {
    event: String,
    #[serde(default)]
    bytes: u64,
}

impl Client {
    /// Starts a client that holds until it is released.
    pub fn start(program: &Program, start: Start<'_>) -> Result<Self, Error> {
        let failed = |source| starting(start.name, source);
        let mut child = program
            .command("connect", start.scratch)
            .args([
                "--headless",
                "--control=off",
                "--hold",
                "--json",
                "--all",
                "--log-format=json",
            ])
            .arg(option("--dir=", start.dir))
            .arg(option("--log=", start.log))
            .arg(format!("--user={}", start.name))
            .args(start.options)
            .args(&program.connect)
            .arg(start.url)
            .stdin(Stdio::from(start.hold))
            .spawn()
            .map_err(failed)?;
        let errors = Tail::of(child.stderr.take());
        let stdout = child.stdout.take().map(lines);
        let stdout = stdout.ok_or_else(|| failed(io::Error::other("it has no stdout")))?;
        Ok(Self {
            child,
            stdout,
            errors,
        })
    }

    /// Waits until it holds, or has ended.
    pub async fn ready(&mut self) {
        while let Ok(Some(line)) = self.stdout.next_line().await {
            if told(&line).is_some_and(|told| told.event == "ready") {
                return;
            }
        }
    }

    /// Follows it to its end, which `stop` hastens.
    pub async fn follow(mut self, number: usize, board: Board, stop: CancellationToken) -> Ended {
        let ended = async {
            while let Ok(Some(line)) = self.stdout.next_line().await {
                if let Some(told) = told(&line) {
                    match told.event.as_str() {
                        "progress" => board.received(number, told.bytes),
                        "finished" => board.finished(number, told.bytes),
                        _ => {}
                    }
                }
            }
            self.child.wait().await
        };
        let status = tokio::select! {
            status = ended => status,
            () = stop.cancelled() => {
                end(&mut self.child).await;
                self.child.wait().await
            }
        };
        let at = Instant::now();
        let error = match status {
            Ok(status) if status.success() => None,
            Ok(status) => Some(match self.errors.last().await {
                Some(line) => format!("{}: {line}", plainly(status)),
                None => plainly(status),
            }),
            Err(error) => Some(crate::exit::reason(&error)),
        };
        board.ended(number, error.is_none());
        Ended { at, error }
    }
}

fn told(line: &str) -> Option<Told> {
    serde_json::from_str(line).ok()
}

/// `exit status 4` or `killed by signal 9`.
fn plainly(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "it ended without a status".into(),
    }
}

/// Asks a process to end, and kills it when it does not; returns once it is gone.
async fn end(child: &mut Child) {
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    // One that has ended by itself has no id any more.
    let Some(pid) = pid else { return };
    let told = kill_process(pid, Signal::TERM);
    if told.is_err() || timeout(END, child.wait()).await.is_err() {
        // It fails only for what is gone already.
        let _ = child.kill().await;
    }
}

fn option(name: &str, path: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(name);
    option.push(path);
    option
}

fn starting(what: &str, source: io::Error) -> Error {
    Error::Start {
        what: what.to_owned(),
        source,
    }
}

fn lines<R: AsyncRead + Unpin>(stream: R) -> Lines<BufReader<R>> {
    BufReader::new(stream).lines()
}

/// Reads a process's stderr to its end, and keeps the last lines.
#[derive(Debug)]
struct Tail(JoinHandle<VecDeque<String>>);

impl Tail {
    fn of(stream: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        Self(tokio::spawn(async move {
            let mut kept = VecDeque::new();
            let Some(stream) = stream else { return kept };
            let mut lines = lines(stream);
            while let Ok(Some(line)) = lines.next_line().await {
                if kept.len() == KEPT {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
            kept
        }))
    }

    /// The last line, once the process has ended.
    async fn last(self) -> Option<String> {
        let kept = self.0.await.ok()?;
        let last = kept
            .into_iter()
            .rev()
            .find(|line| !line.trim().is_empty())?;
        Some(last.trim().trim_start_matches("haul: ").to_owned())
    }
}
