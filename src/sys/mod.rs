//! What the platform offers beyond std: one function each, with a portable twin, all through rustix.

pub mod dir_id;
pub mod disk;
pub mod mounts;
pub mod open;
pub mod send;
