//! The INI section `[theme]`: colours by their role.

use std::str::FromStr;

/// What a colour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described in the table")]
pub enum Role {
    Text,
    Soft,
    Dim,
    Faint,
    Border,
    Accent,
    Number,
    Good,
    Warn,
    Bad,
    Graph,
    Ground,
    OnAccent,
    Cursor,
    Header,
    Selected,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Text,
        Self::Soft,
        Self::Dim,
        Self::Faint,
        Self::Border,
        Self::Accent,
        Self::Number,
        Self::Good,
        Self::Warn,
        Self::Bad,
        Self::Graph,
        Self::Ground,
        Self::OnAccent,
        Self::Cursor,
        Self::Header,
        Self::Selected,
    ];
}

/// Every role: its key in the section, and what it colours.
#[rustfmt::skip] // a table reads as one
pub const ROLES: &[(Role, &str, &str)] = &[
    (Role::Text, "text", "names and messages"),
    (Role::Soft, "soft", "sizes, and what stands beside a name"),
    (Role::Dim, "dim", "labels, headings, ages"),
    (Role::Faint, "faint", "what is done, what would complete a line"),
    (Role::Border, "border", "boxes, the part of a bar that is to come"),
    (Role::Accent, "accent", "keys, directories, the focused pane"),
    (Role::Number, "number", "pane numbers, marks"),
    (Role::Good, "good", "what runs or went well"),
    (Role::Warn, "warn", "what waits or was stopped"),
    (Role::Bad, "bad", "what failed"),
    (Role::Graph, "graph", "the throughput graph"),
    (Role::Ground, "ground", "the ground of everything"),
    (Role::OnAccent, "on-accent", "text on the accent's colour"),
    (Role::Cursor, "cursor", "the cursor in a line"),
    (Role::Header, "header", "the header's ground"),
    (Role::Selected, "selected", "the current row's ground"),
];

/// A colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// `#rrggbb`.
    Rgb(u8, u8, u8),
    /// One of the terminal's 256, by its number.
    Indexed(u8),
    /// The terminal's own.
    Default,
}

/// The terminal's 16 colours by their names, in the order of their numbers.
const NAMES: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "white",
    "bright-black",
    "bright-red",
    "bright-green",
    "bright-yellow",
    "bright-blue",
    "bright-magenta",
    "bright-cyan",
    "bright-white",
];

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no colour: write #rrggbb, a number from 0 to 255, default, or one of {}",
                NAMES.join(", ")
            )
        };
        if let Some(hex) = text.strip_prefix('#') {
            let plain = hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit());
            let value = plain.then(|| u32::from_str_radix(hex, 16).ok()).flatten();
            let [_, r, g, b] = value.ok_or_else(wrong)?.to_be_bytes();
            return Ok(Self::Rgb(r, g, b));
        }
        if text == "default" {
            return Ok(Self::Default);
        }
        if let Some(at) = NAMES.iter().position(|name| *name == text) {
            return Ok(Self::Indexed(at as u8));
        }
        text.parse().map(Self::Indexed).map_err(|_| wrong())
    }
}

/// Reads one setting of the section. The error says what is allowed.
pub fn colour(key: &str, value: &str) -> Result<(Role, Colour), String> {
    let role = ROLES.iter().find(|(_, name, _)| *name == key);
    let Some((role, ..)) = role else {
        let names: Vec<_> = ROLES.iter().map(|(_, name, _)| *name).collect();
        return Err(format!("no such key: {}", names.join(", ")));
    };
    Ok((*role, value.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read() {
        for (text, colour) in [
            ("#ff8000", Colour::Rgb(255, 128, 0)),
            ("208", Colour::Indexed(208)),
            ("bright-blue", Colour::Indexed(12)),
            ("default", Colour::Default),
        ] {
            assert_eq!(text.parse(), Ok(colour));
        }
        for text in ["#ff80", "256", "blau", "", "#+12345"] {
            assert!(text.parse::<Colour>().is_err(), "{text}");
        }
        assert!(colour("texte", "red").unwrap_err().contains("text, soft"));
    }
}
