//! The panes.

/// A pane of one of the dashboards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// connect: the remote directory.
    Remote,
    /// connect: the queue.
    Transfers,
    /// serve: who takes what.
    Clients,
    /// serve: the served directory.
    Files,
    /// The rate over time.
    Throughput,
    /// The log.
    Log,
}
