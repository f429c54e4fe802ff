//! Asking the local disk for what it holds of a listing: off the loop, again when what runs may have changed it.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{connect::Connect, effect::Effect, here::Here};
use crate::entry::Entry;

/// Of a longer listing the disk is not asked.
const LOOKED_AT: usize = 20_000;
/// The disk is asked again no sooner than this, however fast files end.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Connect {
    /// Asks the disk for what it holds of the listing.
    pub(super) fn look(&mut self) -> Option<Effect> {
        let entries = self.remote.listing.shared();
        if entries.is_empty() || entries.len() > LOOKED_AT {
            return None;
        }
        self.watch.asked = Some(Arc::clone(&entries));
        self.watch.key = self.ended();
        Some(Effect::LookLocal {
            target: self.dir().to_owned(),
            dir: self.remote.path.clone(),
            entries,
        })
    }

    /// Asks again once transfers have changed what is on the disk.
    pub(super) fn look_again(&mut self, now: Instant) -> Option<Effect> {
        let soon = |at: Instant| now.saturating_duration_since(at) < AGAIN_AFTER;
        if self.watch.asked.is_some()
            || self.watch.at.is_some_and(soon)
            || self.watch.key == self.ended()
        {
            return None;
        }
        self.watch.at = Some(now);
        self.look()
    }

    /// Takes the answer, if it is about what is listed.
    pub(super) fn looked(&mut self, target: &Path, entries: &Arc<Vec<Entry>>, here: Vec<Here>) {
        self.watch
            .asked
            .take_if(|asked| Arc::ptr_eq(asked, entries));
        if target == self.dir() {
            self.remote.listing.set_here(entries, here);
        }
    }

    /// Tells one state of the queue from another, as far as the disk is concerned.
    fn ended(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for item in &self.snapshot.items {
            let files = item.files.map(|files| files.done);
            (item.id, std::mem::discriminant(&item.state), files).hash(&mut hasher);
        }
        hasher.finish()
    }
}
