//! What the tests share: a server on a free port, raw HTTP, and other people's tools.

pub mod browser;
pub mod fetching;
pub mod modules;
pub mod program;
pub mod proxy;
pub mod raw;
pub mod scripted;
pub mod secure;
pub mod serving;
pub mod swap;
pub mod tools;
pub mod trees;
