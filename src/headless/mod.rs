//! Serving and downloading without a screen, for scripts and services.

pub mod connect;
pub mod demo;
pub(crate) mod plan;
pub mod report;
mod scratch;
pub mod serve;
mod signals;
mod stdout;
pub mod style;
mod summary;
