//! One server: whether it can be reached, and what is known of how it answers.

use std::time::{Duration, Instant};

use super::{depth::Depth, load::Load};
use crate::client::{Error, Link, Question, id::SlotId};

/// The longest time that the first answers of a server are waited for before others help.
const HEAD_PATIENCE_MAX: Duration = Duration::from_secs(30);
/// The shortest.
const HEAD_PATIENCE_MIN: Duration = Duration::from_secs(1);
/// A connection attempt that lasts longer than this keeps nobody waiting who could go elsewhere.
const TRY_PATIENCE: Duration = Duration::from_millis(1500);
/// An outage of this machine's own network is waited out for so long where nobody watches.
const OWN_OUTAGE_MAX: Duration = Duration::from_secs(120);

/// Whether a server can be reached.
#[derive(Debug, Clone)]
pub enum Reach {
    /// No connection was tried yet.
    Unknown,
    /// The last attempt worked.
    Up,
    /// It failed; it is tried again then.
    Out(Instant),
    /// It lets this client wait, or refuses it, until then.
    Held(Instant, Held),
    /// The user has something to answer first.
    Asks(Error),
    /// It refuses this client until that is lifted there, or cannot be reached: all has failed. It is tried again once
    /// something is asked for.
    Down(Error),
    /// It is not asked any more.
    Dropped(String),
}

/// Why a server lets nothing through.
#[derive(Debug, Clone)]
pub enum Held {
    /// It lets this client wait.
    Paused,
    /// It refuses this client for a while, in the words of whoever did that.
    Kicked(String),
}

/// What is known of a server.
#[derive(Debug)]
pub struct Source {
    /// Whether it can be reached.
    pub reach: Reach,
    /// Which connection tries to reach it while that is not known to work, and since when: one at a time does. It tries
    /// until it is connected; where connections were closed unanswered, until an answer begins.
    pub trying: Option<(SlotId, Instant)>,
    /// Whether it ever was.
    pub was_up: bool,
    /// Failures in a row, without any progress between them.
    pub failures: u32,
    /// Connections in a row that it closed before it answered anything.
    pub closed: u32,
    /// Since when it fails for lack of this machine's own network.
    own_outage: Option<Instant>,
    /// What the last failure was, for people: the number of the next try, the pause before it, why.
    trouble: Option<(u32, Duration, Error)>,
    /// Requests in flight on one of its connections, while small files flow.
    pub depth: Depth,
    /// What it bears.
    pub load: Load,
    /// Most pieces that it gives in one answer, where that was less than it was asked for.
    pub gives: Option<u32>,
    /// Whether it says that it is one of our kind.
    pub haul: bool,
    /// Time from a request to the beginning of its answer, smoothed.
    head_time: Option<Duration>,
    /// How often in a row it refused this client for a while.
    kicks: u32,
    /// When it refused it last, or let it wait: what was asked before says nothing about whether that is over.
    denied: Option<Instant>,
    /// Wrong pieces that came from it.
    pub bad_pieces: u32,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            reach: Reach::Unknown,
            trying: None,
            was_up: false,
            failures: 0,
            closed: 0,
            own_outage: None,
            trouble: None,
            depth: Depth::default(),
            load: Load::default(),
            gives: None,
            haul: false,
            head_time: None,
            kicks: 0,
            denied: None,
            bad_pieces: 0,
        }
    }
}

impl Source {
    /// Whether it was not dropped.
    pub fn is_kept(&self) -> bool {
        !matches!(self.reach, Reach::Dropped(_))
    }

    /// Until when it cannot be asked, if that is known; `Ok` where it may be asked now.
    pub fn may_ask(&self, now: Instant) -> Result<(), Option<Instant>> {
        match self.reach {
            Reach::Out(until) | Reach::Held(until, _) if until > now => Err(Some(until)),
            Reach::Asks(_) | Reach::Down(_) | Reach::Dropped(_) => Err(None),
            _ => match self.load.rests_until(now) {
                Some(until) => Err(Some(until)),
                None => Ok(()),
            },
        }
    }

    /// Whether a connection attempt lasts so long that others should be asked meanwhile; until when it does not.
    pub fn tries_until(&self) -> Option<Instant> {
        self.trying.map(|(_, since)| since + TRY_PATIENCE)
    }

    /// A connection is open.
    pub fn connected(&mut self, rtt: Duration, now: Instant) {
        self.was_up = true;
        self.own_outage = None;
        self.head_time.get_or_insert(rtt);
        // One that closes what it opens is known to work by its answers only.
        let closes = self.closed > 0;
        self.trying = self.trying.filter(|_| closes).map(|(by, _)| (by, now));
        // That it can be reached ends no pause, kick or question: its answers do.
        let ends_rest = match self.reach {
            Reach::Unknown => true,
            Reach::Out(until) => !closes || until <= now,
            _ => false,
        };
        if ends_rest {
            self.reach = Reach::Up;
            self.trouble = None;
        }
    }

