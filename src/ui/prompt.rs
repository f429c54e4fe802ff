//! The line that is typed, its completions above it, and what it was last told.

use std::borrow::Cow;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    frame::{Form, Frame, Slot},
    popup::clear,
    text::{add, fill, fit, put, put_right, shown, tail, width},
    theme::Theme,
};
use crate::app::{
    State, View,
    command::named,
    prompt::{Kind, Prompt},
};

/// Rows of completions that are shown at once.
const ROWS: usize = 8;

/// Where the usage of the command stands, beside the line.
pub fn usage_column(area: Rect) -> u16 {
    area.x + (area.width * 2 / 5).max(46).min(area.width * 3 / 5)
}

/// Draws the line, or the last notice where none is typed.
pub fn draw(state: &State, theme: &Theme, row: Rect, screen: Rect, buf: &mut Buffer) {
    if row.is_empty() {
        return;
    }
    let cells = usize::from(row.width).saturating_sub(2);
    let Some(prompt) = &state.prompt else {
        if let Some(notice) = &state.notice {
            fill(buf, row, " ", theme.ground);
            let style = if notice.bad { theme.bad } else { theme.soft };
            put(
                buf,
                row.x + 1,
                row.y,
                cells,
                &fit(&notice.text, cells, theme),
                style,
            );
        }
        return;
    };
    fill(buf, row, " ", theme.ground);
    // What is not taken yet is not shown.
    let unread = Prompt::new(prompt.kind, "");
    let prompt = if state.takes_answers() {
        prompt
    } else {
        &unread
    };
    let column = usage_column(row);
    let free = usize::from(row.right().saturating_sub(column + 1));
    let usage = usage(state, prompt, free);
    let narrow = usize::from(column - row.x).saturating_sub(3);
    // The usage gives way to a long line.
    let beside = !usage.is_empty() && !state.has_questions() && line_width(prompt) < narrow;
    let room = if beside { narrow } else { cells };
    line(prompt, theme, row, room, buf);
    if beside {
        put(
            buf,
            column,
            row.y,
            cells,
            &fit(&usage, free, theme),
            theme.dim,
        );
    } else if let Some(notice) = state.notice.as_ref().filter(|n| n.bad)
        && line_width(prompt) < narrow
    {
        put(
            buf,
            column,
            row.y,
            cells,
            &fit(&notice.text, free, theme),
            theme.bad,
        );
    }
    completions(prompt, theme, row, screen, buf);
}

fn lead(prompt: &Prompt) -> Cow<'static, str> {
    if let Some((query, failed)) = prompt.search() {
        let none = if failed { "no line holds" } else { "search" };
        return format!("{none} \"{}\": ", shown(query)).into();
    }
    match prompt.kind {
        Kind::Command => ":".into(),
        Kind::Filter(_) => "/".into(),
        Kind::Address => "connect to ".into(),
        Kind::User => "user ".into(),
        Kind::Password => "password ".into(),
    }
}

fn line_width(prompt: &Prompt) -> usize {
    width(&lead(prompt)) + width(prompt.text()) + 1
}

/// The text around the cursor; its beginning goes where it has no room.
fn line(prompt: &Prompt, theme: &Theme, row: Rect, room: usize, buf: &mut Buffer) {
    let (before, after) = prompt.text().split_at(prompt.cursor());
    let hidden = |text: &str| theme.glyphs.bullet.repeat(text.chars().count());
    let (before, after) = if prompt.kind == Kind::Password {
        (hidden(before).into(), hidden(after).into())
    } else {
        (shown(before), shown(after))
    };
    let lead = lead(prompt);
    let mut x = put(buf, row.x + 1, row.y, room, &lead, theme.number);
    let room = room.saturating_sub(width(&lead));
    let before = tail(&before, room.saturating_sub(1));
    x = put(buf, x, row.y, room, before, theme.strong);
    let end = add(row.x + 1, room + width(&lead));
    let left = |x: u16| usize::from(end.saturating_sub(x));
    let ghost = prompt.ghost().map(|ghost| shown(ghost).into_owned());
    let (behind, style) = match &ghost {
        Some(ghost) => (ghost.clone(), theme.faint),
        None => (after.into_owned(), theme.strong),
    };
    let first = behind.chars().next().map_or(0, char::len_utf8);
    let under = if behind.is_empty() {
        " "
    } else {
        &behind[..first]
    };
    x = put(buf, x, row.y, left(x), under, theme.cursor);
    put(buf, x, row.y, left(x), &behind[first..], style);
}

