//! The dashboards: what puts state, drawing, terminal and engine together.

mod abilities;
mod engine;
mod here;
mod history;
mod kept;
mod local;
pub mod measure;
mod places;
pub mod run;
mod session;
mod survey;
pub mod terminal;

use std::{io, path::PathBuf};

use jiff::tz::TimeZone;

use self::{
    abilities::Abilities,
    engine::{Connecting, Serving},
    run::Run,
    session::STOP,
    terminal::Tty,
};
pub use self::{engine::Left, kept::Kept, session::Session};
pub use crate::app::Ending;
use crate::{
    app::{Depth, Event, GlyphSet, Looks, State, connect, keymap::Keymap, serve as served, update},
    client::ItemId,
    config::{Screen, ThemeName, target::Target},
    logging::Ring,
    server::Server,
};

/// What `haul connect`'s dashboard begins with.
pub struct ConnectStart {
    /// The server to begin with; `None` asks for one.
    pub session: Option<Session>,
    /// Whether the user named it; one that was not is asked for when it cannot be reached.
    pub named: bool,
    /// How this client is called on the server's screen.
    pub user: Option<String>,
    /// Where downloads go.
    pub dir: PathBuf,
    /// `:` commands to run once the first directory is listed, and where each stands.
    pub script: Vec<(String, String)>,
    /// What was added to the queue before, by the patterns that it is to be called by.
    pub queued: Vec<(ItemId, String)>,
    /// A line that is shown until something else is told.
    pub greeting: Option<&'static str>,
}

/// Shows a running server until the user or a signal ends it. Stopping the server is left to the caller.
pub async fn serve(
    server: Server,
    facts: served::Facts,
    ring: Ring,
    screen: &Screen,
) -> io::Result<Ending> {
    let state = own(State::serve(facts, looks(screen)), screen)?;
    let history = history::file("serve");
    let state = state.with_history(history.as_deref().map(history::load).unwrap_or_default());
    let tty = Tty::enter(!screen.no_mouse)?;
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
    };
    run.until_end(input, Vec::new()).await
}

/// Browses and downloads until the user or a signal ends it; then parts are brought to the disk. Tells how it ended and
/// what is not as it was asked for.
///
/// `open` makes a client of each server that the user turns to; its error is for people, and escaped.
pub async fn connect(
    start: ConnectStart,
    open: impl FnMut(Target) -> Result<Session, String>,
    ring: Ring,
    screen: &Screen,
) -> io::Result<(Ending, Left)> {
    let facts = connect::Facts {
        user: start.user,
        dir: std::path::absolute(&start.dir).unwrap_or(start.dir),
        home: std::env::home_dir(),
        named: start.named,
    };
    let mut engine = Connecting::new(open);
    let server = start.session.and_then(|session| engine.turn_to(session));
    let state = own(State::connect(facts, server, looks(screen)), screen)?;
    let history = history::file("connect");
    let places = places::file();
    let mut state = state
        .with_history(history.as_deref().map(history::load).unwrap_or_default())
        .with_places(places.as_deref().map(places::load).unwrap_or_default());
    if let Some(greeting) = start.greeting {
        let _ = update(&mut state, Event::Told(greeting.to_owned()));
    }
    for (item, patterns) in start.queued {
        // What an item is called asks for nothing.
        let _ = update(&mut state, Event::Queued(item, patterns));
    }
    let tty = Tty::enter(!screen.no_mouse)?;
    let input = tty.input();
    let clients = engine.clients();
    let run = Run {
        state,
        engine,
        screen: tty,
        ring,
        kept: Kept { history, places },
        asks_theme: asks_theme(screen),
    };
    let script = start.script.into_iter();
    let script = script.map(|(line, place)| Event::Script { line, place });
    let ending = run.until_end(input, script.collect()).await;
    // The terminal is the user's again; what was received is on disk before the program ends.
    let left = clients.stop(STOP).await;
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
        glyphs: if screen.ascii {
            GlyphSet::Ascii
        } else {
            abilities.glyphs
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
