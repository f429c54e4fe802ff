//! Why a running haul cannot be seen or told anything.

use crate::exit::{Exit, Local};

/// A failure to reach what runs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing runs.
    #[error("nothing runs: `haul serve` or `haul connect` begins something")]
    Nothing,
    /// Nothing of that name runs.
    #[error("nothing called `{name}` runs: {there}")]
    Unknown {
        /// What was asked for, escaped.
        name: String,
        /// What there is, or that there is nothing.
        there: String,
    },
    /// Several run, and which is meant was not said.
    #[error("several run: name one of {0}")]
    Several(String),
    /// It runs, but cannot be spoken to.
    #[error("{name} does not answer: {reason}")]
    Silent {
        /// What it is called, or its socket, escaped.
        name: String,
        /// Why.
        reason: String,
    },
    /// It speaks another version.
    #[error("{name} is {program}, which this haul cannot speak to: use one of the same version")]
    Version {
        /// What it is called.
        name: String,
        /// The program.
        program: String,
    },
    /// It refused what it was told; the reason is for people.
    #[error("{0}")]
    Refused(String),
    /// The socket that was asked for cannot be made.
    #[error(transparent)]
    Local(#[from] Local),
}

impl Error {
    /// The status that the process exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Several(_) => Exit::Usage,
            Self::Nothing | Self::Unknown { .. } => Exit::Remote,
            Self::Silent { .. } => Exit::Network,
            Self::Version { .. } | Self::Refused(_) => Exit::Other,
            Self::Local(local) => local.exit,
        }
    }
}
