//! The one table of `:` commands: the line, its completion, the help and `--run` scripts are made from it.

use tracing::Level;

use super::listing::SortKey;
use crate::config::{self, ThemeName};

/// Which dashboard a command belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Both.
    Both,
    /// `haul connect`.
    Connect,
}

/// What the arguments of a command are completed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nothing.
    Nothing,
    /// Entries of the remote directory.
    Entries,
    /// Directories of the remote directory.
    Directories,
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

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described once, in the table below")]
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
    Log(Level),
    Copy,
    Connect(config::target::Target),
    Get {
        patterns: Vec<String>,
        to: Option<String>,
    },
    Cd(String),
    Ls,
    Lcd(String),
    Cancel(Target),
    Pause(Target),
    Resume(Target),
    Retry(Target),
    Clear,
}

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

const ALL: Source = Source::Words(&["all"]);
const THEMES: &[&str] = &["dark", "light", "ansi", "mono"];
const SORTS: &[&str] = &["name", "size", "age", "rate", "desc"];
const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

/// Every command of both dashboards.
#[rustfmt::skip] // a table reads as one
pub const COMMANDS: &[Spec] = &[
    spec("get", "<pattern>… [--to DIR]", "download", Side::Connect, Source::Entries, get),
    spec("cd", "[DIR]", "go to a directory, `/` is the top", Side::Connect, Source::Directories,
        |a| at_most(a, 1).map(|()| Command::Cd(first(a, "/")))),
    spec("ls", "", "list again", Side::Connect, Source::Nothing, |a| at_most(a, 0).map(|()| Command::Ls)),
    spec("lcd", "<dir>", "download into another directory", Side::Connect, Source::Nothing,
        |a| exactly_one(a).map(Command::Lcd)),
    spec("pause", "[all]", "pause the current transfer, or all", Side::Connect, ALL, |a| target(a).map(Command::Pause)),
    spec("resume", "[all]", "go on with it, or with all", Side::Connect, ALL, |a| target(a).map(Command::Resume)),
    spec("cancel", "[all]", "cancel it, or all", Side::Connect, ALL, |a| target(a).map(Command::Cancel)),
    spec("retry", "[all]", "try it again, or all that failed", Side::Connect, ALL, |a| target(a).map(Command::Retry)),
    spec("clear", "", "clear what is done or cancelled", Side::Connect, Source::Nothing,
        |a| at_most(a, 0).map(|()| Command::Clear)),
    spec("connect", "<url>", "turn to another server", Side::Connect, Source::Nothing,
        |a| address(&exactly_one(a)?).map(Command::Connect)),
    spec("filter", "[TEXT]", "show only what holds TEXT", Side::Both, Source::Nothing,
        |a| Ok(Command::Filter(a.join(" ")))),
    spec("sort", "<key> [desc]", "by name, size, age or, for clients, rate", Side::Both, Source::Words(SORTS), sort),
    spec("log", "<level>", "show lines from this level up", Side::Both, Source::Words(LEVELS), log),
    spec("theme", "[NAME]", "colours: dark, light, ansi or mono", Side::Both, Source::Words(THEMES), theme),
    spec("copy", "", "copy the URL to the clipboard", Side::Both, Source::Nothing, |a| at_most(a, 0).map(|()| Command::Copy)),
    spec("help", "", "keys and commands", Side::Both, Source::Nothing, |a| at_most(a, 0).map(|()| Command::Help)),
    spec("quit", "", "quit; asks while transfers run", Side::Both, Source::Nothing,
        |a| at_most(a, 0).map(|()| Command::Quit { force: false })),
    spec("quit!", "", "quit at once", Side::Both, Source::Nothing, |a| at_most(a, 0).map(|()| Command::Quit { force: true })),
];

