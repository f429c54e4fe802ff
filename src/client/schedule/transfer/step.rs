//! What is to be done next for a transfer, and of whom it may be asked.

use std::time::Instant;

use super::{Phase, Transfer};
use crate::client::{
    id::SourceSet,
    schedule::{Run, plan::Patience, sources::Outlook, verdict::Values},
};

/// Something to do for a transfer.
#[derive(Debug)]
pub enum Step {
    /// Fetch these pieces.
    Run(Run),
    /// Fetch the pieces' values.
    Values,
}

/// Who asks for a step.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// Most pieces in a run, by the connection's speed.
    pub run_max: u32,
    /// Connections in all.
    pub workers: usize,
    /// Now.
    pub now: Instant,
    /// Whether to take work over from connections that show no sign of life.
    pub help: Option<Patience>,
    /// The connection's source, and the others.
    pub outlook: Outlook,
}

impl Transfer {
    /// Whether its values come next: nothing is pipelined with them.
    pub fn wants_values(&self, asker: &Asker) -> bool {
        let mute = self.off_for(&asker.outlook).union(self.task.mute());
        self.may_ask_values(asker.workers, asker.now) && asker.outlook.leads(mute)
    }

    /// Whether its values are to be asked for now, of whomever. One connection alone fetches them last: its first byte must
    /// not wait for the server's hashing.
    fn may_ask_values(&self, workers: usize, now: Instant) -> bool {
        let next = workers > 1 || self.left > 0 || self.plan.is_complete();
        let rests = self.values_not_before.is_some_and(|at| at > now);
        self.verdict.values == Values::Unasked && next && !rests
    }

    /// Whether something of it is to be fetched now. Without ranges all comes in one answer: that is asked for once what lies here is
    /// known for right or wrong, and not for each piece anew.
    pub fn has_free(&self) -> bool {
        self.plan.has_free() && (self.facts.ranges || self.plan.is_known())
    }

    /// Sources that may give something of it that is free now, or tell its values, to one of so many `workers`.
    pub fn needed(&self, outlook: &Outlook, workers: usize, now: Instant) -> SourceSet {
        if self.phase != Phase::Flowing || self.not_before.is_some_and(|at| at > now) {
            return SourceSet::default();
        }
        let off = self.off_for(outlook);
        let mut needed = SourceSet::default();
        if self.may_ask_values(workers, now)
            && let Some(lead) = outlook.lead(off.union(self.task.mute()))
        {
            needed.insert(lead);
        }
        if self.has_free() {
            if self.facts.ranges {
                needed = needed.union(outlook.usable.without(off));
            }
            outlook
                .lead(off)
                .into_iter()
                .for_each(|lead| needed.insert(lead));
        }
        needed
    }

