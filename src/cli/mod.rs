//! The command line: every option is defined here, once. A configuration file's keys and the `HAUL_…` variables are
//! the long options, read by the same definitions.

mod convert;
mod eval;
mod merge;
mod message;
mod passwd;
mod plot;
mod variables;

use std::{
    io::{self, Write},
    net::IpAddr,
    path::PathBuf,
};

use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand};
use tracing::Level;
use url::Host;

use crate::{
    config::{self, Colours, LogFormat, OnConflict, ThemeName, target::Goal, values},
    credentials::{Credentials, Secret},
    digest::Digest,
    error::Error,
    exit::{Exit, Local},
    tls::Fingerprint,
    units::{Rate, Span},
};
pub use convert::{connect, screen, serve};
pub use eval::{EvalArgs, eval};
pub use merge::{Notes, Parsed, parse};
pub use message::Stop;
pub use passwd::print_login;
pub use plot::{PlotArgs, plot};

/// Serve a directory, browse it, download from it: verified, resumable, and visible at both ends.
#[derive(Debug, Parser)]
#[command(
    name = "haul",
    version,
    after_help = "On one machine:  haul serve DIR      On the other:  haul connect HOST\nTo see it all at once:  haul demo",
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What haul does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Host a directory over HTTP, and see who takes what
    #[command(after_long_help = AFTER, help_template = TEMPLATE, disable_help_flag = true)]
    Serve(Box<ServeArgs>),
    /// Browse a server and download from it
    #[command(after_long_help = AFTER, help_template = TEMPLATE, disable_help_flag = true)]
    Connect(Box<ConnectArgs>),
    /// What runs on this machine: its clients or transfers, rates, time left
    ///
    /// A line for each `haul serve` and `haul connect` of this user. The status is 0 where something runs, 3 where nothing
    /// does.
    Status {
        /// Print one JSON object a line
        ///
        /// Its keys: name, pid, command, rate, limit, connections; of a server urls, root, clients, transfers, files, sent,
        /// draining; of a client url, dir, items, finished, failed, paused, done, total, received, eta, link. Sizes are
        /// bytes, rates bytes a second, times seconds.
        #[arg(long)]
        json: bool,
    },
    /// Show the dashboard of what runs on this machine
    ///
    /// `q` leaves it running, `:quit!` ends it. Several can show the same at once.
    Attach(AttachArgs),
    /// Give what runs on this machine a command of its dashboard
    ///
    /// To cap a server: haul ctl serve limit 20M. To end it: haul ctl serve quit, or quit! while transfers run. The status
    /// is 2 for a command that is none, 3 where nothing of that name runs, 1 for one that was refused. docs/KEYS.md lists
    /// the commands; those about a screen alone are not taken. A command without the name of a client or transfer means
    /// the first one.
    Ctl {
        /// A name, process or socket, as `haul status` shows it
        name: String,
        /// The command and what follows it
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Measure every combination of client counts and file sizes
    ///
    /// For each combination it starts one server and as many clients, lets them begin at the same moment, downloads every
    /// file, checks every byte, and adds the times to times/times.json, their aggregates to times/summary.json and what
    /// the servers and clients logged to logs/.
    #[command(after_long_help = AFTER, help_template = TEMPLATE, disable_help_flag = true)]
    Eval(Box<EvalArgs>),
    /// Draw what was measured, to SVG and PNG or in the terminal
    Plot(PlotArgs),
    /// Print the BLAKE3 digests of files and trees, as b3sum does
    ///
    /// A line a file, in the order of their paths, read by all cores: `haul sum pub > B3SUMS`. Names are as b3sum and
    /// coreutils write them. In a directory, symbolic links and what is no file are left out, and so is the file that the
    /// lines go to.
    Sum(SumArgs),
    /// Check files against a list of digests: B3SUMS, SHA256SUMS, …
    ///
    /// Reads what haul sum, b3sum, sha256sum, sha512sum and md5sum print, and BSD's form of it. Names count from the
    /// current directory. The exit status is 6 where a file does not match, 7 where one cannot be read.
    Check(CheckArgs),
    /// See a server and a client of it at work on this machine
    ///
    /// Serves sample files on a free port of the loopback interface and opens the connect dashboard on them. Without a
    /// terminal it downloads them all, verifies them and prints a summary.
    Demo(DemoArgs),
    /// Print the line of an --auth-file for a user
    ///
    /// Asks for the password twice, without showing it; where stdin is no terminal, its first line is the password.
    /// To add a user: haul passwd ada >> users
    Passwd {
        /// The user's name.
        user: String,
    },
    /// Print a shell's completions: bash, elvish, fish, powershell, zsh
    ///
    /// For bash: haul completions bash > ~/.local/share/bash-completion/completions/haul
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print a manual page, of haul or of one of its commands
    ///
    /// To read one: haul man connect | man -l -
    Man {
        /// The command to describe; haul itself where none is named.
        command: Option<String>,
    },
}

