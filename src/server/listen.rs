//! Sockets to listen on, and the URLs under which others reach them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::server::error::Error;

/// Connections that the system keeps while they wait to be accepted, where its own limit allows as many. One that finds no
/// room there comes again a second later.
const BACKLOG: i32 = 4096;

/// Binds `port` on each address, or on all interfaces when there is none: IPv6 and IPv4 on one socket, or IPv4 alone
/// where the machine has no IPv6. Port 0 takes a free one, the same for all addresses.
pub async fn bind(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, Error> {
    if addresses.is_empty() {
        let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        return match listen(all, true) {
            Ok(listener) => Ok(vec![listener]),
            Err(error) if is_no_ipv6(&error) => {
                let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                Ok(vec![listen(all, false).map_err(|e| Error::bind(all, e))?])
            }
            Err(error) => Err(Error::bind(all, error)),
        };
    }
    let mut port = port;
    let mut listeners = Vec::new();
    for address in addresses {
        let address = SocketAddr::from((*address, port));
        let listener = listen(address, false).map_err(|error| Error::bind(address, error))?;
        port = listener
            .local_addr()
            .map_err(|error| Error::bind(address, error))?
            .port();
        listeners.push(listener);
    }
    Ok(listeners)
}

fn is_no_ipv6(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(
        errno,
        Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL)
    )
}

fn listen(address: SocketAddr, dual_stack: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    // A restart need not wait until the last run's connections have left TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// URLs under which others reach these listeners, the best one first: addresses of this machine's interfaces before
/// loopback, IPv4 before IPv6.
pub fn urls(listeners: &[TcpListener], scheme: &str) -> Vec<String> {
    let bound: Vec<SocketAddr> = listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .collect();
    let local = if bound.iter().any(|address| address.ip().is_unspecified()) {
        local_addresses()
    } else {
        Vec::new()
    };
    reachable(&bound, &local)
        .into_iter()
        .map(|address| format!("{scheme}://{address}"))
        .collect()
}

/// The addresses of this machine's interfaces that are up.
pub fn local_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let up = interfaces.iter().filter(|interface| interface.is_oper_up());
    up.map(if_addrs::Interface::ip).collect()
}

/// The addresses that `bound` stands for on a machine with the addresses `local`, the best first.
fn reachable(bound: &[SocketAddr], local: &[IpAddr]) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for socket in bound {
        match socket.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                let ours = local.iter().filter(|ip| ip.is_ipv4());
                addresses.extend(ours.map(|ip| SocketAddr::new(*ip, socket.port())));
                addresses.push((Ipv4Addr::LOCALHOST, socket.port()).into());
            }
            IpAddr::V6(ip) if ip.is_unspecified() => {
                addresses.extend(local.iter().map(|ip| SocketAddr::new(*ip, socket.port())));
                addresses.push((Ipv4Addr::LOCALHOST, socket.port()).into());
            }
            ip => addresses.push(SocketAddr::new(ip, socket.port())),
        }
    }
    // A link-local address means nothing without its interface, which differs on the other machine.
    addresses.retain(|address| match address.ip() {
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        IpAddr::V4(ip) => !ip.is_link_local(),
    });
    addresses.sort_by_key(|address| (address.ip().is_loopback(), address.is_ipv6()));
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_what_others_can_reach() {
        let local: Vec<IpAddr> = ["127.0.0.1", "::1", "192.168.1.10", "fe80::1", "fd00::7"]
            .iter()
            .map(|ip| ip.parse().unwrap())
            .collect();
        let named = |bound: &str| -> Vec<String> {
            reachable(&[bound.parse().unwrap()], &local)
                .iter()
                .map(SocketAddr::to_string)
                .collect()
        };
        assert_eq!(
            named("[::]:8888"),
            [
                "192.168.1.10:8888",
                "[fd00::7]:8888",
                "127.0.0.1:8888",
                "[::1]:8888"
            ]
        );
        assert_eq!(named("0.0.0.0:1"), ["192.168.1.10:1", "127.0.0.1:1"]);
        assert_eq!(named("127.0.0.1:80"), ["127.0.0.1:80"]);
        assert_eq!(named("[::1]:80"), ["[::1]:80"]);
    }

    #[tokio::test]
    async fn a_free_port_is_taken_and_a_taken_one_is_told() {
        let listeners = bind(&[], 0).await.unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        assert_ne!(port, 0);
        assert!(urls(&listeners, "http").contains(&format!("http://127.0.0.1:{port}")));
        let error = bind(&[Ipv4Addr::LOCALHOST.into()], port).await.unwrap_err();
        assert_eq!(error.exit(), crate::exit::Exit::Network);
        let line = error.to_string();
        assert!(line.contains("in use") && line.contains("--port"), "{line}");
        let error = bind(&["192.0.2.1".parse().unwrap()], 0).await.unwrap_err();
        let line = error.to_string();
        assert!(
            line.contains("192.0.2.1") && line.contains("--address"),
            "{line}"
        );
    }

    #[tokio::test]
    async fn port_zero_is_the_same_on_every_address() {
        let addresses = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let Ok(listeners) = bind(&addresses, 0).await else {
            println!("SKIPPED: this machine has no IPv6");
            return;
        };
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        assert_eq!(ports[0], ports[1]);
    }
}
