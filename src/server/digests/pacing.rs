//! How far hashing may be ahead of sending. Both read the same file: of one that does not fit into memory, what was hashed long
//! before it is sent would come from the disk twice.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::pieces::PIECE;
use crate::sync::lock;
use crate::{http1::path::RemotePath, server::people::taken::Taken};

/// Bytes that are hashed ahead: enough that no connection ever waits for a value, little enough to stay in memory.
const AHEAD: u64 = 32 << 20;
/// How often is looked whether the sender has come closer.
const LOOK: Duration = Duration::from_millis(5);
/// How long a piece is held back at most. A client slower than this lets through costs a disk little, twice read or not.
const HOLD: Duration = Duration::from_millis(250);

/// One client that waits for a file's values.
#[derive(Debug)]
pub struct Asker {
    client: Arc<Taken>,
    path: RemotePath,
}

impl Asker {
    /// A client that asked for the values of the file at `path`.
    pub fn new(client: &Arc<Taken>, path: RemotePath) -> Self {
        Self {
            client: Arc::clone(client),
            path,
        }
    }
}

/// All who wait for the values of one file.
#[derive(Debug, Default)]
pub(super) struct Askers(Mutex<Vec<Weak<Asker>>>);

impl Askers {
    /// One more, for as long as it lives.
    pub(super) fn add(&self, asker: &Arc<Asker>) {
        lock(&self.0).push(Arc::downgrade(asker));
    }

    /// Holds back the hashing of the `count` bytes from `at` on while the file's bytes are sent to everyone who waits for its
    /// values, and are far behind. Whoever takes no bytes, because it has them, holds nothing back.
    pub(super) async fn pace(&self, at: u64, count: u64) {
        let hold = HOLD * u32::try_from(count.div_ceil(PIECE)).unwrap_or(1);
        let begun = Instant::now();
        while self.sent_until().is_some_and(|sent| at > sent + AHEAD) && begun.elapsed() < hold {
            sleep(LOOK).await;
        }
    }

    /// How far whoever is furthest is; `None` unless all of them are taking the file.
    fn sent_until(&self) -> Option<u64> {
        let askers: Vec<Arc<Asker>> = lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        let mut furthest = None;
        for asker in askers {
            furthest = furthest.max(Some(asker.client.sent_until(&asker.path)?));
        }
        furthest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::people::clients::{Attached, Identity, Registry};

    fn attach(registry: &Registry, agent: &str) -> Attached {
        registry.attach(&Identity {
            address: [127, 0, 0, 1].into(),
            login: None,
            session: None,
            name: None,
            agent: Some(agent.as_bytes()),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn hashing_follows_whoever_is_furthest_unless_somebody_takes_no_bytes() {
        let (registry, path) = (Registry::default(), RemotePath::from_target(b"/f").unwrap());
        let [one, two] = ["one", "two"].map(|agent| attach(&registry, agent));
        let askers = Askers::default();
        assert_eq!(askers.sent_until(), None);
        let [first, second] = [&one, &two].map(|attached| {
            let asker = Arc::new(Asker::new(attached.client().taken(), path.clone()));
            askers.add(&asker);
            asker
        });
        let (size, far) = (1 << 40, 1 << 30);
        let flow = one.client().taken().begin(&path, "\"e\"", size, far..size);
        // The second has the bytes already, and waits for the values only.
        assert_eq!(askers.sent_until(), None);
        let other = two.client().taken().begin(&path, "\"e\"", size, 0..size);
        flow.add(5);
        assert_eq!(askers.sent_until(), Some(far + 5));
        let begun = Instant::now();
        askers.pace(far + 5 + AHEAD + 1, PIECE).await;
        assert!(begun.elapsed() >= HOLD);
        drop(first);
        assert_eq!(askers.sent_until(), Some(0));
        drop((other, flow));
        assert_eq!(askers.sent_until(), None);
        drop(second);
        assert_eq!(askers.sent_until(), None);
    }
}
