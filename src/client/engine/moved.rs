//! Looking for what differs elsewhere in the file that is replaced.

use std::{io, sync::Arc, time::Instant};

use super::Engine;
use crate::{
    client::{
        Error,
        disk::{
            caught::caught,
            moved::{Finder, SAMPLE, Search},
            part::OpenPart,
        },
        id::FileId,
        net::document::Asking,
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
            (first, pieces::len(size, *piece).min(SAMPLE))
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
            schedule.left_piece(self.file, piece, Some(value))
        };
        Ok(self.engine.with(goes_on))
    }
}

impl Engine {
    /// Looks for pieces that differ elsewhere in the old file. Whatever comes of it, the others are fetched then. Blocking.
    pub(super) fn search(self: &Arc<Self>, file: FileId) {
        if let Some(part) = self.part(file) {
            let looked = caught(&part.task, || self.look_elsewhere(file, &part));
            if let Err(error) = looked {
                tracing::info!(path = %part.task.shown(), "what moved within it is not found: {error}");
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

    /// Some bytes of a file as its server has them now, each a range of its first byte and its length.
    async fn beginnings(
        &self,
        part: &OpenPart,
        ranges: &[(u64, u64)],
    ) -> Result<Vec<Vec<u8>>, Error> {
        let facts = &part.facts;
        if !facts.ranges || part.task.led_to(facts.source).is_some() {
            return Err(Error::Protocol("no ranges of it are to be had".into()));
        }
        let server = self.server(facts.source);
        let asking = Asking {
            first: &server.origin,
            access: &self.settings.access,
            silence: self.settings.timeout,
            pace: &self.pace,
        };
        let asked = asking.ranges(&part.task.path, ranges, facts.etag.as_deref());
        let read = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(Error::Changed),
            read = asked => read?,
        };
        let bytes = read.iter().map(Vec::len).sum::<usize>() as u64;
        self.received.add(bytes);
        server.received.add(bytes);
        Ok(read)
    }
}
