//! Why nothing, or not everything, was drawn.

use std::{io, path::PathBuf};

use crate::{
    eval,
    exit::{Exit, Local, reason},
};

/// Why nothing, or not everything, was drawn.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The times or logs could not be read.
    #[error(transparent)]
    Eval(#[from] eval::Error),
    /// There is nothing to draw.
    #[error("{0}: run `haul eval` first, or name its results with --times or --logs")]
    Nothing(String),
    /// No measurement, or no run, is called so.
    #[error("there is no {what} called `{name}`: {known}")]
    Unknown {
        /// `measurement` or `run`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Two measurements have no cell in common.
    #[error(
        "`{0}` and `{1}` have no combination of clients and size in common: measure both with the same options"
    )]
    NothingInCommon(String, String),
    /// A chart could not be drawn.
    #[error("cannot draw {0}: {1}")]
    Draw(String, String),
    /// A file could not be written.
    #[error("cannot write {}: {}: make room or name another place with --out", .0.display(), reason(.1))]
    Write(PathBuf, #[source] io::Error),
    /// Stdout could not be written to.
    #[error(transparent)]
    Local(#[from] Local),
}

impl Error {
    /// The status that the program exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Eval(error) => error.exit(),
            Self::Nothing(_) | Self::Unknown { .. } | Self::NothingInCommon(..) => Exit::Usage,
            Self::Draw(..) => Exit::Other,
            Self::Write(..) => Exit::Disk,
            Self::Local(local) => local.exit,
        }
    }
}
