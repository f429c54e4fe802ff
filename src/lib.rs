//! haul
pub mod cli;
pub mod client;
pub mod compose;
pub mod config;
pub mod entry;
pub mod error;
pub mod escape;
pub mod headless;
pub mod http1;
pub mod logging;
pub mod pieces;
pub mod progress;
pub mod samples;
pub mod server;
pub mod sys;
pub mod units;
