//! The line at the bottom: readline keys, history, completions and the dimmed text that would complete it.

use super::{history::History, keymap::Edit, pane::Pane};

/// Characters that a line takes; more than any command needs.
const LENGTH_MAX: usize = 4096;

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A `:` command.
    Command,
    /// The text that shown rows of this pane hold; it takes effect while it is typed.
    Filter(Pane),
    /// The address of a server.
    Address,
    /// The user of a login that a server asks for.
    User,
    /// Its password; it is never shown and never remembered.
    Password,
}

/// One way to complete the word at the end of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What the line gets, quoted where it must be.
    pub insert: String,
    /// What the list shows, escaped.
    pub label: String,
    /// Beside it, in a column of its own: a client's address.
    pub about: String,
    /// At the right: a size, what a command does.
    pub note: String,
}

/// The completions of the last word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completions {
    /// Where in the line the word starts, in bytes.
    pub start: usize,
    /// The ways to complete it.
    pub items: Vec<Completion>,
    /// The one that Tab has put into the line.
    pub chosen: Option<usize>,
}

/// A line that is being typed.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// What for.
    pub kind: Kind,
    text: String,
    /// In bytes, at a character boundary.
    cursor: usize,
    cut: String,
    /// The line of history that is shown, counted from the newest, and what was typed before.
    recalled: Option<(usize, String)>,
    /// The search through older lines, if one is under way.
    search: Option<Search>,
    /// For the word at the end.
    pub completions: Completions,
}

/// A search through older lines: the line shows what it found.
#[derive(Debug, Clone)]
struct Search {
    query: String,
    /// Matches that were passed over.
    skip: usize,
    /// Whether nothing holds the query.
    failed: bool,
    /// The line before the search.
    before: String,
}

/// What a key came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The text changed.
    Changed,
    /// It did not, or only by a completion that was taken.
    Kept,
    /// Enter.
    Accepted,
    /// Esc.
    Cancelled,
}

impl Prompt {
    /// A line that holds `text`, with the cursor at its end.
    pub fn new(kind: Kind, text: &str) -> Self {
        Self {
            kind,
            text: text.to_owned(),
            cursor: text.len(),
            cut: String::new(),
            recalled: None,
            search: None,
            completions: Completions::default(),
        }
    }

    /// The line.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The cursor's place in bytes.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// What taking the first completion would add, while the cursor is at the end.
    pub fn ghost(&self) -> Option<&str> {
        let Completions {
            start,
            items,
            chosen,
        } = &self.completions;
        if chosen.is_some() || self.search.is_some() || self.cursor != self.text.len() {
            return None;
        }
        let typed = self.text.get(*start..)?;
        let rest = items.first()?.insert.strip_prefix(typed)?;
        (!typed.is_empty() && !rest.is_empty()).then_some(rest)
    }

    /// What is searched for in older lines, and whether nothing holds it; `None` while nothing is.
    pub fn search(&self) -> Option<(&str, bool)> {
        self.search
            .as_ref()
            .map(|search| (search.query.as_str(), search.failed))
    }

    /// Puts typed or pasted text in: into the line, or into the search. A newline becomes a space, as pasting never runs anything; other control
    /// characters are left out.
    pub fn insert(&mut self, text: &str, history: &History) {
        let room = LENGTH_MAX.saturating_sub(self.text.chars().count());
        let clean: String = text
            .replace("\r\n", "\n")
            .chars()
            .map(|c| {
                if matches!(c, '\n' | '\r' | '\t') {
                    ' '
                } else {
                    c
                }
            })
            .filter(|c| !c.is_control())
            .take(room)
            .collect();
        if let Some(search) = &mut self.search {
            search.query.push_str(&clean);
            search.skip = 0;
            self.find(history);
            return;
        }
        self.text.insert_str(self.cursor, &clean);
        self.cursor += clean.len();
    }

