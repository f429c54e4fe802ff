//! TLS 1.3 and 1.2 through rustls: the certificate that a server shows, and what makes a client trust one.
//!
//! A client believes, in this order: the fingerprint that the user names; the one that is pinned in `known_hosts`; the
//! authorities that the system trusts. Whatever vouches for a certificate, the handshake must be signed with its key.

mod der;
mod fingerprint;
mod identity;
mod known_hosts;
mod refused;
mod trust;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use rustls::crypto::CryptoProvider;

pub use fingerprint::Fingerprint;
pub use identity::{Identity, own_names};
pub use known_hosts::KnownHosts;
pub use trust::{Connector, Refusal, TlsStream, unusable};

use crate::exit::{Exit, reason};

/// A handshake must be complete in this time, on either side.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// The one protocol that is spoken inside (RFC 7301); a peer that offers none is taken to mean it.
const ALPN: &[u8] = b"http/1.1";

/// ring: no C++ and no assembler to install, and well kept.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Fills `bytes` from the system's generator for secrets.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    let filled = provider().secure_random.fill(bytes);
    filled.map_err(|_| Error::Make("the system gives no random bytes".into()))
}

/// Why a certificate, key or pin cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read the {what} {}: {}: {remedy}", path.display(), reason(source))]
    Read {
        /// What it should hold.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
        /// What the user can do.
        remedy: &'static str,
    },
    /// A file holds something else.
    #[error("{} holds no {what}: it must be PEM, with a line `-----BEGIN …-----`", path.display())]
    Content {
        /// What it should hold.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
    },
    /// A file holds what cannot be used.
    #[error("cannot use the {what} {}: {found}: {remedy}", path.display())]
    Refused {
        /// What it should hold.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What it is instead.
        found: String,
        /// What the user can do.
        remedy: String,
    },
    /// The key is not the certificate's.
    #[error("the key {} does not belong to the certificate {}: name the two that were made together", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// rustls cannot use what the files hold.
    #[error("cannot use the certificate {}: {reason}: use an ECDSA, Ed25519 or RSA certificate with its key", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// rustls' reason.
        reason: String,
    },
    /// The server's own certificate cannot be made.
    #[error("cannot make a certificate: {0}: give one with --tls-cert and --tls-key")]
    Make(String),
    /// There is no place to keep the server's own certificate or the pins.
    #[error("cannot keep {what}: {reason}: {remedy}")]
    Keep {
        /// What was to be kept.
        what: &'static str,
        /// Why not.
        reason: String,
        /// What the user can do.
        remedy: &'static str,
    },
}

impl Error {
    /// The status that the process exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } | Self::Keep { .. } => Exit::Disk,
            Self::Content { .. }
            | Self::Refused { .. }
            | Self::Mismatch { .. }
            | Self::Unusable { .. } => Exit::Usage,
            Self::Make(_) => Exit::Other,
        }
    }
}
