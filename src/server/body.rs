//! Getting bytes out: what stands in a buffer, and ranges of files, by `sendfile` or encrypted.

use std::{
    io,
    ops::Range,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
    time::Duration,
};

use tokio::{io::Interest, net::TcpStream, time::timeout};

use super::{
    catalog::{FoundFile, blocking},
    stream::Stream,
    transfers::Flow,
};
use crate::sys::send::{is_cached, is_memory, read_ahead, send_file, send_more};

/// Bytes that one call sends at most: counters move and other connections get their turn after each.
const CHUNK: u64 = 1 << 20;

/// Why a connection ended before its answer did.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The socket or the disk failed.
    #[error("{}", crate::error::reason(.0))]
    Io(#[from] io::Error),
    /// The client took nothing for the time limit.
    #[error("the client read nothing for {}", crate::units::took(*.0))]
    Stalled(Duration),
    /// The file became shorter while it was sent.
    #[error("the file was truncated while it was sent")]
    Truncated,
    /// The file changed while it was sent.
    #[error("the file changed while it was sent")]
    Changed,
}

/// Sends all of `bytes`. `more` says that a file's bytes follow at once.
pub async fn send_bytes(
    stream: &mut Stream,
    mut bytes: &[u8],
    more: bool,
    limit: Duration,
) -> Result<(), Broken> {
    let stream = match stream {
        Stream::Plain(tcp) => &*tcp,
        Stream::Tls(tls) => return tls.send(bytes, limit).await,
    };
    while !bytes.is_empty() {
        // Straight to the socket first: waiting costs a timer.
        let sent = match attempt(stream, bytes, more) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let write = stream.async_io(Interest::WRITABLE, || {
                    retry_interrupted(|| attempt_raw(stream, bytes, more))
                });
                in_time(limit, write).await?
            }
            result => result?,
        };
        bytes = &bytes[sent..];
    }
    Ok(())
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

/// Waits for a socket, `limit` at most.
pub async fn in_time<T>(
    limit: Duration,
    io: impl Future<Output = io::Result<T>>,
) -> Result<T, Broken> {
    match timeout(limit, io).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Broken::Stalled(limit)),
    }
}

/// Sends a range of a file and counts it in `flow`, chunk by chunk.
///
/// The file is looked at again before its last chunk: one that shrank or changed breaks the connection off, and is
/// never padded. A client that takes nothing for `limit` does too.
pub async fn send_range(
    stream: &mut Stream,
    found: FoundFile,
    range: Range<u64>,
    flow: &Flow,
    limit: Duration,
) -> Result<(), Broken> {
    let found = Arc::new(found);
    let mut at = range.start;
    let mut warm_until = if is_memory(found.file.as_fd()) {
        range.end
    } else {
        at
    };
    while at < range.end {
        let count = CHUNK.min(range.end - at);
        if at >= warm_until {
            warm(&found, at, count).await?;
            warm_until = at + count;
        }
        if at + count == range.end && !found.is_unchanged() {
            return Err(Broken::Changed);
        }
        let sent = send_some(stream, &found.file, at, count, limit).await?;
        if sent == 0 {
            return Err(Broken::Truncated);
        }
        flow.add(sent);
        at += sent;
        tokio::task::consume_budget().await;
    }
    Ok(())
}

async fn send_some(
    stream: &mut Stream,
    file: &OwnedFd,
    offset: u64,
    count: u64,
    limit: Duration,
) -> Result<u64, Broken> {
    let stream = match stream {
        Stream::Plain(tcp) => &*tcp,
        Stream::Tls(tls) => {
            let sent = tls.send_file(file, offset, count as usize, limit).await?;
            return Ok(sent as u64);
        }
    };
    let send =
        || retry_interrupted(|| send_file(stream.as_fd(), file.as_fd(), offset, count as usize));
    let count = match stream.try_io(Interest::WRITABLE, send) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            in_time(limit, stream.async_io(Interest::WRITABLE, send)).await?
        }
        result => result?,
    };
    Ok(count as u64)
}

/// Makes sure that sending the chunk will not wait for a disk: a thread that serves sockets must never do that.
async fn warm(found: &Arc<FoundFile>, offset: u64, count: u64) -> Result<(), Broken> {
    if is_cached(found.file.as_fd(), offset, count) {
        return Ok(());
    }
    let found = Arc::clone(found);
    Ok(blocking(move || read_ahead(found.file.as_fd(), offset, count)).await?)
}
