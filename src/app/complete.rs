//! Completions of the command line, made from the command table and from the listing.

use std::path::{Path, PathBuf};

use super::{
    State, View,
    clients::address,
    command::{SETTINGS, Source, commands, named, quoted, split},
    connect::local,
    listing::Listing,
    prompt::{Completion, Completions, Kind},
    serve::{RowKind, Serve},
};
use crate::{escape::display_name, units};

/// Completions that are offered at once.
const OFFERED: usize = 200;

/// Rows of a listing that are looked through at once: what lies behind them cannot be completed, only filtered.
const LOOKED_AT: usize = 100_000;

/// The ways to complete the last word of the prompt, and the local directory that has to be listed for more.
pub fn completions(state: &State) -> (Completions, Option<PathBuf>) {
    let none = (Completions::default(), None);
    let Some(prompt) = &state.prompt else {
        return none;
    };
    let searching = prompt.search().is_some();
    if prompt.kind != Kind::Command || searching || prompt.cursor() != prompt.text().len() {
        return none;
    }
    let line = prompt.text();
    let start = last_word(line);
    let connect = matches!(state.view, View::Connect(_));
    let (items, ask) = if line[..start].trim().is_empty() {
        let names = commands(connect).filter(|spec| spec.name.starts_with(&line[start..]));
        let items = names.map(|spec| word(spec.name, spec.help)).collect();
        (items, None)
    } else {
        arguments(state, line, start, connect)
    };
    let completions = Completions {
        start,
        items,
        chosen: None,
    };
    (completions, ask)
}

fn word(word: &str, note: &str) -> Completion {
    Completion {
        insert: quoted(word),
        label: display_name(word).into_owned(),
        about: String::new(),
        note: note.to_owned(),
    }
}

fn arguments(
    state: &State,
    line: &str,
    start: usize,
    connect: bool,
) -> (Vec<Completion>, Option<PathBuf>) {
    // An open quote is closed for reading what was typed so far.
    let typed = &line[start..];
    let typed = [typed.to_owned(), format!("{typed}\""), format!("{typed}'")]
        .iter()
        .find_map(|word| split(word).ok())
        .and_then(|words| words.into_iter().next())
        .unwrap_or_default();
    let before: Vec<String> = split(&line[..start]).unwrap_or_default();
    let Some(spec) = named(line, connect) else {
        return (Vec::new(), None);
    };
    let listing = match &state.view {
        View::Connect(view) => &view.remote.listing,
        View::Serve(view) => &view.files.listing,
    };
    let first = before.len() == 1;
    let items = match spec.source {
        Source::Entries if before.last().is_some_and(|word| word == "--to") => {
            return local_names(state, &typed, true);
        }
        Source::Entries => entries(listing, &typed, false),
        Source::Directories => entries(listing, &typed, true),
        Source::LocalDirectories if first => return local_names(state, &typed, true),
        Source::LocalFiles if first => return local_names(state, &typed, false),
        Source::Nothing | Source::LocalDirectories | Source::LocalFiles => Vec::new(),
        Source::Clients { all } => match &state.view {
            View::Serve(view) if first => clients(state, view, &typed, all),
            View::Serve(_) if all => words(&["off"], &typed),
            _ => Vec::new(),
        },
        Source::Banned => match &state.view {
            View::Serve(view) if first => banned(view, &typed),
            _ => Vec::new(),
        },
        Source::Settings => match before.get(1) {
            None => SETTINGS
                .iter()
                .filter(|(key, _)| key.starts_with(&typed))
                .map(|(key, values)| word(key, &values.join(" ")))
                .collect(),
            Some(key) => SETTINGS
                .iter()
                .find(|(known, _)| known == key)
                .map_or_else(Vec::new, |(_, values)| words(values, &typed)),
        },
        Source::Words(known) => words(known, &typed),
    };
    (items, None)
}

fn words(known: &[&str], typed: &str) -> Vec<Completion> {
    let fitting = known.iter().filter(|known| known.starts_with(typed));
    fitting.map(|known| word(known, "")).collect()
}

