//! Text in cells: escaping, widths, shortening, alignment. Every text on the screen is put there from here.

use std::{borrow::Cow, ops::Range, time::Duration};

use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::theme::Theme;
use crate::{escape::display_name, units};

/// Styled text.
pub type Part<'a> = (Cow<'a, str>, Style);

/// Remote text, made harmless: the only way for it to get here.
pub fn shown<T: AsRef<[u8]> + ?Sized>(raw: &T) -> Cow<'_, str> {
    display_name(raw)
}

/// Cells that a text takes.
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// The text in at most `cells`, its end cut off with an ellipsis.
pub fn fit<'a>(text: &'a str, cells: usize, theme: &Theme) -> Cow<'a, str> {
    if fits(text, cells) {
        return Cow::Borrowed(text);
    }
    let Some(room) = cells.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    Cow::Owned(format!("{}{}", head(text, room), theme.glyphs.ellipsis))
}

/// A name in at most `cells`: its middle is left out, its extension stays.
pub fn shorten<'a>(name: &'a str, cells: usize, theme: &Theme) -> Cow<'a, str> {
    if fits(name, cells) {
        return Cow::Borrowed(name);
    }
    // Too little for both ends: what it begins with says most.
    if cells < 8 {
        return fit(name, cells, theme);
    }
    let room = cells - 1;
    let extension = name.rfind('.').map_or(0, |dot| width(&name[dot..]));
    // Half for the end, more where the extension needs it, and always a third for the beginning.
    let end = (room / 2).max(extension).min(room - room / 3);
    let tail = tail(name, end);
    let head = head(name, room - width(tail));
    Cow::Owned(format!("{head}{}{tail}", theme.glyphs.ellipsis))
}

/// Whether a text takes at most `cells`; of a long one only as much is measured.
fn fits(text: &str, cells: usize) -> bool {
    head(text, cells).len() == text.len()
}

/// As much of the beginning as takes at most `cells`. What stands for one character is not parted.
pub fn head(text: &str, cells: usize) -> &str {
    let mut taken = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        taken += grapheme.width();
        if taken > cells {
            let at = escape_around(text, at).map_or(at, |escape| escape.start);
            return &text[..at];
        }
    }
    text
}

/// As much of the end as takes at most `cells`. What stands for one character is not parted.
pub fn tail(text: &str, cells: usize) -> &str {
    let mut taken = 0;
    for (at, grapheme) in text.grapheme_indices(true).rev() {
        taken += grapheme.width();
        if taken > cells {
            let at = at + grapheme.len();
            let at = escape_around(text, at).map_or(at, |escape| escape.end);
            return &text[at..];
        }
    }
    text
}

/// The escape (`\x1b`, `\u{202e}`, as `display_name` writes them) that a cut at `at` would part.
fn escape_around(text: &str, at: usize) -> Option<Range<usize>> {
    /// `\u{10ffff}`
    const LONGEST: usize = 10;
    let near = (at.saturating_sub(LONGEST)..at).find(|i| text.is_char_boundary(*i))?;
    let start = near + text[near..at].rfind('\\')?;
    let rest = &text[start..];
    let len = if let Some(hex) = rest.strip_prefix("\\x") {
        let digits = hex.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
        (digits == 2).then_some(4)?
    } else {
        let hex = rest.strip_prefix("\\u{")?;
        let end = hex.bytes().take(7).position(|b| b == b'}')?;
        hex[..end]
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then_some(end + 4)?
    };
    (start + len > at).then(|| start..start + len)
}

/// A text as rows of at most `cells`, broken between words; at least one row. A word alone may be longer.
pub fn folded(text: &str, cells: usize) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut rest = text;
    while width(rest) > cells {
        let fits = head(rest, cells);
        // A break in the blank behind what fits is as good as one within it.
        let whole_word = rest[fits.len()..].starts_with(' ');
        let end = if whole_word {
            Some(fits.len())
        } else {
            fits.rfind(' ')
        };
        // A word that is too long has a row of its own.
        let end = end.filter(|end| *end > 0).or_else(|| rest.find(' '));
        let Some(end) = end else { break };
        rows.push(rest[..end].trim_end());
        rest = rest[end..].trim_start();
    }
    rows.push(rest);
    rows
}

