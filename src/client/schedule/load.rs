//! How much is asked of a server that says that it is asked too much.
//!
//! A refusal that speaks of load (429, 503) halves the connections that may be open and doubles the time between
//! requests; answers take both back step by step (additive increase, multiplicative decrease). Servers that count
//! requests or connections are so asked for about what they allow, without knowing their rule.

use std::time::{Duration, Instant};

/// The time between two requests after the first refusal, and the longest.
const GAP_FIRST: Duration = Duration::from_millis(50);
const GAP_MAX: Duration = Duration::from_secs(2);
/// A gap below this is none.
const GAP_MIN: Duration = Duration::from_millis(4);
/// The pause of a server that fails inside whatever it is asked for.
const FAILING_REST: Duration = Duration::from_millis(400);
/// Answers after which another connection may be opened.
const ANSWERS_FOR_ONE: u32 = 16;

/// What one server bears.
#[derive(Debug)]
pub struct Load {
    /// Nothing is asked before that: the server named a time.
    rests_until: Option<Instant>,
    /// Time between requests; `None` where the server bears what it gets.
    gap: Option<Duration>,
    next: Option<Instant>,
    /// Most connections.
    window: usize,
    answers: u32,
    /// Refusals in a row, without an answer between them, and when the last one was noted.
    refusals: u32,
    noted: Option<Instant>,
    /// When it failed inside last, without an answer since then.
    failed: Option<Instant>,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            rests_until: None,
            gap: None,
            next: None,
            window: usize::MAX,
            answers: 0,
            refusals: 0,
            noted: None,
            failed: None,
        }
    }
}

impl Load {
    /// The server refused a request that was sent at `asked`, with `open` connections, and wants to be left alone for
    /// `rest`.
    pub fn refused(&mut self, asked: Instant, now: Instant, open: usize, rest: Option<Duration>) {
        if let Some(rest) = rest {
            let until = now + rest;
            self.rests_until = Some(self.rests_until.map_or(until, |before| before.max(until)));
        }
        // What was under way when the last refusal came tells nothing new.
        if self.noted.is_none_or(|noted| asked > noted) {
            self.noted = Some(now);
            self.refusals += 1;
            self.answers = 0;
            self.window = (open.min(self.window) / 2).max(1);
            let gap = self.gap.map_or(GAP_FIRST, |gap| (gap * 2).min(GAP_MAX));
            self.gap = Some(gap);
            self.next = Some(now + gap);
        }
    }

    /// A request that was sent at `asked` failed inside the server, which says nothing of load. One such failure is its file's; those
    /// that follow it without an answer between hold all up for a moment, so that many files ask no broken server at every turn.
    pub fn failed(&mut self, asked: Instant, now: Instant) {
        if self.failed.is_none_or(|failed| asked > failed) && self.failed.replace(now).is_some() {
            let rested = now + FAILING_REST;
            self.next = Some(self.next.map_or(rested, |next| next.max(rested)));
        }
    }

    /// Refusals in a row, without an answer between them.
    pub fn refusals(&self) -> u32 {
        self.refusals
    }

    /// A file failed for them: the next one has as many tries.
    pub fn forgive(&mut self) {
        self.refusals = 0;
    }

    /// The server answered.
    pub fn answered(&mut self) {
        self.refusals = 0;
        let failed = self.failed.take().is_some();
        let Some(gap) = self.gap else {
            if failed {
                self.next = None;
            }
            return;
        };
        self.answers += 1;
        if self.answers.is_multiple_of(ANSWERS_FOR_ONE) {
            self.window = self.window.saturating_add(1);
        }
        let gap = gap * 15 / 16;
        self.gap = (gap > GAP_MIN).then_some(gap);
        if self.gap.is_none() {
            (self.next, self.window) = (None, usize::MAX);
        }
    }

    /// Until when nothing may be asked; `None` where it may be now.
    pub fn wait(&self, now: Instant) -> Option<Instant> {
        let waits = [self.rests_until, self.next].into_iter().flatten();
        waits.filter(|until| *until > now).max()
    }

