//! The first answer about a file: what it tells, and the whole of a small one.
#![expect(
    clippy::result_large_err,
    reason = "a fault is made once an answer, and moved once"
)]

use std::{sync::Arc, time::Instant};

use super::{Worker, answer::Reading};
use crate::{
    client::{
        Error, Verified,
        disk::lander::SmallFile,
        disk::part::{OpenPart, Part},
        disk::{
            already::{Already, Remote, Told},
            names::Local,
            target::Target,
        },
        facts::Facts,
        proof::Proof,
        schedule::{Answered, Ask, Complete, Fault, Opened, Run},
        task::FileTask,
    },
    digest::Digest,
    http1::{body_reader::Framing, response_head::ResponseHead},
    pieces::{self, PIECE},
};

impl Worker {
    /// The first answer about a file.
    pub(super) async fn opened(
        &mut self,
        reading: &mut Reading,
        mut task: FileTask,
        ask: &Ask,
        began: Instant,
    ) -> super::Answer {
        match reading.head.status {
            200 | 206 => {}
            // An empty file has no first byte: nginx and others say so to a range request.
            416 if matches!(reading.head.range, Some(range) if range.total == Some(0)) => {
                reading.drain().await;
                self.is_listed(&task)?;
                is_as_named(&task, 0)?;
                self.resize(&mut task, 0);
                return self
                    .complete_small(&reading.head, task, Vec::new(), began)
                    .await;
            }
            _ => return Err(reading.fault().await),
        }
        self.is_listed(&task)?;
        let coded = reading.decoder.is_some();
        if coded && (*ask == Ask::Head || reading.head.status == 206) {
            // Sizes and ranges of the coded content say nothing about the file's.
            reading.drain().await;
            if std::mem::replace(&mut task.whole, true) {
                let error = Error::Protocol("a part was sent for the whole".into());
                return Err(Fault::of(error, None));
            }
            task.local = Local::Nothing;
            return Ok(Answered::Again(task));
        }
        let size = if coded {
            None
        } else {
            told_size(&reading.head, ask)?
        };
        if let Some(size) = size {
            is_as_named(&task, size)?;
        }
        if *ask == Ask::Head {
            return self.looked_at(reading, task, size, began).await;
        }
        match size {
            Some(size) if size <= PIECE => self.read_small(reading, task, size, began).await,
            Some(size) => {
                // Who answers a range with the whole does not serve ranges, whatever it says of itself.
                let head = &reading.head;
                let ranges =
                    head.status == 206 || (*ask == Ask::Whole && head.ranges && !task.whole);
                self.read_large(reading, task, size, ranges).await
            }
            None => self.read_unsized(reading, task, began).await,
        }
    }

    /// Refuses the one file that is wanted where the list that the user gave cannot prove it.
    fn is_listed(&self, task: &FileTask) -> Result<(), Fault> {
        let (given, path) = (&self.engine.settings.checksums, task.path.as_bytes());
        let Some(given) = given.as_ref().filter(|given| given.lacks(path)) else {
            return Ok(());
        };
        let error = Error::NotListed {
            list: given.shown.clone(),
            torn: given.is_torn(path),
        };
        Err(Fault::of(error, None))
    }

    /// A HEAD was answered: either what is here will do, or the file is asked for now.
    async fn looked_at(
        &mut self,
        reading: &Reading,
        mut task: FileTask,
        size: Option<u64>,
        began: Instant,
    ) -> super::Answer {
        let head = &reading.head;
        if let Some(size) = size {
            self.resize(&mut task, size);
        }
        let fetch = |task: FileTask| {
            let local = Local::Nothing;
            Ok(Answered::Again(FileTask { local, ..task }))
        };
        let (Some(target), Some(size)) = (self.engine.target(task.item), size) else {
            return fetch(task);
        };
        let ranges = head.ranges || head.pieces;
        let facts = self.facts(head, &task, size, ranges);
        let has_values = facts.has_values();
        let remote = Remote {
            size,
            modified: task.date(head.modified),
            blake3: head.blake3.or(task.blake3),
            has_values,
        };
        // Where a part is to be looked at, there was no file of that name, or it was found to differ.
        let already = if task.local == Local::Part {
            Already::Fetch
        } else {
            let looked = self.already(&task, &target, remote).await;
            looked.map_err(|error| Fault::of(error, None))?
        };
        match already {
            Already::Here(name, proof) => {
                self.keep_signature(&task, &target, &name).await;
                let local = target.local(&task.path.parent(), &name);
                self.present(
                    task,
                    Complete {
                        local,
                        bytes: size,
                        verified: proof.verified(),
                        took: began.elapsed(),
                    },
                );
                Ok(Answered::Opened)
            }
            Already::Compare(there) => {
                self.compare(task, facts, there, target);
                Ok(Answered::Opened)
            }
            // Whatever part lies here is looked at before anything is fetched.
            Already::Fetch if has_values || (facts.ranges && size > PIECE) => {
                self.begin(task, facts, 0).await?;
                Ok(Answered::Opened)
            }
            Already::Fetch => fetch(task),
        }
    }

