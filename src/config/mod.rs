//! The program's settings as plain values, checked once; every section takes its own by argument.

pub mod ini;
pub mod proxy;
pub mod target;
pub mod theme;
pub mod values;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use tracing::Level;
use url::Url;

use crate::{
    credentials::{Credentials, Secret},
    digest::Digest,
    tls::Fingerprint,
    units::Rate,
};

/// Where logs, journals and what else a person does not edit are kept: `$XDG_STATE_HOME/haul`, else
/// `~/.local/state/haul`. `None` where no home directory is known. It is not made here.
pub fn state_dir() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    let usual = || {
        let base = etcetera::choose_base_strategy().ok()?;
        Some(base.state_dir().unwrap_or_else(|| base.data_dir()))
    };
    let base = named("XDG_STATE_HOME").or_else(usual)?;
    Some(base.join("haul"))
}

/// Where what can be computed again is kept: `$XDG_CACHE_HOME/haul`, else `~/.cache/haul`. `None` where no home
/// directory is known. It is not made here.
pub fn cache_dir() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    let usual = || Some(etcetera::choose_base_strategy().ok()?.cache_dir());
    let base = named("XDG_CACHE_HOME").or_else(usual)?;
    Some(base.join("haul"))
}

/// The directory that a variable names: a service may have it, and no home directory.
fn named(variable: &str) -> Option<PathBuf> {
    let dir = PathBuf::from(std::env::var_os(variable)?);
    dir.is_absolute().then_some(dir)
}

/// Whether the current directory is haul's repository, with its samples and its configurations.
pub fn in_repository() -> bool {
    std::path::Path::new("servers").is_dir() && std::path::Path::new("configs").is_dir()
}

/// What `haul serve` runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Serve {
    /// Directory to host.
    pub dir: PathBuf,
    /// Addresses to listen on; empty means all interfaces.
    pub addresses: Vec<IpAddr>,
    /// Port to listen on; 0 picks a free one.
    pub port: u16,
    /// Connections at the same time.
    pub max_connections: usize,
    /// Clients at the same time; `None` for any number.
    pub max_clients: Option<usize>,
    /// What all clients together get.
    pub limit: Option<Rate>,
    /// What each client gets.
    pub limit_client: Option<Rate>,
    /// A client that reads more slowly is dropped.
    pub min_rate: Option<Rate>,
    /// A connection that is silent this long is closed.
    pub timeout: Duration,
    /// Serve names that begin with a dot too.
    pub hidden: bool,
    /// Follow symbolic links even out of the root.
    pub follow_symlinks: bool,
    /// Speak TLS, with a certificate of our own where none is named.
    pub tls: bool,
    /// The user's certificate, which asks for TLS by itself.
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    pub tls_key: Option<PathBuf>,
    /// Logins, one of which is required where there are any, here or in the files.
    pub auth: Vec<Credentials>,
    /// A file of logins.
    pub auth_file: Option<PathBuf>,
    /// A file of tokens.
    pub token_file: Option<PathBuf>,
    /// Further names under which it may be asked for.
    pub names: Vec<String>,
    /// Let pages run scripts as on a web server.
    pub web: bool,
    /// Which `:` commands to run.
    pub run: Option<Commands>,
    /// Say on the network that it is there.
    pub announces: bool,
    /// The configuration that these settings come from.
    pub config: Option<PathBuf>,
    /// Run without a dashboard.
    pub headless: bool,
    /// Seen and steered from elsewhere.
    pub control: Control,
    /// Logging.
    pub log: Log,
    /// The screen's looks.
    pub screen: Screen,
}

/// How servers are reached, where the user says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyChoice {
    /// Directly, whatever the environment says.
    Off,
    /// Through this one.
    Through(proxy::Proxy),
}

