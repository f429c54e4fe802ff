//! The schedule of a client: what is to be done, who does what next, and what follows from a failure.
//!
//! It decides and does nothing: no socket, no file, no clock, no lock and no randomness of its own; time and a seed are
//! arguments. Connections ask [`Schedule::next`] for an [`Order`], carry it out, and [`Schedule::report`] what became of
//! it. What else is to be done comes out as [`Effect`]s, in the order in which things happened.
//!
//! ```text
//!  items ── backlog (files, directories) ──▶ slots ──▶ transfers ──▶ landing ──▶ finished
//!    ▲                                         │  ▲                     │
//!    └──────────── fault.rs: what follows ◀────┘  └── sources (servers) │
//!                                                            failed, kept for a retry
//! ```
//!
//! Work is in one place at a time: in its item while it waits, in its connection's slot while it is in flight, in a
//! transfer or a landing while it is written. A connection that breaks, is cancelled or panics so loses nothing.
#![cfg_attr(
    test,
    allow(
        clippy::single_range_in_vec_init,
        clippy::unchecked_time_subtraction,
        reason = "a list of pieces may be of one run, and virtual time is far from its beginning"
    )
)]

mod ask;
mod backlog;
#[cfg(test)]
mod check;
mod counts;
mod depth;
mod failed;
mod fault;
mod follow;
mod item;
mod landing;
mod led;
mod listed;
mod load;
mod order;
mod outage;
mod pick;
mod place;
mod plan;
mod received;
mod report;
mod retry;
#[cfg(test)]
mod sim;
mod slot;
mod source;
mod sources;
#[cfg(test)]
mod testing;
mod transfer;
mod turn;
mod user;
mod verdict;
mod view;

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

pub use depth::DEPTH_MAX;
pub use fault::ASKED_MAX;
pub use item::NewItem;
pub use landing::{Complete, Unlanded};
pub use order::{
    Answered, Ask, Browse, Channel, Effect, Fault, Flight, Hop, Keep, Opened, Order, Placed,
    Report, Request, Sum, Work,
};
pub use plan::{Run, RunId};

pub use retry::backoff;
pub use transfer::{Fit, Phase, Transfer};
pub use view::Outcome;

use item::Item;
use slot::{Line, Slot};
use sources::Sources;

use super::{
    Event, ItemId,
    id::{BrowseId, FileId, RestId, SOURCES_MAX, SlotId, SourceId, SourceSet},
    task::{DirTask, FileTask},
};

/// Events that may wait to be told before nothing new is begun.
const UNTOLD_MAX: usize = 1024;

/// What bounds the whole.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Limits {
    /// Connections in all, at least 1.
    pub workers: usize,
    /// Further tries for a failing file or piece, and for the connection itself.
    pub retries: u32,
    /// One file at a time, and nothing sent ahead of an answer.
    pub serial: bool,
    /// Never give up on a server that cannot be reached: somebody watches, and can end it.
    pub patient: bool,
    /// Go on with parts that an earlier run left.
    pub resume: bool,
    /// A tree without a file counts as failed.
    pub fail_empty: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Schedule {
    limits: Limits,
    /// What the sources are called in the log.
    names: Vec<String>,
    /// The origins that redirects led to, by their places.
    led: Vec<String>,
    rng: fastrand::Rng,
    items: Vec<Item>,
    transfers: BTreeMap<FileId, Transfer>,
    /// Small files on their way to the disk, and files that are here already.
    landings: BTreeMap<FileId, FileTask>,
    /// Directories of which the next entries are being read from the disk.
    loads: BTreeMap<RestId, DirTask>,
    sources: Sources,
    slots: Vec<Slot>,
    browses: VecDeque<Browse>,
    outbox: VecDeque<Effect>,
    /// Events that were not told yet.
    untold: usize,
    /// Pieces that came whole, and those that were bad, since the start.
    pieces: (u64, u64),
    /// What the items that were cleared came to.
    cleared: Outcome,
    next_id: u64,
    stopped: bool,
}