    /// When it may be looked at again, if it waits for that.
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        let values = self
            .values_not_before
            .filter(|_| self.verdict.values == Values::Unasked);
        let later = |at: &Instant| *at > now;
        [self.not_before, values]
            .into_iter()
            .flatten()
            .filter(later)
            .min()
    }

    /// The next thing to do for it, if there is any; `reading` connections are at it.
    pub fn next(&mut self, asker: &Asker, reading: usize) -> Option<Step> {
        if self.phase != Phase::Flowing || self.not_before.is_some_and(|at| at > asker.now) {
            return None;
        }
        let off = self.off_for(&asker.outlook);
        let leads = asker.outlook.leads(off);
        if !leads && off.contains(asker.outlook.source) {
            return None;
        }
        if self.wants_values(asker) {
            self.verdict.values = Values::Asked;
            self.verdict.teller = asker.outlook.source;
            self.done_before_values = self.plan.done_count();
            self.values_not_before = None;
            return Some(Step::Values);
        }
        if !self.facts.ranges && (reading > 0 || !leads || !self.has_free()) {
            return None;
        }
        let run = match asker.help {
            Some(patience) if !self.plan.has_free() && self.facts.ranges => {
                self.plan.steal(asker.now, patience)
            }
            _ if self.facts.ranges => self.plan.take(asker.run_max, asker.workers, asker.now),
            _ => self.plan.take_all(asker.now),
        };
        let mut run = run?;
        if self.facts.ranges {
            self.plan.fetch_from(&mut run, asker.outlook.source);
        }
        Some(Step::Run(run))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::tests::{open, task, tell, transfer, values, with_etag, with_values},
        *,
    };
    use crate::client::schedule::{
        plan::Plan,
        testing::{SECOND, set},
    };
    use crate::{
        client::{id::SourceId, schedule::Opened},
        pieces::PIECE,
    };

    const SIZE: u64 = 20 * PIECE;

    /// What a connection of the source at `place` sees, where the first two may be asked.
    fn outlook(place: usize) -> Outlook {
        Outlook {
            source: SourceId::at(place),
            usable: set(&[0, 1]),
            kept: set(&[0, 1]),
        }
    }

    /// One of four connections, which belongs to the source at `place`.
    fn asker(place: usize, now: Instant) -> Asker {
        Asker {
            run_max: 2,
            workers: 4,
            now,
            help: None,
            outlook: outlook(place),
        }
    }

    fn started(mut transfer: Transfer) -> Transfer {
        transfer.start(0, Instant::now());
        transfer
    }

    /// The pieces of a run; `None` for values or nothing.
    fn pieces(step: Option<Step>) -> Option<std::ops::Range<u32>> {
        match step? {
            Step::Run(run) => Some(run.pieces),
            Step::Values => None,
        }
    }

    #[test]
    fn values_are_asked_once_of_the_source_that_leads() {
        let now = Instant::now();
        let mut transfer = started(transfer(with_values(SIZE)));
        assert!(!transfer.wants_values(&asker(1, now)));
        assert_eq!(pieces(transfer.next(&asker(1, now), 0)), Some(0..2));
        assert!(transfer.wants_values(&asker(0, now)));
        assert!(matches!(
            transfer.next(&asker(0, now), 0),
            Some(Step::Values)
        ));
        assert_eq!(transfer.verdict.values, Values::Asked);
        assert_eq!(transfer.verdict.teller, SourceId::at(0));
        assert!(!transfer.wants_values(&asker(0, now)));
        assert_eq!(pieces(transfer.next(&asker(0, now), 0)), Some(2..4));
    }

    #[test]
    fn one_connection_of_the_source_that_leads_reads_all_of_a_file_without_ranges() {
        let now = Instant::now();
        let mut transfer = started(transfer(with_etag(SIZE)));
        transfer.facts.ranges = false;
        assert_eq!(pieces(transfer.next(&asker(1, now), 0)), None);
        assert_eq!(pieces(transfer.next(&asker(0, now), 1)), None);
        assert_eq!(pieces(transfer.next(&asker(0, now), 0)), Some(0..20));
    }

    #[test]
    fn values_are_asked_of_no_source_that_cannot_tell_them() {
        let now = Instant::now();
        let mut refused = started(transfer(with_values(SIZE)));
        refused.excluded = set(&[0]);
        let mut mute = started(transfer(with_values(SIZE)));
        mute.task.targets = vec![(SourceId::at(0), "/a?b".into())];
        for mut transfer in [refused, mute] {
            assert!(!transfer.wants_values(&asker(0, now)));
            assert!(transfer.wants_values(&asker(1, now)));
            assert!(matches!(
                transfer.next(&asker(1, now), 0),
                Some(Step::Values)
            ));
            assert_eq!(transfer.verdict.teller, SourceId::at(1));
        }
    }

    #[test]
    fn one_connection_alone_asks_for_values_last_unless_something_is_left_to_judge() {
        let now = Instant::now();
        let alone = Asker {
            workers: 1,
            ..asker(0, now)
        };
        let mut plain = started(transfer(with_values(2 * PIECE)));
        assert!(!plain.wants_values(&alone));
        (0..2).for_each(|piece| plain.plan.add_done(piece));
        assert!(plain.wants_values(&alone));
        let opened = Opened {
            facts: with_values(SIZE),
            left: PIECE,
            ..Opened::default()
        };
        assert!(open(task(), opened).wants_values(&alone));
    }

    #[test]
    fn values_that_broke_off_wait_only_while_pieces_flow() {
        let now = Instant::now();
        let mut transfer = started(transfer(with_values(SIZE)));
        assert!(matches!(
            transfer.next(&asker(0, now), 0),
            Some(Step::Values)
        ));
        assert!(!transfer.values_failed(now, SECOND));
        assert_eq!(transfer.verdict.values, Values::Unasked);
        assert!(transfer.wants_values(&asker(0, now)) && transfer.wake_at(now).is_none());
        assert!(matches!(
            transfer.next(&asker(0, now), 0),
            Some(Step::Values)
        ));
        transfer.plan.add_done(19);
        assert!(transfer.values_failed(now, SECOND));
        let later = now + SECOND;
        assert_eq!(transfer.wake_at(now), Some(later));
        assert_eq!(transfer.wake_at(later), None);
        assert!(!transfer.wants_values(&asker(
            0,
            later.checked_sub(Duration::from_nanos(1)).unwrap()
        )));
        assert!(transfer.wants_values(&asker(0, later)));
        // The pieces that were done when they were asked for last are no progress.
        assert!(matches!(
            transfer.next(&asker(0, later), 0),
            Some(Step::Values)
        ));
        assert_eq!(transfer.wake_at(now), None);
        assert!(!transfer.values_failed(later, SECOND));
    }

    #[test]
    fn the_user_can_end_the_wait_for_values() {
        let now = Instant::now();
        let mut transfer = started(transfer(with_values(SIZE)));
        transfer.plan.add_done(0);
        assert!(transfer.values_failed(now, SECOND));
        assert!(!transfer.wants_values(&asker(0, now)));
        transfer.hurry();
        assert!(transfer.wants_values(&asker(0, now)));
    }

    #[test]
    fn it_is_looked_at_again_at_the_first_of_its_times() {
        let now = Instant::now();
        let mut transfer = started(transfer(with_values(4 * PIECE)));
        transfer.plan.add_done(0);
        assert!(transfer.values_failed(now, 2 * SECOND));
        transfer.wait(now, now + SECOND);
        assert_eq!(transfer.wake_at(now), Some(now + SECOND));
        assert_eq!(transfer.wake_at(now + SECOND), Some(now + 2 * SECOND));
        assert_eq!(transfer.wake_at(now + 2 * SECOND), None);
        // Nobody waits for values that are here.
        tell(&mut transfer, &values(4));
        assert_eq!(transfer.wake_at(now + SECOND), None);
    }

    #[test]
    fn nothing_is_asked_for_while_it_rests_or_does_not_flow() {
        let now = Instant::now();
        let mut transfer = started(transfer(with_etag(SIZE)));
        for phase in [Phase::Halted, Phase::Landing] {
            transfer.phase = phase;
            assert!(transfer.next(&asker(0, now), 0).is_none());
            assert_eq!(transfer.needed(&outlook(0), 4, now), set(&[]));
        }
        transfer.phase = Phase::Flowing;
        transfer.wait(now, now + SECOND);
        assert!(transfer.next(&asker(0, now), 0).is_none());
        assert_eq!(transfer.needed(&outlook(0), 4, now), set(&[]));
        assert_eq!(transfer.needed(&outlook(0), 4, now + SECOND), set(&[0, 1]));
        assert_eq!(
            pieces(transfer.next(&asker(0, now + SECOND), 0)),
            Some(0..2)
        );
    }

    #[test]
    fn a_source_that_refused_it_is_asked_only_where_all_did() {
        let now = Instant::now();
        let mut transfer = started(transfer(with_etag(SIZE)));
        transfer.excluded = set(&[0]);
        assert!(transfer.next(&asker(0, now), 0).is_none());
        assert_eq!(pieces(transfer.next(&asker(1, now), 0)), Some(0..2));
        transfer.excluded = set(&[0, 1]);
        assert_eq!(pieces(transfer.next(&asker(0, now), 0)), Some(2..4));
        assert!(transfer.next(&asker(1, now), 0).is_none());
    }

    #[test]
    fn without_ranges_one_connection_of_the_source_that_leads_fetches_all() {
        let now = Instant::now();
        let facts = crate::client::facts::Facts {
            ranges: false,
            ..with_etag(SIZE)
        };
        let mut transfer = started(transfer(facts));
        assert_eq!(transfer.needed(&outlook(0), 4, now), set(&[0]));
        assert!(transfer.next(&asker(1, now), 0).is_none());
        assert!(transfer.next(&asker(0, now), 1).is_none());
        assert_eq!(pieces(transfer.next(&asker(0, now), 0)).unwrap().start, 0);
        while transfer.next(&asker(0, now), 0).is_some() {}
        let helper = Asker {
            help: Some(NO_PATIENCE),
            ..asker(0, now)
        };
        assert!(transfer.next(&helper, 0).is_none());
    }

    #[test]
    fn without_ranges_all_of_it_is_asked_for_once_it_is_known_what_is_wanted() {
        let now = Instant::now();
        let mut transfer = started(transfer(crate::client::facts::Facts {
            ranges: false,
            ..with_etag(3 * PIECE)
        }));
        transfer.plan = Plan::new(3);
        transfer.plan.add_free(1..2);
        assert!(transfer.next(&asker(0, now), 0).is_none());
        assert_eq!(transfer.needed(&outlook(0), 4, now), set(&[]));
        transfer.plan.add_done(0);
        assert!(!transfer.has_free());
        transfer.plan.add_free(2..3);
        assert_eq!(transfer.needed(&outlook(0), 4, now), set(&[0]));
        assert_eq!(pieces(transfer.next(&asker(0, now), 0)), Some(1..3));
    }

    const NO_PATIENCE: Patience = Patience {
        piece: Duration::ZERO,
        head: Duration::ZERO,
    };

    #[test]
    fn work_is_taken_over_only_where_nothing_is_free() {
        let now = Instant::now();
        let mut transfer = started(transfer(with_etag(4 * PIECE)));
        let helper = Asker {
            help: Some(NO_PATIENCE),
            run_max: 16,
            workers: 1,
            ..asker(0, now)
        };
        let idle = Asker {
            help: None,
            ..helper
        };
        assert_eq!(pieces(transfer.next(&helper, 0)), Some(0..2));
        assert_eq!(pieces(transfer.next(&helper, 1)), Some(2..3));
        assert_eq!(pieces(transfer.next(&helper, 2)), Some(3..4));
        assert!(transfer.next(&idle, 3).is_none());
        let step = transfer.next(&helper, 3);
        assert!(matches!(step, Some(Step::Run(run)) if run.racing && run.pieces == (0..2)));
    }

    #[test]
    fn what_came_of_a_piece_is_gone_on_with_where_ranges_are_given() {
        let now = Instant::now();
        let mut transfer = started(transfer(with_etag(SIZE)));
        let Some(Step::Run(run)) = transfer.next(&asker(1, now), 0) else {
            panic!("nothing is asked for");
        };
        transfer.plan.note_partial(run.id, 700);
        transfer.plan.release(run.id);
        let step = transfer.next(&asker(1, now), 0);
        assert!(matches!(step, Some(Step::Run(run)) if run.skip == 700));
    }

    #[test]
    fn a_source_is_needed_for_values_or_for_what_is_free() {
        let now = Instant::now();
        let mut transfer = transfer(with_values(SIZE));
        assert_eq!(transfer.needed(&outlook(0), 4, now), set(&[0]));
        assert_eq!(transfer.needed(&outlook(0), 1, now), set(&[]));
        transfer.task.targets = vec![(SourceId::at(0), "/a?b".into())];
        assert_eq!(transfer.needed(&outlook(0), 4, now), set(&[1]));
        transfer.start(0, now);
        assert_eq!(transfer.needed(&outlook(0), 4, now), set(&[0, 1]));
        transfer.excluded = set(&[0]);
        assert_eq!(transfer.needed(&outlook(0), 4, now), set(&[1]));
        transfer.excluded = set(&[1]);
        assert_eq!(transfer.needed(&outlook(0), 1, now), set(&[0]));
    }
}
