//! What the clients of this process share of a journal: one that stops gives way to the next of the same target and origin.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{claims::Claims, log::Inner};
use crate::sync::lock;

/// A journal's content, and who works on which of its parts.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) inner: Mutex<Inner>,
    pub(super) claims: Arc<Claims>,
}

/// The journals that this process has locked, by their paths.
static OPEN: Mutex<BTreeMap<PathBuf, Open>> = Mutex::new(BTreeMap::new());

#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
    users: usize,
    /// Who came last, and whether it lets another come.
    last: u64,
    gives_way: bool,
}

fn open() -> MutexGuard<'static, BTreeMap<PathBuf, Open>> {
    lock(&OPEN)
}

/// One client's hold on a journal that is locked; the last that is dropped unlocks it.
#[derive(Debug)]
pub(super) struct Hold {
    path: PathBuf,
    number: u64,
}

impl Hold {
    fn new(path: &Path) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            path: path.to_owned(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The journal at `path`, where a client of this process has it and gives way.
    pub(super) fn join(path: &Path) -> Option<(Arc<Shared>, Self)> {
        let mut open = open();
        let it = open.get_mut(path).filter(|it| it.gives_way)?;
        let hold = Self::new(path);
        it.users += 1;
        (it.last, it.gives_way) = (hold.number, false);
        // What the one before has not ended is left of it.
        lock(&it.shared.inner).all_is_left();
        Some((Arc::clone(&it.shared), hold))
    }

    /// A journal that was locked just now.
    pub(super) fn of(path: &Path, inner: Inner) -> (Arc<Shared>, Self) {
        let hold = Self::new(path);
        let shared = Arc::new(Shared {
            inner: Mutex::new(inner),
            claims: Arc::default(),
        });
        open().insert(
            path.to_owned(),
            Open {
                shared: Arc::clone(&shared),
                users: 1,
                last: hold.number,
                gives_way: false,
            },
        );
        (shared, hold)
    }

    /// Whether another client of this process may come.
    pub(super) fn give_way(&self, gives_way: bool) {
        if let Some(it) = open().get_mut(&self.path)
            && it.last == self.number
        {
            it.gives_way = gives_way;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut open = open();
        if let Some(it) = open.get_mut(&self.path) {
            it.users -= 1;
            if it.users == 0 {
                lock(&it.shared.inner).close();
                open.remove(&self.path);
            }
        }
    }
}
