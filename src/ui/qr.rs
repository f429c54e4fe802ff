//! A URL as a QR code, drawn with half blocks: black on white with the quiet zone that scanners need.

use qrcode::{EcLevel, QrCode};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

use super::{
    frame::{Form, Frame, Slot},
    popup::{clear, middle},
    text::{add, fit, put, width},
    theme::Theme,
};
use crate::config::ThemeName;

/// Light modules around a code (ISO/IEC 18004, 6.3.8).
const QUIET: usize = 4;

/// What keys do here, in the lower border.
pub fn hints(urls: &[String]) -> &'static str {
    if urls.len() > 1 {
        "Tab next · y copies · Esc closes"
    } else {
        "y copies · Esc closes"
    }
}

/// The whole box.
pub fn place(url: &str, theme: &Theme, area: Rect) -> Slot {
    let (columns, rows) = Modules::new(url).map_or((30, 3), |modules| modules.cells(theme));
    let cells = (columns.max(width(&super::text::shown(url))) + 4).max(44);
    Slot {
        area: middle(area, cells as u16, (rows + 4) as u16),
        form: Form::Boxed,
    }
}

/// Draws one of the URLs in a box.
pub fn draw(
    urls: &[String],
    at: usize,
    name: ThemeName,
    theme: &Theme,
    area: Rect,
    buf: &mut Buffer,
) {
    let Some(url) = urls.get(at) else { return };
    let modules = Modules::new(url);
    let (columns, rows) = modules
        .as_ref()
        .map_or((30, 3), |modules| modules.cells(theme));
    let shown = super::text::shown(url);
    let slot = place(url, theme, area);
    clear(buf, slot.area, theme);
    let count = format!("{} of {}", at + 1, urls.len());
    let frame = Frame {
        title: "QR code",
        right: if urls.len() > 1 {
            vec![(count.into(), theme.dim)]
        } else {
            Vec::new()
        },
        bottom_right: vec![(hints(urls).into(), theme.dim)],
        focused: true,
        ..Frame::default()
    };
    let inner = frame.draw(slot, theme, buf);
    let room = usize::from(inner.width);
    let text = fit(&shown, room.saturating_sub(2), theme);
    let x = add(inner.x, room.saturating_sub(width(&text)) / 2);
    put(
        buf,
        x,
        inner.bottom().saturating_sub(1),
        room,
        &text,
        theme.strong,
    );
    match modules {
        Some(modules) if columns <= room && rows < usize::from(inner.height) => {
            let x = add(inner.x, (room - columns) / 2);
            modules.draw((x, inner.y), name, theme, buf);
        }
        _ => {
            let text = format!("needs a screen of {}×{}", columns + 4, rows + 4);
            put(
                buf,
                inner.x + 1,
                inner.y,
                room.saturating_sub(2),
                &text,
                theme.warn,
            );
        }
    }
}

/// The code's modules, the quiet zone not counted.
struct Modules {
    dark: Vec<bool>,
    side: usize,
}

impl Modules {
    /// Nothing where the text is too long for any code.
    fn new(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
        Some(Self {
            side: code.width(),
            dark: code
                .to_colors()
                .iter()
                .map(|c| *c == qrcode::Color::Dark)
                .collect(),
        })
    }

    /// Columns and rows that the drawing takes: two modules a cell, or two cells a module where there are no half blocks.
    fn cells(&self, theme: &Theme) -> (usize, usize) {
        let side = self.side + 2 * QUIET;
        if has_halves(theme) {
            (side, side.div_ceil(2))
        } else {
            (2 * side, side)
        }
    }

    /// Whether a module is dark; `x` and `y` count from the quiet zone's corner.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let (Some(x), Some(y)) = (x.checked_sub(QUIET), y.checked_sub(QUIET)) else {
            return false;
        };
        x < self.side && y < self.side && self.dark[y * self.side + x]
    }

    /// A scanner needs these two colours whatever the theme is.
    fn draw(&self, (left, top): (u16, u16), name: ThemeName, theme: &Theme, buf: &mut Buffer) {
        let (black, white) = match name {
            ThemeName::Dark | ThemeName::Light => (Color::Rgb(0, 0, 0), Color::Rgb(255, 255, 255)),
            ThemeName::Ansi | ThemeName::Mono => (Color::Black, Color::White),
        };
        let colour = |dark: bool| if dark { black } else { white };
        let (columns, rows) = self.cells(theme);
        let halves = has_halves(theme);
        for row in 0..rows {
            for column in 0..columns {
                let (upper, lower) = if halves {
                    let upper = self.is_dark(column, row * 2);
                    (upper, self.is_dark(column, row * 2 + 1))
                } else {
                    let module = self.is_dark(column / 2, row);
                    (module, module)
                };
                let style = match name {
                    // Blanks need a colour, or what stands for one on a vt100.
                    ThemeName::Mono if !halves && upper => Style::reset(),
                    ThemeName::Mono if !halves => Style::reset().add_modifier(Modifier::REVERSED),
                    _ => Style::reset().fg(colour(upper)).bg(colour(lower)),
                };
                put(
                    buf,
                    add(left, column),
                    add(top, row),
                    1,
                    theme.glyphs.upper,
                    style,
                );
            }
        }
    }
}

fn has_halves(theme: &Theme) -> bool {
    theme.glyphs.upper != " "
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Depth, GlyphSet, Looks};

    #[test]
    fn without_half_blocks_a_module_is_two_blanks() {
        let theme = Theme::of(&Looks {
            theme: ThemeName::Mono,
            chosen: true,
            depth: Depth::Mono,
            glyphs: GlyphSet::SevenBit,
            colours: Vec::new(),
            zone: jiff::tz::TimeZone::UTC,
        });
        let modules = Modules::new("http://192.168.1.10:8888").unwrap();
        let (columns, rows) = modules.cells(&theme);
        assert_eq!((columns, rows), (66, 33));
        let mut buf = Buffer::empty(Rect::new(0, 0, columns as u16, rows as u16));
        modules.draw((0, 0), ThemeName::Mono, &theme, &mut buf);
        for y in 0..rows {
            for x in 0..columns {
                let cell = &buf[(x as u16, y as u16)];
                let dark = !cell.modifier.contains(Modifier::REVERSED);
                assert_eq!((cell.symbol(), dark), (" ", modules.is_dark(x / 2, y)));
            }
        }
    }

    #[test]
    fn the_quiet_zone_is_light_and_the_finder_is_where_scanners_look() {
        let modules = Modules::new("http://192.168.1.10:8888").unwrap();
        let theme = Theme::new(ThemeName::Dark);
        let (columns, rows) = modules.cells(&theme);
        assert_eq!(
            (columns, rows),
            (33, 17),
            "version 2: 25 modules and the quiet zone"
        );
        assert!((0..columns).all(|x| !modules.is_dark(x, 0) && !modules.is_dark(x, 3)));
        // A finder's upper edge: seven dark modules, a light one on either side.
        let edge: Vec<_> = (3..12).map(|x| modules.is_dark(x, 4)).collect();
        assert_eq!(
            edge,
            [false, true, true, true, true, true, true, true, false]
        );
    }
}
