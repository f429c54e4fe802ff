//! What the schedule and those who carry it out say to each other: data only.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use super::plan::Run;
use crate::{
    client::{
        Error, Event, ItemId,
        disk::journal::Ticket,
        facts::Facts,
        id::{BrowseId, FileId, RestId, SlotId, SourceId, SourceSet},
        proof::Proof,
        task::{DirTask, FileTask, Subject},
        want::Wanted,
    },
    http1::path::RemotePath,
};

/// What a connection is to do next.
#[derive(Debug)]
pub enum Order {
    /// Connect to this server, then [`Report::Connected`] or [`Report::Fault`].
    Connect(SourceId),
    /// Look what is here of the file already, then [`Answered::Again`].
    Look(Box<FileTask>),
    /// Send these requests and read the answer to the first one in flight.
    Exchange {
        /// Not sent yet, in their order.
        send: Vec<Request>,
        /// What the next answer is for.
        read: Box<Flight>,
        /// How long its beginning is awaited, where that is shorter than usual: some servers forget what was sent ahead.
        patience: Option<Duration>,
    },
    /// Close the connection and ask again.
    Close,
    /// Wait for the bell, at most until then.
    Wait(Option<Instant>),
    /// The client stops.
    End,
}

/// A request, without the server's part of it.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked for.
    pub subject: Subject,
    /// How.
    pub ask: Ask,
}

/// How something is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A directory.
    List,
    /// HEAD: something is here already that may spare the fetching.
    Head,
    /// The whole file.
    Whole,
    /// Some bytes, the last one included.
    Range {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
        /// `If-Match`.
        if_match: Option<String>,
        /// `If-Range`.
        if_range: Option<String>,
    },
    /// The values of its pieces.
    Pieces {
        /// `If-Match`.
        if_match: Option<String>,
    },
}

/// Something for a connection to do.
#[derive(Debug, Clone)]
pub enum Work {
    /// List a directory for someone who waits.
    Browse(Browse),
    /// List a directory of a tree.
    List(DirTask),
    /// Make the first request for a file.
    Open(FileTask),
    /// Fetch pieces.
    Run(FileId, Run),
    /// Fetch the values of pieces.
    Values(FileId),
    /// Its subject is under way elsewhere; only the rest of its answer is left to be read.
    Spent,
}

/// A directory that is to be listed for someone who waits.
#[derive(Debug, Clone)]
pub struct Browse {
    /// Who waits.
    pub id: BrowseId,
    /// Below the base URL.
    pub dir: RemotePath,
    /// Failed attempts so far.
    pub failures: u32,
    /// Sources that refused it.
    pub tried: SourceSet,
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

/// Work in flight on a connection.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Flight {
    /// What is asked for.
    pub work: Work,
    /// How.
    pub ask: Ask,
    /// When its request was handed out to be sent; before that, when it was taken.
    pub at: Instant,
    /// Whether the request was handed out.
    pub sent: bool,
    /// Whether it was sent before the one in front of it was answered.
    pub ahead: bool,
    /// Bytes that count for its item so far of a body of unknown size, once that is read.
    pub streamed: Option<u64>,
    /// Whether a whole piece came in its answer.
    pub progress: bool,
    /// Whether its server was left out for the file, and is asked because nobody else can be: its answer stands.
    pub last: bool,
}

/// What became of an order.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each order, and moved once"
)]
pub enum Report {
    /// The connection is open, and how long its handshakes took.
    Connected(Duration),
    /// The answer to the front request was read to its end, and this is what came of it.
    Answered(Answered, Channel),
    /// It failed.
    Fault(Fault, Channel),
}

/// Where an answer redirects.
#[derive(Debug, Clone)]
pub struct Hop {
    /// The server, where it is one that the user named or the one that answered.
    pub named: Option<SourceId>,
    /// Its scheme, host and port, in ASCII.
    pub origin: String,
    /// What is to be asked for there.
    pub target: String,
    /// The whole address for people, without what may be secret.
    pub shown: String,
}

impl Hop {
    /// Why it is not followed.
    pub fn error(&self, why: &str) -> Error {
        Error::Unfollowed {
            to: self.shown.clone(),
            why: why.to_owned(),
        }
    }
}

/// Which server a redirect leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// One that is known.
    At(SourceId),
    /// One that was met just now, in this place.
    New(SourceId),
    /// None now: there are too many. The file is asked for again later.
    Full,
    /// None: it is not known yet.
    Unmet,
}

/// What is left of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// Whether it can go on.
    pub open: bool,
    /// Whether the server says that it is one of our kind.
    pub haul: bool,
}

impl Channel {
    /// It is closed.
    pub const CLOSED: Self = Self {
        open: false,
        haul: false,
    };
}

