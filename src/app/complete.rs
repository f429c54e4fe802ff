//! Completions of the command line, made from the command table and from the listing.

use super::{
    State, View,
    command::{Source, commands, named, quoted, split},
    listing::Listing,
    prompt::{Completion, Completions, Kind},
};
use crate::{escape::display_name, units};

/// Completions that are offered at once.
const OFFERED: usize = 200;

/// The ways to complete the last word of the prompt.
pub fn completions(state: &State) -> Completions {
    let Some(prompt) = &state.prompt else {
        return Completions::default();
    };
    if prompt.kind != Kind::Command || prompt.cursor() != prompt.text().len() {
        return Completions::default();
    }
    let line = prompt.text();
    let start = last_word(line);
    let connect = matches!(state.view, View::Connect(_));
    let items = if line[..start].trim().is_empty() {
        commands(connect)
            .filter(|spec| spec.name.starts_with(&line[start..]))
            .map(|spec| Completion {
                insert: spec.name.to_owned(),
                label: spec.name.to_owned(),
                note: spec.help.to_owned(),
            })
            .collect()
    } else {
        arguments(state, line, &line[start..], connect)
    };
    Completions {
        start,
        items,
        chosen: None,
    }
}

fn arguments(state: &State, line: &str, word: &str, connect: bool) -> Vec<Completion> {
    // An open quote is closed for reading what was typed so far.
    let typed = [word.to_owned(), format!("{word}\""), format!("{word}'")]
        .iter()
        .find_map(|word| split(word).ok())
        .and_then(|words| words.into_iter().next())
        .unwrap_or_default();
    let Some(spec) = named(line, connect) else {
        return Vec::new();
    };
    match (spec.source, &state.view) {
        (Source::Words(words), _) => words
            .iter()
            .filter(|known| known.starts_with(&typed))
            .map(|known| Completion {
                insert: (*known).to_owned(),
                label: (*known).to_owned(),
                note: String::new(),
            })
            .collect(),
        (Source::Entries, View::Connect(view)) => entries(&view.remote.listing, &typed, false),
        (Source::Directories, View::Connect(view)) => entries(&view.remote.listing, &typed, true),
        _ => Vec::new(),
    }
}

fn entries(listing: &Listing, typed: &str, only_dirs: bool) -> Vec<Completion> {
    let fits = |name: &[u8]| {
        name.get(..typed.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(typed.as_bytes()))
    };
    listing
        .entries()
        .iter()
        .filter(|entry| (!only_dirs || entry.is_dir) && fits(&entry.name))
        // What cannot be typed cannot be completed: `Space` and `d` take it.
        .filter_map(|entry| Some((entry, std::str::from_utf8(&entry.name).ok()?)))
        .filter(|(_, name)| !name.chars().any(char::is_control))
        .take(OFFERED)
        .map(|(entry, name)| {
            let slash = if entry.is_dir { "/" } else { "" };
            Completion {
                insert: quoted(&format!("{name}{slash}")),
                label: format!("{}{slash}", display_name(name)),
                note: entry.size.map(units::size).unwrap_or_default(),
            }
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
