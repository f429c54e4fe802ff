//! The download engine: browses a server, and fetches files and trees from it. It knows nothing of any screen.
//!
//! [`Client`] is the handle. Behind it, `workers` connections ask one queue for work and tell it what became of it:
//!
//! ```text
//! Client ──▶ queue (items, directories, files, jobs) ◀── worker × N ── connection ── server
//!                                                          │ answer: listing │ small file │ run of pieces │ values
//!                                                          ▼                 ▼            ▼
//!                                                        queue            lander         job (plan, part, values)
//! ```

mod depth;
mod disk;
mod engine;
mod error;
mod handle;
mod job;
mod net;
mod plan;
mod proof;
mod queue;
mod read;
mod retry;
mod settings;
pub mod snapshot;
mod source;
mod task;
mod want;
mod worker;

pub use error::Error;
pub use handle::Client;
pub use net::{access::Access, document::read_document, stream::try_connection};
pub use read::metalink;
pub use settings::Settings;
pub use snapshot::{
    Event, FilesView, ItemId, ItemState, ItemView, Link, Snapshot, SourceView, Verified,
};
pub use want::Want;
