//! Colours by their role. A pane names roles, never colours.

use ratatui::style::{Color, Modifier, Style};

use super::glyphs::Glyphs;
use crate::{
    app::{Depth, GlyphSet, Looks},
    config::{
        ThemeName,
        theme::{Colour, Role},
    },
};

/// The styles of every role, and the glyphs.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Empty cells. Painted, so that colours are legible whatever the terminal's own ground is.
    pub ground: Style,
    /// Names and messages.
    pub text: Style,
    /// Sizes and whatever stands beside a name.
    pub soft: Style,
    /// Labels, headings, ages.
    pub dim: Style,
    /// What is done, and what would complete a line.
    pub faint: Style,
    /// Titles and figures that matter.
    pub strong: Style,
    /// Keys, the focused pane's title, directories.
    pub accent: Style,
    /// Pane numbers and marks.
    pub number: Style,
    /// Runs, or went well.
    pub good: Style,
    /// Waits, or was stopped.
    pub warn: Style,
    /// Failed.
    pub bad: Style,
    /// The throughput graph.
    pub graph: Style,
    /// The mode's name in the header.
    pub badge: Style,
    /// The header's ground.
    pub header: Style,
    /// The current row's ground.
    pub selected: Style,
    /// A box's lines.
    pub border: Style,
    /// The focused box's lines.
    pub focused: Style,
    /// The part of a bar that is still to come.
    pub track: Style,
    /// The cursor in a line.
    pub cursor: Style,
    /// Characters to draw with.
    pub glyphs: &'static Glyphs,
    /// Whether nothing but ASCII may be drawn, names included.
    pub seven_bit: bool,
}

impl Theme {
    /// The theme that a dashboard has, with the user's own colours in it.
    pub fn of(looks: &Looks) -> Self {
        Self::with(looks.theme, looks.glyphs, looks.depth, &looks.colours)
    }

    /// The theme of that name.
    pub fn new(name: ThemeName) -> Self {
        Self::with(name, GlyphSet::Unicode, Depth::Full, &[])
    }

    fn with(name: ThemeName, glyphs: GlyphSet, depth: Depth, own: &[(Role, Colour)]) -> Self {
        let palette = match (name, depth) {
            // Whoever wants no colours wants none of the file's either.
            (ThemeName::Mono, _) | (_, Depth::Mono) => None,
            (ThemeName::Ansi, _) | (_, Depth::Sixteen) => Some(ANSI),
            (ThemeName::Dark, _) => Some(DARK),
            (ThemeName::Light, _) => Some(LIGHT),
        };
        let theme = match palette {
            Some(mut palette) => {
                for (role, colour) in own {
                    *palette.role(*role) = ratatui_colour(*colour);
                }
                for role in Role::ALL {
                    let colour = palette.role(role);
                    *colour = reduced(*colour, depth);
                }
                Self::colours(&palette)
            }
            None => Self::mono(),
        };
        Self {
            glyphs: Glyphs::of(glyphs),
            seven_bit: glyphs == GlyphSet::SevenBit,
            ..theme
        }
    }

    fn colours(p: &Palette) -> Self {
        let fg = |colour: Color| Style::new().fg(colour);
        let bold = |colour: Color| fg(colour).add_modifier(Modifier::BOLD);
        Self {
            ground: Style::reset().fg(p.text).bg(p.ground),
            text: fg(p.text),
            soft: fg(p.soft),
            dim: fg(p.dim),
            faint: fg(p.faint),
            strong: bold(p.text),
            accent: bold(p.accent),
            number: bold(p.number),
            good: fg(p.good),
            warn: fg(p.warn),
            bad: fg(p.bad),
            graph: fg(p.graph),
            badge: bold(p.on_accent).bg(p.accent),
            header: Style::new().bg(p.header),
            selected: Style::new().bg(p.selected).add_modifier(Modifier::BOLD),
            border: fg(p.border),
            focused: fg(p.accent),
            track: fg(p.border),
            cursor: fg(p.on_accent).bg(p.cursor),
            glyphs: Glyphs::of(GlyphSet::Unicode),
            seven_bit: false,
        }
    }

