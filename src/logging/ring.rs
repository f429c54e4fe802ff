//! The last lines of the log, kept in memory for a dashboard.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::Level;

use crate::forms;

/// Lines that are kept; older ones are dropped. The file keeps them all.
pub const LINES: usize = 10_000;
/// Bytes of a line's text that are kept, so that a full ring stays near 10 MiB whatever a client sends.
const TEXT_MAX: usize = 1024;

/// A log line as a screen shows it. Its texts are escaped: they hold no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number since the start, from 1.
    pub seq: u64,
    /// When it was logged.
    pub time: Timestamp,
    /// How severe it is.
    #[serde(with = "forms::text")]
    pub level: Level,
    /// The client or path that it speaks of; empty where it speaks of haul itself.
    pub who: String,
    /// The message, and its other fields as `key=value`.
    pub text: String,
}

/// A cheap handle on the last [`LINES`] log lines. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Ring(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lines: Mutex<VecDeque<Line>>,
    generation: AtomicU64,
}

impl Ring {
    /// An empty ring.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of the newest line, 0 when there is none: as long as it stays, nothing new was logged.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// The kept lines after the one numbered `seq`, oldest first; `since(0)` gives all that are kept.
    pub fn since(&self, seq: u64) -> Vec<Line> {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let first = lines.partition_point(|line| line.seq <= seq);
        lines.range(first..).cloned().collect()
    }

    /// The same, the first `most` of them.
    pub fn some_since(&self, seq: u64, most: usize) -> Vec<Line> {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let first = lines.partition_point(|line| line.seq <= seq);
        lines.range(first..).take(most).cloned().collect()
    }

    /// Adds a line; its `seq` is given here.
    pub fn push(&self, mut line: Line) {
        line.who = shortened(line.who);
        line.text = shortened(line.text);
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        line.seq = self.0.generation.load(Ordering::Relaxed) + 1;
        self.0.generation.store(line.seq, Ordering::Release);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX).rfind(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line {
            seq: 0,
            time: Timestamp::UNIX_EPOCH,
            level: Level::INFO,
            who: String::new(),
            text: text.into(),
        }
    }

    #[test]
    fn a_reader_gets_what_came_since_it_looked() {
        let ring = Ring::new();
        assert_eq!((ring.generation(), ring.since(0).len()), (0, 0));
        ring.push(line("one"));
        ring.push(line("two"));
        let seen = ring.generation();
        ring.clone().push(line("three"));
        let new = ring.since(seen);
        assert_eq!(
            (new.len(), new[0].seq, new[0].text.as_str()),
            (1, 3, "three")
        );
        assert_eq!(ring.since(0).len(), 3);
        assert!(ring.since(u64::MAX).is_empty());
    }

    #[test]
    fn old_lines_make_room_and_long_ones_are_cut() {
        let ring = Ring::new();
        for n in 0..LINES + 5 {
            ring.push(line(&n.to_string()));
        }
        let kept = ring.since(0);
        assert_eq!((kept.len(), kept[0].text.as_str()), (LINES, "5"));
        ring.push(line(&"ä".repeat(TEXT_MAX)));
        let last = ring.since(ring.generation() - 1).remove(0);
        assert!(last.text.len() <= TEXT_MAX + '…'.len_utf8() && last.text.ends_with("ä…"));
    }
}
