//! How each command reads its arguments. An error says what is allowed; the usage is added to it.

use super::{Command, Place, Setting, SortBy, SortKey, Target};
use crate::{config, units::Rate};

/// A server's address as people type it: `host`, `host:port`, or a whole URL.
pub fn address(text: &str) -> Result<config::target::Target, String> {
    text.trim().parse()
}

pub(super) fn first(arguments: &[String], default: &str) -> String {
    arguments.first().map_or(default, String::as_str).to_owned()
}

pub(super) fn at_most(arguments: &[String], count: usize) -> Result<(), String> {
    if arguments.len() > count {
        Err("too many arguments".into())
    } else {
        Ok(())
    }
}

pub(super) fn one(arguments: &[String]) -> Result<String, String> {
    optional(arguments)?.ok_or_else(|| "an argument is missing".into())
}

pub(super) fn optional(arguments: &[String]) -> Result<Option<String>, String> {
    at_most(arguments, 1)?;
    Ok(arguments.first().cloned())
}

pub(super) fn none(arguments: &[String], command: Command) -> Result<Command, String> {
    at_most(arguments, 0).map(|()| command)
}

pub(super) fn text(arguments: &[String]) -> String {
    arguments.join(" ")
}

/// A client, and what it is told.
pub(super) fn of_client(arguments: &[String]) -> Result<(String, String), String> {
    let (who, reason) = arguments.split_first().ok_or("a client is missing")?;
    Ok((who.clone(), text(reason)))
}

pub(super) fn export(arguments: &[String]) -> Result<Command, String> {
    one(arguments).map(Command::Export)
}

/// `20M`, or `off` for no limit.
fn rate(word: &str) -> Result<Option<Rate>, String> {
    if word == "off" {
        return Ok(None);
    }
    word.parse().map(Some).map_err(|_| {
        let word = crate::escape::display_name(word);
        format!("`{word}` is no rate: bytes a second, such as 500k, 20M or 1.5MiB/s, or off")
    })
}

pub(super) fn limit(arguments: &[String]) -> Result<Command, String> {
    let rate = rate(&one(arguments)?)?;
    Ok(Command::Limit { who: None, rate })
}

pub(super) fn limit_transfers(arguments: &[String]) -> Result<Command, String> {
    match arguments {
        [this, to] if this == "this" => rate(to).map(Command::LimitCurrent),
        [this] if this == "this" => Err("a rate is missing".into()),
        [all, to] if all == "all" => limit(std::slice::from_ref(to)),
        _ => limit(arguments),
    }
}

pub(super) fn move_to(arguments: &[String]) -> Result<Command, String> {
    let place = match one(arguments)?.as_str() {
        "up" => Place::Up,
        "down" => Place::Down,
        "first" => Place::First,
        _ => return Err("up, down or first".into()),
    };
    Ok(Command::Move(place))
}

pub(super) fn limit_clients(arguments: &[String]) -> Result<Command, String> {
    match arguments {
        [who, to] if who != "all" => Ok(Command::Limit {
            who: Some(who.clone()),
            rate: rate(to)?,
        }),
        [_, to] => limit(std::slice::from_ref(to)),
        _ => limit(arguments),
    }
}

pub(super) fn target(arguments: &[String]) -> Result<Target, String> {
    match arguments {
        [] => Ok(Target::Current),
        [all] if all == "all" => Ok(Target::All),
        _ => Err("only `all` may follow".into()),
    }
}

pub(super) fn get(arguments: &[String]) -> Result<Command, String> {
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

pub(super) fn sort(arguments: &[String]) -> Result<Command, String> {
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

pub(super) fn log(arguments: &[String]) -> Result<Command, String> {
    one(arguments)?
        .parse()
        .map(Command::Log)
        .map_err(|_| "the level is error, warn, info, debug or trace".into())
}

pub(super) fn theme(arguments: &[String]) -> Result<Command, String> {
    at_most(arguments, 1)?;
    let Some(name) = arguments.first() else {
        return Ok(Command::Theme(None));
    };
    clap::ValueEnum::from_str(name, true)
        .map(|name| Command::Theme(Some(name)))
        .map_err(|_| "the theme is dark, light, ansi or mono".into())
}

pub(super) fn set(arguments: &[String]) -> Result<Command, String> {
    let (key, values) = arguments.split_first().ok_or("a key is missing")?;
    let on = || match values {
        [word] if word == "on" => Ok(true),
        [word] if word == "off" => Ok(false),
        _ => Err("the value is on or off".to_owned()),
    };
    match key.as_str() {
        "theme" if !values.is_empty() => theme(values),
        "log" => log(values),
        "limit" => limit(values),
        "sort" => sort(values),
        "ascii" => on().map(|on| Command::Set(Setting::Ascii(on))),
        "hidden" => on().map(|on| Command::Set(Setting::Hidden(on))),
        "follow" => on().map(|on| Command::Set(Setting::Follow(on))),
        "wrap" => on().map(|on| Command::Set(Setting::Wrap(on))),
        _ => Err("the key is theme, log, limit, sort, ascii, hidden, follow or wrap".into()),
    }
}

/// What `:set` knows, with the words of each value.
pub(in super::super) const SETTINGS: &[(&str, &[&str])] = &[
    ("theme", &["dark", "light", "ansi", "mono"]),
    ("log", &["error", "warn", "info", "debug", "trace"]),
    ("limit", &["off"]),
    ("sort", &["name", "size", "age", "rate"]),
    ("ascii", &["on", "off"]),
    ("hidden", &["on", "off"]),
    ("follow", &["on", "off"]),
    ("wrap", &["on", "off"]),
];
