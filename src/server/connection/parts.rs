//! Several ranges of one file, as one body.

use std::sync::Arc;

use super::{Connection, End};
use crate::{
    http1::{multipart::Multipart, path::RemotePath},
    server::tree::catalog::FoundFile,
};

/// What stands behind the head of such an answer.
pub struct Parts {
    /// The file.
    pub found: FoundFile,
    /// Under which path it was asked for.
    pub path: RemotePath,
    /// Its entity tag.
    pub etag: String,
    /// Its ranges, and what stands around them.
    pub body: Multipart,
}

impl Connection<'_> {
    /// Sends part after part; on the screen they are ranges of one file.
    pub(in crate::server) async fn send_parts(&mut self, parts: Parts) -> Result<(), End> {
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
            let flow = attached.client().begin(&path, &etag, size, range.clone());
            self.output.bytes.extend_from_slice(head.as_bytes());
            self.send_file(&found, range, flow).await?;
        }
        self.output.bytes.extend_from_slice(body.end().as_bytes());
        Ok(())
    }
}
