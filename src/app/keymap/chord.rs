//! A key press by its name: `Ctrl-d`, `Shift-Tab`, `PgUp`, `g`.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// One key press, without what keyboards and terminals tell differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl From<KeyEvent> for Chord {
    fn from(key: KeyEvent) -> Self {
        let modifiers =
            key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        Self {
            code: key.code,
            modifiers,
        }
        .plain()
    }
}

impl Chord {
    /// Reads `Ctrl-d`, `Shift-Tab`, `PgUp`, `Space`, `g`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = name;
        loop {
            let (modifier, after) = match rest.split_once('-') {
                Some(("Ctrl", after)) => (KeyModifiers::CONTROL, after),
                Some(("Alt", after)) => (KeyModifiers::ALT, after),
                Some(("Shift", after)) => (KeyModifiers::SHIFT, after),
                _ => break,
            };
            modifiers |= modifier;
            rest = after;
        }
        let code = match rest {
            "Enter" => KeyCode::Enter,
            "Esc" => KeyCode::Esc,
            "Tab" => KeyCode::Tab,
            "Space" => KeyCode::Char(' '),
            "Backspace" => KeyCode::Backspace,
            "Del" => KeyCode::Delete,
            "Up" => KeyCode::Up,
            "Down" => KeyCode::Down,
            "Left" => KeyCode::Left,
            "Right" => KeyCode::Right,
            "Home" => KeyCode::Home,
            "End" => KeyCode::End,
            "PgUp" => KeyCode::PageUp,
            "PgDn" => KeyCode::PageDown,
            "Minus" => KeyCode::Char('-'),
            one => {
                if let Some(number) = one.strip_prefix('F').and_then(|n| n.parse().ok()) {
                    return (1..=24).contains(&number).then_some(Self {
                        code: KeyCode::F(number),
                        modifiers,
                    });
                }
                let mut chars = one.chars();
                let c = chars.next()?;
                if chars.next().is_some() {
                    return None;
                }
                KeyCode::Char(c)
            }
        };
        Some(Self { code, modifiers }.plain())
    }

    /// Without what keyboards and terminals tell differently.
    fn plain(self) -> Self {
        let Self {
            mut code,
            mut modifiers,
        } = self;
        match code {
            // Shift is in the character already; with Ctrl its case carries nothing.
            KeyCode::Char(c) => {
                modifiers -= KeyModifiers::SHIFT;
                if modifiers.contains(KeyModifiers::CONTROL) {
                    code = KeyCode::Char(c.to_ascii_lowercase());
                }
            }
            KeyCode::BackTab => {
                code = KeyCode::Tab;
                modifiers |= KeyModifiers::SHIFT;
            }
            KeyCode::Tab => {}
            _ => modifiers -= KeyModifiers::SHIFT,
        }
        Self { code, modifiers }
    }

    /// The press of it, as a terminal tells it.
    pub(super) fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }

    /// The character that the key types, if it types one.
    pub fn typed(self) -> Option<char> {
        match self.code {
            KeyCode::Char(c) if self.modifiers.is_empty() => Some(c),
            _ => None,
        }
    }
}
