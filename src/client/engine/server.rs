//! What is known of a server beside how it fares: where it is, and what it says of itself.

use std::{sync::Mutex, time::Duration};

use super::lock;
use crate::{
    client::{Error, net::origin::Origin},
    escape,
    http1::response_head::ResponseHead,
    progress::Counter,
    tls::Fingerprint,
};

/// One server.
#[derive(Debug)]
pub struct Server {
    /// Where it is, and how it is asked.
    pub origin: Origin,
    /// Body bytes received from it.
    pub received: Counter,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    /// The last handshake's time.
    rtt: Option<Duration>,
    /// What it was believed for in the last handshake.
    certificate: Option<Fingerprint>,
    /// What it calls itself.
    name: Option<String>,
    /// Ids of the target and what is above it, until this server's was compared.
    target_ids: Option<Vec<String>>,
}

impl Server {
    /// The server at `origin`; `target_ids` are those of the target directory and what is above it.
    pub fn new(origin: Origin, target_ids: Vec<String>) -> Self {
        Self {
            origin,
            received: Counter::default(),
            told: Mutex::new(Told {
                rtt: None,
                certificate: None,
                name: None,
                target_ids: Some(target_ids),
            }),
        }
    }

    /// A connection was made.
    pub fn connected(&self, rtt: Duration, certificate: Option<Fingerprint>) {
        let mut told = lock(&self.told);
        (told.rtt, told.certificate) = (Some(rtt), certificate);
    }

    /// Time of the last connection's handshake, if there was any.
    pub fn rtt(&self) -> Option<Duration> {
        lock(&self.told).rtt
    }

    /// The certificate that it was believed for; `None` without TLS, and before it was reached.
    pub fn certificate(&self) -> Option<Fingerprint> {
        lock(&self.told).certificate
    }

    /// What it calls itself, raw.
    pub fn name(&self) -> Option<String> {
        lock(&self.told).name.clone()
    }

    /// Whether it says that it is one of our kind.
    pub fn is_haul(&self) -> bool {
        let told = lock(&self.told);
        told.name
            .as_ref()
            .is_some_and(|name| name.starts_with("haul/"))
    }

    /// Notes what every answer tells about the server; refuses to download into the directory that it serves, which is
    /// one of those in `dir` or above it.
    pub fn check(&self, head: &ResponseHead, dir: &std::path::Path) -> Result<(), Error> {
        let mut told = lock(&self.told);
        let Some(ids) = told.target_ids.take() else {
            return Ok(());
        };
        told.name.clone_from(&head.server);
        if head.haul_dir.as_ref().is_some_and(|id| ids.contains(id)) {
            // The ids stay: every later answer must be refused, too.
            told.target_ids = Some(ids);
            return Err(Error::Target {
                path: escape::display_path(dir),
                reason: "it lies in the directory that the server serves".into(),
            });
        }
        Ok(())
    }
}
