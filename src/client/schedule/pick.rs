//! Who does what next.

use std::time::Instant;

use super::{
    Effect, Flight, Order, Request, Schedule, SlotId, Work,
    item::Item,
    order::{Fault, Kind},
    slot::Line,
    transfer::{Asker, Step},
};
use crate::client::{ItemId, disk::names::Local, task::Task};

/// Runs in flight on one connection: the second request is under way while the first one's answer is read.
const RUNS_IN_FLIGHT: usize = 2;
/// Requests for small files that are sent before answers are read: more could fill both directions and block both sides.
const REQUESTS_MAX: usize = 32;
/// Directories are listed ahead while fewer files than this are known and not begun.
const LIST_AHEAD: usize = 2_000;
/// While so many files are searched, of which nothing is free, no other large one is begun.
const SEARCHED_MAX: usize = 4;

impl Schedule {
    /// The next thing for a connection to do.
    pub fn next(&mut self, id: SlotId, now: Instant) -> Order {
        self.slots[id.0].parked = false;
        if self.stopped {
            self.unassign(id);
            return Order::End;
        }
        for item in &mut self.items {
            item.release(Some(now));
        }
        if let Some(order) = self.settle_source(id, now) {
            return order;
        }
        self.recall(id);
        // What was just taken back may have been the last that could tell a file's values.
        self.begin_without_values(now);
        // Before it takes what others could do as well: a mirror that is back has no connection, and would get none.
        if self.slots[id.0].flight.is_empty()
            && let Some(order) = self.go_elsewhere(id, now)
        {
            return order;
        }
        let source = self.sources.get(self.slots[id.0].source);
        // What a server may not be asked for yet is left for others to take.
        if self.untold <= super::UNTOLD_MAX && source.load.wait(now).is_none() {
            self.fill(id, now);
        }
        if self.slots[id.0].flight.is_empty() {
            return self.idle_order(id, now);
        }
        match self.slots[id.0].line {
            Line::Open => self.exchange(id, now),
            Line::Closed | Line::Dialing => self.dial(id, now),
        }
    }

    /// Fills the pipeline.
    fn fill(&mut self, id: SlotId, now: Instant) {
        let added = self.take_work(id, now);
        if added > 0 && !self.led.is_empty() {
            // Of a first URL one connection is enough: others may be of more use where redirects led.
            self.ring_all();
        }
    }

    /// Takes what may be sent to a connection's server now; how much that is.
    fn take_work(&mut self, id: SlotId, now: Instant) -> usize {
        let mut added = 0;
        // Its pipeline runs dry, so that it can go where it is needed more, list what somebody waits for, or begin what
        // nobody is at.
        if !self.slots[id.0].flight.is_empty()
            && (self.needed_elsewhere(id, now).is_some()
                || self.browses_here(id, now)
                || self.keeps_another_waiting(id, now))
        {
            return added;
        }
        loop {
            let behind = self.slots[id.0].behind();
            if !self.has_room(id, behind, added) {
                return added;
            }
            let Some(work) = self.pick(id, behind, now) else {
                return added;
            };
            let source = self.slots[id.0].source;
            let work = match work {
                Work::Open(task) if task.is_foreign_to(source) => {
                    let mut task = Task::from(task);
                    match task.ask_failing_again() {
                        Some(failing) => self.task_failed(task, failing, None, now),
                        None => self.task_ended(task, Fault::NoMirror.error()),
                    }
                    continue;
                }
                Work::List(task) if task.rest.is_some() => {
                    if let Some(rest) = task.rest {
                        self.loads.insert(rest, task);
                        self.outbox.push_back(Effect::LoadRest(rest));
                    }
                    continue;
                }
                work => work,
            };
            added += 1;
            let ask = self.ask(source, &work, id);
            let last = self.is_left_out(&work, source);
            let slot = &mut self.slots[id.0];
            if slot.flight.is_empty() {
                slot.front_since = Some(now);
            }
            slot.flight.push_back(Flight {
                work,
                ask,
                at: now,
                sent: false,
                ahead: behind.is_some(),
                streamed: None,
                progress: false,
                last,
            });
        }
    }

    /// Whether somebody waits for a listing that this connection's server is to be asked for: nothing goes ahead of that.
    fn browses_here(&self, id: SlotId, now: Instant) -> bool {
        let source = self.slots[id.0].source;
        self.browsed(&self.sources.outlook(source, now)) == Some(source)
    }

