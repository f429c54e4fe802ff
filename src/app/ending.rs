//! How a dashboard ends.

/// Why a dashboard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The user quit.
    Quit,
    /// The user quit after a line of the script had failed.
    ScriptFailed,
    /// Ctrl-C twice, or SIGINT.
    Interrupted,
    /// SIGTERM or SIGHUP.
    Terminated,
    /// The terminal is gone: nothing can be shown any more.
    HungUp,
    /// What runs goes on in another process, without the terminal.
    Detached,
    /// What was watched in another process has ended.
    Over,
}
