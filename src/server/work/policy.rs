//! Who gets the next turn: pure, with time by argument.
//!
//! A lane is one kind of work. Who wants some of it takes a place, within bounds in all and for each client. A place asks for
//! one turn at a time. Turns go round the clients that wait, in the order in which they came, and within a client to the
//! place that asked first: so a client with a hundred places gets no more turns than one with a single place. Where each has
//! fewer at once than there are, another's long turns do not have to end first.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::server::people::peers::Who;

/// Who gets no turn for this long after it asked for its first is told to come back.
pub const FIRST_TURN: Duration = Duration::from_secs(10);

/// How much of one kind of work there may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Turns at the same time.
    pub at_once: usize,
    /// Those of each client: the rest is free for whoever comes, however long a turn takes.
    pub at_once_each: usize,
    /// The same while others have places, so that one client's turns do not take all processors from another's.
    pub at_once_shared: usize,
    /// Places in all.
    pub most: usize,
    /// Places of each client.
    pub each: usize,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// All are taken.
    All,
    /// This client has as many as one may have.
    Yours,
}

/// Names what waits for a turn.
pub type Ticket = u64;

#[derive(Debug, Clone, Copy)]
struct Asked {
    ticket: Ticket,
    since: Instant,
    /// Nothing was done for it before.
    is_first: bool,
}

/// One kind of work.
#[derive(Debug)]
pub struct Lane {
    bounds: Bounds,
    /// Places that each client has.
    held: HashMap<Who, usize>,
    places: usize,
    /// The clients that wait, in the order of their turns.
    round: VecDeque<Who>,
    /// What waits of each of them, never nothing.
    waiting: HashMap<Who, VecDeque<Asked>>,
    running: usize,
    running_of: HashMap<Who, usize>,
}

impl Lane {
    /// Nothing waits yet.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            held: HashMap::new(),
            places: 0,
            round: VecDeque::new(),
            waiting: HashMap::new(),
            running: 0,
            running_of: HashMap::new(),
        }
    }

    /// Takes a place for `who`; [`Self::leave`] gives it back.
    pub fn enter(&mut self, who: &Who) -> Result<(), Busy> {
        let own = self.held.get(who).copied().unwrap_or_default();
        if own >= self.bounds.each {
            return Err(Busy::Yours);
        }
        if self.places >= self.bounds.most {
            return Err(Busy::All);
        }
        self.held.insert(who.clone(), own + 1);
        self.places += 1;
        Ok(())
    }

    /// Gives a place back.
    pub fn leave(&mut self, who: &Who) {
        if let Some(own) = self.held.get_mut(who) {
            *own -= 1;
            self.places -= 1;
            if *own == 0 {
                self.held.remove(who);
            }
        }
    }

    /// Waits for a turn from now on.
    pub fn ask(&mut self, who: &Who, ticket: Ticket, is_first: bool, now: Instant) {
        let asked = Asked {
            ticket,
            since: now,
            is_first,
        };
        let waiting = self.waiting.entry(who.clone()).or_default();
        if waiting.is_empty() {
            self.round.push_back(who.clone());
        }
        waiting.push_back(asked);
    }

    /// Waits no longer.
    pub fn withdraw(&mut self, who: &Who, ticket: Ticket) {
        let Some(waiting) = self.waiting.get_mut(who) else {
            return;
        };
        waiting.retain(|asked| asked.ticket != ticket);
        if waiting.is_empty() {
            self.waiting.remove(who);
            self.round.retain(|waits| waits != who);
        }
    }

    /// Who has its turn now, if one is free; [`Self::end`] is due after it.
    pub fn begin(&mut self) -> Option<(Who, Ticket)> {
        if self.running >= self.bounds.at_once {
            return None;
        }
        let most = self.at_once_each();
        let may = |who: &Who| self.running_of.get(who).copied().unwrap_or_default() < most;
        let next = self.round.iter().position(may)?;
        let who = self.round.remove(next)?;
        let waiting = self.waiting.get_mut(&who)?;
        let next = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&who);
        } else {
            self.round.push_back(who.clone());
        }
        let next = next?;
        self.running += 1;
        *self.running_of.entry(who.clone()).or_default() += 1;
        Some((who, next.ticket))
    }

    /// Turns that a client may have at the same time as things are.
    fn at_once_each(&self) -> usize {
        if self.held.len() > 1 {
            self.bounds.at_once_shared
        } else {
            self.bounds.at_once_each
        }
    }

    /// A client's turn has ended.
    pub fn end(&mut self, who: &Who) {
        if let Some(running) = self.running_of.get_mut(who) {
            *running -= 1;
            self.running -= 1;
            if *running == 0 {
                self.running_of.remove(who);
            }
        }
    }

    /// Who has waited too long for a first turn; it waits no longer.
    pub fn late(&mut self, now: Instant) -> Vec<Ticket> {
        let is_late = |asked: &Asked| {
            asked.is_first && now.saturating_duration_since(asked.since) >= FIRST_TURN
        };
        let late: Vec<(Who, Ticket)> = self
            .waiting
            .iter()
            .flat_map(|(who, waiting)| waiting.iter().map(move |asked| (who, asked)))
            .filter(|(_, asked)| is_late(asked))
            .map(|(who, asked)| (who.clone(), asked.ticket))
            .collect();
        for (who, ticket) in &late {
            self.withdraw(who, *ticket);
        }
        late.into_iter().map(|(_, ticket)| ticket).collect()
    }

    /// Turns that are waited for, and those under way.
    pub fn counts(&self) -> (usize, usize) {
        let waiting = self.waiting.values().map(VecDeque::len).sum();
        (waiting, self.running)
    }

    /// Whether nobody has anything to do with it.
    pub fn is_idle(&self) -> bool {
        self.places == 0 && self.running == 0
    }
}

#[cfg(test)]
mod tests;
