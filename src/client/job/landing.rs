//! A job's part reaching the disk: synced on the way, and named once it is complete.

use std::time::{Duration, Instant};

use super::Job;
use crate::{
    client::{Error, Verified, journal::Synced, proof::Proof},
    pieces,
    sys::disk,
};

/// Parts that only the journal can vouch for are synced after so many bytes or so much time: that much may be fetched
/// again after a crash.
const SYNC_BYTES: u64 = 256 << 20;
const SYNC_TIME: Duration = Duration::from_secs(5);

impl Job {
    /// Syncs the complete part, names it by the conflict rule, and syncs its directory; the whole is held against every
    /// digest that is known of it before that. Blocking.
    pub fn land(&self, mut proof: Proof) -> Result<(Vec<u8>, Proof), Error> {
        use std::os::fd::AsFd;
        if self.compares {
            return Ok((self.part.name.clone(), Proof::of_local(Verified::Present)));
        }
        let failed = |error: &std::io::Error| Error::disk(self.part_path(), error);
        if let Some(time) = self.facts.modified {
            disk::set_modified(&self.part.file, time).map_err(|error| failed(&error))?;
        }
        // The pieces prove each of them; other digests are of the whole file.
        let told = self.facts.digest.as_ref();
        let told = told.filter(|_| !self.facts.has_values());
        for digest in told.into_iter().chain(self.task.checksum.as_deref()) {
            let held = proof.with_digest(&self.part.file, digest);
            proof = held
                .map_err(|error| failed(&error))?
                .ok_or(Error::Integrity { piece: None })?;
        }
        let length = self
            .part
            .file
            .metadata()
            .map_err(|error| failed(&error))?
            .len();
        if length != self.facts.size {
            let error = std::io::Error::other("another program changed its size");
            return Err(failed(&error));
        }
        self.part.file.sync_data().map_err(|error| failed(&error))?;
        let dir = self.part.dir.as_fd();
        let landed = self.target.land_part(
            dir,
            &self.part.file,
            &self.part.name,
            self.task.local_name(),
        );
        let landed = landed.map_err(|error| failed(&error))?;
        disk::sync_dir(dir).map_err(|error| failed(&error))?;
        let proof = proof.of_landed(&landed);
        Ok((landed.name, proof))
    }

    /// Whether the part should be synced now, so that a later run can go on with it. True once for each time.
    pub fn is_sync_due(&self) -> bool {
        let mut state = self.state();
        let (at, bytes) = state.synced;
        let due = bytes > 0
            && (bytes >= SYNC_BYTES || at.elapsed() >= SYNC_TIME)
            && self.facts.content().is_some();
        if due {
            state.synced = (Instant::now(), 0);
        }
        due
    }

    /// Syncs the part; the content it is of and the pieces that are on disk for certain now. Blocking.
    pub fn sync(&self) -> Result<Option<Synced>, Error> {
        let Some(content) = self.facts.content() else {
            return Ok(None);
        };
        // What is done before the sync is what the sync covers.
        let done = self.state().plan.done();
        self.part
            .file
            .sync_data()
            .map_err(|error| Error::disk(self.part_path(), &error))?;
        Ok(Some((content, done)))
    }

    /// Everything is on disk already: it came in one answer of unknown size.
    pub fn all_received(&self) {
        let mut state = self.state();
        (0..pieces::count(self.facts.size)).for_each(|piece| state.plan.add_done(piece));
        self.note_written(&mut state, 0, self.facts.size);
        // The caller has added them to the counter.
        state.counted = self.facts.size;
    }
}