    /// What the conflict rule makes of what is here. Where that will do, nobody goes on with a part of it.
    async fn already(
        &self,
        task: &FileTask,
        target: &Arc<Target>,
        remote: Remote,
    ) -> Result<Already, Error> {
        let (engine, target) = (Arc::clone(&self.engine), Arc::clone(target));
        let (path, name) = (task.path.clone(), task.local_name().to_vec());
        let (checksum, pieces, named) = (
            task.checksum.clone(),
            task.pieces.clone(),
            task.named.clone(),
        );
        let look = tokio::task::spawn_blocking(move || {
            let told = Told {
                checksum: checksum.as_deref().or_else(|| engine.given(&path)),
                pieces: pieces.as_deref(),
                weak: named.as_ref().and_then(|named| named.weak.as_ref()),
            };
            let already = target.already(&path.parent(), &name, remote, told)?;
            if matches!(already, Already::Here(..)) {
                engine.drop_left(&target, &path, &name);
            }
            Ok(already)
        });
        look.await.unwrap_or(Ok(Already::Fetch))
    }

    fn facts(&self, head: &ResponseHead, task: &FileTask, size: u64, ranges: bool) -> Facts {
        Facts {
            source: self.source,
            size,
            etag: head.etag.clone(),
            modified: head.modified,
            ranges,
            pieces: head.pieces && !task.whole && self.may_ask_values(task),
            digest: head.digest.as_deref().and_then(Digest::from_field),
        }
    }

    /// An equal file is here already.
    fn present(&self, task: FileTask, complete: Complete) {
        self.engine.with(|schedule| {
            let file = schedule.landing(self.slot, task);
            schedule.found_here(file, complete);
        });
    }

    /// Keeps the signature that a Metalink holds of a file that is here.
    async fn keep_signature(&self, task: &FileTask, target: &Arc<Target>, name: &[u8]) {
        let Some(signature) = task.signature.clone() else {
            return;
        };
        let (engine, target) = (Arc::clone(&self.engine), Arc::clone(target));
        let (task, name) = (task.clone(), name.to_vec());
        let keep = move || engine.keep_signature(&task, &target, &name, &signature);
        // Nothing depends on it.
        let _ = tokio::task::spawn_blocking(keep).await;
    }

    /// A file of the same size is here: it is held against the values of the server's pieces.
    fn compare(&self, task: FileTask, facts: Facts, there: Part, target: Arc<Target>) {
        let opened = Opened {
            left: there.left,
            from_old: false,
            known: Vec::new(),
            compares: true,
            facts: facts.clone(),
        };
        let mut part = OpenPart::new(there, target, task.clone(), facts);
        part.compares = true;
        let file = self
            .engine
            .with(crate::client::schedule::Schedule::new_file);
        self.engine.add_part(file, Arc::new(part));
        self.engine.with(|schedule| {
            let begun = schedule.begin(self.slot, file, task, opened, 0, Instant::now());
            if begun.is_none() {
                schedule.never_begun(file);
            }
        });
    }

    /// A file of at most a piece, from one answer.
    async fn read_small(
        &mut self,
        reading: &mut Reading,
        mut task: FileTask,
        size: u64,
        began: Instant,
    ) -> super::Answer {
        self.resize(&mut task, size);
        let mut content = Vec::with_capacity(size as usize);
        let body = reading
            .connection
            .read_body(&mut reading.body, &mut content, PIECE as usize);
        let read = tokio::select! {
            biased;
            () = self.engine.unwanted(self.slot) => Err(Fault::Interrupted),
            read = body => read.map_err(|error| Fault::of(error, None)),
        };
        self.count_received(content.len());
        read?;
        self.check_end(reading)
            .map_err(|error| Fault::of(error, None))?;
        if content.len() as u64 != size {
            // Less than the file, from a server that gives ranges of a size of its own, or a size that lied.
            if std::mem::replace(&mut task.whole, true) {
                return Err(Fault::Changed);
            }
            return Ok(Answered::Again(task));
        }
        self.complete_small(&reading.head, task, content, began)
            .await
    }

    /// Checks a small file against its digest, where there is one, and hands it on to be landed.
    pub(super) async fn complete_small(
        &mut self,
        head: &ResponseHead,
        mut task: FileTask,
        content: Vec<u8>,
        began: Instant,
    ) -> super::Answer {
        let told = head.blake3.map(Digest::Blake3);
        let told = told.or_else(|| head.digest.as_deref().and_then(Digest::from_field));
        let known = told.iter().chain(task.checksum.as_deref());
        let Some(proof) = Proof::of_content(&content, task.size, known) else {
            return Err(Fault::BadWhole(Box::new(task)));
        };
        let told = task.pieces.as_deref().filter(|_| task.checksum.is_none());
        let proven = told.map_or(Some(proof), |told| proof.of_pieces(&content, told));
        let Some(proof) = proven else {
            return Err(Fault::BadWhole(Box::new(task)));
        };
        let known = proof.verified() != Verified::Unverified;
        let listed = match self.engine.told(&task, known).await {
            None => Ok(proof),
            Some(told) => proof
                .of_listed(&content, &told.digest, told.word)
                .ok_or(told.differs),
        };
        let proof = listed.map_err(|error| Fault::Unlisted(Box::new(task.clone()), error))?;
        task.signature = self.engine.signature(&task, proof.verified()).await;
        let Some(target) = self.engine.target(task.item) else {
            return Ok(Answered::Opened);
        };
        let engine = Arc::clone(&self.engine);
        engine.room_for(content.len(), &mut self.complete).await;
        let file = engine.with(|schedule| schedule.landing(self.slot, task.clone()));
        let modified = task.date(head.modified);
        self.complete.push(SmallFile {
            file,
            task,
            target,
            content,
            modified,
            proof,
            began,
        });
        Ok(Answered::Opened)
    }

