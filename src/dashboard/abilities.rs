//! What the terminal can show, as far as its environment tells: TERM, COLORTERM and the locale.

use crate::{
    app::{Depth, GlyphSet},
    config::ThemeName,
};

/// Terminals with all colours that say so by their name alone: COLORTERM does not come along over ssh.
const FULL: [&str; 7] = [
    "direct",
    "truecolor",
    "kitty",
    "alacritty",
    "foot",
    "ghostty",
    "wezterm",
];

/// What a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Colours.
    pub(super) depth: Depth,
    /// What is drawn with.
    pub(super) glyphs: GlyphSet,
    /// Whether it has a title: the simplest ones would print it.
    pub(super) title: bool,
}

impl Abilities {
    /// Of this process's terminal.
    pub(super) fn here() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let simple = matches!(term.as_str(), "" | "dumb") || term.starts_with("vt");
        let console = term == "linux";
        let all = set("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit");
        let depth = if simple {
            Depth::Mono
        } else if console {
            Depth::Sixteen
        } else if all || FULL.iter().any(|name| term.contains(name)) {
            Depth::Full
        } else if term.contains("256color") {
            Depth::Indexed
        } else {
            Depth::Sixteen
        };
        // The first of these that is set decides (POSIX, 8.2). Where none is, as in a container, most terminals show
        // UTF-8 all the same.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| set(name));
        let utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        let title = !console && !matches!(term.as_str(), "" | "dumb");
        Self {
            depth,
            glyphs: if simple || !utf8 {
                GlyphSet::SevenBit
            } else if console {
                GlyphSet::Console
            } else {
                GlyphSet::Unicode
            },
            title,
        }
    }

    /// The theme where nobody has chosen one: what the background asks for, as far as there are colours for it.
    pub(super) fn theme(self, background: ThemeName) -> ThemeName {
        match self.depth {
            Depth::Mono => ThemeName::Mono,
            Depth::Sixteen => ThemeName::Ansi,
            Depth::Indexed | Depth::Full => background,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Abilities {
        Abilities::of(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn colours_and_glyphs_are_what_the_terminal_has() {
        use Depth::{Full, Indexed, Mono, Sixteen};
        use GlyphSet::{Console, SevenBit, Unicode};
        let utf8 = ("LANG", "de_DE.UTF-8");
        for (term, depth, glyphs) in [
            ("xterm-256color", Indexed, Unicode),
            ("xterm", Sixteen, Unicode),
            ("screen", Sixteen, Unicode),
            ("tmux-256color", Indexed, Unicode),
            ("xterm-kitty", Full, Unicode),
            ("linux", Sixteen, Console),
            ("vt100", Mono, SevenBit),
            ("dumb", Mono, SevenBit),
            ("", Mono, SevenBit),
        ] {
            let here = with(&[("TERM", term), utf8]);
            assert_eq!((here.depth, here.glyphs), (depth, glyphs), "{term}");
            let plain = with(&[("TERM", term), utf8, ("LC_ALL", "C")]);
            assert_eq!(
                (plain.depth, plain.glyphs),
                (depth, SevenBit),
                "{term} in C"
            );
        }
        let full = with(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]);
        assert_eq!((full.depth, full.glyphs), (Full, Unicode));
        // What a dumb one says of colours is another one's word.
        let dumb = with(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]);
        assert_eq!((dumb.depth, dumb.title), (Mono, false));
    }
}