    /// No colours: weight and reversal carry what colour does elsewhere.
    fn mono() -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let dim = plain.add_modifier(Modifier::DIM);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        Self {
            ground: Style::reset(),
            text: plain,
            soft: plain,
            dim,
            faint: dim,
            strong: bold,
            accent: bold,
            number: bold,
            good: plain,
            warn: bold,
            bad: bold,
            graph: plain,
            badge: reversed.add_modifier(Modifier::BOLD),
            header: plain,
            selected: reversed,
            border: dim,
            focused: bold,
            track: dim,
            cursor: reversed,
            glyphs: Glyphs::of(GlyphSet::Unicode),
            seven_bit: false,
        }
    }
}

/// The colours of a theme.
#[derive(Clone, Copy)]
struct Palette {
    text: Color,
    soft: Color,
    dim: Color,
    faint: Color,
    border: Color,
    accent: Color,
    number: Color,
    good: Color,
    warn: Color,
    bad: Color,
    graph: Color,
    ground: Color,
    on_accent: Color,
    cursor: Color,
    header: Color,
    selected: Color,
}

impl Palette {
    fn role(&mut self, role: Role) -> &mut Color {
        match role {
            Role::Text => &mut self.text,
            Role::Soft => &mut self.soft,
            Role::Dim => &mut self.dim,
            Role::Faint => &mut self.faint,
            Role::Border => &mut self.border,
            Role::Accent => &mut self.accent,
            Role::Number => &mut self.number,
            Role::Good => &mut self.good,
            Role::Warn => &mut self.warn,
            Role::Bad => &mut self.bad,
            Role::Graph => &mut self.graph,
            Role::Ground => &mut self.ground,
            Role::OnAccent => &mut self.on_accent,
            Role::Cursor => &mut self.cursor,
            Role::Header => &mut self.header,
            Role::Selected => &mut self.selected,
        }
    }
}

/// A colour that a terminal of that depth has.
fn reduced(colour: Color, depth: Depth) -> Color {
    match (colour, depth) {
        (Color::Rgb(r, g, b), Depth::Indexed) => Color::Indexed(nearest([r, g, b])),
        // The user's own among sixteen: whatever the terminal has for text.
        (Color::Rgb(..) | Color::Indexed(16..), Depth::Sixteen) => Color::Reset,
        (colour, _) => colour,
    }
}

/// The nearest of xterm's 256 colours: of the cube (16 to 231) or of the greys (232 to 255).
fn nearest(colour: [u8; 3]) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let far = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    let step = |value: u8| {
        (0..6u8)
            .min_by_key(|i| far(STEPS[usize::from(*i)], value))
            .unwrap_or(0)
    };
    let [r, g, b] = colour.map(step);
    let of = |other: [u8; 3]| {
        colour
            .into_iter()
            .zip(other)
            .map(|(a, b)| far(a, b))
            .sum::<u32>()
    };
    let cube = of([r, g, b].map(|i| STEPS[usize::from(i)]));
    let grey = (0..24u8).min_by_key(|i| of([8 + 10 * i; 3])).unwrap_or(0);
    if of([8 + 10 * grey; 3]) < cube {
        232 + grey
    } else {
        16 + 36 * r + 6 * g + b
    }
}

fn ratatui_colour(colour: Colour) -> Color {
    match colour {
        Colour::Rgb(r, g, b) => Color::Rgb(r, g, b),
        Colour::Indexed(number) => Color::Indexed(number),
        Colour::Default => Color::Reset,
    }
}

const fn rgb(hex: u32) -> Color {
    let [_, r, g, b] = hex.to_be_bytes();
    Color::Rgb(r, g, b)
}

