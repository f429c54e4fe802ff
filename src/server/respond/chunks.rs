//! Bodies that are made while they are sent, all in one form.

use std::{future::Future, pin::Pin};

use super::link::{Link, Stop};
use crate::{
    http1::path::RemotePath,
    server::{
        digests::Stream,
        people::taken::SmallFile,
        respond::form::listing::Source,
        tree::{catalog::blocking, found::FoundFile},
        work::Place,
    },
};

/// Bytes of a chunk, about.
pub const CHUNK: usize = 64 * 1024;

/// What comes next of a body.
pub enum Chunk {
    /// These bytes.
    Bytes(Vec<u8>),
    /// All of a file, as it lies on the disk; its path below the root.
    File(RemotePath, FoundFile),
    /// Nothing: the body is complete.
    End,
}

/// The next chunk, as soon as it is made.
pub type Next<'a> = Pin<Box<dyn Future<Output = Result<Chunk, Stop>> + Send + 'a>>;

/// A body that is made chunk by chunk. Each call does a bounded piece of work, in a turn of its own where it costs much: so a
/// slow client holds no thread, and nobody waits long for another.
pub trait Chunks: Send {
    /// Makes the next chunk. Small files that are whole within it are noted in `small`.
    fn next<'a>(&'a mut self, link: Link<'a>, small: &'a mut Vec<SmallFile>) -> Next<'a>;
}

/// What a [`Source`] makes.
pub struct Made {
    /// Away only while a thread works on it.
    source: Option<Box<dyn Source>>,
    place: Place,
}

impl Made {
    /// The rest of what `source` makes, in turns of `place`.
    pub fn new(source: Box<dyn Source>, place: Place) -> Self {
        Self {
            source: Some(source),
            place,
        }
    }
}

impl Chunks for Made {
    fn next<'a>(&'a mut self, link: Link<'a>, _: &'a mut Vec<SmallFile>) -> Next<'a> {
        Box::pin(async move {
            let Some(mut source) = self.source.take() else {
                return Ok(Chunk::End);
            };
            let turn = link.turn(&self.place).await?;
            let more = blocking(move || {
                let _turn = turn;
                let mut bytes = Vec::new();
                let last = source.fill(&mut bytes, CHUNK)?;
                Ok((source, bytes, last))
            });
            let (source, bytes, last) = link.asked(self.place.mount(), more).await?;
            self.source = (!last).then_some(source);
            Ok(Chunk::Bytes(bytes))
        })
    }
}

impl Chunks for Stream {
    fn next<'a>(&'a mut self, link: Link<'a>, _: &'a mut Vec<SmallFile>) -> Next<'a> {
        Box::pin(async move {
            let bytes = link.unless_gone(Self::next(self)).await??;
            Ok(bytes.map_or(Chunk::End, Chunk::Bytes))
        })
    }
}
