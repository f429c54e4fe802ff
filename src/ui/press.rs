//! What a press in an open box means: a row, an answer, a key that a border names, or leaving it.

use ratatui::layout::Rect;

use super::{
    boxes,
    details::Sheet,
    frame::{Slot, right_at},
    help,
    popup::Question,
    qr,
    text::{add, width},
    theme::Theme,
};
use crate::app::{InBox, Popup, State, keymap};

/// What lies at a cell of the screen while a box is open.
pub fn in_box(state: &State, area: Rect, x: u16, y: u16) -> InBox {
    let theme = &Theme::of(&state.looks);
    let at = (x, y);
    match &state.popup {
        None => InBox::Outside,
        Some(Popup::Help(_)) => {
            let title = width("Help") + 2;
            listed(help::place(area), help::list(area), at, |slot| {
                (slot.area.y, right_at(slot.area, width(help::HINTS), title))
            })
            .unwrap_or_else(|begin| hint(help::HINTS, begin, x))
        }
        Some(Popup::Marks(_) | Popup::Search(_) | Popup::Places(_) | Popup::Servers(_)) => {
            let hints = boxes::hints(state);
            listed(boxes::place(area), boxes::list(area), at, |slot| {
                (slot.area.bottom() - 1, right_at(slot.area, width(hints), 0))
            })
            .unwrap_or_else(|begin| hint(hints, begin, x))
        }
        Some(Popup::Info(subject)) => {
            let sheet = Sheet::new(state, subject, theme, area);
            bordered(sheet.slot, sheet.hints, at)
        }
        Some(Popup::Qr { urls, at: shown }) => urls.get(*shown).map_or(InBox::Outside, |url| {
            bordered(qr::place(url, theme, area), qr::hints(urls), at)
        }),
        Some(Popup::Quit(_) | Popup::Ask(_) | Popup::Trust(_)) => Question::open(state, theme)
            .map_or(InBox::Outside, |question| answer(&question, area, at)),
    }
}

/// A box with a list: its rows, or where the hints begin that were pressed.
fn listed(
    slot: Slot,
    list: Rect,
    (x, y): (u16, u16),
    hints: impl Fn(Slot) -> (u16, Option<u16>),
) -> Result<InBox, u16> {
    if !slot.area.contains((x, y).into()) {
        return Ok(InBox::Outside);
    }
    if list.contains((x, y).into()) {
        return Ok(InBox::Row(usize::from(y - list.y)));
    }
    match hints(slot) {
        (row, Some(begin)) if row == y => Err(begin),
        _ => Ok(InBox::Beside),
    }
}

/// A box without a list, whose hints stand in its lower border.
fn bordered(slot: Slot, hints: &'static str, at: (u16, u16)) -> InBox {
    let lower = |slot: Slot| {
        let begin = right_at(slot.area, width(hints), 0);
        (slot.area.bottom().saturating_sub(1), begin)
    };
    listed(slot, Rect::default(), at, lower).unwrap_or_else(|begin| hint(hints, begin, at.0))
}

/// The answer to a question at a cell.
fn answer(question: &Question<'_>, area: Rect, (x, y): (u16, u16)) -> InBox {
    if !question.place(area).area.contains((x, y).into()) {
        return InBox::Outside;
    }
    let answers = question.answers(area);
    let mut pressed = answers.iter().filter(|(begin, row, key, word)| {
        y == *row && (*begin..add(*begin, width(key) + 1 + width(word))).contains(&x)
    });
    pressed
        .next()
        .and_then(|(_, _, key, _)| keymap::named(key))
        .map_or(InBox::Beside, InBox::Key)
}

/// The key of the hint at column `x`; hints stand from column `begin` on, with ` · ` between them.
fn hint(hints: &str, begin: u16, x: u16) -> InBox {
    let mut at = begin;
    for hint in hints.split(" · ") {
        let end = add(at, width(hint));
        if (at..end).contains(&x) {
            let word = hint.split(' ').next().unwrap_or_default();
            return keymap::named(word).map_or(InBox::Beside, InBox::Key);
        }
        at = add(end, width(" · "));
    }
    InBox::Beside
}
