//! What all connections share.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use tokio_util::sync::CancellationToken;

use super::{
    digests::Values,
    error::Error,
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
    /// Held while it is looked up again.
    pub(super) looking: Mutex<()>,
    /// Why nothing is served now: its name leads nowhere.
    pub(super) gone: RwLock<Option<String>>,
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
        self.set_gone(None);
    }

    /// The same, if `before` is served still. Whether it was.
    pub(super) fn replace_catalog(&self, before: &Arc<Catalog>, catalog: Arc<Catalog>) -> bool {
        let mut served = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        let same = Arc::ptr_eq(&served, before);
        if same {
            *served = catalog;
        }
        same
    }

    /// Why nothing is served now.
    pub(super) fn gone(&self) -> Option<String> {
        let gone = self.gone.read().unwrap_or_else(PoisonError::into_inner);
        gone.clone()
    }

    /// Notes why nothing is served now. Whether that begins or ends with it.
    pub(super) fn set_gone(&self, why: Option<String>) -> bool {
        let mut gone = self.gone.write().unwrap_or_else(PoisonError::into_inner);
        let news = gone.is_some() != why.is_some();
        *gone = why;
        news
    }
}

/// Opens a directory to serve.
pub(super) fn open(root: &Path, settings: &Settings) -> Result<Catalog, Error> {
    let opened = Catalog::open(root, settings.hidden, settings.follow_symlinks);
    let opened = opened.map_err(|source| Error::Root {
        root: root.to_owned(),
        source,
    })?;
    Ok(opened.without(&settings.own))
}

/// The two stages of a stop: `drain` ends accepting and lets running transfers finish; `abort` ends at once.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// No new connections or requests; idle connections close, running answers get 10 s.
    pub drain: CancellationToken,
    /// Every connection is closed where it stands.
    pub abort: CancellationToken,
}
