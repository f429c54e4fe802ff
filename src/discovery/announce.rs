//! A server that says that it is there, and that it goes.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};
use tokio::time::{sleep, timeout};

use super::{HAUL, HTTP};
use crate::tls::Fingerprint;

/// Bytes of a name (RFC 6763 §4.1.1).
const NAME_MAX: usize = 63;
/// Bytes of it that are left for what tells it from another one: ` (99)`.
const CLASH: usize = 5;
/// A goodbye is said once more after 120 ms, as a network may lose it. Whoever hears it forgets a second later (RFC 6762 §10.1):
/// at about the time at which the program is gone.
const GOODBYE: Duration = Duration::from_millis(250);
/// How long the thread that speaks may take to answer.
const ANSWERED: Duration = Duration::from_millis(500);

/// What is said of a server.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// What it is called on its machine, for people: `pub` becomes `pub on nas`, and `pub on nas (2)` where another one is
    /// called so.
    pub name: String,
    /// Where it listens.
    pub listens: Vec<SocketAddr>,
    /// Its certificate's, where it speaks TLS.
    pub fingerprint: Option<Fingerprint>,
}

/// A server that is announced. Its end is told by [`goodbye`]; without it, others take a while to notice.
pub struct Announced {
    daemon: ServiceDaemon,
    names: Vec<String>,
}

impl Announced {
    /// Says that the server is there, on all networks on which it can be reached; `None` where that is this machine alone.
    /// Returns at once: who clashes with a name is asked for 0.75 s before (RFC 6762 §8.1).
    pub fn begin(what: &Announcement) -> Option<Result<Self, mdns_sd::Error>> {
        let port = reachable(&what.listens).next()?.port();
        Some(Self::on(what, port))
    }

    fn on(what: &Announcement, port: u16) -> Result<Self, mdns_sd::Error> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
        let mut names = Vec::new();
        for service in services(what, port)? {
            names.push(service.get_fullname().to_owned());
            daemon.register(service)?;
        }
        Ok(Self { daemon, names })
    }

    async fn end(self) {
        for name in &self.names {
            if let Ok(told) = self.daemon.unregister(name) {
                let _ = timeout(ANSWERED, told.recv_async()).await;
            }
        }
        sleep(GOODBYE).await;
        if let Ok(ended) = self.daemon.shutdown() {
            let _ = timeout(ANSWERED, ended.recv_async()).await;
        }
    }
}

/// Says goodbye, where a server was announced: whoever listens forgets it a second later. Takes 0.25 s.
pub async fn goodbye(announced: Option<Announced>) {
    if let Some(announced) = announced {
        announced.end().await;
    }
}

/// Where others reach it.
fn reachable(listens: &[SocketAddr]) -> impl Iterator<Item = &SocketAddr> {
    listens.iter().filter(|address| !address.ip().is_loopback())
}

/// The records of a server: one service for haul, and one for file managers where they could fetch from it.
fn services(what: &Announcement, port: u16) -> Result<Vec<ServiceInfo>, mdns_sd::Error> {
    let addresses = reachable(&what.listens).filter(|address| address.port() == port);
    let addresses: Vec<IpAddr> = addresses.map(SocketAddr::ip).collect();
    let machine = machine();
    let name = bounded(&format!("{} on {machine}", what.name)).to_owned();
    let host = format!("{}-{port}.local.", host_label(&machine));
    let service = |kind: &str, properties: &[(&str, &str)]| {
        if addresses.iter().any(IpAddr::is_unspecified) {
            let none: &[IpAddr] = &[];
            let info = ServiceInfo::new(kind, &name, &host, none, port, properties)?;
            return Ok(info.enable_addr_auto());
        }
        let mut info = ServiceInfo::new(kind, &name, &host, &addresses[..], port, properties)?;
        info.set_interfaces(addresses.iter().copied().map(IfKind::Addr).collect());
        Ok(info)
    };
    let path = ("path", "/");
    match &what.fingerprint {
        None => Ok(vec![service(HAUL, &[path])?, service(HTTP, &[path])?]),
        Some(fingerprint) => {
            let fingerprint = fingerprint.to_string();
            Ok(vec![service(HAUL, &[path, ("fp", &fingerprint)])?])
        }
    }
}

/// The first bytes of a name, as many as there may be.
fn bounded(name: &str) -> &str {
    let most = name.len().min(NAME_MAX - CLASH);
    let end = (0..=most).rev().find(|at| name.is_char_boundary(*at));
    &name[..end.unwrap_or(0)]
}

/// This machine's name without its domain.
fn machine() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// What may stand in a host's name (RFC 952). The port behind it tells several servers of a machine apart, and from what
/// another responder of the machine says of its name.
fn host_label(machine: &str) -> String {
    let known = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let label: String = machine.chars().map(known).take(50).collect();
    match label.trim_matches('-') {
        "" => "haul".to_owned(),
        label => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(listens: &[&str], fingerprint: Option<Fingerprint>) -> Announcement {
        Announcement {
            name: "a.pub".to_owned(),
            listens: listens
                .iter()
                .map(|address| address.parse().unwrap())
                .collect(),
            fingerprint,
        }
    }

    #[test]
    fn what_only_this_machine_reaches_is_not_announced() {
        for listens in [&["127.0.0.1:80", "[::1]:80"][..], &[]] {
            assert!(Announced::begin(&announcement(listens, None)).is_none());
        }
    }

    #[test]
    fn a_server_is_told_by_its_name_port_and_fingerprint() {
        let plain = announcement(&["127.0.0.1:80", "192.0.2.1:80"], None);
        let services = services(&plain, 80).unwrap();
        let kinds: Vec<_> = services.iter().map(ServiceInfo::get_type).collect();
        assert_eq!(kinds, [HAUL, HTTP]);
        for service in &services {
            assert_eq!(service.get_port(), 80);
            assert_eq!(service.get_property_val_str("path"), Some("/"));
            assert!(service.get_hostname().ends_with("-80.local."));
            let addresses: Vec<_> = service.get_addresses().iter().collect();
            assert_eq!(addresses, [&"192.0.2.1".parse::<IpAddr>().unwrap()]);
            assert!(!service.is_addr_auto());
        }
        assert!(services[0].get_fullname().starts_with("a\\.pub on "));
        let fingerprint: Fingerprint = "AB".repeat(32).parse().unwrap();
        let tls = announcement(&["[::]:80"], Some(fingerprint));
        let services = super::services(&tls, 80).unwrap();
        assert_eq!(services.len(), 1, "file managers would speak plain HTTP");
        assert_eq!(
            services[0].get_property_val_str("fp"),
            Some(&fingerprint.to_string()[..])
        );
        assert!(services[0].is_addr_auto());
    }

    #[test]
    fn names_are_bounded_and_hosts_are_names() {
        assert_eq!(bounded("short"), "short");
        let long = "ä".repeat(40);
        assert_eq!(bounded(&long).len(), NAME_MAX - CLASH);
        assert_eq!(host_label("nas"), "nas");
        assert_eq!(host_label("-a_b ü"), "a-b");
        assert_eq!(host_label("..."), "haul");
    }
}
