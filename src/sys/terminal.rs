//! Whose terminal it is, and which signals are for somebody else: what a shell says with `&`, and `nohup`.

use std::{
    fs::OpenOptions,
    future::pending,
    io::{self, IsTerminal, Write as _},
    os::fd::AsFd,
    sync::OnceLock,
};

use rustix::{
    process::getpgrp,
    termios::{OptionalActions, tcgetattr, tcgetpgrp, tcsetattr},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Whether `stream` is a terminal on which this program is in the foreground: only then may it draw there and ask. A terminal
/// that controls nobody here knows no foreground, and is whose it is.
pub fn is_in_foreground(stream: &(impl IsTerminal + AsFd)) -> bool {
    stream.is_terminal() && tcgetpgrp(stream).map_or(true, |foreground| foreground == getpgrp())
}

/// What gives the terminal of this process the modes back that it has now, echo among them, and begins a new line there.
pub(crate) fn restorer() -> io::Result<impl FnOnce() + Send + 'static> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let modes = tcgetattr(&terminal)?;
    Ok(move || {
        // A terminal that is gone has no modes.
        let _ = tcsetattr(&terminal, OptionalActions::Now, &modes);
        let _ = terminal.write_all(b"\n");
    })
}

/// A signal that ends the program, unless whoever started it had it ignored (`nohup`, `&` in a script): then it never comes.
#[derive(Debug)]
pub struct UnlessIgnored(Option<Signal>);

impl UnlessIgnored {
    /// Waits for `kind` from now on.
    pub fn new(kind: SignalKind) -> io::Result<Self> {
        if was_ignored(kind.as_raw_value()) {
            return Ok(Self(None));
        }
        signal(kind).map(Some).map(Self)
    }

    /// The next one. None is lost when this is cancelled.
    pub async fn recv(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => pending().await,
        }
    }
}

/// Whether a signal was ignored when this was asked first, which is before any is waited for.
fn was_ignored(number: i32) -> bool {
    static MASK: OnceLock<u64> = OnceLock::new();
    let mask = *MASK.get_or_init(|| ignored().unwrap_or(0));
    number > 0 && mask >> (number - 1) & 1 == 1
}

/// The signals that this process ignores, a bit each; systems without `/proc` do not tell.
fn ignored() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