/// A text as rows of at most `cells`: broken between words, and within a word that is longer. At least one row.
pub fn broken(text: &str, cells: usize) -> Vec<&str> {
    let mut rows = Vec::new();
    for row in folded(text, cells) {
        let mut rest = row;
        while width(rest) > cells {
            let part = head(rest, cells);
            if part.is_empty() {
                break;
            }
            rows.push(part);
            rest = &rest[part.len()..];
        }
        rows.push(rest);
    }
    rows
}

/// Puts text at `x`, `y`, cut to `cells` and to the buffer; returns the column behind it.
pub fn put(buf: &mut Buffer, x: u16, y: u16, cells: usize, text: &str, style: Style) -> u16 {
    let area = *buf.area();
    if y < area.top() || y >= area.bottom() || x < area.left() || x >= area.right() {
        return x;
    }
    buf.set_stringn(x, y, text, cells, style).0
}

/// Puts text so that it ends before column `x + cells`; what is too long loses its end.
pub fn put_right(
    buf: &mut Buffer,
    (x, y): (u16, u16),
    cells: usize,
    text: &str,
    style: Style,
    theme: &Theme,
) {
    let text = fit(text, cells, theme);
    let indent = cells.saturating_sub(width(&text));
    put(buf, add(x, indent), y, cells - indent, &text, style);
}

