//! The forms in which directories and digests are told.

pub mod listing;
pub mod metalink;
pub mod page;
pub mod tar;
