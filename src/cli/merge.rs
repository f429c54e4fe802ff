//! Puts the sources of settings together: file over command line over environment over default.
//!
//! The command line is parsed once to find the file. Then the options that the file sets are taken out of it, the
//! file's settings are put in as `--key=value`, and it is parsed again: one definition reads every source.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, FromArgMatches as _, parser::ValueSource};

use super::{
    Cli, Command, Own,
    message::{Stop, problem},
    parsed, shown, variables,
};
use crate::{
    app::keymap::Keymap,
    config::{
        ini::{self, Place, Setting},
        target::Goal,
        theme,
    },
};

/// The commands that a file's sections configure.
const CONFIGURED: [&str; 3] = ["serve", "connect", "eval"];
/// Sections about the screen of every command.
const SCREEN: [&str; 2] = ["keys", "theme"];

/// Options that make no sense in a file: it names no other file.
const NOT_KEYS: [&str; 2] = ["config", "help"];

/// What the command line, the environment and the file amount to.
#[derive(Debug)]
pub struct Parsed {
    /// The command with its options.
    pub command: Command,
    /// What is to be said of it.
    pub notes: Notes,
}

/// What the sources of settings give to say, a line each.
#[derive(Debug, Default)]
pub struct Notes {
    /// What the file overrode: `port: 9000 from x.ini overrides 8888 from the command line`.
    pub overrides: Vec<String>,
    /// Variables that were taken for somebody else's.
    pub warnings: Vec<String>,
    /// Files with secrets in them, and what those are.
    pub secrets: Vec<(&'static str, PathBuf)>,
}

impl Notes {
    /// Every line, for who tells no two kinds apart.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.warnings.iter().chain(&self.overrides)
    }
}

/// Parses the program's arguments, its name first. Of the environment only what decides is read.
pub fn parse(argv: &[OsString]) -> Result<Parsed, Stop> {
    let mut notes = Notes::default();
    let links = variables::links(argv, &mut notes.warnings);
    // What the file and the target decide is not known yet: no variable can be wrong here but the one that names the file.
    let first = variables::without(parsed(), |id| id != "config");
    let given = match first.try_get_matches_from(argv) {
        Ok(matches) => matches,
        Err(error) => return Err(explain(error, argv)),
    };
    let Some((name, given)) = given.subcommand() else {
        return Err(Stop::Wrong("no command: see `haul --help`".into()));
    };
    let decided = links.into_iter().chain(by_target(name, given));
    let mut decided: HashSet<String> = decided.chain(ruled_out(name, given)).collect();
    if !CONFIGURED.contains(&name) {
        return finish(argv, &decided, notes);
    }
    clashes(name, given)
        .map_err(|line| Stop::Wrong(format!("{line}; see `haul {name} --help`")))?;
    notes.secrets.extend(secrets(name, given));
    let Some(path) = given.get_one::<PathBuf>("config") else {
        return finish(argv, &decided, notes);
    };
    let settings = from_file(name, path).map_err(Stop::Wrong)?;
    if settings.iter().any(|setting| setting.key == "auth") {
        notes.secrets.push(("a login", path.clone()));
    }
    let (screen, settings): (Vec<_>, Vec<_>) = settings.into_iter().partition(is_screen);
    decided.extend(settings.iter().map(|setting| setting.key.clone()));
    let (argv, overrides) = merged(name, given, path, &settings);
    notes.overrides = overrides;
    let mut parsed = finish(&argv, &decided, notes)?;
    match &mut parsed.command {
        Command::Serve(serve) => serve.screen.own = own(&screen),
        Command::Connect(connect) => connect.screen.own = own(&screen),
        Command::Eval(eval) => eval.screen.own = own(&screen),
        _ => {}
    }
    Ok(parsed)
}

