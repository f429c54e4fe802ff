//! What can go wrong for one file, directory or connection: whether to try again, and the exit status.

mod text;

use std::{io, time::Duration};

use text::{bad_piece, because, login_text, remedy, status_text};

use crate::{
    exit::{Exit, reason},
    http1::{body_reader::BodyError, response_head::HeadError},
    tls::Fingerprint,
    units,
};

/// A failure of the client. Remote text in it is escaped where the error is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection could be made.
    #[error(
        "cannot connect to {server}: {reason}: is `haul serve` running there, and is the port right?"
    )]
    Connect {
        /// Host and port.
        server: String,
        /// The last address's failure.
        reason: String,
        /// Whether it is this machine's own network that is down.
        own: bool,
    },
    /// The name has no address.
    #[error("cannot find {host}: {reason}: check the name and the network")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's reason.
        reason: String,
        /// Whether nobody could be asked: this machine's own network is down, or its resolver.
        own: bool,
    },
    /// No byte for the time that `--timeout` gives.
    #[error("no answer for {}: the server or the network is stuck; --timeout sets the limit", units::took(*.0))]
    Timeout(Duration),
    /// The connection closed or broke in the middle of an answer.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The peer does not speak the protocol.
    #[error("{0}: is this an HTTP server?")]
    Protocol(String),
    /// The answer has a content coding that is not known, although identity was asked for.
    #[error("the server sends the content as `{}`, which haul cannot decode, although it was asked not to: turn that off there", crate::escape::display_name(.0))]
    Encoded(String),
    /// The answer's content coding is broken.
    #[error(
        "the server compresses the content although it was asked not to, and what it sends cannot be decoded: {0}"
    )]
    Undecodable(String),
    /// The server answered with a status that is no success.
    #[error("{}", status_text(*.status, .said.as_deref()))]
    Status {
        /// The code.
        status: u16,
        /// The pause that the server asks for.
        retry_after: Option<Duration>,
        /// The server's own words, where they say more than the code.
        said: Option<String>,
    },
    /// The server wants a login (401).
    #[error("{}", login_text(*.sent, .said.as_deref()))]
    Login {
        /// The server: host and port.
        at: String,
        /// Whether one was sent, which it refused then.
        sent: bool,
        /// The server's own words, where it is not of our kind.
        said: Option<String>,
    },
    /// The proxy wants a login (407).
    #[error(
        "the proxy wants a login (407): write it into its URL, http://USER:PASS@HOST:PORT, in --proxy or the variable"
    )]
    ProxyLogin,
    /// The server refuses this client for a while.
    #[error("kicked by the server{}", because(.0))]
    Kicked(String),
    /// The server refuses this client until somebody there lifts that.
    #[error("banned by the server{}", because(.0))]
    Banned(String),
    /// Nothing vouches for the server's certificate. The user may.
    #[error(
        "cannot be sure that this is {server}: {reason}: compare its fingerprint with what the server shows, and if they agree add --fingerprint {fingerprint}"
    )]
    UntrustedCertificate {
        /// Host and port.
        server: String,
        /// The certificate's.
        fingerprint: Fingerprint,
        /// What is wrong with it.
        reason: String,
    },
    /// The server shows another certificate than the one that is known.
    #[error(
        "the certificate of {server} has changed: {known} is known, it shows {found}: somebody may be in between; if the server has a new one, {remedy}"
    )]
    CertificateChanged {
        /// Host and port.
        server: String,
        /// What is pinned.
        known: Fingerprint,
        /// What the server shows.
        found: Fingerprint,
        /// What to do if that is right.
        remedy: String,
    },
    /// No TLS connection could be made.
    #[error("no TLS connection to {server}: {reason}")]
    Tls {
        /// Host and port.
        server: String,
        /// Why.
        reason: String,
    },
    /// A fingerprint that the user trusts could not be kept.
    #[error("{0}")]
    Pin(String),
    /// The server says that it speaks TLS on this port.
    #[error("the server speaks TLS on this port: use https:// instead of http://")]
    WantsTls,
    /// A redirect that is not followed.
    #[error("the server redirects to {0}: connect to that address instead")]
    Redirect(String),
    /// A redirect that is not followed whatever the user does with it.
    #[error("the server redirects to {to}: {why}")]
    Unfollowed {
        /// Where to, without what may be secret.
        to: String,
        /// Why not, and what to do.
        why: String,
    },
    /// What a server said that a redirect led to.
    #[error("{}", led_text(.at, .error))]
    Led {
        /// Host and port.
        at: String,
        /// What it said.
        error: Box<Self>,
    },
    /// Validators or sizes say that the file is not what it was a moment ago.
    #[error("the file changed on the server while it was fetched")]
    Changed,
    /// Bytes do not match their digest.
    #[error("{}: the source or the path to it damages data", bad_piece(*.piece))]
    Integrity {
        /// The piece, where there are several.
        piece: Option<u32>,
    },
    /// Bytes do not match what a published list tells of them.
    #[error("it is not what {list} tells of it: one of the two is damaged, or of another day")]
    Listed {
        /// The list: its path below the base URL, or what the user called it.
        list: String,
    },
    /// The list that the user gave cannot prove the one file that is wanted.
    #[error("{list} tells {} of it: give a list that names it from the same directory, or leave --checksums out", if *.torn { "two different digests" } else { "no digest" })]
    NotListed {
        /// What the user called the list.
        list: String,
        /// Whether it contradicts itself.
        torn: bool,
    },
    /// A server has another number of bytes than a Metalink tells.
    #[error("it has {} bytes on the server, the Metalink says {}: one of the two is damaged, or of another day", units::count(*.there), units::count(*.told))]
    Size {
        /// What the server has.
        there: u64,
        /// What the Metalink tells.
        told: u64,
    },
    /// The local disk.
    #[error("cannot write {path}: {reason}{}", remedy(*.kind))]
    Disk {
        /// What was written, below the target directory or absolute.
        path: String,
        /// The system's reason.
        reason: String,
        /// Its kind.
        kind: io::ErrorKind,
    },
    /// The target directory cannot be used at all.
    #[error("cannot use {path} as the target: {reason}: choose another directory with --dir")]
    Target {
        /// The directory.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A remote name that could do harm, or that the disk cannot hold.
    #[error("refused the name {name}: {reason}")]
    Name {
        /// The name, escaped.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The answer is no listing that is understood.
    #[error("no listing here: {0}")]
    Listing(String),
    /// A pattern or URL that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// All servers that a Metalink names for a file were dropped.
    #[error("none of its mirrors is left: the log says why each was dropped")]
    NoMirror,
    /// The server lets this client wait; nobody is to blame.
    #[error("paused by the server")]
    Paused,
    /// A directory that is one of those above it.
    #[error(
        "{0} is one of the directories above it again, by a link on the server: what is below it is not fetched once more"
    )]
    Loop(String),
    /// A directory below which nothing more is fetched.
    #[error(
        "{dir} lies {depth} directories deep: what is below it is not fetched; --max-depth sets the limit"
    )]
    Deep {
        /// The directory, escaped.
        dir: String,
        /// How deep it lies.
        depth: usize,
    },
    /// A pattern, escaped, that matched nothing.
    #[error("nothing there matches `{0}`: check it against the listing")]
    NoMatch(String),
    /// A tree without a file, where that is asked to count as a failure.
    #[error("there is no file in it, and --fail-empty makes that a failure")]
    Empty,
}

