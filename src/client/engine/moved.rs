//! Looking for what differs elsewhere in the file that is replaced.

use std::{io, ops::Range, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::FutureExt as _;

use super::{Engine, beside::in_time, blocking::blocking};
use crate::{
    client::{
        Error,
        disk::{
            caught::caught,
            moved::{Finder, SAMPLE, Search},
            part::OpenPart,
        },
        id::FileId,
    },
    pieces::{self, PIECE},
};

/// Who looks, for one transfer.
struct Looking<'a> {
    engine: &'a Arc<Engine>,
    file: FileId,
    part: &'a OpenPart,
    buffer: Vec<u8>,
    found: u64,
}

impl Finder for Looking<'_> {
    fn samples(&mut self, pieces: &[u32]) -> Option<Vec<Vec<u8>>> {
        let size = self.part.facts.size;
        let range = |piece: &u32| {
            let first = u64::from(*piece) * PIECE;
            first..first + pieces::len(size, *piece).min(SAMPLE)
        };
        let ranges: Vec<_> = pieces.iter().map(range).collect();
        let asked = self.engine.beginnings(self.part, &ranges);
        // On a thread that may block, as all of this.
        match self.engine.runtime.block_on(asked) {
            Ok(samples) => Some(samples),
            Err(error) => {
                tracing::info!(path = %self.part.task.shown(), "what moved within it is not looked for: {error}");
                None
            }
        }
    }

    fn found(&mut self, piece: u32, from: u64) -> io::Result<bool> {
        let copied = self.part.copy_moved(piece, from, &mut self.buffer);
        let Some(value) = copied.map_err(io::Error::other)? else {
            return Ok(true);
        };
        self.found += 1;
        let goes_on = |schedule: &mut crate::client::schedule::Schedule| {
            schedule.left_piece(self.file, piece, Some(value), 0)
        };
        Ok(self.engine.with(goes_on))
    }
}

impl Engine {
    /// Looks for pieces that differ elsewhere in the old file, then fetches of the others the blocks that differ, where those are
    /// few. Whatever comes of it, the rest is fetched then.
    pub(super) async fn search(self: &Arc<Self>, file: FileId) {
        if let Some(part) = self.part(file) {
            let (engine, within) = (Arc::clone(self), Arc::clone(&part));
            let looked = async {
                let _turn = self.searches.acquire().await;
                blocking(move || caught(&within.task, || engine.look_elsewhere(file, &within)))
                    .await
            };
            if let Err(error) = looked.await {
                tracing::info!(path = %part.task.shown(), "what moved within it is not found: {error}");
            }
            let patched = AssertUnwindSafe(self.patch(file, &part)).catch_unwind();
            let fault = |_told| {
                Err(Error::Broken(
                    "a fault of haul, which its log tells of".into(),
                ))
            };
            if let Err(error) = patched.await.unwrap_or_else(fault) {
                tracing::info!(path = %part.task.shown(), "pieces that differ are fetched whole: {error}");
            }
        }
        self.with(|schedule| schedule.search_over(file, Instant::now()));
    }

    fn look_elsewhere(self: &Arc<Self>, file: FileId, part: &OpenPart) -> Result<(), Error> {
        let sought = self.look(|schedule| schedule.transfer(file)?.sought());
        let (Some((open, values)), Some(old)) = (sought, &part.part.old) else {
            return Ok(());
        };
        let mut looking = Looking {
            engine: self,
            file,
            part,
            buffer: Vec::new(),
            found: 0,
        };
        let path = || {
            part.target
                .local(&part.task.path.parent(), part.task.local_name())
        };
        let search = Search::new(&old.file, part.facts.size, &values, &open);
        let ran = search.and_then(|search| search.run(&mut looking));
        ran.map_err(|error| Error::disk(path(), &error))?;
        if looking.found > 0 {
            tracing::info!(path = %part.task.shown(), "{} of {} differing pieces stand elsewhere in the old file", looking.found, open.len());
        }
        Ok(())
    }

    /// Some bytes of a file as its server has them now.
    async fn beginnings(
        &self,
        part: &OpenPart,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut read = Vec::with_capacity(ranges.len());
        let server = self.server_beside(part)?;
        let asked = async {
            let mut side = self.side(&server, part).await?;
            let take = |_, bytes| {
                read.push(bytes);
                Ok(())
            };
            side.ranges(ranges, take).await
        };
        let bytes = ranges.iter().map(|range| range.end - range.start).sum();
        let soon = in_time(self.time_for(part, bytes), asked);
        let slow = || Err(Error::Broken("the server is too slow".into()));
        self.unless_stopped(async { soon.await.unwrap_or_else(slow) })
            .await?;
        self.count_beside(&server, bytes);
        Ok(read)
    }
}
