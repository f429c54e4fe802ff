//! Simulated servers: how each answers at a moment of virtual time.

use std::time::Duration;

use crate::{
    client::{Error, facts::Facts, id::SourceId, schedule::Fault},
    pieces::{self, PIECE, Value},
};

/// A file that the servers hold.
#[derive(Debug, Clone)]
pub struct SimFile {
    pub name: String,
    /// Bytes.
    pub size: u64,
}

impl SimFile {
    /// The value of a piece, or what a damaged one hashes to.
    pub fn value(&self, piece: u32, good: bool) -> Value {
        let mut value = [0; 32];
        value[..4].copy_from_slice(&piece.to_le_bytes());
        value[4] = self.name.len() as u8;
        value[5] = u8::from(!good);
        value
    }

    /// What its values merge to.
    pub fn root(&self) -> [u8; 32] {
        let values: Vec<Value> = (0..pieces::count(self.size))
            .map(|piece| self.value(piece, true))
            .collect();
        *pieces::root(&values).as_bytes()
    }
}

/// What a server does wrong for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It refuses connections; `own` says that this machine's network is down.
    Refuses { own: bool },
    /// It takes connections and says nothing.
    Hangs,
    /// It closes before it answers.
    Closes,
    /// It breaks off after so many pieces, or in a small file.
    Breaks(u32),
    /// It is busy, and says so, with the seconds after which it wants to be asked again.
    Busy(Option<u64>),
    /// It fails inside.
    Fails,
    /// It lets this client wait.
    Pauses,
    /// It refuses this client for some seconds.
    Kicks(u64),
}

/// What may be odd about ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OddRanges {
    /// They are refused.
    Refused,
    /// At most so many pieces are given at once; 0 for less than one.
    Short(u32),
    /// Another content, as far as validators tell, in one answer of so many.
    Flips(u32),
}

/// A server.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub struct SimServer {
    pub rtt: Duration,
    /// Time for one piece on one connection.
    pub piece_time: Duration,
    pub haul: bool,
    pub ranges: bool,
    /// A mirror whose pieces are damaged, one in so many.
    pub damaged: Option<u32>,
    /// What is odd about its ranges.
    pub odd: Option<OddRanges>,
    /// What was sent ahead it never answers.
    pub forgets: bool,
    /// It has other files, or none.
    pub foreign: bool,
    /// It answers one request at a time, and refuses what is sent ahead.
    pub strict: bool,
    /// What goes wrong, and from when to when, in seconds.
    pub troubles: Vec<(u64, u64, Trouble)>,
    /// When it last asked to be left alone, and until when.
    pub quiet: Option<(Duration, Duration)>,
    /// The same where it let this client wait, or refused it; who asks for something anew asks it all the same.
    pub denied: Option<(Duration, Duration)>,
    /// Until when this client is kicked.
    pub kicked: Option<Duration>,
    /// Moments of connects and requests since the last success.
    pub attempts: Vec<Duration>,
}

impl SimServer {
    /// What is wrong with it at a moment.
    pub fn trouble(&self, at: Duration) -> Option<Trouble> {
        let now = at.as_secs();
        let mut troubles = self.troubles.iter();
        troubles
            .find(|(from, to, _)| (*from..*to).contains(&now))
            .map(|(.., trouble)| *trouble)
    }

    /// What it tells of a file.
    pub fn facts(&self, source: SourceId, file: &SimFile) -> Facts {
        Facts {
            source,
            size: file.size,
            etag: Some("\"1\"".into()),
            ranges: self.ranges,
            pieces: self.haul && file.size > PIECE,
            ..Facts::default()
        }
    }

    /// The refusal of an answer, where there is one at that moment.
    pub fn refusal(&mut self, at: Duration, ahead: bool) -> Option<Fault> {
        let status = |status, seconds: Option<u64>| {
            let retry_after = seconds.map(Duration::from_secs);
            let error = Error::Status {
                status,
                retry_after,
                said: None,
            };
            Fault::of(error, retry_after)
        };
        if self.strict && ahead {
            return Some(status(400, None));
        }
        match self.trouble(at)? {
            Trouble::Busy(seconds) => {
                if let Some(seconds) = seconds {
                    self.quiet = Some((at, at + Duration::from_secs(seconds)));
                }
                Some(status(503, seconds))
            }
            Trouble::Fails => Some(status(500, None)),
            Trouble::Pauses => {
                let time = Duration::from_secs(2);
                self.denied = Some((at, at + time));
                Some(Fault::Paused(Some(time)))
            }
            Trouble::Kicks(seconds) => {
                let time = Some(Duration::from_secs(seconds));
                // It is one kick, of which all connections are told.
                if self.kicked.is_none_or(|until| until <= at) {
                    let until = at + Duration::from_secs(seconds);
                    (self.kicked, self.denied) = (Some(until), Some((at, until)));
                }
                let reason = String::new();
                Some(Fault::Kicked { reason, time })
            }
            _ => None,
        }
    }
}
