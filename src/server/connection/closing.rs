//! How connections end: those that are too many at once, others so that the last answer arrives.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use crate::{
    http1::request::is_head,
    server::{
        Shared, connection::lowat::Unsent, connection::send::Sender, connection::stream::Stream,
        respond,
    },
};

/// What a closing connection still reads, so that the client gets to see the last answer: bytes and time.
pub(in crate::server) const LINGER: (usize, Duration) = (1 << 20, Duration::from_secs(2));

/// Tells a client that there are too many, and closes.
pub async fn turn_away(stream: TcpStream, peer: SocketAddr, shared: &Shared) {
    tracing::warn!(client = %peer.ip(), "503 too many connections");
    let Ok(mut stream) = Stream::open(stream, shared.settings.tls.as_ref()).await else {
        return;
    };
    let second = Duration::from_secs(1);
    // Wait for the request: an answer that comes before it may be lost with it.
    let Ok(Ok(request)) = timeout(second, first_bytes(&mut stream)).await else {
        return;
    };
    if request.is_empty() {
        return;
    }
    let mut answer = Vec::new();
    respond::too_many(&mut answer, is_head(&request));
    if Sender::new(second, None, Unsent::Settled)
        .send(&mut stream, &answer, false)
        .await
        .is_ok()
    {
        linger(&mut stream).await;
    }
}

/// What comes first; nothing where the client closes without a word.
async fn first_bytes(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match stream.try_read_buf(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                stream.readable().await?;
            }
            read => return read.map(|_| bytes),
        }
    }
}

/// Closes the sending side and reads what still comes, within limits: a socket closed with unread bytes resets the
/// connection, and a reset may reach the client before the last answer does (RFC 9112 §9.6).
pub async fn linger(stream: &mut Stream) {
    let (mut left, time) = LINGER;
    if !matches!(timeout(time, stream.shutdown()).await, Ok(Ok(()))) {
        return;
    }
    let stream = stream.tcp();
    let drain = async {
        // Not in the future: every connection would hold it from its start.
        let mut sink = vec![0; 4096];
        while stream.readable().await.is_ok() {
            match stream.try_read(&mut sink) {
                Ok(0) => return,
                Ok(read) if read < left => left -= read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => return,
            }
        }
    };
    // Running out of time is as good an end as any.
    let _ = timeout(time, drain).await;
}
