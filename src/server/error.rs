//! Why the server could not start or list.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::{
    escape::display_name,
    exit::{Exit, reason},
    http1::path::RemotePath,
};

/// Why the server could not start or list.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory to serve cannot be opened.
    #[error(
        "cannot serve `{}`: {}: name a directory that you can read",
        display_name(.root.as_os_str().as_encoded_bytes()),
        reason(.source)
    )]
    Root {
        /// The directory.
        root: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", bind_reason(.source, *.address))]
    Bind {
        /// The address and port.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A directory below the root cannot be listed.
    #[error("cannot list `/{}`: {}", display_name(.path.as_bytes()), reason(.source))]
    List {
        /// The directory.
        path: RemotePath,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    pub(in crate::server) fn bind(address: SocketAddr, source: io::Error) -> Self {
        Self::Bind { address, source }
    }

    /// The status that the process exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Bind { .. } => Exit::Network,
            Self::Root { .. } | Self::List { .. } => Exit::Disk,
        }
    }
}

/// Why, and what to do about it.
fn bind_reason(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {} is in use: choose another with --port, or 0 for a free one",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "port {} needs privileges: choose one from 1024 up with --port",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: leave --address out for all interfaces".into()
        }
        _ => format!("{}: choose another --address or --port", reason(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_to_listen_has_a_remedy() {
        let address = SocketAddr::from(([0, 0, 0, 0], 80));
        for (kind, remedy) in [
            (io::ErrorKind::AddrInUse, "--port"),
            (io::ErrorKind::PermissionDenied, "1024"),
            (io::ErrorKind::AddrNotAvailable, "--address"),
            (io::ErrorKind::OutOfMemory, "--address"),
        ] {
            let line = Error::bind(address, kind.into()).to_string();
            assert!(
                line.contains(remedy) && line.contains("0.0.0.0:80"),
                "{line}"
            );
            assert!(!line.contains('\n'));
        }
    }
}
