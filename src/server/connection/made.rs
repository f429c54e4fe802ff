//! Bodies that are made while they are sent: listings, digests, and how they are framed.

use std::{fmt, io::Write as _};

use super::{Connection, End, Output};
use crate::server::respond::{Computed, Listing};

/// A listing's chunks, in bytes.
pub(in crate::server) const CHUNK: usize = 64 * 1024;

impl Connection<'_> {
    /// Sends a listing as it is made; where it cannot be, the connection breaks off.
    pub(in crate::server) async fn send_listing(
        &mut self,
        mut listing: Listing,
    ) -> Result<(), End> {
        let (chunked, is_slow) = (listing.chunked, listing.is_slow());
        loop {
            if is_slow {
                self.flush(false).await?;
            }
            let (next, chunk, last) = tokio::select! {
                biased;
                made = listing.next(self.shared, CHUNK) => made?,
                () = self.stream.gone(), if is_slow => return Err(End::Closed),
            };
            self.output.frame(&chunk, chunked);
            if last {
                self.output.end_frames(chunked);
                return Ok(self.flush(false).await?);
            }
            self.flush(false).await?;
            listing = next;
        }
    }

    /// Sends values as they are computed; where they cannot be, the connection breaks off.
    pub(in crate::server) async fn send_computed(
        &mut self,
        mut values: Computed,
    ) -> Result<(), End> {
        loop {
            self.flush(false).await?;
            let next = tokio::select! {
                biased;
                next = values.next() => next,
                // Nobody computes for who does not wait for it any more.
                () = self.stream.gone() => return Err(End::Closed),
            };
            match next {
                Ok(Some(bytes)) => {
                    self.output.bytes.extend_from_slice(&bytes);
                    self.output.has_bodies = true;
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    tracing::warn!(client = self.who(), "cannot send values: {error}");
                    return Err(error.into());
                }
            }
        }
    }
}

impl Output {
    /// Adds a part of a body, as a chunk where the body comes in `chunked` (RFC 9112 §7.1). One of no bytes would be
    /// the last, so it is none.
    pub(in crate::server) fn frame(&mut self, part: &[u8], chunked: bool) {
        if part.is_empty() {
            return;
        }
        if chunked {
            self.put(format_args!("{:x}\r\n", part.len()));
        }
        self.bytes.extend_from_slice(part);
        self.has_bodies = true;
        if chunked {
            self.put(format_args!("\r\n"));
        }
    }

    /// Ends a body that comes in chunks; another ends with the connection.
    pub(in crate::server) fn end_frames(&mut self, chunked: bool) {
        if chunked {
            self.put(format_args!("0\r\n\r\n"));
        }
    }

    pub(in crate::server) fn put(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a Vec cannot fail.
        let _ = self.bytes.write_fmt(text);
    }
}