/// The options that cannot go with what was typed: a variable says nothing beside it.
fn ruled_out(command: &str, given: &ArgMatches) -> Vec<String> {
    let definition = without_environment();
    let Some(options) = definition.find_subcommand(command) else {
        return Vec::new();
    };
    let is_typed =
        |arg: &Arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let rivals = options.get_arguments().flat_map(|arg| {
        let others = options.get_arg_conflicts_with(arg).into_iter();
        others.flat_map(move |other| [(arg, other), (other, arg)])
    });
    let out = rivals.filter(|(one, _)| is_typed(one));
    out.filter_map(|(_, other)| other.get_long().map(str::to_owned))
        .collect()
}

/// The options of `connect` that its target spells: a variable says nothing beside it.
fn by_target(command: &str, given: &ArgMatches) -> Vec<String> {
    let goals = match command {
        "connect" => given.get_many::<Goal>("target"),
        _ => None,
    };
    let first = goals.and_then(|mut goals| goals.next());
    let Some(target) = first.and_then(Goal::server) else {
        return Vec::new();
    };
    let port = target.has_port.then(|| "port".to_owned());
    port.into_iter().chain(["address".to_owned()]).collect()
}

/// Files of logins that a client is given; a server tells of its own when it reads them.
fn secrets(command: &str, given: &ArgMatches) -> Vec<(&'static str, PathBuf)> {
    let file = |what, id: &str| {
        let path = given.try_get_one::<PathBuf>(id).ok().flatten()?;
        Some((what, path.clone()))
    };
    if command != "connect" {
        return Vec::new();
    }
    let files = [file("a login", "auth_file"), file("a token", "token_file")];
    files.into_iter().flatten().collect()
}

fn is_screen(setting: &Setting) -> bool {
    let section = setting.section.as_deref();
    section.is_some_and(|section| SCREEN.contains(&section))
}

/// The settings of `[keys]` and `[theme]`, which were checked.
fn own(settings: &[Setting]) -> Own {
    let mut own = Own::default();
    for Setting {
        section,
        key,
        value,
        ..
    } in settings
    {
        if section.as_deref() == Some("keys") {
            own.keys.push((key.clone(), value.clone()));
        } else {
            own.colours.extend(theme::colour(key, value));
        }
    }
    own
}

/// The command with its options; the variables of what is `decided` are not read.
fn finish(argv: &[OsString], decided: &HashSet<String>, notes: Notes) -> Result<Parsed, Stop> {
    let definition = variables::without(parsed(), |id| decided.contains(id));
    let matches = definition
        .try_get_matches_from(argv)
        .map_err(|error| explain(error, argv))?;
    let command = Cli::from_arg_matches(&matches)
        .map_err(|error| Stop::new(error, "haul"))?
        .command;
    Ok(Parsed { command, notes })
}

/// Tells help from mistakes, and a mistake on the command line from one in the environment.
fn explain(error: clap::Error, argv: &[OsString]) -> Stop {
    let tip = tip(argv);
    let stop = Stop::new(error, &tip);
    let again = match &stop {
        // The same help, with flags as people write them.
        Stop::Show(_) => shown().try_get_matches_from(argv).err(),
        Stop::Wrong(_) => None,
    };
    match (stop, again.map(|error| Stop::new(error, &tip))) {
        (Stop::Show(_), Some(Stop::Show(nicer))) => Stop::Show(nicer),
        (Stop::Wrong(line), _) => match without_environment().try_get_matches_from(argv) {
            Err(_) => Stop::Wrong(line),
            Ok(_) => Stop::Wrong(as_variable(&line)),
        },
        (stop, _) => stop,
    }
}

/// `--log-format: …` as `HAUL_LOG_FORMAT: …`.
fn as_variable(line: &str) -> String {
    match line
        .strip_prefix("--")
        .and_then(|line| line.split_once(':'))
    {
        Some((name, rest)) => format!(
            "HAUL_{}:{rest}",
            name.to_ascii_uppercase().replace('-', "_")
        ),
        None => line.into(),
    }
}

