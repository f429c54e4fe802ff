//! haul
<<<<<<< HEAD
pub mod app;
=======
pub mod cli;
>>>>>>> main
pub mod client;
pub mod compose;
pub mod config;
pub mod entry;
pub mod error;
pub mod escape;
pub mod headless;
pub mod http1;
pub mod logging;
<<<<<<< HEAD
=======
pub mod pieces;
>>>>>>> main
pub mod progress;
pub mod server;
pub mod sys;
pub mod ui;
pub mod units;
