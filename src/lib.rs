//! haul
pub mod app;
pub mod client;
pub mod config;
pub mod entry;
pub mod error;
pub mod escape;
pub mod http1;
pub mod logging;
pub mod progress;
pub mod server;
pub mod sys;
pub mod ui;
pub mod units;
