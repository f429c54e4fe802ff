//! How many requests a server bears ahead of its answers.

/// Requests in flight on one connection at most. 64 hide a round trip of 20 ms at 3,000 files a second.
pub const DEPTH_MAX: usize = 64;

/// Requests in flight while it is not known whether the server answers what is sent ahead.
const TRIAL: usize = 2;

/// Refusals of what was sent ahead, and of nothing that was asked for alone, after which a server is asked one at a time.
const REFUSALS_MAX: u32 = 2;

/// How deep requests for small files are pipelined: one at a time until the server has kept a connection open, then
/// two, and once it has answered both, as many as it bears. What it once broke under is never tried again.
///
/// The two matter: a server that throws away what it read ahead, and then answers what comes later, would give one
/// file's bytes for another's. Of two requests in one packet it never answers the second.
#[derive(Debug)]
pub struct Depth {
    now: usize,
    max: usize,
    refusals: u32,
}

impl Default for Depth {
    fn default() -> Self {
        Self {
            now: 1,
            max: DEPTH_MAX,
            refusals: 0,
        }
    }
}

impl Depth {
    /// Requests that may be in flight on one connection.
    pub fn now(&self) -> usize {
        self.now
    }

    /// Whether the answers to what is in flight must be waited for before more is sent.
    pub fn is_trial(&self) -> bool {
        self.now == TRIAL
    }

    /// The server kept a connection open behind an answer.
    pub fn kept_open(&mut self) {
        if self.now == 1 {
            self.now = self.max.min(TRIAL);
        }
    }

    /// The server is known to answer what is sent ahead.
    pub fn proven(&mut self) {
        self.now = self.max;
    }

    /// A connection broke with requests sent ahead, after so many answers.
    pub fn lower(&mut self, answered: usize) {
        let fewer = answered.min(self.now / 2).max(1);
        self.max = self.max.min(fewer);
        self.now = self.now.min(fewer);
    }

    /// The server refused what was sent ahead, and may have done so for that alone.
    pub fn refused_ahead(&mut self) {
        self.refusals += 1;
        if self.refusals >= REFUSALS_MAX {
            self.lower(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_gets_as_many_requests_ahead_as_it_has_shown_to_bear() {
        let mut depth = Depth::default();
        assert_eq!((depth.now(), depth.is_trial()), (1, false));
        depth.kept_open();
        assert_eq!((depth.now(), depth.is_trial()), (2, true));
        depth.kept_open();
        assert_eq!(depth.now(), 2);
        depth.proven();
        assert_eq!((depth.now(), depth.is_trial()), (DEPTH_MAX, false));
        depth.kept_open();
        assert_eq!(depth.now(), DEPTH_MAX);
        // As many as it had answered, half of what was sent at most; never more again.
        depth.lower(10);
        assert_eq!(depth.now(), 10);
        depth.lower(100);
        assert_eq!(depth.now(), 5);
        depth.proven();
        assert_eq!(depth.now(), 5);
        depth.lower(0);
        assert_eq!(depth.now(), 1);
        depth.kept_open();
        assert_eq!(depth.now(), 1);
    }

    #[test]
    fn one_refusal_of_what_was_sent_ahead_says_nothing_yet() {
        let mut depth = Depth::default();
        depth.proven();
        depth.refused_ahead();
        assert_eq!(depth.now(), DEPTH_MAX);
        depth.refused_ahead();
        depth.proven();
        assert_eq!(depth.now(), 1);
    }
}
