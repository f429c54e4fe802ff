//! `haul serve --headless`.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::future::join;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

use super::managed::Managed;
use crate::{
    app::serve::Facts,
    config,
    control::{self, Subject},
    discovery::{Announced, Announcement, goodbye},
    error::Error,
    escape::{display_name, display_path},
    exit::{Exit, Local},
    logging::Ring,
    server::{
        self, MinRate, Names, Own, Server, Stop,
        access::{Access, Sources},
    },
    sys::signals::{Signals, end_whatever_hangs},
    tls::{self, Identity},
};

/// How long a client may read more slowly than `--min-rate` before it is dropped.
const MIN_RATE_OVER: Duration = Duration::from_secs(60);
/// How long connections may take to close once they are told to.
const ABORT: Duration = Duration::from_secs(1);

/// Serves until a signal, on `sockets` where there are any; `out` is told the URLs, a line each.
pub async fn run(
    settings: config::Serve,
    sockets: Vec<std::net::TcpListener>,
    ring: Ring,
    out: &mut impl Write,
) -> Result<Exit, Error> {
    let mut signals = Signals::new()?;
    end_whatever_hangs();
    let server = Server::new(engine_settings(&settings)?)?;
    let listeners = listeners(&settings, sockets).await?;
    let facts = facts(&server, &listeners, &settings.dir);
    let quit = CancellationToken::new();
    let subject = Subject::Serve {
        server: server.clone(),
        facts: facts.clone(),
    };
    let control = control::listen(&settings.control, "serve", subject, ring, quit.clone())?;
    for url in &facts.urls {
        tracing::info!("listening on {url}");
        // A server goes on without a reader of its first lines.
        let _ = writeln!(out, "listening on {url}");
    }
    if let Some(fingerprint) = server.fingerprint() {
        tracing::info!("fingerprint SHA256:{fingerprint}");
        let _ = writeln!(out, "fingerprint SHA256:{fingerprint}");
    }
    if let Some(url) = control.metrics() {
        let _ = writeln!(out, "metrics on {url}");
    }
    let _ = out.flush();

    let managed = Managed::begin(&server, facts.urls.first().map_or("", String::as_str));
    let announced = announce(&settings, &facts, &listeners);
    let stop = Stop::default();
    let mut running = pin!(server.run(listeners, stop.clone()));
    let exit = tokio::select! {
        () = &mut running => {
            goodbye(announced).await;
            return Ok(Exit::Done);
        }
        exit = signals.next() => exit,
        () = quit.cancelled() => Exit::Done,
    };
    tracing::info!("stopping: running transfers get 10 s, a second signal ends at once");
    managed.stopping();
    // The server itself bounds how long it drains.
    stop.drain.cancel();
    tokio::select! {
        _ = join(&mut running, goodbye(announced)) => return Ok(exit),
        _ = signals.next() => {}
    }
    stop.abort.cancel();
    let _ = timeout(ABORT, running).await;
    Ok(exit)
}

/// The listeners of a server: the sockets that the service manager has handed over, or else what the settings say.
pub(crate) async fn listeners(
    settings: &config::Serve,
    sockets: Vec<std::net::TcpListener>,
) -> Result<Vec<TcpListener>, Error> {
    if sockets.is_empty() {
        return Ok(server::bind(&settings.addresses, settings.port).await?);
    }
    tracing::info!("the sockets are the service manager's: --address and --port decide nothing");
    let taken = sockets.into_iter().map(TcpListener::from_std);
    taken.collect::<io::Result<_>>().map_err(|source| {
        Error::Local(Local {
            what: "cannot use the service manager's sockets".into(),
            source,
            remedy: "start it without them",
            exit: Exit::Network,
        })
    })
}

