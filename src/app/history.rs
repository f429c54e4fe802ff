//! The commands that were run, in this run and in earlier ones.

/// Lines of history that are kept.
pub const HISTORY_MAX: usize = 500;

/// The commands that were run, oldest first.
#[derive(Debug, Default)]
pub struct History(Vec<String>);

impl History {
    /// What earlier runs left, oldest first.
    pub fn new(mut lines: Vec<String>) -> Self {
        lines.drain(..lines.len().saturating_sub(HISTORY_MAX));
        lines.dedup();
        Self(lines)
    }

    /// Adds a line, unless it is the newest one again; whether it was added.
    pub fn push(&mut self, line: &str) -> bool {
        if self.0.last().is_some_and(|last| last == line) {
            return false;
        }
        if self.0.len() == HISTORY_MAX {
            self.0.remove(0);
        }
        self.0.push(line.to_owned());
        true
    }

    pub(super) fn nth_newest(&self, n: usize) -> Option<&str> {
        let at = self.0.len().checked_sub(n + 1)?;
        Some(&self.0[at])
    }

    /// The newest line that holds `query`, after `skip` others; a line that was run often counts once.
    pub(super) fn find(&self, query: &str, skip: usize) -> Option<&str> {
        let mut found: Vec<&str> = Vec::new();
        for line in self.0.iter().rev().filter(|line| line.contains(query)) {
            if found.contains(&line.as_str()) {
                continue;
            }
            if found.len() == skip {
                return Some(line);
            }
            found.push(line);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_goes_back_through_different_lines() {
        let mut history = History::new(vec!["get a".into(), "cd b".into(), "get c".into()]);
        assert!(history.push("get a"));
        assert!(!history.push("get a"), "not twice in a row");
        assert_eq!(history.find("get", 0), Some("get a"));
        assert_eq!(history.find("get", 1), Some("get c"));
        assert_eq!(history.find("get", 2), None);
        assert_eq!(history.find("", 1), Some("get c"));
    }

    #[test]
    fn the_newest_lines_are_kept() {
        let lines = (0..HISTORY_MAX + 10).map(|n| n.to_string()).collect();
        let mut history = History::new(lines);
        history.push("last");
        assert_eq!(history.nth_newest(0), Some("last"));
        assert_eq!(history.nth_newest(HISTORY_MAX - 1), Some("11"));
        assert_eq!(history.nth_newest(HISTORY_MAX), None);
    }
}
