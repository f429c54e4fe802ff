//! The log pane: the lines that are kept, those that are shown of them, and where the window stands.

use std::collections::VecDeque;

use tracing::Level;

use super::{
    cursor::{Cursor, Motion},
    listing::holds,
};
use crate::logging::{Line, ring::LINES};

/// The log as the pane sees it.
#[derive(Debug)]
pub struct LogView {
    lines: VecDeque<Line>,
    /// The numbers of the lines that are shown.
    shown: VecDeque<u64>,
    level: Level,
    filter: String,
    cursor: Cursor,
    /// Whether the window moves with new lines.
    pub follow: bool,
    /// Whether long lines are wrapped rather than cut.
    pub wrap: bool,
}

impl Default for LogView {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            shown: VecDeque::new(),
            level: Level::INFO,
            filter: String::new(),
            cursor: Cursor::default(),
            follow: true,
            wrap: false,
        }
    }
}

/// Levels from the fewest lines to the most.
const LEVELS: [Level; 5] = [
    Level::ERROR,
    Level::WARN,
    Level::INFO,
    Level::DEBUG,
    Level::TRACE,
];

/// The word for a level in titles and in `:log`.
pub fn level_word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        _ => "trace",
    }
}

impl LogView {
    /// Takes new lines.
    pub fn extend(&mut self, lines: Vec<Line>) {
        for line in lines {
            if self.lines.len() == LINES
                && let Some(old) = self.lines.pop_front()
                && self.shown.front() == Some(&old.seq)
            {
                self.shown.pop_front();
                // The rows moved up by one under the cursor.
                self.cursor
                    .go(self.cursor.at().saturating_sub(1), self.shown.len());
            }
            if self.is_shown(&line) {
                self.shown.push_back(line.seq);
            }
            self.lines.push_back(line);
        }
        self.settle();
    }

    fn is_shown(&self, line: &Line) -> bool {
        let exact = self.filter.chars().any(char::is_uppercase);
        line.level <= self.level
            && (holds(line.text.as_bytes(), &self.filter, exact)
                || holds(line.who.as_bytes(), &self.filter, exact))
    }

    fn choose_again(&mut self) {
        self.shown = self
            .lines
            .iter()
            .filter(|line| self.is_shown(line))
            .map(|line| line.seq)
            .collect();
        self.settle();
    }

    fn settle(&mut self) {
        let len = self.shown.len();
        let at = if self.follow { len } else { self.cursor.at() };
        self.cursor.go(at, len);
    }

    /// The least severe level that is shown.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Shows lines from `level` up.
    pub fn set_level(&mut self, level: Level) {
        self.level = level;
        self.choose_again();
    }

    /// One level more (`more`) or less.
    pub fn step_level(&mut self, more: bool) {
        let at = LEVELS.iter().position(|l| *l == self.level).unwrap_or(2);
        let at = if more {
            (at + 1).min(LEVELS.len() - 1)
        } else {
            at.saturating_sub(1)
        };
        self.set_level(LEVELS[at]);
    }

    /// The text that shown lines hold.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Shows only lines that hold `filter`.
    pub fn set_filter(&mut self, filter: &str) {
        filter.clone_into(&mut self.filter);
        self.choose_again();
    }

    /// Lines that are shown, and lines that there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.shown.len(), self.lines.len())
    }

    /// The cursor; its row is the last one while following.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The `index`th shown line.
    pub fn line(&self, index: usize) -> Option<&Line> {
        self.numbered(*self.shown.get(index)?)
    }

    /// The line of that number, while it is kept.
    pub fn numbered(&self, seq: u64) -> Option<&Line> {
        let at = self
            .lines
            .binary_search_by_key(&seq, |line| line.seq)
            .ok()?;
        self.lines.get(at)
    }

    /// Moves; reaching the last line follows again, leaving it stops following.
    pub fn apply(&mut self, motion: Motion) {
        self.cursor.apply(motion, self.shown.len());
        self.follow = self.cursor.at() + 1 >= self.shown.len();
    }

    /// Moves the window.
    pub fn scroll(&mut self, by: isize) {
        self.cursor.scroll(by, self.shown.len());
        self.follow = self.cursor.window(self.shown.len()).end >= self.shown.len() && by > 0;
        self.settle();
    }

    /// Stands on a row.
    pub fn go(&mut self, row: usize) {
        self.cursor.go(row, self.shown.len());
        self.follow = self.cursor.at() + 1 >= self.shown.len();
    }

    /// Follows new lines, or stops.
    pub fn toggle_follow(&mut self) {
        self.follow = !self.follow;
        self.settle();
    }

    /// Tells how many rows the window has.
    pub fn set_page(&mut self, rows: usize) {
        self.cursor.set_page(rows, self.shown.len());
        self.settle();
    }
}