/// The about line would cost two rows, and the usage line says the same.
const TEMPLATE: &str = "{usage-heading} {usage}\n\n{all-args}{after-help}";

const AFTER: &str = "\
Every long option is also an environment variable (--log-format is HAUL_LOG_FORMAT; a repeatable option takes one value \
there) and a key of the configuration file (log-format = json). A configuration file wins over the command line, the \
command line over the environment. A flag is true or false there; on the command line --hidden=false works as well.

Durations: 250ms, 10s, 5m, 2h, or plain seconds. Rates: bytes a second, such as 500k, 20M or 1.5MiB/s.";

/// Options of `haul serve`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[command(next_help_heading = "Serving")]
pub struct ServeArgs {
    /// Directory to host [default: .]
    #[arg(value_name = "DIR", hide_short_help = true, help_heading = "Arguments")]
    pub directory: Option<PathBuf>,
    /// Directory to host, as the argument DIR [default: .]
    #[arg(short, long, env = "HAUL_DIR", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Address to listen on, repeatable [default: all]
    ///
    /// An IP address of this machine, such as `127.0.0.1` or `::1`. The default is all of them, IPv4 and IPv6.
    #[arg(short, long, env = "HAUL_ADDRESS", value_name = "IP", value_parser = values::listen_address)]
    pub address: Vec<IpAddr>,
    /// Port to listen on; 0 picks one
    #[arg(short, long, env = "HAUL_PORT", default_value = "8888", value_parser = values::listen_port)]
    pub port: u16,
    /// Serve names that begin with a dot too
    #[arg(long, env = "HAUL_HIDDEN")]
    pub hidden: bool,
    /// Follow symbolic links, even out of DIR
    ///
    /// Without this, links are followed only where they are relative and stay inside DIR; all others are not found.
    #[arg(long, env = "HAUL_FOLLOW_SYMLINKS")]
    pub follow_symlinks: bool,
    /// Speak TLS, with a certificate made once and kept
    ///
    /// It is signed by itself: clients are asked once whether its fingerprint, which is shown here, is the right one.
    #[arg(long, env = "HAUL_TLS")]
    pub tls: bool,
    /// Speak TLS with this certificate (PEM), and what else its chain needs
    #[arg(
        long,
        env = "HAUL_TLS_CERT",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(
        long,
        env = "HAUL_TLS_KEY",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub tls_key: Option<PathBuf>,
    /// Require a login, repeatable
    ///
    /// Others on this machine can read it in the list of processes: --auth-file keeps it from them. Without --tls it
    /// crosses the network as it is.
    #[arg(long, env = "HAUL_AUTH", value_name = "USER:PASS", value_parser = values::own_login)]
    pub auth: Vec<Credentials>,
    /// Require a login from FILE: a line each, as `haul passwd USER` prints it
    #[arg(
        long,
        env = "HAUL_AUTH_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub auth_file: Option<PathBuf>,
    /// Require a token from FILE, a token a line; where logins are given too, either will do
    #[arg(
        long,
        env = "HAUL_TOKEN_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub token_file: Option<PathBuf>,
    /// A name that this server has, repeatable
    ///
    /// Addresses, names without a dot, names under .local, .lan, .home.arpa, .internal and .localhost, this machine's own name
    /// and those in --tls-cert need none. Requests under any other name get 421: a stranger's web page could send them.
    #[arg(long, env = "HAUL_NAME", value_name = "HOST", value_parser = values::host_name, hide_short_help = true)]
    pub name: Vec<String>,
    /// Let pages run scripts: to serve a web site
    ///
    /// Without it, HTML, SVG and XML files are shown without scripts and without this server's origin
    /// (Content-Security-Policy: sandbox): a page among the files could read all the others.
    #[arg(long, env = "HAUL_WEB", hide_short_help = true)]
    pub web: bool,
    /// Connections at the same time
    #[arg(long, env = "HAUL_MAX_CONNECTIONS", value_name = "N", default_value = "4096", value_parser = values::connections)]
    pub max_connections: usize,
    /// Clients at the same time [default: any number]
    ///
    /// A client is a login, or else an address (an IPv6 address stands for its /64).
    #[arg(long, env = "HAUL_MAX_CLIENTS", value_name = "N", value_parser = values::max_clients)]
    pub max_clients: Option<usize>,
    /// Bytes a second for all clients together
    #[arg(long, env = "HAUL_LIMIT", value_name = "RATE")]
    pub limit: Option<Rate>,
    /// Bytes a second for each client
    #[arg(long, env = "HAUL_LIMIT_CLIENT", value_name = "RATE")]
    pub limit_client: Option<Rate>,
    /// Drop clients that read more slowly
    ///
    /// For 60 s, while there are bytes for them. Time in which a limit or a pause holds them back does not count.
    #[arg(long, env = "HAUL_MIN_RATE", value_name = "RATE")]
    pub min_rate: Option<Rate>,
    /// Silence that closes a connection
    #[arg(
        short,
        long,
        env = "HAUL_TIMEOUT",
        value_name = "DURATION",
        default_value = "60s"
    )]
    pub timeout: Span,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
    /// Seen from elsewhere.
    #[command(flatten)]
    pub control: ControlArgs,
    /// The screen.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// Options of `haul connect`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[command(next_help_heading = "Download")]
