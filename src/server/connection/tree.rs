//! A tree that leaves as one body: members from a buffer, large files straight from the disk.

use std::{io, sync::Arc};

use super::{Connection, End, made::CHUNK};
use crate::server::{
    respond::form::tar::{Step, Tar},
    tree::catalog::{FoundFile, blocking},
};

/// A tar file whose beginning stands in `chunk`.
pub struct Tree {
    /// What follows.
    pub tar: Tar,
    /// What was made and not yet sent.
    pub chunk: Vec<u8>,
    /// Whether the body is framed in chunks rather than by the connection's end.
    pub chunked: bool,
}

impl Connection<'_> {
    /// Sends a tree. What cannot be read, or changes while it is sent, breaks the connection off in the end: so a
    /// client learns that what it has is not everything.
    pub(in crate::server) async fn send_tree(&mut self, mut tree: Tree) -> Result<(), End> {
        loop {
            let permit = self.shared.listings.acquire().await;
            let mut small = std::mem::take(&mut self.output.files);
            let (next, small, step) = blocking(move || {
                let step = tree.tar.fill(&mut tree.chunk, &mut small, CHUNK)?;
                Ok((tree, small, step))
            })
            .await?;
            drop(permit);
            tree = next;
            self.output.files = small;
            self.output.frame(&tree.chunk, tree.chunked);
            tree.chunk.clear();
            match step {
                Step::More => self.flush(false).await?,
                Step::File(path, found) => {
                    let size = found.stamp.size;
                    if tree.chunked {
                        self.output.put(format_args!("{size:x}\r\n"));
                    }
                    self.send_member(&path, found).await?;
                    if tree.chunked {
                        self.output.put(format_args!("\r\n"));
                    }
                }
                Step::End { complete: false } => {
                    self.flush(false).await?;
                    return Err(io::Error::other("some files of the tree could not be read").into());
                }
                Step::End { complete: true } => {
                    self.output.end_frames(tree.chunked);
                    return Ok(self.flush(false).await?);
                }
            }
        }
    }

    /// A file's content; on the screen it is a transfer like any other.
    async fn send_member(
        &mut self,
        path: &crate::http1::path::RemotePath,
        found: FoundFile,
    ) -> Result<(), End> {
        let Some((_, attached)) = &self.attached else {
            return Err(End::Closed);
        };
        let (size, etag) = (found.stamp.size, found.stamp.etag());
        let flow = attached.client().begin(path, &etag, size, 0..size);
        self.send_file(&Arc::new(found), 0..size, flow).await
    }
}
