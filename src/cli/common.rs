//! What several commands take: how they run, are seen, log and look.

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Args};
use tracing::Level;

use crate::config::{Colours, LogFormat, ThemeName, values};

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

/// What a run is told at its start, or line by line.
#[derive(Debug, Args)]
#[command(next_help_heading = "Running")]
pub struct CommandsArgs {
    /// Run the `:` commands in FILE at the start, or those that stdin tells: -
    ///
    /// With - there is no dashboard: a command a line from stdin, a line of plain text on stdout for what came of it and for
    /// each change of state. It ends with quit, or once stdin has ended and what was asked for is done.
    #[arg(
        long = "run",
        env = "HAUL_RUN",
        value_name = "FILE|-",
        hide_short_help = true
    )]
    pub run: Option<PathBuf>,
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
    /// Tell figures to monitoring on `http://ADDR/metrics`: IP:PORT, or a PORT of this machine alone
    ///
    /// OpenMetrics text, or Prometheus' older text for who asks for text/plain. It asks for no login: whoever reaches it reads
    /// rates and counts, but no names. Port 0 picks one, which the log tells.
    #[arg(
        long,
        env = "HAUL_METRICS",
        value_name = "ADDR",
        value_parser = values::metrics,
        hide_short_help = true
    )]
    pub metrics: Option<SocketAddr>,
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

/// How the user is called back.
#[derive(Debug, Args)]
#[command(next_help_heading = "Screen")]
pub struct NotifyArgs {
    /// Show no notification on the desktop
    ///
    /// Without it, a dashboard whose terminal has lost the focus calls once, when all transfers have ended or the first
    /// fails, after 20 s or more: on kitty, foot, Ghostty, `WezTerm`, rxvt-unicode and iTerm2.
    #[arg(long, env = "HAUL_NO_NOTIFY", hide_short_help = true)]
    pub no_notify: bool,
}

/// What only a configuration file can set of the screen.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// Actions and their keys, checked.
    pub keys: Vec<(String, String)>,
    /// Colours by their role.
    pub colours: Colours,
}
