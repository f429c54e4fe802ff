//! haul moves files out of a directory on one machine into a directory on others, and shows both ends doing it.
//!
//! The map, from the top down; a module may use what stands below it, never above:
//!
//! - [`compose`] puts one run together: settings, log, runtime, and an engine with or without a screen.
//! - [`error`] is the program's own error, which holds those of all parts.
//! - [`cli`] reads the command line, and merges it with what [`config`] reads from INI files.
//! - [`eval`] measures, with processes of the program itself; [`plot`] draws what it measured.
//! - [`headless`] runs the engines for scripts; [`dashboard`] runs them for people.
//! - [`control`] is the socket on which other processes see and steer what runs, and the seam of screens and engines.
//! - [`metrics`] tells both engines' figures to monitoring.
//! - [`ui`] draws the state that [`app`] keeps; both are pure.
//! - [`server`] and [`client`] are the engines. They know nothing of any screen.
//! - [`pieces`] and [`http1`] hold what goes over the wire; both are pure. [`sys`] is what the platform adds to std.
//! - [`tls`] is what both sides do about certificates; [`credentials`] are logins and tokens, which no log shows.
//! - [`logging`], [`pace`], [`progress`], [`units`], [`escape`], [`entry`], [`digest`], [`sums`], [`exit`], [`forms`] and [`samples`] serve all of them.
//!
//! Three paths to read first: a byte (`server::respond` to `client::worker`), a key (`dashboard::run` to `app::update`), a
//! setting (`config::ini` to the typed structs of [`config`]). ARCHITECTURE.md follows them step by step.

pub mod app;
pub mod cli;
pub mod client;
pub mod compose;
pub mod config;
pub mod control;
pub mod credentials;
pub mod dashboard;
pub mod digest;
pub mod discovery;
pub mod entry;
pub mod error;
pub mod escape;
pub mod eval;
pub mod exit;
pub mod forms;
pub mod headless;
pub mod http1;
pub mod logging;
pub mod metrics;
#[cfg(test)]
#[path = "../tests/fuzz/mutate.rs"]
mod mutate;
pub mod pace;
pub mod piece_digests;
pub mod pieces;
pub mod plot;
pub mod progress;
pub mod samples;
pub mod server;
pub mod sums;
mod sync;
pub mod sys;
pub mod tls;
pub mod ui;
pub mod units;
