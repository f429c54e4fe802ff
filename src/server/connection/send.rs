//! Getting bytes out: what stands in a buffer, and ranges of files (by `sendfile`, or encrypted), no faster than is
//! allowed.

use std::{io, ops::Range, os::fd::AsFd as _, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncWriteExt as _, Interest},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::server::{
    connection::lowat::Unsent,
    connection::min_rate::Floor,
    connection::stream::{Stream, Tls},
    connection::table::Opened,
    people::clients::Attached,
    people::taken::Flow,
    settings::MinRate,
    tree::{
        catalog::blocking,
        found::{FoundFile, Opened as OpenFile, Since},
    },
};
use crate::sys::send::{is_cached, is_memory, read_ahead, send_file, send_more};

/// Bytes that one call sends at most: counters move and other connections get their turn after each.
const CHUNK: u64 = 1 << 20;

/// Bytes that are read at once of a file system that may hang; they are held in memory.
const REMOTE_CHUNK: u64 = 256 * 1024;

/// A timer that is later than this went off in a process that did not run.
const STOPPED: Duration = Duration::from_secs(1);

/// Why a connection ended before its answer did.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The socket or the disk failed.
    #[error("{}", crate::exit::reason(.0))]
    Io(#[from] io::Error),
    /// The client took nothing for the time limit.
    #[error("the client read nothing for {}", crate::units::took(*.0))]
    Stalled(Duration),
    /// The client took less than it must.
    #[error("the client read less than {0}")]
    Slow(crate::units::Rate),
    /// The file became shorter while it was sent.
    #[error("the file was truncated while it was sent")]
    Truncated,
    /// The file system said nothing for the time limit.
    #[error("the file system did not answer for {}", crate::units::took(*.0))]
    Hangs(Duration),
    /// The file changed while it was sent.
    #[error("the file changed while it was sent")]
    Changed,
}

impl Broken {
    /// Whether the client closed the connection.
    pub fn is_reset(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        matches!(self, Self::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset))
    }
}

/// How one connection's bytes go out.
#[derive(Debug)]
pub struct Sender {
    /// How long a client may take nothing.
    limit: Duration,
    floor: Floor,
    unsent: Unsent,
    /// Who is told while the client is waited for.
    opened: Option<Arc<Opened>>,
}

impl Sender {
    /// A client that takes nothing for `limit`, or less than `min_rate` asks for, breaks the connection off.
    pub fn new(limit: Duration, min_rate: Option<MinRate>, unsent: Unsent) -> Self {
        Self {
            limit,
            floor: Floor::new(min_rate),
            unsent,
            opened: None,
        }
    }

    /// The same, on a connection that may be closed for a client that lets it wait.
    pub fn telling(mut self, opened: Arc<Opened>) -> Self {
        self.opened = Some(opened);
        self
    }

