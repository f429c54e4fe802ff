//! A whole measurement: every cell, as often as it is to be run, with what is known kept on disk all the while.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs,
    io::{self, Write},
    path::PathBuf,
};

use jiff::{Timestamp, Zoned};
use tokio_util::sync::CancellationToken;

use super::{
    Error,
    live::Board,
    machine::Machine,
    matrix::{Cell, cells},
    process::Program,
    report,
    run::{Failure, Job, Lab, Outcome},
    summary::{Aggregate, Summary},
    times::{Evaluation, Options, Run, Times},
    verify::Tree,
};
use crate::{
    config::{self, ini::Setting},
    exit::{Exit, Local},
    logging::Sink,
    samples,
    sys::{
        self,
        signals::{Signals, end_whatever_hangs},
    },
    units,
};

/// Options that each process is given by the run, so that the sides' files do not set them.
const BY_THE_RUN: [&str; 8] = [
    "headless",
    "control",
    "log-format",
    "all",
    "workers",
    "serial",
    "limit",
    "tls",
];
/// Beginnings of options whose values are secrets.
const SECRET: [&str; 4] = ["auth", "token", "header", "proxy"];

/// Measures what the settings ask for. Lines on how it goes are given to `told`, the table to `out`.
pub async fn measure(
    settings: config::Eval,
    out: &mut impl Write,
    told: &Sink,
) -> Result<Exit, Error> {
    let mut signals = Signals::new()?;
    end_whatever_hangs();
    let mut session = Session::new(settings)?;
    let stop = session.lab.stop.clone();
    let (result, signal) = {
        let mut all = std::pin::pin!(session.all(told));
        tokio::select! {
            result = &mut all => (result, None),
            exit = signals.next() => {
                stop.cancel();
                (all.await, Some(exit))
            }
        }
    };
    session.end(result, signal, out)
}

/// The same on a screen that `show` keeps: it is given what is going on, a token with which it stops the measurement,
/// and one that tells it that the measurement has ended.
pub async fn measure_shown<S>(
    settings: config::Eval,
    out: &mut impl Write,
    show: impl FnOnce(Board, CancellationToken, CancellationToken) -> S,
) -> Result<Exit, Error>
where
    S: Future<Output = Result<Option<Exit>, Local>>,
{
    let mut session = Session::new(settings)?;
    let (board, stop) = (session.lab.board.clone(), session.lab.stop.clone());
    let ended = CancellationToken::new();
    let silent: Sink = Box::new(|_| {});
    let measuring = async {
        let result = session.all(&silent).await;
        ended.cancel();
        result
    };
    let (result, shown) = tokio::join!(measuring, show(board, stop, ended.clone()));
    match shown {
        Ok(signal) => session.end(result, signal, out),
        // What is done is kept, and the terminal is not written to.
        Err(error) => session
            .end(result, None, &mut io::sink())
            .and(Err(error.into())),
    }
}

/// A measurement under way.
struct Session {
    settings: config::Eval,
    cells: Vec<Cell>,
    lab: Lab,
    evaluation: Evaluation,
    /// Whether a client failed.
    failed: bool,
}

impl Session {
    /// Looks at what could be in the way before anything is started.
    fn new(settings: config::Eval) -> Result<Self, Error> {
        let cells = cells(&settings);
        let label = settings
            .label
            .clone()
            .unwrap_or_else(|| Zoned::now().strftime("%Y-%m-%dT%H:%M:%S").to_string());
        let times = Times::read(&settings.times)?.unwrap_or_default();
        if times.labelled(&label).is_some() {
            return Err(Error::Label {
                path: settings.times,
                label,
            });
        }
        fs::create_dir_all(&settings.logs)
            .map_err(|error| Error::Write(settings.logs.clone(), error))?;
        // Three pipes a client.
        sys::disk::raise_open_files();
        room(&cells)?;
        let lab = Lab {
            program: program(&settings)?,
            // Servers and clients run where this does, so a relative path means the same to them.
            logs: settings.logs.clone(),
            label: label.clone(),
            address: settings.address.clone(),
            board: Board::default(),
            stop: CancellationToken::new(),
        };
        lab.board.open(&label, &cells, settings.repeat);
        let evaluation = Evaluation {
            label,
            began: format!("{:.0}", Timestamp::now()),
            haul: env!("CARGO_PKG_VERSION").into(),
            machine: Machine::here(),
            options: Options {
                repeat: settings.repeat,
                address: settings.address.as_ref().map(ToString::to_string),
                serve: shown(&settings.serve),
                connect: shown(&settings.connect),
            },
            planned: cells.len() * settings.repeat,
            runs: Vec::new(),
        };
        Ok(Self {
            settings,
            cells,
            lab,
            evaluation,
            failed: false,
        })
    }

    /// The directories that are served, by their files' size; none with a server elsewhere.
    fn sources(&self) -> Result<HashMap<u64, PathBuf>, Error> {
        let mut sources = HashMap::new();
        if self.settings.address.is_none() {
            for cell in &self.cells {
                if let Entry::Vacant(place) = sources.entry(cell.size) {
                    place.insert(samples::of_size(cell.size, cell.files)?);
                }
            }
        }
        Ok(sources)
    }