/// Parts in a row; returns the column behind them. What has no room is cut.
pub fn put_parts(buf: &mut Buffer, x: u16, y: u16, cells: usize, parts: &[Part<'_>]) -> u16 {
    let end = add(x, cells);
    let mut at = x;
    for (text, style) in parts {
        let room = usize::from(end.saturating_sub(at));
        at = put(buf, at, y, room, text, *style);
    }
    at
}

/// Cells that parts take.
pub fn parts_width(parts: &[Part<'_>]) -> usize {
    parts.iter().map(|(text, _)| width(text)).sum()
}

/// `x` and a number of cells, without leaving what a column can be.
pub fn add(x: u16, cells: usize) -> u16 {
    x.saturating_add(u16::try_from(cells).unwrap_or(u16::MAX))
}

/// Fills a row with one character.
pub fn fill(buf: &mut Buffer, row: Rect, symbol: &str, style: Style) {
    for position in row.intersection(*buf.area()).positions() {
        buf[position].set_symbol(symbol).set_style(style);
    }
}

/// A bar of `cells`, `percent` of it done: thick for what is done, thin for what is not.
pub fn bar(
    buf: &mut Buffer,
    (x, y): (u16, u16),
    cells: usize,
    percent: u8,
    style: Style,
    theme: &Theme,
) {
    let glyphs = theme.glyphs;
    // Two steps a cell; something done shows, and only all of it fills the bar.
    let steps = cells * 2 * usize::from(percent.min(100)) / 100;
    let steps = if percent > 0 { steps.max(1) } else { 0 };
    let (full, half) = (steps / 2, steps % 2);
    let mut at = x;
    for _ in 0..full {
        at = put(buf, at, y, 1, glyphs.bar, style);
    }
    if half > 0 {
        at = put(buf, at, y, 1, glyphs.bar_end, style);
    }
    for _ in full + half..cells {
        at = put(buf, at, y, 1, glyphs.track, theme.track);
    }
}

/// Time left in at most six cells: `0:13`, `59:59`, `1h 02m`, `14h`, `3d 04h`, `>99d`.
pub fn left(left: Option<Duration>) -> String {
    let minutes = left.map_or(0, |left| left.as_secs_f64().ceil() as u64 / 60);
    let (hours, days) = (minutes / 60, minutes / 60 / 24);
    match (hours, days) {
        (0, _) => units::eta(left),
        (1..=9, 0) => format!("{hours}h {:02}m", minutes % 60),
        (_, 0) => format!("{hours}h"),
        (_, 1..=9) => format!("{days}d {:02}h", hours % 24),
        (_, 10..=99) => format!("{days}d"),
        _ => ">99d".into(),
    }
}

/// Cells that [`left`] takes at most.
pub const LEFT_WIDTH: usize = 6;

/// Where only ASCII can be drawn, the signs within sentences are spelled in it, and what a seven-bit terminal cannot show
/// of names is a question mark, as `ls` has it: a cell for a cell.
pub fn spell_out(theme: &Theme, area: Rect, buf: &mut Buffer) {
    if !theme.glyphs.at_least.is_ascii() {
        return;
    }
    for at in area.positions() {
        let cell = &mut buf[at];
        let plain = match cell.symbol() {
            "·" => "-",
            "×" => "x",
            "…" => "~",
            other if theme.seven_bit && !other.is_ascii() => "?",
            _ => continue,
        };
        let cells = width(cell.symbol());
        cell.set_symbol(plain);
        // The second cell of a wide one was hidden behind the first.
        if cells == 2 && at.x + 1 < area.right() {
            buf[(at.x + 1, at.y)].set_symbol(plain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ThemeName;

    #[test]
    fn texts_are_folded_between_words() {
        assert_eq!(folded("is it there", 6), ["is it", "there"]);
        assert_eq!(folded("is it there", 5), ["is it", "there"]);
        assert_eq!(folded("unbreakable", 5), ["unbreakable"]);
        assert_eq!(folded("", 5), [""]);
        assert_eq!(folded("a b", 0), ["a", "b"]);
        assert_eq!(broken("to unbreakable", 5), ["to", "unbre", "akabl", "e"]);
        assert_eq!(broken("日本", 1), ["日本"], "what fits nowhere stays whole");
    }

    fn theme() -> Theme {
        Theme::new(ThemeName::Mono)
    }

    #[test]
    fn names_lose_their_middle_and_keep_their_extension() {
        for (name, cells, short) in [
            ("debian-13.0-amd64-DVD-1.iso", 21, "debian-13.…-DVD-1.iso"),
            ("short.txt", 9, "short.txt"),
            ("a-long-name.tar.zst", 8, "a-l….zst"),
            ("日本日本日本日本.mp4", 11, "日本日….mp4"),
            ("abcdefghij", 4, "abc…"),
            ("abc", 0, ""),
            // An escape is one character, and cut as one.
            (r"ab\u{202e}gpj.exe", 12, "ab…j.exe"),
            (r"abcd\x1b[2J.txt", 12, "abcd…J.txt"),
            (r"a\u{1f1e9}", 7, "a…"),
            (r"C:\dir\longer\name", 12, r"C:\dir…\name"),
        ] {
            let got = shorten(name, cells, &theme());
            assert_eq!(got, short);
            assert!(width(&got) <= cells);
        }
    }

    #[test]
    fn bars_are_full_only_when_all_is_done() {
        let draw = |percent| {
            let mut buf = Buffer::empty(Rect::new(0, 0, 10, 1));
            bar(&mut buf, (0, 0), 10, percent, Style::new(), &theme());
            let cells = buf.content().iter();
            cells.map(ratatui::buffer::Cell::symbol).collect::<String>()
        };
        assert_eq!(draw(0), "──────────");
        assert_eq!(draw(1), "╸─────────");
        assert_eq!(draw(55), "━━━━━╸────");
        assert_eq!(draw(99), "━━━━━━━━━╸");
        assert_eq!(draw(100), "━━━━━━━━━━");
    }

    #[test]
    fn the_time_left_has_a_fixed_width() {
        let show = |seconds| left(Some(Duration::from_secs(seconds)));
        for (seconds, text) in [
            (13, "0:13"),
            (3599, "59:59"),
            (3720, "1h 02m"),
            (14 * 3600, "14h"),
            (76 * 3600, "3d 04h"),
            (50 * 86400, "50d"),
            (u64::MAX / 4, ">99d"),
        ] {
            assert_eq!(show(seconds), text);
            assert!(width(&show(seconds)) <= LEFT_WIDTH);
        }
        assert_eq!(left(None), "--:--");
    }
}
