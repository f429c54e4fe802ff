//! `times.json`: the raw times of every measurement, as they were taken. Everything else is computed from it.
//!
//! ```text
//! {"version":1,"evaluations":[
//!   {"label":…, "began":…, "haul":…, "machine":{…}, "options":{…}, "planned":45, "runs":[
//!     {"id":"LABEL/1", "cell":{"clients":4,"size":2048,…}, "repeat":1, "began":…, "seconds":0.21, "clients":[
//!       {"name":"client0", "seconds":0.20, "bytes":20480, "transfers":[
//!         {"path":"a.txt", "bytes":2048, "began":0.012, "seconds":0.004}]}]}]}]}
//! ```
//!
//! Moments are RFC 3339 in UTC, or seconds from the moment at which the run's clients were released; durations are
//! seconds. A run stands on a line of its own.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Error, machine::Machine, matrix::Cell};
use crate::credentials::without_bom;

/// The version of the format that this program writes, and the only one that it reads.
pub const VERSION: u32 = 1;

/// The content of `times.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Times {
    /// Each call of `haul eval`, in their order.
    pub evaluations: Vec<Evaluation>,
}

/// One call of `haul eval`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Its name; no two share one.
    pub label: String,
    /// When it began.
    pub began: String,
    /// The version of haul.
    pub haul: String,
    /// Where it ran.
    pub machine: Machine,
    /// What it was asked for.
    pub options: Options,
    /// Runs that it was to have; fewer are here when it was interrupted.
    pub planned: usize,
    /// Its runs, in their order.
    pub runs: Vec<Run>,
}

/// What a measurement was asked for, beyond its cells.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Options {
    /// Runs of each cell.
    pub repeat: usize,
    /// The server elsewhere; `None` where each run had its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What servers ran with: keys and values of `haul serve`, without secrets.
    pub serve: Vec<(String, String)>,
    /// What clients ran with: keys and values of `haul connect`, without secrets.
    pub connect: Vec<(String, String)>,
}

/// One server and its clients, from their release to the end of the last one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its name in logs: the label and its number.
    pub id: String,
    /// What was run.
    pub cell: Cell,
    /// The how manieth run of the cell it is, from 1.
    pub repeat: usize,
    /// When the clients were released.
    pub began: String,
    /// From then to the end of the last client.
    pub seconds: f64,
    /// Each client, also those that failed.
    pub clients: Vec<ClientRun>,
}

/// One client of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientRun {
    /// `client0` and so on.
    pub name: String,
    /// From the release to its end.
    pub seconds: f64,
    /// Bytes of its transfers.
    pub bytes: u64,
    /// Why it failed; such a client counts for nothing but its transfers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The files that it downloaded, in the order in which they ended.
    pub transfers: Vec<Transfer>,
}

/// One file that arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its path below the URL, with what could harm a terminal made visible.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// From the release to its first request.
    pub began: f64,
    /// From its first request to its final name on the disk.
    pub seconds: f64,
}

impl Run {
    /// The clients that did all they were to do.
    pub fn done(&self) -> impl Iterator<Item = &ClientRun> {
        self.clients.iter().filter(|client| client.error.is_none())
    }

    /// Whether every client did.
    pub fn is_whole(&self) -> bool {
        self.clients.iter().all(|client| client.error.is_none())
    }
}

/// What any version of the file begins with.
#[derive(Deserialize)]
struct Head {
    version: Option<u64>,
}

