//! What a screen sees of the server: plain values, copied out of the registry about ten times a second.

use std::{net::IpAddr, path::PathBuf, time::Instant};

use serde::{Deserialize, Serialize};

use crate::{forms, http1::path::RemotePath, units::Rate};

/// Names a row of the clients table for as long as the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId(pub u64);

/// Names a transfer for as long as the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransferId(pub u64);

/// The server at one moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Clients in the order in which they came; those that left stay for a while.
    pub clients: Vec<ClientView>,
    /// Body bytes sent since the start.
    pub sent: u64,
    /// Open connections.
    pub connections: usize,
    /// Requests answered since the start.
    pub requests: u64,
    /// Files sent whole since the start.
    pub files: u64,
    /// The limit of all clients together.
    pub limit: Option<Rate>,
    /// Whether it finishes what runs and takes no one new.
    pub draining: bool,
    /// The directory that is served, as it was named.
    #[serde(with = "forms::path")]
    pub root: PathBuf,
    /// Why nothing of it is served now, where its name leads nowhere.
    pub gone: Option<String>,
    /// Who is banned.
    pub banned: Vec<Ban>,
}

/// A ban; it lasts as long as the server runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// A login (raw), an IPv4 address, or an IPv6 network such as `2001:db8:1:2::/64`.
    pub who: String,
    /// What its requests are answered with.
    pub reason: String,
}

/// A person or machine: everything that one session, or else one address and agent, fetches.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientView {
    /// Stable while the server runs.
    pub id: ClientId,
    /// The login that it proved, where the server wants one.
    pub login: Option<String>,
    /// Its login, else how it calls itself (`Haul-Name`), raw; decides nothing.
    pub name: Option<String>,
    /// Where it connects from.
    pub address: IpAddr,
    /// `haul/0.1`, `curl/8.5`, `Firefox/133.0`: the product that its User-Agent stands for, raw.
    pub agent: Option<String>,
    /// Whom bans and limits of it mean: its login, else its address or network.
    pub who: String,
    /// Open connections; 0 once it left.
    pub connections: usize,
    /// When its last connection ended, if none is open.
    #[serde(with = "forms::some_age")]
    pub left: Option<Instant>,
    /// Its first request.
    #[serde(with = "forms::age")]
    pub since: Instant,
    /// Body bytes sent to it.
    pub sent: u64,
    /// Running transfers first, then finished ones, newest first; old finished ones are dropped.
    pub transfers: Vec<TransferView>,
    /// Files it took whole, also those no longer among `transfers`.
    pub files: u64,
    /// Its last refusal, such as `404 not found: /secrets` (raw), and when.
    #[serde(with = "forms::some_words")]
    pub refused: Option<(String, Instant)>,
    /// Whether its transfers are held.
    pub paused: bool,
    /// Its own limit, or the usual one of each client.
    pub limit: Option<Rate>,
}

/// One file on its way to one client, over however many connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransferView {
    /// Stable while the server runs.
    pub id: TransferId,
    /// The file below the served root.
    pub path: RemotePath,
    /// Bytes of the file that were sent at least once.
    pub done: u64,
    /// The file's size in bytes.
    pub total: u64,
    /// Connections that carry it now.
    pub connections: usize,
    /// When its first request came.
    #[serde(with = "forms::age")]
    pub started: Instant,
    /// How it stands.
    pub state: TransferState,
}

/// How a transfer stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferState {
    /// Bytes flow, or the next range is awaited.
    Active,
    /// The client's last connection ended between two ranges: it has what it asked for, or comes back for the rest.
    Left(#[serde(with = "forms::age")] Instant),
    /// Every byte of the file was sent.
    Done(#[serde(with = "forms::age")] Instant),
    /// It ended early: the client went away or the file changed.
    Aborted(#[serde(with = "forms::age")] Instant, String),
}

/// What is counted; see [`Server::counts`](crate::server::Server::counts).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Answers since the start by their status, those that there were.
    pub statuses: Vec<(u16, u64)>,
    /// What waits, each kind once.
    pub work: Vec<WorkCount>,
}

/// One kind of what waits inside the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkCount {
    /// `listing`, `tree`, `pieces`, `sha256`, `small`, `login` or `remote`.
    pub kind: &'static str,
    /// Turns that are waited for.
    pub waiting: usize,
    /// Turns under way.
    pub running: usize,
}
