//! What makes a client trust a server's certificate.

use std::{io, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{io::BufReader, net::TcpStream};
use tokio_rustls::{TlsConnector, client};

use super::{ALPN, Fingerprint, provider};

/// Bytes that are read from the socket at once; rustls by itself would take 4 KiB a call.
const READ: usize = 64 * 1024;

/// A client's end of a TLS connection.
pub type TlsStream = client::TlsStream<BufReader<TcpStream>>;

/// Why a certificate was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing vouches for it; the user may.
    #[error("{reason}")]
    Untrusted {
        /// The certificate's.
        found: Fingerprint,
        /// What the system's authorities lack.
        reason: String,
    },
    /// Another one is expected.
    #[error("the certificate {found} is not {known}")]
    Changed {
        /// What is expected.
        known: Fingerprint,
        /// The certificate's.
        found: Fingerprint,
    },
}

/// Makes TLS connections to one server. They share their sessions, so that further ones take a shorter handshake.
#[derive(Clone)]
pub struct Connector {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Connector").field(&self.name).finish()
    }
}

impl Connector {
    /// For the server `host`, a name or an address. With a `pin`, that certificate and no other; else what the
    /// system's authorities vouch for. Reads their certificates, which takes milliseconds.
    pub fn new(host: &str, pin: Option<Fingerprint>) -> Result<Self, rustls::Error> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| rustls::Error::General("the host's name fits no certificate".into()))?;
        let verifier = Verifier {
            pin,
            authorities: if pin.is_none() { authorities() } else { None },
            algorithms: provider().signature_verification_algorithms,
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        })
    }

    /// Makes the handshake. Its time is the caller's to limit.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream> {
        let stream = BufReader::with_capacity(READ, stream);
        self.connector.connect(self.name.clone(), stream).await
    }
}

/// The authorities that the system trusts; `None` where it has none.
fn authorities() -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!("the system's authorities: {error}");
    }
    // Old ones that cannot be read vouch for nothing.
    roots.add_parsable_certificates(found.certs);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .ok()
}

/// Decides about certificates; see the module.
#[derive(Debug)]
struct Verifier {
    pin: Option<Fingerprint>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = Fingerprint::of(certificate);
        let refusal = match (self.pin, &self.authorities) {
            (Some(known), _) if known == found => return Ok(ServerCertVerified::assertion()),
            (Some(known), _) => Refusal::Changed { known, found },
            (None, Some(authorities)) => {
                match authorities.verify_server_cert(certificate, intermediates, name, ocsp, now) {
                    Ok(verified) => return Ok(verified),
                    Err(error) => Refusal::Untrusted {
                        found,
                        reason: reason(&error),
                    },
                }
            }
            (None, None) => Refusal::Untrusted {
                found,
                reason: "this system trusts no authority at all".into(),
            },
        };
        let refusal = CertificateError::Other(OtherError(Arc::new(refusal)));
        Err(rustls::Error::InvalidCertificate(refusal))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Refusal {
    /// The refusal that ended a handshake, if that is why it ended.
    pub fn of(error: &rustls::Error) -> Option<&Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => {
                why.downcast_ref()
            }
            _ => None,
        }
    }
}

/// Why the authorities do not vouch for a certificate, in plain words.
fn reason(error: &rustls::Error) -> String {
    use CertificateError as E;
    let rustls::Error::InvalidCertificate(why) = error else {
        return error.to_string();
    };
    match why {
        // A bad signature is that of another authority which has the same name.
        E::UnknownIssuer | E::BadSignature => {
            "no authority that this system trusts has signed it".into()
        }
        E::Expired | E::ExpiredContext { .. } => "it has expired".into(),
        E::NotValidYet | E::NotValidYetContext { .. } => "it is not valid yet".into(),
        E::NotValidForName | E::NotValidForNameContext { .. } => "it is for another name".into(),
        E::Revoked => "it was revoked".into(),
        other => other.to_string(),
    }
}
