//! Tests by what a user does, in one binary: linking is what a test binary costs.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::unnecessary_debug_formatting,
    clippy::large_stack_arrays,
    reason = "a test fails by panicking, says what it skips, and names paths as they are"
)]

mod access;
mod answers;
mod attached;
mod background;
mod blocks;
mod browser;
mod cli;
mod clients;
mod common;
mod config;
mod connect;
mod containment;
mod control;
mod damaged;
mod dashboard;
mod deletion;
mod discovery;
mod eval;
mod extras;
mod foreign;
mod fuzz;
mod hangs;
mod hostile;
mod imports;
mod intheway;
mod kicked;
mod landing;
mod large;
mod left;
mod limits;
mod lines;
mod logins;
mod messages;
mod metrics;
mod mirrors;
mod named;
mod network;
mod outages;
mod overload;
mod page;
mod pages;
mod pressure;
mod private;
mod proxies;
mod published;
mod queue;
mod ranges;
mod redirects;
mod repaired;
mod replaced;
mod resume;
mod rules;
mod serve;
mod servers;
mod service;
mod sums;
mod tls;
mod unwatched;
mod update;
mod uptodate;
mod wire;
