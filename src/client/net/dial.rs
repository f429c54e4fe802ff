//! Connecting to a server by whichever of its addresses answers first.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{net::TcpStream, task::JoinSet, time::Instant};
use url::Host;

use super::origin::Origin;
use crate::{client::Error, exit::reason};

/// Pause before the next address is tried beside the last one (RFC 8305 §5 recommends 250 ms).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

impl Origin {
    /// Connects: all addresses of the host, each a little after the one before, the first that answers wins
    /// (Happy Eyeballs, RFC 8305). Gives up after `limit`. Proxy variables are not used.
    pub async fn connect(&self, limit: Duration) -> Result<TcpStream, Error> {
        let deadline = Instant::now() + limit;
        let addresses = match self.url.host() {
            Some(Host::Ipv4(ip)) => vec![SocketAddr::new(IpAddr::V4(ip), self.port())],
            Some(Host::Ipv6(ip)) => vec![SocketAddr::new(IpAddr::V6(ip), self.port())],
            Some(Host::Domain(name)) => self.resolve(name, deadline).await?,
            None => Vec::new(),
        };
        let mut addresses = addresses.into_iter();
        let mut tries = JoinSet::new();
        let mut last = String::from("it has no address");
        let mut own = false;
        loop {
            if let Some(address) = addresses.next() {
                tries.spawn(TcpStream::connect(address));
            } else if tries.is_empty() {
                return Err(Error::Connect {
                    server: self.authority(),
                    reason: last,
                    own,
                });
            }
            let patience = if addresses.len() > 0 {
                Instant::now() + NEXT_ADDRESS_AFTER
            } else {
                deadline
            };
            match tokio::time::timeout_at(patience.min(deadline), tries.join_next()).await {
                Ok(Some(Ok(Ok(stream)))) => {
                    // Requests are written whole: waiting for more would only delay them.
                    stream.set_nodelay(true).map_err(Error::net)?;
                    return Ok(stream);
                }
                Ok(Some(Ok(Err(error)))) => {
                    own = is_own_network(error.kind());
                    last = reason(&error);
                }
                Err(_) if Instant::now() >= deadline => return Err(Error::Timeout(limit)),
                Ok(Some(Err(_)) | None) | Err(_) => {}
            }
        }
    }

    /// The host's addresses, IPv6 and IPv4 in turn (RFC 8305 §4).
    async fn resolve(&self, name: &str, deadline: Instant) -> Result<Vec<SocketAddr>, Error> {
        let failed = |reason: String| Error::Resolve {
            host: name.to_owned(),
            reason,
        };
        let found =
            match tokio::time::timeout_at(deadline, tokio::net::lookup_host((name, self.port())))
                .await
            {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => return Err(failed(reason(&error))),
                Err(_) => return Err(failed("the resolver does not answer".into())),
            };
        let (v6, v4): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv6);
        let longest = v6.len().max(v4.len());
        let in_turn = |i: usize| [v6.get(i).copied(), v4.get(i).copied()];
        Ok((0..longest).flat_map(in_turn).flatten().collect())
    }
}

/// Whether no packet left this machine: its own network is down.
fn is_own_network(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable};
    matches!(
        kind,
        AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable
    )
}
