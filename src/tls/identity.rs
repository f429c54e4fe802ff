//! The server's certificate: given by the user, or made once and kept.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::IpAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{
    RootCertStore, ServerConfig,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::{ALPN, Error, Fingerprint, provider, refused};
use crate::{
    credentials::{warn_if_readable, without_bom},
    exit::reason,
    sys::disk::private_dir,
};

/// The file that holds the server's own key and certificate in the state directory.
const NAME: &str = "tls.pem";

/// What a server shows to clients; clones share it.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
    fingerprint: Fingerprint,
}

/// The key stays out of every log.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// The user's certificate (with what else its chain needs) and key, both PEM. One that has expired is told in the
    /// log and used all the same.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let read = |what, path: &Path| {
            fs::read(path).map_err(|source| Error::Read {
                what,
                path: path.to_owned(),
                source,
                remedy: "name a file that you can read",
            })
        };
        let chain = read("certificate", certificate)?;
        let secret = Zeroizing::new(read("key", key)?);
        let this = Self::new(&chain, certificate, &secret, key)?;
        warn_if_readable("the certificate's key", key);
        Ok(this)
    }

    /// The certificate of this machine: made for `names` and `addresses` where `state_dir` holds none yet.
    pub fn own(state_dir: &Path, names: &[String], addresses: &[IpAddr]) -> Result<Self, Error> {
        let path = state_dir.join(NAME);
        let pem = match fs::read(&path) {
            Ok(pem) => {
                warn_if_readable("the certificate's key", &path);
                Zeroizing::new(pem)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made =
                    make(names, addresses).map_err(|error| Error::Make(error.to_string()))?;
                let kept = keep(&path, made.as_bytes()).map_err(|error| Error::Keep {
                    what: "the certificate",
                    reason: format!("{}: {}", path.display(), reason(&error)),
                    remedy: "set XDG_STATE_HOME to a place that can be written",
                })?;
                Zeroizing::new(kept)
            }
            Err(source) => {
                return Err(Error::Read {
                    what: "certificate",
                    path,
                    source,
                    remedy: "remove it, and another is made",
                });
            }
        };
        Self::new(&pem, &path, &pem, &path)
    }

    fn new(chain: &[u8], path: &Path, secret: &[u8], key_path: &Path) -> Result<Self, Error> {
        let (chain_text, secret_text) = (without_bom(chain), without_bom(secret));
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain_text)
            .collect::<Result<_, _>>()
            .map_err(|_| refused::no_certificate(chain_text, path))?;
        let Some(first) = chain.first() else {
            return Err(refused::no_certificate(chain_text, path));
        };
        let secret = PrivateKeyDer::from_pem_slice(secret_text)
            .map_err(|_| refused::no_key(secret_text, key_path))?;
        warn_of_dates(first, path);
        let fingerprint = Fingerprint::of(first);
        let certificate = first.clone();
        let unusable =
            |error: rustls::Error| refused::pair(&chain, path, &secret, key_path, &error);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain.clone(), secret.clone_key())
            .map_err(unusable)?;
        // curl -0 offers nothing else.
        config.alpn_protocols = vec![ALPN.to_vec(), b"http/1.0".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            certificate,
            fingerprint,
        })
    }

    /// Whether the certificate is for that host, as clients read it (RFC 6125).
    pub fn is_for(&self, host: &str) -> bool {
        let Ok(name) = ServerName::try_from(host) else {
            return false;
        };
        ParsedCertificate::try_from(&self.certificate)
            .is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    }

    /// What people compare when they connect for the first time.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Takes handshakes.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// Names of this machine for its certificate: its host name, and `localhost`.
pub fn own_names() -> Vec<String> {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let mut names = vec![host, "localhost".to_owned()];
    names.retain(|name| !name.is_empty());
    names.dedup();
    names
}

/// A key and a certificate that it signs itself, as one PEM text. It does not expire: clients know it by its
/// fingerprint, and another one would be refused.
fn make(names: &[String], addresses: &[IpAddr]) -> Result<Zeroizing<String>, rcgen::Error> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    // A host name that no certificate can hold is left out.
    let names = names
        .iter()
        .filter_map(|name| name.as_str().try_into().ok());
    params.subject_alt_names = names
        .map(SanType::DnsName)
        .chain(addresses.iter().copied().map(SanType::IpAddress))
        .collect();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "haul");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    Ok(Zeroizing::new(key.serialize_pem() + &certificate.pem()))
}

/// Writes the file, readable to its owner only, and returns its content: another server's that was faster, maybe.
fn keep(path: &PathBuf, pem: &[u8]) -> io::Result<Vec<u8>> {
    let dir = path.parent().unwrap_or(Path::new("."));
    private_dir(dir)?;
    let temporary = dir.join(format!("{NAME}.{}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(pem)?;
        file.sync_all()?;
        // Unlike a rename, a link never replaces.
        match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    };
    let written = write();
    let removed = fs::remove_file(&temporary);
    written.and(removed)?;
    fs::read(path)
}

/// Says in the log when a certificate is not valid today.
fn warn_of_dates(certificate: &CertificateDer<'_>, path: &Path) {
    use rustls::CertificateError as E;
    // Dates are checked before the issuer, so an answer about dates needs no authority.
    let checked = ParsedCertificate::try_from(certificate).and_then(|parsed| {
        let algorithms = provider().signature_verification_algorithms.all;
        let none = RootCertStore::empty();
        verify_server_cert_signed_by_trust_anchor(&parsed, &none, &[], UnixTime::now(), algorithms)
    });
    let Err(rustls::Error::InvalidCertificate(why)) = checked else {
        return;
    };
    let what = match why {
        E::Expired | E::ExpiredContext { .. } => "has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "is not valid yet",
        _ => return,
    };
    tracing::warn!(
        "the certificate {} {what}: most clients will refuse it",
        path.display()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_own_certificate_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let names = ["nas.local".to_owned(), "not a name é".to_owned()];
        let made = Identity::own(&state, &names, &["192.0.2.1".parse().unwrap()]).unwrap();
        let again = Identity::own(&state, &[], &[]).unwrap();
        assert_eq!(made.fingerprint(), again.fingerprint());
        let files: Vec<_> = fs::read_dir(&state).unwrap().collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let bits = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((bits(&state), bits(&state.join(NAME))), (0o700, 0o600));
        let shown = format!("{made:?}");
        assert!(!shown.contains("PRIVATE") && shown.len() < 200, "{shown}");
    }

    #[test]
    fn the_first_of_two_servers_makes_the_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        assert_eq!(keep(&path, b"first").unwrap(), b"first");
        assert_eq!(keep(&path, b"second").unwrap(), b"first");
    }

    #[test]
    fn files_that_cannot_be_used_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["one.pem", "two.pem"] {
            fs::write(at(name), make(&["nas".into()], &[]).unwrap()).unwrap();
        }
        fs::write(at("text"), "hello").unwrap();
        fs::write(
            at("broken.pem"),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        assert!(Identity::load(&at("one.pem"), &at("one.pem")).is_ok());
        for (certificate, key, says) in [
            ("none.pem", "one.pem", "cannot read the certificate"),
            ("one.pem", "none.pem", "cannot read the key"),
            ("text", "one.pem", "text holds no certificate"),
            ("one.pem", "text", "text holds no private key"),
            ("one.pem", "two.pem", "does not belong to"),
            ("broken.pem", "two.pem", "cannot use the certificate"),
        ] {
            let error = Identity::load(&at(certificate), &at(key)).unwrap_err();
            let line = error.to_string();
            assert!(line.contains(says) && !line.contains('\n'), "{line}");
        }
    }
}
