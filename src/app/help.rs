//! The help screen: every key and command of this dashboard, found by typing.

use super::{
    command::{COMMANDS, Side, Spec},
    cursor::Cursor,
    keymap::{BINDINGS, Binding, Scope, shown},
};

/// A line of the help screen.
#[derive(Clone, Copy)]
pub enum Item {
    /// A heading.
    Heading(&'static str),
    /// Keys.
    Keys(&'static Binding),
    /// A command.
    Command(&'static Spec),
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.left())
    }
}

impl Item {
    /// The keys or the command.
    pub fn left(&self) -> String {
        match self {
            Self::Heading(text) => (*text).to_owned(),
            Self::Keys(binding) => {
                let keys: Vec<_> = binding.keys.iter().map(|key| shown(key)).collect();
                keys.join(" ")
            }
            Self::Command(spec) => format!(":{} {}", spec.name, spec.usage)
                .trim_end()
                .to_owned(),
        }
    }

    /// What it does.
    pub fn right(&self) -> &'static str {
        match self {
            Self::Heading(_) => "",
            Self::Keys(binding) => binding.help,
            Self::Command(spec) => spec.help,
        }
    }
}

/// The help screen's state.
#[derive(Debug)]
pub struct Help {
    /// What was typed.
    pub query: String,
    /// Its lines.
    pub items: Vec<Item>,
    /// The current line.
    pub cursor: Cursor,
    connect: bool,
}

impl Help {
    /// All keys and commands of one dashboard.
    pub fn new(connect: bool) -> Self {
        let mut help = Self {
            query: String::new(),
            items: Vec::new(),
            cursor: Cursor::default(),
            connect,
        };
        help.search();
        help
    }

    /// Finds the lines that hold what was typed.
    pub fn search(&mut self) {
        let query = self.query.to_lowercase();
        let fits = |item: &Item| {
            item.left().to_lowercase().contains(&query)
                || item.right().to_lowercase().contains(&query)
        };
        self.items.clear();
        for scope in self.scopes() {
            let keys = BINDINGS
                .iter()
                .filter(|b| b.scope == *scope)
                .map(Item::Keys);
            self.items.extend(section(scope.word(), keys.filter(fits)));
        }
        let commands = COMMANDS
            .iter()
            .filter(|spec| self.connect || spec.side == Side::Both);
        let commands = commands.map(Item::Command).filter(fits);
        self.items.extend(section("commands", commands));
        // The first line that can be run, past its heading.
        self.cursor
            .go(usize::from(!self.query.is_empty()), self.items.len());
    }

    fn scopes(&self) -> &'static [Scope] {
        if self.connect {
            &[
                Scope::Everywhere,
                Scope::List,
                Scope::Directory,
                Scope::Remote,
                Scope::Connect,
                Scope::Log,
                Scope::Prompt,
            ]
        } else {
            &[
                Scope::Everywhere,
                Scope::List,
                Scope::Clients,
                Scope::Directory,
                Scope::Log,
                Scope::Prompt,
            ]
        }
    }

    /// The line under the cursor.
    pub fn current(&self) -> Option<Item> {
        self.items.get(self.cursor.at()).copied()
    }
}

/// A heading and its lines, if there are any.
fn section(heading: &'static str, items: impl Iterator<Item = Item>) -> Vec<Item> {
    let mut section: Vec<_> = std::iter::once(Item::Heading(heading))
        .chain(items)
        .collect();
    if section.len() == 1 {
        section.clear();
    }
    section
}