    /// Whether an item at the front has no connection, and this one's has several: what begins an item is sent behind nothing,
    /// and would never come while there is more to be sent behind what is in flight.
    fn keeps_another_waiting(&self, id: SlotId, now: Instant) -> bool {
        let slot = &self.slots[id.0];
        let of = |file| self.transfers.get(&file).map(|it| it.task.item);
        let Some(own) = slot.item(of).filter(|own| self.connections_of(*own) > 1) else {
            return false;
        };
        // Before all others is what the user wishes it to be.
        if self.item(own).is_some_and(|item| item.first) {
            return false;
        }
        let outlook = self.sources.outlook(slot.source, now);
        let may =
            |item: &&Item| item.is_going() && self.has_work(item) && !self.has_enough(item, None);
        let front = self.items.iter().filter(may).take(self.abreast());
        front.filter(|item| item.id != own).any(|item| {
            self.connections_of(item.id) == 0 && item.needed(&outlook).contains(slot.source)
        })
    }

    /// Items that advance side by side: about two connections for each, so that several do, and none crawls.
    fn abreast(&self) -> usize {
        self.limits.workers.div_ceil(2)
    }

    /// Whether more may be sent behind the last work of a connection, of which `added` requests leave with the next packet.
    fn has_room(&self, id: SlotId, behind: Option<Kind>, added: usize) -> bool {
        let slot = &self.slots[id.0];
        let (source, in_flight) = (self.sources.get(slot.source), slot.flight.len());
        let pipelining = if self.limits.serial || source.load.is_paced() {
            1
        } else {
            source.depth.now()
        };
        match behind {
            None => true,
            Some(Kind::Small) => {
                // A pipeline is refilled in strides, so that requests leave many to a packet.
                let stride = source.depth.is_trial() || in_flight > pipelining / 2;
                in_flight < pipelining && added < REQUESTS_MAX && !(stride && added == 0)
            }
            Some(Kind::Run) => pipelining > 1 && in_flight < RUNS_IN_FLIGHT,
            Some(Kind::Alone) => false,
        }
    }

    /// Sends what is unsent, as far as the server bears it, and reads the first answer.
    fn exchange(&mut self, id: SlotId, now: Instant) -> Order {
        let slot = &self.slots[id.0];
        let source = slot.source;
        let waits = slot.flight.front().is_some_and(|flight| !flight.sent);
        if waits && self.sources.get(source).load.wait(now).is_some() {
            self.unassign(id);
            return self.idle_order(id, now);
        }
        if let Some(Flight {
            work: Work::Open(task),
            sent: false,
            ..
        }) = self.slots[id.0].flight.front()
            && task.local == Local::Unknown
        {
            return Order::Look(Box::new(task.clone()));
        }
        let mut send = Vec::new();
        for at in 0..self.slots[id.0].flight.len() {
            let flight = &mut self.slots[id.0].flight[at];
            if flight.sent {
                continue;
            }
            flight.sent = true;
            flight.at = now;
            let (work, ask) = (flight.work.clone(), flight.ask.clone());
            if let Some(subject) = self.subject(source, &work) {
                send.push(Request { subject, ask });
            }
        }
        if !send.is_empty() {
            self.sources.get_mut(source).load.asked(now);
        }
        let server = self.sources.get(source);
        match self.slots[id.0].flight.front() {
            Some(front) => Order::Exchange {
                send,
                read: Box::new(front.clone()),
                patience: (front.ahead && server.depth.is_trial()).then(|| server.head_patience()),
            },
            None => self.park(id, now),
        }
    }

    /// The next work for a connection; `behind` is what its last work in flight is.
    fn pick(&mut self, id: SlotId, behind: Option<Kind>, now: Instant) -> Option<Work> {
        let slot = &self.slots[id.0];
        let (source, run_max) = (slot.source, self.run_max(id));
        let outlook = self.sources.outlook(source, now);
        let leads = |browse: &super::Browse| outlook.leads_dirs(browse.tried);
        if behind.is_none()
            && self.browses.front().is_some_and(leads)
            && let Some(browse) = self.browses.pop_front()
        {
            return Some(Work::Browse(browse));
        }
        let patience = slot.patience(self.sources.get(source).head_patience());
        let abreast = self.abreast();
        let asker = Asker {
            run_max,
            workers: self.limits.workers,
            now,
            help: None,
            outlook,
        };
        let mut order: Vec<ItemId> = self
            .items
            .iter()
            .filter(|item| {
                item.is_going() && self.has_work(item) && !self.has_enough(item, Some(id))
            })
            .map(|item| item.id)
            .collect();
        let front = abreast.min(order.len());
        // By what comes last: by what is read now, all would leave one item for the other, and back, at once.
        order[..front].sort_by_cached_key(|item| self.others_that_stay(*item, id));
        let is_first = |id: &ItemId| self.item(*id).is_some_and(|item| item.first);
        if let Some(at) = order.iter().position(is_first) {
            order[..=at].rotate_right(1);
        }
        let may_begin = self.searched() < SEARCHED_MAX;
        // Work that nobody does comes before work that somebody is slow at, whichever item it belongs to.
        for &item in &order {
            let open = self.large_open(None);
            let room = may_begin && (open < abreast || self.large_open(Some(item)) == 0);
            if let Some(work) = self.pick_of(item, id, behind, &asker, (room, may_begin)) {
                return Some(work);
            }
        }
        if behind.is_some() {
            return None;
        }
        let help = Some(patience);
        let asker = Asker { help, ..asker };
        order
            .iter()
            .find_map(|item| self.pick_step(*item, &asker, false))
    }

