//! Answers by their status.

use crate::progress::Counter;

/// The statuses that there are (RFC 9110 §15).
const STATUSES: std::ops::Range<u16> = 100..600;

/// Counts answers.
#[derive(Debug)]
pub struct Statuses(Box<[Counter]>);

impl Default for Statuses {
    fn default() -> Self {
        Self(STATUSES.map(|_| Counter::default()).collect())
    }
}

impl Statuses {
    /// Counts one.
    pub fn add(&self, status: u16) {
        let at = status.checked_sub(STATUSES.start).map(usize::from);
        if let Some(counter) = at.and_then(|at| self.0.get(at)) {
            counter.add(1);
        }
    }

    /// Those that there were.
    pub fn get(&self) -> Vec<(u16, u64)> {
        let counts = STATUSES.zip(self.0.iter().map(Counter::get));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}
