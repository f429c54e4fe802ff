//! The help screen: every key and command of this dashboard, found by typing.

use super::{
    command::{Spec, commands},
    cursor::{Cursor, Motion},
    keymap::{Binding, Keymap, Scope},
};

/// A line of the help screen.
#[derive(Clone)]
pub enum Item {
    /// A heading.
    Heading(&'static str),
    /// Keys, as people see them.
    Keys(&'static Binding, String),
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
            Self::Keys(_, keys) => keys.clone(),
            Self::Command(spec) => format!(":{} {}", spec.name, spec.usage)
                .trim_end()
                .to_owned(),
        }
    }

    /// What it does.
    pub fn right(&self) -> &'static str {
        match self {
            Self::Heading(_) => "",
            Self::Keys(binding, _) => binding.help,
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
    /// Everything, by section.
    all: Vec<(&'static str, Vec<Item>)>,
}

impl Help {
    /// All keys and commands of one dashboard, first those that mean something `here`.
    pub fn new(connect: bool, here: &[Scope], keymap: &Keymap) -> Self {
        let keys = |scope: &Scope| {
            let rows = keymap.rows(*scope).filter(|(_, keys)| !keys.is_empty());
            let items = rows.map(|(binding, keys)| Item::Keys(binding, keys));
            (scope.word(), items.collect())
        };
        let mut scopes = scopes(connect).to_vec();
        scopes.sort_by_key(|scope| match scope {
            Scope::List => 1,
            Scope::Everywhere => 2,
            scope if here.contains(scope) => 0,
            _ => 3,
        });
        let mut all: Vec<_> = scopes.iter().map(keys).collect();
        all.push(("commands", commands(connect).map(Item::Command).collect()));
        let mut help = Self {
            query: String::new(),
            items: Vec::new(),
            cursor: Cursor::default(),
            all,
        };
        help.search();
        help
    }

    /// Finds the lines that hold what was typed.
    pub fn search(&mut self) {
        let query = self.query.to_lowercase();
        let fits = |item: &&Item| {
            item.left().to_lowercase().contains(&query)
                || item.right().to_lowercase().contains(&query)
        };
        self.items.clear();
        for (heading, items) in &self.all {
            let found: Vec<_> = items.iter().filter(fits).cloned().collect();
            if !found.is_empty() {
                self.items.push(Item::Heading(heading));
                self.items.extend(found);
            }
        }
        self.apply(Motion::Top);
    }

    /// Moves the cursor, past headings.
    pub fn apply(&mut self, motion: Motion) {
        let len = self.items.len();
        self.cursor.apply(motion, len);
        let upwards = matches!(motion, Motion::Up | Motion::PageUp | Motion::HalfUp);
        if self.on_heading() {
            let on = if upwards { Motion::Up } else { Motion::Down };
            self.cursor.apply(on, len);
        }
        // The topmost line is one.
        if self.on_heading() {
            self.cursor.apply(Motion::Down, len);
        }
    }

    fn on_heading(&self) -> bool {
        matches!(self.items.get(self.cursor.at()), Some(Item::Heading(_)))
    }

    /// The line under the cursor.
    pub fn current(&self) -> Option<Item> {
        self.items.get(self.cursor.at()).cloned()
    }
}

fn scopes(connect: bool) -> &'static [Scope] {
    use Scope::{
        Clients, Connect, Directory, Everywhere, List, Log, Prompt, Remote, Serve, Transfers,
    };
    if connect {
        &[
            Remote, Directory, Connect, Transfers, List, Everywhere, Log, Prompt,
        ]
    } else {
        &[Clients, Serve, Directory, List, Everywhere, Log, Prompt]
    }
}
