//! Connecting to a server by whichever of its addresses answers first.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};
use url::{Host, Url};

use super::{access::authority, origin::Origin};
use crate::{client::Error, credentials::Secret, exit::reason, http1::response_head::ResponseHead};

/// Pause before the next address is tried beside the last one (RFC 8305 §5 recommends 250 ms).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

impl Origin {
    /// Connects, through a proxy where there is one, with a tunnel where the URL is https. Gives up after `limit`.
    pub async fn connect(&self, limit: Duration) -> Result<TcpStream, Error> {
        let deadline = Instant::now() + limit;
        let Some(proxy) = &self.proxy else {
            return connect(&self.url, deadline, limit).await;
        };
        let mut stream = connect(&proxy.url, deadline, limit).await?;
        if self.url.scheme() == "https" {
            let tunnel = self.tunnel(&mut stream, proxy.authorization.as_ref());
            let made = tokio::time::timeout_at(deadline, tunnel).await;
            made.map_err(|_| Error::Timeout(limit))??;
        }
        Ok(stream)
    }

    /// Asks the proxy for a tunnel to the server (RFC 9110 §9.3.6).
    async fn tunnel(&self, stream: &mut TcpStream, login: Option<&Secret>) -> Result<(), Error> {
        let server = self.authority();
        let login = login.map(|login| format!("Proxy-Authorization: {}\r\n", login.expose()));
        let request = format!(
            "CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n{}\r\n",
            login.unwrap_or_default()
        );
        stream
            .write_all(request.as_bytes())
            .await
            .map_err(Error::net)?;
        let mut input = Vec::new();
        let (head, length) = loop {
            // Whatever follows the head is the server's, which says nothing before it is asked.
            if stream.read_buf(&mut input).await.map_err(Error::net)? == 0 {
                return Err(Error::Broken("the proxy closed it".into()));
            }
            if let Some(head) = ResponseHead::parse(&input, true)? {
                break head;
            }
        };
        match head.status {
            200..=299 if input.len() == length => Ok(()),
            407 => Err(Error::ProxyLogin),
            status => Err(Error::Connect {
                server,
                reason: format!("the proxy answers {status} to CONNECT"),
                own: false,
            }),
        }
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

/// Whether no server of names could be asked (`EAI_AGAIN`). The standard library gives the C library's text for it only, as
/// glibc, musl and the BSDs have it, which is never translated: no locale is set.
fn is_unasked(reason: &str) -> bool {
    ["emporary failure", "ry again"]
        .iter()
        .any(|text| reason.contains(text))
}

/// Connects to the host of a URL: all its addresses, each a little after the one before, the first that answers wins (Happy
/// Eyeballs, RFC 8305).
async fn connect(url: &Url, deadline: Instant, limit: Duration) -> Result<TcpStream, Error> {
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses = match url.host() {
        Some(Host::Ipv4(ip)) => vec![SocketAddr::new(IpAddr::V4(ip), port)],
        Some(Host::Ipv6(ip)) => vec![SocketAddr::new(IpAddr::V6(ip), port)],
        Some(Host::Domain(name)) => resolve(name, port, deadline).await?,
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
                server: authority(url),
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
async fn resolve(name: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, Error> {
    let failed = |reason: String, own| Error::Resolve {
        host: name.to_owned(),
        reason,
        own,
    };
    let found = match tokio::time::timeout_at(deadline, tokio::net::lookup_host((name, port))).await
    {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            let reason = reason(&error);
            let own = is_unasked(&reason);
            return Err(failed(reason, own));
        }
        Err(_) => return Err(failed("the resolver does not answer".into(), true)),
    };
    let (v6, v4): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv6);
    let longest = v6.len().max(v4.len());
    let in_turn = |i: usize| [v6.get(i).copied(), v4.get(i).copied()];
    Ok((0..longest).flat_map(in_turn).flatten().collect())
}
