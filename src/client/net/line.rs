//! A connection beside those of the schedule, on which one thing after the other is asked of a file.

use std::{ops::Range, sync::Arc};

use super::{connection::Connection, origin::Origin, request::Ask};
use crate::{
    client::Error,
    http1::body_reader::{BodyReader, Framing},
    pace::Pace,
    pieces::{Value, blocks},
};

/// Such a connection.
#[derive(Debug)]
pub struct Line<'a> {
    pub(super) origin: &'a Origin,
    /// The file.
    pub(super) target: String,
    /// The entity tag of the content that is asked for.
    pub(super) if_match: Option<&'a str>,
    pub(super) connection: Connection,
}

impl Line<'_> {
    /// Bounds what is read by `pace` as well.
    pub fn set_pace(&mut self, pace: Option<Arc<Pace>>) {
        self.connection.own_pace = pace;
    }

    /// Some ranges of its bytes, all asked for at once; each is handed to `take` as it comes, with its number.
    pub async fn ranges(
        &mut self,
        ranges: &[Range<u64>],
        mut take: impl FnMut(usize, Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for range in ranges {
            let ask = Ask::Range {
                first: range.start,
                last: range.end.max(range.start + 1) - 1,
                if_match: self.if_match,
                if_range: None,
            };
            self.connection.queue(self.origin, &self.target, ask);
        }
        self.connection.flush().await?;
        for (at, range) in ranges.iter().enumerate() {
            let head = self.connection.head(false).await?;
            let told = head.range.as_ref().and_then(|range| range.bytes);
            if head.status != 206 || told != Some((range.start, range.end - 1)) {
                return Err(Error::Protocol("the answer is another part".into()));
            }
            let wanted = (range.end - range.start) as usize;
            let mut body = BodyReader::new(head.framing.unwrap_or(Framing::Close));
            let mut content = Vec::with_capacity(wanted);
            let whole = self.connection.read_body(&mut body, &mut content, wanted);
            whole.await?;
            if content.len() != wanted {
                return Err(Error::Protocol(
                    "the answer ends before the range that it names".into(),
                ));
            }
            take(at, content)?;
        }
        Ok(())
    }

    /// The values of the blocks of some pieces of a file of `size` bytes, as the server tells them.
    pub async fn blocks(&mut self, pieces: Range<u32>, size: u64) -> Result<Vec<Value>, Error> {
        let ask = Ask::Blocks {
            first: pieces.start,
            end: pieces.end,
            if_match: self.if_match,
        };
        self.connection.queue(self.origin, &self.target, ask);
        self.connection.flush().await?;
        let head = self.connection.head(false).await?;
        let length = blocks::wire_len(size, pieces);
        // A server that knows no blocks answers with the whole file.
        if head.status != 200 || head.framing != Some(Framing::Length(length)) {
            return Err(Error::Protocol("it tells no values of blocks".into()));
        }
        let mut body = BodyReader::new(Framing::Length(length));
        let mut told = Vec::with_capacity(length as usize);
        let whole = self
            .connection
            .read_body(&mut body, &mut told, length as usize);
        whole.await?;
        Ok(told.as_chunks().0.to_vec())
    }
}
