//! What the system holds for a socket and has not sent.
//!
//! A full buffer takes nothing more until a third of it is free again: of some MiB that may be a minute's reading for a slow
//! client, which would look as if it read nothing. So little is held until a client has shown that it is quick; then as
//! much as the system likes, because refilling a small buffer costs twice the processor time.

use std::time::Duration;

use tokio::net::TcpStream;

/// Bytes that are held at first.
const LITTLE: u32 = 128 * 1024;
/// Bytes that a quick client takes without a long wait.
const QUICK: u64 = 4 << 20;
/// A wait that is long, for [`LITTLE`].
const LONG: Duration = Duration::from_millis(100);

/// What is known of one client's speed.
#[derive(Debug)]
pub enum Unsent {
    /// It took so much since its last long wait.
    Watched(u64),
    /// It stays as it is.
    Settled,
}

impl Unsent {
    /// Holds little from now on.
    pub fn new(stream: &TcpStream) -> Self {
        hold(stream, LITTLE);
        Self::Watched(0)
    }

    /// As [`Self::new`], for good: slow readers are to be told from stopped ones at any time.
    pub fn always(stream: &TcpStream) -> Self {
        hold(stream, LITTLE);
        Self::Settled
    }

    /// The client took some bytes.
    pub fn sent(&mut self, stream: &TcpStream, bytes: u64) {
        if let Self::Watched(taken) = self {
            *taken += bytes;
            if *taken >= QUICK {
                // The system's own choice.
                hold(stream, 0);
                *self = Self::Settled;
            }
        }
    }

    /// The client was waited for.
    pub fn waited(&mut self, time: Duration) {
        if let Self::Watched(taken) = self
            && time >= LONG
        {
            *taken = 0;
        }
    }
}

/// Where the system cannot do it, slow readers are judged by larger steps.
fn hold(stream: &TcpStream, most: u32) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(most);
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, most);
}
