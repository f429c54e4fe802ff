//! Parts of bodies whose size nobody tells: there is no going on with one, so it goes with whoever reads into it.

#![expect(
    clippy::result_large_err,
    reason = "a fault is made once an answer, and moved once"
)]

use std::sync::Arc;

use tokio::{sync::oneshot, task::JoinHandle};

use super::{Engine, parts::Keep};
use crate::client::{Error, disk::part::OpenPart, facts::Facts, schedule::Fault, task::FileTask};

/// A part that is not all there yet. It is removed where it is dropped, as by a stop; a stop waits for that.
#[derive(Debug)]
pub struct Unfinished {
    engine: Arc<Engine>,
    part: Option<OpenPart>,
}

impl Unfinished {
    /// The part, to write to.
    pub fn open(&self) -> Result<&OpenPart, Fault> {
        // It is there until it is taken or removed.
        self.part.as_ref().ok_or(Fault::Interrupted)
    }

    /// All of it is there: it stays.
    pub fn into_whole(mut self) -> Result<OpenPart, Fault> {
        self.part.take().ok_or(Fault::Interrupted)
    }

    /// Removes it; completes once its name is free.
    pub async fn remove(mut self) {
        if let Some(removing) = self.removing() {
            let _ = removing.await;
        }
    }

    fn removing(&mut self) -> Option<JoinHandle<()>> {
        let (engine, part) = (Arc::clone(&self.engine), self.part.take()?);
        let remove = move || engine.drop_part(&part.part);
        let (tasks, runtime) = (&self.engine.tasks, &self.engine.runtime);
        Some(tasks.spawn_blocking_on(remove, runtime))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        drop(self.removing());
    }
}

impl Engine {
    /// A new part for a body whose size nobody tells; `None` as in [`Self::open_part`].
    pub async fn open_unsized(
        self: &Arc<Self>,
        task: &FileTask,
    ) -> Result<Option<Unfinished>, Error> {
        let target = self.target(task.item).ok_or(Error::Changed)?;
        let (engine, task) = (Arc::clone(self), task.clone());
        let (sender, opened) = oneshot::channel();
        let open = move || {
            let part = engine.open_part(&target, &task, 0, &Keep::Nothing);
            let part = part.map(|part| {
                let part = OpenPart::new(part?, target, task, Facts::default());
                Some(Unfinished {
                    engine,
                    part: Some(part),
                })
            });
            // Where nobody waits for it any more, it is dropped here, while a stop waits for this.
            drop(sender.send(part));
        };
        self.tasks.spawn_blocking_on(open, &self.runtime);
        let failed = |_| Err(Error::Broken("a thread failed".into()));
        opened.await.unwrap_or_else(failed)
    }
}