    /// Most pieces of a connection's next run: by its speed, and by what its server gives.
    pub(super) fn run_max(&self, id: SlotId) -> u32 {
        let slot = &self.slots[id.0];
        let gives = self.sources.get(slot.source).gives;
        slot.run_max().min(gives.unwrap_or(u32::MAX))
    }

    /// The next work of one item; `room` says whether another large file may be begun now, and `may_begin` whether one may where
    /// there is nothing else to do.
    fn pick_of(
        &mut self,
        item: ItemId,
        id: SlotId,
        behind: Option<Kind>,
        asker: &Asker,
        (room, may_begin): (bool, bool),
    ) -> Option<Work> {
        match behind {
            Some(Kind::Alone) => return None,
            Some(Kind::Small) => return self.pick_file(item, false, asker, true),
            Some(Kind::Run) => return self.pick_step(item, asker, true),
            None => {}
        }
        let known = self.item(item).map_or(0, Item::known);
        if known < LIST_AHEAD
            && !self.is_listing(item)
            && let Some(work) = self.pick_dir(item, asker)
        {
            return Some(work);
        }
        if room && let Some(work) = self.pick_file(item, true, asker, false) {
            return Some(work);
        }
        // Half of the connections look for small files first, half for pieces.
        let work = if id.0.is_multiple_of(2) {
            self.pick_file(item, false, asker, false)
                .or_else(|| self.pick_step(item, asker, false))
        } else {
            self.pick_step(item, asker, false)
                .or_else(|| self.pick_file(item, false, asker, false))
        };
        work.or_else(|| may_begin.then(|| self.pick_file(item, true, asker, false))?)
            .or_else(|| self.pick_dir(item, asker))
    }

    fn pick_file(
        &mut self,
        item: ItemId,
        large: bool,
        asker: &Asker,
        pipelined: bool,
    ) -> Option<Work> {
        let item = self.item_mut(item)?;
        let task = item.take_file(large, &asker.outlook)?;
        if pipelined && (task.local == Local::Unknown || task.alone) {
            item.take_back(task);
            return None;
        }
        Some(Work::Open(task))
    }

    fn pick_dir(&mut self, item: ItemId, asker: &Asker) -> Option<Work> {
        self.item_mut(item)?
            .take_dir(&asker.outlook)
            .map(Work::List)
    }

    /// A step for the transfer with the fewest connections; `runs_only` leaves out what nothing may be sent behind.
    fn pick_step(&mut self, item: ItemId, asker: &Asker, runs_only: bool) -> Option<Work> {
        let its = self.transfers.values().filter(|it| it.task.item == item);
        let mut order: Vec<(usize, super::FileId)> = its
            .map(|it| {
                (
                    it.plan.held()
                        + usize::from(it.verdict.values == super::verdict::Values::Asked),
                    it.id,
                )
            })
            .collect();
        order.sort_by_key(|(load, _)| *load);
        for (_, file) in order {
            let source = asker.outlook.source;
            let redirects = self.transfers.get(&file).is_some_and(|transfer| {
                let task = &transfer.task;
                task.redirecting.contains(source) && task.led_to(source).is_none()
            });
            if redirects && self.asks_first(file, source) {
                continue;
            }
            let reading = self.reading(file);
            let Some(transfer) = self.transfers.get_mut(&file) else {
                continue;
            };
            if runs_only && (!transfer.facts.ranges || transfer.wants_values(asker)) {
                continue;
            }
            match transfer.next(asker, reading) {
                Some(Step::Run(run)) => return Some(Work::Run(file, run)),
                Some(Step::Values) => return Some(Work::Values(file)),
                None => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
