//! The command line: every option is defined here, once. A configuration file's keys and the `HAUL_…` variables are
//! the long options, read by the same definitions.

mod common;
mod connect;
mod convert;
mod eval;
mod merge;
mod message;
mod passwd;
mod plot;
mod serve;
mod variables;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand};

use crate::{
    config::values,
    error::Error,
    exit::{Exit, Local},
};
pub use common::{ControlArgs, LogArgs, NotifyArgs, Own, RunArgs, ScreenArgs};
pub use connect::ConnectArgs;
pub use convert::{connect, notifying, screen, serve};
pub use eval::{EvalArgs, eval};
pub use merge::{Notes, Parsed, parse};
pub use message::Stop;
pub use passwd::print_login;
pub use plot::{PlotArgs, plot};
pub use serve::ServeArgs;

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
    /// Servers on this network that say they are there, and those used before
    ///
    /// Listens for 1.5 s (DNS-SD), and tries whether each accepts a connection; no other address is tried. What a server says of
    /// itself proves nothing: a fingerprint is compared when you connect. The status is 3 where there is none.
    Servers {
        /// Print one JSON object a line
        ///
        /// Its keys: url, name, heard, used, reachable, `connect_ms`, fingerprint.
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

/// Options of `haul attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// A name, process or socket, as `haul status` shows it; not needed where one alone runs
    pub name: Option<String>,
    /// The screen.
    #[command(flatten)]
    pub screen: ScreenArgs,
    /// Notifications.
    #[command(flatten)]
    pub notify: NotifyArgs,
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

/// Writes the help or the version that was asked for, or a short help to stderr where nothing was.
pub fn print_help(help: &clap::Error) -> Result<Exit, Error> {
    let printed = help.print().and_then(|()| io::stdout().flush());
    match printed {
        // Without stderr there is nobody to tell.
        _ if help.use_stderr() => Ok(Exit::Usage),
        Ok(()) => Ok(Exit::Done),
        // A reader such as `head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(source) => Err(writing(source)),
    }
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
