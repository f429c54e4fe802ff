//! One connection to a server: requests out, answers in, with one reused buffer and a limit on silence.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use memchr::memchr;
use tokio::time::Instant;

use crate::{
    client::{
        Error,
        net::stream::Stream,
        net::{origin::Origin, request::Ask},
    },
    http1::{
        body_reader::{BodyReader, Step},
        response_head::{HEAD_MAX, ResponseHead},
    },
    pace::{Pace, share_grant},
    tls::Fingerprint,
};

/// Bytes of the read buffer. What is read is hashed and written while it is in the cache: 1 MiB was 4 times slower.
const BUFFER: usize = 256 * 1024;

/// Interim answers (1xx) that are skipped before an answer; one more counts as the answer.
const INTERIM_MAX: u32 = 16;

/// A head of up to this many bytes is parsed at each read: what is no HTTP shows at its beginning.
const SHORT_HEAD: usize = 8 * 1024;

/// A connection. Dropping it closes it, whatever is in flight.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// Where it leads: host and port.
    pub at: String,
    /// Whether requests carry a login.
    pub has_credentials: bool,
    /// `start..end` is unread input.
    input: Box<[u8]>,
    start: usize,
    end: usize,
    output: Vec<u8>,
    /// The origin's round in which each request was written that has no answer yet.
    rounds: VecDeque<u32>,
    /// That of the request whose answer was begun last.
    pub round: u32,
    silence: Duration,
    pace: Arc<Pace>,
    /// A limit within that one, of what is read now.
    pub own_pace: Option<Arc<Pace>>,
    /// How long the connection took to make: about one round trip, three with TLS.
    pub rtt: Duration,
}

impl Connection {
    /// Connects to `origin`. Later calls fail once the server is silent for `silence`, and read no faster than `pace`.
    pub async fn open(origin: &Origin, silence: Duration, pace: &Arc<Pace>) -> Result<Self, Error> {
        let began = Instant::now();
        let stream = Stream::open(origin, silence).await?;
        Ok(Self {
            stream,
            at: origin.authority(),
            has_credentials: origin.has_credentials(),
            input: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            output: Vec::new(),
            rounds: VecDeque::new(),
            round: 0,
            silence,
            pace: Arc::clone(pace),
            own_pace: None,
            rtt: began.elapsed(),
        })
    }

    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// The certificate that the server was believed for, see [`Stream::certificate`].
    pub fn certificate(&self) -> Option<Fingerprint> {
        self.stream.certificate()
    }

    /// Ends it now, whatever is in flight: nothing more is read.
    pub fn close(&mut self) {
        self.stream.close();
    }

    /// Puts a request behind those that wait to be sent.
    pub fn queue(&mut self, origin: &Origin, target: &str, ask: Ask<'_>) {
        self.has_credentials = origin.has_credentials();
        self.rounds.push_back(origin.round());
        origin.write_request(&mut self.output, target, ask);
    }

    /// Bytes of requests that wait to be sent.
    pub fn queued(&self) -> usize {
        self.output.len()
    }

    /// Sends what waits.
    pub async fn flush(&mut self) -> Result<(), Error> {
        if !self.output.is_empty() {
            let sent =
                tokio::time::timeout(self.silence, self.stream.write_all(&self.output)).await;
            sent.map_err(|_| Error::Timeout(self.silence))?
                .map_err(Error::net)?;
            self.output.clear();
        }
        Ok(())
    }

