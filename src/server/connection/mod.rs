//! One client connection: requests in, answers out, in order.
//!
//! Answers gather in one buffer while further requests are there already; an idle connection has no buffer.

use std::{
    net::{IpAddr, SocketAddr},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use crate::http1::request::{Extent, Refusal, RequestHead, is_head};
use crate::server::{
    connection::lowat::Unsent,
    connection::send::{Broken, Sender},
    connection::stream::Stream,
    connection::table::Opened,
    people::clients::Attached,
    people::standing::Denied,
    people::taken::Flow,
    people::warnings,
    respond::{self, Answer, Body, Output, link::Link},
    shared::Shared,
    tree::{found::FoundFile, root},
};

mod closing;
mod drained;
mod end;
mod input;
pub mod lowat;
mod made;
pub mod min_rate;
pub mod send;
pub mod stream;
pub mod table;
mod whose;
pub use closing::turn_away;

use closing::{LINGER, linger};
use end::End;
use input::Input;
use whose::{Fingerprint, attach};

/// A head must be complete this long after its first byte, else 408.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Requests on one connection; the last answer says that it closes, and the client asks for the rest on another.
const MAX_REQUESTS: u32 = 10_000;
/// Answers that are held back for more, in bytes.
const FLUSH_AT: usize = 64 * 1024;
/// Serves one connection until it ends.
pub async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    opened: &Arc<Opened>,
) {
    let settings = &shared.settings;
    let unsent = match settings.min_rate {
        Some(_) => Unsent::always(&stream),
        None => Unsent::new(&stream),
    };
    let stream = tokio::select! {
        biased;
        () = opened.handle().cut() => return,
        stream = closing::open(stream, peer, settings.tls.as_ref()) => match stream {
            Some(stream) => stream,
            None => return,
        },
    };
    let mut connection = Connection {
        input: Input::default(),
        output: Output::default(),
        attached: None,
        local: stream.tcp().local_addr().ok(),
        stream,
        sender: Sender::new(settings.timeout, settings.min_rate, unsent)
            .telling(Arc::clone(opened)),
        peer,
        shared,
        opened,
    };
    let end = tokio::select! {
        biased;
        () = opened.handle().cut() => End::Cut,
        end = connection.run() => end,
    };
    tracing::debug!(client = connection.who(), "connection ended: {end}");
}

/// Whether a client at `peer`, which came to `local`, runs on this machine.
fn is_same_machine(local: IpAddr, peer: IpAddr) -> bool {
    peer.is_loopback() || local.to_canonical() == peer
}

struct Connection<'s> {
    input: Input,
    output: Output,
    attached: Option<(Fingerprint, Attached)>,
    stream: Stream,
    /// Where the client came to.
    local: Option<SocketAddr>,
    sender: Sender,
    peer: SocketAddr,
    shared: &'s Arc<Shared>,
    opened: &'s Opened,
}