/// An answer that was read.
#[derive(Debug)]
pub enum Answered {
    /// A listing, for someone who was told already.
    Browsed,
    /// A tree's directory: its directories, and the sum of what of it waits on disk. Its files were handed on.
    Listed {
        /// The task as it is now.
        task: DirTask,
        /// The directories in it.
        dirs: Vec<DirTask>,
        /// What of it waits on disk.
        waiting: Sum,
    },
    /// A listing is not wanted any more: the task as it is now.
    Unlisted(DirTask),
    /// The first answer about a file was taken in by another call already, or leaves it as it was.
    Opened,
    /// A file is to be asked for again, in another way.
    Again(FileTask),
    /// What was asked for as a file is a directory.
    IsDir(FileTask),
    /// A run was read as far as it was wanted: pieces, and the time from its first byte to its last.
    Run {
        /// Whole pieces received.
        pieces: u32,
        /// Time that they took.
        took: Duration,
    },
    /// All values of a file's pieces came, or were not wanted any more.
    Values,
}

/// How many files, and their bytes as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Sum {
    /// Of these files.
    pub fn of(files: &[FileTask]) -> Self {
        let mut sum = Self::default();
        for file in files {
            sum.add(file.size);
        }
        sum
    }

    /// Adds a file.
    pub fn add(&mut self, size: Option<u64>) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size.unwrap_or(0));
    }
}

/// What went wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// No connection could be made.
    Unreachable(Error),
    /// The connection broke, or its peer speaks nonsense.
    Broke(Error),
    /// The server lets everybody wait, or failed inside: 408, 429, 5xx.
    Busy {
        /// What it said.
        error: Error,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The server refuses this file or directory.
    Refused(Error),
    /// The server lets this client wait.
    Paused(Option<Duration>),
    /// The server refuses this client for a while.
    Kicked {
        /// In the words of whoever did it.
        reason: String,
        /// For how long.
        time: Option<Duration>,
    },
    /// The server refuses this client until that is lifted there.
    Banned(Error),
    /// A login is missing or wrong.
    Login(Error),
    /// The file is not what it was a moment ago.
    Changed,
    /// A mirror has no such file, or another, or serves no ranges of it.
    Foreign,
    /// A range of less than a piece was given: pieces are not to be had there.
    NoRanges,
    /// A piece was wrong too often.
    BadPiece(Error),
    /// The values do not merge to the root that follows them.
    BadValues,
    /// The whole does not match its digest or its size.
    BadWhole(Box<FileTask>),
    /// The whole does not match what a published list tells of it.
    Unlisted(Box<FileTask>, Error),
    /// The connection let go of its work because it was told to.
    Interrupted,
    /// A file is known to be on none of the servers that are left.
    NoMirror,
    /// The local disk failed, or what is asked for makes no sense: no server can help.
    Local(Error),
    /// The answer cannot be used.
    Other(Error),
}

/// Something to be done outside of the schedule.
#[derive(Debug)]
pub enum Effect {
    /// Tell what happened.
    Tell(Event),
    /// A connection that waits may find something to do.
    Ring(SlotId),
    /// Everything has ended, or an item has changed: whoever waits for that looks again.
    Changed,
    /// A connection is to let go of what it reads.
    Interrupt(SlotId),
    /// Hash what an earlier run left in the part, piece by piece.
    HashLeft(FileId),
    /// Look for what differs elsewhere in the file that is replaced.
    Search(FileId),
    /// Land a complete file.
    Land(FileId, Proof),
    /// Sync a part, so that a later run can go on with it.
    Sync(FileId, Vec<Range<u32>>),
    /// The transfer ended without its file: nothing more is written to the part.
    LetGo(FileId, Keep),
    /// Read the next entries that wait on disk.
    LoadRest(RestId),
    /// Forget entries that wait on disk.
    DropRest(RestId),
    /// A later run has nothing to go on with.
    Settle(Ticket),
    /// A later run is to go on with an item that is tried again.
    Want(ItemId, Wanted),
    /// The user changed the queue's order or how something in it is fetched: a later run goes on so.
    KeepQueue,
    /// Nothing can be listed for someone who waits.
    Answer(BrowseId, Error),
}

/// What is done with the part of a transfer that ended without its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// These pieces are noted, so that a later try goes on with them.
    Pieces(Vec<Range<u32>>),
    /// It stays as it is.
    AsIs,
    /// It holds nothing worth keeping.
    Nothing,
}

/// What [`super::Schedule::begin`] needs to know of the part that was opened.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// What the first answer told.
    pub facts: Facts,
    /// Bytes that an earlier run left in the part, to be held against values.
    pub left: u64,
    /// Some of it may come from the file that the new one replaces.
    pub from_old: bool,
    /// Pieces in it that the journal vouches for, or a Metalink's digests, where the server cannot.
    pub known: Vec<Range<u32>>,
    /// The part is a whole file under its final name: it is compared, and nothing is fetched.
    pub compares: bool,
}
