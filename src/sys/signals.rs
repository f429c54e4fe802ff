//! The signals that end a run.

use std::{io, thread, time::Duration};

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

/// How long the second signal's orderly end may take, before there is none.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Ends the program some seconds after the second signal, whatever hangs: by a thread and a runtime of its own, as every
/// thread of the other may be waiting for a file system that does not answer.
pub(crate) fn end_whatever_hangs() {
    let watch = || -> Result<(), Local> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(cannot_wait)?;
        runtime.block_on(async {
            let mut signals = Signals::new()?;
            signals.next().await;
            let exit = signals.next().await;
            tokio::time::sleep(LAST_WORDS).await;
            std::process::exit(exit as i32)
        })
    };
    let watch = move || drop::<Result<(), Local>>(watch());
    // Without it the program ends as the runtime does.
    let _ = thread::Builder::new()
        .name("haul-signals".into())
        .spawn(watch);
}

/// Ends the program at a signal, after `last`: for what waits on a thread without a runtime, and has changed what must not
/// stay so.
///
/// # Errors
///
/// Where signals cannot be waited for.
pub(crate) fn end_after(last: impl FnOnce() + Send + 'static) -> Result<(), Local> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot_wait)?;
    // Waited for from now on: the thread may take its time to begin.
    let mut signals = {
        let _within = runtime.enter();
        Signals::new()?
    };
    let watch = move || {
        let exit = runtime.block_on(signals.next());
        last();
        std::process::exit(exit as i32)
    };
    let thread = thread::Builder::new().name("haul-signals".into());
    thread.spawn(watch).map(drop).map_err(cannot_wait)
}

fn cannot_wait(source: io::Error) -> Local {
    Local {
        what: "cannot wait for signals".into(),
        source,
        remedy: "report this with the system's name and version",
        exit: Exit::Other,
    }
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Local> {
        let listen = |kind| UnlessIgnored::new(kind).map_err(cannot_wait);
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

    /// What `work` comes to. A signal that comes first drops it where it waits, and gives its status instead.
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Exit> {
        tokio::select! {
            biased;
            exit = self.next() => Err(exit),
            done = work => Ok(done),
        }
    }
}
