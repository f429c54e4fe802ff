//! The rows of `haul serve`'s clients: what each says, before it is drawn.

use std::time::{Duration, Instant};

use crate::{
    http1::path::RemotePath,
    progress::percent,
    server::{ClientId, ClientView, TransferState, TransferView},
};

/// What the clients are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientSort {
    /// Bytes per second, the fastest first.
    Rate,
    /// Name or address.
    Name,
    /// Bytes sent.
    Sent,
    /// Order of their first request.
    Came,
}

impl ClientSort {
    /// The word in the pane's title.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Name => "name",
            Self::Sent => "sent",
            Self::Came => "came",
        }
    }

    pub(super) const fn next(self) -> Self {
        match self {
            Self::Rate => Self::Name,
            Self::Name => Self::Sent,
            Self::Sent => Self::Came,
            Self::Came => Self::Rate,
        }
    }
}

/// How a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Bytes flow.
    Active,
    /// None has flowed for this long.
    Stalled(Duration),
    /// Paused from the dashboard.
    Paused,
    /// Everything that was asked for was sent.
    Done,
    /// It ended early.
    Aborted,
    /// It was kicked or banned from here; the word says which.
    Removed(&'static str),
    /// What it fetched last ended early, and it left.
    BrokenOff,
    /// Its last connection ended so long ago; of a file, the client's did before all of it was sent.
    Left(Duration),
    /// Connected, and fetches nothing.
    Idle,
    /// The last thing it asked for was refused.
    Refused,
}

/// Figures of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// How it stands.
    pub standing: Standing,
    /// Bytes sent of what is being fetched.
    pub done: u64,
    /// Bytes of what is being fetched; `None` where what will be asked for is the client's to know.
    pub total: Option<u64>,
    /// Bytes per second.
    pub rate: u64,
    /// Time left.
    pub left: Option<Duration>,
}

impl Figures {
    /// Percent sent, rounded down; `None` where there is no total. It is 100 only once the last byte is known to be sent.
    pub fn percent(&self) -> Option<u8> {
        let most = if self.standing == Standing::Done {
            100
        } else {
            99
        };
        Some(percent(self.done, self.total)?.min(most))
    }
}

/// A row of the clients pane. Its texts are raw.
#[derive(Debug, Clone)]
pub struct Row {
    /// The client, also on the row of one of its files.
    pub client: ClientId,
    /// What the row shows.
    pub kind: RowKind,
    /// Its figures.
    pub figures: Figures,
}

/// What a row shows.
#[derive(Debug, Clone)]
pub enum RowKind {
    /// A client, with what it fetches in a few words.
    Client {
        /// Its name, if it gave one.
        name: Option<String>,
        /// Its address, in brackets if IPv6.
        address: String,
        /// Its number, where neither name nor address tell it from others: commands take `#12`.
        number: Option<u64>,
        /// What it calls itself.
        agent: String,
        /// A path, a count of files, or a refusal.
        what: What,
        /// Whether its files have rows.
        unfolded: bool,
    },
    /// A file of the client above.
    File {
        /// Its path.
        path: RemotePath,
        /// Whether it is the client's last.
        last: bool,
        /// Why it ended early, if it did.
        reason: Option<String>,
    },
}

/// What a client fetches.
#[derive(Debug, Clone)]
pub enum What {
    /// One file.
    Path(RemotePath),
    /// Several.
    Files {
        /// How many.
        count: usize,
        /// Over how many connections.
        connections: usize,
    },
    /// Nothing now; it took so many files.
    Taken(u64),
    /// Nothing now; so many files ended early.
    Aborted(usize),
    /// A refusal, such as `404 not found: /x`.
    Refusal(String),
}

impl Row {
    /// The file of a file's row.
    pub fn path(&self) -> Option<&RemotePath> {
        match &self.kind {
            RowKind::File { path, .. } => Some(path),
            RowKind::Client { .. } => None,
        }
    }
}

/// What is being sent to a client.
pub(super) fn running(client: &ClientView) -> impl Iterator<Item = &TransferView> {
    client
        .transfers
        .iter()
        .filter(|t| t.state == TransferState::Active)
}

/// The word for what was done to a client here, by the reason that it was given.
pub(super) fn removed(reason: &str) -> Option<&'static str> {
    ["kicked", "banned"]
        .into_iter()
        .find(|word| reason.starts_with(word))
}

/// When a transfer ended, if it did.
pub(super) fn ended(transfer: &TransferView) -> Option<Instant> {
    match &transfer.state {
        TransferState::Active | TransferState::Left(_) => None,
        TransferState::Done(at) | TransferState::Aborted(at, _) => Some(*at),
    }
}

/// A client's address, in brackets if IPv6.
pub(super) fn address(client: &ClientView) -> String {
    if client.address.is_ipv6() {
        format!("[{}]", client.address)
    } else {
        client.address.to_string()
    }
}

/// What a client is called: its name, or else its address.
pub(super) fn label(client: &ClientView) -> String {
    client.name.clone().unwrap_or_else(|| address(client))
}
