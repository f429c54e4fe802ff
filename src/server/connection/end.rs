//! Why connections end.

use super::send::Broken;
use crate::{http1::request::Refusal, server::respond::link::Stop};

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("closed")]
    Closed,
    #[error("closed in the middle of a request")]
    Truncated,
    #[error("idle for too long")]
    Idle,
    #[error("the server stops")]
    Drained,
    #[error("closed by the server")]
    Cut,
    #[error("{} {}", .0.status, .0.why)]
    Refused(Refusal),
    #[error("{0}")]
    Made(Stop),
    #[error("{0}")]
    Broken(#[from] Broken),
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(Broken::Io(error))
    }
}
