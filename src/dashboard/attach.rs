//! `haul attach`: the ordinary dashboard of what runs elsewhere.

use std::io;

use tokio_util::sync::CancellationToken;

use super::{Ending, asks_theme, history, kept::Kept, looks, own, places, run::Run, terminal::Tty};
use crate::{
    app::{Event, State, update},
    config::Screen,
    control::{Facts, Watched},
};

/// Shows what was reached, called `name`, until the user leaves it or it ends.
pub async fn attach(watched: Watched, name: String, screen: &Screen) -> io::Result<Ending> {
    let Watched {
        hello,
        remote,
        ring,
    } = watched;
    let (state, kept) = match hello.facts {
        Facts::Serve(facts) => {
            let history = history::file("serve");
            let places = None;
            (State::serve(facts, looks(screen)), Kept { history, places })
        }
        Facts::Connect { facts, server } => {
            let (history, places) = (history::file("connect"), places::file());
            let state = State::connect(facts, server, looks(screen));
            (state, Kept { history, places })
        }
    };
    let history = kept.history.as_deref().map(history::load);
    let places = kept.places.as_deref().map(places::load);
    let greeting = format!("attached to {name}: q leaves it running, :quit! ends it");
    let mut state = own(state, screen)?
        .with_history(history.unwrap_or_default())
        .with_places(places.unwrap_or_default())
        .attached(name);
    // A line to read asks for nothing.
    let _ = update(&mut state, Event::Told(greeting));
    let tty = Tty::enter(!screen.no_mouse, screen.notifies)?;
    let input = tty.input();
    let run = Run {
        state,
        engine: remote,
        screen: tty,
        ring,
        kept,
        asks_theme: asks_theme(screen),
        stop: CancellationToken::new(),
    };
    run.until_end(input, Vec::new()).await
}
