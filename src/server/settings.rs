//! What a server runs with.

use std::{path::PathBuf, time::Duration};

use super::{host::Names, people::access::Access, tree::own::Own};
use crate::{tls::Identity, units::Rate};

/// How long a kicked client is refused: long enough to be noticed and for a retrying program to give up, short enough
/// not to be a ban.
const KICKED_FOR: Duration = Duration::from_secs(60);

/// What the server runs with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory to host.
    pub root: PathBuf,
    /// Serve names that begin with a dot too.
    pub hidden: bool,
    /// Follow symbolic links even out of the root.
    pub follow_symlinks: bool,
    /// A connection that is silent this long is closed.
    pub timeout: Duration,
    /// Connections at the same time; more get 503.
    pub max_connections: usize,
    /// Clients at the same time, by login or else address; others get 503. `None` for any number.
    pub max_clients: Option<usize>,
    /// What all clients together get.
    pub limit: Option<Rate>,
    /// How long a kicked client is refused.
    pub kick: Duration,
    /// What each client gets, unless it is given a limit of its own.
    pub limit_client: Option<Rate>,
    /// Readers that are slower are dropped.
    pub min_rate: Option<MinRate>,
    /// Where values of large files are kept between runs; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// The certificate to show; `None` speaks plain HTTP.
    pub tls: Option<Identity>,
    /// Who may come in.
    pub access: Access,
    /// Under which names it may be asked for.
    pub names: Names,
    /// What it reads and writes itself, and does not serve.
    pub own: Own,
    /// Whether pages may run scripts as they would on a web server.
    pub web: bool,
}

impl Settings {
    /// What URLs of the server begin with.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

impl Settings {
    /// The defaults for `root`: no limits but 4096 connections, and nothing kept.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            hidden: false,
            follow_symlinks: false,
            timeout: Duration::from_secs(60),
            max_connections: 4096,
            max_clients: None,
            limit: None,
            kick: KICKED_FOR,
            limit_client: None,
            min_rate: None,
            cache: None,
            tls: None,
            access: Access::default(),
            names: Names::default(),
            own: Own::default(),
            web: false,
        }
    }
}

/// What a reader must take at least while there are bytes for it, and nothing here holds them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinRate {
    /// The rate.
    pub rate: Rate,
    /// The time over which it must be kept.
    pub over: Duration,
}