/// The server's clients, the fastest first as on the screen.
fn clients(state: &State, view: &Serve, typed: &str, all: bool) -> Vec<Completion> {
    let mut items = Vec::new();
    for row in &view.rows {
        let RowKind::Client { .. } = row.kind else {
            continue;
        };
        let Some(client) = view.snapshot.clients.iter().find(|c| c.id == row.client) else {
            continue;
        };
        let handle = view.handle(client);
        if !handle.starts_with(typed) {
            continue;
        }
        let address = display_name(&address(client)).into_owned();
        let label = display_name(&handle).into_owned();
        items.push(Completion {
            insert: quoted(&handle),
            about: if label == address {
                String::new()
            } else {
                address
            },
            label,
            note: units::rate(row.figures.rate),
        });
    }
    if all && "all".starts_with(typed) {
        items.push(Completion {
            about: "every client".to_owned(),
            ..word("all", &units::rate(state.throughput.now()))
        });
    }
    items.truncate(OFFERED);
    items
}

fn banned(view: &Serve, typed: &str) -> Vec<Completion> {
    let bans = view.snapshot.banned.iter();
    bans.filter(|ban| ban.who.starts_with(typed))
        .map(|ban| word(&ban.who, &display_name(&ban.reason)))
        .collect()
}

/// Names of a local directory; it is asked for where it is not the one that was listed last.
fn local_names(state: &State, typed: &str, only_dirs: bool) -> (Vec<Completion>, Option<PathBuf>) {
    let (parent, begin) = match typed.rfind('/') {
        Some(slash) => typed.split_at(slash + 1),
        None => ("", typed),
    };
    let dir = match &state.view {
        View::Connect(view) => view.local(parent),
        View::Serve(view) => local(parent, Path::new("."), view.facts.home.as_ref()),
    };
    let Some((_, names)) = state.local.as_ref().filter(|(listed, _)| *listed == dir) else {
        return (Vec::new(), Some(dir));
    };
    let fits = |(name, is_dir): &&(String, bool)| {
        name.starts_with(begin)
            && (*is_dir || !only_dirs)
            && (!name.starts_with('.') || begin.starts_with('.'))
    };
    let items = names
        .iter()
        .filter(fits)
        .take(OFFERED)
        .map(|(name, is_dir)| {
            let slash = if *is_dir { "/" } else { "" };
            Completion {
                insert: quoted(&format!("{parent}{name}{slash}")),
                ..word(&format!("{name}{slash}"), "")
            }
        });
    (items.collect(), None)
}

fn entries(listing: &Listing, typed: &str, only_dirs: bool) -> Vec<Completion> {
    let fits = |name: &[u8]| {
        name.get(..typed.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(typed.as_bytes()))
    };
    listing
        .shown()
        .take(LOOKED_AT)
        .filter(|entry| (!only_dirs || entry.is_dir) && fits(&entry.name))
        // What cannot be typed cannot be completed: `Space` and `d` take it.
        .filter_map(|entry| Some((entry, std::str::from_utf8(&entry.name).ok()?)))
        .filter(|(_, name)| !name.chars().any(char::is_control))
        .take(OFFERED)
        .map(|(entry, name)| {
            let slash = if entry.is_dir { "/" } else { "" };
            let size = entry.size.map(units::size).unwrap_or_default();
            word(&format!("{name}{slash}"), &size)
        })
        .collect()
}

/// Where the last word starts, in bytes; quotes and backslashes hold blanks together.
fn last_word(line: &str) -> usize {
    let (mut start, mut quote, mut escaped) = (0, None, false);
    for (at, c) in line.char_indices() {
        match (quote, c) {
            _ if std::mem::take(&mut escaped) => {}
            (Some(q), c) if c == q => quote = None,
            (None | Some('"'), '\\') => escaped = true,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() => start = at + c.len_utf8(),
            _ => {}
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_found_behind_quotes() {
        for (line, start) in [
            ("ge", 0),
            ("get a", 4),
            ("get \"a b", 4),
            (r"get a\ b", 4),
            ("get a ", 6),
        ] {
            assert_eq!(last_word(line), start, "{line}");
        }
    }
}
