//! The signals that end a run.

use tokio::signal::unix::SignalKind;

use crate::{
    exit::{Exit, Local},
    sys::terminal::UnlessIgnored,
};

/// SIGINT, SIGTERM and SIGHUP, from its making on; those that were ignored before stay so.
pub(crate) struct Signals {
    interrupt: UnlessIgnored,
    terminate: UnlessIgnored,
    hangup: UnlessIgnored,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Local> {
        let listen = |kind| {
            UnlessIgnored::new(kind).map_err(|source| Local {
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
            () = self.interrupt.recv() => Exit::Interrupted,
            () = self.terminate.recv() => Exit::Terminated,
            () = self.hangup.recv() => Exit::Terminated,
        }
    }
}
