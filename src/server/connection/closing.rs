//! How connections end: those that are too many at once, others so that the last answer arrives.

use std::{io, net::SocketAddr, time::Duration};

use http::StatusCode;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    http1::request::{Refusal, is_head},
    server::{
        connection::{
            lowat::Unsent,
            send::Sender,
            stream::{NoHandshake, Stream},
        },
        people::warnings,
        respond,
        shared::Shared,
    },
    tls::Identity,
};

/// What a closing connection still reads, so that the client gets to see the last answer: bytes and time.
pub(super) const LINGER: (usize, Duration) = (1 << 20, Duration::from_secs(2));

/// How long the answer to plain HTTP on a TLS port may take.
const PLAIN_ANSWER: Duration = Duration::from_secs(1);

/// [`Stream::open`], but who speaks plain HTTP on a port that speaks TLS is told so: `None` where there is no connection then.
pub async fn open(tcp: TcpStream, peer: SocketAddr, identity: Option<&Identity>) -> Option<Stream> {
    let why = match Stream::open(tcp, identity).await {
        Ok(stream) => return Some(stream),
        Err(why) => why,
    };
    tracing::debug!(client = %peer.ip(), "{why}");
    if let NoHandshake::Plain(tcp) = why {
        refuse_plain(tcp).await;
    }
    None
}

/// Tells a client that speaks plain HTTP where it is.
async fn refuse_plain(tcp: TcpStream) {
    const REFUSAL: Refusal = Refusal {
        status: StatusCode::BAD_REQUEST,
        why: "this is an https port: use https:// instead",
    };
    let mut begin = [0; b"HEAD ".len()];
    // The first bytes are there already.
    let Ok(length) = tcp.peek(&mut begin).await else {
        return;
    };
    let mut answer = Vec::new();
    respond::refuse(&mut answer, &REFUSAL, is_head(&begin[..length]));
    let mut stream = Stream::Plain(tcp);
    let mut sender = Sender::new(PLAIN_ANSWER, None, Unsent::Settled);
    if sender.send(&mut stream, &answer, false).await.is_ok() {
        linger(&mut stream).await;
    }
}

/// Tells a client that there are too many, and closes.
pub async fn turn_away(stream: TcpStream, peer: SocketAddr, shared: &Shared) {
    let (who, warns) = (
        peer.ip().to_string(),
        shared.registry.refused(peer.ip(), 503),
    );
    warnings::tell(&who, warns, format_args!("503 too many connections"));
    let Some(mut stream) = open(stream, peer, shared.settings.tls.as_ref()).await else {
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
pub(super) async fn linger(stream: &mut Stream) {
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
