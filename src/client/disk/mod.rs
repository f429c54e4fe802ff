//! The disk: the directory that downloads land in, parts and the journal of them, small files, and what waits there.

pub mod already;
pub mod caught;
pub mod conflict;
pub mod extra;
pub mod journal;
pub mod land;
pub mod landed;
pub mod lander;
pub mod likeness;
pub mod moved;
pub mod names;
pub mod part;
pub mod spill;
pub mod target;
#[cfg(test)]
mod tests;
