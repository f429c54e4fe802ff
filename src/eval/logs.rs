//! What servers and clients log, in `logs/`: a file for each side of a kind of run, `client0-4c2kf.log`, as JSON lines.
//!
//! Runs follow each other in it. Each begins with a line of eval's own, which names the run; what follows, up to the
//! next such line, was logged by that run's process.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Error,
    matrix::Cell,
    times::{Transfer, plainly},
};
use crate::credentials::without_bom;

/// The message of the line that a run begins with.
const BEGINS: &str = "a run begins";
/// Who that line is from.
const WHO: &str = "haul eval";

/// The name of a side's log.
pub fn name(side: &str, cell: &Cell) -> String {
    format!("{side}-{}.log", cell.stem())
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub time: String,
    /// How severe: `INFO` and so on.
    pub level: String,
    /// The client or path that it speaks of.
    #[serde(default)]
    pub who: String,
    /// The event.
    pub message: String,
    /// Its fields.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

/// A run in a log: the line that it began with, and its process's lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// What eval wrote at its beginning.
    pub mark: Mark,
    /// What was logged.
    pub lines: Vec<Line>,
}

/// What the first line of a run says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The run's name.
    pub run: String,
    /// The measurement's name.
    pub label: String,
    /// `client0` and so on, or `server0`.
    pub side: String,
    /// The how manieth run of its cell it is, from 1.
    pub repeat: usize,
    /// What was run.
    #[serde(flatten)]
    pub cell: Cell,
}

impl Mark {
    /// Appends the line to the log at `path`; gives the length that the log then has.
    pub fn append(&self, path: &Path) -> Result<u64, Error> {
        let fields = match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            // A plain struct becomes an object.
            _ => Map::new(),
        };
        let line = Line {
            time: format!("{:.6}", Timestamp::now()),
            level: "INFO".into(),
            who: WHO.into(),
            message: BEGINS.into(),
            fields,
        };
        let written = (|| {
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            writeln!(file, "{}", serde_json::to_string(&line)?)?;
            Ok(file.metadata()?.len())
        })();
        written.map_err(|error| Error::Write(path.to_owned(), error))
    }
}

impl Line {
    /// The transfer that the line tells of, if any, seen from the moment at which the run's clients were released.
    pub fn transfer(&self, released: Timestamp) -> Option<Transfer> {
        let bytes = self.fields.get("file.bytes")?.as_u64()?;
        let seconds = self.fields.get("file.seconds")?.as_f64()?;
        // A server's line speaks of the client, and has the path in a field.
        let path = self.fields.get("file.path").and_then(Value::as_str);
        let ended = since(released, self.time.parse().ok()?);
        Some(Transfer {
            path: path.unwrap_or(&self.who).to_owned(),
            bytes,
            // A hair before the release is the clocks' grain.
            began: nanoseconds((ended - seconds).max(0.0)),
            seconds,
        })
    }

    /// When the client was released, where the line says so.
    pub fn release(&self) -> Option<Timestamp> {
        self.fields.get("client.released")?;
        self.time.parse().ok()
    }

    /// For people: `ERROR a.txt  the server sent too little`.
    fn plain(&self) -> String {
        let gap = if self.who.is_empty() { "" } else { "  " };
        format!("{} {}{gap}{}", self.level, self.who, self.message)
    }
}

/// Seconds without the digits that mean nothing.
fn nanoseconds(seconds: f64) -> f64 {
    (seconds * 1e9).round() / 1e9
}

