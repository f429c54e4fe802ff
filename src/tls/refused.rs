//! Why a certificate or key cannot be used, in words that lead on: what was found there, and what to do about it.

use std::path::Path;

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::CertifiedKey,
};

use super::{Error, der, provider};

/// Keys that can sign here, as ring takes them.
const USABLE: &str =
    "use an ECDSA key on P-256 or P-384, an Ed25519 key, or an RSA key of 2048 to 4096 bits";

fn refused(what: &'static str, path: &Path, found: impl Into<String>, remedy: &str) -> Error {
    Error::Refused {
        what,
        path: path.to_owned(),
        found: found.into(),
        remedy: remedy.replace("FILE", &path.display().to_string()),
    }
}

/// A file in which no private key was found.
pub(super) fn no_key(text: &[u8], path: &Path) -> Error {
    const WHAT: &str = "private key";
    let labels = labels(text);
    let has = |label: &str| labels.iter().any(|found| found == label);
    if has("ENCRYPTED PRIVATE KEY") || is_encrypted(text) {
        let remedy =
            "take its password off with `openssl pkey -in FILE -out plain.key`, and name plain.key";
        return refused(WHAT, path, "it is encrypted", remedy);
    }
    if has("CERTIFICATE") {
        let remedy = "name the file with -----BEGIN PRIVATE KEY-----";
        return refused(WHAT, path, "it is a certificate", remedy);
    }
    nothing(WHAT, "pkey", text, path, &labels)
}

/// A file in which no certificate was found.
pub(super) fn no_certificate(text: &[u8], path: &Path) -> Error {
    const WHAT: &str = "certificate";
    let labels = labels(text);
    if labels.iter().any(|label| label.ends_with("PRIVATE KEY")) {
        let remedy = "name the file with -----BEGIN CERTIFICATE-----";
        return refused(WHAT, path, "it is a private key", remedy);
    }
    nothing(WHAT, "x509", text, path, &labels)
}

/// What else a file may be that holds nothing of use.
fn nothing(what: &'static str, tool: &str, text: &[u8], path: &Path, labels: &[String]) -> Error {
    if let [first, ..] = labels {
        let found = format!("it holds {first}, or is damaged");
        return refused(what, path, found, "name another file");
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return refused(what, path, "it is empty", "name another file");
    }
    // A SEQUENCE: what DER and PKCS #12 begin with.
    if text.first() == Some(&0x30) {
        let remedy = format!(
            "make PEM of it with `openssl {tool} -inform der -in FILE` or, of PKCS #12, `openssl pkcs12 -nodes -in FILE`"
        );
        return refused(what, path, "it is binary (DER or PKCS #12)", &remedy);
    }
    Error::Content {
        what,
        path: path.to_owned(),
    }
}

/// The words behind `-----BEGIN`, in their order.
fn labels(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim);
    let between = |line: &str| {
        Some(
            line.strip_prefix("-----BEGIN ")?
                .strip_suffix("-----")?
                .to_owned(),
        )
    };
    lines.filter_map(between).collect()
}

/// PEM as OpenSSL encrypted keys before PKCS #8 (RFC 1421 §4.6.1.1).
fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.lines()
        .any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
}

/// Why rustls takes neither the certificate nor the key, though both were read.
pub(super) fn pair(
    chain: &[CertificateDer<'static>],
    certificate: &Path,
    secret: &PrivateKeyDer<'static>,
    key: &Path,
    error: &rustls::Error,
) -> Error {
    if let Some(version @ 1..=2) = chain.first().and_then(|first| der::version(first)) {
        return refused(
            "certificate",
            certificate,
            format!("it is X.509 version {version}"),
            "have one issued with version 3, which names its hosts in subjectAltName",
        );
    }
    let Ok(signer) = provider().key_provider.load_private_key(secret.clone_key()) else {
        let found = match der::key_kind(secret.secret_der()) {
            Some(kind) => format!("it is {kind}"),
            None => "it is of a kind that is not known here".into(),
        };
        return refused("private key", key, found, USABLE);
    };
    let fits = |one: &CertificateDer<'static>| {
        CertifiedKey::new(vec![one.clone()], signer.clone())
            .keys_match()
            .is_ok()
    };
    if chain.iter().skip(1).any(fits) {
        return refused(
            "certificate",
            certificate,
            "its first certificate is not the key's, and a later one is",
            "put the server's own certificate first, and behind each the one that signed it",
        );
    }
    match error {
        rustls::Error::InconsistentKeys(_) => Error::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        },
        error => Error::Unusable {
            path: certificate.to_owned(),
            reason: error.to_string(),
        },
    }
}
