//! A connection beside those of the schedule, on which parts of one file are asked for.

use std::{collections::VecDeque, ops::Range};

use super::{connection::Connection, origin::Origin, request::Ask};
use crate::{
    client::Error,
    http1::{
        body_reader::{BodyReader, Framing},
        response_head::ResponseHead,
    },
    pieces::{Value, blocks},
};

/// Requests that are sent ahead, and bytes of them: what both sides' sockets hold, whoever reads first.
const AHEAD_MAX: usize = 64;
const AHEAD_BYTES: usize = 16 << 10;

/// Such a connection. However slow its answers come, whoever asks bounds that.
#[derive(Debug)]
pub struct SideConnection<'a> {
    pub(super) origin: &'a Origin,
    /// The file.
    pub(super) target: String,
    /// The entity tag of the content that is asked for.
    pub(super) if_match: Option<&'a str>,
    pub(super) connection: Connection,
    /// One request at a time.
    pub(super) serial: bool,
}

/// Requests that have no answer yet.
#[derive(Default)]
struct Ahead {
    sent: usize,
    /// Bytes of each.
    sizes: VecDeque<usize>,
}

impl SideConnection<'_> {
    /// Some ranges of its bytes; each is handed to `take` as it comes, with its number.
    pub async fn ranges(
        &mut self,
        ranges: &[Range<u64>],
        mut take: impl FnMut(usize, Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let ask = |range: &Range<u64>| Ask::Range {
            first: range.start,
            last: range.end.saturating_sub(1),
            if_match: self.if_match,
            if_range: None,
        };
        let asks: Vec<_> = ranges.iter().map(ask).collect();
        let mut ahead = Ahead::default();
        for (at, range) in ranges.iter().enumerate() {
            self.send(&asks, at, &mut ahead).await?;
            let head = self.head().await?;
            let told = head.range.as_ref().and_then(|range| range.bytes);
            if head.status != 206 || told != Some((range.start, range.end.saturating_sub(1))) {
                return Err(Error::Protocol("the answer is another part".into()));
            }
            let bytes = self.body(&head, range.end - range.start).await?;
            take(at, bytes)?;
        }
        Ok(())
    }

    /// The values of the blocks of some pieces of a file of `size` bytes, as the server tells them, for each of the ranges; `None`
    /// where it tells none.
    pub async fn blocks(
        &mut self,
        ranges: &[Range<u32>],
        size: u64,
    ) -> Result<Option<Vec<Vec<Value>>>, Error> {
        let ask = |range: &Range<u32>| Ask::Blocks {
            first: range.start,
            end: range.end,
            if_match: self.if_match,
        };
        let asks: Vec<_> = ranges.iter().map(ask).collect();
        let mut ahead = Ahead::default();
        let mut told = Vec::with_capacity(ranges.len());
        for (at, range) in ranges.iter().enumerate() {
            self.send(&asks, at, &mut ahead).await?;
            let head = self.head().await?;
            let length = blocks::wire_len(size, range.clone());
            if head.status != 200 || head.framing != Some(Framing::Length(length)) {
                // The file itself, from a server that knows no blocks.
                return Ok(None);
            }
            let bytes = self.body(&head, length).await?;
            told.push(bytes.as_chunks().0.to_vec());
        }
        Ok(Some(told))
    }

    /// Sends requests as far ahead of the answer at `at` as is good, some at a time.
    async fn send(&mut self, asks: &[Ask<'_>], at: usize, ahead: &mut Ahead) -> Result<(), Error> {
        let most = if self.serial { 1 } else { AHEAD_MAX };
        // The one before has its answer.
        if at > 0 {
            ahead.sizes.pop_front();
        }
        let bytes = |ahead: &Ahead| ahead.sizes.iter().sum::<usize>();
        let has_room = |ahead: &Ahead, share: usize| {
            ahead.sent - at < most / share && bytes(ahead) < AHEAD_BYTES / share
        };
        if ahead.sent > at && !has_room(ahead, 2) {
            return Ok(());
        }
        while ahead.sent < asks.len() && (ahead.sent == at || has_room(ahead, 1)) {
            let before = self.connection.queued();
            self.connection
                .queue(self.origin, &self.target, asks[ahead.sent]);
            ahead.sizes.push_back(self.connection.queued() - before);
            ahead.sent += 1;
        }
        self.connection.flush().await
    }

    async fn head(&mut self) -> Result<ResponseHead, Error> {
        let head = self.connection.head(false).await?;
        if head.paused {
            return Err(Error::Paused);
        }
        if (200..300).contains(&head.status) {
            return Ok(head);
        }
        Err(Error::Status {
            status: head.status,
            retry_after: head.retry_after,
            said: None,
        })
    }

    /// The body of an answer, which has so many bytes.
    async fn body(&mut self, head: &ResponseHead, bytes: u64) -> Result<Vec<u8>, Error> {
        let mut body = BodyReader::new(head.framing.unwrap_or(Framing::Close));
        let mut content = Vec::with_capacity(bytes as usize);
        self.connection
            .read_body(&mut body, &mut content, bytes as usize)
            .await?;
        if content.len() as u64 == bytes {
            Ok(content)
        } else {
            Err(Error::Broken(
                "the answer ends before the range that it names".into(),
            ))
        }
    }
}