pub struct ConnectArgs {
    /// Server to browse, or file to download: http(s)://HOST:PORT/PATH, HOST or HOST:PORT
    ///
    /// A URL that names a file downloads that file. HOST:PORT alone means https where a certificate was accepted for
    /// it, else http. Several are mirrors of one tree: each piece comes from whichever is free, and is held against the
    /// digests of the first. FILE.meta4, or the URL of one, is a Metalink: what it names is downloaded, from the
    /// mirrors that it names. The default is 127.0.0.1:8888.
    #[arg(
        value_name = "URL|HOST[:PORT]|FILE.meta4",
        hide_short_help = true,
        help_heading = "Arguments"
    )]
    pub target: Vec<Goal>,
    /// What to download, repeatable: a path or a pattern
    ///
    /// Patterns match paths below the URL: `*` and `?` stay within a name, `**` crosses directories, a trailing `/`
    /// takes the tree. What is fetched keeps its path below the URL.
    #[arg(short, long, env = "HAUL_GET", value_name = "PATTERN", value_parser = values::pattern)]
    pub get: Vec<String>,
    /// Download everything below the URL
    #[arg(long, env = "HAUL_ALL")]
    pub all: bool,
    /// What to leave out, repeatable
    #[arg(long, env = "HAUL_EXCLUDE", value_name = "PATTERN", value_parser = values::pattern)]
    pub exclude: Vec<String>,
    /// Where downloads go
    #[arg(short, long, env = "HAUL_DIR", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// One file under another name, or - for stdout
    ///
    /// FILE is relative to --dir. What goes to stdout is written piece by piece, each once it is verified; from a server
    /// without pieces, once it is complete.
    #[arg(short, long, env = "HAUL_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The digest that one file must have
    ///
    /// ALG is blake3, sha-256 or sha-512. A file that does not have it is damaged, whatever the server says.
    #[arg(
        long,
        env = "HAUL_CHECKSUM",
        value_name = "ALG=HEX",
        hide_short_help = true
    )]
    pub checksum: Option<Digest>,
    /// A list of digests that files must have: SHA256SUMS, B3SUMS, …
    ///
    /// Names in it count from where it lies on the server, else from the URL's directory. What it tells is held against,
    /// whatever the server says. Without it, lists that lie beside files or above them are found by themselves where
    /// nothing else proves a file.
    #[arg(long, env = "HAUL_CHECKSUMS", value_name = "URL|FILE", value_parser = values::checksums, hide_short_help = true)]
    pub checksums: Option<config::Checksums>,
    /// One file at a time
    #[arg(long, env = "HAUL_SERIAL", hide_short_help = true)]
    pub serial: bool,
    /// Directories to go into, one inside the other, 1 to 1000
    ///
    /// A link on a server may lead to a directory above it. That is noticed and told; where it is not, this ends it.
    #[arg(
        long,
        env = "HAUL_MAX_DEPTH",
        value_name = "N",
        default_value = "64",
        value_parser = values::depth,
        hide_short_help = true
    )]
    pub max_depth: usize,
    /// A directory without a file in it is a failure
    ///
    /// For backups: a server whose disk is not mounted has nothing, and nothing is soon downloaded.
    #[arg(long, env = "HAUL_FAIL_EMPTY", hide_short_help = true)]
    pub fail_empty: bool,
    /// Rule for a local file in the way
    ///
    /// verify: the same content counts as done, another content makes `name (1).ext`. rename: always makes
    /// `name (1).ext`. skip: the local file stays. overwrite: it is replaced once the new one is complete. update: the
    /// same, but only what differs is fetched, where the server tells values of its pieces, as haul serve does; without
    /// them, a file of the same size and date counts as done, and another one is fetched whole.
    #[arg(
        long,
        env = "HAUL_ON_CONFLICT",
        value_name = "RULE",
        default_value = "verify",
        hide_possible_values = true
    )]
    pub on_conflict: OnConflict,
    /// Keep files that overwrite and update replace, as `name~`
    #[arg(long, env = "HAUL_BACKUP", hide_short_help = true)]
    pub backup: bool,
    /// Start afresh; else what an earlier run left is gone on with
    #[arg(long, env = "HAUL_NO_RESUME", hide_short_help = true)]
    pub no_resume: bool,
    /// The server's host, as in the URL [default: 127.0.0.1]
    #[arg(short, long, env = "HAUL_ADDRESS", value_name = "HOST", value_parser = crate::config::target::host,
          hide_short_help = true, help_heading = "Connection")]
    pub address: Option<Host>,
    /// The server's port [default: 8888]
    #[arg(short, long, env = "HAUL_PORT", value_parser = values::port, hide_short_help = true, help_heading = "Connection")]
    pub port: Option<u16>,
    /// Connections in all, 1 to 64
    #[arg(short, long, env = "HAUL_WORKERS", value_name = "N", default_value = "5", value_parser = values::workers, help_heading = "Connection")]
    pub workers: usize,
    /// Further tries for a file that fails
    #[arg(short, long, env = "HAUL_RETRIES", value_name = "N", default_value = "3", value_parser = values::retries, help_heading = "Connection")]
    pub retries: u32,
    /// Retry when no byte came for this long
    #[arg(
        short,
        long,
        env = "HAUL_TIMEOUT",
        value_name = "DURATION",
        default_value = "60s",
        help_heading = "Connection"
    )]
    pub timeout: Span,
    /// Bytes a second for all downloads together
    #[arg(
        long,
        env = "HAUL_LIMIT",
        value_name = "RATE",
        hide_short_help = true,
        help_heading = "Connection"
    )]
    pub limit: Option<Rate>,
    /// Your name on the server's screen [default: login]
    #[arg(short, long, env = "HAUL_USER", value_name = "NAME", value_parser = values::user, help_heading = "Connection")]
    pub user: Option<String>,
    /// The login that the server wants
    ///
    /// It goes to the server of the URL and to no other. Others on this machine can read it in the list of processes:
    /// --auth-file keeps it from them. `http://USER:PASS@HOST/` means the same.
    #[arg(long, env = "HAUL_AUTH", value_name = "USER:PASS", value_parser = values::login,
          hide_short_help = true, help_heading = "Connection")]
    pub auth: Option<Credentials>,
    /// The same from FILE: its first line is USER:PASS
    ///
    /// Further lines, `URL USER:PASS`, are for other servers, such as mirrors.
    #[arg(
        long,
        env = "HAUL_AUTH_FILE",
        value_name = "FILE",
        hide_short_help = true,
        help_heading = "Connection"
    )]
    pub auth_file: Option<PathBuf>,
    /// The token that the server wants: the first line of FILE
    #[arg(
        long,
        env = "HAUL_TOKEN_FILE",
        value_name = "FILE",
        hide_short_help = true,
        help_heading = "Connection"
    )]
    pub token_file: Option<PathBuf>,
    /// Logins by host, as in ~/.netrc: a FILE, or off [default: ~/.netrc]
    ///
    /// A login in the URL, --auth and the files above come first.
    #[arg(
        long,
        env = "HAUL_NETRC",
        value_name = "FILE|off",
        hide_short_help = true,
        help_heading = "Connection"
    )]
    pub netrc: Option<PathBuf>,
    /// A field for each request to the server of the URL, repeatable
    ///
    /// It goes to that server and to no other. Others on this machine can read it in the list of processes: a
    /// configuration file keeps it from them.
    #[arg(long, env = "HAUL_HEADER", value_name = "NAME:VALUE", value_parser = values::header,
          hide_short_help = true, help_heading = "Connection")]
    pub header: Vec<(String, Secret)>,
    /// The proxy for all servers, `http://USER:PASS@HOST:PORT` (the login if it wants one), or off
    ///
    /// Without it, the usual variables of the environment say what goes through which, and this machine is reached
    /// directly.
    #[arg(long, env = "HAUL_PROXY", value_name = "URL|off", value_parser = values::proxy,
          hide_short_help = true, help_heading = "Connection")]
    pub proxy: Option<config::ProxyChoice>,
    /// The SHA-256 fingerprint that the server's certificate must have
    ///
    /// `haul serve --tls` prints it. Without it the certificate must be signed by an authority that this system
    /// trusts, or be accepted once on a terminal.
    #[arg(
        long,
        env = "HAUL_FINGERPRINT",
        value_name = "SHA256",
        hide_short_help = true,
        help_heading = "Connection"
    )]
    pub fingerprint: Option<Fingerprint>,
    /// Headless: print one JSON object a line on stdout
    ///
    /// Its keys: event, path, bytes, total, kept, rate, eta, verified, error, attempt. Its events: started, progress,
    /// finished, failed, summary.
    #[arg(long, env = "HAUL_JSON", help_heading = "Running")]
    pub json: bool,
    /// Headless: say `ready` on stdout, and connect once stdin ends
    ///
    /// Many clients that share one pipe as their stdin start at the same moment, when it is closed.
    #[arg(
        long,
        env = "HAUL_HOLD",
        hide_short_help = true,
        help_heading = "Running"
    )]
    pub hold: bool,
    /// Download in the background
    ///
    /// Prints the run's name and process once it is under way, and returns. What it would print is in the log. `haul
    /// attach` shows it, `haul status` tells how far it is, and `haul ctl NAME quit!` ends it.
    #[arg(long, env = "HAUL_DETACH", help_heading = "Running")]
    pub detach: bool,
    /// Run the `:` commands in FILE at the start
    #[arg(
        long = "run",
        env = "HAUL_RUN",
        value_name = "FILE",
        hide_short_help = true,
        help_heading = "Running"
    )]
    pub commands: Option<PathBuf>,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
    /// Seen from elsewhere.
    #[command(flatten)]
    pub control: ControlArgs,
    /// The screen.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// Options of `haul attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// A name, process or socket, as `haul status` shows it; not needed where one alone runs
    pub name: Option<String>,
    /// The screen.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// Options of `haul demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Download all samples without a dashboard, and print a summary
    #[arg(long, env = "HAUL_HEADLESS")]
    pub headless: bool,
    /// The screen.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// Options of `haul sum`.