impl Error {
    /// The status that a run ends with when this is its only failure.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Connect { .. }
            | Self::Resolve { .. }
            | Self::Timeout(_)
            | Self::Broken(_)
            | Self::Protocol(_)
            | Self::Encoded(_)
            | Self::Undecodable(_)
            | Self::Paused
            | Self::NoMirror
            | Self::Status { status: 500.., .. } => Exit::Network,
            Self::Login { .. }
            | Self::UntrustedCertificate { .. }
            | Self::CertificateChanged { .. }
            | Self::Tls { .. }
            | Self::ProxyLogin
            | Self::WantsTls => Exit::Access,
            Self::Status { .. }
            | Self::Redirect(_)
            | Self::Unfollowed { .. }
            | Self::Listing(_)
            | Self::Name { .. }
            | Self::Kicked(_)
            | Self::Banned(_)
            | Self::Loop(_)
            | Self::Deep { .. }
            | Self::NoMatch(_)
            | Self::Empty => Exit::Remote,
            Self::Led { error, .. } => error.exit(),
            Self::Changed => Exit::Other,
            Self::Integrity { .. }
            | Self::Listed { .. }
            | Self::NotListed { .. }
            | Self::Size { .. } => Exit::Integrity,
            Self::Disk { .. } | Self::Target { .. } | Self::Pin(_) => Exit::Disk,
            Self::Usage(_) => Exit::Usage,
        }
    }

    /// Whether another try may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Resolve { .. }
            | Self::Timeout(_)
            | Self::Broken(_)
            | Self::Protocol(_)
            | Self::Undecodable(_)
            | Self::Changed
            | Self::Paused
            | Self::Kicked(_)
            | Self::Integrity { .. }
            | Self::Listed { .. } => true,
            // A refusal that names its own end.
            Self::Status {
                status: 403,
                retry_after,
                ..
            } => retry_after.is_some(),
            Self::Status { status, .. } => {
                matches!(status, 408 | 429 | 500..=599) && *status != 501
            }
            Self::Led { error, .. } => error.is_transient(),
            _ => false,
        }
    }

    /// Whether a later run may find that it has passed. Not where it stays until somebody does something about it: a file stands
    /// where a directory is to be, say.
    pub fn may_pass(&self) -> bool {
        use io::ErrorKind as Kind;
        match self {
            Self::Disk { kind, .. } => {
                let in_the_way = matches!(
                    kind,
                    Kind::NotADirectory
                        | Kind::IsADirectory
                        | Kind::DirectoryNotEmpty
                        | Kind::AlreadyExists
                        | Kind::InvalidFilename
                        | Kind::FileTooLarge
                        | Kind::PermissionDenied
                );
                // A link in the way has a kind that cannot be named yet.
                !in_the_way && *kind != rustix::io::Errno::LOOP.kind()
            }
            _ => matches!(self.exit(), Exit::Network | Exit::Disk | Exit::Integrity),
        }
    }

    /// The pause that the server asks for before another try.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Led { error, .. } => error.retry_after(),
            _ => None,
        }
    }

    /// Whether it is this machine's own network that is down.
    pub fn is_own_network(&self) -> bool {
        matches!(
            self,
            Self::Connect { own: true, .. } | Self::Resolve { own: true, .. }
        )
    }

    /// Whether the failure is the connection's rather than the file's.
    pub fn is_connection(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Resolve { .. }
                | Self::Timeout(_)
                | Self::Broken(_)
                | Self::Protocol(_)
        )
    }

    /// Whether it is a question to the user: once they have answered, it is tried again.
    pub fn asks(&self) -> bool {
        matches!(
            self,
            Self::Login { .. }
                | Self::UntrustedCertificate { .. }
                | Self::CertificateChanged { .. }
        )
    }

    /// A connection that broke. There is no `From`: a `?` on an error of the disk would blame the server for it.
    #[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
    pub fn net(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Broken("the server closed it".into()),
            _ => Self::Broken(reason(&error)),
        }
    }

    /// A local failure about `path`.
    pub fn disk(path: impl AsRef<std::path::Path>, error: &io::Error) -> Self {
        Self::Disk {
            path: crate::escape::display_path(path.as_ref()),
            reason: reason(error),
            kind: error.kind(),
        }
    }
}

impl From<HeadError> for Error {
    fn from(error: HeadError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Truncated => {
                Self::Broken("the server closed it before the end of the file".into())
            }
            _ => Self::Protocol(error.to_string()),
        }
    }
}

fn led_text(at: &str, error: &Error) -> String {
    match error {
        Error::Login { .. } => format!(
            "a redirect leads to {at}, which wants a login (401): none is sent along a redirect; connect to that address instead"
        ),
        error => format!("{error} (a redirect led to {at})"),
    }
}

#[cfg(test)]
mod tests;
