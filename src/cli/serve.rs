//! What `haul serve` takes.

use std::{net::IpAddr, path::PathBuf};

use clap::Args;

use super::common::{CommandsArgs, ControlArgs, LogArgs, RunArgs, ScreenArgs};
use crate::{
    config::values,
    credentials::Credentials,
    units::{Rate, Span},
};

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
    /// Do not say on the network that this server is there
    ///
    /// Without it, `haul servers` and file managers on the same network find it by DNS-SD (`_haul._tcp`, `_http._tcp`), unless
    /// it listens on loopback addresses only.
    #[arg(long, env = "HAUL_NO_ANNOUNCE", hide_short_help = true)]
    pub no_announce: bool,
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
}
