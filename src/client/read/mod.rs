//! What is read rather than fetched: other servers' listings, Metalinks, and the user's patterns. All of it is pure.

pub mod beside;
pub mod listing;
pub mod metalink;
pub mod pattern;