/// The commands of one dashboard.
pub fn commands(connect: bool) -> impl Iterator<Item = &'static Spec> {
    COMMANDS
        .iter()
        .filter(move |spec| connect || spec.side == Side::Both)
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
        (Some(_), Some(_)) => Err(format!(
            "`{shown}` could be several commands: Tab lists them"
        )),
        (None, _) => Err(format!("no command `{shown}`: ? lists them")),
    }
}

/// Splits a line into words. Quotes of both kinds hold blanks together, a backslash takes the next character
/// as it is, except within single quotes.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None | Some('"'), '\\') => {
                let next = chars.next().unwrap_or('\\');
                word.get_or_insert_default().push(next);
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

/// A word written so that [`split`] gives it back as it is.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A server's address as people type it: `host`, `host:port`, or a whole URL.
pub fn address(text: &str) -> Result<config::target::Target, String> {
    text.trim().parse()
}

fn first(arguments: &[String], default: &str) -> String {
    arguments.first().map_or(default, String::as_str).to_owned()
}

fn at_most(arguments: &[String], count: usize) -> Result<(), String> {
    if arguments.len() > count {
        Err("too many arguments".into())
    } else {
        Ok(())
    }
}

fn exactly_one(arguments: &[String]) -> Result<String, String> {
    match arguments {
        [one] => Ok(one.clone()),
        [] => Err("an argument is missing".into()),
        _ => Err("too many arguments".into()),
    }
}

fn target(arguments: &[String]) -> Result<Target, String> {
    match arguments {
        [] => Ok(Target::Current),
        [all] if all == "all" => Ok(Target::All),
        _ => Err("only `all` may follow".into()),
    }
}

fn get(arguments: &[String]) -> Result<Command, String> {
    let mut patterns = Vec::new();
    let mut to = None;
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--to" => to = Some(rest.next().ok_or("--to needs a directory")?.clone()),
            "--" => patterns.extend(rest.by_ref().cloned()),
            option if option.starts_with("--") => return Err("only --to is an option".into()),
            _ => patterns.push(word.clone()),
        }
    }
    if patterns.is_empty() {
        return Err("a name or pattern is missing".into());
    }
    Ok(Command::Get { patterns, to })
}

fn sort(arguments: &[String]) -> Result<Command, String> {
    let (key, order) = match arguments {
        [key] => (key.as_str(), "asc"),
        [key, order] => (key.as_str(), order.as_str()),
        _ => return Err("a key is missing".into()),
    };
    let by = match key {
        "name" => SortBy::Entries(SortKey::Name),
        "size" => SortBy::Entries(SortKey::Size),
        "age" => SortBy::Entries(SortKey::Age),
        "rate" => SortBy::Rate,
        _ => return Err("the key is name, size, age or rate".into()),
    };
    let descending = match order {
        "asc" => false,
        "desc" => true,
        _ => return Err("only `desc` or `asc` may follow".into()),
    };
    Ok(Command::Sort { by, descending })
}

fn log(arguments: &[String]) -> Result<Command, String> {
    exactly_one(arguments)?
        .parse()
        .map(Command::Log)
        .map_err(|_| "the level is error, warn, info, debug or trace".into())
}

fn theme(arguments: &[String]) -> Result<Command, String> {
    at_most(arguments, 1)?;
    let Some(name) = arguments.first() else {
        return Ok(Command::Theme(None));
    };
    clap::ValueEnum::from_str(name, true)
        .map(|name| Command::Theme(Some(name)))
        .map_err(|_| "the theme is dark, light, ansi or mono".into())
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
        ] {
            assert_eq!(parse(line, true), Ok(Some(command)), "{line}");
        }
        assert_eq!(parse("   ", true), Ok(None));
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
        ] {
            let error = parse(line, true).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
        assert!(parse("get x", false).is_err(), "a server downloads nothing");
    }

    #[test]
    fn quoting_survives_splitting() {
        for word in ["plain", "two words", "qu\"ote", r"back\slash", "it's", ""] {
            assert_eq!(split(&quoted(word)).unwrap(), [word]);
        }
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
