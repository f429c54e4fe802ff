//! What is presented to servers and believed of them: logins, tokens, fields, certificates, proxies.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use url::Url;
use zeroize::Zeroizing;

use super::{ask::says_yes, plan::only_server};
use crate::{
    client::{self, Access},
    config::{self, proxy::Proxies, target::Checksums},
    credentials::{self, Credentials, netrc},
    error::Error,
    escape::display_path,
    exit::reason,
};

/// What the settings say of it. A URL without a scheme becomes https where its server's
/// certificate is known.
pub(crate) fn access(settings: &mut config::Connect) -> Result<Access, Error> {
    let mut access = Access::new(config::state_dir().as_deref());
    let resolve = |access: &Access, url: &Url, expected| {
        if settings.bare.contains(url) {
            access.with_scheme(url, expected)
        } else {
            Ok(url.clone())
        }
    };
    let expected = settings.fingerprint.is_some();
    let url = resolve(&access, &settings.url, expected)?;
    let mirrors = settings.mirrors.iter();
    let mirrors = mirrors.map(|mirror| resolve(&access, mirror, false));
    let mirrors = mirrors.collect::<Result<_, _>>()?;
    for (given, credentials) in &settings.credentials {
        let url = resolve(&access, given, expected && *given == settings.url)?;
        access.present(&url, credentials.clone());
    }
    (settings.url, settings.mirrors) = (url, mirrors);
    if let Some(file) = &settings.metalink
        && (settings.login.is_some() || expected || !settings.headers.is_empty())
    {
        settings.url = only_server(file)?;
        if expected && settings.url.scheme() != "https" {
            return Err(Error::Usage(format!(
                "--fingerprint is a certificate's, which only https:// has: {} names http://",
                display_path(file)
            )));
        }
    }
    if let Some(login) = &settings.login {
        access.present(&settings.url, login.clone());
    }
    if let Some(Checksums::Url(list)) = &settings.checksums
        && let Some(login) = &list.credentials
    {
        let (origin, first) = (list.url.origin(), settings.url.origin());
        let mut names = settings.headers.iter().map(|(name, _)| name);
        let has_other = settings
            .credentials
            .iter()
            .any(|(url, other)| url.origin() == origin && other != login)
            || (origin == first && settings.login.as_ref().is_some_and(|other| other != login))
            || (origin == first && names.any(|name| name.eq_ignore_ascii_case("authorization")));
        if has_other {
            let line =
                "--checksums has another login for a server that has one: leave one of them out";
            return Err(Error::Usage(line.into()));
        }
        access.present(&list.url, login.clone());
    }
    for (name, value) in &settings.headers {
        access.send(&settings.url, name, value.clone());
    }
    access.present_to_hosts(host_logins(settings.netrc.as_deref())?);
    access.go_through(match &settings.proxy {
        Some(config::ProxyChoice::Off) => Proxies::default(),
        Some(config::ProxyChoice::Through(proxy)) => Proxies::one(proxy.clone()),
        None => Proxies::from_environment(|name| std::env::var(name).ok()),
    });
    if let Some(fingerprint) = settings.fingerprint {
        access.expect(&settings.url, fingerprint);
    }
    Ok(access)
}

/// The logins of a `.netrc`. The usual one may be missing, or hold what is not understood: it is other programs' as well.
fn host_logins(named: Option<&Path>) -> Result<Vec<(Option<String>, Credentials)>, Error> {
    const OPTION: &str = "--netrc";
    if named == Some(Path::new("off")) {
        return Ok(Vec::new());
    }
    if let Some(path) = named {
        let text = credentials::read_file(OPTION, path)?;
        let wrong = |why| Error::Usage(format!("{OPTION}: {}: {why}", path.display()));
        return netrc::read(&text).map_err(wrong);
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".netrc"));
    let Some(path) = std::env::var_os("NETRC").map(PathBuf::from).or_else(home) else {
        return Ok(Vec::new());
    };
    let text = match std::fs::read(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => {
            let why = reason(&error);
            tracing::warn!("{}: {why}: no login is taken from it", path.display());
            return Ok(Vec::new());
        }
    };
    let text = std::str::from_utf8(&text).map_err(|_| "it is no UTF-8".to_owned());
    Ok(text.and_then(netrc::read).unwrap_or_else(|why| {
        tracing::warn!("{}: {why}: no login is taken from it", path.display());
        Vec::new()
    }))
}

/// Asks once about a certificate that nothing vouches for, as ssh does, and remembers a yes.
pub(super) async fn vouch(settings: &config::Connect, access: &Access) -> Result<(), Error> {
    if settings.url.scheme() != "https" {
        return Ok(());
    }
    let tried = client::try_connection(&settings.url, access, settings.timeout).await;
    // Other failures are the download's to tell, which may try again.
    let Err(error @ client::Error::UntrustedCertificate { .. }) = tried else {
        return Ok(());
    };
    if let client::Error::UntrustedCertificate {
        server,
        fingerprint,
        reason,
    } = &error
    {
        let question = format!(
            "The certificate of {server} cannot be checked: {reason}.\n\
             Its fingerprint is SHA256:{fingerprint}\n\
             If that is what the server shows, answer yes, and it is not asked again. Trust it? [yes/no] "
        );
        if says_yes(question).await {
            access.trust(&settings.url, fingerprint)?;
            return Ok(());
        }
    }
    Err(error.into())
}
