//! A body whose size nobody tells: kept in memory while it is small, else on disk as it comes, unverified.
#![expect(
    clippy::result_large_err,
    reason = "a fault is made once an answer, and moved once"
)]

use std::{sync::Arc, time::Instant};

use super::{Worker, answer::Reading, open::is_as_named};
use crate::{
    client::{
        Error,
        disk::part::OpenPart,
        facts::Facts,
        schedule::{Answered, Fault, Opened, Schedule},
        task::FileTask,
    },
    digest::Digest,
    pieces::PIECE,
};

impl Worker {
    /// Reads the answer to a first request. A pause throws away what came: there is no going on in the middle.
    pub(super) async fn read_unsized(
        &mut self,
        reading: &mut Reading,
        mut task: FileTask,
        began: Instant,
    ) -> super::Answer {
        let engine = Arc::clone(&self.engine);
        let mut content = Vec::new();
        engine.with(|schedule| schedule.streamed(self.slot, 0));
        let read = tokio::select! {
            biased;
            () = engine.interrupted(self.slot) => Err(Fault::Interrupted),
            read = self.read_start(reading, &task, &mut content) => read.map_err(|error| Fault::of(error, None)),
        };
        if !read? {
            is_as_named(&task, content.len() as u64)?;
            self.resize(&mut task, content.len() as u64);
            return self
                .complete_small(&reading.head, task, content, began)
                .await;
        }
        let part = engine
            .open_unsized(&task)
            .await
            .map_err(|error| Fault::of(error, None))?
            .ok_or(Fault::Interrupted)?;
        let written = tokio::select! {
            biased;
            () = engine.interrupted(self.slot) => Err(Fault::Interrupted),
            read = self.read_rest(reading, &task, part.open()?, &content) => read.map_err(|error| Fault::of(error, None)),
        };
        let written = written.and_then(|written| is_as_named(&task, written).map(|()| written));
        let written = match written {
            Ok(written) => written,
            Err(fault) => {
                // Its name is free before the file is asked for again.
                part.remove().await;
                return Err(fault);
            }
        };
        let mut part = part.into_whole()?;
        self.resize(&mut task, written);
        let head = &reading.head;
        part.began = began;
        part.facts = Facts {
            source: self.source,
            size: written,
            modified: head.modified,
            digest: head.digest.as_deref().and_then(Digest::from_field),
            ..Facts::default()
        };
        self.complete_unsized(task, part);
        Ok(Answered::Opened)
    }

    /// All of a file is in its part: it lands.
    fn complete_unsized(&self, task: FileTask, part: OpenPart) {
        let opened = Opened {
            facts: part.facts.clone(),
            ..Opened::default()
        };
        let file = self.engine.with(Schedule::new_file);
        self.engine.add_part(file, Arc::new(part));
        self.engine.with(|schedule| {
            if !schedule.begin_complete(self.slot, file, task, opened, Instant::now()) {
                schedule.never_begun(file);
            }
        });
    }

    /// Reads into `content` until that is more than a piece; false where the body ended before.
    async fn read_start(
        &self,
        reading: &mut Reading,
        task: &FileTask,
        content: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        while content.len() as u64 <= PIECE {
            let Some((received, bytes)) = reading.next().await? else {
                reading.check_size(task, content.len() as u64)?;
                reading.check_coded_once(content)?;
                return Ok(false);
            };
            self.note_streamed(received, bytes.len());
            content.extend_from_slice(&bytes);
        }
        reading.check_coded_once(content)?;
        Ok(true)
    }

    /// Writes `content`, and what follows it, into a part; how many bytes that are.
    async fn read_rest(
        &self,
        reading: &mut Reading,
        task: &FileTask,
        part: &OpenPart,
        content: &[u8],
    ) -> Result<u64, Error> {
        part.write_guard().write(0, content)?;
        let mut written = content.len() as u64;
        while let Some((received, bytes)) = reading.next().await? {
            self.note_streamed(received, bytes.len());
            part.write_guard().write(written, &bytes)?;
            written += bytes.len() as u64;
        }
        reading.check_size(task, written)?;
        Ok(written)
    }

    /// Counts what came, and what of the file that is.
    fn note_streamed(&self, received: usize, bytes: usize) {
        self.count_received(received);
        self.engine
            .with(|schedule| schedule.streamed(self.slot, bytes as u64));
    }
}
