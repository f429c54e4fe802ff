//! What the local disk holds of a listing, and when it was asked.

use std::{sync::Arc, time::Instant};

use crate::entry::Entry;

/// What the disk holds where an entry would land.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Here {
    /// Nothing.
    #[default]
    Nothing,
    /// A directory of that name.
    Directory,
    /// A part, which a download goes on with.
    Part,
    /// A file of the same size and, where `dated`, with the same date; elsewhere no date is known.
    Whole {
        /// Whether both dates are known.
        dated: bool,
    },
    /// Something of another size or date: its bytes.
    Other(u64),
}

/// When the disk was asked, and what for.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The entries whose look is under way.
    pub(super) asked: Option<Arc<Vec<Entry>>>,
    pub(super) at: Option<Instant>,
    /// The queue as it was then.
    pub(super) key: u64,
}
