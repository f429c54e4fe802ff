//! What stands where a directory has no rows: why, and what to do.

use ratatui::style::Style;

use super::super::{text::shown, theme::Theme};
use crate::{
    app::{
        State, View,
        browser::{Browser, Load},
    },
    units,
};

/// Its lines; none where the list is to be seen.
pub(super) fn words(state: &State, theme: &Theme, browser: &Browser) -> Vec<(String, Style)> {
    let listing = &browser.listing;
    let (chosen, all) = listing.counts();
    match &browser.load {
        Load::Failed(path, error) => {
            let back = if browser.read.is_some() {
                " · h goes back"
            } else {
                ""
            };
            let remedy = match &state.view {
                View::Connect(_) => {
                    format!("r tries again{back} · :connect URL turns to another server")
                }
                View::Serve(_) => format!("r tries again{back}"),
            };
            return vec![
                (
                    format!(
                        "{} cannot list /{}",
                        theme.glyphs.failed,
                        shown(path.trimmed())
                    ),
                    theme.bad,
                ),
                (error.reason.clone(), theme.text),
                (String::new(), theme.dim),
                (remedy, theme.dim),
            ];
        }
        Load::Loading(path) if browser.read.is_none() => {
            let text = format!(
                "{} listing /{}",
                theme.glyphs.waiting,
                shown(path.trimmed())
            );
            return vec![(text, theme.dim)];
        }
        Load::Idle if browser.read.is_none() => {
            return vec![
                ("No server yet.".to_owned(), theme.text),
                (
                    "Type the address that `haul serve` shows, then Enter.".to_owned(),
                    theme.dim,
                ),
            ];
        }
        _ => {}
    }
    let filter = &listing.arrangement().filter;
    if chosen > 0 {
        Vec::new()
    } else if all == 0 {
        vec![("This directory is empty.".to_owned(), theme.dim)]
    } else if listing.is_arranging() {
        let all = units::count(all as u64);
        let text = format!("{} sorting {all} names", theme.glyphs.waiting);
        vec![(text, theme.dim)]
    } else if filter.is_empty() {
        let all = units::count(all as u64);
        vec![(
            format!("all {all} names begin with a dot · . shows them"),
            theme.dim,
        )]
    } else {
        let all = units::count(all as u64);
        vec![(
            format!("0 of {all} match \"{}\" · Esc clears", shown(filter)),
            theme.dim,
        )]
    }
}
