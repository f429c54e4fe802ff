//! Memory that requests share: taken at once or not at all, never waited for.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes that may be held at the same time; clones share them.
#[derive(Debug, Clone)]
pub struct Budget(Arc<AtomicUsize>);

/// Bytes of a budget; they come back when this is dropped.
#[derive(Debug)]
pub struct Held {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Takes some of them; `None` where fewer are left.
    pub fn take(&self, bytes: usize) -> Option<Held> {
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.ok().map(|_| Held {
            budget: self.clone(),
            bytes,
        })
    }

    /// Bytes that are left.
    #[cfg(test)]
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_and_nothing_beyond_it_is_given() {
        let budget = Budget::new(10);
        let one = budget.take(6).unwrap();
        assert!(budget.take(5).is_none() && budget.left() == 4);
        drop(budget.take(4).unwrap());
        drop(one);
        assert_eq!(budget.left(), 10);
    }
}
