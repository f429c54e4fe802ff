//! The download engine: browses a server, and fetches files and trees from it. It knows nothing of any screen.
//!
//! [`Client`] is the handle. Behind it, `workers` connections ask one schedule what to do and report what became of it:
//!
//! ```text
//! Client ──▶ schedule (decides; pure) ◀── next, report ── worker × N ── connection ── server
//!               │ effects                                   │ listing │ small file │ run of pieces, values
//!               ▼                                           ▼         ▼            ▼
//!            engine (lock, events, disk)                 found      lander        part
//! ```

mod adding;
mod counts;
mod damage;
mod disk;
mod engine;
mod error;
mod event;
mod facts;
#[cfg(test)]
mod fuzz;
mod handle;
mod handover;
mod id;
mod net;
mod proof;
mod read;
mod schedule;
mod settings;
pub mod snapshot;
mod task;
mod want;
mod worker;

pub use counts::Counts;
pub use damage::Damage;
pub use disk::{extra::Extra, names::part_name};
pub use error::Error;
pub use event::{Action, Event, kept_and_fetched, signature};
pub use handle::Client;
pub use handover::Handover;
pub use net::{access::Access, document::read_document, stream::try_connection};
pub use read::{metalink, pattern::literal};
pub use schedule::Outcome;
pub use settings::Settings;
pub use snapshot::{
    FileView, FilesView, ItemId, ItemState, ItemView, Link, Question, Snapshot, SourceView,
    UNDER_WAY_MAX, Verified,
};
pub use want::Want;
