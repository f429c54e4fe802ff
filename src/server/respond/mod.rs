//! From a request to an answer: status, fields, and what the body will be.

use std::sync::Arc;

use http::StatusCode;

use crate::{
    http1::{
        path::{PathError, RemotePath},
        request::Method,
        response::HeadWriter,
    },
    server::{
        people::standing::Denied,
        tree::{
            catalog::blocking,
            found::{AtOnce, Found},
        },
        work::Kind,
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
mod request;
mod small;

use link::Stop;
use refusal::{Failure, NOT_FOUND, fail, is_short_of_files};

pub use refusal::{gone, misdirected, refuse, too_many};
use request::{ALLOW, now};
pub use request::{Answer, Body, Framing, Output, Parts, Request};

impl Request<'_> {
    /// Decides, and writes the head and small bodies too. What fails before the body begins has a status.
    pub async fn answer(&self, output: &mut Output) -> Answer {
        let (bytes, files, held) = (output.bytes.len(), output.files.len(), output.held.len());
        let answer = match self.try_answer(output).await {
            Ok(answer) => answer,
            Err(stop) => {
                output.bytes.truncate(bytes);
                output.files.truncate(files);
                output.held.truncate(held);
                if let Stop::Io(error) = &stop
                    && is_short_of_files(error)
                {
                    // The next one should find room.
                    self.shared.registry.open().relieve(1);
                }
                self.refuse(&mut output.bytes, &Failure::from(&stop))
            }
        };
        self.count(&output.bytes[bytes..]);
        answer
    }

    /// Counts an answer by the status that its head begins with.
    fn count(&self, head: &[u8]) {
        let digits = head
            .strip_prefix(b"HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        let status = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        if let Some(status) = status {
            self.shared.registry.count_status(status);
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
        let goes_on = self.first || self.client.taken().is_taking(&path);
        if self.shared.drain.is_cancelled() && !goes_on {
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

    fn options(&self, out: &mut Vec<u8>) -> Answer {
        let mut head = HeadWriter::new(out, StatusCode::NO_CONTENT, now());
        head.field("Allow", ALLOW);
        self.end(head)
    }

    /// Answers what is refused before it is looked at.
    pub fn deny(&self, out: &mut Vec<u8>, why: impl Into<Failure>) -> Answer {
        let begin = out.len();
        let answer = self.refuse(out, &why.into());
        self.count(&out[begin..]);
        answer
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
