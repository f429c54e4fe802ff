//! What the system holds for a socket and has not sent.
//!
//! A full buffer takes nothing more until half of it is free again: of some MiB that may be a minute's reading for a slow
//! client, which would look as if it read nothing. To refill a small buffer costs twice the processor time. So little is
//! held at first, and then about as much as the client takes in a second.

use std::time::Duration;

use tokio::net::TcpStream;

/// Bytes that are held at first.
const LITTLE: u64 = 128 * 1024;
/// A client's speed is looked at when it took so many bytes, or was waited for so long.
const LOOK: (u64, Duration) = (256 * 1024, Duration::from_secs(2));
/// A look raises what is held to so many times of what it was at most: a client may have a large buffer and read nothing.
const RAISE: u64 = 4;
/// Bytes a second from which on the system chooses.
const QUICK: u64 = 4 << 20;

/// What is known of one client's speed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsent {
    /// It is looked at.
    Watched(Watch),
    /// It stays as it is.
    Settled,
}

/// What a client took since it was looked at last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Bytes that are held.
    held: u64,
    /// Bytes that fill what is held before they count as taken.
    fill: u64,
    taken: u64,
    /// How long it was waited for.
    waited: Duration,
}

impl Watch {
    fn new() -> Self {
        Self {
            held: LITTLE,
            fill: LITTLE,
            taken: 0,
            waited: Duration::ZERO,
        }
    }

    /// Counts bytes; returns how many may be held from now on if that changes, 0 for the system's choice.
    fn sent(&mut self, bytes: u64) -> Option<u64> {
        let filled = bytes.min(self.fill);
        self.fill -= filled;
        self.taken += bytes - filled;
        if self.taken < LOOK.0 && self.waited < LOOK.1 {
            return None;
        }
        let rate = self.taken as f64 / self.waited.as_secs_f64();
        let most = (rate as u64).clamp(LITTLE, self.held * RAISE);
        (self.taken, self.waited) = (0, Duration::ZERO);
        if most >= QUICK {
            return Some(0);
        }
        // Each change is a call, and what is nearly right is right.
        let is_right = (self.held / 2..=self.held * 3 / 2).contains(&most);
        if is_right {
            return None;
        }
        self.fill = most.saturating_sub(self.held);
        self.held = most;
        Some(most)
    }
}

impl Unsent {
    /// Holds little from now on.
    pub fn new(stream: &TcpStream) -> Self {
        hold(stream, LITTLE);
        Self::Watched(Watch::new())
    }

    /// As [`Self::new`], for good: slow readers are to be told from stopped ones at any time.
    pub fn always(stream: &TcpStream) -> Self {
        hold(stream, LITTLE);
        Self::Settled
    }

    /// The client took some bytes.
    pub fn sent(&mut self, stream: &TcpStream, bytes: u64) {
        let Self::Watched(watch) = self else { return };
        let Some(most) = watch.sent(bytes) else {
            return;
        };
        hold(stream, most);
        if most == 0 {
            *self = Self::Settled;
        }
    }

    /// The client was waited for.
    pub fn waited(&mut self, time: Duration) {
        if let Self::Watched(watch) = self {
            watch.waited += time;
        }
    }
}

/// Where the system cannot do it, slow readers are judged by larger steps.
fn hold(stream: &TcpStream, most: u64) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(most as u32);
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, most);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is held after a client that takes `rate` bytes a second took `bytes`; `None` for what the system chooses.
    fn held(watch: &mut Watch, rate: u64, bytes: u64) -> Option<u64> {
        let step = 64 * 1024;
        for _ in 0..bytes / step {
            if watch.sent(step) == Some(0) {
                return None;
            }
            watch.waited += Duration::from_secs_f64(step as f64 / rate as f64);
        }
        Some(watch.held)
    }

    #[test]
    fn about_a_second_of_what_a_client_takes_is_held() {
        for (rate, least, most) in [
            (1, LITTLE, LITTLE),
            (50_000, LITTLE, LITTLE),
            (400_000, 256 * 1024, 600_000),
            (2_000_000, 1_000_000, 3_000_000),
        ] {
            let held = held(&mut Watch::new(), rate, 16 << 20).unwrap();
            assert!((least..=most).contains(&held), "{rate}: {held}");
        }
        assert_eq!(held(&mut Watch::new(), 50_000_000, 16 << 20), None);
    }

    #[test]
    fn what_is_held_grows_step_by_step_and_shrinks_for_who_slows_down() {
        let mut watch = Watch::new();
        // All that a large buffer of the client takes at once.
        assert_eq!(watch.sent(1 << 20), Some(RAISE * LITTLE));
        watch.waited = Duration::from_secs(3);
        assert_eq!(watch.sent(64 * 1024), Some(LITTLE));
        assert_eq!(held(&mut watch, 20_000, 1 << 20), Some(LITTLE));
    }
}
