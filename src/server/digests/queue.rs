//! Who waits for a file to be hashed: bounded in all and for each client, so that nobody takes every place.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::server::people::peers::Who;
use crate::sync::lock;

/// The places of those who wait, and of those whose files are being hashed.
#[derive(Debug)]
pub(super) struct Queue {
    /// In all.
    most: usize,
    /// For each client.
    each: usize,
    taken: Mutex<HashMap<Who, usize>>,
}

/// A place in the queue; it is given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    queue: Arc<Queue>,
    who: Who,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// All are taken.
    All,
    /// This client has as many as one may have.
    Yours,
}

impl Queue {
    pub fn new(most: usize, each: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            each,
            taken: Mutex::default(),
        })
    }

    /// Takes a place for `who`.
    pub fn enter(self: &Arc<Self>, who: &Who) -> Result<Place, Busy> {
        let mut taken = lock(&self.taken);
        let own = taken.get(who).copied().unwrap_or_default();
        if own >= self.each {
            return Err(Busy::Yours);
        }
        if taken.values().sum::<usize>() >= self.most {
            return Err(Busy::All);
        }
        taken.insert(who.clone(), own + 1);
        Ok(Place {
            queue: Arc::clone(self),
            who: who.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.queue.taken);
        if let Some(own) = taken.get_mut(&self.who) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_each_and_in_all_and_come_back() {
        let queue = Queue::new(5, 3);
        let enter = |who: &str| queue.enter(&Who::Login(who.into()));
        let ada: Vec<Place> = (0..3).map(|_| enter("ada").unwrap()).collect();
        assert_eq!(enter("ada").unwrap_err(), Busy::Yours);
        let bob = [enter("bob").unwrap(), enter("bob").unwrap()];
        assert_eq!(enter("bob").unwrap_err(), Busy::All);
        assert_eq!(enter("cy").unwrap_err(), Busy::All);
        drop(ada);
        assert!(enter("cy").is_ok());
        drop(bob);
        assert!(lock(&queue.taken).is_empty());
    }
}