    /// Runs every cell, until it is stopped.
    async fn all(&mut self, told: &Sink) -> Result<(), Error> {
        let sources = self.sources()?;
        let mut expected: HashMap<u64, Option<Tree>> = HashMap::new();
        for (size, source) in &sources {
            let tree = Tree::of(source).map_err(|error| Error::Read(source.clone(), error))?;
            expected.insert(*size, Some(tree));
        }
        for at in 0..self.cells.len() {
            let cell = self.cells[at].clone();
            let first = self.evaluation.runs.len();
            for round in 1..=self.settings.repeat {
                let job = Job {
                    number: self.evaluation.runs.len() + 1,
                    repeat: round,
                    cell: &cell,
                    source: sources.get(&cell.size).map(PathBuf::as_path),
                };
                self.lab.board.begin(at, cell.clients);
                let expected = expected.entry(cell.size).or_default();
                let Some(outcome) = self.lab.run(&job, expected).await? else {
                    return Ok(());
                };
                self.note(outcome, told);
                let runs: Vec<&Run> = self.evaluation.runs[first..].iter().collect();
                self.lab.board.end(at, &runs);
                // Nothing that is done is lost, whatever ends this.
                self.keep()?;
            }
        }
        Ok(())
    }

    /// Takes what came of a run, and tells of it.
    fn note(&mut self, outcome: Outcome, told: &Sink) {
        let board = &self.lab.board;
        let tell = |line: &str, bad: bool| {
            told(line);
            board.tell(line, bad);
        };
        let number = self.evaluation.runs.len() + 1;
        let Evaluation { planned, .. } = self.evaluation;
        let line = report::run_line(&outcome.run, number, planned, self.settings.repeat);
        tell(&line, !outcome.failures.is_empty());
        for Failure { client, error, log } in &outcome.failures {
            tell(&format!("haul: {client} failed: {error}"), true);
            for line in log {
                tell(&format!("    {line}"), true);
            }
        }
        self.failed |= !outcome.failures.is_empty();
        self.evaluation.runs.push(outcome.run);
    }

    /// Keeps and prints what is done, whatever ended it.
    fn end(
        &self,
        result: Result<(), Error>,
        signal: Option<Exit>,
        out: &mut impl Write,
    ) -> Result<Exit, Error> {
        self.keep()?;
        if !self.evaluation.runs.is_empty() {
            self.print(out)?;
        }
        result?;
        match signal {
            Some(exit) => Ok(exit),
            None if self.failed => Ok(Exit::Other),
            None => Ok(Exit::Done),
        }
    }

    /// Writes what is known so far. The file of times is read again: another measurement may have added to it.
    fn keep(&self) -> Result<(), Error> {
        if self.evaluation.runs.is_empty() {
            return Ok(());
        }
        let path = &self.settings.times;
        let mut times = Times::read(path)?.unwrap_or_default();
        times.set(self.evaluation.clone());
        times.write(path)?;
        Summary::of(&times).write(&path.with_file_name("summary.json"))
    }

    fn print(&self, out: &mut impl Write) -> Result<(), Error> {
        let Evaluation {
            label,
            machine,
            runs,
            planned,
            ..
        } = &self.evaluation;
        let table = report::table(&Aggregate::of(&self.evaluation));
        let part = if runs.len() < *planned {
            format!(", {} of {planned} runs", runs.len())
        } else {
            String::new()
        };
        let head = format!(
            "{label}: haul {} on {} cores of {}, {}{part}",
            self.evaluation.haul, machine.cores, machine.cpu, machine.kernel
        );
        writeln!(out, "{head}\n\n{table}")
            .and_then(|()| writeln!(out, "raw times: {}", self.settings.times.display()))
            .and_then(|()| out.flush())
            .or_else(|error| {
                // A reader such as `head` has seen enough; the files have it all.
                if error.kind() == io::ErrorKind::BrokenPipe {
                    Ok(())
                } else {
                    Err(error)
                }
            })
            .map_err(|source| Local {
                what: "cannot write to stdout".into(),
                source,
                remedy: "the figures are in the files of times",
                exit: Exit::Other,
            })
            .map_err(Error::Local)
    }
}

/// Whether the clients' copies fit.
fn room(cells: &[Cell]) -> Result<(), Error> {
    let path = std::env::temp_dir();
    let failed = |error| Error::Read(path.clone(), error);
    let dir = sys::disk::open_dir(&path).map_err(failed)?;
    let free = sys::disk::free_space(std::os::fd::AsFd::as_fd(&dir)).map_err(failed)?;
    let need = cells.iter().map(Cell::bytes).max().unwrap_or(0);
    if need <= free {
        return Ok(());
    }
    Err(Error::Space {
        path,
        need: units::size(need),
        free: units::size(free),
    })
}

fn program(settings: &config::Eval) -> Result<Program, Error> {
    let exe = std::env::current_exe().map_err(|source| Error::Start {
        what: "haul itself".into(),
        source,
    })?;
    Ok(Program {
        exe,
        serve: options(&settings.serve),
        connect: options(&settings.connect),
    })
}

/// Settings as options of a command line, without those that each run gives.
fn options(settings: &[Setting]) -> Vec<String> {
    let kept = settings
        .iter()
        .filter(|setting| !BY_THE_RUN.contains(&setting.key.as_str()));
    kept.map(|setting| format!("--{}={}", setting.key, setting.value))
        .collect()
}

/// Settings as they are recorded.
fn shown(settings: &[Setting]) -> Vec<(String, String)> {
    let secret = |key: &str| SECRET.iter().any(|start| key.starts_with(start));
    settings
        .iter()
        .filter(|setting| !secret(&setting.key))
        .map(|setting| (setting.key.clone(), setting.value.clone()))
        .collect()
}
