//! The clients that a dashboard made, and what they leave.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

use crate::{
    client::{self, Client, ItemId, ItemState},
    exit::Exit,
};

/// What is not as it was asked for when a dashboard ends.
#[derive(Debug)]
pub struct Left {
    /// The status that all failures amount to; what was tried again, cancelled or cleared counts no more.
    pub exit: Exit,
    /// Transfers that failed.
    pub failed: usize,
    /// The only failure, if there was just one.
    pub error: Option<client::Error>,
    /// Transfers that were stopped on their way; what the user had paused is not among them. What a later client of the same
    /// target and server went on with counts as that left it.
    pub unfinished: usize,
    /// Whether a later run can go on with them.
    pub goes_on: bool,
}

impl Left {
    fn of(clients: &[Made]) -> Self {
        let (mut failed, mut unfinished) = (0, 0);
        // What each target and server have left of it; the last client of a journal has restored what those before it left.
        let mut kept: HashMap<(&Path, String), usize> = HashMap::new();
        for made in clients {
            let (mut on_the_way, mut paused) = (0, 0);
            let items = made.client.snapshot().items.into_iter();
            for item in items.filter(|item| !made.cleared.contains(&item.id)) {
                match item.state {
                    ItemState::Failed(_) => failed += 1,
                    ItemState::Finished(_) | ItemState::Cancelled => {}
                    ItemState::Paused => paused += 1,
                    _ => on_the_way += 1,
                }
            }
            if made.client.can_be_gone_on_with() {
                let journal = (made.client.dir(), made.client.base_url());
                let left = kept.entry(journal).or_default();
                // What was restored waits, paused, until the user lets it go on.
                *left = on_the_way + paused.min(*left);
            } else {
                unfinished += on_the_way;
            }
        }
        unfinished += kept.values().sum::<usize>();
        let outcomes = clients.iter().map(|made| made.client.outcome());
        let (exits, errors): (Vec<_>, Vec<_>) = outcomes.unzip();
        let mut errors = errors.into_iter().flatten();
        let error = errors.next().filter(|_| failed == 1);
        Self {
            exit: if failed > 0 {
                Exit::of_all(exits)
            } else {
                Exit::Done
            },
            failed,
            error,
            unfinished,
            goes_on: clients.iter().all(|it| it.client.can_be_gone_on_with()),
        }
    }
}

/// The clients that were made, so that all of them can be stopped: the current one is the last.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients(Arc<Mutex<Vec<Made>>>);

/// A client, and which of its items were cleared.
#[derive(Debug)]
struct Made {
    client: Client,
    cleared: HashSet<ItemId>,
}

impl Clients {
    pub(super) fn push(&self, client: Client) {
        self.made().push(Made {
            client,
            cleared: HashSet::new(),
        });
    }

    fn made(&self) -> MutexGuard<'_, Vec<Made>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes which items of the current client were cleared.
    pub(super) fn cleared(&self, change: impl FnOnce(&mut HashSet<ItemId>)) {
        if let Some(made) = self.made().last_mut() {
            change(&mut made.cleared);
        }
    }

    /// Stops them all at their next safe points; what they leave.
    pub(super) async fn stop(&self, deadline: Duration) -> Left {
        let clients = std::mem::take(&mut *self.made());
        let left = Left::of(&clients);
        let mut stopping = JoinSet::new();
        for Made { client, .. } in clients {
            stopping.spawn(async move { client.stop().await });
        }
        let _ = timeout(deadline, stopping.join_all()).await;
        left
    }
}
