//! Panics in the log: one that ends a task or a thread is a fault of the program that nobody else would hear of.

use std::{
    panic::{self, PanicHookInfo},
    thread,
};

/// Logs panics from now on. That of the main thread, which ends the program, is told on stderr as well, and so is each where
/// the environment asks for backtraces.
pub(super) fn note() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        note_panic(panic);
        let ends = thread::current().name() == Some("main");
        if ends || std::env::var_os("RUST_BACKTRACE").is_some() {
            before(panic);
        }
    }));
}

/// Logs a panic as the end of what its task or thread served.
pub fn note_panic(panic: &PanicHookInfo<'_>) {
    tracing::error!("a task ends by a fault of haul, please report it: {panic}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::{Registry, layer::SubscriberExt as _};

    use super::*;
    use crate::{
        config::{Log, LogFormat},
        logging::{Output, Ring, Show},
    };

    /// The hook is the whole process's: other tests' panics go to the one that was there.
    #[test]
    fn a_panic_of_a_task_is_a_line_and_ends_nothing_else() {
        let ring = Ring::new();
        let settings = Log {
            file: None,
            level: tracing::Level::INFO,
            format: LogFormat::Text,
        };
        let (output, _pending) = Output::new(&settings, None, Show::Ring(ring.clone()));
        let log = Registry::default().with(output);
        let before = Arc::new(panic::take_hook());
        let (own, others) = (thread::current().id(), Arc::clone(&before));
        panic::set_hook(Box::new(move |panic| {
            if thread::current().id() == own {
                note_panic(panic);
            } else {
                others(panic);
            }
        }));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (ended, goes_on) = tracing::subscriber::with_default(log, || {
            runtime.block_on(async {
                let fails = tokio::spawn(async { panic!("on\npurpose") });
                let other = tokio::spawn(async { tokio::task::yield_now().await });
                (fails.await, other.await)
            })
        });
        panic::set_hook(Box::new(move |panic| before(panic)));
        assert!(ended.unwrap_err().is_panic() && goes_on.is_ok());
        let lines = ring.since(0);
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        let told = line.text.contains("fault of haul") && line.text.contains("purpose");
        assert!(told && line.text.contains("panics.rs"), "{line:?}");
        assert_eq!(line.level, tracing::Level::ERROR);
    }
}
