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
    server::ParsedCertificate,
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
        // What cannot be read proves nothing in a handshake, whoever vouches for it.
        ParsedCertificate::try_from(certificate)?;
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
        E::Other(_) if named(error).as_deref() == Some("CaUsedAsEndEntity") => {
            "it is one of an authority, not of a server".into()
        }
        other => other.to_string(),
    }
}

/// Why no connection can be made with a certificate, believed or not; `None` where it is not to blame.
pub fn unusable(error: &rustls::Error) -> Option<&'static str> {
    if named(error).as_deref() == Some("UnsupportedCertVersion") {
        return Some(
            "its certificate is of X.509 version 1, which haul cannot use: the server needs one of version 3",
        );
    }
    let unread = rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
    (*error == unread).then_some("its certificate cannot be read: the server needs another one")
}

/// The verifier's own name for what rustls has none for: that is all its text is.
fn named(error: &rustls::Error) -> Option<String> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => {
            Some(why.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    /// What becomes of a certificate of `localhost`, pinned or not.
    fn verified(certificate: &CertificateDer<'_>, pinned: bool) -> Result<(), rustls::Error> {
        let key = KeyPair::generate().unwrap();
        let other = CertificateParams::new(Vec::<String>::new()).unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(other.self_signed(&key).unwrap().der().clone())
            .unwrap();
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = Verifier {
            pin: pinned.then(|| Fingerprint::of(certificate)),
            authorities: Some(builder.build().unwrap()),
            algorithms: provider().signature_verification_algorithms,
        };
        let name = ServerName::try_from("localhost").unwrap();
        let done = verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::now());
        done.map(|_| ())
    }

    #[test]
    fn an_authoritys_certificate_is_told_in_words() {
        let mut own = CertificateParams::new(vec!["localhost".into()]).unwrap();
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = own.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let error = verified(own.der(), false).unwrap_err();
        let Some(Refusal::Untrusted { reason, .. }) = Refusal::of(&error) else {
            panic!("{error}");
        };
        assert_eq!(reason, "it is one of an authority, not of a server");
        assert_eq!(verified(own.der(), true), Ok(()));
    }

    #[test]
    fn what_no_fingerprint_helps_is_no_question_of_trust() {
        // Of version 1, made with openssl.
        const VERSION_1: &str = "MIICrzCCAZcCFF3xEjRCPOs547lxd7OnpeJdIWI6MA0GCSqGSIb3DQEBCwUAMBQxEjAQBgNVBAMMCWxvY2FsaG9zdDAeFw0yNjExMzAyMjUwNDdaFw0yNjEyMzAyMjUwNDdaMBQxEjAQBgNVBAMMCWxvY2FsaG9zdDCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBAKRK1y0o5+yOs8njFqfsZrpcx8/2YfvTqzzuDkYLmkkdmIxol1PSaVYvQsekijN8aJiGnqruTVUY6fivx6xfqwZ/SUYuxtMA9hKqibQkUNkJVVGDoIy2vPhVgVCPuvGgqcZoP4iazq+/dEWuN1TH45GRtB+w12YaukuB7Xan3AFfvRzVmqTU42107+jpPcEIuisEzf6rQYTLc87K6so7KJ9L//NbsJPCOsbg/LiXv46SKLq39SxuQqjyb2nVLdXZ3qmcr+jIrM5p2P0rrGSzHm1iOqGAW0t2ch5hhLjWmZwnqkgNkRgG87xBlpSJi4EEHeA7K+Ls7ZkrAfTK1yWzMwMCAwEAATANBgkqhkiG9w0BAQsFAAOCAQEAJ9mLGMDbgvXKgfr1LR10NFArP3O88f4xnlwJalCbNmaJdNHraOEQ4aPhZ0pN/mh3KlTHVTb2uot80th07KXATS5tDIrQPC2Pjt4cbXX+EUxIhyuXAw1gaeb7Cr2eQOGl/kwtiA9e43rsSSQI6eW7qEtWl4mo3jTG0J13SUx5ORBUwVTQ68PtFvqtVZFgldQr2maj0ng//vLEIu+G8IIzLqW9WrPQmAEdA3TuSwYoq0Uq+YOuTwxY6/n5eAfxj3sdx0EFgm4Se1J+Xj4Z8rym/TwRdO7/+dbQXNsFydw/8NlDyR3w1KQCGnvdt9T27pUmBscD6Um+/Byg95ayCjoT2w==";
        let old = CertificateDer::from(STANDARD.decode(VERSION_1).unwrap());
        for (certificate, says) in [(old, "version 1"), (vec![1, 2, 3].into(), "cannot be read")] {
            for pinned in [true, false] {
                let error = verified(&certificate, pinned).unwrap_err();
                assert_eq!(Refusal::of(&error), None);
                assert!(unusable(&error).unwrap().contains(says), "{error}");
            }
        }
    }
}
