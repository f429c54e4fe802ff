//! The last line of a download.

use std::time::Duration;

use crate::{
    client::{Client, kept_and_fetched},
    units,
};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With all that it had to do.
    Whole,
    /// Before that, by a signal; the same command begins afresh.
    Interrupted,
    /// The same, and the same command goes on from there.
    GoesOn,
}

impl Ended {
    /// By a signal or not.
    pub(super) fn of(client: &Client, interrupted: bool) -> Self {
        match interrupted {
            false => Self::Whole,
            true if client.can_be_gone_on_with() => Self::GoesOn,
            true => Self::Interrupted,
        }
    }
}

/// What became of the files so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// Complete under their final names, those that were here already among them.
    pub files: u64,
    /// Bytes of those that were fetched.
    pub bytes: u64,
    /// Bytes of those that came from files here which they replaced.
    pub kept: u64,
    /// Those that were here already.
    pub present: u64,
    /// Those of them whose content was not looked at.
    pub unread: u64,
    /// Files and directories that were removed, because the server does not have them any more.
    pub deleted: u64,
    /// Those that nothing vouches for.
    pub unverified: u64,
    /// Downloads that were cancelled: a tree is one.
    pub cancelled: u64,
}

/// `12 files, 3.00 GiB in 4.1 s, 750 MiB/s, all verified`.
pub(super) fn summary(
    tally: Tally,
    failed: u64,
    took: Duration,
    rate: u64,
    ended: Ended,
) -> String {
    let nothing = tally.files == 0 && tally.deleted == 0 && tally.cancelled == 0;
    if nothing && failed == 0 && ended == Ended::Whole {
        return format!("0 files: there is none there, in {}", units::took(took));
    }
    let plural = if tally.files == 1 { "" } else { "s" };
    let mut line = format!(
        "{} file{plural}, {} in {}",
        units::count(tally.files),
        units::size(tally.bytes),
        units::took(took)
    );
    let mut add = |part: String| {
        line.push_str(", ");
        line.push_str(&part);
    };
    if tally.bytes > 0 {
        add(units::rate(rate));
    }
    if tally.kept > 0 {
        let parts = kept_and_fetched(tally.kept, tally.bytes);
        add(parts.trim_start_matches(", ").to_owned());
    }
    if tally.present > 0 {
        let unread = match tally.unread {
            0 => String::new(),
            unread if unread == tally.present => " (not read)".into(),
            unread => format!(" ({} not read)", units::count(unread)),
        };
        add(format!(
            "{} here already{unread}",
            units::count(tally.present)
        ));
    }
    match tally {
        Tally { files: 0, .. } => {}
        Tally { unverified, .. } if unverified > 0 => {
            add(format!("{} unverified", units::count(unverified)));
        }
        Tally { files, unread, .. } if files == unread => {}
        Tally { unread: 0, .. } => add("all verified".into()),
        Tally { .. } => add("all others verified".into()),
    }
    if tally.deleted > 0 {
        add(format!("{} deleted", units::count(tally.deleted)));
    }
    if failed > 0 {
        add(format!("{} failed", units::count(failed)));
    }
    if tally.cancelled > 0 {
        add(format!("{} cancelled", units::count(tally.cancelled)));
    }
    match ended {
        Ended::Whole => {}
        Ended::Interrupted => add("interrupted".into()),
        Ended::GoesOn => add("interrupted: the same command goes on from here".into()),
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_nothing_vouches_for() {
        let took = Duration::from_millis(4100);
        let line = |tally: Tally, failed, ended| summary(tally, failed, took, 750 << 20, ended);
        let tally = Tally {
            files: 12,
            bytes: 3 << 30,
            ..Tally::default()
        };
        assert_eq!(
            line(tally, 0, Ended::Whole),
            "12 files, 3.00 GiB in 4.1 s, 750 MiB/s, all verified"
        );
        let unread = Tally {
            present: 5,
            unread: 4,
            ..tally
        };
        assert_eq!(
            line(unread, 0, Ended::Whole),
            "12 files, 3.00 GiB in 4.1 s, 750 MiB/s, 5 here already (4 not read), all others verified"
        );
        let unverified = Tally {
            unverified: 3,
            present: 1,
            ..tally
        };
        assert_eq!(
            line(unverified, 2, Ended::GoesOn),
            "12 files, 3.00 GiB in 4.1 s, 750 MiB/s, 1 here already, 3 unverified, 2 failed, interrupted: the same \
             command goes on from here"
        );
        assert_eq!(
            line(Tally::default(), 0, Ended::Interrupted),
            "0 files, 0 B in 4.1 s, interrupted"
        );
        assert_eq!(
            line(Tally::default(), 1, Ended::Whole),
            "0 files, 0 B in 4.1 s, 1 failed"
        );
        let cancelled = Tally {
            cancelled: 1,
            ..Tally::default()
        };
        assert_eq!(
            line(cancelled, 0, Ended::Whole),
            "0 files, 0 B in 4.1 s, 1 cancelled"
        );
        assert_eq!(
            line(Tally::default(), 0, Ended::Whole),
            "0 files: there is none there, in 4.1 s"
        );
    }
}
