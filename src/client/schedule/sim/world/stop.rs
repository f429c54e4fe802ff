//! The user ends the run: nobody is given work any more, everybody ends at once, and what is landing lands.

use super::{Doing, Fault, PANIC_PAUSE, Phase, Report, World};
use crate::client::schedule::Channel;

impl World {
    /// The run is to end. Whoever sends, reads or dials lets go, as the engine tells all of them.
    pub(super) fn stop(&mut self) {
        self.say(|| "the run ends".into());
        self.stopped = Some(self.now);
        self.schedule.stop();
        self.browses.clear();
        for at in 0..self.workers {
            if !matches!(self.slots[at].doing, Doing::Nothing) {
                self.report(at, Report::Fault(Fault::Interrupted, Channel::CLOSED));
            }
        }
    }

    /// Whether a run that was stopped has come to its end.
    pub(super) fn has_stopped(&self) -> bool {
        let Some(at) = self.stopped else {
            return false;
        };
        let all_ended = self.slots.iter().all(|slot| slot.ended);
        assert!(
            all_ended || self.now <= at + PANIC_PAUSE,
            "a connection does not end: {:#?}",
            self.schedule.slots
        );
        let mut transfers = self.schedule.transfers.values();
        all_ended && !transfers.any(|transfer| transfer.phase == Phase::Landing)
    }
}
