//! A slow network on one machine: a proxy that stands for one client's link to the server.
//!
//! A byte waits until the link has room for it (the rate), then travels for half the round trip. All connections of the
//! client share the link, one queue in each direction, as they share a cable. A new connection waits one round trip,
//! which its handshake would take, before its first byte travels.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until},
};

/// Bytes that take the link at a time: small enough that connections alternate.
const CHUNK: usize = 16 * 1024;
/// Chunks on their way in one direction of a connection: 4 MiB, the window of a long, fast path.
const FLYING: usize = 256;
/// Timers tick by the millisecond; what a link could have carried meanwhile is made up for.
const GRAIN: Duration = Duration::from_millis(2);

/// What a link does to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Round trip that is added.
    pub latency: Duration,
    /// Bytes a second in each direction; `None` for no limit.
    pub rate: Option<u64>,
}

impl Shape {
    /// Whether a link of this shape differs from none.
    pub fn is_plain(&self) -> bool {
        self.latency.is_zero() && self.rate.is_none()
    }
}

/// A running link; dropping it cuts every connection.
#[derive(Debug)]
pub struct Link {
    /// Where the client connects.
    pub address: SocketAddr,
    running: JoinHandle<()>,
}

impl Link {
    /// Opens a link to `server`, on a free port of the loopback interface.
    pub async fn open(server: SocketAddr, shape: Shape) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let running = tokio::spawn(accept(listener, server, shape));
        Ok(Self { address, running })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, shape: Shape) {
    let (up, down) = (Lane::new(shape.rate), Lane::new(shape.rate));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(connection(client, server, shape.latency, up.clone(), down.clone()));
                }
                // Out of descriptors, most likely: the client's own timeout tells it.
                Err(_) => sleep(GRAIN).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries one connection until both directions have ended, or one has failed.
async fn connection(
    client: TcpStream,
    server: SocketAddr,
    latency: Duration,
    up: Lane,
    down: Lane,
) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    sleep(latency).await;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let one_way = latency / 2;
    tokio::try_join!(
        carry(from_client, to_server, one_way, up),
        carry(from_server, to_client, one_way, down),
    )?;
    Ok(())
}

/// Carries one direction of a connection.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    one_way: Duration,
    lane: Lane,
) -> io::Result<()> {
    let (sender, mut flying) = mpsc::channel::<(Instant, Vec<u8>)>(FLYING);
    let depart = async move {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            let departs = lane.reserve(length, Instant::now());
            if departs > Instant::now() {
                sleep_until(departs).await;
            }
            if sender
                .send((departs + one_way, buffer[..length].to_vec()))
                .await
                .is_err()
            {
                return Ok(());
            }
        }
    };
    let arrive = async move {
        while let Some((due, bytes)) = flying.recv().await {
            if due > Instant::now() {
                sleep_until(due).await;
            }
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(depart, arrive).map(|((), ())| ())
}

/// One direction of a link, shared by the client's connections.
#[derive(Debug, Clone)]
struct Lane {
    rate: Option<u64>,
    free: Arc<Mutex<Option<Instant>>>,
}

impl Lane {
    fn new(rate: Option<u64>) -> Self {
        Self {
            rate,
            free: Arc::default(),
        }
    }

    /// Takes the lane for `bytes`; gives the moment at which the last of them has left.
    fn reserve(&self, bytes: usize, now: Instant) -> Instant {
        let Some(rate) = self.rate else { return now };
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let idle_since = free
            .unwrap_or(now)
            .max(now.checked_sub(GRAIN).unwrap_or(now));
        let left = idle_since + Duration::from_secs_f64(bytes as f64 / rate as f64);
        *free = Some(left);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_carries_no_more_than_its_rate() {
        let lane = Lane::new(Some(1000));
        let start = Instant::now();
        assert_eq!(lane.reserve(500, start), start + Duration::from_millis(500));
        assert_eq!(lane.reserve(500, start), start + Duration::from_secs(1));
        // Time that passed unused is lost, but for the timers' grain.
        let later = start + Duration::from_secs(5);
        assert_eq!(
            lane.reserve(1000, later),
            later + Duration::from_secs(1) - GRAIN
        );
        assert_eq!(Lane::new(None).reserve(usize::MAX, start), start);
    }

    /// An echo through a link, at the time that the paused clock counts.
    #[tokio::test]
    async fn bytes_arrive_whole_and_not_before_the_round_trip() {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = echo.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut peer, _) = echo.accept().await.unwrap();
            let (mut read, mut write) = peer.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
        });
        let shape = Shape {
            latency: Duration::from_millis(40),
            rate: Some(1 << 20),
        };
        let link = Link::open(server, shape).await.unwrap();
        let start = Instant::now();
        let mut client = TcpStream::connect(link.address).await.unwrap();
        let sent: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        assert!(got == sent, "{} bytes", got.len());
        // A handshake and a round trip, and the time that the bytes take on one lane.
        assert!(
            start.elapsed() >= Duration::from_millis(80 + 90),
            "{:?}",
            start.elapsed()
        );
    }
}
