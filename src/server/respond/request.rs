//! A request on its way, and what an answer is: all that the ways to answer share.

use std::{ops::Range, sync::Arc, time::SystemTime};

use super::{chunks::Chunks, link::Link};
use crate::{
    http1::{
        date,
        multipart::Multipart,
        path::RemotePath,
        request::{Method, RequestHead},
        response::HeadWriter,
    },
    server::{
        people::{
            clients::Client,
            peers::Who,
            taken::{Flow, SmallFile},
        },
        shared::Shared,
        tree::{catalog::Catalog, found::FoundFile},
        work::budget::Held,
    },
};

/// The methods that are served.
pub(super) const ALLOW: &str = "GET, HEAD, OPTIONS";

/// One request on its way to an answer.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Request<'a> {
    /// What all connections share.
    pub shared: &'a Arc<Shared>,
    /// The connection that waits for the answer.
    pub link: Link<'a>,
    /// The directory that is served at its time.
    pub catalog: &'a Arc<Catalog>,
    /// Who asks.
    pub client: &'a Arc<Client>,
    /// Whom limits and bans take it for.
    pub who: &'a Who,
    /// Whether it proved who it is.
    pub logged_in: bool,
    /// What is asked.
    pub head: &'a RequestHead<'a>,
    /// `http` or `https`: how the client reached the server.
    pub scheme: &'static str,
    /// The port on which it did.
    pub port: u16,
    /// Whether the client runs on this machine.
    pub is_local: bool,
    /// Whether it is the first one of its connection: it was on its way before the server began to stop.
    pub first: bool,
    /// Whether the connection may go on.
    pub keep: bool,
}

/// Answers that wait to be written, and the small files among them.
#[derive(Default)]
pub struct Output {
    /// Heads, and bodies that were read whole.
    pub bytes: Vec<u8>,
    /// Whether there is more among them than heads and refusals: limits and pauses are about bodies.
    pub has_bodies: bool,
    /// The small files among them.
    pub files: Vec<SmallFile>,
    /// What the larger of these files hold of the server's memory.
    pub held: Vec<Held>,
}

/// What was decided about a request, once its head stands in the output.
pub struct Answer {
    /// What follows the head.
    pub body: Body,
    /// Whether the connection goes on.
    pub keep: bool,
}

/// What follows a head.
pub enum Body {
    /// Nothing: the answer is complete.
    Written,
    /// A range of a file.
    File(FoundFile, Range<u64>, Flow),
    /// Several ranges of a file.
    Parts(Parts),
    /// What is made while it is sent: its first bytes, and what makes the rest.
    Stream(Vec<u8>, Box<dyn Chunks>, Framing),
}

/// Several ranges of one file, as one body.
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

/// How a reader finds the end of a body that is made while it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By its length, which stood in the head.
    Length,
    /// By its last chunk (RFC 9112 §7.1).
    Chunked,
    /// By the connection's end, which must not look good unless all was sent.
    Close,
}

pub(super) fn now() -> u64 {
    date::seconds(SystemTime::now())
}

impl Request<'_> {
    pub(super) fn is_head(&self) -> bool {
        self.head.method == Method::Head
    }

    pub(super) fn written(&self) -> Answer {
        Answer {
            body: Body::Written,
            keep: self.keep,
        }
    }

    pub(super) fn end(&self, mut head: HeadWriter<'_>) -> Answer {
        head.connection(self.keep, self.head.http10);
        head.end();
        self.written()
    }
}