    /// Reads the next answer's head; interim ones (1xx) are skipped. Once one has begun, all of its rest is waited for as long
    /// as the server may be silent: a byte now and then would hold the connection for ever.
    pub async fn head(&mut self, to_head: bool) -> Result<ResponseHead, Error> {
        let (mut interim, mut scanned, mut patience) = (0, 0, self.silence);
        loop {
            let input = &self.input[self.start..self.end];
            // A long head that comes bit by bit is parsed once its end is here.
            let worth = scanned == 0
                || input.len() <= SHORT_HEAD
                || input.len() >= HEAD_MAX
                || ends(&input[scanned..]);
            let head = if worth {
                ResponseHead::parse(input, to_head)?
            } else {
                None
            };
            scanned = input.len().saturating_sub(2);
            if let Some((head, length)) = head {
                self.start += length;
                scanned = 0;
                if (100..200).contains(&head.status) && interim < INTERIM_MAX {
                    interim += 1;
                    patience = self.silence;
                    continue;
                }
                self.round = self.rounds.pop_front().unwrap_or_default();
                return Ok(head);
            }
            let has_begun = self.has_input();
            let (read, waited) = self.fill(patience).await?;
            if has_begun {
                patience = patience.saturating_sub(waited);
            }
            if read == 0 {
                let text = if input_is_empty(self) {
                    "the server closed it"
                } else {
                    "the server closed it in an answer"
                };
                return Err(Error::Broken(text.into()));
            }
        }
    }

    /// Reads on in a body: where the next bytes stand (see [`Self::bytes`]), or `None` at its end. They are used up.
    pub async fn chunk(&mut self, body: &mut BodyReader) -> Result<Option<Range<usize>>, Error> {
        loop {
            match body.step(&self.input[self.start..self.end])? {
                Step::Data { skip, len } => {
                    let at = self.start + skip;
                    self.start = at + len;
                    return Ok(Some(at..at + len));
                }
                Step::End { skip } => {
                    self.start += skip;
                    return Ok(None);
                }
                Step::More { skip } => {
                    self.start += skip;
                    if self.fill(self.silence).await?.0 == 0 {
                        body.eof()?;
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The bytes that [`Self::chunk`] found; valid until the next read.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.input[range]
    }

    /// Reads a whole body of at most `max` bytes into `into`.
    pub async fn read_body(
        &mut self,
        body: &mut BodyReader,
        into: &mut Vec<u8>,
        max: usize,
    ) -> Result<(), Error> {
        while let Some(range) = self.chunk(body).await? {
            if into.len() + range.len() > max {
                return Err(Error::Protocol(format!(
                    "an answer of more than {max} bytes"
                )));
            }
            into.extend_from_slice(self.bytes(range));
        }
        Ok(())
    }

    /// Whether input is here that was not read yet: the next read will not wait.
    pub fn has_input(&self) -> bool {
        self.start < self.end
    }

    /// Whether what follows an answer may be the next one, if that is `awaited`; else nothing may follow.
    pub fn is_in_step(&self, awaited: bool) -> bool {
        const BEGINNING: &[u8] = b"HTTP/1.";
        let input = &self.input[self.start..self.end];
        let n = input.len().min(BEGINNING.len());
        n == 0 || (awaited && input[..n] == BEGINNING[..n])
    }

    /// Reads more input, for which the server has so much time: how much it was, 0 when the server closed, and how long it
    /// took. Cancelling it loses nothing.
    async fn fill(&mut self, patience: Duration) -> Result<(usize, Duration), Error> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.input.len() {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // What is not read waits in the sockets' buffers, and then the server does.
        let room = self.input.len() - self.end;
        let grant = share_grant(self.own_pace.as_deref(), &self.pace, room as u64).await;
        let place = &mut self.input[self.end..][..grant.bytes() as usize];
        let asked = Instant::now();
        let read = tokio::time::timeout(patience, self.stream.read(place)).await;
        let n = read
            .map_err(|_| Error::Timeout(self.silence))?
            .map_err(Error::net)?;
        grant.used(n as u64);
        self.end += n;
        Ok((n, asked.elapsed()))
    }
}

/// Whether an empty line is in `input`. It is looked for from the front, where a head ends: much may be behind that.
fn ends(mut input: &[u8]) -> bool {
    while let Some(at) = memchr(b'\n', input) {
        input = &input[at + 1..];
        if matches!(input, [b'\n', ..] | [b'\r', b'\n', ..]) {
            return true;
        }
    }
    false
}

fn input_is_empty(connection: &Connection) -> bool {
    connection.start == connection.end
}