    /// Until when the server wants to be left alone.
    pub fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.rests_until.filter(|until| *until > now)
    }

    /// A request is sent.
    pub fn asked(&mut self, now: Instant) {
        if let Some(gap) = self.gap {
            self.next = Some(now + gap);
        }
    }

    /// Whether requests are spread over time, and none is sent ahead of an answer.
    pub fn is_paced(&self) -> bool {
        self.gap.is_some()
    }

    /// Most connections that the server bears.
    pub fn window(&self) -> usize {
        self.window
    }

    /// The user is impatient.
    pub fn hurry(&mut self) {
        (self.rests_until, self.next) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_server_that_fails_whatever_it_is_asked_for_has_pauses() {
        let (mut load, start) = (Load::default(), Instant::now());
        load.failed(start, start + MS);
        // What was under way at that moment, and the first of a row, are their files' own.
        load.failed(start, start + 2 * MS);
        load.failed(start + MS, start + 2 * MS);
        assert_eq!(load.wait(start + 2 * MS), None);
        let again = start + 10 * MS;
        load.failed(again, again + MS);
        assert_eq!(load.wait(again + MS), Some(again + MS + FAILING_REST));
        assert!(!load.is_paced() && load.refusals() == 0);
        load.answered();
        assert_eq!(load.wait(again + MS), None);
        load.failed(again + 2 * MS, again + 3 * MS);
        assert_eq!(load.wait(again + 3 * MS), None);
    }

    #[test]
    fn a_refusal_halves_the_connections_and_doubles_the_gap() {
        let start = Instant::now();
        let mut load = Load::default();
        assert_eq!((load.window(), load.refusals()), (usize::MAX, 0));
        assert!(load.wait(start).is_none() && !load.is_paced());
        load.refused(start, start, 8, None);
        assert_eq!((load.window(), load.refusals()), (4, 1));
        assert!(load.is_paced() && load.rests_until(start).is_none());
        assert_eq!(load.wait(start), Some(start + GAP_FIRST));
        assert_eq!(load.wait(start + GAP_FIRST), None);
        // It was on its way when the first came.
        load.refused(start, start + MS, 8, None);
        assert_eq!((load.window(), load.refusals()), (4, 1));
        let mut now = start;
        for (open, window, gap) in [(10, 2, 100), (1, 1, 200), (1, 1, 400), (1, 1, 800)] {
            now += MS;
            load.refused(now, now, open, None);
            assert_eq!(load.window(), window);
            assert_eq!(load.wait(now), Some(now + gap * MS));
        }
        for gap in [1600, 2000, 2000] {
            now += MS;
            load.refused(now, now, 1, None);
            assert_eq!(load.wait(now), Some(now + gap * MS));
        }
        assert_eq!(load.refusals(), 8);
        load.hurry();
        assert!(load.wait(now).is_none() && load.is_paced());
        load.asked(now);
        assert_eq!(load.wait(now), Some(now + GAP_MAX));
    }

    #[test]
    fn a_time_that_the_server_names_is_kept() {
        let now = Instant::now();
        let mut load = Load::default();
        let second = Duration::from_secs(1);
        load.refused(now, now, 1, Some(3 * second));
        load.refused(now, now, 1, Some(second));
        assert_eq!(load.rests_until(now), Some(now + 3 * second));
        assert_eq!(load.wait(now), Some(now + 3 * second));
        assert_eq!(load.wait(now + 3 * second), None);
        assert_eq!(load.rests_until(now + 3 * second), None);
        load.hurry();
        assert_eq!(load.rests_until(now), None);
    }

    #[test]
    fn answers_take_both_back() {
        let now = Instant::now();
        let mut load = Load::default();
        load.answered();
        load.asked(now);
        assert_eq!(load.wait(now), None);
        load.refused(now, now, 8, None);
        // 50 ms times 15/16 to the 40th are less than 4.
        for answer in 1..40 {
            load.answered();
            assert_eq!(load.window(), 4 + answer / 16, "{answer}");
            assert!(load.is_paced() && load.refusals() == 0);
        }
        load.answered();
        assert!(!load.is_paced() && load.wait(now).is_none());
        assert_eq!(load.window(), usize::MAX);
        // The gap ends where it is not above its least.
        load.gap = Some(Duration::from_nanos(4_266_667));
        load.answered();
        assert!(!load.is_paced());
        // What was answered before a refusal opens no connection after it.
        load.refused(now + MS, now + MS, 8, None);
        (0..15).for_each(|_| load.answered());
        load.refused(now + 2 * MS, now + 2 * MS, 8, None);
        (0..15).for_each(|_| load.answered());
        assert_eq!(load.window(), 2);
        load.answered();
        assert_eq!(load.window(), 3);
    }
}