fn without_environment() -> clap::Command {
    variables::without(parsed(), |_| true)
}

fn tip(argv: &[OsString]) -> String {
    let definition = shown();
    argv.iter()
        .skip(1)
        .filter_map(|arg| arg.to_str())
        .find(|arg| definition.find_subcommand(arg).is_some())
        .map_or_else(|| "haul".into(), |name| format!("haul {name}"))
}

/// Two spellings of one thing, both on the command line.
fn clashes(command: &str, given: &ArgMatches) -> Result<(), String> {
    let typed = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    if command == "serve" && typed("directory") && typed("dir") {
        return Err("the directory is given twice: as DIR and with --dir".into());
    }
    if command == "connect"
        && let Some(goal) = given
            .get_many::<Goal>("target")
            .and_then(|mut goals| goals.next())
    {
        if typed("address") {
            return Err("the server is given twice: as URL|HOST[:PORT] and with --address".into());
        }
        if typed("port") && goal.server().is_none_or(|target| target.has_port) {
            return Err("the port is given twice: in the URL and with --port".into());
        }
    }
    Ok(())
}

/// The file's settings for `command`, each one checked; those for other commands are checked as well.
pub(super) fn from_file(command: &str, path: &Path) -> Result<Vec<Setting>, String> {
    let file = ini::read(path).map_err(|error| error.to_string())?;
    checked(command, path, file)
}

/// The same of a text that stands for the file at `path`.
pub(super) fn from_text(command: &str, path: &Path, text: &str) -> Result<Vec<Setting>, String> {
    let file = ini::parse(&path.display().to_string(), text).map_err(|error| error.to_string())?;
    checked(command, path, file)
}

fn checked(command: &str, path: &Path, file: ini::File) -> Result<Vec<Setting>, String> {
    let shown = path.display().to_string();
    let place = |section: Option<&str>, line| Place {
        path: shown.clone(),
        line,
        section: section.map(str::to_owned),
    };
    for (section, line) in &file.sections {
        let known = [&CONFIGURED[..], &SCREEN].concat();
        if !known.contains(&section.as_str()) {
            return Err(format!(
                "{}: no such section: [serve], [connect], [eval], [keys] or [theme]",
                place(Some(section), *line)
            ));
        }
    }
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for (at, setting) in file.settings.iter().enumerate() {
        let section = setting.section.as_deref().unwrap_or(command);
        let before = file.settings[..at].iter().find(|earlier| {
            earlier.section.as_deref().unwrap_or(command) == section && earlier.key == setting.key
        });
        let checked = check(section, setting, before).and_then(|()| {
            if section == "keys" {
                // One key may clash with those before it only.
                keys.push((&setting.key, &setting.value));
                Keymap::with(keys.iter().copied())?;
            }
            Ok(())
        });
        checked.map_err(|problem| {
            let place = place(Some(section), setting.line);
            format!("{place} {}: {problem}", setting.key)
        })?;
    }
    let mine = |setting: &Setting| {
        let section = setting.section.as_deref();
        section.is_none_or(|s| s == command) || is_screen(setting)
    };
    Ok(file.settings.into_iter().filter(mine).collect())
}

/// Reads one setting by its option's definition; `before` is an earlier one of the same section and key.
fn check(section: &str, setting: &Setting, before: Option<&Setting>) -> Result<(), String> {
    let Setting { key, value, .. } = setting;
    if SCREEN.contains(&section) {
        return match before {
            Some(Setting { line, .. }) => Err(format!(
                "`{value}` is a second value: line {line} has the first"
            )),
            None if section == "theme" => theme::colour(key, value).map(|_| ()),
            None => Ok(()),
        };
    }
    let definition = without_environment();
    let options = definition.find_subcommand(section);
    let Some(option) = options.and_then(|sub| option(sub, key)) else {
        let all = options.map(keys).unwrap_or_default();
        return Err(format!("no such key: {all}"));
    };
    if let Some(Setting { line, .. }) = before
        && !matches!(option.get_action(), ArgAction::Append)
    {
        let shown = shown_value(key, value);
        return Err(format!(
            "`{shown}` is a second value: line {line} has the first"
        ));
    }
    match definition.try_get_matches_from(["haul", section, &format!("--{key}={value}")]) {
        Ok(_) => Ok(()),
        Err(error) => Err(problem(&error)),
    }
}

