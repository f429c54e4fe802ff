//! What the terminal's title and its taskbar show.

use super::{State, View};

/// The title of the terminal's window: `haul: 61% · nas.lan`, `haul: 3 active · /srv/pub`.
pub fn title(state: &State) -> String {
    match &state.view {
        View::Connect(view) => {
            let host = view
                .url
                .as_ref()
                .and_then(|url| url.host_str())
                .unwrap_or("connect");
            match percent(state) {
                Some(percent) => format!("haul: {percent}% · {host}"),
                None => format!("haul: {host}"),
            }
        }
        View::Serve(view) => {
            let root = view.root();
            match view.busy().0 {
                0 => format!("haul: {root}"),
                busy => format!("haul: {busy} active · {root}"),
            }
        }
    }
}

/// The whole job in percent while something runs: for the title and the taskbar.
pub fn percent(state: &State) -> Option<u8> {
    match &state.view {
        View::Connect(view) if view.counts().active > 0 => view.percent(),
        _ => None,
    }
}
