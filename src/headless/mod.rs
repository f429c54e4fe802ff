//! Serving and downloading without a screen, for scripts and services.

pub(crate) mod access;
mod ask;
pub(crate) mod checksums;
pub mod connect;
mod delete;
pub mod demo;
mod dry_run;
mod follow;
mod handed_over;
mod hold;
mod landed;
mod managed;
pub(crate) mod plan;
pub mod report;
pub mod serve;
pub mod servers;
pub mod status;
mod stdout;
pub mod style;
mod summary;
pub mod sums;

pub use handed_over::HandedOver;
