//! Reading answers: which part of the worker an answer is for, and what a refusal means.

use std::{
    borrow::Cow,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::Worker;
use crate::{
    client::{
        Error,
        net::{
            connection::Connection,
            decode::{Decoder, coded_twice, decoder, next},
            origin::shown,
            redirect::is_redirect,
        },
        schedule::{Answered, Ask, Fault, Flight, Work},
        task::FileTask,
    },
    escape::display_name,
    http1::{
        body_reader::{BodyReader, Framing},
        coding::Coding,
        response_head::{Denied, ResponseHead},
    },
};

/// Bytes of an error's text that are shown.
const SAID_MAX: usize = 256;
/// Bodies of errors and redirects are read up to this many bytes to keep the connection; beyond that it is closed.
const DRAIN_MAX: usize = 64 * 1024;

impl Worker {
    /// Reads the answer to the first request in flight; what came of it, and whether the connection can go on. Its
    /// beginning is awaited for `patience`, where that is given.
    pub(super) async fn answer(
        &mut self,
        flight: Flight,
        patience: Option<Duration>,
    ) -> (super::Answer, bool) {
        let Some(mut connection) = self.connection.take() else {
            let error = Error::Broken("not connected".into());
            return (Err(Fault::Broke(error)), false);
        };
        connection.own_pace = self.engine.pace_for(&flight.work);
        // The connection is put back only once the answer was read to its end.
        let head = tokio::select! {
            biased;
            () = self.engine.unawaited(self.slot) => return (Err(Fault::Interrupted), false),
            head = self.head(&mut connection, &flight, patience) => head,
        };
        self.awaited = self.awaited.saturating_sub(1);
        let (head, decoder) = match head {
            Ok(head) => head,
            Err(error) => return (Err(Fault::of(error, None)), false),
        };
        self.engine
            .with(|schedule| schedule.head_came(self.slot, Instant::now()));
        let body = BodyReader::new(head.framing.unwrap_or(Framing::Close));
        let mut reading = Reading {
            connection,
            head,
            body,
            decoder,
        };
        let origin = &self.server().origin;
        if reading.head.status / 100 == 3 {
            origin.keep_cookies(&reading.head.cookies);
        }
        let round = reading.connection.round;
        let asks_again = origin.is_challenged(&reading.head, round);
        let engine = Arc::clone(&self.engine);
        let is_listing = matches!(flight.work, Work::List(_) | Work::Browse(_));
        let done = if asks_again {
            engine.wanted(self.slot, reading.drain()).await;
            // The same once more, with the proof that is asked for: nobody is to blame.
            Err(Fault::Interrupted)
        } else {
            // Of what refuses or redirects nothing is kept before all of it is read.
            let keeps_nothing = !matches!(reading.head.status, 200 | 206) && !is_listing;
            tokio::select! {
                biased;
                () = engine.unwanted(self.slot), if keeps_nothing => Err(Fault::Interrupted),
                done = self.read(&mut reading, flight) => done,
            }
        };
        let in_step = reading.body.is_done() && self.check_end(&reading).is_ok();
        let open = in_step && reading.head.keep_alive && !matches!(done, Err(Fault::Broke(_)));
        if open {
            self.connection = Some(reading.connection);
        }
        (done, open)
    }

    /// The head of the next answer, awaited for `patience` where that is given, and what undoes its content's coding.
    async fn head(
        &self,
        connection: &mut Connection,
        flight: &Flight,
        patience: Option<Duration>,
    ) -> Result<(ResponseHead, Option<Decoder>), Error> {
        let head = connection.head(flight.ask == Ask::Head);
        let mut head = match patience {
            Some(patience) => tokio::time::timeout(patience, head)
                .await
                .unwrap_or(Err(Error::Timeout(patience))),
            None => head.await,
        }?;
        self.server().check(&head, &self.engine.settings.dir)?;
        judge(&mut head)?;
        let decoder = self.decoder(&flight.work, &mut head)?;
        Ok((head, decoder))
    }

    /// Reads an answer as what was asked for.
    async fn read(&mut self, reading: &mut Reading, flight: Flight) -> super::Answer {
        match flight.work {
            work @ (Work::Open(_) | Work::Run(..) | Work::Values(_))
                if is_redirect(reading.head.status) =>
            {
                self.redirected(reading, &work).await
            }
            Work::Browse(browse) => self.browsed(reading, browse).await,
            Work::List(task) => self.listed(reading, task).await,
            Work::Open(task) => self.opened(reading, task, &flight.ask, flight.at).await,
            Work::Run(file, run) => self.run_answered(reading, file, run).await,
            Work::Values(file) => self.values_answered(reading, file).await,
            Work::Spent => Ok(Answered::Opened),
        }
    }

    /// What undoes a content's coding; what the head tells of the coded content is forgotten then.
    fn decoder(&self, work: &Work, head: &mut ResponseHead) -> Result<Option<Decoder>, Error> {
        if head.status >= 300 || head.coding.is_none() {
            return Ok(None);
        }
        let decoder = match work {
            Work::Browse(_) | Work::List(_) => decoder(b"", head)?,
            Work::Open(task) => decoder(task.path.name(), head)?,
            // What has pieces is in its own form. It was when its first answer came.
            Work::Run(file, _) | Work::Values(file) => match self.engine.part(*file) {
                Some(part) if decoder(part.task.path.name(), head)?.is_some() => {
                    return Err(Error::Changed);
                }
                _ => None,
            },
            Work::Spent => None,
        };
        if decoder.is_some() {
            (head.length, head.ranges, head.pieces) = (None, false, false);
            (head.digest, head.blake3) = (None, None);
        }
        Ok(decoder)
    }

    /// A body has ended by its framing: what follows it can only be the answer to a request that was sent. Anything
    /// else would be taken for the answer to the next one.
    pub(super) fn check_end(&self, reading: &Reading) -> Result<(), Error> {
        if reading.connection.is_in_step(self.awaited > 0) {
            Ok(())
        } else {
            Err(Error::Protocol("the answer is longer than it says".into()))
        }
    }
}

/// An answer that is being read.
pub(super) struct Reading {
    pub connection: Connection,
    pub head: ResponseHead,
    pub body: BodyReader,
    /// Undoes what the server did to the content on the way.
    pub decoder: Option<Decoder>,
}

/// Takes a head for what it is. A `200` that says itself that it is a part is one, and is held against what was asked for
/// as any `206` is; a part of nobody knows what is an error.
fn judge(head: &mut ResponseHead) -> Result<(), Error> {
    if head.status == 203 {
        head.status = 200;
    }
    if head.status != 200 || !head.is_part {
        return Ok(());
    }
    let Some(range) = head.range else {
        let text = "the answer is a part that calls itself the whole";
        return Err(Error::Protocol(text.into()));
    };
    match (range.bytes, range.total) {
        (Some((0, last)), Some(total)) if last + 1 == total => {}
        _ => head.status = 206,
    }
    Ok(())
}

impl Reading {
    /// What comes next of the content, and how many bytes came for it; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<(usize, Cow<'_, [u8]>)>, Error> {
        next(&mut self.connection, &mut self.body, self.decoder.as_mut()).await
    }

    /// A body that ends with its connection looks whole wherever that is cut: only the listing's size can tell.
    pub(super) fn check_size(&self, task: &FileTask, received: u64) -> Result<(), Error> {
        let cut = self.head.framing == Some(Framing::Close)
            && task.size.is_some_and(|size| size != received);
        if cut {
            let text = "the server closed it before the size in its listing was reached";
            return Err(Error::Broken(text.into()));
        }
        Ok(())
    }

    /// A file that is compressed by itself, and that a server compresses once more as it sends it, has the same name and
    /// the same field: only its beginning tells.
    pub(super) fn check_coded_once(&self, content: &[u8]) -> Result<(), Error> {
        let is_own_form = self.head.coding == Some(Coding::Gzip) && self.decoder.is_none();
        if is_own_form && coded_twice(content) {
            return Err(Error::Encoded("gzip, gzip".into()));
        }
        Ok(())
    }

    /// The failure that the status means, its body read; `None` for a success.
    pub(super) async fn refused(&mut self) -> Option<Error> {
        let (status, retry_after) = (self.head.status, self.head.retry_after);
        // 201, 202, 204 and the like are no answer to GET that holds what was asked for.
        if matches!(status, 200 | 206) {
            return None;
        }
        let sent = self.connection.has_credentials;
        if status == 400 && !self.connection.is_tls() && self.speaks_of_https().await {
            return Some(Error::WantsTls);
        }
        let said = self.said().await;
        self.drain().await;
        if self.head.paused {
            return Some(Error::Paused);
        }
        if let Some(denied) = self.head.denied {
            let reason = |what: &str| {
                let said = said.as_deref().unwrap_or_default();
                let reason = said.strip_prefix(what).unwrap_or(said);
                reason.trim_start_matches(':').trim().to_owned()
            };
            return Some(match denied {
                Denied::Kicked => Error::Kicked(reason("kicked")),
                Denied::Banned => Error::Banned(reason("banned")),
            });
        }
        if status == 401 {
            // One of our kind says what this program says anyway.
            let server = self.head.server.as_deref().unwrap_or_default();
            let said = said.filter(|_| !server.starts_with("haul/"));
            let at = self.connection.at.clone();
            return Some(Error::Login { at, sent, said });
        }
        if status == 407 {
            return Some(Error::ProxyLogin);
        }
        if (300..400).contains(&status) {
            let location = self.head.location.as_deref().unwrap_or("nowhere");
            return Some(Error::Redirect(shown(location)));
        }
        Some(Error::Status {
            status,
            retry_after,
            said,
        })
    }

    /// The first line of what the server says about a refusal, escaped: where it is plain text, and says more than the
    /// status.
    async fn said(&mut self) -> Option<String> {
        let status = self.head.status;
        let head = &self.head;
        if !matches!(status, 401 | 403 | 429 | 503)
            || head.content_type != "text/plain"
            || head.coding.is_some()
        {
            return None;
        }
        let mut text = Vec::new();
        while text.len() < SAID_MAX
            && let Ok(Some(range)) = self.connection.chunk(&mut self.body).await
        {
            text.extend_from_slice(self.connection.bytes(range));
        }
        text.truncate(SAID_MAX);
        first_line(status, &text)
    }

    /// Whether the beginning of an error's body says that the port is for https, as haul, nginx, Go and Apache say it.
    async fn speaks_of_https(&mut self) -> bool {
        let Ok(Some(range)) = self.connection.chunk(&mut self.body).await else {
            return false;
        };
        let text = String::from_utf8_lossy(self.connection.bytes(range));
        text.to_ascii_lowercase().contains("https")
    }

    /// The fault that the status means, its body read.
    pub(super) async fn fault(&mut self) -> Fault {
        let error = self.refused().await.unwrap_or(Error::Changed);
        Fault::of(error, self.head.retry_after)
    }

    /// Reads what is left of a short body, so that the connection can go on.
    pub(super) async fn drain(&mut self) {
        let mut left = DRAIN_MAX;
        while let Ok(Some(Range { start, end })) = self.connection.chunk(&mut self.body).await {
            left = left.saturating_sub(end - start);
            if left == 0 {
                return;
            }
        }
    }
}

/// The first line of an error's text without the status that it may begin with; `None` where that says no more than
/// the status.
fn first_line(status: u16, text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let line = text.trim_start().lines().next()?.trim();
    let line = line
        .strip_prefix(&status.to_string())
        .unwrap_or(line)
        .trim_start();
    let code = http::StatusCode::from_u16(status).ok();
    let usual = code.and_then(|code| code.canonical_reason());
    if line.is_empty() || usual.is_some_and(|usual| usual.eq_ignore_ascii_case(line)) {
        return None;
    }
    Some(display_name(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::first_line;

    #[test]
    fn what_a_server_says_is_its_first_line_without_the_status() {
        for (text, said) in [
            ("403 kicked: enough\n", Some("kicked: enough")),
            ("\n too many\r\nof you", Some("too many")),
            ("403 Forbidden\n", None),
            ("forbidden", None),
            ("403\n", None),
            ("", None),
            ("a\u{1b}[2Jb", Some("a\\x1b[2Jb")),
        ] {
            let found = first_line(403, text.as_bytes());
            assert_eq!(found.as_deref(), said, "{text:?}");
        }
        assert_eq!(first_line(403, b"\xff").as_deref(), Some("\u{fffd}"));
    }
}
