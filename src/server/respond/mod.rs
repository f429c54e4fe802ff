//! From a request to an answer: status, fields, and what the body will be.

use std::{ops::Range, sync::Arc, time::SystemTime};

use http::StatusCode;

use crate::{
    http1::{
        date,
        multipart::Multipart,
        path::{PathError, RemotePath},
        request::{Method, RequestHead},
        response::HeadWriter,
    },
    server::{
        people::{
            clients::Client,
            peers::Who,
            standing::Denied,
            taken::{Flow, SmallFile},
        },
        shared::Shared,
        tree::catalog::{AtOnce, Catalog, Found, FoundFile, blocking},
        work::{Kind, budget::Held},
    },
};

pub mod chunks;
mod computed;
mod dir;
mod file;
pub mod form;
mod kind;
pub mod link;
mod refusal;

use chunks::Chunks;
use form::{listing::Format, page};
use link::{Link, Stop};
use refusal::{Failure, NOT_FOUND, fail};

pub use refusal::{misdirected, refuse, too_many};

/// The methods that are served.
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// One request on its way to an answer.
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

fn now() -> u64 {
    date::seconds(SystemTime::now())
}

impl Request<'_> {
    /// Decides, and writes the head and small bodies too. What fails before the body begins has a status.
    pub async fn answer(&self, output: &mut Output) -> Answer {
        let (bytes, files, held) = (output.bytes.len(), output.files.len(), output.held.len());
        match self.try_answer(output).await {
            Ok(answer) => answer,
            Err(stop) => {
                output.bytes.truncate(bytes);
                output.files.truncate(files);
                output.held.truncate(held);
                self.refuse(&mut output.bytes, &Failure::from(&stop))
            }
        }
    }

    async fn try_answer(&self, output: &mut Output) -> Result<Answer, Stop> {
        let out = &mut output.bytes;
        match self.head.method {
            Method::Get | Method::Head => {}
            Method::Options => return Ok(self.options(out)),
            Method::Forbidden(_) => {
                let failure = fail(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
                return Ok(self.refuse(out, &failure));
            }
            Method::Unknown(_) => {
                let failure = fail(StatusCode::NOT_IMPLEMENTED, "unknown method");
                return Ok(self.refuse(out, &failure));
            }
        }
        let path = match RemotePath::from_target(self.head.path) {
            Ok(path) => path,
            // Nothing is wrong with it, but no file can have it.
            Err(PathError::Long) => return Ok(self.refuse(out, &NOT_FOUND)),
            Err(_) => {
                let failure = fail(StatusCode::BAD_REQUEST, "malformed path");
                return Ok(self.refuse(out, &failure));
            }
        };
        if self.shared.drain.is_cancelled() && !self.client.taken().is_taking(&path) {
            return Ok(self.refuse(out, &Failure::from(&Denied::Draining)));
        }
        match self.find(&path).await? {
            Found::File(_) if path.is_dir() => Ok(self.refuse(out, &NOT_FOUND)),
            Found::File(found) => self.file(path, found, output).await,
            Found::Dir(dir) => self.dir(path, dir, output).await,
        }
    }

    /// What a path leads to.
    async fn find(&self, path: &RemotePath) -> Result<Found, Stop> {
        let mount = match self.catalog.find_at_once(path)? {
            AtOnce::Found(found) => return Ok(found),
            AtOnce::Blocks(mount) => mount,
        };
        let (catalog, path) = (Arc::clone(self.catalog), path.clone());
        if mount.is_none() {
            return Ok(blocking(move || catalog.find_blocking(&path)).await?);
        }
        let place = self.shared.work.enter(Kind::Remote, mount, self.who)?;
        let turn = self.link.turn(&place).await?;
        let asked = blocking(move || {
            let _turn = turn;
            catalog.find_blocking(&path)
        });
        let mut found = self.link.asked(mount, asked).await?;
        if let Found::File(found) = &mut found {
            found.place = Some(Arc::new(place));
        }
        Ok(found)
    }

    fn is_head(&self) -> bool {
        self.head.method == Method::Head
    }

    fn written(&self) -> Answer {
        Answer {
            body: Body::Written,
            keep: self.keep,
        }
    }

    fn end(&self, mut head: HeadWriter<'_>) -> Answer {
        head.connection(self.keep, self.head.http10);
        head.end();
        self.written()
    }

    fn options(&self, out: &mut Vec<u8>) -> Answer {
        let mut head = HeadWriter::new(out, StatusCode::NO_CONTENT, now());
        head.field("Allow", ALLOW);
        self.end(head)
    }

    /// Answers what is refused before it is looked at.
    pub fn deny(&self, out: &mut Vec<u8>, why: impl Into<Failure>) -> Answer {
        self.refuse(out, &why.into())
    }
}

/// Whether a query asks for something by name: `name` or `name=…`, alone or beside others.
fn asks_for(query: Option<&[u8]>, name: &str) -> bool {
    asked(query, name).is_some()
}

/// What a query says behind a name, perhaps nothing; `None` where it does not name it.
fn asked<'q>(query: Option<&'q [u8]>, name: &str) -> Option<&'q [u8]> {
    let parts = query?.split(|b| *b == b'&');
    let mut rests = parts.filter_map(|part| part.strip_prefix(name.as_bytes()));
    rests.find_map(|rest| match rest {
        [] => Some(rest),
        [b'=', value @ ..] => Some(value),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
