//! What holds at every moment, in debug builds and simulations.

use std::collections::HashSet;

use super::{Schedule, Work, slot::Line, transfer::Phase};

impl Schedule {
    /// Panics where the schedule contradicts itself.
    pub(super) fn check(&self) {
        let mut runs = HashSet::new();
        for (at, slot) in self.slots.iter().enumerate() {
            assert!(
                slot.flight.is_empty() || !slot.parked,
                "connection {at} waits with work in hand"
            );
            for flight in &slot.flight {
                assert!(
                    slot.line == Line::Open || !flight.sent,
                    "connection {at} is closed with requests in flight"
                );
                if let Work::Run(file, run) = &flight.work {
                    assert!(runs.insert((*file, run.id)), "a run is in two places");
                }
            }
        }
        for transfer in self.transfers.values() {
            let id = transfer.id;
            let flights = runs.iter().filter(|(file, _)| *file == id).count();
            assert_eq!(
                flights,
                transfer.plan.held(),
                "runs of {id:?} that no connection has"
            );
            assert!(
                transfer.counted() <= transfer.facts.size,
                "{id:?} has more bytes than it is long"
            );
            assert!(
                transfer.phase != Phase::Landing || transfer.plan.is_complete(),
                "{id:?} lands with pieces missing"
            );
            let item = self.item(transfer.task.item);
            assert!(
                item.is_some_and(|item| !item.has_ended()),
                "{id:?} outlives its item"
            );
        }
        for item in self.items.iter().filter(|item| item.has_ended()) {
            assert!(
                item.waits_for_nothing(),
                "{:?} ended with work waiting",
                item.id
            );
        }
    }
}