    /// Carries a key out.
    pub fn edit(&mut self, edit: Edit, history: &History) -> Outcome {
        if self.search.is_some() && self.edit_search(edit, history) {
            return Outcome::Kept;
        }
        match edit {
            Edit::Search if self.kind == Kind::Command => {
                self.search = Some(Search {
                    query: String::new(),
                    skip: 0,
                    failed: false,
                    before: self.text.clone(),
                });
                self.completions = Completions::default();
                return Outcome::Kept;
            }
            Edit::Search => return Outcome::Kept,
            Edit::Accept => return Outcome::Accepted,
            Edit::Cancel => return Outcome::Cancelled,
            Edit::Complete | Edit::CompleteBack => {
                self.complete(edit == Edit::Complete);
                return Outcome::Kept;
            }
            Edit::Right | Edit::End if self.ghost().is_some() => {
                let ghost = self.ghost().unwrap_or_default().to_owned();
                self.text.push_str(&ghost);
                self.cursor = self.text.len();
            }
            Edit::Left => self.cursor = self.before(),
            Edit::Right => self.cursor = self.after(),
            Edit::WordLeft => self.cursor = self.word_before(),
            Edit::WordRight => self.cursor = self.word_after(),
            Edit::Start => self.cursor = 0,
            Edit::End => self.cursor = self.text.len(),
            Edit::DeleteLeft if self.text.is_empty() => return Outcome::Cancelled,
            Edit::DeleteLeft => {
                self.remove(self.before()..self.cursor);
            }
            Edit::DeleteRight => {
                self.remove(self.cursor..self.after());
            }
            Edit::CutWord => self.cut = self.remove(self.word_before()..self.cursor),
            Edit::CutWordRight => self.cut = self.remove(self.cursor..self.word_after()),
            Edit::CutToStart => self.cut = self.remove(0..self.cursor),
            Edit::CutToEnd => self.cut = self.remove(self.cursor..self.text.len()),
            Edit::Paste => self.insert(&self.cut.clone(), history),
            Edit::Older | Edit::Newer if self.kind != Kind::Command => return Outcome::Kept,
            Edit::Older => self.recall(history, true),
            Edit::Newer => self.recall(history, false),
        }
        Outcome::Changed
    }

    /// A key within a search: whether it was one for the search. Every other one takes what was found.
    fn edit_search(&mut self, edit: Edit, history: &History) -> bool {
        let Some(search) = &mut self.search else {
            return false;
        };
        match edit {
            Edit::Search => search.skip += 1,
            Edit::DeleteLeft => {
                search.query.pop();
                search.skip = 0;
            }
            Edit::Cancel => {
                self.text = std::mem::take(&mut search.before);
                self.cursor = self.text.len();
                self.search = None;
                return true;
            }
            _ => {
                self.search = None;
                return false;
            }
        }
        self.find(history);
        true
    }

    /// Shows the line that the search finds.
    fn find(&mut self, history: &History) {
        let Some(search) = &mut self.search else {
            return;
        };
        if let Some(line) = history.find(&search.query, search.skip) {
            line.clone_into(&mut self.text);
            self.cursor = self.text.len();
            search.failed = false;
        } else {
            // There is none before this one: it stays.
            search.failed = search.skip == 0;
            search.skip = search.skip.saturating_sub(1);
        }
    }

    fn remove(&mut self, range: std::ops::Range<usize>) -> String {
        self.cursor = range.start;
        self.text.drain(range).collect()
    }

    fn before(&self) -> usize {
        let left = &self.text[..self.cursor];
        left.char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let right = &self.text[self.cursor..];
        right
            .chars()
            .next()
            .map_or(self.cursor, |c| self.cursor + c.len_utf8())
    }

    fn word_before(&self) -> usize {
        let left = self.text[..self.cursor].trim_end();
        left.rfind(' ').map_or(0, |at| at + 1)
    }

    fn word_after(&self) -> usize {
        let right = &self.text[self.cursor..];
        let blank = right.len() - right.trim_start().len();
        let word = &right[blank..];
        self.cursor + blank + word.find(' ').unwrap_or(word.len())
    }

    /// Puts the next completion into the line, in place of the last word.
    fn complete(&mut self, forward: bool) {
        let count = self.completions.items.len();
        if count == 0 || self.completions.start > self.text.len() {
            return;
        }
        let next = match (self.completions.chosen, forward) {
            (None, true) => 0,
            (None, false) => count - 1,
            (Some(at), true) => (at + 1) % count,
            (Some(at), false) => (at + count - 1) % count,
        };
        self.text.truncate(self.completions.start);
        self.text.push_str(&self.completions.items[next].insert);
        self.cursor = self.text.len();
        self.completions.chosen = Some(next);
    }