impl Schedule {
    /// Nothing to do yet, for servers of these names; `seed` makes pauses differ between clients.
    pub fn new(limits: Limits, names: Vec<String>, seed: u64) -> Self {
        let sources = Sources::new(names.len(), limits.retries);
        let slots = (0..limits.workers).map(|at| Slot::new(SourceId::at(at % names.len())));
        Self {
            slots: slots.collect(),
            limits,
            names,
            led: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
            items: Vec::new(),
            transfers: BTreeMap::new(),
            landings: BTreeMap::new(),
            loads: BTreeMap::new(),
            sources,
            browses: VecDeque::new(),
            outbox: VecDeque::new(),
            untold: 0,
            pieces: (0, 0),
            cleared: Outcome::NONE,
            next_id: 0,
            stopped: false,
        }
    }

    /// What is to be done outside, in the order in which things happened.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        #[cfg(test)]
        self.check();
        self.outbox.drain(..).collect()
    }

    /// So many events were told.
    pub fn told(&mut self, events: usize) {
        let full = self.untold > UNTOLD_MAX;
        self.untold = self.untold.saturating_sub(events);
        if full && self.untold <= UNTOLD_MAX {
            self.ring_all();
        }
        if self.untold == 0 {
            self.outbox.push_back(Effect::Changed);
        }
    }

    /// No more work is given out.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.browses.clear();
        for transfer in self.transfers.values_mut() {
            if transfer.phase == Phase::Flowing {
                transfer.phase = Phase::Halted;
            }
        }
        self.ring_all();
    }

    /// A number that nothing else has.
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A number for entries that are about to wait on disk.
    pub fn new_rest(&mut self) -> RestId {
        RestId(self.new_id())
    }

    fn tell(&mut self, event: Event) {
        self.untold += 1;
        self.outbox.push_back(Effect::Tell(event));
    }

    fn ring_all(&mut self) {
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if std::mem::take(&mut slot.parked) {
                self.outbox.push_back(Effect::Ring(SlotId(at)));
            }
        }
    }

    /// Connections whose first work is not wanted any more let go of it.
    fn interrupt(&mut self, unwanted: impl Fn(&Work) -> bool) {
        for (at, slot) in self.slots.iter().enumerate() {
            let front = slot.flight.front();
            if front.is_some_and(|flight| unwanted(&flight.work)) {
                self.outbox.push_back(Effect::Interrupt(SlotId(at)));
            }
        }
    }

    fn backoff(&mut self, failures: u32) -> Duration {
        backoff(failures, &mut self.rng)
    }

    fn name_of(&self, source: SourceId) -> &str {
        match source.led_place() {
            Some(place) => &self.led[place],
            None => &self.names[source.place()],
        }
    }

    fn item(&self, id: ItemId) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    fn item_mut(&mut self, id: ItemId) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.id == id)
    }

    /// Whether an item is there, and neither paused nor ended.
    pub fn is_going(&self, id: ItemId) -> bool {
        self.item(id).is_some_and(Item::is_going)
    }

    /// Connections of a source that are open or being made.
    fn open_lines(&self, source: SourceId) -> usize {
        let its = |slot: &&Slot| slot.source == source && slot.line != Line::Closed;
        self.slots.iter().filter(its).count()
    }

    /// Connections that belong to each source, open or not.
    fn held(&self) -> Vec<usize> {
        let places = if self.led.is_empty() {
            self.names.len()
        } else {
            SOURCES_MAX + self.led.len()
        };
        let mut held = vec![0; places];
        for slot in &self.slots {
            held[slot.source.place()] += 1;
        }
        held
    }

    /// A transfer under way.
    pub fn transfer(&self, file: FileId) -> Option<&Transfer> {
        self.transfers.get(&file)
    }

    /// The next time at which something may be done that may not be now.
    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let going = self.items.iter().filter(|item| item.is_going());
        let later = going.filter_map(|item| item.later.first_key_value().map(|((at, _), _)| *at));
        let transfers = self
            .transfers
            .values()
            .filter_map(|transfer| transfer.wake_at(now));
        later
            .chain(transfers)
            .chain(self.sources.wake_at(now))
            .min()
    }
}

#[cfg(test)]
mod tests;
