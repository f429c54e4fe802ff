//! The line of keys below the panes, and what they do here.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    text::{add, put, width},
    theme::Theme,
};
use crate::app::{
    State,
    keymap::{Action, Hint},
    prompt::Kind,
};

/// A hint in its place.
struct Placed<'a> {
    x: u16,
    key: &'a str,
    hint: Hint,
    action: Action,
}

impl Placed<'_> {
    fn width(&self) -> usize {
        width(self.key) + 1 + width(self.hint.label)
    }
}

/// Keys and what they do here, as far as they have room.
fn placed(state: &State, area: Rect) -> Vec<Placed<'_>> {
    let cells = usize::from(area.width).saturating_sub(2);
    let hints = state.keymap().hints(state.scopes()).into_iter();
    let mut hints: Vec<_> = hints
        .map(|(key, mut hint, action)| {
            if action == Action::Quit && state.attached.is_some() {
                hint.label = "detach";
            }
            Placed {
                x: 0,
                key,
                hint,
                action,
            }
        })
        .collect();
    if let Some((accept, cancel)) = state.prompt.as_ref().and_then(|p| answers(p.kind)) {
        // Nothing is completed or recalled here.
        hints.truncate(2);
        for (placed, label) in hints.iter_mut().zip([accept, cancel]) {
            placed.hint.label = label;
        }
    }
    let least = if cells >= 98 { 1 } else { 2 };
    let taken = |hints: &[Placed<'_>], gap: usize| {
        hints.iter().map(Placed::width).sum::<usize>() + gap * hints.len().saturating_sub(1)
    };
    while taken(&hints, least) > cells {
        let Some(weakest) = hints.iter().map(|placed| placed.hint.weight).min() else {
            break;
        };
        hints.retain(|placed| placed.hint.weight != weakest);
    }
    let gap = (least..=3)
        .rev()
        .find(|gap| taken(&hints, *gap) <= cells)
        .unwrap_or(least);
    let mut x = add(area.x, 1);
    for placed in &mut hints {
        placed.x = x;
        x = add(x, placed.width() + gap);
    }
    hints
}

/// What Enter and Esc do in a line that is no command.
const fn answers(kind: Kind) -> Option<(&'static str, &'static str)> {
    match kind {
        Kind::Command => None,
        Kind::Filter(_) => Some(("keep", "clear")),
        Kind::Address => Some(("connect", "cancel")),
        Kind::User | Kind::Password => Some(("go on", "leave")),
    }
}

/// Draws keys and what they do here.
pub fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let cells = usize::from(area.width).saturating_sub(2);
    for Placed { x, key, hint, .. } in placed(state, area) {
        let x = put(buf, x, area.y, cells, key, theme.accent);
        put(buf, add(x, 1), area.y, cells, hint.label, theme.soft);
    }
}

/// What the hint at a column stands for.
pub fn hint_at(state: &State, area: Rect, x: u16) -> Option<Action> {
    let mut hints = placed(state, area).into_iter();
    let hint = hints.find(|placed| (placed.x..add(placed.x, placed.width())).contains(&x))?;
    Some(hint.action)
}
