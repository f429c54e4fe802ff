//! `haul connect --hold`: many clients that begin at the same moment.

use std::io::{self, Read as _, Write as _};

use tokio::sync::oneshot;

use super::report::unwritable;
use crate::error::Error;
use crate::exit::Exit;
use crate::sys::signals::Signals;

/// Says on stdout that this client is ready, and waits until standard input ends. `Some` is the status of a signal
/// that came first.
pub(super) async fn hold(signals: &mut Signals, json: bool) -> Result<Option<Exit>, Error> {
    let ready = if json {
        "{\"event\":\"ready\"}"
    } else {
        "ready"
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{ready}")
        .and_then(|()| out.flush())
        .map_err(unwritable)?;
    drop(out);
    let (ended, mut end) = oneshot::channel();
    // Not the runtime's blocking pool: its end would wait for this read when a signal comes first.
    std::thread::spawn(move || {
        let mut ignored = [0; 512];
        while matches!(io::stdin().read(&mut ignored), Ok(1..)) {}
        // Nobody listens after a signal.
        let _ = ended.send(());
    });
    tokio::select! {
        exit = signals.next() => Ok(Some(exit)),
        _ = &mut end => {
            tracing::info!(client.released = true, "standard input has ended: connecting");
            Ok(None)
        }
    }
}