#[derive(Debug, Args)]
pub struct SumArgs {
    /// What to read; - for stdin [default: .]
    #[arg(value_name = "DIR|FILE")]
    pub paths: Vec<PathBuf>,
}

/// Options of `haul check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Lists to check; - for stdin
    ///
    /// A list's name tells its digests where their lines do not: NAME.b3, SHA256SUMS. Where neither does, 64 digits are
    /// BLAKE3 or SHA-256.
    #[arg(value_name = "LIST", required = true)]
    pub lists: Vec<PathBuf>,
    /// Print a line for what fails only
    #[arg(short, long, env = "HAUL_QUIET")]
    pub quiet: bool,
}

/// How a command runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Running")]
pub struct RunArgs {
    /// No dashboard: for scripts and services
    ///
    /// Chosen by itself when stdout is no terminal, or haul runs in the background.
    #[arg(long, env = "HAUL_HEADLESS")]
    pub headless: bool,
    /// INI file; what it sets wins over the command line
    #[arg(short, long, env = "HAUL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// This summary; --help explains every option
    #[arg(short, long, action = ArgAction::Help)]
    pub help: Option<bool>,
}

/// How a run is seen from elsewhere.
#[derive(Debug, Args)]
#[command(next_help_heading = "Running")]
pub struct ControlArgs {
    /// What this run is called in `haul status`, `attach` and `ctl` [default: the command]
    ///
    /// Letters, digits, `-` and `_`, at most 32 of them. Not --name, which is a name of the server's machine.
    #[arg(long, env = "HAUL_INSTANCE", value_name = "NAME", value_parser = values::instance, hide_short_help = true)]
    pub instance: Option<String>,
    /// The socket for `haul attach`, `status` and `ctl`: a PATH, or off
    ///
    /// It is this user's alone. The default is in `$XDG_RUNTIME_DIR/haul`; for root without that in `/run/haul`; else in
    /// `run` of the state dir.
    #[arg(
        long,
        env = "HAUL_CONTROL",
        value_name = "PATH|off",
        hide_short_help = true
    )]
    pub control: Option<PathBuf>,
}