    /// A file of several pieces: this answer is its first run.
    async fn read_large(
        &mut self,
        reading: &mut Reading,
        mut task: FileTask,
        size: u64,
        ranges: bool,
    ) -> super::Answer {
        self.resize(&mut task, size);
        let head = &reading.head;
        let facts = self.facts(head, &task, size, ranges);
        let end = if head.status == 206 {
            let bytes = head.range.and_then(|range| range.bytes);
            bytes.map(|(_, last)| last + 1)
        } else {
            None
        };
        let end = end.unwrap_or(size);
        let begun = if end == size {
            pieces::count(size)
        } else {
            (end / PIECE) as u32
        };
        if begun == 0 {
            reading.drain().await;
            return Err(Fault::NoRanges);
        }
        match self.begin(task, facts, begun).await? {
            Some((part, run)) => self.read_run(reading, &part, run).await,
            // It ended already, or what is here of it comes first: the rest of the answer is not wanted.
            None => Ok(Answered::Opened),
        }
    }

    /// Opens the part of a file and makes it a transfer. `begun` pieces from the front are on their way.
    async fn begin(
        &mut self,
        task: FileTask,
        facts: Facts,
        begun: u32,
    ) -> Result<Option<(Arc<OpenPart>, Run)>, Fault> {
        let engine = Arc::clone(&self.engine);
        let part = engine
            .open_transfer(&task, facts.clone())
            .await
            .map_err(|error| Fault::of(error, None))?
            .ok_or(Fault::Interrupted)?;
        let opened = Opened {
            facts,
            left: part.part.left,
            from_old: part.part.old.is_some(),
            known: part.part.known.clone(),
            compares: false,
        };
        let part = Arc::new(part);
        let file = engine.with(crate::client::schedule::Schedule::new_file);
        engine.add_part(file, Arc::clone(&part));
        let run = engine.with(|schedule| {
            let begun = schedule.begin(self.slot, file, task, opened, begun, Instant::now());
            if begun.is_none() {
                schedule.never_begun(file);
            }
            begun.flatten()
        });
        Ok(run.map(|run| (part, run)))
    }

    /// Whether this server can be asked for the values of a file's pieces: not where a query names it.
    fn may_ask_values(&self, task: &FileTask) -> bool {
        !task.mute().contains(self.source) && self.server().origin.query(&task.path).is_none()
    }

    /// Notes the size that an answer tells, in place of what the listing or an earlier answer told.
    pub(super) fn resize(&self, task: &mut FileTask, size: u64) {
        self.engine
            .with(|schedule| schedule.resized(self.slot, task, size));
        task.size = Some(size);
    }
}

/// Refuses a file of `size` bytes where a Metalink tells another number.
pub(super) fn is_as_named(task: &FileTask, size: u64) -> Result<(), Fault> {
    match task.named.as_ref().and_then(|named| named.size) {
        Some(told) if told != size => Err(Fault::Refused(Error::Size { there: size, told })),
        _ => Ok(()),
    }
}

/// The file's size, as far as the answer tells it.
fn told_size(head: &ResponseHead, ask: &Ask) -> Result<Option<u64>, Fault> {
    // From its first byte on; where all was asked for, to its last.
    let is_asked_for = |bytes: Option<(u64, u64)>, total: u64| {
        bytes.is_some_and(|(first, last)| first == 0 && (*ask != Ask::Whole || last + 1 == total))
    };
    match (head.status, head.range, head.framing) {
        // Without its total, a range may be the whole file or not.
        (206, Some(range), _)
            if range
                .total
                .is_some_and(|total| is_asked_for(range.bytes, total)) =>
        {
            Ok(range.total)
        }
        // Ranges whose total the server does not know: only the whole tells where the file ends.
        (206, Some(range), _) if range.total.is_none() => Err(Fault::NoRanges),
        (206, ..) => {
            let text = "the answer is not the range that was asked for";
            Err(Fault::of(Error::Protocol(text.into()), None))
        }
        (_, _, Some(Framing::Length(size))) => Ok(Some(size)),
        (_, _, Some(Framing::Empty)) if *ask != Ask::Head => Ok(Some(0)),
        _ => Ok(head.length),
    }
}
