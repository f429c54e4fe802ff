//! The engines with `:` commands from standard input.

use std::{
    io::{self, Write as _},
    net::TcpListener,
};

use tokio_util::sync::CancellationToken;

use super::dashboards::{ask, exit, first, hub, quit, serve_shown};
use crate::{
    config,
    control::{self, STOP, Subject},
    dashboard::{Ending, lines},
    error::Error,
    exit::Exit,
    headless,
    logging::{Ring, one_line},
    sys::signals::{Signals, end_whatever_hangs},
};

/// Serves, and takes commands, until one of them, a signal or the end of standard input ends it.
pub(super) async fn serve(
    settings: config::Serve,
    sockets: Vec<TcpListener>,
    ring: Ring,
) -> Result<Exit, Error> {
    let signals = Signals::new()?;
    end_whatever_hangs();
    let mut refused = Exit::Done;
    let shown = async |server, facts, quit| {
        let (ending, status) = lines::serve(server, facts, (signals, quit), io::stdout()).await?;
        refused = status;
        Ok(ending)
    };
    let exit = serve_shown(settings, sockets, ring, shown).await?;
    Ok(if exit == Exit::Done { refused } else { exit })
}

/// Browses and downloads by commands, until one of them or a signal ends it, or standard input has ended and nothing is under
/// way.
pub(super) async fn connect(mut settings: config::Connect, ring: Ring) -> Result<Exit, Error> {
    let mut signals = Signals::new()?;
    end_whatever_hangs();
    let access = headless::access::access(&mut settings)?;
    let begun = signals.or(first(&settings, &access)).await;
    let (session, want) = begun.map_err(Error::Signal)??;
    let facts = headless::connect::facts(&settings);
    let seen = settings.control.clone();
    let hub = hub(settings, access);
    let client = session.client.clone();
    let server = hub.turn_to(session);
    let subject = Subject::Connect {
        hub: hub.clone(),
        facts: facts.clone(),
    };
    let quits = CancellationToken::new();
    let control = control::listen(&seen, "connect", subject, ring, quits.clone())?;
    ask(&client, want)?;
    if let Some(url) = control.metrics() {
        // Without a reader the commands' answers tell so.
        let _ = writeln!(io::stdout(), "metrics on {url}");
    }
    let ended = lines::connect((facts, server), &hub, (signals, quits), io::stdout()).await;
    drop(control);
    // What was received is on disk before the program ends.
    let left = hub.stop(STOP).await;
    match ended? {
        (Ending::Quit, Exit::Done) => quit(left),
        (Ending::Quit, refused) => {
            let left = quit(left).unwrap_or_else(|error| {
                let line = one_line(&format!("haul: {error}"));
                // Without stderr nobody reads it.
                let _ = writeln!(io::stderr(), "{line}");
                error.exit()
            });
            Ok(Exit::of_all([refused, left]))
        }
        (ending, _) => Ok(exit(ending)),
    }
}