/// What `haul connect` runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Connect {
    /// The server's base URL, always with a path; `None` where none was given and the dashboard asks for one.
    pub url: Url,
    /// Other servers of the same tree.
    pub mirrors: Vec<Url>,
    /// A local Metalink that names what to download, instead of a server.
    pub metalink: Option<PathBuf>,
    /// Which of the URLs were given without a scheme: they mean https where a certificate is pinned.
    pub bare: Vec<Url>,
    /// What is presented to which URL's server, and to no other.
    pub credentials: Vec<(Url, Credentials)>,
    /// What is presented to the server that the local Metalink names.
    pub login: Option<Credentials>,
    /// Logins by host: another file than `~/.netrc`, or `off`.
    pub netrc: Option<PathBuf>,
    /// Fields for each request to the first server.
    pub headers: Vec<(String, Secret)>,
    /// How servers are reached; `None` as the environment says.
    pub proxy: Option<ProxyChoice>,
    /// The certificate that the first server must show.
    pub fingerprint: Option<Fingerprint>,
    /// Whether the user named the target, or it is the default of 127.0.0.1:8888.
    pub named: bool,
    /// Where downloads go.
    pub dir: PathBuf,
    /// Connections in all.
    pub workers: usize,
    /// Further tries for a failing file.
    pub retries: u32,
    /// No byte for this long is a failure.
    pub timeout: Duration,
    /// What all downloads together may take.
    pub limit: Option<Rate>,
    /// How this client is called on the server's screen.
    pub user: Option<String>,
    /// Patterns of what to download; with `all`, everything.
    pub get: Vec<String>,
    /// Download everything below the URL.
    pub all: bool,
    /// Patterns of what to leave out.
    pub exclude: Vec<String>,
    /// One file under another name, or `-` for stdout.
    pub output: Option<PathBuf>,
    /// What the one file must hash to.
    pub checksum: Option<Digest>,
    /// A list of digests that files must have.
    pub checksums: Option<target::Checksums>,
    /// One file at a time.
    pub serial: bool,
    /// Directories that are gone into, one inside the other, at most.
    pub max_depth: usize,
    /// A tree in which there is no file counts as a failure.
    pub fail_empty: bool,
    /// What to do where a local file is in the way.
    pub on_conflict: OnConflict,
    /// A file that is replaced is kept as `name~`.
    pub backup: bool,
    /// Remove what the server does not have any more.
    pub delete: bool,
    /// Without asking.
    pub yes: bool,
    /// Change nothing, and tell what would be done.
    pub dry_run: bool,
    /// Go on with what an earlier run left.
    pub resume: bool,
    /// Which `:` commands to run.
    pub run: Option<Commands>,
    /// Run without a dashboard.
    pub headless: bool,
    /// Headless: one JSON object a line.
    pub json: bool,
    /// Headless: connect once standard input ends.
    pub hold: bool,
    /// Headless, in a session of its own.
    pub detach: bool,
    /// Seen and steered from elsewhere.
    pub control: Control,
    /// Logging.
    pub log: Log,
    /// The screen's looks.
    pub screen: Screen,
}

/// What `haul eval` runs with. An empty list leaves what the sides' own settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eval {
    /// Clients at the same time.
    pub clients: Vec<usize>,
    /// Bytes of each file.
    pub sizes: Vec<u64>,
    /// Files that each client downloads.
    pub files: usize,
    /// Runs of every combination.
    pub repeat: usize,
    /// Connections of each client.
    pub workers: Vec<usize>,
    /// Whether clients fetch one file at a time.
    pub serial: Vec<bool>,
    /// Whether servers speak TLS.
    pub tls: Vec<bool>,
    /// Round trips to add.
    pub latency: Vec<Option<Duration>>,
    /// Bytes a second of each client's link.
    pub rate: Vec<Option<u64>>,
    /// Bytes a second of the server.
    pub limit: Vec<Option<u64>>,
    /// A server elsewhere; else one is started for each run.
    pub address: Option<Url>,
    /// The name of this measurement; `None` takes the time.
    pub label: Option<String>,
    /// The directory for what servers and clients log.
    pub logs: PathBuf,
    /// The file of raw times.
    pub times: PathBuf,
    /// What servers run with.
    pub serve: Vec<ini::Setting>,
    /// What clients run with.
    pub connect: Vec<ini::Setting>,
    /// Run without a dashboard.
    pub headless: bool,
    /// The screen's looks.
    pub screen: Screen,
}

