//! The one table of keys: handling, the hint bar and the help screen are made from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::cursor::Motion;

/// Where a key means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In every pane of both dashboards.
    Everywhere,
    /// In every pane that is a list.
    List,
    /// In a pane that shows a directory.
    Directory,
    /// In `haul connect`, whatever the pane.
    Connect,
    /// In the list of the server's files at the client.
    Remote,
    /// In the clients of `haul serve`.
    Clients,
    /// In the log.
    Log,
    /// While a line is typed.
    Prompt,
}

impl Scope {
    /// The heading in the help screen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::List => "lists",
            Self::Directory => "directories",
            Self::Connect => "transfers",
            Self::Remote => "marks",
            Self::Clients => "clients",
            Self::Log => "log",
            Self::Prompt => "command line",
        }
    }
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described once, in the table below")]
pub enum Action {
    Help,
    Command,
    NextPane,
    PreviousPane,
    Pane(u8),
    Zoom,
    Filter,
    Sort,
    Reverse,
    Theme,
    Copy,
    Redraw,
    Suspend,
    Back,
    Quit,
    Interrupt,
    Move(Motion),
    Open,
    Up,
    Hidden,
    Mark,
    Range,
    MarkAll,
    Download,
    Pause,
    PauseAll,
    Cancel,
    MoveDown,
    MoveUp,
    Retry,
    RetryAll,
    Clear,
    Refresh,
    Unfold,
    Fold,
    Follow,
    Wrap,
    LessLog,
    MoreLog,
    Edit(Edit),
}

/// What a key does to the line that is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described once, in the table below")]
pub enum Edit {
    Accept,
    Cancel,
    Left,
    Right,
    WordLeft,
    WordRight,
    Start,
    End,
    DeleteLeft,
    DeleteRight,
    CutWord,
    CutWordRight,
    CutToStart,
    CutToEnd,
    Paste,
    Older,
    Newer,
    Complete,
    CompleteBack,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Where it holds.
    pub scope: Scope,
    /// Keys that do the same; a space within one separates keys that follow each other.
    pub keys: &'static [&'static str],
    /// What they do.
    pub action: Action,
    /// The help screen's words.
    pub help: &'static str,
    /// Its place in the hint bar, if it has one.
    pub hint: Option<Hint>,
}

/// A binding's place in the hint bar.
#[derive(Debug, Clone, Copy)]
pub struct Hint {
    /// One word.
    pub label: &'static str,
    /// Hints stand in this order.
    pub place: u8,
    /// Where there is no room, those with the smallest go first.
    pub weight: u8,
}

const fn bind(
    scope: Scope,
    keys: &'static [&'static str],
    action: Action,
    help: &'static str,
) -> Binding {
    Binding {
        scope,
        keys,
        action,
        help,
        hint: None,
    }
}

impl Binding {
    const fn hint(mut self, label: &'static str, place: u8, weight: u8) -> Self {
        self.hint = Some(Hint {
            label,
            place,
            weight,
        });
        self
    }
}

use Action::{Edit as E, Move};
use Scope::{Clients, Connect, Directory, Everywhere, List, Log, Prompt, Remote};

