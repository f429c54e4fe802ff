//! Seen from elsewhere: the socket on which every server and client tells how it stands, and takes what screens ask for.
//!
//! docs/CONTROL.md describes what goes over it. Screens of this process and of others have the same seam, [`Engine`].

mod engine;
mod error;
mod listen;
mod places;
mod protocol;
mod remote;
mod seam;
mod session;
mod subject;
pub mod survey;
mod watcher;

pub use self::{
    engine::{clients::Left, connecting::Connecting, hub::Hub, serving::Serving},
    error::Error,
    listen::{Control, listen},
    places::{Found, all, meant, named},
    protocol::{Ask, Facts, Hello, Tell, VERSION},
    remote::{Remote, Watched},
    seam::Engine,
    session::{STOP, Session},
    subject::Subject,
};
