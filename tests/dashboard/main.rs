//! The dashboards: what keys do, what the screen shows, how the loop ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod keys;
mod looping;
mod screens;
mod states;
