//! What holds at every moment of a simulation.

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

    /// Every file that was found is in exactly one place. Only where no listing waits on disk.
    #[cfg(test)]
    pub(super) fn check_conserved(&self) {
        for item in self.items.iter().filter(|item| !item.forgetful) {
            let id = item.id;
            let later = item.later.values().filter_map(|(task, _)| match task {
                super::super::task::Task::File(task) => Some(&task.path),
                super::super::task::Task::Dir(_) => None,
            });
            let waiting = item
                .small
                .iter()
                .chain(&item.large)
                .chain(&item.failed_files);
            let flights = self.slots.iter().flat_map(|slot| &slot.flight);
            let flights = flights.filter_map(|flight| match &flight.work {
                Work::Open(task) if task.item == id => Some(&task.path),
                _ => None,
            });
            let transfers = self.transfers.values().filter(|it| it.task.item == id);
            let landings = self.landings.values().filter(|task| task.item == id);
            let mut seen = HashSet::new();
            let all = later
                .chain(waiting.map(|task| &task.path))
                .chain(flights)
                .chain(transfers.map(|it| &it.task.path))
                .chain(landings.map(|task| &task.path));
            for path in all {
                assert!(seen.insert(path), "{path:?} of {id:?} is in two places");
            }
            let known = seen.len() as u64 + item.finished;
            assert_eq!(
                known, item.found,
                "{id:?} found {}, and has {known}",
                item.found
            );
        }
    }

    /// Transfers of which pieces wait for a connection.
    #[cfg(test)]
    pub(super) fn has_free(&self) -> Vec<crate::client::id::FileId> {
        let free = self.transfers.values().filter(|it| it.has_free());
        free.map(|transfer| transfer.id).collect()
    }

    /// Whether a server is asked nothing more.
    #[cfg(test)]
    pub(super) fn is_given_up(&self, id: crate::client::id::SourceId) -> bool {
        !self.sources.get(id).is_kept()
    }

    /// Whether a connection waits for its bell.
    #[cfg(test)]
    pub(super) fn is_parked(&self, id: crate::client::id::SlotId) -> bool {
        self.slots[id.0].parked
    }
}
