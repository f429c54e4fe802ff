//! Colours and glyphs by their role. A pane names roles, never colours.

use ratatui::style::{Color, Modifier, Style};

use crate::config::ThemeName;

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
}

/// Characters to draw with, one cell each.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct Glyphs {
    pub top_left: &'static str,
    pub top_right: &'static str,
    pub bottom_left: &'static str,
    pub bottom_right: &'static str,
    pub horizontal: &'static str,
    pub vertical: &'static str,
    pub thumb: &'static str,
    pub branch: &'static str,
    pub last_branch: &'static str,
    pub bar: &'static str,
    pub bar_end: &'static str,
    pub track: &'static str,
    pub current: &'static str,
    pub mark: &'static str,
    pub folded: &'static str,
    pub unfolded: &'static str,
    pub up: &'static str,
    pub waiting: &'static str,
    pub lost: &'static str,
    pub flowing: &'static str,
    pub paused: &'static str,
    pub queued: &'static str,
    pub done: &'static str,
    pub failed: &'static str,
    pub rising: &'static str,
    pub falling: &'static str,
    pub into: &'static str,
    pub dot: &'static str,
    pub dash: &'static str,
    pub ellipsis: &'static str,
    pub sum: &'static str,
    pub at_least: &'static str,
    /// From empty to full, for a graph of one row.
    pub blocks: [&'static str; 8],
    /// Whether braille can be drawn.
    pub braille: bool,
}

const UNICODE: Glyphs = Glyphs {
    top_left: "╭",
    top_right: "╮",
    bottom_left: "╰",
    bottom_right: "╯",
    horizontal: "─",
    vertical: "│",
    thumb: "┃",
    branch: "├",
    last_branch: "└",
    bar: "━",
    bar_end: "╸",
    track: "─",
    current: "▌",
    mark: "◆",
    folded: "▸",
    unfolded: "▾",
    up: "●",
    waiting: "◌",
    lost: "✗",
    flowing: "▼",
    paused: "‖",
    queued: "…",
    done: "✓",
    failed: "✗",
    rising: "↑",
    falling: "↓",
    into: "→",
    dot: "·",
    dash: "—",
    ellipsis: "…",
    sum: "Σ",
    at_least: "≥",
    blocks: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    braille: true,
};

const ASCII: Glyphs = Glyphs {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    horizontal: "-",
    vertical: "|",
    thumb: "#",
    branch: "|",
    last_branch: "`",
    bar: "#",
    bar_end: "#",
    track: "-",
    current: ">",
    mark: "*",
    folded: "+",
    unfolded: "-",
    up: "*",
    waiting: "o",
    lost: "x",
    flowing: "v",
    paused: "=",
    queued: ".",
    done: "+",
    failed: "x",
    rising: "^",
    falling: "v",
    into: ">",
    dot: "|",
    dash: "-",
    ellipsis: "~",
    sum: "=",
    at_least: ">",
    blocks: [".", ".", ":", ":", "|", "|", "#", "#"],
    braille: false,
};

impl Theme {
    /// The theme of that name.
    pub fn new(name: ThemeName, ascii: bool) -> Self {
        let theme = match name {
            ThemeName::Dark => Self::colours(&DARK),
            ThemeName::Light => Self::colours(&LIGHT),
            ThemeName::Ansi => Self::colours(&ANSI),
            ThemeName::Mono => Self::mono(),
        };
        Self {
            glyphs: if ascii { &ASCII } else { &UNICODE },
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
            number: bold(p.yellow),
            good: fg(p.green),
            warn: fg(p.yellow),
            bad: fg(p.red),
            graph: fg(p.cyan),
            badge: bold(p.on_accent).bg(p.accent),
            header: Style::new().bg(p.header),
            selected: Style::new().bg(p.selected).add_modifier(Modifier::BOLD),
            border: fg(p.border),
            focused: fg(p.accent),
            track: fg(p.border),
            cursor: fg(p.on_accent).bg(p.cursor),
            glyphs: &UNICODE,
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
            glyphs: &UNICODE,
        }
    }
}

/// The colours of a theme.
struct Palette {
    text: Color,
    soft: Color,
    dim: Color,
    faint: Color,
    border: Color,
    accent: Color,
    yellow: Color,
    green: Color,
    red: Color,
    cyan: Color,
    ground: Color,
    on_accent: Color,
    cursor: Color,
    header: Color,
    selected: Color,
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
    yellow: rgb(0x00f9_e2af),
    green: rgb(0x00a6_e3a1),
    red: rgb(0x00f3_8ba8),
    cyan: rgb(0x0089_dceb),
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
    yellow: rgb(0x00a0_5a00),
    green: rgb(0x0029_7a1c),
    red: rgb(0x00d2_0f39),
    cyan: rgb(0x0004_81a8),
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
    yellow: Color::Yellow,
    green: Color::Green,
    red: Color::Red,
    cyan: Color::Cyan,
    ground: Color::Reset,
    on_accent: Color::Black,
    cursor: Color::White,
    header: Color::Reset,
    selected: Color::DarkGray,
};
