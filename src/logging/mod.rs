//! The log: to a file, to a ring for the dashboard, or to stderr where there is no dashboard.
pub mod ring;

pub use ring::{Line, Ring};