    fn recall(&mut self, history: &History, older: bool) {
        let next = match (&self.recalled, older) {
            (None, true) => 0,
            (None, false) => return,
            (Some((at, _)), true) => at + 1,
            (Some((0, _)), false) => {
                if let Some((_, typed)) = self.recalled.take() {
                    self.cursor = typed.len();
                    self.text = typed;
                }
                return;
            }
            (Some((at, _)), false) => at - 1,
        };
        let Some(line) = history.nth_newest(next) else {
            return;
        };
        let typed = match self.recalled.take() {
            Some((_, typed)) => typed,
            None => std::mem::take(&mut self.text),
        };
        line.clone_into(&mut self.text);
        self.cursor = self.text.len();
        self.recalled = Some((next, typed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Prompt {
        Prompt::new(Kind::Command, text)
    }

    #[test]
    fn readline_keys_edit_the_line() {
        let (mut p, none) = (typed("get one two"), History::default());
        p.edit(Edit::CutWord, &none);
        assert_eq!(p.text(), "get one ");
        p.edit(Edit::WordLeft, &none);
        p.edit(Edit::Paste, &none);
        assert_eq!((p.text(), p.cursor()), ("get twoone ", 7));
        p.edit(Edit::CutToEnd, &none);
        p.edit(Edit::Start, &none);
        p.edit(Edit::DeleteRight, &none);
        assert_eq!(p.text(), "et two");
        assert_eq!(typed("").edit(Edit::DeleteLeft, &none), Outcome::Cancelled);
    }

    #[test]
    fn a_wide_character_is_one_step() {
        let (mut p, none) = (typed("日本"), History::default());
        p.edit(Edit::Left, &none);
        p.edit(Edit::DeleteLeft, &none);
        assert_eq!((p.text(), p.cursor()), ("本", 0));
    }

    #[test]
    fn pasting_never_runs_anything() {
        let mut p = typed("get ");
        p.insert("a\r\nb\x1b[2J\u{9b}\n", &History::default());
        assert_eq!(p.text(), "get a b[2J ");
    }

    #[test]
    fn history_comes_back_and_the_typed_line_too() {
        let mut history = History::default();
        history.push("ls");
        history.push("cd a");
        history.push("cd a");
        let mut p = typed("ge");
        p.edit(Edit::Older, &history);
        assert_eq!(p.text(), "cd a");
        p.edit(Edit::Older, &history);
        p.edit(Edit::Older, &history);
        assert_eq!(p.text(), "ls");
        p.edit(Edit::Newer, &history);
        p.edit(Edit::Newer, &history);
        assert_eq!(p.text(), "ge");
    }

    #[test]
    fn tab_cycles_and_the_ghost_is_taken() {
        let none = History::default();
        let item = |text: &str| Completion {
            insert: text.into(),
            label: text.into(),
            about: String::new(),
            note: String::new(),
        };
        let mut p = typed("get de");
        p.completions = Completions {
            start: 4,
            items: vec![item("debian"), item("demo")],
            chosen: None,
        };
        assert_eq!(p.ghost(), Some("bian"));
        let mut taken = p.clone();
        taken.edit(Edit::Right, &none);
        assert_eq!(taken.text(), "get debian");
        p.edit(Edit::Complete, &none);
        p.edit(Edit::Complete, &none);
        assert_eq!(p.text(), "get demo");
        p.edit(Edit::Complete, &none);
        assert_eq!(p.text(), "get debian");
    }

    #[test]
    fn a_search_shows_what_it_finds_and_gives_the_line_back() {
        let mut history = History::default();
        for line in ["get a.iso", "limit 1M", "get b.iso"] {
            history.push(line);
        }
        let mut p = typed("lcd x");
        p.edit(Edit::Search, &history);
        p.insert("get", &history);
        assert_eq!((p.text(), p.search()), ("get b.iso", Some(("get", false))));
        p.edit(Edit::Search, &history);
        assert_eq!(p.text(), "get a.iso");
        p.edit(Edit::Search, &history);
        assert_eq!(p.text(), "get a.iso", "there is none before it");
        p.insert("zzz", &history);
        assert_eq!(p.search(), Some(("getzzz", true)));
        assert_eq!(p.edit(Edit::Cancel, &history), Outcome::Kept);
        assert_eq!((p.text(), p.search()), ("lcd x", None));
        p.edit(Edit::Search, &history);
        p.insert("1M", &history);
        assert_eq!(p.edit(Edit::Accept, &history), Outcome::Accepted);
        assert_eq!(p.text(), "limit 1M");
    }
}
