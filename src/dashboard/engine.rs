//! The two engines as the loop sees them: sampled, told, and handed effects.

mod clients;
mod connecting;
mod serving;

pub use clients::Left;
pub(super) use connecting::Connecting;
pub(super) use serving::Serving;