/// How the command goes on, and what it does.
fn usage(state: &State, prompt: &Prompt, cells: usize) -> String {
    match prompt.kind {
        Kind::Command => {
            let connect = matches!(state.view, View::Connect(_));
            named(prompt.text(), connect).map_or_else(String::new, |spec| {
                let usage = format!("{} {}", spec.name, spec.usage);
                let whole = format!("{}   {}", usage.trim_end(), spec.help);
                if width(&whole) <= cells { whole } else { usage }
            })
        }
        Kind::Filter(_) if cells < 60 => "Enter keeps it · Esc clears".to_owned(),
        Kind::Filter(_) => "shows only what holds this · Enter keeps it, Esc clears".to_owned(),
        Kind::Address if state.notice.as_ref().is_some_and(|n| n.bad) => String::new(),
        Kind::Address => "HOST[:PORT] or URL".to_owned(),
        Kind::User => "who logs in · Esc leaves it".to_owned(),
        Kind::Password => "it is not shown and not kept".to_owned(),
    }
}

/// The list above the line: in a box, or without one where rows are few.
fn completions(prompt: &Prompt, theme: &Theme, row: Rect, screen: Rect, buf: &mut Buffer) {
    let items = &prompt.completions.items;
    if items.is_empty()
        || prompt.kind != Kind::Command
        || (items.len() == 1 && prompt.ghost().is_none())
    {
        return;
    }
    let roomy = screen.height >= 24;
    let rows = items.len().min(if roomy { ROWS } else { 3 });
    let label = items
        .iter()
        .map(|item| width(&item.label))
        .max()
        .unwrap_or(0);
    let note = items
        .iter()
        .map(|item| width(&item.note))
        .max()
        .unwrap_or(0);
    let about = items
        .iter()
        .map(|item| width(&item.about))
        .max()
        .unwrap_or(0);
    let beside = if about > 0 { about + 3 } else { 0 };
    let cells = (label + beside + note + 8).clamp(24, usize::from(row.width) * 3 / 5);
    let height = rows + 2;
    let area = Rect {
        x: row.x,
        y: row.y.saturating_sub(height as u16),
        width: cells as u16,
        height: height as u16,
    }
    .intersection(screen);
    clear(buf, area, theme);
    let frame = Frame {
        title: &format!("completions {}", items.len()),
        bottom_right: vec![("Tab takes".into(), theme.dim)],
        focused: true,
        ..Frame::default()
    };
    let slot = Slot {
        area,
        form: Form::Boxed,
    };
    let inner = frame.draw(slot, theme, buf);
    let current = prompt.completions.chosen.unwrap_or(0);
    let first = (current + 1).saturating_sub(rows);
    for (i, item) in items.iter().enumerate().skip(first).take(rows) {
        let y = add(inner.y, i - first);
        let cells = usize::from(inner.width).saturating_sub(3);
        let room = cells.saturating_sub(width(&item.note) + 1);
        put(
            buf,
            inner.x + 2,
            y,
            cells,
            &fit(&item.label, room, theme),
            theme.text,
        );
        if let Some(left) = room.checked_sub(label + 3).filter(|left| *left >= about) {
            put(
                buf,
                add(inner.x + 2, label + 3),
                y,
                left,
                &item.about,
                theme.soft,
            );
        }
        put_right(buf, (inner.x + 2, y), cells, &item.note, theme.soft, theme);
        if i == current {
            let line = Rect {
                y,
                height: 1,
                ..inner
            };
            super::files::select(buf, line, true, theme);
        }
    }
}
