//! A client's connection as bytes: plain TCP, or TLS over it. Plain TCP costs nothing for TLS being there.

use std::{io, os::fd::AsFd, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::server::TlsStream;

use crate::tls::{HANDSHAKE_TIME, Identity};

/// Bytes of a file that are read and encrypted at once: four records, little enough for the cache.
const FILE_CHUNK: usize = 64 * 1024;
/// The content type of a TLS handshake record (RFC 8446 §5.1), which nothing in HTTP begins with.
const HANDSHAKE_RECORD: u8 = 0x16;
/// How often it is looked whether a client that sent more than it asks now is still there.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A client's connection.
pub enum Stream {
    /// As it is: files leave through `sendfile`.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<Tls>),
}

/// The TLS end of a connection, and a buffer for files while there is something to send.
pub struct Tls {
    pub(in crate::server) stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub enum NoHandshake {
    /// The peer closed, or offered nothing that both speak.
    #[error("no TLS handshake: {}", crate::exit::reason(.0))]
    Failed(#[from] io::Error),
    /// The peer took too long.
    #[error("no TLS handshake in {}", crate::units::took(HANDSHAKE_TIME))]
    Late,
    /// The peer speaks something else, and is to be told.
    #[error("400 plain HTTP on a port that speaks TLS")]
    Plain(TcpStream),
}

impl Stream {
    /// A connection that was just accepted; with an identity it first has to make a TLS handshake.
    pub async fn open(tcp: TcpStream, identity: Option<&Identity>) -> Result<Self, NoHandshake> {
        let Some(identity) = identity else {
            return Ok(Self::Plain(tcp));
        };
        let handshake = async {
            let mut first = [0];
            if tcp.peek(&mut first).await? == 1 && first[0] != HANDSHAKE_RECORD {
                return Err(NoHandshake::Plain(tcp));
            }
            let stream = identity.acceptor().accept(tcp).await?;
            let buffer = Vec::new();
            Ok(Self::Tls(Box::new(Tls { stream, buffer })))
        };
        timeout(HANDSHAKE_TIME, handshake)
            .await
            .unwrap_or(Err(NoHandshake::Late))
    }

    /// The socket.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.stream.get_ref().0,
        }
    }

    /// Waits until [`Self::try_read_buf`] may find something; that must have found nothing before.
    pub async fn readable(&self) -> io::Result<()> {
        self.tcp().readable().await
    }

    /// Reads what is there: `WouldBlock` where nothing is, 0 at the end.
    pub fn try_read_buf(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_read_buf(bytes),
            Self::Tls(tls) => match tls.stream.read_buf(bytes).now_or_never() {
                None => Err(io::ErrorKind::WouldBlock.into()),
                // Many clients close without saying so in TLS; a request that is cut is not taken for a whole one.
                Some(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                Some(read) => read,
            },
        }
    }

    /// Completes once the client has closed its side, or the connection broke: what takes long to make is of no use
    /// then. Who closes only its sending side is taken for gone too.
    pub async fn gone(&self) {
        let interest = Interest::READABLE.add(Interest::ERROR);
        loop {
            match self.tcp().ready(interest).await {
                Ok(ready) if !ready.is_read_closed() && !ready.is_error() => {}
                _ => return,
            }
            // The next request is there already, and hides it.
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether a connection that is dropped is reset, instead of closed like one that was served to the end.
    pub fn reset_when_dropped(&self, reset: bool) -> io::Result<()> {
        socket2::SockRef::from(self.tcp()).set_linger(reset.then_some(Duration::ZERO))
    }

    /// Frees what only a busy connection needs.
    pub fn rest(&mut self) {
        if let Self::Tls(tls) = self {
            tls.buffer = Vec::new();
        }
    }

    /// Ends the sending side: the peer knows then that nothing was cut off.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => Ok(rustix::net::shutdown(tcp, rustix::net::Shutdown::Write)?),
            Self::Tls(tls) => tls.stream.shutdown().await,
        }
    }
}

impl Tls {
    /// Reads up to `count` bytes of a file that lie in memory: none at the file's end. The buffer is to be given back.
    pub fn read_file(&mut self, file: impl AsFd, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(count.min(FILE_CHUNK), 0);
        let read = rustix::io::pread(file.as_fd(), &mut buffer[..], offset)?;
        buffer.truncate(read);
        Ok(buffer)
    }

    /// Takes a buffer back, for the next bytes of a file.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_does_not_end_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::own(dir.path(), &["localhost".into()], &[]).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Nothing at all, and a record that is cut.
        for sent in [&b""[..], &[HANDSHAKE_RECORD, 3, 1, 2, 0, 1]] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            client.write_all(sent).await.unwrap();
            let (tcp, _) = listener.accept().await.unwrap();
            let opened = Stream::open(tcp, Some(&identity)).await;
            assert!(matches!(opened, Err(NoHandshake::Late)));
        }
    }
}
