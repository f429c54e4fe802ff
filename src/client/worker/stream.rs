//! A body whose size nobody tells: kept in memory while it is small, else on disk as it comes, unverified.

use std::{os::unix::fs::FileExt, pin::Pin, sync::Arc, time::Instant};

use super::{Answered, Broken, Worker, answer::Answer};
use crate::{
    client::{
        Error,
        disk::part::Part,
        engine::Keep,
        job::{Facts, Job},
        queue::Work,
        task::FileTask,
    },
    digest::Digest,
    pieces::PIECE,
};

/// Why a body is not read to its end.
enum Ended {
    /// Its item was paused or cancelled.
    Halted,
    Failed(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Worker {
    /// Reads the answer to a first request. A pause throws away what came: there is no going on in the middle.
    pub(super) async fn read_unsized(
        &mut self,
        answer: &mut Answer,
        mut task: FileTask,
        began: Instant,
    ) -> Answered {
        let engine = Arc::clone(&self.engine);
        let mut halted = std::pin::pin!(engine.halted(task.item));
        let mut content = Vec::new();
        match self
            .read_start(answer, &task, &mut content, halted.as_mut())
            .await
            .and_then(|more| {
                answer
                    .check_coded_once(&content)
                    .map(|()| more)
                    .map_err(Ended::Failed)
            }) {
            Ok(true) => {}
            Ok(false) => {
                self.settle_size(&mut task, content.len() as u64);
                engine.queue().opened(task.item);
                engine.queue().counter(task.item).add(content.len() as u64);
                self.complete_small(&answer.head, task, content, began)
                    .await;
                return Ok(());
            }
            Err(Ended::Halted) => {
                engine.queue().put_back(Work::Open(task));
                engine.settle().await;
                return Ok(());
            }
            Err(Ended::Failed(error)) => {
                return Err(Box::new(Broken {
                    work: Work::Open(task),
                    error,
                }));
            }
        }
        engine.queue().opened(task.item);
        let Some(target) = engine.queue().target(task.item) else {
            return Ok(());
        };
        let part = match engine.open_part(&target, &task, 0, &Keep::Nothing) {
            Ok(part) => part,
            Err(error) => {
                engine.failed(task, error, None).await;
                return Ok(());
            }
        };
        let mut written = 0;
        let ended = self
            .read_rest(answer, (&task, &part), &content, &mut written, halted)
            .await;
        if let Err(ended) = ended {
            engine.queue().counter(task.item).take_back(written);
            engine.drop_part(&part.file, &part.dir, &part.name);
            match ended {
                Ended::Failed(error) => engine.failed(task, error, None).await,
                Ended::Halted => {
                    engine.queue().retry_now(task);
                    engine.settle().await;
                }
            }
            return Ok(());
        }
        self.settle_size(&mut task, written);
        let head = &answer.head;
        let facts = Facts {
            source: self.source.id,
            size: written,
            modified: head.modified.or(task.modified),
            digest: head.digest.as_deref().and_then(Digest::from_field),
            ..Facts::default()
        };
        let job = Arc::new(Job::new(task, target, facts, part, Arc::default(), 0));
        job.all_received();
        engine.queue().add_job(&job);
        engine.land_if_complete(&job);
        Ok(())
    }

    /// Reads into `content` until that is more than a piece; false where the body ended before.
    async fn read_start(
        &self,
        answer: &mut Answer,
        task: &FileTask,
        content: &mut Vec<u8>,
        mut halted: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<bool, Ended> {
        while content.len() as u64 <= PIECE {
            let chunk = tokio::select! {
                biased;
                () = &mut halted => return Err(Ended::Halted),
                chunk = answer.next() => chunk?,
            };
            let Some((received, bytes)) = chunk else {
                answer.check_size(task, content.len() as u64)?;
                return Ok(false);
            };
            self.count_received(received);
            content.extend_from_slice(&bytes);
        }
        Ok(true)
    }

    /// Writes `content`, and what follows it, into a part; counts what was written.
    async fn read_rest(
        &self,
        answer: &mut Answer,
        (task, part): (&FileTask, &Part),
        content: &[u8],
        written: &mut u64,
        mut halted: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), Ended> {
        let counter = self.engine.queue().counter(task.item);
        let mut write = |bytes: &[u8]| {
            let done = part.file.write_all_at(bytes, *written);
            done.map_err(|error| Error::disk(self.shown_part(task, part), &error))?;
            *written += bytes.len() as u64;
            counter.add(bytes.len() as u64);
            Ok::<_, Error>(*written)
        };
        let mut received = write(content)?;
        loop {
            let chunk = tokio::select! {
                biased;
                () = &mut halted => return Err(Ended::Halted),
                chunk = answer.next() => chunk?,
            };
            let Some((came, bytes)) = chunk else {
                return Ok(answer.check_size(task, received)?);
            };
            self.count_received(came);
            received = write(&bytes)?;
        }
    }

    /// Where a part is, for messages.
    fn shown_part(&self, task: &FileTask, part: &Part) -> std::path::PathBuf {
        let target = self.engine.queue().target(task.item);
        target.map_or_else(std::path::PathBuf::new, |target| {
            target.local(&task.path.parent(), &part.name)
        })
    }
}
