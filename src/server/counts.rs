//! What monitoring asks for besides a screen's snapshot.

use super::{Server, people::snapshot::Counts};

impl Server {
    /// What is counted, at this moment.
    pub fn counts(&self) -> Counts {
        Counts {
            statuses: self.0.registry.statuses(),
            work: self.0.work.counts(),
        }
    }
}
