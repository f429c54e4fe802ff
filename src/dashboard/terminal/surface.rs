//! The cells that ratatui draws, on a terminal whose widths are its own.
//!
//! What a cluster of several characters takes, a flag or a letter of an Indic script, every terminal and multiplexer
//! decides for itself. Such a cell is cleared first, and the cursor is put behind it wherever the terminal left it; a row
//! that has one is drawn whole when anything of it changes. So nothing behind it moves.

use std::io::{self, Write};

use ratatui::{
    backend::{Backend, ClearType, CrosstermBackend, WindowSize},
    buffer::{Buffer, Cell, CellDiffOption},
    layout::{Position, Size},
};

use crate::ui::text::width;

/// Marks the rows that have to be drawn whole.
pub fn mark(buf: &mut Buffer) {
    let area = *buf.area();
    for y in area.top()..area.bottom() {
        if !(area.left()..area.right()).any(|x| !is_sure(buf[(x, y)].symbol())) {
            continue;
        }
        let mut x = area.left();
        while x < area.right() {
            let cell = &mut buf[(x, y)];
            let cells = width(cell.symbol()).max(1);
            cell.set_diff_option(CellDiffOption::AlwaysUpdate);
            x = x.saturating_add(u16::try_from(cells).unwrap_or(1));
        }
    }
}

/// Whether every terminal gives a symbol the same cells.
fn is_sure(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    let Some(first) = chars.next() else {
        return true;
    };
    let sure = matches!(u32::from(first),
        ..0x300                       // Latin
        | 0x370..0x590                // Greek, Cyrillic, Armenian
        | 0x1100..0x1160              // Hangul syllables' beginnings
        | 0x1e00..0x2000              // more Latin and Greek
        | 0x2010..0x2028 | 0x2030..0x205f | 0x20a0..0x20d0
        | 0x2100..0x231a | 0x2500..0x25fd | 0x2700..0x2705 | 0x2713..0x2728 | 0x2800..0x2900
        | 0x2e80..0x302a | 0x3030..0x3099 | 0x309b..0xa000 | 0xac00..0xd7a4
        | 0xf900..0xfb00 | 0xff01..0xff61 | 0xffe0..0xffe7);
    // Accents of their own lie on the letter before them.
    sure && chars.all(|c| matches!(c, '\u{300}'..='\u{36f}'))
}

/// crossterm's backend, with the cursor put where it belongs.
#[derive(Debug)]
pub struct Surface<W: Write>(CrosstermBackend<W>);

impl<W: Write> Surface<W> {
    pub fn new(writer: W) -> Self {
        Self(CrosstermBackend::new(writer))
    }
}

impl<W: Write> Write for Surface<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(&mut self.0)
    }
}

impl<W: Write> Backend for Surface<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        // Each part begins with the cursor's place: one ends behind each unsure cell.
        let mut part = Vec::new();
        for (x, y, cell) in content {
            if is_sure(cell.symbol()) {
                part.push((x, y, cell));
                continue;
            }
            self.0.draw(part.drain(..))?;
            let mut blank = cell.clone();
            blank.set_symbol(" ");
            let cells = u16::try_from(width(cell.symbol()).max(1)).unwrap_or(1);
            self.0
                .draw((0..cells).map(|i| (x.saturating_add(i), y, &blank)))?;
            self.0.draw([(x, y, cell)].into_iter())?;
        }
        self.0.draw(part.into_iter())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.0.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.0.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // It would be asked for among the keys, and nothing here needs it.
        Ok(Position::default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.0.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.0.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.0.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        self.0.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.0.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{layout::Rect, style::Style};

    use super::*;

    #[test]
    fn only_what_cannot_be_measured_is_unsure() {
        for sure in [
            "a", "ü", "e\u{301}", "日", "한", "╭", "━", "⣿", "✓", "✗", "Ж", "·", "…", "▌", "",
        ] {
            assert!(is_sure(sure), "{sure}");
        }
        for unsure in ["🇩🇪", "🎉", "क्षि", "का", "ก็", "سلام", "👍🏽", "\u{1f1e9}"]
        {
            assert!(!is_sure(unsure), "{unsure}");
        }
    }

    #[test]
    fn what_lies_behind_an_unsure_cell_is_placed() {
        let area = Rect::new(0, 0, 8, 1);
        let mut buf = Buffer::empty(area);
        buf.set_string(0, 0, "a🇩🇪b|", Style::new());
        mark(&mut buf);
        let mut out = Vec::new();
        let mut surface = Surface::new(&mut out);
        let before = Buffer::empty(area);
        surface.draw(before.diff(&buf).into_iter()).unwrap();
        let text = String::from_utf8(out).unwrap();
        // The flag has two cells, so `b` stands in the fourth column.
        let (flag, behind) = text.split_once("🇩🇪").unwrap();
        assert!(flag.ends_with("\x1b[1;2H"), "{text:?}");
        assert!(behind.contains("\x1b[1;4Hb|"), "{text:?}");
        // And all of it is drawn again though nothing changed.
        let again = buf.clone().diff(&buf).len();
        assert!(again >= 5, "{again}");
    }
}
