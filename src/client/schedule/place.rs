//! Where connections belong: which server each of them is for, and when one waits.

use std::time::{Duration, Instant};

use super::{
    Order, Schedule, SlotId, SourceId, SourceSet, item::Item, slot::Line, source::Reach,
    sources::Outlook, transfer::Phase,
};

/// How often a connection without work looks whether another one is slow.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

impl Schedule {
    /// Leaves a server that may not be asked, or that is tried by somebody else.
    pub(super) fn settle_source(&mut self, id: SlotId, now: Instant) -> Option<Order> {
        let slot = &self.slots[id.0];
        let (source, open) = (slot.source, slot.line == Line::Open);
        let may_ask = self.sources.get(source).may_ask(now).is_ok();
        // A connection that works is kept while others cannot be made.
        let works = open && matches!(self.sources.get(source).reach, Reach::Out(_));
        let crowded = self.is_crowded(id);
        if (may_ask || works) && !crowded {
            if open || !self.waits_for_another(id, source, now) {
                return None;
            }
        } else if open {
            self.unassign(id);
            return Some(self.close(id));
        }
        self.unassign(id);
        let chosen = self.choose(id, now);
        match chosen {
            Some(other) if other != source => {
                self.slots[id.0].source = other;
                // Where a connection is of most use depends on where the others are.
                self.ring_all();
                let waits = self.waits_for_another(id, other, now) || self.is_crowded(id);
                waits.then(|| self.park(id, now))
            }
            _ => Some(self.park(id, now)),
        }
    }

    fn choose(&self, id: SlotId, now: Instant) -> Option<SourceId> {
        let mut held = self.held();
        let own = &mut held[self.slots[id.0].source.place()];
        *own = own.saturating_sub(1);
        self.sources.choose(&held, now)
    }

    /// Whether another connection is trying to reach the server now; for an answer it is waited a while only.
    fn waits_for_another(&self, id: SlotId, source: SourceId, now: Instant) -> bool {
        let source = self.sources.get(source);
        let dials = |by: SlotId| self.slots[by.0].line != Line::Open;
        let fresh = source.tries_until().is_some_and(|until| until > now);
        source
            .trying
            .is_some_and(|(by, _)| by != id && (fresh || dials(by)))
    }

    /// Whether the server bears fewer connections than this one makes.
    fn is_crowded(&self, id: SlotId) -> bool {
        let source = self.slots[id.0].source;
        let window = self.sources.get(source).load.window();
        let before = self.slots[..id.0].iter();
        before.filter(|slot| slot.source == source).count() >= window
    }

    /// Nothing to do here: another server may need a connection, or it waits.
    pub(super) fn idle_order(&mut self, id: SlotId, now: Instant) -> Order {
        match self.go_elsewhere(id, now) {
            Some(order) => order,
            None => self.park(id, now),
        }
    }

    /// Another server needs the connection, which has nothing in flight, more than its own does.
    pub(super) fn go_elsewhere(&mut self, id: SlotId, now: Instant) -> Option<Order> {
        let needed = self.needed_elsewhere(id, now)?;
        let slot = &mut self.slots[id.0];
        slot.source = needed;
        let was_open = slot.line == Line::Open;
        self.ring_all();
        Some(if was_open {
            self.close(id)
        } else {
            self.next(id, now)
        })
    }

    fn close(&mut self, id: SlotId) -> Order {
        self.slots[id.0].line = Line::Closed;
        self.stop_trying(id);
        Order::Close
    }

    /// The connection tries no more whether its server works: others may.
    pub(super) fn stop_trying(&mut self, id: SlotId) {
        if self.sources.let_go(id) {
            self.ring_all();
        }
    }

    /// A server answers, whoever tries whether it does: others may be made at once.
    pub(super) fn answers(&mut self, source: SourceId) {
        if self.sources.get_mut(source).trying.take().is_some() {
            self.ring_all();
        }
    }

    pub(super) fn park(&mut self, id: SlotId, now: Instant) -> Order {
        self.stop_trying(id);
        self.slots[id.0].parked = true;
        let helps = self
            .transfers
            .values()
            .any(|transfer| transfer.phase == Phase::Flowing && transfer.plan.held() > 0);
        let help = helps.then(|| now + LOOK_AGAIN);
        let waits = [self.wake_at(now), help];
        Order::Wait(waits.into_iter().flatten().filter(|at| *at > now).min())
    }

    /// A server that something waits for, where this connection is of more use than where it is: one that has no
    /// connection, or two fewer.
    pub(super) fn needed_elsewhere(&self, id: SlotId, now: Instant) -> Option<SourceId> {
        let own = self.slots[id.0].source;
        let outlook = self.sources.outlook(own, now);
        let held = self.held();
        if let Some(lead) = self.browsed(&outlook)
            && lead != own
            && held[lead.place()] == 0
            && !self.waits_for_another(id, lead, now)
        {
            // Somebody waits for a listing, and nobody else would come to ask for it.
            return Some(lead);
        }
        let needed = self.needed(&outlook, now);
        let crowd = held[own.place()];
        let idle = !needed.contains(own);
        let of_use = |other: &SourceId| {
            let there = held[other.place()];
            *other != own
                && there < self.sources.get(*other).load.window()
                && !self.waits_for_another(id, *other, now)
                && (there == 0 || there + 2 <= crowd || other.is_led() && idle)
                && (crowd > 1 || (there == 0 || other.is_led()) && idle)
        };
        needed.iter().find(of_use)
    }

    /// The source that is to be asked for a listing that somebody waits for.
    pub(super) fn browsed(&self, outlook: &Outlook) -> Option<SourceId> {
        let browse = self.browses.front()?;
        outlook.lead(browse.tried.union(SourceSet::LED))
    }

    /// Sources that something which waits may be asked of.
    fn needed(&self, outlook: &Outlook, now: Instant) -> SourceSet {
        let mut needed: SourceSet = self.browsed(outlook).into_iter().collect();
        let more = |item: &&Item| item.is_going() && !self.has_enough(item, None);
        for item in self.items.iter().filter(more) {
            needed = needed.union(item.needed(outlook));
        }
        for transfer in self.transfers.values() {
            if self
                .item(transfer.task.item)
                .is_none_or(|item| !more(&item))
            {
                continue;
            }
            let task = &transfer.task;
            let asked = task.redirecting.iter().filter(|source| {
                task.led_to(*source).is_none() && self.asks_first(transfer.id, *source)
            });
            let its = transfer.needed(outlook, self.limits.workers, now);
            needed = needed.union(its.without(asked.collect()));
        }
        needed
    }

    /// Connects; one at a time tries to reach a server that may not be reachable.
    pub(super) fn dial(&mut self, id: SlotId, now: Instant) -> Order {
        let slot = &mut self.slots[id.0];
        let source = slot.source;
        slot.line = Line::Dialing;
        slot.answered = 0;
        let state = self.sources.get_mut(source);
        if !matches!(state.reach, Reach::Up) {
            state.trying = Some((id, now));
            // Should it take long, others are asked for what waits for it.
            self.ring_all();
        }
        Order::Connect(source)
    }
}

#[cfg(test)]
mod tests;