/// A value as messages show it: a login stays out of them.
fn shown_value<'a>(key: &str, value: &'a str) -> &'a str {
    if matches!(key, "auth" | "header" | "proxy") {
        "…"
    } else {
        value
    }
}

/// The option that a key means.
fn option<'a>(command: &'a clap::Command, key: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(key) && !NOT_KEYS.contains(&key))
}

fn keys(command: &clap::Command) -> String {
    let names: Vec<&str> = command
        .get_arguments()
        .filter_map(Arg::get_long)
        .filter(|name| !NOT_KEYS.contains(name))
        .collect();
    names.join(", ")
}

/// The arguments with the file's settings in the place of those that they override, and what to say of it.
fn merged(
    command: &str,
    given: &ArgMatches,
    path: &Path,
    settings: &[Setting],
) -> (Vec<OsString>, Vec<String>) {
    let mut argv: Vec<OsString> = vec!["haul".into(), command.into()];
    let mut behind: Vec<OsString> = vec!["--".into()];
    let mut overrides = Vec::new();
    let definition = without_environment();
    for arg in definition
        .find_subcommand(command)
        .into_iter()
        .flat_map(clap::Command::get_arguments)
    {
        let id = arg.get_id().as_str();
        if given.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let values: Vec<&OsStr> = given.get_raw(id).into_iter().flatten().collect();
        // The argument DIR is another spelling of --dir.
        let key = arg.get_long().or((id == "directory").then_some("dir"));
        let replaced = key.map(|key| values_of(settings, key)).unwrap_or_default();
        match arg.get_long() {
            _ if !replaced.is_empty() => {
                let key = key.unwrap_or_default();
                let (new, old) = (replaced.join(", "), values.join(OsStr::new(", ")));
                overrides.push(format!(
                    "{key}: {} from {} overrides {} from the command line",
                    shown_value(key, &new),
                    path.display(),
                    shown_value(key, &old.to_string_lossy())
                ));
            }
            Some(long) => argv.extend(values.iter().map(|value| {
                let mut argument = OsString::from(format!("--{long}="));
                argument.push(value);
                argument
            })),
            None => behind.extend(values.iter().map(OsString::from)),
        }
    }
    overrides.extend(of_target(given, path, settings));
    argv.extend(
        settings
            .iter()
            .map(|s| OsString::from(format!("--{}={}", s.key, s.value))),
    );
    argv.extend(behind);
    (argv, overrides)
}

fn values_of<'a>(settings: &'a [Setting], key: &str) -> Vec<&'a str> {
    let same = settings.iter().filter(|s| s.key == key);
    same.map(|s| s.value.as_str()).collect()
}

/// The parts of the URL argument that the file's address and port replace.
fn of_target(given: &ArgMatches, path: &Path, settings: &[Setting]) -> Vec<String> {
    let goals = given.try_get_many::<Goal>("target").ok().flatten();
    let first = goals.and_then(|mut goals| goals.next());
    let Some(target) = first.and_then(Goal::server) else {
        return Vec::new();
    };
    let host = target.url.host_str().unwrap_or_default().to_owned();
    let port = target
        .url
        .port_or_known_default()
        .filter(|_| target.has_port);
    [
        ("address", Some(host)),
        ("port", port.map(|port| port.to_string())),
    ]
    .into_iter()
    .filter_map(|(key, old)| {
        let new = *values_of(settings, key).first()?;
        Some(format!(
            "{key}: {new} from {} overrides {} from the command line",
            path.display(),
            old?
        ))
    })
    .collect()
}
