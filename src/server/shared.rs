//! What all connections share.

use std::sync::{Arc, PoisonError, RwLock};

use tokio_util::sync::CancellationToken;

use super::{
    digests::Values,
    people::clients::Registry,
    settings::Settings,
    tree::catalog::Catalog,
    work::{Work, budget::Budget},
};

/// What all connections share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// The directory that is served now.
    pub(super) catalog: RwLock<Arc<Catalog>>,
    pub(super) registry: Registry,
    pub(super) values: Values,
    /// Everything that waits.
    pub(super) work: Work,
    /// What the sorted names of directories hold.
    pub(super) sorted: Budget,
    /// What the larger of the small files hold in output buffers.
    pub(super) buffered: Budget,
    /// What runs is finished, and no one new is taken.
    pub(super) drain: CancellationToken,
}

impl Shared {
    /// The directory that is served now.
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves another one from now on.
    pub(super) fn set_catalog(&self, catalog: Arc<Catalog>) {
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = catalog;
    }
}

/// The two stages of a stop: `drain` ends accepting and lets running transfers finish; `abort` ends at once.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// No new connections or requests; idle connections close, running answers get 10 s.
    pub drain: CancellationToken,
    /// Every connection is closed where it stands.
    pub abort: CancellationToken,
}
