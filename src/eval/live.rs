//! What is going on at this moment, for whoever shows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The clients of the run that is under way. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Vec<ClientView>>>);

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientView {
    /// Bytes that it has received.
    pub done: u64,
    /// Files that are complete.
    pub files: usize,
    /// Bytes of those files.
    complete: u64,
    /// Whether it has ended, and whether that went well.
    pub ended: Option<bool>,
}

impl Board {
    /// A run of `clients` begins.
    pub(super) fn begin(&self, clients: usize) {
        *self.lock() = vec![ClientView::default(); clients];
    }

    pub(super) fn received(&self, client: usize, bytes: u64) {
        self.change(client, |view| view.done = view.done.max(bytes));
    }

    pub(super) fn finished(&self, client: usize, bytes: u64) {
        self.change(client, |view| {
            view.files += 1;
            view.complete += bytes;
            view.done = view.done.max(view.complete);
        });
    }

    pub(super) fn ended(&self, client: usize, well: bool) {
        self.change(client, |view| view.ended = Some(well));
    }

    /// Each client, in their order.
    pub fn clients(&self) -> Vec<ClientView> {
        self.lock().clone()
    }

    fn change(&self, client: usize, change: impl FnOnce(&mut ClientView)) {
        if let Some(view) = self.lock().get_mut(client) {
            change(view);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ClientView>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