const DARK: Palette = Palette {
    text: rgb(0x00cd_d6f4),
    soft: rgb(0x00a6_adc8),
    dim: rgb(0x007f_849c),
    faint: rgb(0x0058_5b70),
    border: rgb(0x0045_475a),
    accent: rgb(0x0089_b4fa),
    number: rgb(0x00f9_e2af),
    good: rgb(0x00a6_e3a1),
    warn: rgb(0x00f9_e2af),
    bad: rgb(0x00f3_8ba8),
    graph: rgb(0x0089_dceb),
    ground: rgb(0x0011_111b),
    on_accent: rgb(0x0011_111b),
    cursor: rgb(0x00cd_d6f4),
    header: rgb(0x001e_1e2e),
    selected: rgb(0x0031_3244),
};

const LIGHT: Palette = Palette {
    text: rgb(0x004c_4f69),
    soft: rgb(0x005c_5f77),
    dim: rgb(0x0073_7689),
    faint: rgb(0x009c_a0b0),
    border: rgb(0x00bc_c0cc),
    accent: rgb(0x001e_66f5),
    number: rgb(0x00a0_5a00),
    good: rgb(0x0029_7a1c),
    warn: rgb(0x00a0_5a00),
    bad: rgb(0x00d2_0f39),
    graph: rgb(0x0004_81a8),
    ground: rgb(0x00ef_f1f5),
    on_accent: rgb(0x00ef_f1f5),
    cursor: rgb(0x004c_4f69),
    header: rgb(0x00e6_e9ef),
    selected: rgb(0x00d6_dae4),
};

const ANSI: Palette = Palette {
    text: Color::Reset,
    soft: Color::Reset,
    dim: Color::DarkGray,
    faint: Color::DarkGray,
    border: Color::DarkGray,
    accent: Color::Blue,
    number: Color::Yellow,
    good: Color::Green,
    warn: Color::Yellow,
    bad: Color::Red,
    graph: Color::Cyan,
    ground: Color::Reset,
    on_accent: Color::Black,
    cursor: Color::White,
    header: Color::Reset,
    selected: Color::DarkGray,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_given_only_the_colours_that_it_has() {
        for (colour, index) in [
            ([0, 0, 0], 16),
            ([255, 255, 255], 231),
            ([0x11, 0x11, 0x1b], 233),
            ([255, 0, 0], 196),
        ] {
            assert_eq!(nearest(colour), index, "{colour:?}");
        }
        let own = [
            (Role::Warn, Colour::Rgb(1, 2, 3)),
            (Role::Bad, Colour::Indexed(200)),
        ];
        for name in [
            ThemeName::Dark,
            ThemeName::Light,
            ThemeName::Ansi,
            ThemeName::Mono,
        ] {
            let styles = |depth| {
                let t = Theme::with(name, GlyphSet::Unicode, depth, &own);
                let all = [
                    t.ground, t.text, t.warn, t.bad, t.badge, t.header, t.selected, t.cursor,
                    t.border,
                ];
                all.into_iter()
                    .flat_map(|style| [style.fg, style.bg])
                    .flatten()
                    .collect::<Vec<_>>()
            };
            let full = |colour: &Color| matches!(colour, Color::Rgb(..));
            let high = |colour: &Color| matches!(colour, Color::Indexed(16..));
            assert!(!styles(Depth::Indexed).iter().any(full), "{name:?}");
            assert!(
                !styles(Depth::Sixteen).iter().any(|c| full(c) || high(c)),
                "{name:?}"
            );
            assert!(
                styles(Depth::Mono).iter().all(|c| *c == Color::Reset),
                "{name:?}"
            );
        }
    }

    #[test]
    fn the_users_colours_replace_a_themes_but_bring_none_into_mono() {
        let own = [(Role::Warn, Colour::Rgb(1, 2, 3))];
        let theme = Theme::with(ThemeName::Dark, GlyphSet::Unicode, Depth::Full, &own);
        assert_eq!(theme.warn.fg, Some(Color::Rgb(1, 2, 3)));
        assert_eq!(theme.number.fg, Some(rgb(0x00f9_e2af)), "another role");
        assert_eq!(
            Theme::with(ThemeName::Mono, GlyphSet::Unicode, Depth::Full, &own)
                .warn
                .fg,
            None
        );
    }
}