/// Where and how a command logs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Running")]
pub struct LogArgs {
    /// Write the log to FILE [default: in the state dir]
    ///
    /// The default is serve.log or connect.log in `$XDG_STATE_HOME/haul`, else `~/.local/state/haul`.
    #[arg(short, long, env = "HAUL_LOG", value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// error, warn, info, debug or trace
    ///
    /// Or as a number: 40, 30, 20, 10, 5.
    #[arg(short, long, env = "HAUL_VERBOSITY", value_name = "LEVEL", default_value = "info", value_parser = values::verbosity)]
    pub verbosity: Level,
    /// How the log file is written: text or json
    #[arg(
        long,
        env = "HAUL_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub log_format: LogFormat,
}

/// The screen's looks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Screen")]
pub struct ScreenArgs {
    /// Colours: dark, light, ansi (the terminal's own 16) or mono [default: asks the terminal]
    #[arg(
        long,
        env = "HAUL_THEME",
        value_name = "THEME",
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub theme: Option<ThemeName>,
    /// Draw with ASCII characters only
    #[arg(long, env = "HAUL_ASCII", hide_short_help = true)]
    pub ascii: bool,
    /// Leave the mouse to the terminal
    #[arg(long, env = "HAUL_NO_MOUSE", hide_short_help = true)]
    pub no_mouse: bool,
    /// The file's sections `[keys]` and `[theme]`.
    #[arg(skip)]
    pub own: Own,
}

