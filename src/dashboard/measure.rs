//! The screen of `haul eval`: shows the measurement until it has ended, and hands on that it is to end.

use std::{
    io,
    time::{Duration, Instant},
};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use futures_util::StreamExt as _;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    looks,
    run::Screen as _,
    terminal::{Input, Tty},
};
use crate::{
    config::Screen,
    eval::live::Board,
    exit::{Exit, Local},
    sys::signals::{Signals, end_whatever_hangs},
    ui,
};

/// Bars and figures are drawn this often.
const FRAME: Duration = Duration::from_millis(100);

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    Stop,
    Redraw,
    Suspend,
}

/// Shows `board` until `ended`; cancels `stop` when the user, a signal or a terminal that is gone ends it first, and
/// gives the status for that.
pub async fn measurement(
    board: &Board,
    stop: &CancellationToken,
    ended: &CancellationToken,
    screen: &Screen,
) -> Result<Option<Exit>, Local> {
    let mut signals = Signals::new()?;
    end_whatever_hangs();
    let shown = show(board, stop, ended, screen, &mut signals).await;
    if shown.is_err() {
        // Without a screen nobody could stop it.
        stop.cancel();
    }
    shown.map_err(|source| Local {
        what: "cannot use the terminal".into(),
        source,
        remedy: "run it in a terminal, or with --headless",
        exit: Exit::Other,
    })
}

async fn show(
    board: &Board,
    stop: &CancellationToken,
    ended: &CancellationToken,
    screen: &Screen,
    signals: &mut Signals,
) -> io::Result<Option<Exit>> {
    let looks = looks(screen);
    let theme = ui::Theme::of(&looks);
    let mut tty = Tty::enter(false, false)?;
    let mut input = tty.input();
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asking = false;
    let mut status = None;
    loop {
        tokio::select! {
            biased;
            () = ended.cancelled() => return Ok(status),
            exit = signals.next() => status = Some(exit),
            event = input.next() => match event {
                Some(Ok(Input::Key(key))) => match asked(key, &mut asking) {
                    Asked::Nothing => {}
                    Asked::Stop => status = Some(Exit::Interrupted),
                    Asked::Redraw => tty.redraw()?,
                    Asked::Suspend => tty.suspend()?,
                },
                Some(Ok(_)) => {}
                // Nothing to read from is a terminal that is gone.
                Some(Err(_)) | None => status = Some(Exit::Terminated),
            },
            _ = frames.tick() => {
                if tty.is_gone() {
                    status = Some(Exit::Terminated);
                } else if tty.is_ready() {
                    let looks = ui::eval::Looks { now: Instant::now(), asking };
                    let view = board.view();
                    tty.paint(|area, buf| ui::eval::draw(&view, looks, &theme, area, buf))?;
                }
            }
        }
        if status == Some(Exit::Terminated) {
            stop.cancel();
            return Ok(status);
        }
        if status.is_some() && !stop.is_cancelled() {
            board.stopping();
            stop.cancel();
        }
    }
}

/// `q` and Ctrl-C ask first; a second one, like `y`, means it.
fn asked(key: KeyEvent, asking: &mut bool) -> Asked {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let was_asking = std::mem::take(asking);
    match (key.code, control) {
        (KeyCode::Char('y' | 'q'), false) | (KeyCode::Char('c'), true) if was_asking => Asked::Stop,
        (KeyCode::Char('q'), false) | (KeyCode::Char('c'), true) => {
            *asking = true;
            Asked::Nothing
        }
        (KeyCode::Char('l'), true) => Asked::Redraw,
        (KeyCode::Char('z'), true) => Asked::Suspend,
        _ => Asked::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_only_when_it_was_meant() {
        let key = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        let mut asking = false;
        for (pressed, expected, then) in [
            (key('y'), Asked::Nothing, false),
            (key('q'), Asked::Nothing, true),
            (key('n'), Asked::Nothing, false),
            (key('q'), Asked::Nothing, true),
            (key('y'), Asked::Stop, false),
            (control('c'), Asked::Nothing, true),
            (control('c'), Asked::Stop, false),
            (control('l'), Asked::Redraw, false),
        ] {
            assert_eq!(
                (asked(pressed, &mut asking), asking),
                (expected, then),
                "{pressed:?}"
            );
        }
    }
}