impl Connection<'_> {
    async fn run(&mut self) -> End {
        for left in (0..MAX_REQUESTS).rev() {
            let result = match self.next_head().await {
                Ok(extent) => self.answer(extent, left > 0).await,
                Err(end) => Err(end),
            };
            match result {
                Ok(true) => {}
                Ok(false) => return self.close(End::Closed).await,
                Err(End::Refused(refusal)) => {
                    let to_head = is_head(self.input.pending());
                    respond::refuse(&mut self.output.bytes, &refusal, to_head);
                    let (code, why) = (refusal.status.as_u16(), refusal.why);
                    let warns = self.shared.registry.refused(self.peer.ip(), code);
                    warnings::tell(&self.who(), warns, format_args!("{code} {why}"));
                    return self.close(End::Refused(refusal)).await;
                }
                Err(end) => {
                    if matches!(end, End::Closed | End::Truncated | End::Idle | End::Drained) {
                        // TLS has an end of its own, which an answer that is cut off must not have (RFC 9112 §9.8).
                        let _ = timeout(LINGER.1, self.stream.shutdown()).await;
                    }
                    return end;
                }
            }
        }
        self.close(End::Closed).await
    }

    fn who(&self) -> String {
        match &self.attached {
            Some((_, attached)) => attached.client().who().to_owned(),
            None => self.peer.ip().to_string(),
        }
    }

    /// Waits for a complete head. Whenever it has to wait, it writes first what is due.
    async fn next_head(&mut self) -> Result<Extent, End> {
        let mut deadline = None;
        // Over TLS the socket can be readable, again and again, without any byte of a request being there.
        let mut idle = None;
        loop {
            if let Some(extent) = self.input.find_head().map_err(End::Refused)? {
                self.opened.handle().busy();
                return Ok(extent);
            }
            let read = self.try_read();
            if matches!(read, Ok(true)) {
                idle = None;
                continue;
            }
            match read {
                Ok(_) => self.flush(false).await?,
                // It has closed its side, and may still read (RFC 9112 §9.6). Where it is paused, that is not waited for.
                Err(end) => {
                    let time = self.shared.settings.timeout;
                    let _ = timeout(time, self.flush(false)).await;
                    return Err(end);
                }
            }
            self.opened.awaits_request();
            if self.input.pending().is_empty() {
                let time = self.shared.settings.timeout;
                let until = *idle.get_or_insert_with(|| Instant::now() + time);
                self.wait_idle(until).await?;
            } else {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + HEAD_TIME);
                match timeout_at(deadline, self.stream.readable()).await {
                    Ok(ready) => ready?,
                    Err(_) => {
                        return Err(End::Refused(Refusal {
                            status: StatusCode::REQUEST_TIMEOUT,
                            why: "the request was not complete in 10 s",
                        }));
                    }
                }
            }
        }
    }

    /// Reads what is there; `false` means that nothing is.
    fn try_read(&mut self) -> Result<bool, End> {
        match self.input.read(&mut self.stream) {
            Ok(0) if self.input.pending().is_empty() => Err(End::Closed),
            Ok(0) => Err(End::Truncated),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn wait_idle(&mut self, until: Instant) -> Result<(), End> {
        self.input.tidy();
        self.output = Output::default();
        self.stream.rest();
        let wait = timeout_at(until, self.stream.readable());
        tokio::select! {
            biased;
            () = self.drained() => Err(End::Drained),
            ready = wait => match ready {
                Ok(ready) => Ok(ready?),
                Err(_) => Err(End::Idle),
            },
        }
    }

    /// Answers one request; returns whether the connection goes on. It does not where it `may` not.
    async fn answer(&mut self, extent: Extent, may: bool) -> Result<bool, End> {
        let head = &self.input.pending()[extent.start..extent.end];
        let head = RequestHead::parse(head).map_err(End::Refused)?;
        let Shared {
            settings,
            registry,
            work,
            ..
        } = &**self.shared;
        let is_meant = (settings.names).are_asked_for(head.authority, settings.tls.as_ref());
        // Who is banned buys no checking of a password, and a page that is not from here gets no question for a login.
        let banned = registry.banned(self.peer.ip());
        let proved = if banned.is_some() || !is_meant {
            Ok(None)
        } else {
            let checked = (settings.access).check(head.authorization, self.peer.ip(), work);
            // Who leaves is not checked, and its place is free.
            let link = Link::new(&self.stream, self.opened);
            link.may_wait(checked).await.map_err(End::Made)?
        };
        let first = self.attached.is_none();
        let attached = attach(
            &mut self.attached,
            self.shared,
            self.peer,
            &head,
            proved.as_ref().map_or(None, Option::as_deref),
            self.opened,
        );
        self.shared.registry.count_request();
        let admitted = match (banned, &proved) {
            (Some(reason), _) => Err(Denied::Banned(reason)),
            (None, proved) => attached.admit(is_meant && proved.is_ok(), std::time::Instant::now()),
        };
        let catalog = if head.path == b"/" {
            root::current(self.shared).await
        } else {
            self.shared.catalog()
        };
        let request = respond::Request {
            shared: self.shared,
            link: Link::new(&self.stream, self.opened),
            catalog: &catalog,
            client: attached.client(),
            who: &attached.peer().who,
            logged_in: matches!(proved, Ok(Some(_))),
            head: &head,
            scheme: self.shared.settings.scheme(),
            port: self.local.map_or(0, |local| local.port()),
            is_local: self
                .local
                .is_some_and(|local| is_same_machine(local.ip(), self.peer.ip())),
            first,
            keep: may && head.keep_alive && !head.has_body,
        };
        let answer = match (admitted, proved) {
            (Ok(()), _) if !is_meant => {
                let failure = respond::misdirected(head.authority);
                request.deny(&mut self.output.bytes, failure)
            }
            (Ok(()), Ok(_)) => match self.shared.gone() {
                Some(_) => request.deny(&mut self.output.bytes, respond::gone()),
                None => request.answer(&mut self.output).await,
            },
            (Err(denied), _) => request.deny(&mut self.output.bytes, &denied),
            (_, Err(unproved)) => request.deny(&mut self.output.bytes, &unproved),
        };
        self.input.consume(extent.end);
        self.send_answer(answer).await
    }

    /// Sends what was decided; returns whether the connection goes on.
    async fn send_answer(&mut self, answer: Answer) -> Result<bool, End> {
        match answer.body {
            Body::Written => {
                if self.output.bytes.len() >= FLUSH_AT {
                    self.flush(false).await?;
                }
            }
            Body::File(found, range, flow) => self.send_file(&Arc::new(found), range, flow).await?,
            Body::Parts(parts) => self.send_parts(parts).await?,
            Body::Stream(first, chunks, framing) => {
                self.send_stream(first, chunks, framing).await?;
            }
        }
        tokio::task::consume_budget().await;
        Ok(answer.keep)
    }

    /// Writes what has gathered; only then do small files count as sent.
    async fn flush(&mut self, more: bool) -> Result<(), Broken> {
        if self.output.bytes.is_empty() {
            return Ok(());
        }
        let (stream, bytes) = (&mut self.stream, &self.output.bytes);
        match &self.attached {
            Some((_, attached)) if self.output.has_bodies => {
                self.sender
                    .send_paced(stream, bytes, more, attached)
                    .await?;
            }
            _ => self.sender.send(stream, bytes, more).await?,
        }
        self.output.has_bodies = false;
        self.output.bytes.clear();
        self.output.bytes.shrink_to(FLUSH_AT);
        self.output.held.clear();
        if let Some((_, attached)) = &self.attached {
            attached.client().taken().took_small(&mut self.output.files);
        }
        Ok(())
    }

    /// Sends a range of a file behind what has gathered.
    async fn send_file(
        &mut self,
        found: &Arc<FoundFile>,
        range: Range<u64>,
        flow: Flow,
    ) -> Result<(), End> {
        let result = match (self.flush(true).await, &self.attached) {
            (Ok(()), Some((_, attached))) => {
                let (sender, stream) = (&mut self.sender, &mut self.stream);
                sender
                    .send_range(stream, found, range, &flow, attached)
                    .await
            }
            (result, _) => result,
        };
        if let Err(error) = result {
            // A client that has others closes one to use it elsewhere, as ours do: the last one tells.
            let attached = self.attached.as_ref();
            let others = attached.is_some_and(|(_, attached)| attached.has_others());
            if others && error.is_reset() {
                flow.leave(error.to_string());
            } else {
                flow.abort(error.to_string());
            }
            return Err(error.into());
        }
        Ok(())
    }

    /// Ends the connection so that the client gets to see the last answer.
    async fn close(&mut self, end: End) -> End {
        if let Err(error) = self.flush(false).await {
            return End::Broken(error);
        }
        linger(&mut self.stream).await;
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_machine_is_loopback_or_the_very_address() {
        let is_same = |local: &str, peer: &str| {
            is_same_machine(local.parse().unwrap(), peer.parse().unwrap())
        };
        assert!(is_same("127.0.0.1", "127.0.0.9") && is_same("::1", "::1"));
        assert!(is_same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!is_same("192.0.2.1", "192.0.2.2") && !is_same("fe80::1", "fe80::2"));
    }
}
