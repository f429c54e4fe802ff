//! When the user is called back: once in each run of the queue, when it ends or first fails, if he has left meanwhile.

use std::time::{Duration, Instant};

use super::{State, View, effect::Effect, transfers::Counts};

/// Who waits for less is still there.
const LONG: Duration = Duration::from_secs(20);

/// What is known of the run of the queue, and of whoever watches it.
#[derive(Debug, Default)]
pub(super) struct Caller {
    /// Whether the terminal has told that it has lost the focus. One that tells nothing counts as looked at.
    away: bool,
    run: Option<Run>,
}

/// From the first transfer that is under way until there is none.
#[derive(Debug)]
struct Run {
    since: Instant,
    /// What had ended when it began.
    done: usize,
    failed: usize,
    /// Failures so far.
    seen: usize,
    told: bool,
}

impl Caller {
    pub(super) fn focus(&mut self, gained: bool) {
        self.away = !gained;
    }

    /// Takes the counts of the moment; the text to call with, if it is time to.
    fn look(&mut self, now: Instant, counts: Counts) -> Option<String> {
        let busy = counts.active + counts.queued;
        if busy > 0 && self.run.is_none() {
            self.run = Some(Run {
                since: now,
                done: counts.done,
                failed: counts.failed,
                seen: counts.failed,
                told: false,
            });
        }
        let run = self.run.as_mut()?;
        let failed = counts.failed > run.seen;
        run.seen = counts.failed;
        // What is cleared away or tried again meanwhile is no longer counted.
        let done = counts.done.saturating_sub(run.done);
        let fails = counts.failed.saturating_sub(run.failed);
        let calls = self.away && !run.told && now.saturating_duration_since(run.since) >= LONG;
        if busy == 0 {
            self.run = None;
            // A run that was paused or cancelled as a whole is whose work it is.
            return (calls && done + fails > 0).then(|| match fails {
                0 => format!("{done} done"),
                fails => format!("{done} done, {fails} failed"),
            });
        }
        if !calls || !failed {
            return None;
        }
        run.told = true;
        Some(format!("{fails} failed, {busy} to go"))
    }
}

impl State {
    /// Looks whether the user is to be called.
    pub(super) fn call(&mut self) -> Option<Effect> {
        let (View::Connect(view), Some(now)) = (&self.view, self.now) else {
            return None;
        };
        let text = self.caller.look(now, view.counts())?;
        let host = view.url.as_ref().and_then(|url| url.host_str());
        Some(Effect::Notify(match host {
            Some(host) => format!("{host}: {text}"),
            None => text,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `active` transfers, and so many that ended.
    fn counts(active: usize, done: usize, failed: usize) -> Counts {
        Counts {
            active,
            failed,
            done,
            ..Counts::default()
        }
    }

    /// What is told at each moment, in seconds since the beginning.
    fn told(away: bool, moments: &[(u64, Counts)]) -> Vec<Option<String>> {
        let (mut caller, begin) = (Caller::default(), Instant::now());
        caller.focus(!away);
        let look =
            |(at, counts): &(u64, Counts)| caller.look(begin + Duration::from_secs(*at), *counts);
        moments.iter().map(look).collect()
    }

    #[test]
    fn the_end_of_a_long_run_is_told_once_to_who_has_left() {
        let run = [
            (0, counts(0, 1, 0)),
            (1, counts(2, 1, 0)),
            (15, counts(1, 2, 0)),
            (21, counts(0, 3, 0)),
            (22, counts(0, 3, 0)),
        ];
        let end = Some("2 done".to_owned());
        assert_eq!(told(true, &run), [None, None, None, end, None]);
        assert_eq!(told(false, &run), [const { None }; 5]);
        // A second less.
        let short = [(1, counts(1, 0, 0)), (20, counts(0, 1, 0))];
        assert_eq!(told(true, &short), [None, None]);
    }

    #[test]
    fn the_first_failure_is_told_in_place_of_the_end() {
        let run = [
            (0, counts(3, 0, 0)),
            (5, counts(2, 0, 1)),
            (30, counts(1, 0, 2)),
            (31, counts(0, 1, 2)),
            (40, counts(1, 1, 2)),
            (70, counts(0, 1, 3)),
        ];
        let first = Some("2 failed, 1 to go".to_owned());
        let next = Some("0 done, 1 failed".to_owned());
        assert_eq!(told(true, &run), [None, None, first, None, None, next]);
    }

    #[test]
    fn what_the_user_ends_is_not_told_to_him() {
        let paused = Counts {
            paused: 1,
            ..Counts::default()
        };
        assert_eq!(
            told(true, &[(0, counts(1, 0, 0)), (30, paused)]),
            [None, None]
        );
    }

    #[test]
    fn a_terminal_that_tells_no_focus_is_looked_at() {
        let (mut caller, begin) = (Caller::default(), Instant::now());
        assert_eq!(caller.look(begin, counts(1, 0, 0)), None);
        assert_eq!(caller.look(begin + LONG, counts(0, 1, 0)), None);
    }
}
