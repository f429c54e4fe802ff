//! Answers that are computed of a file: its chaining values, its Metalink.

use std::{io, time::Duration};

use http::StatusCode;
use tokio::time::timeout;

use super::{
    Answer, Body, Framing, Request,
    chunks::{Chunk, Chunks, Made},
    dir::{NO_HOST, metalink_fields},
    file::{FileAnswer, validators},
    form::{listing::Source, metalink::FileLink},
    link::Stop,
    refusal::{Failure, fail},
};
use crate::{
    http1::response::HeadWriter,
    pieces,
    pieces::blocks,
    server::{
        digests::{Asker, Blocks, Kind, Stream},
        work::{self, FIRST_TURN},
    },
};

/// How long the first bytes of what is computed are waited for, once it has begun.
const FIRST_BYTES: Duration = Duration::from_secs(1);

const NO_BLOCKS: Failure = fail(
    StatusCode::BAD_REQUEST,
    "?blocks=FIRST-LAST names at most 64 pieces of a file that has several",
);

impl Source for Blocks {
    fn fill(&mut self, out: &mut Vec<u8>, _: usize) -> io::Result<bool> {
        self.step(out)
    }
}

impl Request<'_> {
    /// The file's chaining values instead of its bytes.
    pub(super) async fn pieces(
        &self,
        file: FileAnswer,
        out: &mut Vec<u8>,
        now: u64,
    ) -> Result<Answer, Stop> {
        let (etag, modified, size) = (file.etag.clone(), file.modified, file.found.stamp.size);
        let stream = self.computed(Kind::Pieces, file).await?;
        let told = (pieces::MEDIA_TYPE, pieces::wire_len(size));
        let begun = stream.map(|(first, stream)| (first, Box::new(stream) as Box<dyn Chunks>));
        Ok(self.values((&etag, modified), told, begun, out, now))
    }

    /// An answer of values, with their media type and how many bytes they are; nothing follows the head of one to a HEAD.
    fn values(
        &self,
        (etag, modified): (&str, u64),
        (media_type, length): (&str, u64),
        begun: Option<(Vec<u8>, Box<dyn Chunks>)>,
        out: &mut Vec<u8>,
        now: u64,
    ) -> Answer {
        let mut head = HeadWriter::new(out, StatusCode::OK, now);
        head.field("Content-Type", media_type)
            .field_fmt("Content-Length", format_args!("{length}"));
        validators(&mut head, etag, modified);
        let answer = self.end(head);
        let Some((first, rest)) = begun else {
            return answer;
        };
        Answer {
            body: Body::Stream(first, rest, Framing::Length),
            ..answer
        }
    }

    /// The values of the blocks of some of its pieces.
    pub(super) async fn blocks(
        &self,
        file: FileAnswer,
        asked: &[u8],
        out: &mut Vec<u8>,
        now: u64,
    ) -> Result<Answer, Stop> {
        let size = file.found.stamp.size;
        let Some(pieces) = blocks::parse_query(asked, size) else {
            return Ok(self.refuse(out, &NO_BLOCKS));
        };
        let (etag, modified, mount) = (file.etag, file.modified, file.found.mount);
        let begun = if self.is_head() {
            None
        } else {
            let place = self
                .shared
                .work
                .enter(work::Kind::Blocks, mount, self.who)?;
            let mut made = Made::new(Box::new(Blocks::new(file.found, &pieces)), place);
            // What fails at once has a status.
            match made.next(self.link, &mut Vec::new()).await? {
                Chunk::Bytes(first) => Some((first, Box::new(made) as Box<dyn Chunks>)),
                Chunk::File(..) | Chunk::End => return Err(Stop::Incomplete("no values")),
            }
        };
        let told = (blocks::MEDIA_TYPE, blocks::wire_len(size, pieces));
        Ok(self.values((&etag, modified), told, begun, out, now))
    }

    /// The file's Metalink. Its length is known before its digests are.
    pub(super) async fn metalink(
        &self,
        file: FileAnswer,
        out: &mut Vec<u8>,
        now: u64,
    ) -> Result<Answer, Stop> {
        let Some(origin) = self.origin() else {
            return Ok(self.refuse(out, &NO_HOST));
        };
        let (etag, modified, size) = (file.etag.clone(), file.modified, file.found.stamp.size);
        let path = file.path.clone();
        let stream = self.computed(Kind::Sha256, file).await?;
        let mut head = HeadWriter::new(out, StatusCode::OK, now);
        metalink_fields(&mut head, path.name());
        validators(&mut head, &etag, modified);
        let Some((first, stream)) = stream else {
            return Ok(self.end(head));
        };
        let (mut begin, mut link) = FileLink::new(stream, &origin, &path, size);
        let length = begin.len() as u64 + FileLink::len(size);
        begin.push_str(&link.text_of(&first));
        head.field_fmt("Content-Length", format_args!("{length}"));
        Ok(Answer {
            body: Body::Stream(begin.into_bytes(), Box::new(link), Framing::Length),
            ..self.end(head)
        })
    }

    /// What is computed of a file, and the first of it where that is there soon; nothing for a HEAD. Once its turn has come, an
    /// answer is waited for no longer than that: so that what fails at once has a status, and a slow disk gets its head.
    async fn computed(
        &self,
        kind: Kind,
        file: FileAnswer,
    ) -> Result<Option<(Vec<u8>, Stream)>, Stop> {
        if self.is_head() {
            return Ok(None);
        }
        let values = &self.shared.values;
        let stream = values.stream(kind, file.found, &file.etag, self.who);
        let mut stream = stream
            .await?
            .beside(Asker::new(self.client.taken(), file.path));
        let begun = timeout(FIRST_TURN, stream.begun());
        let begun = self.link.waits(begun).await?;
        begun.map_err(|_| Stop::Late)??;
        let first = match timeout(FIRST_BYTES, stream.next()).await {
            Ok(first) => first?.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        Ok(Some((first, stream)))
    }
}
