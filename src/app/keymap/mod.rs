//! From keys to actions: the table, what the user's `[keys]` changed of it, and sequences of keys.

mod chord;
mod table;

pub use self::{
    chord::Chord,
    table::{Action, BINDINGS, Binding, Edit, Hint, Scope},
};

/// What a key leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// An action.
    Action(Action),
    /// The beginning of a sequence; the next key decides.
    Prefix,
    /// Nothing.
    Nothing,
}

/// A row of the table with the keys that lead to it now.
#[derive(Debug, Clone)]
struct Bound {
    binding: &'static Binding,
    /// As people see them, the first one for the hint bar.
    shown: Vec<String>,
    sequences: Vec<Vec<Chord>>,
}

impl Bound {
    /// By the table's keys.
    fn new(binding: &'static Binding) -> Self {
        let sequences = binding.keys.iter().filter_map(|keys| {
            let chords: Option<Vec<_>> = keys.split(' ').map(Chord::parse).collect();
            chords
        });
        Self {
            binding,
            shown: binding.keys.iter().map(|key| shown(key)).collect(),
            sequences: sequences.collect(),
        }
    }
}

/// The press of the key of that name, as hints and `[keys]` write it.
pub fn named(key: &str) -> Option<crossterm::event::KeyEvent> {
    Chord::parse(key).map(Chord::event)
}

/// The keys that lead somewhere, and those of a sequence that was begun.
#[derive(Debug, Clone)]
pub struct Keymap {
    bound: Vec<Bound>,
    pending: Vec<Chord>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self {
            bound: BINDINGS.iter().map(Bound::new).collect(),
            pending: Vec::new(),
        }
    }
}

