//! How much the log tells of what somebody is refused: enough to see it, never as much as they ask for.

use std::{fmt, time::Duration, time::Instant};

/// Refused requests of one peer that the log warns of within a second.
const WARNINGS: u32 = 10;

/// What the log told of one peer's refused requests.
#[derive(Debug, Default)]
pub struct Warnings {
    /// When the second began in which refusals are counted, and how many were told in it.
    told: Option<(Instant, u32)>,
    /// How many were not.
    untold: u64,
}

impl Warnings {
    /// Whether one more is worth a warning, and how many were not since the last one that was.
    pub fn warns(&mut self, now: Instant) -> Option<u64> {
        let second = Duration::from_secs(1);
        let current = self
            .told
            .filter(|(began, _)| now.saturating_duration_since(*began) < second);
        let (began, told) = current.unwrap_or((now, 0));
        if told == WARNINGS {
            self.untold += 1;
            return None;
        }
        self.told = Some((began, told + 1));
        Some(std::mem::take(&mut self.untold))
    }
}

/// Logs that `client` was refused something, as [`Warnings::warns`] says.
pub fn tell(client: &str, warns: Option<u64>, what: fmt::Arguments<'_>) {
    match warns {
        None => tracing::debug!(client, "{what}"),
        Some(0) => tracing::warn!(client, "{what}"),
        Some(more) => tracing::warn!(
            client,
            "{what}, and {more} more were refused since the last such line"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_refusals_a_second_are_worth_a_warning_and_the_rest_is_counted() {
        let (mut warnings, start) = (Warnings::default(), Instant::now());
        let told: Vec<Option<u64>> = (0..100).map(|_| warnings.warns(start)).collect();
        assert_eq!(told.iter().flatten().count(), 10);
        assert_eq!(warnings.warns(start + Duration::from_secs(1)), Some(90));
        assert_eq!(warnings.warns(start + Duration::from_secs(1)), Some(0));
    }
}
