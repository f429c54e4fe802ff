//! One line of docs/CLIENTS.md: what it must have done, and what the server must have sent for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use haul::{entry::JsonListing, server::Snapshot};
use percent_encoding::percent_decode_str;

use super::{CUT, Client, Does, Does::*, EMPTY_DIR, FILES, LARGE, SIZE};
use crate::common::{
    serving::Serving,
    trees::{content, digest},
};

/// One line in a directory of its own.
pub struct Run<'a> {
    pub client: &'a Client,
    pub line: &'a str,
    pub serving: &'a Serving,
    pub dir: &'a Path,
}

/// What the server has counted.
#[derive(Debug)]
struct Counts {
    /// Bytes of bodies.
    sent: u64,
    /// Files that were taken whole.
    files: u64,
    requests: u64,
}

impl Run<'_> {
    pub fn check(&self, does: Does, line_of: impl Fn(Does) -> &'static str) {
        let large = self.dir.join(LARGE);
        match does {
            List | ListAsJson => self.lists(),
            File | Metalink => {
                self.sends(self.line);
                self.assert_large();
            }
            Rest => {
                fs::write(&large, &content(1, SIZE)[..CUT]).unwrap();
                let sent = self.sends(self.line).sent;
                self.assert_large();
                assert!(sent < (SIZE - CUT / 2) as u64, "{sent}");
            }
            FileIfChanged => {
                self.sends(line_of(File));
                // Its date is the server's, which not every client sets by itself.
                let date = fs::metadata(self.serving.server.settings().root.join(LARGE));
                let file = fs::File::options().append(true).open(&large).unwrap();
                file.set_modified(date.unwrap().modified().unwrap())
                    .unwrap();
                let counts = self.sends(self.line);
                self.assert_large();
                assert!(counts.files == 0 && counts.sent < 100_000, "{counts:?}");
            }
            Several => {
                let counts = self.sends(self.line);
                self.assert_large();
                assert!(counts.requests >= 4, "in parts: {counts:?}");
                self.assert_one_client();
            }
            Repair => {
                self.sends(line_of(Metalink));
                self.assert_large();
                let file = fs::File::options().write(true).open(&large).unwrap();
                file.write_all_at(b"\xff\xff\xff\xff", 4_000_000).unwrap();
                let sent = self.sends(self.line).sent;
                self.assert_large();
                assert!(sent < 5_000_000, "only what was damaged: {sent}");
            }
            Tree => {
                self.sends(self.line);
                self.assert_tree();
            }
            TreeChanges => {
                self.sends(line_of(Tree));
                self.assert_tree();
                // Listings are sent again, and an `index.html` that stands in for one.
                let counts = self.sends(self.line);
                self.assert_tree();
                assert!(counts.sent < 200_000 && counts.files <= 1, "{counts:?}");
            }
            TreeMetalink => {
                self.sends(self.line);
                // What aria2 makes of `&` in a name.
                for dir in ["", "deep"] {
                    for entry in fs::read_dir(self.dir.join("tree").join(dir)).unwrap() {
                        let path = entry.unwrap().path();
                        let name = path.file_name().unwrap().to_str().unwrap();
                        let right = name.replace("&#38;", "&");
                        fs::rename(&path, path.with_file_name(right)).unwrap();
                    }
                }
                self.assert_tree();
            }
        }
    }

    /// Runs a line, and tells what the server sent for it.
    fn sends(&self, line: &str) -> Counts {
        let counts = || {
            // The last file may be counted after its client has gone.
            let gone = |now: &Snapshot| now.connections == 0;
            let now = self.serving.wait_for("all are gone", gone);
            Counts {
                sent: now.sent,
                files: now.files,
                requests: now.requests,
            }
        };
        let before = counts();
        shell(line, self.serving, self.dir);
        let after = counts();
        Counts {
            sent: after.sent - before.sent,
            files: after.files - before.files,
            requests: after.requests - before.requests,
        }
    }

    /// All its connections are one client's on the screen.
    fn assert_one_client(&self) {
        let clients = self.serving.server.snapshot().clients;
        let rows: BTreeSet<_> = clients.iter().map(|row| (&row.agent, &row.login)).collect();
        assert_eq!(clients.len(), rows.len(), "{rows:?}");
    }

    fn assert_large(&self) {
        let fetched = fs::read(self.dir.join(LARGE)).unwrap();
        assert!(
            fetched == content(1, SIZE),
            "{}: {} bytes",
            self.line,
            fetched.len()
        );
    }

    /// What was fetched is the tree, but for the names that this client cannot have.
    fn assert_tree(&self) {
        let dir = self.dir.join("tree");
        let mut here = digest(&dir);
        let mut there = digest(&self.serving.server.settings().root.join("tree"));
        let cannot = |path: &PathBuf| {
            let mut names = self.client.unfetched.iter();
            names.any(|name| path == Path::new(name))
        };
        there.retain(|path, _| !cannot(path));
        here.retain(|path, _| {
            let is_page = self.client.keeps_pages && path.ends_with("index.html");
            !cannot(path) && !is_page
        });
        let names = |tree: &BTreeMap<PathBuf, _>| tree.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&here), names(&there), "{}", self.line);
        assert!(here == there, "{}", self.line);
    }

    fn lists(&self) {
        let output = shell(self.line, self.serving, self.dir);
        let shown = String::from_utf8(output.stdout).unwrap();
        let names = FILES.iter().map(|(name, _)| match name.split_once('/') {
            Some((dir, _)) => format!("{dir}/"),
            None => (*name).to_owned(),
        });
        let mut expected: BTreeSet<String> = names.collect();
        expected.insert(format!("{EMPTY_DIR}/"));
        expected.retain(|name| !self.client.unlisted.contains(&name.as_str()));
        assert_eq!(listed(&shown), expected, "{}", self.line);
    }
}

/// The names in a listing of any form.
fn listed(shown: &str) -> BTreeSet<String> {
    let decoded = |reference: &str| {
        let name = percent_decode_str(reference).decode_utf8().unwrap();
        name.into_owned()
    };
    if shown.starts_with('[') {
        let listing = JsonListing::read(shown.as_bytes()).unwrap();
        let names = listing.entries.into_iter().map(|entry| {
            let slash = if entry.is_dir { "/" } else { "" };
            String::from_utf8(entry.name).unwrap() + slash
        });
        return names.collect();
    }
    if shown.starts_with("<!DOCTYPE html>") {
        let links = shown.split("href=\"./").skip(1);
        let names = links.map(|rest| rest.split_once('"').unwrap().0);
        return names.map(decoded).collect();
    }
    // curl shows references; what lftp and rclone show is decoded, and their `%` are their own.
    let is_encoded = shown.contains("two%20words");
    let lines = shown.lines();
    lines
        .map(|line| {
            if is_encoded {
                decoded(line)
            } else {
                line.to_owned()
            }
        })
        .collect()
}

/// Runs a line of the document against a server; it must succeed.
pub fn shell(line: &str, serving: &Serving, dir: &Path) -> Output {
    // Nobody's own settings, and none left for others.
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os() {
        let lower = name.to_string_lossy().to_lowercase();
        if lower.ends_with("_proxy") || lower.starts_with("rclone_") || lower.starts_with("ssl_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args([
            "-e",
            "-c",
            &line.replace("HOST:8000", &serving.address.to_string()),
        ])
        .current_dir(dir)
        .env("HOME", home.path())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{line}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