/// Every key of both dashboards.
#[rustfmt::skip] // a table reads as one
pub const BINDINGS: &[Binding] = &[
    bind(Everywhere, &["?", "F1"], Action::Help, "keys and commands").hint("help", 0, 90),
    bind(Everywhere, &[":"], Action::Command, "type a command").hint("command", 1, 80),
    bind(Everywhere, &["Tab"], Action::NextPane, "next pane").hint("pane", 80, 35),
    bind(Everywhere, &["Shift-Tab"], Action::PreviousPane, "previous pane"),
    bind(Everywhere, &["1"], Action::Pane(0), "first pane"),
    bind(Everywhere, &["2"], Action::Pane(1), "second pane"),
    bind(Everywhere, &["3"], Action::Pane(2), "third pane"),
    bind(Everywhere, &["4"], Action::Pane(3), "fourth pane"),
    bind(Everywhere, &["z"], Action::Zoom, "this pane alone, and back").hint("zoom", 81, 10),
    bind(Everywhere, &["/"], Action::Filter, "filter the list").hint("filter", 30, 50),
    bind(Everywhere, &["s"], Action::Sort, "sort by the next key").hint("sort", 31, 30),
    bind(Everywhere, &["S"], Action::Reverse, "turn the order round"),
    bind(Everywhere, &["t"], Action::Theme, "next theme"),
    bind(Everywhere, &["y"], Action::Copy, "copy the URL to the clipboard").hint("copy URL", 70, 5),
    bind(Everywhere, &["Ctrl-l"], Action::Redraw, "draw afresh"),
    bind(Everywhere, &["Ctrl-z"], Action::Suspend, "suspend; `fg` comes back"),
    bind(Everywhere, &["Esc"], Action::Back, "back: range, marks, filter, zoom"),
    bind(Everywhere, &["q"], Action::Quit, "quit").hint("quit", 90, 85),
    bind(Everywhere, &["Ctrl-c"], Action::Interrupt, "ask to quit; twice quits"),
    bind(List, &["j", "Down"], Move(Motion::Down), "down"),
    bind(List, &["k", "Up"], Move(Motion::Up), "up"),
    bind(List, &["g g", "Home"], Move(Motion::Top), "first row"),
    bind(List, &["G", "End"], Move(Motion::Bottom), "last row"),
    bind(List, &["PgDn", "Ctrl-f"], Move(Motion::PageDown), "a page down"),
    bind(List, &["PgUp", "Ctrl-b"], Move(Motion::PageUp), "a page up"),
    bind(List, &["Ctrl-d"], Move(Motion::HalfDown), "half a page down"),
    bind(List, &["Ctrl-u"], Move(Motion::HalfUp), "half a page up"),
    bind(Directory, &["Enter", "l", "Right"], Action::Open, "open the directory").hint("open", 11, 28),
    bind(Directory, &["h", "Left", "Backspace"], Action::Up, "the directory above"),
    bind(Directory, &["."], Action::Hidden, "show or hide names that begin with a dot"),
    bind(Remote, &["Space"], Action::Mark, "mark and step down").hint("mark", 10, 60),
    bind(Remote, &["v"], Action::Range, "mark a range while moving; again to end it"),
    bind(Remote, &["Ctrl-a"], Action::MarkAll, "mark all, or none"),
    bind(Remote, &["d"], Action::Download, "download what is marked, or the current entry")
        .hint("download", 20, 70),
    bind(Connect, &["p"], Action::Pause, "pause the current transfer, or resume it").hint("pause", 40, 55),
    bind(Connect, &["P"], Action::PauseAll, "pause all, or resume all"),
    bind(Connect, &["x"], Action::Cancel, "cancel the current transfer").hint("cancel", 41, 54),
    bind(Connect, &["J"], Action::MoveDown, "move it down the queue"),
    bind(Connect, &["K"], Action::MoveUp, "move it up the queue"),
    bind(Connect, &["e"], Action::Retry, "try the current transfer again").hint("retry", 42, 20),
    bind(Connect, &["E"], Action::RetryAll, "try all failed ones again"),
    bind(Connect, &["c"], Action::Clear, "clear what is done or cancelled"),
    bind(Connect, &["r"], Action::Refresh, "list again; reconnect at once"),
    bind(Clients, &["Enter", "l", "Right"], Action::Unfold, "unfold into a row a file, and fold")
        .hint("unfold", 11, 60),
    bind(Clients, &["h", "Left"], Action::Fold, "fold"),
    bind(Log, &["f"], Action::Follow, "follow new lines").hint("follow", 20, 56),
    bind(Log, &["w"], Action::Wrap, "wrap long lines").hint("wrap", 21, 55),
    bind(Log, &["["], Action::LessLog, "fewer: only more severe lines").hint("less", 22, 25),
    bind(Log, &["]"], Action::MoreLog, "more: less severe lines too").hint("more", 23, 24),
    bind(Prompt, &["Enter"], E(Edit::Accept), "run").hint("run", 0, 90),
    bind(Prompt, &["Esc", "Ctrl-c", "Ctrl-g"], E(Edit::Cancel), "leave the line").hint("cancel", 1, 80),
    bind(Prompt, &["Tab"], E(Edit::Complete), "next completion").hint("complete", 2, 70),
    bind(Prompt, &["Shift-Tab"], E(Edit::CompleteBack), "previous completion"),
    bind(Prompt, &["Up", "Ctrl-p"], E(Edit::Older), "older line").hint("history", 3, 60),
    bind(Prompt, &["Down", "Ctrl-n"], E(Edit::Newer), "newer line"),
    bind(Prompt, &["Right", "Ctrl-f"], E(Edit::Right), "right; at the end, takes the dimmed text")
        .hint("take", 4, 50),
    bind(Prompt, &["Left", "Ctrl-b"], E(Edit::Left), "left"),
    bind(Prompt, &["Alt-b", "Ctrl-Left", "Alt-Left"], E(Edit::WordLeft), "a word left"),
    bind(Prompt, &["Alt-f", "Ctrl-Right", "Alt-Right"], E(Edit::WordRight), "a word right"),
    bind(Prompt, &["Home", "Ctrl-a"], E(Edit::Start), "to the start"),
    bind(Prompt, &["End", "Ctrl-e"], E(Edit::End), "to the end"),
    bind(Prompt, &["Backspace", "Ctrl-h"], E(Edit::DeleteLeft), "delete to the left"),
    bind(Prompt, &["Del", "Ctrl-d"], E(Edit::DeleteRight), "delete to the right"),
    bind(Prompt, &["Ctrl-w", "Alt-Backspace"], E(Edit::CutWord), "cut a word"),
    bind(Prompt, &["Alt-d"], E(Edit::CutWordRight), "cut a word to the right"),
    bind(Prompt, &["Ctrl-u"], E(Edit::CutToStart), "cut to the start"),
    bind(Prompt, &["Ctrl-k"], E(Edit::CutToEnd), "cut to the end"),
    bind(Prompt, &["Ctrl-y"], E(Edit::Paste), "put back what was cut"),
];

