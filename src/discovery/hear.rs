//! Servers that say that they are there.

use std::net::{IpAddr, SocketAddr};

use mdns_sd::{IfKind, ResolvedService, ServiceDaemon, ServiceEvent};

use super::HAUL;
use crate::http1::path::RemotePath;

/// A server that says that it is there. Anybody on the network can say anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What it is called; raw.
    pub name: String,
    /// Where it may be reached, IPv4 first; never empty.
    pub addresses: Vec<SocketAddr>,
    /// The directory that it names.
    pub path: RemotePath,
    /// The fingerprint that it claims, where it speaks TLS; raw.
    pub fingerprint: Option<String>,
}

/// What is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A server is there, or tells something else of itself than before.
    Here(Heard),
    /// The one of this name is not there any more.
    Gone(String),
}

/// Asks who is there, and tells what is heard, until it is dropped. Ends with an error where nothing can be heard.
pub async fn hear(mut tell: impl FnMut(News)) -> Result<(), mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    // Whoever is bound to this machine alone does not say so.
    daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
    let daemon = Hearing(daemon);
    let events = daemon.0.browse(HAUL)?;
    while let Ok(event) = events.recv_async().await {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                if let Some(heard) = heard(&service) {
                    tell(News::Here(heard));
                }
            }
            ServiceEvent::ServiceRemoved(_, name) => tell(News::Gone(instance(&name))),
            _ => {}
        }
    }
    Ok(())
}

/// Its thread ends when this is dropped.
struct Hearing(ServiceDaemon);

impl Drop for Hearing {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing to end.
        let _ = self.0.shutdown();
    }
}

fn heard(service: &ResolvedService) -> Option<Heard> {
    let told = |key| service.get_property_val_str(key);
    let path = told("path").unwrap_or("/");
    let ips = service
        .get_addresses()
        .iter()
        .map(mdns_sd::ScopedIp::to_ip_addr);
    // A link-local address means nothing without its interface.
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    };
    let mut addresses: Vec<_> = ips
        .filter(|ip| usable(ip) && !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast())
        .map(|ip| SocketAddr::new(ip, service.get_port()))
        .collect();
    addresses.sort_by_key(|address| (address.is_ipv6(), *address));
    (!addresses.is_empty()).then(|| Heard {
        name: instance(service.get_fullname()),
        addresses,
        path: RemotePath::from_target(path.as_bytes())
            .unwrap_or_default()
            .into_dir(),
        fingerprint: told("fp").map(str::to_owned),
    })
}

/// The name of a service, for people, without the kind behind it and what is escaped in it (RFC 6763 §4.3).
fn instance(fullname: &str) -> String {
    let name = fullname.strip_suffix(HAUL).unwrap_or(fullname);
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut plain = String::with_capacity(name.len());
    let mut escaped = false;
    for c in name.chars() {
        escaped = c == '\\' && !escaped;
        if !escaped {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(addresses: &str, properties: &[(&str, &str)]) -> ResolvedService {
        let name = "a.b\\c";
        let info = mdns_sd::ServiceInfo::new(HAUL, name, "h.local.", addresses, 81, properties);
        info.unwrap().as_resolved_service()
    }

    #[test]
    fn what_is_said_is_read_with_care() {
        let told = [("path", "/pub"), ("fp", "AB:CD")];
        let here = heard(&resolved("2001:db8::1,fe80::1,192.0.2.7,127.0.0.1", &told)).unwrap();
        assert_eq!(here.name, "a.b\\c");
        let addresses: Vec<_> = here.addresses.iter().map(SocketAddr::to_string).collect();
        assert_eq!(addresses, ["192.0.2.7:81", "[2001:db8::1]:81"]);
        assert_eq!(here.path.to_target(), "/pub/");
        assert_eq!(here.fingerprint.as_deref(), Some("AB:CD"));
        // What leads nowhere, or out of everything.
        assert_eq!(heard(&resolved("127.0.0.1,0.0.0.0,224.0.0.1", &[])), None);
        let odd = heard(&resolved("192.0.2.7", &[("path", "/../../x")])).unwrap();
        assert!(!odd.path.to_target().contains(".."), "{odd:?}");
        assert_eq!(
            heard(&resolved("192.0.2.7", &[])).unwrap().path,
            RemotePath::root()
        );
    }
}
