//! The dashboards: what puts state, drawing, terminal and engine together.

mod abilities;
pub mod attach;
pub mod ctl;
mod here;
mod history;
mod kept;
pub mod lines;
mod local;
pub mod measure;
pub mod places;
pub mod run;
pub mod terminal;
mod unseen;

use std::io;

use jiff::tz::TimeZone;

use tokio_util::sync::CancellationToken;

pub use self::kept::Kept;
use self::{abilities::Abilities, run::Run, terminal::Tty};
pub use crate::app::Ending;
use crate::{
    app::{
        self, Depth, Event, GlyphSet, Looks, State, connect, keymap::Keymap, serve as served,
        update,
    },
    config::{Screen, ThemeName},
    control::{Hub, Left, STOP, Serving},
    logging::Ring,
    server::Server,
};

/// What `haul connect`'s dashboard begins with.
pub struct ConnectStart {
    /// What it is told.
    pub facts: connect::Facts,
    /// The server that the hub is turned to; `None` asks for one.
    pub server: Option<app::Server>,
    /// `:` commands to run once the first directory is listed, and where each stands.
    pub script: Vec<(String, String)>,
    /// A line that is shown until something else is told.
    pub greeting: Option<&'static str>,
}

/// Shows a running server until the user, a signal or `stop` ends it; `script` is run first. Stopping the server is left to
/// the caller.
pub async fn serve(
    server: Server,
    facts: served::Facts,
    (ring, script): (Ring, Vec<(String, String)>),
    screen: &Screen,
    stop: CancellationToken,
) -> io::Result<Ending> {
    let state = own(State::serve(facts, looks(screen)), screen)?;
    let history = history::file("serve");
    let state = state.with_history(history.as_deref().map(history::load).unwrap_or_default());
    let tty = Tty::enter(!screen.no_mouse, false)?;
    let input = tty.input();
    let run = Run {
        state,
        engine: Serving::new(server),
        screen: tty,
        ring,
        kept: Kept {
            history,
            places: None,
        },
        asks_theme: asks_theme(screen),
        stop,
    };
    run.until_end(input, events(script)).await
}

/// A script's lines as they come to the state.
fn events(script: Vec<(String, String)>) -> Vec<Event> {
    let lines = script.into_iter();
    let lines = lines.map(|(line, place)| Event::Script { line, place });
    lines.collect()
}

/// Browses and downloads until the user, a signal or `stop` ends it; then parts are brought to the disk. Tells how it ended
/// and what is not as it was asked for.
pub async fn connect(
    start: ConnectStart,
    hub: Hub,
    ring: Ring,
    screen: &Screen,
    stop: CancellationToken,
) -> io::Result<(Ending, Left)> {
    let state = State::connect(start.facts, start.server, looks(screen));
    let state = own(state, screen)?;
    let history = history::file("connect");
    let places = places::file();
    let mut state = state
        .with_history(history.as_deref().map(history::load).unwrap_or_default())
        .with_places(places.as_deref().map(places::load).unwrap_or_default());
    if let Some(greeting) = start.greeting {
        let _ = update(&mut state, Event::Told(greeting.to_owned()));
    }
    let tty = Tty::enter(!screen.no_mouse, screen.notifies)?;
    let input = tty.input();
    let run = Run {
        state,
        engine: hub.engine(),
        screen: tty,
        ring,
        kept: Kept { history, places },
        asks_theme: asks_theme(screen),
        stop,
    };
    let ending = run.until_end(input, events(start.script)).await;
    // The terminal is the user's again; what was received is on disk before the program ends.
    let left = hub.stop(STOP).await;
    Ok((ending?, left))
}

/// The state with the user's own keys. They were checked when the file was read.
fn own(state: State, screen: &Screen) -> io::Result<State> {
    let keys = screen.keys.iter();
    let keys = keys.map(|(action, keys)| (action.as_str(), keys.as_str()));
    let keymap = Keymap::with(keys).map_err(io::Error::other)?;
    Ok(state.with_keys(keymap))
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Whether the terminal is to be asked for its background: unless somebody has said already.
fn asks_theme(screen: &Screen) -> bool {
    let colours = matches!(Abilities::here().depth, Depth::Indexed | Depth::Full);
    screen.theme.is_none() && !is_set("NO_COLOR") && colours
}

/// A theme that was asked for wins over `NO_COLOR`, and both over the background that the environment tells. Until
/// the terminal has told its own, that is what the first frame is drawn for.
fn looks(screen: &Screen) -> Looks {
    let abilities = Abilities::here();
    let theme = screen.theme.unwrap_or_else(|| {
        if is_set("NO_COLOR") {
            ThemeName::Mono
        } else {
            let background = std::env::var("COLORFGBG").unwrap_or_default();
            abilities.theme(theme_for(&background))
        }
    });
    Looks {
        theme,
        chosen: screen.theme.is_some(),
        depth: abilities.depth,
        glyphs: match abilities.glyphs {
            GlyphSet::Unicode | GlyphSet::Console if screen.ascii => GlyphSet::Ascii,
            glyphs => glyphs,
        },
        colours: screen.colours.clone(),
        zone: TimeZone::system(),
    }
}

/// The theme for a `COLORFGBG` such as `15;0`: its last number is the background's colour.
fn theme_for(background: &str) -> ThemeName {
    match background.rsplit(';').next() {
        Some("7" | "15") => ThemeName::Light,
        _ => ThemeName::Dark,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_light_background_gets_the_light_theme() {
        assert_eq!(theme_for("0;15"), ThemeName::Light);
        assert_eq!(theme_for("0;default;7"), ThemeName::Light);
        assert_eq!(theme_for("15;0"), ThemeName::Dark);
        assert_eq!(theme_for(""), ThemeName::Dark);
    }
}
