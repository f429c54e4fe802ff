//! What a wrong command line is told: one line that names the option, what was read and what is allowed.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Why parsing ended without settings.
#[derive(Debug)]
pub enum Stop {
    /// Help or the version was asked for; [`clap::Error::print`] shows it, on stderr where it was not asked for.
    Show(Box<clap::Error>),
    /// Something is wrong; the line says what.
    Wrong(String),
}

impl Stop {
    /// Turns clap's error into a line; `tip` is the command whose help describes the options.
    pub(super) fn new(error: clap::Error, tip: &str) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Self::Show(Box::new(error)),
            _ => {
                let line = match subject(&error) {
                    Some(option) => format!("{option}: {}", problem(&error)),
                    None => problem(&error),
                };
                Self::Wrong(format!("{line}; see `{tip} --help`"))
            }
        }
    }
}

/// The option that a bad value was given to, as the user wrote it: `--port`, `DIR`.
pub(super) fn subject(error: &clap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::ValueValidation
        | ErrorKind::InvalidValue
        | ErrorKind::ArgumentConflict
        | ErrorKind::NoEquals
        | ErrorKind::TooManyValues
        | ErrorKind::TooFewValues
        | ErrorKind::WrongNumberOfValues => {
            let shown = text(error, ContextKind::InvalidArg)?;
            Some(named(&shown).into())
        }
        _ => None,
    }
}

/// `--port <PORT>`, `--hidden[=<HIDDEN>]` and `[DIR]` by their names alone.
fn named(shown: &str) -> &str {
    if shown.starts_with('-') {
        shown.split([' ', '=', '[']).next().unwrap_or(shown)
    } else {
        bare(shown)
    }
}

/// What is wrong, without the option's name.
pub(super) fn problem(error: &clap::Error) -> String {
    let read = text(error, ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue if read.is_empty() => {
            "needs a value".into()
        }
        ErrorKind::ValueValidation => match error.source() {
            Some(source) => source.to_string(),
            None => format!("`{read}` is not allowed"),
        },
        ErrorKind::InvalidValue => match list(error, ContextKind::ValidValue) {
            Some(allowed) => format!("`{read}` is not allowed: {allowed}"),
            None => format!("`{read}` is not allowed"),
        },
        ErrorKind::ArgumentConflict => {
            let (this, other) = (ContextKind::InvalidArg, ContextKind::PriorArg);
            match text(error, other).filter(|other| text(error, this).as_ref() != Some(other)) {
                Some(other) => format!("does not go with {}: leave one of them out", named(&other)),
                None => "given more than once".into(),
            }
        }
        ErrorKind::UnknownArgument => {
            let option = text(error, ContextKind::InvalidArg).unwrap_or_default();
            let what = if option.starts_with('-') {
                "unknown option"
            } else {
                "one argument too many,"
            };
            format!(
                "{what} `{option}`{}",
                instead(error, ContextKind::SuggestedArg)
            )
        }
        ErrorKind::InvalidSubcommand => format!(
            "unknown command `{}`{}",
            text(error, ContextKind::InvalidSubcommand).unwrap_or_default(),
            instead(error, ContextKind::SuggestedSubcommand)
        ),
        ErrorKind::MissingRequiredArgument => format!(
            "missing {}",
            text(error, ContextKind::InvalidArg)
                .as_deref()
                .map_or("an argument", bare)
        ),
        ErrorKind::InvalidUtf8 => "an argument is no UTF-8".into(),
        // clap's own words, without its prefix and its usage.
        _ => {
            let all = error.to_string();
            let first = all.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).into()
        }
    }
}

fn instead(error: &clap::Error, kind: ContextKind) -> String {
    list(error, kind)
        .map(|name| format!(" (did you mean `{}`?)", name.replace(" or ", "` or `")))
        .unwrap_or_default()
}

/// `[DIR]` and `<SHELL>` without their brackets.
fn bare(name: &str) -> &str {
    let name = name.trim_end_matches('.');
    let optional = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let required = name.strip_prefix('<').and_then(|n| n.strip_suffix('>'));
    optional.or(required).unwrap_or(name)
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

/// `a, b or c`.
fn list(error: &clap::Error, kind: ContextKind) -> Option<String> {
    let names = match error.get(kind)? {
        ContextValue::String(name) => return Some(name.clone()),
        ContextValue::Strings(names) => names,
        _ => return None,
    };
    let (last, others) = names.split_last()?;
    if others.is_empty() {
        Some(last.clone())
    } else {
        Some(format!("{} or {last}", others.join(", ")))
    }
}
