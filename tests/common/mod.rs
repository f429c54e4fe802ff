//! What the tests share: a server on a free port, raw HTTP, and other people's tools.

#![expect(
    dead_code,
    reason = "each test binary uses its own part of what they share"
)]

pub mod fetching;
pub mod raw;
pub mod serving;
pub mod tools;
pub mod trees;
