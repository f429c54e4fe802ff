//! What `haul connect` takes.

use std::path::PathBuf;

use clap::Args;
use url::Host;

use super::common::{CommandsArgs, ControlArgs, LogArgs, NotifyArgs, RunArgs, ScreenArgs};
use crate::{
    config::{
        self, OnConflict,
        target::{Checksums, Goal},
        values,
    },
    credentials::{Credentials, Secret},
    digest::Digest,
    tls::Fingerprint,
    units::{Rate, Span},
};

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
    /// mirrors that it names. Without any, the dashboard shows which servers there are, and everything else is asked of
    /// 127.0.0.1:8888.
    #[arg(
        value_name = "URL|HOST[:PORT]|FILE.meta4",
        hide_short_help = true,
        help_heading = "Arguments"
    )]
    pub target: Vec<Goal>,
    /// What to download, repeatable: a path or a pattern
    ///
    /// Patterns match paths below the URL: `*` and `?` stay within a name, `**` crosses directories, a trailing `/`
    /// takes the tree. What is fetched keeps its path below the URL. One that matches nothing is a failure.
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
    /// whatever the server says; one file that is asked for by its name has to be in it. Without it, lists that lie
    /// beside files or above them are found by themselves where nothing else proves a file.
    #[arg(
        long,
        env = "HAUL_CHECKSUMS",
        value_name = "URL|FILE",
        hide_short_help = true
    )]
    pub checksums: Option<Checksums>,
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
    /// Keep files that overwrite and update replace, as `name~`, `name~2` …
    #[arg(long, env = "HAUL_BACKUP", hide_short_help = true)]
    pub backup: bool,
    /// Remove what the server does not have any more
    ///
    /// With --on-conflict update and --all or --get. Only below --dir, only what is wanted, and only once every listing was
    /// read whole and everything succeeded; never parts, links, names that begin with a dot, and what was put there meanwhile.
    /// It asks before; see --yes.
    #[arg(long, env = "HAUL_DELETE", hide_short_help = true)]
    pub delete: bool,
    /// Answer yes to the question of --delete
    #[arg(short, long, env = "HAUL_YES", hide_short_help = true)]
    pub yes: bool,
    /// Change nothing, and print what would be fetched, replaced and deleted
    ///
    /// With --all or --get. What would be kept is counted; with --json it is listed, too.
    #[arg(long, env = "HAUL_DRY_RUN", hide_short_help = true)]
    pub dry_run: bool,
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
    /// finished, failed, summary, which counts files, failed and cancelled.
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
    /// Commands to run.
    #[command(flatten)]
    pub commands: CommandsArgs,
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
    /// Notifications.
    #[command(flatten)]
    pub notify: NotifyArgs,
}