    /// Sends all of `bytes`, at once. `more` says that a file's bytes follow.
    pub async fn send(
        &mut self,
        stream: &mut Stream,
        mut bytes: &[u8],
        more: bool,
    ) -> Result<(), Broken> {
        let stream = match stream {
            Stream::Plain(tcp) => &*tcp,
            Stream::Tls(tls) => return self.send_tls(tls, bytes).await,
        };
        while !bytes.is_empty() {
            // Straight to the socket first: waiting costs a timer.
            let sent = match attempt(stream, bytes, more) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let write = stream.async_io(Interest::WRITABLE, || {
                        retry_interrupted(|| attempt_raw(stream, bytes, more))
                    });
                    self.wait(write).await?
                }
                result => result?,
            };
            self.sent(stream, sent as u64);
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// The same, encrypted.
    async fn send_tls(&mut self, tls: &mut Tls, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let sent = self.wait(tls.stream.write(bytes)).await?;
            self.floor.sent(sent as u64);
            bytes = &bytes[sent..];
        }
        self.wait(tls.stream.flush()).await
    }

    /// Sends all of `bytes` as they are allowed to go.
    pub async fn send_paced(
        &mut self,
        stream: &mut Stream,
        mut bytes: &[u8],
        more: bool,
        attached: &Attached,
    ) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let count = self.allowance(stream, attached, bytes.len() as u64).await? as usize;
            let (now, later) = bytes.split_at(count);
            self.send(stream, now, more && later.is_empty()).await?;
            bytes = later;
        }
        Ok(())
    }

    /// Sends a range of a file and counts it in `flow`, chunk by chunk, as they are allowed to go.
    ///
    /// The file is looked at again before its last chunk: one that shrank or changed breaks the connection off, and is
    /// never padded. One that has grown goes through as it was when it was asked for.
    pub async fn send_range(
        &mut self,
        stream: &mut Stream,
        found: &Arc<FoundFile>,
        range: Range<u64>,
        flow: &Flow,
        attached: &Attached,
    ) -> Result<(), Broken> {
        if found.mount.is_some() {
            return self.send_remote(stream, found, range, flow, attached).await;
        }
        let mut at = range.start;
        let mut warm_until = if found.in_memory || is_memory(found.file.as_fd()) {
            range.end
        } else {
            at
        };
        while at < range.end {
            let count = CHUNK.min(range.end - at);
            if at >= warm_until {
                warm(found, at, count).await?;
                warm_until = at + count;
            }
            let allowed = self.allowance(stream, attached, count).await?;
            if at + allowed == range.end && found.since() == Since::Changed {
                return Err(Broken::Changed);
            }
            let sent = self.send_some(stream, &found.file, at, allowed).await?;
            if sent == 0 {
                return Err(Broken::Truncated);
            }
            attached.put_back(allowed - sent);
            flow.add(sent);
            at += sent;
            tokio::task::consume_budget().await;
        }
        Ok(())
    }

    /// The same where the file system may hang: every call that may is made by a thread that may wait, into a buffer.
    async fn send_remote(
        &mut self,
        stream: &mut Stream,
        found: &Arc<FoundFile>,
        range: Range<u64>,
        flow: &Flow,
        attached: &Attached,
    ) -> Result<(), Broken> {
        let mut at = range.start;
        while at < range.end {
            let count = REMOTE_CHUNK.min(range.end - at);
            let read = timeout(self.limit, read_remote(found, at, count, range.end));
            let bytes = read.await.map_err(|_| Broken::Hangs(self.limit))??;
            self.send_paced(stream, &bytes, at + count < range.end, attached)
                .await?;
            flow.add(count);
            at += count;
        }
        Ok(())
    }

    async fn send_some(
        &mut self,
        stream: &mut Stream,
        file: &OpenFile,
        offset: u64,
        count: u64,
    ) -> Result<u64, Broken> {
        let stream = match stream {
            Stream::Plain(tcp) => &*tcp,
            Stream::Tls(tls) => {
                let read = tls.read_file(file, offset, count as usize)?;
                self.send_tls(tls, &read).await?;
                let sent = read.len() as u64;
                tls.give_back(read);
                return Ok(sent);
            }
        };
        let send = || {
            retry_interrupted(|| send_file(stream.as_fd(), file.as_fd(), offset, count as usize))
        };
        let count = match stream.try_io(Interest::WRITABLE, send) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.wait(stream.async_io(Interest::WRITABLE, send)).await?
            }
            result => result?,
        };
        self.sent(stream, count as u64);
        Ok(count as u64)
    }

    fn sent(&mut self, stream: &TcpStream, bytes: u64) {
        self.floor.sent(bytes);
        self.unsent.sent(stream, bytes);
    }

    /// How many bytes may go now. A client that goes away while it is held is noticed; where it is paused, it is taken for gone
    /// once it closes its sending side, as where something is made for it: else it would keep its place for minutes.
    async fn allowance(
        &self,
        stream: &Stream,
        attached: &Attached,
        most: u64,
    ) -> Result<u64, Broken> {
        if attached.is_free() {
            return Ok(most);
        }
        let bytes = tokio::select! {
            biased;
            bytes = attached.allowance(most, stream.gone()) => bytes,
            _ = stream.tcp().ready(Interest::ERROR) => None,
        };
        bytes.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset).into())
    }

    /// Waits for the client to take something.
    async fn wait<T>(&mut self, io: impl Future<Output = io::Result<T>>) -> Result<T, Broken> {
        let mut io = std::pin::pin!(io);
        let mut left = self.limit;
        if let Some(opened) = &self.opened {
            opened.awaits_reading();
        }
        loop {
            let step = left.min(self.floor.left());
            let began = Instant::now();
            let done = timeout(step, &mut io).await;
            let waited = began.elapsed();
            if waited > step + STOPPED {
                // The machine slept, or this process was stopped: the client could take nothing, and is asked anew.
                left = self.limit;
                if done.is_err() {
                    continue;
                }
            } else {
                self.unsent.waited(waited);
                self.floor.waited(waited).map_err(Broken::Slow)?;
            }
            match done {
                Ok(result) => {
                    if let Some(opened) = &self.opened {
                        opened.handle().busy();
                    }
                    return Ok(result?);
                }
                Err(_) if step == left => return Err(Broken::Stalled(self.limit)),
                Err(_) => left -= step,
            }
        }
    }
}

fn attempt(stream: &TcpStream, bytes: &[u8], more: bool) -> io::Result<usize> {
    stream.try_io(Interest::WRITABLE, || {
        retry_interrupted(|| attempt_raw(stream, bytes, more))
    })
}

fn attempt_raw(stream: &TcpStream, bytes: &[u8], more: bool) -> io::Result<usize> {
    if more {
        send_more(stream.as_fd(), bytes)
    } else {
        Ok(rustix::io::write(stream, bytes)?)
    }
}

fn retry_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Reads `count` bytes from `at` on, all of them, in a turn among those who wait for that file system. Behind the last byte
/// before `end` the file is looked at again.
async fn read_remote(
    found: &Arc<FoundFile>,
    at: u64,
    count: u64,
    end: u64,
) -> Result<Vec<u8>, Broken> {
    let turn = match &found.place {
        Some(place) => place.turn().await.ok(),
        None => None,
    };
    let found = Arc::clone(found);
    let read = blocking(move || {
        let _turn = turn;
        let mut bytes = vec![0; count as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match rustix::io::pread(&found.file, &mut bytes[filled..], at + filled as u64)? {
                0 => return Ok(Err(Broken::Truncated)),
                read => filled += read,
            }
        }
        let changed = at + count == end && found.since() == Since::Changed;
        Ok(if changed {
            Err(Broken::Changed)
        } else {
            Ok(bytes)
        })
    });
    read.await?
}

/// Makes sure that sending the chunk will not wait for a disk: a thread that serves sockets must never do that.
async fn warm(found: &Arc<FoundFile>, offset: u64, count: u64) -> Result<(), Broken> {
    if is_cached(found.file.as_fd(), offset, count) {
        return Ok(());
    }
    let found = Arc::clone(found);
    Ok(blocking(move || read_ahead(found.file.as_fd(), offset, count)).await?)
}
