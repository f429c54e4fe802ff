//! What a run that changes nothing tells.

use std::{collections::BTreeMap, time::Duration};

use super::summary::Ended;
use crate::{
    client::Action, escape::display_name, http1::path::RemotePath, logging::one_line, units,
};

/// How many files, and their bytes as far as they are known, for each that would be done.
#[derive(Debug, Default)]
pub(super) struct Would(BTreeMap<Action, (u64, u64)>);

impl Would {
    /// Counts one, and the line for it; what stays as it is has none.
    pub(super) fn line(
        &mut self,
        path: &RemotePath,
        action: Action,
        bytes: Option<u64>,
    ) -> Option<String> {
        let sum = self.0.entry(action).or_default();
        *sum = (sum.0 + 1, sum.1.saturating_add(bytes.unwrap_or(0)));
        if action == Action::Keep {
            return None;
        }
        let size = bytes.map_or_else(|| "-".to_owned(), units::size);
        let shown = display_name(path.as_bytes());
        let line = format!("{:<8} {size:>10}  {shown}", action.word());
        Some(one_line(&line).trim_end().to_owned())
    }

    /// `would fetch 3 (1.20 MiB), keep 99,997 (19.5 MiB), delete 2 (14 B), in 0.4 s: nothing was changed`.
    pub(super) fn summary(
        &self,
        failed: u64,
        cancelled: u64,
        took: Duration,
        ended: Ended,
    ) -> String {
        let part = |(action, (count, bytes)): (&Action, &(u64, u64))| {
            format!(
                "{} {} ({})",
                action.word(),
                units::count(*count),
                units::size(*bytes)
            )
        };
        let mut parts: Vec<_> = self.0.iter().map(part).collect();
        if parts.is_empty() {
            parts.push("do nothing".into());
        }
        if failed > 0 {
            parts.push(format!("{} failed", units::count(failed)));
        }
        if cancelled > 0 {
            parts.push(format!("{} cancelled", units::count(cancelled)));
        }
        if ended != Ended::Whole {
            parts.push("interrupted before all was listed".into());
        }
        let took = units::took(took);
        format!("would {}, in {took}: nothing was changed", parts.join(", "))
    }
}
