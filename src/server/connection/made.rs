//! Bodies that are made while they are sent: listings, and what is computed of files.

use super::{CHUNK, Connection, End};
use crate::server::respond::{Computed, Listing};

impl Connection<'_> {
    /// Sends a listing as it is made; where it cannot be, the connection breaks off.
    pub(super) async fn send_listing(&mut self, mut listing: Listing) -> Result<(), End> {
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
            if chunked {
                let size = format!("{:x}\r\n", chunk.len());
                self.output.bytes.extend_from_slice(size.as_bytes());
            }
            self.output.bytes.extend_from_slice(&chunk);
            self.output.has_bodies = true;
            if chunked {
                let end: &[u8] = if last { b"\r\n0\r\n\r\n" } else { b"\r\n" };
                self.output.bytes.extend_from_slice(end);
            }
            self.flush(false).await?;
            if last {
                return Ok(());
            }
            listing = next;
        }
    }

    /// Sends values as they are computed; where they cannot be, the connection breaks off.
    pub(super) async fn send_computed(&mut self, mut values: Computed) -> Result<(), End> {
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
