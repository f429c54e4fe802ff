//! What must hold after every step, and at the end.

use std::{cmp::Reverse, collections::HashSet, time::Duration};

use super::{Doing, Trouble, World, is_finished, orders::brief};
use crate::{
    client::{
        Error, ItemState, UNDER_WAY_MAX,
        id::{SlotId, SourceId},
        schedule::{Order, Transfer},
    },
    exit::Exit,
    http1::path::RemotePath,
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
        self.check_views();
        self.schedule.check_conserved();
        let transfers = self.schedule.transfers.values();
        transfers.for_each(Transfer::check_sought);
        self.check_dropped();
        self.check_let_go();
        let sources = &self.schedule.sources;
        if (0..self.servers.len() - self.elsewhere.hosts)
            .any(|at| sources.is_worn(SourceId::at(at)))
        {
            self.worn = Some(self.now);
        }
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

    /// What a screen shows of each item agrees with itself, and with what the connections are at.
    fn check_views(&self) {
        for view in self.schedule.views(self.instant()) {
            let finished = is_finished(&view.state);
            if let Some(total) = view.total {
                let whole = view.done == total;
                assert!(view.done <= total, "{view:?} has more than there is");
                assert!(
                    whole || !finished,
                    "{view:?} is complete with something missing"
                );
                assert!(
                    !whole || finished || total == 0,
                    "{view:?} is whole before it has landed"
                );
            }
            let at_it = |slot: &&crate::client::schedule::slot::Slot| {
                let front = slot.flight.front();
                front.and_then(|flight| self.schedule.item_of(&flight.work)) == Some(view.id)
            };
            let connections = self.schedule.slots.iter().filter(at_it).count();
            assert_eq!(view.connections, connections, "{view:?}");
            let state = &view.state;
            assert!(
                connections == 0 || !matches!(state, ItemState::Queued | ItemState::Landing),
                "{view:?} waits with connections"
            );
            let Some(files) = &view.files else { continue };
            // What failed may be directories.
            assert!(files.done <= files.found, "{view:?}");
            assert!(
                !finished || files.listed && files.done == files.found,
                "{view:?}"
            );
            assert!(view.under_way.len() <= UNDER_WAY_MAX, "{view:?}");
            let paths: HashSet<_> = view.under_way.iter().map(|file| &file.path).collect();
            assert_eq!(paths.len(), view.under_way.len(), "{view:?}");
            let shown: usize = view.under_way.iter().map(|file| file.connections).sum();
            assert!(shown <= connections, "{view:?}");
            for file in &view.under_way {
                assert!(
                    file.total.is_none_or(|total| file.done <= total),
                    "{view:?}"
                );
            }
        }
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
            let waits = matches!(self.slots[at].doing, Doing::Head(_));
            assert!(
                !waits || !self.schedule.is_unawaited(id),
                "slot {at} waits for what nobody does: {:#?}",
                self.schedule.slots[at]
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

    /// Nothing with tries left is told to be missing that a server has, whatever went wrong with that one meanwhile; unless nothing
    /// more was hoped of it just before. Where redirects lead, what expires again and again may be.
    pub(super) fn check_missing(&self, path: &RemotePath, error: &Error) {
        let was_worn = self.worn.is_some_and(|at| self.now - at < BROWSE_MAX);
        if was_worn || self.elsewhere.hosts > 0 {
            return;
        }
        let servers = self.servers.iter().enumerate();
        let mut left = servers.filter(|(at, _)| !self.schedule.is_given_up(SourceId::at(*at)));
        let is_missing = matches!(error, Error::Status { status: 404, .. });
        assert!(
            !is_missing || left.all(|(_, server)| server.foreign),
            "{path:?} is told to be missing, which a server has"
        );
    }

    /// What a run comes to is the sum of what its items came to.
    fn check_sums(&self) {
        let (tally, (exit, only)) = (self.schedule.tally(), self.schedule.outcome());
        let views = self.schedule.views(self.instant());
        let failed = views
            .iter()
            .any(|view| matches!(view.state, ItemState::Failed(_)));
        assert_eq!(failed, tally.failed > 0, "{tally:?} {views:?}");
        assert!(only.is_none() || tally.failed == 1, "{only:?} of {tally:?}");
        assert!(
            !failed || exit != Exit::Done,
            "{exit:?} with failures: {views:?}"
        );
        let trees = views.iter().filter_map(|view| view.files.as_ref());
        let in_trees: u64 = trees.map(|files| files.done).sum();
        assert!(tally.finished >= in_trees, "{tally:?} {views:?}");
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
        for view in self.schedule.views(self.instant()) {
            assert!(view.state.is_ended() && view.connections == 0, "{view:?}");
            let size = match &view.files {
                Some(files) => {
                    let all = self.files.len() as u64;
                    assert!(!is_finished(&view.state) || files.found == all, "{view:?}");
                    Some(self.files.values().map(|file| file.size).sum())
                }
                None => self.files.get(&view.path).map(|file| file.size),
            };
            if is_finished(&view.state) {
                assert_eq!(Some(view.done), size, "{view:?}");
            }
        }
        self.check_sums();
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
