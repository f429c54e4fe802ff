//! Bodies of several parts: ranges of one file, and what is made while it is sent; and how they are framed.

use std::{fmt, io::Write as _, sync::Arc};

use super::{Connection, End};
use crate::{
    http1::path::RemotePath,
    server::{
        respond::{
            Framing, Output, Parts,
            chunks::{Chunk, Chunks},
            link::{Link, Stop},
        },
        tree::found::FoundFile,
    },
};

impl Connection<'_> {
    /// Sends part after part; on the screen they are ranges of one file.
    pub(super) async fn send_parts(&mut self, parts: Parts) -> Result<(), End> {
        let Parts {
            found,
            path,
            etag,
            body,
        } = parts;
        let (size, found) = (found.stamp.size, Arc::new(found));
        for (head, range) in body.parts() {
            let Some((_, attached)) = &self.attached else {
                return Err(End::Closed);
            };
            let flow = attached
                .client()
                .taken()
                .begin(&path, &etag, size, range.clone());
            self.output.bytes.extend_from_slice(head.as_bytes());
            self.send_file(&found, range, flow).await?;
        }
        self.output.bytes.extend_from_slice(body.end().as_bytes());
        Ok(())
    }

    /// Sends a body as it is made. Where it cannot be completed the connection breaks off, and never looks as if it had
    /// come to a good end.
    pub(super) async fn send_stream(
        &mut self,
        first: Vec<u8>,
        mut chunks: Box<dyn Chunks>,
        framing: Framing,
    ) -> Result<(), End> {
        if framing == Framing::Close {
            self.stream.reset_when_dropped(true)?;
        }
        self.output.frame(&first, framing);
        drop(first);
        loop {
            self.flush(false).await?;
            let link = Link::new(&self.stream, self.opened);
            let next = chunks.next(link, &mut self.output.files).await;
            match next {
                Ok(Chunk::Bytes(bytes)) => self.output.frame(&bytes, framing),
                Ok(Chunk::File(path, found)) => self.send_member(&path, found, framing).await?,
                Ok(Chunk::End) => break,
                Err(Stop::Gone) => return Err(End::Made(Stop::Gone)),
                Err(stop) => {
                    tracing::warn!(client = self.who(), "an answer breaks off: {stop}");
                    return Err(End::Made(stop));
                }
            }
        }
        self.output.end_frames(framing);
        self.flush(false).await?;
        if framing == Framing::Close {
            self.stream.reset_when_dropped(false)?;
        }
        Ok(())
    }

    /// A whole file, as a chunk of its own; on the screen it is a transfer like any other.
    async fn send_member(
        &mut self,
        path: &RemotePath,
        found: FoundFile,
        framing: Framing,
    ) -> Result<(), End> {
        let Some((_, attached)) = &self.attached else {
            return Err(End::Closed);
        };
        let (size, etag) = (found.stamp.size, found.stamp.etag());
        let flow = attached.client().taken().begin(path, &etag, size, 0..size);
        if framing == Framing::Chunked {
            self.output.put(format_args!("{size:x}\r\n"));
        }
        self.send_file(&Arc::new(found), 0..size, flow).await?;
        if framing == Framing::Chunked {
            self.output.put(format_args!("\r\n"));
        }
        Ok(())
    }
}

impl Output {
    /// Adds a part of a body, as a chunk where the body comes in chunks (RFC 9112 §7.1). One of no bytes would be the
    /// last, so it is none.
    fn frame(&mut self, part: &[u8], framing: Framing) {
        if part.is_empty() {
            return;
        }
        let chunked = framing == Framing::Chunked;
        if chunked {
            self.put(format_args!("{:x}\r\n", part.len()));
        }
        self.bytes.extend_from_slice(part);
        self.has_bodies = true;
        if chunked {
            self.put(format_args!("\r\n"));
        }
    }

    /// Ends a body that comes in chunks; another ends by its length, or with the connection.
    fn end_frames(&mut self, framing: Framing) {
        if framing == Framing::Chunked {
            self.put(format_args!("0\r\n\r\n"));
        }
    }

    fn put(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a Vec cannot fail.
        let _ = self.bytes.write_fmt(text);
    }
}
