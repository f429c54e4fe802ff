//! The served directory: what a path leads to, what a directory holds, and whole trees.

pub mod catalog;
pub mod entries;
pub mod found;
pub mod own;
pub mod root;
pub mod stamp;
pub mod walk;
