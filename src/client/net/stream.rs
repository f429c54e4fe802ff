//! A connection's bytes: plain TCP, or TLS over it.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use url::Url;

use crate::{
    client::{Error, net::access::Access, net::origin::Origin},
    tls::{Fingerprint, HANDSHAKE_TIME, Refusal, TlsStream, unusable},
};

/// One connection to a server.
#[derive(Debug)]
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted, with a server that was believed.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Connects to an origin, and makes the TLS handshake where it asks for one; `limit` is for the former.
    pub async fn open(origin: &Origin, limit: Duration) -> Result<Self, Error> {
        let tcp = origin.connect(limit).await?;
        let Some(connector) = origin.connector() else {
            return Ok(Self::Plain(tcp));
        };
        match timeout(HANDSHAKE_TIME.min(limit), connector.connect(tcp)).await {
            Ok(Ok(stream)) => Ok(Self::Tls(Box::new(stream))),
            Ok(Err(error)) => Err(failed(origin, &error)),
            Err(_) => Err(Error::Timeout(HANDSHAKE_TIME.min(limit))),
        }
    }

    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The fingerprint of the certificate that the server showed and was believed for; `None` without TLS.
    pub fn certificate(&self) -> Option<Fingerprint> {
        let Self::Tls(tls) = self else {
            return None;
        };
        let shown = tls.get_ref().1.peer_certificates()?.first()?;
        Some(Fingerprint::of(shown))
    }

    /// Ends it for both sides, without a word.
    pub fn close(&self) {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0.get_ref(),
        };
        // One that is closed already stays so.
        let _ = rustix::net::shutdown(tcp, rustix::net::Shutdown::Both);
    }

    /// Sends all of `bytes`.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.write_all(bytes).await,
            Self::Tls(tls) => {
                tls.write_all(bytes).await?;
                tls.flush().await
            }
        }
    }

    /// Reads what is there, 0 at the end. Cancelling it loses nothing.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer).await,
            Self::Tls(tls) => tls.read(buffer).await,
        }
    }
}

/// Why a handshake failed.
fn failed(origin: &Origin, error: &io::Error) -> Error {
    use rustls::Error as E;
    let server = origin.authority();
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<E>());
    let Some(tls) = tls else {
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the server closed it in the TLS handshake".into(),
            _ => crate::exit::reason(error),
        };
        return Error::Broken(reason);
    };
    match (Refusal::of(tls), tls) {
        (Some(Refusal::Untrusted { found, reason }), _) => Error::UntrustedCertificate {
            server,
            fingerprint: *found,
            reason: reason.clone(),
        },
        (Some(Refusal::Changed { known, found }), _) => Error::CertificateChanged {
            server,
            known: *known,
            found: *found,
            remedy: origin.remedy().to_owned(),
        },
        (None, E::InvalidMessage(_)) => Error::Tls {
            server,
            reason: "what answers there does not speak TLS: try http:// instead".into(),
        },
        (None, other) => Error::Tls {
            server,
            reason: unusable(other).map_or_else(|| other.to_string(), str::to_owned),
        },
    }
}

/// Makes one connection to the server at `url` and closes it: tells whether its certificate is believed.
pub async fn try_connection(url: &Url, access: &Access, limit: Duration) -> Result<(), Error> {
    let origin = Origin::new(url, "", None, access)?;
    Stream::open(&origin, limit).await.map(|_| ())
}
