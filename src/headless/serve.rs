//! `haul serve --headless`.

use std::{io::Write, pin::pin, time::Duration};

use tokio::time::timeout;

use super::signals::Signals;
use crate::{
    config,
    error::{Error, Exit},
    server::{self, MinRate, Server, Stop},
};

/// How long a client may read more slowly than `--min-rate` before it is dropped.
const MIN_RATE_OVER: Duration = Duration::from_secs(60);
/// How long connections may take to close once they are told to.
const ABORT: Duration = Duration::from_secs(1);

/// Serves until a signal; `out` is told the URLs, a line each.
pub async fn run(settings: config::Serve, out: &mut impl Write) -> Result<Exit, Error> {
    let mut signals = Signals::new()?;
    let server = Server::new(engine_settings(&settings))?;
    let listeners = server::bind(&settings.addresses, settings.port).await?;
    for url in server::urls(&listeners) {
        tracing::info!("listening on {url}");
        // A server goes on without a reader of its first lines.
        let _ = writeln!(out, "listening on {url}");
    }
    let _ = out.flush();

    let stop = Stop::default();
    let mut running = pin!(server.run(listeners, stop.clone()));
    let exit = tokio::select! {
        () = &mut running => return Ok(Exit::Done),
        exit = signals.next() => exit,
    };
    tracing::info!("stopping: running transfers get 10 s, a second signal ends at once");
    // The server itself bounds how long it drains.
    stop.drain.cancel();
    tokio::select! {
        () = &mut running => return Ok(exit),
        _ = signals.next() => {}
    }
    stop.abort.cancel();
    let _ = timeout(ABORT, running).await;
    Ok(exit)
}

/// What the server's engine runs with, with or without a screen.
pub(crate) fn engine_settings(settings: &config::Serve) -> server::Settings {
    server::Settings {
        root: settings.dir.clone(),
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
    }
}
