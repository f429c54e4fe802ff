//! The program's own error: what failed, why, what to do about it, and the exit status it ends with.
//!
//! It stands above every part of the engine, whose errors it holds; `main` prints its one line. Nothing here ever prints a
//! backtrace.

use crate::exit::{Exit, Local};

/// A failure that ends the program: one line for stderr and the status to exit with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A wrong command line or configuration file; the text names the place and what is allowed.
    #[error("{0}")]
    Usage(String),
    /// The server could not start or run.
    #[error(transparent)]
    Server(#[from] crate::server::Error),
    /// The client could not start, browse or download.
    #[error(transparent)]
    Client(#[from] crate::client::Error),
    /// The list of digests that the user gave cannot be fetched.
    #[error("--checksums: {list}: {error}")]
    List {
        /// Its URL, without its query.
        list: String,
        /// Why not.
        error: Box<crate::client::Error>,
    },
    /// A certificate, key or pin cannot be used.
    #[error(transparent)]
    Tls(#[from] crate::tls::Error),
    /// The login or token that a client presents cannot be read.
    #[error(transparent)]
    Credentials(#[from] crate::credentials::Error),
    /// The logins and tokens of a server cannot be read.
    #[error(transparent)]
    Access(#[from] crate::server::access::Error),
    /// A measurement could not be made or read.
    #[error(transparent)]
    Eval(#[from] crate::eval::Error),
    /// Nothing could be drawn.
    #[error(transparent)]
    Plot(#[from] crate::plot::Error),
    /// What runs elsewhere cannot be seen or told anything.
    #[error(transparent)]
    Control(#[from] crate::control::Error),
    /// Several downloads failed; each was reported when it did.
    #[error("{failed} of {total} failed: run the same command again to go on with what is missing")]
    Incomplete {
        /// How many did not arrive.
        failed: u64,
        /// How many were asked for.
        total: u64,
        /// The status that their causes amount to.
        exit: Exit,
    },
    /// Something on this machine could not be used.
    #[error(transparent)]
    Local(#[from] Local),
    /// Ended by a signal, after a clean stop. Prints nothing.
    #[error("stopped by a signal")]
    Signal(Exit),
}

impl Error {
    /// The status that the process exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Server(error) => error.exit(),
            Self::Client(error) => error.exit(),
            Self::List { error, .. } => error.exit(),
            Self::Tls(error) => error.exit(),
            Self::Credentials(error) => error.exit(),
            Self::Access(error) => error.exit(),
            Self::Eval(error) => error.exit(),
            Self::Plot(error) => error.exit(),
            Self::Control(error) => error.exit(),
            Self::Local(Local { exit, .. })
            | Self::Incomplete { exit, .. }
            | Self::Signal(exit) => *exit,
        }
    }
}
