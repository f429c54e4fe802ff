//! The dashboards: what puts state, drawing, terminal and engine together.

mod engine;
pub mod run;
pub mod terminal;

use std::{io, path::PathBuf, time::Duration};

use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use self::{
    engine::{Connecting, Serving},
    run::Run,
    terminal::Tty,
};
pub use crate::app::Ending;
use crate::{
    app::{Looks, State, connect, serve as served},
    client::{self, Client},
    config::{Screen, ThemeName, target::Target},
    logging::Ring,
    server::Server,
};

/// How long parts may take to reach the disk once the dashboard has ended.
const STOP: Duration = Duration::from_secs(10);

/// A client, and the events that it tells.
pub struct Session {
    /// The handle.
    pub client: Client,
    /// Its turning points.
    pub events: mpsc::Receiver<client::Event>,
}

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
    /// `:` commands to run once the first directory is listed.
    pub script: Vec<String>,
}

/// Shows a running server until the user or a signal ends it. Stopping the server is left to the caller.
pub async fn serve(
    server: Server,
    facts: served::Facts,
    ring: Ring,
    screen: &Screen,
) -> io::Result<Ending> {
    let state = State::serve(facts, looks(screen));
    let tty = Tty::enter(!screen.no_mouse)?;
    let input = tty.input();
    let run = Run {
        state,
        engine: Serving::new(server),
        screen: tty,
        ring,
    };
    run.until_end(input, Vec::new()).await
}

/// Browses and downloads until the user or a signal ends it; then parts are brought to the disk.
///
/// `open` makes a client of each server that the user turns to; its error is for people, and escaped.
pub async fn connect(
    start: ConnectStart,
    open: impl FnMut(Target) -> Result<Session, String>,
    ring: Ring,
    screen: &Screen,
) -> io::Result<Ending> {
    let facts = connect::Facts {
        user: start.user,
        dir: std::path::absolute(&start.dir).unwrap_or(start.dir),
        home: std::env::home_dir(),
        named: start.named,
    };
    let mut engine = Connecting::new(open);
    let server = start.session.and_then(|session| engine.turn_to(session));
    let state = State::connect(facts, server, looks(screen));
    let tty = Tty::enter(!screen.no_mouse)?;
    let input = tty.input();
    let clients = engine.clients();
    let run = Run {
        state,
        engine,
        screen: tty,
        ring,
    };
    let ending = run.until_end(input, start.script).await;
    // The terminal is the user's again; what was received is on disk before the program ends.
    clients.stop(STOP).await;
    ending
}

/// `NO_COLOR` wins over the background that the terminal tells, and a theme that was asked for over both.
fn looks(screen: &Screen) -> Looks {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let theme = screen.theme.unwrap_or_else(|| {
        if set("NO_COLOR") {
            ThemeName::Mono
        } else {
            let background = std::env::var("COLORFGBG").unwrap_or_default();
            theme_for(&background)
        }
    });
    Looks {
        theme,
        ascii: screen.ascii,
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