/// One key press, without what keyboards and terminals tell differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl From<KeyEvent> for Chord {
    fn from(key: KeyEvent) -> Self {
        let mut modifiers =
            key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let mut code = key.code;
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
}

impl Chord {
    /// Reads `Ctrl-d`, `Shift-Tab`, `PgUp`, `Space`, `g`.
    fn parse(name: &str) -> Option<Self> {
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
            "F1" => KeyCode::F(1),
            one => {
                let mut chars = one.chars();
                let c = chars.next()?;
                if chars.next().is_some() {
                    return None;
                }
                KeyCode::Char(c)
            }
        };
        Some(Self { code, modifiers })
    }

    /// The character that the key types, if it types one.
    pub fn typed(self) -> Option<char> {
        match self.code {
            KeyCode::Char(c) if self.modifiers.is_empty() => Some(c),
            _ => None,
        }
    }
}

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

/// The table, read once, and the keys of a sequence that was begun.
#[derive(Debug)]
pub struct Keymap {
    sequences: Vec<(Scope, Vec<Chord>, Action)>,
    pending: Vec<Chord>,
}

impl Default for Keymap {
    fn default() -> Self {
        let keys = BINDINGS
            .iter()
            .flat_map(|b| b.keys.iter().map(move |keys| (b, keys)));
        let sequences = keys
            .filter_map(|(b, keys)| {
                let chords: Option<Vec<_>> = keys.split(' ').map(Chord::parse).collect();
                Some((b.scope, chords?, b.action))
            })
            .collect();
        Self {
            sequences,
            pending: Vec::new(),
        }
    }
}

impl Keymap {
    /// Looks a key up in `scopes`, the first one first.
    pub fn press(&mut self, chord: Chord, scopes: &[Scope]) -> Found {
        self.pending.push(chord);
        let found = self.find(scopes);
        if found == Found::Nothing && self.pending.len() > 1 {
            // The sequence came to nothing: its last key counts by itself.
            self.pending = vec![chord];
            return self.press_alone(scopes);
        }
        if found != Found::Prefix {
            self.pending.clear();
        }
        found
    }

    fn press_alone(&mut self, scopes: &[Scope]) -> Found {
        let found = self.find(scopes);
        if found != Found::Prefix {
            self.pending.clear();
        }
        found
    }

    fn find(&self, scopes: &[Scope]) -> Found {
        let keys = self.pending.as_slice();
        let in_scope = |scope: Scope| self.sequences.iter().filter(move |(s, ..)| *s == scope);
        for &scope in scopes {
            if let Some((.., action)) = in_scope(scope).find(|(_, k, _)| k == keys) {
                return Found::Action(*action);
            }
        }
        let begins = |scope: &Scope| in_scope(*scope).any(|(_, k, _)| k.starts_with(keys));
        if scopes.iter().any(begins) {
            Found::Prefix
        } else {
            Found::Nothing
        }
    }
}

/// The hints for `scopes`, in the order of the bar: key, label, weight.
pub fn hints(scopes: &[Scope]) -> Vec<(&'static str, Hint)> {
    let mut hints: Vec<_> = BINDINGS
        .iter()
        .filter(|b| scopes.contains(&b.scope))
        .filter_map(|b| Some((shown(b.keys[0]), b.hint?)))
        .collect();
    hints.sort_by_key(|(_, hint)| hint.place);
    hints
}

/// A key's name as people see it: arrows as arrows, sequences without spaces.
pub fn shown(key: &'static str) -> &'static str {
    match key {
        "Up" => "↑",
        "Down" => "↓",
        "Left" => "←",
        "Right" => "→",
        "g g" => "gg",
        other => other,
    }
}
