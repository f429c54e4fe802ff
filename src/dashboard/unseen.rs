//! States that no screen shows.

use jiff::tz::TimeZone;

use crate::{
    app::{Depth, GlyphSet, Looks},
    config::ThemeName,
};

/// Nothing is drawn.
pub(super) fn looks() -> Looks {
    Looks {
        theme: ThemeName::Mono,
        chosen: true,
        depth: Depth::Mono,
        glyphs: GlyphSet::Ascii,
        colours: Vec::new(),
        zone: TimeZone::UTC,
    }
}
