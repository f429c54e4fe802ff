//! What must hold after every step, and at the end.

use std::{cmp::Reverse, time::Duration};

use super::{Doing, Trouble, World, is_finished, orders::brief};
use crate::client::{
    id::{SlotId, SourceId},
    schedule::{Order, Transfer},
};

/// A listing is waited for no longer than this from a server that works: the longest pause before a try, and a run of pieces
/// on the only connection.
const BROWSE_MAX: Duration = Duration::from_secs(60);

impl World {
    /// What holds after every step.
    pub(super) fn check(&mut self) {
        let open = self.slots.iter().filter(|slot| slot.open).count();
        assert!(open <= self.workers, "{open} connections");
        let now = self.instant();
        for view in self.schedule.views(now) {
            if let Some(total) = view.total {
                assert!(view.done <= total, "{view:?} has more than there is");
            }
        }
        self.schedule.check_conserved();
        let transfers = self.schedule.transfers.values();
        transfers.for_each(Transfer::check_sought);
        self.check_dropped();
        self.check_let_go();
        // Who waits with nothing to wake it at this moment finds nothing when it asks again.
        let rings = self
            .agenda
            .iter()
            .filter(|Reverse((when, ..))| *when <= self.now)
            .count();
        if rings == 0 {
            for at in 0..self.workers {
                if self.schedule.is_parked(SlotId(at)) {
                    // Whether others are slow it looks every now and then; that alone is no reason to ring.
                    let free = self.schedule.has_free();
                    let order = self.schedule.next(SlotId(at), now);
                    let file = self.schedule.file_of(SlotId(at));
                    let helps = !matches!(order, Order::Wait(_))
                        && file.is_some_and(|file| !free.contains(&file));
                    assert!(
                        matches!(order, Order::Wait(_)) || helps,
                        "slot {at} waits, and could {} for {:?}",
                        brief(&order),
                        self.schedule.slots[at].flight
                    );
                    if helps {
                        self.obey(at, order);
                    }
                }
            }
        }
        self.check_browses();
    }

    /// Whoever reads what the user stopped, or what is here already, was told so at once. Only what is one connection too many for a
    /// limited item, because it was sent ahead, is read to the end of its run.
    fn check_let_go(&self) {
        for at in 0..self.workers {
            let reads = matches!(self.slots[at].doing, Doing::Reading(..) | Doing::Values(..));
            let id = SlotId(at);
            let wanted = !self.schedule.is_unwanted(id)
                && (!self.schedule.is_interrupted(id) || self.schedule.is_surplus(id));
            assert!(
                wanted || !reads,
                "slot {at} reads what nobody wants: {:#?} {:#?}",
                self.schedule.slots[at],
                self.schedule.transfers
            );
        }
    }

    /// Who waits for a listing has it soon after the server that leads works again, whatever else flows.
    fn check_browses(&self) {
        let lead = &self.servers[0];
        let began = |(from, to, _): &&(u64, u64, Trouble)| *from <= self.now.as_secs() && from < to;
        let last = lead.troubles.iter().filter(began).map(|(_, to, _)| *to);
        let works_since = Duration::from_secs(last.max().unwrap_or(0));
        if self.schedule.is_given_up(SourceId::default()) || works_since > self.now {
            return;
        }
        for (id, since) in &self.browses {
            let waits = self.now - works_since.max(*since);
            assert!(waits < BROWSE_MAX, "{id:?} waits for {waits:?}");
        }
    }

    /// A server is given up for what it sent or said of this client, never because it was out of reach.
    pub(super) fn check_dropped(&self) {
        let named = self.servers.len() - self.elsewhere.hosts;
        for (place, server) in self.servers.iter().take(named).enumerate() {
            let kicks = |trouble: &(u64, u64, Trouble)| matches!(trouble.2, Trouble::Kicks(_));
            let has_reason = server.damaged.is_some() || server.troubles.iter().any(kicks);
            let id = SourceId::at(place);
            assert!(
                has_reason || !self.schedule.is_given_up(id),
                "server {place} is dropped for nothing"
            );
        }
    }

    pub(super) fn check_end(&self) {
        assert!(
            self.schedule.is_idle(),
            "seed {}: it came to a halt: {:#?} {:#?}",
            self.seed,
            self.schedule.transfers,
            self.schedule.views(self.instant())
        );
        assert!(
            self.browses.is_empty(),
            "seed {}: a listing is waited for",
            self.seed
        );
        for path in self.files.keys() {
            let tree = self.schedule.views(self.instant()).into_iter();
            let finished = tree
                .filter(|view| view.files.is_some())
                .all(|view| is_finished(&view.state));
            assert!(
                !finished || self.landed.contains(path),
                "{path:?} is told to be complete and is not here"
            );
        }
    }
}
