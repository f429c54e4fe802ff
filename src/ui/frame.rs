//! The box around a pane: its number and title, and what its borders tell.

use std::borrow::Cow;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    text::{Part, add, fill, parts_width, put, put_parts, shorten, width},
    theme::Theme,
};

/// How a pane is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Not at all.
    #[default]
    Hidden,
    /// In a box.
    Boxed,
    /// Under a ruled title, without sides.
    Ruled,
    /// As one line.
    Line,
}

/// A pane's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    /// Its cells, borders included.
    pub area: Rect,
    /// How it is drawn.
    pub form: Form,
}

impl Slot {
    /// The cells within the borders.
    pub fn inner(&self) -> Rect {
        let Rect {
            x,
            y,
            width,
            height,
        } = self.area;
        match self.form {
            Form::Hidden | Form::Line => Rect {
                height: 0,
                ..self.area
            },
            Form::Boxed => Rect {
                x: x.saturating_add(1),
                y: y.saturating_add(1),
                width: width.saturating_sub(2),
                height: height.saturating_sub(2),
            },
            Form::Ruled => Rect {
                y: y.saturating_add(1),
                height: height.saturating_sub(1),
                ..self.area
            },
        }
    }
}

/// What the borders of a pane tell.
#[derive(Debug, Default)]
pub struct Frame<'a> {
    /// The key that leads to the pane.
    pub number: u8,
    /// What the pane is.
    pub title: &'a str,
    /// Which one: a directory.
    pub of: Cow<'a, str>,
    /// At the right of the top.
    pub right: Vec<Part<'a>>,
    /// At the left of the bottom.
    pub bottom_left: Vec<Part<'a>>,
    /// At the right of the bottom.
    pub bottom_right: Vec<Part<'a>>,
    /// Whether the pane has the keys.
    pub focused: bool,
}

impl Frame<'_> {
    /// Draws the borders; returns the cells within.
    pub fn draw(&self, slot: Slot, theme: &Theme, buf: &mut Buffer) -> Rect {
        let area = slot.area.intersection(*buf.area());
        if area.is_empty() || slot.form == Form::Hidden {
            return Rect::default();
        }
        let line = if self.focused {
            theme.focused
        } else {
            theme.border
        };
        fill(
            buf,
            Rect { height: 1, ..area },
            theme.glyphs.horizontal,
            line,
        );
        if slot.form == Form::Boxed {
            sides(area, line, theme, buf);
            let bottom = area.bottom() - 1;
            let used = inset(buf, area, bottom, &self.bottom_left);
            inset_right(buf, area, bottom, &self.bottom_right, used);
        }
        self.title(area, theme, buf);
        slot.inner().intersection(area)
    }

    fn title(&self, area: Rect, theme: &Theme, buf: &mut Buffer) {
        let room = usize::from(area.width).saturating_sub(6);
        let name = if self.focused {
            theme.accent
        } else {
            theme.strong
        };
        let mut parts: Vec<Part<'_>> = Vec::new();
        if self.number > 0 {
            parts.push((format!("{} ", self.number).into(), theme.number));
        }
        parts.push((self.title.into(), name));
        let free = room.saturating_sub(parts_width(&parts));
        if !self.of.is_empty() && free > 6 {
            // What stands at the right keeps its room, unless the directory would be left with next to none.
            let beside = free.saturating_sub(parts_width(&self.right) + 4);
            let cells = if beside < 8.min(width(&self.of)) {
                free - 1
            } else {
                beside
            };
            let of = shorten(&self.of, cells, theme);
            parts.push((format!(" {of}").into(), theme.soft));
        }
        let used = inset(buf, area, area.y, &parts);
        inset_right(buf, area, area.y, &self.right, used);
    }
}

/// The other three sides of a box.
fn sides(area: Rect, line: Style, theme: &Theme, buf: &mut Buffer) {
    let glyphs = theme.glyphs;
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    let below = Rect {
        y: bottom,
        height: 1,
        ..area
    };
    fill(buf, below, glyphs.horizontal, line);
    for x in [area.x, right] {
        let side = Rect {
            x,
            width: 1,
            ..area
        };
        fill(buf, side, glyphs.vertical, line);
    }
    for (x, y, corner) in [
        (area.x, area.y, glyphs.top_left),
        (right, area.y, glyphs.top_right),
        (area.x, bottom, glyphs.bottom_left),
        (right, bottom, glyphs.bottom_right),
    ] {
        put(buf, x, y, 1, corner, line);
    }
}

/// Puts text into a border from the left; returns the cells it takes, or 0 where it has no room.
fn inset(buf: &mut Buffer, area: Rect, y: u16, parts: &[Part<'_>]) -> usize {
    let cells = parts_width(parts);
    if cells == 0 || cells + 6 > usize::from(area.width) {
        return 0;
    }
    inset_at(buf, add(area.x, 2), y, cells, parts);
    cells + 2
}

/// The column at which text of `cells` begins at the right of a border, where `used` cells of it leave room for that.
pub fn right_at(area: Rect, cells: usize, used: usize) -> Option<u16> {
    let width = usize::from(area.width);
    (cells > 0 && used + cells + 7 <= width).then(|| add(area.x, width - cells - 3))
}

/// Puts text into a border from the right, where `used` cells of it leave room.
fn inset_right(buf: &mut Buffer, area: Rect, y: u16, parts: &[Part<'_>], used: usize) {
    let cells = parts_width(parts);
    if let Some(x) = right_at(area, cells, used) {
        inset_at(buf, x - 1, y, cells, parts);
    }
}

fn inset_at(buf: &mut Buffer, x: u16, y: u16, cells: usize, parts: &[Part<'_>]) {
    put(buf, x, y, 1, " ", Style::new());
    let end = put_parts(buf, add(x, 1), y, cells, parts);
    put(buf, end, y, 1, " ", Style::new());
}

/// The part of a long list that is in the window, drawn into the right border.
pub fn scrollbar(
    buf: &mut Buffer,
    list: Rect,
    window: &std::ops::Range<usize>,
    len: usize,
    theme: &Theme,
) {
    let height = usize::from(list.height);
    if height == 0 || len <= window.len() {
        return;
    }
    let size = (height * window.len() / len).clamp(1, height);
    let free = len - window.len();
    let start = (height - size) * window.start.min(free) / free.max(1);
    let bar = Rect {
        x: list.right(),
        y: add(list.y, start),
        width: 1,
        height: size as u16,
    };
    fill(buf, bar, theme.glyphs.thumb, theme.dim);
}