impl Keymap {
    /// The table with some actions under other keys: `(name, keys)` as the INI section `[keys]` has them, keys
    /// separated by blanks and sequences written together (`gg`). The error is for people: an action that does not
    /// exist, a key that cannot be read, or one key for two actions in the same place.
    pub fn with<'a>(changes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        let mut map = Self::default();
        for (name, keys) in changes {
            map.rebind(name, keys)?;
        }
        map.check()?;
        Ok(map)
    }

    fn rebind(&mut self, name: &str, keys: &str) -> Result<(), String> {
        let Some(bound) = self.bound.iter_mut().find(|b| b.binding.name == name) else {
            let names: Vec<_> = BINDINGS.iter().map(|b| b.name).collect();
            return Err(format!("no such action: {}", names.join(", ")));
        };
        let needed = matches!(
            bound.binding.action,
            Action::Interrupt | Action::Edit(Edit::Accept | Edit::Cancel)
        );
        if keys.trim().is_empty() && needed {
            return Err(format!("{name} needs a key: nothing else leads out"));
        }
        bound.sequences = keys
            .split_whitespace()
            .map(sequence)
            .collect::<Result<_, _>>()?;
        bound.shown = keys.split_whitespace().map(shown).collect();
        Ok(())
    }

    /// No key may stand for two actions in one place.
    fn check(&self) -> Result<(), String> {
        for (at, bound) in self.bound.iter().enumerate() {
            for (sequence, key) in bound.sequences.iter().zip(&bound.shown) {
                let taken = self.bound[at + 1..].iter().find(|other| {
                    other.binding.scope == bound.binding.scope && other.sequences.contains(sequence)
                });
                if let Some(other) = taken {
                    let (a, b) = (bound.binding.name, other.binding.name);
                    return Err(format!(
                        "`{key}` stands for {a} and for {b}: give one of them another key"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Looks a key up in `scopes`, the first one first.
    pub fn press(&mut self, chord: Chord, scopes: &[Scope]) -> Found {
        self.pending.push(chord);
        let mut found = self.find(scopes);
        if found == Found::Nothing && self.pending.len() > 1 {
            // The sequence came to nothing: its last key counts by itself.
            self.pending = vec![chord];
            found = self.find(scopes);
        }
        if found != Found::Prefix {
            self.pending.clear();
        }
        found
    }

    fn find(&self, scopes: &[Scope]) -> Found {
        let keys = self.pending.as_slice();
        let in_scope = |scope: Scope| self.bound.iter().filter(move |b| b.binding.scope == scope);
        for &scope in scopes {
            let leads = |b: &&Bound| b.sequences.iter().any(|k| k == keys);
            if let Some(bound) = in_scope(scope).find(leads) {
                return Found::Action(bound.binding.action);
            }
        }
        let begins = |b: &Bound| b.sequences.iter().any(|k| k.starts_with(keys));
        if scopes.iter().any(|&scope| in_scope(scope).any(begins)) {
            Found::Prefix
        } else {
            Found::Nothing
        }
    }

    /// The hints for `scopes`, in the order of the bar: key, what it does, and its action. What has lost its keys has none.
    pub fn hints(&self, scopes: &[Scope]) -> Vec<(&str, Hint, Action)> {
        let mut hints: Vec<_> = self
            .bound
            .iter()
            .filter(|b| scopes.contains(&b.binding.scope))
            .filter_map(|b| {
                let key = b.shown.first()?.as_str();
                Some((key, b.binding.hint?, b.binding.action))
            })
            .collect();
        hints.sort_by_key(|(_, hint, _)| hint.place);
        hints
    }

    /// The rows of a scope, with their keys as people see them.
    pub fn rows(&self, scope: Scope) -> impl Iterator<Item = (&'static Binding, String)> {
        self.bound
            .iter()
            .filter(move |b| b.binding.scope == scope)
            .map(|b| (b.binding, b.shown.join(" ")))
    }
}

/// Reads `Ctrl-d`, `PgUp`, `g`, or keys that follow each other: `gg`.
fn sequence(text: &str) -> Result<Vec<Chord>, String> {
    if let Some(chord) = Chord::parse(text) {
        return Ok(vec![chord]);
    }
    let wrong = || {
        format!(
            "`{text}` is no key: write a character, Space, Enter, Esc, Tab, Backspace, Del, Up, Down, Left, Right, \
             Home, End, PgUp, PgDn, F1 to F12, with Ctrl-, Alt- or Shift- before it, or a sequence such as gg"
        )
    };
    // A misspelt name is no sequence: those are two or three characters.
    if text.chars().count() > 3 || text.contains('-') {
        return Err(wrong());
    }
    let chords: Option<Vec<_>> = text
        .chars()
        .map(|c| Chord::parse(c.encode_utf8(&mut [0; 4])))
        .collect();
    chords.ok_or_else(wrong)
}

/// A key's name as people see it: arrows as arrows, sequences without spaces.
fn shown(key: &str) -> String {
    match key {
        "Up" => "↑".into(),
        "Down" => "↓".into(),
        "Left" => "←".into(),
        "Right" => "→".into(),
        other => other.replace(' ', ""),
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::*;

    fn press(map: &mut Keymap, c: char) -> Found {
        let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        map.press(key.into(), &[Scope::List, Scope::Everywhere])
    }

    #[test]
    fn every_row_of_the_table_has_a_name_and_keys_of_its_own() {
        let map = Keymap::default();
        map.check().unwrap();
        for (at, bound) in map.bound.iter().enumerate() {
            assert_eq!(bound.sequences.len(), bound.binding.keys.len(), "{bound:?}");
            let same = |b: &&Binding| b.name == bound.binding.name;
            assert!(BINDINGS[at + 1..].iter().find(same).is_none(), "{bound:?}");
        }
    }

    #[test]
    fn users_bind_keys_anew() {
        let mut map = Keymap::with([("quit", "X Ctrl-q"), ("top", "zg"), ("zoom", "F12")]).unwrap();
        assert_eq!(press(&mut map, 'q'), Found::Nothing);
        assert_eq!(press(&mut map, 'X'), Found::Action(Action::Quit));
        assert_eq!(press(&mut map, 'z'), Found::Prefix);
        let top = Action::Move(super::super::cursor::Motion::Top);
        assert_eq!(press(&mut map, 'g'), Found::Action(top));
        let zoom = map.rows(Scope::Everywhere).find(|(b, _)| b.name == "zoom");
        assert_eq!(zoom.unwrap().1, "F12", "the help screen shows the new key");
    }

    #[test]
    fn wrong_changes_say_what_is_right() {
        for (name, keys, says) in [
            ("fly", "f", "no such action: help, command,"),
            ("quit", "Crtl-q", "`Crtl-q` is no key"),
            ("quit", "?", "`?` stands for help and for quit"),
            ("interrupt", "", "interrupt needs a key"),
        ] {
            let error = Keymap::with([(name, keys)]).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
