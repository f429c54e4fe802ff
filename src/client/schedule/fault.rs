//! What follows from a failure: what was hit, how things stand, and the way from there.

mod standing;
mod table;

use std::time::{Duration, Instant};

use table::{Hit, follows};

pub(super) use table::Follow;

use super::{
    Schedule, SlotId,
    order::{Ask, Channel, Fault, Flight, Work},
    slot::Line,
    transfer::Phase,
};
use crate::client::Error;

/// The longest pause that a server may ask for.
pub const ASKED_MAX: Duration = Duration::from_secs(300);

impl Hit {
    fn of(flight: &Flight) -> Self {
        match &flight.work {
            Work::Browse(_) => Self::Browse,
            Work::List(_) => Self::List,
            Work::Open(_) if flight.ask == Ask::Head => Self::Head,
            Work::Open(_) if matches!(flight.ask, Ask::Range { .. }) => Self::Start,
            Work::Open(_) | Work::Spent => Self::Open,
            Work::Run(..) => Self::Run,
            Work::Values(_) => Self::Values,
        }
    }
}

impl Fault {
    /// What an error of a connection or an answer stands for.
    pub fn of(error: Error, retry_after: Option<Duration>) -> Self {
        match error {
            Error::Paused => Self::Paused(retry_after),
            Error::Kicked(reason) => Self::Kicked {
                reason,
                time: retry_after,
            },
            Error::Banned(_) => Self::Banned(error),
            Error::Login { .. } => Self::Login(error),
            Error::Status { .. } if error.is_transient() => Self::Busy {
                // An answer behind the first one names a time of its own.
                retry_after: error.retry_after().or(retry_after),
                error,
            },
            Error::Status { .. } => Self::Refused(error),
            Error::Changed => Self::Changed,
            Error::Integrity { piece: Some(_) } => Self::BadPiece(error),
            Error::Disk { .. } | Error::Target { .. } | Error::Usage(_) | Error::Name { .. } => {
                Self::Local(error)
            }
            _ if error.is_connection() => Self::Broke(error),
            _ => Self::Other(error),
        }
    }

    /// What is told of it.
    pub(super) fn error(&self) -> Error {
        match self {
            Self::Unreachable(error)
            | Self::Broke(error)
            | Self::Busy { error, .. }
            | Self::Refused(error)
            | Self::Banned(error)
            | Self::Login(error)
            | Self::BadPiece(error)
            | Self::Local(error)
            | Self::Unlisted(_, error)
            | Self::Other(error) => error.clone(),
            Self::Paused(_) | Self::Interrupted => Error::Paused,
            Self::Kicked { reason, .. } => Error::Kicked(reason.clone()),
            Self::Changed | Self::Foreign => Error::Changed,
            Self::BadValues | Self::BadWhole(_) => Error::Integrity { piece: None },
            Self::NoRanges => Error::Protocol("it gives less than a piece at a time".into()),
            Self::NoMirror => Error::NoMirror,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl Schedule {
    /// Something failed on a connection: on its first work in flight, or while it was made.
    pub(super) fn fault(&mut self, id: SlotId, fault: &Fault, channel: Channel, now: Instant) {
        let slot = &mut self.slots[id.0];
        let (source, answered) = (slot.source, slot.answered);
        let flight = if slot.line == Line::Dialing {
            None
        } else {
            slot.pop(now)
        };
        let pipelined = flight.as_ref().is_some_and(|flight| flight.ahead)
            || slot.flight.iter().any(|flight| flight.sent);
        if channel.open {
            // A refusal is an answer.
            self.answers(source);
        } else {
            slot.line = Line::Closed;
            self.sources.let_go(id);
            self.take_back(id);
        }
        if let (Fault::Broke(error), true) = (fault, pipelined) {
            self.broke_ahead(source, error, answered);
        }
        let hit = flight.as_ref().map_or(Hit::Dial, Hit::of);
        let named = fault.retry_after().is_some();
        if let Some(flight) = flight.as_ref().filter(|flight| named || !flight.ahead) {
            self.refused_for_load(source, flight, fault, now);
        }
        let standing = self.standing(id, fault, flight.as_ref(), pipelined);
        let flight = flight.map(|flight| self.spent_if_landing(flight));
        self.carry_out(id, follows(fault, hit, standing), fault, flight, now);
        self.fail_leftovers();
        self.ring_all();
    }

    /// Work on a file of which all is here is done, whatever became of it.
    fn spent_if_landing(&mut self, flight: Flight) -> Flight {
        let (Work::Run(file, _) | Work::Values(file)) = &flight.work else {
            return flight;
        };
        let transfer = self.transfers.get(file);
        if transfer.is_none_or(|transfer| transfer.phase != Phase::Landing) {
            return flight;
        }
        self.put_back(flight.work);
        Flight {
            work: Work::Spent,
            ..flight
        }
    }
}

#[cfg(test)]
mod tests;