/// Says on the network that a server is there, where others can reach it and the settings let it.
pub(crate) fn announce(
    settings: &config::Serve,
    facts: &Facts,
    listeners: &[TcpListener],
) -> Option<Announced> {
    if !settings.announces {
        return None;
    }
    let instance = settings.control.instance.clone();
    // A directory's name is for those who may see it.
    let dir = settings.dir.canonicalize().ok().filter(|_| facts.open);
    let dir = || Some(display_name(dir?.file_name()?.as_encoded_bytes()).into_owned());
    let listens = listeners.iter().filter_map(|one| one.local_addr().ok());
    let what = Announcement {
        name: instance.or_else(dir).unwrap_or_else(|| "haul".to_owned()),
        listens: listens.collect(),
        fingerprint: facts.fingerprint,
    };
    let Some(begun) = Announced::begin(&what) else {
        tracing::debug!("not announced: only this machine can reach it");
        return None;
    };
    match begun {
        Ok(announced) => Some(announced),
        Err(error) => {
            tracing::warn!("others do not find this server by themselves: {error}");
            None
        }
    }
}

/// What screens of a server are told.
pub(crate) fn facts(server: &Server, listeners: &[TcpListener], root: &Path) -> Facts {
    Facts {
        urls: server::urls(listeners, server.settings().scheme()),
        root: display_path(&std::path::absolute(root).unwrap_or_else(|_| root.to_owned())),
        open: server.settings().access.is_open(),
        fingerprint: server.fingerprint(),
        since: Some(Instant::now()),
        home: std::env::home_dir(),
    }
}

/// What the server's engine runs with, with or without a screen. Reads certificates and logins.
pub(crate) fn engine_settings(settings: &config::Serve) -> Result<server::Settings, Error> {
    let access = Access::new(&Sources {
        logins: &settings.auth,
        auth_file: settings.auth_file.as_deref(),
        token_file: settings.token_file.as_deref(),
    })?;
    Ok(server::Settings {
        hidden: settings.hidden,
        follow_symlinks: settings.follow_symlinks,
        timeout: settings.timeout,
        max_connections: settings.max_connections,
        max_clients: settings.max_clients,
        limit: settings.limit,
        limit_client: settings.limit_client,
        min_rate: settings.min_rate.map(|rate| MinRate {
            rate,
            over: MIN_RATE_OVER,
        }),
        cache: config::cache_dir(),
        tls: identity(settings)?,
        access,
        names: Names::new(&settings.names),
        own: own(settings),
        web: settings.web,
        ..server::Settings::new(settings.dir.clone())
    })
}

/// The files that this process reads and writes itself.
fn own(settings: &config::Serve) -> Own {
    let files = [
        &settings.tls_key,
        &settings.auth_file,
        &settings.token_file,
        &settings.config,
        &settings.log.file,
    ];
    let files = files.into_iter().flatten().cloned().collect();
    Own::new(files, config::state_dir())
}

/// The certificate to show, where TLS is asked for.
fn identity(settings: &config::Serve) -> Result<Option<Identity>, Error> {
    let missing = |one: &str, other: &str| {
        let line = format!("{one} needs {other}: name both files; see `haul serve --help`");
        Err(Error::Usage(line))
    };
    match (&settings.tls_cert, &settings.tls_key) {
        (Some(certificate), Some(key)) => Ok(Some(Identity::load(certificate, key)?)),
        (Some(_), None) => missing("--tls-cert", "--tls-key"),
        (None, Some(_)) => missing("--tls-key", "--tls-cert"),
        (None, None) if !settings.tls => Ok(None),
        (None, None) => {
            let state_dir = config::state_dir().ok_or_else(|| tls::Error::Keep {
                what: "the certificate",
                reason: "no home directory is known".into(),
                remedy: "set XDG_STATE_HOME, or give --tls-cert and --tls-key",
            })?;
            let mut addresses = server::local_addresses();
            let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            addresses.extend(settings.addresses.iter().chain(&loopback));
            addresses.retain(|address| !address.is_unspecified());
            addresses.sort_unstable();
            addresses.dedup();
            let own = Identity::own(&state_dir, &tls::own_names(), &addresses)?;
            Ok(Some(own))
        }
    }
}
