//! The signals that end a run.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Exit, Local};

/// SIGINT, SIGTERM and SIGHUP, from its making on.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Local> {
        let listen = |kind| {
            signal(kind).map_err(|source| Local {
                what: "cannot wait for signals".into(),
                source,
                remedy: "report this with the system's name and version",
                exit: Exit::Other,
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one and gives the status that it ends the program with. No signal is lost when this is
    /// cancelled.
    pub(crate) async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            _ = self.hangup.recv() => Exit::Terminated,
        }
    }
}
