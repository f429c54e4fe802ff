//! The one table of commands.

use super::{
    Command, Side, Source, Spec,
    parse::{
        address, at_most, export, first, get, limit_clients, limit_transfers, log, move_to, none,
        of_client, one, optional, set, sort, target, text, theme,
    },
};

const fn spec(
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    side: Side,
    source: Source,
    parse: fn(&[String]) -> Result<Command, String>,
) -> Spec {
    Spec {
        name,
        usage,
        help,
        side,
        source,
        parse,
    }
}

use Side::{Both, Connect, Serve};
use Source::{Directories, Entries, LocalDirectories, LocalFiles, Nothing, Settings, Words};

const ALL: Source = Words(&["all"]);
const CLIENTS: Source = Source::Clients { all: false };
const THEMES: Source = Words(&["dark", "light", "ansi", "mono"]);
const SORTS: Source = Words(&["name", "size", "age", "rate", "desc"]);
const LEVELS: Source = Words(&["error", "warn", "info", "debug", "trace"]);

/// Every command of both dashboards.
#[rustfmt::skip] // a table reads as one
pub const COMMANDS: &[Spec] = &[
    spec("get", "<pattern>… [--to DIR]", "download", Connect, Entries, get),
    spec("cd", "[DIR]", "go to a directory, `/` is the top", Connect, Directories,
        |a| at_most(a, 1).map(|()| Command::Cd(first(a, "/")))),
    spec("ls", "", "list again", Both, Nothing, |a| none(a, Command::Ls)),
    spec("lcd", "<dir>", "download into another directory, made if missing", Connect, LocalDirectories, |a| one(a).map(Command::Lcd)),
    spec("pause", "[all]", "pause the current transfer, or all", Connect, ALL, |a| target(a).map(Command::Pause)),
    spec("resume", "[all]", "go on with it, or with all", Connect, ALL, |a| target(a).map(Command::Resume)),
    spec("cancel", "[all]", "cancel it, or all", Connect, ALL, |a| target(a).map(Command::Cancel)),
    spec("retry", "[all]", "try it again, or all that failed", Connect, ALL, |a| target(a).map(Command::Retry)),
    spec("limit", "[this|all] <rate|off>", "cap the current transfer, or all: 20M", Connect, Words(&["this", "all", "off"]),
        limit_transfers),
    spec("move", "<up|down|first>", "move it in the queue; first: before all others", Connect, Words(&["up", "down", "first"]),
        move_to),
    spec("clear", "", "clear what is done or cancelled", Connect, Nothing, |a| none(a, Command::Clear)),
    spec("verify", "<file>", "check a local file, repair what is damaged", Connect, Entries,
        |a| one(a).map(Command::Verify)),
    spec("connect", "<url>", "turn to another server", Connect, Nothing,
        |a| address(&one(a)?).map(Command::Connect)),
    spec("servers", "", "servers on this network, and those used before", Connect, Nothing, |a| none(a, Command::Servers)),
    spec("disconnect", "", "leave the server; what is here is kept", Connect, Nothing, |a| none(a, Command::Disconnect)),
    spec("clients", "", "go to the clients", Serve, Nothing, |a| none(a, Command::Clients)),
    spec("pause", "[CLIENT]", "pause a client, or the current one", Serve, CLIENTS,
        |a| optional(a).map(Command::PauseClient)),
    spec("resume", "[CLIENT]", "let a client go on, or the current one", Serve, CLIENTS,
        |a| optional(a).map(Command::ResumeClient)),
    spec("kick", "<client> [REASON]", "end what a client fetches", Serve, CLIENTS,
        |a| of_client(a).map(|(who, reason)| Command::Kick { who, reason })),
    spec("ban", "<client> [REASON]", "kick a client and refuse it from now on", Serve, CLIENTS,
        |a| of_client(a).map(|(who, reason)| Command::Ban { who, reason })),
    spec("unban", "<who>", "let a banned one in again: name, address, login", Serve, Source::Banned, |a| one(a).map(Command::Unban)),
    spec("limit", "[CLIENT|all] <rate|off>", "cap a client, or all together: 20M", Serve,
        Source::Clients { all: true }, limit_clients),
    spec("share", "<dir>", "serve another directory from now on", Serve, LocalDirectories, |a| one(a).map(Command::Share)),
    spec("drain", "", "finish what runs, take no one new, then exit", Serve, Nothing, |a| none(a, Command::Drain)),
    spec("qr", "", "the URL as a QR code", Serve, Nothing, |a| none(a, Command::Qr)),
    spec("info", "", "details of what is current", Both, Nothing, |a| none(a, Command::Info)),
    spec("filter", "[TEXT]", "show only what holds TEXT", Both, Nothing, |a| Ok(Command::Filter(text(a)))),
    spec("sort", "<key> [desc]", "by name, size, age or, for clients, rate", Both, SORTS, sort),
    spec("log", "<level>", "show lines from this level up", Both, LEVELS, log),
    spec("theme", "[NAME]", "colours: dark, light, ansi or mono", Both, THEMES, theme),
    spec("set", "<key> <value>", "theme, log, limit, sort, ascii, hidden, wrap, follow", Both, Settings, set),
    spec("copy", "", "copy the URL to the clipboard", Both, Nothing, |a| none(a, Command::Copy)),
    spec("export", "<file>", "write the focused pane's list to a new file", Both, LocalFiles, export),
    spec("help", "", "keys and commands", Both, Nothing, |a| none(a, Command::Help)),
    spec("detach", "", "leave the terminal; `haul attach` comes back", Both, Nothing, |a| none(a, Command::Detach)),
    spec("quit", "", "quit; asks while transfers run", Both, Nothing, |a| none(a, Command::Quit { force: false })),
    spec("quit!", "", "quit at once", Both, Nothing, |a| none(a, Command::Quit { force: true })),
];
