//! `:` commands: one table makes the line, its completion, the help screen, docs/KEYS.md and `--run` scripts.

mod parse;
mod table;
mod words;

use tracing::Level;

pub(super) use self::parse::SETTINGS;
pub use self::{
    parse::address,
    table::COMMANDS,
    words::{quoted, split},
};
use super::listing::SortKey;
use crate::{
    client::ItemId,
    config::{ThemeName, target},
    units::Rate,
};

/// Where in the queue a transfer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One up.
    Up,
    /// One down.
    Down,
    /// Before all others.
    First,
}

/// Which dashboard a command belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Both.
    Both,
    /// `haul connect`.
    Connect,
    /// `haul serve`.
    Serve,
}

impl Side {
    /// Whether a command of this side works in `haul connect`, or else in `haul serve`.
    pub fn works(self, connect: bool) -> bool {
        match self {
            Self::Both => true,
            Self::Connect => connect,
            Self::Serve => !connect,
        }
    }
}

/// What the arguments of a command are completed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nothing.
    Nothing,
    /// Entries of the remote directory; behind `--to` local directories.
    Entries,
    /// Directories of the remote directory.
    Directories,
    /// Local directories.
    LocalDirectories,
    /// Local files and directories.
    LocalFiles,
    /// The server's clients; with `all`, `all` as well.
    Clients {
        /// Whether all of them can be meant.
        all: bool,
    },
    /// Who is banned.
    Banned,
    /// What `:set` knows, then its values.
    Settings,
    /// Fixed words.
    Words(&'static [&'static str]),
}

/// A row of the table.
pub struct Spec {
    /// The name.
    pub name: &'static str,
    /// What follows it.
    pub usage: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Where it works.
    pub side: Side,
    /// What its arguments are completed from.
    pub source: Source,
    parse: fn(&[String]) -> Result<Command, String>,
}

/// One transfer or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The one under the cursor.
    Current,
    /// This one, whether it has a row or not.
    One(ItemId),
    /// All that it can be done to.
    All,
}

/// The keys that `:sort` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// A directory's entries by a key.
    Entries(SortKey),
    /// The server's clients by their rate.
    Rate,
}

/// What `:set` switches on and off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// ASCII characters only.
    Ascii(bool),
    /// Names that begin with a dot.
    Hidden(bool),
    /// Whether the log follows new lines.
    Follow(bool),
    /// Whether the log wraps long lines.
    Wrap(bool),
}

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described once, in the table")]
pub enum Command {
    Help,
    Quit {
        force: bool,
    },
    Theme(Option<ThemeName>),
    Sort {
        by: SortBy,
        descending: bool,
    },
    Filter(String),
    Servers,
    Detach,
    Log(Level),
    Set(Setting),
    /// Without a client, all of them or the whole dashboard; without a rate, no limit.
    Limit {
        who: Option<String>,
        rate: Option<Rate>,
    },
    /// The current transfer alone.
    LimitCurrent(Option<Rate>),
    /// The current transfer's place in the queue.
    Move(Place),
    Copy,
    Export(String),
    Info,
    Connect(target::Target),
    Disconnect,
    Get {
        patterns: Vec<String>,
        to: Option<String>,
    },
    Verify(String),
    Cd(String),
    Ls,
    Lcd(String),
    Cancel(Target),
    Pause(Target),
    Resume(Target),
    Retry(Target),
    Clear,
    Clients,
    PauseClient(Option<String>),
    ResumeClient(Option<String>),
    Kick {
        who: String,
        reason: String,
    },
    Ban {
        who: String,
        reason: String,
    },
    Unban(String),
    Share(String),
    Drain,
    Qr,
}

impl Command {
    /// Whether it changes nothing but the screen on which it is typed.
    pub const fn is_of_the_screen(&self) -> bool {
        matches!(
            self,
            Self::Help
                | Self::Theme(_)
                | Self::Sort { .. }
                | Self::Filter(_)
                | Self::Log(_)
                | Self::Set(_)
                | Self::Copy
                | Self::Export(_)
                | Self::Info
                | Self::Cd(_)
                | Self::Ls
                | Self::Lcd(_)
                | Self::Clients
                | Self::Servers
                | Self::Detach
                | Self::Qr
        )
    }
}

/// The commands of one dashboard.
pub fn commands(connect: bool) -> impl Iterator<Item = &'static Spec> {
    COMMANDS.iter().filter(move |spec| spec.side.works(connect))
}

/// The command that `line` names, however incomplete the rest is.
pub fn named(line: &str, connect: bool) -> Option<&'static Spec> {
    let name = line.trim_start().split(' ').next()?;
    commands(connect).find(|spec| spec.name == name)
}

/// Reads a line. An unambiguous beginning of a name will do; an empty line is `None`.
pub fn parse(line: &str, connect: bool) -> Result<Option<Command>, String> {
    let words = split(line)?;
    let Some((name, arguments)) = words.split_first() else {
        return Ok(None);
    };
    let exact = commands(connect).find(|spec| spec.name == name);
    let spec = match exact {
        Some(spec) => spec,
        None => abbreviated(name, connect)?,
    };
    (spec.parse)(arguments).map(Some).map_err(|reason| {
        format!("{}: {reason} · {} {}", spec.name, spec.name, spec.usage)
            .trim_end()
            .to_owned()
    })
}

