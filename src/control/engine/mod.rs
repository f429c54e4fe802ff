//! The engines of this process as screens see them.

pub mod clients;
pub mod connecting;
pub mod hub;
pub mod serving;
