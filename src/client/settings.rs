//! What a client runs with.

use std::{path::PathBuf, sync::Arc, time::Duration};

use url::Url;

use super::net::access::Access;
use crate::{config::OnConflict, sums::Given, units::Rate};

/// What a client runs with.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Settings {
    /// The server and the directory on it; a last segment without a slash may name a file (see [`Client::named`](super::Client::named)).
    pub url: Url,
    /// Other directories that hold the same tree; empty for none.
    pub mirrors: Vec<Url>,
    /// Where a Metalink was fetched that names those servers; `None` where the user named them. Those of other origins get no
    /// login of their host, and do not learn the user's name.
    pub named_at: Option<Url>,
    /// What is presented to servers, and which certificates are believed.
    pub access: Access,
    /// Where downloads go; made where it is missing.
    pub dir: PathBuf,
    /// Where journals are kept; `None` for none, so that a later run cannot go on with what this one leaves.
    pub state_dir: Option<PathBuf>,
    /// Connections in all, at least 1.
    pub workers: usize,
    /// Further tries for a failing file or piece, and for the connection itself.
    pub retries: u32,
    /// No byte for this long is a failure.
    pub timeout: Duration,
    /// What all connections together may take at the start; see [`Client::limit`](super::Client::limit).
    pub limit: Option<Rate>,
    /// How this client is called on the server's screen.
    pub user: Option<String>,
    /// One file at a time, over one connection.
    pub serial: bool,
    /// Directories below the URL that are gone into, one inside the other, at most: a link on a server may lead back up.
    pub max_depth: usize,
    /// A tree in which there is no file counts as a failure.
    pub fail_empty: bool,
    /// What happens where a local file is in the way.
    pub on_conflict: OnConflict,
    /// What is replaced is kept as `name~`.
    pub backup: bool,
    /// What the target holds and listings do not is noted: see [`Client::extras`](super::Client::extras).
    pub delete: bool,
    /// Nothing is fetched: what would become of the files of trees is told.
    pub dry_run: bool,
    /// Go on with parts that an earlier run left.
    pub resume: bool,
    /// What files must hash to by a list that the user gave, whatever servers say.
    pub checksums: Option<Arc<Given>>,
    /// Never give up on a server that cannot be reached: somebody watches, and can end it.
    pub patient: bool,
}