fn abbreviated(name: &str, connect: bool) -> Result<&'static Spec, String> {
    let mut fitting = commands(connect).filter(|spec| spec.name.starts_with(name));
    let shown = crate::escape::display_name(name).into_owned();
    match (fitting.next(), fitting.next()) {
        (Some(spec), None) => Ok(spec),
        // `q` is `quit`, though `quit!` begins with it too.
        (Some(spec), Some(other)) if other.name.starts_with(spec.name) => Ok(spec),
        (Some(_), Some(_)) => {
            let fitting = commands(connect).filter(|spec| spec.name.starts_with(name));
            let names: Vec<_> = fitting.map(|spec| spec.name).collect();
            let names = names.join(", ");
            Err(format!("`{shown}` could be several commands: {names}"))
        }
        (None, _) => Err(format!("no command `{shown}`: ? lists them")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let get = |patterns: &[&str], to: Option<&str>| Command::Get {
            patterns: patterns.iter().map(|p| (*p).to_owned()).collect(),
            to: to.map(str::to_owned),
        };
        for (line, command) in [
            ("get *.iso", get(&["*.iso"], None)),
            (
                r#"get "a b" c\ d --to /tmp/x"#,
                get(&["a b", "c d"], Some("/tmp/x")),
            ),
            ("get -- --to", get(&["--to"], None)),
            ("q", Command::Quit { force: false }),
            ("quit!", Command::Quit { force: true }),
            ("retry all", Command::Retry(Target::All)),
            ("pause", Command::Pause(Target::Current)),
            ("cd", Command::Cd("/".into())),
            ("filter a b", Command::Filter("a b".into())),
            ("log warn", Command::Log(Level::WARN)),
            ("theme mono", Command::Theme(Some(ThemeName::Mono))),
            ("set theme mono", Command::Theme(Some(ThemeName::Mono))),
            ("set wrap on", Command::Set(Setting::Wrap(true))),
            ("limit this off", Command::LimitCurrent(None)),
            ("limit this 2k", Command::LimitCurrent(Some(Rate(2048)))),
            ("move first", Command::Move(Place::First)),
            ("move up", Command::Move(Place::Up)),
            (
                "limit all 1M",
                Command::Limit {
                    who: None,
                    rate: Some(Rate(1 << 20)),
                },
            ),
            (
                "limit 1M",
                Command::Limit {
                    who: None,
                    rate: Some(Rate(1 << 20)),
                },
            ),
        ] {
            assert_eq!(parse(line, true), Ok(Some(command)), "{line}");
        }
        assert_eq!(parse("   ", true), Ok(None));
    }

    #[test]
    fn the_server_has_commands_of_its_own() {
        let limit = |who: Option<&str>, rate: Option<u64>| Command::Limit {
            who: who.map(str::to_owned),
            rate: rate.map(Rate),
        };
        for (line, command) in [
            ("limit 2k", limit(None, Some(2048))),
            ("limit off", limit(None, None)),
            ("limit all off", limit(None, None)),
            ("limit alice 2k", limit(Some("alice"), Some(2048))),
            ("pause", Command::PauseClient(None)),
            (
                "kick alice enough for today",
                Command::Kick {
                    who: "alice".into(),
                    reason: "enough for today".into(),
                },
            ),
            ("unban 10.0.0.7", Command::Unban("10.0.0.7".into())),
            ("drain", Command::Drain),
        ] {
            assert_eq!(parse(line, false), Ok(Some(command)), "{line}");
        }
        let error = parse("limit alice fast", false).unwrap_err();
        assert!(error.contains("`fast` is no rate"), "{error}");
    }

    #[test]
    fn wrong_lines_say_what_is_right() {
        for (line, part) in [
            ("nonsense", "no command `nonsense`"),
            (
                "get",
                "a name or pattern is missing · get <pattern>… [--to DIR]",
            ),
            ("c", "several"),
            ("log loud", "error, warn, info, debug or trace"),
            ("get \"a", "not closed"),
            ("connect ftp://x", "http"),
            ("set colour red", "the key is theme"),
            ("set wrap yes", "on or off"),
            ("limit this", "a rate is missing"),
            ("move sideways", "up, down or first"),
        ] {
            let error = parse(line, true).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
        assert!(parse("get x", false).is_err(), "a server downloads nothing");
    }

    #[test]
    fn addresses_are_read_as_people_type_them() {
        for (text, url) in [
            ("nas", "http://nas:8888/"),
            ("nas:9000", "http://nas:9000/"),
            ("[::1]", "http://[::1]:8888/"),
            ("http://nas/pub/", "http://nas/pub/"),
        ] {
            assert_eq!(address(text).unwrap().url.as_str(), url);
        }
        assert!(address("").is_err());
        assert!(address("a b").is_err());
    }
}
