//! Serving and downloading without a screen, for scripts and services.

pub mod connect;
pub mod report;
pub mod serve;
mod signals;