/// What only a configuration file can set of the screen.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// Actions and their keys, checked.
    pub keys: Vec<(String, String)>,
    /// Colours by their role.
    pub colours: Colours,
}

/// The definition of every command and option as help, completions and manual pages show it.
pub fn shown() -> clap::Command {
    // Naming each variable would double the help; one sentence at its end does.
    Cli::command().mut_subcommands(|sub| sub.mut_args(|arg| arg.hide_env(true)))
}

/// The definition as it is parsed: every flag may be given a value, so that a file or a variable can say `false`.
fn parsed() -> clap::Command {
    shown().mut_subcommands(|sub| {
        sub.mut_args(|arg| match arg.get_action() {
            ArgAction::SetTrue => arg
                .action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .default_value("false")
                .default_missing_value("true")
                .value_parser(values::flag),
            _ => arg,
        })
    })
}

/// Writes the completions for `shell`.
pub fn print_completions(shell: clap_complete::Shell, out: &mut impl Write) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(), "haul", &mut script);
    print(&script, out)
}

/// Writes the manual page of `command`, or of haul.
pub fn print_manual(command: Option<&str>, out: &mut impl Write) -> Result<Exit, Error> {
    let mut definition = shown();
    definition.build();
    let page = match command {
        None => definition,
        Some(name) => match definition.find_subcommand(name) {
            Some(found) => found.clone().version(env!("CARGO_PKG_VERSION")),
            None => {
                return Err(Error::Usage(format!(
                    "`{name}` is no command: see `haul --help`"
                )));
            }
        },
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut text)
        .map_err(writing)?;
    print(&text, out)
}

fn print(text: &[u8], out: &mut impl Write) -> Result<Exit, Error> {
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(Exit::Done),
        // A reader such as `head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(source) => Err(writing(source)),
    }
}

fn writing(source: io::Error) -> Error {
    Error::Local(Local {
        what: "cannot write to stdout".into(),
        source,
        remedy: "point it at something writable",
        exit: Exit::Disk,
    })
}
