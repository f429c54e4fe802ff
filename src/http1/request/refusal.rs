//! Requests that are not answered.

use http::StatusCode;

/// A request that is answered with an error and a closed connection, since what follows it cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What is answered.
    pub status: StatusCode,
    /// Why, in a few words.
    pub why: &'static str,
}

pub(super) const fn refuse(status: StatusCode, why: &'static str) -> Refusal {
    Refusal { status, why }
}

pub(super) const fn bad(why: &'static str) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, why)
}
