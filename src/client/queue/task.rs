//! What connections are given to do.

use std::{collections::HashSet, sync::Arc, time::SystemTime};

use tokio::sync::oneshot;

use crate::{
    client::{
        Digest, Error,
        job::{Job, Pace},
        metalink::NamedFile,
        plan::Run,
        snapshot::ItemId,
        source::{Source, SourceId, SourceSet},
        spill::Spill,
        target::Names,
    },
    entry::Entry,
    escape,
    http1::path::RemotePath,
    pieces::PIECE,
};

/// A file that is to be fetched.
#[derive(Debug, Clone)]
pub struct FileTask {
    /// The item that it belongs to.
    pub item: ItemId,
    /// Below the base URL.
    pub path: RemotePath,
    /// The local file's name where it is not the remote one's (`--output`).
    pub rename: Option<Vec<u8>>,
    /// Bytes, if known.
    pub size: Option<u64>,
    /// Date of the content, if known.
    pub modified: Option<SystemTime>,
    /// Digest of the content, if the listing tells it.
    pub blake3: Option<blake3::Hash>,
    /// Digest that the user asks for.
    pub checksum: Option<Box<Digest>>,
    /// What is here already.
    pub local: Local,
    /// Bytes that its part held when it was given up.
    pub kept: u64,
    /// Failed attempts so far.
    pub failures: u32,
    /// Sources that refused it.
    pub tried: SourceSet,
    /// Redirects followed so far.
    pub redirects: u32,
    /// Request targets where they are not the path below the source's base: where a redirect led, or a Metalink points.
    pub targets: Vec<(SourceId, String)>,
}

/// What a look into the target directory found where a file should land.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Local {
    /// Nothing.
    #[default]
    Nothing,
    /// Nobody has looked yet.
    Unknown,
    /// Something that may be its part.
    Part,
    /// A file of that name.
    File,
}

impl FileTask {
    /// A task about which only the path is known.
    pub fn new(item: ItemId, path: RemotePath) -> Self {
        Self {
            item,
            path,
            rename: None,
            size: None,
            modified: None,
            blake3: None,
            checksum: None,
            local: Local::Nothing,
            kept: 0,
            failures: 0,
            tried: SourceSet::default(),
            redirects: 0,
            targets: Vec::new(),
        }
    }

    /// A task for what a Metalink names; of `servers` only those that have it are asked.
    pub fn named(file: &NamedFile, servers: SourceSet) -> Self {
        let has = file.places.iter().map(|(source, _)| *source).collect();
        Self {
            size: file.size,
            checksum: file.digest.clone().map(Box::new),
            local: Local::Unknown,
            tried: servers.without(has),
            targets: file.places.clone(),
            ..Self::new(ItemId::default(), file.path.clone())
        }
    }

    /// What a source is asked for to get the file.
    pub fn target_at(&self, source: &Source) -> String {
        let mut targets = self.targets.iter();
        let known = targets.find(|(of, _)| *of == source.id);
        known.map_or_else(
            || source.origin.target(&self.path),
            |(_, target)| target.clone(),
        )
    }

    /// Whether a source is known not to have it: a Metalink names others.
    pub fn is_foreign_to(&self, source: SourceId) -> bool {
        !self.targets.is_empty()
            && self.tried.contains(source)
            && self.targets.iter().all(|(of, _)| *of != source)
    }

    /// Sources that cannot be asked for the values of its pieces, because they are asked for it by a query.
    pub fn mute(&self) -> SourceSet {
        let with_query = self
            .targets
            .iter()
            .filter(|(_, target)| target.contains('?'));
        with_query.map(|(source, _)| *source).collect()
    }

    /// The name that the file gets.
    pub fn local_name(&self) -> &[u8] {
        self.rename.as_deref().unwrap_or_else(|| self.path.name())
    }

    /// The path for people.
    pub fn shown(&self) -> String {
        escape::display_name(self.path.as_bytes()).into_owned()
    }

    /// Whether it is fetched in runs of pieces, as far as its size is known.
    pub fn is_large(&self) -> bool {
        self.size.is_some_and(|size| size > PIECE)
    }
}

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

/// A directory of a tree that is to be listed, or that was and holds more than could be remembered.
#[derive(Debug)]
pub struct DirTask {
    /// The item that it belongs to.
    pub item: ItemId,
    /// Below the base URL.
    pub dir: RemotePath,
    /// Failed attempts so far.
    pub failures: u32,
    /// Sources that refused it.
    pub tried: SourceSet,
    /// Files that attempts before handed on, by a hash of their names. They are bounded: what is too much for the
    /// queue is put on disk, and that is begun anew with each attempt.
    pub taken: HashSet<u128>,
    /// What is left of it, once its listing was read to the end.
    pub rest: Option<Box<Rest>>,
}

/// Entries of a directory that wait on disk until there is room for them.
#[derive(Debug)]
pub struct Rest {
    /// The entries.
    pub spill: Spill,
    /// What was here when the listing began; `None` where nobody had to look.
    pub names: Option<Names>,
}

impl DirTask {
    /// A directory of which nothing is known.
    pub fn new(item: ItemId, dir: RemotePath) -> Self {
        Self {
            item,
            dir,
            failures: 0,
            tried: SourceSet::default(),
            taken: HashSet::new(),
            rest: None,
        }
    }
}

/// What can fail and be tried again.
#[derive(Debug)]
pub enum Task {
    /// A file to fetch; its item counts it as busy.
    File(FileTask),
    /// A directory to list; its item counts it as being listed.
    Dir(DirTask),
}

impl Task {
    /// The item that it belongs to.
    pub fn item(&self) -> ItemId {
        match self {
            Self::File(task) => task.item,
            Self::Dir(task) => task.item,
        }
    }

    /// Below the base URL.
    pub fn path(&self) -> &RemotePath {
        match self {
            Self::File(task) => &task.path,
            Self::Dir(task) => &task.dir,
        }
    }

    /// Failed attempts so far.
    pub fn failures(&mut self) -> &mut u32 {
        match self {
            Self::File(task) => &mut task.failures,
            Self::Dir(task) => &mut task.failures,
        }
    }
}

impl From<FileTask> for Task {
    fn from(task: FileTask) -> Self {
        Self::File(task)
    }
}

impl From<DirTask> for Task {
    fn from(task: DirTask) -> Self {
        Self::Dir(task)
    }
}

/// Who asks for work.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// Which connection, from 0.
    pub index: usize,
    /// What its last work in flight is, if any is: only the like is sent behind it.
    pub behind: Option<Kind>,
    /// How to choose pieces.
    pub pace: Pace,
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
