//! The table of what follows from a failure.

use Follow::{
    Again, Alone, Ask, Drop, Elsewhere, Fail, First, Get, Hold, Later, LeaveOut, Rest, Restart,
    Retry, RetryAndRest, Slower, Whole,
};
use Hit::{Browse, Dial, Head, List, Open, Run, Start, Values};

use crate::client::{Error, schedule::Fault};

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// It is done again, at once; nobody is to blame.
    Again,
    /// It is asked for again with nothing ahead of it; the server may not bear what is sent ahead.
    Alone,
    /// The file is asked for without a look at what is here: the server knows no HEAD of it.
    Get,
    /// The work goes to others, and the server rests.
    Elsewhere,
    /// The work goes to others; this server is left out for it.
    LeaveOut,
    /// The file is asked for at the URL that redirected first: where that led serves it no more.
    First,
    /// The same a little later: others still fetch what a redirect led to, which may be served only so often.
    Later,
    /// The server is asked less, and the work again.
    Slower,
    /// The server is asked nothing for a time.
    Hold,
    /// All waits for the user's answer.
    Ask,
    /// The work failed: it is tried again after a pause, or has failed for good.
    Retry,
    /// The same, and the server counts as failing as well.
    RetryAndRest,
    /// The work failed for good.
    Fail,
    /// The file is fetched from its beginning.
    Restart,
    /// The same, in one answer: the server refuses ranges of it.
    Whole,
    /// The server is not asked any more, where others are left; else all fails.
    Drop,
    /// The server could not be reached: it rests; all fails where none is left to be tried.
    Rest,
}

/// What the work was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hit {
    /// None: a connection was being made.
    Dial,
    /// A listing for someone who waits.
    Browse,
    /// A tree's listing.
    List,
    /// A HEAD of a file.
    Head,
    /// The first request for a file.
    Open,
    /// The same, for its first bytes.
    Start,
    /// A run of pieces.
    Run,
    /// The values of pieces.
    Values,
}

/// What else decides.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and a column of the table"
)]
pub(super) struct Standing {
    /// Others may do the work.
    pub(super) others: bool,
    /// Somebody watches, and can answer.
    pub(super) patient: bool,
    /// The server broke what it kept open, after it had answered on this connection.
    pub(super) stale: bool,
    /// The connection was closed before anything was answered on it, not for the first time.
    pub(super) refuses: bool,
    /// The work was sent ahead of an answer.
    pub(super) ahead: bool,
    /// It was, or others were sent behind it: some servers mix them up.
    pub(super) pipelined: bool,
    /// Whole pieces came before it broke.
    pub(super) progress: bool,
    /// Every server that is left has failed or refused more than `retries` times in a row; this one, where a redirect led
    /// to it, or no other may do the work.
    pub(super) worn: bool,
    /// A redirect led to the server: it is no one that the user named.
    pub(super) led: bool,
    /// A redirect led there for this file, and what it leads to has not been refused twice in a row.
    pub(super) first: bool,
    /// A redirect led there for this file, and others fetch some of it now.
    pub(super) flows: bool,
    /// It was sent before it was known where the file is asked for now.
    pub(super) outdated: bool,
}

