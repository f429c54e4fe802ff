//! What was done to the queue last, to be taken back.

use std::{collections::HashSet, time::Instant};

use crate::client::ItemId;

/// What can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Last {
    /// These were cancelled.
    Cancelled(Vec<ItemId>),
    /// These were cleared.
    Cleared(Vec<ItemId>),
}

/// What was done last, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Undo {
    pub(super) last: Option<Last>,
    /// Cleared: not shown, and still known to the client.
    pub(super) hidden: HashSet<ItemId>,
    /// To be tried again as soon as their cancel is through.
    pub(super) reviving: Vec<(ItemId, Option<Instant>)>,
    /// Whether transfers of an earlier run wait, and the key for all lets them go on.
    pub(super) restored: bool,
}
