//! What connections are given to do.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{
    client::{
        Error,
        job::{Job, StepPolicy},
        plan::Run,
        snapshot::ItemId,
        source::SourceSet,
        task::{DirTask, FileTask},
    },
    entry::Entry,
    http1::path::RemotePath,
};

/// A directory that is to be listed for someone who waits.
#[derive(Debug)]
pub struct Browse {
    /// Below the base URL.
    pub dir: RemotePath,
    /// Failed attempts so far.
    pub failures: u32,
    /// Sources that refused it.
    pub tried: SourceSet,
    /// Who waits.
    pub reply: oneshot::Sender<Result<Vec<Entry>, Error>>,
}

/// Something for a connection to do.
#[derive(Debug)]
pub enum Work {
    /// List a directory for someone who waits.
    Browse(Browse),
    /// List a directory of a tree.
    List(DirTask),
    /// Make the first request for a file.
    Open(FileTask),
    /// Fetch pieces.
    Run(Arc<Job>, Run),
    /// Fetch the values of pieces.
    Values(Arc<Job>),
}

/// Who asks for work.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// Which connection, from 0.
    pub index: usize,
    /// What its last work in flight is, if any is: only the like is sent behind it.
    pub behind: Option<Kind>,
    /// How to choose pieces.
    pub pace: StepPolicy,
}

/// Work that may be pipelined behind other work of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Small files.
    Small,
    /// Runs of pieces.
    Run,
    /// Anything else: nothing goes behind it.
    Alone,
}

impl Work {
    /// The item that it belongs to; none for someone who waits.
    pub fn item(&self) -> Option<ItemId> {
        match self {
            Self::Browse(_) => None,
            Self::List(task) => Some(task.item),
            Self::Open(task) => Some(task.item),
            Self::Run(job, _) | Self::Values(job) => Some(job.task.item),
        }
    }

    /// What may follow it before its answer is here.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Open(task) if !task.is_large() => Kind::Small,
            Self::Run(job, _) if job.facts.ranges => Kind::Run,
            _ => Kind::Alone,
        }
    }
}