/// Seconds from one moment to another.
fn since(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Reads the runs of a log.
pub fn read(path: &Path) -> Result<Vec<Section>, Error> {
    let text = fs::read(path).map_err(|error| Error::Read(path.to_owned(), error))?;
    let mut sections: Vec<Section> = Vec::new();
    for (at, line) in lines(without_bom(&text)) {
        let damaged = |problem: String| Error::Log {
            path: path.to_owned(),
            line: at,
            problem,
        };
        let line: Line = serde_json::from_slice(line)
            .map_err(|error| damaged(format!("no log line: {}", plainly(&error))))?;
        if line.who == WHO && line.message == BEGINS {
            let mark = serde_json::from_value(Value::Object(line.fields))
                .map_err(|error| damaged(format!("a run's first line: {}", plainly(&error))))?;
            sections.push(Section {
                mark,
                lines: Vec::new(),
            });
        } else {
            sections
                .last_mut()
                .ok_or_else(|| damaged("it stands before any run".into()))?
                .lines
                .push(line);
        }
    }
    Ok(sections)
}

/// Reads what a process logged behind the first `from` bytes. A last line that a kill cut short is left out.
pub fn read_behind(path: &Path, from: u64) -> Result<Vec<Line>, Error> {
    use io::{Read as _, Seek as _};
    let mut text = Vec::new();
    fs::File::open(path)
        .and_then(|mut file| {
            file.seek(io::SeekFrom::Start(from))?;
            file.read_to_end(&mut text)
        })
        .map_err(|error| Error::Read(path.to_owned(), error))?;
    Ok(lines(&text)
        .filter_map(|(_, line)| serde_json::from_slice(line).ok())
        .collect())
}

/// Lines that hold something, with their numbers from 1.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let numbered = text.split(|byte| *byte == b'\n').enumerate();
    numbered
        .map(|(index, line)| (index + 1, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty())
}

/// The last `count` lines, for people.
pub fn tail(lines: &[Line], count: usize) -> Vec<String> {
    let from = lines.len().saturating_sub(count);
    lines[from..].iter().map(Line::plain).collect()
}

/// The logs in a directory, by name.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::Read(dir.to_owned(), error);
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|end| end == "log") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::examples::{cell, mark};

    #[test]
    fn a_log_falls_into_the_runs_that_were_appended_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name("client0", &cell(4, 2048)));
        assert!(path.ends_with("client0-4c2kf.log"));
        mark("a", 1).append(&path).unwrap();
        let line = r#"{"time":"2026-11-23T01:00:02.500000Z","level":"INFO","who":"x.txt","message":"2 KiB in 1 s",
            "fields":{"file.bytes":2048,"file.seconds":1.25,"file.verified":"blake3"}}"#;
        let line = line.replace('\n', "");
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str(&line);
        fs::write(&path, text + "\n").unwrap();
        let length = mark("a", 2).append(&path).unwrap();
        assert_eq!(length, fs::metadata(&path).unwrap().len());

        let sections = read(&path).unwrap();
        let runs: Vec<_> = sections.iter().map(|section| &section.mark).collect();
        assert_eq!(runs, [&mark("a", 1), &mark("a", 2)]);
        assert_eq!(sections[1].lines, []);
        let released = "2026-11-23T01:00:01Z".parse().unwrap();
        assert_eq!(
            sections[0].lines[0].transfer(released),
            Some(Transfer {
                path: "x.txt".into(),
                bytes: 2048,
                began: 0.25,
                seconds: 1.25,
            })
        );
        assert_eq!(tail(&sections[0].lines, 9), ["INFO x.txt  2 KiB in 1 s"]);
        assert_eq!(files(dir.path()).unwrap(), [path]);
    }

    #[test]
    fn a_damaged_log_is_told_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client0-1c1kf.log");
        mark("a", 1).append(&path).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        for (text, says) in [
            (format!("{whole}{{\"time\":\n"), ":2: no log line: EOF"),
            (
                format!("{whole}\n2026-11-22T14:02:03.123Z INFO text\n"),
                ":3: no log line: ",
            ),
            (
                "{\"time\":\"x\",\"level\":\"INFO\",\"message\":\"m\"}\n".into(),
                ":1: it stands before any run",
            ),
            (
                whole.replace("\"clients\"", "\"c\""),
                ":1: a run's first line: missing field `clients`",
            ),
        ] {
            fs::write(&path, &text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(error.contains("client0-1c1kf.log"), "{error}");
        }
    }

    #[test]
    fn a_line_that_a_kill_cut_short_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let from = mark("a", 1).append(&path).unwrap();
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str(
            "{\"time\":\"x\",\"level\":\"INFO\",\"message\":\"m\"}\n{\"time\":\"y\",\"le",
        );
        fs::write(&path, text).unwrap();
        assert_eq!(read_behind(&path, from).unwrap().len(), 1);
    }
}