    /// It answered what was asked at `asked`. True where that ends a pause or a kick.
    pub fn answered(&mut self, asked: Instant) -> bool {
        (self.failures, self.closed, self.own_outage) = (0, 0, None);
        self.load.answered();
        let let_in = self.denied.is_none_or(|denied| asked > denied);
        let resumed = match &self.reach {
            Reach::Held(..) | Reach::Down(Error::Banned(_)) => let_in,
            _ => false,
        };
        if resumed {
            self.reach = Reach::Up;
            self.kicks = 0;
        }
        resumed
    }

    /// An answer began after so long.
    pub fn head_took(&mut self, time: Duration) {
        // Slow ones count more: patience must not be shorter than what the line needs.
        self.head_time = Some(match self.head_time {
            Some(before) if time > before => (before + time) / 2,
            Some(before) => (before * 7 + time) / 8,
            None => time,
        });
    }

    /// How long an answer's beginning is waited for before others help.
    pub fn head_patience(&self) -> Duration {
        let usual = self.head_time.unwrap_or_default();
        (usual * 4).clamp(HEAD_PATIENCE_MIN, HEAD_PATIENCE_MAX)
    }

    /// It failed: it rests for `pause`.
    pub fn rest(&mut self, error: &Error, pause: Duration, now: Instant) {
        if self.is_kept() {
            self.reach = Reach::Out(now + pause);
            self.trouble = Some((self.failures + 1, pause, error.clone()));
        }
    }

    /// Whether it rests after a failure.
    pub fn is_out(&self, now: Instant) -> bool {
        matches!(self.reach, Reach::Out(until) if until > now)
    }

    /// Whether it lets this client wait, or refuses it for a while.
    pub fn is_held(&self, now: Instant) -> bool {
        matches!(self.reach, Reach::Held(until, _) if until > now)
    }

    /// It fails for lack of this machine's own network, now or again: whether that is worth waiting for where nobody
    /// watches.
    pub fn own_outage(&mut self, now: Instant) -> bool {
        let since = *self.own_outage.get_or_insert(now);
        self.was_up && now.saturating_duration_since(since) < OWN_OUTAGE_MAX
    }

    /// It lets this client wait until then.
    pub fn paused(&mut self, until: Instant, now: Instant) -> bool {
        self.denied = Some(now);
        let first = !matches!(self.reach, Reach::Held(_, Held::Paused));
        let until = match self.reach {
            // The longer of the two is what is waited for, and told.
            Reach::Held(before, Held::Kicked(_)) if before >= until => return false,
            Reach::Held(before, _) => before.max(until),
            _ => until,
        };
        self.reach = Reach::Held(until, Held::Paused);
        first
    }

    /// It refuses this client until then, counted from the first of the connections that are told so. How often in a row
    /// it did; `None` where that is known. A pause that is under way says nothing about it.
    pub fn kicked(&mut self, reason: &str, until: Instant, now: Instant) -> Option<u32> {
        let until = match self.reach {
            Reach::Held(before, Held::Kicked(_)) if before > now => return None,
            Reach::Held(before, Held::Paused) => before.max(until),
            _ => until,
        };
        self.denied = Some(now);
        self.reach = Reach::Held(until, Held::Kicked(reason.to_owned()));
        self.kicks += 1;
        Some(self.kicks)
    }

    /// Nothing is to be had from it: all has failed.
    pub fn down(&mut self, error: &Error, now: Instant) {
        if matches!(error, Error::Banned(_)) {
            self.denied = Some(now);
        }
        self.reach = Reach::Down(error.clone());
        self.trouble = None;
        self.failures = 0;
        self.closed = 0;
    }

    /// Why it was given up.
    pub fn down_for(&self) -> Option<Error> {
        match &self.reach {
            Reach::Down(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// The user is impatient, or has answered: it is asked again now.
    pub fn release(&mut self) {
        self.load.hurry();
        if matches!(self.reach, Reach::Out(_) | Reach::Held(..) | Reach::Asks(_)) {
            self.reach = Reach::Unknown;
        }
    }

    /// What it asks of the user.
    pub fn asks(&self) -> Option<&Error> {
        match &self.reach {
            Reach::Asks(error) => Some(error),
            _ => None,
        }
    }

    /// How it stands, for a screen.
    pub fn link(&self) -> Link {
        let retrying = |(attempt, after, error): &(u32, Duration, Error)| Link::Retrying {
            attempt: *attempt,
            after: *after,
            reason: error.to_string(),
        };
        match &self.reach {
            Reach::Unknown | Reach::Out(_) => {
                self.trouble.as_ref().map_or(Link::Connecting, retrying)
            }
            Reach::Up => Link::Up,
            Reach::Held(_, Held::Paused) => Link::Paused,
            Reach::Held(until, Held::Kicked(reason)) => Link::Kicked {
                reason: reason.clone(),
                until: *until,
            },
            Reach::Asks(error) => match Question::of(error) {
                Some(question) => Link::Asks(question),
                None => Link::Down(error.to_string()),
            },
            Reach::Down(error @ Error::Banned(_)) => Link::Banned(error.to_string()),
            Reach::Down(error) => Link::Down(error.to_string()),
            Reach::Dropped(reason) => Link::Down(reason.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
