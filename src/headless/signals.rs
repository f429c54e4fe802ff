//! The signals that end a run.

use std::{thread, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Exit};

/// SIGINT, SIGTERM and SIGHUP, from its making on.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// How long the second signal's orderly end may take, before there is none.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Ends the program some seconds after the second signal, whatever hangs: by a thread and a runtime of its own, as every
/// thread of the other may be waiting for a file system that does not answer.
pub(crate) fn end_whatever_hangs() {
    let watch = || -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::Local {
                what: "cannot wait for signals".into(),
                source,
                remedy: "report this with the system's name and version",
                exit: Exit::Other,
            })?;
        runtime.block_on(async {
            let mut signals = Signals::new()?;
            signals.next().await;
            let exit = signals.next().await;
            tokio::time::sleep(LAST_WORDS).await;
            std::process::exit(exit as i32)
        })
    };
    let watch = move || drop::<Result<(), Error>>(watch());
    // Without it the program ends as the runtime does.
    let _ = thread::Builder::new()
        .name("haul-signals".into())
        .spawn(watch);
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind).map_err(|source| Error::Local {
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
