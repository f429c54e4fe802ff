//! Boxes over the panes.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    frame::{Form, Frame, Slot},
    help,
    text::{add, fill, fit, put, width},
    theme::Theme,
};
use crate::app::{Popup, State, View};

/// Draws the box that is open, if one is.
pub fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    match &state.popup {
        Some(Popup::Help(open)) => help::draw(open, theme, area, buf),
        Some(Popup::Quit(running)) => quit(state, running, theme, area, buf),
        None => {}
    }
}

/// Whether to quit, and what that would stop.
fn quit(state: &State, running: &[String], theme: &Theme, area: Rect, buf: &mut Buffer) {
    let serve = matches!(state.view, View::Serve(_));
    let (question, after) = match (running.is_empty(), serve) {
        (true, _) => ("Quit?", ""),
        (false, true) => (
            "Quit while these are served?",
            "They get ten seconds to finish.",
        ),
        (false, false) => ("Quit while these run?", "What is here is kept."),
    };
    let texts = running.iter().map(|text| width(text) + 8);
    let cells = texts
        .chain([question.len() + 6, 34])
        .max()
        .unwrap_or(34)
        .min(70);
    let rows = running.len() + usize::from(!after.is_empty()) * 2 + 5;
    let slot = Slot {
        area: middle(area, cells as u16, rows as u16),
        form: Form::Boxed,
    };
    clear(buf, slot.area, theme);
    let frame = Frame {
        title: "Quit",
        focused: true,
        ..Frame::default()
    };
    let inner = frame.draw(slot, theme, buf);
    let room = usize::from(inner.width).saturating_sub(4);
    let mut y = inner.y;
    let mut say = |text: &str, style: Style, buf: &mut Buffer| {
        if y < inner.bottom() {
            put(
                buf,
                add(inner.x, 2),
                y,
                room,
                &fit(text, room, theme),
                style,
            );
        }
        y += 1;
    };
    say(question, theme.strong, buf);
    for name in running {
        say(&format!("  {name}"), theme.warn, buf);
    }
    if !after.is_empty() {
        say("", theme.dim, buf);
        say(after, theme.dim, buf);
    }
    // The answer is in sight however little room there is.
    let y = inner.bottom().saturating_sub(1);
    let mut x = add(inner.x, 2);
    for (key, word) in [("y", "quit"), ("n", "stay")] {
        x = put(buf, x, y, room, key, theme.accent);
        x = put(buf, add(x, 1), y, room, word, theme.soft);
        x = add(x, 3);
    }
}

/// A box of that size in the middle of an area, as far as it has room.
pub fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}

/// Empties an area; a wide character that reaches into it from the left goes whole.
pub fn clear(buf: &mut Buffer, area: Rect, theme: &Theme) {
    let area = area.intersection(*buf.area());
    if let Some(x) = area.x.checked_sub(1).filter(|x| *x >= buf.area().x) {
        for y in area.y..area.bottom() {
            if width(buf[(x, y)].symbol()) > 1 {
                put(buf, x, y, 1, " ", Style::new());
            }
        }
    }
    fill(buf, area, " ", theme.ground);
}
