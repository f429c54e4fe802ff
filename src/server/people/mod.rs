//! Who takes what, and who may: principals (a login, else an address), their sessions, and what these take.

pub mod access;
pub mod clients;
pub mod downloads;
pub mod peers;
pub mod ranges;
pub mod rows;
pub mod snapshot;
pub mod standing;
mod statuses;
pub mod taken;
pub mod warnings;
