//! What a dashboard looks like, and where.

use jiff::tz::TimeZone;

use crate::config::{Colours, ThemeName};

/// How many colours a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// None: weight and reversal stand for them.
    Mono,
    /// The sixteen that have names.
    Sixteen,
    /// The cube and the greys of xterm.
    Indexed,
    /// All.
    #[default]
    Full,
}

/// What a screen is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GlyphSet {
    /// Round corners, thin bars, braille.
    #[default]
    Unicode,
    /// What the fonts of consoles hold (code page 437).
    Console,
    /// ASCII; names keep their letters.
    Ascii,
    /// ASCII for names too: the terminal takes no UTF-8, and what it made of it would move all that stands behind.
    SevenBit,
}

/// Looks and surroundings of a dashboard.
#[derive(Debug, Clone)]
pub struct Looks {
    /// Colours.
    pub theme: ThemeName,
    /// Whether the user chose them: the terminal's background changes nothing then.
    pub chosen: bool,
    /// How many of them the terminal has.
    pub depth: Depth,
    /// What is drawn with.
    pub glyphs: GlyphSet,
    /// Colours that the user changed.
    pub colours: Colours,
    /// For the clock.
    pub zone: TimeZone,
}