/// What `haul plot` runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plot {
    /// Whether the logs are drawn rather than the times.
    pub from_logs: bool,
    /// The directory of logs.
    pub logs: PathBuf,
    /// The file of raw times.
    pub times: PathBuf,
    /// Where the drawings go.
    pub out: PathBuf,
    /// Draw in the terminal.
    pub tui: bool,
    /// Two measurements to compare.
    pub compare: Option<(String, String)>,
    /// The measurement to draw; `None` takes the last.
    pub label: Option<String>,
    /// The run of the timeline; `None` takes the busiest.
    pub run: Option<String>,
}

impl Connect {
    /// Whether a Metalink is to be read first, from a file or from the URL.
    pub fn names_metalink(&self) -> bool {
        self.metalink.is_some() || target::is_metalink(&self.url)
    }

    /// Whether nothing is asked for: a dashboard begins with browsing.
    pub fn only_browses(&self) -> bool {
        !self.all
            && !self.names_metalink()
            && self.get.is_empty()
            && self.output.is_none()
            && self.checksum.is_none()
    }

    /// Whether nothing tells which server is meant, not even what is only for one.
    pub fn means_no_server(&self) -> bool {
        !self.named
            && self.only_browses()
            && self.run.is_none()
            && self.credentials.is_empty()
            && self.headers.is_empty()
            && self.fingerprint.is_none()
            && self.checksums.is_none()
    }
}

/// Where `:` commands come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commands {
    /// A file, at the dashboard's start.
    File(PathBuf),
    /// Standard input, without a dashboard.
    Stdin,
}

/// What happens where a local file is in the way of a download.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// Equal content counts as done; another content makes `name (1).ext`.
    #[default]
    Verify,
    /// Always makes `name (1).ext`.
    Rename,
    /// Leaves the local file and counts as done.
    Skip,
    /// Replaces the local file once the new one is complete.
    Overwrite,
    /// The same, but what is equal of the local file is kept; one that is equal as a whole counts as done.
    Update,
}

/// Where and how the log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The file; `None` means the state directory's.
    pub file: Option<PathBuf>,
    /// The least severe level that is logged.
    pub level: Level,
    /// How a line is written to the file.
    pub format: LogFormat,
}

/// How a line is written to the log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How a run can be seen and steered by other processes of its user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    /// Its socket.
    pub socket: Socket,
    /// What this run is called; without it `serve` or `connect`.
    pub instance: Option<String>,
    /// Where figures are told to monitoring.
    pub metrics: Option<SocketAddr>,
}

/// Where a run's control socket is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Socket {
    /// Where `haul status` looks.
    #[default]
    Usual,
    /// Nowhere.
    Off,
    /// At this path.
    At(PathBuf),
}

/// The screen's looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Screen {
    /// Colours; `None` asks the terminal.
    pub theme: Option<ThemeName>,
    /// ASCII only.
    pub ascii: bool,
    /// Leave the mouse to the terminal.
    pub no_mouse: bool,
    /// Call the user back by a notification, where the terminal knows how.
    pub notifies: bool,
    /// Keys of the user's own: actions and their keys, as `[keys]` has them.
    pub keys: Vec<(String, String)>,
    /// Colours of the user's own.
    pub colours: Colours,
}

/// Colours that replace those of a theme, as `[theme]` has them.
pub type Colours = Vec<(theme::Role, theme::Colour)>;

/// A named set of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ThemeName {
    /// For dark backgrounds.
    Dark,
    /// For light backgrounds.
    Light,
    /// The terminal's own 16 colours.
    Ansi,
    /// No colours at all.
    Mono,
}
