//! The served directory is looked up by its name again and again: it may have been replaced, moved away, or mounted over.

use std::{io, os::unix::ffi::OsStrExt as _, sync::Arc, time::Duration};

use rustix::fs::{AtFlags, CWD, FileType, stat};

use super::{
    catalog::{Catalog, blocking},
    stamp::Stamp,
};
use crate::{
    escape::display_path,
    server::shared::{Shared, open},
};

/// How often it is looked whether the name still leads to what is served.
const EVERY: Duration = Duration::from_secs(1);

/// Looks again and again, for ever.
pub async fn watch(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let catalog = shared.catalog();
        // Mostly nothing has changed, which the kernel's caches tell: a thread that is woken each second stays for ever, and so
        // do the others of its pool, which are woken in turn.
        if shared.gone().is_none() && catalog.is_local() && !catalog.is_replaced() {
            continue;
        }
        let looks = Arc::clone(&shared);
        // Where its file system hangs, so does this look, and no other is begun.
        let _ = blocking(move || {
            look_again(&looks);
            Ok(())
        })
        .await;
    }
}

/// The directory to answer a request for its listing from: an empty one that is served no more must not be taken for the
/// one that stands in its place.
pub async fn current(shared: &Arc<Shared>) -> Arc<Catalog> {
    let catalog = shared.catalog();
    if catalog.is_local() && !catalog.is_replaced() {
        return catalog;
    }
    if catalog.is_local() {
        let looks = Arc::clone(shared);
        let look = blocking(move || {
            look_again(&looks);
            Ok(())
        });
        // What hangs there now is found out by the one who watches.
        let _ = tokio::time::timeout(EVERY, look).await;
    }
    shared.catalog()
}

/// What the name leads to now is served from now on; where it leads nowhere, nothing is. Blocking.
fn look_again(shared: &Shared) {
    // One at a time: where its file system hangs, no further thread hangs with it.
    let Ok(_turn) = shared.looking.try_lock() else {
        return;
    };
    let catalog = shared.catalog();
    let place = catalog.place();
    let gone = match stat(place) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) != FileType::Directory => {
            Some("it is no directory any more".to_owned())
        }
        Ok(found) if catalog.is_at(&Stamp::of(&found)) => None,
        Ok(_) => match open(catalog.path(), &shared.settings) {
            Ok(other) => {
                if shared.replace_catalog(&catalog, Arc::new(other)) {
                    tracing::warn!(
                        "{} was replaced: what is there now is served",
                        display_path(place)
                    );
                }
                None
            }
            Err(error) => Some(error.to_string()),
        },
        Err(error) => Some(crate::exit::reason(&io::Error::from(error))),
    };
    match (&gone, shared.set_gone(gone.clone())) {
        (Some(why), true) => tracing::error!(
            "{}: {why}: nothing is served until it is there again",
            display_path(place)
        ),
        (None, true) => tracing::info!("{} is there again", display_path(place)),
        _ => {}
    }
}

impl Catalog {
    /// Whether its name leads elsewhere, or nowhere.
    fn is_replaced(&self) -> bool {
        // Whoever serves what was mounted there is not asked.
        Stamp::at_once(CWD, self.place().as_os_str().as_bytes(), AtFlags::empty())
            .map_or(true, |found| !self.is_at(&found))
    }
}
