//! What a dashboard that leaves its terminal hands to the run that goes on without one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{client::Handover, forms};

/// It goes over a pipe between two processes of one user: logins are in it.
#[derive(Debug, Serialize, Deserialize)]
pub struct HandedOver {
    /// What the client leaves beside its journal.
    pub client: Handover,
    /// Where downloads of screens go, if `:lcd` changed it.
    #[serde(with = "forms::some_path")]
    pub lcd: Option<PathBuf>,
}