/// The table: fault × work × standing → what follows. The first row that fits decides.
#[expect(
    clippy::match_same_arms,
    reason = "rows of a table: each is read by itself"
)]
pub(super) fn follows(fault: &Fault, hit: Hit, at: Standing) -> Follow {
    match (fault, hit) {
        (Fault::Interrupted, _) => Again,
        (Fault::Paused(_) | Fault::Kicked { .. }, _) => Hold,
        (Fault::Banned(_), _) => Drop,

        (Fault::Unreachable(error), Dial) if error.is_transient() => Rest,
        (Fault::Unreachable(error), Dial) if at.patient && error.asks() && !at.led => Ask,
        (Fault::Unreachable(_), _) => Drop,

        (Fault::Broke(_), Run) if at.progress => Again,
        (Fault::Broke(_), _) if at.stale => Again,
        (Fault::Broke(_), Values) => Retry,
        (Fault::Broke(_), _) if at.others && !at.worn => Elsewhere,
        (Fault::Broke(_), _) if at.refuses => RetryAndRest,
        (Fault::Broke(_), _) => Retry,

        (Fault::Refused(_), Head) => Get,
        (Fault::Busy { error, .. }, Head) if !is_about_load(error) => Get,
        // One that names a time means it, whatever was in front of the request.
        (Fault::Busy { .. }, _) if at.ahead && fault.retry_after().is_none() => Alone,
        // What fails inside may do so for one file alone: others may have it, and it counts its own tries.
        (Fault::Busy { error, .. }, Browse | List | Open | Start)
            if at.others && !is_about_load(error) =>
        {
            LeaveOut
        }
        (Fault::Busy { .. }, _) if at.others && !at.worn => Elsewhere,
        (Fault::Busy { .. }, Values) => Retry,
        (Fault::Busy { .. }, Browse) => Fail,
        (Fault::Busy { error, .. }, _) if !is_about_load(error) => Retry,
        (Fault::Busy { .. }, _) if at.worn => Fail,
        (Fault::Busy { .. }, _) => Slower,

        (Fault::Refused(_) | Fault::Login(_), Run | Values) if at.outdated => Again,
        (Fault::Login(_), _) if at.first => First,
        (Fault::Login(_), hit) if at.patient && hit != Browse && !at.led => Ask,
        (Fault::Refused(error), _) if at.pipelined && !is_about_the_file(error) => Alone,
        (Fault::Refused(error), _) if at.first && may_expire(error) => First,
        (Fault::Refused(_) | Fault::Login(_), Run) if at.flows => Later,
        (Fault::Refused(error), Start) if is_about_ranges(error) => Whole,
        (Fault::Refused(_) | Fault::Login(_), _) if at.others => LeaveOut,
        (Fault::Refused(error), Run) if is_about_ranges(error) => Whole,
        (Fault::Refused(_) | Fault::Login(_), _) => Fail,

        (Fault::Changed, Run | Values) => Restart,
        (Fault::Changed, _) => Retry,
        (Fault::Foreign, _) if at.others => LeaveOut,
        (Fault::Foreign, _) => Restart,

        (Fault::NoRanges, Run) if at.others => LeaveOut,
        (Fault::NoRanges, _) => Whole,

        (Fault::BadPiece(_), _) => Fail,
        (Fault::BadValues, _) if at.others && at.led => LeaveOut,
        (Fault::BadValues, _) if at.others => Drop,
        (Fault::BadValues, _) => Retry,
        (Fault::BadWhole(_) | Fault::Unlisted(..), _) if at.others => LeaveOut,
        (Fault::BadWhole(_) | Fault::Unlisted(..), _) => Retry,

        (Fault::NoMirror | Fault::Local(_), _) => Fail,
        (Fault::Other(error), _) if error.is_transient() => Retry,
        (Fault::Other(_), _) if at.others && hit != Run => LeaveOut,
        (Fault::Other(_), _) => Fail,
    }
}

/// Whether a refusal speaks of what was asked for, rather than of how.
fn is_about_the_file(error: &Error) -> bool {
    !matches!(error, Error::Status { status, .. } if !matches!(status, 401 | 403 | 404 | 410 | 451))
}

/// Whether a refusal may mean that ranges are not given: some say so, some take them for an attack.
fn is_about_ranges(error: &Error) -> bool {
    matches!(error, Error::Status { status, .. } if matches!(status, 400 | 403 | 416 | 501))
}

/// Whether a URL that was signed for a time may be refused so once that is over.
fn may_expire(error: &Error) -> bool {
    matches!(
        error,
        Error::Status {
            status: 400 | 401 | 403 | 404 | 410,
            ..
        }
    )
}

/// Whether a refusal says that too much is asked, or that it ends by itself.
pub(super) fn is_about_load(error: &Error) -> bool {
    match error {
        Error::Status { status: 403, .. } => error.retry_after().is_some(),
        Error::Status { status, .. } => matches!(status, 429 | 503),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
