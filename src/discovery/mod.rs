//! Servers that find each other on a local network: DNS-SD (RFC 6763) over multicast DNS (RFC 6762). Nothing that is heard is
//! believed: it is shown, and whoever connects is asked as always.

mod announce;
mod hear;
mod known;

pub use announce::{Announced, Announcement, goodbye};
pub use hear::{Heard, News, hear};
pub use known::{Known, survey};

/// What `haul serve` is found by.
const HAUL: &str = "_haul._tcp.local.";
/// What file managers look for (without TLS: there is no usual name for it with).
const HTTP: &str = "_http._tcp.local.";
