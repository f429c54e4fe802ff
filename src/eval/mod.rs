//! `haul eval`: measures every combination of client counts, file sizes and what else was asked for, with real
//! processes of this program.
//!
//! From the top down: [`measure`] goes through the cells of the [`matrix`] and keeps [`times`] and [`summary`] on
//! disk; [`run`] runs one server and its clients ([`process`]), each behind its own [`link`] where a slow network is
//! asked for; [`verify`] compares what they have with what was served; [`logs`] tells what each transfer took;
//! [`stats`] turns raw times into figures; [`report`] prints them.

#[cfg(test)]
mod examples;
pub mod link;
pub mod live;
pub mod logs;
pub mod machine;
pub mod matrix;
mod measure;
mod process;
pub mod report;
mod run;
pub mod stats;
pub mod summary;
pub mod times;
pub mod verify;

use std::{io, path::PathBuf};

pub use measure::{measure, measure_shown};

use crate::exit::{Exit, Local, reason};

/// Why a measurement could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read.
    #[error("cannot read {}: {}", .0.display(), reason(.1))]
    Read(PathBuf, #[source] io::Error),
    /// A file or directory could not be written.
    #[error("cannot write {}: {}: make room or name another place with --out", .0.display(), reason(.1))]
    Write(PathBuf, #[source] io::Error),
    /// A file of times is no such file.
    #[error("{}:{line}: {problem}: this is no whole file of times: move it away, or name another file", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A log is none of eval's, or damaged.
    #[error("{}:{line}: {problem}: remove the line or move the log away, and run it again", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of times that another version wrote.
    #[error("{} has version {}, this haul reads version {}: move it away, or name another file", .0.display(), .1, times::VERSION)]
    Version(PathBuf, u64),
    /// The label is taken.
    #[error("{} has a measurement called `{label}` already: name this one with --label", path.display())]
    Label {
        /// The file of times.
        path: PathBuf,
        /// The name.
        label: String,
    },
    /// The copies that clients make do not fit.
    #[error("the clients' copies need {need} in {} and {free} are free: take fewer clients or files, or point TMPDIR at a larger disk", path.display())]
    Space {
        /// The directory for temporary files.
        path: PathBuf,
        /// What is needed, for people.
        need: String,
        /// What there is, for people.
        free: String,
    },
    /// A process of the program itself could not be started.
    #[error(
        "cannot start {what}: {}: raise the limits on processes and open files (ulimit -u, -n), or take fewer clients",
        reason(source)
    )]
    Start {
        /// Which one.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The server ended or said nothing before it was ready.
    #[error("the server did not start: {0}: see configs/eval-serve.ini")]
    Server(String),
    /// Something on this machine could not be used.
    #[error(transparent)]
    Local(#[from] Local),
}

impl Error {
    /// The status that the program exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Read(..) | Self::Write(..) | Self::Space { .. } => Exit::Disk,
            Self::Damaged { .. } | Self::Log { .. } | Self::Version(..) | Self::Label { .. } => {
                Exit::Usage
            }
            Self::Start { .. } | Self::Server(_) => Exit::Other,
            Self::Local(local) => local.exit,
        }
    }
}
