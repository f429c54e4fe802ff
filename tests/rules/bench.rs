//! A target that is filled, run into, and looked at.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    kinds::{Kind, date},
    model::{self, Becomes, Content, Rule, State, Thing},
};
use crate::common::{program::Haul, trees::quick_temp};

/// Puts things into a directory.
fn put(dir: &Path, state: &State, kind: &Kind) {
    for (name, thing) in state {
        let path = dir.join(name);
        match thing {
            Thing::File(content, dated) => {
                fs::write(&path, kind.bytes(*content)).unwrap();
                let date = if *dated {
                    date()
                } else {
                    date() - Duration::from_secs(100_000)
                };
                fs::File::open(&path).unwrap().set_modified(date).unwrap();
            }
            Thing::Dir => fs::create_dir(&path).unwrap(),
            Thing::Link(to) => symlink(format!("../../outside/{to}"), &path).unwrap(),
            Thing::Fifo => {
                let fifo = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o644.into(), 0).unwrap();
            }
        }
    }
}

/// What is in a directory.
fn look(dir: &Path, kind: &Kind) -> State {
    let mut state = State::new();
    for entry in fs::read_dir(dir).unwrap() {
        let (path, name) = entry
            .map(|entry| (entry.path(), entry.file_name()))
            .unwrap();
        let about = path.symlink_metadata().unwrap();
        let thing = if about.is_dir() {
            Thing::Dir
        } else if about.file_type().is_fifo() {
            Thing::Fifo
        } else if about.is_symlink() {
            let to = fs::read_link(&path).unwrap();
            let names = ["new", "other", "dir", "nowhere"];
            let to = names.into_iter().find(|name| to.ends_with(name)).unwrap();
            Thing::Link(to)
        } else {
            let content = kind.content(&fs::read(&path).unwrap());
            Thing::File(content, about.modified().unwrap() == date())
        };
        state.insert(name.into_string().unwrap(), thing);
    }
    state
}

/// The target, what links in it lead to, and how to tell of it.
pub struct Bench<'a> {
    root: TempDir,
    kind: &'a Kind,
    rule: Rule,
}

impl<'a> Bench<'a> {
    /// A directory of the target for each of these, and what links lead to.
    pub fn new(kind: &'a Kind, rule: Rule, cells: &[State]) -> Self {
        let root = quick_temp();
        let outside = root.path().join("outside");
        fs::create_dir_all(outside.join("dir")).unwrap();
        fs::write(outside.join("new"), kind.bytes(Content::New)).unwrap();
        fs::write(outside.join("other"), kind.bytes(Content::Other)).unwrap();
        let bench = Self { root, kind, rule };
        for (cell, state) in cells.iter().enumerate() {
            fs::create_dir_all(bench.dir(cell)).unwrap();
            put(&bench.dir(cell), state, kind);
        }
        bench
    }

    fn dir(&self, cell: usize) -> PathBuf {
        self.root.path().join(format!("target/{cell}"))
    }

    pub fn look(&self, cells: usize) -> Vec<State> {
        (0..cells)
            .map(|cell| look(&self.dir(cell), self.kind))
            .collect()
    }

    /// Runs it: the objects of `--json`.
    pub fn run(&self, more: &[&str]) -> Vec<Value> {
        let target = self.root.path().join("target");
        let mut line = vec!["connect", self.kind.url(), "--headless", "--json"];
        line.extend(["-d", target.to_str().unwrap(), "--no-resume"]);
        line.extend(["--on-conflict", self.rule.word]);
        line.extend(self.rule.backup.then_some("--backup"));
        line.extend(self.kind.more.iter().map(String::as_str));
        line.extend(more);
        let (code, stdout, stderr) = Haul::new(&line).run();
        assert_eq!(code, 0, "{self}: {stderr}");
        let objects = stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        objects.collect()
    }

    /// What a run that changes nothing tells of each cell.
    pub fn would(&self, before: &[State]) -> BTreeMap<usize, String> {
        let told = self.run(&["--dry-run"]);
        assert_eq!(self.look(before.len()), before, "{self}: a dry run");
        let would = told.iter().filter(|object| object["event"] == "would");
        would
            .map(|object| {
                let path = object["path"].as_str().unwrap();
                let (cell, _) = path.split_once('/').unwrap();
                (
                    cell.parse().unwrap(),
                    object["action"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }

    /// What links lead to is what it was.
    pub fn assert_outside(&self) {
        let outside = self.root.path().join("outside");
        for (name, content) in [("new", Content::New), ("other", Content::Other)] {
            let there = fs::read(outside.join(name)).unwrap();
            assert!(there == self.kind.bytes(content), "{self}: {name}");
        }
        assert_eq!(
            fs::read_dir(outside.join("dir")).unwrap().count(),
            0,
            "{self}"
        );
        assert!(!outside.join("nowhere").exists(), "{self}");
    }

    /// Whether a run made of a cell what it had to, and said so before and after.
    pub fn is_right(
        &self,
        before: &State,
        after: &State,
        would: Option<&str>,
        told: Option<&Value>,
    ) -> Result<(), String> {
        let (expected, becomes) = model::expected(before, self.rule, self.kind);
        if *after != expected {
            return Err(format!("{becomes:?} became {after:?}"));
        }
        if let Some(would) = would.filter(|would| !becomes.is_foretold_as(would, self.rule)) {
            return Err(format!("{becomes:?} was foretold as {would}"));
        }
        let Some(told) = told else {
            return Err(format!("{becomes:?} was not told"));
        };
        let local = told.get("local").map(|local| local.as_str().unwrap());
        let local = local.map(|local| local.split_once('/').unwrap().1);
        let copy = after.keys().find(|name| !before.contains_key(*name));
        let copy = copy.filter(|_| becomes == Becomes::Copy);
        if becomes != Becomes::IsHere && local != copy.map(String::as_str) {
            return Err(format!("{becomes:?} was told as {told}"));
        }
        Ok(())
    }
}

impl std::fmt::Display for Bench<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}, {} B, {}",
            self.kind.word, self.kind.size, self.rule.word
        )?;
        f.write_str(if self.rule.backup { " --backup" } else { "" })
    }
}

/// What a run told of files that were finished, by their paths.
pub fn finished(told: &[Value]) -> BTreeMap<String, &Value> {
    let finished = told.iter().filter(|object| object["event"] == "finished");
    finished
        .map(|object| (object["path"].as_str().unwrap().to_owned(), object))
        .collect()
}
