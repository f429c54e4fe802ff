//! The log: time, level, who, what. Only the lines in the window are laid out.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use tracing::Level;

use super::{
    bars::{at, centred},
    files::select,
    frame::{Form, Frame, Slot, scrollbar},
    text::{Part, add, broken, fit, put, shorten, shown, width},
    theme::Theme,
};
use crate::{
    app::{Pane, State, View, log::level_word},
    logging::Line,
    units,
};

/// Draws the pane.
pub fn draw(state: &State, theme: &Theme, slot: Slot, buf: &mut Buffer) {
    let log = &state.log;
    let frame = Frame {
        number: state.number(Pane::Log),
        title: "Log",
        right: title(state, slot.form, theme),
        focused: state.focus == Pane::Log,
        ..Frame::default()
    };
    let inner = frame.draw(slot, theme, buf);
    if inner.width < 20 || inner.height == 0 {
        return;
    }
    let (shown_lines, all) = log.counts();
    if shown_lines == 0 {
        let words = if log.filter().is_empty() {
            format!("nothing at level {} or above", level_word(log.level()))
        } else {
            let all = units::count(all as u64);
            format!("0 of {all} match \"{}\" · Esc clears", shown(log.filter()))
        };
        centred(buf, inner, &[(words, theme.dim)], theme);
        return;
    }
    let columns = Columns::new(state, inner);
    let window = log.cursor().window(shown_lines);
    let focused = state.focus == Pane::Log && !log.follow;
    let mut y = inner.y;
    // Wrapped lines take more rows than the window has lines: the current one stays in sight.
    let end = if log.follow {
        window.end
    } else {
        log.cursor().at() + 1
    };
    let first = if log.wrap {
        columns.first_that_fits(state, &(window.start..end.min(window.end)), inner.height)
    } else {
        window.start
    };
    for index in first..window.end {
        let Some(line) = log.line(index) else { break };
        if y >= inner.bottom() {
            break;
        }
        let top = y;
        y = columns.line(state, line, (y, inner.bottom()), log.wrap, theme, buf);
        if focused && index == log.cursor().at() {
            let row = Rect {
                y: top,
                height: 1,
                ..inner
            };
            select(buf, row, true, theme);
        }
    }
    if slot.form == Form::Boxed {
        scrollbar(buf, inner, &window, shown_lines, theme);
    }
}

/// `follow ● level ≥ info`, and at the end the other pane that shares the place.
fn title(state: &State, form: Form, theme: &Theme) -> Vec<Part<'static>> {
    let log = &state.log;
    let mut parts: Vec<Part<'static>> = Vec::new();
    if form == Form::Ruled && matches!(state.view, View::Serve(_)) {
        parts.push(("3".into(), theme.number));
        parts.push((" Files  ".into(), theme.dim));
    }
    if !log.filter().is_empty() {
        let filter = format!("/{}  ", shorten(&shown(log.filter()), 20, theme));
        parts.push((filter.into(), theme.warn));
    }
    let dot = if log.follow {
        theme.glyphs.up
    } else {
        theme.glyphs.waiting
    };
    parts.push((format!("follow {dot}").into(), theme.dim));
    if form == Form::Boxed || log.level() != Level::INFO {
        let level = level_word(log.level());
        parts.push((
            format!(" level {} {level}", theme.glyphs.at_least).into(),
            theme.dim,
        ));
    }
    parts
}

/// Where time, level, who and what stand.
struct Columns {
    time: u16,
    level: u16,
    who: (u16, usize),
    text: (u16, usize),
}

impl Columns {
    fn new(state: &State, inner: Rect) -> Self {
        let cells = usize::from(inner.width);
        let who = match (&state.view, cells) {
            (_, ..58) => 0,
            (View::Connect(_), 98..) => 30 + (cells - 98) / 10,
            (View::Connect(_), _) => 22,
            (View::Serve(_), 98..) => 20 + (cells - 98) / 10,
            (View::Serve(_), _) => 15,
        };
        let time = add(inner.x, 1);
        let level = add(time, 9);
        let who = (add(level, 5), who);
        let text = if who.1 == 0 {
            who.0
        } else {
            add(who.0, who.1 + 1)
        };
        Self {
            time,
            level,
            who,
            text: (text, usize::from((inner.right() - 1).saturating_sub(text))),
        }
    }

    /// The message, with who it is about where that has no column.
    fn message(&self, line: &Line) -> String {
        let who = if self.who.1 == 0 && !line.who.is_empty() {
            format!("{}: ", line.who)
        } else {
            String::new()
        };
        // The ring's lines are escaped: here as elsewhere, once.
        format!("{who}{}", line.text)
    }

    /// Where a line's message stands: one about nobody in particular that is too long takes the names' column as well.
    fn place(&self, line: &Line, message: &str) -> (u16, usize) {
        let (x, cells) = self.text;
        if self.who.1 > 0 && line.who.is_empty() && width(message) > cells {
            return (self.who.0, cells + usize::from(x - self.who.0));
        }
        self.text
    }

    /// Draws a line from row `y` on, at most to `bottom`; returns the row behind it.
    fn line(
        &self,
        state: &State,
        line: &Line,
        (y, bottom): (u16, u16),
        wrap: bool,
        theme: &Theme,
        buf: &mut Buffer,
    ) -> u16 {
        put(
            buf,
            self.time,
            y,
            8,
            &at(state, line.time, "%H:%M:%S"),
            theme.dim,
        );
        let (word, style) = level(line.level, theme);
        put(buf, self.level, y, 4, word, style);
        // A name's end tells files apart, a client's beginning clients.
        let who = match state.view {
            View::Serve(_) => fit(&line.who, self.who.1, theme),
            View::Connect(_) => shorten(&line.who, self.who.1, theme),
        };
        put(buf, self.who.0, y, self.who.1, &who, theme.soft);
        let style = if line.level == Level::ERROR {
            theme.bad
        } else {
            theme.text
        };
        let message = self.message(line);
        let (x, cells) = self.place(line, &message);
        if !wrap {
            put(buf, x, y, cells, &fit(&message, cells, theme), style);
            return y + 1;
        }
        let mut y = y;
        for part in broken(&message, cells) {
            if y >= bottom {
                break;
            }
            put(buf, x, y, cells, part, style);
            y += 1;
        }
        y
    }

    /// The first line of the window from which on all of them fit in `height` rows when wrapped.
    fn first_that_fits(
        &self,
        state: &State,
        window: &std::ops::Range<usize>,
        height: u16,
    ) -> usize {
        let mut free = usize::from(height);
        for index in window.clone().rev() {
            let Some(line) = state.log.line(index) else {
                return index;
            };
            let message = self.message(line);
            let rows = broken(&message, self.place(line, &message).1).len();
            if rows > free {
                // Of a line that is longer than the pane the beginning is shown.
                return (index + 1).min(window.end - 1);
            }
            free -= rows;
        }
        window.start
    }
}

fn level(level: Level, theme: &Theme) -> (&'static str, Style) {
    match level {
        Level::ERROR => ("ERR", theme.bad),
        Level::WARN => ("WARN", theme.warn),
        Level::INFO => ("INFO", theme.good),
        Level::DEBUG => ("DBUG", theme.dim),
        _ => ("TRCE", theme.dim),
    }
}