impl Times {
    /// Reads the file at `path`; `None` where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        match fs::read(path) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Read(path.to_owned(), error)),
        }
    }

    fn parse(path: &Path, text: &[u8]) -> Result<Self, Error> {
        let text = without_bom(text);
        let damaged = |error: serde_json::Error| Error::Damaged {
            path: path.to_owned(),
            line: error.line(),
            problem: format!("column {}: {}", error.column(), plainly(&error)),
        };
        let head: Head = serde_json::from_slice(text).map_err(damaged)?;
        match head.version {
            Some(version) if version == u64::from(VERSION) => {
                serde_json::from_slice(text).map_err(damaged)
            }
            Some(version) => Err(Error::Version(path.to_owned(), version)),
            None => Err(Error::Damaged {
                path: path.to_owned(),
                line: 1,
                problem: "it has no `version`".into(),
            }),
        }
    }

    /// The measurement of that name.
    pub fn labelled(&self, label: &str) -> Option<&Evaluation> {
        self.evaluations.iter().find(|one| one.label == label)
    }

    /// Puts `evaluation` in the place of the one of the same name, or behind all others.
    pub fn set(&mut self, evaluation: Evaluation) {
        let same = |one: &&mut Evaluation| one.label == evaluation.label;
        match self.evaluations.iter_mut().find(same) {
            Some(place) => *place = evaluation,
            None => self.evaluations.push(evaluation),
        }
    }

    /// Writes the file; one that is there is replaced at the end, whole.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        replace(path, |out| self.write_to(out))
    }

    /// A run a line: readable, and a damaged line has a number.
    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "{{\"version\":{VERSION},\"evaluations\":[")?;
        for (at, evaluation) in self.evaluations.iter().enumerate() {
            let head = serde_json::to_string(&Evaluation {
                runs: Vec::new(),
                ..evaluation.clone_head()
            })?;
            // The runs are the last field: `…,"runs":[]}`.
            let head = head.strip_suffix("]}").unwrap_or(&head);
            write!(out, "{}\n{head}", if at > 0 { "," } else { "" })?;
            for (at, run) in evaluation.runs.iter().enumerate() {
                let run = serde_json::to_string(run)?;
                write!(out, "{}\n{run}", if at > 0 { "," } else { "" })?;
            }
            write!(out, "\n]}}")?;
        }
        writeln!(out, "\n]}}")
    }
}

impl Evaluation {
    /// All but the runs.
    fn clone_head(&self) -> Self {
        Self {
            label: self.label.clone(),
            began: self.began.clone(),
            haul: self.haul.clone(),
            machine: self.machine.clone(),
            options: self.options.clone(),
            planned: self.planned,
            runs: Vec::new(),
        }
    }
}

/// Writes a file beside `path`, and gives it that name once it is whole.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Error> {
    let failed = |error| Error::Write(path.to_owned(), error);
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{:08x}", fastrand::u32(..)));
    let unfinished = PathBuf::from(unfinished);
    let written = (|| {
        let mut out = BufWriter::new(File::create_new(&unfinished)?);
        write(&mut out)?;
        out.flush()?;
        drop(out);
        fs::rename(&unfinished, path)
    })();
    written.map_err(|error| {
        // What remains of it is of no use; the file itself is as it was.
        let _ = fs::remove_file(&unfinished);
        failed(error)
    })
}

/// serde's words without the place, which stands before them.
pub(super) fn plainly(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::examples::evaluation;

    #[test]
    fn what_is_written_is_read_back_and_has_a_run_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("times").join("times.json");
        assert_eq!(Times::read(&path).unwrap(), None);
        let mut times = Times::default();
        times.set(evaluation("one"));
        times.set(evaluation("two"));
        times.set(Evaluation {
            planned: 99,
            ..evaluation("one")
        });
        times.write(&path).unwrap();
        assert_eq!(Times::read(&path).unwrap(), Some(times.clone()));
        let text = fs::read_to_string(&path).unwrap();
        let runs: usize = times.evaluations.iter().map(|one| one.runs.len()).sum();
        let lines = text.lines().filter(|line| line.starts_with("{\"id\":"));
        assert_eq!(lines.count(), runs);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_times_file_is_told_with_its_line() {
        let path = Path::new("times.json");
        for (text, says) in [
            (
                "{\"version\":1,\n\"evaluations\":[{\"label\":3}]}",
                "times.json:2: column 25: invalid type: integer `3`, expected a string",
            ),
            ("{\"version\":1", "times.json:1: column 12: EOF"),
            ("[]", "times.json:1: "),
            ("{}", "times.json:1: it has no `version`"),
            ("", "times.json:1: "),
            (
                "{\"version\":2,\"evaluations\":7}",
                "times.json has version 2, this haul reads version 1",
            ),
        ] {
            let error = Times::parse(path, text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(says), "{text:?}: {error}");
            assert!(error.contains("move it away"), "{error}");
        }
    }
}
