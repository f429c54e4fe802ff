//! The help screen: keys and commands, found by typing.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    files::select,
    frame::{Form, Frame, Slot, scrollbar},
    popup::{clear, middle},
    text::{add, fit, put, shown, width},
    theme::Theme,
};
use crate::app::help::{Help, Item};

/// Cells for the keys; a command with its arguments may take more.
const LEFT: usize = 18;

/// What keys do here, in the upper border.
pub const HINTS: &str = "Enter runs · Esc closes";

/// The whole box.
pub fn place(area: Rect) -> Slot {
    Slot {
        area: middle(area, 78, area.height.saturating_sub(4).clamp(7, 40)),
        form: Form::Boxed,
    }
}

/// Cells of the list.
pub fn list(area: Rect) -> Rect {
    let inner = place(area).inner();
    Rect {
        y: inner.y + 1,
        height: inner.height.saturating_sub(1),
        ..inner
    }
}

/// Draws the box.
pub fn draw(help: &Help, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let slot = place(area);
    clear(buf, slot.area, theme);
    let frame = Frame {
        title: "Help",
        right: vec![(HINTS.into(), theme.dim)],
        focused: true,
        ..Frame::default()
    };
    let inner = frame.draw(slot, theme, buf);
    if inner.is_empty() {
        return;
    }
    let cells = usize::from(inner.width).saturating_sub(2);
    let x = inner.x + 1;
    let query = shown(&help.query);
    if query.is_empty() {
        put(
            buf,
            x,
            inner.y,
            cells,
            "type to find a key or command",
            theme.faint,
        );
    } else {
        let end = put(buf, x, inner.y, cells, &query, theme.strong);
        put(buf, end, inner.y, 1, " ", theme.cursor);
    }
    let list = list(area);
    let window = help.cursor.window(help.items.len());
    for (i, index) in window.clone().enumerate() {
        let y = add(list.y, i);
        let Some(item) = help.items.get(index).filter(|_| y < list.bottom()) else {
            break;
        };
        line(item, theme, (x + 1, y), cells.saturating_sub(1), buf);
        if index == help.cursor.at() {
            select(
                buf,
                Rect {
                    y,
                    height: 1,
                    ..list
                },
                true,
                theme,
            );
        }
    }
    if help.items.is_empty() {
        put(
            buf,
            x + 1,
            list.y,
            cells,
            "nothing holds this · Esc clears",
            theme.dim,
        );
    }
    scrollbar(buf, list, &window, help.items.len(), theme);
}

fn line(item: &Item, theme: &Theme, (x, y): (u16, u16), cells: usize, buf: &mut Buffer) {
    let left = item.left();
    if let Item::Heading(_) = item {
        put(buf, x, y, cells, &left, theme.number);
        return;
    }
    let column = width(&left).clamp(LEFT.min(cells / 2), (cells / 2).max(LEFT));
    put(
        buf,
        x + 1,
        y,
        column,
        &fit(&left, column, theme),
        theme.accent,
    );
    let at = column + 2;
    let room = cells.saturating_sub(at + 1);
    put(
        buf,
        add(x, at + 1),
        y,
        room,
        &fit(item.right(), room, theme),
        theme.text,
    );
}
