//! Servers that fail, let this client wait, or send what is wrong.

use std::time::{Duration, Instant};

use super::{
    FileId, Schedule, SlotId, SourceId, order::Fault, source::Reach, sources::BAD_PIECES_MAX,
    turn::Leave,
};
use crate::{client::Error, units};

/// A server that lets this client wait is asked again after so long, where it does not say, and at the latest.
const PAUSED: Duration = Duration::from_secs(2);
const PAUSED_MAX: Duration = Duration::from_secs(30);
/// The same for one that refuses it for a while.
const KICKED: Duration = Duration::from_secs(60);
const KICKED_MAX: Duration = Duration::from_secs(300);
/// Where it is the own network that is down, the pause grows as after so many failures at most, to 5 s: asking costs nobody
/// anything then.
const OWN_FAILURES_MAX: u32 = 4;

impl Schedule {
    /// A server failed: it rests.
    pub(super) fn source_failed(
        &mut self,
        source: SourceId,
        error: &Error,
        now: Instant,
    ) -> Option<Duration> {
        let mut pause = Duration::ZERO;
        let rng = &mut self.rng;
        let most = if error.is_own_network() {
            OWN_FAILURES_MAX
        } else {
            u32::MAX
        };
        let rests = self.sources.failed(source, error, now, |failures| {
            pause = super::retry::backoff(failures.min(most), rng);
            pause
        });
        rests.is_some().then_some(pause)
    }

    /// Says that a server rests.
    pub(super) fn log_rest(&self, source: SourceId, error: &Error, pause: Option<Duration>) {
        if let Some(pause) = pause {
            let tries = self.sources.get(source).failures + 1;
            tracing::warn!(path = %self.name_of(source), "{error}: try {tries} of this server in {}", units::took(pause));
        }
    }

    /// A server cannot be reached: it rests, and all fails where that has lasted with every server that is left.
    pub(super) fn rest(&mut self, source: SourceId, fault: &Fault, now: Instant) {
        if source.is_led() {
            return self.rest_led(source, fault, now);
        }
        let error = fault.error();
        let own = error.is_own_network();
        let worth_waiting = own && self.sources.get_mut(source).own_outage(now);
        let pause = self.source_failed(source, &error, now);
        let worn = self.sources.are_worn() && !worth_waiting;
        if worn && !self.limits.patient {
            return self.give_up(source, &error, now);
        }
        self.log_rest(source, &error, pause);
        if self.limits.patient {
            self.tell_who_looks(source, &error);
        }
    }

    /// Somebody looks at an empty screen: they are told at once, and may name another server.
    pub(super) fn tell_who_looks(&mut self, source: SourceId, error: &Error) {
        let reached = self.sources.each().any(|(_, source)| source.was_up);
        if !reached {
            self.answer_browsers(error);
            if self.is_idle() && !self.sources.has_others(source) {
                self.sources.get_mut(source).reach = Reach::Down(error.clone());
            }
        }
    }

    pub(super) fn hold(&mut self, id: SlotId, fault: &Fault, now: Instant) {
        let source = self.slots[id.0].source;
        let path = self.name_of(source).to_owned();
        match fault {
            Fault::Paused(retry_after) => {
                let pause = retry_after.unwrap_or(PAUSED).min(PAUSED_MAX);
                if self.sources.get_mut(source).paused(now + pause, now) {
                    tracing::warn!(%path, "paused by the server: it goes on when that ends");
                }
            }
            Fault::Kicked { reason, time } => {
                let time = time.unwrap_or(KICKED).min(KICKED_MAX);
                let error = fault.error();
                let times = self.sources.get_mut(source).kicked(reason, now + time, now);
                let Some(times) = times else { return };
                if times > self.limits.retries && !self.limits.patient {
                    if !self.drop_source(source, &error) {
                        self.give_up(source, &error, now);
                    }
                    return;
                }
                tracing::warn!(%path, "{error}: back in {}", units::took(time));
            }
            _ => {}
        }
    }

    /// Somebody is there to answer what `error` asks: nothing fails, and all waits for that.
    pub(super) fn ask_user(&mut self, source: SourceId, error: &Error) {
        self.sources.get_mut(source).reach = Reach::Asks(error.clone());
        self.answer_browsers(error);
    }

    /// Where others are left a server is not asked any more: true.
    pub(super) fn drop_source(&mut self, source: SourceId, error: &Error) -> bool {
        let before = self.sources.get(source).is_kept();
        let dropped = self.sources.drop_source(source, &error.to_string());
        if dropped && before {
            tracing::warn!(path = %self.name_of(source), "mirror dropped: {error}");
        }
        dropped
    }

    /// No server is of any use any more: everything fails. One that a redirect led to rests, and its files fail.
    pub(super) fn give_up(&mut self, source: SourceId, error: &Error, now: Instant) {
        if source.is_led() {
            self.source_failed(source, error, now);
            return self.leave(source, error, Leave::Fail, now);
        }
        self.sources.get_mut(source).down(error, now);
        for other in self.sources.named_mut() {
            if matches!(other.reach, Reach::Out(_) | Reach::Unknown) {
                other.down(error, now);
            }
        }
        self.fail_all(error);
    }

    /// Notes who sent bad pieces of a file. Where its whole will be held against a digest, it is not settled before that
    /// who is wrong, the sender or the one who told the values: they part for this file only.
    pub(super) fn blame_senders(&mut self, file: FileId) {
        let Some(transfer) = self.transfers.get_mut(&file) else {
            return;
        };
        for blame in transfer.verdict.take_blamed() {
            let sender = blame.sender;
            self.pieces.1 += u64::from(blame.news);
            let Some(transfer) = self.transfers.get_mut(&file) else {
                return;
            };
            if transfer.task.checksum.is_none() {
                let source = self.sources.get_mut(sender);
                source.bad_pieces += blame.news;
                if source.bad_pieces >= BAD_PIECES_MAX {
                    self.distrust(sender, "its bytes do not match the digests");
                }
            } else if blame.times >= BAD_PIECES_MAX && !transfer.excluded.contains(sender) {
                transfer.excluded.insert(sender);
                let shown = transfer.task.shown();
                tracing::warn!(path = %shown, "{} has another file: left out for it", self.name_of(sender));
            }
        }
    }

    pub(super) fn distrust(&mut self, source: SourceId, reason: &str) {
        let before = self.sources.get(source).is_kept();
        if self.sources.drop_source(source, reason) && before {
            tracing::warn!(path = %self.name_of(source), "mirror dropped: {reason}");
            self.ring_all();
        }
    }

    /// Whether the connection's server was dropped meanwhile.
    pub fn is_dropped(&self, id: SlotId) -> bool {
        !self.sources.get(self.slots[id.0].source).is_kept()
    }
}

#[cfg(test)]
mod tests;
